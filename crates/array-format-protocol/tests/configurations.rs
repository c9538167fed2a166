//! Every state of these configurations is looked at, and nothing happens that must never happen.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use std::time::Instant;

use array_format_protocol::actor::{Config, Listings};
use array_format_protocol::configurations as c;
use array_format_protocol::explore::{Report, explore};
use array_format_protocol::history::Violation;

fn report(config: &Config) -> Report {
    let (began, listing) = (Instant::now(), config.listing);
    let report = explore(config);
    let seconds = began.elapsed().as_secs_f64();
    let (states, depth, name) = (report.states, report.depth, report.name);
    println!("{states:>9} states, {depth:>3} calls, {seconds:>5.1} s, listings {listing:?}: {name}");
    if let Some((violation, calls)) = &report.violation {
        println!("{violation:?}\n    {}", calls.join("\n    "));
    }
    report
}

fn holds(config: &Config) {
    let report = report(config);
    assert!(report.violation.is_none() && report.finishes, "{}", report.name);
}

macro_rules! hold {
    ($($config:ident),* $(,)?) => {
        $(
            #[test]
            fn $config() {
                holds(&c::$config());
            }
        )*

        #[test]
        fn every_configuration_has_a_test() {
            assert_eq!(c::short().len(), [$(stringify!($config)),*].len());
        }
    };
}

hold! {
    disjoint_writers,
    overlapping_writers,
    writers_compactor,
    overlapping_writers_compactor,
    writers_collector,
    writer_compactor_collector_reader,
    sleeper_compactions_reader,
    unconditional_store,
    two_compactors,
    two_collectors,
    kept_versions,
    short_memory,
    first_version,
    kept_without_base,
    worker_committer_collector,
    worker_committer_compactor,
    worker_committer_overlap,
    tag_collector,
    tag_compactor,
    recreated,
    recreated_collector,
    recreated_twice,
    deleted_and_created,
    lost_layer,
    two_collectors_sleeper,
    freed_then_passed,
}

#[test]
#[ignore = "takes minutes"]
fn larger_configurations() {
    for config in c::long() {
        holds(&config);
    }
}

/// What a store must promise of listings: what was there all the time, or what followed it, shows. A folder read in no order
/// can miss the layer that goes and the one that came for it.
#[test]
fn listings_without_an_order_are_not_enough() {
    let mut config = c::writer_compactor_collector_reader();
    config.listing = Listings::Unordered;
    assert_eq!(report(&config).violation.unwrap().0, Violation::OpenedStale);
    let mut config = c::overlapping_writers_compactor();
    config.listing = Listings::Unordered;
    assert_eq!(report(&config).violation.unwrap().0, Violation::AcknowledgedNotCommitted);
}
