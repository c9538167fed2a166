//! A pinned key: every request names the ETag, every answer is checked for it.

use std::ops::Range;
use std::sync::Arc;

use ::object_store::path::Path;
use ::object_store::{GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore};
use array_format_core::{Error, ErrorKind, Result};
use async_trait::async_trait;
use bytes::Bytes;
use futures::future::TryFutureExt;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use super::error::store_error;
use crate::storage::path::check_range;
use crate::storage::pieces::Pieces;
use crate::storage::{ObjectTag, StoredObject};

#[derive(Debug)]
pub(super) struct PinnedObject {
    store: Arc<dyn ObjectStore>,
    meta: ObjectMeta,
    key: Path,
    tag: ObjectTag,
    shown: String,
}

/// The tag of what `meta` describes. A plain web server may send no ETag; size and time have to do then.
pub(super) fn tag(meta: &ObjectMeta) -> ObjectTag {
    ObjectTag::of_store(meta.e_tag.clone(), meta.version.clone()).unwrap_or_else(|| {
        let changed_ms = meta.last_modified.timestamp_millis();
        ObjectTag::new(format!("{:x}-{changed_ms:x}", meta.size))
    })
}

/// A request that succeeds only while the object is the one of `meta`, as far as the store can be asked for that.
pub(super) fn pin(meta: &ObjectMeta) -> GetOptions {
    let options = GetOptions::default();
    match &meta.e_tag {
        // A weak one never matches, by the rules of HTTP; the answer is checked instead.
        Some(weak) if weak.starts_with("W/") => options,
        Some(e_tag) => options.with_if_match(Some(e_tag.clone())),
        None => options.with_if_unmodified_since(Some(meta.last_modified)),
    }
}

impl PinnedObject {
    pub(super) fn new(store: Arc<dyn ObjectStore>, meta: ObjectMeta, key: Path, shown: String) -> Self {
        Self { store, tag: tag(&meta), meta, key, shown }
    }

    /// Refuses a tail of another length than was asked for.
    pub(super) fn check_tail(&self, tail: &Bytes, asked_bytes: u64) -> Result<()> {
        let expected = asked_bytes.min(self.meta.size);
        self.check_length(tail, expected, self.meta.size - expected)
    }

    fn check_length(&self, bytes: &Bytes, expected: u64, offset: u64) -> Result<()> {
        if bytes.len() as u64 == expected {
            return Ok(());
        }
        let sentence =
            format!("{} bytes of {} came where {expected} were asked for", bytes.len(), self.shown);
        Err(Error::corrupt(sentence).at_offset(offset))
    }

    fn expired(&self) -> Error {
        let sentence = format!("{} was replaced or deleted since it was opened; open it again", self.shown);
        Error::new(ErrorKind::SnapshotExpired, sentence)
    }

    /// The answer to a request for a range, whose body is still to come.
    async fn get(&self, range: &Range<u64>) -> Result<GetResult> {
        let options = pin(&self.meta).with_range(Some(GetRange::Bounded(range.clone())));
        let got = self.store.get_opts(&self.key, options).await.map_err(|e| self.read_error(e))?;
        // A store, or a proxy before it, that ignores the condition.
        if tag(&got.meta) != self.tag {
            return Err(self.expired());
        }
        if got.range != *range {
            let sentence = format!("other bytes of {} came than were asked for", self.shown);
            return Err(Error::corrupt(sentence).at_offset(range.start));
        }
        Ok(got)
    }

    fn read_error(&self, e: ::object_store::Error) -> Error {
        match e {
            ::object_store::Error::Precondition { .. } | ::object_store::Error::NotFound { .. } => {
                self.expired().with_source(e)
            }
            e => store_error("read", &self.shown, e),
        }
    }
}

#[async_trait]
impl StoredObject for PinnedObject {
    fn size(&self) -> u64 {
        self.meta.size
    }

    fn tag(&self) -> &ObjectTag {
        &self.tag
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        if check_range(&range, self.meta.size, &self.shown)? == 0 {
            return Ok(Bytes::new());
        }
        let bytes = self.get(&range).await?.bytes().await.map_err(|e| self.read_error(e))?;
        self.check_length(&bytes, range.end - range.start, range.start)?;
        Ok(bytes)
    }

    fn read_pieces(self: Arc<Self>, cuts: Vec<u64>) -> BoxStream<'static, Result<Bytes>> {
        let pieces = async move {
            let start = cuts.first().copied().unwrap_or(0);
            let range = start..cuts.last().copied().unwrap_or(start);
            let portions = match check_range(&range, self.meta.size, &self.shown)? {
                0 => stream::empty().boxed(),
                _ => self.get(&range).await?.into_stream(),
            };
            let wanted = Pieces::new(&cuts);
            let complete = stream::try_unfold(
                (self, portions, wanted),
                move |(this, mut portions, mut wanted)| async move {
                    match portions.next().await {
                        Some(portion) => {
                            let found = wanted.add(portion.map_err(|e| this.read_error(e))?);
                            Ok(Some((stream::iter(found).map(Ok::<_, Error>), (this, portions, wanted))))
                        }
                        None => wanted.end().map(|()| None).map_err(|e| e.at_offset(start)),
                    }
                },
            );
            Ok::<_, Error>(complete.try_flatten())
        };
        Box::pin(pieces.try_flatten_stream())
    }
}
