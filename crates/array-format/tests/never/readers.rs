//! Readers, caches, and what lies beside the file.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use array_format::storage::{InMemoryStorage, Storage};
use array_format::{ArrayFile, DeltaCache, ErrorKind, FileConfig, NoCompression, Result};
use array_format_testkit::{CountingStorage, FailMode, FailingStorage, Operation};
use futures::FutureExt;
use futures::executor::block_on;
use ndarray::ArrayD;

use crate::support::*;

/// Larger than what comes along with opening a file, so that reading asks the storage.
const ROWS: u64 = 40;
const COLUMNS: usize = 1 << 10;

fn plain() -> FileConfig {
    FileConfig::new(NoCompression).with_cache(DeltaCache::new(0))
}

async fn large(file: &mut ArrayFile, value: i32) {
    let dims = vec!["y".into(), "x".into()];
    let shape = vec![ROWS, COLUMNS as u64];
    file.define_array::<i32>("large", dims, shape, Some(vec![1, COLUMNS as u64]), None).unwrap();
    rows(file, value).await;
}

async fn rows(file: &mut ArrayFile, value: i32) {
    file.write_array("large", vec![], filled(value, &[ROWS as usize, COLUMNS]).view()).await.unwrap();
    file.flush().await.unwrap();
}

async fn read(file: &ArrayFile) -> Result<ArrayD<i32>> {
    file.read_array("large", vec![], vec![]).await
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Commit,
    Compaction,
    Replacement,
    Deletion,
}

impl Event {
    /// What another process does with the file that a reader has open.
    async fn happen(self, disk: &Arc<dyn Storage>) {
        match self {
            Self::Commit => rows(&mut ArrayFile::open(disk, NAME, plain()).await.unwrap(), 9).await,
            Self::Compaction => {
                let mut file = ArrayFile::open(disk, NAME, plain()).await.unwrap();
                rows(&mut file, 9).await;
                file.compact().await.unwrap();
            }
            Self::Replacement => {
                let mut file = ArrayFile::create(disk, NAME, plain().with_overwrite(true)).await.unwrap();
                // Of the same name and size, in the same places.
                large(&mut file, 7).await;
                rows(&mut file, 8).await;
                rows(&mut file, 9).await;
                file.compact().await.unwrap();
            }
            Self::Deletion => {
                for layer in disk.list(FOLDER).await.unwrap() {
                    disk.delete(&format!("{FOLDER}/{}", layer.name)).await.unwrap();
                }
                disk.delete(NAME).await.unwrap();
            }
        }
    }
}

/// Line 5: A reader that is open during a commit, a compaction or a replacement of the file reads bytes of another version, or
/// another array.
#[test]
fn never_05_an_open_reader_sees_bytes_of_another_version_or_array() {
    block_on(async {
        let (mut own, mut expired) = (0, 0);
        for event in [Event::Commit, Event::Compaction, Event::Replacement, Event::Deletion] {
            for (number, (disk, _folder)) in scratch_and_disk().into_iter().enumerate() {
                // Anew for every operation of the reader before which it can happen.
                for k in 0..200 {
                    let what = format!("{event:?} before operation {k} of the reader, storage {number}");
                    if let Ok(layers) = disk.list(FOLDER).await {
                        for layer in layers {
                            disk.delete(&format!("{FOLDER}/{}", layer.name)).await.unwrap();
                        }
                    }
                    let config = plain().with_overwrite(true);
                    let mut file = ArrayFile::create(&disk, NAME, config).await.unwrap();
                    large(&mut file, 1).await;
                    // The lower half in a layer that the newest version needs and that opening it does not touch.
                    let half = filled(1, &[ROWS as usize / 2, COLUMNS]);
                    file.write_array("large", vec![ROWS / 2, 0], half.view()).await.unwrap();
                    file.flush().await.unwrap();
                    file.set_attribute("large", "units", "m").await.unwrap();
                    file.flush().await.unwrap();
                    let failing = FailingStorage::new(disk.clone());
                    let reader = ArrayFile::open(failing.clone(), NAME, plain()).await.unwrap();
                    failing.delay_at(k, 100);
                    let mut reading: Pin<Box<dyn Future<Output = _>>> =
                        Box::pin(async { (read(&reader).await, reader.attribute("large", "units").await) });
                    let early = (&mut reading).now_or_never();
                    let is_over = early.is_some();
                    event.happen(&disk).await;
                    let (data, units) = match early {
                        Some(early) => early,
                        None => reading.await,
                    };
                    match data {
                        Ok(data) => {
                            assert!(data.iter().all(|v| *v == 1), "{what}: other bytes");
                            own += 1;
                        }
                        Err(e) => {
                            assert_eq!(e.kind(), ErrorKind::SnapshotExpired, "{what}: {e:?}");
                            expired += 1;
                        }
                    }
                    match units {
                        Ok(units) => assert_eq!(units, Some("m".into()), "{what}"),
                        Err(e) => assert_eq!(e.kind(), ErrorKind::SnapshotExpired, "{what}: {e:?}"),
                    }
                    if is_over {
                        // And once more, with everything open that it needs.
                        assert!(k > 1, "{what}");
                        match read(&reader).await {
                            Ok(data) => assert!(data.iter().all(|v| *v == 1), "{what}"),
                            // A server gives nothing more of what was deleted.
                            Err(e) if on_server() => {
                                assert_eq!(e.kind(), ErrorKind::SnapshotExpired, "{what}: {e:?}");
                            }
                            Err(e) => panic!("{what}: {e}"),
                        }
                        break;
                    }
                }
            }
        }
        assert!(own > 20 && expired > 2, "{own} {expired}");
    });
}

/// Line 6: A cache returns the bytes of an older file at the same path, or of another store.
#[test]
fn never_06_a_cache_returns_bytes_of_an_older_file_or_another_store() {
    block_on(async {
        let cache = DeltaCache::new(64 << 20);
        let config = || FileConfig::new(NoCompression).with_cache(cache.clone());
        let stores = [scratch(), scratch()];
        for round in 0..4i32 {
            for (number, store) in stores.iter().enumerate() {
                let wanted = 10 * round + number as i32;
                match round {
                    0 => {}
                    // Deleted and created anew, or replaced.
                    1 => Event::Deletion.happen(store).await,
                    _ => {}
                }
                let config_of_writer = config().with_overwrite(round > 1);
                let mut file = ArrayFile::create(store, NAME, config_of_writer).await.unwrap();
                // The same name, sizes, places, versions.
                large(&mut file, wanted).await;
                file.set_attribute("large", "n", wanted).await.unwrap();
                file.flush().await.unwrap();
            }
            for (number, store) in stores.iter().enumerate() {
                let wanted = 10 * round + number as i32;
                for again in [false, true] {
                    let file = ArrayFile::open(store, NAME, config()).await.unwrap();
                    let found = read(&file).await.unwrap();
                    assert!(found.iter().all(|v| *v == wanted), "round {round}, store {number}");
                    let n = file.attribute("large", "n").await.unwrap();
                    assert_eq!(n, Some(wanted.into()), "round {round}, store {number}");
                    let max = file.statistics("large").await.unwrap().statistics.max().cloned();
                    assert_eq!(max, Some(wanted.into()), "round {round}, store {number}");
                    let counters = file.counters();
                    assert!(
                        !again || (counters.cache_hits > 2 && counters.decoded_blocks == 0),
                        "{counters:?}"
                    );
                }
            }
        }
    });
}

/// Line 10: `compact` publishes unflushed writes, or deletes before it has published.
#[test]
fn never_10_compact_publishes_unflushed_writes_or_deletes_first() {
    block_on(async {
        let disk = scratch();
        let mut file = created(&disk, 1).await;
        put(&mut file, [0, 0], 2, &[8, 8]).await;
        file.flush().await.unwrap();
        let counting = CountingStorage::new(disk.clone());
        let mut file = ArrayFile::open(counting.clone(), NAME, no_cache()).await.unwrap();
        put(&mut file, [0, 0], 3, &[8, 8]).await;
        file.set_attribute("grid", "units", "m").await.unwrap();
        file.define_array::<i32>("new", vec![], vec![], None, Some(4)).unwrap();
        counting.reset();
        file.compact().await.unwrap();

        let found = fresh(&disk, "compacted").await;
        assert_eq!((value(&found.snapshot()).await, found.num_layers()), (2, 1));
        assert_eq!(found.list_arrays().await.unwrap(), ["grid"]);
        assert_eq!(found.attribute("grid", "units").await.unwrap(), None);
        assert!(file.has_pending());
        assert_eq!(value(&file.snapshot()).await, 3);
        let log = counting.log();
        let places = |wanted: &[Operation]| {
            let of = log.iter().enumerate().filter(|(_, l)| wanted.contains(&l.operation));
            of.map(|(at, _)| at).collect::<Vec<_>>()
        };
        let published = places(&[Operation::Finish, Operation::Promote]);
        let deleted = places(&[Operation::Delete]);
        assert_eq!(published.len(), 2, "the merged layer, and then the base");
        assert!(deleted.len() >= 2 && deleted[0] > published[1], "{published:?} {deleted:?}");

        assert_eq!(file.flush().await.unwrap(), 4);
        let found = fresh(&disk, "flushed").await;
        assert_eq!((value(&found.snapshot()).await, found.list_arrays().await.unwrap().len()), (3, 2));
        assert_eq!(found.attribute("grid", "units").await.unwrap(), Some("m".into()));
    });
}

/// Line 11: `create` over an existing file resurrects its arrays; a user's own `run.1.af` is taken for, or overwritten by, a layer of
/// `run.af`; a missing or foreign layer goes unnoticed.
#[test]
fn never_11_files_are_resurrected_mistaken_or_missed() {
    block_on(async {
        resurrected().await;
        mistaken().await;
        missed().await;
    });
}

async fn resurrected() {
    // The process dies at any operation of the replacement, so that layers of the old file may stay.
    for k in 0.. {
        let disk = scratch();
        let mut old = created(&disk, 1).await;
        put(&mut old, [0, 0], 2, &[8, 8]).await;
        old.flush().await.unwrap();
        let refused = ArrayFile::create(&disk, NAME, no_cache()).await;
        assert_eq!(kind(refused, "run.af"), ErrorKind::AlreadyExists);
        assert_eq!(value(&open(&disk).await.snapshot()).await, 2, "nothing was changed");

        let failing = FailingStorage::new(disk.clone());
        failing.die_at(k, FailMode::FailBefore);
        let config = no_cache().with_overwrite(true);
        let created = ArrayFile::create(failing.clone(), NAME, config).await.is_ok();
        let mut new = fresh(&disk, "replaced").await;
        if new.version() == 2 {
            assert!(!created);
            continue;
        }
        for round in 0..4 {
            let what = format!("died at {k}, round {round}");
            assert_eq!((new.version(), new.list_arrays().await.unwrap()), (round, vec![]), "{what}");
            assert_eq!(new.attribute("", "n").await.unwrap().is_some(), round > 0, "{what}");
            new.set_attribute("", "n", round as i64).await.unwrap();
            new.flush().await.unwrap();
            new = fresh(&disk, &what).await;
        }
        assert_eq!(old.refresh().await.unwrap_err().kind(), ErrorKind::SnapshotExpired);
        new.compact().await.unwrap();
        assert_eq!(fresh(&disk, "compacted").await.list_arrays().await.unwrap(), [""; 0]);
        if created {
            break;
        }
    }
}

async fn mistaken() {
    let disk = scratch();
    let theirs = ["run.1.af", "run.af.1", "run.af.layers/1", "run.af.layers/notes.txt", "run.af.tmp"];
    for path in theirs {
        put_object(&disk, path, b"a user's own").await;
    }
    let mut file = created(&disk, 1).await;
    for round in 2..5 {
        put(&mut file, [0, 0], round, &[8, 8]).await;
        file.flush().await.unwrap();
        assert_eq!(value(&fresh(&disk, "others beside it").await.snapshot()).await, round);
    }
    file.compact().await.unwrap();
    file.garbage_collect(Default::default()).await.unwrap();
    assert_eq!(value(&fresh(&disk, "compacted").await.snapshot()).await, 4);
    for path in theirs {
        assert_eq!(bytes_of(&disk, path).await, b"a user's own", "{path}");
    }
}

async fn missed() {
    let disk = scratch();
    let mut file = created(&disk, 1).await;
    let other: Arc<dyn Storage> = Arc::new(InMemoryStorage::new());
    let mut stranger = created(&other, 7).await;
    for round in 2..4 {
        put(&mut file, [0, 0], round, &[4, 4]).await;
        file.flush().await.unwrap();
        put(&mut stranger, [0, 0], 7, &[4, 4]).await;
        stranger.flush().await.unwrap();
    }
    // Layers of another file, under names of their own: not part of this one.
    let strange = other.list(FOLDER).await.unwrap();
    for layer in &strange {
        let path = format!("{FOLDER}/{}", layer.name);
        put_object(&disk, &path, &bytes_of(&other, &path).await).await;
    }
    let grid = grid(&fresh(&disk, "with a stranger's layers").await).await.unwrap();
    assert_eq!((grid[[0, 0]], grid[[7, 7]]), (3, 1));
    for layer in &strange {
        disk.delete(&format!("{FOLDER}/{}", layer.name)).await.unwrap();
    }
    // Under names of ours, or nothing under the name. Version 3 needs layer 1.
    let own = disk.list(FOLDER).await.unwrap();
    for (number, instead) in [(1, None), (3, Some(2)), (1, Some(0))] {
        let what = format!("layer {number} is {instead:?} of the stranger");
        let path = format!("{FOLDER}/{}", own[number - 1].name);
        let bytes = bytes_of(&disk, &path).await;
        disk.delete(&path).await.unwrap();
        if let Some(instead) = instead {
            let strange = bytes_of(&other, &format!("{FOLDER}/{}", strange[instead].name)).await;
            put_object(&disk, &path, &strange).await;
        }
        let noticed = match ArrayFile::open(&disk, NAME, no_cache()).await {
            Ok(file) => file.read_array::<i32>("grid", vec![], vec![]).await.map(drop),
            Err(e) => Err(e),
        };
        let e = noticed.unwrap_err();
        assert_eq!((e.kind(), e.layer()), (ErrorKind::Corrupt, Some(&*number.to_string())), "{what}: {e:?}");
        drop(disk.delete(&path).await);
        put_object(&disk, &path, &bytes).await;
    }
    fresh(&disk, "all there again").await;
}
