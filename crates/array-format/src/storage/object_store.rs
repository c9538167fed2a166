//! Everything that the `object_store` crate reaches: S3, Google Cloud Storage, Azure, WebDAV, its own disk and memory stores.
//!
//! | store | create | create above 16 MiB | replace, promote |
//! |---|---|---|---|
//! | S3, R2, MinIO | `If-None-Match` | temporary key + copy: build with `S3CopyIfNotExists::Multipart`; 5 GiB | `If-Match`, up to 64 MiB |
//! | Google Cloud Storage | generation 0 | temporary key + copy | generation, up to 64 MiB |
//! | Azure | `If-None-Match` | temporary key + copy | `If-Match`, up to 64 MiB |
//! | `LocalFileSystem` | hard link | temporary file + hard link | not supported: take [`LocalStorage`](super::LocalStorage) |
//!
//! A large object under a [unique name](super::Storage::upload_unique) needs no copy.

mod error;
mod honesty;
mod object;
mod sweep;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use ::object_store::path::Path;
use ::object_store::{
    GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    UpdateVersion,
};
use array_format_core::{Error, ErrorKind, Result};
use async_trait::async_trait;
use bytes::Bytes;

use self::error::{is_unsupported, store_error};
use self::honesty::Honesty;
use self::object::PinnedObject;
#[cfg(feature = "remote")]
pub(super) use self::sweep::Begun;
pub(super) use self::sweep::Unfinished;
use self::upload::StoreUpload;
use super::path::{check_folder, check_object, is_aside};
use super::{FinishMode, ListEntry, ObjectTag, Opened, Storage, Upload};

/// What is read back into memory to be put under a condition, because the store cannot copy under one.
const REWRITE_MAX_BYTES: u64 = 64 << 20;
/// No store holds a larger object; servers may choke on larger numbers in a range.
const TAIL_MAX_BYTES: u64 = 1 << 50;
const ATTEMPTS: usize = 4;

/// A [`Storage`] on top of any [`ObjectStore`].
///
/// Before the first object that is published under a condition, the store is asked whether it honours conditions: three PUTs and a DELETE of
/// a temporary key. One that does not is refused.
///
/// Retries and timeouts are the client's (`RetryConfig`, `ClientOptions`); [`StoreOptions`](super::StoreOptions) sets them. Large uploads that die leave a key
/// `<name>.part-<pid>-<random>`, or an unfinished multipart upload. [`sweep`](Storage::sweep) removes both once they are old enough. It can ask for such
/// uploads where the store is S3 and was named by URL; Azure forgets them after a week; elsewhere a life-cycle rule of the bucket has to.
#[derive(Debug, Clone)]
pub struct ObjectStoreBackend {
    store: Arc<dyn ObjectStore>,
    unfinished: Option<Arc<dyn Unfinished>>,
    url: Option<Arc<str>>,
    single_writer: bool,
    honesty: Arc<Honesty>,
}

impl ObjectStoreBackend {
    /// The storage whose paths are keys of `store`.
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, unfinished: None, url: None, single_writer: false, honesty: Arc::default() }
    }

    /// Names the store in error texts: `s3://bucket`.
    #[must_use]
    pub fn with_url(mut self, url: &str) -> Self {
        self.url = Some(url.trim_end_matches('/').into());
        self
    }

    /// Accepts a store that ignores conditions: see [`StoreOptions::with_single_writer`](super::StoreOptions::with_single_writer).
    #[must_use]
    pub fn with_single_writer(mut self, single_writer: bool) -> Self {
        self.single_writer = single_writer;
        self
    }

    /// How to find uploads that nobody ended.
    #[cfg(feature = "remote")]
    pub(super) fn with_unfinished(mut self, unfinished: Option<Arc<dyn Unfinished>>) -> Self {
        self.unfinished = unfinished;
        self
    }

    /// The store below.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The key of the object `path`, letter by letter: nothing is percent-encoded.
    fn key(&self, path: &str) -> Result<Path> {
        let name = check_object(path)?.rsplit('/').next().unwrap_or(path);
        if is_aside(name, upload::MARK) {
            let shown = self.describe(path);
            return Err(Error::invalid(format!("{shown} is a name for unfinished uploads; choose another")));
        }
        Path::parse(path).map_err(|e| Error::invalid(format!("{path:?} is no key")).with_source(e))
    }

    /// [`open`](Storage::open) for stores that do not serve the last bytes of an object, and for empty objects.
    async fn open_by_size(&self, key: &Path, tail_bytes: u64) -> ::object_store::Result<(ObjectMeta, Bytes)> {
        let mut attempt = 1;
        loop {
            let meta = self.store.head(key).await?;
            let range = meta.size.saturating_sub(tail_bytes)..meta.size;
            if range.is_empty() {
                return Ok((meta, Bytes::new()));
            }
            let options = object::pin(&meta).with_range(Some(GetRange::Bounded(range)));
            match self.store.get_opts(key, options).await {
                Ok(got) => {
                    let meta = got.meta.clone();
                    return Ok((meta, got.bytes().await?));
                }
                // Replaced between the two requests.
                Err(::object_store::Error::Precondition { .. }) if attempt < ATTEMPTS => attempt += 1,
                Err(e) => return Err(e),
            }
        }
    }

    async fn open_key(&self, key: &Path, tail_bytes: u64) -> ::object_store::Result<(ObjectMeta, Bytes)> {
        if tail_bytes == 0 {
            return Ok((self.store.head(key).await?, Bytes::new()));
        }
        let options =
            GetOptions::default().with_range(Some(GetRange::Suffix(tail_bytes.min(TAIL_MAX_BYTES))));
        let refusal = match self.store.get_opts(key, options).await {
            Ok(got) => {
                let meta = got.meta.clone();
                return Ok((meta, got.bytes().await?));
            }
            Err(e) => e,
        };
        match refusal {
            e if is_unsupported(&e) => self.open_by_size(key, tail_bytes).await,
            // S3 refuses any range of an empty object, some servers any range from the end, and that arrives as an error like any other.
            e @ ::object_store::Error::Generic { .. } => match self.store.head(key).await {
                Ok(meta) if meta.size == 0 => Ok((meta, Bytes::new())),
                Ok(_) if e.to_string().contains("416") => self.open_by_size(key, tail_bytes).await,
                _ => Err(e),
            },
            e => Err(e),
        }
    }

    /// One PUT under the condition of `mode`.
    async fn put_whole(
        &self,
        path: &str,
        key: &Path,
        payload: PutPayload,
        mode: &FinishMode,
    ) -> Result<ObjectTag> {
        self.check_honesty(path, key, mode).await?;
        let condition = match mode {
            FinishMode::Create => PutMode::Create,
            FinishMode::Replace(expected) => {
                let condition = expected.condition();
                PutMode::Update(UpdateVersion { e_tag: condition.e_tag, version: condition.version })
            }
        };
        let put = self.store.put_opts(key, payload, PutOptions::from(condition)).await;
        match put {
            Ok(put) => match ObjectTag::of_store(put.e_tag, put.version) {
                Some(tag) => Ok(tag),
                None => self.tag_now(path, key).await,
            },
            Err(e) => Err(self.publish_error(path, mode, e)),
        }
    }

    /// What a refused or failed publication means.
    fn publish_error(&self, path: &str, mode: &FinishMode, e: ::object_store::Error) -> Error {
        use ::object_store::Error as Store;
        let shown = self.describe(path);
        match (mode, &e) {
            (_, refused) if is_unsupported(refused) => {
                let what = if *mode == FinishMode::Create {
                    "create without replacing"
                } else {
                    "replace under a condition"
                };
                Error::unsupported(format!("{} cannot {what}, which {shown} needs", self.store))
                    .with_source(e)
            }
            (FinishMode::Create, Store::Precondition { .. }) => {
                store_error("create", &shown, e).with_kind(ErrorKind::AlreadyExists)
            }
            (FinishMode::Create, _) => store_error("create", &shown, e),
            // An object that is gone is one that changed; some stores answer 409 to a lost race.
            (FinishMode::Replace(_), Store::NotFound { .. } | Store::AlreadyExists { .. }) => {
                store_error("replace", &shown, e).with_kind(ErrorKind::Conflict)
            }
            (FinishMode::Replace(_), _) => store_error("replace", &shown, e),
        }
    }

    async fn tag_now(&self, path: &str, key: &Path) -> Result<ObjectTag> {
        let meta = self.store.head(key).await.map_err(|e| store_error("look at", &self.describe(path), e))?;
        Ok(object::tag(&meta))
    }

    /// The whole object `key`, if it is not too large to be held in memory; else its size.
    async fn fetch(&self, path: &str, key: &Path) -> Result<std::result::Result<Bytes, u64>> {
        let failed = |e| store_error("read", &self.describe(path), e);
        let got = self.store.get_opts(key, GetOptions::default()).await.map_err(failed)?;
        if got.meta.size > REWRITE_MAX_BYTES {
            return Ok(Err(got.meta.size));
        }
        let size = got.meta.size;
        let bytes = got.bytes().await.map_err(failed)?;
        if bytes.len() as u64 != size {
            let sentence = format!("{} has {size} bytes, of which {} came", self.describe(path), bytes.len());
            return Err(Error::corrupt(sentence));
        }
        Ok(Ok(bytes))
    }
}

#[async_trait]
impl Storage for ObjectStoreBackend {
    async fn open(&self, path: &str, tail_bytes: u64) -> Result<Opened> {
        let key = self.key(path)?;
        let shown = self.describe(path);
        let (meta, tail) =
            self.open_key(&key, tail_bytes).await.map_err(|e| store_error("open", &shown, e))?;
        let object = PinnedObject::new(Arc::clone(&self.store), meta, key, shown);
        object.check_tail(&tail, tail_bytes)?;
        Ok(Opened { object: Arc::new(object), tail })
    }

    async fn upload(&self, path: &str) -> Result<Box<dyn Upload>> {
        Ok(Box::new(StoreUpload::new(self.clone(), path, self.key(path)?, false)))
    }

    async fn upload_unique(&self, path: &str) -> Result<Box<dyn Upload>> {
        Ok(Box::new(StoreUpload::new(self.clone(), path, self.key(path)?, true)))
    }

    async fn promote(&self, from: &str, to: &str, expected: &ObjectTag) -> Result<ObjectTag> {
        let (from_key, to_key) = (self.key(from)?, self.key(to)?);
        match self.fetch(from, &from_key).await? {
            Ok(bytes) => {
                self.put_whole(to, &to_key, bytes.into(), &FinishMode::Replace(expected.clone())).await
            }
            Err(size) => {
                let (from, to) = (self.describe(from), self.describe(to));
                Err(Error::unsupported(format!(
                    "{from} has {size} bytes: no store replaces {to} under a condition by copying, and above \
                     {REWRITE_MAX_BYTES} bytes it is not sent again; keep the two objects"
                )))
            }
        }
    }

    async fn delete(&self, path: &str) -> Result<()> {
        match self.store.delete(&self.key(path)?).await {
            Ok(()) | Err(::object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(store_error("delete", &self.describe(path), e)),
        }
    }

    async fn list(&self, folder: &str) -> Result<Vec<ListEntry>> {
        let failed = |e| store_error("list", &self.describe(folder), e);
        let prefix = match check_folder(folder)? {
            "" => Path::default(),
            folder => Path::parse(folder).map_err(|e| failed(e.into()))?,
        };
        let listing = self.store.list_with_delimiter(Some(&prefix)).await.map_err(failed)?;
        let entries = listing.objects.into_iter().filter_map(|meta| {
            // Exactly one segment below the folder: some stores keep an empty object for the folder itself.
            let mut below = meta.location.prefix_match(&prefix)?;
            let name = below.next()?.as_ref().to_owned();
            let is_child = below.next().is_none() && !is_aside(&name, upload::MARK);
            is_child.then(|| ListEntry { name, size: meta.size, tag: object::tag(&meta) })
        });
        let mut entries: Vec<_> = entries.collect();
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    async fn sweep(&self, path: &str, older_than: Duration) -> Result<u64> {
        self.sweep_older(path, i64::try_from(older_than.as_millis()).unwrap_or(i64::MAX)).await
    }

    fn describe(&self, path: &str) -> String {
        match &self.url {
            Some(url) => format!("{url}/{path}"),
            None => format!("{}/{path}", self.store),
        }
    }
}
