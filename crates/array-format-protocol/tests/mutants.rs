//! Each check of the protocol is taken away, one at a time, and something happens that must never happen.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use array_format_protocol::actor::Config;
use array_format_protocol::configurations as c;
use array_format_protocol::explore::explore;
use array_format_protocol::guards::Guards;
use array_format_protocol::history::Violation::{self, *};

fn caught(guard: &str, guards: Guards, mut config: Config, expected: Violation) {
    config.guards = guards;
    let report = explore(&config);
    let (violation, calls) = report.violation.unwrap_or_else(|| panic!("nobody misses {guard}"));
    let (name, states) = (report.name, report.states);
    println!("without {guard}: {violation:?}, {states} states, {name}\n    {}", calls.join("\n    "));
    assert_eq!(violation, expected);
}

macro_rules! mutants {
    ($($guard:ident: $config:ident => $violation:ident,)*) => {
        $(
            #[test]
            fn $guard() {
                let guards = Guards { $guard: false, ..Guards::default() };
                caught(stringify!($guard), guards, c::$config(), $violation);
            }
        )*

        #[test]
        fn every_guard_has_a_test() {
            let guards = format!("{:?}", Guards::default());
            assert_eq!(guards.matches("true").count(), [$(stringify!($guard)),*].len());
        }
    };
}

mutants! {
    create_if_absent: overlapping_writers => NewestNotFound,
    write_id_after_error: short_memory => FalseConflict,
    ancestors_when_taken: writers_compactor => FalseConflict,
    says_unknown: short_memory => FalseConflict,
    repeats_same_write_id: overlapping_writers => FalseConflict,
    overlap_check: overlapping_writers => LostUpdate,
    mark_after_create: writers_collector => AcknowledgedNotCommitted,
    mark_before_base: freed_then_passed => AcknowledgedNotCommitted,
    list_after_create: writers_collector => AcknowledgedNotCommitted,
    base_after_create: writers_compactor => AcknowledgedNotCommitted,
    mark_before_delete: writers_collector => AcknowledgedNotCommitted,
    marks_kept: two_collectors_sleeper => AcknowledgedNotCommitted,
    file_after_create: recreated => AcknowledgedNotCommitted,
    file_of_newest: deleted_and_created => AnotherFile,
    floor_test: writers_collector => AcknowledgedNotCommitted,
    base_test: two_compactors => AcknowledgedNotCommitted,
    ancestors_test: writers_compactor => FalseConflict,
    list_before_base: sleeper_compactions_reader => OpenedStale,
    opens_what_was_listed: two_compactors => BuiltOnStranger,
    begins_again: writer_compactor_collector_reader => OpenedStale,
    missing_check: lost_layer => Unnoticed,
    missing_in_listing: writer_compactor_collector_reader => FalseDamage,
    promote_conditional: two_compactors => NewestNotFound,
    promote_only_unneeded: tag_compactor => NeededMissing,
    delete_after_publish: writers_compactor => NewestNotFound,
    floor_before_delete: tag_collector => NeededMissing,
    head_after_listing: recreated_collector => NewestNotFound,
    tags_kept: tag_collector => NeededMissing,
    kept_versions_kept: two_collectors => NeededMissing,
    takes_over: two_collectors => NeededMissing,
    tag_check: tag_collector => BadTag,
    begun_check: worker_committer_collector => NeededMissing,
    begun_kept: worker_committer_collector => NeededMissing,
    file_ids: recreated_twice => NewestNotFound,
    foreign_by_base: recreated_twice => NewestNotFound,
    reference_ids: writer_compactor_collector_reader => WrongBytes,
    looks_in_base: writer_compactor_collector_reader => FalseExpired,
}
