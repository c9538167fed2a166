//! CRC-32C, as `docs/format.md` section 1 has it.

use crate::error::{Error, Result};

/// The checksum of `bytes`.
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// Compares `bytes` with the checksum that their reference keeps.
///
/// # Errors
/// `Corrupt`, with both values.
pub fn verify(bytes: &[u8], expected: u32, what: &str) -> Result<()> {
    let found = checksum(bytes);
    if found == expected {
        return Ok(());
    }
    Err(Error::corrupt(format!(
        "{what} is damaged: its checksum is {found:08x}, its reference says {expected:08x}; run `af verify`, and restore the file from a copy"
    )))
}

/// Refuses to decode `stored` bytes to more than any codec could have made of them, so that no number in a file makes us
/// allocate what its bytes have not earned. (Zstandard's longest run takes 4 bytes for 128 KiB.)
///
/// # Errors
/// `Corrupt`.
pub fn check_earned(stored: u64, decoded: u64) -> Result<()> {
    if decoded <= stored.saturating_mul(1 << 16).saturating_add(1 << 20) {
        return Ok(());
    }
    Err(Error::corrupt(format!("{stored} bytes claim to decode to {decoded}")))
}

#[cfg(test)]
mod tests {
    #[test]
    fn known_answer() {
        assert_eq!(super::checksum(b"123456789"), 0xE306_9283);
        assert!(super::verify(b"123456789", 1, "block").is_err());
    }
}
