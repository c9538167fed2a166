//! LZ4 in Rust: for wasm32, where no C compiler reaches, and for blocks that are too long for the other one.

use lz4_flex::block;

use super::filled;
use crate::error::{Error, Result};

/// Appends one block.
pub(super) fn compress(src: &[u8], dst: &mut Vec<u8>) -> Result<()> {
    // A hash table kept per thread measured no faster than the fresh one that compress_into makes.
    let start = dst.len();
    dst.resize(start + block::get_maximum_output_size(src.len()), 0);
    let room = dst.get_mut(start..).unwrap_or_default();
    let made = block::compress_into(src, room)
        .map_err(|e| Error::invalid(format!("LZ4 cannot compress {} bytes", src.len())).with_source(e))?;
    dst.truncate(start + made);
    Ok(())
}

/// Decodes into `dst`, all of it.
pub(super) fn decompress(src: &[u8], dst: &mut [u8]) -> Result<()> {
    let made = block::decompress_into(src, dst)
        .map_err(|e| Error::corrupt("an LZ4 block does not decode").with_source(e))?;
    filled("an LZ4 block", made, dst.len())
}
