//! Filter 4 in a program without it.

use crate::dtype::Scalar;
use crate::error::{Error, Result};

fn absent() -> Error {
    Error::unsupported(
        "the chunk has filter Pco, which this program was built without: enable the feature \"pco\"",
    )
}

/// Says which feature is missing.
pub(super) fn encode(_level: u8, _item: Scalar, _raw: &[u8]) -> Result<Vec<u8>> {
    Err(absent())
}

/// Says which feature is missing.
pub(super) fn decode(_item: Scalar, _encoded: &[u8], _dst: &mut [u8]) -> Result<()> {
    Err(absent())
}
