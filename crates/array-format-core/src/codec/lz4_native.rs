//! LZ4 by its reference implementation, for machines that a C compiler reaches: it is the faster one (`docs/design.md`).

use ::lz4::block;

use super::{filled, lz4_pure};
use crate::error::{Error, Result};

/// It counts in 32 bits with a sign (`LZ4_MAX_INPUT_SIZE`).
const MAX_BYTES: usize = 0x7E00_0000;

/// Appends one block.
pub(super) fn compress(src: &[u8], dst: &mut Vec<u8>) -> Result<()> {
    let refused =
        |e: std::io::Error| Error::invalid(format!("LZ4 cannot compress {} bytes", src.len())).with_source(e);
    if src.len() > MAX_BYTES {
        return lz4_pure::compress(src, dst);
    }
    let start = dst.len();
    dst.resize(start + block::compress_bound(src.len()).map_err(refused)?, 0);
    let room = dst.get_mut(start..).unwrap_or_default();
    let made = block::compress_to_buffer(src, None, false, room).map_err(refused)?;
    dst.truncate(start + made);
    Ok(())
}

/// Decodes into `dst`, all of it.
pub(super) fn decompress(src: &[u8], dst: &mut [u8]) -> Result<()> {
    let len = dst.len();
    let Some(size) = i32::try_from(len).ok().filter(|_| len.max(src.len()) <= MAX_BYTES) else {
        return lz4_pure::decompress(src, dst);
    };
    let made = block::decompress_to_buffer(src, Some(size), dst)
        .map_err(|e| Error::corrupt("an LZ4 block does not decode").with_source(e))?;
    filled("an LZ4 block", made, len)
}
