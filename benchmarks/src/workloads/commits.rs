//! Many commits, and what they leave.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail, ensure};

use super::{Context, Step, folder_bytes, timed};
use crate::data::{Dice, Profiles};
use crate::peer::Peer;

pub(super) fn updates(peer: &dyn Peer, phase: &str, c: &Context) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let n = c.commits as u64;
    let copy = c.dir.join("compacted");
    let mut read = |name: &str, dir: &Path| {
        let sum = timed(&mut steps, name, || peer.sum_updates(dir, c.commits))?;
        let expected: f64 = (0..n).map(|i| 10_000.0 * i as f64 + 10_000.0 * 9_999.0 / 2.0).sum();
        ensure!(sum == expected, "{sum} instead of {expected}");
        Ok(())
    };
    match phase {
        "commits" => {
            let mut file = peer.updates(&c.dir, c.commits)?;
            let parts = [
                ("commits, first tenth", 0..n / 10),
                ("commits, middle", n / 10..n - n / 10),
                ("commits, last tenth", n - n / 10..n),
            ];
            for (name, part) in parts {
                timed(&mut steps, name, || part.clone().try_for_each(|i| file.commit(i, i as f32)))?;
            }
        }
        "open" => timed(&mut steps, "open", || peer.open_updates(&c.dir))?,
        "read" => read("open and read all", &c.dir)?,
        "compact" => {
            // Another one in each round.
            let _ = fs::remove_dir_all(&copy);
            copy_folder(&c.dir, &copy)?;
            if let Err(e) = timed(&mut steps, "compact", || peer.compact_updates(&copy)) {
                fs::remove_dir_all(&copy)?;
                return Err(e);
            }
        }
        "open compacted" if copy.exists() => {
            timed(&mut steps, "open, compacted", || peer.open_updates(&copy))?;
        }
        "read compacted" if copy.exists() => read("open and read all, compacted", &copy)?,
        "open compacted" | "read compacted" => {}
        _ => bail!("no phase {phase:?}"),
    }
    Ok(steps)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true if target == to.join("compacted") => {}
            true => copy_folder(&entry.path(), &target)?,
            false => drop(fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}

/// Commits of one new array each into a file of many. What is left of the time without a disk is computing.
pub(super) fn catalogue(peer: &dyn Peer, phase: &str, c: &Context) -> Result<Vec<Step>> {
    const COMMITS: usize = 20;
    let mut steps = Vec::new();
    if phase == "write" {
        let profiles = Profiles::new(c.profiles * 5);
        timed(&mut steps, "write", || peer.write_profiles(&c.dir, &profiles))?;
        steps[0].bytes = Some(folder_bytes(&c.dir));
        return Ok(steps);
    }
    // Other names in each round: those of the one before are taken.
    let mut dice = Dice::new(folder_bytes(&c.dir));
    let values: Vec<Vec<f32>> = (0..COMMITS).map(|_| (0..16_384).map(|_| dice.unit()).collect()).collect();
    for (name, on_disk) in [("20 commits, in memory", false), ("20 commits, on disk", true)] {
        let mut file = peer.open_catalogue(&c.dir, on_disk)?;
        let names: Vec<String> =
            (0..COMMITS).map(|_| format!("{}_new", Profiles::name(dice.below(1 << 20) as usize))).collect();
        timed(&mut steps, name, || names.iter().zip(&values).try_for_each(|(n, v)| file.add(n, v)))?;
        let (read, written) = file.traffic()?;
        let most = COMMITS as u64 * (256 << 10);
        ensure!(read.max(written) <= most, "{read} bytes read and {written} written for {COMMITS} commits");
    }
    Ok(steps)
}
