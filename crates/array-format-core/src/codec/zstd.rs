//! Codec 2: one Zstandard frame (RFC 8878).

#[cfg(not(target_arch = "wasm32"))]
use super::zstd_native as imp;
#[cfg(target_arch = "wasm32")]
use super::zstd_pure as imp;
use super::{CompressionCodec, ZSTD_ID};
use crate::error::{Error, Result};

/// Zstandard: the default, at level 3.
///
/// Contexts are kept per thread and reused. That saves about 10 µs a block, half the time that decoding 4 KiB takes;
/// it costs up to some MiB a thread that compressed at the highest levels.
///
/// At level 3, sources of 128 to 256 KiB, as the frames of large chunks are, are searched for matches of at least 5 bytes, as Zstandard does
/// with smaller and larger ones; its own 4 make floats a tenth smaller and their decoding a third longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ZstdCodec {
    level: i8,
}

impl ZstdCodec {
    /// A codec of the level: 1 (fast) to 22 (small), or -1 to -7 (faster yet). Compression at 19 and above takes
    /// some hundred times as long as at 1; decompression is equally fast at all of them.
    ///
    /// # Errors
    /// `InvalidArgument` for any other level.
    pub fn new(level: i32) -> Result<Self> {
        match i8::try_from(level) {
            Ok(level @ (-7..=-1 | 1..=22)) => Ok(Self { level }),
            _ => Err(Error::invalid(format!("Zstandard level {level} is not within 1..=22 or -7..=-1"))),
        }
    }

    /// The level blocks are compressed at. On wasm32 there is but one, and this number has no effect.
    pub fn level(self) -> i32 {
        i32::from(self.level)
    }
}

impl Default for ZstdCodec {
    fn default() -> Self {
        Self { level: 3 }
    }
}

impl CompressionCodec for ZstdCodec {
    fn id(&self) -> u32 {
        ZSTD_ID
    }

    fn name(&self) -> &str {
        "zstd"
    }

    /// The level, as one signed byte: for people who look at a file. No decoder needs it.
    fn params(&self) -> Vec<u8> {
        self.level.to_le_bytes().to_vec()
    }

    fn compress(&self, src: &[u8], dst: &mut Vec<u8>) -> Result<()> {
        imp::compress(self.level(), src, dst)
    }

    fn decompress(&self, _params: &[u8], src: &[u8], dst: &mut [u8]) -> Result<()> {
        imp::decompress(src, dst)
    }
}

#[cfg(test)]
mod tests {
    use super::super::zstd_pure;
    use super::*;

    #[test]
    fn levels_are_checked_and_recorded() {
        for level in [i32::MIN, -8, 0, 23, 300, i32::MAX] {
            assert!(ZstdCodec::new(level).is_err(), "{level}");
        }
        for level in (-7..=-1).chain(1..=22) {
            let codec = ZstdCodec::new(level).unwrap();
            assert_eq!(codec.level(), level);
            assert_eq!(codec.params(), [level as u8]);
            let mut out = Vec::new();
            codec.compress(b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", &mut out).unwrap();
            let mut back = [0; 43];
            // Whatever the parameters say, the frame decodes.
            ZstdCodec::default().decompress(b"nonsense", &out, &mut back).unwrap();
            assert_eq!(back, [b'a'; 43]);
        }
        assert_eq!(ZstdCodec::default().level(), 3);
    }

    #[test]
    fn both_implementations_read_each_other() {
        let numbers: Vec<u8> = (0..40_000u32).flat_map(|i| (i / 3).to_le_bytes()).collect();
        for src in [&b""[..], b"x", &[0; 300_000], &numbers] {
            let mut native = vec![1, 2, 3];
            ZstdCodec::default().compress(src, &mut native).unwrap();
            let mut back = vec![9; src.len()];
            zstd_pure::decompress(&native[3..], &mut back).unwrap();
            assert_eq!(back, src);
            assert!(zstd_pure::decompress(&native[3..], &mut vec![0; src.len() + 1]).is_err());
            if let Some(less) = src.len().checked_sub(1) {
                assert!(zstd_pure::decompress(&native[3..], &mut vec![0; less]).is_err());
            }

            let mut pure = vec![1, 2, 3];
            zstd_pure::compress(3, src, &mut pure).unwrap();
            let mut back = vec![9; src.len()];
            ZstdCodec::default().decompress(&[], &pure[3..], &mut back).unwrap();
            assert_eq!(back, src);
        }
    }
}
