//! Codec 1: one LZ4 block, without frame and without a length in front.

use lz4_flex::block;

use super::{CompressionCodec, LZ4_ID, filled};
use crate::error::{Error, Result};

/// LZ4: little compression at little cost. Decodes several times as fast as [`ZstdCodec`](super::ZstdCodec).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Lz4Codec;

impl CompressionCodec for Lz4Codec {
    fn id(&self) -> u32 {
        LZ4_ID
    }

    fn name(&self) -> &str {
        "lz4"
    }

    fn compress(&self, src: &[u8], dst: &mut Vec<u8>) -> Result<()> {
        // A hash table kept per thread measured no faster than the fresh one that compress_into makes.
        let start = dst.len();
        dst.resize(start + block::get_maximum_output_size(src.len()), 0);
        let room = dst.get_mut(start..).unwrap_or_default();
        let made = block::compress_into(src, room)
            .map_err(|e| Error::invalid(format!("LZ4 cannot compress {} bytes", src.len())).with_source(e))?;
        dst.truncate(start + made);
        Ok(())
    }

    fn decompress(&self, _params: &[u8], src: &[u8], dst: &mut [u8]) -> Result<()> {
        let made = block::decompress_into(src, dst)
            .map_err(|e| Error::corrupt("an LZ4 block does not decode").with_source(e))?;
        filled("an LZ4 block", made, dst.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        // Token 0x50: five literals and no match; 0x00: none at all.
        let mut out = vec![7];
        Lz4Codec.compress(b"hello", &mut out).unwrap();
        assert_eq!(out, [&[7, 0x50][..], b"hello"].concat());
        out.clear();
        Lz4Codec.compress(b"", &mut out).unwrap();
        assert_eq!(out, [0]);
        // One literal, a match of 4 + 1 at distance 1, five last literals.
        let mut dst = [0; 11];
        Lz4Codec.decompress(&[], b"\x11a\x01\x00\x50bcdef", &mut dst).unwrap();
        assert_eq!(&dst, b"aaaaaabcdef");
    }
}
