//! Repair: what is whole of a damaged file is saved, what is not is listed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use std::collections::BTreeMap;
use std::sync::Arc;

use array_format::storage::FinishMode;
use array_format::*;
use bytes::Bytes;
use futures::executor::block_on;
use ndarray::{ArrayD, IxDyn};

const NAME: &str = "run.af";

type Objects = BTreeMap<String, Vec<u8>>;

async fn dump(storage: &dyn Storage) -> Objects {
    let mut objects = Objects::new();
    let mut paths = vec![NAME.to_owned()];
    paths.extend(
        storage.list("run.af.layers").await.unwrap().into_iter().map(|e| format!("run.af.layers/{}", e.name)),
    );
    for path in paths {
        objects.insert(path.clone(), storage.open(&path, u64::MAX).await.unwrap().tail.to_vec());
    }
    objects
}

async fn restore(objects: &Objects) -> Arc<dyn Storage> {
    let storage: Arc<dyn Storage> = Arc::new(InMemoryStorage::default());
    for (path, bytes) in objects {
        let mut upload = storage.upload(path).await.unwrap();
        upload.write(Bytes::from(bytes.clone())).await.unwrap();
        upload.finish(FinishMode::Create).await.unwrap();
    }
    storage
}

/// Three versions: arrays of one and of many chunks, text, attributes, groups, a tag, a deletion, a rename.
async fn sample() -> Arc<dyn Storage> {
    let storage: Arc<dyn Storage> = Arc::new(InMemoryStorage::default());
    let config = FileConfig::default().with_block_bytes(64);
    let mut file = ArrayFile::create(&storage, NAME, config).await.unwrap();
    for name in ["g/a", "g/b", "c"] {
        file.define_array::<i32>(name, vec!["x".into()], vec![40], Some(vec![10]), Some(-1)).unwrap();
        let data: Vec<i32> = (0..30).map(|i| i * name.len() as i32).collect();
        file.write_array(name, vec![0], ArrayD::from_shape_vec(IxDyn(&[30]), data).unwrap().view())
            .await
            .unwrap();
        file.set_attribute(name, "units", name).await.unwrap();
    }
    file.set_attribute("g", "title", "group").await.unwrap();
    file.define_dimension("", "x", 40, true).await.unwrap();
    file.flush_with_message("first").await.unwrap();
    file.write_array("g/a", vec![5], ArrayD::from_elem(IxDyn(&[3]), 77).view()).await.unwrap();
    file.resize("g/b", vec![35]).await.unwrap();
    file.define_array::<String>("text", vec!["n".into()], vec![2], None, None).unwrap();
    let text = ArrayD::from_shape_vec(IxDyn(&[2]), vec!["a".to_owned(), "bc".into()]).unwrap();
    file.write_array("text", vec![], text.view()).await.unwrap();
    file.flush_with_message("second").await.unwrap();
    file.rename("c", "d").await.unwrap();
    file.delete("g/b").await.unwrap();
    file.remove_attribute("g/a", "units").await.unwrap();
    file.flush_with_message("third").await.unwrap();
    file.tag("release", 1).await.unwrap();
    storage
}

/// Everything that a snapshot shows.
async fn content(snapshot: &Snapshot) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for name in snapshot.list_arrays().await.unwrap() {
        let info = snapshot.array(&name).await.unwrap();
        let data = snapshot.read_elements(&name, vec![], vec![], vec![]).await.unwrap();
        let attributes = snapshot.attributes(&name).await.unwrap();
        let written: Vec<_> = snapshot.chunks(&name).await.unwrap().into_iter().map(|c| c.coords).collect();
        all.insert(name, format!("{:?} {data:?} {attributes:?} {written:?}", (info.shape, info.schema)));
    }
    for group in snapshot.list_groups().await.unwrap() {
        all.insert(format!("{group}/"), format!("{:?}", snapshot.attributes(&group).await.unwrap()));
    }
    all.insert("/".into(), format!("{:?}", snapshot.dimensions("").await.unwrap()));
    all
}

async fn repaired(storage: &Arc<dyn Storage>) -> Result<(ArrayFile, RepairReport)> {
    let target: Arc<dyn Storage> = Arc::new(InMemoryStorage::default());
    let report = ArrayFile::repair(storage, NAME, &target, "new.af", FileConfig::default()).await?;
    let file = ArrayFile::open(&target, "new.af", FileConfig::default()).await.unwrap();
    let checked = file.verify(VerifyOptions::default().statistics(true)).await.unwrap();
    assert!(checked.is_clean(), "{:?}", checked.damage);
    Ok((file, report))
}

#[test]
fn a_whole_file_is_saved_with_all_versions_and_tags() {
    block_on(async {
        let storage = sample().await;
        let old = ArrayFile::open(&storage, NAME, FileConfig::default()).await.unwrap();
        let (new, report) = repaired(&storage).await.unwrap();
        assert!(report.lost.is_empty(), "{:?}", report.lost);
        let numbers: Vec<u64> = report.versions.iter().map(|v| v.0).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        for (before, after) in &report.versions {
            let (before, after) = (old.at(*before).await.unwrap(), new.at(*after).await.unwrap());
            assert_eq!(content(&before).await, content(&after).await);
        }
        let release = new.at(new.tags()["release"]).await.unwrap();
        assert_eq!(content(&release).await, content(&old.at(1).await.unwrap()).await);
        let messages: Vec<String> = new.versions().await.unwrap().into_iter().map(|v| v.message).collect();
        assert!(messages.windows(2).any(|m| m == ["first", "second"]), "{messages:?}");
    });
}

#[test]
fn whatever_byte_is_damaged_what_is_whole_is_saved_and_nothing_is_wrong() {
    block_on(async {
        let storage = sample().await;
        let objects = dump(&*storage).await;
        let old = ArrayFile::open(&storage, NAME, FileConfig::default()).await.unwrap();
        let mut wanted = BTreeMap::new();
        for version in 0..=4 {
            wanted.insert(version, content(&old.at(version).await.unwrap()).await);
        }
        let (mut cases, mut with_loss, mut saved) = (0, 0, 0usize);
        for (path, bytes) in &objects {
            for at in (0..bytes.len()).step_by(7) {
                let mut damaged = objects.clone();
                damaged.get_mut(path).unwrap()[at] ^= 0x10;
                let (new, report) =
                    repaired(&restore(&damaged).await).await.unwrap_or_else(|e| panic!("{path} {at}: {e}"));
                cases += 1;
                with_loss += usize::from(!report.lost.is_empty());
                for (before, after) in &report.versions {
                    let found = content(&new.at(*after).await.unwrap()).await;
                    let whole = &wanted[before];
                    for (name, found) in found {
                        // Groups without a row may be there or not; arrays are as they were.
                        if !name.ends_with('/') {
                            assert_eq!(
                                Some(&found),
                                whole.get(&name),
                                "{path} {at}: version {before}, {name}"
                            );
                            saved += 1;
                        }
                    }
                    for name in whole.keys().filter(|n| !n.ends_with('/')) {
                        let there = new.at(*after).await.unwrap().contains(name).await.unwrap();
                        let told = report
                            .lost
                            .iter()
                            .any(|l| l.version == Some(*before) && l.path.as_ref().is_none_or(|p| p == name));
                        assert!(
                            there || told,
                            "{path} {at}: {name} of version {before} is missing without a word"
                        );
                    }
                }
                for version in 0..=4 {
                    let there = report.versions.iter().any(|v| v.0 == version);
                    assert!(there || !report.lost.is_empty(), "{path} {at}: version {version}");
                }
            }
        }
        println!("{cases} damaged files, {with_loss} with a loss; {saved} arrays of versions saved");
        assert!(with_loss > cases / 2 && saved > cases);
    });
}

#[test]
fn a_lost_base_or_layer_leaves_the_rest() {
    block_on(async {
        let storage = sample().await;
        let objects = dump(&*storage).await;
        for path in objects.keys() {
            let mut less = objects.clone();
            less.remove(path);
            let (_, report) = repaired(&restore(&less).await).await.unwrap();
            assert!(!report.versions.is_empty(), "{path}");
            let mut cut = objects.clone();
            let half = cut[path].len() / 2;
            cut.get_mut(path).unwrap().truncate(half);
            let (_, report) = repaired(&restore(&cut).await).await.unwrap();
            assert!(!report.lost.is_empty() && !report.versions.is_empty(), "{path}");
        }
        let nothing: Arc<dyn Storage> = Arc::new(InMemoryStorage::default());
        assert_eq!(repaired(&nothing).await.unwrap_err().kind(), ErrorKind::NotFound);
        let other = restore(&Objects::from([(NAME.to_owned(), vec![7; 500])])).await;
        assert_eq!(repaired(&other).await.unwrap_err().kind(), ErrorKind::Corrupt);
    });
}
