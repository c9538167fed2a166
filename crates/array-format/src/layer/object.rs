//! Objects that are open: pinned, checked to be the ones that the root means.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use array_format_core::address::ObjectId;
use array_format_core::footer::ObjectEntry;
use array_format_core::format::constants::TRAILER_BYTES;
use array_format_core::format::trailer::{Id, Trailer};
use array_format_core::{Error, ErrorKind, Result};
use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use futures::stream::{self, BoxStream, StreamExt};
use parking_lot::Mutex;

use super::{Head, names};
use crate::storage::pieces::cut;
use crate::storage::{FinishMode, ListEntry, Opened, Storage, StoredObject};

/// What a handle did so far. See [`ArrayFile::counters`](crate::ArrayFile::counters).
#[derive(Debug, Default)]
pub(crate) struct Counting {
    pub(crate) requests: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) decoded_blocks: AtomicU64,
    pub(crate) cache_hits: AtomicU64,
}

impl Counting {
    /// Counts a block that was found decoded.
    pub(crate) fn hit(&self) {
        self.cache_hits.fetch_add(1, Ordering::Relaxed);
    }
}

/// An object that is open, with the tail that came along with opening it.
#[derive(Debug, Clone)]
pub(crate) struct PinnedObject {
    object: Arc<dyn StoredObject>,
    tail: Bytes,
    counting: Arc<Counting>,
}

impl PinnedObject {
    fn new(opened: Opened, counting: Arc<Counting>) -> Self {
        counting.requests.fetch_add(1, Ordering::Relaxed);
        counting.bytes.fetch_add(opened.tail.len() as u64, Ordering::Relaxed);
        // Of an object that is mapped, all of it came along.
        let tail = opened.object.mapped().cloned().unwrap_or(opened.tail);
        Self { object: opened.object, tail, counting }
    }

    pub(crate) fn stored(&self) -> &Arc<dyn StoredObject> {
        &self.object
    }

    pub(crate) fn tail(&self) -> &Bytes {
        &self.tail
    }

    /// Whether its bytes can be read without waiting.
    pub(crate) fn reads_now(&self) -> bool {
        self.object.now().is_some()
    }

    /// Bytes of a range, where [`reads_now`](Self::reads_now): read into `room` unless they are in memory.
    pub(crate) fn read_now<'b>(&'b self, range: Range<u64>, room: &'b mut Vec<u8>) -> Result<&'b [u8]> {
        if let Some(bytes) = self.held(&range) {
            return Ok(bytes);
        }
        let Some(now) = self.object.now() else {
            return Err(Error::new(ErrorKind::Unsupported, "this object cannot be read without waiting"));
        };
        self.counting.requests.fetch_add(1, Ordering::Relaxed);
        self.counting.bytes.fetch_add(range.end.saturating_sub(range.start), Ordering::Relaxed);
        now.read_now(range, room)?;
        Ok(room)
    }

    /// Where a range lies in what came along with opening.
    fn place_in_tail(&self, range: &Range<u64>) -> Option<Range<usize>> {
        let tail_start = self.object.size().checked_sub(self.tail.len() as u64)?;
        let at = |offset: u64| usize::try_from(offset.checked_sub(tail_start)?).ok();
        let place = at(range.start)?..at(range.end)?;
        (place.start <= place.end && range.end <= self.object.size()).then_some(place)
    }

    /// Bytes of a range that are in memory: they came along with opening.
    pub(crate) fn held(&self, range: &Range<u64>) -> Option<&[u8]> {
        self.tail.get(self.place_in_tail(range)?)
    }

    fn in_tail(&self, range: &Range<u64>) -> Option<Bytes> {
        Some(self.tail.slice(self.place_in_tail(range)?))
    }

    /// Bytes of a range; free of charge where the tail has them.
    pub(crate) async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        if let Some(bytes) = self.in_tail(&range) {
            return Ok(bytes);
        }
        self.counting.requests.fetch_add(1, Ordering::Relaxed);
        self.counting.bytes.fetch_add(range.end.saturating_sub(range.start), Ordering::Relaxed);
        self.object.read(range).await
    }

    /// The same between each two neighbours of `cuts`, each piece as soon as it is there.
    pub(crate) fn read_pieces(&self, cuts: Vec<u64>) -> BoxStream<'static, Result<Bytes>> {
        let range = cuts.first().copied().unwrap_or(0)..cuts.last().copied().unwrap_or(0);
        if let Some(bytes) = self.in_tail(&range) {
            return stream::iter(cut(&bytes, &cuts)).boxed();
        }
        self.counting.requests.fetch_add(1, Ordering::Relaxed);
        self.counting.bytes.fetch_add(range.end.saturating_sub(range.start), Ordering::Relaxed);
        self.object.clone().read_pieces(cuts)
    }
}

/// Bytes of an object's end that are read with opening it: of the newest layer they hold trailer, root and often all index pages.
pub(crate) const TAIL_BYTES: u64 = 64 << 10;

/// Bytes that are read along with the trailer of an object on this machine, at most.
const NEAR_TAIL_BYTES: u64 = 4 << 10;

/// Most objects of a store that are kept open at once, each with its tail.
const MOST_OPEN: usize = 200;

/// The same on this machine, where each has a descriptor. Linux makes room for more than 64 of them in a process of several threads by waiting for
/// all processors, about 10 ms each time that the room doubles; opening a file again takes some microseconds.
const MOST_OPEN_NEAR: usize = 32;

/// The objects of one file, opened when they are needed.
#[derive(Debug)]
pub(crate) struct Objects {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) path: String,
    pub(crate) counting: Arc<Counting>,
    open: Mutex<HashMap<Id, PinnedObject>>,
    opening: Mutex<HashMap<Id, Arc<futures::lock::Mutex<()>>>>,
    detached: Mutex<HashMap<ObjectId, JoinedLayer>>,
    unfinished: Mutex<HashMap<ObjectId, Arc<dyn Unfinished>>>,
}

/// An object that this handle is still writing, and that others may want to read.
#[async_trait]
pub(crate) trait Unfinished: fmt::Debug + Send + Sync {
    /// Completes it, unless it is complete: what was written can be read afterwards. `begun` is the version that it was written on.
    async fn finish(&self, objects: &Objects, begun: u64) -> Result<()>;
}

/// A detached layer that this handle joins.
#[derive(Debug, Clone)]
pub(crate) struct JoinedLayer {
    pub(crate) entry: ObjectEntry,
    /// The version that its worker worked on.
    pub(crate) begun: u64,
}

impl Objects {
    pub(crate) fn new(storage: Arc<dyn Storage>, path: String) -> Self {
        Self {
            storage,
            path,
            counting: Arc::default(),
            open: Mutex::default(),
            opening: Mutex::default(),
            detached: Mutex::default(),
            unfinished: Mutex::default(),
        }
    }

    /// Makes a version durable that was found: others may have published what is not durable yet.
    pub(crate) async fn sync(&self, head: &Head) -> Result<()> {
        self.storage.sync(&self.path).await?;
        match head.footer.version == head.base {
            true => Ok(()),
            false => {
                let newest = ObjectId::Layer(head.footer.version);
                self.storage.sync(&names::sidecar(&self.path, &head.file_id, newest)).await
            }
        }
    }

    /// Makes a detached layer known, before a root lists it.
    pub(crate) fn join(&self, layer: JoinedLayer) {
        self.detached.lock().insert(layer.entry.id, layer);
    }

    /// Makes an object known that is being written.
    pub(crate) fn begin_unfinished(&self, id: ObjectId, object: Arc<dyn Unfinished>) {
        self.unfinished.lock().insert(id, object);
    }

    /// Forgets that an object was not complete.
    pub(crate) fn finished(&self, id: ObjectId) {
        self.unfinished.lock().remove(&id);
    }

    /// Whether an object is still being written.
    pub(crate) fn is_unfinished(&self, id: ObjectId) -> bool {
        self.unfinished.lock().contains_key(&id)
    }

    /// Sees to it that an object can be read.
    ///
    /// # Errors
    /// What the storage said if it was lost while it was written.
    pub(crate) async fn complete(&self, id: ObjectId, begun: u64) -> Result<()> {
        if matches!(id, ObjectId::Layer(_)) {
            return Ok(());
        }
        let unfinished = self.unfinished.lock().get(&id).cloned();
        match unfinished {
            Some(object) => object.finish(self, begun).await,
            None => Ok(()),
        }
    }

    pub(crate) fn detached(&self, id: ObjectId) -> Option<JoinedLayer> {
        match id {
            ObjectId::Detached(_) => self.detached.lock().get(&id).cloned(),
            ObjectId::Layer(_) => None,
        }
    }

    /// The file's name for a person.
    pub(crate) fn describe(&self) -> String {
        self.storage.describe(&self.path)
    }

    /// Remembers an object that was opened to find the head.
    pub(crate) fn remember(&self, write_id: Id, object: PinnedObject) {
        let most = if self.storage.answers_at_once() { MOST_OPEN_NEAR } else { MOST_OPEN };
        let mut open = self.open.lock();
        let other = open.keys().next().copied().filter(|_| open.len() >= most);
        let closed = other.and_then(|other| open.remove(&other));
        open.insert(write_id, object);
        // Closing a file takes a while, and others wait for the lock.
        drop(open);
        drop(closed);
    }

    /// The objects in the file's folder of layers.
    pub(crate) async fn list(&self) -> Result<Vec<ListEntry>> {
        self.counting.requests.fetch_add(1, Ordering::Relaxed);
        self.storage.list(&names::folder(&self.path)).await
    }

    /// Those of them whose names are above `after`.
    pub(crate) async fn list_after(&self, after: &str) -> Result<Vec<ListEntry>> {
        self.counting.requests.fetch_add(1, Ordering::Relaxed);
        self.storage.list_after(&names::folder(&self.path), after).await
    }

    /// The marks: up to which numbers layers above the base may have been deleted, and of which file.
    pub(crate) async fn marks(&self) -> Result<Vec<(Id, u64)>> {
        self.counting.requests.fetch_add(1, Ordering::Relaxed);
        let listing = self.storage.list(&names::marks(&self.path)).await?;
        Ok(listing.iter().filter_map(|e| names::parse_mark(&e.name)).collect())
    }

    /// Makes a mark, durably; it may be there already.
    pub(crate) async fn mark(&self, file_id: &Id, number: u64) -> Result<()> {
        let mark = names::mark(&self.path, file_id, number);
        match self.storage.upload(&mark).await?.finish(FinishMode::Create).await {
            // Another's may be there and not durable yet.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => self.storage.sync(&mark).await,
            made => made.map(drop),
        }
    }

    /// Opens the object at `path` with its tail.
    pub(crate) async fn open_path(&self, path: &str, tail_bytes: u64) -> Result<PinnedObject> {
        let opened = self.storage.open(path, tail_bytes).await?;
        Ok(PinnedObject::new(opened, self.counting.clone()))
    }

    /// Whether objects here can be opened and read without waiting, as far as it is known: those that are open can.
    pub(crate) fn reads_at_once(&self) -> bool {
        let is_read_now = || self.open.lock().values().next().is_some_and(PinnedObject::reads_now);
        self.storage.answers_at_once() && is_read_now()
    }

    /// Bytes of an object that came along with opening it.
    pub(crate) fn in_tail(&self, write_id: &Id, range: &Range<u64>) -> Option<Bytes> {
        self.open.lock().get(write_id)?.in_tail(range)
    }

    /// An object that is open already.
    pub(crate) fn opened(&self, write_id: &Id) -> Option<PinnedObject> {
        self.open.lock().get(write_id).cloned()
    }

    /// The object that a root lists: a sidecar, or the base. It is checked to be the one that was meant. The caller wants its bytes from
    /// `first` on: if it has to be opened, and they are few, they come along.
    pub(crate) async fn get(&self, file_id: &Id, entry: &ObjectEntry, first: u64) -> Result<PinnedObject> {
        if let Some(object) = self.opened(&entry.write_id) {
            return Ok(object);
        }
        // Of many that want it at once, one opens it.
        let turn = self.opening.lock().entry(entry.write_id).or_default().clone();
        let guard = turn.lock().await;
        let object = match self.opened(&entry.write_id) {
            Some(object) => Ok(object),
            None => self.open_listed(file_id, entry, first).await,
        };
        drop(guard);
        self.opening.lock().remove(&entry.write_id);
        object
    }

    /// The same without waiting, where objects [are at once](Self::reads_at_once), of one that is complete. Two threads that want it at the same
    /// moment open it twice: one that waits for the other may wait for itself, where threads help each other.
    pub(crate) fn get_now(&self, file_id: &Id, entry: &ObjectEntry, first: u64) -> Result<PinnedObject> {
        if let Some(object) = self.opened(&entry.write_id) {
            return Ok(object);
        }
        self.open_listed(file_id, entry, first).now_or_never().unwrap_or_else(|| {
            let sentence = "a storage that says that it answers at once did not";
            Err(Error::new(ErrorKind::Unsupported, sentence).in_layer(entry.id))
        })
    }

    async fn open_listed(&self, file_id: &Id, entry: &ObjectEntry, first: u64) -> Result<PinnedObject> {
        let wanted = entry.object_bytes.saturating_sub(first);
        // Where a request costs next to nothing, bytes that nobody wants cost more.
        let most = if self.storage.answers_at_once() { NEAR_TAIL_BYTES } else { TAIL_BYTES };
        let tail_bytes = if wanted <= most { wanted.max(TRAILER_BYTES as u64) } else { TRAILER_BYTES as u64 };
        let sidecar = names::sidecar(&self.path, file_id, entry.id);
        let mut object = self.open_checked(&sidecar, entry, tail_bytes).await;
        // A layer that has become the base has no sidecar any more. A detached one is never the base.
        if matches!((&object, entry.id), (Ok(None), ObjectId::Layer(_))) {
            object = self.open_checked(&self.path, entry, tail_bytes).await;
        }
        let object = match object.map_err(|e| e.in_layer(entry.id))? {
            Some(object) => object,
            None if self.lists(entry).await? => {
                let sentence = format!(
                    "{} is not the object that the file's root lists",
                    self.storage.describe(&sidecar)
                );
                return Err(Error::corrupt(sentence).in_layer(entry.id));
            }
            None => {
                return Err(Error::new(
                    ErrorKind::SnapshotExpired,
                    "an object of this version is gone: it was collected or replaced; open the file again",
                )
                .in_layer(entry.id));
            }
        };
        self.remember(entry.write_id, object.clone());
        Ok(object)
    }

    /// The object at `path`, if there is one and it is the one that was meant.
    ///
    /// The name of a layer that was collected can be used again for a moment: by a writer that was asleep, until it
    /// finds that out.
    async fn open_checked(
        &self,
        path: &str,
        entry: &ObjectEntry,
        tail_bytes: u64,
    ) -> Result<Option<PinnedObject>> {
        let object = match self.open_path(path, tail_bytes).await {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            object => object?,
        };
        let size = object.stored().size();
        match Trailer::decode(object.tail(), size) {
            Ok(t) if t.write_id == entry.write_id && size == entry.object_bytes => Ok(Some(object)),
            Ok(t) if t.write_id != entry.write_id => Ok(None),
            _ => Err(Error::corrupt(format!(
                "{} is not the object that the file's root lists",
                self.storage.describe(path)
            ))),
        }
    }

    /// Whether the newest version needs an object, so that its absence is damage.
    async fn lists(&self, entry: &ObjectEntry) -> Result<bool> {
        match super::open_head(self, None).await {
            Ok(head) => Ok(head.footer.objects.iter().any(|o| o.write_id == entry.write_id)),
            // The whole file is gone.
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }
}
