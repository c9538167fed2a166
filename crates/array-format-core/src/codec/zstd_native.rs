//! Zstandard by its reference implementation, for machines that a C compiler reaches.

use std::cell::Cell;
use std::io::Cursor;
use std::thread::LocalKey;

use ::zstd::bulk::{Compressor, Decompressor};
use ::zstd::zstd_safe::CParameter;

use super::filled;
use crate::error::{Error, Result};

thread_local! {
    // With the level it was made for: setting another one costs little less than another context.
    static COMPRESSOR: Cell<Option<(i32, Compressor<'static>)>> = const { Cell::new(None) };
    static DECOMPRESSOR: Cell<Option<Decompressor<'static>>> = const { Cell::new(None) };
}

/// What the thread keeps. Nothing while the thread ends, which is no reason to panic.
fn take<T>(kept: &'static LocalKey<Cell<Option<T>>>) -> Option<T> {
    kept.try_with(Cell::take).ok().flatten()
}

fn keep<T>(kept: &'static LocalKey<Cell<Option<T>>>, value: T) {
    // While the thread ends there is nothing to keep it for.
    let _ = kept.try_with(|cell| cell.set(Some(value)));
}

fn no_context(e: std::io::Error) -> Error {
    Error::unsupported("Zstandard cannot be set up").with_source(e)
}

/// Sets what level 3 does with sources of 128 to 256 KiB, as the frames of chunks are: by itself it looks for matches of 4 bytes there, but of
/// 5 bytes where sources are smaller or larger. Numbers of 4 bytes then take a tenth less space, and a third longer to decode (`docs/design.md`).
fn set_up(compressor: &mut Compressor<'_>, level: i32, length: usize) -> std::io::Result<()> {
    let is_between = level == 3 && length > 128 << 10 && length <= 256 << 10;
    // 0: as Zstandard has it.
    let or_none = |n| if is_between { n } else { 0 };
    compressor.set_parameter(CParameter::MinMatch(or_none(5)))?;
    compressor.set_parameter(CParameter::HashLog(or_none(17)))?;
    compressor.set_parameter(CParameter::ChainLog(or_none(17)))
}

/// Appends one frame, with its content size and without a checksum of its own.
pub(super) fn compress(level: i32, src: &[u8], dst: &mut Vec<u8>) -> Result<()> {
    let mut compressor = match take(&COMPRESSOR) {
        Some((of, compressor)) if of == level => compressor,
        _ => Compressor::new(level).map_err(no_context)?,
    };
    set_up(&mut compressor, level, src.len()).map_err(no_context)?;
    let start = dst.len();
    dst.reserve(::zstd::compress_bound(src.len()));
    let mut tail = Cursor::new(dst);
    tail.set_position(start as u64);
    compressor.compress_to_buffer(src, &mut tail).map_err(|e| {
        Error::invalid(format!("Zstandard cannot compress {} bytes", src.len())).with_source(e)
    })?;
    keep(&COMPRESSOR, (level, compressor));
    Ok(())
}

/// Decodes straight into `dst`: no window is allocated, whatever the frame asks for.
pub(super) fn decompress(src: &[u8], dst: &mut [u8]) -> Result<()> {
    let mut decompressor = match take(&DECOMPRESSOR) {
        Some(decompressor) => decompressor,
        None => Decompressor::new().map_err(no_context)?,
    };
    let made = decompressor.decompress_to_buffer(src, dst);
    // Every call begins a new frame, so that one that failed leaves nothing behind.
    keep(&DECOMPRESSOR, decompressor);
    let made = made.map_err(|e| Error::corrupt("a Zstandard frame does not decode").with_source(e))?;
    filled("a Zstandard frame", made, dst.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_3_looks_for_longer_matches_in_frames_and_nowhere_else() {
        // Few numbers in any order: matches of 4 bytes are most of what there is to be found.
        let mut state = 1u32;
        let mut number = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 22).wrapping_mul(0x9E37_79B1)
        };
        let source: Vec<u8> = (0..75_000).flat_map(|_| number().to_le_bytes()).collect();
        let stored = |level, length: usize| {
            let mut out = Vec::new();
            compress(level, &source[..length], &mut out).unwrap();
            let mut back = vec![0; length];
            decompress(&out, &mut back).unwrap();
            assert_eq!(back, source[..length]);
            out
        };
        let (frame, own) =
            (253 << 10, |level, length: usize| ::zstd::bulk::compress(&source[..length], level).unwrap());
        assert!(stored(3, frame).len() > own(3, frame).len() * 11 / 10);
        // The thread uses one context for all of them.
        for (level, length) in [
            (3, 0),
            (3, 1000),
            (3, 128 << 10),
            (3, 290 << 10),
            (1, frame),
            (4, frame),
            (3, 1000),
            (19, frame),
        ] {
            assert_eq!(stored(level, length), own(level, length), "level {level}, {length} bytes");
            stored(3, frame);
        }
    }
}
