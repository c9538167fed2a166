//! A storage that counts what is asked of it.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use array_format::Result;
use array_format::storage::{FinishMode, ListEntry, ObjectTag, Opened, Storage, StoredObject, Upload};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use crate::pause::pause;

/// What was asked of the storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `Storage::open`; its bytes are the tail's.
    Open,
    /// `StoredObject::read`, also each range of `read_ranges`. An empty range is none.
    Read,
    /// `Storage::upload`. No request of its own.
    Upload,
    /// `Upload::write`. No request of its own.
    Write,
    /// `Upload::finish`, whether it succeeded or not.
    Finish,
    /// `Upload::abort`. No request of its own.
    Abort,
    /// `Storage::promote`, logged with the path `to`.
    Promote,
    /// `Storage::delete`.
    Delete,
    /// `Storage::list`.
    List,
    /// `Storage::sync`. No request of its own.
    Sync,
    /// `Storage::sweep`. No request of its own.
    Sweep,
}

impl Operation {
    /// Whether a store sees a request.
    pub fn is_request(self) -> bool {
        !matches!(self, Self::Upload | Self::Write | Self::Abort | Self::Sweep)
    }
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// What was asked.
    pub operation: Operation,
    /// Of which object or folder.
    pub path: String,
    /// Which bytes, when it was a read or an open.
    pub range: Option<Range<u64>>,
    /// How many bytes came or went.
    pub bytes: u64,
    /// One more than the longest chain of requests that had ended when this one began.
    pub depth: u64,
}

/// Sums over the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "named after the operations")]
pub struct Counts {
    pub opens: u64,
    pub reads: u64,
    pub finishes: u64,
    pub promotes: u64,
    pub deletes: u64,
    pub lists: u64,
    pub bytes_read: u64,
    pub bytes_written: u64,
    /// The longest chain of requests each of which began after the one before it had ended.
    pub depth: u64,
}

impl Counts {
    /// Requests that a store would see.
    pub fn requests(&self) -> u64 {
        self.opens + self.reads + self.finishes + self.promotes + self.deletes + self.lists
    }
}

/// Counts and logs what goes through to the storage within. A clone shares the log.
///
/// Every request first gives the others a turn (or waits for the [latency](Self::with_latency)), so that requests which are
/// sent together also begin together and [`Counts::depth`] tells how many are in sequence. Its futures are thus not
/// complete at first poll, whatever the storage within promises.
#[derive(Debug, Clone)]
pub struct CountingStorage {
    inner: Arc<dyn Storage>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    latency: Option<Duration>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    log: Vec<Logged>,
    ended_depth: u64,
}

impl CountingStorage {
    /// Counts what `inner` is asked.
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self { inner, shared: Arc::default() }
    }

    /// Lets every request take at least `latency`. The log begins anew.
    #[must_use]
    pub fn with_latency(self, latency: Duration) -> Self {
        let shared = Shared { latency: Some(latency), ..Shared::default() };
        Self { shared: Arc::new(shared), ..self }
    }

    /// Forgets the log.
    pub fn reset(&self) {
        *self.shared.state.lock() = State::default();
    }

    /// Everything since the last [`reset`](Self::reset), in the order in which it ended.
    pub fn log(&self) -> Vec<Logged> {
        self.shared.state.lock().log.clone()
    }

    /// Sums over the log.
    pub fn counts(&self) -> Counts {
        let state = self.shared.state.lock();
        let mut counts = Counts { depth: state.ended_depth, ..Counts::default() };
        for logged in &state.log {
            match logged.operation {
                Operation::Open => counts.opens += 1,
                Operation::Read => counts.reads += 1,
                Operation::Finish => counts.finishes += 1,
                Operation::Promote => counts.promotes += 1,
                Operation::Delete => counts.deletes += 1,
                Operation::List => counts.lists += 1,
                Operation::Upload
                | Operation::Write
                | Operation::Abort
                | Operation::Sync
                | Operation::Sweep => {}
            }
            match logged.operation {
                Operation::Write => counts.bytes_written += logged.bytes,
                _ => counts.bytes_read += logged.bytes,
            }
        }
        counts
    }
}

impl Shared {
    /// Runs `request` as one operation; `range_and_bytes` says what of the object its result is.
    async fn run<T>(
        &self,
        operation: Operation,
        path: &str,
        request: impl Future<Output = Result<T>> + Send,
        range_and_bytes: impl FnOnce(Option<&T>) -> (Option<Range<u64>>, u64) + Send,
    ) -> Result<T> {
        let depth = self.state.lock().ended_depth + 1;
        if operation.is_request() {
            pause(self.latency).await;
        }
        let result = request.await;
        let (range, bytes) = range_and_bytes(result.as_ref().ok());
        let mut state = self.state.lock();
        if operation.is_request() {
            state.ended_depth = state.ended_depth.max(depth);
        }
        state.log.push(Logged { operation, path: path.to_owned(), range, bytes, depth });
        result
    }
}

fn no_bytes<T>(_: Option<&T>) -> (Option<Range<u64>>, u64) {
    (None, 0)
}

#[async_trait]
impl Storage for CountingStorage {
    async fn open(&self, path: &str, tail_bytes: u64) -> Result<Opened> {
        let tail = |opened: Option<&Opened>| match opened {
            Some(Opened { object, tail }) => {
                let bytes = tail.len() as u64;
                (Some(object.size() - bytes..object.size()), bytes)
            }
            None => (None, 0),
        };
        let request = self.inner.open(path, tail_bytes);
        let Opened { object, tail } = self.shared.run(Operation::Open, path, request, tail).await?;
        let object =
            CountingObject { inner: object, path: path.to_owned(), shared: Arc::clone(&self.shared) };
        Ok(Opened { object: Arc::new(object), tail })
    }

    async fn upload(&self, path: &str) -> Result<Box<dyn Upload>> {
        let inner = self.shared.run(Operation::Upload, path, self.inner.upload(path), no_bytes).await?;
        Ok(self.counted(path, inner))
    }

    async fn upload_unique(&self, path: &str) -> Result<Box<dyn Upload>> {
        let inner =
            self.shared.run(Operation::Upload, path, self.inner.upload_unique(path), no_bytes).await?;
        Ok(self.counted(path, inner))
    }

    async fn promote(&self, from: &str, to: &str, expected: &ObjectTag) -> Result<ObjectTag> {
        self.shared.run(Operation::Promote, to, self.inner.promote(from, to, expected), no_bytes).await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.shared.run(Operation::Delete, path, self.inner.delete(path), no_bytes).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<ListEntry>> {
        self.shared.run(Operation::List, folder, self.inner.list(folder), no_bytes).await
    }

    async fn sync(&self, path: &str) -> Result<()> {
        self.shared.run(Operation::Sync, path, self.inner.sync(path), no_bytes).await
    }

    async fn sweep(&self, path: &str, older_than: Duration) -> Result<u64> {
        self.shared.run(Operation::Sweep, path, self.inner.sweep(path, older_than), no_bytes).await
    }

    fn describe(&self, path: &str) -> String {
        self.inner.describe(path)
    }
}

impl CountingStorage {
    fn counted(&self, path: &str, inner: Box<dyn Upload>) -> Box<dyn Upload> {
        Box::new(CountingUpload { inner, path: path.to_owned(), shared: Arc::clone(&self.shared) })
    }
}

#[derive(Debug)]
struct CountingObject {
    inner: Arc<dyn StoredObject>,
    path: String,
    shared: Arc<Shared>,
}

#[async_trait]
impl StoredObject for CountingObject {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn tag(&self) -> &ObjectTag {
        self.inner.tag()
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            return self.inner.read(range).await;
        }
        let asked = range.clone();
        let bytes = |read: Option<&Bytes>| (Some(asked), read.map_or(0, |b| b.len() as u64));
        self.shared.run(Operation::Read, &self.path, self.inner.read(range), bytes).await
    }
}

struct CountingUpload {
    inner: Box<dyn Upload>,
    path: String,
    shared: Arc<Shared>,
}

#[async_trait]
impl Upload for CountingUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let length = bytes.len() as u64;
        let written = |done: Option<&()>| (None, done.map_or(0, |()| length));
        self.shared.run(Operation::Write, &self.path, self.inner.write(bytes), written).await
    }

    async fn finish(self: Box<Self>, mode: FinishMode) -> Result<ObjectTag> {
        self.shared.run(Operation::Finish, &self.path, self.inner.finish(mode), no_bytes).await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.shared.run(Operation::Abort, &self.path, self.inner.abort(), no_bytes).await
    }
}
