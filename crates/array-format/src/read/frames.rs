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
use crate::cache::Cached;
use crate::index::Version;
use crate::layer::object::PinnedObject;

/// Frames that lie no further apart than this in their block are read from the disk at once.
const GAP_BYTES: u64 = 16 << 10;

/// What frames are decoded from.
pub(super) enum Stored {
    /// They are decoded: what the cache has of [`Needed::numbers`].
    Decoded(Vec<Bytes>),
    /// In memory: stretches of the block, each with its offset in it, and the table.
    Fetched(FrameTable, Vec<(u64, Bytes)>),
    /// On a disk, to be read by whoever decodes.
    Now(PinnedObject),
}

/// The frames of a chunk that hold an element of a piece.
pub(super) struct Needed {
    /// Their numbers in the block, in order. The last one is that of the mask, if there is one.
    pub(super) numbers: Vec<usize>,
    /// Whether they hold elements that are not asked for.
    partial: bool,
    /// Whether they go to the cache.
    kept: bool,
}

/// Frames of one block.
pub(super) struct Frames<'a> {
    pub(super) schema: &'a ArraySchema,
    pub(super) block: &'a Arc<BlockMeta>,
    pub(super) piece: &'a Piece,
    pub(super) needed: &'a Needed,
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

impl Needed {
    /// What a piece needs of a block, which lies inside of its object. Frames that are used in part are kept; all of them with `keeps`.
    pub(super) fn of(schema: &ArraySchema, block: &BlockMeta, piece: &Piece, keeps: bool) -> Result<Self> {
        let size = schema.dtype.fixed_size_bytes().unwrap_or(0) as u64;
        let table = framed::table_bytes(schema, piece.elements, block.frame_bytes);
        if block.frame_bytes == 0 || table > block.stored_bytes {
            return Err(Error::corrupt("a block is shorter than its frame table"));
        }
        let total = size.saturating_mul(piece.elements as u64);
        let mut marks = vec![false; total.div_ceil(block.frame_bytes) as usize];
        let mut wanted = 0;
        piece.overlap.to_dense().for_each_run(|from, _, n| {
            let byte = |element: usize| (element as u64).saturating_mul(size);
            let first = byte(from) / block.frame_bytes;
            let last = byte(from + n).saturating_sub(1) / block.frame_bytes;
            let range = first as usize..(last as usize).saturating_add(1).min(marks.len());
            marks.get_mut(range).unwrap_or_default().fill(true);
            wanted += byte(n);
        });
        let mut numbers: Vec<usize> = (0..marks.len()).filter(|i| marks.get(*i) == Some(&true)).collect();
        let bytes = |i: &usize| total.saturating_sub(*i as u64 * block.frame_bytes).min(block.frame_bytes);
        let partial = numbers.iter().map(bytes).sum::<u64>() > wanted;
        if schema.nullable {
            numbers.push(marks.len());
        }
        Ok(Self { numbers, partial, kept: partial || keeps })
    }

    /// Whether a part of the block will do.
    pub(super) fn is_part_of(&self, schema: &ArraySchema, block: &BlockMeta, piece: &Piece) -> bool {
        self.partial
            || framed::frame_count(schema, piece.elements, block.frame_bytes) > self.numbers.len() as u64
    }

    pub(super) fn frames<'t>(&self, table: &'t FrameTable) -> impl Iterator<Item = &'t Frame> {
        self.numbers.iter().filter_map(|i| table.get(*i))
    }
}

impl Version {
    /// The frames, if the cache has all of them.
    pub(super) fn cached_frames(&self, block: &BlockMeta, needed: &Needed) -> Result<Option<Vec<Bytes>>> {
        let key = self.block_key(block)?;
        let cached = |i: &usize| match self.config.cache.get(&key.of_frame(*i)) {
            Some(Cached::Block(bytes)) => Some(bytes),
            _ => None,
        };
        let found: Option<Vec<Bytes>> = needed.numbers.iter().map(cached).collect();
        if found.is_some() {
            self.objects.counting.cache_hits.fetch_add(1, Ordering::Relaxed);
        }
        Ok(found)
    }
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
    ) -> Result<()> {
        with_scratch(|scratch| match stored {
            Stored::Decoded(frames) => self.copy(frames, plan, target),
            Stored::Fetched(table, stretches) => {
                let stretches: Vec<(u64, &[u8])> = stretches.iter().map(|(at, b)| (*at, &b[..])).collect();
                self.decode(version, table, &stretches, &mut scratch.raw, plan, target)
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
                let mut parts: Vec<(u64, Vec<u8>)> = Vec::new();
                match &stretches(self.needed.frames(&table), GAP_BYTES)[..] {
                    [one] => {
                        object.read_now(at(one), stored)?;
                        return self.decode(version, &table, &[(one.start, stored)], raw, plan, target);
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
                self.decode(version, &table, &parts, raw, plan, target)
            }
        })
    }

    fn decode(
        &self,
        version: &Version,
        table: &FrameTable,
        stretches: &[(u64, &[u8])],
        raw: &mut Vec<u8>,
        plan: &CopyPlan,
        target: &mut Target<'_>,
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
        let mask =
            |mask: &Frame| mask.decode_mask(&*codec, params, stored(&mask.stored)?, self.piece.elements);
        let n = self.needed.numbers.len() - usize::from(table.mask().is_some());
        let frames = || self.needed.frames(table).take(n);
        let bytes = |frame: &Frame| frame.raw().end - frame.raw().start;
        let len = frames().map(bytes).sum();
        check_earned(self.block.stored_bytes, len)?;
        version.objects.counting.decoded_blocks.fetch_add(1, Ordering::Relaxed);
        if self.needed.kept {
            let key = version.block_key(self.block)?;
            let kept = |(frame, number): (&Frame, &usize)| {
                version.config.cache.get_or_decode(&key.of_frame(*number), || {
                    if table.mask() == Some(frame) {
                        return mask(frame).map(Bytes::from);
                    }
                    let mut raw = zeroed(bytes(frame) as usize)?;
                    frame.decode(self.schema, &*codec, params, stored(&frame.stored)?, &mut raw)?;
                    Ok(Bytes::from(raw))
                })
            };
            let decoded = self.needed.frames(table).zip(&self.needed.numbers).map(kept);
            return self.copy(&decoded.collect::<Result<Vec<_>>>()?, plan, target);
        }
        // All that lies between them is asked for too: they are neighbours, or a gap costs memory and no time.
        let (start, end) = match (frames().next(), frames().last()) {
            (Some(f), Some(l)) => (f.raw().start, l.raw().end),
            _ => (0, 0),
        };
        check_earned(self.block.stored_bytes, end - start)?;
        let len = (end - start) as usize;
        if raw.len() < len {
            *raw = zeroed(len)?;
        }
        for frame in frames() {
            let (from, to) = ((frame.raw().start - start) as usize, (frame.raw().end - start) as usize);
            if let Some(dst) = raw.get_mut(from..to) {
                frame.decode(self.schema, &*codec, params, stored(&frame.stored)?, dst)?;
            }
        }
        let raw = raw.get(..len).unwrap_or_default();
        let size = self.size();
        plan.copy_bytes(raw, start / (size as u64).max(1), target.values, size)?;
        if let (Some(frame), Some(validity)) = (table.mask(), &mut target.validity) {
            plan.copy_bytes(&mask(frame)?, 0, validity, 1)?;
        }
        Ok(())
    }

    fn size(&self) -> usize {
        self.schema.dtype.fixed_size_bytes().unwrap_or(0)
    }

    /// Puts elements of decoded frames in place.
    fn copy(&self, frames: &[Bytes], plan: &CopyPlan, target: &mut Target<'_>) -> Result<()> {
        let (size, numbers) = (self.size(), &self.needed.numbers);
        let frame_bytes = usize::try_from(self.block.frame_bytes).unwrap_or(usize::MAX).max(1);
        let (mut missing, mut place) = (false, 0);
        plan.for_each_run(|from, to, n| {
            let (mut at, mut to, end) = (from * size, to * size, (from + n) * size);
            while at < end {
                let number = at / frame_bytes;
                if numbers.get(place) != Some(&number) {
                    place = numbers.binary_search(&number).unwrap_or(usize::MAX);
                }
                let within = at % frame_bytes;
                let len = (frame_bytes - within).min(end - at);
                let source = frames.get(place).and_then(|f| f.get(within..within + len));
                match (source, target.values.get_mut(to..to + len)) {
                    (Some(source), Some(target)) => target.copy_from_slice(source),
                    _ => missing = true,
                }
                (at, to) = (at + len, to + len);
            }
        });
        if missing {
            return Err(Error::corrupt("a chunk has fewer elements than its shape"));
        }
        if let (true, Some(mask), Some(validity)) =
            (self.schema.nullable, frames.last(), &mut target.validity)
        {
            plan.copy_bytes(mask, 0, validity, 1)?;
        }
        Ok(())
    }
}
