//! Who may change what is pending, while others need it to stay as it is for a while.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Held alone by whoever commits, or changes what nodes are; held together by those who write data. Short-lived locks of the handle's state are
/// taken inside.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    lock: async_lock::RwLock<()>,
    alone: AtomicUsize,
    together: AtomicUsize,
}

/// The gate is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Held<'g, G> {
    count: &'g AtomicUsize,
    _guard: G,
}

impl<'g, G> Held<'g, G> {
    fn new(count: &'g AtomicUsize, guard: G) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self { count, _guard: guard }
    }
}

impl<G> Drop for Held<'_, G> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Gate {
    pub(crate) async fn write(&self) -> Held<'_, async_lock::RwLockWriteGuard<'_, ()>> {
        Held::new(&self.alone, self.lock.write().await)
    }

    pub(crate) async fn read(&self) -> Held<'_, async_lock::RwLockReadGuard<'_, ()>> {
        Held::new(&self.together, self.lock.read().await)
    }

    /// Whether somebody holds it alone.
    ///
    /// What is done at once under the lock of the handle's state need not hold the gate (which takes ten times as long): it is enough that nobody
    /// does. Whoever begins to hold it meanwhile gets to see the state afterwards.
    pub(crate) fn is_held_alone(&self) -> bool {
        self.alone.load(Ordering::SeqCst) > 0
    }

    /// Whether anybody holds it; as [`is_held_alone`](Self::is_held_alone).
    pub(crate) fn is_held(&self) -> bool {
        self.is_held_alone() || self.together.load(Ordering::SeqCst) > 0
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn whoever_holds_it_is_seen_until_it_does_not() {
        let gate = Gate::default();
        let seen = || (gate.is_held(), gate.is_held_alone());
        assert_eq!(seen(), (false, false));
        let (one, two) = (gate.read().now_or_never().unwrap(), gate.read().now_or_never().unwrap());
        assert_eq!(seen(), (true, false));
        // One who has to wait does not hold it.
        assert!(gate.write().now_or_never().is_none());
        assert_eq!(seen(), (true, false));
        drop(one);
        assert_eq!(seen(), (true, false));
        drop(two);
        assert_eq!(seen(), (false, false));
        let alone = gate.write().now_or_never().unwrap();
        assert_eq!(seen(), (true, true));
        assert!(gate.read().now_or_never().is_none());
        drop(alone);
        assert_eq!(seen(), (false, false));
        assert!(gate.read().now_or_never().is_some());
    }
}
