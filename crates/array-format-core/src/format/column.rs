//! Columns: `docs/format.md` section 4.

use crate::cursor::{Cursor, put_bytes, put_varint, unzigzag, zigzag};
use crate::error::{Error, Result};

const PLAIN: u8 = 0;
const DELTA: u8 = 1;

/// Bytes that are needed for `v`: 0 for 0, at most 8.
fn width_of(v: u64) -> usize {
    (64 - v.leading_zeros() as usize).div_ceil(8)
}

/// Appends the low `width` bytes of every number, plane by plane.
fn put_planes(out: &mut Vec<u8>, values: &(impl Iterator<Item = u64> + Clone), width: usize) {
    for plane in 0..width {
        out.extend(values.clone().map(|v| (v >> (8 * plane)) as u8));
    }
}

fn read_planes(c: &mut Cursor<'_>, n: usize, width: usize) -> Result<Vec<u64>> {
    if width > 8 {
        return Err(Error::corrupt(format!("a column of {width}-byte numbers")));
    }
    let len = n.checked_mul(width).ok_or_else(|| Error::corrupt("a column too long"))?;
    let bytes = c.take(len)?;
    let mut values = vec![0u64; n];
    for (plane, bytes) in bytes.chunks_exact(n.max(1)).enumerate() {
        for (v, b) in values.iter_mut().zip(bytes) {
            *v |= u64::from(*b) << (8 * plane);
        }
    }
    Ok(values)
}

/// Appends an integer column in the shorter of its two forms.
pub fn put_ints(out: &mut Vec<u8>, values: &[u64]) {
    let base = values.iter().copied().min().unwrap_or(0);
    let width = width_of(values.iter().map(|v| v - base).max().unwrap_or(0));
    if let ([first, ..], 1..) = (values, width) {
        let deltas = || values.windows(2).map(|w| w[1].wrapping_sub(w[0]) as i64);
        let delta_base = deltas().min().unwrap_or(0);
        let rest = || deltas().map(move |d| d.wrapping_sub(delta_base) as u64);
        let delta_width = width_of(rest().max().unwrap_or(0));
        if delta_width < width {
            out.push(DELTA);
            put_varint(out, *first);
            put_varint(out, zigzag(delta_base));
            out.push(delta_width as u8);
            put_planes(out, &rest(), delta_width);
            return;
        }
    }
    out.push(PLAIN);
    put_varint(out, base);
    out.push(width as u8);
    put_planes(out, &values.iter().map(move |v| v - base), width);
}

/// Reads an integer column of `n` values. Allocates `8 * n` bytes: the caller has bounded `n`, see [`rows`].
///
/// # Errors
/// `Corrupt`.
pub fn ints(c: &mut Cursor<'_>, n: usize) -> Result<Vec<u64>> {
    match c.u8()? {
        PLAIN => {
            let base = c.varint()?;
            let width = usize::from(c.u8()?);
            let mut values = read_planes(c, n, width)?;
            if base != 0 {
                values.iter_mut().for_each(|v| *v = v.wrapping_add(base));
            }
            Ok(values)
        }
        DELTA if n > 0 => {
            let first = c.varint()?;
            let base = unzigzag(c.varint()?) as u64;
            let width = usize::from(c.u8()?);
            let mut values = read_planes(c, n - 1, width)?;
            let mut last = first;
            for v in &mut values {
                last = last.wrapping_add(base).wrapping_add(*v);
                *v = last;
            }
            values.insert(0, first);
            Ok(values)
        }
        form => Err(Error::corrupt(format!("an integer column of form {form} with {n} values"))),
    }
}

/// An integer column in memory. One number for all rows, which is frequent, takes no memory for each.
#[derive(Debug)]
pub enum Numbers {
    /// The same for so many rows.
    Constant(u64, usize),
    /// A number a row.
    Each(Vec<u64>),
}

impl Numbers {
    /// Reads an integer column of `n` values.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn read(c: &mut Cursor<'_>, n: usize) -> Result<Self> {
        let ahead = &mut c.clone();
        if ahead.u8()? == PLAIN {
            let base = ahead.varint()?;
            if ahead.u8()? == 0 {
                *c = ahead.clone();
                return Ok(Self::Constant(base, n));
            }
        }
        ints(c, n).map(Self::Each)
    }

    /// The number of a row; `None` beyond the last.
    pub fn get(&self, row: usize) -> Option<u64> {
        match self {
            Self::Constant(v, n) => (row < *n).then_some(*v),
            Self::Each(all) => all.get(row).copied(),
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Constant(_, n) => *n,
            Self::Each(all) => all.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many rows have a number that passes.
    pub fn count(&self, f: impl Fn(u64) -> bool) -> usize {
        match self {
            Self::Constant(v, n) => {
                if f(*v) {
                    *n
                } else {
                    0
                }
            }
            Self::Each(all) => all.iter().filter(|v| f(**v)).count(),
        }
    }

    /// Bytes in memory.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Constant(..) => 0,
            Self::Each(all) => all.len() * 8,
        }
    }
}

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

/// Checks that every value is an index into `len` things.
///
/// # Errors
/// `Corrupt`.
pub fn check_below(values: &[u64], len: usize, what: &str) -> Result<()> {
    match values.iter().find(|v| **v >= len as u64) {
        None => Ok(()),
        Some(v) => Err(Error::corrupt(format!("{what} {v} of {len}"))),
    }
}

/// Values of a bytes column: the bytes of the page and where each value lies.
#[derive(Debug, Clone, Default)]
pub struct Strings {
    ends: Vec<usize>,
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
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// All values in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|i| self.get(i))
    }

    /// Whether every value is UTF-8.
    pub fn are_utf8(&self) -> bool {
        // All at once: a page has thousands of short ones.
        std::str::from_utf8(&self.bytes)
            .is_ok_and(|all| self.ends.iter().all(|end| all.is_char_boundary(*end)))
    }

    /// Appends a value.
    pub fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
    }

    /// The first index whose value is not below `key`, values being sorted.
    pub fn lower_bound(&self, key: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let mid = low + (high - low) / 2;
            if self.get(mid) < key { low = mid + 1 } else { high = mid }
        }
        low
    }

    /// Bytes that all values take.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.len() + self.ends.len() * size_of::<usize>()
    }
}

impl<'a> FromIterator<&'a [u8]> for Strings {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(iter: I) -> Self {
        let mut all = Self::default();
        iter.into_iter().for_each(|v| all.push(v));
        all
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
    let mut ends = Vec::with_capacity(n);
    let mut end = 0usize;
    for len in ints(c, n)? {
        end = usize::try_from(len)
            .ok()
            .and_then(|len| end.checked_add(len))
            .filter(|end| *end <= c.remaining())
            .ok_or_else(|| Error::corrupt("a text runs beyond its page"))?;
        ends.push(end);
    }
    Ok(Strings { ends, bytes: c.take(end)?.to_vec() })
}

/// Longest byte string in a front-coded column: a directory's key of 32 coordinates, or a path, and room to spare.
const MAX_KEY_BYTES: usize = 1 << 16;

/// Appends a front-coded column.
pub fn put_front_coded<'a>(out: &mut Vec<u8>, values: impl Iterator<Item = &'a [u8]> + Clone) {
    let mut last: &[u8] = &[];
    let mut shared = Vec::new();
    let mut rest = Vec::new();
    for v in values {
        let n = last.iter().zip(v).take_while(|(a, b)| a == b).count();
        shared.push(n as u64);
        rest.push(v.get(n..).unwrap_or_default());
        last = v;
    }
    put_ints(out, &shared);
    put_strings(out, rest.iter().copied());
}

/// Reads a front-coded column of `n` values.
///
/// Front coding can blow a few bytes up to many: the result may take at most 256 times the bytes that are left, and 1 MiB.
///
/// # Errors
/// `Corrupt`.
pub fn front_coded(c: &mut Cursor<'_>, n: usize) -> Result<Strings> {
    let budget = c.remaining().saturating_mul(256) + (1 << 20);
    let shared = ints(c, n)?;
    let rest = strings(c, n)?;
    let mut all = Strings { ends: Vec::with_capacity(n), bytes: Vec::with_capacity(rest.bytes.len() * 2) };
    let mut start = 0usize;
    for (shared, rest) in shared.into_iter().zip(rest.iter()) {
        let last_start = start;
        start = all.bytes.len();
        let shared = usize::try_from(shared).unwrap_or(usize::MAX);
        if shared > start - last_start || shared + rest.len() > MAX_KEY_BYTES || start > budget {
            return Err(Error::corrupt("a front-coded text is longer than it can be"));
        }
        all.bytes.extend_from_within(last_start..last_start + shared);
        all.push(rest);
    }
    Ok(all)
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
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integer_columns_round_trip(values in prop::collection::vec(any::<u64>(), 0..50), small in any::<bool>()) {
            let values: Vec<u64> = if small { values.iter().map(|v| v % 300).collect() } else { values };
            let mut out = Vec::new();
            put_ints(&mut out, &values);
            let mut c = Cursor::new(&out);
            prop_assert_eq!(&ints(&mut c, values.len()).unwrap(), &values);
            prop_assert_eq!(c.remaining(), 0);
            let mut c = Cursor::new(&out);
            let numbers = Numbers::read(&mut c, values.len()).unwrap();
            prop_assert_eq!((numbers.len(), c.remaining()), (values.len(), 0));
            prop_assert!((0..=values.len()).all(|i| numbers.get(i) == values.get(i).copied()));
        }

        #[test]
        fn texts_round_trip(mut values in prop::collection::vec("[a-c/]{0,9}", 0..40)) {
            values.sort();
            let bytes = || values.iter().map(String::as_bytes);
            let mut out = Vec::new();
            put_front_coded(&mut out, bytes());
            put_strings(&mut out, bytes());
            let mut c = Cursor::new(&out);
            prop_assert!(front_coded(&mut c, values.len()).unwrap().iter().eq(bytes()));
            prop_assert!(strings(&mut c, values.len()).unwrap().iter().eq(bytes()));
        }

        #[test]
        fn garbage_is_refused_or_read_but_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), n in 0usize..100) {
            let _ = ints(&mut Cursor::new(&bytes), n);
            let _ = Numbers::read(&mut Cursor::new(&bytes), n);
            let _ = strings(&mut Cursor::new(&bytes), n);
            let _ = front_coded(&mut Cursor::new(&bytes), n);
            let _ = fixed(&mut Cursor::new(&bytes), n, 4);
        }
    }

    #[test]
    fn counting_up_takes_no_byte_a_row() {
        let mut out = Vec::new();
        put_ints(&mut out, &(1000..9000).collect::<Vec<_>>());
        assert!(out.len() < 8, "{}", out.len());
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
