//! The command as a script sees it: exit codes, one line of error, JSON.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn af(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_af")).args(arguments).output().unwrap()
}

fn code(o: &Output) -> i32 {
    o.status.code().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn data(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
    root.join(name).to_str().unwrap().to_owned()
}

fn packed(folder: &Path) -> PathBuf {
    let file = folder.join("ocean.af");
    let o = af(&["import", file.to_str().unwrap(), &data("atlantic_profiles.nc"), &data("vlstr_type.nc")]);
    assert_eq!(code(&o), 0, "{}", text(&o.stderr));
    file
}

#[test]
fn a_file_is_packed_listed_read_changed_and_verified() {
    let folder = tempfile::tempdir().unwrap();
    let file = packed(folder.path());
    let file = file.to_str().unwrap();
    let ls = text(&af(&["ls", file]).stdout);
    assert!(ls.contains("atlantic_profiles/theta  f32 (depth 40, lat 6, lon 8)"), "{ls}");
    let theta = "atlantic_profiles/theta";
    let cat = |version: &[&str]| {
        let o = af(&[&["cat", file, theta, "3, 2, 1:3", "--json"], version].concat());
        serde_json::from_slice::<serde_json::Value>(&o.stdout).unwrap()
    };
    let before = cat(&[]);
    assert_eq!(before["shape"], serde_json::json!([1, 1, 2]));
    let o = af(&["set", file, theta, "3, 2, 1", "-1.5", "-m", "recalibrated"]);
    assert_eq!(code(&o), 0, "{}", text(&o.stderr));
    assert_eq!(cat(&[])["values"][0], serde_json::json!(-1.5));
    assert_eq!(cat(&[])["values"][1], before["values"][1]);
    assert_eq!(cat(&["--version", "1"]), before, "the old version is still there");
    let log = text(&af(&["log", file, "--json", "--changes"]).stdout);
    let newest: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(newest["message"], "recalibrated");
    assert_eq!(newest["changes"][0]["name"], theta);
    let stats = text(&af(&["stats", file, theta, "--json"]).stdout);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&stats).unwrap()["min"], -1.5);
    assert_eq!(code(&af(&["compact", file])), 0);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["ocean.af"], "one file again");
    let verify = af(&["verify", file, "--statistics", "--json"]);
    assert_eq!(code(&verify), 0);
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&verify.stdout).unwrap()["damage"],
        serde_json::json!([])
    );
    let info = af(&["info", file, "vlstr_type", "--json"]);
    let info: serde_json::Value = serde_json::from_slice(&info.stdout).unwrap();
    assert!(!info["dimensions"].as_array().unwrap().is_empty());
}

#[test]
fn what_fails_says_so_in_one_line_and_by_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let file = packed(folder.path());
    let file = file.to_str().unwrap();
    let missing = folder.path().join("nope.af");
    let cases: [&[&str]; 6] = [
        &["ls", missing.to_str().unwrap()],
        &["ls", &data("vlstr_type.nc")],
        &["cat", file, "nope"],
        &["cat", file, "atlantic_profiles/theta", "0:99"],
        &["set", file, "atlantic_profiles/theta", "0", "warm"],
        &["info", file, "nope"],
    ];
    for arguments in cases {
        let o = af(arguments);
        assert_eq!(code(&o), 1, "{arguments:?}");
        let error = text(&o.stderr);
        assert!(error.starts_with("af: ") && error.lines().count() == 1, "{arguments:?}: {error}");
    }
    assert_eq!(code(&af(&["frobnicate"])), 2);
    let twice = af(&["import", file, &data("atlantic_profiles.nc"), "--groups"]);
    assert_eq!(code(&twice), 3, "the group is there already: left out, and said so");
    assert!(text(&twice.stderr).contains("left out"));
    let sidecars = std::fs::read_dir(folder.path().join("ocean.af.layers")).unwrap();
    let largest = sidecars.map(|e| e.unwrap().path()).max_by_key(|p| p.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&largest).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&largest, bytes).unwrap();
    let verify = af(&["verify", file]);
    assert_eq!(code(&verify), 3);
    let told = text(&verify.stdout);
    assert!(told.contains("block") && told.contains("offset") && told.contains("layer"), "{told}");
}

#[test]
fn versions_get_names_and_a_damaged_file_is_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let path = packed(folder.path());
    let file = path.to_str().unwrap();
    assert_eq!(code(&af(&["tag", file, "raw"])), 0);
    assert_eq!(code(&af(&["set", file, "atlantic_profiles/theta", "0, 0, 0", "4"])), 0);
    assert_eq!(text(&af(&["tag", file]).stdout), "1  raw\n");
    assert!(text(&af(&["log", file]).stdout).contains("[raw]"));
    assert_eq!(code(&af(&["gc", file, "--keep-last", "1"])), 0);
    assert_eq!(code(&af(&["compact", file, "--incremental"])), 0);
    assert_eq!(
        code(&af(&["cat", file, "atlantic_profiles/theta", "0, 0, 0", "--version", "1"])),
        0,
        "a tag keeps it"
    );
    assert_eq!(code(&af(&["tag", file, "raw", "--delete"])), 0);
    assert_eq!(code(&af(&["tag", file, "raw", "--delete"])), 1);
    assert_eq!(code(&af(&["compact", file])), 0);
    let new = folder.path().join("new.af");
    let repaired = af(&["repair", file, new.to_str().unwrap()]);
    assert_eq!(code(&repaired), 0, "{}", text(&repaired.stderr));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(code(&af(&["verify", file])), 3);
    let again = af(&["repair", file, new.to_str().unwrap()]);
    assert_eq!(code(&again), 1, "it replaces nothing: {}", text(&again.stdout));
    let other = folder.path().join("other.af");
    let repaired = af(&["repair", file, other.to_str().unwrap(), "--json"]);
    assert_eq!(code(&repaired), 3, "{}", text(&repaired.stderr));
    let report: serde_json::Value = serde_json::from_slice(&repaired.stdout).unwrap();
    assert!(
        !report["lost"].as_array().unwrap().is_empty() && report["saved"].as_u64().unwrap() > 1,
        "{report}"
    );
    assert_eq!(code(&af(&["verify", other.to_str().unwrap(), "--statistics"])), 0);
}
