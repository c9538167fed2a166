//! The disjoint form: each writer has arrays, chunks of a shared array and an attribute of its own, and commits them together.

use array_format::blocking::wait;
use array_format::{ArrayDefinition, ArrayFile, ErrorKind, Snapshot};
use ndarray::{ArrayD, arr1};

use crate::dice::hash;
use crate::{Result, ensure};

/// Elements of a chunk of the shared array: one chunk a writer.
const SHARED_CELL: u64 = 5;
/// Elements of an array that is replaced as a whole, in several chunks.
const OWN: u64 = 40;
const FILL: i64 = -1;

fn define(file: &mut ArrayFile, name: &str, length: u64, chunk: u64) -> array_format::Result<()> {
    let array = ArrayDefinition::new::<i64>(vec!["n".into()], vec![length]);
    file.define(name, array.chunk_shape(vec![chunk]).fill(FILL))
}

/// Commits the arrays of `writers`, before anything was written to them.
///
/// # Errors
/// What the handle says.
pub fn setup(file: &mut ArrayFile, writers: u64) -> Result<()> {
    define(file, "shared", writers * SHARED_CELL, SHARED_CELL)?;
    for writer in 0..writers {
        define(file, &format!("own/{writer}"), OWN, 16)?;
        define(file, &format!("log/{writer}"), 0, 8)?;
    }
    wait(file.flush())?;
    Ok(())
}

/// The number of the commit, content that follows from it, and a checksum.
fn content(writer: u64, seq: u64, length: u64) -> ArrayD<i64> {
    let mut all: Vec<i64> = (0..length).map(|i| (hash([writer, seq, i]) % 100_000) as i64).collect();
    if let [first, .., last] = &mut all[..] {
        (*first, *last) = (seq as i64, 0);
    }
    let sum = sum(&all);
    if let Some(last) = all.last_mut() {
        *last = sum;
    }
    arr1(&all).into_dyn()
}

/// Of all but the last element.
fn sum(data: &[i64]) -> i64 {
    hash(data.iter().take(data.len().saturating_sub(1)).map(|v| *v as u64)) as i64
}

/// Makes a change; again on the newest version if the one that it was made on is gone. Nothing changed then.
fn step(
    file: &mut ArrayFile,
    expired: &mut u64,
    change: impl Fn(&mut ArrayFile) -> array_format::Result<()>,
) -> array_format::Result<()> {
    loop {
        match change(file) {
            Err(e) if e.kind() == ErrorKind::SnapshotExpired => {
                *expired += 1;
                wait(file.refresh())?;
            }
            done => return done,
        }
    }
}

/// Makes the changes of commit `seq` of a writer; the first is 1. Counts the reads of versions that were collected.
///
/// # Errors
/// What the handle says.
pub fn change(file: &mut ArrayFile, writer: u64, seq: u64, expired: &mut u64) -> array_format::Result<()> {
    let (own, new) = (format!("own/{writer}"), format!("new/{writer}/{seq}"));
    let shared = content(writer, seq, SHARED_CELL);
    step(file, expired, |f| wait(f.write_array(&own, vec![0], content(writer, seq, OWN).view())))?;
    step(file, expired, |f| wait(f.write_array("shared", vec![writer * SHARED_CELL], shared.view())))?;
    let row = arr1(&[seq as i64]).into_dyn();
    step(file, expired, |f| wait(f.append(&format!("log/{writer}"), 0, row.view())))?;
    step(file, expired, |f| wait(f.set_attribute("", &format!("seq{writer}"), seq)))?;
    step(file, expired, |f| wait(f.set_attribute(&own, "seq", seq)))?;
    // Arrays that come and go.
    step(file, expired, |f| define(f, &new, 3, 3))?;
    step(file, expired, |f| wait(f.write_array(&new, vec![0], content(writer, seq, 3).view())))?;
    if seq > 2 {
        step(file, expired, |f| wait(f.delete(&format!("new/{writer}/{}", seq - 2))))?;
    }
    Ok(())
}

/// What a reader found.
type Found<T> = array_format::Result<T>;

/// The commit of an array or region, if it is whole.
fn whole(snapshot: &Snapshot, name: &str, start: u64, length: u64) -> Found<Result<u64>> {
    let data = wait(snapshot.read_array::<i64>(name, vec![start], vec![length]))?;
    let data: Vec<i64> = data.iter().copied().collect();
    if data.iter().all(|v| *v == FILL) {
        return Ok(Ok(0));
    }
    Ok(match data.last() == Some(&sum(&data)) {
        true => Ok(data[0] as u64),
        false => {
            Err(format!("version {}: {name} from {start} on is torn: {data:?}", snapshot.version()).into())
        }
    })
}

fn number(snapshot: &Snapshot, node: &str, attribute: &str) -> Found<u64> {
    Ok(wait(snapshot.attribute(node, attribute))?.and_then(|v| v.to_string().parse().ok()).unwrap_or(0))
}

/// Checks a version, and returns the number of each writer's last commit. `atomic`: all that a commit changes must be there together;
/// otherwise each array by itself.
///
/// # Errors
/// Outside: what reading says. Inside: what is wrong.
pub fn check(snapshot: &Snapshot, writers: u64, atomic: bool) -> Found<Result<Vec<u64>>> {
    let mut commits = Vec::new();
    for writer in 0..writers {
        let (own, log) = (format!("own/{writer}"), format!("log/{writer}"));
        let in_own = whole(snapshot, &own, 0, OWN)?;
        let in_shared = whole(snapshot, "shared", writer * SHARED_CELL, SHARED_CELL)?;
        let log: Vec<i64> = wait(snapshot.read_array::<i64>(&log, vec![], vec![]))?.into_iter().collect();
        let at_root = number(snapshot, "", &format!("seq{writer}"))?;
        let at_own = number(snapshot, &own, "seq")?;
        let mut news = Vec::new();
        for name in wait(snapshot.list_arrays_in(&format!("new/{writer}/")))? {
            news.push((name.clone(), whole(snapshot, &name, 0, 3)?));
        }
        let found = || -> Result<u64> {
            let (own, shared) = (in_own?, in_shared?);
            let counted: Vec<i64> = (1..=log.len() as i64).collect();
            let version = snapshot.version();
            ensure!(log == counted, "version {version}: the log of writer {writer} is {log:?}");
            let all = [own, shared, log.len() as u64, at_root, at_own];
            let one = all.iter().all(|n| *n == own);
            ensure!(one || !atomic, "version {version}: commits {all:?} of writer {writer} side by side");
            let mut names = Vec::new();
            for (name, seq) in news {
                let seq = seq?;
                let whole = name == format!("new/{writer}/{seq}") || (!atomic && seq == 0);
                ensure!(whole, "version {version}: {name} has the content of commit {seq}");
                names.push(seq);
            }
            names.sort_unstable();
            let expected: Vec<u64> = (own.saturating_sub(1).max(1)..=own).collect();
            ensure!(
                !atomic || names == expected,
                "version {version}, commit {own} of {writer}: new/ {names:?}"
            );
            Ok(all.into_iter().min().unwrap_or(0))
        };
        match found() {
            Ok(seq) => commits.push(seq),
            Err(e) => return Ok(Err(e)),
        }
    }
    Ok(Ok(commits))
}
