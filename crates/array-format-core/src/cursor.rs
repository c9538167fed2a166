//! The one place that slices untrusted bytes. Every read is checked; nothing is allocated here.

use crate::error::{Error, Result};

/// Reads little-endian numbers and byte runs from the front of a slice.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Starts at the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes that are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Takes `n` bytes.
    ///
    /// # Errors
    /// `Corrupt` where fewer are left.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (head, rest) = self
            .rest
            .split_at_checked(n)
            .ok_or_else(|| Error::corrupt(format!("{n} bytes expected, {} left", self.rest.len())))?;
        self.rest = rest;
        Ok(head)
    }

    /// Takes as many bytes as the file says, a number that may not fit this machine.
    ///
    /// # Errors
    /// `Corrupt` where fewer are left.
    pub fn take_u64(&mut self, n: u64) -> Result<&'a [u8]> {
        let n = usize::try_from(n).map_err(|_| Error::corrupt(format!("{n} bytes expected")))?;
        self.take(n)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.take(N)?;
        <[u8; N]>::try_from(bytes).map_err(|_| Error::corrupt("bytes missing"))
    }

    /// One byte.
    ///
    /// # Errors
    /// `Corrupt` at the end.
    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes, little-endian.
    ///
    /// # Errors
    /// `Corrupt` at the end.
    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Four bytes, little-endian.
    ///
    /// # Errors
    /// `Corrupt` at the end.
    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes, little-endian.
    ///
    /// # Errors
    /// `Corrupt` at the end.
    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Sixteen bytes: a file id or a write id.
    ///
    /// # Errors
    /// `Corrupt` at the end.
    pub fn id(&mut self) -> Result<[u8; 16]> {
        self.array()
    }

    /// Unsigned LEB128, at most 64 bits.
    ///
    /// # Errors
    /// `Corrupt` at the end, or above 64 bits.
    pub fn varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Error::corrupt("a variable-length integer of more than 64 bits"))
    }

    /// A varint that counts things which take at least `min_bytes` (1 or more) each of what is left: so that no
    /// number in a file makes us allocate more than the file has bytes.
    ///
    /// # Errors
    /// `Corrupt` where the things cannot be there.
    pub fn count(&mut self, min_bytes: usize) -> Result<usize> {
        let n = self.varint()?;
        let most = self.rest.len() / min_bytes.max(1);
        usize::try_from(n)
            .ok()
            .filter(|&n| n <= most)
            .ok_or_else(|| Error::corrupt(format!("{n} entries said to be in {} bytes", self.rest.len())))
    }

    /// A length-prefixed run of bytes.
    ///
    /// # Errors
    /// `Corrupt` where fewer are left.
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let n = self.varint()?;
        self.take_u64(n)
    }

    /// A length-prefixed UTF-8 text.
    ///
    /// # Errors
    /// `Corrupt` where bytes are missing or not UTF-8.
    pub fn str(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|e| Error::corrupt(format!("text is not UTF-8: {e}")))
    }
}

/// Appends unsigned LEB128.
pub fn put_varint(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push((v & 0x7f) as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

/// Appends a length-prefixed run of bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Signed to unsigned so that small magnitudes stay small.
pub fn zigzag(v: i64) -> u64 {
    ((v << 1) ^ (v >> 63)) as u64
}

/// The inverse of [`zigzag`].
pub fn unzigzag(v: u64) -> i64 {
    (v >> 1) as i64 ^ -((v & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip_and_refuse_more_than_64_bits() {
        for v in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, v);
            let mut c = Cursor::new(&out);
            assert_eq!(c.varint().unwrap(), v);
            assert_eq!(c.remaining(), 0);
        }
        assert!(Cursor::new(&[0xff; 11]).varint().is_err());
        assert!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).varint().is_err());
        assert!(Cursor::new(&[0x80]).varint().is_err());
        for v in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(zigzag(v)), v);
        }
    }

    #[test]
    fn a_count_beyond_the_bytes_is_refused() {
        let mut out = Vec::new();
        put_varint(&mut out, 1 << 40);
        assert!(Cursor::new(&out).count(1).is_err());
    }
}
