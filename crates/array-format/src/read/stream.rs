//! Large regions over a network: each chunk is decoded as soon as its block is there, while the others are on their way.

use array_format_core::schema::ArraySchema;
use array_format_core::{Error, Result};
use bytes::Bytes;
use futures::FutureExt;
use parking_lot::Mutex;
use rayon::prelude::*;

use super::arrivals::Arrivals;
use super::fetch::Stretch;
use super::fill::Target;
use super::frames::{self, Frames, Needed, Stored};
use super::load::WHOLE_BLOCK_BYTES;
use super::slabs::{Piece, Slab};
use super::view::ChunkSource;
use crate::index::Version;

/// Stored bytes that are asked for and not decoded yet.
const AHEAD_BYTES: u64 = 64 << 20;
/// Stored bytes that are decoded at once, for each core: few, so that what came meanwhile makes room for the next requests soon.
const ROUND_BYTES_A_CORE: usize = 4 << 20;

/// A chunk in one framed block, all of which is fetched.
struct Whole {
    slab: usize,
    piece: Piece,
    needed: Needed,
}

impl Version {
    /// Fills what comes of framed blocks that are fetched whole, and takes these pieces out of the slabs.
    pub(super) async fn fill_whole(
        &self,
        schema: &ArraySchema,
        slabs: &mut [Slab<'_>],
        keeps: bool,
    ) -> Result<()> {
        let (mut wanted, mut stretches) = (Vec::new(), Vec::new());
        for (slab, Slab { pieces, .. }) in slabs.iter_mut().enumerate() {
            for piece in std::mem::take(pieces) {
                match self.needs_whole(schema, &piece, keeps)? {
                    Some((needed, stretch)) => {
                        wanted.push(Whole { slab, piece, needed });
                        stretches.push(stretch);
                    }
                    None => pieces.push(piece),
                }
            }
        }
        let targets: Vec<_> = slabs.iter_mut().map(|s| (&s.shape[..], Mutex::new(&mut s.target))).collect();
        let mut arrivals = Arrivals::new(self, &stretches, AHEAD_BYTES);
        let most = ROUND_BYTES_A_CORE.saturating_mul(rayon::current_num_threads());
        let mut left = wanted.len();
        while let Some(first) = arrivals.next().await {
            let mut ready = vec![first?];
            let mut bytes = ready.iter().map(|r| r.1.len()).sum::<usize>();
            while bytes < most
                && let Some(Some(next)) = arrivals.next().now_or_never()
            {
                let next = next?;
                bytes = next.1.len().saturating_add(bytes);
                ready.push(next);
            }
            left = left.saturating_sub(ready.len());
            let put = |(number, bytes): (usize, Bytes)| -> Result<()> {
                let (whole, (shape, target)) = wanted
                    .get(number)
                    .and_then(|w| Some((w, targets.get(w.slab)?)))
                    .ok_or_else(|| Error::corrupt("a block came that nobody wanted"))?;
                self.put_whole(schema, whole, &bytes, shape, target)
            };
            match ready.len() {
                1 => ready.into_iter().try_for_each(put)?,
                _ => ready.into_par_iter().try_for_each(put)?,
            }
        }
        match left {
            0 => Ok(()),
            _ => Err(self.in_file(Error::corrupt("a block was not loaded"))),
        }
    }

    /// What a piece needs of its block, if all of the block is fetched for it: it is not in the cache, and small, or needed whole.
    fn needs_whole(
        &self,
        schema: &ArraySchema,
        piece: &Piece,
        keeps: bool,
    ) -> Result<Option<(Needed, Stretch)>> {
        let ChunkSource::Stored(chunk) = &piece.source else { return Ok(None) };
        let block = &chunk.block;
        if block.frame_bytes == 0 {
            return Ok(None);
        }
        let range = block.offset..block.end();
        self.check_inside(block.id.object, range.clone())?;
        let needed = Needed::of(schema, block, piece, keeps).map_err(|e| self.at_block(e, block))?;
        let is_part = block.stored_bytes > WHOLE_BLOCK_BYTES && needed.is_part_of(schema, block, piece);
        if is_part || self.cached_frames(block, &needed)?.is_some() {
            return Ok(None);
        }
        Ok(Some((needed, Stretch { object: block.id.object, range })))
    }

    fn put_whole(
        &self,
        schema: &ArraySchema,
        whole: &Whole,
        bytes: &Bytes,
        shape: &[u64],
        target: &Mutex<&mut Target<'_>>,
    ) -> Result<()> {
        let Whole { piece, needed, .. } = whole;
        let ChunkSource::Stored(chunk) = &piece.source else { return Ok(()) };
        let put = || {
            let table = frames::table(schema, piece.elements, &chunk.block, bytes)?;
            let stored = Stored::Fetched(table, vec![(0, bytes.clone())]);
            let plan = piece.overlap.to_region(shape);
            let frames = Frames { schema, block: &chunk.block, piece, needed };
            frames.put(self, &stored, &plan, &mut &*target)
        };
        put().map_err(|e| self.at_block(e, &chunk.block))
    }
}
