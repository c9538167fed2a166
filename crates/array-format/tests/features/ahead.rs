//! Pending data that exceeds the memory that it may take goes ahead of the commit.

use std::sync::Arc;

use array_format::blocking::wait;
use array_format::storage::{InMemoryStorage, LocalStorage, Storage};
use array_format::*;
use futures::executor::block_on;
use ndarray::{Array1, ArrayD};

use crate::{assert_whole, noise, objects};

const NAME: &str = "ahead.af";
const CHUNK: u64 = 10_000;

fn storage() -> Arc<dyn Storage> {
    Arc::new(InMemoryStorage::default())
}

fn config(pending_bytes: u64) -> FileConfig {
    FileConfig::default().with_pending_bytes(pending_bytes).with_cache(DeltaCache::new(0))
}

async fn file_with(storage: &Arc<dyn Storage>, chunks: u64, pending_bytes: u64) -> ArrayFile {
    let mut file = ArrayFile::create(storage, NAME, config(pending_bytes)).await.unwrap();
    file.define_array::<i64>("x", vec!["n".into()], vec![chunks * CHUNK], Some(vec![CHUNK]), None).unwrap();
    file.flush().await.unwrap();
    file
}

fn numbers(seed: u64, n: u64) -> ArrayD<i64> {
    let mut next = noise(seed);
    Array1::from_shape_fn(n as usize, |_| next() as i64).into_dyn()
}

async fn read(file: &ArrayFile) -> ArrayD<i64> {
    file.read_array::<i64>("x", vec![], vec![]).await.unwrap()
}

#[test]
fn pending_data_takes_bounded_memory_and_becomes_one_object_besides_the_layer() {
    block_on(async {
        let storage = storage();
        let most = 10 * CHUNK * 8;
        let mut file = file_with(&storage, 60, most).await;
        let all = numbers(1, 60 * CHUNK);
        let before = objects(&*storage, NAME).await.len();
        // All at once, and once more in pieces that cut chunks.
        file.write_array("x", vec![], all.view()).await.unwrap();
        assert!(file.pending_bytes() <= most, "{}", file.pending_bytes());
        let all = numbers(2, 60 * CHUNK);
        for start in (0..60 * CHUNK).step_by(7_777) {
            let end = (start + 7_777).min(60 * CHUNK);
            let part = all.slice(ndarray::s![start as usize..end as usize]).into_dyn();
            file.write_array("x", vec![start], part).await.unwrap();
            assert!(file.pending_bytes() <= most, "{}", file.pending_bytes());
        }
        assert_eq!(read(&file).await, all);
        file.flush().await.unwrap();
        // What was read back in between was complete before; the rest became one object more, and the layer.
        let after = objects(&*storage, NAME).await.len();
        println!("{before} objects before, {after} after");
        assert!(after > before + 1);
        let other = ArrayFile::open(&storage, NAME, FileConfig::default()).await.unwrap();
        assert_eq!(read(&other).await, all);
        assert_whole(&other).await;
        file.compact().await.unwrap();
        assert_eq!((objects(&*storage, NAME).await.len(), file.num_layers()), (1, 1));
        assert_eq!(read(&file).await, all);
    });
}

#[test]
fn each_array_is_stored_once_in_whatever_order_they_come() {
    const ARRAYS: u64 = 3000;
    const ELEMENTS: u64 = 1000;
    let orders: [fn(u64) -> u64; 4] = [
        |i| i,
        |i| ARRAYS - 1 - i,
        |i| if i < ARRAYS / 2 { 2 * i } else { 2 * (i - ARRAYS / 2) + 1 },
        |i| i * 1_009 % ARRAYS,
    ];
    let name = |i: u64| format!("a{i:04}");
    for (k, order) in orders.iter().enumerate() {
        block_on(async {
            let storage = storage();
            let mut file = ArrayFile::create(&storage, NAME, config(2 << 20)).await.unwrap();
            for i in (0..ARRAYS).map(order) {
                file.define_array::<i64>(&name(i), vec!["n".into()], vec![ELEMENTS], None, None).unwrap();
                file.write_array(&name(i), vec![], numbers(i, ELEMENTS).view()).await.unwrap();
            }
            file.flush().await.unwrap();
            let decoded: u64 = file.footer().objects.iter().map(|o| o.decoded_bytes).sum();
            assert_eq!(decoded, ARRAYS * ELEMENTS * 8, "order {k}");
            for i in (0..ARRAYS).step_by(37) {
                let read = file.read_array::<i64>(&name(i), vec![], vec![]).await.unwrap();
                assert_eq!(read, numbers(i, ELEMENTS), "order {k}, array {i}");
            }
        });
    }
}

#[test]
fn each_chunk_is_stored_once_whatever_is_left_at_the_flush() {
    block_on(async {
        for chunks in 1..40 {
            let storage = storage();
            let mut file = file_with(&storage, chunks, 10 * CHUNK * 8).await;
            let all = numbers(chunks, chunks * CHUNK);
            for chunk in 0..chunks {
                let part = all.slice(ndarray::s![(chunk * CHUNK) as usize..((chunk + 1) * CHUNK) as usize]);
                file.write_array("x", vec![chunk * CHUNK], part.into_dyn()).await.unwrap();
            }
            file.flush().await.unwrap();
            let decoded: u64 = file.footer().objects.iter().map(|o| o.decoded_bytes).sum();
            assert_eq!(decoded, chunks * CHUNK * 8, "{chunks} chunks");
            assert_eq!(read(&file).await, all);
        }
    });
}

#[test]
fn a_large_write_makes_two_objects_and_a_small_one_a_single_one() {
    block_on(async {
        for (pending_bytes, more) in [(CHUNK * 8, 2), (1 << 30, 1)] {
            let storage = storage();
            let mut file = file_with(&storage, 20, pending_bytes).await;
            let before = objects(&*storage, NAME).await.len();
            let all = numbers(3, 20 * CHUNK);
            file.write_array("x", vec![], all.view()).await.unwrap();
            file.flush().await.unwrap();
            assert_eq!(objects(&*storage, NAME).await.len(), before + more);
            assert_eq!(read(&file).await, all);
            assert_whole(&file).await;
        }
    });
}

#[test]
fn a_worker_detaches_what_it_wrote_ahead() {
    block_on(async {
        // Read in between, so that its object is complete before the detached layer is: then blocks are copied.
        for read_between in [false, true] {
            let storage = storage();
            let mut committer = file_with(&storage, 30, 1 << 20).await;
            let mut worker = ArrayFile::open(&storage, NAME, config(CHUNK * 8)).await.unwrap();
            let all = numbers(4, 30 * CHUNK);
            worker.write_array("x", vec![], all.view()).await.unwrap();
            if read_between {
                assert_eq!(read(&worker).await, all);
            }
            let receipt = worker.detach().await.unwrap();
            assert!(!worker.has_pending());
            let abandoned = usize::from(read_between);
            assert_eq!(objects(&*storage, NAME).await.len(), 3 + abandoned);
            committer.join(&[receipt]).await.unwrap();
            committer.flush().await.unwrap();
            assert_eq!(read(&committer).await, all);
            assert_whole(&committer).await;
            committer.compact().await.unwrap();
            assert_eq!(objects(&*storage, NAME).await.len(), 1);
        }
    });
}

#[test]
fn what_is_discarded_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (storage, name) = LocalStorage::for_path(folder.path().join(NAME)).unwrap();
    let storage: Arc<dyn Storage> = Arc::new(storage);
    let mut file = wait(ArrayFile::create(&storage, &name, config(0))).unwrap();
    file.define_array::<i64>("x", vec!["n".into()], vec![3 * CHUNK], Some(vec![CHUNK]), None).unwrap();
    wait(file.flush()).unwrap();
    let files = || walk(folder.path());
    let before = files();
    wait(file.write_array("x", vec![], numbers(5, 3 * CHUNK).view())).unwrap();
    assert!(files() > before, "nothing went ahead");
    wait(file.discard()).unwrap();
    assert_eq!(files(), before);
    assert!(wait(read(&file)).iter().all(|v| *v == 0));
    // The same if the handle is dropped.
    wait(file.write_array("x", vec![], numbers(6, 3 * CHUNK).view())).unwrap();
    drop(file);
    assert_eq!(files(), before);
}

/// Files below a folder.
fn walk(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|e| e.unwrap().path()).map(|p| if p.is_dir() { walk(&p) } else { 1 }).sum()
}

#[test]
fn threads_write_neighbouring_regions_through_one_handle() {
    for pending_bytes in [0, 3 * CHUNK * 8, 1 << 30] {
        let storage = storage();
        let file = block_on(file_with(&storage, 12, pending_bytes));
        let all = numbers(7, 12 * CHUNK);
        // Pieces that share chunks with their neighbours, dealt out in turns.
        let pieces: Vec<(u64, u64)> =
            (0..12 * CHUNK).step_by(3_333).map(|at| (at, (at + 3_333).min(12 * CHUNK))).collect();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (mut file, all, pieces) = (file.clone(), &all, &pieces);
                scope.spawn(move || {
                    for (from, to) in pieces.iter().skip(thread).step_by(4) {
                        let part = all.slice(ndarray::s![*from as usize..*to as usize]).into_dyn();
                        block_on(file.write_array("x", vec![*from], part)).unwrap();
                    }
                });
            }
        });
        let mut file = file;
        assert_eq!(block_on(read(&file)), all, "{pending_bytes}");
        block_on(file.flush()).unwrap();
        let other = block_on(ArrayFile::open(&storage, NAME, FileConfig::default())).unwrap();
        assert_eq!(block_on(read(&other)), all, "{pending_bytes}");
        block_on(assert_whole(&other));
    }
}

#[test]
fn a_long_writer_is_not_overtaken_by_collections() {
    block_on(async {
        let storage = storage();
        let mut writer = file_with(&storage, 5, 0).await;
        let all = numbers(8, 5 * CHUNK);
        writer.write_array("x", vec![], all.view()).await.unwrap();
        let mut other = ArrayFile::open(&storage, NAME, FileConfig::default()).await.unwrap();
        for i in 0..3 {
            other.set_attribute("", "round", i).await.unwrap();
            other.flush().await.unwrap();
            other.garbage_collect(GcOptions::default()).await.unwrap();
        }
        writer.flush().await.unwrap();
        assert_eq!(read(&writer).await, all);
        assert_whole(&writer).await;
    });
}

#[test]
fn versions_that_pending_data_was_written_ahead_on_are_kept_or_the_flush_says_so() {
    block_on(async {
        let storage = storage();
        let mut file = file_with(&storage, 5, 0).await;
        file.set_attribute("", "a", 1).await.unwrap();
        file.flush().await.unwrap();
        let all = numbers(9, 5 * CHUNK);
        file.write_array("x", vec![], all.view()).await.unwrap();
        // Reading completes its object.
        assert_eq!(read(&file).await, all);
        for e in [
            file.garbage_collect(GcOptions::default()).await.map(|_| ()).unwrap_err(),
            file.compact().await.map(|_| ()).unwrap_err(),
        ] {
            assert_eq!(e.kind(), ErrorKind::InvalidArgument);
            assert!(e.message().contains("`flush` or `discard` first"), "{e}");
        }
        // Another handle knows nothing of it.
        let mut other = ArrayFile::open(&storage, NAME, FileConfig::default()).await.unwrap();
        other.set_attribute("", "a", 2).await.unwrap();
        other.flush().await.unwrap();
        other.garbage_collect(GcOptions::default()).await.unwrap();
        let e = file.flush().await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::SnapshotExpired, "{e}");
        file.discard().await.unwrap();
        file.refresh().await.unwrap();
        file.write_array("x", vec![], all.view()).await.unwrap();
        file.flush().await.unwrap();
        assert_eq!(read(&file).await, all);
        assert_whole(&file).await;
    });
}
