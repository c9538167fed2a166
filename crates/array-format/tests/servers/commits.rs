//! Versions on real servers: writers beside each other, large flushes, maintenance.

use std::thread;
use std::time::Duration;

use array_format::blocking::wait;
use array_format::storage::Place;
use array_format::{ArrayFile, ErrorKind, FileConfig, GcOptions, VerifyOptions};
use ndarray::{Array, ArrayD};

use super::{HONEST, place};

const WRITERS: usize = 4;
const COMMITS: usize = 10;

fn counter(writer: usize) -> String {
    format!("writer{writer}")
}

/// Every writer counts in an array of its own; half of its commits also touch one that all share. Returns how often it was told that the
/// shared one changed under its hands.
fn write(place: &Place, writer: usize) -> usize {
    let mut conflicts = 0;
    let mut file = wait(ArrayFile::open_at(place.clone(), FileConfig::default())).unwrap();
    for i in 1..=COMMITS {
        loop {
            let own = Array::from_elem(1, i as i64).into_dyn();
            wait(file.write_array(&counter(writer), vec![0], own.view())).unwrap();
            if i % 2 == 0 {
                let shared: ArrayD<i64> = wait(file.read_array("shared", vec![], vec![])).unwrap();
                wait(file.write_array("shared", vec![0], (shared + 1).view())).unwrap();
            }
            match wait(file.flush()) {
                Ok(_) => break,
                Err(e) if e.kind() == ErrorKind::Conflict => {
                    conflicts += 1;
                    file = wait(ArrayFile::open_at(place.clone(), FileConfig::default())).unwrap();
                }
                Err(e) => panic!("{e}"),
            }
        }
    }
    conflicts
}

#[test]
fn writers_beside_each_other_lose_nothing_and_readers_see_whole_versions() {
    for server in HONEST {
        let Some(place) = place(server, "race") else { continue };
        let mut file = wait(ArrayFile::create_at(place.clone(), FileConfig::default())).unwrap();
        for name in (0..WRITERS).map(counter).chain(["shared".into()]) {
            file.define_array::<i64>(&name, vec!["n".into()], vec![1], None, None).unwrap();
        }
        wait(file.flush()).unwrap();
        let value = |file: &ArrayFile, name: &str| -> i64 {
            wait(file.read_array::<i64>(name, vec![], vec![])).unwrap()[[0]]
        };
        let conflicts: usize = thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|w| {
                    scope.spawn({
                        let place = place.clone();
                        move || write(&place, w)
                    })
                })
                .collect();
            while !writers.iter().all(thread::ScopedJoinHandle::is_finished) {
                let now = wait(ArrayFile::open_at(place.clone(), FileConfig::default())).unwrap();
                // A version has all of a commit: the shared count is that of all even commits.
                let even: i64 = (0..WRITERS).map(|w| value(&now, &counter(w)) / 2).sum();
                assert_eq!(value(&now, "shared"), even, "{server}: a torn version");
            }
            writers.into_iter().map(|w| w.join().unwrap()).sum()
        });
        let mut file = wait(ArrayFile::open_at(place.clone(), FileConfig::default())).unwrap();
        for w in 0..WRITERS {
            assert_eq!(value(&file, &counter(w)), COMMITS as i64, "{server}");
        }
        assert_eq!(value(&file, "shared"), (WRITERS * COMMITS / 2) as i64, "{server}: {conflicts} conflicts");
        assert_eq!(file.version(), (1 + WRITERS * COMMITS) as u64, "{server}: each commit is one version");
        wait(file.compact()).unwrap();
        let report = wait(file.verify(VerifyOptions::default())).unwrap();
        assert!(report.is_clean(), "{server}: {report:?}");
        assert_eq!(value(&file, "shared"), (WRITERS * COMMITS / 2) as i64, "{server}");
    }
}

/// What a writer that died has left of an upload is found by the collection of another process, once it is old enough.
#[test]
fn uploads_that_nobody_ended_are_collected() {
    for server in ["MOTO", "SEAWEEDFS"] {
        let Some(place) = place(server, "dead") else { continue };
        let mut file = wait(ArrayFile::create_at(place.clone(), FileConfig::default())).unwrap();
        let begin = |name: &str| {
            let mut upload = wait(place.storage.upload_unique(name)).unwrap();
            wait(upload.write(vec![7; 40 << 20].into())).unwrap();
            // As if the process were gone: nothing is cleaned up.
            std::mem::forget(upload);
        };
        begin(&format!("{}.layers/0123.blocks", place.path));
        begin(&format!("{}.of-another.af", place.path));
        assert_eq!(
            wait(file.garbage_collect(GcOptions::default())).unwrap().swept,
            0,
            "{server}: young ones stay"
        );
        let now = GcOptions::default().abandoned_after(Duration::ZERO);
        assert_eq!(wait(file.garbage_collect(now)).unwrap().swept, 1, "{server}: its own one");
        assert_eq!(wait(file.garbage_collect(now)).unwrap().swept, 0, "{server}");
    }
}

#[test]
fn a_flush_larger_than_one_upload_reads_back() {
    for server in HONEST {
        let Some(place) = place(server, "large") else { continue };
        let mut file = wait(ArrayFile::create_at(place.clone(), FileConfig::default())).unwrap();
        // 40 MB that do not compress.
        let n = 10_000_000;
        file.define_array::<i32>("noise", vec!["n".into()], vec![n as u64], Some(vec![1 << 18]), None)
            .unwrap();
        let mut state = 1u64;
        let data = Array::from_shape_simple_fn(n, || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 32) as i32
        });
        wait(file.write_array("noise", vec![0], data.view().into_dyn())).unwrap();
        wait(file.flush()).unwrap();
        let file = wait(ArrayFile::open_at(place, FileConfig::default())).unwrap();
        let back: ArrayD<i32> = wait(file.read_array("noise", vec![], vec![])).unwrap();
        assert_eq!(back, data.into_dyn(), "{server}");
    }
}
