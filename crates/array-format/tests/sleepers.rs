//! A writer that was asleep creates a name that was freed: nobody takes that for a version.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::fmt;
use std::sync::Arc;

use array_format::storage::{FinishMode, ListEntry, ObjectTag, Opened, Upload};
use array_format::*;
use async_trait::async_trait;
use bytes::Bytes;
use futures::executor::block_on;
use futures::future::BoxFuture;
use parking_lot::Mutex;

const NAME: &str = "run.af";

type Action = BoxFuture<'static, ()>;

/// Lets something happen right before the first opening of a path, or listing of a folder, that ends so.
#[derive(Clone)]
struct Meanwhile {
    inner: Arc<dyn Storage>,
    before: Arc<Mutex<Option<(String, Action)>>>,
}

impl fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Meanwhile {
    async fn reach(&self, path: &str) {
        let action = self.before.lock().take_if(|(end, _)| path.ends_with(end.as_str()));
        if let Some((_, action)) = action {
            action.await;
        }
    }
}

#[async_trait]
impl Storage for Meanwhile {
    async fn open(&self, path: &str, tail_bytes: u64) -> Result<Opened> {
        self.reach(path).await;
        self.inner.open(path, tail_bytes).await
    }
    async fn upload(&self, path: &str) -> Result<Box<dyn Upload>> {
        self.inner.upload(path).await
    }
    async fn promote(&self, from: &str, to: &str, expected: &ObjectTag) -> Result<ObjectTag> {
        self.inner.promote(from, to, expected).await
    }
    async fn delete(&self, path: &str) -> Result<()> {
        self.inner.delete(path).await
    }
    async fn list(&self, folder: &str) -> Result<Vec<ListEntry>> {
        self.reach(folder).await;
        self.inner.list(folder).await
    }
    fn describe(&self, path: &str) -> String {
        self.inner.describe(path)
    }
}

async fn put(storage: &Arc<dyn Storage>, path: &str, bytes: Bytes) {
    let mut upload = storage.upload(path).await.unwrap();
    upload.write(bytes).await.unwrap();
    upload.finish(FinishMode::Create).await.unwrap();
}

async fn open(storage: &Arc<dyn Storage>) -> ArrayFile {
    ArrayFile::open(storage, NAME, FileConfig::default()).await.unwrap()
}

/// A file of version 2, and the layer 2 that a sleeper on version 1 would create: path, and bytes.
async fn asleep() -> (Arc<dyn Storage>, String, Bytes) {
    let storage: Arc<dyn Storage> = Arc::new(InMemoryStorage::default());
    let mut file = ArrayFile::create(&storage, NAME, FileConfig::default()).await.unwrap();
    file.set_attribute("", "by", "both").await.unwrap();
    file.flush().await.unwrap();
    // Where the sleeper was the first, its layer looks like this.
    let elsewhere: Arc<dyn Storage> = Arc::new(InMemoryStorage::default());
    let mut paths = vec![NAME.to_owned()];
    paths.extend(
        storage.list("run.af.layers").await.unwrap().iter().map(|e| format!("run.af.layers/{}", e.name)),
    );
    for path in paths {
        put(&elsewhere, &path, storage.open(&path, u64::MAX).await.unwrap().tail).await;
    }
    let mut sleeper = open(&elsewhere).await;
    sleeper.set_attribute("", "by", "sleeper").await.unwrap();
    sleeper.flush().await.unwrap();
    let second = elsewhere.list("run.af.layers").await.unwrap().pop().unwrap();
    let path = format!("run.af.layers/{}", second.name);
    let bytes = elsewhere.open(&path, u64::MAX).await.unwrap().tail;
    file.set_attribute("", "by", "winner").await.unwrap();
    assert_eq!(file.flush().await.unwrap(), 2);
    (storage, path, bytes)
}

/// Compacts, so that the names of layers 1 and 2 are free, and wakes the sleeper.
fn wake(storage: &Arc<dyn Storage>, path: &str, bytes: &Bytes) -> Action {
    let (storage, path, bytes) = (storage.clone(), path.to_owned(), bytes.clone());
    Box::pin(async move {
        assert_eq!(open(&storage).await.compact().await.unwrap(), 3);
        put(&storage, &path, bytes).await;
    })
}

#[test]
fn the_layer_that_is_opened_is_the_one_that_was_listed() {
    block_on(async {
        let (storage, path, bytes) = asleep().await;
        let action = wake(&storage, &path, &bytes);
        // The listing shows the true layer 2; what is opened is the sleeper's.
        let before = Arc::new(Mutex::new(Some((path.clone(), action))));
        let meanwhile: Arc<dyn Storage> = Arc::new(Meanwhile { inner: storage.clone(), before });
        let mut found = open(&meanwhile).await;
        assert_eq!(found.version(), 3);
        assert_eq!(found.attribute("", "by").await.unwrap(), Some("winner".into()));
        assert_eq!(found.at(2).await.unwrap_err().kind(), ErrorKind::NotFound, "it was given up");
        // The next commits, past the stranger's name, and what it left is collected.
        found.set_attribute("", "by", "next").await.unwrap();
        assert_eq!(found.flush().await.unwrap(), 4);
        found.compact().await.unwrap();
        assert_eq!(storage.list("run.af.layers").await.unwrap(), []);
    });
}

#[test]
fn a_sleeper_that_wakes_up_learns_that_it_did_not_commit() {
    block_on(async {
        let (storage, _, _) = asleep().await;
        // Versions 1 and 2 are given up, and the base stays where it was.
        let old = open(&storage).await;
        let mut sleeper = old.clone();
        sleeper.set_attribute("", "more", 1).await.unwrap();
        let mut other = open(&storage).await;
        for i in 0..3 {
            other.set_attribute("", "by", format!("version {i}")).await.unwrap();
            other.flush().await.unwrap();
        }
        other.garbage_collect(GcOptions::default()).await.unwrap();
        let newest = other.version();
        // Its own number was in use and is free again; the commit goes on top of the newest version all the same.
        assert_eq!(sleeper.flush().await.unwrap(), newest + 1);
        let found = open(&storage).await;
        assert_eq!(found.attribute("", "by").await.unwrap(), Some("version 2".into()));
        assert_eq!(found.attribute("", "more").await.unwrap(), Some(1.into()));
    });
}

async fn marks(storage: &Arc<dyn Storage>) -> Vec<String> {
    let listing = storage.list("run.af.freed").await.unwrap();
    listing.iter().map(|e| e.name.rsplit('.').next().unwrap().trim_start_matches('0').to_owned()).collect()
}

async fn commit(file: &mut ArrayFile, value: i64) {
    file.set_attribute("", "by", value).await.unwrap();
    file.flush().await.unwrap();
}

#[test]
fn who_frees_numbers_above_the_base_marks_them_until_the_base_has_passed_them() {
    block_on(async {
        let storage: Arc<dyn Storage> = Arc::new(InMemoryStorage::default());
        let mut file = ArrayFile::create(&storage, NAME, FileConfig::default()).await.unwrap();
        for i in 1..4 {
            commit(&mut file, i).await;
        }
        assert_eq!(marks(&storage).await, [""; 0], "nothing was deleted");
        // Version 3 stays; version 4 is the collection itself.
        file.garbage_collect(GcOptions::default()).await.unwrap();
        assert_eq!(marks(&storage).await, ["2"]);
        for i in 5..7 {
            commit(&mut file, i).await;
        }
        file.garbage_collect(GcOptions::default()).await.unwrap();
        assert_eq!(marks(&storage).await, ["5"], "a higher mark says what a lower one said");
        file.garbage_collect(GcOptions::default()).await.unwrap();
        assert_eq!(marks(&storage).await, ["5"]);
        assert_eq!(file.compact().await.unwrap(), 8);
        assert_eq!(marks(&storage).await, [""; 0], "the base has number 8");
        assert_eq!(storage.list("run.af.layers").await.unwrap(), []);
    });
}

#[test]
fn marks_of_a_file_that_was_there_before_go_with_its_layers() {
    block_on(async {
        let storage: Arc<dyn Storage> = Arc::new(InMemoryStorage::default());
        let mut file = ArrayFile::create(&storage, NAME, FileConfig::default()).await.unwrap();
        commit(&mut file, 1).await;
        commit(&mut file, 2).await;
        file.garbage_collect(GcOptions::default()).await.unwrap();
        assert_eq!(marks(&storage).await, ["1"]);
        let replacing = FileConfig::default().with_overwrite(true);
        let mut other = ArrayFile::create(&storage, NAME, replacing).await.unwrap();
        assert_eq!(marks(&storage).await, [""; 0]);
        commit(&mut other, 1).await;
    });
}

#[test]
fn a_collection_leaves_the_marks_of_a_file_that_came_over_its_own_meanwhile() {
    block_on(async {
        let storage: Arc<dyn Storage> = Arc::new(InMemoryStorage::default());
        let mut file = ArrayFile::create(&storage, NAME, FileConfig::default()).await.unwrap();
        commit(&mut file, 1).await;
        let beneath = storage.clone();
        let action: Action = Box::pin(async move {
            let replacing = FileConfig::default().with_overwrite(true);
            let mut other = ArrayFile::create(&beneath, NAME, replacing).await.unwrap();
            commit(&mut other, 1).await;
            commit(&mut other, 2).await;
            other.garbage_collect(GcOptions::default()).await.unwrap();
        });
        let before = Arc::new(Mutex::new(Some(("run.af.freed".to_owned(), action))));
        let meanwhile: Arc<dyn Storage> =
            Arc::new(Meanwhile { inner: storage.clone(), before: before.clone() });
        let mut collector = open(&meanwhile).await;
        let _told_that_its_file_is_gone = collector.garbage_collect(GcOptions::default()).await;
        assert!(before.lock().is_none(), "it happened");
        assert_eq!(marks(&storage).await, ["1"]);
    });
}
