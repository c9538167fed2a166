//! Every state of these configurations is looked at, and nothing happens that must never happen.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use array_format_protocol::actor::{Config, Task};
use array_format_protocol::explore::explore;

#[test]
fn two_writers() {
    let mut config = Config::new("two writers", vec![vec![Task::Commit(1)], vec![Task::Commit(2)], vec![Task::Compact { keep: false }]]);
    config.open_at_start = true;
    let t = std::time::Instant::now();
    let report = explore(config);
    println!("{report:#?} {:?}", t.elapsed());
}
