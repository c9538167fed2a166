//! Short forms of the harnesses; `AF_KILLS` and `AF_COMMITS` make them long, see `scripts/torture.sh`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use std::path::PathBuf;
use std::process::Command;

use array_format_testkit::servers;
use array_format_torture::contest::Place;
use array_format_torture::writer::Form;
use array_format_torture::{contest, killer, scale};

fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_torture").into()
}

/// On the disk where things are built: the folder for temporary files may be in memory.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let (folder, seed) = (folder(), killer::any_seed());
    let path = folder.path().join("run.af").display().to_string();
    let options = killer::Options { program: program(), path, kills: scale("AF_KILLS", 25), seed };
    match killer::run(&options) {
        Ok(report) => println!("{report}"),
        Err(e) => panic!("seed {seed}, file kept in {}: {e}", folder.keep().display()),
    }
}

fn compete(place: Place, form: Form, writers: u64, keep: bool, commits: u64) {
    let (folder, seed) = (folder(), killer::any_seed());
    let path = folder.path().join("run.af").display().to_string();
    let commits = scale("AF_COMMITS", commits);
    let options = contest::Options { program: program(), path, place, form, writers, commits, keep, seed };
    match contest::run(&options) {
        Ok(report) => println!("{writers} {place:?}, {form}, keep {keep}: {report}"),
        Err(e) => panic!("seed {seed}, file kept in {}: {e}", folder.keep().display()),
    }
}

#[test]
fn two_processes_with_disjoint_changes() {
    compete(Place::Processes, Form::Disjoint, 2, false, 30);
}

#[test]
fn four_processes_with_disjoint_changes() {
    compete(Place::Processes, Form::Disjoint, 4, false, 15);
}

#[test]
fn four_processes_with_disjoint_changes_and_all_of_their_history() {
    compete(Place::Processes, Form::Disjoint, 4, true, 15);
}

#[test]
fn two_threads_with_disjoint_changes_and_all_of_their_history() {
    compete(Place::Threads, Form::Disjoint, 2, true, 30);
}

#[test]
fn four_threads_with_disjoint_changes() {
    compete(Place::Threads, Form::Disjoint, 4, false, 15);
}

#[test]
fn two_processes_with_overlaps() {
    compete(Place::Processes, Form::Overlap, 2, false, 30);
}

#[test]
fn four_processes_with_overlaps_and_all_of_their_history() {
    compete(Place::Processes, Form::Overlap, 4, true, 15);
}

#[test]
fn four_threads_with_overlaps() {
    compete(Place::Threads, Form::Overlap, 4, false, 15);
}

#[test]
fn two_threads_on_clones_of_one_handle_and_all_of_their_history() {
    compete(Place::Threads, Form::Clones, 2, true, 30);
}

#[test]
fn four_threads_on_clones_of_one_handle() {
    compete(Place::Threads, Form::Clones, 4, false, 15);
}

/// The short form on a server, where one runs. A process of its own, whose environment says where the server is.
fn killed_on(server: &str) {
    let Some((environment, bucket)) = servers::environment(server) else { return };
    let url = format!("{bucket}/{}/run.af", servers::fresh("torture"));
    let kills = scale("AF_REMOTE_KILLS", 15).to_string();
    let run =
        Command::new(program()).args(["kill", &url, "--kills", &kills]).envs(environment).output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{url}: {said}\n{}", String::from_utf8_lossy(&run.stderr));
    println!("{server}: {said}");
}

#[test]
fn nothing_acknowledged_is_lost_on_moto_when_the_process_is_killed() {
    killed_on("MOTO");
}

#[test]
fn nothing_acknowledged_is_lost_on_seaweedfs_when_the_process_is_killed() {
    killed_on("SEAWEEDFS");
}

#[test]
fn nothing_acknowledged_is_lost_on_azurite_when_the_process_is_killed() {
    killed_on("AZURITE");
}
