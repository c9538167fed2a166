//! Errors of the library as exceptions: `array_format.errors`.

use array_format::Error;
use pyo3::prelude::*;

/// Names of all kinds, in the order of the library's list: a test of the package holds its exceptions against them.
pub(crate) const KINDS: [array_format::ErrorKind; 9] = {
    use array_format::ErrorKind::*;
    [
        NotFound,
        AlreadyExists,
        InvalidArgument,
        Conflict,
        PermissionDenied,
        Unavailable,
        Corrupt,
        Unsupported,
        SnapshotExpired,
    ]
};

/// The exception that says what the error says.
pub(crate) fn raised(error: &Error) -> PyErr {
    Python::attach(|py| exception(py, error).unwrap_or_else(|e| e))
}

fn exception(py: Python<'_>, e: &Error) -> PyResult<PyErr> {
    let make = py.import("array_format.errors")?.getattr("_from_core")?;
    let place = (e.file(), e.layer(), e.array(), e.block(), e.offset());
    Ok(PyErr::from_value(make.call1((e.kind().name(), e.to_string(), place))?))
}
