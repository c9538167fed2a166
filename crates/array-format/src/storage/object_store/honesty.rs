//! Whether a store honours conditions. Some answer 200 to a create at a taken name and overwrite what was there: two writers would then both
//! be told that their commit is safe, and one of them would lose it.

use ::object_store::path::Path;
use ::object_store::{ObjectStoreExt, PutMode, PutOptions, UpdateVersion};
use array_format_core::{Error, ErrorKind, Result};
use async_lock::OnceCell;
use bytes::Bytes;

use super::error::{is_unsupported, store_error};
use super::{ObjectStoreBackend, upload};
use crate::storage::{FinishMode, Storage};

/// What was found out, once a store.
#[derive(Debug, Default)]
pub(super) struct Honesty(OnceCell<Verdict>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Honest,
    /// Creates over what is there.
    CreatesOverOthers,
    /// Replaces what is another object by now.
    ReplacesOthers,
}

impl ObjectStoreBackend {
    /// Refuses to publish under a condition that the store would ignore.
    pub(super) async fn check_honesty(&self, path: &str, key: &Path, mode: &FinishMode) -> Result<()> {
        if self.single_writer {
            return self.check_by_looking(path, key, mode).await;
        }
        let verdict = *self.honesty.0.get_or_try_init(|| self.probe(path)).await?;
        let what = match (verdict, mode) {
            (Verdict::Honest, _) | (Verdict::ReplacesOthers, FinishMode::Create) => return Ok(()),
            (Verdict::CreatesOverOthers, _) => "creates objects over others that are there",
            (Verdict::ReplacesOthers, FinishMode::Replace(_)) => "replaces objects that have changed",
        };
        Err(Error::unsupported(format!(
            "{} {what}, although it was asked not to, and says that all is well: of two writers one would lose its commit. Take a store that \
             honours If-None-Match and If-Match, or, if no two processes ever write the same file at once, say so: \
             `StoreOptions::with_single_writer`, `af --single-writer`",
            self.describe("").trim_end_matches('/')
        )))
    }

    /// The next best: looks before it writes.
    async fn check_by_looking(&self, path: &str, key: &Path, mode: &FinishMode) -> Result<()> {
        let shown = || self.describe(path);
        let now = match self.store.head(key).await {
            Ok(meta) => Some(super::object::tag(&meta)),
            Err(::object_store::Error::NotFound { .. }) => None,
            Err(e) => return Err(store_error("look at", &shown(), e)),
        };
        match (mode, now) {
            (FinishMode::Create, None) => Ok(()),
            (FinishMode::Create, Some(_)) => {
                Err(Error::new(ErrorKind::AlreadyExists, format!("{} is there already", shown())))
            }
            (FinishMode::Replace(expected), Some(now)) if now == *expected => Ok(()),
            (FinishMode::Replace(_), _) => Err(Error::new(
                ErrorKind::Conflict,
                format!("{} was replaced or deleted by someone else; open it again", shown()),
            )),
        }
    }

    async fn probe(&self, path: &str) -> Result<Verdict> {
        let key = upload::temporary(path)
            .map_err(|e| store_error("try out conditions beside", &self.describe(path), e))?;
        let verdict = self.probe_at(&key).await;
        // Of a unique name; `gc` knows it by its name if it stays.
        if let Err(e) = self.store.delete(&key).await {
            tracing::debug!(%key, error = %e, "a key for trying out conditions stays");
        }
        verdict.map_err(|e| store_error("try out conditions beside", &self.describe(path), e))
    }

    async fn probe_at(&self, key: &Path) -> ::object_store::Result<Verdict> {
        use ::object_store::Error as Store;
        let put = async |text: &'static [u8], mode: PutMode| {
            self.store.put_opts(key, Bytes::from_static(text).into(), PutOptions::from(mode)).await
        };
        match put(b"first", PutMode::Create).await {
            // Its own, when an answer was lost and the client tried again.
            Ok(_) | Err(Store::AlreadyExists { .. } | Store::Precondition { .. }) => {}
            // Without conditions nothing is published at all: that is told then.
            Err(e) if is_unsupported(&e) => return Ok(Verdict::Honest),
            Err(e) => return Err(e),
        }
        match put(b"second", PutMode::Create).await {
            Ok(_) => return Ok(Verdict::CreatesOverOthers),
            Err(Store::AlreadyExists { .. } | Store::Precondition { .. }) => {}
            Err(e) => return Err(e),
        }
        let other = UpdateVersion {
            e_tag: Some("\"00000000000000000000000000000000\"".into()),
            version: Some("1".into()),
        };
        match put(b"third", PutMode::Update(other)).await {
            Ok(_) => Ok(Verdict::ReplacesOthers),
            // Whatever it says, it did not do it.
            Err(_) => Ok(Verdict::Honest),
        }
    }
}
