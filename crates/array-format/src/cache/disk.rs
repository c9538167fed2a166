//! A second tier of the cache: stored bytes of objects that lie behind a network, on a local disk.
//!
//! It holds pages of a fixed size, each under the write id of its object: a write id belongs to one write of one object, whose bytes never
//! change, so that no page can stand for those of another version. What is read is checked like everything else that comes from a store.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use array_format_core::format::trailer::Id;
use array_format_core::{Error, ErrorKind, Result};
use bytes::{Bytes, BytesMut};
use foyer::{
    BlockEngineConfig, Code, DeviceBuilder, FsDeviceBuilder, HybridCache, HybridCacheBuilder,
    HybridCachePolicy, PsyncIoEngineConfig, RecoverMode, Spawner,
};
use futures::future::{join_all, try_join_all};
use tokio::runtime::Handle;

use crate::runtime;

/// What is kept and fetched at once. Fetching it takes about as long as a request takes anyway.
const PAGE_BYTES: u64 = 128 << 10;
/// Less room than this holds nothing for long.
const LEAST_BYTES: u64 = 16 << 20;
/// Pages that are forgotten together, at most.
const MOST_EVICTED_BYTES: u64 = 16 << 20;
/// What waits to be written at most; what comes beyond is not kept.
const WAITING_BYTES: usize = 64 << 20;
/// Pages that are in memory besides.
const MEMORY_BYTES: usize = 4 << 20;
/// Processes that use one folder at the same time.
const MOST_SLOTS: usize = 64;
/// Whose layout of files it is. One that another version of the library wrote is left alone.
const LAYOUT: &str = "foyer-0.22";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct PageKey {
    write_id: Id,
    number: u64,
}

impl Code for PageKey {
    fn encode(&self, writer: &mut impl Write) -> foyer::Result<()> {
        let written =
            writer.write_all(&self.write_id).and_then(|()| writer.write_all(&self.number.to_le_bytes()));
        written.map_err(foyer::Error::io_error)
    }

    fn decode(reader: &mut impl Read) -> foyer::Result<Self> {
        let (mut write_id, mut number) = ([0; 16], [0; 8]);
        reader
            .read_exact(&mut write_id)
            .and_then(|()| reader.read_exact(&mut number))
            .map_err(foyer::Error::io_error)?;
        Ok(Self { write_id, number: u64::from_le_bytes(number) })
    }

    fn estimated_size(&self) -> usize {
        24
    }
}

/// Pages on disk. The folder has a slot for each process that uses it at the same time; this one's is locked until all is written.
#[derive(Debug)]
pub(super) struct DiskTier {
    pages: HybridCache<PageKey, Bytes>,
    slot: Arc<File>,
    runtime: Handle,
}

impl DiskTier {
    /// Opens the first slot of `folder` that nobody uses, with what an earlier process left there.
    pub(super) fn open(folder: &Path, capacity_bytes: u64) -> Result<Self> {
        if capacity_bytes < LEAST_BYTES {
            return Err(Error::invalid(format!(
                "a cache on disk of {capacity_bytes} bytes is too small: give it {LEAST_BYTES} or more"
            )));
        }
        let runtime = runtime::handle()?;
        let folder = folder.join(LAYOUT);
        let (slot, files) = lock_slot(&folder).map_err(|e| at(&folder, e))?;
        let spawner = Spawner::from(runtime.clone());
        let (done, opened) = std::sync::mpsc::sync_channel(1);
        let opening = runtime.spawn(async move {
            let pages = open_pages(&files, capacity_bytes, spawner).await;
            // The caller waits for it.
            let _received = done.send(pages.map_err(|e| at(&files, e)));
        });
        let pages = opened.recv().map_err(|e| at(&folder, e))?;
        drop(opening);
        Ok(Self { pages: pages?, slot: Arc::new(slot), runtime })
    }

    /// Bytes of an object: from the disk, and what is not there through `fetch`, whose ranges begin and end with pages.
    pub(super) async fn read<F: Future<Output = Result<Bytes>>>(
        &self,
        write_id: Id,
        object_bytes: u64,
        range: Range<u64>,
        fetch: impl Fn(Range<u64>) -> F,
    ) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let numbers = range.start / PAGE_BYTES..range.end.div_ceil(PAGE_BYTES);
        let extent = |number: u64| {
            let start = number.saturating_mul(PAGE_BYTES);
            start..start.saturating_add(PAGE_BYTES).min(object_bytes)
        };
        let page = async |number: u64| {
            let key = PageKey { write_id, number };
            match self.pages.get(&key).await {
                Ok(Some(found)) => {
                    let whole = found.value().len() as u64 == extent(number).end - extent(number).start;
                    (whole && *found.key() == key).then(|| found.value().clone())
                }
                Ok(None) => None,
                Err(e) => {
                    tracing::warn!(error = %e, "a page of the cache on disk cannot be read; it is fetched again");
                    None
                }
            }
        };
        let mut pages: Vec<Option<Bytes>> = join_all(numbers.clone().map(page)).await;
        let missing = runs(&pages);
        let fetched = try_join_all(missing.iter().map(|run| {
            let (first, last) = (numbers.start + run.start as u64, numbers.start + run.end as u64 - 1);
            fetch(extent(first).start..extent(last).end)
        }));
        for (run, bytes) in missing.iter().zip(fetched.await?) {
            for (i, page) in run.clone().zip(bytes.chunks(PAGE_BYTES as usize)) {
                // A copy: it does not hold the memory of its neighbours.
                let kept = Bytes::copy_from_slice(page);
                let key = PageKey { write_id, number: numbers.start + i as u64 };
                self.pages.insert(key, kept.clone());
                if let Some(place) = pages.get_mut(i) {
                    *place = Some(kept);
                }
            }
        }
        join(&pages, range.start - extent(numbers.start).start, range.end - range.start)
    }

    /// Waits until what was read so far is on disk.
    pub(super) async fn sync(&self) {
        self.pages.storage().wait().await;
    }
}

impl Drop for DiskTier {
    fn drop(&mut self) {
        // The next process may use the slot when this one has written all.
        let (pages, slot) = (self.pages.clone(), self.slot.clone());
        self.runtime.spawn(async move {
            if let Err(e) = pages.close().await {
                tracing::warn!(error = %e, "the cache on disk was not closed; what it lacks is fetched again");
            }
            drop(slot);
        });
    }
}

fn at(folder: &Path, e: impl std::error::Error + Send + Sync + 'static) -> Error {
    let sentence = format!("the cache on disk in {} cannot be opened: {e}", folder.display());
    Error::new(ErrorKind::Unavailable, sentence).with_source(e)
}

/// The first slot that no process holds, locked, and the folder of its files.
fn lock_slot(folder: &Path) -> std::io::Result<(File, PathBuf)> {
    std::fs::create_dir_all(folder)?;
    for slot in 0..MOST_SLOTS {
        let lock = File::create(folder.join(format!("{slot}.lock")))?;
        match lock.try_lock() {
            Ok(()) => return Ok((lock, folder.join(slot.to_string()))),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(e)) => return Err(e),
        }
    }
    Err(std::io::Error::other(format!("{MOST_SLOTS} processes use it already")))
}

async fn open_pages(
    files: &Path,
    capacity_bytes: u64,
    spawner: Spawner,
) -> foyer::Result<HybridCache<PageKey, Bytes>> {
    let evicted = (capacity_bytes / 16).clamp(PAGE_BYTES * 4, MOST_EVICTED_BYTES) as usize;
    let capacity = usize::try_from(capacity_bytes).unwrap_or(usize::MAX);
    let device = FsDeviceBuilder::new(files).with_capacity(capacity).build()?;
    let engine = BlockEngineConfig::new(device)
        .with_block_size(evicted)
        .with_buffer_pool_size(MEMORY_BYTES)
        .with_submit_queue_size_threshold(WAITING_BYTES);
    HybridCacheBuilder::new()
        .with_name("array-format")
        .with_policy(HybridCachePolicy::WriteOnInsertion)
        .with_flush_on_close(false) // all of it was written when it came
        .memory(MEMORY_BYTES)
        .with_shards(1)
        .with_weighter(|_, page: &Bytes| page.len())
        .storage()
        .with_io_engine_config(PsyncIoEngineConfig::new())
        .with_engine_config(engine)
        .with_recover_mode(RecoverMode::Quiet)
        .with_spawner(spawner)
        .build()
        .await
}

/// Where pages are missing, neighbours together.
fn runs(pages: &[Option<Bytes>]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (i, _) in pages.iter().enumerate().filter(|(_, page)| page.is_none()) {
        match runs.last_mut() {
            Some(run) if run.end == i => run.end = i + 1,
            _ => runs.push(i..i + 1),
        }
    }
    runs
}

/// `length` bytes of consecutive pages, from `skipped` on.
fn join(pages: &[Option<Bytes>], skipped: u64, length: u64) -> Result<Bytes> {
    let short = || Error::corrupt("a range was cut short");
    let (from, n) = usize::try_from(skipped).ok().zip(usize::try_from(length).ok()).ok_or_else(short)?;
    if let [Some(page)] = pages {
        return (from.saturating_add(n) <= page.len()).then(|| page.slice(from..from + n)).ok_or_else(short);
    }
    let mut joined = BytesMut::with_capacity(n);
    let mut skip = from;
    for page in pages.iter().flatten() {
        let rest = page.get(skip..).ok_or_else(short)?;
        joined.extend_from_slice(rest.get(..n - joined.len()).unwrap_or(rest));
        skip = 0;
    }
    if joined.len() == n { Ok(joined.freeze()) } else { Err(short()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(n: usize) -> Option<Bytes> {
        Some(Bytes::from(vec![n as u8; PAGE_BYTES as usize]))
    }

    #[test]
    fn missing_neighbours_are_one_request() {
        assert_eq!(runs(&[None, page(0), None, None, page(1), None]), [0..1, 2..4, 5..6]);
        assert!(runs(&[page(0)]).is_empty());
    }

    #[test]
    fn ranges_are_cut_from_pages() {
        let pages = [page(0), page(1), page(2)];
        let joined = join(&pages, PAGE_BYTES - 2, PAGE_BYTES + 3).unwrap();
        assert_eq!(joined.len() as u64, PAGE_BYTES + 3);
        assert_eq!((joined[1], joined[2], joined[joined.len() - 2], joined[joined.len() - 1]), (0, 1, 1, 2));
        assert_eq!(join(&pages[..1], 5, 7).unwrap().len(), 7);
        assert_eq!(join(&pages, 0, 4 * PAGE_BYTES).unwrap_err().message(), "a range was cut short");
        assert_eq!(join(&pages[..1], 5, PAGE_BYTES).unwrap_err().message(), "a range was cut short");
    }
}
