//! From chunks to blocks: `docs/format.md` section 9.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use array_format_core::Result;
use array_format_core::block::{ChunkRef, CodecRecord};
use array_format_core::buffer::{Elements, Values};
use array_format_core::checksum::checksum;
use array_format_core::chunk;
use array_format_core::codec::{CompressionCodec, Filter, encode_filters};
use array_format_core::dtype::{DType, Scalar};
use array_format_core::format::constants::MAX_BLOCK_BYTES;
use array_format_core::framed;
use array_format_core::schema::ArraySchema;
use array_format_core::statistics::Statistics;
use rayon::prelude::*;

use super::choose;
use super::sink::{LayerSink, ReadyBlock};
use crate::config::FileConfig;

/// How a chunk is compressed.
#[derive(Debug, Clone)]
pub(crate) enum Compress {
    /// By this codec.
    As(Arc<dyn CompressionCodec>),
    /// By what proves best on a sample of the block that it lands in, which holds numbers of this type only.
    Auto(Scalar),
}

/// A chunk to be stored.
pub(crate) struct ChunkJob {
    pub(crate) schema: Arc<ArraySchema>,
    pub(crate) codec: Compress,
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

/// Shared blocks of numbers of one type, one after the other, that are compressed as a sample of the first one says.
const BLOCKS_A_CHOICE: usize = 128;

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
    for (axis, extent) in extents.iter().enumerate() {
        let slab = extents.get(axis + 1..).unwrap_or_default().iter().product::<u64>() * size;
        if slab > 0 && slab <= target * 2 {
            let most = (target / slab).clamp(1, *extent);
            // A number of slabs that divides the extent, if a sensible one does: then frames end where the axes before it begin anew.
            let even = (most.div_ceil(2)..=most).rev().find(|n| extent.is_multiple_of(*n));
            return slab * even.unwrap_or(most);
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
    if let (Compress::As(codec), Values::Fixed(values)) = (&job.codec, &job.elements.values) {
        let frame = frame_bytes(&job.schema, &job.extents, config.frame_bytes_for(codec));
        if values.len() as u64 >= frame.saturating_mul(2) {
            let block = framed::encode(&job.schema, &job.elements, frame, codec)?;
            let ready = ReadyBlock {
                stored: block.bytes.into(),
                decoded_bytes: block.decoded_bytes,
                frame_bytes: frame,
                codec: Arc::new(CodecRecord::of(codec)),
                checksum: block.checksum,
            };
            return Ok((Encoded::Framed(ready), statistics));
        }
    }
    let mut bytes = Vec::new();
    chunk::encode(&job.schema, &job.elements, &mut bytes)?;
    Ok((Encoded::Bytes(bytes), statistics))
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
    codec: Compress,
}

/// The codecs that blocks of numbers get: a choice holds for some blocks, since neighbours are alike.
fn codecs_of(shared: &[Shared]) -> Result<Vec<Arc<dyn CompressionCodec>>> {
    let mut chosen: HashMap<Scalar, (usize, Arc<dyn CompressionCodec>)> = HashMap::new();
    let codec = |s: &Shared| match &s.codec {
        Compress::As(codec) => Ok(codec.clone()),
        Compress::Auto(item) => match chosen.get_mut(item) {
            Some((left, codec)) if *left > 0 => {
                *left -= 1;
                Ok(codec.clone())
            }
            _ => {
                let codec = choose::by_sample(*item, &[&s.bytes])?;
                chosen.insert(*item, (BLOCKS_A_CHOICE - 1, codec.clone()));
                Ok(codec)
            }
        },
    };
    shared.iter().map(codec).collect()
}

/// What chunks must have in common to share a block.
#[derive(PartialEq, Eq, Hash)]
enum Filling {
    /// The address of the codec.
    As(usize),
    Auto(Scalar),
}

fn filling(codec: &Compress) -> Filling {
    match codec {
        Compress::As(codec) => Filling::As(Arc::as_ptr(codec).addr()),
        Compress::Auto(item) => Filling::Auto(*item),
    }
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
    // The block that is being filled, of each way to compress.
    let mut open: HashMap<Filling, usize> = HashMap::new();
    let mut framed = Vec::new();
    for (i, (encoded, s)) in encoded.into_iter().enumerate() {
        statistics.push(s);
        match encoded {
            Encoded::Framed(block) => framed.push((i, block)),
            Encoded::Bytes(bytes) => {
                let codec = &jobs[i].codec;
                let room = open.get(&filling(codec)).copied();
                let full = config.block_bytes_for(matches!(codec, Compress::Auto(_)));
                let room = room.filter(|at| shared[*at].bytes.len() + bytes.len() <= full);
                let at = room.unwrap_or_else(|| {
                    shared.push(Shared { members: Vec::new(), bytes: Vec::new(), codec: codec.clone() });
                    open.insert(filling(codec), shared.len() - 1);
                    shared.len() - 1
                });
                let block = &mut shared[at];
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
    let codecs = codecs_of(&shared)?;
    let pairs: Vec<(&Shared, &Arc<dyn CompressionCodec>)> = shared.iter().zip(&codecs).collect();
    let ready = parallel(&pairs, |(s, codec)| compress(&s.bytes, &***codec))?;
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
