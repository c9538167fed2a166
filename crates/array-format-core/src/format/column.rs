//! Columns of bytes: `docs/format.md` section 4.

use crate::cursor::{Cursor, put_bytes};
use crate::error::{Error, Result};
use crate::format::numbers::{Numbers, put_ints};

/// Most rows that a page may claim. A constant column takes no byte a row, so that the bytes alone bound nothing: a row of 32
/// coordinates takes 256 bytes in memory.
pub const MAX_ROWS: u64 = 1 << 16;

/// Reads a number of rows and bounds it.
///
/// # Errors
/// `Corrupt` above [`MAX_ROWS`].
pub fn rows(c: &mut Cursor<'_>) -> Result<usize> {
    let n = c.varint()?;
    if n > MAX_ROWS {
        return Err(Error::corrupt(format!("a page of {n} rows")));
    }
    Ok(n as usize)
}

/// Values of a bytes column: the bytes of the page and where each value lies.
#[derive(Debug, Clone, Default)]
pub struct Strings {
    ends: Vec<u32>,
    bytes: Vec<u8>,
}

impl Strings {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Value `i`, or nothing beyond the end.
    pub fn get(&self, i: usize) -> &[u8] {
        let end = self.ends.get(i).copied().unwrap_or(0);
        let start = i.checked_sub(1).and_then(|i| self.ends.get(i)).copied().unwrap_or(0);
        self.bytes.get(start as usize..end as usize).unwrap_or_default()
    }

    /// All values in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|i| self.get(i))
    }

    /// Whether every value is UTF-8.
    pub fn are_utf8(&self) -> bool {
        // All at once: a page has thousands of short ones.
        std::str::from_utf8(&self.bytes)
            .is_ok_and(|all| self.ends.iter().all(|end| all.is_char_boundary(*end as usize)))
    }

    /// Bytes that all values take.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.len() + self.ends.len() * size_of::<u32>()
    }
}

/// Appends a bytes column.
pub fn put_strings<'a>(out: &mut Vec<u8>, values: impl Iterator<Item = &'a [u8]> + Clone) {
    let lengths: Vec<u64> = values.clone().map(|v| v.len() as u64).collect();
    put_ints(out, &lengths);
    values.for_each(|v| out.extend_from_slice(v));
}

/// Reads a bytes column of `n` values.
///
/// # Errors
/// `Corrupt`.
pub fn strings(c: &mut Cursor<'_>, n: usize) -> Result<Strings> {
    let lengths = Numbers::read(c, n)?;
    let mut ends = Vec::with_capacity(n);
    let mut end = 0u32;
    for len in lengths.iter() {
        end = u32::try_from(len)
            .ok()
            .and_then(|len| end.checked_add(len))
            .filter(|end| *end as usize <= c.remaining())
            .ok_or_else(|| Error::corrupt("a text runs beyond its page"))?;
        ends.push(end);
    }
    Ok(Strings { ends, bytes: c.take(end as usize)?.to_vec() })
}

/// Appends the planes of `values`, whose bytes are `size` each.
pub fn put_fixed(out: &mut Vec<u8>, values: &[u8], size: usize) {
    for plane in 0..size {
        out.extend(values.iter().skip(plane).step_by(size));
    }
}

/// Reads planes of `n` values of `size` bytes back to whole values.
///
/// # Errors
/// `Corrupt`.
pub fn fixed(c: &mut Cursor<'_>, n: usize, size: usize) -> Result<Vec<u8>> {
    let len = n.checked_mul(size).ok_or_else(|| Error::corrupt("a column too long"))?;
    let planes = c.take(len)?;
    Ok(match size {
        0 | 1 => planes.to_vec(),
        2 => woven::<2>(planes, n),
        4 => woven::<4>(planes, n),
        8 => woven::<8>(planes, n),
        16 => woven::<16>(planes, n),
        _ => {
            let mut values = vec![0; len];
            for (plane, bytes) in planes.chunks_exact(n.max(1)).enumerate() {
                for (v, b) in values.iter_mut().skip(plane).step_by(size).zip(bytes) {
                    *v = *b;
                }
            }
            values
        }
    })
}

/// Whole values from their planes: value by value, which the usual sizes make fast.
fn woven<const SIZE: usize>(planes: &[u8], n: usize) -> Vec<u8> {
    let mut values = vec![0; n * SIZE];
    let mut plane = [&[][..]; SIZE];
    plane.iter_mut().zip(planes.chunks_exact(n.max(1))).for_each(|(p, bytes)| *p = bytes);
    for (i, value) in values.as_chunks_mut::<SIZE>().0.iter_mut().enumerate() {
        for (b, p) in value.iter_mut().zip(&plane) {
            *b = p.get(i).copied().unwrap_or(0);
        }
    }
    values
}

/// Appends an empty extension (section 5).
pub fn put_extension(out: &mut Vec<u8>) {
    put_bytes(out, &[]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::put_varint;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_round_trip(values in prop::collection::vec("[a-c/]{0,9}", 0..40)) {
            let bytes = || values.iter().map(String::as_bytes);
            let mut out = Vec::new();
            put_strings(&mut out, bytes());
            let mut c = Cursor::new(&out);
            prop_assert!(strings(&mut c, values.len()).unwrap().iter().eq(bytes()));
        }

        #[test]
        fn garbage_is_refused_or_read_but_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), n in 0usize..100) {
            let _ = strings(&mut Cursor::new(&bytes), n);
            let _ = fixed(&mut Cursor::new(&bytes), n, 4);
        }
    }

    #[test]
    fn more_rows_than_a_page_may_have_are_refused() {
        let claimed = |n: u64| {
            let mut out = Vec::new();
            put_varint(&mut out, n);
            rows(&mut Cursor::new(&out))
        };
        assert_eq!(claimed(MAX_ROWS).unwrap() as u64, MAX_ROWS);
        assert!(claimed(MAX_ROWS + 1).is_err());
    }

    #[test]
    fn planes_of_whole_values() {
        let mut out = Vec::new();
        put_fixed(&mut out, &[1, 2, 3, 4, 5, 6], 2);
        assert_eq!(out, [1, 3, 5, 2, 4, 6]);
        assert_eq!(fixed(&mut Cursor::new(&out), 3, 2).unwrap(), [1, 2, 3, 4, 5, 6]);
        for size in 1..18 {
            for n in [0, 1, 7] {
                let values: Vec<u8> = (0..n * size).map(|i| i as u8 ^ 0x5A).collect();
                let mut out = Vec::new();
                put_fixed(&mut out, &values, size);
                assert_eq!(fixed(&mut Cursor::new(&out), n, size).unwrap(), values, "{n} of {size}");
            }
        }
    }
}
