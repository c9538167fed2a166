//! A storage that fails when it is told to.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use array_format::storage::{FinishMode, ListEntry, ObjectTag, Opened, Storage, StoredObject, Upload};
use array_format::{Error, ErrorKind, Result};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use crate::pause::pause;

/// How the operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailMode {
    /// Nothing happens, and an error comes back.
    FailBefore,
    /// It happens, and an error comes back: the answer was lost.
    FailAfter,
    /// It happens, its answer is lost, and the client repeats the request, as those of object stores do. What comes back is what the
    /// repeated request meets: `AlreadyExists` for a create, `Conflict` for a replace or a promotion. Everything else can be
    /// repeated, and succeeds.
    Repeat,
    /// The process dies in the middle of it. Half of a write is written, a finish publishes nothing; what was uploaded is neither
    /// finished nor cleaned up, and its locks are held until this process ends. Everything else does not happen.
    Tear,
}

/// Fails one operation of the storage within, or all from one on, or delays one. A clone shares the plan and the count.
///
/// Operations are numbered from 0 in the order in which they begin: `open`, `read` (each range of `read_ranges`), `upload`, `write`,
/// `finish`, `abort`, `promote`, `delete`, `list`, `sync`, `sweep`. A test runs once undisturbed, asks for
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
    fault: Option<Fault>,
}

#[derive(Debug, Clone, Copy)]
struct Fault {
    at: u64,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Fail { mode: FailMode, dies: bool },
    Delay { polls: u32 },
}

impl FailingStorage {
    /// Fails nothing until told to.
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self { inner, plan: Arc::default() }
    }

    fn set(&self, at: u64, what: What) {
        *self.plan.lock() = Plan { log: Vec::new(), fault: Some(Fault { at, what }) };
    }

    /// Fails operation `k`, counted from now.
    pub fn fail_at(&self, k: u64, mode: FailMode) {
        self.set(k, What::Fail { mode, dies: mode == FailMode::Tear });
    }

    /// Fails operation `k`, counted from now, and lets nothing happen afterwards: the process died there.
    ///
    /// Take the storage within for the process that comes next.
    pub fn die_at(&self, k: u64, mode: FailMode) {
        self.set(k, What::Fail { mode, dies: true });
    }

    /// Lets operation `k`, counted from now, begin only when its future was polled `polls` times in vain. So other handles get ahead
    /// of it, by as much as the test likes.
    pub fn delay_at(&self, k: u64, polls: u32) {
        self.set(k, What::Delay { polls });
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
        Box::new(FailingUpload { inner: Some(inner), path: path.to_owned(), plan: Arc::clone(&self.plan) })
    }
}

/// An operation that began: its number and name, and what is to become of it.
struct Begun {
    name: String,
    fate: Option<Fate>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Fail(FailMode),
    Delay(u32),
}

impl Begun {
    fn new(plan: &Mutex<Plan>, operation: &str, path: &str) -> Self {
        let mut plan = plan.lock();
        let number = plan.log.len() as u64;
        plan.log.push(format!("{operation} {path}"));
        let fate = plan.fault.and_then(|fault| match fault.what {
            What::Fail { mode, .. } if number == fault.at => Some(Fate::Fail(mode)),
            What::Fail { dies: true, .. } if number > fault.at => Some(Fate::Fail(FailMode::FailBefore)),
            What::Delay { polls } if number == fault.at => Some(Fate::Delay(polls)),
            _ => None,
        });
        Self { name: format!("operation {number}: {operation} {path}"), fate }
    }

    fn is_torn(&self) -> bool {
        self.fate == Some(Fate::Fail(FailMode::Tear))
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error::new(kind, format!("simulated failure of {}", self.name))
    }

    /// Runs the request; when it is repeated, `repeated` is what it meets.
    async fn run<T>(
        self,
        repeated: Option<ErrorKind>,
        request: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        match self.fate {
            None => request.await,
            Some(Fate::Delay(polls)) => {
                for _ in 0..polls {
                    pause(None).await;
                }
                request.await
            }
            Some(Fate::Fail(FailMode::FailBefore | FailMode::Tear)) => {
                Err(self.error(ErrorKind::Unavailable))
            }
            Some(Fate::Fail(FailMode::FailAfter)) => {
                // Its own error is lost with the answer.
                drop(request.await);
                Err(self.error(ErrorKind::Unavailable))
            }
            Some(Fate::Fail(FailMode::Repeat)) => match (request.await, repeated) {
                (Ok(_), Some(kind)) => Err(self.error(kind)),
                (result, _) => result,
            },
        }
    }
}

#[async_trait]
impl Storage for FailingStorage {
    async fn open(&self, path: &str, tail_bytes: u64) -> Result<Opened> {
        let begun = Begun::new(&self.plan, "open", path);
        let Opened { object, tail } = begun.run(None, self.inner.open(path, tail_bytes)).await?;
        let object = FailingObject { inner: object, path: path.to_owned(), plan: Arc::clone(&self.plan) };
        Ok(Opened { object: Arc::new(object), tail })
    }

    async fn upload(&self, path: &str) -> Result<Box<dyn Upload>> {
        let inner = Begun::new(&self.plan, "upload", path).run(None, self.inner.upload(path)).await?;
        Ok(self.wrapped(path, inner))
    }

    async fn upload_unique(&self, path: &str) -> Result<Box<dyn Upload>> {
        let inner = Begun::new(&self.plan, "upload", path).run(None, self.inner.upload_unique(path)).await?;
        Ok(self.wrapped(path, inner))
    }

    async fn promote(&self, from: &str, to: &str, expected: &ObjectTag) -> Result<ObjectTag> {
        let begun = Begun::new(&self.plan, "promote", to);
        begun.run(Some(ErrorKind::Conflict), self.inner.promote(from, to, expected)).await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        Begun::new(&self.plan, "delete", path).run(None, self.inner.delete(path)).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<ListEntry>> {
        Begun::new(&self.plan, "list", folder).run(None, self.inner.list(folder)).await
    }

    async fn sync(&self, path: &str) -> Result<()> {
        Begun::new(&self.plan, "sync", path).run(None, self.inner.sync(path)).await
    }

    async fn sweep(&self, path: &str, older_than: Duration) -> Result<u64> {
        Begun::new(&self.plan, "sweep", path).run(None, self.inner.sweep(path, older_than)).await
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
        Begun::new(&self.plan, "read", &self.path).run(None, self.inner.read(range)).await
    }
}

struct FailingUpload {
    /// `None` when it was torn.
    inner: Option<Box<dyn Upload>>,
    path: String,
    plan: Arc<Mutex<Plan>>,
}

impl FailingUpload {
    /// Leaves the upload as a process that dies leaves it: dropped, it would clean up.
    fn abandon(&mut self) {
        std::mem::forget(self.inner.take());
    }

    fn torn(&self) -> Error {
        Error::new(ErrorKind::Unavailable, format!("the upload of {} was torn", self.path))
    }
}

#[async_trait]
impl Upload for FailingUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let begun = Begun::new(&self.plan, "write", &self.path);
        let Some(inner) = &mut self.inner else { return Err(self.torn()) };
        if begun.is_torn() {
            drop(inner.write(bytes.slice(..bytes.len() / 2)).await);
            self.abandon();
            return Err(begun.error(ErrorKind::Unavailable));
        }
        begun.run(None, inner.write(bytes)).await
    }

    async fn finish(mut self: Box<Self>, mode: FinishMode) -> Result<ObjectTag> {
        let begun = Begun::new(&self.plan, "finish", &self.path);
        if begun.is_torn() {
            self.abandon();
        }
        let Some(inner) = self.inner.take() else { return Err(self.torn()) };
        let repeated = match mode {
            FinishMode::Create => ErrorKind::AlreadyExists,
            FinishMode::Replace(_) => ErrorKind::Conflict,
        };
        begun.run(Some(repeated), inner.finish(mode)).await
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        let begun = Begun::new(&self.plan, "abort", &self.path);
        let Some(inner) = self.inner.take() else { return Err(self.torn()) };
        begun.run(None, inner.abort()).await
    }
}

#[cfg(test)]
mod tests {
    use array_format::storage::InMemoryStorage;
    use futures::FutureExt;
    use futures::executor::block_on;

    use super::*;

    fn put(storage: &dyn Storage, mode: FinishMode) -> Result<ObjectTag> {
        block_on(storage.put("a.af", Bytes::from_static(b"1234"), mode))
    }

    fn is_there(storage: &InMemoryStorage) -> bool {
        storage.open("a.af", 0).now_or_never().is_some_and(|opened| opened.is_ok())
    }

    #[test]
    fn each_mode_does_what_it_says() {
        // upload, write, finish
        for (mode, kind, happens) in [
            (FailMode::FailBefore, ErrorKind::Unavailable, false),
            (FailMode::FailAfter, ErrorKind::Unavailable, true),
            (FailMode::Repeat, ErrorKind::AlreadyExists, true),
            (FailMode::Tear, ErrorKind::Unavailable, false),
        ] {
            let memory = InMemoryStorage::new();
            let failing = FailingStorage::new(Arc::new(memory.clone()));
            failing.fail_at(2, mode);
            let error = put(&failing, FinishMode::Create).expect_err("it fails");
            assert_eq!((error.kind(), is_there(&memory)), (kind, happens), "{mode:?}");
            assert_eq!(failing.log(), ["upload a.af", "write a.af", "finish a.af"]);
            assert_eq!(block_on(failing.list("")).is_err(), mode == FailMode::Tear, "a torn process is dead");
        }
    }

    #[test]
    fn a_repeated_replacement_or_promotion_meets_itself() {
        let memory = InMemoryStorage::new();
        let failing = FailingStorage::new(Arc::new(memory.clone()));
        let first = put(&failing, FinishMode::Create).expect("a free name");
        failing.fail_at(2, FailMode::Repeat);
        let error = put(&failing, FinishMode::Replace(first.clone())).expect_err("it fails");
        assert_eq!(error.kind(), ErrorKind::Conflict);
        let second = block_on(memory.open("a.af", 0)).expect("it is there").object;
        assert_ne!(*second.tag(), first);
        failing.fail_at(0, FailMode::Repeat);
        let error = block_on(failing.promote("a.af", "a.af", second.tag())).expect_err("it fails");
        assert_eq!(error.kind(), ErrorKind::Conflict);
        failing.fail_at(0, FailMode::Repeat);
        block_on(failing.delete("a.af")).expect("what is gone can be deleted again");
        assert!(!is_there(&memory));
    }

    #[test]
    fn others_get_ahead_of_what_is_delayed() {
        let memory = InMemoryStorage::new();
        let failing = FailingStorage::new(Arc::new(memory.clone()));
        failing.delay_at(2, 3);
        let dynamic: &dyn Storage = &failing;
        let mut delayed = Box::pin(dynamic.put("a.af", Bytes::new(), FinishMode::Create));
        for _ in 0..3 {
            assert!((&mut delayed).now_or_never().is_none());
        }
        put(&memory, FinishMode::Create).expect("the other is first");
        let error = block_on(delayed).expect_err("the delayed one is second");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    }
}
