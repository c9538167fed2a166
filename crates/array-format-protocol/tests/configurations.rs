//! Every state of these configurations is looked at, and nothing happens that must never happen.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use std::time::Instant;

use array_format_protocol::configurations;
use array_format_protocol::explore::explore;

#[test]
fn nothing_happens_that_must_never_happen() {
    let mut bad = Vec::new();
    for config in configurations::all() {
        let began = Instant::now();
        let report = explore(config);
        println!(
            "{:>9} states, {:>3} calls, {:>5.1} s: {}",
            report.states,
            report.depth,
            began.elapsed().as_secs_f64(),
            report.name
        );
        if report.violation.is_some() || !report.finishes {
            println!("{report:#?}");
            bad.push(report.name);
        }
    }
    assert!(bad.is_empty(), "{bad:?}");
}
