//! From pending chunks to blocks of the layer that is written.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use array_format_core::Result;
use array_format_core::block::{ChunkRef, CodecRecord};
use array_format_core::codec::{CompressionCodec, NUMBERS_ID, NumbersCodec, ZSTD_ID, ZstdCodec};
use array_format_core::schema::{ArraySchema, Schema};
use array_format_core::statistics::Statistics;

use crate::config::FileConfig;
use crate::write::choose;
use crate::write::mover::Mover;
use crate::write::pack::{ChunkJob, Compress, store};
use crate::write::pending::{Pending, Placed, Staged, StagedChunk, grid};
use crate::write::sink::LayerSink;
use crate::write::small_map::SmallMap;

/// Chunks by pending node id and coordinates.
pub(crate) type Stored = BTreeMap<u64, SmallMap<Vec<u64>, (ChunkRef, Statistics)>>;

/// Stores the pending chunks: elements are encoded, blocks of other files copied, chunks of detached layers stay where they are.
pub(crate) async fn store_chunks(
    pending: &Pending,
    config: &FileConfig,
    sink: &mut LayerSink,
) -> Result<Stored> {
    let mut keys = Vec::new();
    let mut jobs = Vec::new();
    let mut codecs: HashMap<CodecRecord, Arc<dyn CompressionCodec>> = HashMap::new();
    let mut copies: Vec<((u64, Vec<u64>), &Placed)> = Vec::new();
    let mut stored = Stored::new();
    for staged in pending.nodes.values() {
        let Staged::Node(s) = staged else { continue };
        let (Schema::Array(schema), Some(grid)) = (&*s.node.schema, grid(&s.node)) else { continue };
        let first = jobs.len();
        let codec = match choose::item_of(schema, config) {
            Some(item) => Compress::Auto(item),
            None => Compress::As(codec_of(schema, config, &mut codecs)?),
        };
        for (coords, chunk) in pending.chunks.get(&s.node.id).into_iter().flat_map(SmallMap::iter) {
            if !grid.contains(coords) {
                continue;
            }
            match chunk {
                StagedChunk::Erased => {}
                StagedChunk::Data(elements) => {
                    let (schema, codec, elements) = (schema.clone(), codec.clone(), elements.clone());
                    jobs.push(ChunkJob { schema, codec, extents: grid.extents(coords), elements });
                    keys.push((s.node.id, coords.clone()));
                }
                StagedChunk::Placed(p) if p.from.is_some() => copies.push(((s.node.id, coords.clone()), p)),
                StagedChunk::Placed(p) => {
                    let placed = (p.chunk.clone(), p.statistics.clone());
                    stored.entry(s.node.id).or_default().insert(coords.clone(), placed);
                }
            }
        }
        choose::for_array(&mut jobs[first..], config)?;
    }
    for ((id, coords), s) in keys.into_iter().zip(store(&jobs, config, sink).await?) {
        stored.entry(id).or_default().insert(coords, (s.chunk, s.statistics));
    }
    copy(copies, sink, &mut stored).await?;
    Ok(stored)
}

/// Copies the blocks of chunks of other files.
async fn copy(
    mut copies: Vec<((u64, Vec<u64>), &Placed)>,
    sink: &mut LayerSink,
    stored: &mut Stored,
) -> Result<()> {
    while let Some(version) = copies.first().and_then(|c| c.1.from.as_ref()) {
        let same = |p: &Placed| p.from.as_ref().is_some_and(|v| Arc::ptr_eq(&v.head, &version.head));
        // What is copied to two places is stored twice: no byte of a layer belongs to two chunks, so that live bytes can be counted.
        let mut seen = HashSet::new();
        let (now, later): (Vec<_>, Vec<_>) = copies
            .into_iter()
            .partition(|(_, placed)| same(placed) && seen.insert((&placed.chunk.block, placed.chunk.offset)));
        let mut mover = Mover::new(version);
        let mut chunks: Vec<ChunkRef> = now.iter().map(|c| c.1.chunk.clone()).collect();
        chunks.iter().for_each(|c| mover.count(c));
        mover.place(&mut chunks.iter_mut().collect::<Vec<_>>(), sink).await?;
        for (((id, coords), placed), chunk) in now.into_iter().zip(chunks) {
            stored.entry(id).or_default().insert(coords, (chunk, placed.statistics.clone()));
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
