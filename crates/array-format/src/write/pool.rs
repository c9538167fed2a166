//! Threads that encode while the caller goes on: copies the next chunks, writes the last ones.
//!
//! They are the library's own. A thread of somebody else's pool that waits for work may take up any other work of that pool, such as a
//! write to the same file, which waits for the first: nobody would go on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use array_format_core::{Error, Result};
use futures::channel::oneshot;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::pack::parallel;

/// `None` where no threads are to be had: then the caller does the work.
static POOL: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    let named = ThreadPoolBuilder::new().thread_name(|i| format!("array-format-{i}"));
    named.build().inspect_err(|e| tracing::warn!(error = %e, "no threads to encode with")).ok()
});

/// Frees something large on another thread.
pub(crate) fn free<T: Send + 'static>(value: T) {
    match &*POOL {
        Some(pool) => pool.spawn(move || drop(value)),
        None => drop(value),
    }
}

/// `f` of every item, on all threads where there is more than one item, while the caller waits.
pub(crate) fn on_threads<T: Sync, O: Send>(
    items: &[T],
    f: impl Fn(&T) -> Result<O> + Sync + Send,
) -> Result<Vec<O>> {
    match &*POOL {
        Some(pool) if items.len() > 1 => pool.install(|| parallel(items, f)),
        _ => items.iter().map(f).collect(),
    }
}

/// Work that was handed over, or done.
#[derive(Debug)]
pub(super) enum Running<R> {
    Done(Result<R>),
    Later(oneshot::Receiver<Result<R>>),
}

impl<R: Send + 'static> Running<R> {
    /// Hands work to the pool.
    pub(super) fn start(work: impl FnOnce() -> Result<R> + Send + 'static) -> Self {
        let Some(pool) = &*POOL else { return Self::Done(work()) };
        let (sender, receiver) = oneshot::channel();
        pool.spawn(move || {
            // A panic ends the work, not the process: whoever waits for the result hears of it.
            if let Ok(result) = catch_unwind(AssertUnwindSafe(work)) {
                // Nobody waits any more: then nobody wants it.
                let _ = sender.send(result);
            }
        });
        Self::Later(receiver)
    }

    /// Waits for the result.
    pub(super) async fn result(self) -> Result<R> {
        match self {
            Self::Done(result) => result,
            Self::Later(receiver) => receiver.await.unwrap_or_else(|_| {
                Err(Error::invalid(
                    "encoding panicked: a bug in a codec; what was to be written stays pending",
                ))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_for_who_waits() {
        let running = Running::<()>::start(|| panic!("a codec's bug"));
        let e = futures::executor::block_on(running.result()).unwrap_err();
        assert!(e.message().contains("panicked"), "{e}");
        assert_eq!(futures::executor::block_on(Running::start(|| Ok(3)).result()).unwrap(), 3);
    }
}
