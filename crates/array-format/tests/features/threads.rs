//! Handles, snapshots and futures go where they are needed.

use std::sync::Arc;
use std::time::Duration;

use array_format::*;
use array_format_testkit::CountingStorage;
use futures::FutureExt;
use futures::executor::block_on;
use ndarray::{Array, ArrayD};

fn ramp(n: usize) -> ArrayD<f32> {
    Array::from_shape_fn(n, |i| (i as f32 * 0.37).sin() + i as f32).into_dyn()
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

/// What is put down at once holds no gate, and must wait for whoever does.
#[test]
fn what_is_set_while_a_flush_waits_for_its_storage_belongs_to_the_next_version() {
    block_on(async {
        let storage = CountingStorage::new(Arc::new(InMemoryStorage::default()));
        let storage: Arc<dyn Storage> = Arc::new(storage.with_latency(Duration::from_millis(1)));
        let mut file = ArrayFile::create(storage, "a.af", FileConfig::default()).await.unwrap();
        for name in ["x", "y"] {
            file.define_array::<f32>(name, vec!["n".into()], vec![4], None, None).unwrap();
        }
        file.write_array("x", vec![], ramp(4).view()).await.unwrap();
        let (mut flushed, mut setter, mut writer) = (file.clone(), file.clone(), file.clone());
        let mut flush = Box::pin(flushed.flush());
        assert!((&mut flush).now_or_never().is_none(), "the storage does not wait");
        let numbers = ramp(4);
        let mut set = Box::pin(setter.set_attribute("x", "a", 1i32));
        let mut write = Box::pin(writer.write_array("y", vec![], numbers.view()));
        assert!((&mut set).now_or_never().is_none() && (&mut write).now_or_never().is_none());
        let (flushed, set, write) = futures::join!(flush, set, write);
        flushed.unwrap();
        set.unwrap();
        write.unwrap();
        file.flush().await.unwrap();
        assert_eq!(file.attribute("x", "a").await.unwrap(), Some(1i32.into()));
        assert_eq!(file.read_array::<f32>("y", vec![], vec![]).await.unwrap(), ramp(4));
        let first = file.at(1).await.unwrap();
        assert_eq!(first.attribute("x", "a").await.unwrap(), None);
        let unwritten = first.read_array::<f32>("y", vec![], vec![]).await.unwrap();
        assert_eq!(unwritten, ramp(4).mapv(|_| 0.0));
    });
}
