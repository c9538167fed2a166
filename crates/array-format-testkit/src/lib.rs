//! Exams for array-format storages, and storages that watch and fail on demand. Not published.
//!
//! - [`conformance`]: what every [`Storage`](array_format::storage::Storage) must do, ours or a user's own.
//! - [`CountingStorage`]: how many requests an operation takes, how many of them in sequence, and which bytes.
//! - [`FailingStorage`]: fails, tears, repeats, delays the k-th operation or loses its answer, once or until the process is dead.
//! - [`PowerLossStorage`]: forgets any subset of what was not durable when the power failed.
//! - [`proxy`]: before a real server: counts requests, loses answers, cuts connections, throttles.
//! - [`FakeGcs`]: the protocol of Google Cloud Storage, on the loopback.
//! - [`servers`]: real ones, where they run; [`Beneath`]: a folder of a storage as a storage; [`Immediate`]: one that answers at once.
//! - [`model`]: what a file should hold, in plain maps, to compare the library with.

#![expect(clippy::expect_used, clippy::panic, reason = "an exam reports by panicking")]

mod beneath;
pub mod conformance;
mod counting;
mod failing;
mod gcs;
mod immediate;
pub mod model;
mod pause;
mod power_loss;
pub mod proxy;
pub mod servers;

pub use beneath::Beneath;
pub use counting::{CountingStorage, Counts, Logged, Operation};
pub use failing::{FailMode, FailingStorage};
pub use gcs::FakeGcs;
pub use immediate::Immediate;
pub use power_loss::PowerLossStorage;
