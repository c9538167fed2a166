//! Small hot operations: `scripts/instructions.sh` counts their instructions, `cargo bench --manifest-path benchmarks/small/Cargo.toml` their time.
//!
//! Data, ids and times are the same in every run, and lie in memory.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use array_format::{ArrayFile, Error, FileConfig, InMemoryStorage, Result, blocking::wait};
use ndarray::{Array, ArrayD};

/// One operation, ready to be done again and again.
pub type Operation = Box<dyn FnMut() -> Result<()>>;

/// An operation that is measured.
pub struct Case {
    pub name: &'static str,
    /// How often it is done to be counted: more often than the cycle in which it goes over different things.
    pub repetitions: usize,
    pub prepare: fn() -> Result<Operation>,
}

const fn case(name: &'static str, repetitions: usize, prepare: fn() -> Result<Operation>) -> Case {
    Case { name, repetitions, prepare }
}

/// All of them.
pub const CASES: &[Case] = &[
    case("open", 20, open),
    case("lookup", 1000, lookup),
    case("list", 100, list),
    case("attribute column", 1000, attribute_column),
    case("statistics column", 1000, statistics_column),
    case("read warm", 1000, read_warm),
    case("read cold", 20, read_cold),
    case("series warm", 100, series_warm),
    case("series cold", 20, series_cold),
    case("flush one chunk", 20, flush_one_chunk),
    case("write a thousand arrays", 5, write_arrays),
];

/// What goes over these in a circle.
struct Circle<T> {
    all: Vec<T>,
    next: usize,
}

impl<T> Circle<T> {
    fn of(all: impl IntoIterator<Item = T>) -> Self {
        Self { all: all.into_iter().collect(), next: 0 }
    }

    fn turn(&mut self) -> Result<&T> {
        let i = self.next;
        self.next = (i + 1) % self.all.len().max(1);
        self.all.get(i).ok_or_else(|| Error::invalid("an empty circle"))
    }
}

/// Opening and the first lookup by name.
fn open() -> Result<Operation> {
    let (store, names) = catalogue(CATALOGUE)?;
    let mut names = Circle::of(names.into_iter().take(10));
    Ok(Box::new(move || {
        black_box(wait(reopen(&store)?.array(names.turn()?))?);
        Ok(())
    }))
}

fn lookup() -> Result<Operation> {
    let (store, names) = catalogue(CATALOGUE)?;
    let file = reopen(&store)?;
    black_box(wait(file.arrays(""))?); // all pages
    let mut names = Circle::of(names.into_iter().step_by(101));
    Ok(Box::new(move || {
        black_box(wait(file.array(names.turn()?))?);
        Ok(())
    }))
}

/// A hundred of ten thousand.
fn list() -> Result<Operation> {
    let file = reopen(&catalogue(CATALOGUE)?.0)?;
    Ok(Box::new(move || {
        black_box(wait(file.list_arrays_in("cast/012"))?);
        Ok(())
    }))
}

fn attribute_column() -> Result<Operation> {
    let file = reopen(&catalogue(CATALOGUE)?.0)?;
    Ok(Box::new(move || {
        black_box(wait(file.attribute_column("ship"))?);
        Ok(())
    }))
}

fn statistics_column() -> Result<Operation> {
    let file = reopen(&catalogue(CATALOGUE)?.0)?;
    Ok(Box::new(move || {
        black_box(wait(file.statistics_column())?);
        Ok(())
    }))
}

fn read_warm() -> Result<Operation> {
    let (store, names) = catalogue(CATALOGUE)?;
    let file = reopen(&store)?;
    let mut names = Circle::of(names.into_iter().step_by(101));
    Ok(Box::new(move || {
        black_box(wait(file.read_array::<f32>(names.turn()?, vec![], vec![]))?);
        Ok(())
    }))
}

fn read_cold() -> Result<Operation> {
    let (store, names) = catalogue(CATALOGUE)?;
    let mut names = Circle::of(names.into_iter().step_by(1009));
    Ok(Box::new(move || {
        black_box(wait(reopen(&store)?.read_array::<f32>(names.turn()?, vec![], vec![]))?);
        Ok(())
    }))
}

/// All times at one place.
fn series_warm() -> Result<Operation> {
    let file = reopen(&grid()?)?;
    let mut places = Circle::of(0..10);
    Ok(Box::new(move || {
        let i = *places.turn()?;
        black_box(wait(file.read_array::<f32>("grid", vec![0, i, i], vec![500, 1, 1]))?);
        Ok(())
    }))
}

fn series_cold() -> Result<Operation> {
    let store = grid()?;
    let mut places = Circle::of(0..10);
    Ok(Box::new(move || {
        let i = *places.turn()?;
        black_box(wait(reopen(&store)?.read_array::<f32>("grid", vec![0, i, i], vec![500, 1, 1]))?);
        Ok(())
    }))
}

/// Each in a version of its own.
fn flush_one_chunk() -> Result<Operation> {
    let (store, names) = catalogue(CATALOGUE)?;
    let mut file = reopen(&store)?;
    let data = profile(1);
    let mut names = Circle::of(names.into_iter().step_by(1009));
    Ok(Box::new(move || {
        wait(file.write_array(names.turn()?, vec![], data.view()))?;
        wait(file.flush())?;
        Ok(())
    }))
}

/// From definitions to one version with all of them.
fn write_arrays() -> Result<Operation> {
    Ok(Box::new(|| catalogue(1000).map(|_| ())))
}

const CATALOGUE: usize = 10_000;

/// A file of small arrays, and their names.
fn catalogue(arrays: usize) -> Result<(InMemoryStorage, Vec<String>)> {
    let store = InMemoryStorage::new();
    let mut file = wait(ArrayFile::create(store.clone(), NAME, config()))?;
    let names: Vec<String> = (0..arrays).map(|i| format!("cast/{i:05}/temperature")).collect();
    for (i, name) in names.iter().enumerate() {
        file.define_array::<f32>(name, vec!["level".into()], vec![LEVELS as u64], None, None)?;
        wait(file.write_array(name, vec![], profile(i).view()))?;
        wait(file.set_attribute(name, "ship", if i % 3 == 0 { "Alkor" } else { "Poseidon" }))?;
    }
    wait(file.flush())?;
    Ok((store, names))
}

const LEVELS: usize = 50;

fn profile(cast: usize) -> ArrayD<f32> {
    Array::from_shape_fn(LEVELS, |z| 20.0 - z as f32 * 0.2 + ((cast * 31 + z * 17) % 97) as f32 * 0.1)
        .into_dyn()
}

/// A file of one array of 10 x 2 x 2 chunks.
fn grid() -> Result<InMemoryStorage> {
    let store = InMemoryStorage::new();
    let mut file = wait(ArrayFile::create(store.clone(), NAME, config()))?;
    let (shape, chunk_shape) = ([500, 32, 32], vec![50, 16, 16]);
    let dimensions = vec!["time".into(), "y".into(), "x".into()];
    file.define_array::<f32>("grid", dimensions, shape.map(|n| n as u64).to_vec(), Some(chunk_shape), None)?;
    let data = Array::from_shape_fn(shape, |(t, y, x)| ((t * 7 + y * 3 + x) % 1009) as f32 * 0.01).into_dyn();
    wait(file.write_array("grid", vec![], data.view()))?;
    wait(file.flush())?;
    Ok(store)
}

const NAME: &str = "file.af";

/// A handle with an empty cache.
fn reopen(store: &InMemoryStorage) -> Result<ArrayFile> {
    wait(ArrayFile::open(store.clone(), NAME, config()))
}

fn config() -> FileConfig {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = || u128::from(NEXT.fetch_add(1, Ordering::Relaxed)).to_le_bytes();
    FileConfig::default().with_ids(id).with_clock(|| 0)
}
