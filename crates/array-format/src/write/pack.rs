//! From chunks to blocks: `docs/format.md` section 9.

use std::borrow::Cow;
use std::sync::Arc;

use array_format_core::Result;
use array_format_core::block::CodecRecord;
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
use rustc_hash::FxHashMap;

use super::flats::HeldFlat;
use super::sink::ReadyBlock;
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
    /// Extents of the chunk's box; none where the chunk [is too small](FileConfig::least_framed_bytes) for them to matter.
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
    if values.len() < config.least_framed_bytes() {
        return None;
    }
    let frame = frame_bytes(&job.schema, &job.extents, config.frame_bytes_for(codec));
    (values.len() as u64 >= frame.saturating_mul(2)).then_some(frame)
}

/// A codec, and how it is recorded.
pub(super) type Chosen = (Arc<dyn CompressionCodec>, Arc<CodecRecord>);

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

/// What chunks must have in common to share a block.
#[derive(PartialEq, Eq, Hash)]
pub(super) enum Filling {
    /// The address of the codec.
    As(usize),
    Auto(Scalar),
}

pub(super) fn filling(codec: &Compress) -> Filling {
    match codec {
        Compress::As(codec) => Filling::As(Arc::as_ptr(codec).addr()),
        Compress::Auto(item) => Filling::Auto(*item),
    }
}

/// Which chunks of a batch a block gets, by their numbers.
pub(super) enum Plan {
    /// A large one alone, in frames of so many raw bytes.
    Framed(usize, u64),
    /// Some that share it.
    Shared(Vec<usize>, Compress),
}

/// Chunks in order; those that share a block fill it up before the next one is begun.
pub(super) fn plan(jobs: &[ChunkJob], config: &FileConfig) -> Vec<Plan> {
    let mut blocks: Vec<Plan> = Vec::new();
    // The block that is being filled, of each way to compress, and its bytes.
    let mut open: FxHashMap<Filling, (usize, usize)> = FxHashMap::default();
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

/// A chunk in its block.
pub(super) struct Member {
    /// Which chunk of its batch.
    pub(super) job: usize,
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) statistics: Statistics,
}

/// A block that is ready, and what is in it.
pub(super) type PackedBlock = (ReadyBlock, Vec<Member>);

/// Encodes a large chunk into a block of its own, in frames of so many raw bytes.
pub(super) fn framed_block(job: &ChunkJob, place: usize, frame: u64) -> Result<PackedBlock> {
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
    let block = framed::encode(&job.schema, &elements, frame, codec)?;
    let ready = ReadyBlock {
        stored: block.bytes.into(),
        decoded_bytes: block.decoded_bytes,
        frame_bytes: frame,
        codec: Arc::new(CodecRecord::of(codec)),
        checksum: block.checksum,
    };
    let (length, statistics) = (ready.decoded_bytes, job.data.statistics(&job.schema)?);
    Ok((ready, vec![Member { job: place, offset: 0, length, statistics }]))
}

/// The raw bytes of a block that chunks share, into `bytes`. Returns where each begins.
pub(super) fn raw_block(members: &[usize], jobs: &[ChunkJob], bytes: &mut Vec<u8>) -> Result<Vec<u64>> {
    bytes.clear();
    bytes.reserve(members.iter().map(|i| jobs[*i].data.heap_bytes()).sum());
    let mut starts = Vec::with_capacity(members.len());
    for i in members {
        starts.push(bytes.len() as u64);
        match &jobs[*i].data {
            JobData::Elements(elements) => chunk::encode(&jobs[*i].schema, elements, bytes)?,
            JobData::Flat(flat) => bytes.extend_from_slice(flat.bytes()),
        }
    }
    Ok(starts)
}

/// Encodes chunks into a block that they share. `bytes` is memory to be used again.
pub(super) fn shared_block(
    places: &[usize],
    jobs: &[ChunkJob],
    (codec, record): &Chosen,
    bytes: &mut Vec<u8>,
) -> Result<PackedBlock> {
    let starts = raw_block(places, jobs, bytes)?;
    let ends = starts.iter().skip(1).copied().chain([bytes.len() as u64]);
    let mut members = Vec::with_capacity(places.len());
    for ((job, offset), end) in places.iter().zip(&starts).zip(ends) {
        let statistics = jobs[*job].data.statistics(&jobs[*job].schema)?;
        members.push(Member { job: *job, offset: *offset, length: end - offset, statistics });
    }
    Ok((compress_as(bytes, &**codec, record)?, members))
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

#[cfg(test)]
mod tests {
    use array_format_core::codec::{NoCompression, NumbersCodec};

    use super::*;

    #[test]
    fn chunks_whose_extents_are_left_out_have_no_frames() {
        let schema = ArraySchema {
            dtype: DType::Scalar(Scalar::I16),
            nullable: false,
            dimensions: Vec::new(),
            chunk_shape: None,
            fill: None,
            filters: Vec::new(),
            codec: None,
        };
        let config = FileConfig::default();
        for codec in [&NoCompression as &dyn CompressionCodec, &pco()] {
            let target = config.frame_bytes_for(codec);
            let axis = [1u64, 2, 3, 7, 61, 255, 1024, 4099, 20_000];
            for shape in
                axis.iter().flat_map(|a| axis.map(|b| [*a, b])).flat_map(|[a, b]| axis.map(|c| [a, b, c]))
            {
                let bytes = shape.iter().product::<u64>() * 2;
                let has_frames = bytes >= 2 * frame_bytes(&schema, &shape, target);
                assert!(!has_frames || bytes >= config.least_framed_bytes() as u64, "{shape:?}");
            }
        }
    }

    fn pco() -> NumbersCodec {
        NumbersCodec::new(Scalar::I16, vec![Filter::Pco { level: 4 }], NoCompression).unwrap()
    }
}
