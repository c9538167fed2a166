//! The earlier crate, 0.15: one file that never changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use array_format_0_15::{
    ArrayElement, ArrayFile, ArrayWriter, AttributeValue, DType, Lz4Codec, NoCompression, ReadConfig,
    StatValue, WriterConfig, ZstdCodec,
};
use futures::{StreamExt, TryStreamExt, stream};
use ndarray::{ArcArray, ArrayView, Axis, IxDyn, Slice};
use object_store::local::LocalFileSystem;

use super::{chunk, runtime, sum, sync, tasks};
use crate::data::{Attribute, Profiles, Values, Volume};
use crate::peer::{Compression, OpenProfiles, OpenVolume, Peer, Updates};

pub struct ArrayFormat0_15;

const FILE: &str = "data.af";
const ARRAY: &str = "v";

/// The block size of its own example of many arrays.
const MANY: usize = 4 << 20;

/// A writer whose blocks have `block` bytes, but for the default settings.
fn writer(how: Compression, block: usize) -> ArrayWriter {
    match how {
        Compression::None => {
            ArrayWriter::new(WriterConfig { block_target_size: block, ..WriterConfig::new(NoCompression) })
        }
        Compression::Lz4 => {
            ArrayWriter::new(WriterConfig { block_target_size: block, ..WriterConfig::new(Lz4Codec) })
        }
        Compression::Zstd3 => ArrayWriter::new(WriterConfig {
            block_target_size: block,
            ..WriterConfig::new(ZstdCodec::new(3))
        }),
        Compression::Default => quick_start(),
    }
}

/// A writer with the settings of its quick start.
fn quick_start() -> ArrayWriter {
    ArrayWriter::new(WriterConfig::new(Lz4Codec))
}

fn finish(writer: ArrayWriter, dir: &Path, name: &str) -> Result<ArrayFile> {
    let store = Arc::new(LocalFileSystem::new_with_prefix(dir)?);
    Ok(runtime().block_on(writer.finish(store, name.into()))?)
}

fn open(dir: &Path, name: &str) -> Result<ArrayFile> {
    let store = Arc::new(LocalFileSystem::new_with_prefix(dir)?);
    Ok(runtime().block_on(ArrayFile::open(store, name.into(), ReadConfig::default()))?)
}

/// The elements without a copy.
fn flat<T: Clone>(array: ArcArray<T, IxDyn>) -> Vec<T> {
    array.into_owned().into_raw_vec_and_offset().0
}

fn sizes(n: [u64; 3]) -> Vec<usize> {
    n.iter().map(|n| *n as usize).collect()
}

fn write<T: ArrayElement>(writer: &mut ArrayWriter, volume: &Volume, values: &[T]) -> Result<()> {
    let (shape, thick) = (sizes(volume.shape), volume.chunk[0] as usize);
    let all = ArrayView::from_shape(IxDyn(&shape), values)?;
    let names = ["t", "y", "x"].map(String::from).to_vec();
    writer.define_array::<T>(ARRAY, names, shape, Some(sizes(volume.chunk)), None)?;
    // A slab of chunks at a time: it encodes all chunks of a call before it stores the first.
    for start in (0..all.len_of(Axis(0))).step_by(thick) {
        let end = (start + thick).min(all.len_of(Axis(0)));
        writer.write_array(ARRAY, vec![start, 0, 0], all.slice_axis(Axis(0), Slice::from(start..end)))?;
    }
    Ok(())
}

impl Peer for ArrayFormat0_15 {
    fn name(&self) -> &'static str {
        "array-format 0.15"
    }

    fn write_volume(&self, dir: &Path, volume: &Volume, how: Compression) -> Result<()> {
        // One chunk to a block: a block is decompressed as a whole, whatever is wanted of it.
        let elements = volume.chunk.iter().product::<u64>() as usize;
        let mut writer = writer(how, elements * volume.values.bytes() / volume.values.len());
        match &volume.values {
            Values::F32(v) => write(&mut writer, volume, v)?,
            Values::U16(v) => write(&mut writer, volume, v)?,
        }
        finish(writer, dir, FILE)?;
        Ok(())
    }

    fn open_volume(&self, dir: &Path) -> Result<Box<dyn OpenVolume>> {
        Ok(Box::new(Open { file: open(dir, FILE)? }))
    }

    fn write_profiles(&self, dir: &Path, profiles: &Profiles) -> Result<()> {
        // Other sizes of blocks make no difference here.
        let mut writer = quick_start();
        for i in 0..profiles.count {
            let (name, values) = (Profiles::name(i), profiles.values(i));
            writer.define_array::<f32>(&name, vec!["level".into()], vec![values.len()], None, None)?;
            writer.write_array(&name, vec![0], ArrayView::from_shape(IxDyn(&[values.len()]), values)?)?;
            for attribute in Profiles::attributes(i) {
                match attribute {
                    Attribute::Text(key, text) => {
                        writer.set_attribute(&name, key, AttributeValue::String(text.into()))?
                    }
                    Attribute::Number(key, n) => {
                        writer.set_attribute(&name, key, AttributeValue::Int64(n))?
                    }
                }
            }
        }
        finish(writer, dir, FILE)?;
        Ok(())
    }

    fn open_profiles(&self, dir: &Path) -> Result<Box<dyn OpenProfiles>> {
        Ok(Box::new(OpenP { file: Arc::new(open(dir, FILE)?) }))
    }

    fn write_integers(&self, dir: &Path, count: usize, make: &dyn Fn(usize) -> Vec<i32>) -> Result<()> {
        let mut writer = writer(Compression::Lz4, MANY);
        for i in 0..count {
            let (name, values) = (Profiles::name(i), make(i));
            writer.define_array::<i32>(&name, vec!["n".into()], vec![values.len()], None, None)?;
            writer.write_array(&name, vec![0], ArrayView::from_shape(IxDyn(&[values.len()]), &values)?)?;
        }
        finish(writer, dir, FILE)?;
        Ok(())
    }

    fn sum_integers(&self, dir: &Path, count: usize) -> Result<i64> {
        let file = Arc::new(open(dir, FILE)?);
        let names: Vec<String> = (0..count).map(Profiles::name).collect();
        let sums =
            each(&file, &names, |v: ArcArray<i32, IxDyn>| v.iter().map(|v| i64::from(*v)).sum::<i64>())?;
        Ok(sums.into_iter().sum())
    }

    fn updates(&self, dir: &Path, commits: usize) -> Result<Box<dyn Updates>> {
        let mut writer = quick_start();
        let names = ["y", "x"].map(String::from).to_vec();
        writer.define_array::<f32>(ARRAY, names, vec![commits * 100, 100], Some(vec![100, 100]), None)?;
        let name = "0.af".to_owned();
        let file = finish(writer, dir, &name)?;
        sync(dir, std::slice::from_ref(&name))?;
        Ok(Box::new(Updating { file, name, dir: dir.to_owned(), count: 0 }))
    }

    fn open_updates(&self, dir: &Path) -> Result<()> {
        open(dir, &last_version(dir)?).map(drop)
    }

    fn sum_updates(&self, dir: &Path, _commits: usize) -> Result<f64> {
        let file = open(dir, &last_version(dir)?)?;
        Ok(sum(&flat(runtime().block_on(file.read_array(ARRAY, vec![], vec![]))?)))
    }
}

struct Open {
    file: ArrayFile,
}

impl OpenVolume for Open {
    fn read(&self, start: [u64; 3], shape: [u64; 3]) -> Result<Values> {
        let (start, shape) = (sizes(start), sizes(shape));
        let dtype = &self.file.array(ARRAY).context("no array")?.dtype;
        Ok(if matches!(dtype, DType::UInt16) {
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

fn is_7(value: &Option<AttributeValue>) -> bool {
    matches!(value, Some(AttributeValue::Int64(7)))
}

fn maximum(value: Option<&StatValue>) -> Option<f64> {
    if let Some(StatValue::Float(max)) = value { Some(*max) } else { None }
}

impl OpenProfiles for OpenP {
    fn read(&self, name: &str) -> Result<Vec<f32>> {
        Ok(flat(runtime().block_on(self.file.read_array(name, vec![], vec![]))?))
    }

    fn read_batch(&self, names: &[String]) -> Result<Vec<Vec<f32>>> {
        each(&self.file, names, flat::<f32>)
    }

    fn count_cycle_7(&self) -> Result<usize> {
        let cycles = self.file.attribute_column("cycle").context("no cycles")?;
        Ok(cycles.iter().filter(|c| is_7(c)).count())
    }

    fn count_pruned(&self) -> Result<usize> {
        let cycles = self.file.attribute_column("cycle").context("no cycles")?;
        let high = |max: Option<&StatValue>| maximum(max).is_some_and(|max| max > 29.0);
        let both =
            self.file.arrays().iter().zip(cycles).filter(|(array, cycle)| {
                is_7(cycle) && high(array.stats.as_ref().and_then(|s| s.max.as_ref()))
            });
        Ok(both.count())
    }

    fn sum_of_maxima(&self) -> Result<f64> {
        Ok(self.file.stats().filter_map(|s| maximum(s.max.as_ref())).sum())
    }
}

/// Changes a file as its documentation says: what is kept is copied into another one.
/// The file that the last commit wrote: those before it were removed.
fn last_version(dir: &Path) -> Result<String> {
    let names = fs::read_dir(dir)?.map(|e| Ok(e?.file_name().to_string_lossy().into_owned()));
    let names: Vec<String> = names.collect::<Result<_>>()?;
    names.into_iter().find(|name| name.ends_with(".af")).context("no file")
}

struct Updating {
    file: ArrayFile,
    name: String,
    dir: PathBuf,
    count: usize,
}

impl Updates for Updating {
    fn commit(&mut self, i: u64, value: f32) -> Result<()> {
        let mut writer = quick_start();
        runtime().block_on(writer.copy_array(&self.file, ARRAY))?;
        let values = chunk(value);
        let view = ArrayView::from_shape(IxDyn(&[100, 100]), &values)?;
        writer.write_array(ARRAY, vec![i as usize * 100, 0], view)?;
        self.count += 1;
        let before = std::mem::replace(&mut self.name, format!("{}.af", self.count));
        self.file = finish(writer, &self.dir, &self.name)?;
        // It leaves syncing to the operating system, but the commits that are compared are those that are on disk.
        sync(&self.dir, std::slice::from_ref(&self.name))?;
        Ok(fs::remove_file(self.dir.join(before))?)
    }
}
