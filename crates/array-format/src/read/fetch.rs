//! Bringing blocks into memory: neighbouring ranges in one request, many requests in flight, each block decoded once.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use array_format_core::address::ObjectId;
use array_format_core::block::{BlockMeta, ChunkRef};
use array_format_core::buffer::zeroed;
use array_format_core::checksum::{check_earned, verify};
use array_format_core::chunk;
use array_format_core::codec::CompressionCodec;
use array_format_core::format::constants::MAX_BLOCK_BYTES;
use array_format_core::schema::ArraySchema;
use array_format_core::{Error, Result};
use bytes::Bytes;
use futures::FutureExt;
use futures::stream::{self, StreamExt, TryStreamExt};
use rayon::prelude::*;

use super::scratch::{room, with_scratch};
use crate::cache::Cached;
use crate::index::Version;
use crate::write::pack::parallel;

/// Requests in flight.
pub(super) const IN_FLIGHT: usize = 32;
/// A gap that is read along rather than asked around: what a request costs in bytes, about.
pub(super) const GAP_BYTES: u64 = 32 << 10;
/// Stretches that are worth the help of other cores.
const MANY: usize = 32;
/// Longest coalesced range.
pub(super) const RANGE_BYTES: u64 = 4 << 20;

/// A stretch of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) object: ObjectId,
    pub(crate) range: Range<u64>,
}

impl Stretch {
    /// All of a block.
    pub(super) fn of(block: &BlockMeta) -> Self {
        Self { object: block.id.object, range: block.offset..block.end() }
    }
}

/// Merges neighbours; pure.
pub(crate) fn coalesce(mut wanted: Vec<Stretch>) -> Vec<Stretch> {
    wanted.sort_by_key(|w| (w.object, w.range.start, w.range.end));
    let mut merged: Vec<Stretch> = Vec::new();
    for next in wanted {
        if let Some(last) = merged.last_mut()
            && last.object == next.object
            && next.range.start <= last.range.end.saturating_add(GAP_BYTES)
            && (next.range.end <= last.range.end || next.range.end - last.range.start <= RANGE_BYTES)
        {
            last.range.end = last.range.end.max(next.range.end);
            continue;
        }
        merged.push(next);
    }
    merged
}

impl Version {
    /// The bytes of stretches, in the order given.
    pub(crate) async fn fetch(&self, wanted: &[Stretch]) -> Result<Vec<Bytes>> {
        let merged = coalesce(wanted.to_vec());
        let bytes = self.read_all(&merged).await.map_err(|e| self.in_file(e))?;
        let find = |w: &Stretch| {
            let past = merged.partition_point(|m| (m.object, m.range.start) <= (w.object, w.range.start));
            let i = past.checked_sub(1)?;
            let (m, b) = (merged.get(i)?, bytes.get(i)?);
            let from = usize::try_from(w.range.start - m.range.start).ok()?;
            let to = usize::try_from(w.range.end - m.range.start).ok()?;
            (to <= b.len()).then(|| b.slice(from..to))
        };
        wanted.iter().map(|w| find(w).ok_or_else(|| Error::corrupt("a range was cut short"))).collect()
    }

    async fn read_all(&self, wanted: &[Stretch]) -> Result<Vec<Bytes>> {
        let read = |w: &Stretch| self.read(w.object, w.range.clone());
        // Where nothing is waited for, the time goes into opening and copying, and all cores do it.
        let at_once = wanted.len() >= MANY && self.objects.storage.answers_at_once();
        let now: Vec<Option<Result<Bytes>>> = match at_once {
            true => wanted.par_iter().with_min_len(MANY / 4).map(|w| read(w).now_or_never()).collect(),
            false => wanted.iter().map(|_| None).collect(),
        };
        // Collected first: a future that holds closures over references cannot be sent to another thread.
        let reads: Vec<_> = now
            .into_iter()
            .zip(wanted)
            .map(|(now, w)| self.read_unless(now, w.object, w.range.clone()))
            .collect();
        stream::iter(reads).buffered(IN_FLIGHT).try_collect().await
    }

    /// What was read already, or not: who wanted an object that another thread was opening asks again.
    async fn read_unless(
        &self,
        now: Option<Result<Bytes>>,
        object: ObjectId,
        range: Range<u64>,
    ) -> Result<Bytes> {
        match now {
            Some(bytes) => bytes,
            None => self.read(object, range).await,
        }
    }

    pub(crate) fn codec(&self, block: &BlockMeta) -> Result<Arc<dyn CompressionCodec>> {
        let codec = self.config.codecs.codec(block.codec.id, &block.codec.name);
        codec.map_err(|e| self.at_block(e, block))
    }

    pub(crate) fn at_block(&self, e: Error, block: &BlockMeta) -> Error {
        self.in_file(e.in_layer(block.id.object).in_block(block.id.number).at_offset(block.offset))
    }

    /// Checks and decodes an unframed block.
    pub(crate) fn decode_block(&self, block: &BlockMeta, stored: &[u8]) -> Result<Bytes> {
        let decode = || {
            verify(stored, block.checksum, "a block")?;
            let mut decoded = zeroed(self.decoded_len(block)?)?;
            self.decompress(block, stored, &mut decoded)?;
            Ok(Bytes::from(decoded))
        };
        decode().map_err(|e| self.at_block(e, block))
    }

    /// Checks and decodes an unframed block into memory that is used again.
    pub(super) fn decode_block_to<'r>(
        &self,
        block: &BlockMeta,
        stored: &[u8],
        raw: &'r mut Vec<u8>,
    ) -> Result<&'r [u8]> {
        verify(stored, block.checksum, "a block")?;
        let out = room(raw, self.decoded_len(block)?)?;
        self.decompress(block, stored, out)?;
        Ok(out)
    }

    /// The decoded bytes of an unframed block, if it may have so many.
    pub(super) fn decoded_len(&self, block: &BlockMeta) -> Result<usize> {
        if block.decoded_bytes > MAX_BLOCK_BYTES {
            return Err(Error::corrupt(format!("a block of {} decoded bytes", block.decoded_bytes)));
        }
        check_earned(block.stored_bytes, block.decoded_bytes)?;
        Ok(block.decoded_bytes as usize)
    }

    pub(super) fn decompress(&self, block: &BlockMeta, stored: &[u8], out: &mut [u8]) -> Result<()> {
        self.codec(block)?.decompress(&block.codec.params, stored, out)?;
        self.objects.counting.decoded_blocks.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Decodes the only chunk of an unframed block into memory of the size of its values. It is not kept.
    pub(crate) async fn decode_into(
        &self,
        schema: &ArraySchema,
        block: &BlockMeta,
        out: &mut [u8],
    ) -> Result<()> {
        let at = |e| self.at_block(e, block);
        let stored = self.read(block.id.object, block.offset..block.end()).await.map_err(at)?;
        let mut decode = || {
            verify(&stored, block.checksum, "a block")?;
            if chunk::is_plain(schema) {
                return self.decompress(block, &stored, out);
            }
            check_earned(block.stored_bytes, block.decoded_bytes)?;
            with_scratch(|scratch| {
                let values = room(&mut scratch.raw, block.decoded_bytes as usize)?;
                self.decompress(block, &stored, values)?;
                chunk::decode_fixed(schema, values, out)
            })
        };
        decode().map_err(at)
    }

    /// The decoded bytes of an unframed block, if the cache has them.
    pub(super) fn cached_block(&self, block: &BlockMeta) -> Result<Option<Bytes>> {
        match self.config.cache.get(&self.block_key(block)?) {
            Some(Cached::Block(bytes)) => Ok(Some(bytes)),
            _ => Ok(None),
        }
    }

    /// The decoded bytes of an unframed block, from the cache or its layer. Concurrent readers of it wait for each other.
    pub(crate) async fn block(&self, block: &Arc<BlockMeta>) -> Result<Bytes> {
        if let Some(bytes) = self.cached_block(block)? {
            self.objects.counting.hit();
            return Ok(bytes);
        }
        let key = self.block_key(block)?;
        let load = async {
            let stored = self.read(block.id.object, block.offset..block.end()).await;
            let stored = stored.map_err(|e| self.at_block(e, block))?;
            Ok(Cached::Block(self.decode_block(block, &stored)?))
        };
        match self.config.cache.get_or_load(&key, load).await? {
            Cached::Block(bytes) => Ok(bytes),
            _ => Err(self.at_block(Error::corrupt("a block and an index page claim the same place"), block)),
        }
    }

    /// The decoded bytes of unframed blocks, from the cache or their layers.
    pub(crate) async fn blocks(&self, wanted: &[Arc<BlockMeta>]) -> Result<HashMap<Arc<BlockMeta>, Bytes>> {
        let mut found = HashMap::new();
        let mut missing: Vec<&Arc<BlockMeta>> = Vec::new();
        for block in wanted {
            match self.cached_block(block)? {
                Some(bytes) => {
                    self.objects.counting.hit();
                    found.insert(block.clone(), bytes);
                }
                None => missing.push(block),
            }
        }
        if let [block] = missing[..] {
            found.insert(block.clone(), self.block(block).await?);
            return Ok(found);
        }
        let stored = self.fetch(&missing.iter().map(|b| Stretch::of(b)).collect::<Vec<_>>()).await?;
        let jobs: Vec<(&Arc<BlockMeta>, Bytes)> = missing.into_iter().zip(stored).collect();
        let decoded = parallel(&jobs, |(block, stored)| self.decode_block(block, stored))?;
        for ((block, _), bytes) in jobs.into_iter().zip(decoded) {
            let key = self.block_key(block)?;
            self.config.cache.insert(key, Cached::Block(bytes.clone()));
            found.insert(block.clone(), bytes);
        }
        Ok(found)
    }
}

/// The bytes of a chunk in its decoded block.
pub(crate) fn slice<'b>(chunk: &ChunkRef, block: &'b [u8]) -> Result<&'b [u8]> {
    let (from, to) = (chunk.offset as usize, chunk.offset.saturating_add(chunk.length) as usize);
    block.get(from..to).ok_or_else(|| Error::corrupt("a chunk lies outside of its block"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_read_together_and_strangers_apart() {
        let s = |n: u64, range: Range<u64>| Stretch { object: ObjectId::Layer(n), range };
        let got = coalesce(vec![
            s(0, 500..600),
            s(0, 0..100),
            s(1, 0..5),
            s(0, 50..80),
            s(0, 1 << 20..(1 << 20) + 1),
        ]);
        assert_eq!(got, [s(0, 0..600), s(0, 1 << 20..(1 << 20) + 1), s(1, 0..5)]);
        let long: Vec<_> = (0..20).map(|i| s(0, i << 20..(i + 1) << 20)).collect();
        assert!(coalesce(long).iter().all(|m| m.range.end - m.range.start <= RANGE_BYTES));
    }
}
