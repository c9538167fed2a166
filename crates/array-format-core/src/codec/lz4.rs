//! Codec 1: one LZ4 block, without frame and without a length in front.

#[cfg(not(target_arch = "wasm32"))]
use super::lz4_native as imp;
#[cfg(target_arch = "wasm32")]
use super::lz4_pure as imp;
use super::{CompressionCodec, LZ4_ID};
use crate::error::Result;

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
        imp::compress(src, dst)
    }

    fn decompress(&self, _params: &[u8], src: &[u8], dst: &mut [u8]) -> Result<()> {
        imp::decompress(src, dst)
    }
}

#[cfg(test)]
mod tests {
    use super::super::lz4_pure;
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
        // One literal, a match of 4 + 1 at distance 1, the last literals: as the format wants, 12 bytes at least from where the match begins.
        let mut dst = [0; 18];
        Lz4Codec.decompress(&[], b"\x11a\x01\x00\xc0bcdefghijklm", &mut dst).unwrap();
        assert_eq!(&dst, b"aaaaaabcdefghijklm");
    }

    #[test]
    fn both_implementations_read_each_other() {
        let numbers: Vec<u8> = (0..40_000u32).flat_map(|i| (i / 3).to_le_bytes()).collect();
        for src in [&b""[..], b"x", &[0; 300_000], &numbers] {
            let (mut own, mut pure) = (vec![1, 2, 3], vec![1, 2, 3]);
            Lz4Codec.compress(src, &mut own).unwrap();
            lz4_pure::compress(src, &mut pure).unwrap();
            for stored in [&own[3..], &pure[3..]] {
                let mut back = vec![9; src.len()];
                lz4_pure::decompress(stored, &mut back).unwrap();
                assert_eq!(back, src);
                back.fill(9);
                Lz4Codec.decompress(&[], stored, &mut back).unwrap();
                assert_eq!(back, src);
                for len in
                    [src.len() + 1, src.len().saturating_sub(1)].into_iter().filter(|n| *n != src.len())
                {
                    assert!(Lz4Codec.decompress(&[], stored, &mut vec![0; len]).is_err());
                    assert!(lz4_pure::decompress(stored, &mut vec![0; len]).is_err());
                }
            }
        }
    }
}
