//! Compacts and collects beside the writers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use array_format::blocking::wait;
use array_format::{ArrayFile, CompactOptions, ErrorKind, GcOptions};

use crate::dice::Dice;
use crate::{Result, config};

/// What a keeper did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Compactions and collections.
    pub done: u64,
    /// Of these: writers were faster.
    pub outrun: u64,
}

impl std::ops::AddAssign for Kept {
    fn add_assign(&mut self, other: Self) {
        self.done += other.done;
        self.outrun += other.outrun;
    }
}

/// Works until it is told to stop. `keep`: no version is given up.
///
/// # Errors
/// All but being outrun.
pub fn run(path: &str, keep: bool, seed: u64, stop: &AtomicBool) -> Result<Kept> {
    let mut dice = Dice::new(seed);
    let mut kept = Kept::default();
    let mut file = wait(ArrayFile::open_url(path, config()))?;
    while !stop.load(Ordering::Relaxed) {
        let options = CompactOptions::default();
        let (what, done) = match dice.roll(if keep { 3 } else { 6 }) {
            0 => ("keep", wait(file.compact_with(options.keep_versions(true)))),
            1 => ("incremental", wait(file.compact_with(options.incremental(true)))),
            2 if file.version() > 0 => {
                let version = file.version();
                ("tag", wait(file.tag(&format!("t{}", dice.roll(3)), version)).map(|()| version))
            }
            2 | 3 => ("full", wait(file.compact_with(options))),
            _ => {
                let gc = GcOptions::default().keep_last(1 + dice.roll(8) as usize);
                ("collection", wait(file.garbage_collect(gc)).map(|r| r.swept))
            }
        };
        kept.done += 1;
        match done {
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::Conflict => kept.outrun += 1,
            // Another keeper gave that version up.
            Err(e) if what == "tag" && e.kind() == ErrorKind::NotFound => {
                wait(file.refresh())?;
            }
            Err(e) => return Err(format!("{what}: {e}").into()),
        }
        std::thread::sleep(Duration::from_micros(dice.roll(20_000)));
    }
    Ok(kept)
}
