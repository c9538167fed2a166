//! An object on its way to a store.
//!
//! Up to 16 MiB are kept and sent in one PUT, which carries its condition. What is larger goes out in parts, and completing
//! a multipart upload has no condition in the `object_store` crate: so the parts make a temporary key, and a copy that
//! refuses a taken name publishes it. A unique name needs neither.

use std::mem;
use std::sync::Arc;

use ::object_store::path::Path;
use ::object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, UploadPart};
use array_format_core::{Error, Result};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt};

use super::error::{is_unsupported, store_error};
use super::{ObjectStoreBackend, REWRITE_MAX_BYTES};
use crate::storage::path::{aside, failed_before};
use crate::storage::{FinishMode, ObjectTag, Storage, Upload};

/// In the names of temporary keys.
pub(super) const MARK: &str = "part";
/// Parts of one size, as R2 demands; 10,000 of them, as S3 allows, are 156 GiB.
const PART_BYTES: usize = 16 << 20;
/// 64 MiB of memory, and the part that is being filled.
const PARTS_IN_FLIGHT: usize = 4;

pub(super) struct StoreUpload {
    backend: ObjectStoreBackend,
    path: String,
    key: Path,
    is_unique: bool,
    pending: Vec<Bytes>,
    pending_bytes: usize,
    sent_bytes: u64,
    parts: Option<Parts>,
    has_failed: bool,
}

/// A multipart upload under way.
struct Parts {
    key: Path,
    upload: Box<dyn MultipartUpload>,
    in_flight: FuturesUnordered<UploadPart>,
    is_complete: bool,
}

impl StoreUpload {
    pub(super) fn new(backend: ObjectStoreBackend, path: &str, key: Path, is_unique: bool) -> Self {
        Self {
            backend,
            path: path.to_owned(),
            key,
            is_unique,
            pending: Vec::new(),
            pending_bytes: 0,
            sent_bytes: 0,
            parts: None,
            has_failed: false,
        }
    }

    fn shown(&self) -> String {
        self.backend.describe(&self.path)
    }

    /// Takes up to `limit` bytes from the front of what is pending, without copying.
    fn take(&mut self, limit: usize) -> PutPayload {
        let mut room = limit;
        let mut taken = Vec::new();
        let mut rest = mem::take(&mut self.pending).into_iter();
        for mut bytes in rest.by_ref() {
            let part = bytes.split_to(room.min(bytes.len()));
            room -= part.len();
            taken.push(part);
            if room == 0 {
                self.pending.extend((!bytes.is_empty()).then_some(bytes));
                break;
            }
        }
        self.pending.extend(rest);
        self.pending_bytes -= limit - room;
        PutPayload::from_iter(taken)
    }

    /// Sends one part; waits while too many are on their way.
    async fn send(&mut self, limit: usize) -> ::object_store::Result<()> {
        if self.parts.is_none() {
            let key = if self.is_unique { self.key.clone() } else { temporary(&self.path)? };
            let upload = self.backend.store.put_multipart(&key).await?;
            let in_flight = FuturesUnordered::new();
            self.parts = Some(Parts { key, upload, in_flight, is_complete: false });
        }
        let payload = self.take(limit);
        self.sent_bytes += payload.content_length() as u64;
        if let Some(parts) = &mut self.parts {
            parts.in_flight.push(parts.upload.put_part(payload));
            while parts.in_flight.len() >= PARTS_IN_FLIGHT {
                parts.in_flight.next().await.transpose()?;
            }
        }
        Ok(())
    }

    /// The last part, and the end of the multipart upload.
    async fn complete(&mut self) -> ::object_store::Result<Option<ObjectTag>> {
        self.send(PART_BYTES).await?;
        let Some(parts) = &mut self.parts else { return Ok(None) };
        while let Some(sent) = parts.in_flight.next().await {
            sent?;
        }
        let put = parts.upload.complete().await?;
        parts.is_complete = true;
        Ok(ObjectTag::of_store(put.e_tag, put.version))
    }

    async fn finish_large(&mut self, mode: &FinishMode) -> Result<ObjectTag> {
        if *mode != FinishMode::Create {
            return Err(Error::unsupported(format!(
                "cannot replace {} with more than {PART_BYTES} bytes: stores have no condition for uploads in parts; \
                 create another object and promote it",
                self.shown()
            )));
        }
        let tag = self.complete().await.map_err(|e| store_error("write", &self.shown(), e))?;
        if !self.is_unique {
            self.publish_copy().await?;
        } else if let Some(tag) = tag {
            return Ok(tag);
        }
        self.backend.tag_now(&self.path, &self.key).await
    }

    /// Gives the temporary key its final name, unless that is taken.
    async fn publish_copy(&mut self) -> Result<()> {
        let Some(temporary) = self.parts.as_ref().map(|p| p.key.clone()) else { return Ok(()) };
        self.backend.check_honesty(&self.path, &self.key, &FinishMode::Create).await?;
        let refusal = match self.backend.store.copy_if_not_exists(&temporary, &self.key).await {
            Ok(()) => return Ok(()),
            Err(e) if is_unsupported(&e) => e,
            Err(e) => return Err(self.backend.publish_error(&self.path, &FinishMode::Create, e)),
        };
        if self.sent_bytes <= REWRITE_MAX_BYTES
            && let Ok(bytes) = self.backend.fetch(temporary.as_ref(), &temporary).await?
        {
            let created =
                self.backend.put_whole(&self.path, &self.key, bytes.into(), &FinishMode::Create).await;
            return created.map(drop);
        }
        Err(Error::unsupported(format!(
            "cannot create {} of {} bytes: the store does not copy without replacing (on S3, build the client with \
             `S3CopyIfNotExists::Multipart`)",
            self.shown(),
            self.sent_bytes
        ))
        .with_source(refusal))
    }
}

impl Parts {
    /// Removes what lies on the store besides the object at `published`.
    async fn clean_up(mut self, store: &dyn ObjectStore, published: &Path) -> ::object_store::Result<()> {
        // Parts that arrive after the end of their upload would stay.
        while self.in_flight.next().await.is_some() {}
        if !self.is_complete {
            self.upload.abort().await
        } else if self.key != *published {
            store.delete(&self.key).await
        } else {
            Ok(())
        }
    }
}

/// A temporary key beside `path`.
pub(super) fn temporary(path: &str) -> ::object_store::Result<Path> {
    Ok(Path::parse(aside(path, MARK))?)
}

#[async_trait]
impl Upload for StoreUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        if self.has_failed {
            return Err(failed_before(&self.shown()));
        }
        if bytes.is_empty() {
            return Ok(());
        }
        self.pending_bytes += bytes.len();
        self.pending.push(bytes);
        // One byte stays at least, so that the last part is never empty.
        while self.pending_bytes > PART_BYTES {
            // A future dropped half-way may have lost a part: only what ran to its end may be finished.
            self.has_failed = true;
            self.send(PART_BYTES).await.map_err(|e| store_error("write", &self.shown(), e))?;
            self.has_failed = false;
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>, mode: FinishMode) -> Result<ObjectTag> {
        if self.has_failed {
            return Err(failed_before(&self.shown()));
        }
        if self.parts.is_none() {
            let payload = self.take(PART_BYTES);
            return self.backend.put_whole(&self.path, &self.key, payload, &mode).await;
        }
        let finished = self.finish_large(&mode).await;
        if let Some(parts) = self.parts.take() {
            let (store, temporary) = (Arc::clone(&self.backend.store), parts.key.clone());
            if let Err(e) = parts.clean_up(&*store, &self.key).await {
                // The object is published, or not, whatever becomes of the temporary key.
                tracing::debug!(key = %temporary, error = %e, "a temporary key stays");
            }
        }
        finished
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        let Some(parts) = self.parts.take() else { return Ok(()) };
        let store = Arc::clone(&self.backend.store);
        parts
            .clean_up(&*store, &self.key)
            .await
            .map_err(|e| store_error("abort the upload of", &self.shown(), e))
    }
}

impl Drop for StoreUpload {
    fn drop(&mut self) {
        let Some(parts) = self.parts.take() else { return };
        // Without a runtime nobody would drive it; the life-cycle rule of the bucket has to.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (store, published) = (Arc::clone(&self.backend.store), self.key.clone());
        runtime.spawn(async move {
            let temporary = parts.key.clone();
            if let Err(e) = parts.clean_up(&*store, &published).await {
                tracing::debug!(key = %temporary, error = %e, "an unfinished upload stays");
            }
        });
    }
}
