//! The overlap form: writers increment the same counters, and sum them up in every commit.

use array_format::blocking::wait;
use array_format::{ArrayDefinition, ArrayFile, Snapshot};
use ndarray::arr1;

use crate::dice::{Dice, hash};
use crate::{Result, ensure};

/// All counters.
pub const COUNTERS: u64 = 12;
/// Counters of a chunk: increments of two chunks do not overlap.
const CELL: u64 = 3;

/// Commits counters that are all 0.
///
/// # Errors
/// What the handle says.
pub fn setup(file: &mut ArrayFile) -> Result<()> {
    let array = |length: u64, chunk: u64| {
        ArrayDefinition::new::<i64>(vec!["n".into()], vec![length]).chunk_shape(vec![chunk]).fill(0i64)
    };
    file.define("counters", array(COUNTERS, CELL))?;
    // A checksum for each chunk of counters, written together with it.
    file.define("sums", array(COUNTERS / CELL, 1))?;
    let sums: Vec<i64> = (0..COUNTERS / CELL).map(|c| sum(c, &[0; CELL as usize])).collect();
    wait(file.write_array("sums", vec![0], arr1(&sums).into_dyn().view()))?;
    wait(file.flush())?;
    Ok(())
}

fn sum(chunk: u64, values: &[i64]) -> i64 {
    hash([chunk].into_iter().chain(values.iter().map(|v| *v as u64))) as i64
}

/// Counters and what they count afterwards.
pub type Increments = Vec<(u64, i64)>;

/// Increments a few counters. `total` is what this writer has incremented so far.
///
/// # Errors
/// What the handle says.
pub fn change(
    file: &mut ArrayFile,
    writer: u64,
    seq: u64,
    total: u64,
    dice: &mut Dice,
) -> array_format::Result<Increments> {
    let mut counters: Vec<u64> = (0..=dice.roll(3)).map(|_| dice.roll(COUNTERS)).collect();
    counters.sort_unstable();
    counters.dedup();
    let mut done = Vec::new();
    for counter in counters {
        let value = wait(file.read_array::<i64>("counters", vec![counter], vec![1]))?.sum() + 1;
        wait(file.write_array("counters", vec![counter], arr1(&[value]).into_dyn().view()))?;
        let chunk = counter / CELL;
        let values = wait(file.read_array::<i64>("counters", vec![chunk * CELL], vec![CELL]))?;
        let values: Vec<i64> = values.iter().copied().collect();
        wait(file.write_array("sums", vec![chunk], arr1(&[sum(chunk, &values)]).into_dyn().view()))?;
        done.push((counter, value));
    }
    let total = total + done.len() as u64;
    wait(file.set_attribute("", &format!("seq{writer}"), seq))?;
    wait(file.set_attribute("", &format!("total{writer}"), total))?;
    Ok(done)
}

/// What a version holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    /// All counters.
    pub counters: Vec<i64>,
    /// Number of each writer's last commit.
    pub commits: Vec<u64>,
}

/// Checks a version, and returns what it holds.
///
/// # Errors
/// Outside: what reading says. Inside: what is wrong.
pub fn check(snapshot: &Snapshot, writers: u64) -> array_format::Result<Result<Counted>> {
    let read = |name: &str| -> array_format::Result<Vec<i64>> {
        Ok(wait(snapshot.read_array::<i64>(name, vec![], vec![]))?.into_iter().collect())
    };
    let (counters, sums) = (read("counters")?, read("sums")?);
    let (mut commits, mut total) = (Vec::new(), 0);
    for writer in 0..writers {
        let number = |name: String| -> array_format::Result<u64> {
            Ok(wait(snapshot.attribute("", &name))?.and_then(|v| v.to_string().parse().ok()).unwrap_or(0))
        };
        commits.push(number(format!("seq{writer}"))?);
        total += number(format!("total{writer}"))?;
    }
    let found = || -> Result<Counted> {
        let version = snapshot.version();
        for (chunk, (values, said)) in (0..).zip(counters.chunks(CELL as usize).zip(&sums)) {
            let fits = sum(chunk, values) == *said;
            ensure!(
                fits,
                "version {version}: the checksum of chunk {chunk} is of other counters: {counters:?}"
            );
        }
        let counted = counters.iter().sum::<i64>() as u64;
        ensure!(counted == total, "version {version}: the counters are {counted}, the writers say {total}");
        Ok(Counted { counters, commits })
    };
    Ok(found())
}
