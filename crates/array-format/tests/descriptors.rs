//! A file of more layers than the process may have files open.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::ops::Range;

use array_format::blocking::wait;
use array_format::*;
use ndarray::Array1;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Arrays and the elements of a chunk: those of `framed` are cut into frames, those of `late` are written by a worker each.
const ARRAYS: [(&str, u64); 3] = [("framed", 1 << 13), ("whole", 1 << 12), ("late", 1 << 13)];

/// The only test here: the limit is of the whole process.
#[test]
fn every_operation_does_with_fewer_descriptors_than_there_are_layers() {
    let cores = std::thread::available_parallelism().unwrap().get() as u64;
    let limit = 64 + 2 * cores;
    let layers = limit + 40;
    let mut limits = getrlimit(Resource::Nofile);
    limits.current = Some(limit);
    setrlimit(Resource::Nofile, limits).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.af");
    let config = || FileConfig::default().with_frame_bytes(4 << 10).with_cache(DeltaCache::new(1 << 20));
    let mut file = wait(ArrayFile::create_path(&path, config())).unwrap();
    for (name, chunk) in ARRAYS {
        file.define_array::<f32>(name, vec!["n".into()], vec![chunk * layers], Some(vec![chunk]), None)
            .unwrap();
    }
    wait(file.flush()).unwrap();
    let value = |i: u64| (i as f32 * 0.37).sin();
    let values = |range: Range<u64>| Array1::from_iter(range.map(value)).into_dyn();
    let name = |i: u64| format!("small/{i:04}");
    let small = |i: u64| values(3 * i..3 * i + 3);
    let write = |file: &mut ArrayFile, (name, chunk): (&str, u64), i: u64| {
        let data = values(chunk * i..chunk * (i + 1));
        wait(file.write_array(name, vec![chunk * i], data.view())).unwrap();
    };
    for i in 0..layers {
        write(&mut file, ARRAYS[0], i);
        write(&mut file, ARRAYS[1], i);
        file.define_array::<f32>(&name(i), vec!["k".into()], vec![3], None, None).unwrap();
        wait(file.write_array(&name(i), vec![], small(i).view())).unwrap();
        wait(file.set_attribute(&name(i), "cast", i as i64)).unwrap();
        wait(file.flush()).unwrap();
    }
    let mut receipts = Vec::new();
    for i in 0..layers {
        let mut worker = wait(ArrayFile::open_path(&path, config())).unwrap();
        write(&mut worker, ARRAYS[2], i);
        receipts.push(wait(worker.detach()).unwrap());
    }
    wait(file.join(&receipts)).unwrap();
    wait(file.flush()).unwrap();
    drop(file);

    let names: Vec<String> = (0..layers).map(name).collect();
    let check = |file: &ArrayFile| {
        for (name, chunk) in ARRAYS {
            let read = wait(file.read_array::<f32>(name, vec![], vec![])).unwrap();
            assert!(read.iter().copied().eq((0..chunk * layers).map(value)), "{name}");
            let steps = wait(file.read_array_steps::<f32>(name, vec![5], vec![layers], vec![chunk])).unwrap();
            assert!(steps.iter().copied().eq((0..layers).map(|i| value(chunk * i + 5))), "{name}");
            assert_eq!(wait(file.chunks(name)).unwrap().len() as u64, layers);
            let counts = wait(file.statistics(name)).unwrap().statistics.counts.unwrap();
            assert_eq!(counts.rows, chunk * layers);
        }
        let many = wait(file.read_many::<f32>(&names, vec![], vec![])).unwrap();
        let ragged = wait(file.read_ragged::<f32>(&names)).unwrap();
        for i in 0..layers {
            assert_eq!(many[i as usize], small(i));
            assert_eq!(ragged.get(i as usize).unwrap(), small(i));
        }
        assert_eq!(wait(file.attribute_column("cast")).unwrap().ids_where(|_| true).len() as u64, layers);
        assert!(wait(file.verify(VerifyOptions::default())).unwrap().is_clean());
    };
    let mut file = wait(ArrayFile::open_path(&path, config())).unwrap();
    assert!(file.num_layers() as u64 > 2 * layers);
    check(&file);
    // Once more, with as many open as are kept.
    check(&file);
    let copied = folder.path().join("copied.af");
    let mut copy = wait(ArrayFile::create_path(&copied, config())).unwrap();
    for name in ARRAYS.into_iter().map(|a| a.0).chain(names.iter().map(String::as_str)) {
        wait(copy.copy_from(&file.snapshot(), name, name)).unwrap();
    }
    wait(copy.flush()).unwrap();
    assert!(wait(file.versions()).unwrap().len() as u64 > layers);
    wait(file.diff(1, layers)).unwrap();
    wait(file.compact()).unwrap();
    check(&file);
}
