//! Codec 0: the bytes as they are.

use super::{CompressionCodec, NO_COMPRESSION_ID, filled};
use crate::error::Result;

/// Stores blocks as they are: for data that does not compress, or that must be readable at memory speed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct NoCompression;

impl CompressionCodec for NoCompression {
    fn id(&self) -> u32 {
        NO_COMPRESSION_ID
    }

    fn name(&self) -> &str {
        "none"
    }

    fn compress(&self, src: &[u8], dst: &mut Vec<u8>) -> Result<()> {
        dst.extend_from_slice(src);
        Ok(())
    }

    fn decompress(&self, _params: &[u8], src: &[u8], dst: &mut [u8]) -> Result<()> {
        filled("an uncompressed block", src.len(), dst.len())?;
        dst.copy_from_slice(src);
        Ok(())
    }
}
