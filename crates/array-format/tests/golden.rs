//! The golden files: read by the library, and written by it once more.

#![allow(clippy::unwrap_used, reason = "the lints exempt tests, but not the helpers beside them")]

mod golden_files;

use std::path::{Path, PathBuf};

use array_format::storage::{InMemoryStorage, LocalStorage, Storage};
use array_format::{ArrayFile, FileConfig, VerifyOptions};
use futures::executor::block_on;
use golden_files::cases::{self, Case};
use serde_json::Value as Json;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/v1")
}

fn names() -> Vec<String> {
    let entries = std::fs::read_dir(fixtures()).unwrap().map(Result::unwrap);
    let folders = entries.filter(|e| e.file_type().unwrap().is_dir());
    let mut names: Vec<String> = folders.map(|e| e.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A message of one line about the first difference, instead of a megabyte of JSON.
fn assert_same(found: &Json, wanted: &Json, place: &str) {
    match (found, wanted) {
        (Json::Object(f), Json::Object(w)) => {
            let keys = |o: &serde_json::Map<String, Json>| {
                o.keys().cloned().collect::<std::collections::BTreeSet<_>>()
            };
            assert_eq!(keys(f), keys(w), "{place}");
            f.iter().for_each(|(key, value)| assert_same(value, &w[key], &format!("{place} / {key}")));
        }
        (Json::Array(f), Json::Array(w)) if f.len() == w.len() => {
            let pairs = f.iter().zip(w).enumerate();
            pairs.for_each(|(i, (f, w))| assert_same(f, w, &format!("{place} / {i}")));
        }
        _ => assert_eq!(found, wanted, "{place}"),
    }
}

async fn reads_as_expected(name: &str) {
    let folder = fixtures().join(name);
    let expected = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
    let expected: Json = serde_json::from_str(&expected).unwrap();
    let schema = expected["schema"].as_u64().unwrap();
    assert!((1..=2).contains(&schema), "{name}");
    let wanted = expected["versions"].as_array().unwrap();
    // Codec and sizes of the reader are not those of the writer.
    let storage = LocalStorage::new(&folder);
    let file = ArrayFile::open(storage, &format!("{name}.af"), FileConfig::default()).await.unwrap();
    let readable: Vec<u64> = file.versions().await.unwrap().iter().map(|v| v.version).collect();
    let numbers: Vec<u64> = wanted.iter().map(|v| v["version"].as_u64().unwrap()).collect();
    assert_eq!(readable, numbers, "{name}");
    assert_eq!(Some(&file.version()), numbers.last(), "{name}");
    for (number, wanted) in numbers.iter().zip(wanted) {
        let mut found = golden_files::describe::version(&file.at(*number).await.unwrap()).await;
        if schema == 1 {
            found["footer"].as_object_mut().unwrap().remove("sections");
        }
        assert_same(&found, wanted, &format!("{name}, version {number}"));
    }
    let report = file.verify(VerifyOptions::default().statistics(true)).await.unwrap();
    assert!(report.is_clean(), "{name}: {:?}", report.damage);
}

#[test]
fn every_golden_file_reads_as_its_expectation_says() {
    assert!(!names().is_empty());
    for name in names() {
        block_on(reads_as_expected(&name));
    }
}

fn bytes_of(case: Case) -> (&'static str, Vec<(String, Vec<u8>)>, Json) {
    let fixture = case();
    let objects = fixture.objects.into_iter().map(|(path, bytes)| (path, bytes.to_vec())).collect();
    (fixture.name, objects, fixture.expected)
}

#[test]
fn same_input_same_bytes() {
    for case in cases::ALL {
        let (first, second) = (bytes_of(case), bytes_of(case));
        assert!(first == second, "{} differs from one time to the next", first.0);
    }
}

#[test]
fn a_dump_of_a_storage_is_whole() {
    let storage = InMemoryStorage::new();
    block_on(async {
        let mut file = ArrayFile::create(storage.clone(), "a.af", FileConfig::default()).await.unwrap();
        file.define_array::<u8>("x", vec![], vec![], None, None).unwrap();
        file.flush().await.unwrap();
        assert_eq!(storage.list("a.af.layers").await.unwrap().len(), 1);
    });
    let objects = golden_files::dump(&storage, "a.af");
    assert_eq!(objects.len(), 2);
    assert!(objects.iter().all(|(_, bytes)| bytes.starts_with(b"\x89ARF\r\n\x1a\n")));
}
