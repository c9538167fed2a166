//! From chunks to blocks: `docs/format.md` section 9.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
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

use super::brief::Brief;
use super::choose;
use super::flats::HeldFlat;
use super::pending::Placed;
use super::pool::Running;
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
    /// The array's pending id.
    pub(crate) node: u64,
    pub(crate) schema: Arc<ArraySchema>,
    pub(crate) codec: Compress,
    /// Extents of the chunk's box.
    pub(crate) extents: Vec<u64>,
    pub(crate) data: JobData,
}

/// The elements of a chunk to be stored.
pub(crate) enum JobData {
    Elements(Arc<Elements>),
    /// Numbers without mask or filters.
    Flat(HeldFlat),
}

impl JobData {
    /// Elements of fixed size as they are in memory.
    pub(super) fn fixed(&self) -> Option<&[u8]> {
        match self {
            Self::Elements(elements) => elements.values.fixed().ok(),
            Self::Flat(flat) => Some(flat.bytes()),
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Elements(elements) => elements.heap_bytes(),
            Self::Flat(flat) => flat.bytes().len(),
        }
    }

    fn statistics(&self, schema: &ArraySchema) -> Result<Statistics> {
        match self {
            Self::Elements(elements) => Ok(Statistics::of(as_read(schema, elements)?.as_ref())),
            Self::Flat(flat) => Ok(Statistics::of_numbers(schema.dtype, flat.bytes())),
        }
    }
}

/// Raw bytes that are encoded at once: enough for all cores, little beside the data.
pub(crate) const BATCH_BYTES: usize = 8 << 20;

/// Batches of less are encoded by the caller: handing them over costs more.
const SMALL_BATCH_BYTES: usize = 256 << 10;

/// Batches that are encoded while others are written.
pub(crate) const BATCHES_AHEAD: usize = 3;

/// Shared blocks of numbers of one type, one after the other, that are compressed as a sample of the first one says.
const BLOCKS_A_CHOICE: usize = 128;

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

/// The raw bytes of frames, if a chunk is large enough to be cut into some.
fn frames_of(job: &ChunkJob, config: &FileConfig) -> Option<u64> {
    let (Compress::As(codec), Some(values)) = (&job.codec, job.data.fixed()) else {
        return None;
    };
    let frame = frame_bytes(&job.schema, &job.extents, config.frame_bytes_for(codec));
    (values.len() as u64 >= frame.saturating_mul(2)).then_some(frame)
}

/// Compresses the bytes of an unframed block.
pub(crate) fn compress(bytes: &[u8], codec: &dyn CompressionCodec) -> Result<ReadyBlock> {
    compress_as(bytes, codec, &Arc::new(CodecRecord::of(codec)))
}

/// The same with the record of the codec at hand, which many blocks share.
fn compress_as(bytes: &[u8], codec: &dyn CompressionCodec, record: &Arc<CodecRecord>) -> Result<ReadyBlock> {
    if bytes.len() as u64 > MAX_BLOCK_BYTES {
        return Err(array_format_core::Error::invalid(format!(
            "a chunk of {} bytes of elements of varying length; at most {MAX_BLOCK_BYTES} are possible: use smaller chunks",
            bytes.len()
        )));
    }
    let mut stored = Vec::new();
    codec.compress(bytes, &mut stored)?;
    let mut codec = record.clone();
    if stored.len() >= bytes.len() {
        stored = bytes.to_vec();
        codec = Arc::new(CodecRecord::of(&array_format_core::codec::NoCompression));
    }
    let checksum = checksum(&stored);
    Ok(ReadyBlock {
        stored: stored.into(),
        decoded_bytes: bytes.len() as u64,
        frame_bytes: 0,
        codec,
        checksum,
    })
}

/// A codec, and how it is recorded.
type Chosen = (Arc<dyn CompressionCodec>, Arc<CodecRecord>);

/// The codecs that blocks get, by their raw bytes: a choice holds for some blocks, since neighbours are alike.
fn codecs_of<'b>(blocks: impl Iterator<Item = (&'b Compress, &'b [u8])> + Clone) -> Result<Vec<Chosen>> {
    let mut ahead = blocks.clone();
    let mut chosen: HashMap<Scalar, (usize, Chosen)> = HashMap::new();
    let mut given: Option<Chosen> = None;
    let record = |codec: Arc<dyn CompressionCodec>| {
        let record = Arc::new(CodecRecord::of(&codec));
        (codec, record)
    };
    let codec = |(compress, _): (&'b Compress, &'b [u8])| {
        let rest = ahead.clone();
        ahead.next();
        match compress {
            Compress::As(codec) => match &given {
                Some(known) if Arc::ptr_eq(&known.0, codec) => Ok(known.clone()),
                _ => Ok(given.insert(record(codec.clone())).clone()),
            },
            Compress::Auto(item) => match chosen.get_mut(item) {
                Some((left, codec)) if *left > 0 => {
                    *left -= 1;
                    Ok(codec.clone())
                }
                _ => {
                    let alike = rest.filter(|(c, _)| matches!(c, Compress::Auto(other) if other == item));
                    let alike: Vec<&[u8]> = alike.take(BLOCKS_A_CHOICE).map(|b| b.1).collect();
                    let picked: Vec<&[u8]> =
                        choose::spread(alike.len(), 3).filter_map(|i| alike.get(i).copied()).collect();
                    let codec = record(choose::by_sample(*item, &picked)?);
                    chosen.insert(*item, (BLOCKS_A_CHOICE - 1, codec.clone()));
                    Ok(codec)
                }
            },
        }
    };
    blocks.map(codec).collect()
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

/// Which chunks of a batch a block gets, by their numbers.
enum Plan {
    /// A large one alone, in frames of so many raw bytes.
    Framed(usize, u64),
    /// Some that share it.
    Shared(Vec<usize>, Compress),
}

/// Chunks in order; those that share a block fill it up before the next one is begun.
fn plan(jobs: &[ChunkJob], config: &FileConfig) -> Vec<Plan> {
    let mut blocks: Vec<Plan> = Vec::new();
    // The block that is being filled, of each way to compress, and its bytes.
    let mut open: HashMap<Filling, (usize, usize)> = HashMap::new();
    for (i, job) in jobs.iter().enumerate() {
        if let Some(frame) = frames_of(job, config) {
            blocks.push(Plan::Framed(i, frame));
            continue;
        }
        let (bytes, filling) = (job.data.heap_bytes(), filling(&job.codec));
        let full = config.block_bytes_for(matches!(job.codec, Compress::Auto(_)));
        if let Some((block, used)) = open.get_mut(&filling)
            && *used + bytes <= full
            && let Some(Plan::Shared(members, _)) = blocks.get_mut(*block)
        {
            *used += bytes;
            members.push(i);
            continue;
        }
        open.insert(filling, (blocks.len(), bytes));
        blocks.push(Plan::Shared(vec![i], job.codec.clone()));
    }
    blocks
}

/// A block before compression.
enum Raw {
    Framed(usize, ReadyBlock, Statistics),
    Shared { members: Vec<Member>, bytes: Vec<u8>, compress: Compress },
}

/// A chunk in its block.
struct Member {
    /// Which chunk of its batch.
    job: usize,
    offset: u64,
    length: u64,
    statistics: Statistics,
}

fn raw(block: &Plan, jobs: &[ChunkJob]) -> Result<Raw> {
    let statistics = |job: &ChunkJob| job.data.statistics(&job.schema);
    match block {
        Plan::Framed(i, frame) => {
            let job = &jobs[*i];
            let Compress::As(codec) = &job.codec else {
                return Err(array_format_core::Error::invalid("no codec was chosen for a large chunk"));
            };
            let elements = match &job.data {
                JobData::Elements(elements) => elements.clone(),
                JobData::Flat(flat) => {
                    let values = Values::Fixed(flat.bytes().to_vec());
                    Arc::new(Elements { dtype: job.schema.dtype, values, validity: None })
                }
            };
            let block = framed::encode(&job.schema, &elements, *frame, codec)?;
            let ready = ReadyBlock {
                stored: block.bytes.into(),
                decoded_bytes: block.decoded_bytes,
                frame_bytes: *frame,
                codec: Arc::new(CodecRecord::of(codec)),
                checksum: block.checksum,
            };
            Ok(Raw::Framed(*i, ready, statistics(job)?))
        }
        Plan::Shared(chunks, compress) => {
            let (mut members, mut bytes) = (Vec::with_capacity(chunks.len()), Vec::new());
            for i in chunks {
                let (job, offset) = (&jobs[*i], bytes.len() as u64);
                match &job.data {
                    JobData::Elements(elements) => chunk::encode(&job.schema, elements, &mut bytes)?,
                    JobData::Flat(flat) => bytes.extend_from_slice(flat.bytes()),
                }
                let length = bytes.len() as u64 - offset;
                members.push(Member { job: *i, offset, length, statistics: statistics(job)? });
            }
            Ok(Raw::Shared { members, bytes, compress: compress.clone() })
        }
    }
}

/// A batch of chunks, encoded: blocks to be stored.
pub(crate) struct Encoded {
    blocks: Vec<(ReadyBlock, Vec<Member>)>,
}

/// Encodes chunks, on all threads of the pool that this runs in.
fn encode(mut jobs: Vec<ChunkJob>, config: &FileConfig) -> Result<Encoded> {
    for of_array in jobs.chunk_by_mut(|a, b| a.node == b.node) {
        choose::for_array(of_array, config)?;
    }
    let plans = plan(&jobs, config);
    let raws = parallel(&plans, |block| raw(block, &jobs))?;
    drop(jobs);
    let shared = raws.iter().filter_map(|raw| match raw {
        Raw::Framed(..) => None,
        Raw::Shared { bytes, compress, .. } => Some((compress, &bytes[..])),
    });
    let codecs = codecs_of(shared.clone())?;
    let pairs: Vec<(&[u8], Chosen)> = shared.map(|s| s.1).zip(codecs).collect();
    let mut ready =
        parallel(&pairs, |(bytes, (codec, record))| compress_as(bytes, codec, record))?.into_iter();
    let mut blocks = Vec::with_capacity(raws.len());
    for raw in raws {
        match raw {
            Raw::Framed(job, ready, statistics) => {
                let length = ready.decoded_bytes;
                blocks.push((ready, vec![Member { job, offset: 0, length, statistics }]));
            }
            Raw::Shared { members, .. } => blocks.extend(ready.next().map(|ready| (ready, members))),
        }
    }
    Ok(Encoded { blocks })
}

/// Batches of chunks on their way through the encoders, each chunk with a key of the caller's.
pub(crate) struct Pipeline<K> {
    config: Arc<FileConfig>,
    running: VecDeque<(Vec<K>, usize, Running<Encoded>)>,
}

impl<K: Clone> Pipeline<K> {
    pub(crate) fn new(config: &Arc<FileConfig>) -> Self {
        Self { config: config.clone(), running: VecDeque::new() }
    }

    /// Batches under way.
    pub(crate) fn len(&self) -> usize {
        self.running.len()
    }

    /// The keys of all chunks in them.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.running.iter().flat_map(|r| &r.0)
    }

    /// Bytes of elements in them.
    pub(crate) fn bytes(&self) -> u64 {
        self.running.iter().map(|r| r.1 as u64).sum()
    }

    /// Begins to encode a batch.
    pub(crate) fn push(&mut self, batch: Vec<(K, ChunkJob)>) {
        let (keys, jobs): (Vec<K>, Vec<ChunkJob>) = batch.into_iter().unzip();
        let bytes = jobs.iter().map(|j| j.data.heap_bytes()).sum();
        let config = self.config.clone();
        let running = match bytes < SMALL_BATCH_BYTES || jobs.len() == 1 {
            true => Running::Done(encode(jobs, &config)),
            false => Running::start(move || encode(jobs, &config)),
        };
        self.running.push_back((keys, bytes, running));
    }

    /// The next batch that was begun, once it is encoded.
    pub(crate) async fn next(&mut self) -> Option<Result<(Vec<K>, Encoded)>> {
        let (keys, _, running) = self.running.pop_front()?;
        Some(running.result().await.map(|encoded| (keys, encoded)))
    }
}

impl Encoded {
    /// Stores the blocks and says where the chunks are.
    pub(crate) async fn store<K: Clone>(self, keys: &[K], sink: &mut LayerSink) -> Result<Vec<(K, Placed)>> {
        let mut placed = Vec::with_capacity(keys.len());
        for (ready, members) in self.blocks {
            let block = sink.put_block(ready).await?;
            for Member { job, offset, length, statistics } in members {
                let chunk = ChunkRef { block: block.clone(), offset, length };
                let statistics = Brief::new(statistics);
                placed.extend(keys.get(job).map(|k| (k.clone(), Placed { chunk, statistics, from: None })));
            }
        }
        Ok(placed)
    }
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
