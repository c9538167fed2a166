//! From chunks to the region that was asked for.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use array_format_core::address::ObjectId;
use array_format_core::block::{BlockMeta, ChunkRef};
use array_format_core::buffer::{Elements, Values, Variable, zeroed};
use array_format_core::checksum::check_earned;
use array_format_core::chunk;
use array_format_core::framed;
use array_format_core::grid::{CopyPlan, Grid, Region, element_count};
use array_format_core::schema::ArraySchema;
use array_format_core::{Error, Result};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::maybe_done;
use rayon::prelude::*;

use super::fetch::{Stretch, slice};
use super::frames::{self, Frames, Needed, Stored};
use super::scratch::with_scratch;
use super::slabs::{self, LEAST_BATCH_BYTES, Piece, Slab, batches, held};
use super::view::{ChunkSource, FoundArray, View};
use crate::index::Version;
use crate::layer::object::PinnedObject;
use crate::virtual_memory::prefer_large_pages;
use crate::write::pending::grid;

/// Stored bytes that are on their way meanwhile, for each core that decodes. All that is under way shares the line and arrives at about the same
/// time: too much of it, and nothing is there to be decoded until all is.
const AHEAD_BYTES_A_CORE: u64 = 8 << 20;

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
    Frames(Arc<BlockMeta>, Stored, Needed),
}

/// Where fixed-size elements are put: the values, and a byte an element for the mask.
pub(super) struct Target<'a> {
    pub(super) values: &'a mut [u8],
    pub(super) validity: Option<&'a mut [u8]>,
}

impl<'a> Target<'a> {
    /// The first elements, of `size` bytes each; the others stay.
    pub(super) fn split_off(&mut self, elements: usize, size: usize) -> Self {
        let (values, rest) = std::mem::take(&mut self.values).split_at_mut(elements * size);
        self.values = rest;
        let validity = self.validity.take().map(|v| {
            let (first, rest) = v.split_at_mut(elements);
            self.validity = Some(rest);
            first
        });
        Self { values, validity }
    }
}

impl View {
    /// Reads a region of an array into memory of its own.
    pub(crate) async fn read(&self, array: &FoundArray, region: &Region) -> Result<Elements> {
        let n = region.len()?;
        let schema = &array.schema;
        if let Some(size) = schema.dtype.fixed_size_bytes() {
            let len = n.checked_mul(size).ok_or_else(|| Error::invalid("a region larger than memory"))?;
            let mut values = zeroed(len)?;
            prefer_large_pages(&mut values);
            let mut validity = if schema.nullable { Some(zeroed(n)?) } else { None };
            self.read_fixed(array, region, &mut values, validity.as_deref_mut()).await?;
            return Ok(Elements { dtype: schema.dtype, values: Values::Fixed(values), validity });
        }
        self.read_variable(array, region, n).await
    }

    /// Reads a region of elements of fixed size straight into `values`, and a byte an element into `validity`.
    pub(crate) async fn read_fixed(
        &self,
        array: &FoundArray,
        region: &Region,
        values: &mut [u8],
        validity: Option<&mut [u8]>,
    ) -> Result<()> {
        let Some(grid) = grid(&array.node) else { return Ok(()) };
        let size = array.schema.dtype.fixed_size_bytes().unwrap_or(0);
        // Chunks of one coordinate on the first axis that is longer than 1 fill one contiguous slab of the result: slabs are filled in parallel.
        let axis = region.count.iter().position(|n| *n > 1).unwrap_or(0);
        let mut slabs: Vec<Slab<'_>> = Vec::new();
        let mut rest = Target { values, validity };
        let row_elements: u64 = region.count.iter().skip(axis + 1).product();
        for cells in grid.cells_of(region)?.chunk_by(|a, b| a.get(axis) == b.get(axis)) {
            let mut pieces = Vec::new();
            for coords in cells {
                let Some(overlap) = grid.overlap(coords, region) else { continue };
                let elements = element_count(&overlap.cell)?;
                let source = self.chunk(&array.node, coords).await?;
                let source = resolve(source, &array.schema, elements).await?;
                pieces.push(Piece::new(source, overlap, elements));
            }
            let Some(first) = pieces.first() else { continue };
            let rows = first.overlap.count.get(axis).copied().unwrap_or(1);
            let offset = first.overlap.in_region.get(axis).copied().unwrap_or(0);
            let mut shape = region.count.clone();
            if let Some(n) = shape.get_mut(axis) {
                *n = rows;
            }
            let elements = usize::try_from(rows * row_elements).unwrap_or(usize::MAX);
            let target = rest.split_off(elements, size);
            for piece in &mut pieces {
                if let Some(i) = piece.overlap.in_region.get_mut(axis) {
                    *i -= offset;
                }
            }
            slabs.push(Slab { pieces, shape, target });
        }
        if self.version.objects.reads_now() {
            slabs = slabs::cut(slabs, axis, size as u64);
        }
        // On the heap: it is large, and would be moved along with the futures of reads that never come here.
        Box::pin(self.version.fill(&array.schema, slabs)).await
    }

    /// Brings the shared blocks of many regions into the cache at once.
    pub(crate) async fn prefetch(&self, wanted: &[(&FoundArray, &Region)]) -> Result<()> {
        let mut seen = HashSet::new();
        let mut blocks = Vec::new();
        for (array, region) in wanted {
            let Some(grid) = grid(&array.node) else { continue };
            for coords in grid.cells_of(region)? {
                if let ChunkSource::Stored(chunk) = self.chunk(&array.node, &coords).await?
                    && chunk.block.frame_bytes == 0
                    && seen.insert(chunk.block.clone())
                {
                    blocks.push(chunk.block);
                }
            }
        }
        self.version.blocks(&blocks).await.map(|_| ())
    }

    async fn read_variable(&self, array: &FoundArray, region: &Region, n: usize) -> Result<Elements> {
        let Some(grid) = grid(&array.node) else { return Err(Error::invalid("not an array")) };
        let schema = &array.schema;
        let mut chunks: Vec<Elements> = vec![Elements::filled(schema, 1)?];
        // Two words and, in the result, a length for every element.
        zeroed(n.checked_mul(24).ok_or_else(|| Error::invalid("a region larger than memory"))?)?;
        let mut places = vec![(0usize, 0usize); n];
        for coords in grid.cells_of(region)? {
            let Some(overlap) = grid.overlap(&coords, region) else { continue };
            let elements = element_count(&overlap.cell)?;
            let source = self.chunk(&array.node, &coords).await?;
            let chunk = match resolve(source, schema, elements).await? {
                ChunkSource::Unwritten | ChunkSource::Elsewhere(_) => continue,
                ChunkSource::Staged(e) => (*e).clone(),
                ChunkSource::Stored(chunk) => self.version.whole_chunk(schema, &chunk, elements).await?,
            };
            chunks.push(chunk);
            let i = chunks.len() - 1;
            overlap.to_region(&region.count).for_each_run(|from, to, len| {
                for k in 0..len {
                    if let Some(place) = places.get_mut(to + k) {
                        *place = (i, from + k);
                    }
                }
            });
        }
        let mut values = Variable::default();
        let mut validity = schema.nullable.then(Vec::new);
        for (chunk, element) in places {
            let chunk = &chunks[chunk];
            values.push(chunk.values.variable()?.get(element));
            if let (Some(out), Some(v)) = (&mut validity, &chunk.validity) {
                out.push(v.get(element).copied().unwrap_or(0));
            }
        }
        Ok(Elements { dtype: schema.dtype, values: Values::Variable(values), validity })
    }

    /// All elements of a chunk, for changing some of them.
    pub(crate) async fn whole(&self, array: &FoundArray, grid: &Grid, coords: &[u64]) -> Result<Elements> {
        let n = element_count(&grid.extents(coords))?;
        match resolve(self.chunk(&array.node, coords).await?, &array.schema, n).await? {
            ChunkSource::Unwritten | ChunkSource::Elsewhere(_) => Elements::filled(&array.schema, n),
            ChunkSource::Staged(e) => Ok((*e).clone()),
            ChunkSource::Stored(chunk) => self.version.whole_chunk(&array.schema, &chunk, n).await,
        }
    }
}

/// Brings a chunk of another file; the others stay as they are.
async fn resolve(source: ChunkSource, schema: &ArraySchema, elements: usize) -> Result<ChunkSource> {
    match source {
        ChunkSource::Elsewhere(p) => match &p.from {
            Some(version) => {
                Ok(ChunkSource::Staged(Arc::new(version.whole_chunk(schema, &p.chunk, elements).await?)))
            }
            None => Ok(ChunkSource::Stored(p.chunk.clone())),
        },
        source => Ok(source),
    }
}

impl Version {
    /// All elements of a stored chunk.
    pub(crate) async fn whole_chunk(
        &self,
        schema: &ArraySchema,
        chunk: &ChunkRef,
        n: usize,
    ) -> Result<Elements> {
        let at = |e: Error| self.at_block(e, &chunk.block);
        if chunk.block.frame_bytes == 0 {
            let blocks = self.blocks(std::slice::from_ref(&chunk.block)).await?;
            let bytes = chunk_bytes(chunk, &blocks).map_err(at)?;
            return chunk::decode(schema, n, bytes).map_err(at);
        }
        let size = schema.dtype.fixed_size_bytes().unwrap_or(0);
        let len = n.checked_mul(size).ok_or_else(|| at(Error::corrupt("a chunk larger than memory")))?;
        check_earned(chunk.block.stored_bytes, len as u64).map_err(at)?;
        let mut values = zeroed(len)?;
        let mut validity = schema.nullable.then(|| vec![0; n]);
        let shape = vec![n as u64];
        let whole = Region { start: vec![0], count: shape.clone(), step: vec![1] };
        let line = Grid { shape: shape.clone(), chunk: shape.iter().map(|n| (*n).max(1)).collect() };
        let Some(overlap) = line.overlap(&[0], &whole) else { return Elements::filled(schema, n) };
        let piece = Piece::new(ChunkSource::Stored(chunk.clone()), overlap, n);
        let target = Target { values: &mut values, validity: validity.as_deref_mut() };
        Box::pin(self.fill(schema, vec![Slab { pieces: vec![piece], shape, target }])).await?;
        Ok(Elements { dtype: schema.dtype, values: Values::Fixed(values), validity })
    }

    /// Loads what slabs need and puts it in place, batch by batch: while one is decoded, the next come over the network.
    async fn fill(&self, schema: &ArraySchema, mut slabs: Vec<Slab<'_>>) -> Result<()> {
        let reads_now = self.objects.reads_now();
        let size = schema.dtype.fixed_size_bytes().unwrap_or(0) as u64;
        let elements = slabs.iter().flat_map(|s| &s.pieces).map(|p| p.elements as u64);
        let decoded = elements.fold(0, u64::saturating_add).saturating_mul(size);
        let keeps = !reads_now && decoded <= self.config.cache.capacity_bytes() / 4;
        // What is small is asked for all at once.
        if !reads_now && held(&slabs, reads_now) > LEAST_BATCH_BYTES {
            self.fill_whole(schema, &mut slabs, keeps).await?;
            slabs.retain(|slab| !slab.pieces.is_empty());
        }
        let cores = rayon::current_num_threads();
        let most = AHEAD_BYTES_A_CORE.saturating_mul(cores as u64);
        let mut waiting = batches(slabs, reads_now, cores).into_iter().peekable();
        let mut coming = VecDeque::new();
        let mut ahead = 0u64;
        loop {
            // At least one comes while another is decoded.
            while let Some(batch) =
                waiting.next_if(|b| coming.len() < 2 || held(b, reads_now).saturating_add(ahead) <= most)
            {
                let bytes = held(&batch, reads_now);
                let load = async move {
                    let loaded = self.load(schema, &batch, keeps).await;
                    loaded.map(|loaded| (batch, loaded))
                };
                ahead = bytes.saturating_add(ahead);
                coming.push_back((bytes, Box::pin(maybe_done(load))));
            }
            // All of them go on, also while others are decoded: the first poll sends their requests.
            poll_fn(|cx| {
                let done = coming.iter_mut().map(|(_, load)| load.poll_unpin(cx).is_ready());
                // Every one is polled.
                match done.collect::<Vec<bool>>().first() {
                    Some(false) => Poll::Pending,
                    _ => Poll::Ready(()),
                }
            })
            .await;
            let Some((bytes, mut load)) = coming.pop_front() else { return Ok(()) };
            ahead = ahead.saturating_sub(bytes);
            if let Some(loaded) = load.as_mut().take_output() {
                let (batch, loaded) = loaded?;
                self.put_all(schema, batch, loaded)?;
            }
        }
    }

    /// Decodes slabs, each on a core.
    fn put_all(&self, schema: &ArraySchema, slabs: Vec<Slab<'_>>, loaded: Vec<Loaded>) -> Result<()> {
        let mut loaded = loaded.into_iter();
        let mut jobs: Vec<(Slab<'_>, Vec<Loaded>)> = Vec::with_capacity(slabs.len());
        for slab in slabs {
            let own: Vec<Loaded> = loaded.by_ref().take(slab.pieces.len()).collect();
            jobs.push((slab, own));
        }
        let run = |(mut slab, own): (Slab<'_>, Vec<Loaded>)| -> Result<()> {
            for (piece, loaded) in slab.pieces.iter().zip(&own) {
                self.put(schema, piece, loaded, &slab.shape, &mut slab.target)?;
            }
            Ok(())
        };
        if jobs.len() < 2 {
            return jobs.into_iter().try_for_each(run);
        }
        // One by one: they are large, and of different sizes.
        jobs.into_par_iter().with_max_len(1).try_for_each(run)
    }

    async fn load(&self, schema: &ArraySchema, slabs: &[Slab<'_>], keeps: bool) -> Result<Vec<Loaded>> {
        let pieces = || slabs.iter().flat_map(|s| &s.pieces);
        let stored = || {
            pieces().filter_map(|p| match &p.source {
                ChunkSource::Stored(c) => Some((c, p)),
                _ => None,
            })
        };
        let (mut shared, mut alone, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for (c, piece) in stored().filter(|s| s.0.block.frame_bytes == 0) {
            let is_alone = !keeps && piece.is_all_of(c) && self.cached_block(&c.block)?.is_none();
            match seen.insert(&c.block) {
                true if is_alone => alone.push(&c.block),
                true => shared.push(c.block.clone()),
                false => {}
            }
        }
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
        let reads_now = self.objects.reads_now();
        let mut objects: HashMap<ObjectId, Option<PinnedObject>> = HashMap::new();
        let mut plans = Vec::with_capacity(wanted.len());
        for (c, piece) in wanted {
            let id = c.block.id.object;
            self.check_inside(id, c.block.offset..c.block.end())?;
            let now = match objects.entry(id) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) if !reads_now => place.insert(None),
                Entry::Vacant(place) => {
                    let object = self.pinned(id).await.map_err(|e| self.in_file(e))?;
                    place.insert(Some(object).filter(PinnedObject::reads_now))
                }
            };
            let needed = Needed::of(schema, &c.block, piece, keeps);
            let needed = needed.map_err(|e| self.at_block(e, &c.block))?;
            let stored = match self.cached_frames(&c.block, &needed)? {
                Some(frames) => {
                    self.objects.counting.cache_hits.fetch_add(1, Ordering::Relaxed);
                    Some(Stored::Decoded(frames))
                }
                None => now.clone().map(Stored::Now),
            };
            plans.push((needed, stored));
        }
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
                parts = frames::stretches(needed.frames(&table), 0, u64::MAX);
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

    /// Decodes a piece and copies its part to the slab.
    pub(super) fn put(
        &self,
        schema: &ArraySchema,
        piece: &Piece,
        loaded: &Loaded,
        shape: &[u64],
        target: &mut Target<'_>,
    ) -> Result<()> {
        let size = schema.dtype.fixed_size_bytes().unwrap_or(0);
        let plan = piece.overlap.to_region(shape);
        match loaded {
            Loaded::Staged(e) => put_elements(&plan, e, target, size),
            Loaded::Unwritten => {
                put_fill(&plan, &Elements::filled(schema, 1)?, target, size);
                Ok(())
            }
            Loaded::Block(chunk, bytes) => {
                let put = slice(chunk, bytes).and_then(|b| put_chunk(schema, piece, b, &plan, target));
                put.map_err(|e| self.at_block(e, &chunk.block))
            }
            // Decoded into memory that is used again, and not kept: what is read as a whole comes back as fast.
            Loaded::Alone(chunk, stored) => with_scratch(|scratch| {
                let decoded = self.decode_block_to(&chunk.block, stored, &mut scratch.raw);
                decoded.and_then(|b| put_chunk(schema, piece, slice(chunk, b)?, &plan, target))
            })
            .map_err(|e| self.at_block(e, &chunk.block)),
            Loaded::Frames(block, stored, needed) => {
                let frames = Frames { schema, block, piece, needed };
                frames.put(self, stored, &plan, target).map_err(|e| self.at_block(e, block))
            }
        }
    }
}

/// Puts a chunk of an unframed block in place.
fn put_chunk(
    schema: &ArraySchema,
    piece: &Piece,
    bytes: &[u8],
    plan: &CopyPlan,
    target: &mut Target<'_>,
) -> Result<()> {
    let size = schema.dtype.fixed_size_bytes().unwrap_or(0);
    let (values, mask) = chunk::split_mask(schema, piece.elements, bytes)?;
    if let (Some(mask), Some(validity)) = (mask, &mut target.validity) {
        plan.copy_bytes(&chunk::unpack_mask(mask, piece.elements)?, 0, validity, 1)?;
    }
    let bytes = piece.elements.saturating_mul(size);
    if chunk::is_plain(schema) && values.len() == bytes {
        return plan.copy_bytes(values, 0, target.values, size);
    }
    check_earned(values.len() as u64, bytes as u64)?;
    let mut raw = zeroed(bytes)?;
    chunk::decode_fixed(schema, values, &mut raw)?;
    plan.copy_bytes(&raw, 0, target.values, size)
}

/// Repeats one element. The chunk itself may be larger than memory: it is not there.
fn put_fill(plan: &CopyPlan, one: &Elements, target: &mut Target<'_>, size: usize) {
    let element = one.values.fixed().unwrap_or_default();
    let zeros = element.iter().all(|b| *b == 0);
    plan.for_each_run(|_, t, n| {
        if let Some(dst) = target.values.get_mut(t * size..(t + n) * size) {
            if zeros {
                dst.fill(0);
            } else {
                dst.chunks_exact_mut(size).for_each(|d| d.copy_from_slice(element));
            }
        }
        if let (Some(v), Some(out)) = (&one.validity, &mut target.validity)
            && let Some(dst) = out.get_mut(t..t + n)
        {
            dst.fill(v.first().copied().unwrap_or(0));
        }
    });
}

fn put_elements(plan: &CopyPlan, e: &Elements, target: &mut Target<'_>, size: usize) -> Result<()> {
    plan.copy_bytes(e.values.fixed()?, 0, target.values, size)?;
    match (&e.validity, &mut target.validity) {
        (Some(v), Some(out)) => plan.copy_bytes(v, 0, out, 1),
        _ => Ok(()),
    }
}

fn chunk_bytes<'b>(chunk: &ChunkRef, blocks: &'b HashMap<Arc<BlockMeta>, Bytes>) -> Result<&'b [u8]> {
    let block = blocks.get(&chunk.block).ok_or_else(|| Error::corrupt("a block was not loaded"))?;
    slice(chunk, block)
}
