//! Where things lie: objects, blocks, chunks.

use std::fmt;

use crate::format::trailer::{Id, hex};

/// An object of a file, named so that the name means the same in every version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectId {
    /// Layer of that number: the base or a sidecar.
    Layer(u64),
    /// Blocks that were written ahead of the commit that made them visible.
    Detached(Id),
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layer(n) => write!(f, "{n}"),
            Self::Detached(id) => write!(f, "{}", hex(id)),
        }
    }
}

/// A block: its object and its number in that object's block table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId {
    /// The object that holds the block.
    pub object: ObjectId,
    /// Number in the object's block table.
    pub number: u64,
}

/// Where a chunk lies in the decoded bytes of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkAddress {
    /// The block that holds the chunk.
    pub block: BlockId,
    /// First byte in the decoded block.
    pub offset: u64,
    /// Bytes in the decoded block.
    pub length: u64,
}
