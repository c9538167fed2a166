//! A storage on which a request can arrive late.

use std::fmt;
use std::sync::Arc;

use array_format::Result;
use array_format::storage::{FinishMode, ListEntry, ObjectTag, Opened, Storage, Upload};
use async_trait::async_trait;
use parking_lot::Mutex;

/// Holds a `finish` back: whoever waits for it waits for ever, and it happens when it is released.
#[derive(Clone)]
pub(crate) struct LateStorage {
    inner: Arc<dyn Storage>,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Default)]
struct Plan {
    hold: bool,
    release: bool,
    held: Option<(Box<dyn Upload>, FinishMode)>,
}

impl LateStorage {
    pub(crate) fn new(inner: Arc<dyn Storage>) -> Self {
        Self { inner, plan: Arc::default() }
    }

    pub(crate) fn hold_next_finish(&self) {
        self.plan.lock().hold = true;
    }

    /// What is held gets ahead of the next finish.
    pub(crate) fn release_at_next_finish(&self) {
        self.plan.lock().release = true;
    }

    /// What is held happens now.
    pub(crate) async fn release(&self) -> Result<()> {
        let held = self.plan.lock().held.take();
        match held {
            Some((upload, mode)) => upload.finish(mode).await.map(drop),
            None => Ok(()),
        }
    }

    pub(crate) fn is_released(&self) -> bool {
        self.plan.lock().held.is_none()
    }
}

impl fmt::Debug for LateStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LateStorage")
    }
}

#[async_trait]
impl Storage for LateStorage {
    async fn open(&self, path: &str, tail_bytes: u64) -> Result<Opened> {
        self.inner.open(path, tail_bytes).await
    }

    async fn upload(&self, path: &str) -> Result<Box<dyn Upload>> {
        let inner = self.inner.upload(path).await?;
        Ok(Box::new(LateUpload { inner, storage: self.clone() }))
    }

    async fn promote(&self, from: &str, to: &str, expected: &ObjectTag) -> Result<ObjectTag> {
        self.inner.promote(from, to, expected).await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.inner.delete(path).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<ListEntry>> {
        self.inner.list(folder).await
    }

    fn describe(&self, path: &str) -> String {
        self.inner.describe(path)
    }
}

struct LateUpload {
    inner: Box<dyn Upload>,
    storage: LateStorage,
}

#[async_trait]
impl Upload for LateUpload {
    async fn write(&mut self, bytes: bytes::Bytes) -> Result<()> {
        self.inner.write(bytes).await
    }

    async fn finish(self: Box<Self>, mode: FinishMode) -> Result<ObjectTag> {
        let (hold, release) = {
            let mut plan = self.storage.plan.lock();
            (std::mem::take(&mut plan.hold), std::mem::take(&mut plan.release))
        };
        if hold {
            self.storage.plan.lock().held = Some((self.inner, mode));
            return std::future::pending().await;
        }
        if release {
            self.storage.release().await?;
        }
        self.inner.finish(mode).await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.inner.abort().await
    }
}
