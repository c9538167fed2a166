//! Compaction: small layers are merged as they come, nothing that lives is decoded, older versions stay or go as asked.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use array_format::*;
use array_format_testkit::CountingStorage;
use futures::executor::block_on;
use ndarray::{ArrayD, IxDyn};

const NAME: &str = "run.af";
const COLUMNS: usize = 4096;

fn row(value: f32) -> ArrayD<f32> {
    // Nothing that a codec makes small.
    let noise = |i: usize| (i as u32).wrapping_mul(2_654_435_761) as f32 + value;
    ArrayD::from_shape_vec(IxDyn(&[1, COLUMNS]), (0..COLUMNS).map(noise).collect()).unwrap()
}

/// A base of 100 rows of 16 KiB, a chunk each.
async fn base(storage: &Arc<dyn Storage>, config: FileConfig) -> ArrayFile {
    let mut file = ArrayFile::create(storage, NAME, config).await.unwrap();
    let dims = vec!["t".into(), "x".into()];
    let chunk = Some(vec![1, COLUMNS as u64]);
    file.define_array::<f32>("grid", dims, vec![100, COLUMNS as u64], chunk, None).unwrap();
    for t in 0..100 {
        file.write_array("grid", vec![t, 0], row(t as f32).view()).await.unwrap();
    }
    file.flush().await.unwrap();
    file.compact().await.unwrap();
    file
}

async fn is_whole(storage: &Arc<dyn Storage>, wanted: &ArrayD<f32>) {
    let file = ArrayFile::open(storage, NAME, FileConfig::default()).await.unwrap();
    assert_eq!(file.read_array::<f32>("grid", vec![], vec![]).await.unwrap(), wanted);
    let report = file.verify(VerifyOptions::default().statistics(true)).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.damage);
}

#[test]
fn merging_small_layers_leaves_the_large_one_and_all_versions() {
    block_on(async {
        let memory: Arc<dyn Storage> = Arc::new(InMemoryStorage::default());
        let mut file = base(&memory, FileConfig::default()).await;
        let first = file.version();
        for t in 0..40 {
            file.write_array("grid", vec![t, 0], row(1000.0 + t as f32).view()).await.unwrap();
            file.set_attribute("grid", "last", t as i64).await.unwrap();
            file.flush().await.unwrap();
        }
        file.define_array::<i32>("gone", vec!["n".into()], vec![9], Some(vec![2]), None).unwrap();
        file.write_array("gone", vec![0], ArrayD::from_elem(IxDyn(&[9]), 1).view()).await.unwrap();
        file.flush().await.unwrap();
        file.delete("gone").await.unwrap();
        file.flush().await.unwrap();
        let wanted = file.read_array::<f32>("grid", vec![], vec![]).await.unwrap();
        assert!(file.num_layers() > 40);
        let usage = file.usage();
        let storage = CountingStorage::new(memory.clone());
        let config = FileConfig::default().with_cache(DeltaCache::new(0));
        let mut other = ArrayFile::open(storage.clone(), NAME, config).await.unwrap();
        let before = storage.counts();
        other.compact_with(CompactOptions::default().incremental(true)).await.unwrap();
        let after = storage.counts();
        assert_eq!(other.num_layers(), 2, "the base and what was merged");
        let moved = 40 * COLUMNS as u64 * 4;
        let written = after.bytes_written - before.bytes_written;
        assert!(written < moved + (128 << 10), "{written}: the base was not to be written again");
        assert_eq!(other.counters().decoded_blocks, 0, "blocks are copied as they are");
        assert_eq!(other.usage().live_bytes, usage.live_bytes);
        is_whole(&memory, &wanted).await;
        let old = other.at(first).await.unwrap().read_array::<f32>("grid", vec![], vec![]).await.unwrap();
        assert_eq!(old[[7, 0]], row(7.0)[[0, 0]]);
        // Again: there is nothing more to do.
        let version = other.version();
        assert_eq!(other.compact_with(CompactOptions::default().incremental(true)).await.unwrap(), version);
        other.compact().await.unwrap();
        assert_eq!(memory.list("run.af.layers").await.unwrap(), []);
        is_whole(&memory, &wanted).await;
    });
}

#[test]
fn layers_are_merged_by_themselves_where_the_configuration_says_so() {
    block_on(async {
        let memory: Arc<dyn Storage> = Arc::new(InMemoryStorage::default());
        let mut file = base(&memory, FileConfig::default()).await;
        let config = FileConfig::default().with_auto_compact(8);
        drop(file);
        file = ArrayFile::open(&memory, NAME, config).await.unwrap();
        let mut most = 0;
        for t in 0..100 {
            file.write_array("grid", vec![t, 0], row(5000.0 + t as f32).view()).await.unwrap();
            let version = file.flush().await.unwrap();
            assert!(version <= file.version());
            most = most.max(file.num_layers());
        }
        assert!(most <= 10, "{most} layers");
        let wanted = file.read_array::<f32>("grid", vec![], vec![]).await.unwrap();
        is_whole(&memory, &wanted).await;
    });
}

#[test]
fn a_full_compaction_decodes_only_blocks_that_are_mostly_dead() {
    block_on(async {
        let memory: Arc<dyn Storage> = Arc::new(InMemoryStorage::default());
        let config = FileConfig::default().with_block_bytes(64 << 10);
        let mut file = base(&memory, config).await;
        // 64 small arrays share a block; 60 of them go.
        for i in 0..64 {
            let name = format!("small/{i:02}");
            file.define_array::<i32>(&name, vec!["n".into()], vec![100], None, None).unwrap();
            file.write_array(&name, vec![0], ArrayD::from_elem(IxDyn(&[100]), i).view()).await.unwrap();
        }
        file.flush().await.unwrap();
        for i in 0..60 {
            file.delete(&format!("small/{i:02}")).await.unwrap();
        }
        file.write_array("grid", vec![3, 0], row(9.0).view()).await.unwrap();
        file.flush().await.unwrap();
        let config = FileConfig::default().with_cache(DeltaCache::new(0));
        let mut file = ArrayFile::open(&memory, NAME, config).await.unwrap();
        file.compact().await.unwrap();
        assert_eq!(file.counters().decoded_blocks, 1);
        // A quarter of a block that is mostly alive.
        assert_eq!(file.usage().dead_bytes, COLUMNS as u64 * 4);
        let version = file.version();
        assert_eq!(file.compact().await.unwrap(), version, "there is nothing more to do");
        assert_eq!(file.read_array::<i32>("small/63", vec![], vec![]).await.unwrap()[[99]], 63);
        let wanted = file.read_array::<f32>("grid", vec![], vec![]).await.unwrap();
        is_whole(&memory, &wanted).await;
    });
}

#[test]
fn a_tag_keeps_what_compaction_and_collection_would_take() {
    block_on(async {
        let memory: Arc<dyn Storage> = Arc::new(InMemoryStorage::default());
        let mut file = base(&memory, FileConfig::default()).await;
        let tagged = file.version();
        let wanted = file.read_array::<f32>("grid", vec![], vec![]).await.unwrap();
        file.tag("before", tagged).await.unwrap();
        assert_eq!(file.tag("none", 999).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(file.tag("", tagged).await.unwrap_err().kind(), ErrorKind::InvalidArgument);
        for t in 0..5 {
            file.write_array("grid", vec![t, 0], row(-1.0).view()).await.unwrap();
            file.flush().await.unwrap();
        }
        file.compact().await.unwrap();
        file.garbage_collect(GcOptions::default()).await.unwrap();
        assert_eq!(file.num_layers(), 1, "the newest version needs one layer, the other is the tag's");
        let fresh = ArrayFile::open(&memory, NAME, FileConfig::default()).await.unwrap();
        assert_eq!(fresh.tags().into_iter().collect::<Vec<_>>(), [("before".to_owned(), tagged)]);
        let old = fresh.at(tagged).await.unwrap();
        assert_eq!(old.read_array::<f32>("grid", vec![], vec![]).await.unwrap(), wanted);
        let kept: Vec<u64> = fresh.versions().await.unwrap().into_iter().map(|v| v.version).collect();
        assert_eq!(kept.first(), Some(&tagged));
        assert!(file.remove_tag("before").await.unwrap());
        assert!(!file.remove_tag("before").await.unwrap());
        assert_eq!(file.at(tagged).await.unwrap_err().kind(), ErrorKind::NotFound, "not a version any more");
        file.compact().await.unwrap();
        assert_eq!(memory.list("run.af.layers").await.unwrap(), []);
    });
}

#[test]
fn collection_keeps_as_many_versions_as_asked() {
    block_on(async {
        let memory: Arc<dyn Storage> = Arc::new(InMemoryStorage::default());
        let clock = Arc::new(std::sync::atomic::AtomicI64::new(0));
        let now = clock.clone();
        let config =
            FileConfig::default().with_clock(move || now.fetch_add(10, std::sync::atomic::Ordering::Relaxed));
        let mut file = ArrayFile::create(&memory, NAME, config).await.unwrap();
        file.define_array::<f32>("grid", vec!["t".into(), "x".into()], vec![1, COLUMNS as u64], None, None)
            .unwrap();
        for t in 0..10 {
            file.write_array("grid", vec![0, 0], row(t as f32).view()).await.unwrap();
            file.flush().await.unwrap();
        }
        let numbers = |v: Vec<VersionInfo>| v.into_iter().map(|v| v.version).collect::<Vec<_>>();
        let time = file.versions().await.unwrap().iter().find(|v| v.version == 5).unwrap().time_ms;
        file.garbage_collect(GcOptions::default().keep_since(time)).await.unwrap();
        assert_eq!(numbers(file.versions().await.unwrap()), [5, 6, 7, 8, 9, 10, 11], "and the collection");
        let report = file.garbage_collect(GcOptions::default().keep_last(3).dry_run(true)).await.unwrap();
        assert_eq!(report.objects.len(), 3);
        file.garbage_collect(GcOptions::default().keep_last(3)).await.unwrap();
        assert_eq!(numbers(file.versions().await.unwrap())[0], 8);
        file.garbage_collect(GcOptions::default()).await.unwrap();
        assert_eq!(numbers(file.versions().await.unwrap())[0], 10);
        // Live data of 16 KiB, and nothing that was dead.
        let bytes: u64 = memory.list("run.af.layers").await.unwrap().iter().map(|e| e.size).sum();
        assert!(bytes < 24 << 10, "{bytes}");
    });
}
