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
        check_ragged(&file, &names).await;
        assert_whole(&file).await;
    });
}

/// Small arrays of 5 levels one behind the other: all of each block, parts, in any order, twice, with what is pending and without.
async fn check_ragged(file: &ArrayFile, names: &[String]) {
    let level = |name: &String| names.iter().position(|n| n == name).unwrap() * 5;
    let backwards: Vec<String> = names.iter().rev().cloned().collect();
    let twice = [names[7].clone(), names[7].clone()];
    let some: Vec<String> = names.iter().step_by(7).cloned().collect();
    for wanted in [names, &names[100..500], &some[..], &backwards[..], &twice[..], &names[..0]] {
        let read = file.read_ragged::<f32>(wanted).await.unwrap();
        assert_eq!(read.offsets(), (0..=wanted.len()).map(|i| i * 5).collect::<Vec<_>>());
        let expected: Vec<f32> =
            wanted.iter().flat_map(|name| (level(name)..level(name) + 5).map(|v| v as f32)).collect();
        assert_eq!((read.values(), read.len()), (&expected[..], wanted.len()));
    }
    let missing = [names[0].clone(), "profile/nothing".to_owned()];
    assert_eq!(file.read_ragged::<f32>(&missing).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(file.read_ragged::<f64>(names).await.unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn arrays_one_behind_the_other_have_their_shapes_whatever_their_ranks() {
    block_on(async {
        let shapes: [&[u64]; 5] = [&[2, 3], &[4, 1], &[], &[5], &[2, 2, 2]];
        // All of one rank, the last one of another, and each in blocks of its own: the ways that lead there differ.
        for of_many in [1, 2, 3, 5] {
            let folder = tempfile::tempdir().unwrap();
            let mut file =
                ArrayFile::create_path(folder.path().join("a.af"), FileConfig::default()).await.unwrap();
            let shape = |i: usize| if i < 2990 { shapes[i % 2] } else { shapes[i % of_many] };
            let names: Vec<String> = (0..3000).map(|i| format!("{i:04}")).collect();
            let mut values = Vec::new();
            for (i, name) in names.iter().enumerate() {
                let shape: Vec<usize> = shape(i).iter().map(|n| *n as usize).collect();
                let array = ArrayD::from_shape_fn(shape.clone(), |_| (i % 100) as f32);
                let dims = (0..shape.len()).map(|d| format!("d{d}")).collect();
                file.define_array::<f32>(name, dims, shape.iter().map(|n| *n as u64).collect(), None, None)
                    .unwrap();
                file.write_array(name, vec![], array.view()).await.unwrap();
                values.push(array);
            }
            file.flush().await.unwrap();
            let read = file.read_ragged::<f32>(&names).await.unwrap();
            assert_eq!(read.len(), names.len());
            for (i, array) in values.iter().enumerate() {
                assert_eq!(read.shape(i), Some(array.shape()), "{of_many} {i}");
                assert_eq!(read.get(i).unwrap(), array.view());
            }
            assert_eq!((read.shape(names.len()), read.get(names.len())), (None, None));
        }
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

#[test]
fn an_erased_chunk_is_as_if_it_had_never_been_written() {
    block_on(async {
        let storage = InMemoryStorage::new();
        let mut file = ArrayFile::create(storage.clone(), "a.af", FileConfig::default()).await.unwrap();
        for (name, chunk) in [("grid", Some(vec![2])), ("one", None), ("cell", Some(vec![9]))] {
            file.define_array::<i32>(name, vec!["n".into()], vec![5], chunk, Some(-1)).unwrap();
            file.write_array(name, vec![], array![1, 2, 3, 4, 5].into_dyn().view()).await.unwrap();
        }
        file.flush().await.unwrap();
        let live = file.usage().live_bytes;
        let mut other = ArrayFile::open(storage.clone(), "a.af", FileConfig::default()).await.unwrap();

        assert!(file.erase_chunk("grid", vec![1]).await.unwrap());
        assert!(!file.erase_chunk("grid", vec![1]).await.unwrap());
        assert!(file.erase_chunk("one", vec![0]).await.unwrap());
        assert!(file.erase_chunk("cell", vec![0]).await.unwrap());
        for name in ["grid", "none"] {
            assert!(file.erase_chunk(name, vec![3]).await.is_err());
        }
        for committed in [false, true] {
            if committed {
                file.flush().await.unwrap();
                file = ArrayFile::open(storage.clone(), "a.af", FileConfig::default()).await.unwrap();
            }
            let read = async |name: &str| file.read_array::<i32>(name, vec![], vec![]).await.unwrap();
            assert_eq!(read("grid").await, array![1, 2, -1, -1, 5].into_dyn());
            assert_eq!(read("one").await, array![-1, -1, -1, -1, -1].into_dyn());
            assert_eq!(read("cell").await, read("one").await);
            let written = file.chunks("grid").await.unwrap();
            assert_eq!(written.iter().map(|c| c.coords[0]).collect::<Vec<_>>(), [0, 2]);
            assert!(
                file.is_written("grid", &[2]).await.unwrap() && !file.is_written("grid", &[1]).await.unwrap()
            );
            assert_eq!(file.statistics("grid").await.unwrap().statistics.counts.unwrap().rows, 3);
        }
        assert!(file.usage().live_bytes < live);
        assert_whole(&file).await;

        // Somebody who did not know of it has to look first.
        other.write_array("grid", vec![0], array![7, 8].into_dyn().view()).await.unwrap();
        assert_eq!(other.flush().await.unwrap_err().kind(), ErrorKind::Conflict);
        other.discard().await.unwrap();
        other.refresh().await.unwrap();
        other.write_array("grid", vec![0], array![7, 8].into_dyn().view()).await.unwrap();
        other.flush().await.unwrap();
        assert_eq!(
            other.read_array::<i32>("grid", vec![], vec![]).await.unwrap(),
            array![7, 8, -1, -1, 5].into_dyn()
        );
        for name in ["one", "cell"] {
            let mut late =
                ArrayFile::open(storage.clone(), "a.af", FileConfig::default().at_version(1)).await;
            assert!(
                late.as_mut().unwrap().erase_chunk(name, vec![0]).await.is_err(),
                "an older version is to read only"
            );
        }
        let mut early = ArrayFile::open(storage.clone(), "a.af", FileConfig::default()).await.unwrap();
        for name in ["grid", "one", "cell"] {
            other.write_array(name, vec![0], array![1].into_dyn().view()).await.unwrap();
            early.write_array(name, vec![1], array![1].into_dyn().view()).await.unwrap();
            other.flush().await.unwrap();
            assert_eq!(early.flush().await.unwrap_err().kind(), ErrorKind::Conflict, "{name}");
            early.discard().await.unwrap();
            early.refresh().await.unwrap();
            assert!(early.erase_chunk(name, vec![0]).await.unwrap());
            other.write_array(name, vec![0], array![2].into_dyn().view()).await.unwrap();
            early.flush().await.unwrap();
            assert_eq!(other.flush().await.unwrap_err().kind(), ErrorKind::Conflict, "{name}");
            other.discard().await.unwrap();
            other.refresh().await.unwrap();
            assert!(!other.is_written(name, &[0]).await.unwrap());
        }
        assert_whole(&other).await;
    });
}
