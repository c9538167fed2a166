//! A folder of a storage as a storage of its own.

use std::sync::Arc;
use std::time::Duration;

use array_format::Result;
use array_format::storage::{ListEntry, ObjectTag, Opened, Storage, Upload};
use async_trait::async_trait;

/// What lies beneath a folder of another storage.
#[derive(Debug, Clone)]
pub struct Beneath {
    inner: Arc<dyn Storage>,
    folder: String,
}

impl Beneath {
    /// The folder of `inner`.
    pub fn new(inner: Arc<dyn Storage>, folder: &str) -> Self {
        Self { inner, folder: folder.to_owned() }
    }

    fn path(&self, path: &str) -> String {
        if path.is_empty() { self.folder.clone() } else { format!("{}/{path}", self.folder) }
    }
}

#[async_trait]
impl Storage for Beneath {
    async fn open(&self, path: &str, tail_bytes: u64) -> Result<Opened> {
        self.inner.open(&self.path(path), tail_bytes).await
    }

    async fn upload(&self, path: &str) -> Result<Box<dyn Upload>> {
        self.inner.upload(&self.path(path)).await
    }

    async fn upload_unique(&self, path: &str) -> Result<Box<dyn Upload>> {
        self.inner.upload_unique(&self.path(path)).await
    }

    async fn promote(&self, from: &str, to: &str, expected: &ObjectTag) -> Result<ObjectTag> {
        self.inner.promote(&self.path(from), &self.path(to), expected).await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.inner.delete(&self.path(path)).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<ListEntry>> {
        self.inner.list(&self.path(folder)).await
    }

    async fn list_after(&self, folder: &str, after: &str) -> Result<Vec<ListEntry>> {
        self.inner.list_after(&self.path(folder), after).await
    }

    async fn sync(&self, path: &str) -> Result<()> {
        self.inner.sync(&self.path(path)).await
    }

    async fn sweep(&self, path: &str, older_than: Duration) -> Result<u64> {
        self.inner.sweep(&self.path(path), older_than).await
    }

    fn describe(&self, path: &str) -> String {
        self.inner.describe(&self.path(path))
    }
}
