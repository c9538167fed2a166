//! What is stored: the same numbers for every peer, made from a seed.

use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::Result;

/// xorshift64*: small, fast, the same everywhere.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    /// Uniform in 0..1.
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }
}

/// The elements of a volume.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    F32(Vec<f32>),
    U16(Vec<u16>),
}

impl Values {
    pub fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::U16(v) => v.len(),
        }
    }

    pub fn bytes(&self) -> usize {
        match self {
            Self::F32(v) => v.len() * 4,
            Self::U16(v) => v.len() * 2,
        }
    }
}

/// One large array of three dimensions, in C order.
pub struct Volume {
    pub shape: [u64; 3],
    pub chunk: [u64; 3],
    pub values: Values,
}

/// Workload G: a field of 64 times on a grid of a quarter of a degree, smooth, with some noise, rounded to 0.01.
fn field() -> Vec<f32> {
    let [times, rows, columns] = GRID;
    let mut dice = Dice::new(1);
    let waves: Vec<(f32, f32, f32, f32)> = (0..6)
        .map(|_| {
            (1.0 + dice.unit() * 3.0, dice.unit() * 7.0, 1.0 + (dice.unit() * 6.0).floor(), dice.unit() * 0.2)
        })
        .collect();
    let tau = std::f32::consts::TAU;
    let mut values = Vec::with_capacity((times * rows * columns) as usize);
    for t in 0..times {
        for y in 0..rows {
            let latitude = (y as f32 / rows as f32 - 0.5) * std::f32::consts::PI;
            let base = 28.0 * latitude.cos().powi(2) - 2.0;
            // The sum of the waves of one row is a sum of sines and cosines of the longitude: turned, not computed anew.
            let mut turning: Vec<(f32, f32, f32, f32)> = waves
                .iter()
                .map(|(height, phase, number, speed)| {
                    let angle = phase + y as f32 / rows as f32 * tau * 2.0 + t as f32 * speed;
                    let step = number * tau / columns as f32;
                    (height * angle.cos(), height * angle.sin(), step.cos(), step.sin())
                })
                .collect();
            for _ in 0..columns {
                let mut v = base;
                for (re, im, c, s) in &mut turning {
                    v += *re;
                    (*re, *im) = (*re * *c - *im * *s, *re * *s + *im * *c);
                }
                let noise = dice.unit() + dice.unit() - 1.0;
                values.push(((v + noise * NOISE) * 100.0).round() / 100.0);
            }
        }
    }
    values
}

/// Makes the field as compressible as measured ones of its kind are.
const NOISE: f32 = 0.12;
const GRID: [u64; 3] = [64, 720, 1440];

/// Workload V: a picture of 512^3 voxels: slow waves and some noise, as a microscope or a scanner sees them.
fn voxels() -> Vec<u16> {
    let n = 512u64;
    let mut dice = Dice::new(2);
    let wave = |i: u64, k: f32| ((i as f32 * k).sin() * 3000.0) as i32;
    let table: Vec<[i32; 3]> = (0..n).map(|i| [wave(i, 0.011), wave(i, 0.017), wave(i, 0.023)]).collect();
    let mut values = Vec::with_capacity((n * n * n) as usize);
    for z in 0..n as usize {
        for y in 0..n as usize {
            for x in 0..n as usize {
                let v = 12_000 + table[z][0] + table[y][1] + table[x][2] + (dice.next() >> 58) as i32;
                values.push(v as u16);
            }
        }
    }
    values
}

/// A volume, from a file beside the others if it was made before.
pub fn grid(data: &Path) -> Result<Volume> {
    let bytes = kept(data, "grid.raw", || field().iter().flat_map(|v| v.to_le_bytes()).collect())?;
    let values: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    drop(bytes);
    Ok(Volume { shape: GRID, chunk: [4, 180, 360], values: Values::F32(values) })
}

pub fn voxel_volume(data: &Path) -> Result<Volume> {
    let bytes = kept(data, "voxels.raw", || voxels().iter().flat_map(|v| v.to_le_bytes()).collect())?;
    let values = bytes.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b)).collect();
    Ok(Volume { shape: [512; 3], chunk: [128; 3], values: Values::U16(values) })
}

fn kept(data: &Path, name: &str, make: impl FnOnce() -> Vec<u8>) -> io::Result<Vec<u8>> {
    let path: PathBuf = data.join(name);
    if !path.exists() {
        fs::create_dir_all(data)?;
        let part = path.with_extension("part");
        fs::write(&part, make())?;
        fs::rename(&part, &path)?;
    }
    fs::read(&path)
}

/// Workload P: many small arrays with attributes that repeat.
pub struct Profiles {
    pub count: usize,
    /// Where each profile begins in `values`, and the end.
    starts: Vec<u32>,
    values: Vec<f32>,
}

/// An attribute.
pub enum Attribute {
    Text(&'static str, String),
    Number(&'static str, i64),
}

impl Profiles {
    pub fn new(count: usize) -> Self {
        let mut dice = Dice::new(3);
        let (mut starts, mut values) = (vec![0], Vec::new());
        for _ in 0..count {
            let n = 16 + dice.below(185);
            let mut v = 4.0 + dice.unit() * 24.0;
            for _ in 0..n {
                v += (dice.unit() - 0.52) * 0.3;
                values.push((v * 100.0).round() / 100.0);
            }
            starts.push(values.len() as u32);
        }
        Self { count, starts, values }
    }

    /// The values of all, one behind the other.
    pub fn all(&self) -> &[f32] {
        &self.values
    }

    pub fn name(i: usize) -> String {
        format!("profile_{i:07}")
    }

    pub fn values(&self, i: usize) -> &[f32] {
        &self.values[self.starts[i] as usize..self.starts[i + 1] as usize]
    }

    pub fn attributes(i: usize) -> [Attribute; 3] {
        [
            Attribute::Number("cycle", i as i64 % 300),
            Attribute::Text("platform", format!("float-{:04}", i / 300)),
            Attribute::Text("units", "degree_Celsius".into()),
        ]
    }
}

/// 25,000 arrays of 10,000 integers: the earlier crate's own example.
pub fn integers(i: usize) -> Vec<i32> {
    let mut dice = Dice::new(i as u64 + 10);
    let base = dice.below(1000) as i32;
    (0..10_000).map(|k| base + k / 7 + (dice.next() >> 61) as i32).collect()
}
