//! What uploads that died have left: temporary keys, and parts that wait for more.

use std::fmt::Debug;
use std::future::ready;

use ::object_store::path::Path;
use ::object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload};
use array_format_core::Result;
use async_trait::async_trait;
use futures::TryStreamExt;

use super::error::store_error;
use super::{ObjectStoreBackend, upload};
use crate::storage::Storage;
use crate::storage::path::is_aside;

/// An upload in parts that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::storage) struct Begun {
    pub(in crate::storage) key: String,
    pub(in crate::storage) id: String,
    pub(in crate::storage) begun_ms: i64,
}

/// What the `object_store` crate does not ask stores for.
#[async_trait]
pub(in crate::storage) trait Unfinished: Debug + Send + Sync {
    /// Uploads of keys that begin with `prefix` and that nobody has ended.
    async fn list(&self, prefix: &str) -> ::object_store::Result<Vec<Begun>>;

    /// Ends one: the store forgets its parts.
    async fn abort(&self, upload: &Begun) -> ::object_store::Result<()>;
}

impl ObjectStoreBackend {
    /// Removes temporary keys that begin with `path`, and uploads to the file's keys that nobody has ended, where they are older than `age_ms` by
    /// the store's own clock.
    pub(super) async fn sweep_older(&self, path: &str, age_ms: i64) -> Result<u64> {
        let key = self.key(path)?;
        let failed = |e| store_error("sweep beside", &self.describe(path), e);
        let mut parent: Vec<_> = key.parts().collect();
        parent.pop();
        let parent = Path::from_iter(parent);
        // Stores list in the order of names, so that what begins with the path comes together.
        let listing = self.store.list_with_offset(Some(&parent), &key);
        let ours = listing.try_take_while(|m| ready(Ok(m.location.as_ref().starts_with(path))));
        let aside = |m: &ObjectMeta| m.location.filename().is_some_and(|name| is_aside(name, upload::MARK));
        let found: Vec<ObjectMeta> =
            ours.try_filter(|m| ready(aside(m))).try_collect().await.map_err(failed)?;
        let begun = self.begun(path).await;
        if found.is_empty() && begun.is_empty() {
            return Ok(0);
        }
        let now_ms = self.clock_ms(path).await.map_err(failed)?;
        let mut swept = 0;
        for meta in found.iter().filter(|m| now_ms - m.last_modified.timestamp_millis() >= age_ms) {
            match self.store.delete(&meta.location).await {
                Ok(()) => swept += 1,
                Err(::object_store::Error::NotFound { .. }) => {}
                Err(e) => return Err(failed(e)),
            }
        }
        for upload in begun.iter().filter(|u| now_ms - u.begun_ms >= age_ms) {
            let Some(unfinished) = &self.unfinished else { break };
            match unfinished.abort(upload).await {
                Ok(()) => swept += 1,
                Err(::object_store::Error::NotFound { .. }) => {}
                Err(e) => return Err(failed(e)),
            }
        }
        Ok(swept)
    }

    /// Uploads of the file's objects that nobody has ended, as far as the store tells.
    async fn begun(&self, path: &str) -> Vec<Begun> {
        let Some(unfinished) = &self.unfinished else { return Vec::new() };
        let is_ours = |u: &Begun| {
            let rest = u.key.strip_prefix(path).unwrap_or("/");
            rest.is_empty()
                || rest.starts_with(".layers/")
                || rest.starts_with(".freed/")
                || rest.starts_with(".part-") && is_aside(&u.key, upload::MARK)
        };
        match unfinished.list(path).await {
            Ok(found) => found.into_iter().filter(is_ours).collect(),
            // It takes a right of its own, without which all else works.
            Err(e) => {
                tracing::warn!(path, error = %e, "uploads that nobody ended cannot be listed");
                Vec::new()
            }
        }
    }

    /// What time it is at the store: that of an object of now.
    async fn clock_ms(&self, path: &str) -> ::object_store::Result<i64> {
        let key = upload::temporary(path)?;
        self.store.put(&key, PutPayload::from_static(b"now")).await?;
        let meta = self.store.head(&key).await;
        self.store.delete(&key).await?;
        Ok(meta?.last_modified.timestamp_millis())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ::object_store::memory::InMemory;
    use futures::executor::block_on;

    use super::*;

    #[test]
    fn only_old_temporary_keys_of_the_file_go() {
        block_on(async {
            let store = Arc::new(InMemory::new());
            let backend = ObjectStoreBackend::new(store.clone());
            let dead =
                ["a/run.af.part-7-0123456789abcdef", "a/run.af.layers/x.layer.part-7-0123456789abcdef"];
            let others =
                ["a/run.af", "a/run.af.layers/x.layer", "a/other.af.part-7-0123456789abcdef", "b/run.af"];
            for key in dead.iter().chain(&others) {
                store.put(&Path::from(*key), PutPayload::from_static(b"x")).await.unwrap();
            }
            assert_eq!(backend.sweep_older("a/run.af", 60_000).await.unwrap(), 0, "they are young");
            assert_eq!(backend.sweep_older("a/run.af", 0).await.unwrap(), 2);
            let mut left: Vec<_> = store.list(None).try_collect::<Vec<_>>().await.unwrap();
            left.sort_by(|a, b| a.location.cmp(&b.location));
            let mut expected = others.to_vec();
            expected.sort_unstable();
            assert_eq!(left.iter().map(|m| m.location.as_ref()).collect::<Vec<_>>(), expected);
        });
    }
}
