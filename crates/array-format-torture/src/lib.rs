//! Torture for array-format: real files on a real disk, real processes.
//!
//! [`killer`] kills a process that commits, compacts and collects, again and again, and checks after each kill that nothing
//! acknowledged is lost. [`contest`] lets many writers, in threads and processes, work on one file, beside readers that check each
//! snapshot whole and a keeper that compacts and collects.

mod child;
pub mod contest;
pub mod counters;
mod dice;
pub mod keeper;
pub mod killer;
mod litter;
pub mod model;
pub mod owned;
pub mod reader;
pub mod victim;
pub mod writer;

pub use child::{Child, Garbled, say, until_input_ends};
pub use dice::{Dice, hash};

/// What failed, in words. The programs stop at the first thing that is not as it should be.
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Fails with a sentence unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($sentence:tt)*) => {
        if !$condition {
            return Err(format!($($sentence)*).into());
        }
    };
}
pub(crate) use ensure;

/// Small blocks and frames: more of everything in little data.
pub fn config() -> array_format::FileConfig {
    array_format::FileConfig::new(array_format::Lz4Codec).with_block_bytes(1 << 10).with_frame_bytes(1 << 10)
}

/// A number from the environment, for the long form.
pub fn scale(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(otherwise)
}
