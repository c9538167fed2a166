//! Filling the result: slabs are loaded batch by batch, and decoded and put in place on all cores.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;

use array_format_core::Result;
use array_format_core::block::ChunkRef;
use array_format_core::buffer::{Elements, zeroed};
use array_format_core::checksum::{check_earned, verify};
use array_format_core::chunk;
use array_format_core::grid::CopyPlan;
use array_format_core::schema::ArraySchema;
use futures::FutureExt;
use futures::future::maybe_done;
use rayon::prelude::*;

use super::fetch::slice;
use super::frames::{Frames, in_place};
use super::load::Loaded;
use super::scratch::{Scratch, with_scratch};
use super::slabs::{LEAST_BATCH_BYTES, Piece, Slab, batches, held};
use crate::index::Version;

/// Stored bytes that are on their way meanwhile, for each core that decodes. All that is under way shares the line and arrives at about the same
/// time: too much of it, and nothing is there to be decoded until all is.
const AHEAD_BYTES_A_CORE: u64 = 8 << 20;

/// Where fixed-size elements are put: the values, and a byte an element for the mask.
pub(super) struct Target<'a> {
    pub(super) values: &'a mut [u8],
    pub(super) validity: Option<&'a mut [u8]>,
}

impl<'a> Target<'a> {
    /// The first elements, of `size` bytes each; the others stay.
    pub(super) fn split_off(&mut self, elements: usize, size: usize) -> Self {
        let (values, rest) = std::mem::take(&mut self.values).split_at_mut(elements * size);
        self.values = rest;
        let validity = self.validity.take().map(|v| {
            let (first, rest) = v.split_at_mut(elements);
            self.validity = Some(rest);
            first
        });
        Self { values, validity }
    }
}

impl Version {
    /// Loads what slabs need and puts it in place, batch by batch: while one is decoded, the next come over the network.
    pub(super) async fn fill(&self, schema: &ArraySchema, mut slabs: Vec<Slab<'_>>) -> Result<()> {
        let reads_now = self.objects.reads_at_once();
        let size = schema.dtype.fixed_size_bytes().unwrap_or(0) as u64;
        let elements = slabs.iter().flat_map(|s| &s.pieces).map(|p| p.elements as u64);
        let decoded = elements.fold(0, u64::saturating_add).saturating_mul(size);
        let keeps = !reads_now && decoded <= self.config.cache.capacity_bytes() / 4;
        // What is small is asked for all at once.
        if !reads_now && held(&slabs, reads_now) > LEAST_BATCH_BYTES {
            self.fill_whole(schema, &mut slabs, keeps).await?;
            slabs.retain(|slab| !slab.pieces.is_empty());
        }
        let cores = rayon::current_num_threads();
        let most = AHEAD_BYTES_A_CORE.saturating_mul(cores as u64);
        let mut waiting = batches(slabs, reads_now, cores).into_iter().peekable();
        let mut coming = VecDeque::new();
        let mut ahead = 0u64;
        loop {
            // At least one comes while another is decoded.
            while let Some(batch) =
                waiting.next_if(|b| coming.len() < 2 || held(b, reads_now).saturating_add(ahead) <= most)
            {
                let bytes = held(&batch, reads_now);
                let load = async move {
                    let loaded = self.load(schema, &batch, keeps).await;
                    loaded.map(|loaded| (batch, loaded))
                };
                ahead = bytes.saturating_add(ahead);
                coming.push_back((bytes, Box::pin(maybe_done(load))));
            }
            // All of them go on, also while others are decoded: the first poll sends their requests.
            poll_fn(|cx| {
                let done = coming.iter_mut().map(|(_, load)| load.poll_unpin(cx).is_ready());
                // Every one is polled.
                match done.collect::<Vec<bool>>().first() {
                    Some(false) => Poll::Pending,
                    _ => Poll::Ready(()),
                }
            })
            .await;
            let Some((bytes, mut load)) = coming.pop_front() else { return Ok(()) };
            ahead = ahead.saturating_sub(bytes);
            if let Some(loaded) = load.as_mut().take_output() {
                let (batch, loaded) = loaded?;
                self.put_all(schema, batch, loaded)?;
            }
        }
    }

    /// Decodes slabs, each on a core.
    fn put_all(&self, schema: &ArraySchema, slabs: Vec<Slab<'_>>, loaded: Vec<Loaded>) -> Result<()> {
        let mut loaded = loaded.into_iter();
        let mut jobs: Vec<(Slab<'_>, Vec<Loaded>)> = Vec::with_capacity(slabs.len());
        for slab in slabs {
            let own: Vec<Loaded> = loaded.by_ref().take(slab.pieces.len()).collect();
            jobs.push((slab, own));
        }
        let run = |(mut slab, own): (Slab<'_>, Vec<Loaded>)| -> Result<()> {
            for (piece, loaded) in slab.pieces.iter().zip(&own) {
                self.put(schema, piece, loaded, &slab.shape, &mut slab.target)?;
            }
            Ok(())
        };
        if jobs.len() < 2 {
            return jobs.into_iter().try_for_each(run);
        }
        // One by one: they are large, and of different sizes.
        jobs.into_par_iter().with_max_len(1).try_for_each(run)
    }

    /// Decodes a piece and copies its part to the slab.
    pub(super) fn put(
        &self,
        schema: &ArraySchema,
        piece: &Piece,
        loaded: &Loaded,
        shape: &[u64],
        target: &mut Target<'_>,
    ) -> Result<()> {
        let size = schema.dtype.fixed_size_bytes().unwrap_or(0);
        let plan = piece.overlap.to_region(shape);
        match loaded {
            Loaded::Staged(e) => put_elements(&plan, e, target, size),
            Loaded::Unwritten => {
                put_fill(&plan, &Elements::filled(schema, 1)?, target, size);
                Ok(())
            }
            Loaded::Block(chunk, bytes) => {
                let put = slice(chunk, bytes).and_then(|b| put_chunk(schema, piece, b, &plan, target));
                put.map_err(|e| self.at_block(e, &chunk.block))
            }
            // Not kept: what is read as a whole comes back as fast.
            Loaded::Alone(chunk, stored) => {
                let put =
                    with_scratch(|s| self.put_alone(schema, piece, chunk, stored, &plan, target, &mut s.raw));
                put.map_err(|e| self.at_block(e, &chunk.block))
            }
            Loaded::Later(chunk) => with_scratch(|Scratch { stored, raw }| {
                let range = chunk.block.offset..chunk.block.end();
                self.with_bytes_now(chunk.block.id.object, range, stored, |stored| {
                    self.put_alone(schema, piece, chunk, stored, &plan, target, raw)
                })
            })
            .map_err(|e| self.at_block(e, &chunk.block)),
            Loaded::Frames(block, stored, needed) => {
                let frames = Frames { schema, block, piece, needed };
                frames.put(self, stored, &plan, target).map_err(|e| self.at_block(e, block))
            }
        }
    }

    /// Decodes the only chunk of a block: straight to where it goes if it stays in one piece, else into memory that is used again.
    #[expect(clippy::too_many_arguments, reason = "what is decoded, from where, and where to")]
    fn put_alone(
        &self,
        schema: &ArraySchema,
        piece: &Piece,
        chunk: &ChunkRef,
        stored: &[u8],
        plan: &CopyPlan,
        target: &mut Target<'_>,
        raw: &mut Vec<u8>,
    ) -> Result<()> {
        let (block, size) = (&chunk.block, schema.dtype.fixed_size_bytes().unwrap_or(0));
        let len = self.decoded_len(block)?;
        let is_bare = chunk::is_plain(schema) && !schema.nullable && chunk.offset == 0;
        let place = in_place(plan, 0, len, size).filter(|_| is_bare);
        if let Some(out) = place.and_then(|place| target.values.get_mut(place)) {
            verify(stored, block.checksum, "a block")?;
            return self.decompress(block, stored, out);
        }
        let decoded = self.decode_block_to(block, stored, raw)?;
        put_chunk(schema, piece, slice(chunk, decoded)?, plan, target)
    }
}

/// Puts a chunk of an unframed block in place.
fn put_chunk(
    schema: &ArraySchema,
    piece: &Piece,
    bytes: &[u8],
    plan: &CopyPlan,
    target: &mut Target<'_>,
) -> Result<()> {
    let size = schema.dtype.fixed_size_bytes().unwrap_or(0);
    let (values, mask) = chunk::split_mask(schema, piece.elements, bytes)?;
    if let (Some(mask), Some(validity)) = (mask, &mut target.validity) {
        plan.copy_bytes(&chunk::unpack_mask(mask, piece.elements)?, 0, validity, 1)?;
    }
    let bytes = piece.elements.saturating_mul(size);
    if chunk::is_plain(schema) && values.len() == bytes {
        return plan.copy_bytes(values, 0, target.values, size);
    }
    check_earned(values.len() as u64, bytes as u64)?;
    let mut raw = zeroed(bytes)?;
    chunk::decode_fixed(schema, values, &mut raw)?;
    plan.copy_bytes(&raw, 0, target.values, size)
}

/// Repeats one element. The chunk itself may be larger than memory: it is not there.
fn put_fill(plan: &CopyPlan, one: &Elements, target: &mut Target<'_>, size: usize) {
    let element = one.values.fixed().unwrap_or_default();
    let zeros = element.iter().all(|b| *b == 0);
    plan.for_each_run(|_, t, n| {
        if let Some(dst) = target.values.get_mut(t * size..(t + n) * size) {
            if zeros {
                dst.fill(0);
            } else {
                dst.chunks_exact_mut(size).for_each(|d| d.copy_from_slice(element));
            }
        }
        if let (Some(v), Some(out)) = (&one.validity, &mut target.validity)
            && let Some(dst) = out.get_mut(t..t + n)
        {
            dst.fill(v.first().copied().unwrap_or(0));
        }
    });
}

fn put_elements(plan: &CopyPlan, e: &Elements, target: &mut Target<'_>, size: usize) -> Result<()> {
    plan.copy_bytes(e.values.fixed()?, 0, target.values, size)?;
    match (&e.validity, &mut target.validity) {
        (Some(v), Some(out)) => plan.copy_bytes(v, 0, out, 1),
        _ => Ok(()),
    }
}
