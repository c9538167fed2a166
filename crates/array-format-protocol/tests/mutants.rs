//! Each check of the protocol is taken away, one at a time, and something happens that must never happen.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use array_format_protocol::configurations;
use array_format_protocol::explore::explore;
use array_format_protocol::guards::Guards;

macro_rules! mutants {
    ($($guard:ident),* $(,)?) => {
        vec![$((stringify!($guard), Guards { $guard: false, ..Guards::default() })),*]
    };
}

#[test]
fn every_guard_is_needed() {
    let mutants = mutants![
        create_if_absent,
        write_id_after_error,
        ancestors_when_taken,
        repeats_same_write_id,
        says_unknown,
        overlap_check,
        list_after_create,
        base_after_create,
        file_after_create,
        floor_test,
        base_test,
        ancestors_test,
        list_before_base,
        opens_what_was_listed,
        begins_again,
        missing_check,
        promote_conditional,
        promote_only_unneeded,
        delete_after_publish,
        floor_before_delete,
        head_after_listing,
        tags_kept,
        kept_versions_kept,
        takes_over,
        tag_check,
        begun_check,
        begun_kept,
        file_ids,
        reference_ids,
        foreign_by_base,
        looks_in_base,
    ];
    let mut missed = Vec::new();
    for (name, guards) in mutants {
        let mut shortest: Option<(usize, String)> = None;
        let mut n = 0;
        let mut names = Vec::new();
        let t = std::time::Instant::now();
        for mut config in configurations::short() {
            config.guards = guards;
            let report = explore(config);
            if let Some((violation, calls)) = report.violation {
                n += 1;
                names.push((report.name, violation, report.states));
                if shortest.as_ref().is_none_or(|s| calls.len() < s.0) {
                    shortest = Some((
                        calls.len(),
                        format!("{violation:?} in \"{}\":\n    {}", report.name, calls.join("\n    ")),
                    ));
                }
            }
        }
        match shortest {
            Some((_, text)) => println!(
                "without {name} ({n} configurations, {:.1?}): {text}\n    in {:?}",
                t.elapsed(),
                names
            ),
            None => {
                println!("without {name}: NOT CAUGHT");
                missed.push(name)
            }
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}
