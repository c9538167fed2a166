//! Index pages as they are stored: `docs/format.md` section 5.

use crate::address::ObjectId;
use crate::checksum::{checksum, verify};
use crate::codec::{CompressionCodec, ZstdCodec};
use crate::cursor::{Cursor, put_varint};
use crate::error::{Error, Result};
use crate::format::column::rows;
use crate::format::constants::MAX_PAGE_BYTES;
use crate::format::trailer::PageCodec;

/// The tables of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// Arrays and groups by path.
    Nodes,
    /// Chunks of arrays with more than one grid cell.
    Chunks,
    /// Attributes by name and node.
    Attributes,
    /// Statistics of arrays.
    ArrayStatistics,
    /// Statistics of chunks.
    ChunkStatistics,
    /// The blocks of a layer.
    Blocks,
}

impl Table {
    /// All tables, in the order of their codes.
    pub const ALL: [Self; 6] = [
        Self::Nodes,
        Self::Chunks,
        Self::Attributes,
        Self::ArrayStatistics,
        Self::ChunkStatistics,
        Self::Blocks,
    ];

    /// The on-disk code.
    pub fn code(self) -> u8 {
        match self {
            Self::Nodes => 1,
            Self::Chunks => 2,
            Self::Attributes => 3,
            Self::ArrayStatistics => 4,
            Self::ChunkStatistics => 5,
            Self::Blocks => 6,
        }
    }

    /// The table of a code.
    ///
    /// # Errors
    /// `Unsupported`.
    pub fn from_code(code: u8) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|t| t.code() == code);
        found.ok_or_else(|| Error::unsupported(format!("index table {code} is not known to this version")))
    }
}

/// Where a page lies, what is in it, and how to check it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PageRef {
    /// The object that holds the page.
    pub object: ObjectId,
    /// First byte.
    pub offset: u64,
    /// Bytes in the object.
    pub stored_bytes: u64,
    /// Bytes when decoded.
    pub decoded_bytes: u64,
    /// How it is compressed (a code of [`PageCodec`]).
    pub codec: u64,
    /// CRC-32C of the stored bytes.
    pub checksum: u32,
    /// Rows in the page; for a directory page, in all pages below it.
    pub rows: u64,
    /// Key of the first row.
    pub first_key: Vec<u8>,
}

impl PageRef {
    /// First byte after the page.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.stored_bytes)
    }
}

/// A page or root, compressed where that makes it smaller.
#[derive(Debug)]
pub struct StoredPage {
    /// The bytes to store.
    pub bytes: Vec<u8>,
    /// Bytes when decoded.
    pub decoded_bytes: u64,
    /// How it is compressed.
    pub codec: PageCodec,
    /// CRC-32C of the stored bytes.
    pub checksum: u32,
}

/// Largest factor by which Zstandard may have shrunk a page; more is taken for a bomb.
const MAX_RATIO: u64 = 4096;

/// What a page of so many stored bytes may decode to.
fn earned(stored: &[u8]) -> u64 {
    (stored.len() as u64).saturating_mul(MAX_RATIO).saturating_add(1 << 16)
}

fn check_length(decoded: &[u8]) -> Result<()> {
    match decoded.len() as u64 {
        n if n > MAX_PAGE_BYTES => {
            Err(Error::invalid(format!("an index page of {n} bytes; at most {MAX_PAGE_BYTES} are possible")))
        }
        _ => Ok(()),
    }
}

/// Compresses a decoded page or root.
///
/// # Errors
/// `InvalidArgument` above the limit of section 12.
pub fn seal(decoded: Vec<u8>) -> Result<StoredPage> {
    check_length(&decoded)?;
    let decoded_bytes = decoded.len() as u64;
    let mut packed = Vec::new();
    ZstdCodec::default().compress(&decoded, &mut packed)?;
    // What readers would take for a bomb stays as it is.
    if packed.len() >= decoded.len() || decoded_bytes > earned(&packed) {
        return seal_plain(decoded);
    }
    let checksum = checksum(&packed);
    Ok(StoredPage { bytes: packed, decoded_bytes, codec: PageCodec::Zstd, checksum })
}

/// A page or root as it is, not compressed.
///
/// # Errors
/// `InvalidArgument` above the limit of section 12.
pub fn seal_plain(decoded: Vec<u8>) -> Result<StoredPage> {
    check_length(&decoded)?;
    let (decoded_bytes, checksum) = (decoded.len() as u64, checksum(&decoded));
    Ok(StoredPage { bytes: decoded, decoded_bytes, codec: PageCodec::None, checksum })
}

/// Checks and decodes a stored page or root.
///
/// # Errors
/// `Corrupt`, `Unsupported`.
pub fn open(stored: &[u8], codec: u64, decoded_bytes: u64, sum: u32, what: &str) -> Result<Vec<u8>> {
    verify(stored, sum, what)?;
    if decoded_bytes > MAX_PAGE_BYTES.min(earned(stored)) {
        return Err(Error::corrupt(format!(
            "{what} of {} bytes claims {decoded_bytes} decoded bytes",
            stored.len()
        )));
    }
    match PageCodec::from_code(codec)? {
        PageCodec::None if stored.len() as u64 == decoded_bytes => Ok(stored.to_vec()),
        PageCodec::None => Err(Error::corrupt(format!("{what} has the wrong length"))),
        PageCodec::Zstd => {
            let mut decoded = vec![0; decoded_bytes as usize];
            ZstdCodec::default().decompress(&[], stored, &mut decoded)?;
            Ok(decoded)
        }
    }
}

/// Begins a page of a table.
pub fn begin(table: Table, rows: usize) -> Vec<u8> {
    let mut out = vec![table.code()];
    put_varint(&mut out, rows as u64);
    out
}

/// Reads the front of a page: it must be of `table`. Returns its rows.
///
/// # Errors
/// `Corrupt`.
pub fn enter(c: &mut Cursor<'_>, table: Table) -> Result<usize> {
    let code = c.u8()?;
    if code != table.code() {
        return Err(Error::corrupt(format!(
            "an index page of table {code} where one of {table:?} should be"
        )));
    }
    rows(c)
}

/// Appends a number to a key so that keys sort as numbers do.
pub fn put_key(key: &mut Vec<u8>, v: u64) {
    key.extend(v.to_be_bytes());
}

/// Key of a chunk: node id and coordinates.
pub fn chunk_key(node: u64, coords: &[u64]) -> Vec<u8> {
    let mut key = Vec::with_capacity(8 + 8 * coords.len());
    put_key(&mut key, node);
    coords.iter().for_each(|k| put_key(&mut key, *k));
    key
}

/// Key of an attribute: its name and the node.
pub fn attribute_key(name: &str, node: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len() + 9);
    key.extend(name.as_bytes());
    key.push(0);
    put_key(&mut key, node);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_sealed_opens_however_well_it_compresses() {
        for n in [0, 1, 1 << 12, 1 << 16, 1 << 20, 1 << 26] {
            let page = vec![7; n];
            let sealed = seal(page.clone()).unwrap();
            let found = open(
                &sealed.bytes,
                sealed.codec.code().into(),
                sealed.decoded_bytes,
                sealed.checksum,
                "page",
            )
            .unwrap();
            assert_eq!(found, page, "{n}");
            assert!(!(2..=1 << 16).contains(&n) || sealed.bytes.len() < n);
        }
    }
}
