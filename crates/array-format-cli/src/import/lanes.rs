//! Byte order.

/// Reverses every `width` bytes: from big-endian to little-endian.
pub(super) fn swap(bytes: &mut [u8], width: usize) {
    if width > 1 {
        bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    }
}

/// The little-endian bytes of numbers of the machine's own order.
macro_rules! le_bytes {
    ($values:expr) => {{
        let values = $values;
        let mut bytes = Vec::with_capacity(std::mem::size_of_val::<[_]>(&values));
        for value in values {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        bytes
    }};
}
pub(super) use le_bytes;
