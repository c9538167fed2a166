//! A store whose requests run on threads of their own and end with a deadline.
//!
//! The clients of stores need a runtime for sockets and clocks. Callers need none: whoever waits for a request may be a task of any runtime, or
//! a thread without one.

use std::future::{Future, ready};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ::object_store::client::HttpError;
use array_format_core::{Error, ErrorKind, Result};
use async_trait::async_trait;
use bytes::Bytes;
use futures::channel::mpsc;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::error::Elapsed;

use crate::runtime;
use crate::storage::path::failed_before;
use crate::storage::{
    FinishMode, ListEntry, ObjectStoreBackend, ObjectTag, Opened, Storage, StoredObject, Upload,
};

/// How often what only looks is tried where the network is not the reason. Clients repeat requests by themselves, but not all of them an answer
/// that breaks off.
const ATTEMPTS: u32 = 5;
/// The pause before the second attempt; twice as long before each further one.
const PAUSE: Duration = Duration::from_millis(50);
const MOST_PAUSE: Duration = Duration::from_secs(5);

/// What can be done with a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Cloud,
    /// It serves objects that somebody put there: it lists nothing and takes nothing.
    Web,
}

#[derive(Debug)]
pub(super) struct RemoteStorage {
    backend: Arc<ObjectStoreBackend>,
    kind: Kind,
    network: Network,
}

/// Where requests run.
#[derive(Debug, Clone)]
struct Network {
    handle: Handle,
    deadline: Duration,
    /// What no error may show: the signature of a URL.
    secret: Option<Arc<str>>,
}

/// A task that ends when nobody waits for it any more.
struct Wanted<T>(JoinHandle<T>);

impl<T> Drop for Wanted<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Network {
    /// An error without the secret.
    fn discreet(&self, e: Error) -> Error {
        let Some(secret) = &self.secret else { return e };
        let mut causes = Vec::new();
        let mut cause = std::error::Error::source(&e);
        while let Some(c) = cause {
            causes.push(c.to_string().replace(&**secret, "..."));
            cause = c.source();
        }
        Error::new(e.kind(), e.message()).with_source(std::io::Error::other(causes.join(": ")))
    }

    /// Begins a request, which ends with its answer, at the deadline, or when nobody waits for it any more.
    fn begin<T: Send + 'static>(
        &self,
        request: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Wanted<std::result::Result<Result<T>, Elapsed>> {
        let deadline = self.deadline;
        Wanted(self.handle.spawn(async move { tokio::time::timeout(deadline, request).await }))
    }

    /// What came of a request.
    async fn end<T: Send + 'static>(
        &self,
        shown: impl Fn() -> String,
        mut task: Wanted<std::result::Result<Result<T>, Elapsed>>,
    ) -> Result<T> {
        match (&mut task.0).await {
            Ok(Ok(result)) => result.map_err(|e| self.discreet(e)),
            Ok(Err(_)) => {
                let sentence = format!(
                    "{} did not answer within {:?}, the deadline that was set; look at the network and the endpoint, or give it more time",
                    shown(),
                    self.deadline
                );
                Err(Error::new(ErrorKind::Unavailable, sentence))
            }
            Err(e) => {
                let sentence = format!("the request for {} was cut short", shown());
                Err(Error::new(ErrorKind::Unavailable, sentence).with_source(e))
            }
        }
    }

    /// Runs a request to its end or the deadline.
    async fn run<T: Send + 'static>(
        &self,
        shown: impl Fn() -> String,
        request: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let task = self.begin(request);
        self.end(shown, task).await
    }
}

/// Does again what failed for a reason that may pass: until the deadline if the network is the reason.
async fn again<T, F: Future<Output = Result<T>>>(request: impl Fn() -> F) -> Result<T> {
    let (mut attempt, mut pause) = (1, PAUSE);
    loop {
        match request().await {
            Err(e) if e.kind() == ErrorKind::Unavailable && (attempt < ATTEMPTS || is_of_network(&e)) => {
                tracing::debug!(error = %e, attempt, "trying again");
                tokio::time::sleep(pause).await;
                (attempt, pause) = (attempt + 1, MOST_PAUSE.min(pause * 2));
            }
            result => return result,
        }
    }
}

/// Whether no answer came, or one that broke off.
fn is_of_network(e: &Error) -> bool {
    let mut cause = std::error::Error::source(e);
    while let Some(e) = cause {
        if e.is::<HttpError>() {
            return true;
        }
        cause = e.source();
    }
    false
}

impl RemoteStorage {
    pub(super) fn new(
        backend: ObjectStoreBackend,
        kind: Kind,
        deadline: Duration,
        secret: Option<&str>,
    ) -> Result<Self> {
        let handle = runtime::handle()?;
        Ok(Self {
            backend: Arc::new(backend),
            kind,
            network: Network { handle, deadline, secret: secret.map(Arc::from) },
        })
    }

    async fn run<T: Send + 'static, F: Future<Output = Result<T>> + Send>(
        &self,
        path: &str,
        request: impl FnOnce(Arc<ObjectStoreBackend>, String) -> F + Send + 'static,
    ) -> Result<T> {
        let (backend, owned) = (self.backend.clone(), path.to_owned());
        self.network.run(|| self.describe(path), async move { request(backend, owned).await }).await
    }

    fn writable(&self, path: &str) -> Result<()> {
        if self.kind == Kind::Cloud {
            return Ok(());
        }
        Err(Error::unsupported(format!(
            "{} is on a web server, which is only read; write with s3://, gs://, az:// or a path on this machine",
            self.describe(path)
        )))
    }

    fn remote_upload(&self, path: &str, upload: Box<dyn Upload>) -> Box<dyn Upload> {
        let (network, shown) = (self.network.clone(), self.describe(path));
        Box::new(RemoteUpload { network, upload: Some(upload), shown })
    }
}

#[async_trait]
impl Storage for RemoteStorage {
    async fn open(&self, path: &str, tail_bytes: u64) -> Result<Opened> {
        let opened =
            self.run(path, move |b, p| async move { again(|| b.open(&p, tail_bytes)).await }).await?;
        let (network, shown) = (self.network.clone(), self.describe(path));
        let object = Arc::new(RemoteObject { network, object: opened.object, shown });
        Ok(Opened { object, tail: opened.tail })
    }

    async fn upload(&self, path: &str) -> Result<Box<dyn Upload>> {
        self.writable(path)?;
        Ok(self.remote_upload(path, self.backend.upload(path).await?))
    }

    async fn upload_unique(&self, path: &str) -> Result<Box<dyn Upload>> {
        self.writable(path)?;
        Ok(self.remote_upload(path, self.backend.upload_unique(path).await?))
    }

    async fn promote(&self, from: &str, to: &str, expected: &ObjectTag) -> Result<ObjectTag> {
        self.writable(to)?;
        let (from, expected) = (from.to_owned(), expected.clone());
        self.run(to, move |b, to| async move { b.promote(&from, &to, &expected).await }).await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.writable(path)?;
        self.run(path, |b, p| async move { b.delete(&p).await }).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<ListEntry>> {
        match self.kind {
            // The base is all that can be known of there: what was compacted before it was put on the server.
            Kind::Web => Ok(Vec::new()),
            Kind::Cloud => self.run(folder, |b, f| async move { again(|| b.list(&f)).await }).await,
        }
    }

    async fn list_after(&self, folder: &str, after: &str) -> Result<Vec<ListEntry>> {
        let after = after.to_owned();
        match self.kind {
            Kind::Web => Ok(Vec::new()),
            Kind::Cloud => {
                self.run(folder, move |b, f| async move { again(|| b.list_after(&f, &after)).await }).await
            }
        }
    }

    async fn sweep(&self, path: &str, older_than: Duration) -> Result<u64> {
        match self.kind {
            Kind::Web => Ok(0),
            Kind::Cloud => self.run(path, move |b, p| async move { b.sweep(&p, older_than).await }).await,
        }
    }

    fn describe(&self, path: &str) -> String {
        self.backend.describe(path)
    }
}

#[derive(Debug)]
struct RemoteObject {
    network: Network,
    object: Arc<dyn StoredObject>,
    shown: String,
}

#[async_trait]
impl StoredObject for RemoteObject {
    fn size(&self) -> u64 {
        self.object.size()
    }

    fn tag(&self) -> &ObjectTag {
        self.object.tag()
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let object = self.object.clone();
        self.network
            .run(|| self.shown.clone(), async move { again(|| object.read(range.clone())).await })
            .await
    }

    fn read_pieces(self: Arc<Self>, cuts: Vec<u64>) -> BoxStream<'static, Result<Bytes>> {
        // Nobody waits in the middle of a request: all that is asked for at once has a place in memory.
        let (sender, pieces) = mpsc::unbounded();
        let object = self.object.clone();
        let task = self.network.begin(async move {
            let sent = AtomicUsize::new(0);
            let attempt = || async {
                let rest = cuts.get(sent.load(Ordering::Relaxed)..).unwrap_or_default();
                if rest.len() < 2 {
                    return Ok(());
                }
                let mut pieces = object.clone().read_pieces(rest.to_vec());
                while let Some(piece) = pieces.next().await {
                    // Once nobody wants it this task is ended.
                    let _ = sender.unbounded_send(piece?);
                    sent.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            };
            again(attempt).await
        });
        let end = async move { self.network.end(|| self.shown.clone(), task).await.err().map(Err) };
        pieces.map(Ok).chain(stream::once(end).filter_map(ready)).boxed()
    }
}

/// `None` once a request did not come to its end: then nobody knows what has arrived.
struct RemoteUpload {
    network: Network,
    upload: Option<Box<dyn Upload>>,
    shown: String,
}

impl RemoteUpload {
    fn take(&mut self) -> Result<Box<dyn Upload>> {
        self.upload.take().ok_or_else(|| failed_before(&self.shown))
    }
}

#[async_trait]
impl Upload for RemoteUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let mut upload = self.take()?;
        let shown = self.shown.clone();
        let sent = async move {
            let written = upload.write(bytes).await;
            Ok((upload, written))
        };
        let (upload, written) = self.network.run(|| shown.clone(), sent).await?;
        self.upload = Some(upload);
        written
    }

    async fn finish(mut self: Box<Self>, mode: FinishMode) -> Result<ObjectTag> {
        let upload = self.take()?;
        self.network.run(|| self.shown.clone(), async move { upload.finish(mode).await }).await
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        let Some(upload) = self.upload.take() else { return Ok(()) };
        self.network.run(|| self.shown.clone(), async move { upload.abort().await }).await
    }
}

impl Drop for RemoteUpload {
    fn drop(&mut self) {
        // What was sent is removed by a task of the network's.
        let _network = self.network.handle.enter();
        drop(self.upload.take());
    }
}
