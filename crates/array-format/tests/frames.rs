//! Parts of large chunks: any region, with any steps, reads as a slice of the whole does, whether the storage reads at once or is asked for
//! ranges, and a series at one point touches only the frames that hold it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::sync::Arc;

use array_format::storage::{InMemoryStorage, LocalStorage, Storage};
use array_format::{
    ArrayDefinition, ArrayFile, DeltaCache, FileConfig, IntoStorage, NoCompression, blocking::wait,
};
use ndarray::{Array3, ArrayD, Axis, Slice};
use proptest::prelude::*;

const SHAPE: [usize; 3] = [20, 70, 90];

fn data() -> Array3<f32> {
    // No pattern: the stored blocks stay large, so that parts of them are worth asking for.
    let mut state = 7u32;
    Array3::from_shape_fn(SHAPE, |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32
    })
}

fn written(storage: Arc<dyn Storage>, config: FileConfig, nullable: bool) -> ArrayFile {
    let mut file = wait(ArrayFile::create(storage, "x.af", config)).unwrap();
    let names = ["t", "y", "x"].map(String::from).to_vec();
    let shape = SHAPE.map(|n| n as u64).to_vec();
    let definition = |d: ArrayDefinition| d.chunk_shape(vec![20, 60, 50]);
    if nullable {
        file.define("v", definition(ArrayDefinition::new::<Option<f32>>(names, shape))).unwrap();
        let some = data().map(|v| (*v > 5_000_000.0).then_some(*v));
        wait(file.write_array("v", vec![], some.into_dyn().view())).unwrap();
    } else {
        file.define("v", definition(ArrayDefinition::new::<f32>(names, shape))).unwrap();
        wait(file.write_array("v", vec![], data().into_dyn().view())).unwrap();
    }
    wait(file.flush()).unwrap();
    file
}

/// First, number and step of elements on each axis.
fn region() -> impl Strategy<Value = [(usize, usize, usize); 3]> {
    let axis = |n: usize| {
        (0..n, 1..8usize).prop_flat_map(move |(start, step)| {
            let most = (n - start).div_ceil(step);
            (Just(start), prop_oneof![Just(1), Just(most), 1..=most], Just(step))
        })
    };
    (axis(SHAPE[0]), axis(SHAPE[1]), axis(SHAPE[2])).prop_map(|(a, b, c)| [a, b, c])
}

fn slice<T: Clone>(all: &Array3<T>, region: &[(usize, usize, usize); 3]) -> ArrayD<T> {
    let mut view = all.view();
    for (axis, (start, count, step)) in region.iter().enumerate() {
        let end = start + (count - 1) * step + 1;
        view.slice_axis_inplace(Axis(axis), Slice::new(*start as isize, Some(end as isize), *step as isize));
    }
    view.to_owned().into_dyn()
}

#[test]
fn any_region_of_framed_chunks_is_a_slice_of_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let local: Arc<dyn Storage> = Arc::new(LocalStorage::new(folder.path()));
    let memory: Arc<dyn Storage> = Arc::new(InMemoryStorage::new());
    let small = || FileConfig::new(NoCompression).with_frame_bytes(2048);
    // One cache holds everything, the other hardly anything.
    let forgets = || small().with_cache(DeltaCache::new(50_000));
    let files = [written(local, small(), false), written(memory, forgets(), false)];
    let folder = tempfile::tempdir().unwrap();
    let local: Arc<dyn Storage> = Arc::new(LocalStorage::new(folder.path()));
    let memory: Arc<dyn Storage> = Arc::new(InMemoryStorage::new());
    let nullable = [written(local, forgets(), true), written(memory, small(), true)];
    let all = data();
    let some = all.map(|v| (*v > 5_000_000.0).then_some(*v));
    proptest!(ProptestConfig::with_cases(300), |(region in region())| {
        let each = |f: fn(&(usize, usize, usize)) -> usize| region.iter().map(|a| f(a) as u64).collect::<Vec<_>>();
        let (start, count, step) = (each(|a| a.0), each(|a| a.1), each(|a| a.2));
        for file in &files {
            let read = wait(file.read_array_steps::<f32>("v", start.clone(), count.clone(), step.clone())).unwrap();
            prop_assert_eq!(&read, &slice(&all, &region));
        }
        for file in &nullable {
            let read = wait(file.read_array_steps::<Option<f32>>("v", start.clone(), count.clone(), step.clone()));
            prop_assert_eq!(&read.unwrap(), &slice(&some, &region));
        }
    });
}

/// A series at one point of a chunk of 1.3 MB needs one frame of 1,600 bytes (two rows) of each of 8 slabs, and the table of the frames.
#[test]
fn a_series_reads_only_the_frames_that_hold_it() {
    let folder = tempfile::tempdir().unwrap();
    let local: Arc<dyn Storage> = Arc::new(LocalStorage::new(folder.path()));
    let memory: Arc<dyn Storage> = Arc::new(InMemoryStorage::new());
    for storage in [local, memory] {
        let path = storage.describe("x.af");
        let config = FileConfig::new(NoCompression).with_frame_bytes(2000);
        let mut file = wait(ArrayFile::create(storage.clone(), "x.af", config)).unwrap();
        let names = ["t", "y", "x"].map(String::from).to_vec();
        file.define_array::<f32>("v", names, vec![8, 200, 200], None, None).unwrap();
        let all = Array3::from_shape_fn([8, 200, 200], |(t, y, x)| (t * 40_000 + y * 200 + x) as f32);
        wait(file.write_array("v", vec![], all.view().into_dyn())).unwrap();
        wait(file.flush()).unwrap();
        let file = wait(ArrayFile::open(storage, "x.af", FileConfig::default())).unwrap();
        let before = file.counters();
        let series = wait(file.read_array::<f32>("v", vec![0, 5, 5], vec![8, 1, 1])).unwrap();
        assert_eq!(series, slice(&all, &[(0, 8, 1), (5, 1, 1), (5, 1, 1)]));
        let after = file.counters();
        let (bytes, table) = (after.bytes - before.bytes, 12 * 800 + 4);
        assert_eq!(bytes, table + 8 * 1600, "{path}");
        // Its neighbours lie in the same frames, which are decoded.
        wait(file.read_array::<f32>("v", vec![0, 4, 7], vec![8, 2, 1])).unwrap();
        let again = file.counters();
        assert_eq!(
            (again.bytes, again.decoded_blocks, again.cache_hits),
            (after.bytes, after.decoded_blocks, after.cache_hits + 1),
            "{path}"
        );
    }
}

/// What a disk gives again at once is not worth memory; what takes requests is.
#[test]
fn frames_that_are_read_as_a_whole_are_kept_only_where_it_takes_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let local: Arc<dyn Storage> = Arc::new(LocalStorage::new(folder.path()));
    let remote: Arc<dyn Storage> = Arc::new(object_store::memory::InMemory::new()).into_storage();
    for (storage, decoded) in [(local, 2), (remote, 1)] {
        let file = written(storage, FileConfig::default(), false);
        let before = file.counters().decoded_blocks;
        for _ in 0..2 {
            let whole = wait(file.read_array::<f32>("v", vec![0; 3], vec![20, 60, 50])).unwrap();
            assert_eq!(whole, slice(&data(), &[(0, 20, 1), (0, 60, 1), (0, 50, 1)]));
        }
        assert_eq!(file.counters().decoded_blocks - before, decoded);
    }
}

/// What is large beside the cache would only drive out what is of use, and take memory for nothing.
#[test]
fn a_large_read_leaves_the_cache_alone_also_over_a_network() {
    let remote: Arc<dyn Storage> = Arc::new(object_store::memory::InMemory::new()).into_storage();
    let elements = SHAPE.iter().product::<usize>() as u64;
    for (capacity, keeps) in [(elements * 4 * 5, true), (elements * 4 * 3, false)] {
        let cache = DeltaCache::new(capacity);
        let config = FileConfig::default().with_cache(cache.clone()).with_overwrite(true);
        let file = written(remote.clone(), config, false);
        let before = cache.used_bytes();
        assert_eq!(wait(file.read_array::<f32>("v", vec![], vec![])).unwrap(), data().into_dyn());
        let kept = cache.used_bytes() - before;
        assert_eq!(kept > elements * 2, keeps, "{kept} bytes of {capacity}");
    }
}
