//! What the harnesses of `array-format-torture` found, step by step.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use array_format::storage::FinishMode;
use array_format::*;
use futures::executor::block_on;
use ndarray::arr1;

const NAME: &str = "run.af";

fn store() -> Arc<dyn Storage> {
    Arc::new(InMemoryStorage::default())
}

async fn open(storage: &Arc<dyn Storage>) -> ArrayFile {
    ArrayFile::open(storage, NAME, FileConfig::default()).await.unwrap()
}

async fn new_file(storage: &Arc<dyn Storage>) -> ArrayFile {
    new_file_at(storage, NAME).await
}

async fn new_file_at(storage: &Arc<dyn Storage>, path: &str) -> ArrayFile {
    let mut file = ArrayFile::create(storage, path, FileConfig::default()).await.unwrap();
    file.define("a", ArrayDefinition::new::<i64>(vec!["n".into()], vec![4]).chunk_shape(vec![2])).unwrap();
    file.write_array("a", vec![0], arr1(&[1i64, 2, 3, 4]).into_dyn().view()).await.unwrap();
    file.flush().await.unwrap();
    file
}

#[test]
fn a_reader_of_a_detached_layer_that_was_collected_is_told_so() {
    block_on(async {
        let storage = store();
        let mut file = new_file(&storage).await;
        let mut worker = open(&storage).await;
        worker.write_array("a", vec![0], arr1(&[7i64, 8]).into_dyn().view()).await.unwrap();
        let receipt = worker.detach().await.unwrap();
        file.join(&[receipt]).await.unwrap();
        file.flush().await.unwrap();
        let reader = open(&storage).await;
        file.compact().await.unwrap();
        let e = reader.read_array::<i64>("a", vec![], vec![]).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::SnapshotExpired, "{e}");
    });
}

#[test]
fn a_reader_that_meets_a_name_that_was_freed_and_used_again_is_told_that_its_version_is_gone() {
    block_on(async {
        let storage = store();
        let mut file = new_file(&storage).await;
        file.write_array("a", vec![0], arr1(&[5i64, 6]).into_dyn().view()).await.unwrap();
        file.flush().await.unwrap();
        let reader = open(&storage).await;
        let names: Vec<String> = storage
            .list("run.af.layers")
            .await
            .unwrap()
            .into_iter()
            .map(|e| format!("run.af.layers/{}", e.name))
            .collect();
        assert_eq!(names.len(), 2);
        let opened = storage.open(&names[1], 0).await.unwrap().object;
        let another = opened.read(0..opened.size()).await.unwrap();
        file.compact().await.unwrap();
        // A writer that was asleep; it will take its layer away again.
        storage.put(&names[0], another.clone(), FinishMode::Create).await.unwrap();
        let e = reader.read_array::<i64>("a", vec![], vec![]).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::SnapshotExpired, "{e}");
        // But not of a version that is the newest.
        let mut file = new_file_at(&storage, "b.af").await;
        file.write_array("a", vec![0], arr1(&[5i64, 6]).into_dyn().view()).await.unwrap();
        file.flush().await.unwrap();
        let reader = ArrayFile::open(&storage, "b.af", FileConfig::default()).await.unwrap();
        let first = storage.list("b.af.layers").await.unwrap().remove(0).name;
        storage.delete(&format!("b.af.layers/{first}")).await.unwrap();
        storage.put(&format!("b.af.layers/{first}"), another, FinishMode::Create).await.unwrap();
        let e = reader.read_array::<i64>("a", vec![], vec![]).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Corrupt, "{e}");
    });
}

#[test]
fn the_first_attributes_of_the_root_do_not_overlap_unless_they_have_one_name() {
    block_on(async {
        let storage = store();
        let (mut a, mut b) = (new_file(&storage).await, open(&storage).await);
        let mut c = open(&storage).await;
        let mut d = open(&storage).await;
        a.set_attribute("", "of a", 1i64).await.unwrap();
        b.set_attribute("", "of b", 2i64).await.unwrap();
        c.set_attribute("", "of a", 3i64).await.unwrap();
        d.define_dimension("", "x", 4, false).await.unwrap();
        a.flush().await.unwrap();
        b.flush().await.unwrap();
        assert_eq!(c.flush().await.unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(d.flush().await.unwrap_err().kind(), ErrorKind::Conflict);
        let names: Vec<String> =
            open(&storage).await.attributes("").await.unwrap().into_iter().map(|a| a.0).collect();
        assert_eq!(names, ["of a", "of b"]);
    });
}

/// Each thread that decodes opens what it needs, and another one may be opening it at that moment.
#[test]
fn many_threads_that_read_all_layers_at_once_open_them_beside_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("u.af");
    // More layers than are kept open.
    let (layers, cells) = (300u64, 10_000);
    let chunk = |i: u64| {
        ndarray::Array2::from_shape_fn((1, cells), |(_, k)| {
            (i << 32 | k as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        })
    };
    block_on(async {
        let mut file = ArrayFile::create_path(&path, FileConfig::default()).await.unwrap();
        let shape = vec![layers, cells as u64];
        file.define_array::<u64>("a", vec!["y".into(), "x".into()], shape, Some(vec![1, cells as u64]), None)
            .unwrap();
        for i in 0..layers {
            file.write_array("a", vec![i, 0], chunk(i).view().into_dyn()).await.unwrap();
            file.flush().await.unwrap();
        }
    });
    let file = block_on(ArrayFile::open_path(&path, FileConfig::default())).unwrap();
    let snapshot = file.snapshot();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let all = block_on(snapshot.read_array::<u64>("a", vec![], vec![])).unwrap();
                for (i, row) in all.outer_iter().enumerate() {
                    assert!(row.iter().eq(chunk(i as u64).iter()), "layer {i}");
                }
            });
        }
    });
    assert_eq!(file.counters().decoded_blocks, 4 * layers);
}

/// What is read by who decodes it is checked as what was fetched before was.
#[test]
fn a_layer_that_is_damaged_or_gone_is_told_by_whoever_decodes_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("u.af");
    let cells = 10_000u64;
    block_on(async {
        let mut file = ArrayFile::create_path(&path, FileConfig::new(NoCompression)).await.unwrap();
        let (dims, shape) = (vec!["y".into(), "x".into()], vec![3, cells]);
        file.define_array::<u64>("a", dims, shape, Some(vec![1, cells]), None).unwrap();
        for i in 0..3 {
            let row = ndarray::Array2::from_elem((1, cells as usize), 0xA5A5_A5A5_0000 + i);
            file.write_array("a", vec![i, 0], row.view().into_dyn()).await.unwrap();
            file.flush().await.unwrap();
        }
    });
    let layers = folder.path().join("u.af.layers");
    let mut names: Vec<_> = std::fs::read_dir(&layers).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    // The layer before the newest.
    let layer = names[names.len() - 2].clone();
    let whole = std::fs::read(&layer).unwrap();
    let at = whole.windows(8).position(|w| w == 0xA5A5_A5A5_0001u64.to_le_bytes()).unwrap();
    let read = |prepare: &dyn Fn()| {
        let file = block_on(ArrayFile::open_path(&path, FileConfig::default())).unwrap();
        prepare();
        block_on(file.read_array::<u64>("a", vec![], vec![]))
    };
    assert_eq!(read(&|| {}).unwrap()[[1, 0]], 0xA5A5_A5A5_0001);
    let mut damaged = whole.clone();
    damaged[at + 16_000] ^= 1;
    std::fs::write(&layer, &damaged).unwrap();
    let e = read(&|| {}).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Corrupt, "{e}");
    assert!(e.offset().is_some() && e.to_string().contains("layer 2"), "{e}");
    std::fs::write(&layer, &whole).unwrap();
    let e = read(&|| std::fs::remove_file(&layer).unwrap()).unwrap_err();
    assert!(matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::SnapshotExpired), "{e}");
    assert!(e.to_string().contains("layer 2"), "{e}");
}
