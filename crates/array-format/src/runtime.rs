//! Threads of our own for what needs a runtime: requests, and the cache on disk. Callers need none.

use std::sync::LazyLock;

use array_format_core::{Error, ErrorKind, Result};
use tokio::runtime::{Builder, Handle, Runtime};

/// They wait for sockets and disks; what comes is decoded elsewhere.
const THREADS: usize = 2;

static RUNTIME: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread().worker_threads(THREADS).thread_name("array-format-io").enable_all().build()
});

/// The runtime that waits, for all files of the process.
///
/// # Errors
/// `Unavailable` if the system gives no threads.
pub(crate) fn handle() -> Result<Handle> {
    match &*RUNTIME {
        Ok(runtime) => Ok(runtime.handle().clone()),
        Err(e) => Err(Error::new(ErrorKind::Unavailable, format!("no threads that wait are to be had: {e}"))),
    }
}
