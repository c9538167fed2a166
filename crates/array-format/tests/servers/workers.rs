//! Many processes write straight to a server, each a layer of its own; one of them all makes one version.

use std::process::{Command, Stdio};

use array_format::blocking::wait;
use array_format::{ArrayFile, FileConfig, Receipt, VerifyOptions};
use array_format_testkit::proxy::{Fault, Proxy};
use ndarray::{Array, ArrayD};

use super::faults::through;
use super::{HONEST, address, fresh, servers};

const WORKERS: u64 = 4;
const ROWS: u64 = 8;
const COLUMNS: u64 = 30_000;

/// What a worker is told: the URL of the file and its number.
const WORKER: &str = "AF_TEST_WORKER";

/// Rows of one worker: nothing that compresses.
fn rows(worker: u64) -> ArrayD<u64> {
    Array::from_shape_fn([ROWS as usize, COLUMNS as usize], |(r, c)| {
        let n = (worker * ROWS + r as u64) * COLUMNS + c as u64;
        let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    })
    .into_dyn()
}

/// Not a test by itself: the process of one worker. It says its receipt.
#[test]
fn worker() {
    let Ok(told) = std::env::var(WORKER) else { return };
    let (url, number) = told.split_once(' ').unwrap();
    let number: u64 = number.parse().unwrap();
    let mut file = wait(ArrayFile::open_url(url, FileConfig::default())).unwrap();
    wait(file.write_array("all", vec![number * ROWS, 0], rows(number).view())).unwrap();
    let own = format!("of {number}");
    file.define_array::<u64>(&own, vec!["n".into()], vec![COLUMNS], None, None).unwrap();
    let first = rows(number).index_axis(ndarray::Axis(0), 0).to_owned();
    wait(file.write_array(&own, vec![0], first.view())).unwrap();
    println!("receipt {}", wait(file.detach()).unwrap());
}

#[test]
fn what_processes_wrote_straight_to_the_server_becomes_one_version() {
    for server in HONEST {
        let Some((environment, bucket)) = servers::environment(server) else { continue };
        let url = format!("{bucket}/{}/run.af", fresh("workers"));
        let (options, _) = servers::store(server).unwrap();
        let place = options.place(&url).unwrap();
        let mut file = wait(ArrayFile::create_at(place.clone(), FileConfig::default())).unwrap();
        let shape = vec![WORKERS * ROWS, COLUMNS];
        let chunks = Some(vec![ROWS / 2, COLUMNS]);
        file.define_array::<u64>("all", vec!["row".into(), "column".into()], shape, chunks, None).unwrap();
        wait(file.flush()).unwrap();

        let start = |number| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "workers::worker", "--nocapture"])
                .env(WORKER, format!("{url} {number}"))
                .envs(environment.clone())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let started: Vec<_> = (0..WORKERS).map(start).collect();
        let receipts: Vec<Receipt> = started
            .into_iter()
            .map(|child| {
                let said = child.wait_with_output().unwrap();
                assert!(said.status.success(), "{server}");
                let said = String::from_utf8(said.stdout).unwrap();
                let receipt = said.lines().find_map(|l| l.split_once("receipt ")).unwrap().1;
                receipt.trim().parse().unwrap()
            })
            .collect();
        let before = wait(ArrayFile::open_at(place.clone(), FileConfig::default())).unwrap();
        assert_eq!(before.version(), 1, "{server}: nothing is visible yet");

        wait(file.join(&receipts)).unwrap();
        assert_eq!(wait(file.flush()).unwrap(), 2, "{server}: one version");
        let mut file = wait(ArrayFile::open_at(place, FileConfig::default())).unwrap();
        for worker in 0..WORKERS {
            let start = vec![worker * ROWS, 0];
            let read = wait(file.read_array::<u64>("all", start, vec![ROWS, COLUMNS])).unwrap();
            assert_eq!(read, rows(worker), "{server}: {worker}");
            let own: ArrayD<u64> = wait(file.read_array(&format!("of {worker}"), vec![], vec![])).unwrap();
            assert_eq!(own, rows(worker).index_axis(ndarray::Axis(0), 0), "{server}: {worker}");
        }
        assert!(wait(file.verify(VerifyOptions::default())).unwrap().is_clean(), "{server}");
        wait(file.compact()).unwrap();
        assert!(wait(file.verify(VerifyOptions::default())).unwrap().is_clean(), "{server}");
    }
}

/// What the one who commits asks of the server does not grow with the data.
#[test]
fn joining_moves_no_data() {
    let Some(upstream) = address("MOTO") else { return };
    let proxy = Proxy::start(&upstream, |_, _| Fault::None).unwrap();
    let place =
        through(&proxy.url(), &format!("{}/run.af", fresh("join")), std::time::Duration::from_secs(60));
    let mut file = wait(ArrayFile::create_at(place.clone(), FileConfig::default())).unwrap();
    let shape = vec![WORKERS * ROWS, COLUMNS];
    file.define_array::<u64>(
        "all",
        vec!["row".into(), "column".into()],
        shape,
        Some(vec![ROWS, COLUMNS]),
        None,
    )
    .unwrap();
    wait(file.flush()).unwrap();
    let receipts: Vec<Receipt> = (0..WORKERS)
        .map(|n| {
            let mut worker = wait(ArrayFile::open_at(place.clone(), FileConfig::default())).unwrap();
            wait(worker.write_array("all", vec![n * ROWS, 0], rows(n).view())).unwrap();
            wait(worker.detach()).unwrap()
        })
        .collect();
    proxy.take_seen();
    wait(file.join(&receipts)).unwrap();
    wait(file.flush()).unwrap();
    let seen = proxy.take_seen();
    let bytes: usize = seen.iter().map(|s| s.answer_bytes).sum();
    let least = WORKERS as usize * (64 << 10);
    assert!(bytes < least + 8192, "{bytes} bytes came back: more than the end of each layer");
    assert!(seen.len() <= WORKERS as usize + 4, "{seen:?}");
}
