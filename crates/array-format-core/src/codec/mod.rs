//! Compression codecs and filters: `docs/format.md`, section "Codecs and filters".
//!
//! A chunk's values pass through its array's [`Filter`]s, which know numbers; the block that they land in is then
//! compressed by a [`CompressionCodec`], which knows bytes.

mod bitround;
mod decimal;
mod delta;
mod filter;
mod lz4;
#[cfg(not(target_arch = "wasm32"))]
mod lz4_native;
mod lz4_pure;
mod none;
mod numbers;
#[cfg(feature = "pco")]
mod pco;
#[cfg(not(feature = "pco"))]
#[path = "pco_absent.rs"]
mod pco;
#[cfg(feature = "pco")]
mod pco_guard;
mod pipeline;
mod registry;
mod shuffle;
mod zstd;
#[cfg(not(target_arch = "wasm32"))]
mod zstd_native;
// Tests read what the other implementation wrote, so that the one for browsers cannot rot unseen.
#[cfg(any(test, target_arch = "wasm32"))]
mod zstd_pure;

#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::sync::Arc;

use crate::error::{Error, Result};

pub use filter::{Filter, MAX_FILTERS, check_filters};
pub use lz4::Lz4Codec;
pub use none::NoCompression;
pub use numbers::NumbersCodec;
pub use pipeline::{decode_filters, encode_filters};
pub use registry::CodecRegistry;
pub use zstd::ZstdCodec;

/// Codec id of [`NoCompression`].
pub const NO_COMPRESSION_ID: u32 = 0;
/// Codec id of [`Lz4Codec`].
pub const LZ4_ID: u32 = 1;
/// Codec id of [`ZstdCodec`].
pub const ZSTD_ID: u32 = 2;
/// Codec id of [`NumbersCodec`].
pub const NUMBERS_ID: u32 = 3;
/// The lowest codec id that is the user's to give. Those below are the format's.
pub const FIRST_USER_CODEC_ID: u32 = 0x1_0000;

/// Compresses whole blocks of bytes, and gives them back.
///
/// A codec of your own needs an id of [`FIRST_USER_CODEC_ID`] or above that no other codec of your files has, and
/// has to be registered by every program that reads them. An [`Arc`] or [`Box`] of a codec is a codec.
pub trait CompressionCodec: Debug + Send + Sync + 'static {
    /// The number that stands for this codec in files. It must not ever change.
    fn id(&self) -> u32;

    /// A name that is recorded beside the id, so that a reader without this codec can say which one it lacks.
    fn name(&self) -> &str;

    /// What decompression needs to know beside the bytes, recorded in the block table and handed back to
    /// [`decompress`](Self::decompress). Nothing, by default.
    fn params(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Appends the compressed form of `src` to `dst`, whatever `dst` holds already. An empty `src` is legal.
    ///
    /// # Errors
    /// `Unsupported` where this machine cannot compress; a user's codec may have errors of its own. What `dst`
    /// holds behind its former end is then of no meaning.
    fn compress(&self, src: &[u8], dst: &mut Vec<u8>) -> Result<()>;

    /// Fills `dst` with what `src` was made from, by a codec that had these `params`. The length of `dst` is
    /// what the file says; `src` and `params` are the file's bytes, checksummed but not to be trusted.
    ///
    /// # Errors
    /// `Corrupt` where `src` does not decode to exactly as many bytes as `dst` has. What `dst` holds is then of
    /// no meaning.
    fn decompress(&self, params: &[u8], src: &[u8], dst: &mut [u8]) -> Result<()>;
}

macro_rules! forward {
    ($($pointer:ident),*) => {$(
        impl<T: CompressionCodec + ?Sized> CompressionCodec for $pointer<T> {
            fn id(&self) -> u32 {
                (**self).id()
            }

            fn name(&self) -> &str {
                (**self).name()
            }

            fn params(&self) -> Vec<u8> {
                (**self).params()
            }

            fn compress(&self, src: &[u8], dst: &mut Vec<u8>) -> Result<()> {
                (**self).compress(src, dst)
            }

            fn decompress(&self, params: &[u8], src: &[u8], dst: &mut [u8]) -> Result<()> {
                (**self).decompress(params, src, dst)
            }
        }
    )*};
}
forward!(Arc, Box);

/// The check that ends every built-in decoder: `made` bytes were written where the file promised `dst`.
fn filled(what: &str, made: usize, promised: usize) -> Result<()> {
    if made == promised {
        return Ok(());
    }
    Err(Error::corrupt(format!("{what} decodes to {made} bytes where the file says {promised}")))
}
