//! Threads that encode while the caller goes on: copies the next chunks, writes the last ones.
//!
//! They are the library's own. A thread of somebody else's pool that waits for work may take up any other work of that pool, such as a
//! write to the same file, which waits for the first: nobody would go on.

use std::sync::LazyLock;

use array_format_core::Result;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::pack::parallel;

/// `None` where no threads are to be had: then the caller does the work.
static POOL: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    let named = ThreadPoolBuilder::new().thread_name(|i| format!("array-format-{i}"));
    named.build().inspect_err(|e| tracing::warn!(error = %e, "no threads to encode with")).ok()
});

pub(super) fn has_threads() -> bool {
    POOL.is_some()
}

/// Hands work over, which must not panic. What one thread hands over is begun in that order.
pub(super) fn spawn(work: impl FnOnce() + Send + 'static) {
    match &*POOL {
        Some(pool) => pool.spawn_fifo(work),
        None => work(),
    }
}

/// Frees something large on another thread.
pub(crate) fn free<T: Send + 'static>(value: T) {
    spawn(move || drop(value));
}

/// Does both at once, while the caller waits.
pub(crate) fn both<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    match &*POOL {
        Some(pool) => pool.join(a, b),
        None => (a(), b()),
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
