//! Reading over the network, and from a plain web server.

use std::sync::Arc;
use std::time::Duration;

use array_format::blocking::wait;
use array_format::storage::{FinishMode, InMemoryStorage, LocalStorage, Storage, StoreOptions};
use array_format::{ArrayFile, DeltaCache, ErrorKind, FileConfig, NoCompression};
use array_format_testkit::proxy::{Fault, Proxy};
use ndarray::{Array, ArrayD};

use super::faults::through;
use super::{HONEST, address, fresh, place, servers};

async fn profiles(file: &mut ArrayFile, n: usize) {
    for i in 0..n {
        let name = format!("profile/{i:06}");
        let data = Array::from_elem(16 + i % 7, i as f32).into_dyn();
        file.define_array::<f32>(&name, vec!["level".into()], vec![data.len() as u64], None, None).unwrap();
        file.write_array(&name, vec![], data.view()).await.unwrap();
        file.set_attribute(&name, "cycle", i as i64 % 300).await.unwrap();
    }
}

#[test]
fn the_first_value_of_a_compacted_file_on_a_web_server_takes_three_requests_and_a_column_few() {
    let Some(url) = address("WEB") else { return };
    let folder = std::env::var("AF_TEST_WEB_FOLDER").unwrap();
    let name = format!("{}.af", fresh("p"));
    let local = LocalStorage::new(&folder);
    wait(async {
        let mut file = ArrayFile::create(local, &name, FileConfig::default()).await.unwrap();
        profiles(&mut file, 100_000).await;
        file.flush().await.unwrap();
        file.compact().await.unwrap();
    });
    let proxy = Proxy::start(&url, |_, _| Fault::None).unwrap();
    let file = wait(ArrayFile::open_url(&format!("{}/{name}", proxy.url()), FileConfig::default())).unwrap();
    let value: ArrayD<f32> = wait(file.read_array("profile/054321", vec![3], vec![1])).unwrap();
    assert_eq!(value[[0]], 54321.0);
    let seen = proxy.take_seen();
    assert!(seen.len() <= 3, "{seen:?}");
    let bytes: usize = seen.iter().map(|s| s.answer_bytes).sum();
    assert!(bytes <= 256 << 10, "{bytes} bytes");

    // A column of all arrays: its pages, and none of the others.
    let column = wait(file.attribute_column("cycle")).unwrap();
    assert_eq!(column.ids_where(|_| true).len(), 100_000);
    let seen = proxy.take_seen();
    let bytes: usize = seen.iter().map(|s| s.answer_bytes).sum();
    assert!(seen.len() <= 8, "{} requests", seen.len());
    assert!(bytes <= 16 * 100_000, "{bytes} bytes");

    let mut file = file;
    file.define_array::<f32>("more", vec![], vec![], None, None).unwrap();
    let e = wait(file.flush()).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unsupported, "{e}");
    assert!(e.to_string().contains("only read"), "{e}");
}

#[test]
fn a_web_address_without_a_file_is_not_found() {
    let Some(url) = address("WEB") else { return };
    let place = StoreOptions::default().place(&format!("{url}/nothing.af?signature=secret")).unwrap();
    let e = wait(ArrayFile::open_at(place, FileConfig::default())).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NotFound, "{e}");
    assert!(!e.to_string().contains("secret"), "{e}");
}

#[test]
fn costs_hold_on_real_stores() {
    for server in HONEST {
        let Some(place) = place(server, "cost") else { continue };
        wait(async {
            let mut file = ArrayFile::create_at(place.clone(), FileConfig::default()).await.unwrap();
            profiles(&mut file, 2_000).await;
            file.flush().await.unwrap();
            file.compact().await.unwrap();
        });
        let file = wait(ArrayFile::open_at(place.clone(), FileConfig::default())).unwrap();
        let opened = file.counters().requests;
        assert!(opened <= 4, "{server}: {opened} requests to open");
        let value: ArrayD<f32> = wait(file.read_array("profile/001234", vec![], vec![])).unwrap();
        assert_eq!(value[[0]], 1234.0);
        assert!(file.counters().requests - opened <= 3, "{server}: {:?}", file.counters());
        let before = file.counters().requests;
        assert_eq!(wait(file.attribute_index("cycle")).unwrap().len(), 2_000);
        assert!(file.counters().requests - before <= 2, "{server}: {:?}", file.counters());
    }
}

/// Section by section what an operation costs, as the server counts it: a compacted file of 100,000 arrays.
#[test]
fn operations_on_a_large_file_take_few_requests_and_bytes_as_servers_count_them() {
    if address("MOTO").is_none() {
        return;
    }
    let bytes = wait(async {
        let memory: Arc<dyn Storage> = Arc::new(InMemoryStorage::new());
        let mut file = ArrayFile::create(memory.clone(), "p.af", FileConfig::default()).await.unwrap();
        profiles(&mut file, 100_000).await;
        let names = vec!["i".into(), "j".into()];
        file.define_array::<u64>("grid", names, vec![64, 8192], Some(vec![1, 8192]), None).unwrap();
        let noise = Array::from_shape_fn([64, 8192], |(i, j)| {
            (i as u64 * 8192 + j as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        file.write_array("grid", vec![], noise.view().into_dyn()).await.unwrap();
        file.flush().await.unwrap();
        file.compact().await.unwrap();
        let object = memory.open("p.af", 0).await.unwrap().object;
        object.read(0..object.size()).await.unwrap()
    });
    for server in HONEST {
        let proxy = Proxy::start(&address(server).unwrap(), |_, _| Fault::None).unwrap();
        let place = servers::place_through(server, &proxy.url(), "cost");
        wait(place.storage.put(&place.path, bytes.clone(), FinishMode::Create)).unwrap();
        proxy.take_seen();
        let counted = |what: &str, most_requests: usize, most_bytes: usize| {
            let seen = proxy.take_seen();
            let asked: Vec<_> = seen.iter().filter(|s| !s.target.contains(".part-")).collect();
            let bytes: usize = seen.iter().map(|s| s.answer_bytes + s.body_bytes).sum();
            println!("{server}: {what}: {} requests, {bytes} bytes", asked.len());
            assert!(asked.len() <= most_requests, "{server}: {what}: {seen:?}");
            assert!(bytes <= most_bytes, "{server}: {what}: {bytes} bytes: {seen:?}");
        };
        // Azure serves no suffixes: the length is asked for first.
        let open = if server == "AZURITE" { 3 } else { 2 };
        let mut file = wait(ArrayFile::open_at(place.clone(), FileConfig::default())).unwrap();
        counted("open", open, 256 << 10);
        let value = wait(file.read_array::<f32>("profile/054321", vec![3], vec![1])).unwrap();
        assert_eq!(value[[0]], 54321.0);
        counted("first value", 3, 1 << 20);
        wait(file.read_array::<u64>("grid", vec![8, 0], vec![32, 8192])).unwrap();
        counted("32 neighbouring blocks of 64 KiB", 3, (32 << 16) + (256 << 10));
        assert_eq!(wait(file.attribute_column("cycle")).unwrap().ids_where(|_| true).len(), 100_000);
        counted("a column of 100,000 attributes", 8, 16 * 100_000);
        let chunk = Array::from_shape_fn([1, 8192], |(_, j)| (j as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9));
        wait(file.write_array("grid", vec![5, 0], chunk.view().into_dyn())).unwrap();
        wait(file.flush()).unwrap();
        counted("commit of one chunk", 8, (64 << 10) + (256 << 10));
        wait(file.write_array("grid", vec![6, 0], chunk.view().into_dyn())).unwrap();
        wait(file.flush()).unwrap();
        counted("another one", open + 3, (64 << 10) + (256 << 10));
    }
}

/// What a process has read the next one has on its disk: it asks the server for the newest version and no more.
#[test]
fn a_cache_on_disk_spares_requests_after_a_restart() {
    for server in ["MOTO", "SEAWEEDFS"] {
        let Some(upstream) = address(server) else { continue };
        let proxy = Proxy::start(&upstream, |_, _| Fault::None).unwrap();
        let place = through(&proxy.url(), &format!("{}/run.af", fresh("disk")), Duration::from_secs(30));
        let mut file = wait(ArrayFile::create_at(place.clone(), FileConfig::new(NoCompression))).unwrap();
        let data =
            Array::from_shape_fn(300_000, |i| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)).into_dyn();
        file.define_array::<u64>("x", vec!["i".into()], vec![300_000], Some(vec![10_000]), None).unwrap();
        wait(file.write_array("x", vec![], data.view())).unwrap();
        wait(file.flush()).unwrap();
        proxy.take_seen();
        let folder = tempfile::tempdir().unwrap();
        let mut requests = Vec::new();
        for _ in 0..2 {
            let cache = DeltaCache::new(0).with_disk(folder.path(), 64 << 20).unwrap();
            let config = FileConfig::default().with_cache(cache.clone());
            let file = wait(ArrayFile::open_at(place.clone(), config)).unwrap();
            let opening = proxy.take_seen().len();
            assert_eq!(wait(file.read_array::<u64>("x", vec![], vec![])).unwrap(), data, "{server}");
            requests.push((opening, proxy.take_seen().len()));
            wait(cache.sync());
            drop((file, cache));
            // The slot is free once all is written.
            let layout = folder.path().read_dir().unwrap().next().unwrap().unwrap().path();
            std::fs::File::open(layout.join("0.lock")).unwrap().lock().unwrap();
        }
        let [(first, reading), (second, again)] = requests[..] else { panic!() };
        assert!(reading > 0 && again == 0 && second <= first, "{server}: {requests:?}");
    }
}
