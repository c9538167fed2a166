//! The bytes and numbers of array-format: no I/O, no threads, no clock, no randomness.
//!
//! Everything here decodes from slices and encodes to vectors, so that a file, an object store, a fuzzer and a
//! browser share it. `docs/format.md` is the authority; each module names its section.

pub mod address;
pub mod block;
pub mod buffer;
pub mod checksum;
pub mod chunk;
pub mod codec;
pub mod cursor;
pub mod dtype;
pub mod element;
pub mod error;
pub mod footer;
pub mod format;
pub mod framed;
pub mod grid;
pub mod schema;
pub mod statistics;
pub mod value;

pub use dtype::{DType, Scalar, TimeUnit};
pub use error::{Error, ErrorKind, Result};
