//! The calls of undisturbed actors, in the words in which the engine's calls can be compared with them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use array_format_protocol::calls::{Scenario, from_log};

#[test]
fn one_commit() {
    assert_eq!(Scenario::Commit.calls(), ["create layer 1", "list marks", "open base"]);
}

#[test]
fn a_commit_that_meets_a_taken_number() {
    let expected = [
        "create layer 1",
        "open layer 1",
        "list",
        "open base",
        "open layer 1",
        "create layer 2",
        "list marks",
        "open base",
    ];
    assert_eq!(Scenario::TakenNumber.calls(), expected);
}

#[test]
fn full_compaction() {
    let expected = [
        "list",
        "open base",
        "open layer 1",
        "create layer 2",
        "list marks",
        "open base",
        "promote",
        "list",
        "open base",
        "delete layer 1",
        "delete layer 2",
    ];
    assert_eq!(Scenario::Compaction.calls(), expected);
}

#[test]
fn compaction_where_the_base_stays() {
    let expected = [
        "list",
        "open base",
        "open layer 1",
        "create layer 2",
        "list marks",
        "open base",
        "list",
        "open base",
        "open layer 2",
        "create mark",
        "delete layer 1",
    ];
    assert_eq!(Scenario::CompactionBaseStays.calls(), expected);
}

#[test]
fn collection() {
    let expected = [
        "list",
        "open base",
        "open layer 2",
        "create layer 3",
        "list marks",
        "open base",
        "create mark",
        "delete layer 1",
    ];
    assert_eq!(Scenario::Collection.calls(), expected);
}

#[test]
fn join() {
    let expected = ["list", "open base", "open detached", "create layer 1", "list marks", "open base"];
    assert_eq!(Scenario::Join.calls(), expected);
}

#[test]
fn opening() {
    assert_eq!(Scenario::Open.calls()[..3], ["list", "open base", "open layer 1"]);
}

#[test]
fn lines_of_a_log_become_calls() {
    let id = "0123456789abcdef0123456789abcdef";
    let call = |line: &str| from_log("a/run.af", line);
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        call(&format!("finish a/run.af.layers/{id}.00000000000000000012.layer")),
        some("create layer 12")
    );
    assert_eq!(call(&format!("open a/run.af.layers/{id}.00000000000000000001.layer")), some("open layer 1"));
    assert_eq!(
        call(&format!("delete a/run.af.layers/{id}.00000000000000000001.layer")),
        some("delete layer 1")
    );
    assert_eq!(call(&format!("finish a/run.af.layers/{id}.{id}.blocks")), some("create detached"));
    assert_eq!(call(&format!("open a/run.af.layers/{id}.{id}.blocks")), some("open detached"));
    assert_eq!(call("list a/run.af.layers"), some("list"));
    assert_eq!(call("list a/run.af.freed"), some("list marks"));
    assert_eq!(call(&format!("finish a/run.af.freed/{id}.00000000000000000012")), some("create mark"));
    assert_eq!(call("open a/run.af"), some("open base"));
    assert_eq!(call("finish a/run.af"), some("create base"));
    assert_eq!(call("promote a/run.af"), some("promote"));
    // Parts of what counts as one call, and what is none of the file.
    for line in [
        "upload a/run.af",
        "write a/run.af",
        "read a/run.af",
        "sweep a/run.af",
        "list a",
        "open b/run.af",
        "",
    ] {
        assert_eq!(call(line), None, "{line}");
    }
}
