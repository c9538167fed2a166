//! The order of system calls on the local disk, as `strace` sees it: nothing is named before it is durable, nothing is acknowledged
//! before its name is, nothing is deleted before what replaces it is durable.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use array_format::{ArrayFile, FileConfig};
use futures::executor::block_on;
use ndarray::array;

const FOLDER: &str = "ARRAY_FORMAT_TRACED_FOLDER";

/// What is traced. Runs in a process of its own; by itself it does nothing.
#[test]
fn traced() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let mark = |name: &str| std::fs::create_dir(folder.join(format!("mark-{name}"))).unwrap();
    block_on(async {
        mark("create");
        let mut file = ArrayFile::create_path(folder.join("run.af"), FileConfig::default()).await.unwrap();
        mark("created");
        for i in 0..3 {
            let name = format!("x{i}");
            file.define_array::<i32>(&name, vec!["n".into()], vec![2], None, None).unwrap();
            file.write_array(&name, vec![], array![1, i].into_dyn().view()).await.unwrap();
            mark(&format!("flush{i}"));
            file.flush().await.unwrap();
            mark(&format!("flushed{i}"));
        }
        mark("compact");
        file.compact().await.unwrap();
        mark("compacted");
    });
}

/// A system call that succeeded: its name and the paths in it.
#[derive(Debug, Clone)]
struct Call {
    name: String,
    paths: Vec<String>,
}

impl Call {
    /// A line of `strace -f -y`: `4711 fsync(3</tmp/a>) = 0`. What one thread began and ended in two lines counts where it ended.
    fn parse(line: &str, begun: &mut HashMap<String, String>) -> Option<Self> {
        let (pid, rest) = line.split_once(' ')?;
        let mut rest = rest.trim_start().to_owned();
        if let Some(front) = rest.strip_suffix(" <unfinished ...>") {
            begun.insert(pid.to_owned(), front.to_owned());
            return None;
        }
        if let Some((_, end)) = rest.split_once(" resumed>").filter(|_| rest.starts_with("<... ")) {
            rest = begun.remove(pid)? + end;
        }
        let (call, result) = rest.rsplit_once(" = ")?;
        if result.starts_with('-') {
            return None;
        }
        let (name, arguments) = call.split_once('(')?;
        let quoted = arguments.split('"').skip(1).step_by(2).map(str::to_owned);
        let descriptor = arguments.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
        let paths = match name {
            "fsync" | "fdatasync" | "write" | "pwrite64" => {
                descriptor?.0.split(" (del").take(1).map(str::to_owned).collect()
            }
            _ => quoted.collect(),
        };
        Some(Self { name: name.to_owned(), paths })
    }

    fn is(&self, names: &[&str]) -> bool {
        names.contains(&self.name.as_str())
    }
}

/// The calls of `traced`, or why there are none.
fn trace(folder: &Path) -> Result<Vec<Call>, String> {
    let output = folder.join("strace.txt");
    let run = |program: &Path, arguments: &[&str]| {
        let calls = "trace=fsync,fdatasync,write,pwrite64,link,linkat,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat";
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-qq", "-e", calls, "-o"]).arg(&output).arg(program).args(arguments);
        let done = command.env(FOLDER, folder).output().map_err(|e| format!("strace cannot be run: {e}"))?;
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        if done.status.success() { Ok(()) } else { Err(format!("strace cannot trace here: {said}")) }
    };
    run(Path::new("true"), &[])?;
    run(&std::env::current_exe().unwrap(), &["--exact", "traced"]).unwrap();
    let mut begun = HashMap::new();
    let text = std::fs::read_to_string(&output).unwrap();
    Ok(text.lines().filter_map(|line| Call::parse(line, &mut begun)).collect())
}

/// What was called between two marks.
fn between<'a>(calls: &'a [Call], from: &str, to: &str) -> &'a [Call] {
    let mark = |name: &str| {
        let ending = format!("/mark-{name}");
        calls.iter().position(|c| c.is(&["mkdir", "mkdirat"]) && c.paths[0].ends_with(&ending)).unwrap()
    };
    &calls[mark(from) + 1..mark(to)]
}

const SYNC: [&str; 2] = ["fsync", "fdatasync"];

/// The object that ends in `name` is synced whole, then named, then its folder is synced. Returns where it was named.
fn assert_published(calls: &[Call], name: &str) -> usize {
    let links = ["link", "linkat", "rename", "renameat", "renameat2"];
    let named = calls.iter().position(|c| c.is(&links) && c.paths[1].ends_with(name));
    let named = named.unwrap_or_else(|| panic!("{name} is named: {calls:#?}"));
    let [temp, object] = &calls[named].paths[..] else { panic!("{:?}", calls[named]) };
    let last = |names: &[&str]| calls.iter().rposition(|c| c.is(names) && c.paths[0] == *temp);
    let (written, synced) = (last(&["write", "pwrite64"]).unwrap(), last(&SYNC).unwrap());
    assert!(written < synced && synced < named, "{name}: written {written}, synced {synced}, named {named}");
    let folder = Path::new(object).parent().unwrap().to_str().unwrap();
    let folder_synced = calls.iter().rposition(|c| c.is(&SYNC) && c.paths[0] == folder);
    assert!(folder_synced.is_some_and(|at| at > named), "{name}: its folder is synced after it was named");
    named
}

#[test]
fn what_is_acknowledged_is_durable_and_deletions_come_last() {
    let folder = tempfile::tempdir().unwrap();
    let calls = match trace(folder.path()) {
        Ok(calls) => calls,
        Err(why) => return println!("skipped: {why}"),
    };
    let root = folder.path().to_str().unwrap();
    assert_published(between(&calls, "create", "created"), "/run.af");
    for i in 0..3 {
        let calls = between(&calls, &format!("flush{i}"), &format!("flushed{i}"));
        assert_published(calls, &format!(".{:020}.layer", i + 1));
        // The folder of layers comes with the first of them.
        if let Some(made) = calls.iter().position(|c| c.is(&["mkdir", "mkdirat"])) {
            assert!(calls[made + 1..].iter().any(|c| c.is(&SYNC) && c.paths[0] == root), "{calls:#?}");
        }
    }
    let calls = between(&calls, "compact", "compacted");
    let merged = assert_published(calls, ".00000000000000000004.layer");
    let renames = ["rename", "renameat", "renameat2"];
    let promoted = calls.iter().position(|c| c.is(&renames) && c.paths[1].ends_with("/run.af")).unwrap();
    let layers = format!("{root}/run.af.layers");
    let synced = |from: usize, folder: &str| {
        let synced = calls[from..].iter().position(|c| c.is(&SYNC) && c.paths[0] == folder);
        from + synced.unwrap_or_else(|| panic!("{folder} is synced after {from}: {calls:#?}"))
    };
    assert!(synced(merged, &layers) < promoted, "the merged layer is durable before it becomes the base");
    let durable = synced(promoted, root);
    let deletions: Vec<usize> = (0..calls.len())
        .filter(|at| calls[*at].is(&["unlink", "unlinkat"]) && calls[*at].paths[0].ends_with(".layer"))
        .collect();
    assert!(!deletions.is_empty() && deletions.iter().all(|at| *at > durable), "{calls:#?}");
    println!("{} system calls in order", calls.len());
}
