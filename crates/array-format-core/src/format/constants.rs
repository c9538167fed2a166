//! What may never change: `docs/format.md` sections 3, 5 and 12.

/// First bytes of every object.
pub const MAGIC: [u8; 8] = *b"\x89ARF\r\n\x1a\n";
/// Last bytes of every object.
pub const END_MAGIC: [u8; 8] = *b"\x8aARFEND\n";
/// Format version that is read and written.
pub const MAJOR_VERSION: u16 = 1;
/// Minor format version that is written.
pub const MINOR_VERSION: u16 = 0;
/// Bytes of a header.
pub const HEADER_BYTES: usize = 64;
/// Bytes of a trailer.
pub const TRAILER_BYTES: usize = 128;
/// Longest path or attribute name, in bytes.
pub const MAX_NAME_BYTES: usize = 32_767;
/// Most dimensions of an array.
pub const MAX_RANK: usize = 32;
/// Largest decoded page or root, in bytes.
pub const MAX_PAGE_BYTES: u64 = 1 << 28;
/// Largest frame of a framed block before compression, in bytes.
pub const MAX_FRAME_BYTES: u64 = 1 << 30;
/// Largest decoded unframed block, in bytes.
pub const MAX_BLOCK_BYTES: u64 = u32::MAX as u64;
/// Longest string or bytes kept as a minimum or maximum, in bytes.
pub const MAX_BOUND_BYTES: usize = 64;

/// Most write ids that a root remembers of the versions before it.
pub const MAX_ANCESTORS: usize = 64;
/// Longest name of a tag, in bytes.
pub const MAX_TAG_BYTES: usize = 1024;

/// First byte of a directory.
pub const DIRECTORY: u8 = 16;
/// First byte of the root of a layer.
pub const ROOT: u8 = 32;
/// First byte of the root of detached blocks.
pub const DETACHED_ROOT: u8 = 33;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::page::Table;

    #[test]
    fn frozen() {
        assert_eq!(MAGIC, [0x89, 0x41, 0x52, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]);
        assert_eq!(END_MAGIC, [0x8A, 0x41, 0x52, 0x46, 0x45, 0x4E, 0x44, 0x0A]);
        assert_eq!((MAJOR_VERSION, HEADER_BYTES, TRAILER_BYTES), (1, 64, 128));
        assert_eq!((DIRECTORY, ROOT, DETACHED_ROOT), (16, 32, 33));
        assert_eq!(Table::ALL.map(Table::code), [1, 2, 3, 4, 5, 6]);
    }
}
