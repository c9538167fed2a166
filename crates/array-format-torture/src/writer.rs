//! A writer: commits, and says which version each of its commits became.

use std::fmt;
use std::str::FromStr;

use array_format::blocking::wait;
use array_format::{ArrayFile, Error, ErrorKind};

use crate::counters::{self, Increments};
use crate::dice::Dice;
use crate::{Result, ensure, owned};

/// What the writers do to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// They have arrays, chunks and attributes of their own.
    Disjoint,
    /// They increment the same counters.
    Overlap,
    /// As disjoint, through clones of one handle: a commit holds what all of them have changed.
    Clones,
}

impl FromStr for Form {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        [Self::Disjoint, Self::Overlap, Self::Clones]
            .into_iter()
            .find(|f| f.to_string() == s)
            .ok_or_else(|| format!("{s:?} is not disjoint, overlap or clones"))
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disjoint => "disjoint",
            Self::Overlap => "overlap",
            Self::Clones => "clones",
        })
    }
}

/// A commit that the library acknowledged.
#[derive(Debug, Clone, PartialEq)]
pub struct Acknowledged {
    /// Who.
    pub writer: u64,
    /// The writer's how manyth, from 1.
    pub seq: u64,
    /// The version that it is, or, of clones, is part of.
    pub version: u64,
    /// What it incremented.
    pub increments: Increments,
}

/// What a writer met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Met {
    /// Changes that overlapped with another's, and were made again.
    pub conflicts: u64,
    /// Times that other writers were faster, again and again.
    pub outrun: u64,
    /// Reads of a version that was collected meanwhile.
    pub expired: u64,
}

impl std::ops::AddAssign for Met {
    fn add_assign(&mut self, other: Self) {
        self.conflicts += other.conflicts;
        self.outrun += other.outrun;
        self.expired += other.expired;
    }
}

/// A commit that gave up because of others' speed, not because of what they changed.
fn is_outrun(e: &Error) -> bool {
    e.kind() == ErrorKind::Conflict && e.message().contains("faster")
}

/// Makes `commits` commits and hands each to `acknowledge`.
///
/// # Errors
/// Whatever may not happen.
pub fn run(
    file: &mut ArrayFile,
    form: Form,
    writer: u64,
    commits: u64,
    seed: u64,
    mut acknowledge: impl FnMut(Acknowledged) -> Result<()>,
) -> Result<Met> {
    let mut dice = Dice::new(crate::hash([seed, writer]));
    let mut met = Met::default();
    let mut total = 0;
    for seq in 1..=commits {
        let mut tries = 0;
        let (version, increments) = loop {
            tries += 1;
            ensure!(tries < 10_000, "writer {writer} never gets its turn");
            let tried = attempt(file, form, writer, seq, total, &mut dice, &mut met);
            match tried {
                Ok(done) => break done,
                Err(e) if form == Form::Overlap && e.kind() == ErrorKind::Conflict => met.conflicts += 1,
                Err(e) if form != Form::Clones && e.kind() == ErrorKind::SnapshotExpired => met.expired += 1,
                Err(e) => return Err(format!("writer {writer}, commit {seq}: {e}").into()),
            }
            wait(file.discard())?;
        };
        total += increments.len() as u64;
        acknowledge(Acknowledged { writer, seq, version, increments })?;
    }
    Ok(met)
}

fn attempt(
    file: &mut ArrayFile,
    form: Form,
    writer: u64,
    seq: u64,
    total: u64,
    dice: &mut Dice,
    met: &mut Met,
) -> array_format::Result<(u64, Increments)> {
    let mut increments = Vec::new();
    match form {
        // Every other commit is built on an older version, and has to be put on top of the newest.
        Form::Disjoint if dice.roll(2) == 0 => owned::change(file, writer, seq, &mut met.expired)?,
        Form::Disjoint => {
            wait(file.refresh())?;
            owned::change(file, writer, seq, &mut met.expired)?;
        }
        Form::Clones => owned::change(file, writer, seq, &mut met.expired)?,
        Form::Overlap => {
            wait(file.refresh())?;
            increments = counters::change(file, writer, seq, total, dice)?;
        }
    }
    let message = message(writer, seq);
    loop {
        match wait(file.flush_with_message(&message)) {
            Ok(version) => return Ok((version, increments)),
            Err(e) if is_outrun(&e) => met.outrun += 1,
            // Reading may find that its version is gone; a commit goes to the newest by itself.
            Err(e) if e.kind() == ErrorKind::SnapshotExpired => {
                return Err(Error::new(ErrorKind::Unavailable, format!("flush said: {e}")));
            }
            Err(e) => return Err(e),
        }
    }
}

/// What a commit says of itself.
pub fn message(writer: u64, seq: u64) -> String {
    format!("writer {writer} commit {seq}")
}

impl fmt::Display for Acknowledged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.writer, self.seq, self.version)?;
        self.increments.iter().try_for_each(|(counter, value)| write!(f, " {counter}={value}"))
    }
}

impl FromStr for Acknowledged {
    type Err = crate::child::Garbled;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let mut words = line.split(' ');
        let mut number = || words.next().and_then(|w| w.parse::<u64>().ok());
        let (writer, seq, version) =
            number().zip(number()).zip(number()).map(|((a, b), c)| (a, b, c)).ok_or(crate::child::Garbled)?;
        let increments = words.map(|w| {
            let (counter, value) = w.split_once('=')?;
            Some((counter.parse().ok()?, value.parse().ok()?))
        });
        let increments = increments.collect::<Option<_>>().ok_or(crate::child::Garbled)?;
        Ok(Self { writer, seq, version, increments })
    }
}
