//! What is measured: workloads in phases. Each phase of each peer runs in a process of its own, so that no cache of the process is
//! warm unless the phase warms it, and peak memory is that of the phase.

mod arrays;
mod commits;
mod limits;
mod volumes;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

pub use self::limits::limits;
use crate::data;
use crate::peer::{Compression, Peer};

/// What a phase found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Step {
    pub name: String,
    pub seconds: f64,
    /// Stored bytes, where that is what counts.
    pub bytes: Option<u64>,
    /// Memory that the step took at most, in bytes, beside what the process had before: the caller's data, and an open file.
    pub peak: u64,
}

/// Where things are, and how large they are.
pub struct Context {
    /// What is made once and kept between runs.
    pub data: PathBuf,
    /// What this peer writes.
    pub dir: PathBuf,
    pub profiles: usize,
    pub commits: usize,
}

pub struct Workload {
    pub name: &'static str,
    pub title: &'static str,
    /// Phases in order; the first writes into an empty folder, the others find what it wrote.
    pub phases: &'static [&'static str],
}

pub const WORKLOADS: &[Workload] = &[
    Workload {
        name: "grid-zstd3",
        title: "G: f32 [64, 720, 1440] in chunks [4, 180, 360], Zstandard 3",
        phases: &["write", "read", "series", "maps"],
    },
    Workload {
        name: "grid",
        title: "G: the same, default settings",
        phases: &["write", "read", "series", "maps"],
    },
    Workload {
        name: "profiles",
        title: "P: small arrays with three attributes each",
        phases: &["write", "first", "random", "all", "attribute", "maxima", "pruned"],
    },
    Workload {
        name: "updates",
        title: "U: commits of one 40 KB chunk, synced",
        phases: &["commits", "open", "read", "compact", "open compacted", "read compacted"],
    },
    Workload {
        name: "catalogue",
        title: "Commits of one chunk of 64 KiB into five times the arrays of P",
        phases: &["write", "commits"],
    },
    Workload {
        name: "remote",
        title: "R: uncompressed chunks of 256 KiB, 10 ms a request",
        phases: &["read"],
    },
    Workload { name: "integers", title: "25,000 arrays of 10,000 i32, LZ4", phases: &["write", "read"] },
    Workload {
        name: "voxels",
        title: "V: u16 [512, 512, 512] in chunks of 128^3, uncompressed",
        phases: &["write", "read", "chunks"],
    },
    Workload {
        name: "voxels-zstd3",
        title: "V: the same, Zstandard 3",
        phases: &["write", "read", "chunks"],
    },
];

/// Forgets the peak of memory so far.
fn forget_peak() {
    // Where it cannot be forgotten, peaks are those of the whole process.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Resident memory of this process: `VmRSS:` now, `VmHWM:` its peak.
fn resident(which: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(which));
    line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn timed<R>(steps: &mut Vec<Step>, name: &str, f: impl FnOnce() -> Result<R>) -> Result<R> {
    forget_peak();
    let before = resident("VmRSS:");
    let start = Instant::now();
    let result = f()?;
    let seconds = start.elapsed().as_secs_f64();
    let peak = resident("VmHWM:").saturating_sub(before);
    steps.push(Step { name: name.to_owned(), seconds, bytes: None, peak });
    Ok(result)
}

/// Bytes of all files below a folder.
fn folder_bytes(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let size = |e: std::fs::DirEntry| match e.metadata() {
        Ok(m) if m.is_dir() => folder_bytes(&e.path()),
        Ok(m) => m.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

/// Runs one phase of a peer.
pub fn run(peer: &dyn Peer, workload: &str, phase: &str, c: &Context) -> Result<Vec<Step>> {
    match workload {
        "grid-zstd3" => volumes::grid(peer, phase, c, &data::grid, Compression::Zstd3),
        "grid" => volumes::grid(peer, phase, c, &data::grid, Compression::Default),
        "voxels" => volumes::grid(peer, phase, c, &data::voxel_volume, Compression::None),
        "voxels-zstd3" => volumes::grid(peer, phase, c, &data::voxel_volume, Compression::Zstd3),
        "profiles" => arrays::profiles(peer, phase, c),
        "updates" => commits::updates(peer, phase, c),
        "catalogue" => commits::catalogue(peer, phase, c),
        "remote" => volumes::remote(peer),
        "integers" => arrays::integers(peer, phase, c),
        _ => bail!("no workload {workload:?}"),
    }
}
