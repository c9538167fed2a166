//! The feature list of the founding documentation, a test a bullet.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use array_format::*;
use futures::executor::block_on;
use ndarray::{Array, ArrayD, array};
use object_store::ObjectStore;

fn ramp(n: usize) -> ArrayD<f32> {
    Array::from_shape_fn(n, |i| (i as f32 * 0.37).sin() + i as f32).into_dyn()
}

async fn stored(storage: &dyn Storage, path: &str) -> Vec<(String, u64)> {
    let base = storage.open(path, 0).await.unwrap().object.size();
    let mut all = vec![(path.to_owned(), base)];
    all.extend(storage.list(&format!("{path}.layers")).await.unwrap().into_iter().map(|e| (e.name, e.size)));
    all
}

#[test]
fn many_arrays_are_stored_in_one_object_or_a_small_set_of_sidecars() {
    block_on(async {
        let store = InMemoryStorage::default();
        let mut file = ArrayFile::create(store.clone(), "a.af", FileConfig::default()).await.unwrap();
        for i in 0..500 {
            let name = format!("cast{i:03}/t");
            file.define_array::<f32>(&name, vec!["z".into()], vec![40], None, None).unwrap();
            file.write_array(&name, vec![], ramp(40).view()).await.unwrap();
        }
        file.flush().await.unwrap();
        assert_eq!(stored(&store, "a.af").await.len(), 2, "base and one sidecar");
        file.compact().await.unwrap();
        assert_eq!(stored(&store, "a.af").await.len(), 1, "one object");
        let file = ArrayFile::open(store, "a.af", FileConfig::default()).await.unwrap();
        assert_eq!(file.list_arrays().await.unwrap().len(), 500);
        let names: Vec<String> = (0..500).map(|i| format!("cast{i:03}/t")).collect();
        let all = file.read_many::<f32>(&names, vec![3], vec![5]).await.unwrap();
        assert!(all.iter().all(|a| a.as_slice().unwrap() == &ramp(40).as_slice().unwrap()[3..8]));
    });
}

#[test]
fn arrays_are_appended_and_chunks_updated_without_rewriting_the_file() {
    block_on(async {
        let store = InMemoryStorage::default();
        let mut file =
            ArrayFile::create(store.clone(), "a.af", FileConfig::new(NoCompression)).await.unwrap();
        file.define_array::<f32>("big", vec!["x".into()], vec![1_000_000], Some(vec![1000]), None).unwrap();
        file.write_array("big", vec![], ramp(1_000_000).view()).await.unwrap();
        file.flush().await.unwrap();
        let before = stored(&store, "a.af").await;
        file.define_array::<f32>("new", vec!["x".into()], vec![10], None, None).unwrap();
        file.write_array("new", vec![], ramp(10).view()).await.unwrap();
        file.write_array("big", vec![5_000], array![-1f32].into_dyn().view()).await.unwrap();
        file.flush().await.unwrap();
        let after = stored(&store, "a.af").await;
        assert_eq!(after[..before.len()], before[..], "what was there is untouched");
        assert_eq!(after.len(), before.len() + 1);
        assert!(after.last().unwrap().1 < 64 << 10, "one chunk of 4 kB, one small array, and index");
        let file = ArrayFile::open(store, "a.af", FileConfig::default()).await.unwrap();
        let part = file.read_array::<f32>("big", vec![4_999], vec![3]).await.unwrap();
        assert_eq!(part[[1]], -1.0);
        assert_eq!(part[[2]], ramp(5_002)[[5_001]]);
        assert_eq!(file.read_array::<f32>("new", vec![], vec![]).await.unwrap(), ramp(10));
    });
}

#[test]
fn compression_is_per_block_and_readers_need_no_configuration() {
    block_on(async {
        let store = InMemoryStorage::default();
        let mut file = ArrayFile::create(store.clone(), "a.af", FileConfig::new(Lz4Codec)).await.unwrap();
        let dims = || vec!["x".to_owned()];
        let codecs: [(&str, &dyn CompressionCodec); 3] =
            [("lz4", &Lz4Codec), ("zstd", &ZstdCodec::new(9).unwrap()), ("none", &NoCompression)];
        for (name, codec) in codecs {
            file.define(name, ArrayDefinition::new::<f32>(dims(), vec![5000]).codec(codec)).unwrap();
            file.write_array(name, vec![], ramp(5000).view()).await.unwrap();
        }
        file.flush().await.unwrap();
        let file = ArrayFile::open(store, "a.af", FileConfig::default()).await.unwrap();
        for (name, _) in codecs {
            assert_eq!(file.read_array::<f32>(name, vec![], vec![]).await.unwrap(), ramp(5000), "{name}");
        }
    });
}

/// A codec of a user's own: every byte inverted.
#[derive(Debug, Clone)]
struct Inverted;

impl CompressionCodec for Inverted {
    fn id(&self) -> u32 {
        70_001
    }
    fn name(&self) -> &str {
        "example.inverted"
    }
    fn compress(&self, src: &[u8], dst: &mut Vec<u8>) -> Result<()> {
        // A byte less than the input, so that it is kept: runs of the last byte are dropped.
        let last = src.last().copied().unwrap_or(0);
        let kept = src.iter().rposition(|b| *b != last).map_or(0, |i| i + 1);
        dst.push(last);
        dst.extend(src[..kept].iter().map(|b| !b));
        Ok(())
    }
    fn decompress(&self, _: &[u8], src: &[u8], dst: &mut [u8]) -> Result<()> {
        let (last, kept) = src.split_first().ok_or_else(|| Error::corrupt("empty"))?;
        dst.fill(*last);
        dst.iter_mut().zip(kept).for_each(|(d, s)| *d = !s);
        Ok(())
    }
}

#[test]
fn a_codec_of_the_users_own_reads_where_it_is_registered_and_is_named_where_not() {
    block_on(async {
        let store = InMemoryStorage::default();
        let mut file = ArrayFile::create(store.clone(), "a.af", FileConfig::new(Inverted)).await.unwrap();
        file.define_array::<i32>("x", vec!["n".into()], vec![1000], None, None).unwrap();
        file.write_array("x", vec![], Array::from_elem(1000, 7i32).into_dyn().view()).await.unwrap();
        file.flush().await.unwrap();
        let config = FileConfig::default().register_codec(Inverted).unwrap();
        let read = ArrayFile::open(store.clone(), "a.af", config).await.unwrap();
        assert_eq!(read.read_array::<i32>("x", vec![999], vec![1]).await.unwrap()[[0]], 7);
        let without = ArrayFile::open(store, "a.af", FileConfig::default()).await.unwrap();
        let e = without.read_array::<i32>("x", vec![], vec![]).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unsupported);
        assert!(e.to_string().contains("example.inverted") && e.to_string().contains("70001"), "{e}");
    });
}

#[test]
fn chunked_and_single_chunk_layouts_read_by_coordinates() {
    block_on(async {
        let mut file = ArrayFile::create_memory(FileConfig::default().with_frame_bytes(1024)).await.unwrap();
        let data = Array::from_shape_fn((30, 20, 10), |(z, y, x)| (z * 1000 + y * 10 + x) as f64).into_dyn();
        let dims = || vec!["z".to_owned(), "y".into(), "x".into()];
        file.define_array::<f64>("chunked", dims(), vec![30, 20, 10], Some(vec![7, 6, 10]), None).unwrap();
        file.define_array::<f64>("single", dims(), vec![30, 20, 10], None, None).unwrap();
        for name in ["chunked", "single"] {
            file.write_array(name, vec![], data.view()).await.unwrap();
        }
        for committed in [false, true] {
            if committed {
                file.flush().await.unwrap();
            }
            for name in ["chunked", "single"] {
                let part = file.read_array::<f64>(name, vec![5, 4, 3], vec![10, 9, 2]).await.unwrap();
                assert_eq!(part, data.slice(ndarray::s![5..15, 4..13, 3..5]).into_dyn());
                let steps = file
                    .read_array_steps::<f64>(name, vec![1, 0, 9], vec![10, 4, 1], vec![3, 5, 1])
                    .await
                    .unwrap();
                assert_eq!(steps, data.slice(ndarray::s![1..29;3, 0..;5, 9..]).into_dyn());
                let mut out: ArrayD<f64> = ArrayD::zeros(vec![1, 20, 10]);
                file.read_into(name, vec![29, 0, 0], out.view_mut()).await.unwrap();
                assert_eq!(out, data.slice(ndarray::s![29.., .., ..]).into_dyn());
                let (shape, erased) =
                    file.read_elements(name, vec![2, 0, 0], vec![1, 1, 2], vec![]).await.unwrap();
                assert_eq!((shape, erased.dtype), (vec![1, 1, 2], DType::Scalar(Scalar::F64)));
                assert_eq!(
                    erased.values.fixed().unwrap(),
                    [2000f64.to_le_bytes(), 2001f64.to_le_bytes()].concat()
                );
            }
        }
    });
}

#[test]
fn deletes_are_logical_and_compaction_reclaims_the_space() {
    block_on(async {
        let store = InMemoryStorage::default();
        let mut file =
            ArrayFile::create(store.clone(), "a.af", FileConfig::new(NoCompression)).await.unwrap();
        for name in ["keep", "drop"] {
            file.define_array::<f32>(name, vec!["x".into()], vec![100_000], None, None).unwrap();
            file.write_array(name, vec![], ramp(100_000).view()).await.unwrap();
        }
        file.flush().await.unwrap();
        let full: u64 = stored(&store, "a.af").await.iter().map(|o| o.1).sum();
        file.delete("drop").await.unwrap();
        file.flush().await.unwrap();
        assert!(!file.contains("drop").await.unwrap());
        assert_eq!(file.usage().dead_bytes, 400_000);
        assert!(
            stored(&store, "a.af").await.iter().map(|o| o.1).sum::<u64>() >= full,
            "nothing is reclaimed yet"
        );
        assert_eq!(
            file.at(1).await.unwrap().read_array::<f32>("drop", vec![], vec![]).await.unwrap(),
            ramp(100_000)
        );
        file.compact().await.unwrap();
        assert_eq!((file.usage().dead_bytes, file.num_layers()), (0, 1));
        let compacted = stored(&store, "a.af").await;
        assert_eq!(compacted.len(), 1);
        assert!(compacted[0].1 < 410_000, "{compacted:?}");
        assert_eq!(file.read_array::<f32>("keep", vec![], vec![]).await.unwrap(), ramp(100_000));
    });
}

async fn whole_life(storage: Arc<dyn Storage>) {
    let mut file = ArrayFile::create(storage.clone(), "folder/a.af", FileConfig::default()).await.unwrap();
    file.define_array::<f32>("x", vec!["n".into()], vec![3000], Some(vec![1000]), None).unwrap();
    file.write_array("x", vec![], ramp(3000).view()).await.unwrap();
    file.flush().await.unwrap();
    file.write_array("x", vec![10], array![5f32].into_dyn().view()).await.unwrap();
    file.flush().await.unwrap();
    let reader = ArrayFile::open(storage.clone(), "folder/a.af", FileConfig::default()).await.unwrap();
    assert_eq!(reader.read_array::<f32>("x", vec![10], vec![1]).await.unwrap()[[0]], 5.0);
    assert_eq!(reader.at(1).await.unwrap().read_array::<f32>("x", vec![], vec![]).await.unwrap(), ramp(3000));
    file.compact().await.unwrap();
    assert_eq!(file.num_layers(), 1);
    let reader = ArrayFile::open(storage, "folder/a.af", FileConfig::default()).await.unwrap();
    assert_eq!(reader.read_array::<f32>("x", vec![2999], vec![1]).await.unwrap()[[0]], ramp(3000)[[2999]]);
    assert!(reader.verify(VerifyOptions::default().statistics(true)).await.unwrap().is_clean());
}

#[tokio::test]
async fn any_object_store_holds_a_file_and_so_do_our_own_storages() {
    let folder = tempfile::tempdir().unwrap();
    let local_store: Arc<dyn ObjectStore> =
        Arc::new(object_store::local::LocalFileSystem::new_with_prefix(folder.path()).unwrap());
    let memory_store: Arc<dyn ObjectStore> = Arc::new(object_store::memory::InMemory::new());
    whole_life(Arc::new(ObjectStoreBackend::new(local_store))).await;
    whole_life(memory_store.into_storage()).await;
    whole_life(Arc::new(InMemoryStorage::default())).await;
    let own = tempfile::tempdir().unwrap();
    whole_life(Arc::new(LocalStorage::new(own.path()))).await;
    let left: Vec<_> =
        std::fs::read_dir(own.path().join("folder")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["a.af"], "one file again, nothing beside it");
}

#[test]
fn local_files_need_no_runtime_and_outlive_the_handle() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.af");
    block_on(async {
        let mut file = ArrayFile::create_path(&path, FileConfig::default()).await.unwrap();
        file.define_array::<f32>("x", vec!["n".into()], vec![10], None, None).unwrap();
        file.write_array("x", vec![], ramp(10).view()).await.unwrap();
        file.flush().await.unwrap();
        let file = ArrayFile::open_path(&path, FileConfig::default()).await.unwrap();
        assert_eq!(file.read_array::<f32>("x", vec![], vec![]).await.unwrap(), ramp(10));
    });
}

#[test]
fn handles_and_snapshots_cross_threads() {
    fn assert_send_sync<T: Send + Sync + Clone>() {}
    assert_send_sync::<ArrayFile>();
    assert_send_sync::<Snapshot>();
    let mut file = block_on(ArrayFile::create_memory(FileConfig::default())).unwrap();
    file.define_array::<f32>("x", vec!["n".into()], vec![4000], Some(vec![1000]), None).unwrap();
    std::thread::scope(|s| {
        for k in 0..4u64 {
            let mut own = file.clone();
            s.spawn(move || {
                block_on(own.write_array(
                    "x",
                    vec![k * 1000],
                    Array::from_elem(1000, k as f32).into_dyn().view(),
                ))
                .unwrap();
            });
        }
    });
    block_on(file.flush()).unwrap();
    let snapshot = file.snapshot();
    block_on(file.delete("x")).unwrap();
    block_on(file.flush()).unwrap();
    std::thread::scope(|s| {
        for k in 0..4u64 {
            let own = snapshot.clone();
            s.spawn(move || {
                let a = block_on(own.read_array::<f32>("x", vec![k * 1000], vec![1000])).unwrap();
                assert!(a.iter().all(|v| *v == k as f32));
            });
        }
    });
}

#[tokio::test]
async fn every_call_can_be_spawned_on_a_runtime() {
    fn send<F: std::future::Future + Send>(future: F) -> F {
        future
    }
    let mut f = send(ArrayFile::create_memory(FileConfig::default())).await.unwrap();
    f.define_array::<f32>("x", vec!["n".into()], vec![4], Some(vec![2]), None).unwrap();
    send(f.write_array("x", vec![], ramp(4).view())).await.unwrap();
    send(f.set_attribute("x", "a", 1i32)).await.unwrap();
    send(f.flush()).await.unwrap();
    send(f.resize("x", vec![6])).await.unwrap();
    send(f.append("x", 0, ramp(1).view())).await.unwrap();
    send(f.rename("x", "y")).await.unwrap();
    send(f.flush()).await.unwrap();
    assert_eq!(send(f.read_array::<f32>("y", vec![], vec![])).await.unwrap().len(), 7);
    send(f.attributes("y")).await.unwrap();
    send(f.attribute_index("a")).await.unwrap();
    send(f.statistics_index()).await.unwrap();
    send(f.chunks_where("y", None, None)).await.unwrap();
    send(f.versions()).await.unwrap();
    send(f.diff(1, 2)).await.unwrap();
    send(f.refresh()).await.unwrap();
    send(f.verify(VerifyOptions::default())).await.unwrap();
    send(f.compact()).await.unwrap();
    send(f.garbage_collect(GcOptions::default())).await.unwrap();
    send(f.delete("y")).await.unwrap();
    send(f.discard()).await.unwrap();
    let storage = InMemoryStorage::default();
    send(ArrayFile::create(storage.clone(), "a.af", FileConfig::default())).await.unwrap();
    send(ArrayFile::open(storage, "a.af", FileConfig::default())).await.unwrap();
}
