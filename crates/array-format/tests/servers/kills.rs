//! Servers and writers that die in the middle: nothing that was acknowledged is lost, and the file is whole.
//!
//! SeaweedFS, because it keeps what it acknowledged through SIGKILL. More rounds: `AF_SERVER_KILLS=20 AF_WRITER_KILLS=100`.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use array_format::blocking::wait;
use array_format::storage::Place;
use array_format::{ArrayFile, Error, FileConfig, VerifyOptions};
use ndarray::{Array, ArrayD};

use super::faults::through;
use super::{direct, fresh};

/// Commits between two compactions.
const COMPACT_EVERY: i64 = 7;

fn rounds(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

fn count(file: &ArrayFile) -> Result<i64, Error> {
    Ok(wait(file.read_array::<i64>("count", vec![], vec![]))?[[0]])
}

fn create(place: &Place) {
    let mut file = wait(ArrayFile::create_at(place.clone(), FileConfig::default())).unwrap();
    file.define_array::<i64>("count", vec!["n".into()], vec![1], None, Some(0)).unwrap();
    file.define_array::<i64>("noise", vec!["n".into()], vec![20_000], Some(vec![5_000]), None).unwrap();
    wait(file.write_array("count", vec![0], Array::from_elem(1, 0_i64).into_dyn().view())).unwrap();
    wait(file.flush()).unwrap();
}

/// One commit, and now and then a compaction. Returns what was acknowledged.
fn step(file: &mut ArrayFile) -> Result<i64, Error> {
    let next = count(file)? + 1;
    wait(file.write_array("count", vec![0], Array::from_elem(1, next).into_dyn().view()))?;
    let noise = Array::from_shape_fn(5_000, |i| (i as i64 * 2_654_435_761) ^ next).into_dyn();
    wait(file.write_array("noise", vec![next as u64 % 4 * 5_000], noise.view()))?;
    wait(file.flush())?;
    Ok(next)
}

fn open(place: &Place) -> Result<ArrayFile, Error> {
    wait(ArrayFile::open_at(place.clone(), FileConfig::default()))
}

/// A SeaweedFS of one's own, which can be killed and started again.
struct Server {
    weed: String,
    folder: tempfile::TempDir,
    ports: [u16; 4],
    child: Child,
}

/// A port that is free, with the one above it by 10,000, which SeaweedFS takes too.
fn free_port() -> u16 {
    loop {
        let port = 20_000 + rand::random::<u16>() % 10_000;
        let free = |p: u16| TcpListener::bind(("127.0.0.1", p)).is_ok();
        if free(port) && free(port + 10_000) {
            return port;
        }
    }
}

impl Server {
    fn start() -> Option<Self> {
        let weed = direct("WEED")?;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("s3.json"),
            r#"{"identities":[{"name":"t","credentials":[{"accessKey":"test","secretKey":"testtest"}],"actions":["Admin","Read","Write","List","Tagging"]}]}"#,
        )
        .unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let ports = [(); 4].map(|()| free_port());
        let child = spawn(&weed, folder.path(), ports);
        let server = Self { weed, folder, ports, child };
        server.wait_until_ready();
        Some(server)
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    fn wait_until_ready(&self) {
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.ports[0])).is_err() {
            assert!(start.elapsed() < Duration::from_secs(60), "SeaweedFS did not start");
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(&self.weed, self.folder.path(), self.ports);
        self.wait_until_ready();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(weed: &str, folder: &Path, [s3, master, volume, filer]: [u16; 4]) -> Child {
    let flag = |name: &str, port: u16| format!("-{name}={port}");
    Command::new(weed)
        .arg("mini")
        .arg(format!("-dir={}", folder.join("data").display()))
        .args([
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-master.telemetry=false",
            "-webdav=false",
            "-admin.ui=false",
        ])
        .args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-bucket=bucket"])
        .args([
            flag("s3.port", s3),
            flag("master.port", master),
            flag("volume.port", volume),
            flag("filer.port", filer),
        ])
        .arg(format!("-s3.config={}", folder.join("s3.json").display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The newest version is whole. Where somebody compacts meanwhile, the next one is.
fn check(place: &Place) {
    patiently(|| {
        let report = wait(open(place)?.verify(VerifyOptions::default()))?;
        report.damage.first().map_or(Ok(()), |damage| Err(damage.clone()))
    });
}

/// Patient: the server comes back.
fn patiently<T>(f: impl Fn() -> Result<T, Error>) -> T {
    let start = Instant::now();
    loop {
        match f() {
            Ok(value) => return value,
            Err(e) => assert!(start.elapsed() < Duration::from_secs(120), "{e}"),
        }
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_server_that_is_killed_loses_nothing_that_was_acknowledged() {
    let Some(mut server) = Server::start() else { return };
    let place = through(&server.url(), &format!("{}/killed.af", fresh("server")), Duration::from_secs(10));
    patiently(|| {
        open(&place).map(drop).or_else(|e| if e.message().contains("not there") { Ok(()) } else { Err(e) })
    });
    create(&place);
    let kills = rounds("AF_SERVER_KILLS", 3);
    let done = AtomicBool::new(false);
    let acknowledged = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut acknowledged = 0;
            while !done.load(Ordering::SeqCst) {
                let mut file = patiently(|| open(&place));
                let found = patiently(|| count(&file));
                assert!(
                    found == acknowledged || found == acknowledged + 1,
                    "{found} where {acknowledged} was told"
                );
                acknowledged = found;
                // Until it is disturbed.
                while !done.load(Ordering::SeqCst) {
                    match step(&mut file) {
                        Ok(told) => acknowledged = told,
                        Err(_) => break,
                    }
                    if acknowledged % COMPACT_EVERY == 0 && wait(file.compact()).is_err() {
                        break;
                    }
                }
            }
            acknowledged
        });
        for _ in 0..kills {
            thread::sleep(Duration::from_millis(500 + rand::random::<u64>() % 2_500));
            server.kill_and_restart();
            check(&place);
        }
        thread::sleep(Duration::from_secs(2));
        done.store(true, Ordering::SeqCst);
        writer.join().unwrap()
    });
    let file = patiently(|| open(&place));
    let found = patiently(|| count(&file));
    assert!(found == acknowledged || found == acknowledged + 1, "{found} where {acknowledged} was told");
    assert!(found > 0, "nothing was written");
    check(&place);
    println!("SeaweedFS killed {kills} times, {found} commits");
}

/// What the process of a writer is told: endpoint and path.
const VICTIM: &str = "AF_TEST_VICTIM";

/// Not a test by itself: a writer that is killed.
#[test]
fn victim() {
    let Ok(told) = std::env::var(VICTIM) else { return };
    let (endpoint, path) = told.split_once(' ').unwrap();
    let place = through(endpoint, path, Duration::from_secs(30));
    let mut file = open(&place).unwrap();
    loop {
        let told = step(&mut file).unwrap();
        println!("acknowledged {told}");
        if told % COMPACT_EVERY == 0 {
            println!("compacts");
            wait(file.compact()).unwrap();
            println!("compacted");
        }
    }
}

#[test]
fn writers_that_are_killed_leave_a_whole_file() {
    let Some(endpoint) = direct("SEAWEEDFS") else { return };
    let path = format!("{}/victims.af", fresh("victims"));
    let place = through(&endpoint, &path, Duration::from_secs(30));
    create(&place);
    let (mut acknowledged, mut compacting) = (0, 0);
    let kills = rounds("AF_WRITER_KILLS", 10);
    for _ in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kills::victim", "--nocapture"])
            .env(VICTIM, format!("{endpoint} {path}"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(200 + rand::random::<u64>() % 800));
        child.kill().unwrap();
        let mut last = String::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            last.clone_from(&line);
            // The last line may have been cut off; then its number is a smaller one.
            if let Some(told) = line.strip_prefix("acknowledged ").and_then(|n| n.parse::<i64>().ok()) {
                acknowledged = acknowledged.max(told);
            }
        }
        child.wait().unwrap();
        compacting += usize::from(last == "compacts");
        check(&place);
        let file = open(&place).unwrap();
        let found = count(&file).unwrap();
        assert!(found == acknowledged || found == acknowledged + 1, "{found} where {acknowledged} was told");
        acknowledged = found;
    }
    assert!(acknowledged > 0, "no writer got anywhere");
    println!("{kills} writers killed, {compacting} of them while they compacted, {acknowledged} commits");
    let mut file = open(&place).unwrap();
    wait(file.compact()).unwrap();
    let report = wait(file.verify(VerifyOptions::default())).unwrap();
    assert!(report.is_clean(), "{report:?}");
    let noise: ArrayD<i64> = wait(file.read_array("noise", vec![], vec![])).unwrap();
    assert_eq!(noise.len(), 20_000);
}
