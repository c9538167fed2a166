//! Many arrays in one object; appending and updating without rewriting; deletes, and compaction that reclaims.

use array_format::{ArrayFile, ErrorKind, FileConfig, InMemoryStorage, NoCompression};
use futures::executor::block_on;
use ndarray::{Array1, Array2, ArrayD, array};

use super::{assert_whole, noise, objects, total_bytes};

/// More than index, root and trailer of a small commit take, much less than the data below.
const SMALL: u64 = 8 << 10;

fn random(n: usize, seed: u64) -> ArrayD<u64> {
    let mut next = noise(seed);
    Array1::from_shape_fn(n, |_| next()).into_dyn()
}

#[test]
fn many_arrays_live_in_one_object() {
    block_on(async {
        let storage = InMemoryStorage::new();
        let mut file = ArrayFile::create(storage.clone(), "a.af", FileConfig::default()).await.unwrap();
        let name =
            |i: usize| format!("profile/{:03}/{}", i / 3, ["pressure", "salinity", "temperature"][i % 3]);
        for i in 0..600 {
            file.define_array::<f32>(&name(i), vec!["level".into()], vec![5], None, None).unwrap();
            let levels = Array1::from_shape_fn(5, |k| (i * 5 + k) as f32).into_dyn();
            file.write_array(&name(i), vec![], levels.view()).await.unwrap();
        }
        file.flush().await.unwrap();
        file.compact().await.unwrap();

        assert_eq!(objects(&storage, "a.af").await.len(), 1);
        let file = ArrayFile::open(storage, "a.af", FileConfig::default()).await.unwrap();
        assert_eq!(file.list_arrays().await.unwrap(), (0..600).map(name).collect::<Vec<_>>());
        assert_eq!(file.list_arrays_in("profile/007/").await.unwrap(), [21, 22, 23].map(name));
        assert_eq!(file.list_groups().await.unwrap().len(), 201);
        let names: Vec<String> = (0..600).map(name).collect();
        let all = file.read_many::<f32>(&names, vec![4], vec![1]).await.unwrap();
        assert!(all.iter().enumerate().all(|(i, v)| v.as_slice() == Some(&[(i * 5 + 4) as f32])));
        assert_whole(&file).await;
    });
}

/// A compacted file of 800 KB in 100 chunks.
async fn large(storage: &InMemoryStorage) -> (ArrayFile, ArrayD<u64>) {
    let mut file = ArrayFile::create(storage.clone(), "a.af", FileConfig::new(NoCompression)).await.unwrap();
    let data = random(100_000, 1);
    file.define_array::<u64>("large", vec!["n".into()], vec![100_000], Some(vec![1000]), None).unwrap();
    file.write_array("large", vec![], data.view()).await.unwrap();
    file.flush().await.unwrap();
    file.compact().await.unwrap();
    (file, data)
}

#[test]
fn appending_an_array_writes_a_small_sidecar_and_leaves_the_rest_alone() {
    block_on(async {
        let storage = InMemoryStorage::new();
        let (mut file, data) = large(&storage).await;
        let before = objects(&storage, "a.af").await;
        assert!(before.len() == 1 && before[0].1 > 800_000, "{before:?}");

        file.define_array::<i32>("small", vec!["n".into()], vec![3], None, None).unwrap();
        file.write_array("small", vec![], array![1, 2, 3].into_dyn().view()).await.unwrap();
        file.flush().await.unwrap();

        let after = objects(&storage, "a.af").await;
        assert_eq!(after[0], before[0]);
        assert_eq!(after.len(), 2);
        assert!(after[1].1 < SMALL, "{after:?}");
        let file = ArrayFile::open(storage, "a.af", FileConfig::default()).await.unwrap();
        assert_eq!(
            file.read_array::<i32>("small", vec![], vec![]).await.unwrap(),
            array![1, 2, 3].into_dyn()
        );
        assert_eq!(file.read_array::<u64>("large", vec![], vec![]).await.unwrap(), data);
    });
}

#[test]
fn updating_an_element_writes_one_chunk() {
    block_on(async {
        let storage = InMemoryStorage::new();
        let (mut file, mut data) = large(&storage).await;
        let before = objects(&storage, "a.af").await;

        file.write_array("large", vec![50_500], array![7u64].into_dyn().view()).await.unwrap();
        file.flush().await.unwrap();
        data[[50_500]] = 7;

        let after = objects(&storage, "a.af").await;
        assert_eq!(after[0], before[0]);
        assert_eq!(after.len(), 2);
        let chunk = 8 * 1000;
        assert!((chunk..chunk + SMALL).contains(&after[1].1), "{after:?}");
        let file = ArrayFile::open(storage, "a.af", FileConfig::default()).await.unwrap();
        assert_eq!(file.read_array::<u64>("large", vec![], vec![]).await.unwrap(), data);
    });
}

#[test]
fn growing_an_array_writes_only_what_is_new() {
    block_on(async {
        let storage = InMemoryStorage::new();
        let (mut file, data) = large(&storage).await;
        let more = random(1000, 2);
        file.append("large", 0, more.view()).await.unwrap();
        file.flush().await.unwrap();
        let after = objects(&storage, "a.af").await;
        assert!(after[1].1 < 8 * 1000 + SMALL, "{after:?}");
        assert_eq!(
            file.read_array::<u64>("large", vec![], vec![100_000]).await.unwrap_err().kind(),
            ErrorKind::InvalidArgument
        );
        assert_eq!(file.read_array::<u64>("large", vec![0], vec![100_000]).await.unwrap(), data);
        assert_eq!(file.read_array::<u64>("large", vec![100_000], vec![1000]).await.unwrap(), more);
    });
}

#[test]
fn a_delete_is_logical_and_compaction_reclaims_the_space() {
    block_on(async {
        let storage = InMemoryStorage::new();
        let mut file =
            ArrayFile::create(storage.clone(), "a.af", FileConfig::new(NoCompression)).await.unwrap();
        let kept = Array2::from_shape_fn((20, 30), |(i, j)| (i * 30 + j) as u16).into_dyn();
        file.define_array::<u16>("kept", vec!["y".into(), "x".into()], vec![20, 30], Some(vec![7, 7]), None)
            .unwrap();
        file.write_array("kept", vec![], kept.view()).await.unwrap();
        file.define_array::<u64>("group/deleted", vec!["n".into()], vec![50_000], Some(vec![4000]), None)
            .unwrap();
        file.write_array("group/deleted", vec![], random(50_000, 3).view()).await.unwrap();
        file.set_attribute("group/deleted", "units", "1").await.unwrap();
        file.flush().await.unwrap();
        file.compact().await.unwrap();
        let full = total_bytes(&storage, "a.af").await;
        assert_eq!(file.usage().dead_bytes, 0);

        file.delete("group/deleted").await.unwrap();
        assert!(!file.contains("group/deleted").await.unwrap());
        file.flush().await.unwrap();
        assert_eq!(file.list_arrays().await.unwrap(), ["kept"]);
        assert!(file.list_groups().await.unwrap().is_empty());
        assert_eq!(file.usage().dead_bytes, 8 * 50_000);
        let deleted = total_bytes(&storage, "a.af").await;
        assert!(deleted > full, "nothing was rewritten");
        let before = file.at(1).await.unwrap();
        assert!(before.contains("group/deleted").await.unwrap(), "the version before keeps it");

        file.compact().await.unwrap();
        let compacted = total_bytes(&storage, "a.af").await;
        assert!(compacted + 8 * 50_000 <= full, "{compacted} of {full} bytes");
        assert_eq!((file.num_layers(), file.usage().dead_bytes), (1, 0));
        let file = ArrayFile::open(storage, "a.af", FileConfig::default()).await.unwrap();
        assert_eq!(file.read_array::<u16>("kept", vec![], vec![]).await.unwrap(), kept);
        let gone = file.read_array::<u64>("group/deleted", vec![], vec![]).await.unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NotFound);
        assert_whole(&file).await;
    });
}

#[test]
fn compaction_reclaims_chunks_that_were_overwritten_or_cut_off() {
    block_on(async {
        let storage = InMemoryStorage::new();
        let (mut file, data) = large(&storage).await;
        let full = total_bytes(&storage, "a.af").await;
        for round in 0..5 {
            file.write_array("large", vec![0], random(10_000, 10 + round).view()).await.unwrap();
            file.flush().await.unwrap();
        }
        file.resize("large", vec![60_000]).await.unwrap();
        file.flush().await.unwrap();
        assert!(total_bytes(&storage, "a.af").await > full + 5 * 80_000);
        file.compact().await.unwrap();
        // Blocks are copied whole if at least half of them lives, so that a little may stay.
        assert!(total_bytes(&storage, "a.af").await < full * 7 / 10);
        let read = file.read_array::<u64>("large", vec![], vec![]).await.unwrap();
        assert_eq!(read.as_slice().unwrap()[10_000..], data.as_slice().unwrap()[10_000..60_000]);
        assert_eq!(read.as_slice().unwrap()[..10_000], *random(10_000, 14).as_slice().unwrap());
        assert_whole(&file).await;
    });
}
