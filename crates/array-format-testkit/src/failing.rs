//! A storage that fails when it is told to.

use std::ops::Range;
use std::sync::Arc;

use array_format::storage::{FinishMode, ListEntry, ObjectTag, Opened, Storage, StoredObject, Upload};
use array_format::{Error, ErrorKind, Result};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

/// How the operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailMode {
    /// Nothing happens, and an error comes back.
    FailBefore,
    /// It happens, and an error comes back: the answer was lost.
    FailAfter,
}

/// Fails one operation of the storage within, or all from one on. A clone shares the plan and the count.
///
/// Operations are numbered from 0 in the order in which they begin: `open`, `read` (each range of `read_ranges`), `upload`, `write`,
/// `finish`, `abort`, `promote`, `delete`, `list`, `sweep`. A test runs once undisturbed, asks for
/// [`operations`](Self::operations), and then fails each of them.
///
/// The error is `Unavailable`, as that of a store that cannot be reached.
#[derive(Debug, Clone)]
pub struct FailingStorage {
    inner: Arc<dyn Storage>,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug, Default)]
struct Plan {
    log: Vec<String>,
    fail: Option<Fail>,
}

#[derive(Debug, Clone, Copy)]
struct Fail {
    at: u64,
    mode: FailMode,
    dies: bool,
}

impl FailingStorage {
    /// Fails nothing until told to.
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self { inner, plan: Arc::default() }
    }

    /// Fails operation `k`, counted from now.
    pub fn fail_at(&self, k: u64, mode: FailMode) {
        *self.plan.lock() = Plan { log: Vec::new(), fail: Some(Fail { at: k, mode, dies: false }) };
    }

    /// Fails operation `k`, counted from now, and lets nothing happen afterwards: the process died there.
    ///
    /// Take the storage within for the process that comes next.
    pub fn die_at(&self, k: u64, mode: FailMode) {
        *self.plan.lock() = Plan { log: Vec::new(), fail: Some(Fail { at: k, mode, dies: true }) };
    }

    /// Fails nothing any more, and counts from now.
    pub fn heal(&self) {
        *self.plan.lock() = Plan::default();
    }

    /// How many operations began since the plan was made.
    pub fn operations(&self) -> u64 {
        self.plan.lock().log.len() as u64
    }

    /// Their names: `finish run.af.3`.
    pub fn log(&self) -> Vec<String> {
        self.plan.lock().log.clone()
    }

    fn wrapped(&self, path: &str, inner: Box<dyn Upload>) -> Box<dyn Upload> {
        Box::new(FailingUpload { inner, path: path.to_owned(), plan: Arc::clone(&self.plan) })
    }
}

/// Runs `request` as one operation of `plan`.
async fn run<T>(
    plan: &Mutex<Plan>,
    operation: &str,
    path: &str,
    request: impl Future<Output = Result<T>> + Send,
) -> Result<T> {
    let (number, fail) = {
        let mut plan = plan.lock();
        plan.log.push(format!("{operation} {path}"));
        (plan.log.len() as u64 - 1, plan.fail)
    };
    let error = || {
        let sentence = format!("simulated failure of operation {number}: {operation} {path}");
        Error::new(ErrorKind::Unavailable, sentence)
    };
    match fail {
        Some(fail) if number == fail.at && fail.mode == FailMode::FailAfter => {
            // Its own error is lost with the answer.
            drop(request.await);
            Err(error())
        }
        Some(fail) if number == fail.at || (fail.dies && number > fail.at) => Err(error()),
        _ => request.await,
    }
}

#[async_trait]
impl Storage for FailingStorage {
    async fn open(&self, path: &str, tail_bytes: u64) -> Result<Opened> {
        let Opened { object, tail } =
            run(&self.plan, "open", path, self.inner.open(path, tail_bytes)).await?;
        let object = FailingObject { inner: object, path: path.to_owned(), plan: Arc::clone(&self.plan) };
        Ok(Opened { object: Arc::new(object), tail })
    }

    async fn upload(&self, path: &str) -> Result<Box<dyn Upload>> {
        let inner = run(&self.plan, "upload", path, self.inner.upload(path)).await?;
        Ok(self.wrapped(path, inner))
    }

    async fn upload_unique(&self, path: &str) -> Result<Box<dyn Upload>> {
        let inner = run(&self.plan, "upload", path, self.inner.upload_unique(path)).await?;
        Ok(self.wrapped(path, inner))
    }

    async fn promote(&self, from: &str, to: &str, expected: &ObjectTag) -> Result<ObjectTag> {
        run(&self.plan, "promote", to, self.inner.promote(from, to, expected)).await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        run(&self.plan, "delete", path, self.inner.delete(path)).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<ListEntry>> {
        run(&self.plan, "list", folder, self.inner.list(folder)).await
    }

    async fn sweep(&self, path: &str) -> Result<u64> {
        run(&self.plan, "sweep", path, self.inner.sweep(path)).await
    }

    fn describe(&self, path: &str) -> String {
        self.inner.describe(path)
    }
}

#[derive(Debug)]
struct FailingObject {
    inner: Arc<dyn StoredObject>,
    path: String,
    plan: Arc<Mutex<Plan>>,
}

#[async_trait]
impl StoredObject for FailingObject {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn tag(&self) -> &ObjectTag {
        self.inner.tag()
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        run(&self.plan, "read", &self.path, self.inner.read(range)).await
    }
}

struct FailingUpload {
    inner: Box<dyn Upload>,
    path: String,
    plan: Arc<Mutex<Plan>>,
}

#[async_trait]
impl Upload for FailingUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        run(&self.plan, "write", &self.path, self.inner.write(bytes)).await
    }

    async fn finish(self: Box<Self>, mode: FinishMode) -> Result<ObjectTag> {
        let Self { inner, path, plan } = *self;
        run(&plan, "finish", &path, inner.finish(mode)).await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        let Self { inner, path, plan } = *self;
        run(&plan, "abort", &path, inner.abort()).await
    }
}
