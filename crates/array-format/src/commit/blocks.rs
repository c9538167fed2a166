//! From pending chunks to blocks of the layer that is written.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use array_format_core::Result;
use array_format_core::address::ObjectId;
use array_format_core::block::{ChunkRef, CodecRecord};
use array_format_core::codec::{CompressionCodec, NUMBERS_ID, NumbersCodec, ZSTD_ID, ZstdCodec};
use array_format_core::format::nodes::Node;
use array_format_core::schema::{ArraySchema, Schema};

use crate::config::FileConfig;
use crate::index::Version;
use crate::write::by_id::ById;
use crate::write::choose;
use crate::write::coords::Coords;
use crate::write::encode::{BATCH_BYTES, BATCHES_AHEAD, Pipeline};
use crate::write::mover::Mover;
use crate::write::pack::{ChunkJob, Compress, JobData};
use crate::write::pending::{Cells, Pending, Placed, Staged, StagedChunk, grid};
use crate::write::sink::LayerSink;
use crate::write::small_map::SmallMap;
use crate::write::spill::TakenChunk;

/// Coordinates of a chunk, and where it is stored.
pub(crate) type StoredChunk<'a> = (&'a [u64], &'a Arc<Placed>);

/// Where the pending chunks are stored.
pub(crate) struct Stored<'a> {
    pending: &'a Pending,
    /// Those that were not stored before, by pending node id and coordinates.
    new: ById<SmallMap<Coords, Arc<Placed>>>,
}

impl<'a> Stored<'a> {
    fn put(&mut self, (node, coords): ChunkKey, placed: Placed) {
        self.new.entry(node).insert(coords, Arc::new(placed));
    }

    /// The chunks of an array that were written, in order.
    pub(crate) fn of<'s>(
        &'s self,
        node: &Node,
        schema: &ArraySchema,
    ) -> impl Iterator<Item = StoredChunk<'s>> {
        let chunks = self.pending.chunks.get(&node.id).into_iter().flat_map(SmallMap::iter);
        let new = self.new.get(&node.id);
        let grid = schema.chunk_shape.is_some().then(|| grid(node)).flatten();
        let inside = move |coords: &[u64]| grid.as_ref().is_none_or(|grid| grid.contains(coords));
        let place = move |(coords, chunk): (&'s Coords, &'s StagedChunk)| {
            let placed = match (new.and_then(|new| new.get(&**coords)), chunk) {
                (Some(placed), _) => placed,
                (None, StagedChunk::Placed(placed)) if placed.from.is_none() => placed,
                _ => return None,
            };
            inside(coords).then_some((&coords[..], placed))
        };
        chunks.filter_map(place)
    }

    /// All chunks.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Placed>> {
        self.pending
            .nodes
            .values()
            .filter_map(|staged| match staged {
                Staged::Node(s) => match &*s.node.schema {
                    Schema::Array(schema) => Some(self.of(&s.node, schema)),
                    Schema::Group(_) => None,
                },
                Staged::Gone => None,
            })
            .flatten()
            .map(|chunk| chunk.1)
    }
}

/// A chunk's node and coordinates.
pub(crate) type ChunkKey = (u64, Coords);

/// How the chunks of arrays are compressed.
#[derive(Default)]
pub(crate) struct Codecs {
    known: HashMap<CodecRecord, Arc<dyn CompressionCodec>>,
}

impl Codecs {
    /// What is to be done with a chunk.
    pub(crate) fn job(
        &mut self,
        node: u64,
        schema: &Arc<ArraySchema>,
        extents: Cow<'_, [u64]>,
        data: JobData,
        config: &FileConfig,
    ) -> Result<ChunkJob> {
        let matter = data.heap_bytes() >= config.least_framed_bytes();
        let extents = if matter { extents.into_owned() } else { Vec::new() };
        Ok(ChunkJob { node, schema: schema.clone(), codec: self.of(schema, config)?, extents, data })
    }

    fn of(&mut self, schema: &ArraySchema, config: &FileConfig) -> Result<Compress> {
        match choose::item_of(schema, config) {
            Some(item) => Ok(Compress::Auto(item)),
            None => codec_of(schema, config, &mut self.known).map(Compress::As),
        }
    }
}

/// Stores the pending chunks: elements are encoded, unless `pipeline` has them already, blocks of other files copied; chunks of detached
/// layers stay where they are, unless a detached layer is written, which holds all that it needs.
pub(crate) async fn store_chunks<'a>(
    pending: &'a Pending,
    version: &Version,
    pipeline: &mut Pipeline<TakenChunk>,
    sink: &mut LayerSink,
) -> Result<Stored<'a>> {
    let config = &version.config;
    let mut codecs = Codecs::default();
    let under_way: HashSet<ChunkKey> = pipeline
        .keys()
        .filter(|taken| taken.is_current(pending))
        .map(|taken| (taken.node, taken.coords.clone()))
        .collect();
    let (mut keys, mut jobs): (Vec<TakenChunk>, Vec<ChunkJob>) = Default::default();
    let (mut bytes, mut last) = (0, None);
    let mut copies: Vec<(ChunkKey, Arc<Placed>)> = Vec::new();
    let mut complete: HashSet<ObjectId> = HashSet::from([sink.object()]);
    let mut stored = Stored { pending, new: ById::default() };
    let layer = matches!(sink.object(), ObjectId::Layer(_));
    for staged in pending.nodes.values() {
        let Staged::Node(s) = staged else { continue };
        let Schema::Array(schema) = &*s.node.schema else { continue };
        let Some(chunks) = pending.chunks.get(&s.node.id) else { continue };
        let cells = Cells::of(&s.node, schema);
        for (coords, chunk) in chunks.iter() {
            if !cells.contains(coords) {
                continue;
            }
            let key = || (s.node.id, coords.clone());
            match chunk {
                StagedChunk::Erased => {}
                _ if chunk.waits() && !under_way.is_empty() && under_way.contains(&key()) => {}
                StagedChunk::Data(_) | StagedChunk::Flat(_) => {
                    let taken = TakenChunk::of(pending, s.node.id, coords, chunk);
                    let Some((taken, data)) = taken else { continue };
                    bytes += data.heap_bytes();
                    keys.push(taken);
                    jobs.push(codecs.job(s.node.id, schema, cells.extents(coords), data, config)?);
                }
                StagedChunk::Placed(p) if p.from.is_some() => copies.push((key(), p.clone())),
                StagedChunk::Placed(p) if !layer && p.chunk.block.id.object != sink.object() => {
                    let (chunk, statistics) = (p.chunk.clone(), p.statistics.clone());
                    copies.push((
                        key(),
                        Arc::new(Placed { chunk, statistics, from: Some(Box::new(version.clone())) }),
                    ));
                }
                StagedChunk::Placed(p) => {
                    let object = p.chunk.block.id.object;
                    // Those of neighbours are mostly in one.
                    if last != Some(object) && complete.insert(object) {
                        version.objects.complete(object, version.number()).await?;
                    }
                    last = Some(object);
                }
            }
            if bytes >= BATCH_BYTES {
                pipeline.push(std::mem::take(&mut keys), std::mem::take(&mut jobs));
                bytes = 0;
                if pipeline.len() >= BATCHES_AHEAD {
                    put_next(pipeline, pending, sink, &mut stored).await?;
                }
            }
        }
    }
    if !jobs.is_empty() {
        pipeline.push(keys, jobs);
    }
    while pipeline.len() > 0 {
        put_next(pipeline, pending, sink, &mut stored).await?;
    }
    copy(copies, sink, &mut stored).await?;
    Ok(stored)
}

async fn put_next(
    pipeline: &mut Pipeline<TakenChunk>,
    pending: &Pending,
    sink: &mut LayerSink,
    stored: &mut Stored<'_>,
) -> Result<()> {
    if let Some(encoded) = pipeline.next().await {
        let (taken, encoded) = encoded?;
        for (taken, placed) in encoded.store(&taken, sink).await? {
            // What was changed since it was encoded is stored again.
            if taken.is_current(pending) {
                stored.put((taken.node, taken.coords), placed);
            }
        }
    }
    Ok(())
}

/// Copies the blocks of chunks of other files.
async fn copy(
    mut copies: Vec<(ChunkKey, Arc<Placed>)>,
    sink: &mut LayerSink,
    stored: &mut Stored<'_>,
) -> Result<()> {
    while let Some(version) = copies.first().and_then(|c| c.1.from.as_deref().cloned()) {
        let same = |p: &Placed| p.from.as_ref().is_some_and(|v| Arc::ptr_eq(&v.head, &version.head));
        // What is copied to two places is stored twice: no byte of a layer belongs to two chunks, so that live bytes can be counted.
        let mut seen = HashSet::new();
        let (now, later): (Vec<_>, Vec<_>) = copies.into_iter().partition(|(_, placed)| {
            same(placed) && seen.insert((placed.chunk.block.clone(), placed.chunk.offset))
        });
        let mut mover = Mover::new(&version);
        let mut chunks: Vec<ChunkRef> = now.iter().map(|c| c.1.chunk.clone()).collect();
        chunks.iter().for_each(|c| mover.count(c));
        mover.place(&mut chunks.iter_mut().collect::<Vec<_>>(), sink).await?;
        for ((key, placed), chunk) in now.into_iter().zip(chunks) {
            stored.put(key, Placed { chunk, statistics: placed.statistics.clone(), from: None });
        }
        copies = later;
    }
    Ok(())
}

/// The codec for the blocks of an array; one for all arrays that ask for it, since only chunks of the same codec share blocks.
fn codec_of(
    schema: &ArraySchema,
    config: &FileConfig,
    known: &mut HashMap<CodecRecord, Arc<dyn CompressionCodec>>,
) -> Result<Arc<dyn CompressionCodec>> {
    let Some(asked) = &schema.codec else { return Ok(config.codec.clone()) };
    if asked.id == config.codec.id() && asked.params == config.codec.params() {
        return Ok(config.codec.clone());
    }
    if let Some(codec) = known.get(asked) {
        return Ok(codec.clone());
    }
    Ok(known.entry(asked.clone()).or_insert(writing_codec(asked, config)?).clone())
}

/// The codec of a record, to write with. Registered are codecs to read with, for which levels mean nothing.
pub(crate) fn writing_codec(record: &CodecRecord, config: &FileConfig) -> Result<Arc<dyn CompressionCodec>> {
    if let (ZSTD_ID, [level]) = (record.id, &record.params[..]) {
        // A level of a later version is better than none.
        if let Ok(codec) = ZstdCodec::new(i32::from(*level as i8)) {
            return Ok(Arc::new(codec));
        }
    }
    if record.id == NUMBERS_ID {
        return Ok(Arc::new(NumbersCodec::from_params(&record.params)?));
    }
    config.codecs.codec(record.id, &record.name)
}
