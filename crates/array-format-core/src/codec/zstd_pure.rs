//! Zstandard in Rust, for wasm32 where no C compiler reaches. Slower, and with one level of compression.

use ruzstd::decoding::FrameDecoder;
use ruzstd::encoding::CompressionLevel;

use super::filled;
use crate::error::{Error, Result};

/// The window that every decoder should have room for (RFC 8878, section 3.1.1.1.2).
const USUAL_WINDOW: u64 = 8 << 20;

/// Appends one frame. The level has no effect.
// A Result, as the other implementation has it.
pub(super) fn compress(_level: i32, src: &[u8], dst: &mut Vec<u8>) -> Result<()> {
    ruzstd::encoding::compress(src, dst, CompressionLevel::Fastest);
    Ok(())
}

/// Decodes into `dst`, by way of a window of 8 MiB or as long as `dst` at most.
pub(super) fn decompress(src: &[u8], dst: &mut [u8]) -> Result<()> {
    // A new one each time: one that is reused would reserve the window before it sees a byte that fills it.
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(USUAL_WINDOW.max(dst.len() as u64));
    let made = decoder
        .decode_all(src, dst)
        .map_err(|e| Error::corrupt("a Zstandard frame does not decode").with_source(e))?;
    filled("a Zstandard frame", made, dst.len())
}
