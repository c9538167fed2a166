//! Stored bytes, for whoever decodes them: fetched, or read from a disk stretch by stretch.

use std::ops::Range;

use array_format_core::{Error, Result};
use bytes::Bytes;

use crate::layer::object::PinnedObject;

/// No more than this is read at once: what was read is decoded before it leaves the cache of the core.
pub(super) const READ_BYTES: u64 = 256 << 10;

/// Stretches that hold these ranges, neighbours in order together up to `most` bytes, if they lie no further apart than `gap`.
pub(super) fn stretches(ranges: impl Iterator<Item = Range<u64>>, gap: u64, most: u64) -> Vec<Range<u64>> {
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last)
                if (last.end..=last.end.saturating_add(gap)).contains(&range.start)
                    && range.end.saturating_sub(last.start) <= most =>
            {
                last.end = range.end;
            }
            _ => merged.push(range),
        }
    }
    merged
}

/// Where stored bytes come from.
pub(super) enum Source<'a> {
    Fetched(&'a [(u64, Bytes)]),
    /// On a disk: read stretch by stretch, as they are asked for.
    Now {
        object: &'a PinnedObject,
        /// What ranges count from, in the object.
        offset: u64,
        stretches: Vec<Range<u64>>,
        /// The stretch that was read last, and its bytes.
        held: Range<u64>,
        bytes: &'a mut Vec<u8>,
    },
}

impl<'a> Source<'a> {
    /// An object on a disk. `stretches`: what is read at once, from `offset` on.
    pub(super) fn now(
        object: &'a PinnedObject,
        offset: u64,
        stretches: Vec<Range<u64>>,
        bytes: &'a mut Vec<u8>,
    ) -> Self {
        Self::Now { object, offset, stretches, held: 0..0, bytes }
    }

    pub(super) fn is_fetched(&self) -> bool {
        matches!(self, Self::Fetched(_))
    }

    /// Bytes that one of the stretches holds.
    pub(super) fn bytes(&mut self, range: &Range<u64>) -> Result<&[u8]> {
        let absent = || Error::corrupt("what is to be decoded was not loaded");
        let within = |held: &Range<u64>| held.start <= range.start && range.end <= held.end;
        let (start, bytes) = match self {
            Self::Fetched(stretches) => {
                let holds = |(at, b): &&(u64, Bytes)| within(&(*at..at.saturating_add(b.len() as u64)));
                let (start, bytes) = stretches.iter().find(holds).ok_or_else(absent)?;
                (*start, &bytes[..])
            }
            Self::Now { object, offset, stretches, held, bytes } => {
                let at = |o: u64| offset.saturating_add(o);
                if let Some(bytes) = object.held(&(at(range.start)..at(range.end))) {
                    return Ok(bytes);
                }
                if !within(held) {
                    let stretch = stretches.iter().find(|s| within(s)).ok_or_else(absent)?.clone();
                    object.read_now(at(stretch.start)..at(stretch.end), bytes)?;
                    *held = stretch;
                }
                (held.start, &bytes[..])
            }
        };
        let at = |o: u64| usize::try_from(o - start).ok();
        at(range.start).zip(at(range.end)).and_then(|(from, to)| bytes.get(from..to)).ok_or_else(absent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_read_together_in_order_and_up_to_a_limit() {
        let of = |ranges: &[(u64, u64)], gap, most| {
            let merged = stretches(ranges.iter().map(|(from, to)| *from..*to), gap, most);
            merged.into_iter().map(|r| (r.start, r.end)).collect::<Vec<_>>()
        };
        assert_eq!(of(&[(0, 4), (4, 6), (6, 9)], 0, 100), [(0, 9)]);
        assert_eq!(of(&[(0, 4), (4, 6), (6, 9)], 0, 6), [(0, 6), (6, 9)]);
        assert_eq!(of(&[(0, 4), (5, 6)], 0, 100), [(0, 4), (5, 6)]);
        assert_eq!(of(&[(0, 4), (5, 6), (9, 10)], 2, 100), [(0, 6), (9, 10)]);
        // Backwards, or one within the other: each by itself.
        assert_eq!(of(&[(4, 6), (0, 4), (1, 2)], 2, 100), [(4, 6), (0, 4), (1, 2)]);
    }
}
