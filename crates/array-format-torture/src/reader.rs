//! A reader beside the writers: every version that it meets must be whole.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use array_format::blocking::wait;
use array_format::{ArrayFile, Error, ErrorKind, Snapshot};

use crate::dice::Dice;
use crate::writer::Form;
use crate::{Result, config, counters, ensure, owned};

/// What a reader did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Read {
    /// Versions that were read and found whole.
    pub whole: u64,
    /// Versions that were gone.
    pub gone: u64,
}

impl std::ops::AddAssign for Read {
    fn add_assign(&mut self, other: Self) {
        self.whole += other.whole;
        self.gone += other.gone;
    }
}

struct Reader {
    form: Form,
    writers: u64,
    /// Each writer's last commit, by version.
    seen: BTreeMap<u64, Vec<u64>>,
    read: Read,
}

fn is_gone(e: &Error) -> bool {
    matches!(e.kind(), ErrorKind::SnapshotExpired | ErrorKind::NotFound)
}

/// The commits of a version, if it is whole.
///
/// # Errors
/// Outside: what reading says. Inside: what is wrong.
pub fn commits(snapshot: &Snapshot, form: Form, writers: u64) -> array_format::Result<Result<Vec<u64>>> {
    match form {
        Form::Disjoint => owned::check(snapshot, writers, true),
        Form::Clones => owned::check(snapshot, writers, false),
        Form::Overlap => Ok(counters::check(snapshot, writers)?.map(|c| c.commits)),
    }
}

impl Reader {
    fn read(&mut self, snapshot: &Snapshot) -> Result<()> {
        let version = snapshot.version();
        let found = match commits(snapshot, self.form, self.writers) {
            Ok(found) => found?,
            Err(e) if e.kind() == ErrorKind::SnapshotExpired => {
                self.read.gone += 1;
                return Ok(());
            }
            Err(e) => return Err(format!("reading version {version}: {e}").into()),
        };
        self.read.whole += 1;
        let not_above = |a: &[u64], b: &[u64]| a.iter().zip(b).all(|(a, b)| a <= b);
        let before = self.seen.range(..=version).next_back();
        let after = self.seen.range(version..).next();
        let fits =
            before.is_none_or(|b| not_above(b.1, &found)) && after.is_none_or(|a| not_above(&found, a.1));
        ensure!(fits, "version {version} has commits {found:?}, between {before:?} and {after:?}");
        self.seen.insert(version, found);
        Ok(())
    }
}

/// Reads until it is told to stop, and at least once.
///
/// # Errors
/// Whatever is not whole, and all that reading may not say.
pub fn run(path: &str, form: Form, writers: u64, seed: u64, stop: &AtomicBool) -> Result<Read> {
    let mut dice = Dice::new(seed);
    let mut reader = Reader { form, writers, seen: BTreeMap::new(), read: Read::default() };
    let mut file = wait(ArrayFile::open_url(path, config()))?;
    let mut held: Vec<Snapshot> = Vec::new();
    let mut newest = 0;
    loop {
        let last = stop.load(Ordering::Relaxed);
        match dice.roll(6) {
            0 => file = wait(ArrayFile::open_url(path, config())).map_err(|e| format!("open: {e}"))?,
            1..=3 => {
                wait(file.refresh()).map_err(|e| format!("refresh: {e}"))?;
            }
            // Held while others go on, without having read anything but its root.
            4 => held.push(wait(ArrayFile::open_url(path, config()))?.snapshot()),
            _ => {
                let version = dice.roll(file.version() + 1);
                match wait(file.at(version)) {
                    // The arrays were not there before version 1.
                    Ok(snapshot) if version > 0 => reader.read(&snapshot)?,
                    Ok(_) => {}
                    Err(e) if is_gone(&e) => reader.read.gone += 1,
                    Err(e) => return Err(format!("version {version}: {e}").into()),
                }
            }
        }
        ensure!(file.version() >= newest, "version {} after version {newest}", file.version());
        newest = file.version();
        reader.read(&file.snapshot())?;
        if held.len() > 3 || last {
            for snapshot in held.drain(..) {
                reader.read(&snapshot)?;
            }
        }
        if last {
            return Ok(reader.read);
        }
    }
}
