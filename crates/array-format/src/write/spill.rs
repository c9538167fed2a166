//! Chunks that wait for a commit and take too much memory: they are encoded and go ahead, to a detached layer of blocks alone. The commit
//! makes it part of the file. See `docs/design.md`, "Spilling".

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Bound;
use std::sync::Arc;

use array_format_core::address::ObjectId;
use array_format_core::buffer::Elements;
use array_format_core::footer::{DetachedRoot, ObjectEntry, Run};
use array_format_core::schema::Schema;
use array_format_core::{Error, Result};
use async_trait::async_trait;
use futures::lock::Mutex;
use rustc_hash::FxHashSet;

use super::coords::Coords;
use super::encode::{BATCH_BYTES, BATCHES_AHEAD, Pipeline};
use super::flats::Flat;
use super::pack::{ChunkJob, JobData};
use super::pending::{Cells, Pending, Staged, StagedChunk, unencoded};
use super::sink::LayerSink;
use super::small_map::SmallMap;
use crate::commit::blocks::Codecs;
use crate::config::FileConfig;
use crate::detached::publish_detached;
use crate::file::ArrayFile;
use crate::layer::names;
use crate::layer::object::{JoinedLayer, Objects, Unfinished};

/// A pending chunk, as it was when it was taken to be encoded.
#[derive(Clone)]
pub(crate) struct TakenChunk {
    pub(crate) node: u64,
    pub(crate) coords: Coords,
    data: TakenData,
}

/// What tells whether a chunk was changed.
#[derive(Clone, PartialEq, Eq, Hash)]
enum TakenData {
    /// The address of elements, and what keeps them there.
    Elements(Held),
    Flat(Flat),
}

/// Elements that are the same if they are one.
#[derive(Clone)]
struct Held(Arc<Elements>);

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Held {}

impl Hash for Held {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl TakenChunk {
    /// A chunk that waits in memory, and the data that is to be encoded.
    pub(crate) fn of(
        pending: &Pending,
        node: u64,
        coords: &Coords,
        chunk: &StagedChunk,
    ) -> Option<(Self, JobData)> {
        let (data, job) = match chunk {
            StagedChunk::Data(e) => (TakenData::Elements(Held(e.clone())), JobData::Elements(e.clone())),
            StagedChunk::Flat(flat) => (TakenData::Flat(*flat), JobData::Flat(pending.held(*flat))),
            StagedChunk::Erased | StagedChunk::Placed(_) => return None,
        };
        Some((Self { node, coords: coords.clone(), data }, job))
    }

    /// Whether it was not changed since.
    pub(crate) fn is_current(&self, pending: &Pending) -> bool {
        match (pending.chunk(self.node, &self.coords), &self.data) {
            (Some(StagedChunk::Data(now)), TakenData::Elements(then)) => Arc::ptr_eq(now, &then.0),
            (Some(StagedChunk::Flat(now)), TakenData::Flat(then)) => now == then,
            _ => false,
        }
    }
}

/// What goes ahead of a commit.
pub(crate) struct Spill {
    /// Batches that are encoded while the caller goes on.
    pub(crate) pipeline: Pipeline<TakenChunk>,
    /// Where they go.
    object: Option<Arc<SpillObject>>,
    /// The last chunk that was taken: path and coordinates. The next one is the first after it, and so, as a rule, the one that waits longest.
    cursor: Option<(String, Coords)>,
    /// How many of the batches under way may hold what comes after the cursor: those up to the last one that was taken past the end, from the
    /// beginning on.
    mixed: usize,
}

impl Spill {
    pub(crate) fn new(config: &Arc<FileConfig>) -> Self {
        Self { pipeline: Pipeline::new(config), object: None, cursor: None, mixed: 0 }
    }
}

impl fmt::Debug for Spill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spill").field("batches", &self.pipeline.len()).field("object", &self.object).finish()
    }
}

/// A detached layer of blocks alone, while it is written.
pub(crate) struct SpillObject {
    id: ObjectId,
    path: String,
    state: Mutex<State>,
}

enum State {
    Open(Box<LayerSink>),
    Stored,
    Lost(Error),
}

impl fmt::Debug for SpillObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpillObject").field("path", &self.path).finish_non_exhaustive()
    }
}

fn lost(e: &Error) -> Error {
    let why = e.message();
    Error::new(
        e.kind(),
        format!(
            "what was written ahead of the commit, to save memory, is lost ({why}): write it again, or `discard`"
        ),
    )
}

impl SpillObject {
    /// Takes the sink for a while. Whoever does not give it back has lost it: an upload that was left in the middle is of no use.
    fn take(state: &mut State) -> Result<Box<LayerSink>> {
        let interrupted = || State::Lost(Error::invalid("the call that wrote it was dropped"));
        match std::mem::replace(state, interrupted()) {
            State::Open(sink) => Ok(sink),
            State::Stored => {
                *state = State::Stored;
                Err(Error::invalid("this detached layer is complete"))
            }
            State::Lost(e) => {
                let lost = lost(&e);
                *state = State::Lost(e);
                Err(lost)
            }
        }
    }

    async fn is_open(&self) -> bool {
        matches!(*self.state.lock().await, State::Open(_))
    }
}

#[async_trait]
impl Unfinished for SpillObject {
    async fn finish(&self, objects: &Objects, begun: u64) -> Result<()> {
        let mut state = self.state.lock().await;
        if matches!(*state, State::Stored) {
            return Ok(());
        }
        let mut sink = Self::take(&mut state)?;
        let finished = async {
            let own_blocks = sink.put_block_table().await?;
            let (stored_bytes, decoded_bytes) = sink.block_bytes();
            let root = DetachedRoot { begun, stored_bytes, decoded_bytes, own_blocks, run: Run::default() };
            publish_detached(objects, &self.path, *sink, &root).await
        };
        match finished.await {
            Ok(entry) => {
                objects.join(JoinedLayer { entry, begun });
                objects.finished(self.id);
                *state = State::Stored;
                Ok(())
            }
            Err(e) => {
                let lost = lost(&e);
                *state = State::Lost(e);
                Err(lost)
            }
        }
    }
}

impl ArrayFile {
    /// Encodes and writes ahead what exceeds the memory that pending data may take. Called before and after data becomes pending.
    pub(crate) async fn spill(&self) -> Result<()> {
        let most = self.inner.config.pending_bytes;
        {
            let state = self.inner.state.lock();
            if !state.pending.should_spill(most, state.encoding) {
                return Ok(());
            }
        }
        let mut spill = self.inner.spill.lock().await;
        loop {
            while spill.pipeline.len() < BATCHES_AHEAD && self.encode_more(&mut spill, unencoded(most))? {}
            if self.inner.state.lock().pending.data_bytes() <= most || spill.pipeline.len() == 0 {
                return Ok(());
            }
            self.write_ahead(&mut spill).await?;
        }
    }

    fn note_encoding(&self, spill: &Spill) {
        self.inner.state.lock().encoding = spill.pipeline.bytes();
    }

    /// Begins to encode a batch of what waits, if that is more than `least` bytes beside what is encoded already. Returns whether it did.
    fn encode_more(&self, spill: &mut Spill, least: u64) -> Result<bool> {
        let Some((keys, jobs)) = self.next_batch(spill, least)? else { return Ok(false) };
        spill.pipeline.push(keys, jobs);
        self.note_encoding(spill);
        Ok(true)
    }

    fn next_batch(&self, spill: &mut Spill, least: u64) -> Result<Option<(Vec<TakenChunk>, Vec<ChunkJob>)>> {
        let config = &self.inner.config;
        // Held while it looks, for a few milliseconds: whoever held on to the pending data would make others copy all of it.
        let state = self.inner.state.lock();
        let pending = &state.pending;
        // A commit whose outcome is not known holds its data; which of it is still pending is told by comparing.
        if !state.unconfirmed.is_empty()
            || pending.data_bytes().saturating_sub(spill.pipeline.bytes()) <= least
        {
            return Ok(None);
        }
        let enough = usize::try_from(config.pending_bytes / 4).unwrap_or(usize::MAX).clamp(1, BATCH_BYTES);
        let all = || -> FxHashSet<&TakenData> { spill.pipeline.keys().map(|k| &k.data).collect() };
        let (mut keys, mut jobs) = spill.pipeline.room();
        let (mut bytes, mut codecs) = (0, Codecs::default());
        let start = spill.cursor.take();
        let mut from_the_beginning = start.is_none() && spill.pipeline.len() > 0;
        let mut under_way = (spill.mixed > 0 || from_the_beginning).then(all);
        let from = start.as_ref().map_or(Bound::Unbounded, |(path, _)| Bound::Included(path.as_str()));
        let to = start.as_ref().map_or(Bound::Excluded(""), |(path, _)| Bound::Included(path.as_str()));
        let rest = pending.nodes.range::<str>(from, Bound::Unbounded).map(|node| (true, node));
        let again = pending.nodes.range::<str>(Bound::Unbounded, to).map(|node| (false, node));
        let mut last = start.clone();
        'nodes: for (is_rest, (path, staged)) in rest.chain(again) {
            if !is_rest && !from_the_beginning {
                from_the_beginning = true;
                under_way.get_or_insert_with(all);
            }
            let Staged::Node(s) = staged else { continue };
            let Schema::Array(schema) = &*s.node.schema else { continue };
            let Some(chunks) = pending.chunks.get(&s.node.id) else { continue };
            let cells = Cells::of(&s.node, schema);
            // The array of the cursor comes twice: what is after it first, the rest of it last.
            let at = start.as_ref().filter(|(at, _)| at == path).map(|(_, coords)| coords);
            let (after, to) = if is_rest { (at, None) } else { (None, at) };
            let chunks = chunks.iter_above(after).take_while(|(coords, _)| to.is_none_or(|to| *coords <= to));
            for (coords, chunk) in chunks.filter(|c| cells.contains(c.0)) {
                let Some((taken, data)) = TakenChunk::of(pending, s.node.id, coords, chunk) else { continue };
                if under_way.as_ref().is_some_and(|all| all.contains(&taken.data)) {
                    continue;
                }
                bytes += data.heap_bytes();
                keys.push(taken);
                jobs.push(codecs.job(s.node.id, schema, cells.extents(coords), data, config)?);
                if bytes >= enough {
                    last = Some((path.clone(), coords.clone()));
                    break 'nodes;
                }
            }
        }
        spill.cursor = last;
        if from_the_beginning {
            spill.mixed = spill.pipeline.len() + 1;
        }
        Ok((!jobs.is_empty()).then_some((keys, jobs)))
    }

    /// Writes the next batch that is encoded.
    async fn write_ahead(&self, spill: &mut Spill) -> Result<()> {
        let Some(encoded) = spill.pipeline.next().await else { return Ok(()) };
        spill.mixed = spill.mixed.saturating_sub(1);
        self.note_encoding(spill);
        let (taken, encoded) = encoded?;
        let open = match &spill.object {
            Some(object) => object.is_open().await,
            None => false,
        };
        let object = match (&spill.object, open) {
            (Some(object), true) => object.clone(),
            _ => spill.object.insert(self.begin_spill().await?).clone(),
        };
        let mut state = object.state.lock().await;
        let mut sink = match SpillObject::take(&mut state) {
            Ok(sink) => sink,
            // Somebody read what is in it, and so completed it, this very moment: the chunks stay as they are.
            Err(_) if matches!(*state, State::Stored) => return Ok(()),
            Err(e) => return Err(e),
        };
        match encoded.store(&taken, &mut sink).await {
            Ok(placed) => {
                *state = State::Open(sink);
                let mut state = self.inner.state.lock();
                let pending = Arc::make_mut(&mut state.pending);
                for (taken, placed) in placed {
                    if taken.is_current(pending) {
                        let chunk = StagedChunk::Placed(Arc::new(placed));
                        pending.put_chunks(taken.node, [(taken.coords, chunk)]);
                    }
                }
                Ok(())
            }
            Err(e) => {
                let lost = lost(&e);
                *state = State::Lost(e);
                Err(lost)
            }
        }
    }

    async fn begin_spill(&self) -> Result<Arc<SpillObject>> {
        let version = self.version_below();
        let (file_id, write_id) = (version.head.file_id, self.inner.config.new_id());
        let id = ObjectId::Detached(write_id);
        let path = names::sidecar(&version.objects.path, &file_id, id);
        let upload = version.objects.storage.upload_unique(&path).await?;
        let sink = LayerSink::begin_detached(upload, file_id, write_id).await?;
        let object = Arc::new(SpillObject { id, path, state: Mutex::new(State::Open(Box::new(sink))) });
        // Its length is known once it is complete, which every reader sees to.
        let (object_bytes, stored_bytes, decoded_bytes, live_bytes) = (u64::MAX, 0, 0, 0);
        let entry = ObjectEntry { id, write_id, object_bytes, stored_bytes, decoded_bytes, live_bytes };
        version.objects.join(JoinedLayer { entry, begun: version.number() });
        version.objects.begin_unfinished(id, object.clone());
        Ok(object)
    }

    /// Completes the object of what was written ahead, if there is one. What is encoded and not in it comes back.
    pub(crate) async fn settle_spill(&self) -> Result<Pipeline<TakenChunk>> {
        let mut spill = self.inner.spill.lock().await;
        if spill.object.is_some() {
            let begun = spill.pipeline.len();
            // What is left is encoded while what is ahead of it is written and synced: some of it, since it takes memory.
            while spill.pipeline.len() < begun + BATCHES_AHEAD && self.encode_more(&mut spill, 0)? {}
            for _ in 0..begun {
                self.write_ahead(&mut spill).await?;
            }
            // The newest version is what it is said to be written on: collections that came in between take nothing away then.
            self.catch_up().await?;
        }
        if let Some(object) = spill.object.take() {
            let version = self.version_below();
            // If it is lost, those hear of it who need what was in it.
            if let Err(e) = object.finish(&version.objects, version.number()).await {
                tracing::warn!(error = %e, "a detached layer could not be completed");
            }
        }
        (spill.cursor, spill.mixed) = (None, 0);
        let ahead = std::mem::replace(&mut spill.pipeline, Pipeline::new(&self.inner.config));
        self.note_encoding(&spill);
        Ok(ahead)
    }

    /// The sink of what was written ahead, to be gone on with: a detached layer can hold its blocks itself. All that was under way is
    /// in it.
    pub(crate) async fn take_spill(&self) -> Result<Option<(String, LayerSink)>> {
        let mut spill = self.inner.spill.lock().await;
        if spill.object.is_some() {
            while spill.pipeline.len() > 0 {
                self.write_ahead(&mut spill).await?;
            }
        }
        spill.pipeline = Pipeline::new(&self.inner.config);
        (spill.cursor, spill.mixed) = (None, 0);
        self.note_encoding(&spill);
        let Some(object) = spill.object.take() else { return Ok(None) };
        let mut state = object.state.lock().await;
        Ok(SpillObject::take(&mut state).ok().map(|sink| (object.path.clone(), *sink)))
    }

    /// Refuses to give up versions while pending data went ahead on one of them: it would be given up, too.
    pub(crate) fn check_nothing_ahead(&self) -> Result<()> {
        let state = self.inner.state.lock();
        let pending = &state.pending;
        let ahead = pending.chunks.values().flat_map(SmallMap::values).any(|chunk| match chunk {
            StagedChunk::Placed(p) if p.from.is_none() => {
                let id = p.chunk.block.id.object;
                !pending.joined.contains(&id) && !self.inner.objects.is_unfinished(id)
            }
            _ => false,
        });
        match ahead {
            true => Err(Error::invalid(
                "pending data was written ahead, to save memory, on a version that would be given up: `flush` or `discard` first",
            )),
            false => Ok(()),
        }
    }

    /// Gives up what was written ahead, and what is under way.
    pub(crate) async fn discard_spill(&self) {
        let mut spill = self.inner.spill.lock().await;
        *spill = Spill { object: spill.object.take(), ..Spill::new(&self.inner.config) };
        self.note_encoding(&spill);
        let Some(object) = spill.object.take() else { return };
        let mut state = object.state.lock().await;
        if let Ok(sink) = SpillObject::take(&mut state)
            && let Err(e) = sink.abort().await
        {
            tracing::warn!(error = %e, "what was written ahead is left for the next collection");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use array_format_core::codec::NoCompression;
    use futures::executor::block_on;
    use ndarray::Array1;

    use super::*;
    use crate::storage::{InMemoryStorage, Storage};

    #[test]
    fn a_flush_begins_some_batches_however_much_is_left_for_it() {
        const MIB: u64 = 1 << 20;
        let storage: Arc<dyn Storage> = Arc::new(InMemoryStorage::default());
        let config = FileConfig::new(NoCompression).with_pending_bytes(128 * MIB);
        block_on(async {
            let mut file = ArrayFile::create(&storage, "a.af", config).await.unwrap();
            file.define_array::<u8>("x", vec!["n".into()], vec![140 * MIB], Some(vec![MIB]), None).unwrap();
            let chunk = Array1::from_elem(MIB as usize, 7u8).into_dyn();
            for i in 0..140 {
                file.write_array("x", vec![i * MIB], chunk.view()).await.unwrap();
            }
            assert!(file.inner.spill.lock().await.object.is_some() && file.pending_bytes() > 100 * MIB);
            let ahead = file.settle_spill().await.unwrap();
            assert!((1..=BATCHES_AHEAD).contains(&ahead.len()), "{} batches", ahead.len());
        });
    }
}
