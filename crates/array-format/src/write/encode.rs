//! Batches of chunks on their way through the encoders.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use array_format_core::block::{ChunkRef, CodecRecord};
use array_format_core::codec::CompressionCodec;
use array_format_core::{Error, Result};
use futures::channel::oneshot;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::brief::Brief;
use super::choose;
use super::pack::{
    Chosen, ChunkJob, Compress, Filling, Member, PackedBlock, Plan, filling, framed_block, plan, raw_block,
    shared_block,
};
use super::pending::Placed;
use super::pool;
use super::sink::LayerSink;
use crate::config::FileConfig;

/// Raw bytes that are encoded at once: enough for all cores, little beside the data.
pub(crate) const BATCH_BYTES: usize = 8 << 20;

/// Batches that are encoded while others are written.
pub(crate) const BATCHES_AHEAD: usize = 3;

/// Batches of less are encoded by the caller: handing them over costs more.
const SMALL_BATCH_BYTES: usize = 256 << 10;

/// Raw bytes of shared blocks, one after the other, that are compressed as a sample of them says.
const CHOICE_BYTES: usize = 2 << 20;

/// Of which a thread encodes so many in one go.
const PART_BYTES: usize = 128 << 10;

/// Chunks that are encoded block by block, by whichever threads are free. No thread waits for another one: a thread of a pool that waits
/// takes up other work of the pool, which may be all of the next batch, and this one would end no sooner than that.
struct Batch {
    jobs: Vec<ChunkJob>,
    plans: Vec<Plan>,
    /// How many bytes a shared block has, about, with a codec that was given, and with one that is chosen.
    block_bytes: [usize; 2],
    done: Mutex<Vec<Option<PackedBlock>>>,
}

/// Blocks that are compressed alike, by their numbers.
struct Group {
    blocks: Vec<usize>,
    /// `None` for a block that has a chunk of its own.
    compress: Option<Compress>,
}

impl Batch {
    fn new(mut jobs: Vec<ChunkJob>, config: &FileConfig) -> Result<Self> {
        for of_array in jobs.chunk_by_mut(|a, b| a.node == b.node) {
            choose::for_array(of_array, config)?;
        }
        let plans = plan(&jobs, config);
        let done = Mutex::new(plans.iter().map(|_| None).collect());
        let block_bytes = [false, true].map(|chosen| config.block_bytes_for(chosen).max(1));
        Ok(Self { jobs, plans, block_bytes, done })
    }

    fn blocks_in(&self, bytes: usize, compress: &Compress) -> usize {
        let [given, chosen] = self.block_bytes;
        match compress {
            Compress::As(_) => (bytes / given).max(1),
            Compress::Auto(_) => (bytes / chosen).max(1),
        }
    }

    fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        let mut open: FxHashMap<Filling, usize> = FxHashMap::default();
        for (block, plan) in self.plans.iter().enumerate() {
            let Plan::Shared(_, compress) = plan else {
                groups.push(Group { blocks: vec![block], compress: None });
                continue;
            };
            let most = self.blocks_in(CHOICE_BYTES, compress);
            let place = open.entry(filling(compress)).or_insert(groups.len());
            match groups.get_mut(*place) {
                Some(group) if group.blocks.len() < most => group.blocks.push(block),
                _ => {
                    *place = groups.len();
                    groups.push(Group { blocks: vec![block], compress: Some(compress.clone()) });
                }
            }
        }
        groups
    }

    /// The codec of shared blocks: of neighbours, which are alike.
    fn choose(&self, blocks: &[usize], compress: &Compress) -> Result<Chosen> {
        let codec: Arc<dyn CompressionCodec> = match compress {
            Compress::As(codec) => codec.clone(),
            Compress::Auto(item) => {
                let mut picked = Vec::new();
                for block in choose::spread(blocks.len(), 3).filter_map(|i| blocks.get(i)) {
                    let Some(Plan::Shared(members, _)) = self.plans.get(*block) else { continue };
                    let mut bytes = Vec::new();
                    raw_block(members, &self.jobs, &mut bytes)?;
                    picked.push(bytes);
                }
                let picked: Vec<&[u8]> = picked.iter().map(Vec::as_slice).collect();
                choose::by_sample(*item, &picked)?
            }
        };
        let record = Arc::new(CodecRecord::of(&codec));
        Ok((codec, record))
    }

    fn encode_shared(&self, blocks: &[usize], chosen: &Chosen) -> Result<()> {
        let mut bytes = Vec::new();
        for block in blocks {
            if let Some(Plan::Shared(members, _)) = self.plans.get(*block) {
                self.put(*block, shared_block(members, &self.jobs, chosen, &mut bytes)?);
            }
        }
        Ok(())
    }

    fn encode_framed(&self, blocks: &[usize]) -> Result<()> {
        for block in blocks {
            if let Some(Plan::Framed(place, frame)) = self.plans.get(*block)
                && let Some(job) = self.jobs.get(*place)
            {
                self.put(*block, framed_block(job, *place, *frame)?);
            }
        }
        Ok(())
    }

    fn put(&self, block: usize, packed: PackedBlock) {
        if let Some(place) = self.done.lock().get_mut(block) {
            *place = Some(packed);
        }
    }

    /// All of it, by this thread.
    fn encode(self) -> Result<Encoded> {
        for Group { blocks, compress } in self.groups() {
            match compress {
                Some(compress) => self.encode_shared(&blocks, &self.choose(&blocks, &compress)?)?,
                None => self.encode_framed(&blocks)?,
            }
        }
        self.finish()
    }

    fn finish(self) -> Result<Encoded> {
        let blocks: Option<Vec<PackedBlock>> = self.done.into_inner().into_iter().collect();
        // What was encoded is let go before anybody hears of it: its memory can be used again then.
        drop(self.jobs);
        blocks.map(|blocks| Encoded { blocks }).ok_or_else(panicked)
    }
}

/// A batch in the hands of some threads. Who lets go of it last makes its end known.
struct Shared {
    batch: Batch,
    failed: Mutex<Option<Error>>,
    sender: oneshot::Sender<Result<Encoded>>,
}

impl Shared {
    /// Hands a part of the work to the pool.
    fn spawn(self: &Arc<Self>, part: impl FnOnce(&Arc<Self>) -> Result<()> + Send + 'static) {
        let shared = self.clone();
        pool::spawn(move || {
            // A panic ends the work, not the process: its block is missing at the end.
            if let Ok(Err(e)) = catch_unwind(AssertUnwindSafe(|| part(&shared))) {
                shared.failed.lock().get_or_insert(e);
            }
            shared.end();
        });
    }

    /// Lets go of it.
    fn end(self: Arc<Self>) {
        let Some(Self { batch, failed, sender }) = Arc::into_inner(self) else { return };
        let result = failed.into_inner().map_or_else(|| batch.finish(), Err);
        // Nobody waits any more: then nobody wants it.
        let _ = sender.send(result);
    }

    fn encode_group(self: &Arc<Self>, Group { blocks, compress }: Group) -> Result<()> {
        let Some(compress) = compress else { return self.batch.encode_framed(&blocks) };
        let chosen = self.batch.choose(&blocks, &compress)?;
        for part in blocks.chunks(self.batch.blocks_in(PART_BYTES, &compress)) {
            let (part, chosen) = (part.to_vec(), chosen.clone());
            self.spawn(move |shared| shared.batch.encode_shared(&part, &chosen));
        }
        Ok(())
    }
}

/// Encodes a batch on the threads of the pool, while the caller goes on.
fn start(jobs: Vec<ChunkJob>, config: Arc<FileConfig>) -> oneshot::Receiver<Result<Encoded>> {
    let (sender, receiver) = oneshot::channel();
    pool::spawn(move || {
        // A panic drops the sender, which is heard of.
        let begun = catch_unwind(AssertUnwindSafe(|| {
            let batch = match Batch::new(jobs, &config) {
                Ok(batch) => batch,
                Err(e) => return drop(sender.send(Err(e))),
            };
            let groups = batch.groups();
            let shared = Arc::new(Shared { batch, failed: Mutex::new(None), sender });
            for group in groups {
                shared.spawn(move |shared| shared.encode_group(group));
            }
            shared.end();
        }));
        drop(begun);
    });
    receiver
}

fn panicked() -> Error {
    Error::invalid("encoding panicked: a bug in a codec; what was to be written stays pending")
}

/// A batch of chunks, encoded: blocks to be stored.
pub(crate) struct Encoded {
    blocks: Vec<PackedBlock>,
}

/// A batch under way, or done.
enum Running {
    Done(Result<Encoded>),
    Later(oneshot::Receiver<Result<Encoded>>),
}

impl Running {
    /// Waits for the result.
    async fn result(self) -> Result<Encoded> {
        match self {
            Self::Done(result) => result,
            Self::Later(receiver) => receiver.await.unwrap_or_else(|_| Err(panicked())),
        }
    }
}

/// Batches of chunks on their way through the encoders, each chunk with a key of the caller's.
pub(crate) struct Pipeline<K> {
    config: Arc<FileConfig>,
    running: VecDeque<(Vec<K>, usize, Running)>,
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

    /// Room for a batch like the last one.
    pub(crate) fn room(&self) -> (Vec<K>, Vec<ChunkJob>) {
        let count = self.running.back().map_or(0, |r| r.0.len());
        (Vec::with_capacity(count), Vec::with_capacity(count))
    }

    /// Begins to encode a batch.
    pub(crate) fn push(&mut self, keys: Vec<K>, jobs: Vec<ChunkJob>) {
        let bytes = jobs.iter().map(|j| j.data.heap_bytes()).sum();
        let running = match bytes < SMALL_BATCH_BYTES || !pool::has_threads() {
            true => Running::Done(Batch::new(jobs, &self.config).and_then(Batch::encode)),
            false => Running::Later(start(jobs, self.config.clone())),
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

#[cfg(test)]
mod tests {
    use array_format_core::buffer::{Elements, Values};
    use array_format_core::codec::{NoCompression, ZstdCodec};
    use array_format_core::dtype::{DType, Scalar};
    use array_format_core::schema::ArraySchema;
    use futures::executor::block_on;

    use super::super::pack::JobData;
    use super::*;

    /// One that does what a codec must not do, or says that it cannot.
    #[derive(Debug)]
    struct Bad(bool);

    impl CompressionCodec for Bad {
        fn id(&self) -> u32 {
            1000
        }

        fn name(&self) -> &str {
            "bad"
        }

        fn params(&self) -> Vec<u8> {
            Vec::new()
        }

        fn compress(&self, _: &[u8], _: &mut Vec<u8>) -> Result<()> {
            assert!(!self.0, "a codec's bug");
            Err(Error::invalid("a codec that cannot"))
        }

        fn decompress(&self, _: &[u8], _: &[u8], _: &mut [u8]) -> Result<()> {
            Err(Error::invalid("a codec that cannot"))
        }
    }

    fn jobs(codec: &Compress, count: usize, items: usize) -> Vec<ChunkJob> {
        let dtype = DType::Scalar(Scalar::F32);
        let schema = Arc::new(ArraySchema {
            dtype,
            nullable: false,
            dimensions: vec!["n".into()],
            chunk_shape: None,
            fill: None,
            filters: Vec::new(),
            codec: None,
        });
        let job = |i: usize| {
            let numbers = (0..items).flat_map(|k| ((i * 31 + k) as f32 / 100.0).to_le_bytes()).collect();
            let elements = Elements { dtype, values: Values::Fixed(numbers), validity: None };
            ChunkJob {
                node: i as u64,
                schema: schema.clone(),
                codec: codec.clone(),
                extents: vec![items as u64],
                data: JobData::Elements(Arc::new(elements)),
            }
        };
        (0..count).map(job).collect()
    }

    /// Stored bytes of blocks, and what is in them.
    fn stored(encoded: &Encoded) -> Vec<(&[u8], Vec<[u64; 3]>)> {
        let members = |m: &[Member]| m.iter().map(|m| [m.job as u64, m.offset, m.length]).collect();
        encoded.blocks.iter().map(|(ready, m)| (&ready.stored[..], members(m))).collect()
    }

    #[test]
    fn many_threads_make_the_same_as_one() {
        let config = Arc::new(FileConfig::default());
        let auto = Compress::Auto(Scalar::F32);
        let zstd = Compress::As(Arc::new(ZstdCodec::default()));
        for (count, items) in [(3000, 700), (40, 100_000), (1, 500_000)] {
            let mixed = || {
                let mut all = jobs(&auto, count, items);
                all.extend(jobs(&zstd, count, items));
                all.rotate_left(count / 2);
                all
            };
            let alone = Batch::new(mixed(), &config).and_then(Batch::encode).unwrap();
            let together = block_on(start(mixed(), config.clone())).unwrap().unwrap();
            assert_eq!(stored(&alone), stored(&together));
            let mut places: Vec<usize> =
                alone.blocks.iter().flat_map(|b| &b.1).map(|member| member.job).collect();
            places.sort_unstable();
            assert!(places.into_iter().eq(0..2 * count));
        }
    }

    #[test]
    fn a_panic_is_an_error_for_who_waits_and_so_is_an_error() {
        for (panics, message) in [(true, "panicked"), (false, "cannot")] {
            for (count, items) in [(1000, 1000), (2, 500_000)] {
                let mut pipeline: Pipeline<usize> = Pipeline::new(&Arc::default());
                let good = Compress::As(Arc::new(NoCompression));
                let mut all = jobs(&good, count, items);
                all.extend(jobs(&Compress::As(Arc::new(Bad(panics))), count, items));
                pipeline.push((0..2 * count).collect(), all);
                pipeline.push((0..count).collect(), jobs(&good, count, items));
                let e = block_on(pipeline.next()).unwrap().err().unwrap();
                assert!(e.message().contains(message), "{e}");
                assert_eq!(block_on(pipeline.next()).unwrap().unwrap().0.len(), count);
                assert!(block_on(pipeline.next()).is_none());
            }
        }
    }
}
