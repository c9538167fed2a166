//! Parts of large chunks: the frames that hold them, decoded alone.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use array_format_core::block::BlockMeta;
use array_format_core::buffer::zeroed;
use array_format_core::checksum::{check_earned, verify};
use array_format_core::framed::{self, Frame, FrameTable};
use array_format_core::grid::CopyPlan;
use array_format_core::schema::ArraySchema;
use array_format_core::{Error, Result};
use bytes::Bytes;
use parking_lot::Mutex;

use super::fill::Target;
use super::scratch::{Scratch, room, with_scratch};
use super::slabs::Piece;
use super::source::{READ_BYTES, Source, stretches};
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
    /// In an object that [is at once](crate::layer::object::Objects::reads_at_once): read by whoever decodes.
    Now,
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

/// Where decoded elements are put.
pub(super) trait Sink {
    /// Whether nobody else puts anything there.
    fn is_own(&self) -> bool;

    /// Calls `put` with it, while nobody else puts anything there.
    fn with(&mut self, put: impl FnOnce(&mut Target<'_>) -> Result<()>) -> Result<()>;
}

impl Sink for Target<'_> {
    fn is_own(&self) -> bool {
        true
    }

    fn with(&mut self, put: impl FnOnce(&mut Target<'_>) -> Result<()>) -> Result<()> {
        put(self)
    }
}

/// Several threads decode, and put what they have in turns.
impl Sink for &Mutex<&mut Target<'_>> {
    fn is_own(&self) -> bool {
        false
    }

    fn with(&mut self, put: impl FnOnce(&mut Target<'_>) -> Result<()>) -> Result<()> {
        put(&mut self.lock())
    }
}

/// Frames of one block.
pub(super) struct Frames<'a> {
    pub(super) schema: &'a ArraySchema,
    pub(super) block: &'a Arc<BlockMeta>,
    pub(super) piece: &'a Piece,
    pub(super) needed: &'a Needed,
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

    /// Where they lie in their block.
    pub(super) fn stored(&self, table: &FrameTable) -> impl Iterator<Item = Range<u64>> {
        self.frames(table).map(|frame| frame.stored.clone())
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
        Ok(needed.numbers.iter().map(cached).collect())
    }
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
        target: &mut impl Sink,
    ) -> Result<()> {
        with_scratch(|Scratch { stored: bytes, raw }| match stored {
            Stored::Decoded(frames) => target.with(|t| self.copy(frames, plan, t)),
            Stored::Fetched(table, stretches) => {
                self.decode(version, table, Source::Fetched(stretches), raw, plan, target)
            }
            Stored::Now => {
                let object = version.pinned_now(self.block.id.object, self.block.offset)?;
                let table = self.table_now(&object, bytes)?;
                let stretches = stretches(self.needed.stored(&table), GAP_BYTES, READ_BYTES);
                let source = Source::now(&object, self.block.offset, stretches, bytes);
                self.decode(version, &table, source, raw, plan, target)
            }
        })
    }

    /// The table, read from the disk by the first of the chunk's pieces.
    fn table_now(&self, object: &PinnedObject, bytes: &mut Vec<u8>) -> Result<FrameTable> {
        let shared = self.piece.table.as_deref();
        if let Some(table) = shared.and_then(OnceLock::get) {
            return Ok(table.clone());
        }
        let len = framed::table_bytes(self.schema, self.piece.elements, self.block.frame_bytes);
        let end = self.block.offset.saturating_add(len.min(self.block.stored_bytes));
        let bytes = object.read_now(self.block.offset..end, bytes)?;
        let table = table(self.schema, self.piece.elements, self.block, bytes)?;
        if let Some(shared) = shared {
            // Another piece may have been faster; it read the same.
            let _ = shared.set(table.clone());
        }
        Ok(table)
    }

    fn decode(
        &self,
        version: &Version,
        table: &FrameTable,
        mut source: Source<'_>,
        raw: &mut Vec<u8>,
        plan: &CopyPlan,
        target: &mut impl Sink,
    ) -> Result<()> {
        let codec = version.codec(self.block)?;
        let params = &self.block.codec.params;
        let n = self.needed.numbers.len() - usize::from(table.mask().is_some());
        let frames = || self.needed.frames(table).take(n);
        let bytes = |frame: &Frame| frame.raw().end - frame.raw().start;
        check_earned(self.block.stored_bytes, frames().map(bytes).sum())?;
        if self.piece.is_counted {
            version.objects.counting.decoded_blocks.fetch_add(1, Ordering::Relaxed);
        }
        if self.needed.kept {
            let key = version.block_key(self.block)?;
            let mut kept = |(frame, number): (&Frame, &usize)| {
                version.config.cache.get_or_decode(&key.of_frame(*number), || {
                    let stored = source.bytes(&frame.stored)?;
                    if table.mask() == Some(frame) {
                        return frame
                            .decode_mask(&*codec, params, stored, self.piece.elements)
                            .map(Bytes::from);
                    }
                    let mut raw = zeroed(bytes(frame) as usize)?;
                    frame.decode(self.schema, &*codec, params, stored, &mut raw)?;
                    Ok(Bytes::from(raw))
                })
            };
            let decoded = self.needed.frames(table).zip(&self.needed.numbers).map(&mut kept);
            let decoded = decoded.collect::<Result<Vec<_>>>()?;
            return target.with(|t| self.copy(&decoded, plan, t));
        }
        // All that lies between them is asked for too: they are neighbours, or a gap costs memory and no time.
        let (start, end) = match (frames().next(), frames().last()) {
            (Some(f), Some(l)) => (f.raw().start, l.raw().end),
            _ => (0, 0),
        };
        check_earned(self.block.stored_bytes, end - start)?;
        let (len, size) = ((end - start) as usize, self.size());
        let first = start / (size as u64).max(1);
        let into = |source: &mut Source<'_>, out: &mut [u8]| {
            frames().try_for_each(|frame| {
                let (from, to) = ((frame.raw().start - start) as usize, (frame.raw().end - start) as usize);
                let out = out.get_mut(from..to).unwrap_or_default();
                frame.decode(self.schema, &*codec, params, source.bytes(&frame.stored)?, out)
            })
        };
        if let Some(place) = in_place(plan, first, len, size).filter(|_| target.is_own()) {
            target.with(|t| into(&mut source, t.values.get_mut(place).unwrap_or_default()))?;
        } else if !self.copy_stored(frames, &mut source, plan, target)? {
            let raw = room(raw, len)?;
            into(&mut source, raw)?;
            target.with(|t| plan.copy_bytes(raw, first, t.values, size))?;
        }
        if let Some(mask) = table.mask() {
            let stored = source.bytes(&mask.stored)?;
            let mask = mask.decode_mask(&*codec, params, stored, self.piece.elements)?;
            target.with(|t| match &mut t.validity {
                Some(validity) => plan.copy_bytes(&mask, 0, validity, 1),
                None => Ok(()),
            })?;
        }
        Ok(())
    }

    /// Puts what is needed of frames in place if they are stored as they are, one after the other, without another copy; says whether it did.
    fn copy_stored<'f, I: Iterator<Item = &'f Frame>>(
        &self,
        frames: impl Fn() -> I,
        source: &mut Source<'_>,
        plan: &CopyPlan,
        target: &mut impl Sink,
    ) -> Result<bool> {
        let (Some(first), Some(last)) = (frames().next(), frames().last()) else { return Ok(false) };
        if first != last && !source.is_fetched() {
            return Ok(false);
        }
        for frame in frames() {
            let stored = source.bytes(&frame.stored)?;
            if frame.stored_raw(self.schema, self.block.codec.id, stored)?.is_none() {
                return Ok(false);
            }
        }
        // Frames between them that are not needed may not have been fetched.
        let Ok(raw) = source.bytes(&(first.stored.start..last.stored.end)) else { return Ok(false) };
        let (start, end) = (first.raw().start, last.raw().end);
        if raw.len() as u64 != end - start {
            return Ok(false);
        }
        let size = self.size();
        target.with(|t| plan.copy_bytes(raw, start / (size as u64).max(1), t.values, size)).map(|()| true)
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

/// Where `len` bytes of a chunk from its element `first` on go, if they are all that a plan copies, and stay as they lie.
pub(super) fn in_place(plan: &CopyPlan, first: u64, len: usize, size: usize) -> Option<Range<usize>> {
    let (from, to, n) = plan.one_run()?;
    let start = to.checked_mul(size)?;
    (from as u64 == first && n.checked_mul(size) == Some(len)).then_some(start..start.checked_add(len)?)
}
