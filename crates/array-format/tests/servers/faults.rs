//! Real servers behind a proxy that loses answers, cuts connections, throttles, and answers with what was not asked for.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use array_format::blocking::wait;
use array_format::storage::{LocalStorage, Place, StoreOptions};
use array_format::{ArrayFile, ErrorKind, FileConfig, NoCompression, VerifyOptions};
use array_format_testkit::proxy::{Fault, Proxy, Seen};
use ndarray::{Array, ArrayD};

use super::{address, fresh};

const WRITERS: usize = 4;

/// Commits of each writer: 100 with `AF_SERVER_COMMITS=100`.
fn commits() -> usize {
    std::env::var("AF_SERVER_COMMITS").ok().and_then(|n| n.parse().ok()).unwrap_or(8)
}

pub(super) fn through(endpoint: &str, path: &str, deadline: Duration) -> Place {
    let options = StoreOptions::default()
        .with_option("endpoint", endpoint)
        .with_option("region", "us-east-1")
        .with_option("access_key_id", "test")
        .with_option("secret_access_key", "testtest")
        .with_deadline(deadline);
    options.place(&format!("s3://bucket/{path}")).unwrap()
}

/// What a process of a writer is told: endpoint, path, its number.
const WRITER: &str = "AF_TEST_WRITER";

/// Not a test by itself: the process of one writer. It says what was acknowledged to it.
#[test]
fn writer() {
    let Ok(told) = std::env::var(WRITER) else { return };
    let [endpoint, path, number] = told.split(' ').collect::<Vec<_>>()[..] else { panic!("{told}") };
    let number: usize = number.parse().unwrap();
    let place = through(endpoint, path, Duration::from_secs(60));
    let open = || wait(ArrayFile::open_at(place.clone(), FileConfig::default())).unwrap();
    let mut file = open();
    for i in 0..commits() {
        // Half of the commits are to one array that all write to.
        let name = if i % 2 == 0 { "shared".to_owned() } else { format!("own{number}") };
        loop {
            let now: ArrayD<i64> = wait(file.read_array(&name, vec![], vec![])).unwrap();
            wait(file.write_array(&name, vec![0], (now + 1).view())).unwrap();
            match wait(file.flush_with_message(&format!("{number}.{i}"))) {
                Ok(version) => {
                    println!("acknowledged {number}.{i} {version}");
                    break;
                }
                Err(e) if e.kind() == ErrorKind::Conflict => file = open(),
                Err(e) => panic!("{e:?}"),
            }
        }
    }
}

fn acknowledged_commits_are_there_once(server: &str) {
    let Some(upstream) = address(server) else { return };
    // Every twentieth answer is lost, after the server has done what it was asked to.
    let proxy = Proxy::start(&upstream, |seen: &Seen, n| match seen.method.as_str() {
        _ if n % 20 == 7 => Fault::LoseAnswer,
        "GET" if n % 50 == 11 => Fault::Status(503),
        _ => Fault::None,
    })
    .unwrap();
    let path = format!("{}/lossy.af", fresh("lossy"));
    let place = through(&proxy.url(), &path, Duration::from_secs(60));
    let mut file = wait(ArrayFile::create_at(place.clone(), FileConfig::default())).unwrap();
    for name in (0..WRITERS).map(|w| format!("own{w}")).chain(["shared".into()]) {
        file.define_array::<i64>(&name, vec!["n".into()], vec![1], None, Some(0)).unwrap();
    }
    wait(file.flush()).unwrap();
    let children: Vec<_> = (0..WRITERS)
        .map(|w| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "faults::writer", "--nocapture"])
                .env(WRITER, format!("{} {path} {w}", proxy.url()))
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let total = |file: &ArrayFile| -> i64 {
        let names = (0..WRITERS).map(|w| format!("own{w}")).chain(["shared".into()]);
        names.map(|name| wait(file.read_array::<i64>(&name, vec![], vec![])).unwrap()[[0]]).sum()
    };
    let mut acknowledged = Vec::new();
    let done = AtomicBool::new(false);
    let children: Vec<_> = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                let now = wait(ArrayFile::open_at(place.clone(), FileConfig::default())).unwrap();
                assert_eq!(total(&now), now.version() as i64 - 1, "{server}: a torn version");
            }
        });
        let outputs = children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
        done.store(true, Ordering::SeqCst);
        reader.join().unwrap();
        outputs
    });
    for output in children {
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{server}: {text}");
        for line in
            text.lines().filter_map(|l| l.split_once("acknowledged ").map(|(_, rest)| rest.to_owned()))
        {
            let (message, version) = line.split_once(' ').unwrap();
            acknowledged.push((version.parse::<u64>().unwrap(), message.to_owned()));
        }
    }
    acknowledged.sort();
    assert_eq!(acknowledged.len(), WRITERS * commits(), "{server}");
    let seen = proxy.take_seen();
    let lost = seen.iter().filter(|s| s.fault == Fault::LoseAnswer);
    let of_commits = lost.clone().filter(|s| s.method == "PUT").count();
    assert!(of_commits > 0, "{server}: no answer to a commit was lost");
    println!(
        "{server}: {} requests, {} answers lost, {of_commits} of them to PUTs",
        seen.len(),
        lost.count()
    );

    let file = wait(ArrayFile::open_at(place.clone(), FileConfig::default())).unwrap();
    let mut versions: Vec<_> = wait(file.versions())
        .unwrap()
        .into_iter()
        .filter(|v| v.version > 1)
        .map(|v| (v.version, v.message))
        .collect();
    versions.sort();
    assert_eq!(versions, acknowledged, "{server}: what was acknowledged and what is there");
    assert_eq!(total(&file), (WRITERS * commits()) as i64, "{server}: every commit added one");
    assert!(wait(file.verify(VerifyOptions::default())).unwrap().is_clean());
}

#[test]
fn processes_on_moto_behind_a_network_that_loses_answers() {
    acknowledged_commits_are_there_once("MOTO");
}

#[test]
fn processes_on_seaweedfs_behind_a_network_that_loses_answers() {
    acknowledged_commits_are_there_once("SEAWEEDFS");
}

/// A file of one array in 32 chunks that do not compress, on moto.
fn chunks(upstream: &str) -> (String, ArrayD<i32>) {
    let path = format!("{}/chunks.af", fresh("faults"));
    let place = through(upstream, &path, Duration::from_secs(60));
    let mut state = 1u64;
    let data = Array::from_shape_simple_fn([32, 40_000], || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 32) as i32
    })
    .into_dyn();
    let mut file = wait(ArrayFile::create_at(place, FileConfig::default())).unwrap();
    file.define_array::<i32>(
        "x",
        vec!["a".into(), "b".into()],
        vec![32, 40_000],
        Some(vec![1, 40_000]),
        None,
    )
    .unwrap();
    wait(file.write_array("x", vec![0, 0], data.view())).unwrap();
    wait(file.flush()).unwrap();
    (path, data)
}

#[test]
fn reads_survive_cut_connections_short_bodies_and_throttling() {
    let Some(upstream) = address("MOTO") else { return };
    let (path, data) = chunks(&upstream);
    let proxy = Proxy::start(&upstream, |_, n| match n % 5 {
        0 => Fault::Status(503),
        1 => Fault::Cut,
        2 => Fault::ShortBody,
        _ => Fault::None,
    })
    .unwrap();
    let file = wait(ArrayFile::open_at(
        through(&proxy.url(), &path, Duration::from_secs(60)),
        FileConfig::default(),
    ))
    .unwrap();
    assert_eq!(wait(file.read_array::<i32>("x", vec![], vec![])).unwrap(), data);
    let seen = proxy.take_seen();
    for fault in [Fault::Status(503), Fault::Cut, Fault::ShortBody] {
        assert!(seen.iter().any(|s| s.fault == fault), "{fault:?} was not met");
    }
}

#[test]
fn bytes_of_another_range_are_never_taken_for_those_that_were_asked_for() {
    let Some(upstream) = address("MOTO") else { return };
    let (path, _) = chunks(&upstream);
    let proxy = Proxy::start(&upstream, |_, _| Fault::WrongRange).unwrap();
    let place = through(&proxy.url(), &path, Duration::from_secs(5));
    let file = wait(ArrayFile::open_at(place, FileConfig::default())).unwrap();
    let e = wait(file.read_array::<i32>("x", vec![], vec![])).unwrap_err();
    assert!(matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::Unavailable), "{e}");
    assert!(e.to_string().contains("chunks.af"), "{e}");
}

#[test]
fn a_store_that_throttles_for_ever_ends_at_the_deadline() {
    let Some(upstream) = address("MOTO") else { return };
    let proxy = Proxy::start(&upstream, |_, _| Fault::Status(503)).unwrap();
    let deadline = Duration::from_secs(3);
    let start = Instant::now();
    let e =
        wait(ArrayFile::open_at(through(&proxy.url(), "x.af", deadline), FileConfig::default())).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unavailable, "{e}");
    assert!(start.elapsed() < deadline * 3 / 2, "{:?}", start.elapsed());
    assert!(proxy.take_seen().len() > 2, "it did not try again");
}

#[test]
fn a_server_that_never_answers_ends_at_the_deadline() {
    let Some(upstream) = address("MOTO") else { return };
    let proxy = Proxy::start(&upstream, |_, _| Fault::Delay(Duration::from_secs(600))).unwrap();
    let start = Instant::now();
    let deadline = Duration::from_secs(3);
    let place = through(&proxy.url(), "x.af", deadline);
    let e = wait(ArrayFile::open_at(place, FileConfig::default())).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unavailable, "{e}");
    assert!(e.to_string().contains("x.af"), "{e}");
    assert!(start.elapsed() < deadline * 3 / 2, "{:?}", start.elapsed());
}

/// Without an ETag the client repeats nothing by itself once an answer has begun. What came before it broke off is not asked for again.
#[test]
fn a_web_server_whose_answers_keep_breaking_off_is_read_in_the_end() {
    let Some(upstream) = address("WEB") else { return };
    let name = format!("{}.af", fresh("broken"));
    let data = Array::from_shape_fn([80, 10_000], |(i, j)| (i * 10_000 + j) as i64).into_dyn();
    wait(async {
        let folder = std::env::var("AF_TEST_WEB_FOLDER").unwrap();
        let local = LocalStorage::new(&folder);
        let mut file = ArrayFile::create(local, &name, FileConfig::new(NoCompression)).await.unwrap();
        let names = vec!["a".into(), "b".into()];
        file.define_array::<i64>("x", names, vec![80, 10_000], Some(vec![10, 10_000]), None).unwrap();
        file.write_array("x", vec![], data.view()).await.unwrap();
        file.flush().await.unwrap();
        file.compact().await.unwrap();
    });
    let broken = |seen: &Seen| seen.range.as_deref().is_some_and(|r| !r.starts_with("bytes=-"));
    let proxy = Proxy::start(&upstream, move |seen, n| match broken(seen) && n < 9 {
        true => Fault::ShortBody,
        false => Fault::None,
    })
    .unwrap();
    let file = wait(ArrayFile::open_url(&format!("{}/{name}", proxy.url()), FileConfig::default())).unwrap();
    assert_eq!(wait(file.read_array::<i64>("x", vec![], vec![])).unwrap(), data);
    let seen = proxy.take_seen();
    let ranges: Vec<_> = seen.iter().filter(|s| broken(s)).collect();
    assert!(ranges.len() > 5, "{seen:?}");
    let bytes = || ranges.iter().map(|s| s.answer_bytes);
    assert!(bytes().min().unwrap() * 3 < bytes().max().unwrap(), "all of it again: {seen:?}");
}

#[test]
fn requests_are_few_as_the_server_counts_them() {
    let Some(upstream) = address("MOTO") else { return };
    let (path, data) = chunks(&upstream);
    let proxy = Proxy::start(&upstream, |_, _| Fault::None).unwrap();
    let place = through(&proxy.url(), &path, Duration::from_secs(60));
    let mut file = wait(ArrayFile::open_at(place, FileConfig::default())).unwrap();
    let opened = proxy.take_seen();
    assert!(opened.len() <= 4, "{opened:?}");
    assert_eq!(file.counters().requests, opened.len() as u64, "the handle counts what the server counts");

    assert_eq!(
        wait(file.read_array::<i32>("x", vec![7, 0], vec![1, 40_000])).unwrap(),
        data.slice(ndarray::s![7..8, ..]).into_dyn()
    );
    let first = proxy.take_seen();
    assert!(first.len() <= 3, "{first:?}");

    assert_eq!(wait(file.read_array::<i32>("x", vec![], vec![])).unwrap(), data);
    let whole = proxy.take_seen();
    // 5 MB of neighbouring blocks: one range, or two.
    assert!(whole.len() <= 3, "{whole:?}");

    let row = Array::from_elem([1, 40_000], 7).into_dyn();
    wait(file.write_array("x", vec![3, 0], row.view())).unwrap();
    wait(file.flush()).unwrap();
    let commit = proxy.take_seen();
    let probing = commit.iter().filter(|s| s.target.contains(".part-")).count();
    assert!(probing <= 4, "{commit:?}");
    // The layer, a look whether its number was free, and at most three pages of the index.
    assert!(commit.len() - probing <= 5, "{commit:?}");
    wait(file.write_array("x", vec![4, 0], row.view())).unwrap();
    wait(file.flush()).unwrap();
    let again = proxy.take_seen();
    assert!(again.iter().all(|s| !s.target.contains(".part-")), "it was tried out before: {again:?}");
    assert!(again.len() <= 5, "{again:?}");
}
