//! The same life of a file on every kind of storage.

use std::sync::Arc;

use array_format::storage::{IntoStorage, ListEntry, Storage};
use array_format::{
    ArrayFile, CompactOptions, ErrorKind, FileConfig, GcOptions, InMemoryStorage, LocalStorage,
    ObjectStoreBackend,
};
use futures::executor::block_on;
use ndarray::{Array2, ArrayD};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;

use super::assert_whole;

const PATH: &str = "folder/a.af";

fn data(add: usize) -> ArrayD<i64> {
    Array2::from_shape_fn((9, 11), |(i, j)| (i * 11 + j + add) as i64).into_dyn()
}

async fn layers(storage: &dyn Storage) -> Vec<String> {
    let listed = storage.list(&format!("{PATH}.layers")).await.unwrap();
    listed.into_iter().map(|entry: ListEntry| entry.name).collect()
}

/// `replaces`: whether the storage can put a merged layer in the place of the base.
async fn life_of_a_file(storage: Arc<dyn Storage>, replaces: bool) {
    let open = || ArrayFile::open(storage.clone(), PATH, FileConfig::default());
    assert_eq!(open().await.unwrap_err().kind(), ErrorKind::NotFound);
    let mut file = ArrayFile::create(storage.clone(), PATH, FileConfig::default()).await.unwrap();
    let again = ArrayFile::create(storage.clone(), PATH, FileConfig::default()).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);

    let dims = || vec!["y".to_owned(), "x".to_owned()];
    file.define_array::<i64>("g/x", dims(), vec![9, 11], Some(vec![4, 4]), None).unwrap();
    file.define_array::<i64>("g/gone", dims(), vec![9, 11], None, None).unwrap();
    file.write_array("g/x", vec![], data(0).view()).await.unwrap();
    file.write_array("g/gone", vec![], data(1).view()).await.unwrap();
    file.set_attribute("g/x", "units", "m").await.unwrap();
    assert_eq!(file.flush().await.unwrap(), 1);
    let mut other = open().await.unwrap();
    file.write_array("g/x", vec![4, 4], data(500).slice_move(ndarray::s![..4, ..4]).into_dyn().view())
        .await
        .unwrap();
    assert_eq!(file.flush().await.unwrap(), 2);
    file.delete("g/gone").await.unwrap();
    assert_eq!(file.flush().await.unwrap(), 3);
    assert_eq!(layers(&*storage).await.len(), 3);

    // A second writer, whose changes do not overlap, lands on top.
    other.set_attribute("", "title", "t").await.unwrap();
    assert_eq!(other.flush().await.unwrap(), 4);
    assert!(file.refresh().await.unwrap());
    let mut wanted = data(0);
    wanted.slice_mut(ndarray::s![4..8, 4..8]).assign(&data(500).slice(ndarray::s![..4, ..4]));
    for file in [&file, &other, &open().await.unwrap()] {
        assert_eq!(file.read_array::<i64>("g/x", vec![], vec![]).await.unwrap(), wanted);
        assert_eq!(file.list_arrays().await.unwrap(), ["g/x"]);
        assert_eq!(file.attribute("", "title").await.unwrap(), Some("t".into()));
    }
    assert_eq!(file.at(1).await.unwrap().read_array::<i64>("g/gone", vec![], vec![]).await.unwrap(), data(1));

    assert_eq!(file.compact_with(CompactOptions::default().keep_versions(true)).await.unwrap(), 5);
    assert!(file.at(3).await.is_ok());
    file.garbage_collect(GcOptions::default()).await.unwrap();
    file.compact().await.unwrap();
    assert_eq!(file.num_layers(), 1);
    // Where the base cannot be replaced on condition, the merged layer stays beside it.
    assert_eq!(layers(&*storage).await.len(), usize::from(!replaces));
    let file = open().await.unwrap();
    // Merged; given up what was before; merged with that.
    assert_eq!(file.version(), 7);
    assert_eq!(file.read_array::<i64>("g/x", vec![], vec![]).await.unwrap(), wanted);
    assert_eq!(file.attribute("g/x", "units").await.unwrap(), Some("m".into()));
    assert_whole(&file).await;
}

#[test]
fn works_in_memory() {
    block_on(life_of_a_file(InMemoryStorage::new().into_storage(), true));
}

#[test]
fn works_on_the_local_disk() {
    let folder = tempfile::tempdir().unwrap();
    block_on(life_of_a_file(LocalStorage::new(folder.path()).into_storage(), true));
}

#[test]
fn works_on_an_object_store_in_memory() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    block_on(life_of_a_file(store.into_storage(), true));
}

#[test]
fn works_on_an_object_store_on_the_local_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
    block_on(life_of_a_file(ObjectStoreBackend::new(Arc::new(store)).into_storage(), false));
}

#[test]
fn works_within_a_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
    let storage = ObjectStoreBackend::new(Arc::new(store)).into_storage();
    runtime.block_on(async { tokio::spawn(life_of_a_file(storage, false)).await.unwrap() });
}

#[test]
fn what_one_storage_wrote_another_one_reads() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let mut file =
            ArrayFile::create_path(folder.path().join("a.af"), FileConfig::default()).await.unwrap();
        file.define_array::<i64>("x", vec!["y".into(), "x".into()], vec![9, 11], None, None).unwrap();
        file.write_array("x", vec![], data(0).view()).await.unwrap();
        file.flush().await.unwrap();
        let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
        let file = ArrayFile::open(store, "a.af", FileConfig::default()).await.unwrap();
        assert_eq!(file.read_array::<i64>("x", vec![], vec![]).await.unwrap(), data(0));
    });
}
