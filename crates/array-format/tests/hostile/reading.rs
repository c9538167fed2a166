//! Watches panics, memory and time of reading.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::executor::block_on;

use crate::MEMORY;
use crate::object::Objects;
use crate::walk::read_everything;

/// What reading may take above what was there before.
const MOST_BYTES: usize = 64 << 20;
const MOST_TIME: Duration = Duration::from_secs(20);

pub(crate) struct Exam {
    step: u64,
    seen: u64,
    began: Instant,
    cases: u64,
    /// How many files could be opened all the same.
    opened: u64,
    kinds: BTreeMap<String, u64>,
    most_bytes: (usize, String),
    slowest: (Duration, String),
    failures: Vec<String>,
    /// What the last panic said.
    panics: Arc<Mutex<String>>,
    current: Arc<Mutex<(Instant, String)>>,
}

impl Exam {
    pub(crate) fn new() -> Self {
        let current = Arc::new(Mutex::new((Instant::now(), String::new())));
        let watched = Arc::clone(&current);
        // A case that hangs cannot be stopped, but named.
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Duration::from_secs(1));
                let (since, what) = watched.lock().unwrap().clone();
                if since.elapsed() > MOST_TIME {
                    eprintln!("{what}: not done after {MOST_TIME:?}");
                    std::process::abort();
                }
            }
        });
        let panics = Arc::new(Mutex::new(String::new()));
        let last = Arc::clone(&panics);
        std::panic::set_hook(Box::new(move |panic| *last.lock().unwrap() = panic.to_string()));
        Self {
            step: 1,
            seen: 0,
            began: Instant::now(),
            cases: 0,
            opened: 0,
            kinds: BTreeMap::new(),
            most_bytes: (0, String::new()),
            slowest: (Duration::ZERO, String::new()),
            failures: Vec::new(),
            panics,
            current,
        }
    }

    pub(crate) fn is_readable(&self, objects: &Objects) -> bool {
        block_on(read_everything(objects)).is_ok()
    }

    /// Of the samples that come next, one of `step` is read.
    pub(crate) fn one_of(&mut self, step: u64) {
        self.step = step;
    }

    /// Whether the next sample is to be read.
    pub(crate) fn is_turn(&mut self) -> bool {
        self.seen += 1;
        self.seen.is_multiple_of(self.step)
    }

    pub(crate) fn progress(&self, name: &str) {
        let (cases, seen, time) = (self.cases, self.seen, self.began.elapsed());
        println!("{name}: {cases} of {seen} files until now, {time:?}; most time: {:?}", self.slowest);
    }

    /// Reads a file, which may be refused, and takes note.
    pub(crate) fn read(&mut self, objects: &Objects, what: &str) {
        *self.current.lock().unwrap() = (Instant::now(), what.to_owned());
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        let began = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| block_on(read_everything(objects))));
        let bytes = MEMORY.peak_usage().saturating_sub(before);
        self.cases += 1;
        if began.elapsed() > self.slowest.0 {
            self.slowest = (began.elapsed(), what.to_owned());
        }
        if bytes > self.most_bytes.0 {
            self.most_bytes = (bytes, what.to_owned());
        }
        if bytes > MOST_BYTES {
            self.failures.push(format!("{what}: {} MiB", bytes >> 20));
        }
        match result {
            Ok(Ok(())) => self.opened += 1,
            Ok(Err(e)) => *self.kinds.entry(format!("{:?}", e.kind())).or_default() += 1,
            Err(_) => self.failures.push(format!("{what}: {}", self.panics.lock().unwrap())),
        }
    }

    pub(crate) fn report(self) {
        drop(std::panic::take_hook());
        println!("{} hostile files; {} of them can be read", self.cases, self.opened);
        println!("first errors of the others: {:?}", self.kinds);
        println!("most memory: {} KiB by {}", self.most_bytes.0 >> 10, self.most_bytes.1);
        println!("most time: {:?} by {}", self.slowest.0, self.slowest.1);
        let some: Vec<_> = self.failures.iter().take(40).collect();
        assert!(some.is_empty(), "{} failures, among them\n{some:#?}", self.failures.len());
    }
}
