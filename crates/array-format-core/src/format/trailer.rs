//! Header and trailer of an object: `docs/format.md` section 3.

use crate::checksum::checksum;
use crate::cursor::Cursor;
use crate::error::{Error, ErrorKind, Result};
use crate::format::constants::{
    END_MAGIC, HEADER_BYTES, MAGIC, MAJOR_VERSION, MAX_PAGE_BYTES, MINOR_VERSION, TRAILER_BYTES,
};

/// Sixteen random bytes: of a file, or of one write.
pub type Id = [u8; 16];

/// Lower-case hex digits of an id, as in object names and error texts.
pub fn hex(id: &Id) -> String {
    let mut text = String::with_capacity(2 * id.len());
    push_hex(&mut text, id);
    text
}

/// Appends the same.
pub fn push_hex(text: &mut String, id: &Id) {
    let digits = id.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    text.extend(digits.filter_map(|digit| char::from_digit(digit.into(), 16)));
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// A layer: blocks, pages and the root of a version.
    Layer,
    /// Blocks only, for a later layer to refer to.
    Detached,
}

impl ObjectKind {
    fn code(self) -> u32 {
        match self {
            Self::Layer => 0,
            Self::Detached => 1,
        }
    }

    fn from_code(code: u32) -> Result<Self> {
        match code {
            0 => Ok(Self::Layer),
            1 => Ok(Self::Detached),
            _ => Err(Error::unsupported(format!("objects of kind {code} are not known to this version"))),
        }
    }
}

/// How a page or root is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageCodec {
    /// Stored as it is.
    None,
    /// A Zstandard frame.
    Zstd,
}

impl PageCodec {
    /// The on-disk code: the codec id of section 9.4.
    pub fn code(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Zstd => 2,
        }
    }

    /// The codec of a code.
    ///
    /// # Errors
    /// `Unsupported`.
    pub fn from_code(code: u64) -> Result<Self> {
        match code {
            0 => Ok(Self::None),
            2 => Ok(Self::Zstd),
            _ => {
                Err(Error::unsupported(format!("index pages of codec {code} are not known to this version")))
            }
        }
    }
}

/// The first 64 bytes of an object.
pub fn header(kind: ObjectKind, file_id: &Id, layer: u64, write_id: &Id) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES);
    out.extend(MAGIC);
    out.extend(MAJOR_VERSION.to_le_bytes());
    out.extend(MINOR_VERSION.to_le_bytes());
    out.extend(kind.code().to_le_bytes());
    out.extend(file_id);
    out.extend(layer.to_le_bytes());
    out.extend(write_id);
    out.extend([0; 4]);
    out.extend(checksum(&out).to_le_bytes());
    out
}

/// What the first 64 bytes of an object say. Only salvage needs it: a trailer says the same, and more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// What the object is.
    pub kind: ObjectKind,
    /// The file that the object belongs to.
    pub file_id: Id,
    /// The layer number; `u64::MAX` for detached blocks.
    pub layer: u64,
    /// Of the write that made the object.
    pub write_id: Id,
}

impl Header {
    /// Reads a header.
    ///
    /// # Errors
    /// `Corrupt`, or `Unsupported` for a later format.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let intact = bytes
            .get(..HEADER_BYTES)
            .filter(|b| b.starts_with(&MAGIC))
            .and_then(|b| b.split_last_chunk::<4>());
        let Some((body, _)) = intact.filter(|(body, sum)| **sum == checksum(body).to_le_bytes()) else {
            return Err(
                Error::corrupt("the header is damaged, or this is not an array-format file").at_offset(0)
            );
        };
        let mut c = Cursor::new(body);
        c.take(MAGIC.len())?;
        let (major, minor) = (c.u16()?, c.u16()?);
        if major != MAJOR_VERSION {
            return Err(Error::unsupported(format!("the object has format version {major}.{minor}")));
        }
        let kind = ObjectKind::from_code(c.u32()?)?;
        Ok(Self { kind, file_id: c.id()?, layer: c.u64()?, write_id: c.id()? })
    }
}

/// Checks the first 64 bytes of an object against its trailer.
///
/// # Errors
/// `Corrupt` where they disagree.
pub fn check_header(bytes: &[u8], trailer: &Trailer) -> Result<()> {
    let mut expected = header(trailer.kind, &trailer.file_id, trailer.layer, &trailer.write_id);
    // A later minor version is ours to read; only these two fields differ for it.
    expected[10..12].copy_from_slice(&trailer.minor.to_le_bytes());
    let sum = checksum(&expected[..60]).to_le_bytes();
    expected[60..].copy_from_slice(&sum);
    if bytes.get(..HEADER_BYTES) == Some(&expected[..]) {
        return Ok(());
    }
    Err(Error::corrupt("the header is damaged or belongs to another object than the trailer").at_offset(0))
}

/// The last 128 bytes of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailer {
    /// What the object is.
    pub kind: ObjectKind,
    /// The file that the object belongs to.
    pub file_id: Id,
    /// Of the write that made the object.
    pub write_id: Id,
    /// The layer number; `u64::MAX` for detached blocks.
    pub layer: u64,
    /// Bytes of the whole object.
    pub object_bytes: u64,
    /// Where the root lies.
    pub root: RootRef,
    /// Minor version of the format that the object was written in.
    pub minor: u16,
}

/// Where a root lies, and how to check and decode it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootRef {
    /// First byte.
    pub offset: u64,
    /// Bytes in the object.
    pub stored_bytes: u64,
    /// Bytes when decoded.
    pub decoded_bytes: u64,
    /// CRC-32C of the stored bytes.
    pub checksum: u32,
    /// How it is compressed.
    pub codec: PageCodec,
}

impl Trailer {
    /// The 128 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(TRAILER_BYTES);
        out.extend([0; 4]);
        out.extend([0; 8]); // feature flags: none are defined
        out.extend(self.kind.code().to_le_bytes());
        out.extend(self.file_id);
        out.extend(self.write_id);
        for v in
            [self.layer, self.object_bytes, self.root.offset, self.root.stored_bytes, self.root.decoded_bytes]
        {
            out.extend(v.to_le_bytes());
        }
        out.extend(self.root.checksum.to_le_bytes());
        out.extend(self.root.codec.code().to_le_bytes());
        out.extend([0; 20]);
        out.extend(MAJOR_VERSION.to_le_bytes());
        out.extend(self.minor.to_le_bytes());
        out.extend(END_MAGIC);
        let sum = checksum(&out[4..]).to_le_bytes();
        out[..4].copy_from_slice(&sum);
        out
    }

    /// Reads the trailer at the end of `tail`, the last bytes of an object of `object_bytes` bytes.
    ///
    /// # Errors
    /// `Corrupt` if these are not the last bytes of such an object (and then whether it looks truncated), `Unsupported`
    /// for a later format.
    pub fn decode(tail: &[u8], object_bytes: u64) -> Result<Self> {
        let bytes = tail
            .len()
            .checked_sub(TRAILER_BYTES)
            .and_then(|start| tail.get(start..))
            .filter(|t| t.ends_with(&END_MAGIC))
            .ok_or_else(|| {
                Error::corrupt(
                    "this is not an array-format file, or its end is missing: the end mark is not where it should be",
                )
            })?;
        let mut c = Cursor::new(bytes.get(116..120).unwrap_or_default());
        let (major, minor) = (c.u16()?, c.u16()?);
        if major != MAJOR_VERSION {
            return Err(Error::unsupported(format!(
                "the file has format version {major}.{minor}, this library reads {MAJOR_VERSION}.x: use a later one"
            )));
        }
        let mut c = Cursor::new(bytes);
        let sum = c.u32()?;
        if checksum(bytes.get(4..).unwrap_or_default()) != sum {
            return Err(Error::corrupt("the trailer is damaged: its checksum is wrong")
                .at_offset(object_bytes.saturating_sub(TRAILER_BYTES as u64)));
        }
        let required = c.u32()?;
        if required != 0 {
            return Err(Error::unsupported(format!(
                "the file needs features {required:#x} that this version does not know: use a later one"
            )));
        }
        let _optional = c.u32()?;
        let kind = ObjectKind::from_code(c.u32()?)?;
        let (file_id, write_id) = (c.id()?, c.id()?);
        let (layer, length) = (c.u64()?, c.u64()?);
        let (offset, stored_bytes, decoded_bytes) = (c.u64()?, c.u64()?, c.u64()?);
        let (sum, codec) = (c.u32()?, PageCodec::from_code(u64::from(c.u32()?))?);
        if length != object_bytes {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!(
                    "the object has {object_bytes} bytes, its trailer says {length}: something was cut or added"
                ),
            ));
        }
        let end = offset.checked_add(stored_bytes);
        if end.is_none_or(|end| end > length) || decoded_bytes > MAX_PAGE_BYTES {
            return Err(Error::corrupt("the trailer points outside of the object"));
        }
        let root = RootRef { offset, stored_bytes, decoded_bytes, checksum: sum, codec };
        Ok(Self { kind, file_id, write_id, layer, object_bytes, root, minor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Trailer {
        Trailer {
            kind: ObjectKind::Layer,
            file_id: [1; 16],
            write_id: [2; 16],
            layer: 7,
            object_bytes: 1000,
            root: RootRef {
                offset: 64,
                stored_bytes: 10,
                decoded_bytes: 20,
                checksum: 5,
                codec: PageCodec::Zstd,
            },
            minor: 0,
        }
    }

    #[test]
    fn a_trailer_round_trips_and_every_flipped_bit_is_found() {
        let t = sample();
        let bytes = t.encode();
        assert_eq!(bytes.len(), TRAILER_BYTES);
        assert_eq!(Trailer::decode(&bytes, 1000).unwrap(), t);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Trailer::decode(&bad, 1000).is_err(), "bit {bit}");
        }
        assert!(Trailer::decode(&bytes[1..], 999).is_err());
        assert_eq!(Trailer::decode(&bytes, 1001).unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn a_later_major_version_is_unsupported_not_corrupt() {
        let mut bytes = sample().encode();
        bytes[116] = 2;
        let e = Trailer::decode(&bytes, 1000).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unsupported);
        assert!(e.to_string().contains("2.0"), "{e}");
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_found() {
        let t = sample();
        let bytes = header(t.kind, &t.file_id, t.layer, &t.write_id);
        assert_eq!(bytes.len(), HEADER_BYTES);
        check_header(&bytes, &t).unwrap();
        let (kind, file_id, layer, write_id) = (t.kind, t.file_id, t.layer, t.write_id);
        assert_eq!(Header::decode(&bytes).unwrap(), Header { kind, file_id, layer, write_id });
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(check_header(&bad, &t).is_err(), "bit {bit}");
            assert!(Header::decode(&bad).is_err(), "bit {bit}");
        }
    }
}
