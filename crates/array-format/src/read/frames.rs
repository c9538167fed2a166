//! Parts of large chunks: the frames that hold them, decoded alone.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use array_format_core::block::BlockMeta;
use array_format_core::buffer::zeroed;
use array_format_core::checksum::{check_earned, verify};
use array_format_core::framed::{self, Frame, FrameTable};
use array_format_core::grid::CopyPlan;
use array_format_core::schema::ArraySchema;
use array_format_core::{Error, Result};
use bytes::Bytes;

use super::assemble::{Piece, Target};
use crate::index::Version;
use crate::layer::object::PinnedObject;

/// Frames that lie no further apart than this in their block are read from the disk at once.
const GAP_BYTES: u64 = 16 << 10;

/// Where the stored bytes of a block's frames are.
pub(super) enum Stored {
    /// In memory: stretches of the block, each with its offset in it, and the table.
    Fetched(FrameTable, Vec<(u64, Bytes)>),
    /// On a disk, to be read by whoever decodes.
    Now(PinnedObject),
}

/// Frames of one block.
pub(super) struct Frames<'a> {
    pub(super) schema: &'a ArraySchema,
    pub(super) block: &'a Arc<BlockMeta>,
    pub(super) piece: &'a Piece,
}

/// Memory that a thread uses again for the next chunk: fresh pages cost more than the bytes that they get.
#[derive(Default)]
struct Scratch {
    stored: Vec<u8>,
    raw: Vec<u8>,
}

/// A thread keeps no more than this.
const KEPT_BYTES: usize = 16 << 20;

thread_local! {
    static SCRATCH: Cell<Option<Scratch>> = const { Cell::new(None) };
}

fn with_scratch<R>(f: impl FnOnce(&mut Scratch) -> R) -> R {
    let mut scratch = SCRATCH.try_with(Cell::take).ok().flatten().unwrap_or_default();
    let result = f(&mut scratch);
    if scratch.stored.capacity() + scratch.raw.capacity() <= KEPT_BYTES {
        // While the thread ends there is nothing to keep it for.
        let _ = SCRATCH.try_with(|cell| cell.set(Some(scratch)));
    }
    result
}

/// The frames, in order, that hold any element of a plan's source.
pub(super) fn touched<'t>(
    table: &'t FrameTable,
    plan: &CopyPlan,
    size: usize,
    frame_bytes: u64,
) -> Vec<&'t Frame> {
    let frames = table.values();
    let mut marks = vec![false; frames.len()];
    plan.for_each_run(|from, _, n| {
        let byte = |element: usize| (element as u64).saturating_mul(size as u64);
        let first = byte(from) / frame_bytes.max(1);
        let last = byte(from + n).saturating_sub(1) / frame_bytes.max(1);
        let range = first as usize..(last as usize).saturating_add(1).min(marks.len());
        marks.get_mut(range).unwrap_or_default().fill(true);
    });
    frames.iter().zip(marks).filter_map(|(frame, marked)| marked.then_some(frame)).collect()
}

/// Stretches of the block that hold these frames, neighbours together.
pub(super) fn stretches<'f>(frames: impl Iterator<Item = &'f Frame>, gap: u64) -> Vec<Range<u64>> {
    let mut merged: Vec<Range<u64>> = Vec::new();
    for frame in frames {
        match merged.last_mut() {
            Some(last) if frame.stored.start <= last.end.saturating_add(gap) => last.end = frame.stored.end,
            _ => merged.push(frame.stored.clone()),
        }
    }
    merged
}

/// The table of a block, from its first bytes.
pub(super) fn table(
    schema: &ArraySchema,
    elements: usize,
    block: &BlockMeta,
    bytes: &[u8],
) -> Result<FrameTable> {
    let len = framed::table_bytes(schema, elements, block.frame_bytes);
    let table = usize::try_from(len).ok().and_then(|len| bytes.get(..len));
    let table = table.ok_or_else(|| Error::corrupt("a block is shorter than its frame table"))?;
    verify(table, block.checksum, "the frame table of a block")?;
    FrameTable::decode(schema, elements, block.frame_bytes, block.stored_bytes, table)
}

impl Frames<'_> {
    /// Decodes what the piece needs of them, and puts it in place.
    pub(super) fn put(
        &self,
        version: &Version,
        stored: &Stored,
        plan: &CopyPlan,
        target: &mut Target<'_>,
        size: usize,
    ) -> Result<()> {
        with_scratch(|scratch| match stored {
            Stored::Fetched(table, stretches) => {
                let stretches: Vec<(u64, &[u8])> = stretches.iter().map(|(at, b)| (*at, &b[..])).collect();
                self.decode(version, table, &stretches, &mut scratch.raw, plan, target, size)
            }
            Stored::Now(object) => {
                let Scratch { stored, raw } = scratch;
                let at = |range: &Range<u64>| {
                    let offset = |o: u64| self.block.offset.saturating_add(o);
                    offset(range.start)..offset(range.end)
                };
                let len = framed::table_bytes(self.schema, self.piece.elements, self.block.frame_bytes);
                object.read_now(at(&(0..len.min(self.block.stored_bytes))), stored)?;
                let table = table(self.schema, self.piece.elements, self.block, stored)?;
                let frames = touched(&table, plan, size, self.block.frame_bytes);
                let mut parts: Vec<(u64, Vec<u8>)> = Vec::new();
                match &stretches(frames.iter().copied().chain(table.mask()), GAP_BYTES)[..] {
                    [one] => {
                        object.read_now(at(one), stored)?;
                        return self.decode(version, &table, &[(one.start, stored)], raw, plan, target, size);
                    }
                    many => {
                        for range in many {
                            let mut part = Vec::new();
                            object.read_now(at(range), &mut part)?;
                            parts.push((range.start, part));
                        }
                    }
                }
                let parts: Vec<(u64, &[u8])> = parts.iter().map(|(at, b)| (*at, &b[..])).collect();
                self.decode(version, &table, &parts, raw, plan, target, size)
            }
        })
    }

    #[expect(clippy::too_many_arguments, reason = "all of one call")]
    fn decode(
        &self,
        version: &Version,
        table: &FrameTable,
        stretches: &[(u64, &[u8])],
        raw: &mut Vec<u8>,
        plan: &CopyPlan,
        target: &mut Target<'_>,
        size: usize,
    ) -> Result<()> {
        let stored = |range: &Range<u64>| {
            let within = stretches.iter().find_map(|(at, bytes)| {
                let from = usize::try_from(range.start.checked_sub(*at)?).ok()?;
                bytes.get(from..from.checked_add(usize::try_from(range.end - range.start).ok()?)?)
            });
            within.ok_or_else(|| Error::corrupt("a frame was not loaded"))
        };
        let codec = version.codec(self.block)?;
        let params = &self.block.codec.params;
        let frames = touched(table, plan, size, self.block.frame_bytes);
        let (start, end) = match (frames.first(), frames.last()) {
            (Some(f), Some(l)) => (f.raw().start, l.raw().end),
            _ => (0, 0),
        };
        check_earned(self.block.stored_bytes, end - start)?;
        let len = (end - start) as usize;
        if raw.len() < len {
            *raw = zeroed(len)?;
        }
        for frame in frames {
            let (from, to) = ((frame.raw().start - start) as usize, (frame.raw().end - start) as usize);
            if let Some(dst) = raw.get_mut(from..to) {
                frame.decode(self.schema, &*codec, params, stored(&frame.stored)?, dst)?;
            }
        }
        version.objects.counting.decoded_blocks.fetch_add(1, Ordering::Relaxed);
        let raw = raw.get(..len).unwrap_or_default();
        plan.copy_bytes(raw, start / (size as u64).max(1), target.values, size)?;
        if let (Some(mask), Some(validity)) = (table.mask(), &mut target.validity) {
            let stored = stored(&mask.stored)?;
            plan.copy_bytes(
                &mask.decode_mask(&*codec, params, stored, self.piece.elements)?,
                0,
                validity,
                1,
            )?;
        }
        Ok(())
    }
}
