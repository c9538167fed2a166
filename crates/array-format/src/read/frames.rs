//! Parts of large chunks: the frames that hold them, decoded alone.

use std::sync::atomic::Ordering;

use array_format_core::block::BlockMeta;
use array_format_core::buffer::zeroed;
use array_format_core::checksum::check_earned;
use array_format_core::framed::FrameTable;
use array_format_core::grid::CopyPlan;
use array_format_core::schema::ArraySchema;
use array_format_core::{Error, Result};

use super::assemble::{Piece, Target};
use crate::index::Version;

/// Frames of one block that were fetched.
pub(super) struct Frames<'a> {
    pub(super) schema: &'a ArraySchema,
    pub(super) block: &'a BlockMeta,
    pub(super) table: &'a FrameTable,
    /// Where `stored` begins in the block.
    pub(super) first: u64,
    pub(super) stored: &'a [u8],
}

impl Frames<'_> {
    fn stored(&self, range: std::ops::Range<u64>) -> Result<&[u8]> {
        let at = |offset: u64| offset.checked_sub(self.first).and_then(|o| usize::try_from(o).ok());
        at(range.start)
            .zip(at(range.end))
            .and_then(|(from, to)| self.stored.get(from..to))
            .ok_or_else(|| Error::corrupt("a frame was not loaded"))
    }

    /// Decodes what a piece needs of them, and puts it in place.
    pub(super) fn put(
        &self,
        version: &Version,
        piece: &Piece,
        plan: &CopyPlan,
        target: &mut Target<'_>,
        size: usize,
    ) -> Result<()> {
        let codec = version.codec(self.block)?;
        let params = &self.block.codec.params;
        let span = piece.overlap.span();
        let frames = self.table.frames_of(span.start * size as u64..span.end * size as u64);
        let (start, end) = match (frames.first(), frames.last()) {
            (Some(f), Some(l)) => (f.raw().start, l.raw().end),
            _ => (0, 0),
        };
        check_earned(self.block.stored_bytes, end - start)?;
        let mut raw = zeroed((end - start) as usize)?;
        for frame in frames {
            let (from, to) = ((frame.raw().start - start) as usize, (frame.raw().end - start) as usize);
            if let Some(dst) = raw.get_mut(from..to) {
                frame.decode(self.schema, &*codec, params, self.stored(frame.stored.clone())?, dst)?;
            }
        }
        version.objects.counting.decoded_blocks.fetch_add(1, Ordering::Relaxed);
        plan.copy_bytes(&raw, start / (size as u64).max(1), target.values, size)?;
        if let (Some(mask), Some(validity)) = (self.table.mask(), &mut target.validity) {
            let stored = self.stored(mask.stored.clone())?;
            plan.copy_bytes(&mask.decode_mask(&*codec, params, stored, piece.elements)?, 0, validity, 1)?;
        }
        Ok(())
    }
}
