//! Whole blocks in the order in which they come over a network.

use std::collections::VecDeque;

use array_format_core::Result;
use array_format_core::address::ObjectId;
use bytes::Bytes;
use futures::stream::{BoxStream, SelectAll, StreamExt};

use super::fetch::{GAP_BYTES, IN_FLIGHT, RANGE_BYTES, Stretch};
use crate::index::Version;

/// Neighbours that one request brings.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    object: ObjectId,
    /// Where pieces begin and end.
    cuts: Vec<u64>,
    /// Which stretch a piece is; none for a gap.
    pieces: Vec<Option<usize>>,
}

impl Run {
    fn bytes(&self) -> u64 {
        match &self.cuts[..] {
            [first, .., last] => last - first,
            _ => 0,
        }
    }

    /// Takes the next stretch in, unless it is too far away.
    fn takes(&mut self, number: usize, next: &Stretch) -> bool {
        let (Some(first), Some(last)) = (self.cuts.first().copied(), self.cuts.last().copied()) else {
            return false;
        };
        let range = &next.range;
        let near = (last..=last.saturating_add(GAP_BYTES)).contains(&range.start);
        if self.object != next.object || !near || range.end - first > RANGE_BYTES {
            return false;
        }
        if range.start > last {
            self.cuts.push(range.start);
            self.pieces.push(None);
        }
        self.cuts.push(range.end);
        self.pieces.push(Some(number));
        true
    }
}

/// One request for neighbours; pure. Stretches that overlap are asked for apart.
fn runs(wanted: &[Stretch]) -> VecDeque<Run> {
    let mut order: Vec<(usize, &Stretch)> = wanted.iter().enumerate().collect();
    order.sort_by_key(|(_, w)| (w.object, w.range.start, w.range.end));
    let mut runs: VecDeque<Run> = VecDeque::new();
    for (number, next) in order {
        if !runs.back_mut().is_some_and(|run| run.takes(number, next)) {
            let cuts = vec![next.range.start, next.range.end];
            runs.push_back(Run { object: next.object, cuts, pieces: vec![Some(number)] });
        }
    }
    runs
}

/// A piece, the number of its stretch if it is one, and the bytes that it takes.
type Piece = (Option<usize>, Bytes);

/// Stretches on their way.
pub(super) struct Arrivals<'v> {
    version: &'v Version,
    waiting: VecDeque<Run>,
    coming: SelectAll<BoxStream<'v, Result<Piece>>>,
    /// Bytes that were asked for and not taken yet.
    ahead_bytes: u64,
    most_bytes: u64,
}

impl<'v> Arrivals<'v> {
    /// Nothing is asked for before [`next`](Self::next). Of what is asked for and not taken, no more than `most_bytes` or one request.
    pub(super) fn new(version: &'v Version, wanted: &[Stretch], most_bytes: u64) -> Self {
        Self { version, waiting: runs(wanted), coming: SelectAll::new(), ahead_bytes: 0, most_bytes }
    }

    /// The stretch that comes next, by its number, with its bytes. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Option<Result<(usize, Bytes)>> {
        loop {
            self.ask();
            let piece = match self.coming.next().await {
                Some(Ok(piece)) => piece,
                Some(Err(e)) => return Some(Err(self.version.in_file(e))),
                None if self.waiting.is_empty() => return None,
                None => continue,
            };
            self.ahead_bytes = self.ahead_bytes.saturating_sub(piece.1.len() as u64);
            if let (Some(number), bytes) = piece {
                return Some(Ok((number, bytes)));
            }
        }
    }

    /// Sends requests, as many as have room.
    fn ask(&mut self) {
        while let Some(run) = self.waiting.pop_front_if(|run| {
            self.coming.is_empty()
                || self.coming.len() < IN_FLIGHT
                    && run.bytes().saturating_add(self.ahead_bytes) <= self.most_bytes
        }) {
            self.ahead_bytes = run.bytes().saturating_add(self.ahead_bytes);
            let pieces = self.version.read_pieces(run.object, run.cuts).enumerate();
            let number = move |i: usize| run.pieces.get(i).copied().flatten();
            self.coming.push(pieces.map(move |(i, piece)| piece.map(|bytes| (number(i), bytes))).boxed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_pieces_of_one_request() {
        let s = |n: u64, range: std::ops::Range<u64>| Stretch { object: ObjectId::Layer(n), range };
        let wanted = [
            s(0, 500..600),
            s(0, 0..100),
            s(1, 0..5),
            s(0, 100..180),
            s(0, 150..160),
            s(0, 1 << 20..2 << 20),
        ];
        let run = |n, cuts: &[u64], pieces: &[Option<usize>]| Run {
            object: ObjectId::Layer(n),
            cuts: cuts.to_vec(),
            pieces: pieces.to_vec(),
        };
        assert_eq!(
            runs(&wanted),
            [
                run(0, &[0, 100, 180], &[Some(1), Some(3)]),
                run(0, &[150, 160, 500, 600], &[Some(4), None, Some(0)]),
                run(0, &[1 << 20, 2 << 20], &[Some(5)]),
                run(1, &[0, 5], &[Some(2)]),
            ]
        );
        let long: Vec<_> = (0..20).map(|i| s(0, i << 20..(i + 1) << 20)).collect();
        assert!(runs(&long).iter().all(|run| run.bytes() <= RANGE_BYTES && run.pieces.len() == 4));
    }
}
