//! [`ArrayFile`]: the face of the library. The logic is in the rooms behind it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use array_format_core::footer::Footer;
use array_format_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;

use crate::commit;
use crate::config::FileConfig;
use crate::gate::Gate;
use crate::index::Version;
use crate::layer::{Head, Objects, open_head};
use crate::read::View;
use crate::snapshot::Snapshot;
use crate::storage::{InMemoryStorage, IntoStorage, LocalStorage, Place, Storage, StoreOptions};
use crate::write::pending::Pending;
use crate::write::spill::Spill;

/// A file of arrays, open for reading and writing.
///
/// Changes wait in the handle until [`flush`](Self::flush) commits them as one version; reads through the handle see
/// them at once. A handle is `Send + Sync`, and clones of it share everything, so that each thread can have its own.
///
/// ```
/// # use array_format::{ArrayFile, FileConfig, Result};
/// # async fn example() -> Result<()> {
/// let mut file = ArrayFile::create_memory(FileConfig::default()).await?;
/// file.define_array::<f64>("ocean/temperature", vec!["depth".into()], vec![3], None, Some(f64::NAN))?;
/// file.set_attribute("ocean/temperature", "units", "degC").await?;
/// file.flush().await?;
/// assert_eq!(file.version(), 1);
/// # Ok(())
/// # }
/// # futures::executor::block_on(example()).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct ArrayFile {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) objects: Arc<Objects>,
    pub(crate) config: Arc<FileConfig>,
    pub(crate) state: Mutex<State>,
    pub(crate) gate: Gate,
    /// What goes ahead of the commit, to save memory.
    pub(crate) spill: futures::lock::Mutex<Spill>,
    pub(crate) read_only: bool,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) version: Version,
    pub(crate) pending: Arc<Pending>,
    /// Commits whose outcome is not known: their answer was lost, or their caller went away.
    pub(crate) unconfirmed: Vec<Arc<commit::Attempt>>,
    /// Bytes of pending data that are being encoded.
    pub(crate) encoding: u64,
}

impl State {
    fn new(version: Version) -> Self {
        Self { version, pending: Arc::default(), unconfirmed: Vec::new(), encoding: 0 }
    }
}

/// What a handle did since it was opened. Clones of a handle share the counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Reading requests sent to the storage: opens, listings, ranges.
    pub requests: u64,
    /// Bytes that they asked for.
    pub bytes: u64,
    /// Blocks that were decompressed.
    pub decoded_blocks: u64,
    /// Blocks that were found decoded in the cache.
    pub cache_hits: u64,
}

impl ArrayFile {
    /// Creates an empty file at `path` and commits its version 0.
    ///
    /// `store` is an `Arc<dyn ObjectStore>`, any [`Storage`], or an `Arc` of one.
    ///
    /// # Errors
    /// `AlreadyExists` if a file is there, unless [`FileConfig::with_overwrite`] allows to replace it; what the storage says.
    ///
    /// # Cost
    /// 1 write; 4 more requests to overwrite.
    pub async fn create(store: impl IntoStorage, path: &str, config: FileConfig) -> Result<Self> {
        let objects = Objects::new(store.into_storage(), path.to_owned());
        commit::create(&objects, &config).await.map_err(|e| e.in_file(objects.describe()))?;
        let config = FileConfig { version: None, ..config };
        Self::open_objects(objects, config).await
    }

    /// Opens the newest version of a file, or the one that [`FileConfig::at_version`] names; such a handle is read-only.
    ///
    /// # Errors
    /// `NotFound` if there is no file or no such version; `Corrupt` if it is damaged, truncated or no array-format
    /// file; `Unsupported` if it is of a later format; what the storage says.
    ///
    /// # Cost
    /// At most 4 requests, 3 of them in sequence, and 256 KiB, for up to 10^6 arrays and 1,000 layers. Nothing is read per array.
    pub async fn open(store: impl IntoStorage, path: &str, config: FileConfig) -> Result<Self> {
        Self::open_objects(Objects::new(store.into_storage(), path.to_owned()), config).await
    }

    /// Creates a file in memory that lives as long as the handle.
    ///
    /// # Errors
    /// None that a user can cause.
    pub async fn create_memory(config: FileConfig) -> Result<Self> {
        Self::create(InMemoryStorage::default(), "memory.af", config).await
    }

    /// Creates a file on the local disk. Needs no runtime. See [`ArrayFile::create`].
    ///
    /// # Errors
    /// As [`ArrayFile::create`]; `InvalidArgument` for a path without a file name.
    pub async fn create_path(path: impl AsRef<std::path::Path>, config: FileConfig) -> Result<Self> {
        let (storage, name) = LocalStorage::for_path(path)?;
        Self::create(storage, &name, config).await
    }

    /// Opens a file on the local disk. Needs no runtime. See [`ArrayFile::open`].
    ///
    /// # Errors
    /// As [`ArrayFile::open`]; `InvalidArgument` for a path without a file name.
    pub async fn open_path(path: impl AsRef<std::path::Path>, config: FileConfig) -> Result<Self> {
        let (storage, name) = LocalStorage::for_path(path)?;
        Self::open(storage, &name, config).await
    }

    /// Creates a file where a URL says: `s3://bucket/run.af`, `gs://`, `az://`, `file://`, `memory://`, or a path on this machine. Credentials are
    /// found as the tools of each cloud find them. See [`StoreOptions`] for others, and [`ArrayFile::create`]. Needs no runtime.
    ///
    /// # Errors
    /// As [`ArrayFile::create_at`] and [`StoreOptions::place`].
    pub async fn create_url(url: &str, config: FileConfig) -> Result<Self> {
        Self::create_at(StoreOptions::default().place(url)?, config).await
    }

    /// Opens the file that a URL names; also `https://`, read-only. See [`ArrayFile::create_url`] and [`ArrayFile::open`].
    ///
    /// # Errors
    /// As [`ArrayFile::open_at`] and [`StoreOptions::place`].
    pub async fn open_url(url: &str, config: FileConfig) -> Result<Self> {
        Self::open_at(StoreOptions::default().place(url)?, config).await
    }

    /// Creates a file at a place. See [`ArrayFile::create`].
    ///
    /// # Errors
    /// As [`ArrayFile::create`]; `Unsupported` where a store ignores conditions, and on web servers.
    pub async fn create_at(place: Place, config: FileConfig) -> Result<Self> {
        Self::create(place.storage, &place.path, config).await
    }

    /// Opens the file at a place. See [`ArrayFile::open`].
    ///
    /// # Errors
    /// As [`ArrayFile::open`]; `InvalidArgument` if the path is a folder.
    ///
    /// # Cost
    /// As [`ArrayFile::open`]; of a web server one request, since it lists nothing: the base is read, without layers beside it.
    pub async fn open_at(place: Place, config: FileConfig) -> Result<Self> {
        let opened = Self::open(place.storage.clone(), &place.path, config).await;
        match opened {
            Err(e) if e.kind() == ErrorKind::NotFound => Err(place.folder_error().await.unwrap_or(e)),
            opened => opened,
        }
    }

    async fn open_objects(objects: Objects, config: FileConfig) -> Result<Self> {
        let head = open_head(&objects, config.version).await?;
        let (objects, read_only) = (Arc::new(objects), config.version.is_some());
        let config = Arc::new(config);
        let version = Version {
            objects: objects.clone(),
            config: config.clone(),
            head: Arc::new(head),
            recent: Arc::default(),
        };
        let state = State::new(version);
        let spill = futures::lock::Mutex::new(Spill::new(&config));
        let inner =
            Inner { objects, config, state: Mutex::new(state), gate: Gate::default(), spill, read_only };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Another handle on the same file, at `head` and without pending changes.
    pub(crate) fn beside(&self, head: Head) -> Self {
        let version = Version { head: Arc::new(head), ..self.view().version };
        let inner = Inner {
            objects: self.inner.objects.clone(),
            config: self.inner.config.clone(),
            state: Mutex::new(State::new(version)),
            gate: Gate::default(),
            spill: futures::lock::Mutex::new(Spill::new(&self.inner.config)),
            read_only: false,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The version below the pending changes.
    pub(crate) fn version_below(&self) -> Version {
        self.inner.state.lock().version.clone()
    }

    /// What reads through this handle see.
    pub(crate) fn view(&self) -> View {
        let state = self.inner.state.lock();
        View { version: state.version.clone(), pending: state.pending.clone() }
    }

    /// What reads through this handle see now, pending changes included, held fast: later changes and commits do not show.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { view: self.view() }
    }

    /// Changes the pending state.
    pub(crate) fn edit<R>(&self, f: impl FnOnce(&mut Pending) -> Result<R>) -> Result<R> {
        self.check_writable()?;
        let mut state = self.inner.state.lock();
        let pending = Arc::make_mut(&mut state.pending);
        pending.edits += 1;
        f(pending)
    }

    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.inner.read_only {
            return Err(Error::invalid(
                "this handle shows an older version and is read-only; open the newest to write",
            )
            .in_file(self.inner.objects.describe()));
        }
        Ok(())
    }

    pub(crate) fn in_file(&self, e: Error) -> Error {
        e.in_file(self.inner.objects.describe())
    }

    /// Number of the version that the handle is based on. Version 0 is the empty file.
    pub fn version(&self) -> u64 {
        self.inner.state.lock().version.number()
    }

    /// The root of that version: counts, layers, live bytes.
    pub fn footer(&self) -> Arc<Footer> {
        self.inner.state.lock().version.head.footer.clone()
    }

    /// The storage of the file.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.inner.objects.storage
    }

    /// The file's name for a person.
    pub fn name(&self) -> String {
        self.inner.objects.describe()
    }

    /// How many layers the version needs: 1 after [`compact`](Self::compact).
    pub fn num_layers(&self) -> usize {
        self.footer().objects.len()
    }

    /// Whether there are changes that were not committed.
    pub fn has_pending(&self) -> bool {
        !self.inner.state.lock().pending.is_empty()
    }

    /// Bytes of data that wait in memory for a commit.
    pub fn pending_bytes(&self) -> u64 {
        self.inner.state.lock().pending.data_bytes()
    }

    /// Drops all changes that were not committed.
    ///
    /// # Errors
    /// `InvalidArgument` on a read-only handle.
    pub async fn discard(&mut self) -> Result<()> {
        let _gate = self.inner.gate.write().await;
        self.discard_spill().await;
        self.edit(|p| {
            *p = p.none_after();
            Ok(())
        })?;
        // If a commit without an answer happened it is as good as another's: `refresh` shows it.
        self.inner.state.lock().unconfirmed.clear();
        Ok(())
    }

    /// Goes to the newest version of the file, keeping pending changes. Returns whether there was a newer one.
    ///
    /// # Errors
    /// As [`ArrayFile::open`]; `Conflict` if the pending changes overlap with what others committed; then nothing changed.
    pub async fn refresh(&mut self) -> Result<bool> {
        if self.inner.read_only {
            return Ok(false);
        }
        let _gate = self.inner.gate.write().await;
        let before = self.view().version.number();
        self.settle().await.map_err(|e| self.in_file(e))?;
        let old = self.view().version;
        let head = open_head(&self.inner.objects, None).await?;
        if head.file_id != old.head.file_id {
            return Err(self.in_file(Error::new(
                ErrorKind::SnapshotExpired,
                "another file was created at this path; open it anew",
            )));
        }
        if head.footer.version == old.number() {
            // Another handle may have made it the base.
            self.set_head(head);
            return Ok(old.number() > before);
        }
        if head.footer.version < old.number() {
            return Ok(old.number() > before);
        }
        let version = Version { head: Arc::new(head), ..old };
        self.rebase(version).await?;
        Ok(true)
    }

    /// What the handle and its clones asked of the storage so far.
    pub fn counters(&self) -> Counters {
        let c = &self.inner.objects.counting;
        Counters {
            requests: c.requests.load(Ordering::Relaxed),
            bytes: c.bytes.load(Ordering::Relaxed),
            decoded_blocks: c.decoded_blocks.load(Ordering::Relaxed),
            cache_hits: c.cache_hits.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn set_head(&self, head: Head) {
        let mut state = self.inner.state.lock();
        state.version.head = Arc::new(head);
    }
}
