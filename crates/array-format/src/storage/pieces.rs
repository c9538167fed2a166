//! Bytes that come in any portions, put together to the pieces that are wanted.

use array_format_core::{Error, Result};
use bytes::{Bytes, BytesMut};

/// The pieces of a whole range.
pub(crate) fn cut(bytes: &Bytes, cuts: &[u64]) -> Vec<Result<Bytes>> {
    let mut pieces = Pieces::new(cuts);
    let mut found: Vec<_> = pieces.add(bytes.clone()).into_iter().map(Ok).collect();
    if let Err(e) = pieces.end() {
        found.push(Err(e));
    }
    found
}

/// Pieces that are put together.
#[derive(Debug)]
pub(super) struct Pieces {
    /// Lengths of those that are wanted, the last one first.
    wanted: Vec<usize>,
    /// What has come of the next one.
    begun: BytesMut,
}

impl Pieces {
    pub(super) fn new(cuts: &[u64]) -> Self {
        let length = |pair: &[u64]| match pair {
            [from, to] => usize::try_from(to.saturating_sub(*from)).unwrap_or(usize::MAX),
            _ => 0,
        };
        Self { wanted: cuts.windows(2).rev().map(length).collect(), begun: BytesMut::new() }
    }

    /// Takes the next bytes. Returns the pieces that are complete: without a copy where one portion has all of it.
    pub(super) fn add(&mut self, mut portion: Bytes) -> Vec<Bytes> {
        let mut complete = Vec::new();
        while let Some(length) = self.wanted.last().copied() {
            if self.begun.is_empty() && portion.len() >= length {
                complete.push(portion.split_to(length));
                self.wanted.pop();
                continue;
            }
            if portion.is_empty() {
                break;
            }
            if self.begun.is_empty() {
                self.begun = BytesMut::with_capacity(length);
            }
            let missing = length - self.begun.len();
            self.begun.extend_from_slice(&portion.split_to(missing.min(portion.len())));
            if self.begun.len() == length {
                complete.push(std::mem::take(&mut self.begun).freeze());
                self.wanted.pop();
            }
        }
        complete
    }

    /// Whether all that was wanted has come.
    ///
    /// # Errors
    /// `Corrupt` if not.
    pub(super) fn end(&self) -> Result<()> {
        match self.wanted.is_empty() {
            true => Ok(()),
            false => Err(Error::corrupt("fewer bytes came than were asked for")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_of_any_size_make_the_same_pieces() {
        let bytes: Vec<u8> = (0..100).collect();
        let cuts = [10, 10, 11, 40, 97, 110];
        let expected: Vec<Bytes> =
            cuts.windows(2).map(|w| Bytes::copy_from_slice(&bytes[w[0] - 10..w[1] - 10])).collect();
        let cuts = cuts.map(|c| c as u64);
        for size in 1..=100 {
            let mut pieces = Pieces::new(&cuts);
            let portions = bytes.chunks(size).map(Bytes::copy_from_slice);
            let found: Vec<Bytes> = portions.flat_map(|p| pieces.add(p)).collect();
            assert_eq!(found, expected, "{size}");
            pieces.end().unwrap();
        }
        let short = cut(&Bytes::copy_from_slice(&bytes[..99]), &cuts);
        assert_eq!(short.len(), 5);
        assert!(short[..4].iter().all(Result::is_ok) && short[4].is_err());
    }
}
