//! Bringing blocks into the layer that is written.

use std::collections::HashMap;
use std::sync::Arc;

use array_format_core::address::{BlockId, ObjectId};
use array_format_core::block::{BlockMeta, ChunkRef, CodecRecord};
use array_format_core::checksum::verify;
use array_format_core::codec::{NUMBERS_ID, NoCompression};
use array_format_core::{Error, Result};
use bytes::Bytes;

use super::paged::Paged;
use crate::index::Version;
use crate::read::fetch::{Stretch, slice};
use crate::write::pack::compress;
use crate::write::sink::{LayerSink, ReadyBlock};

/// Stored bytes that are brought at once.
const BATCH_BYTES: u64 = 16 << 20;

/// Where a block went.
#[derive(Debug, Clone, Copy, Default)]
struct Moved {
    /// Its new number.
    number: u32,
    /// Of the description that it had; 0: not moved. In a damaged file two chunks may describe one block differently: each gets what it
    /// describes.
    fingerprint: u32,
    offset: u64,
}

/// What is known of the blocks of an object.
#[derive(Debug, Default)]
struct Blocks {
    /// Bytes that live, up to `u32::MAX`: more than a block that may be repacked can have.
    live: Paged<u32>,
    moved: Paged<Moved>,
}

/// Copies blocks to a layer, each once, as they are stored. Blocks that are mostly dead are taken apart.
pub(crate) struct Mover<'a> {
    version: &'a Version,
    objects: HashMap<ObjectId, Blocks>,
    /// Chunks of half-dead blocks, gathered by codec into new blocks.
    gathered: HashMap<Arc<CodecRecord>, Gathered>,
}

/// A new block of chunks of half-dead ones.
#[derive(Default)]
struct Gathered {
    bytes: Vec<u8>,
    /// Which of the chunks in hand, and its offset.
    members: Vec<(usize, u64)>,
}

impl<'a> Mover<'a> {
    pub(crate) fn new(version: &'a Version) -> Self {
        Self { version, objects: HashMap::new(), gathered: HashMap::new() }
    }

    /// Counts a chunk that lives.
    pub(crate) fn count(&mut self, chunk: &ChunkRef) {
        let id = chunk.block.id;
        let live = self.objects.entry(id.object).or_default().live.slot(id.number);
        *live = live.saturating_add(u32::try_from(chunk.length).unwrap_or(u32::MAX));
    }

    fn is_mostly_dead(&self, block: &BlockMeta) -> bool {
        let live = self.objects.get(&block.id.object).map_or(0, |o| o.live.get(block.id.number));
        block.frame_bytes == 0 && u64::from(live).saturating_mul(2) < block.decoded_bytes
    }

    fn moved(&self, block: &BlockMeta, to: ObjectId) -> Option<Arc<BlockMeta>> {
        let moved = self.objects.get(&block.id.object)?.moved.get(block.id.number);
        if moved.fingerprint != block.fingerprint() {
            return None;
        }
        let id = BlockId { object: to, number: moved.number.into() };
        Some(Arc::new(BlockMeta { id, offset: moved.offset, ..block.clone() }))
    }

    /// Moves chunks: afterwards they name their new places.
    pub(crate) async fn place(&mut self, chunks: &mut [&mut ChunkRef], sink: &mut LayerSink) -> Result<()> {
        let mut from = 0;
        while from < chunks.len() {
            let (mut to, mut bytes) = (from, 0u64);
            let mut last = None;
            while to < chunks.len() && (to == from || bytes < BATCH_BYTES) {
                let block = &chunks[to].block;
                if last.replace(block.id) != Some(block.id) {
                    bytes = bytes.saturating_add(block.stored_bytes);
                }
                to += 1;
            }
            self.place_batch(&mut chunks[from..to], sink).await?;
            from = to;
        }
        Ok(())
    }

    async fn place_batch(&mut self, chunks: &mut [&mut ChunkRef], sink: &mut LayerSink) -> Result<()> {
        let mut wanted: Vec<Arc<BlockMeta>> = Vec::new();
        for chunk in chunks.iter() {
            let known = wanted.last().is_some_and(|b| *b == chunk.block);
            if !known && self.moved(&chunk.block, sink.object()).is_none() {
                wanted.push(chunk.block.clone());
            }
        }
        wanted.sort_by_key(|b| b.id);
        wanted.dedup();
        let stretches: Vec<Stretch> =
            wanted.iter().map(|b| Stretch { object: b.id.object, range: b.offset..b.end() }).collect();
        let stored: HashMap<Arc<BlockMeta>, Bytes> =
            wanted.into_iter().zip(self.version.fetch(&stretches).await?).collect();
        let mut decoded: HashMap<Arc<BlockMeta>, Bytes> = HashMap::new();
        for i in 0..chunks.len() {
            let block = chunks[i].block.clone();
            if let Some(moved) = self.moved(&block, sink.object()) {
                chunks[i].block = moved;
                continue;
            }
            let at = |e: Error| self.version.at_block(e, &block);
            let bytes = stored.get(&block).ok_or_else(|| at(Error::corrupt("a block was not read")))?;
            if self.is_mostly_dead(&block) {
                let decoded = match decoded.get(&block) {
                    Some(decoded) => decoded,
                    None => decoded.entry(block.clone()).or_insert(self.version.decode_block(&block, bytes)?),
                };
                let bytes = slice(chunks[i], decoded).map_err(at)?.to_vec();
                self.gather(i, &bytes, chunks, sink).await?;
                continue;
            }
            // A copy must not launder damage.
            if block.frame_bytes == 0 {
                verify(bytes, block.checksum, "a block").map_err(at)?;
            } else {
                array_format_core::framed::check(bytes, block.checksum).map_err(at)?;
            }
            let ready = ReadyBlock {
                stored: bytes.clone(),
                decoded_bytes: block.decoded_bytes,
                frame_bytes: block.frame_bytes,
                codec: block.codec.clone(),
                checksum: block.checksum,
            };
            let new = sink.put_block(ready).await?;
            // Of 4,294,967,296 blocks before it, in one layer, the price is a second copy.
            if let Ok(number) = u32::try_from(new.id.number) {
                *self.objects.entry(block.id.object).or_default().moved.slot(block.id.number) =
                    Moved { number, fingerprint: block.fingerprint(), offset: new.offset };
            }
            chunks[i].block = new;
        }
        let codecs: Vec<_> = self.gathered.keys().cloned().collect();
        for codec in codecs {
            self.close(&codec, chunks, sink).await?;
        }
        Ok(())
    }

    /// Puts the bytes of chunk `i` into a new block.
    async fn gather(
        &mut self,
        i: usize,
        bytes: &[u8],
        chunks: &mut [&mut ChunkRef],
        sink: &mut LayerSink,
    ) -> Result<()> {
        let codec = chunks[i].block.codec.clone();
        let full = self.version.config.block_bytes_for(codec.id == NUMBERS_ID);
        if self.gathered.get(&codec).is_some_and(|g| g.bytes.len() + bytes.len() > full) {
            self.close(&codec, chunks, sink).await?;
        }
        let gathered = self.gathered.entry(codec).or_default();
        gathered.members.push((i, gathered.bytes.len() as u64));
        gathered.bytes.extend_from_slice(bytes);
        Ok(())
    }

    async fn close(
        &mut self,
        codec: &Arc<CodecRecord>,
        chunks: &mut [&mut ChunkRef],
        sink: &mut LayerSink,
    ) -> Result<()> {
        let Some(gathered) = self.gathered.remove(codec) else { return Ok(()) };
        let codec = crate::commit::blocks::writing_codec(codec, &self.version.config)?;
        // Chunks of a damaged file may be no whole numbers; what they are is kept.
        let ready =
            compress(&gathered.bytes, &*codec).or_else(|_| compress(&gathered.bytes, &NoCompression))?;
        let block = sink.put_block(ready).await?;
        for (i, offset) in gathered.members {
            (chunks[i].block, chunks[i].offset) = (block.clone(), offset);
        }
        Ok(())
    }
}
