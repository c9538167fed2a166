//! What the victim's file holds: a pure function of a seed and a number of commits.

use std::collections::BTreeMap;

use array_format::blocking::wait;
use array_format::{ArrayDefinition, ArrayFile, Snapshot, Value};
use ndarray::ArrayD;

use crate::dice::{Dice, hash};

const COLUMNS: u64 = 6;
const MOST_ARRAYS: usize = 7;
const MOST_ROWS: u64 = 40;
const NAMES: [&str; 10] = ["a0", "a1", "a2", "a3", "a4", "g/a0", "g/a1", "g/h/a0", "g/h/a1", "g/h/a2"];
const KEYS: [&str; 3] = ["k0", "k1", "k2"];
const FILL: i64 = -1;
/// Holds the number of commits and the checksum of everything else; written in every commit.
const CHECK: &str = "check";

/// An array of `i64`, six columns wide.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Array {
    data: Vec<i64>,
    attributes: BTreeMap<String, i64>,
}

/// All arrays by path.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Model {
    arrays: BTreeMap<String, Array>,
}

/// A change.
#[derive(Debug, Clone)]
enum Op {
    Define { name: String, rows: u64, chunk: Option<Vec<u64>> },
    Write { name: String, start: [u64; 2], shape: [u64; 2], seed: u64 },
    Append { name: String, rows: u64, seed: u64 },
    Shrink { name: String, rows: u64 },
    Delete { name: String },
    Rename { from: String, to: String },
    Set { name: String, key: String, value: i64 },
    Unset { name: String, key: String },
}

/// The changes of one commit.
#[derive(Debug, Clone)]
pub struct Changes {
    ops: Vec<Op>,
    seq: u64,
    sum: u64,
}

fn values(seed: u64, n: u64) -> Vec<i64> {
    let mut dice = Dice::new(seed);
    // Small ones, so that statistics and codecs have something to do.
    (0..n).map(|_| dice.roll(1000) as i64).collect()
}

impl Array {
    fn rows(&self) -> u64 {
        self.data.len() as u64 / COLUMNS
    }
}

impl Model {
    /// A checksum of everything.
    pub fn sum(&self) -> u64 {
        hash(self.arrays.iter().flat_map(|(name, array)| {
            let text = |s: &str| hash(s.bytes().map(u64::from));
            let attributes = array.attributes.iter().flat_map(move |(k, v)| [text(k), *v as u64]);
            let head = [text(name), array.data.len() as u64, array.attributes.len() as u64];
            head.into_iter().chain(attributes).chain(array.data.iter().map(|v| *v as u64))
        }))
    }

    /// What commit number `seq` changes of the model after the commit before, and makes the changes here.
    pub fn advance(&mut self, seed: u64, seq: u64) -> Changes {
        let mut dice = Dice::new(hash([seed, seq]));
        let mut ops = Vec::new();
        for _ in 0..=dice.roll(5) {
            ops.extend(self.choose(&mut dice).filter(|op| self.apply(op)));
        }
        Changes { ops, seq, sum: self.sum() }
    }

    fn choose(&self, dice: &mut Dice) -> Option<Op> {
        let free = NAMES.iter().filter(|n| !self.arrays.contains_key(**n)).nth(dice.roll(10) as usize % 3);
        let some = (dice.roll(self.arrays.len() as u64) as usize, dice.number());
        let (name, array) = match self.arrays.iter().nth(some.0) {
            Some((name, array)) if self.arrays.len() > 2 => (name.clone(), array),
            _ => return self.define(dice, free?),
        };
        let (rows, seed) = (array.rows(), some.1);
        Some(match dice.roll(12) {
            0..=3 if rows > 0 => {
                let start = [dice.roll(rows), dice.roll(COLUMNS)];
                let shape = [1 + dice.roll(rows - start[0]), 1 + dice.roll(COLUMNS - start[1])];
                Op::Write { name, start, shape, seed }
            }
            0..=6 if rows < MOST_ROWS => Op::Append { name, rows: 1 + dice.roll(5), seed },
            7 => Op::Set { name, key: KEYS[dice.roll(3) as usize].into(), value: dice.roll(100) as i64 },
            8 => Op::Unset { name, key: KEYS[dice.roll(3) as usize].into() },
            9 => Op::Shrink { name, rows: dice.roll(rows + 1) },
            10 => Op::Rename { from: name, to: (*free?).into() },
            11 if self.arrays.len() > 4 => Op::Delete { name },
            _ if self.arrays.len() < MOST_ARRAYS => return self.define(dice, free?),
            _ => Op::Set { name, key: KEYS[dice.roll(3) as usize].into(), value: dice.roll(100) as i64 },
        })
    }

    fn define(&self, dice: &mut Dice, name: &str) -> Option<Op> {
        let chunk = (dice.roll(3) > 0).then(|| vec![1 + dice.roll(6), 1 + dice.roll(COLUMNS)]);
        Some(Op::Define { name: name.into(), rows: dice.roll(12), chunk })
    }

    /// Makes a change; `false` if it makes no sense here.
    fn apply(&mut self, op: &Op) -> bool {
        match op {
            Op::Define { name, rows, .. } => {
                let data = vec![FILL; (rows * COLUMNS) as usize];
                self.arrays.insert(name.clone(), Array { data, ..Array::default() });
            }
            Op::Delete { name } => return self.arrays.remove(name).is_some(),
            Op::Rename { from, to } => {
                let Some(array) = self.arrays.remove(from) else { return false };
                self.arrays.insert(to.clone(), array);
            }
            Op::Write { name, .. } | Op::Append { name, .. } | Op::Shrink { name, .. } => {
                let Some(array) = self.arrays.get_mut(name) else { return false };
                match op {
                    Op::Write { start, shape, seed, .. } => {
                        for (i, value) in (0..).zip(values(*seed, shape[0] * shape[1])) {
                            let (row, column) = (start[0] + i / shape[1], start[1] + i % shape[1]);
                            array.data[(row * COLUMNS + column) as usize] = value;
                        }
                    }
                    Op::Append { rows, seed, .. } => array.data.extend(values(*seed, rows * COLUMNS)),
                    Op::Shrink { rows, .. } => array.data.truncate((rows * COLUMNS) as usize),
                    _ => return false,
                }
            }
            Op::Set { name, key, value } => {
                let Some(array) = self.arrays.get_mut(name) else { return false };
                array.attributes.insert(key.clone(), *value);
            }
            Op::Unset { name, key } => {
                return self.arrays.get_mut(name).is_some_and(|a| a.attributes.remove(key).is_some());
            }
        }
        true
    }

    /// Reads a version: the number of its commit, the checksum that it carries, and its content.
    ///
    /// # Errors
    /// What reading says.
    pub fn read(snapshot: &Snapshot) -> array_format::Result<(u64, u64, Self)> {
        let mut model = Self::default();
        let mut check = vec![0, Self::default().sum() as i64];
        for name in wait(snapshot.list_arrays())? {
            let data = wait(snapshot.read_array::<i64>(&name, vec![], vec![]))?;
            let data: Vec<i64> = data.iter().copied().collect();
            if name == CHECK {
                check = data;
                continue;
            }
            let attributes = wait(snapshot.attributes(&name))?.into_iter();
            let attributes =
                attributes.map(|(k, v)| (k, v.to_string().parse().unwrap_or(i64::MIN))).collect();
            model.arrays.insert(name, Array { data, attributes });
        }
        let seq =
            wait(snapshot.attribute("", "seq"))?.map_or(0, |v| v.to_string().parse().unwrap_or(u64::MAX));
        // The attribute and the array must be of one commit.
        let sum = if check.first() == Some(&(seq as i64)) { check.last().copied().unwrap_or(0) } else { 0 };
        Ok((seq, sum as u64, model))
    }
}

impl Changes {
    /// Whether a worker can write them ahead.
    pub fn can_be_detached(&self) -> bool {
        let can = |op: &Op| matches!(op, Op::Define { .. } | Op::Write { .. } | Op::Set { .. });
        !self.ops.is_empty() && self.ops.iter().all(can)
    }

    /// Makes the changes in a handle.
    ///
    /// # Errors
    /// What the handle says.
    pub fn make(&self, file: &mut ArrayFile) -> array_format::Result<()> {
        for op in &self.ops {
            match op {
                Op::Define { name, rows, chunk } => {
                    let names = vec!["row".into(), "column".into()];
                    let mut array = ArrayDefinition::new::<i64>(names, vec![*rows, COLUMNS]).fill(FILL);
                    if let Some(chunk) = chunk {
                        array = array.chunk_shape(chunk.clone());
                    }
                    file.define(name, array)?;
                }
                Op::Write { name, start, shape, seed } => {
                    let data = block(*shape, *seed);
                    wait(file.write_array(name, start.to_vec(), data.view()))?;
                }
                Op::Append { name, rows, seed } => {
                    wait(file.append(name, 0, block([*rows, COLUMNS], *seed).view()))?;
                }
                Op::Shrink { name, rows } => wait(file.resize(name, vec![*rows, COLUMNS]))?,
                Op::Delete { name } => wait(file.delete(name))?,
                Op::Rename { from, to } => wait(file.rename(from, to))?,
                Op::Set { name, key, value } => wait(file.set_attribute(name, key, *value))?,
                Op::Unset { name, key } => {
                    wait(file.remove_attribute(name, key))?;
                }
            }
        }
        Ok(())
    }

    /// Adds to the handle's changes what tells a torn state: number and checksum, as an attribute and in an array.
    ///
    /// # Errors
    /// What the handle says.
    pub fn seal(&self, file: &mut ArrayFile) -> array_format::Result<()> {
        if !wait(file.contains(CHECK))? {
            file.define(CHECK, ArrayDefinition::new::<i64>(vec!["what".into()], vec![2]).fill(FILL))?;
        }
        let check = ndarray::arr1(&[self.seq as i64, self.sum as i64]).into_dyn();
        wait(file.write_array(CHECK, vec![0], check.view()))?;
        wait(file.set_attribute("", "seq", Value::from(self.seq)))
    }
}

fn block(shape: [u64; 2], seed: u64) -> ArrayD<i64> {
    let (data, shape) = (values(seed, shape[0] * shape[1]), [shape[0] as usize, shape[1] as usize]);
    ArrayD::from_shape_fn(ndarray::IxDyn(&shape), |i| data[i[0] * shape[1] + i[1]])
}

/// The checksums of all commits so far.
#[derive(Debug)]
pub struct Timeline {
    seed: u64,
    model: Model,
    sums: Vec<u64>,
}

impl Timeline {
    /// Before the first commit.
    pub fn new(seed: u64) -> Self {
        let model = Model::default();
        Self { seed, sums: vec![model.sum()], model }
    }

    /// The changes that lead from commit `seq` to the next; the timeline must not be beyond it.
    pub fn next(&mut self, seq: u64) -> Changes {
        self.sum(seq);
        let changes = self.model.advance(self.seed, seq + 1);
        self.sums.push(changes.sum);
        changes
    }

    /// The checksum after commit `seq`.
    pub fn sum(&mut self, seq: u64) -> u64 {
        while self.sums.len() as u64 <= seq {
            let changes = self.model.advance(self.seed, self.sums.len() as u64);
            self.sums.push(changes.sum);
        }
        self.sums[seq as usize]
    }
}
