//! What is measured: workloads in phases. Each phase of each peer runs in a process of its own, so that no cache of the process is
//! warm unless the phase warms it, and peak memory is that of the phase.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::data::{self, Dice, Profiles, Values, Volume};
use crate::limit;
use crate::peer::{Compression, OpenVolume, Peer};

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
    Workload { name: "updates", title: "U: commits of one 40 KB chunk, synced", phases: &["commits"] },
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
        "grid-zstd3" => grid(peer, phase, c, &data::grid, Compression::Zstd3),
        "grid" => grid(peer, phase, c, &data::grid, Compression::Default),
        "voxels" => grid(peer, phase, c, &data::voxel_volume, Compression::None),
        "voxels-zstd3" => grid(peer, phase, c, &data::voxel_volume, Compression::Zstd3),
        "profiles" => profiles(peer, phase, c),
        "updates" => updates(peer, c),
        "catalogue" => catalogue(peer, phase, c),
        "remote" => remote(peer),
        "integers" => integers(peer, phase, c),
        _ => bail!("no workload {workload:?}"),
    }
}

fn at(values: &Values, i: usize) -> f64 {
    match values {
        Values::F32(v) => f64::from(v[i]),
        Values::U16(v) => f64::from(v[i]),
    }
}

/// Compares a box that was read with the volume, element by element.
fn check(volume: &Volume, start: [u64; 3], shape: [u64; 3], found: &Values) -> Result<()> {
    let n: u64 = shape.iter().product();
    ensure!(found.len() as u64 == n, "{} elements instead of {n}", found.len());
    let [_, ny, nx] = volume.shape;
    let mut i = 0;
    for z in start[0]..start[0] + shape[0] {
        for y in start[1]..start[1] + shape[1] {
            for x in start[2]..start[2] + shape[2] {
                let expected = at(&volume.values, ((z * ny + y) * nx + x) as usize);
                ensure!(
                    at(found, i) == expected,
                    "at {:?}: {} instead of {expected}",
                    [z, y, x],
                    at(found, i)
                );
                i += 1;
            }
        }
    }
    Ok(())
}

fn grid(
    peer: &dyn Peer,
    phase: &str,
    c: &Context,
    make: &dyn Fn(&Path) -> Result<Volume>,
    how: Compression,
) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    // The volume is in memory for the check; reading phases look at it only after the clock has stopped.
    if phase == "write" {
        let volume = make(&c.data)?;
        timed(&mut steps, "write", || peer.write_volume(&c.dir, &volume, how))?;
        steps[0].bytes = Some(folder_bytes(&c.dir));
        return Ok(steps);
    }
    let whole = |open: &dyn OpenVolume, shape: [u64; 3]| open.read([0; 3], shape);
    let (shape, chunk) = if how == Compression::None || c.dir.ends_with("voxels-zstd3") {
        ([512; 3], [128; 3])
    } else {
        ([64, 720, 1440], [4, 180, 360])
    };
    match phase {
        "read" => {
            let (open, first) = timed(&mut steps, "open and read", || {
                let open = peer.open_volume(&c.dir)?;
                let first = whole(&*open, shape)?;
                Ok((open, first))
            })?;
            drop(first);
            let again = timed(&mut steps, "read again", || whole(&*open, shape))?;
            check(&make(&c.data)?, [0; 3], shape, &again)?;
        }
        "series" => {
            let mut dice = Dice::new(4);
            let points: Vec<[u64; 3]> =
                (0..100).map(|_| [0, dice.below(shape[1]), dice.below(shape[2])]).collect();
            let found = timed(&mut steps, "100 series", || {
                let open = peer.open_volume(&c.dir)?;
                points.iter().map(|p| open.read(*p, [shape[0], 1, 1])).collect::<Result<Vec<_>>>()
            })?;
            let volume = make(&c.data)?;
            for (p, found) in points.iter().zip(&found) {
                check(&volume, *p, [shape[0], 1, 1], found)?;
            }
        }
        "maps" => {
            let mut dice = Dice::new(5);
            let times: Vec<[u64; 3]> = (0..20).map(|_| [dice.below(shape[0]), 0, 0]).collect();
            let found = timed(&mut steps, "20 maps", || {
                let open = peer.open_volume(&c.dir)?;
                times.iter().map(|p| open.read(*p, [1, shape[1], shape[2]])).collect::<Result<Vec<_>>>()
            })?;
            let volume = make(&c.data)?;
            for (p, found) in times.iter().zip(&found) {
                check(&volume, *p, [1, shape[1], shape[2]], found)?;
            }
        }
        "chunks" => {
            let mut starts = Vec::new();
            for z in (0..shape[0]).step_by(chunk[0] as usize) {
                for y in (0..shape[1]).step_by(chunk[1] as usize) {
                    for x in (0..shape[2]).step_by(chunk[2] as usize) {
                        starts.push([z, y, x]);
                    }
                }
            }
            let open = peer.open_volume(&c.dir)?;
            timed(&mut steps, "chunks, 1 thread", || {
                starts.iter().try_for_each(|s| open.read_alone(*s, chunk).map(drop))
            })?;
            let open = peer.open_volume(&c.dir)?;
            timed(&mut steps, "chunks, 2 threads", || {
                std::thread::scope(|scope| {
                    let half = |odd: usize| {
                        let (starts, open) = (&starts, &open);
                        move || {
                            starts
                                .iter()
                                .skip(odd)
                                .step_by(2)
                                .try_for_each(|s| open.read_alone(*s, chunk).map(drop))
                        }
                    };
                    let other = scope.spawn(half(1));
                    half(0)()?;
                    other.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?
                })
            })?;
        }
        _ => bail!("no phase {phase:?}"),
    }
    Ok(steps)
}

fn profiles(peer: &dyn Peer, phase: &str, c: &Context) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let n = c.profiles as u64;
    match phase {
        "write" => {
            let profiles = Profiles::new(c.profiles);
            timed(&mut steps, "write", || peer.write_profiles(&c.dir, &profiles))?;
            steps[0].bytes = Some(folder_bytes(&c.dir));
        }
        "first" => {
            let found = timed(&mut steps, "open and read one", || {
                peer.open_profiles(&c.dir)?.read(&Profiles::name(c.profiles / 3))
            })?;
            ensure!(found == Profiles::new(c.profiles).values(c.profiles / 3), "wrong values");
        }
        "random" => {
            let mut dice = Dice::new(6);
            let which: Vec<usize> = (0..1000).map(|_| dice.below(n) as usize).collect();
            let names: Vec<String> = which.iter().map(|i| Profiles::name(*i)).collect();
            let open = peer.open_profiles(&c.dir)?;
            let single = timed(&mut steps, "1,000 random, one by one", || {
                names.iter().map(|n| open.read(n)).collect::<Result<Vec<_>>>()
            })?;
            let open = peer.open_profiles(&c.dir)?;
            let batch = timed(&mut steps, "1,000 random, one batch", || open.read_batch(&names))?;
            let profiles = Profiles::new(c.profiles);
            for ((i, single), batch) in which.iter().zip(&single).zip(&batch) {
                ensure!(single == profiles.values(*i) && batch == single, "wrong values of {i}");
            }
        }
        "all" => {
            let names: Vec<String> = (0..c.profiles).map(Profiles::name).collect();
            let open = peer.open_profiles(&c.dir)?;
            let singles = timed(&mut steps, "all, one by one", || {
                names.iter().map(|n| Ok(open.read(n)?.len())).sum::<Result<usize>>()
            })?;
            let open = peer.open_profiles(&c.dir)?;
            let batches = timed(&mut steps, "all, in batches of 10,000", || {
                names
                    .chunks(10_000)
                    .map(|b| Ok(open.read_batch(b)?.iter().map(Vec::len).sum::<usize>()))
                    .sum::<Result<usize>>()
            })?;
            let open = peer.open_profiles(&c.dir)?;
            let ragged = timed(&mut steps, "all, in batches one behind the other", || {
                names.chunks(10_000).map(|b| Ok(open.read_ragged(b)?.len())).sum::<Result<usize>>()
            })?;
            ensure!(singles == batches && batches == ragged, "{singles}, {batches}, {ragged} elements");
        }
        "attribute" => {
            let found =
                timed(&mut steps, "one attribute of all", || peer.open_profiles(&c.dir)?.count_cycle_7())?;
            let expected = (0..c.profiles).filter(|i| i % 300 == 7).count();
            ensure!(found == expected, "{found} instead of {expected}");
        }
        "maxima" => {
            let found = timed(&mut steps, "maxima of all", || peer.open_profiles(&c.dir)?.sum_of_maxima())?;
            let profiles = Profiles::new(c.profiles);
            let expected: f64 = (0..c.profiles).map(|i| maximum(profiles.values(i))).sum();
            ensure!((found - expected).abs() < 1e-3, "{found} instead of {expected}");
        }
        "pruned" => {
            let found = timed(&mut steps, "pruning by both", || peer.open_profiles(&c.dir)?.count_pruned())?;
            let profiles = Profiles::new(c.profiles);
            let expected =
                (0..c.profiles).filter(|i| i % 300 == 7 && maximum(profiles.values(*i)) > 29.0).count();
            ensure!(found == expected, "{found} instead of {expected}");
        }
        _ => bail!("no phase {phase:?}"),
    }
    Ok(steps)
}

fn maximum(values: &[f32]) -> f64 {
    f64::from(values.iter().copied().fold(f32::MIN, f32::max))
}

fn updates(peer: &dyn Peer, c: &Context) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let n = c.commits as u64;
    let mut file = peer.updates(&c.dir, c.commits)?;
    let parts = [
        ("commits, first tenth", 0..n / 10),
        ("commits, middle", n / 10..n - n / 10),
        ("commits, last tenth", n - n / 10..n),
    ];
    for (name, part) in parts {
        timed(&mut steps, name, || part.clone().try_for_each(|i| file.commit(i, i as f32)))?;
    }
    let expected: f64 = (0..n).map(|i| 10_000.0 * i as f64 + 10_000.0 * 9_999.0 / 2.0).sum();
    let sum = timed(&mut steps, "open and read all", || file.reopen_and_sum())?;
    ensure!(sum == expected, "{sum} instead of {expected}");
    if timed(&mut steps, "compact", || file.compact()).is_ok() {
        let sum = timed(&mut steps, "open and read all, compacted", || file.reopen_and_sum())?;
        ensure!(sum == expected, "{sum} instead of {expected}");
    }
    Ok(steps)
}

/// Commits of one new array each into a file of many. What is left of the time without a disk is computing.
fn catalogue(peer: &dyn Peer, phase: &str, c: &Context) -> Result<Vec<Step>> {
    const COMMITS: usize = 20;
    let mut steps = Vec::new();
    if phase == "write" {
        let profiles = Profiles::new(c.profiles * 5);
        timed(&mut steps, "write", || peer.write_profiles(&c.dir, &profiles))?;
        steps[0].bytes = Some(folder_bytes(&c.dir));
        return Ok(steps);
    }
    // Other names in each round: those of the one before are taken.
    let mut dice = Dice::new(folder_bytes(&c.dir));
    let values: Vec<Vec<f32>> = (0..COMMITS).map(|_| (0..16_384).map(|_| dice.unit()).collect()).collect();
    for (name, on_disk) in [("20 commits, in memory", false), ("20 commits, on disk", true)] {
        let mut file = peer.open_catalogue(&c.dir, on_disk)?;
        let names: Vec<String> =
            (0..COMMITS).map(|_| format!("{}_new", Profiles::name(dice.below(1 << 20) as usize))).collect();
        timed(&mut steps, name, || names.iter().zip(&values).try_for_each(|(n, v)| file.add(n, v)))?;
        let (read, written) = file.traffic()?;
        let most = COMMITS as u64 * (256 << 10);
        ensure!(read.max(written) <= most, "{read} bytes read and {written} written for {COMMITS} commits");
    }
    Ok(steps)
}

/// A region of 32 chunks that do not lie beside each other, so that each takes a request.
fn remote(peer: &dyn Peer) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let shape = [32, 256, 1024];
    let mut dice = Dice::new(8);
    let values = (0..shape.iter().product()).map(|_| dice.unit()).collect();
    let volume = Volume { shape, chunk: [1, 256, 256], values: Values::F32(values) };
    let mut far = peer.far_volume(&volume, Duration::from_millis(10))?;
    timed(&mut steps, "open", || far.open())?;
    let before = far.requests();
    let found = timed(&mut steps, "32 chunks", || far.read([0; 3], [32, 256, 256]))?;
    let requests = far.requests() - before;
    ensure!((32..=33).contains(&requests), "{requests} requests for 32 chunks");
    check(&volume, [0; 3], [32, 256, 256], &found)?;
    Ok(steps)
}

fn integers(peer: &dyn Peer, phase: &str, c: &Context) -> Result<Vec<Step>> {
    const COUNT: usize = 25_000;
    let mut steps = Vec::new();
    match phase {
        "write" => {
            let all: Vec<Vec<i32>> = (0..COUNT).map(data::integers).collect();
            timed(&mut steps, "write", || peer.write_integers(&c.dir, COUNT, &|i| all[i].clone()))?;
            steps[0].bytes = Some(folder_bytes(&c.dir));
        }
        _ => {
            let sum = timed(&mut steps, "open and read all", || peer.sum_integers(&c.dir, COUNT))?;
            let expected: i64 = (0..COUNT).flat_map(data::integers).map(i64::from).sum();
            ensure!(sum == expected, "{sum} instead of {expected}");
        }
    }
    Ok(steps)
}

/// Numbers of a block that small arrays share.
const BLOCK_NUMBERS: usize = 2048;

/// What no format can beat, for the phases that have such a limit.
pub fn limits(workload: &str, phase: &str, c: &Context) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    if (workload, phase) == ("profiles", "all") {
        let profiles = Profiles::new(c.profiles);
        let blocks: Vec<&[f32]> = profiles.all().chunks(BLOCK_NUMBERS).collect();
        let stored = limit::compress_numbers(&blocks)?;
        let raw = profiles.all().len();
        drop(profiles);
        for name in ["all, in batches of 10,000", "all, in batches one behind the other"] {
            timed(&mut steps, name, || Ok(std::hint::black_box(limit::decompress_numbers(&stored, raw)?)))?;
        }
        return Ok(steps);
    }
    let (volume, how) = match workload {
        "grid-zstd3" => (data::grid(&c.data)?, Compression::Zstd3),
        "grid" => (data::grid(&c.data)?, Compression::Default),
        "voxels" => (data::voxel_volume(&c.data)?, Compression::None),
        "voxels-zstd3" => (data::voxel_volume(&c.data)?, Compression::Zstd3),
        _ => return Ok(steps),
    };
    let chunks = limit::chunks(&volume);
    let raw = chunks.first().map_or(0, Vec::len);
    drop(volume);
    if phase == "write" {
        let stored = timed(&mut steps, "write", || limit::compress(&chunks, how))?;
        steps[0].bytes = Some(stored.iter().map(|c| c.len() as u64).sum());
        return Ok(steps);
    }
    // A map needs the first quarter of the raw bytes of each of its chunks.
    let (pieces, count, name) = match phase {
        "read" => (chunks, 1, "open and read"),
        "maps" => {
            let quarter = raw / 4;
            let maps: Vec<Vec<u8>> = chunks.iter().take(16).map(|c| c[..quarter].to_vec()).collect();
            (maps, 20, "20 maps")
        }
        _ => return Ok(steps),
    };
    let raw = pieces.first().map_or(0, Vec::len);
    let stored = limit::compress(&pieces, how)?;
    drop(pieces);
    // Kept, as the peers keep what they read: memory that is freed and had again would not be fresh.
    timed(&mut steps, name, || {
        (0..count).map(|_| limit::decompress(&stored, raw, how)).collect::<Result<Vec<_>>>()
    })?;
    Ok(steps)
}
