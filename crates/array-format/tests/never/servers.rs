//! The same on real servers, where they run: those of the tests above whose promise a storage helps to keep.

use std::process::Command;

use array_format_testkit::servers::direct;

use super::support::SERVER;

/// Not among them: 01 has a storage of its own that loses power, 13 and 14 damage files, 15 and 16 have storages of their own, 18 has files; 07, 08, 09,
/// 12 and 17 are about content, wherever it lies.
const TESTS: [&str; 7] = ["never_02", "never_03", "never_04", "never_05", "never_06", "never_10", "never_11"];

fn again_on(server: &str) {
    if direct(server).is_none() {
        return;
    }
    let run =
        Command::new(std::env::current_exe().unwrap()).args(TESTS).env(SERVER, server).output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}\n{}", String::from_utf8_lossy(&run.stderr));
    assert!(said.contains(&format!(" {} passed", TESTS.len())), "{said}");
}

#[test]
fn moto_helps_to_keep_the_promises() {
    again_on("MOTO");
}

#[test]
fn seaweedfs_helps_to_keep_the_promises() {
    again_on("SEAWEEDFS");
}

#[test]
fn azurite_helps_to_keep_the_promises() {
    again_on("AZURITE");
}
