//! The process that is killed: commits, compacts, collects and tags without end, and says what it does.
//!
//! A `begin` line comes before the work, the line that acknowledges it after the library has returned.

use array_format::blocking::wait;
use array_format::{ArrayFile, CompactOptions, GcOptions};

use crate::dice::Dice;
use crate::model::{Changes, Model, Timeline};
use crate::{Result, config, ensure, say};

/// Names of tags.
pub const TAGS: [&str; 3] = ["t0", "t1", "t2"];

/// Works until it is killed. `seed` decides what the versions hold, `dice` what is done between them.
///
/// # Errors
/// Whatever goes wrong: nothing may.
pub fn run(path: &str, seed: u64, dice: u64) -> Result<()> {
    let mut file = wait(ArrayFile::open_url(path, config()))?;
    let (mut seq, sum, model) = Model::read(&file.snapshot())?;
    let mut timeline = Timeline::new(seed);
    ensure!(timeline.sum(seq) == sum && model.sum() == sum, "commit {seq} is not what it should be");
    say(&format!("ready {seq}"))?;
    let mut dice = Dice::new(dice);
    loop {
        match dice.roll(16) {
            0 => compact(&mut file, "full", CompactOptions::default())?,
            1 => compact(&mut file, "keep", CompactOptions::default().keep_versions(true))?,
            2 => compact(&mut file, "incremental", CompactOptions::default().incremental(true))?,
            3 => {
                say("begin collection")?;
                let keep = 1 + dice.roll(6) as usize;
                wait(file.garbage_collect(GcOptions::default().keep_last(keep)))?;
                say("collection")?;
            }
            4 => tag(&mut file, &mut dice)?,
            5 => file = wait(ArrayFile::open_url(path, config()))?,
            _ => {
                let changes = timeline.next(seq);
                seq += 1;
                commit(path, &mut file, &changes, seq, dice.roll(3) == 0)?;
            }
        }
    }
}

fn compact(file: &mut ArrayFile, how: &str, options: CompactOptions) -> Result<()> {
    say(&format!("begin compaction {how}"))?;
    wait(file.compact_with(options))?;
    say("compaction")
}

fn tag(file: &mut ArrayFile, dice: &mut Dice) -> Result<()> {
    let name = TAGS[dice.roll(3) as usize];
    if dice.roll(4) == 0 {
        say(&format!("begin tag {name} none"))?;
        wait(file.remove_tag(name))?;
    } else {
        let mut versions = wait(file.versions())?;
        versions.retain(|v| v.version > 0); // the empty file needs no name, and gets none
        if versions.is_empty() {
            return Ok(());
        }
        let Some(version) = versions.get(dice.roll(versions.len() as u64) as usize) else {
            return Err("dice with too many faces".into());
        };
        say(&format!("begin tag {name} {}", version.version))?;
        wait(file.tag(name, version.version))?;
    }
    say("tag")
}

fn commit(path: &str, file: &mut ArrayFile, changes: &Changes, seq: u64, detach: bool) -> Result<()> {
    say(&format!("begin commit {seq}"))?;
    if detach && changes.can_be_detached() {
        let mut worker = wait(ArrayFile::open_url(path, config()))?;
        changes.make(&mut worker)?;
        let receipt = wait(worker.detach())?;
        say("detached")?;
        wait(file.join(&[receipt]))?;
    } else {
        changes.make(file)?;
    }
    changes.seal(file)?;
    let version = wait(file.flush())?;
    say(&format!("commit {seq} {version}"))
}
