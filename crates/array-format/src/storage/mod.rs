//! Where the bytes live: [`Storage`] is the one extension point for I/O.
//!
//! | storage | for | conditional replace |
//! |---|---|---|
//! | [`LocalStorage`] | files on this machine; needs no runtime | yes, a lock around a rename |
//! | [`InMemoryStorage`] | tests, scratch | yes |
//! | [`ObjectStoreBackend`] | everything that the `object_store` crate reaches | as far as the store can |
//!
//! [`StoreOptions::place`] finds the storage that a URL means.
//!
//! # What a storage must guarantee
//!
//! 1. An object appears at its path whole or not at all, when [`Upload::finish`] publishes it.
//! 2. Of many concurrent [`FinishMode::Create`] at one path, exactly one succeeds. That create is the commit point.
//! 3. After `finish` returned `Ok`, the bytes survive a crash, and every later [`open`](Storage::open) and
//!    [`list`](Storage::list), by whomever, sees them.
//! 4. What [`Storage::open`] pinned never yields bytes of another object, whatever happens at the path afterwards.
//! 5. [`FinishMode::Replace`] and [`Storage::promote`] change nothing unless the object still is what the caller saw.
//!    A storage that cannot promise this says `Unsupported`.
//! 6. A [listing](Storage::list) has each object with the tag that `open` would find. Where it comes in parts they follow the order of names;
//!    what has no order is listed until two passes are equal.
//!
//! What is absent: partial overwrites, appends to a published object, renames, folders (they come and go with
//! their objects), clocks. A storage does not cache, does not coalesce ranges, and does not retry beyond what its client does.
//!
//! A storage of your own should pass `array_format_testkit::conformance::run`.
//!
//! # Paths
//!
//! `/`-separated, relative to the storage, without empty segments, `.`, `..` or control characters; anything
//! else is `InvalidArgument` in every storage of this crate. The empty string is the top folder, in `list` only.
//!
//! # Errors
//!
//! Every storage speaks [`ErrorKind`](array_format_core::ErrorKind) and keeps the cause as source. An error of `finish`, `promote` or
//! `delete` other than `AlreadyExists`, `Conflict` and `Unsupported` says nothing about whether the effect happened:
//! the answer may have been lost on its way. Even those three can be an echo of one's own earlier attempt that
//! the client repeated, so a committer marks its objects and looks.

mod into;
mod local;
mod memory;
mod object_store;
mod path;
pub(crate) mod pieces;
mod place;
#[cfg(feature = "remote")]
mod remote;
mod tag;

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use array_format_core::{Error, Result};
use async_trait::async_trait;
use bytes::Bytes;
use futures::future::TryFutureExt;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

pub use into::IntoStorage;
pub use local::LocalStorage;
pub use memory::InMemoryStorage;
pub use object_store::ObjectStoreBackend;
pub use place::{Place, StoreOptions};
pub use tag::ObjectTag;

/// How many requests [`StoredObject::read_ranges`] keeps in flight unless a storage says otherwise.
const RANGES_IN_FLIGHT: usize = 16;

/// Named immutable objects, created whole and replaced whole. See the [module](self) for what is guaranteed.
#[async_trait]
pub trait Storage: Debug + Send + Sync + 'static {
    /// The object at `path`, pinned as it is now, and its last `tail_bytes` (all of it if it is shorter).
    ///
    /// Pinned means: a descriptor on disk, the `ETag` or version on a store.
    ///
    /// # Errors
    ///
    /// `NotFound` if nothing is there; `PermissionDenied`, `Unavailable`.
    ///
    /// # Cost
    ///
    /// One request; two on a store without suffix ranges (Azure) and for an empty object on S3.
    async fn open(&self, path: &str, tail_bytes: u64) -> Result<Opened>;

    /// Starts an object. Nothing is visible at `path` until [`Upload::finish`].
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a path that cannot be written; `PermissionDenied`, `Unavailable`.
    ///
    /// # Cost
    ///
    /// No request on stores.
    async fn upload(&self, path: &str) -> Result<Box<dyn Upload>>;

    /// Like [`upload`](Self::upload), for a name that nobody else can choose because it holds random bits.
    ///
    /// A storage may then publish without a condition, which spares large objects on stores a copy (and S3's limit of
    /// 5 GiB for one). Finish with [`FinishMode::Create`].
    ///
    /// # Errors
    ///
    /// As [`upload`](Self::upload).
    async fn upload_unique(&self, path: &str) -> Result<Box<dyn Upload>> {
        self.upload(path).await
    }

    /// Puts the object `from` in the place of `to`, if `to` still is what `expected` says.
    ///
    /// Afterwards the bytes of `from` are at `to`; whether `from` is still there too is up to the storage. Take
    /// `expected` from `open`, `finish` or `promote`: on Google Cloud Storage the tag of a listing has no generation
    /// and is refused.
    ///
    /// # Errors
    ///
    /// `Conflict` if `to` changed or is gone; `NotFound` if `from` is not there; `Unsupported` where the
    /// store cannot do it for an object of that size.
    ///
    /// # Cost
    ///
    /// No bytes on disk; on stores one GET of `from` and one PUT.
    async fn promote(&self, from: &str, to: &str, expected: &ObjectTag) -> Result<ObjectTag>;

    /// Deletes the object at `path`; that nothing is there is fine. A crash may bring the object back.
    ///
    /// # Errors
    ///
    /// `PermissionDenied`, `Unavailable`.
    async fn delete(&self, path: &str) -> Result<()>;

    /// The objects directly in `folder`, sorted by name; empty if there is no such folder.
    ///
    /// What unfinished uploads keep aside is not listed.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if `folder` is an object; `PermissionDenied`, `Unavailable`.
    ///
    /// # Cost
    ///
    /// One request per 1,000 entries on stores.
    async fn list(&self, folder: &str) -> Result<Vec<ListEntry>>;

    /// The objects directly in `folder` whose names are above `after`, as [`list`](Self::list) gives them.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list).
    ///
    /// # Cost
    ///
    /// As [`list`](Self::list); a storage may spare itself what it would say of the others.
    async fn list_after(&self, folder: &str, after: &str) -> Result<Vec<ListEntry>> {
        let mut entries = self.list(folder).await?;
        entries.retain(|e| e.name.as_str() > after);
        Ok(entries)
    }

    /// Makes durable what is seen at `path`, whoever put it there: an object that another process has published may be visible before it is.
    /// Called before something is acknowledged whose `finish` gave an error, and before what it supersedes is deleted. Nothing at the path
    /// is fine. Stores have nothing to do.
    ///
    /// # Errors
    ///
    /// `PermissionDenied`, `Unavailable`: it may not be durable.
    async fn sync(&self, path: &str) -> Result<()> {
        let _ = path;
        Ok(())
    }

    /// Removes what dead uploads of `path`, and of names that begin with it, left behind. Returns how many it removed.
    ///
    /// A storage that can tell what a live upload needs never touches it. One that cannot takes for dead what is older than `older_than`, by the
    /// storage's own clock; or it does nothing.
    ///
    /// # Errors
    ///
    /// `PermissionDenied`, `Unavailable`.
    async fn sweep(&self, path: &str, older_than: Duration) -> Result<u64> {
        let _ = (path, older_than);
        Ok(0)
    }

    /// Whether every future of this storage and of its objects is complete when it is first polled, on whatever thread that is: then many objects
    /// are opened and read on all cores. A storage that waits for a network or needs a runtime says no.
    fn answers_at_once(&self) -> bool {
        false
    }

    /// The name of `path` for a person: `./a/b.af`, `s3://bucket/b.af`, `memory://b.af`.
    fn describe(&self, path: &str) -> String;
}

impl dyn Storage {
    /// Writes a whole object: upload, write, finish.
    ///
    /// # Errors
    ///
    /// As [`upload`](Storage::upload), [`write`](Upload::write) and [`finish`](Upload::finish).
    pub async fn put(&self, path: &str, bytes: Bytes, mode: FinishMode) -> Result<ObjectTag> {
        let mut upload = self.upload(path).await?;
        upload.write(bytes).await?;
        upload.finish(mode).await
    }
}

/// What [`Storage::open`] returns.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The pinned object.
    pub object: Arc<dyn StoredObject>,
    /// Its last bytes, as many as were asked for, or all of them.
    pub tail: Bytes,
}

/// Reads that wait for nothing but the disk, on the thread that asks.
pub trait ReadNow: Send + Sync {
    /// Exactly the bytes of `range`, in the place of what `out` held.
    ///
    /// # Errors
    ///
    /// As [`StoredObject::read`].
    fn read_now(&self, range: Range<u64>, out: &mut Vec<u8>) -> Result<()>;
}

/// An object as it was when it was opened.
#[async_trait]
pub trait StoredObject: Debug + Send + Sync + 'static {
    /// How to read without waiting, for objects that can, as all of a storage or none: then each thread that decodes reads what it needs by
    /// itself.
    fn now(&self) -> Option<&dyn ReadNow> {
        None
    }

    /// All of its bytes, where they can be had without reading: of a file that is mapped into memory.
    fn mapped(&self) -> Option<&Bytes> {
        None
    }

    /// Its length in bytes.
    fn size(&self) -> u64;

    /// What it was when it was opened.
    fn tag(&self) -> &ObjectTag;

    /// Exactly the bytes of `range`.
    ///
    /// # Errors
    ///
    /// `SnapshotExpired` when the object was replaced or deleted and its bytes are no longer to be had; `Corrupt` when
    /// `range` is not within the object, or fewer bytes came back; `Unavailable`, `PermissionDenied`.
    ///
    /// # Cost
    ///
    /// One request; none for an empty range.
    async fn read(&self, range: Range<u64>) -> Result<Bytes>;

    /// The bytes between each two neighbours of `cuts`, which ascend: each piece as soon as it is there, while the rest is on its way.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), as the last item.
    ///
    /// # Cost
    ///
    /// One request, for all from the first cut to the last one.
    fn read_pieces(self: Arc<Self>, cuts: Vec<u64>) -> BoxStream<'static, Result<Bytes>> {
        let whole = async move {
            let (Some(first), Some(last)) = (cuts.first().copied(), cuts.last().copied()) else {
                return Ok::<_, Error>(stream::iter(Vec::new()));
            };
            let bytes = self.read(first..last).await?;
            Ok(stream::iter(pieces::cut(&bytes, &cuts)))
        };
        Box::pin(whole.try_flatten_stream())
    }

    /// The bytes of every range, in the order given.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read): the first range in trouble ends the call.
    ///
    /// # Cost
    ///
    /// One request a range, up to 16 of them in flight. Nothing is coalesced: the caller knows better.
    async fn read_ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        // Collected first: a closure in the stream would tie its lifetime to the trait object's.
        let reads: Vec<_> = ranges.iter().map(|range| self.read(range.clone())).collect();
        stream::iter(reads).buffered(RANGES_IN_FLIGHT).try_collect().await
    }
}

/// An object on its way. Dropping it leaves nothing visible, and cleans up as well as can be done without waiting.
#[async_trait]
pub trait Upload: Send {
    /// Appends `bytes`.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `PermissionDenied`. After an error the upload cannot be finished.
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// Makes the object durable, then visible, in this order.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` ([`FinishMode::Create`]), `Conflict` ([`FinishMode::Replace`]), `Unsupported`,
    /// `Unavailable`, `PermissionDenied`; see [Errors](self#errors) for what is known after each.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, the object may be visible or not, but never in part.
    async fn finish(self: Box<Self>, mode: FinishMode) -> Result<ObjectTag>;

    /// Gives up and removes what was written.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `PermissionDenied`: something may be left for [`Storage::sweep`] or a life-cycle rule.
    async fn abort(self: Box<Self>) -> Result<()>;
}

/// Under which condition [`Upload::finish`] publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishMode {
    /// Nothing is there; else `AlreadyExists`.
    Create,
    /// The object there still is this one; else `Conflict`.
    Replace(ObjectTag),
}

/// One object of a [listing](Storage::list).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// Last segment of its path.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// What it was when it was listed; equal to the tag that `open` would have found.
    pub tag: ObjectTag,
}
