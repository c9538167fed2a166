//! Filter 4 in a program without it.

use crate::dtype::Scalar;
use crate::error::{Error, Result};

fn absent() -> Error {
    Error::unsupported(
        "the chunk has filter Pco, which this program was built without: enable the feature \"pco\"",
    )
}

/// Says which feature is missing.
/// There is nothing to tune.
#[derive(Debug, Clone, Default)]
pub(super) struct Tuning;

pub(super) fn tuning(_: u8, _: Scalar, _: &[&[u8]]) -> Result<Option<Tuning>> {
    Ok(None)
}

pub(super) fn encode(_level: u8, _item: Scalar, _raw: &[u8], _: &Tuning) -> Result<Vec<u8>> {
    Err(absent())
}

/// Says which feature is missing.
pub(super) fn decode(_item: Scalar, _encoded: &[u8], _dst: &mut [u8]) -> Result<()> {
    Err(absent())
}
