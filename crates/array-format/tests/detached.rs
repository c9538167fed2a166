//! Detached layers: workers write ahead, one committer makes a version of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::sync::Arc;

use array_format::*;
use array_format_testkit::CountingStorage;
use futures::executor::block_on;
use ndarray::{ArrayD, IxDyn};

const NAME: &str = "run.af";

fn grid(value: i32, shape: &[usize]) -> ArrayD<i32> {
    ArrayD::from_elem(IxDyn(shape), value)
}

async fn created(storage: &Arc<dyn Storage>) -> ArrayFile {
    let mut file = ArrayFile::create(storage, NAME, FileConfig::default()).await.unwrap();
    let dims = vec!["y".into(), "x".into()];
    file.define_array::<i32>("grid", dims, vec![8, 8], Some(vec![4, 4]), Some(-1)).unwrap();
    file.set_attribute("grid", "units", "m").await.unwrap();
    file.flush().await.unwrap();
    file
}

async fn open(storage: &Arc<dyn Storage>) -> ArrayFile {
    ArrayFile::open(storage, NAME, FileConfig::default()).await.unwrap()
}

fn memory() -> Arc<dyn Storage> {
    Arc::new(InMemoryStorage::default())
}

/// What a worker on another machine does: it has the storage, and gives back a text.
async fn worker(storage: &Arc<dyn Storage>, start: [u64; 2], value: i32) -> String {
    let mut file = open(storage).await;
    file.write_array("grid", start.to_vec(), grid(value, &[4, 4]).view()).await.unwrap();
    file.detach().await.unwrap().to_string()
}

async fn is_clean(file: &ArrayFile) {
    let report = file.verify(VerifyOptions::default().statistics(true)).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.damage);
}

#[test]
fn many_workers_make_one_version() {
    block_on(async {
        let storage = memory();
        let mut file = created(&storage).await;
        let mut receipts = Vec::new();
        for (i, start) in [[0, 0], [0, 4], [4, 0]].into_iter().enumerate() {
            receipts.push(worker(&storage, start, i as i32).await.parse().unwrap());
        }
        assert_eq!(open(&storage).await.version(), 1, "nothing is visible before the commit");
        file.join(&receipts).await.unwrap();
        // The committer's own changes are part of the same version.
        file.set_attribute("grid", "history", "filled").await.unwrap();
        file.write_array("grid", vec![4, 4], grid(9, &[4, 4]).view()).await.unwrap();
        let pending = file.read_array::<i32>("grid", vec![], vec![]).await.unwrap();
        assert_eq!(file.flush().await.unwrap(), 2);
        let found = open(&storage).await;
        let all = found.read_array::<i32>("grid", vec![], vec![]).await.unwrap();
        assert_eq!(all, pending);
        assert_eq!((all[[0, 0]], all[[0, 7]], all[[7, 0]], all[[7, 7]]), (0, 1, 2, 9));
        assert_eq!(found.statistics("grid").await.unwrap().statistics.counts.unwrap().rows, 64);
        is_clean(&found).await;
        file.compact().await.unwrap();
        assert_eq!(storage.list("run.af.layers").await.unwrap(), [], "blocks moved, objects gone");
        assert_eq!(open(&storage).await.read_array::<i32>("grid", vec![], vec![]).await.unwrap(), all);
    });
}

#[test]
fn workers_define_arrays_together_and_each_its_own() {
    block_on(async {
        let storage = memory();
        let mut file = created(&storage).await;
        let mut receipts = Vec::new();
        for i in 0..3u64 {
            let mut worker = open(&storage).await;
            let own = format!("casts/{i}");
            worker.define_array::<f64>(&own, vec!["depth".into()], vec![2], None, None).unwrap();
            worker.set_attribute(&own, "platform", i as i32).await.unwrap();
            worker
                .write_array(&own, vec![], ndarray::arr1(&[i as f64, 0.5]).into_dyn().view())
                .await
                .unwrap();
            worker.define_array::<i32>("all", vec!["n".into()], vec![3], Some(vec![1]), None).unwrap();
            worker.set_attribute("all", "units", "1").await.unwrap();
            worker.write_array("all", vec![i], grid(i as i32 + 1, &[1]).view()).await.unwrap();
            receipts.push(worker.detach().await.unwrap());
        }
        file.join(&receipts).await.unwrap();
        file.flush().await.unwrap();
        let found = open(&storage).await;
        assert_eq!(found.list_arrays().await.unwrap(), ["all", "casts/0", "casts/1", "casts/2", "grid"]);
        assert_eq!(
            found.read_array::<i32>("all", vec![], vec![]).await.unwrap().as_slice().unwrap(),
            [1, 2, 3]
        );
        assert_eq!(found.attribute("casts/2", "platform").await.unwrap(), Some(2i32.into()));
        assert_eq!(found.attribute("all", "units").await.unwrap(), Some("1".into()));
        is_clean(&found).await;
    });
}

#[test]
fn what_overlaps_is_a_conflict_that_names_it_and_changes_nothing() {
    block_on(async {
        let storage = memory();
        let mut file = created(&storage).await;
        let receipt = |text: String| text.parse::<Receipt>().unwrap();
        let a = receipt(worker(&storage, [0, 0], 1).await);
        let b = receipt(worker(&storage, [0, 0], 2).await);
        let refused = |e: Error, what: &str| {
            assert_eq!(e.kind(), ErrorKind::Conflict, "{e:?}");
            assert!(e.to_string().contains(what) && e.to_string().contains("grid"), "{e}");
        };
        // With each other, and with what is pending.
        refused(file.join(&[a.clone(), b.clone()]).await.unwrap_err(), "chunk [0, 0]");
        assert!(!file.has_pending());
        file.write_array("grid", vec![1, 1], grid(3, &[1, 1]).view()).await.unwrap();
        refused(file.join(std::slice::from_ref(&a)).await.unwrap_err(), "chunk [0, 0]");
        // With what was committed since.
        file.flush().await.unwrap();
        refused(file.join(std::slice::from_ref(&a)).await.unwrap_err(), "chunk [0, 0]");
        // An attribute, a definition, a deletion.
        let mut other = open(&storage).await;
        other.set_attribute("grid", "units", "km").await.unwrap();
        let c = other.detach().await.unwrap();
        file.set_attribute("grid", "units", "mm").await.unwrap();
        file.flush().await.unwrap();
        refused(file.join(&[c]).await.unwrap_err(), "attribute \"units\"");
        let d = receipt(worker(&storage, [4, 4], 4).await);
        file.resize("grid", vec![6, 6]).await.unwrap();
        refused(file.join(std::slice::from_ref(&d)).await.unwrap_err(), "chunk [1, 1]");
        file.delete("grid").await.unwrap();
        file.flush().await.unwrap();
        refused(file.join(&[d]).await.unwrap_err(), "deleted");
        assert!(!file.has_pending());
        // Nothing is left behind once they are abandoned.
        file.abandon(&[a, b]).await.unwrap();
        file.compact().await.unwrap();
        is_clean(&open(&storage).await).await;
    });
}

#[test]
fn workers_fill_what_the_committer_appends() {
    block_on(async {
        let storage = memory();
        let mut file = created(&storage).await;
        file.write_array("grid", vec![0, 0], grid(1, &[8, 8]).view()).await.unwrap();
        file.flush().await.unwrap();
        let mut receipts = Vec::new();
        for (start, value) in [([8, 0], 2), ([8, 4], 3)] {
            let mut worker = open(&storage).await;
            worker.resize("grid", vec![12, 8]).await.unwrap();
            worker.write_array("grid", start.to_vec(), grid(value, &[4, 4]).view()).await.unwrap();
            receipts.push(worker.detach().await.unwrap());
        }
        assert_eq!(file.join(&receipts).await.unwrap_err().kind(), ErrorKind::Conflict, "it is not as long");
        file.resize("grid", vec![12, 8]).await.unwrap();
        file.join(&receipts).await.unwrap();
        assert_eq!(open(&storage).await.array("grid").await.unwrap().shape, [8, 8]);
        file.flush().await.unwrap();
        let all = open(&storage).await.read_array::<i32>("grid", vec![], vec![]).await.unwrap();
        assert_eq!((all[[7, 7]], all[[8, 0]], all[[11, 7]]), (1, 2, 3));
        is_clean(&file).await;
    });
}

#[test]
fn what_cannot_be_detached_stays_pending() {
    block_on(async {
        let storage = memory();
        created(&storage).await;
        for change in 0..4 {
            let mut file = open(&storage).await;
            match change {
                0 => file.delete("grid").await.unwrap(),
                1 => file.rename("grid", "other").await.unwrap(),
                2 => file.resize("grid", vec![7, 9]).await.unwrap(),
                _ => {}
            }
            let e = file.detach().await.unwrap_err();
            assert_eq!(e.kind(), ErrorKind::InvalidArgument, "{e:?}");
            assert_eq!(file.has_pending(), change < 3);
            assert!(storage.list("run.af.layers").await.unwrap().len() == 1);
        }
        let mut file = open(&storage).await;
        file.write_array("grid", vec![0, 0], grid(1, &[1, 1]).view()).await.unwrap();
        file.flush().await.unwrap();
        assert!(file.erase_chunk("grid", vec![0, 0]).await.unwrap());
        assert_eq!(file.detach().await.unwrap_err().kind(), ErrorKind::InvalidArgument);
        assert!(file.has_pending());
    });
}

#[test]
fn receipts_of_other_files_old_versions_and_joined_layers_are_refused() {
    block_on(async {
        let storage = memory();
        let mut file = created(&storage).await;
        let receipt: Receipt = worker(&storage, [0, 0], 1).await.parse().unwrap();
        let elsewhere = memory();
        let mut stranger = created(&elsewhere).await;
        let e = stranger.join(std::slice::from_ref(&receipt)).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::InvalidArgument, "{e:?}");
        file.join(std::slice::from_ref(&receipt)).await.unwrap();
        let e = file.join(std::slice::from_ref(&receipt)).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::AlreadyExists, "{e:?}");
        file.flush().await.unwrap();
        let e = file.join(std::slice::from_ref(&receipt)).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::AlreadyExists, "{e:?}");
        // One of the newest version is kept by a collection, also with a dry run before it; one of an older version is not.
        let late: Receipt = worker(&storage, [4, 4], 2).await.parse().unwrap();
        let names = |entries: Vec<(String, u64)>| entries.into_iter().map(|e| e.0).collect::<Vec<_>>();
        let report = file.garbage_collect(GcOptions::default()).await.unwrap();
        assert!(names(report.objects).iter().all(|n| n.ends_with(".layer")));
        file.set_attribute("", "title", "t").await.unwrap();
        file.flush().await.unwrap();
        let report = file.garbage_collect(GcOptions::default()).await.unwrap();
        assert!(names(report.objects).iter().any(|n| n.ends_with(".blocks")));
        let e = file.join(&[late]).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::SnapshotExpired, "{e:?}");
        assert!(e.to_string().contains("given up"), "{e}");
    });
}

#[test]
fn versions_given_up_after_joining_are_noticed_by_the_commit() {
    block_on(async {
        let storage = memory();
        let mut file = created(&storage).await;
        let receipt: Receipt = worker(&storage, [0, 0], 1).await.parse().unwrap();
        file.join(&[receipt]).await.unwrap();
        let mut other = open(&storage).await;
        other.set_attribute("", "title", "t").await.unwrap();
        other.flush().await.unwrap();
        other.garbage_collect(GcOptions::default()).await.unwrap();
        let e = file.flush().await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::SnapshotExpired, "{e:?}");
        assert!(file.has_pending());
        file.discard().await.unwrap();
        file.refresh().await.unwrap();
        file.write_array("grid", vec![0, 0], grid(5, &[1, 1]).view()).await.unwrap();
        file.flush().await.unwrap();
        is_clean(&open(&storage).await).await;
    });
}

#[test]
fn joining_reads_the_index_of_a_layer_and_not_its_data() {
    block_on(async {
        let storage = memory();
        let config = FileConfig::new(NoCompression);
        let mut file = ArrayFile::create(&storage, NAME, config.clone()).await.unwrap();
        let dims = vec!["y".into(), "x".into()];
        file.define_array::<i32>("big", dims, vec![64, 65_536], Some(vec![1, 65_536]), None).unwrap();
        file.flush().await.unwrap();
        let mut worker = ArrayFile::open(&storage, NAME, config.clone()).await.unwrap();
        worker.write_array("big", vec![0, 0], grid(7, &[64, 65_536]).view()).await.unwrap();
        let receipt = worker.detach().await.unwrap();
        assert!(receipt.object_bytes() > 16 << 20);
        let counting = CountingStorage::new(storage.clone());
        let mut file = ArrayFile::open(counting.clone(), NAME, config.clone()).await.unwrap();
        let before = counting.counts();
        file.join(&[receipt]).await.unwrap();
        file.flush().await.unwrap();
        let after = counting.counts();
        assert!(after.bytes_read - before.bytes_read < 256 << 10, "{before:?} {after:?}");
        assert!(after.bytes_written - before.bytes_written < 64 << 10, "{before:?} {after:?}");
        is_clean(&open(&storage).await).await;
    });
}
