//! Columns of byte strings that begin like the ones before them, as sorted ones do: `docs/format.md` section 4.

use std::cmp::Ordering;

use crate::cursor::Cursor;
use crate::error::{Error, Result};
use crate::format::column::put_strings;
use crate::format::numbers::{Numbers, PART, put_ints};

/// Bytes that are copied at once: some too many, which the next ones go over, are faster than exactly as many as there are.
const STEP: usize = 16;

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

/// Values of a front-coded column. What all of them begin with is there once: of the names in a page that is most of their bytes, and memory
/// that was not used before is what reading a page costs most.
#[derive(Debug, Clone)]
pub struct FrontCoded {
    prefix: Vec<u8>,
    len: usize,
    starts: Starts,
    bytes: Vec<u8>,
}

/// Where what follows the prefix begins of each value, and where that of the last one ends.
#[derive(Debug, Clone)]
enum Starts {
    /// All are as long as this.
    Every(usize),
    At(Numbers),
}

impl Starts {
    fn at(&self, i: usize) -> usize {
        match self {
            Self::Every(length) => i * length,
            Self::At(starts) => starts.at(i) as usize,
        }
    }
}

impl FrontCoded {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What follows the prefix in value `i`, or nothing beyond the end.
    fn rest(&self, i: usize) -> &[u8] {
        if i >= self.len {
            return &[];
        }
        self.bytes.get(self.starts.at(i)..self.starts.at(i + 1)).unwrap_or_default()
    }

    /// Value `i`; there must be one.
    pub fn get(&self, i: usize) -> Vec<u8> {
        [&self.prefix, self.rest(i)].concat()
    }

    /// Whether value `i` is this one.
    pub fn is(&self, i: usize, value: &[u8]) -> bool {
        i < self.len() && value.strip_prefix(&*self.prefix) == Some(self.rest(i))
    }

    /// The first index whose value is not below `key`, values being sorted.
    pub fn lower_bound(&self, key: &[u8]) -> usize {
        let (head, tail) = key.split_at(key.len().min(self.prefix.len()));
        let (mut low, mut high) = match head.cmp(&self.prefix) {
            Ordering::Less => (0, 0),
            Ordering::Equal => (0, self.len()),
            Ordering::Greater => (self.len(), self.len()),
        };
        while low < high {
            let mid = low + (high - low) / 2;
            if self.rest(mid) < tail { low = mid + 1 } else { high = mid }
        }
        low
    }

    /// Whether every value is UTF-8.
    pub fn are_utf8(&self) -> bool {
        if self.prefix.is_ascii() && self.bytes.is_ascii() {
            return true;
        }
        // All at once: a page has thousands of short ones. The prefix does not end within a character unless a value is none.
        let (prefix, rest) = (std::str::from_utf8(&self.prefix), std::str::from_utf8(&self.bytes));
        prefix.is_ok()
            && rest.is_ok_and(|rest| (0..self.len).all(|i| rest.is_char_boundary(self.starts.at(i))))
    }

    /// Bytes that all values take.
    pub fn heap_bytes(&self) -> usize {
        let starts = if let Starts::At(starts) = &self.starts { starts.heap_bytes() } else { 0 };
        self.prefix.len() + self.bytes.len() + starts
    }
}

/// How many bytes each value shares with the one before, and how many it has besides.
struct Lengths {
    shared: Numbers,
    rest: Numbers,
}

/// What lengths come to.
struct Measure {
    /// Bytes of all values, and those of them that are not shared.
    total: usize,
    rest: usize,
    /// What all values begin with, in bytes.
    common: usize,
    shortest: usize,
    longest: usize,
}

impl Lengths {
    /// Calls `f` with both lengths of some values, part by part; `None` where it said so.
    fn try_for_each_part(&self, mut f: impl FnMut(&[u64], &[u64]) -> Option<()>) -> Option<()> {
        let n = self.shared.len();
        let (mut shared, mut rest) = ([0; PART], [0; PART]);
        for row in (0..n).step_by(PART) {
            let part = PART.min(n - row);
            let (shared, rest) = (shared.get_mut(..part)?, rest.get_mut(..part)?);
            self.shared.copy_to(row, shared);
            self.rest.copy_to(row, rest);
            f(shared, rest)?;
        }
        Some(())
    }

    /// `None` if a value is longer than there can be bytes in a page.
    fn measure(&self) -> Option<Measure> {
        // The first value shares nothing; all others have what it begins with.
        let first = self.rest.get(0).unwrap_or(0);
        let (mut bits, mut sum, mut rest_sum) = (0, 0u64, 0u64);
        let (mut common, mut shortest, mut longest, mut is_first) = (first, first, first, true);
        self.try_for_each_part(|shared, rest| {
            for (shared, rest) in shared.iter().zip(rest) {
                bits |= shared | rest;
                let length = shared.wrapping_add(*rest);
                (sum, rest_sum) = (sum.wrapping_add(length), rest_sum.wrapping_add(*rest));
                (shortest, longest) = (shortest.min(length), longest.max(length));
            }
            let of_others = shared.iter().skip(usize::from(is_first));
            common = of_others.fold(common, |common, shared| common.min(*shared));
            is_first = false;
            Some(())
        })?;
        // So that none of the sums went round: a page has at most 2^16 rows.
        let size = |n: u64| usize::try_from(n).ok();
        let (total, rest, common) = (size(sum)?, size(rest_sum)?, size(common)?);
        let measure = Measure { total, rest, common, shortest: size(shortest)?, longest: size(longest)? };
        (bits <= u32::MAX.into()).then_some(measure)
    }
}

/// Reads a front-coded column of `n` values, and says whether each of them is above the one before.
///
/// Front coding can blow a few bytes up to many: the result may take at most 256 times the bytes that are left, and 1 MiB.
///
/// # Errors
/// `Corrupt`.
pub fn front_coded(c: &mut Cursor<'_>, n: usize) -> Result<(FrontCoded, bool)> {
    let budget =
        c.remaining().saturating_mul(256).saturating_add(1 << 20).min(u32::MAX as usize - MAX_KEY_BYTES);
    let too_long = || Error::corrupt("a front-coded text is longer than it can be");
    let lengths = Lengths { shared: Numbers::read(c, n)?, rest: Numbers::read(c, n)? };
    let measure = lengths.measure().filter(|m| m.total <= budget).ok_or_else(too_long)?;
    unfold(&lengths, &measure, c.take(measure.rest)?).ok_or_else(too_long)
}

/// `own`: what values do not share. `None`: one shares more than there is, or is too long.
fn unfold(lengths: &Lengths, measure: &Measure, own: &[u8]) -> Option<(FrontCoded, bool)> {
    let (n, common) = (lengths.shared.len(), common_bytes(own, measure.common));
    // None is shorter than the prefix, which is not a part of the first one either from here on.
    let (prefix, mut own) = own.split_at_checked(common)?;
    let mut bytes = vec![0; measure.total - n * common + STEP];
    let is_varied = measure.shortest < measure.longest;
    let mut starts = Vec::with_capacity(if is_varied { n + 1 } else { 0 });
    let (mut last, mut start, mut ascend, mut is_first) = (0usize, 0usize, true, true);
    let mut unfold_one = |shared: u64, rest: u64| {
        let (mut shared, mut rest) = (shared as usize, rest as usize);
        if shared + rest > MAX_KEY_BYTES {
            return None;
        }
        *if is_first { &mut rest } else { &mut shared } -= common;
        let (new, others) = own.split_at_checked(rest)?;
        // What both have in common says nothing; what follows does, as a rule. None comes before the first.
        let before = bytes.get(last + shared..start)?;
        ascend &= match (before.first(), new.first()) {
            (Some(a), Some(b)) if a != b => a < b,
            _ => is_first || before < new,
        };
        for at in (0..shared).step_by(STEP) {
            let step = *bytes.get(last + at..)?.first_chunk::<STEP>()?;
            *bytes.get_mut(start + at..)?.first_chunk_mut()? = step;
        }
        let to = bytes.get_mut(start + shared..)?;
        match (own.first_chunk::<STEP>(), to.first_chunk_mut::<STEP>()) {
            (Some(new), Some(to)) if rest <= STEP => *to = *new,
            _ => to.get_mut(..rest)?.copy_from_slice(new),
        }
        if is_varied {
            starts.push(start as u64);
        }
        own = others;
        (last, start, is_first) = (start, start + shared + rest, false);
        Some(())
    };
    lengths.try_for_each_part(|shared, rest| {
        shared.iter().zip(rest).try_for_each(|(shared, rest)| unfold_one(*shared, *rest))
    })?;
    bytes.truncate(start);
    let starts = if is_varied {
        starts.push(start as u64);
        Starts::At(Numbers::packed(&starts))
    } else {
        Starts::Every(measure.longest - common)
    };
    Some((FrontCoded { prefix: prefix.to_vec(), len: n, starts, bytes }, ascend))
}

/// At most `common` bytes, not ending within a character of UTF-8: `own` begins with the first value.
fn common_bytes(own: &[u8], common: usize) -> usize {
    let is_within = |at: usize| own.get(at).is_some_and(|b| b & 0xC0 == 0x80);
    (0..=common).rev().find(|at| !is_within(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn column(values: &[impl AsRef<[u8]>]) -> (FrontCoded, bool) {
        let mut out = Vec::new();
        put_front_coded(&mut out, values.iter().map(AsRef::as_ref));
        let mut c = Cursor::new(&out);
        let read = front_coded(&mut c, values.len()).unwrap();
        assert_eq!(c.remaining(), 0);
        read
    }

    proptest! {
        #[test]
        fn values_round_trip(mut values in prop::collection::vec("[a-cé/]{0,9}", 0..40), prefix in "[a-cé]{0,40}", sort: bool) {
            values.iter_mut().for_each(|v| v.insert_str(0, &prefix));
            if sort {
                values.sort();
            }
            let (read, ascend) = column(&values);
            prop_assert_eq!(read.len(), values.len());
            prop_assert_eq!(read.is_empty(), values.is_empty());
            prop_assert!(values.iter().enumerate().all(|(i, v)| read.get(i) == v.as_bytes()));
            prop_assert_eq!(ascend, values.windows(2).all(|w| w[0] < w[1]));
            prop_assert!(read.are_utf8());
            for key in values.iter().flat_map(|v| [v.clone(), format!("{v}a"), v[..v.floor_char_boundary(v.len() / 2)].to_owned()]) {
                for (i, v) in values.iter().enumerate() {
                    prop_assert_eq!(read.is(i, key.as_bytes()), *v == key);
                }
                prop_assert!(!read.is(values.len(), key.as_bytes()));
                if sort {
                    prop_assert_eq!(read.lower_bound(key.as_bytes()), values.partition_point(|v| *v < key));
                }
            }
        }

        #[test]
        fn utf8_is_told_from_what_is_none(values in prop::collection::vec(prop::collection::vec(prop::sample::select(vec![0x61u8, 0xC3, 0xA9, 0xE2]), 0..6), 0..6)) {
            let (read, _) = column(&values);
            prop_assert_eq!(read.are_utf8(), values.iter().all(|v| std::str::from_utf8(v).is_ok()));
            prop_assert!(values.iter().enumerate().all(|(i, v)| read.get(i) == *v));
        }

        #[test]
        fn garbage_is_refused_or_read_but_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), n in 0usize..100) {
            if let Ok((read, _)) = front_coded(&mut Cursor::new(&bytes), n) {
                prop_assert_eq!(read.len(), n);
            }
        }
    }

    #[test]
    fn what_all_names_begin_with_is_in_memory_once() {
        let names: Vec<String> = (0..2048).map(|i| format!("profile_{:07}", 190_000 + i)).collect();
        let (read, ascend) = column(&names);
        assert!(ascend);
        // Four digits a name; where they begin follows from their length.
        assert!(read.heap_bytes() < 2048 * 5, "{}", read.heap_bytes());
        let (read, _) = column(&names.iter().map(|n| n.trim_end_matches('0')).collect::<Vec<_>>());
        assert!(read.heap_bytes() < 2048 * 7, "{}", read.heap_bytes());
    }
}
