//! From chunks to blocks: `docs/format.md` section 9.

use std::borrow::Cow;
use std::sync::Arc;

use array_format_core::Result;
use array_format_core::block::{ChunkRef, CodecRecord};
use array_format_core::buffer::{Elements, Values};
use array_format_core::checksum::checksum;
use array_format_core::chunk;
use array_format_core::codec::{CompressionCodec, Filter, encode_filters};
use array_format_core::dtype::DType;
use array_format_core::format::constants::MAX_BLOCK_BYTES;
use array_format_core::framed;
use array_format_core::schema::ArraySchema;
use array_format_core::statistics::Statistics;
use rayon::prelude::*;

use super::sink::{LayerSink, ReadyBlock};
use crate::config::FileConfig;

/// A chunk to be stored.
pub(crate) struct ChunkJob {
    pub(crate) schema: Arc<ArraySchema>,
    pub(crate) codec: Arc<dyn CompressionCodec>,
    /// Extents of the chunk's box.
    pub(crate) extents: Vec<u64>,
    pub(crate) elements: Arc<Elements>,
}

/// A chunk that was stored.
pub(crate) struct StoredChunk {
    pub(crate) chunk: ChunkRef,
    pub(crate) statistics: Statistics,
}

/// Raw bytes that are encoded before they are written: enough for all cores, little beside the data.
const BATCH_BYTES: usize = 32 << 20;

enum Encoded {
    /// A block of its own.
    Framed(ReadyBlock),
    /// To be put in a block, alone or with others.
    Bytes(Vec<u8>),
}

/// Raw bytes of a frame for chunks of this shape: whole slabs of the leading axis where they have a sensible size, so
/// that a read of a few of them decodes only these.
fn frame_bytes(schema: &ArraySchema, extents: &[u64], target: u64) -> u64 {
    let size = schema.dtype.fixed_size_bytes().unwrap_or(1).max(1) as u64;
    for axis in 0..extents.len() {
        let slab = extents.get(axis + 1..).unwrap_or_default().iter().product::<u64>() * size;
        if slab > 0 && slab <= target * 2 {
            return slab * (target / slab).max(1);
        }
    }
    target.div_ceil(size) * size
}

/// The elements as readers will find them. Bit rounding is the one filter that changes values, and statistics of what they were
/// before would lead readers past the rounded ones.
pub(crate) fn as_read<'e>(schema: &ArraySchema, elements: &'e Elements) -> Result<Cow<'e, Elements>> {
    match (schema.filters.split_first(), &elements.values, schema.dtype) {
        (Some((round @ Filter::BitRound { .. }, _)), Values::Fixed(bytes), DType::Scalar(item)) => {
            let values = Values::Fixed(encode_filters(&[*round], item, bytes)?.into_owned());
            Ok(Cow::Owned(Elements { dtype: schema.dtype, values, validity: elements.validity.clone() }))
        }
        _ => Ok(Cow::Borrowed(elements)),
    }
}

fn encode(job: &ChunkJob, config: &FileConfig) -> Result<(Encoded, Statistics)> {
    let statistics = Statistics::of(as_read(&job.schema, &job.elements)?.as_ref());
    let frame = frame_bytes(&job.schema, &job.extents, config.frame_bytes as u64);
    let raw = job.elements.values.heap_bytes() as u64;
    let encoded = if matches!(job.elements.values, Values::Fixed(_)) && raw >= frame.saturating_mul(2) {
        let block = framed::encode(&job.schema, &job.elements, frame, &*job.codec)?;
        Encoded::Framed(ReadyBlock {
            stored: block.bytes.into(),
            decoded_bytes: block.decoded_bytes,
            frame_bytes: frame,
            codec: Arc::new(CodecRecord::of(&*job.codec)),
            checksum: block.checksum,
        })
    } else {
        let mut bytes = Vec::new();
        chunk::encode(&job.schema, &job.elements, &mut bytes)?;
        Encoded::Bytes(bytes)
    };
    Ok((encoded, statistics))
}

/// Compresses the bytes of an unframed block.
pub(crate) fn compress(bytes: &[u8], codec: &dyn CompressionCodec) -> Result<ReadyBlock> {
    if bytes.len() as u64 > MAX_BLOCK_BYTES {
        return Err(array_format_core::Error::invalid(format!(
            "a chunk of {} bytes of elements of varying length; at most {MAX_BLOCK_BYTES} are possible: use smaller chunks",
            bytes.len()
        )));
    }
    let mut stored = Vec::new();
    codec.compress(bytes, &mut stored)?;
    let none = array_format_core::codec::NoCompression;
    let mut record = CodecRecord::of(codec);
    if stored.len() >= bytes.len() {
        stored = bytes.to_vec();
        record = CodecRecord::of(&none);
    }
    let checksum = checksum(&stored);
    let (decoded_bytes, codec) = (bytes.len() as u64, Arc::new(record));
    Ok(ReadyBlock { stored: stored.into(), decoded_bytes, frame_bytes: 0, codec, checksum })
}

/// A block that small chunks share: which of them, and its bytes.
struct Shared {
    members: Vec<(usize, u64, u64)>,
    bytes: Vec<u8>,
    codec: Arc<dyn CompressionCodec>,
}

/// Encodes chunks on all cores and stores them, in the order given.
pub(crate) async fn store(
    jobs: &[ChunkJob],
    config: &FileConfig,
    sink: &mut LayerSink,
) -> Result<Vec<StoredChunk>> {
    let mut stored: Vec<Option<StoredChunk>> = Vec::new();
    stored.resize_with(jobs.len(), || None);
    let mut from = 0;
    while from < jobs.len() {
        let mut bytes = 0;
        let mut to = from;
        while to < jobs.len() && (to == from || bytes < BATCH_BYTES) {
            bytes += jobs[to].elements.heap_bytes();
            to += 1;
        }
        store_batch(&jobs[from..to], config, sink, &mut stored[from..to]).await?;
        from = to;
    }
    Ok(stored.into_iter().flatten().collect())
}

async fn store_batch(
    jobs: &[ChunkJob],
    config: &FileConfig,
    sink: &mut LayerSink,
    stored: &mut [Option<StoredChunk>],
) -> Result<()> {
    let encoded: Vec<(Encoded, Statistics)> = parallel(jobs, |job| encode(job, config))?;
    let mut statistics = Vec::with_capacity(jobs.len());
    let mut shared: Vec<Shared> = Vec::new();
    let mut framed = Vec::new();
    for (i, (encoded, s)) in encoded.into_iter().enumerate() {
        statistics.push(s);
        match encoded {
            Encoded::Framed(block) => framed.push((i, block)),
            Encoded::Bytes(bytes) => {
                let codec = &jobs[i].codec;
                let fits = |s: &Shared| {
                    s.bytes.len() + bytes.len() <= config.block_bytes && Arc::ptr_eq(&s.codec, codec)
                };
                let room = shared.last_mut().filter(|s| fits(s));
                let block = match room {
                    Some(block) => block,
                    None => {
                        shared.push(Shared { members: Vec::new(), bytes: Vec::new(), codec: codec.clone() });
                        let last = shared.len() - 1;
                        &mut shared[last]
                    }
                };
                block.members.push((i, block.bytes.len() as u64, bytes.len() as u64));
                block.bytes.extend_from_slice(&bytes);
            }
        }
    }
    let mut place = |i: usize, chunk: ChunkRef| {
        let statistics = statistics.get(i).cloned().unwrap_or_default();
        if let Some(slot) = stored.get_mut(i) {
            *slot = Some(StoredChunk { chunk, statistics });
        }
    };
    for (i, ready) in framed {
        let length = ready.decoded_bytes;
        let block = sink.put_block(ready).await?;
        place(i, ChunkRef { block, offset: 0, length });
    }
    let ready = parallel(&shared, |s| compress(&s.bytes, &*s.codec))?;
    for (shared, ready) in shared.iter().zip(ready) {
        let block = sink.put_block(ready).await?;
        for (i, offset, length) in &shared.members {
            place(*i, ChunkRef { block: block.clone(), offset: *offset, length: *length });
        }
    }
    Ok(())
}

/// `f` of every item, on all cores where there is more than one item.
pub(crate) fn parallel<T: Sync, O: Send>(
    items: &[T],
    f: impl Fn(&T) -> Result<O> + Sync + Send,
) -> Result<Vec<O>> {
    if items.len() < 2 {
        return items.iter().map(f).collect();
    }
    items.par_iter().with_min_len(1).map(f).collect()
}
