//! Many small arrays.

use anyhow::{Result, bail, ensure};

use super::{Context, Step, folder_bytes, timed};
use crate::data::{self, Dice, Profiles};
use crate::peer::Peer;

pub(super) fn profiles(peer: &dyn Peer, phase: &str, c: &Context) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let n = c.profiles as u64;
    match phase {
        "write" => {
            let profiles = Profiles::new(c.profiles);
            timed(&mut steps, "write", || peer.write_profiles(&c.dir, &profiles))?;
            steps[0].bytes = Some(folder_bytes(&c.dir));
        }
        "first" => {
            let found = timed(&mut steps, "open and read one", || {
                peer.open_profiles(&c.dir)?.read(&Profiles::name(c.profiles / 3))
            })?;
            ensure!(found == Profiles::new(c.profiles).values(c.profiles / 3), "wrong values");
        }
        "random" => {
            let mut dice = Dice::new(6);
            let which: Vec<usize> = (0..1000).map(|_| dice.below(n) as usize).collect();
            let names: Vec<String> = which.iter().map(|i| Profiles::name(*i)).collect();
            let open = peer.open_profiles(&c.dir)?;
            let single = timed(&mut steps, "1,000 random, one by one", || {
                names.iter().map(|n| open.read(n)).collect::<Result<Vec<_>>>()
            })?;
            let open = peer.open_profiles(&c.dir)?;
            let batch = timed(&mut steps, "1,000 random, one batch", || open.read_batch(&names))?;
            let profiles = Profiles::new(c.profiles);
            for ((i, single), batch) in which.iter().zip(&single).zip(&batch) {
                ensure!(single == profiles.values(*i) && batch == single, "wrong values of {i}");
            }
        }
        "all" => {
            let names: Vec<String> = (0..c.profiles).map(Profiles::name).collect();
            let open = peer.open_profiles(&c.dir)?;
            let singles = timed(&mut steps, "all, one by one", || {
                names.iter().map(|n| Ok(open.read(n)?.len())).sum::<Result<usize>>()
            })?;
            let open = peer.open_profiles(&c.dir)?;
            let batches = timed(&mut steps, "all, in batches of 10,000", || {
                names
                    .chunks(10_000)
                    .map(|b| Ok(open.read_batch(b)?.iter().map(Vec::len).sum::<usize>()))
                    .sum::<Result<usize>>()
            })?;
            let open = peer.open_profiles(&c.dir)?;
            let ragged = timed(&mut steps, "all, in batches one behind the other", || {
                names.chunks(10_000).map(|b| Ok(open.read_ragged(b)?.len())).sum::<Result<usize>>()
            })?;
            ensure!(singles == batches && batches == ragged, "{singles}, {batches}, {ragged} elements");
        }
        "attribute" => {
            let found =
                timed(&mut steps, "one attribute of all", || peer.open_profiles(&c.dir)?.count_cycle_7())?;
            let expected = (0..c.profiles).filter(|i| i % 300 == 7).count();
            ensure!(found == expected, "{found} instead of {expected}");
        }
        "maxima" => {
            let found = timed(&mut steps, "maxima of all", || peer.open_profiles(&c.dir)?.sum_of_maxima())?;
            let profiles = Profiles::new(c.profiles);
            let expected: f64 = (0..c.profiles).map(|i| maximum(profiles.values(i))).sum();
            ensure!((found - expected).abs() < 1e-3, "{found} instead of {expected}");
        }
        "pruned" => {
            let found = timed(&mut steps, "pruning by both", || peer.open_profiles(&c.dir)?.count_pruned())?;
            let profiles = Profiles::new(c.profiles);
            let expected =
                (0..c.profiles).filter(|i| i % 300 == 7 && maximum(profiles.values(*i)) > 29.0).count();
            ensure!(found == expected, "{found} instead of {expected}");
        }
        _ => bail!("no phase {phase:?}"),
    }
    Ok(steps)
}

fn maximum(values: &[f32]) -> f64 {
    f64::from(values.iter().copied().fold(f32::MIN, f32::max))
}

pub(super) fn integers(peer: &dyn Peer, phase: &str, c: &Context) -> Result<Vec<Step>> {
    const COUNT: usize = 25_000;
    let mut steps = Vec::new();
    match phase {
        "write" => {
            let all: Vec<Vec<i32>> = (0..COUNT).map(data::integers).collect();
            timed(&mut steps, "write", || peer.write_integers(&c.dir, COUNT, &|i| all[i].clone()))?;
            steps[0].bytes = Some(folder_bytes(&c.dir));
        }
        _ => {
            let sum = timed(&mut steps, "open and read all", || peer.sum_integers(&c.dir, COUNT))?;
            let expected: i64 = (0..COUNT).flat_map(data::integers).map(i64::from).sum();
            ensure!(sum == expected, "{sum} instead of {expected}");
        }
    }
    Ok(steps)
}
