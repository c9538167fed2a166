//! Icechunk: Zarr with transactions, in a folder.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use futures::{StreamExt, TryStreamExt, stream};
use icechunk::format::ByteRange;
use icechunk::repository::VersionInfo;
use icechunk::session::Session;
use icechunk::{Repository, Store, new_local_filesystem_storage};
use tokio::sync::RwLock;
use zarrs::storage::storage_adapter::async_to_sync::{AsyncToSyncBlockOn, AsyncToSyncStorageAdapter};
use zarrs_icechunk::AsyncIcechunkStore;

use super::{chunk, from_bytes, runtime, sum, tasks, to_bytes, zarrs as zarr};
use crate::data::Volume;
use crate::peer::{Compression, OpenVolume, Peer, Updates};

pub struct Icechunk;

const MAIN: &str = "main";

async fn create(dir: &Path) -> Result<Repository> {
    Ok(Repository::create(new_local_filesystem_storage(dir).await?).execute().await?)
}

/// What is committed, seen by a handle that was opened for it.
async fn open(dir: &Path) -> Result<Session> {
    let repository = Repository::open(new_local_filesystem_storage(dir).await?).execute().await?;
    Ok(repository.readonly_session(&VersionInfo::BranchTipRef(MAIN.into())).await?)
}

/// Lets zarrs, which decompresses in threads of its own, wait for a store that is asynchronous.
struct Wait;

impl AsyncToSyncBlockOn for Wait {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        runtime().block_on(future)
    }
}

fn sync_store(store: AsyncIcechunkStore) -> Arc<AsyncToSyncStorageAdapter<AsyncIcechunkStore, Wait>> {
    Arc::new(AsyncToSyncStorageAdapter::new(Arc::new(store), Wait))
}

impl Peer for Icechunk {
    fn name(&self) -> &'static str {
        "Icechunk"
    }

    fn write_volume(&self, dir: &Path, volume: &Volume, how: Compression) -> Result<()> {
        let session =
            runtime().block_on(async { anyhow::Ok(create(dir).await?.writable_session(MAIN).await?) })?;
        let store = AsyncIcechunkStore::new(session);
        let session = store.session();
        zarr::write(sync_store(store), volume, None, how)?;
        runtime().block_on(async { session.write().await.commit("volume").execute().await })?;
        Ok(())
    }

    fn open_volume(&self, dir: &Path) -> Result<Box<dyn OpenVolume>> {
        let session = runtime().block_on(open(dir))?;
        Ok(Box::new(zarr::Open::new(sync_store(AsyncIcechunkStore::new(session)))?))
    }

    fn updates(&self, dir: &Path, commits: usize) -> Result<Box<dyn Updates>> {
        let repository = runtime().block_on(async {
            let repository = create(dir).await?;
            let session = Arc::new(RwLock::new(repository.writable_session(MAIN).await?));
            let store = Store::from_session(Arc::clone(&session)).await;
            store.set("zarr.json", metadata(commits).into()).await?;
            session.write().await.commit("array").execute().await?;
            anyhow::Ok(repository)
        })?;
        Ok(Box::new(Updating { repository, dir: dir.to_owned() }))
    }

    fn open_updates(&self, dir: &Path) -> Result<()> {
        runtime().block_on(open(dir)).map(drop)
    }

    fn sum_updates(&self, dir: &Path, commits: usize) -> Result<f64> {
        runtime().block_on(async {
            let store = Store::from_session(Arc::new(RwLock::new(open(dir).await?))).await;
            let sums = (0..commits).map(|i| {
                let store = &store;
                async move {
                    let stored = store.get(&format!("c/{i}/0"), &ByteRange::ALL).await?;
                    anyhow::Ok(sum(&from_bytes(&zstd::bulk::decompress(&stored, 40_000)?)))
                }
            });
            let sums: Vec<f64> = stream::iter(sums).buffered(tasks()).try_collect().await?;
            anyhow::Ok(sums.into_iter().sum())
        })
    }
}

/// An array of `commits` chunks, compressed as Zarr does it if nobody says anything.
fn metadata(commits: usize) -> Vec<u8> {
    let text = serde_json::json!({
        "zarr_format": 3,
        "node_type": "array",
        "shape": [commits * 100, 100],
        "data_type": "float32",
        "chunk_grid": { "name": "regular", "configuration": { "chunk_shape": [100, 100] } },
        "chunk_key_encoding": { "name": "default", "configuration": { "separator": "/" } },
        "fill_value": 0.0,
        "codecs": [
            { "name": "bytes", "configuration": { "endian": "little" } },
            { "name": "zstd", "configuration": { "level": 3, "checksum": false } },
        ],
    });
    text.to_string().into_bytes()
}

struct Updating {
    repository: Repository,
    dir: PathBuf,
}

impl Updates for Updating {
    fn commit(&mut self, i: u64, value: f32) -> Result<()> {
        let bytes = zstd::bulk::compress(&to_bytes(&chunk(value)), 3)?;
        runtime().block_on(async {
            let session = Arc::new(RwLock::new(self.repository.writable_session(MAIN).await?));
            let store = Store::from_session(Arc::clone(&session)).await;
            store.set(&format!("c/{i}/0"), bytes.into()).await?;
            session.write().await.commit("chunk").execute().await?;
            anyhow::Ok(())
        })?;
        // It leaves syncing to the operating system, but the commits that are compared are those that are on disk. A commit
        // is several files in several folders: one call for all of them.
        Ok(rustix::fs::syncfs(File::open(&self.dir)?)?)
    }
}
