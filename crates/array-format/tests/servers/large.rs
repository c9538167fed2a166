//! A flush that is much larger than memory. With `AF_LARGE_FLUSH=1` of numbers that do not compress, so that 6 GiB arrive at the store.

use std::process::Command;
use std::time::Duration;

use array_format::blocking::wait;
use array_format::{ArrayFile, FileConfig};
use ndarray::{Array, ArrayD};

use super::faults::through;
use super::{direct, fresh};

const SLABS: u64 = 96;
/// f64 elements of a slab: 64 MiB.
const SLAB: usize = 8 << 20;
/// What the process may take, with the slab that the caller holds.
const MOST_BYTES: u64 = 256 << 20;

fn slab(i: u64) -> ArrayD<f64> {
    if std::env::var_os("AF_LARGE_FLUSH").is_some() {
        let mut state = i;
        return Array::from_shape_simple_fn([1, SLAB], || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from_bits(state >> 2)
        })
        .into_dyn();
    }
    // Compressible, so that time and disk allow it, but no two chunks are equal.
    Array::from_shape_fn([1, SLAB], |(_, j)| (i * 1000 + (j as u64 >> 10)) as f64).into_dyn()
}

/// What the process is told: endpoint and path.
const LARGE: &str = "AF_TEST_LARGE";

/// Peak of resident memory so far.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() << 10
}

/// Not a test by itself: the process whose memory is measured.
#[test]
fn writer_of_six_gibibytes() {
    let Ok(told) = std::env::var(LARGE) else { return };
    let (endpoint, path) = told.split_once(' ').unwrap();
    let place = through(endpoint, path, Duration::from_secs(120));
    let mut file = wait(ArrayFile::create_at(place.clone(), FileConfig::default())).unwrap();
    let dimensions = vec!["slab".into(), "x".into()];
    file.define_array::<f64>("x", dimensions, vec![SLABS, SLAB as u64], Some(vec![1, 1 << 18]), None)
        .unwrap();
    for i in 0..SLABS {
        wait(file.write_array("x", vec![i, 0], slab(i).view())).unwrap();
    }
    assert_eq!(wait(file.flush()).unwrap(), 1, "all of it in one version");
    println!("peak {} MiB, {} MB stored", peak() >> 20, file.usage().object_bytes / 1_000_000);
    assert!(peak() <= MOST_BYTES, "{} MiB", peak() >> 20);
    let file = wait(ArrayFile::open_at(place, FileConfig::default())).unwrap();
    for i in [0, SLABS / 2, SLABS - 1] {
        let found = wait(file.read_array::<f64>("x", vec![i, 0], vec![1, SLAB as u64])).unwrap();
        assert_eq!(found, slab(i));
    }
}

#[test]
fn six_gibibytes_in_one_version_take_256_mib_of_memory() {
    let Some(endpoint) = direct("SEAWEEDFS") else { return };
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "large::writer_of_six_gibibytes", "--nocapture"])
        .env(LARGE, format!("{endpoint} {}/large.af", fresh("large")))
        .status()
        .unwrap();
    assert!(status.success());
}
