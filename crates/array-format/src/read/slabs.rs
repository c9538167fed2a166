//! A region of the result in parts that are filled independently: slabs.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use array_format_core::block::ChunkRef;
use array_format_core::framed::FrameTable;
use array_format_core::grid::Overlap;

use super::fill::Target;
use super::single::LARGE_BYTES;
use super::view::ChunkSource;

/// Stored bytes that are decoded at once while a large region is read, at most.
const BATCH_BYTES: u64 = 32 << 20;
/// And at least over a network, unless there are no more: small batches follow each other closely, so that the line is never idle.
pub(super) const LEAST_BATCH_BYTES: u64 = 4 << 20;

/// A slab is cut into parts of about this many bytes: what lies in a part is still in the cache of the core when the chunks beside it are
/// put in, and the memory of the result is touched once.
const PART_BYTES: Range<u64> = 256 << 10..4 << 20;
/// Parts for each core, so that none is idle while the last ones are decoded.
const PARTS_A_CORE: u64 = 8;
/// A smaller slab that is alone is not worth waking other cores for.
const ALONE_BYTES: u64 = 4 << 20;

/// A chunk of a region, and which part of it goes where.
#[derive(Clone)]
pub(super) struct Piece {
    pub(super) source: ChunkSource,
    pub(super) overlap: Overlap,
    /// Elements of the chunk.
    pub(super) elements: usize,
    /// The frame table of the chunk, once one of its pieces has read it.
    pub(super) table: Option<Arc<OnceLock<FrameTable>>>,
    /// Whether the chunk is counted with this piece.
    pub(super) is_counted: bool,
}

impl Piece {
    pub(super) fn new(source: ChunkSource, overlap: Overlap, elements: usize) -> Self {
        Self { source, overlap, elements, table: None, is_counted: true }
    }

    /// Whether the piece is all of a chunk that has a block to itself, and worth being decoded straight into the result.
    pub(super) fn is_all_of(&self, chunk: &ChunkRef) -> bool {
        let o = &self.overlap;
        chunk.length >= LARGE_BYTES && chunk.length == chunk.block.decoded_bytes && o.count == o.cell
    }

    /// Whether no frame holds elements of both the rows before `row` and those from it on. All axes before `axis` have one index.
    fn is_cut_by_frames(&self, axis: usize, size: u64, row: u64) -> bool {
        let ChunkSource::Stored(chunk) = &self.source else { return true };
        if chunk.block.frame_bytes == 0 {
            return false;
        }
        let o = &self.overlap;
        let row_bytes = o.cell.iter().skip(axis + 1).product::<u64>().saturating_mul(size);
        let before = o.cell.iter().zip(&o.in_cell).take(axis).fold(0u64, |n, (cell, i)| n * cell + i);
        let (Some(cell), Some(first), Some(step)) = (o.cell.get(axis), o.in_cell.get(axis), o.step.get(axis))
        else {
            return false;
        };
        let byte = |row: u64| (before * cell + first + row * step).saturating_mul(row_bytes);
        let last = byte(row - 1).saturating_add(row_bytes).saturating_sub(1);
        last / chunk.block.frame_bytes < byte(row) / chunk.block.frame_bytes
    }
}

/// A contiguous part of the result, and what fills it.
pub(super) struct Slab<'a> {
    pub(super) pieces: Vec<Piece>,
    pub(super) shape: Vec<u64>,
    pub(super) target: Target<'a>,
}

impl<'a> Slab<'a> {
    /// The same in parts of some of its rows along `axis`, the first axis that has more than one; each frame is needed for one part only.
    fn cut(mut self, axis: usize, size: u64, most: u64) -> Vec<Self> {
        let rows = self.shape.get(axis).copied().unwrap_or(1);
        let row_elements = self.shape.iter().skip(axis + 1).product::<u64>();
        if self.target.values.len() as u64 <= most {
            return vec![self];
        }
        let rows_a_part = (most / row_elements.saturating_mul(size).max(1)).max(1);
        let mut parts = Vec::new();
        let mut start = 0;
        for row in 1..=rows {
            let is_cut =
                row - start >= rows_a_part && self.pieces.iter().all(|p| p.is_cut_by_frames(axis, size, row));
            if row < rows && !is_cut {
                continue;
            }
            if start == 0 && row == rows {
                return vec![self];
            }
            if start == 0 {
                self.pieces.iter_mut().for_each(|p| p.table = Some(Arc::default()));
            }
            let part = |p: &Piece| {
                let mut overlap = p.overlap.rows(axis, start..row);
                if let Some(i) = overlap.in_region.get_mut(axis) {
                    *i -= start;
                }
                Piece { overlap, is_counted: start == 0, ..p.clone() }
            };
            let mut shape = self.shape.clone();
            if let Some(n) = shape.get_mut(axis) {
                *n = row - start;
            }
            let elements = usize::try_from((row - start) * row_elements).unwrap_or(usize::MAX);
            let target = self.target.split_off(elements, size as usize);
            parts.push(Self { pieces: self.pieces.iter().map(part).collect(), shape, target });
            start = row;
        }
        parts
    }
}

/// Slabs in parts, where cores read what they decode: enough for all cores, and so small that caches hold them. `axis` is the first one on
/// which the region has more than one index.
pub(super) fn cut(slabs: Vec<Slab<'_>>, axis: usize, size: u64) -> Vec<Slab<'_>> {
    let total = slabs.iter().map(|s| s.target.values.len() as u64).sum::<u64>();
    // The mask of a chunk is one frame, whatever part of it is needed.
    if slabs.iter().any(|s| s.target.validity.is_some()) || (slabs.len() < 2 && total <= ALONE_BYTES) {
        return slabs;
    }
    let parts = PARTS_A_CORE.saturating_mul(rayon::current_num_threads() as u64);
    let most = (total / parts.max(1)).clamp(PART_BYTES.start, PART_BYTES.end);
    slabs.into_iter().flat_map(|slab| slab.cut(axis, size, most)).collect()
}

/// Bytes that are held while a slab is decoded: those of shared blocks, and of all blocks that come over a network.
fn held_bytes(slab: &Slab<'_>, reads_now: bool) -> u64 {
    let piece = |p: &Piece| match &p.source {
        // What is decoded by who reads it is not held.
        ChunkSource::Stored(c) if reads_now && p.is_all_of(c) => 0,
        ChunkSource::Stored(c) if c.block.frame_bytes == 0 || !reads_now => c.block.stored_bytes,
        _ => 0,
    };
    slab.pieces.iter().fold(0, |sum, p| sum.saturating_add(piece(p)))
}

pub(super) fn held(batch: &[Slab<'_>], reads_now: bool) -> u64 {
    batch.iter().fold(0, |sum, slab| sum.saturating_add(held_bytes(slab, reads_now)))
}

/// Slabs that are decoded together: as many as give each core the same number, unless they are large.
pub(super) fn batches(slabs: Vec<Slab<'_>>, reads_now: bool, cores: usize) -> Vec<Vec<Slab<'_>>> {
    let mut batches: Vec<Vec<Slab<'_>>> = Vec::new();
    let mut bytes = 0;
    for slab in slabs {
        let more = held_bytes(&slab, reads_now);
        let full = |batch: &Vec<Slab<'_>>| {
            !reads_now && bytes >= LEAST_BATCH_BYTES && batch.len().is_multiple_of(cores)
        };
        match batches.last_mut() {
            Some(batch) if more.saturating_add(bytes) <= BATCH_BYTES && !full(batch) => {
                batch.push(slab);
                bytes = more.saturating_add(bytes);
            }
            _ => {
                batches.push(vec![slab]);
                bytes = more;
            }
        }
    }
    batches
}
