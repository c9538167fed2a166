//! The earlier crate, 0.9: a file, and another one for each commit, until they are merged.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, ensure};
use array_format_0_9::{
    ArrayElement, ArrayFile, AttributeValue, CompressionCodec, DType, FileConfig, Lz4Codec, NoCompression,
    StatValue, ZstdCodec,
};
use futures::{StreamExt, TryStreamExt, stream};
use ndarray::{ArcArray, ArrayView, Axis, IxDyn, Slice};
use object_store::local::LocalFileSystem;

use super::{chunk, runtime, sum, sync, tasks};
use crate::data::{Attribute, Profiles, Values, Volume};
use crate::peer::{Compression, OpenProfiles, OpenVolume, Peer, Updates};

pub struct ArrayFormat0_9;

const FILE: &str = "data.af";
const ARRAY: &str = "v";

/// The block size of its own example of many arrays.
const MANY: usize = 4 << 20;

/// A new file whose blocks have `block` bytes, but for the default settings.
fn create(dir: &Path, how: Compression, block: usize) -> Result<ArrayFile> {
    match how {
        Compression::None => {
            create_with(dir, FileConfig { block_target_size: block, ..FileConfig::new(NoCompression) })
        }
        Compression::Lz4 => {
            create_with(dir, FileConfig { block_target_size: block, ..FileConfig::new(Lz4Codec) })
        }
        Compression::Zstd3 => {
            create_with(dir, FileConfig { block_target_size: block, ..FileConfig::new(ZstdCodec::new(3)) })
        }
        Compression::Default => quick_start(dir),
    }
}

fn create_with<C: CompressionCodec + 'static>(dir: &Path, config: FileConfig<C>) -> Result<ArrayFile> {
    let store = Arc::new(LocalFileSystem::new_with_prefix(dir)?);
    Ok(runtime().block_on(ArrayFile::create(store, FILE.into(), config))?)
}

/// A new file with the settings of its quick start.
fn quick_start(dir: &Path) -> Result<ArrayFile> {
    create_with(dir, FileConfig::new(Lz4Codec))
}

fn open(dir: &Path) -> Result<ArrayFile> {
    let store = Arc::new(LocalFileSystem::new_with_prefix(dir)?);
    Ok(runtime().block_on(ArrayFile::open(store, FILE.into(), FileConfig::new(Lz4Codec)))?)
}

/// The elements without a copy.
fn flat<T: Clone>(array: ArcArray<T, IxDyn>) -> Vec<T> {
    array.into_owned().into_raw_vec_and_offset().0
}

fn sizes(n: [u64; 3]) -> Vec<usize> {
    n.iter().map(|n| *n as usize).collect()
}

fn write<T: ArrayElement>(file: &mut ArrayFile, volume: &Volume, values: &[T]) -> Result<()> {
    let (shape, thick) = (sizes(volume.shape), volume.chunk[0] as usize);
    let all = ArrayView::from_shape(IxDyn(&shape), values)?;
    let names = ["t", "y", "x"].map(String::from).to_vec();
    file.define_array::<T>(ARRAY, names, shape, Some(sizes(volume.chunk)), None)?;
    // A slab of chunks at a time: it encodes all chunks of a call before it stores the first.
    for start in (0..all.len_of(Axis(0))).step_by(thick) {
        let end = (start + thick).min(all.len_of(Axis(0)));
        let slab = all.slice_axis(Axis(0), Slice::from(start..end));
        runtime().block_on(file.write_array(ARRAY, vec![start, 0, 0], slab))?;
    }
    Ok(())
}

impl Peer for ArrayFormat0_9 {
    fn name(&self) -> &'static str {
        "array-format 0.9"
    }

    fn write_volume(&self, dir: &Path, volume: &Volume, how: Compression) -> Result<()> {
        // One chunk to a block: a block is decompressed as a whole, whatever is wanted of it.
        let elements = volume.chunk.iter().product::<u64>() as usize;
        let mut file = create(dir, how, elements * volume.values.bytes() / volume.values.len())?;
        match &volume.values {
            Values::F32(v) => write(&mut file, volume, v)?,
            Values::U16(v) => write(&mut file, volume, v)?,
        }
        Ok(runtime().block_on(file.flush())?)
    }

    fn open_volume(&self, dir: &Path) -> Result<Box<dyn OpenVolume>> {
        Ok(Box::new(Open { file: open(dir)? }))
    }

    fn write_profiles(&self, dir: &Path, profiles: &Profiles) -> Result<()> {
        // Each definition takes the longer the more there are: 50,000 take some 5 s, 200,000 more than 4 minutes.
        ensure!(profiles.count <= 50_000, "not possible in a reasonable time");
        // Other sizes of blocks make no difference here.
        let mut file = quick_start(dir)?;
        for i in 0..profiles.count {
            let (name, values) = (Profiles::name(i), profiles.values(i));
            file.define_array::<f32>(&name, vec!["level".into()], vec![values.len()], None, None)?;
            let view = ArrayView::from_shape(IxDyn(&[values.len()]), values)?;
            runtime().block_on(file.write_array(&name, vec![0], view))?;
            for attribute in Profiles::attributes(i) {
                match attribute {
                    Attribute::Text(key, text) => {
                        file.set_attribute(&name, key, AttributeValue::String(text))?
                    }
                    Attribute::Number(key, n) => file.set_attribute(&name, key, AttributeValue::Int64(n))?,
                }
            }
        }
        Ok(runtime().block_on(file.flush())?)
    }

    fn open_profiles(&self, dir: &Path) -> Result<Box<dyn OpenProfiles>> {
        Ok(Box::new(OpenP { file: Arc::new(open(dir)?) }))
    }

    fn write_integers(&self, dir: &Path, count: usize, make: &dyn Fn(usize) -> Vec<i32>) -> Result<()> {
        let mut file = create(dir, Compression::Lz4, MANY)?;
        for i in 0..count {
            let (name, values) = (Profiles::name(i), make(i));
            file.define_array::<i32>(&name, vec!["n".into()], vec![values.len()], None, None)?;
            let view = ArrayView::from_shape(IxDyn(&[values.len()]), &values)?;
            runtime().block_on(file.write_array(&name, vec![0], view))?;
        }
        Ok(runtime().block_on(file.flush())?)
    }

    fn sum_integers(&self, dir: &Path, count: usize) -> Result<i64> {
        let file = Arc::new(open(dir)?);
        let names: Vec<String> = (0..count).map(Profiles::name).collect();
        let sums =
            each(&file, &names, |v: ArcArray<i32, IxDyn>| v.iter().map(|v| i64::from(*v)).sum::<i64>())?;
        Ok(sums.into_iter().sum())
    }

    fn updates(&self, dir: &Path, commits: usize) -> Result<Box<dyn Updates>> {
        let mut file = quick_start(dir)?;
        let names = ["y", "x"].map(String::from).to_vec();
        file.define_array::<f32>(ARRAY, names, vec![commits * 100, 100], Some(vec![100, 100]), None)?;
        runtime().block_on(file.flush())?;
        Ok(Box::new(Updating { file, dir: dir.to_owned() }))
    }

    fn open_updates(&self, dir: &Path) -> Result<()> {
        open(dir).map(drop)
    }

    fn sum_updates(&self, dir: &Path, _commits: usize) -> Result<f64> {
        let file = open(dir)?;
        Ok(sum(&flat(runtime().block_on(file.read_array(ARRAY, vec![], vec![]))?)))
    }

    fn compact_updates(&self, dir: &Path) -> Result<()> {
        let mut file = open(dir)?;
        runtime().block_on(file.compact())?;
        Ok(sync(dir, &[FILE.into(), "data.stats".into()])?)
    }
}

struct Open {
    file: ArrayFile,
}

impl OpenVolume for Open {
    fn read(&self, start: [u64; 3], shape: [u64; 3]) -> Result<Values> {
        let (start, shape) = (sizes(start), sizes(shape));
        Ok(if matches!(self.file.get_array(ARRAY)?.dtype, DType::UInt16) {
            Values::U16(flat(runtime().block_on(self.file.read_array(ARRAY, start, shape))?))
        } else {
            Values::F32(flat(runtime().block_on(self.file.read_array(ARRAY, start, shape))?))
        })
    }
}

/// Reads arrays in tasks, as its example of many arrays does it, but each task a run of neighbours, which share blocks; the
/// results are in the order of the names.
fn each<T: ArrayElement, R: Send + 'static>(
    file: &Arc<ArrayFile>,
    names: &[String],
    then: impl Fn(ArcArray<T, IxDyn>) -> R + Copy + Send + 'static,
) -> Result<Vec<R>> {
    let runs = names.chunks(100).map(|run| {
        let (file, run) = (Arc::clone(file), run.to_vec());
        let read = async move {
            let mut results = Vec::with_capacity(run.len());
            for name in &run {
                let array = file.read_array::<T>(name, vec![], vec![]).await?;
                results.push(then(array));
            }
            anyhow::Ok(results)
        };
        async { tokio::spawn(read).await? }
    });
    let all: Vec<Vec<R>> = runtime().block_on(stream::iter(runs).buffered(tasks()).try_collect())?;
    Ok(all.into_iter().flatten().collect())
}

struct OpenP {
    file: Arc<ArrayFile>,
}

impl OpenP {
    /// Names of the arrays with a cycle of 7. There is no index: the attribute is asked of each array.
    fn with_cycle_7(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for array in self.file.list_arrays() {
            if matches!(self.file.get_attribute(&array.name, "cycle")?, Some(AttributeValue::Int64(7))) {
                found.push(array.name);
            }
        }
        Ok(found)
    }
}

// No sum of maxima: each question for statistics looks through all names, which takes minutes.
impl OpenProfiles for OpenP {
    fn read(&self, name: &str) -> Result<Vec<f32>> {
        Ok(flat(runtime().block_on(self.file.read_array(name, vec![], vec![]))?))
    }

    fn read_batch(&self, names: &[String]) -> Result<Vec<Vec<f32>>> {
        each(&self.file, names, flat::<f32>)
    }

    fn count_cycle_7(&self) -> Result<usize> {
        Ok(self.with_cycle_7()?.len())
    }

    fn count_pruned(&self) -> Result<usize> {
        let high = |name: &String| match self.file.array_stats(name).and_then(|s| s.max.as_ref()) {
            Some(StatValue::Float(max)) => *max > 29.0,
            _ => false,
        };
        Ok(self.with_cycle_7()?.iter().filter(|name| high(name)).count())
    }
}

struct Updating {
    file: ArrayFile,
    dir: PathBuf,
}

impl Updates for Updating {
    fn commit(&mut self, i: u64, value: f32) -> Result<()> {
        let values = chunk(value);
        let view = ArrayView::from_shape(IxDyn(&[100, 100]), &values)?;
        runtime().block_on(self.file.write_array(ARRAY, vec![i as usize * 100, 0], view))?;
        runtime().block_on(self.file.flush())?;
        // It leaves syncing to the operating system, but the commits that are compared are those that are on disk.
        let layer = format!("data.{}.af", self.file.num_layers() - 1);
        Ok(sync(&self.dir, &[layer, "data.stats".into()])?)
    }
}
