//! Bringing what slabs are decoded from.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use array_format_core::block::{BlockMeta, ChunkRef};
use array_format_core::buffer::Elements;
use array_format_core::framed;
use array_format_core::schema::ArraySchema;
use array_format_core::{Error, Result};
use bytes::Bytes;

use super::fetch::Stretch;
use super::frames::{self, Needed, Stored};
use super::slabs::{Piece, Slab};
use super::source::stretches;
use super::view::ChunkSource;
use crate::index::Version;

/// Framed blocks above this size are not fetched whole for a part of them.
pub(super) const WHOLE_BLOCK_BYTES: u64 = 512 << 10;

/// A piece with the bytes that it is decoded from.
pub(super) enum Loaded {
    Staged(Arc<Elements>),
    Unwritten,
    /// The decoded block that holds the chunk.
    Block(ChunkRef, Bytes),
    /// A block that holds nothing else, as it is stored.
    Alone(ChunkRef, Bytes),
    /// The same, where whoever decodes it can read it without waiting.
    Later(ChunkRef),
    Frames(Arc<BlockMeta>, Stored, Needed),
}

impl Version {
    /// What every piece is decoded from, in the order of the pieces. `keeps`: see [`load_frames`](Self::load_frames).
    pub(super) async fn load(
        &self,
        schema: &ArraySchema,
        slabs: &[Slab<'_>],
        keeps: bool,
    ) -> Result<Vec<Loaded>> {
        let pieces = || slabs.iter().flat_map(|s| &s.pieces);
        let stored = || {
            pieces().filter_map(|p| match &p.source {
                ChunkSource::Stored(c) => Some((c, p)),
                _ => None,
            })
        };
        let (mut shared, mut alone, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        let at_once = self.objects.reads_at_once();
        let mut later: HashSet<&Arc<BlockMeta>> = HashSet::new();
        for (c, piece) in stored().filter(|s| s.0.block.frame_bytes == 0) {
            let is_alone = !keeps && piece.is_all_of(c) && self.cached_block(&c.block)?.is_none();
            match seen.insert(&c.block) {
                true if is_alone && at_once => {
                    later.insert(&c.block);
                }
                true if is_alone => alone.push(&c.block),
                true => shared.push(c.block.clone()),
                false => {}
            }
        }
        self.prepare(later.iter().map(|block| &***block)).await?;
        let stretches: Vec<Stretch> = alone.iter().map(|b| Stretch::of(b)).collect();
        let mut alone: HashMap<&Arc<BlockMeta>, Bytes> =
            alone.into_iter().zip(self.fetch(&stretches).await?).collect();
        let blocks = if shared.is_empty() { HashMap::new() } else { self.blocks(&shared).await? };
        let frames = self
            .load_frames(schema, &stored().filter(|s| s.0.block.frame_bytes > 0).collect::<Vec<_>>(), keeps)
            .await?;
        let mut frames = frames.into_iter();
        pieces()
            .map(|p| {
                Ok(match &p.source {
                    ChunkSource::Staged(e) => Loaded::Staged(e.clone()),
                    ChunkSource::Unwritten | ChunkSource::Elsewhere(_) => Loaded::Unwritten,
                    ChunkSource::Stored(c) if later.remove(&c.block) => Loaded::Later(c.clone()),
                    ChunkSource::Stored(c) if c.block.frame_bytes == 0 => match alone.remove(&c.block) {
                        Some(stored) => Loaded::Alone(c.clone(), stored),
                        None => {
                            let bytes = blocks.get(&c.block).cloned();
                            let bytes = bytes.ok_or_else(|| Error::corrupt("a block was not loaded"))?;
                            Loaded::Block(c.clone(), bytes)
                        }
                    },
                    ChunkSource::Stored(_) => {
                        frames.next().ok_or_else(|| Error::corrupt("a block was not loaded"))?
                    }
                })
            })
            .collect()
    }

    /// Loads what the cache lacks of framed blocks: all of a small one; of a large one its table first, then its frames. What can be read
    /// without waiting is left to those who decode. `keeps`: all frames go to the cache, not only those that are used in part.
    async fn load_frames(
        &self,
        schema: &ArraySchema,
        wanted: &[(&ChunkRef, &Piece)],
        keeps: bool,
    ) -> Result<Vec<Loaded>> {
        let at_once = self.objects.reads_at_once();
        let mut plans = Vec::with_capacity(wanted.len());
        for (c, piece) in wanted {
            self.check_inside(c.block.id.object, c.block.offset..c.block.end())?;
            let needed = Needed::of(schema, &c.block, piece, keeps);
            let needed = needed.map_err(|e| self.at_block(e, &c.block))?;
            let stored = match self.cached_frames(&c.block, &needed)? {
                Some(frames) => {
                    self.objects.counting.cache_hits.fetch_add(1, Ordering::Relaxed);
                    Some(Stored::Decoded(frames))
                }
                None => at_once.then_some(Stored::Now),
            };
            plans.push((needed, stored));
        }
        let now = wanted.iter().zip(&plans).filter(|(_, (_, stored))| matches!(stored, Some(Stored::Now)));
        self.prepare(now.map(|((c, _), _)| &*c.block)).await?;
        let later: Vec<(&BlockMeta, &Piece, &Needed)> = wanted
            .iter()
            .zip(&plans)
            .filter(|(_, (_, stored))| stored.is_none())
            .map(|((c, piece), (needed, _))| (&*c.block, *piece, needed))
            .collect();
        let mut fetched = self.fetch_frames(schema, &later).await?.into_iter();
        let loaded = wanted.iter().zip(plans).map(|((c, _), (needed, stored))| {
            let stored = stored.or_else(|| fetched.next());
            let stored = stored.ok_or_else(|| Error::corrupt("a block was not loaded"))?;
            Ok(Loaded::Frames(c.block.clone(), stored, needed))
        });
        loaded.collect()
    }

    async fn fetch_frames(
        &self,
        schema: &ArraySchema,
        wanted: &[(&BlockMeta, &Piece, &Needed)],
    ) -> Result<Vec<Stored>> {
        let first: Vec<Stretch> = wanted
            .iter()
            .map(|(b, p, needed)| {
                let part = b.stored_bytes > WHOLE_BLOCK_BYTES && needed.is_part_of(schema, b, p);
                let table = framed::table_bytes(schema, p.elements, b.frame_bytes);
                let len = if part { table } else { b.stored_bytes };
                Stretch { object: b.id.object, range: b.offset..b.offset.saturating_add(len) }
            })
            .collect();
        let firsts = self.fetch(&first).await?;
        let mut tables = Vec::new();
        let mut second = Vec::new();
        for ((b, p, needed), bytes) in wanted.iter().zip(&firsts) {
            let table = frames::table(schema, p.elements, b, bytes).map_err(|e| self.at_block(e, b))?;
            let mut parts = Vec::new();
            if (bytes.len() as u64) < b.stored_bytes {
                parts = stretches(needed.stored(&table), 0, u64::MAX);
                second.extend(parts.iter().map(|part| Stretch {
                    object: b.id.object,
                    range: b.offset + part.start..b.offset + part.end,
                }));
            }
            tables.push((table, parts));
        }
        let mut seconds = self.fetch(&second).await?.into_iter();
        let stored = firsts.into_iter().zip(tables).map(|(bytes, (table, parts))| {
            if parts.is_empty() {
                return Stored::Fetched(table, vec![(0, bytes)]);
            }
            Stored::Fetched(table, parts.into_iter().map(|p| p.start).zip(seconds.by_ref()).collect())
        });
        Ok(stored.collect())
    }
}
