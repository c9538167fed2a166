//! Exams for array-format storages, and storages that watch and fail on demand. Not published.
//!
//! - [`conformance`]: what every [`Storage`](array_format::storage::Storage) must do, ours or a user's own.
//! - [`CountingStorage`]: how many requests an operation takes, how many of them in sequence, and which bytes.
//! - [`FailingStorage`]: fails the k-th operation, before or after its effect, once or from then on.
//! - [`model`]: what a file should hold, in plain maps, to compare the library with.

#![expect(clippy::expect_used, clippy::panic, reason = "an exam reports by panicking")]

pub mod conformance;
mod counting;
mod failing;
pub mod model;

pub use counting::{CountingStorage, Counts, Logged, Operation};
pub use failing::{FailMode, FailingStorage};
