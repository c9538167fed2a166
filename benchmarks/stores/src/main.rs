//! Reads from an object store, beside its bare client, which is the limit: `scripts/servers.sh cargo run --release --manifest-path
//! benchmarks/stores/Cargo.toml [FOLDER OF THE DATA]`.
//!
//! The field of the other benchmarks (f32 [64, 720, 1440] in chunks [4, 180, 360]) is read whole from SeaweedFS on the loopback. Then the bare
//! client fetches the same ranges of the same objects, as many at a time. Each is a process of its own, in turns; the median counts. Server,
//! client and decoding share the cores of the machine: where client and server keep all of them busy, decoding comes on top, and nothing is
//! faster than the sum.
//!
//! The same over a line of 1 Gbit/s, which all answers share. And 32 blocks that lie apart, with every answer 10 ms late.

#[path = "../../src/data.rs"]
#[allow(dead_code)]
mod data;

use std::ops::Range;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use array_format::blocking::wait;
use array_format::storage::{InMemoryStorage, Place, StoreOptions};
use array_format::{ArrayFile, FileConfig, NoCompression, ZstdCodec};
use array_format_testkit::proxy::{Fault, Proxy};
use array_format_testkit::{CountingStorage, Operation, servers};
use data::Values;
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};

const ROUNDS: usize = 7;
/// Requests in flight; the library has as many at most.
const IN_FLIGHT: usize = 32;
/// Bytes a second of a slow line: 1 Gbit/s.
const LINE: u64 = 125_000_000;
/// How late answers are, where they are.
const LATE: Duration = Duration::from_millis(10);

/// Ranges of objects, and where they are.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Ranges {
    endpoint: String,
    ranges: Vec<(String, Range<u64>)>,
}

/// What a process has measured.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Measured {
    seconds: f64,
    /// How much of the machine was busy meanwhile, server and all: 1 is all cores.
    busy: f64,
    /// Peak of memory beside what is returned.
    peak_bytes: u64,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [what, task] if what == "ours" => say(&ours(task)?),
        [what, task] if what == "bare" => {
            say(&bare(&serde_json::from_str(&std::fs::read_to_string(task)?)?)?)
        }
        [] => all(&PathBuf::from("target/benchmarks/data")),
        [folder] => all(&PathBuf::from(folder)),
        _ => bail!("usage: [FOLDER OF THE DATA]"),
    }
}

fn say(measured: &Measured) -> Result<()> {
    println!("{}", serde_json::to_string(measured)?);
    Ok(())
}

fn place(endpoint: &str, path: &str) -> Result<Place> {
    let options = StoreOptions::default()
        .with_option("endpoint", endpoint)
        .with_option("region", "us-east-1")
        .with_option("access_key_id", "test")
        .with_option("secret_access_key", "testtest");
    Ok(options.place(&format!("s3://bucket/{path}"))?)
}

fn all(folder: &std::path::Path) -> Result<()> {
    let endpoint = servers::direct("SEAWEEDFS").context("no server")?;
    whole(folder, &endpoint, "Zstandard 3", FileConfig::new(ZstdCodec::new(3)?))?;
    whole(folder, &endpoint, "default settings", FileConfig::default())?;
    whole(folder, &endpoint, "uncompressed", FileConfig::new(NoCompression))?;
    apart(&endpoint)
}

fn whole(folder: &std::path::Path, endpoint: &str, name: &str, config: FileConfig) -> Result<()> {
    let volume = data::grid(folder)?;
    let Values::F32(values) = &volume.values else { bail!("the grid has 32-bit numbers") };
    let path = format!("{}/grid.af", servers::fresh("bench"));
    let at = place(endpoint, &path)?;
    let mut file = wait(ArrayFile::create_at(at.clone(), config))?;
    let names = ["t", "y", "x"].map(String::from).to_vec();
    file.define_array::<f32>("grid", names, volume.shape.to_vec(), Some(volume.chunk.to_vec()), None)?;
    let shape = volume.shape.map(|n| n as usize);
    let view = ndarray::ArrayView::from_shape(shape, values)?.into_dyn();
    wait(file.write_array("grid", vec![0, 0, 0], view))?;
    wait(file.flush())?;

    // Which ranges are asked for.
    let counting = CountingStorage::new(at.storage.clone());
    let watched = Place { storage: Arc::new(counting.clone()), path: at.path.clone() };
    let file = wait(ArrayFile::open_at(watched, FileConfig::default()))?;
    let read = wait(file.read_array::<f32>("grid", vec![], vec![]))?;
    if read.as_slice() != Some(&values[..]) {
        bail!("other values came back");
    }
    let log = counting.log().into_iter().filter(|l| l.operation == Operation::Read);
    let ranges: Vec<_> = log.filter_map(|l| Some((l.path, l.range?))).collect();
    let bytes: u64 = ranges.iter().map(|(_, r)| r.end - r.start).sum();
    println!("read whole from SeaweedFS, {name}: {} ranges, {} MB", ranges.len(), bytes / 1_000_000);
    let decoding = decoding(&at)?;
    println!("  decoding alone, from memory: {decoding:.3} s");
    compare("loopback        ", endpoint, &path, &ranges, decoding)?;
    let line = Proxy::start(endpoint, |_, _| Fault::Line(LINE))?;
    compare("line of 1 Gbit/s", &line.url(), &path, &ranges, decoding)
}

/// The library and the bare client, in turns.
fn compare(
    over: &str,
    endpoint: &str,
    path: &str,
    ranges: &[(String, Range<u64>)],
    decoding: f64,
) -> Result<()> {
    let bytes: u64 = ranges.iter().map(|(_, r)| r.end - r.start).sum();
    let task = std::env::temp_dir().join(servers::fresh("ranges"));
    std::fs::write(
        &task,
        serde_json::to_string(&Ranges { endpoint: endpoint.to_owned(), ranges: ranges.to_vec() })?,
    )?;
    let (mut us, mut them) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        us.push(child("ours", &format!("{endpoint} {path}"))?);
        them.push(child("bare", &task.to_string_lossy())?);
    }
    std::fs::remove_file(&task)?;
    let (us, them) = (median(&us), median(&them));
    let line = |who: &str, m: &Measured| {
        let rate = bytes as f64 / 1e6 / m.seconds;
        println!("  {over}  {who}  {:.3} s, {rate:.0} MB/s, cores busy {:.0} %", m.seconds, m.busy * 100.0);
    };
    line("bare client ", &them);
    line("array-format", &us);
    let (ours, theirs) = (us.peak_bytes >> 20, them.peak_bytes >> 20);
    let ratio = them.seconds / us.seconds;
    println!(
        "  {over}  throughput {ratio:.2} of the bare client's, {:.2} of fetching first and decoding then; result + {ours} MiB, bare: what came + {theirs} MiB",
        (them.seconds + decoding) / us.seconds
    );
    Ok(())
}

/// How long the same read takes where the file lies in memory.
fn decoding(at: &Place) -> Result<f64> {
    let memory = Place { storage: Arc::new(InMemoryStorage::new()), path: at.path.clone() };
    let from = wait(ArrayFile::open_at(at.clone(), FileConfig::default()))?;
    let mut into = wait(ArrayFile::create_at(memory.clone(), FileConfig::default()))?;
    wait(into.copy_from(&from.snapshot(), "grid", "grid"))?;
    wait(into.flush())?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let file = wait(ArrayFile::open_at(memory.clone(), FileConfig::default()))?;
        let start = Instant::now();
        drop(wait(file.read_array::<f32>("grid", vec![], vec![]))?);
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[ROUNDS / 2])
}

fn child(what: &str, task: &str) -> Result<Measured> {
    let out = Command::new(std::env::current_exe()?).args([what, task]).output()?;
    if !out.status.success() {
        bail!("{what}: {}", String::from_utf8_lossy(&out.stderr));
    }
    Ok(serde_json::from_slice(&out.stdout)?)
}

/// That with the median time.
fn median(all: &[Measured]) -> Measured {
    let mut all = all.to_vec();
    all.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    all[all.len() / 2]
}

/// Seconds of all cores since the machine started: busy, and all.
fn cores() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let times: Vec<f64> = line.split_whitespace().skip(1).take(8).filter_map(|t| t.parse().ok()).collect();
    let (all, idle) = (times.iter().sum::<f64>(), times.iter().skip(3).take(2).sum::<f64>());
    (all - idle, all)
}

fn busy_since(before: (f64, f64)) -> f64 {
    let now = cores();
    (now.0 - before.0) / (now.1 - before.1).max(1.0)
}

fn resident(which: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(which)).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or_default() << 10
}

fn ours(task: &str) -> Result<Measured> {
    let (endpoint, path) = task.split_once(' ').context("a task")?;
    let file = wait(ArrayFile::open_at(place(endpoint, path)?, FileConfig::default()))?;
    let before = resident("VmRSS:");
    let (start, load) = (Instant::now(), cores());
    let read = wait(file.read_array::<f32>("grid", vec![], vec![]))?;
    let (seconds, busy) = (start.elapsed().as_secs_f64(), busy_since(load));
    let result = read.len() as u64 * 4;
    Ok(Measured { seconds, busy, peak_bytes: resident("VmHWM:").saturating_sub(before + result) })
}

fn client(endpoint: &str) -> Result<Arc<dyn ObjectStore>> {
    let builder =
        AmazonS3Builder::new().with_endpoint(endpoint).with_bucket_name("bucket").with_region("us-east-1");
    let builder = builder.with_access_key_id("test").with_secret_access_key("testtest").with_allow_http(true);
    Ok(Arc::new(builder.build()?))
}

fn bare(task: &Ranges) -> Result<Measured> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let store = client(&task.endpoint)?;
    let (first, _) = task.ranges.first().context("ranges")?;
    // Connected, as the handle is that has opened its file.
    runtime.block_on(store.head(&first.as_str().into()))?;
    let before = resident("VmRSS:");
    let (start, load) = (Instant::now(), cores());
    let fetched: Vec<_> = runtime.block_on(async {
        let one = |(path, range): (String, Range<u64>)| {
            let store = store.clone();
            async move { store.get_range(&path.as_str().into(), range).await }
        };
        stream::iter(task.ranges.clone()).map(one).buffered(IN_FLIGHT).try_collect().await
    })?;
    let (seconds, busy) = (start.elapsed().as_secs_f64(), busy_since(load));
    let came: u64 = fetched.iter().map(|b: &_| AsRef::<[u8]>::as_ref(b).len() as u64).sum();
    Ok(Measured { seconds, busy, peak_bytes: resident("VmHWM:").saturating_sub(before + came) })
}

/// 32 blocks, each in a request of its own, every answer late.
fn apart(endpoint: &str) -> Result<()> {
    let path = format!("{}/apart.af", servers::fresh("bench"));
    let config = FileConfig::new(NoCompression);
    let mut file = wait(ArrayFile::create_at(place(endpoint, &path)?, config))?;
    // Blocks of 256 KiB; every second one is read.
    let names = vec!["block".into(), "i".into()];
    file.define_array::<u64>("x", names, vec![64, 32_768], Some(vec![1, 32_768]), None)?;
    let data = ndarray::Array::from_shape_fn([64, 32_768], |(b, i)| (b * 40_503 + i * 2_654_435_761) as u64);
    wait(file.write_array("x", vec![0, 0], data.view().into_dyn()))?;
    wait(file.flush())?;
    let proxy = Proxy::start(endpoint, |_, _| Fault::Delay(LATE))?;
    let mut times = Vec::new();
    let mut requests = 0;
    for _ in 0..ROUNDS {
        let file = wait(ArrayFile::open_at(place(&proxy.url(), &path)?, FileConfig::default()))?;
        let _warm = wait(file.read_array::<u64>("x", vec![1, 0], vec![1, 1]))?;
        proxy.take_seen();
        let start = Instant::now();
        let read = wait(file.read_array_steps::<u64>("x", vec![0, 0], vec![32, 32_768], vec![2, 1]))?;
        times.push(start.elapsed());
        requests = proxy.take_seen().len();
        if read.as_slice().map(<[u64]>::len) != Some(32 * 32_768) {
            bail!("other values came back");
        }
    }
    times.sort();
    println!(
        "32 blocks that lie apart, every answer {LATE:?} late: {requests} requests, {:?}",
        times[ROUNDS / 2]
    );
    Ok(())
}
