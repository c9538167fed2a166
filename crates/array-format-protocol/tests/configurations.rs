//! Every state of these configurations is looked at, and nothing happens that must never happen.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use std::time::Instant;

use array_format_protocol::actor::Config;
use array_format_protocol::configurations;
use array_format_protocol::explore::explore;

fn holds(configs: Vec<Config>) {
    let mut bad = Vec::new();
    for config in configs {
        let began = Instant::now();
        let report = explore(config);
        let seconds = began.elapsed().as_secs_f64();
        println!("{:>9} states, {:>3} calls, {seconds:>5.1} s: {}", report.states, report.depth, report.name);
        if let Some((violation, calls)) = &report.violation {
            println!("{violation:?}\n    {}", calls.join("\n    "));
        }
        if report.violation.is_some() || !report.finishes {
            bad.push(report.name);
        }
    }
    assert!(bad.is_empty(), "{bad:?}");
}

#[test]
fn nothing_happens_that_must_never_happen() {
    holds(configurations::short());
}

#[test]
#[ignore = "takes minutes"]
fn nor_in_larger_configurations() {
    holds(configurations::long());
}
