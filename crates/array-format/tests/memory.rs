//! Compaction in bounded memory, whatever the size of the file.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

use array_format::blocking::wait;
use array_format::*;
use ndarray::Array1;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const CHUNK: u64 = 32;

/// Bytes that compaction took above what there was, for a file on disk of so many chunks, each in a block of its own.
fn taken(chunks: u64) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.af");
    let config = FileConfig::new(NoCompression).with_block_bytes(1).with_cache(DeltaCache::new(1 << 20));
    let mut file = wait(ArrayFile::create_path(&path, config.clone())).unwrap();
    file.define_array::<f32>("x", vec!["n".into()], vec![chunks * CHUNK], Some(vec![CHUNK]), None).unwrap();
    for start in (0..chunks).step_by(5_000) {
        let n = 5_000.min(chunks - start) * CHUNK;
        let data = Array1::from_shape_fn(n as usize, |i| i as f32).into_dyn();
        wait(file.write_array("x", vec![start * CHUNK], data.view())).unwrap();
        wait(file.flush()).unwrap();
    }
    wait(file.compact()).unwrap();
    wait(file.set_attribute("x", "units", "m")).unwrap();
    wait(file.flush()).unwrap();
    drop(file);
    let mut file = wait(ArrayFile::open_path(&path, config)).unwrap();
    assert!(file.num_layers() > 1);
    PeakAlloc.reset_peak_usage();
    let before = PeakAlloc.current_usage() as u64;
    wait(file.compact()).unwrap();
    let peak = PeakAlloc.peak_usage() as u64 - before;
    assert_eq!((file.num_layers(), file.counters().decoded_blocks), (1, 0));
    let last = wait(file.read_array::<f32>("x", vec![chunks * CHUNK - 1], vec![1])).unwrap();
    assert_eq!(last[[0]], (5_000.min(chunks) * CHUNK - 1) as f32);
    peak
}

#[test]
fn compaction_takes_a_few_bytes_a_block_and_nothing_for_the_data() {
    let (few, many) = (taken(60_000), taken(160_000));
    let slope = many.saturating_sub(few) / 100_000;
    println!("60,000 blocks: {} KiB; 160,000 blocks: {} KiB; {slope} bytes a block", few >> 10, many >> 10);
    // The index pages of a run are listed while it is read: some 60 bytes for 2,048 rows.
    assert!(slope <= 40, "{slope} bytes a block");
    assert!(few < 64 << 20, "{few}");
}
