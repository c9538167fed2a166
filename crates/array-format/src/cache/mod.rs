//! A cache of decoded blocks and index pages that many files share.

#[cfg(feature = "disk-cache")]
mod disk;
mod wanted;

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use array_format_core::address::ObjectId;
use array_format_core::footer::ObjectEntry;
use array_format_core::format::attributes::AttributesPage;
use array_format_core::format::chunks::ChunksPage;
use array_format_core::format::directory::Directory;
use array_format_core::format::nodes::NodesPage;
use array_format_core::format::statistics::StatisticsPage;
use array_format_core::format::trailer::Id;
use array_format_core::{Error, Result};
use bytes::Bytes;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use self::wanted::Wanted;

/// What the cache holds when nothing else is asked for.
const CAPACITY_BYTES: u64 = 256 << 20;

/// A part of the cache that is locked and filled alone holds at least this. Smaller parts fill unevenly, so that some forget while others have
/// room; and blocks that are large beside a part would never be kept.
const SHARD_BYTES: u64 = 128 << 20;

/// Which bytes. The write id belongs to one write of one object, so that no two files, versions or stores mix, also
/// if they stand at the same path; the checksum guards against a caller who hands out the same id twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) write_id: Id,
    pub(crate) object: ObjectId,
    pub(crate) offset: u64,
    pub(crate) stored_bytes: u64,
    pub(crate) checksum: u32,
    /// Of a block: damaged indexes may describe one block in two ways.
    pub(crate) fingerprint: u32,
    /// 0 is the whole block or page, others are frames of a block.
    pub(crate) frame: usize,
}

impl Key {
    /// The same of a frame alone.
    pub(crate) fn of_frame(self, number: usize) -> Self {
        Self { frame: number.saturating_add(1), ..self }
    }
}

/// A decoded thing.
#[derive(Debug, Clone)]
pub(crate) enum Cached {
    Block(Bytes),
    Directory(Arc<Directory>),
    Nodes(Arc<NodesPage>),
    Chunks(Arc<ChunksPage>),
    Attributes(Arc<AttributesPage>),
    Statistics(Arc<StatisticsPage>),
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Cached> for Weight {
    fn weight(&self, _: &Key, cached: &Cached) -> u64 {
        let bytes = match cached {
            Cached::Block(b) => b.len(),
            Cached::Directory(d) => d.pages.len() * 160,
            Cached::Nodes(p) => p.heap_bytes(),
            Cached::Chunks(p) => p.heap_bytes(),
            Cached::Attributes(p) => p.heap_bytes(),
            Cached::Statistics(p) => p.heap_bytes(),
        };
        bytes as u64 + 128
    }
}

/// Decoded blocks and index pages in memory, up to a number of bytes. Clones share; hand one to
/// [`FileConfig::with_cache`](crate::FileConfig::with_cache) of many files.
///
/// Each block is loaded and decoded once, also if many readers want it at the same moment; but what large batches want little of is
/// kept when it is wanted for the second time.
#[derive(Clone)]
pub struct DeltaCache {
    cache: Arc<Cache<Key, Cached, Weight>>,
    /// How often it was cleared.
    cleared: Arc<AtomicU64>,
    wanted: Arc<Wanted>,
    #[cfg(feature = "disk-cache")]
    disk: Option<Arc<disk::DiskTier>>,
}

impl DeltaCache {
    /// A cache of at most `capacity_bytes`, about.
    pub fn new(capacity_bytes: u64) -> Self {
        let items = usize::try_from(capacity_bytes / (32 << 10)).unwrap_or(1 << 20).clamp(16, 1 << 20);
        let shards = usize::try_from(capacity_bytes / SHARD_BYTES).unwrap_or(usize::MAX);
        let most = rayon::current_num_threads().saturating_mul(4);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(items)
            .weight_capacity(capacity_bytes)
            .shards(shards.clamp(1, most))
            .build();
        let cache = match options {
            Ok(options) => Cache::with_options(
                options,
                Weight,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            // It misses none of what it needs.
            Err(_) => Cache::with_weighter(items, capacity_bytes, Weight),
        };
        Self {
            cache: Arc::new(cache),
            cleared: Arc::default(),
            wanted: Arc::default(),
            #[cfg(feature = "disk-cache")]
            disk: None,
        }
    }

    /// The same with a second tier: what files read over a network is kept in a folder of a local disk, as it is stored, up to a number of
    /// bytes, for later processes too. Files on local disks and in memory leave it alone.
    ///
    /// The pages in it have 128 KiB; reads that bring one ask for all of it. Several processes may use one folder at the same time; each
    /// has a part of its own then, of the full size. Opening reads what is in the folder, which takes about a second for 10 GiB, and blocks.
    ///
    /// A process that is killed loses what it did not write yet, [`sync`](Self::sync) waits for it. Damage on that disk is noticed, and what
    /// was damaged is fetched again.
    ///
    /// # Errors
    /// `InvalidArgument` if `capacity_bytes` is less than 16 MiB; `Unavailable` if the folder cannot be made or written.
    #[cfg(feature = "disk-cache")]
    pub fn with_disk(mut self, folder: impl AsRef<std::path::Path>, capacity_bytes: u64) -> Result<Self> {
        self.disk = Some(Arc::new(disk::DiskTier::open(folder.as_ref(), capacity_bytes)?));
        Ok(self)
    }

    /// Waits until the tier on disk holds what was read so far. Does nothing without one.
    pub async fn sync(&self) {
        #[cfg(feature = "disk-cache")]
        if let Some(disk) = &self.disk {
            disk.sync().await;
        }
    }

    /// Whether there is a tier on disk.
    pub(crate) fn has_disk(&self) -> bool {
        #[cfg(feature = "disk-cache")]
        return self.disk.is_some();
        #[cfg(not(feature = "disk-cache"))]
        false
    }

    /// Bytes of an object behind a network, which `fetch` brings: through the tier on disk, if there is one.
    pub(crate) async fn read_through<F: Future<Output = Result<Bytes>>>(
        &self,
        object: &ObjectEntry,
        range: Range<u64>,
        fetch: impl Fn(Range<u64>) -> F,
    ) -> Result<Bytes> {
        #[cfg(feature = "disk-cache")]
        if let Some(disk) = &self.disk {
            return disk.read(object.write_id, object.object_bytes, range, fetch).await;
        }
        #[cfg(not(feature = "disk-cache"))]
        let _ = object;
        fetch(range).await
    }

    /// Bytes that are held now, about.
    pub fn used_bytes(&self) -> u64 {
        self.cache.weight()
    }

    /// Forgets everything. Readers are not disturbed: what they hold stays valid.
    pub fn clear(&self) {
        self.cleared.fetch_add(1, Ordering::Relaxed);
        self.cache.clear();
        self.wanted.clear();
    }

    /// How often everything was forgotten.
    pub(crate) fn cleared(&self) -> u64 {
        self.cleared.load(Ordering::Relaxed)
    }

    /// Whether something that was not kept had been asked for before, about.
    pub(crate) fn wanted_again(&self, key: &Key) -> bool {
        self.wanted.again(key)
    }

    /// Bytes that it may hold.
    pub(crate) fn capacity_bytes(&self) -> u64 {
        self.cache.capacity()
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Cached> {
        self.cache.get(key)
    }

    pub(crate) fn insert(&self, key: Key, cached: Cached) {
        self.cache.insert(key, cached);
    }

    /// What is there, or what `load` brings; concurrent callers of one key wait for the first.
    pub(crate) async fn get_or_load(
        &self,
        key: &Key,
        load: impl Future<Output = Result<Cached>>,
    ) -> Result<Cached> {
        self.cache.get_or_insert_async(key, load).await
    }

    /// The same of bytes, for threads that decode.
    pub(crate) fn get_or_decode(&self, key: &Key, decode: impl FnOnce() -> Result<Bytes>) -> Result<Bytes> {
        match self.cache.get_or_insert_with(key, || decode().map(Cached::Block))? {
            Cached::Block(bytes) => Ok(bytes),
            _ => Err(Error::corrupt("a block and an index page claim the same place")),
        }
    }
}

impl Default for DeltaCache {
    /// 256 MiB. Whoever opens many files at once hands one cache to all of them.
    fn default() -> Self {
        Self::new(CAPACITY_BYTES)
    }
}

impl fmt::Debug for DeltaCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeltaCache")
            .field("used_bytes", &self.used_bytes())
            .field("capacity_bytes", &self.cache.capacity())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(offset: u64) -> Key {
        let (object, stored_bytes) = (ObjectId::Layer(1), 1);
        Key { write_id: [7; 16], object, offset, stored_bytes, checksum: 1, fingerprint: 0, frame: 0 }
    }

    #[test]
    fn what_fits_stays_also_if_it_comes_in_large_pieces() {
        let cache = DeltaCache::new(64 << 20);
        let pieces = 60;
        for i in 0..pieces {
            cache.insert(key(i), Cached::Block(vec![0; 1 << 20].into()));
        }
        assert!((0..pieces).all(|i| cache.get(&key(i)).is_some()));
    }
}
