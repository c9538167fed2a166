//! Bad input of every kind: a clear error of the right kind, nothing changed, nothing lost, no panic.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use array_format::storage::FinishMode;
use array_format::*;
use futures::executor::block_on;
use ndarray::{Array, ArrayD, array};

async fn sample(store: &InMemoryStorage) -> ArrayFile {
    let mut file = ArrayFile::create(store.clone(), "a.af", FileConfig::default()).await.unwrap();
    file.define_array::<f32>("g/x", vec!["y".into(), "x".into()], vec![4, 6], Some(vec![2, 3]), Some(-1.0))
        .unwrap();
    file.define_array::<String>("s", vec!["n".into()], vec![3], None, None).unwrap();
    file.define_array::<Option<i16>>("n", vec!["n".into()], vec![9], None, None).unwrap();
    file.write_array("g/x", vec![], values().view()).await.unwrap();
    file.write_array("s", vec![], array!["a".to_owned(), String::new(), "ü".to_owned()].into_dyn().view())
        .await
        .unwrap();
    file.write_array("n", vec![2], array![Some(7i16), None].into_dyn().view()).await.unwrap();
    file.set_attribute("g/x", "units", "degC").await.unwrap();
    file.set_attribute("", "title", "sample").await.unwrap();
    file.flush().await.unwrap();
    file.compact().await.unwrap();
    file
}

fn values() -> ArrayD<f32> {
    Array::from_shape_fn((4, 6), |(y, x)| (y * 6 + x) as f32).into_dyn()
}

/// Everything that `sample` put there, read; an error is fine, another value is not.
async fn read_all(storage: InMemoryStorage) -> Result<()> {
    let config = FileConfig::default().with_cache(DeltaCache::new(1 << 20));
    let file = ArrayFile::open(storage, "a.af", config).await?;
    assert_eq!(file.list_arrays().await?, ["g/x", "n", "s"]);
    assert_eq!(file.read_array::<f32>("g/x", vec![], vec![]).await?, values());
    let s = file.read_array::<String>("s", vec![], vec![]).await?;
    assert_eq!(s.as_slice().unwrap(), ["a", "", "ü"]);
    let n = file.read_array::<Option<i16>>("n", vec![1], vec![3]).await?;
    assert_eq!(n.as_slice().unwrap(), [None, Some(7), None]);
    assert_eq!(file.attribute("g/x", "units").await?, Some("degC".into()));
    assert_eq!(file.attribute("", "title").await?, Some("sample".into()));
    assert_eq!(file.statistics("g/x").await?.statistics.max(), Some(&23f32.into()));
    Ok(())
}

async fn bytes_of(store: &InMemoryStorage) -> Vec<u8> {
    let opened = Storage::open(store, "a.af", u64::MAX).await.unwrap();
    opened.tail.to_vec()
}

async fn file_of(bytes: &[u8]) -> InMemoryStorage {
    let store = InMemoryStorage::default();
    let storage: &dyn Storage = &store;
    storage.put("a.af", bytes.to_vec().into(), FinishMode::Create).await.unwrap();
    store
}

fn kind<T: std::fmt::Debug>(r: Result<T>, contains: &str) -> ErrorKind {
    let e = r.unwrap_err();
    assert!(e.to_string().contains(contains), "{e:?} does not mention {contains:?}");
    e.kind()
}

#[test]
fn wrong_calls_say_what_is_wrong_and_change_nothing() {
    use ErrorKind::*;
    block_on(async {
        let store = InMemoryStorage::default();
        let mut f = sample(&store).await;
        let one = |n: usize| Array::from_elem(n, 1f32).into_dyn();
        assert_eq!(kind(f.read_array::<f32>("nope", vec![], vec![]).await, "nope"), NotFound);
        assert_eq!(kind(f.write_array("nope", vec![0], one(1).view()).await, "nope"), NotFound);
        assert_eq!(kind(f.read_array::<f64>("g/x", vec![], vec![]).await, "f32"), InvalidArgument);
        assert_eq!(kind(f.read_array::<i16>("n", vec![], vec![]).await, "Option"), InvalidArgument);
        assert_eq!(
            kind(f.write_array("g/x", vec![0, 0], array![[1i32]].into_dyn().view()).await, "i32"),
            InvalidArgument
        );
        assert_eq!(kind(f.write_array("g/x", vec![0], one(1).view()).await, "rank"), InvalidArgument);
        assert_eq!(kind(f.read_array::<f32>("g/x", vec![0], vec![1]).await, "rank"), InvalidArgument);
        assert_eq!(kind(f.read_array::<f32>("g/x", vec![0, 0], vec![5, 1]).await, "bounds"), InvalidArgument);
        let two = Array::from_elem((2, 6), 1f32).into_dyn();
        assert_eq!(kind(f.write_array("g/x", vec![3, 0], two.view()).await, "bounds"), InvalidArgument);
        assert_eq!(kind(f.read_array::<f32>("g", vec![], vec![]).await, "g"), NotFound);
        let dims = || vec!["a".to_owned()];
        assert_eq!(
            kind(f.define_array::<f32>("z", dims(), vec![4], Some(vec![0]), None), "chunk"),
            InvalidArgument
        );
        assert_eq!(
            kind(f.define_array::<f32>("z", dims(), vec![4, 4], None, None), "dimension"),
            InvalidArgument
        );
        assert_eq!(
            kind(f.define_array::<f32>("z", dims(), vec![4], Some(vec![2, 2]), None), "chunk"),
            InvalidArgument
        );
        let fill = ArrayDefinition::new::<f32>(dims(), vec![4]).fill(1i64);
        assert_eq!(kind(f.define("z", fill), "i64"), InvalidArgument);
        let filter = ArrayDefinition::new::<String>(dims(), vec![4]).filters(vec![Filter::Shuffle]);
        assert_eq!(kind(f.define("z", filter), "z"), InvalidArgument);
        for name in ["", "a//b", "/a", "a/", "a\0b"] {
            assert_eq!(
                kind(f.define_array::<f32>(name, dims(), vec![4], None, None), "name"),
                InvalidArgument
            );
        }
        let long = "x".repeat(40_000);
        assert_eq!(kind(f.define_array::<f32>(&long, dims(), vec![4], None, None), "40000"), InvalidArgument);
        assert_eq!(kind(f.define_array::<f32>("s", dims(), vec![4], None, None), "s"), AlreadyExists);
        assert_eq!(kind(f.define_array::<f32>("g", dims(), vec![4], None, None), "g"), AlreadyExists);
        assert_eq!(kind(f.define_array::<f32>("s/below", dims(), vec![4], None, None), "s"), InvalidArgument);
        assert_eq!(kind(f.rename("s", "g/x").await, "g/x"), AlreadyExists);
        assert_eq!(kind(f.rename("g", "g/y").await, "itself"), InvalidArgument);
        assert_eq!(kind(f.delete("nope").await, "nope"), NotFound);
        assert_eq!(kind(f.resize("g/x", vec![1]).await, "dimensions"), InvalidArgument);
        assert_eq!(kind(f.append("g/x", 0, one(3).view()).await, "append"), InvalidArgument);
        assert_eq!(kind(f.append("s", 0, one(3).view()).await, "string"), InvalidArgument);
        let (whole, mut four, mut one_byte) = (|| vec![4, 6], vec![0; 4 * 24], [0]);
        assert_eq!(
            kind(f.write_bytes("g/x", vec![], whole(), &four[1..], None).await, "24"),
            InvalidArgument
        );
        assert_eq!(
            kind(f.write_bytes("g/x", vec![], whole(), &four, Some(&[1; 24])).await, "mask"),
            InvalidArgument
        );
        assert_eq!(
            kind(f.write_bytes("g/x", vec![1, 0], whole(), &four, None).await, "bounds"),
            InvalidArgument
        );
        assert_eq!(
            kind(f.write_bytes("n", vec![], vec![1], &[0; 2], Some(&[2])).await, "elements"),
            InvalidArgument
        );
        assert_eq!(kind(f.write_bytes("s", vec![], vec![1], b"a", None).await, "fixed"), InvalidArgument);
        let read = f.read_bytes("g/x", vec![], vec![], vec![], &mut four[1..], None).await;
        assert_eq!(kind(read, "95"), InvalidArgument);
        let read = f.read_bytes("n", vec![0], vec![1], vec![], &mut four[..2], None).await;
        assert_eq!(kind(read, "mask"), InvalidArgument);
        let read =
            f.read_bytes("g/x", vec![0, 0], vec![1, 1], vec![], &mut four[..4], Some(&mut one_byte)).await;
        assert_eq!(kind(read, "mask"), InvalidArgument);
        let read = f.read_bytes("s", vec![0], vec![1], vec![], &mut one_byte, None).await;
        assert_eq!(kind(read, "fixed"), InvalidArgument);
        assert_eq!(kind(f.set_attribute("nope", "a", 1i32).await, "nope"), NotFound);
        assert_eq!(kind(f.set_attribute("s", "", 1i32).await, "attribute"), InvalidArgument);
        assert_eq!(kind(f.define_dimension("g", "a/b", 4, false).await, "a/b"), InvalidArgument);
        assert_eq!(kind(f.define_dimension("s", "n", 4, false).await, "\"s\""), InvalidArgument);
        assert_eq!(kind(f.at(77).await, "77"), NotFound);
        let before = f.version();
        // Reading and staging left nothing that counts as a change of content.
        f.flush().await.unwrap();
        let changes = f.diff(before, f.version()).await;
        assert!(f.version() == before || changes.unwrap().is_empty());
        read_all(store.clone()).await.unwrap();
        let created = ArrayFile::create(store.clone(), "a.af", FileConfig::default()).await;
        assert_eq!(kind(created, "a.af"), AlreadyExists);
        read_all(store).await.unwrap();
    });
}

#[test]
fn an_array_of_2_to_the_40_elements_is_fine_until_it_is_asked_for_whole() {
    block_on(async {
        let mut f = ArrayFile::create_memory(FileConfig::default()).await.unwrap();
        f.define_array::<f64>("one", vec!["n".into()], vec![1 << 40], None, Some(5.0)).unwrap();
        f.define_array::<f64>("many", vec!["n".into()], vec![1 << 40], Some(vec![1000]), None).unwrap();
        f.define_array::<Option<String>>("text", vec!["n".into()], vec![1 << 40], None, None).unwrap();
        for name in ["one", "many"] {
            assert_eq!(
                kind(f.read_array::<f64>(name, vec![], vec![]).await, "memory"),
                ErrorKind::InvalidArgument
            );
            f.read_array::<f64>(name, vec![1 << 39], vec![3]).await.unwrap();
        }
        assert_eq!(
            kind(f.read_array::<Option<String>>("text", vec![], vec![]).await, "memory"),
            ErrorKind::InvalidArgument
        );
        assert_eq!(f.read_array::<f64>("one", vec![5], vec![1]).await.unwrap()[[0]], 5.0);
        // One element of a chunk of 8 TiB cannot be written; one of a small chunk can.
        let v = array![1.0].into_dyn();
        assert_eq!(kind(f.write_array("one", vec![9], v.view()).await, "chunks"), ErrorKind::InvalidArgument);
        f.write_array("many", vec![(1 << 40) - 1], v.view()).await.unwrap();
        f.flush().await.unwrap();
        assert_eq!(
            f.read_array::<f64>("many", vec![(1 << 40) - 2], vec![2]).await.unwrap().as_slice().unwrap(),
            [0.0, 1.0]
        );
        let wide =
            f.define_array::<u8>("too", vec!["a".into(), "b".into()], vec![1 << 33, 1 << 33], None, None);
        assert_eq!(kind(wide, "2^64"), ErrorKind::InvalidArgument);
    });
}

#[test]
fn a_handle_of_an_older_version_reads_and_does_not_write() {
    block_on(async {
        let store = InMemoryStorage::default();
        let mut newest = ArrayFile::create(store.clone(), "a.af", FileConfig::default()).await.unwrap();
        newest.define_array::<i32>("x", vec!["n".into()], vec![1], None, None).unwrap();
        newest.write_array("x", vec![0], array![1].into_dyn().view()).await.unwrap();
        newest.flush().await.unwrap();
        newest.write_array("x", vec![0], array![2].into_dyn().view()).await.unwrap();
        newest.flush().await.unwrap();
        let mut old = ArrayFile::open(store, "a.af", FileConfig::default().at_version(1)).await.unwrap();
        assert_eq!(old.read_array::<i32>("x", vec![], vec![]).await.unwrap()[[0]], 1);
        let v = array![3].into_dyn();
        assert_eq!(
            kind(old.write_array("x", vec![0], v.view()).await, "read-only"),
            ErrorKind::InvalidArgument
        );
        assert_eq!(kind(old.delete("x").await, "read-only"), ErrorKind::InvalidArgument);
        assert_eq!(kind(old.flush().await, "read-only"), ErrorKind::InvalidArgument);
        assert_eq!(newest.read_array::<i32>("x", vec![], vec![]).await.unwrap()[[0]], 2);
    });
}

#[test]
fn what_is_no_file_of_ours_is_told_apart() {
    block_on(async {
        let open = async |bytes: &[u8]| {
            ArrayFile::open(file_of(bytes).await, "a.af", FileConfig::default()).await.map(|_| ())
        };
        assert_eq!(kind(open(b"").await, "empty"), ErrorKind::Corrupt);
        assert_eq!(kind(open(b"CDF\x01 and more").await, "not an array-format file"), ErrorKind::Corrupt);
        assert_eq!(kind(open(&[7; 5000]).await, "not an array-format file"), ErrorKind::Corrupt);
        let store = InMemoryStorage::default();
        sample(&store).await;
        let bytes = bytes_of(&store).await;
        assert_eq!(kind(open(&bytes[..bytes.len() - 1]).await, "missing"), ErrorKind::Corrupt);
        let mut later = bytes.clone();
        let at = later.len() - 12;
        later[at] = 2;
        assert_eq!(kind(open(&later).await, "version 2"), ErrorKind::Unsupported);
        let gone = ArrayFile::open(InMemoryStorage::default(), "a.af", FileConfig::default()).await;
        assert_eq!(kind(gone, "a.af"), ErrorKind::NotFound);
    });
}

#[test]
fn every_flipped_bit_and_every_truncation_is_an_error_or_harmless() {
    block_on(async {
        let store = InMemoryStorage::default();
        sample(&store).await;
        let bytes = bytes_of(&store).await;
        read_all(file_of(&bytes).await).await.unwrap();
        let (mut errors, mut harmless) = (0, 0);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            match read_all(file_of(&bad).await).await {
                Ok(()) => harmless += 1,
                Err(e) => {
                    assert!(
                        matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported),
                        "bit {bit}: {e:?}"
                    );
                    assert!(e.file().is_some(), "bit {bit}: {e:?}");
                    errors += 1;
                }
            }
            // What reading does not touch, verifying does.
            let file = ArrayFile::open(file_of(&bad).await, "a.af", FileConfig::default()).await;
            if let Ok(file) = file {
                let report = file.verify(VerifyOptions::default().statistics(true)).await.unwrap();
                assert!(!report.is_clean(), "bit {bit} of {}: verify finds nothing", bytes.len() * 8);
            }
        }
        for len in 0..bytes.len() {
            assert!(read_all(file_of(&bytes[..len]).await).await.is_err(), "{len} bytes");
        }
        println!(
            "{} bits flipped: {errors} errors, {harmless} not read; {} truncations",
            bytes.len() * 8,
            bytes.len()
        );
        assert!(errors > harmless);
    });
}

#[test]
fn a_missing_or_foreign_layer_is_noticed_when_the_file_is_opened() {
    block_on(async {
        let store = InMemoryStorage::default();
        let mut f = ArrayFile::create(store.clone(), "a.af", FileConfig::default()).await.unwrap();
        for i in 0..3 {
            f.define_array::<i32>(&format!("x{i}"), vec!["n".into()], vec![1], None, None).unwrap();
            f.write_array(&format!("x{i}"), vec![0], array![i].into_dyn().view()).await.unwrap();
            f.flush().await.unwrap();
        }
        let storage: &dyn Storage = &store;
        let layers = storage.list("a.af.layers").await.unwrap();
        assert_eq!(layers.len(), 3);
        let path = format!("a.af.layers/{}", layers[1].name);
        let whole = storage.open(&path, u64::MAX).await.unwrap().tail;
        storage.delete(&path).await.unwrap();
        let opened = ArrayFile::open(store.clone(), "a.af", FileConfig::default()).await;
        assert_eq!(kind(opened, "layer 2"), ErrorKind::Corrupt);
        // Another file's layer under that name, of the same length.
        let mut foreign = whole.to_vec();
        foreign[40] ^= 1;
        storage.put(&path, foreign.into(), FinishMode::Create).await.unwrap();
        let f = ArrayFile::open(store.clone(), "a.af", FileConfig::default()).await.unwrap();
        assert!(!f.verify(VerifyOptions::default()).await.unwrap().is_clean());
    });
}
