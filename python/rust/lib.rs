//! Bindings of the library for the Python package `array_format`: thin, and without the interpreter lock while they work. What users see is made in
//! Python, in `src/array_format`; this module is private to it.

#![allow(clippy::needless_pass_by_value, reason = "what comes from Python comes by value")]
#![allow(
    clippy::type_complexity,
    reason = "what goes to Python are tuples, which src/array_format/_core.pyi describes"
)]

mod columns;
mod data;
mod errors;
mod file;
mod history;
mod settings;
mod values;

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};

use array_format::Result;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// Workers of Dask run with `MALLOC_TRIM_THRESHOLD_=65536`, with which the allocator of the C library gives the memory of every chunk back to the
/// system and fetches it anew: a third of the time of writing.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The process that used the library first; 0: none did.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// Waits for a future of the library without the interpreter lock.
///
/// Threads do not survive a fork: in a child of a process that used the library, work would be given to threads that are not there, and waited for for ever.
fn wait<T: Send>(py: Python<'_>, future: impl Future<Output = Result<T>> + Send) -> PyResult<T> {
    let now = std::process::id();
    let first =
        PROCESS.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed).unwrap_or_else(|first| first);
    if first != 0 && first != now {
        return Err(PyRuntimeError::new_err(
            "this process was forked from one that had used array_format, whose threads did not come along: start processes with the method \
             \"spawn\" or \"forkserver\" (multiprocessing.set_start_method), or open files in the children only",
        ));
    }
    py.detach(|| array_format::blocking::wait(future)).map_err(|e| errors::raised(&e))
}

/// Runs the command `af` and returns its exit code.
#[pyfunction]
fn run_cli(py: Python<'_>, arguments: Vec<std::ffi::OsString>) -> u8 {
    py.detach(|| array_format_cli::run(arguments))
}

#[pymodule]
fn _core(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("ERROR_KINDS", errors::KINDS.map(array_format::ErrorKind::name).to_vec())?;
    m.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    m.add_class::<file::Handle>()?;
    m.add_function(wrap_pyfunction!(file::create, m)?)?;
    m.add_function(wrap_pyfunction!(file::open, m)?)?;
    m.add_function(wrap_pyfunction!(settings::set_cache, m)?)?;
    m.add_function(wrap_pyfunction!(settings::sync_cache, m)?)?;
    m.add_function(wrap_pyfunction!(run_cli, m)?)
}
