//! A storage behind a network that answers at once, as the one in memory does.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use array_format::Result;
use array_format::blocking::wait;
use array_format::storage::{FinishMode, ListEntry, ObjectTag, Opened, Storage, StoredObject, Upload};
use async_trait::async_trait;
use bytes::Bytes;

/// Each operation is done when its future is polled for the first time; the caller's thread waits. For tests that decide between which two
/// operations something happens.
#[derive(Debug, Clone)]
pub struct Immediate(Arc<dyn Storage>);

/// On a thread of its own: the caller's may be in an executor already.
fn at_once<T: Send>(operation: impl Future<Output = T> + Send) -> T {
    thread::scope(|s| s.spawn(|| wait(operation)).join()).unwrap_or_else(|e| std::panic::resume_unwind(e))
}

impl Immediate {
    /// All of `inner`.
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self(inner)
    }
}

#[async_trait]
impl Storage for Immediate {
    async fn open(&self, path: &str, tail_bytes: u64) -> Result<Opened> {
        let opened = at_once(self.0.open(path, tail_bytes))?;
        Ok(Opened { object: Arc::new(ImmediateObject(opened.object)), tail: opened.tail })
    }

    async fn upload(&self, path: &str) -> Result<Box<dyn Upload>> {
        Ok(Box::new(ImmediateUpload(at_once(self.0.upload(path))?)))
    }

    async fn upload_unique(&self, path: &str) -> Result<Box<dyn Upload>> {
        Ok(Box::new(ImmediateUpload(at_once(self.0.upload_unique(path))?)))
    }

    async fn promote(&self, from: &str, to: &str, expected: &ObjectTag) -> Result<ObjectTag> {
        at_once(self.0.promote(from, to, expected))
    }

    async fn delete(&self, path: &str) -> Result<()> {
        at_once(self.0.delete(path))
    }

    async fn list(&self, folder: &str) -> Result<Vec<ListEntry>> {
        at_once(self.0.list(folder))
    }

    async fn list_after(&self, folder: &str, after: &str) -> Result<Vec<ListEntry>> {
        at_once(self.0.list_after(folder, after))
    }

    async fn sync(&self, path: &str) -> Result<()> {
        at_once(self.0.sync(path))
    }

    async fn sweep(&self, path: &str, older_than: Duration) -> Result<u64> {
        at_once(self.0.sweep(path, older_than))
    }

    fn describe(&self, path: &str) -> String {
        self.0.describe(path)
    }
}

#[derive(Debug)]
struct ImmediateObject(Arc<dyn StoredObject>);

#[async_trait]
impl StoredObject for ImmediateObject {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn tag(&self) -> &ObjectTag {
        self.0.tag()
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        at_once(self.0.read(range))
    }
}

struct ImmediateUpload(Box<dyn Upload>);

#[async_trait]
impl Upload for ImmediateUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        at_once(self.0.write(bytes))
    }

    async fn finish(self: Box<Self>, mode: FinishMode) -> Result<ObjectTag> {
        at_once(self.0.finish(mode))
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        at_once(self.0.abort())
    }
}
