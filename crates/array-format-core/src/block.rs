//! What an index says of a block: `docs/format.md` sections 4 (block list) and 9.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustc_hash::FxHasher;

use crate::address::{BlockId, ChunkAddress};
use crate::codec::CompressionCodec;
use crate::cursor::{Cursor, put_bytes, put_varint};
use crate::error::{Error, Result};

/// A codec as files name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CodecRecord {
    /// 0 none, 1 LZ4, 2 Zstandard, from 65,536 on a user's own.
    pub id: u32,
    /// For error texts.
    pub name: String,
    /// What the codec wants back when it decodes.
    pub params: Vec<u8>,
}

impl CodecRecord {
    /// How `codec` is recorded.
    pub fn of(codec: &dyn CompressionCodec) -> Self {
        Self { id: codec.id(), name: codec.name().to_owned(), params: codec.params() }
    }

    /// Appends the on-disk form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.id));
        put_bytes(out, self.name.as_bytes());
        put_bytes(out, &self.params);
    }

    /// Reads the on-disk form.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn decode(c: &mut Cursor<'_>) -> Result<Self> {
        let id = c.varint()?;
        let id = u32::try_from(id).map_err(|_| Error::corrupt(format!("codec id {id}")))?;
        Ok(Self { id, name: c.str()?.to_owned(), params: c.bytes()?.to_vec() })
    }
}

/// A block, as the indexes of all layers describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockMeta {
    /// Which block.
    pub id: BlockId,
    /// First byte in the object.
    pub offset: u64,
    /// Bytes in the object.
    pub stored_bytes: u64,
    /// Bytes when decoded.
    pub decoded_bytes: u64,
    /// Raw bytes of a frame; 0 if the block is not framed.
    pub frame_bytes: u64,
    /// How it is compressed.
    pub codec: Arc<CodecRecord>,
    /// CRC-32C of the stored bytes, or of the frame table.
    pub checksum: u32,
}

impl BlockMeta {
    /// First byte after the block in its object.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.stored_bytes)
    }

    /// A number, never 0, that two descriptions share if they are equal, and else hardly ever: for comparing with descriptions that are
    /// not kept. Of this process only. Taken at every read from the cache, so that it has to cost little.
    pub fn fingerprint(&self) -> u32 {
        let mut hasher = FxHasher::default();
        (self, &self.codec).hash(&mut hasher);
        (hasher.finish() as u32).max(1)
    }
}

/// Of its numbers, all at once: every read looks its blocks up in several tables, and nearly all blocks of a file have the same codec.
impl Hash for BlockMeta {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { id, offset, stored_bytes, decoded_bytes, frame_bytes, codec, checksum } = self;
        id.object.hash(state);
        let codec_and_checksum = u64::from(codec.id) << 32 | u64::from(*checksum);
        [id.number, *offset, *stored_bytes, *decoded_bytes, *frame_bytes, codec_and_checksum].hash(state);
    }
}

/// A chunk's place, with all that is needed to read it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChunkRef {
    /// The block that holds the chunk.
    pub block: Arc<BlockMeta>,
    /// First byte in the decoded block.
    pub offset: u64,
    /// Bytes in the decoded block.
    pub length: u64,
}

impl ChunkRef {
    /// The place as a plain address.
    pub fn address(&self) -> ChunkAddress {
        ChunkAddress { block: self.block.id, offset: self.offset, length: self.length }
    }
}
