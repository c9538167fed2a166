//! Which blocks of a batch the cache keeps.

use std::collections::HashSet;

use array_format_core::Result;
use array_format_core::address::BlockId;
use array_format_core::block::BlockMeta;

use crate::index::Version;

/// Decoded bytes of blocks used in part that a batch keeps at once. Fresh memory for blocks took a fifth of a large batch: of more blocks, only those
/// are kept that were wanted before.
const KEPT_BYTES: u64 = 1 << 20;

/// The decision for the blocks of one batch.
#[derive(Debug)]
pub(super) enum Kept {
    /// All that are used in part.
    Parts,
    These(HashSet<BlockId>),
}

impl Kept {
    /// `used`: the blocks in the order of the batch, and whether every byte of one is used at that place. Then it is not kept: the disk gives it
    /// back as fast.
    pub(super) fn of<'b>(
        version: &Version,
        used: impl Iterator<Item = (&'b BlockMeta, bool)>,
    ) -> Result<Self> {
        let in_part: Vec<&BlockMeta> =
            used.filter(|(_, is_whole)| !is_whole).map(|(block, _)| block).collect();
        let bytes = in_part.iter().fold(0u64, |sum, block| sum.saturating_add(block.decoded_bytes));
        if bytes <= KEPT_BYTES {
            return Ok(Self::Parts);
        }
        let (mut seen, mut kept) = (HashSet::with_capacity(in_part.len()), HashSet::new());
        for block in in_part {
            // Used at two places, it would be decoded twice otherwise.
            if !seen.insert(block.id) || version.config.cache.wanted_again(&version.block_key(block)?) {
                kept.insert(block.id);
            }
        }
        Ok(Self::These(kept))
    }

    pub(super) fn keeps(&self, block: &BlockMeta, is_whole: bool) -> bool {
        match self {
            Self::Parts => !is_whole,
            Self::These(kept) => !is_whole && kept.contains(&block.id),
        }
    }
}
