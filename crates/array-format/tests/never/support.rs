//! What the tests share: a small file, storages that get in the way, looks at what is stored.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use array_format::storage::{FinishMode, InMemoryStorage, LocalStorage, Storage};
use array_format::{ArrayFile, DeltaCache, ErrorKind, FileConfig, Result, Snapshot, VerifyOptions};
use array_format_testkit::{FailMode, Immediate, servers};
use ndarray::{ArrayD, IxDyn};
use tempfile::TempDir;

pub(crate) const NAME: &str = "run.af";
pub(crate) const FOLDER: &str = "run.af.layers";

/// The server that the tests of [`super::servers`] ask for.
pub(crate) const SERVER: &str = "AF_TEST_NEVER_ON";

pub(crate) fn on_server() -> bool {
    std::env::var(SERVER).is_ok()
}

/// A storage with nothing in it: memory, or a folder of a server.
pub(crate) fn scratch() -> Arc<dyn Storage> {
    match std::env::var(SERVER) {
        Ok(server) => Arc::new(Immediate::new(servers::folder(&server).unwrap())),
        Err(_) => Arc::new(InMemoryStorage::new()),
    }
}

/// Storages with another idea of what is open: one of them is a folder on the disk.
pub(crate) fn scratch_and_disk() -> [(Arc<dyn Storage>, Option<TempDir>); 2] {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Storage> = Arc::new(LocalStorage::new(folder.path()));
    [(scratch(), None), (disk, Some(folder))]
}

/// Nothing is remembered: what is read comes from the storage.
pub(crate) fn no_cache() -> FileConfig {
    FileConfig::default().with_cache(DeltaCache::new(0))
}

pub(crate) async fn open(storage: &Arc<dyn Storage>) -> ArrayFile {
    ArrayFile::open(storage, NAME, no_cache()).await.unwrap()
}

/// Polls a future this many times, and drops it if it is not ready by then.
pub(crate) fn poll_times<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    (0..times).find_map(|_| match future.as_mut().poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    })
}

pub(crate) fn filled(value: i32, shape: &[usize]) -> ArrayD<i32> {
    ArrayD::from_elem(IxDyn(shape), value)
}

/// A file with an array `grid` of 8 x 8 elements in 4 chunks, all of this value: version 1.
pub(crate) async fn created(storage: &Arc<dyn Storage>, value: i32) -> ArrayFile {
    let mut file = ArrayFile::create(storage, NAME, no_cache()).await.unwrap();
    define_grid(&mut file, value).await;
    assert_eq!(file.flush().await.unwrap(), 1);
    file
}

pub(crate) async fn define_grid(file: &mut ArrayFile, value: i32) {
    let dims = vec!["y".into(), "x".into()];
    file.define_array::<i32>("grid", dims, vec![8, 8], Some(vec![4, 4]), None).unwrap();
    put(file, [0, 0], value, &[8, 8]).await;
}

pub(crate) async fn put(file: &mut ArrayFile, start: [u64; 2], value: i32, shape: &[usize]) {
    file.write_array("grid", start.to_vec(), filled(value, shape).view()).await.unwrap();
}

pub(crate) async fn grid(file: &ArrayFile) -> Result<ArrayD<i32>> {
    file.read_array("grid", vec![], vec![]).await
}

/// The one value that all elements of `grid` have.
pub(crate) async fn value(snapshot: &Snapshot) -> i32 {
    let grid = snapshot.read_array::<i32>("grid", vec![], vec![]).await.unwrap();
    let first = grid[[0, 0]];
    assert!(grid.iter().all(|v| *v == first), "half of one version: {grid}");
    first
}

/// Everything can be read and is what its checksums and statistics say.
pub(crate) async fn is_whole(file: &ArrayFile, what: &str) {
    let report = file.verify(VerifyOptions::default().statistics(true)).await;
    let report = report.unwrap_or_else(|e| panic!("{what}: {e}"));
    assert!(report.is_clean(), "{what}: {:?}", report.damage);
}

/// What a process that comes later finds.
pub(crate) async fn fresh(storage: &Arc<dyn Storage>, what: &str) -> ArrayFile {
    let file = ArrayFile::open(storage, NAME, no_cache()).await;
    let file = file.unwrap_or_else(|e| panic!("{what}: {e}"));
    is_whole(&file, what).await;
    file
}

pub(crate) fn kind<T: std::fmt::Debug>(result: Result<T>, contains: &str) -> ErrorKind {
    let e = result.unwrap_err();
    assert!(e.to_string().contains(contains), "{e:?} does not say {contains:?}");
    e.kind()
}

pub(crate) async fn put_object(storage: &Arc<dyn Storage>, path: &str, bytes: &[u8]) {
    storage.put(path, bytes.to_vec().into(), FinishMode::Create).await.unwrap();
}

pub(crate) async fn bytes_of(storage: &Arc<dyn Storage>, path: &str) -> Vec<u8> {
    storage.open(path, u64::MAX).await.unwrap().tail.to_vec()
}

/// The ways in which a process can die in an operation.
pub(crate) const DEATHS: [FailMode; 3] = [FailMode::FailBefore, FailMode::FailAfter, FailMode::Tear];
