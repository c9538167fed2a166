//! Integer columns: `docs/format.md` section 4.

use std::ops::{BitOrAssign, Shl};

use crate::cursor::{Cursor, put_varint, unzigzag, zigzag};
use crate::error::{Error, Result};

/// Rows that are gone through at once, where it is the fastest.
pub const PART: usize = 128;

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

/// Reads an integer column of `n` values. Allocates `8 * n` bytes: the caller has bounded `n`, see [`rows`](super::column::rows).
///
/// # Errors
/// `Corrupt`.
pub fn ints(c: &mut Cursor<'_>, n: usize) -> Result<Vec<u64>> {
    Ok(Numbers::read(c, n)?.to_vec())
}

/// An integer column in memory, about as narrow as it is stored: most of the time of reading a page went into fresh memory for wide ones.
///
/// The number of a row is `first + step * row`, and what `rest` has for it, modulo 2^64.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    first: u64,
    step: u64,
    rest: Rest,
    len: usize,
}

#[derive(Debug, Clone, Default)]
enum Rest {
    #[default]
    Zero,
    U8(Vec<u8>),
    U16(Vec<u16>),
    U32(Vec<u32>),
    U64(Vec<u64>),
}

impl Numbers {
    /// Reads an integer column of `n` values.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn read(c: &mut Cursor<'_>, n: usize) -> Result<Self> {
        match c.u8()? {
            PLAIN => {
                let first = c.varint()?;
                Ok(Self { first, step: 0, rest: Rest::read(c, n)?, len: n })
            }
            DELTA if n > 0 => {
                let first = c.varint()?;
                let step = unzigzag(c.varint()?) as u64;
                Ok(Self { first, step, rest: Rest::read(c, n - 1)?.sums(), len: n })
            }
            form => Err(Error::corrupt(format!("an integer column of form {form} with {n} values"))),
        }
    }

    /// These numbers.
    pub fn packed(values: &[u64]) -> Self {
        let first = values.iter().copied().min().unwrap_or(0);
        let most = values.iter().copied().max().unwrap_or(0) - first;
        let mut rest = Narrow::with_capacity(most, values.len());
        let mut part = [0; PART];
        for values in values.chunks(PART) {
            part.iter_mut().zip(values).for_each(|(v, value)| *v = value - first);
            rest.extend(part.get(..values.len()).unwrap_or_default());
        }
        Self { first, ..rest.into() }
    }

    /// `first`, `first + step` and so on, `len` numbers.
    pub fn progression(first: u64, step: u64, len: usize) -> Self {
        Self { first, step, rest: Rest::Zero, len }
    }

    /// The number of a row; `None` beyond the last.
    pub fn get(&self, row: usize) -> Option<u64> {
        (row < self.len).then(|| self.at(row))
    }

    /// The number of a row below [`len`](Self::len).
    pub fn at(&self, row: usize) -> u64 {
        self.first.wrapping_add(self.step.wrapping_mul(row as u64)).wrapping_add(self.rest.get(row))
    }

    /// All numbers in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + Clone {
        (0..self.len).map(|row| self.at(row))
    }

    /// Fills `numbers` with those from `row` on. To go through many is faster so than with [`at`](Self::at) or [`iter`](Self::iter), which ask
    /// for each how wide it is.
    pub fn copy_to(&self, row: usize, numbers: &mut [u64]) {
        let mut line = self.first.wrapping_add(self.step.wrapping_mul(row as u64));
        for v in &mut *numbers {
            *v = line;
            line = line.wrapping_add(self.step);
        }
        match &self.rest {
            Rest::Zero => {}
            Rest::U8(rest) => add(numbers, rest, row),
            Rest::U16(rest) => add(numbers, rest, row),
            Rest::U32(rest) => add(numbers, rest, row),
            Rest::U64(rest) => add(numbers, rest, row),
        }
    }

    /// All numbers.
    pub fn to_vec(&self) -> Vec<u64> {
        let mut all = vec![0; self.len];
        self.copy_to(0, &mut all);
        all
    }

    /// Calls `f` with all numbers, some at once.
    fn for_each_part(&self, mut f: impl FnMut(&[u64])) {
        let mut part = [0; PART];
        for row in (0..self.len).step_by(PART) {
            let part = part.get_mut(..PART.min(self.len - row)).unwrap_or_default();
            self.copy_to(row, part);
            f(part);
        }
    }

    /// The sum of all, if it has 64 bits.
    pub fn sum(&self) -> Option<u64> {
        let mut sum = Some(0u64);
        self.for_each_part(|part| {
            sum = sum.and_then(|sum| part.iter().try_fold(sum, |sum, v| sum.checked_add(*v)));
        });
        sum
    }

    /// The number that every row has, if there are rows and it is known to be one.
    pub fn constant(&self) -> Option<u64> {
        let same = (self.step == 0 || self.len == 1) && matches!(self.rest, Rest::Zero);
        (same && self.len > 0).then_some(self.first)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many rows have a number that passes.
    pub fn count(&self, f: impl Fn(u64) -> bool) -> usize {
        match self.constant() {
            Some(v) if f(v) => self.len,
            Some(_) => 0,
            None => {
                let mut count = 0;
                self.for_each_part(|part| count += part.iter().filter(|v| f(**v)).count());
                count
            }
        }
    }

    /// Checks that every number is an index into `len` things.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn check_below(&self, len: usize, what: &str) -> Result<()> {
        let most = match self.constant() {
            Some(v) => Some(v),
            None => {
                let mut most = None;
                self.for_each_part(|part| most = most.max(part.iter().copied().max()));
                most
            }
        };
        match most {
            Some(v) if v >= len as u64 => Err(Error::corrupt(format!("{what} {v} of {len}"))),
            _ => Ok(()),
        }
    }

    /// Bytes in memory.
    pub fn heap_bytes(&self) -> usize {
        match &self.rest {
            Rest::Zero => 0,
            Rest::U8(all) => all.len(),
            Rest::U16(all) => all.len() * 2,
            Rest::U32(all) => all.len() * 4,
            Rest::U64(all) => all.len() * 8,
        }
    }
}

/// Numbers that become a column as they come, a bound of all being known.
#[derive(Debug)]
pub struct Narrow {
    rest: Rest,
    len: usize,
}

impl Narrow {
    /// Room for `n` numbers, none of which is above `most`.
    pub fn with_capacity(most: u64, n: usize) -> Self {
        let rest = match width_of(most) {
            0 => Rest::Zero,
            1 => Rest::U8(Vec::with_capacity(n)),
            2 => Rest::U16(Vec::with_capacity(n)),
            3..=4 => Rest::U32(Vec::with_capacity(n)),
            _ => Rest::U64(Vec::with_capacity(n)),
        };
        Self { rest, len: 0 }
    }

    /// Appends numbers.
    pub fn extend(&mut self, numbers: &[u64]) {
        self.len += numbers.len();
        match &mut self.rest {
            Rest::Zero => {}
            Rest::U8(all) => all.extend(numbers.iter().map(|v| *v as u8)),
            Rest::U16(all) => all.extend(numbers.iter().map(|v| *v as u16)),
            Rest::U32(all) => all.extend(numbers.iter().map(|v| *v as u32)),
            Rest::U64(all) => all.extend(numbers),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl From<Narrow> for Numbers {
    fn from(Narrow { rest, len }: Narrow) -> Self {
        Self { first: 0, step: 0, rest, len }
    }
}

impl Rest {
    /// Reads a width, and planes of `n` values.
    fn read(c: &mut Cursor<'_>, n: usize) -> Result<Self> {
        let width = usize::from(c.u8()?);
        if width > 8 {
            return Err(Error::corrupt(format!("a column of {width}-byte numbers")));
        }
        let len = n.checked_mul(width).ok_or_else(|| Error::corrupt("a column too long"))?;
        let planes = c.take(len)?;
        Ok(match width {
            0 => Self::Zero,
            1 => Self::U8(planes.to_vec()),
            2 => Self::U16(woven(planes, n)),
            3..=4 => Self::U32(woven(planes, n)),
            _ => Self::U64(woven(planes, n)),
        })
    }

    /// 0, and the sums of the first, the first two and so on: one value more.
    fn sums(&self) -> Self {
        match self {
            Self::Zero => Self::Zero,
            Self::U8(gaps) => summed(gaps),
            Self::U16(gaps) => summed(gaps),
            Self::U32(gaps) => summed(gaps),
            Self::U64(gaps) => summed(gaps),
        }
    }

    fn get(&self, row: usize) -> u64 {
        match self {
            Self::Zero => 0,
            Self::U8(all) => all.get(row).copied().unwrap_or(0).into(),
            Self::U16(all) => all.get(row).copied().unwrap_or(0).into(),
            Self::U32(all) => all.get(row).copied().unwrap_or(0).into(),
            Self::U64(all) => all.get(row).copied().unwrap_or(0),
        }
    }
}

fn add<T: Copy + Into<u64>>(numbers: &mut [u64], rest: &[T], row: usize) {
    let rest = rest.get(row..).unwrap_or_default();
    numbers.iter_mut().zip(rest).for_each(|(v, r)| *v = v.wrapping_add((*r).into()));
}

/// Values from their planes.
fn woven<T: Copy + Default + From<u8> + BitOrAssign + Shl<usize, Output = T>>(
    planes: &[u8],
    n: usize,
) -> Vec<T> {
    let mut values = vec![T::default(); n];
    for (plane, bytes) in planes.chunks_exact(n.max(1)).enumerate() {
        for (v, b) in values.iter_mut().zip(bytes) {
            *v |= T::from(*b) << (8 * plane);
        }
    }
    values
}

fn summed<T: Copy + Into<u64>>(gaps: &[T]) -> Rest {
    // A sum that is too large for 64 bits goes round, as the numbers do.
    let most = gaps.iter().try_fold(0u64, |sum, gap| sum.checked_add((*gap).into())).unwrap_or(u64::MAX);
    let mut sums = Narrow::with_capacity(most, gaps.len() + 1);
    sums.extend(&[0]);
    let (mut sum, mut part) = (0u64, [0; PART]);
    for gaps in gaps.chunks(PART) {
        for (v, gap) in part.iter_mut().zip(gaps) {
            sum = sum.wrapping_add((*gap).into());
            *v = sum;
        }
        sums.extend(part.get(..gaps.len()).unwrap_or_default());
    }
    sums.rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Numbers near each other, counting up, or anything.
    fn values() -> impl Strategy<Value = Vec<u64>> {
        let many = || prop::collection::vec(any::<u64>(), 0..50);
        prop_oneof![
            many(),
            (many(), 0..60u32, any::<u64>()).prop_map(|(all, bits, first)| all
                .iter()
                .map(|v| first.wrapping_add(v >> (63 - bits)))
                .collect()),
            (many(), 0..60u32, any::<u64>(), any::<u64>()).prop_map(|(all, bits, first, step)| {
                let near = all.iter().enumerate();
                near.map(|(i, v)| {
                    first.wrapping_add(step.wrapping_mul(i as u64)).wrapping_add(v >> (63 - bits))
                })
                .collect()
            }),
        ]
    }

    proptest! {
        #[test]
        fn integer_columns_round_trip(values in values()) {
            let mut out = Vec::new();
            put_ints(&mut out, &values);
            let mut c = Cursor::new(&out);
            prop_assert_eq!(&ints(&mut c, values.len()).unwrap(), &values);
            prop_assert_eq!(c.remaining(), 0);
            let read = Numbers::read(&mut Cursor::new(&out), values.len()).unwrap();
            for numbers in [read, Numbers::packed(&values)] {
                prop_assert_eq!(numbers.len(), values.len());
                prop_assert!((0..=values.len()).all(|i| numbers.get(i) == values.get(i).copied()));
                prop_assert!(numbers.iter().eq(values.iter().copied()));
                let mut some = vec![0; values.len() / 2];
                numbers.copy_to(values.len() - some.len(), &mut some);
                prop_assert_eq!(&some[..], &values[values.len() - some.len()..]);
                prop_assert_eq!(numbers.sum(), values.iter().try_fold(0u64, |sum, v| sum.checked_add(*v)));
                prop_assert!(numbers.constant().is_none_or(|v| values.iter().all(|x| *x == v)));
                let most = values.iter().copied().max().unwrap_or(0) as usize;
                prop_assert_eq!(numbers.check_below(most, "number").is_ok(), values.is_empty());
                prop_assert!(most == usize::MAX || numbers.check_below(most + 1, "number").is_ok());
                prop_assert_eq!(numbers.count(|v| v % 2 == 0), values.iter().filter(|v| **v % 2 == 0).count());
                prop_assert!(numbers.heap_bytes() <= 8 * values.len());
            }
        }

        #[test]
        fn garbage_is_refused_or_read_but_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), n in 0usize..100) {
            if let Ok(numbers) = Numbers::read(&mut Cursor::new(&bytes), n) {
                prop_assert_eq!(numbers.iter().count(), n);
            }
        }
    }

    #[test]
    fn counting_up_takes_no_byte_a_row() {
        let mut out = Vec::new();
        put_ints(&mut out, &(1000..9000).collect::<Vec<_>>());
        assert!(out.len() < 8, "{}", out.len());
        assert_eq!(Numbers::read(&mut Cursor::new(&out), 8000).unwrap().heap_bytes(), 0);
    }

    #[test]
    fn numbers_are_as_narrow_in_memory_as_they_can_be() {
        let bytes = |values: &[u64]| {
            let mut out = Vec::new();
            put_ints(&mut out, values);
            Numbers::read(&mut Cursor::new(&out), values.len()).unwrap().heap_bytes()
        };
        assert_eq!(bytes(&[7; 100]), 0);
        assert_eq!(bytes(&[1_000_000, 1_000_255, 1_000_001]), 3);
        assert_eq!(bytes(&[0, 65_535, 1]), 6);
        assert_eq!(bytes(&[0, 1 << 20, 1]), 12);
        assert_eq!(bytes(&[0, 1 << 40, 1]), 24);
        // Small gaps that add up.
        assert_eq!(bytes(&(0..1000).map(|i| i * i % 256 + i * 256).collect::<Vec<_>>()), 4000);
    }
}
