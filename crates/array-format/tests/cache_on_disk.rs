//! The tier of the cache on a local disk: it survives restarts, bounds its size, serves no byte of another version or of a damaged page, and
//! many may use one folder.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use array_format::storage::{LocalStorage, Storage};
use array_format::{
    ArrayFile, DeltaCache, ErrorKind, FileConfig, IntoStorage, NoCompression, blocking::wait,
};
use ndarray::{Array1, ArrayD};
use object_store::memory::InMemory;
use tempfile::TempDir;

const NAME: &str = "run.af";
const MIB: u64 = 1 << 20;

/// A store that takes requests like one over a network.
fn far() -> Arc<dyn Storage> {
    Arc::new(InMemory::new()).into_storage()
}

fn values(seed: u64, n: u64) -> ArrayD<u64> {
    Array1::from_iter((0..n).map(|i| (i + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15))).into_dyn()
}

fn config(cache: &DeltaCache) -> FileConfig {
    FileConfig::new(NoCompression).with_cache(cache.clone())
}

/// A cache that keeps nothing in memory.
fn cache(folder: &Path) -> DeltaCache {
    DeltaCache::new(0).with_disk(folder, 64 * MIB).unwrap()
}

/// A file with `n` values in chunks of 64 KiB.
fn write(storage: &Arc<dyn Storage>, seed: u64, n: u64) {
    let config = FileConfig::new(NoCompression).with_overwrite(true);
    let mut file = wait(ArrayFile::create(storage.clone(), NAME, config)).unwrap();
    file.define_array::<u64>("v", vec!["i".into()], vec![n], Some(vec![8192]), None).unwrap();
    wait(file.write_array("v", vec![], values(seed, n).view())).unwrap();
    wait(file.flush()).unwrap();
}

/// What is read, and with how many requests.
fn read(storage: &Arc<dyn Storage>, cache: &DeltaCache) -> (ArrayD<u64>, u64) {
    let file = wait(ArrayFile::open(storage.clone(), NAME, config(cache))).unwrap();
    let read = wait(file.read_array::<u64>("v", vec![], vec![])).unwrap();
    (read, file.counters().requests)
}

/// Ends a cache as a process does that takes its time, and waits for its slot to be free.
fn end(cache: DeltaCache, folder: &Path) {
    wait(cache.sync());
    drop(cache);
    let lock = fs::File::open(slots(folder).join("0.lock")).unwrap();
    lock.lock().unwrap();
}

fn slots(folder: &Path) -> PathBuf {
    fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(slots(folder).join("0")).unwrap().map(|e| e.unwrap().path()).collect()
}

#[test]
fn what_was_read_needs_no_request_after_a_restart() {
    let (storage, folder) = (far(), TempDir::new().unwrap());
    write(&storage, 1, 400_000);
    let first = cache(folder.path());
    let (all, requests) = read(&storage, &first);
    assert_eq!(all, values(1, 400_000));
    assert!(requests > 2, "{requests}");
    end(first, folder.path());

    let second = cache(folder.path());
    let file = wait(ArrayFile::open(storage.clone(), NAME, config(&second))).unwrap();
    let opening = file.counters().requests;
    assert_eq!(wait(file.read_array::<u64>("v", vec![], vec![])).unwrap(), values(1, 400_000));
    assert_eq!(file.counters().requests, opening, "the disk has it all");

    // Parts that begin and end anywhere.
    for (from, n) in [(0, 1), (8191, 2), (16_383, 40_000), (399_999, 1)] {
        let part = wait(file.read_array::<u64>("v", vec![from], vec![n])).unwrap();
        assert_eq!(
            part.as_slice().unwrap(),
            &values(1, 400_000).as_slice().unwrap()[from as usize..(from + n) as usize]
        );
    }
    assert_eq!(file.counters().requests, opening);
}

#[test]
fn only_what_is_missing_is_fetched() {
    let (storage, folder) = (far(), TempDir::new().unwrap());
    write(&storage, 1, 400_000);
    let cache = cache(folder.path());
    let file = wait(ArrayFile::open(storage.clone(), NAME, config(&cache))).unwrap();
    let _part = wait(file.read_array::<u64>("v", vec![200_000], vec![20_000])).unwrap();
    let (requests, bytes) = (file.counters().requests, file.counters().bytes);
    assert_eq!(wait(file.read_array::<u64>("v", vec![], vec![])).unwrap(), values(1, 400_000));
    let (more, moved) = (file.counters().requests - requests, file.counters().bytes - bytes);
    assert!(more <= 3, "{more} requests for what lies before and behind the part");
    assert!(moved < 380_000 * 8 + 4 * 131_072, "{moved} bytes");
}

#[test]
fn another_file_at_the_same_place_is_never_mixed_in() {
    let (storage, folder) = (far(), TempDir::new().unwrap());
    for seed in 0..4 {
        write(&storage, seed, 100_000);
        let cache = cache(folder.path());
        assert_eq!(read(&storage, &cache).0, values(seed, 100_000));
        // A new version of it, read through the same cache by a handle of its own.
        let mut file = wait(ArrayFile::open(storage.clone(), NAME, config(&cache))).unwrap();
        wait(file.write_array("v", vec![50_000], values(seed + 100, 10_000).view())).unwrap();
        wait(file.flush()).unwrap();
        drop(file);
        let read = read(&storage, &cache).0;
        assert_eq!(read.as_slice().unwrap()[50_000..60_000], *values(seed + 100, 10_000).as_slice().unwrap());
        assert_eq!(read.as_slice().unwrap()[..50_000], values(seed, 100_000).as_slice().unwrap()[..50_000]);
        end(cache, folder.path());
    }
}

#[test]
fn damage_of_the_disk_is_fetched_again() {
    let (storage, folder) = (far(), TempDir::new().unwrap());
    write(&storage, 1, 200_000);
    let first = cache(folder.path());
    read(&storage, &first);
    end(first, folder.path());
    let mut state = 1u64;
    let mut damaged = 0;
    for round in 0..6 {
        for path in files(folder.path()) {
            let mut bytes = fs::read(&path).unwrap();
            match round {
                // Zeros, a short file, no file.
                0 => bytes.fill(0),
                1 => bytes.truncate(bytes.len() / 3),
                2 => bytes.clear(),
                _ => {
                    for at in (0..bytes.len()).step_by(1 << 14) {
                        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        bytes[at + (state >> 50) as usize % 64] ^= 1 << (state >> 61);
                        damaged += 1;
                    }
                }
            }
            fs::write(&path, bytes).unwrap();
        }
        let again = cache(folder.path());
        assert_eq!(read(&storage, &again).0, values(1, 200_000), "round {round}");
        end(again, folder.path());
    }
    assert!(damaged > 100, "{damaged}");
}

#[test]
fn several_use_one_folder_at_once() {
    let (storage, folder) = (far(), TempDir::new().unwrap());
    write(&storage, 1, 100_000);
    let caches: Vec<DeltaCache> = (0..3).map(|_| cache(folder.path())).collect();
    std::thread::scope(|s| {
        for cache in &caches {
            s.spawn(|| assert_eq!(read(&storage, cache).0, values(1, 100_000)));
        }
    });
    for n in 0..3 {
        assert!(slots(folder.path()).join(n.to_string()).is_dir(), "slot {n}");
    }
}

#[test]
fn the_folder_does_not_outgrow_its_size() {
    let (storage, folder) = (far(), TempDir::new().unwrap());
    write(&storage, 1, 6_000_000);
    let cache = DeltaCache::new(0).with_disk(folder.path(), 16 * MIB).unwrap();
    assert_eq!(read(&storage, &cache).0, values(1, 6_000_000), "48 MB through 16 MiB");
    assert_eq!(read(&storage, &cache).0, values(1, 6_000_000));
    wait(cache.sync());
    let bytes: u64 = files(folder.path()).iter().map(|f| fs::metadata(f).unwrap().len()).sum();
    assert!(bytes <= 16 * MIB, "{bytes}");
}

#[test]
fn local_files_leave_it_alone() {
    let (folder, data) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let storage: Arc<dyn Storage> = Arc::new(LocalStorage::new(data.path()));
    write(&storage, 1, 100_000);
    let first = cache(folder.path());
    read(&storage, &first);
    end(first, folder.path());
    let stored = files(folder.path()).iter().flat_map(|f| fs::read(f).unwrap()).any(|b| b != 0);
    assert!(!stored, "something was written");
}

#[test]
fn what_cannot_work_is_said() {
    let folder = TempDir::new().unwrap();
    let small = DeltaCache::new(0).with_disk(folder.path(), MIB).unwrap_err();
    assert_eq!(small.kind(), ErrorKind::InvalidArgument);
    let file = folder.path().join("file");
    fs::write(&file, "no folder").unwrap();
    let e = DeltaCache::new(0).with_disk(&file, 64 * MIB).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unavailable);
    assert!(e.to_string().contains("file"), "{e}");
}
