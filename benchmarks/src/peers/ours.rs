//! array-format as it is in this repository.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use array_format::blocking::wait;
use array_format::storage::{FinishMode, InMemoryStorage, Storage, StoreOptions};
use array_format::{
    ArrayDefinition, ArrayFile, DType, FileConfig, Lz4Codec, NoCompression, ObjectId, Scalar, Snapshot,
    Value, ZstdCodec,
};
use array_format_testkit::CountingStorage;
use ndarray::{ArrayD, ArrayView, IxDyn};

use crate::data::{Attribute, Profiles, Values, Volume};
use crate::peer::{Catalogue, Compression, FarVolume, OpenProfiles, OpenVolume, Peer, Updates};

pub struct Ours {
    /// Whether files are read through memory maps.
    pub maps: bool,
}

const FILE: &str = "data.af";
const ARRAY: &str = "v";

fn config(how: Compression) -> FileConfig {
    match how {
        Compression::None => FileConfig::new(NoCompression),
        Compression::Lz4 => FileConfig::new(Lz4Codec),
        // As the peers and the limit do it: the codec alone.
        Compression::Zstd3 => FileConfig::new(ZstdCodec::default()).with_shuffle(false),
        Compression::Default => FileConfig::default(),
    }
}

fn names(n: usize) -> Vec<String> {
    ["t", "y", "x"].iter().take(n).map(ToString::to_string).collect()
}

impl Ours {
    fn open(&self, dir: &Path) -> Result<Snapshot> {
        let path = dir.join(FILE);
        let path = path.to_str().context("a folder whose name is Unicode")?;
        let place = StoreOptions::default().with_memory_maps(self.maps).place(path)?;
        Ok(wait(ArrayFile::open_at(place, FileConfig::default()))?.snapshot())
    }

    /// What has nothing to do with maps is measured once.
    fn check_apart(&self) -> Result<()> {
        if self.maps { bail!("the same as without maps") } else { Ok(()) }
    }
}

impl Peer for Ours {
    fn name(&self) -> &'static str {
        if self.maps { "array-format, mapped" } else { "array-format" }
    }

    fn write_volume(&self, dir: &Path, volume: &Volume, how: Compression) -> Result<()> {
        let mut file = wait(ArrayFile::create_path(dir.join(FILE), config(how)))?;
        let (shape, chunk) = (volume.shape.to_vec(), volume.chunk.to_vec());
        let dims = IxDyn(&volume.shape.map(|n| n as usize));
        match &volume.values {
            Values::F32(v) => {
                let definition = ArrayDefinition::new::<f32>(names(3), shape).chunk_shape(chunk);
                file.define(ARRAY, definition)?;
                wait(file.write_array(ARRAY, vec![], ArrayView::from_shape(dims, v)?))?;
            }
            Values::U16(v) => {
                let definition = ArrayDefinition::new::<u16>(names(3), shape).chunk_shape(chunk);
                file.define(ARRAY, definition)?;
                wait(file.write_array(ARRAY, vec![], ArrayView::from_shape(dims, v)?))?;
            }
        }
        wait(file.flush())?;
        Ok(())
    }

    fn open_volume(&self, dir: &Path) -> Result<Box<dyn OpenVolume>> {
        let snapshot = self.open(dir)?;
        let dtype = wait(snapshot.array(ARRAY))?.schema.dtype;
        Ok(Box::new(Open { snapshot, dtype }))
    }

    fn write_profiles(&self, dir: &Path, profiles: &Profiles) -> Result<()> {
        let mut file = wait(ArrayFile::create_path(dir.join(FILE), FileConfig::default()))?;
        for i in 0..profiles.count {
            let (name, values) = (Profiles::name(i), profiles.values(i));
            file.define_array::<f32>(&name, vec!["level".into()], vec![values.len() as u64], None, None)?;
            wait(file.write_array(&name, vec![], ArrayView::from_shape(IxDyn(&[values.len()]), values)?))?;
            for attribute in Profiles::attributes(i) {
                match attribute {
                    Attribute::Text(key, text) => wait(file.set_attribute(&name, key, text))?,
                    Attribute::Number(key, number) => wait(file.set_attribute(&name, key, number))?,
                }
            }
        }
        wait(file.flush())?;
        Ok(())
    }

    fn open_profiles(&self, dir: &Path) -> Result<Box<dyn OpenProfiles>> {
        Ok(Box::new(OpenP { snapshot: self.open(dir)? }))
    }

    fn write_integers(&self, dir: &Path, count: usize, make: &dyn Fn(usize) -> Vec<i32>) -> Result<()> {
        let mut file = wait(ArrayFile::create_path(dir.join(FILE), config(Compression::Lz4)))?;
        for i in 0..count {
            let (name, values) = (Profiles::name(i), make(i));
            file.define_array::<i32>(&name, vec!["n".into()], vec![values.len() as u64], None, None)?;
            wait(file.write_array(&name, vec![], ArrayView::from_shape(IxDyn(&[values.len()]), &values)?))?;
        }
        wait(file.flush())?;
        Ok(())
    }

    fn sum_integers(&self, dir: &Path, count: usize) -> Result<i64> {
        let snapshot = self.open(dir)?;
        let mut sum = 0;
        for i in 0..count {
            let values = wait(snapshot.read_array::<i32>(&Profiles::name(i), vec![], vec![]))?;
            sum += values.iter().map(|v| i64::from(*v)).sum::<i64>();
        }
        Ok(sum)
    }

    fn far_volume(&self, volume: &Volume, latency: Duration) -> Result<Box<dyn FarVolume>> {
        self.check_apart()?;
        let Values::F32(values) = &volume.values else { bail!("not possible with other types") };
        let store = InMemoryStorage::new();
        let mut file = wait(ArrayFile::create(store.clone(), FILE, config(Compression::None)))?;
        let definition = ArrayDefinition::new::<f32>(names(3), volume.shape.to_vec());
        file.define(ARRAY, definition.chunk_shape(volume.chunk.to_vec()))?;
        let dims = IxDyn(&volume.shape.map(|n| n as usize));
        wait(file.write_array(ARRAY, vec![], ArrayView::from_shape(dims, values)?))?;
        wait(file.flush())?;
        let store = CountingStorage::new(Arc::new(store)).with_latency(latency);
        Ok(Box::new(Far { store, snapshot: None }))
    }

    fn open_catalogue(&self, dir: &Path, on_disk: bool) -> Result<Box<dyn Catalogue>> {
        self.check_apart()?;
        let file = match on_disk {
            true => wait(ArrayFile::open_path(dir.join(FILE), FileConfig::default()))?,
            false => {
                let store: Arc<dyn Storage> = Arc::new(InMemoryStorage::new());
                let layers = format!("{FILE}.layers");
                let mut names = vec![FILE.to_owned()];
                for layer in std::fs::read_dir(dir.join(&layers))? {
                    names.push(format!("{layers}/{}", layer?.file_name().display()));
                }
                for name in names {
                    let bytes = std::fs::read(dir.join(&name))?;
                    wait(store.put(&name, bytes.into(), FinishMode::Create))?;
                }
                wait(ArrayFile::open(store, FILE, FileConfig::default()))?
            }
        };
        Ok(Box::new(Many { file, layer_bytes: 0, chunk_bytes: 0 }))
    }

    fn updates(&self, dir: &Path, commits: usize) -> Result<Box<dyn Updates>> {
        self.check_apart()?;
        let mut file = wait(ArrayFile::create_path(dir.join(FILE), FileConfig::default()))?;
        let shape = vec![commits as u64 * 100, 100];
        file.define_array::<f32>(ARRAY, names(2), shape, Some(vec![100, 100]), None)?;
        wait(file.flush())?;
        Ok(Box::new(Updating { file }))
    }

    fn open_updates(&self, dir: &Path) -> Result<()> {
        wait(ArrayFile::open_path(dir.join(FILE), FileConfig::default()))?;
        Ok(())
    }

    fn sum_updates(&self, dir: &Path, _commits: usize) -> Result<f64> {
        let file = wait(ArrayFile::open_path(dir.join(FILE), FileConfig::default()))?;
        let all = wait(file.read_array::<f32>(ARRAY, vec![], vec![]))?;
        Ok(all.iter().map(|v| f64::from(*v)).sum())
    }

    fn compact_updates(&self, dir: &Path) -> Result<()> {
        let mut file = wait(ArrayFile::open_path(dir.join(FILE), FileConfig::default()))?;
        wait(file.compact())?;
        Ok(())
    }
}

struct Open {
    snapshot: Snapshot,
    dtype: DType,
}

/// The elements without a copy.
fn flat<T: Clone>(array: ArrayD<T>) -> Vec<T> {
    array.into_raw_vec_and_offset().0
}

impl OpenVolume for Open {
    fn read(&self, start: [u64; 3], shape: [u64; 3]) -> Result<Values> {
        let (start, shape) = (start.to_vec(), shape.to_vec());
        Ok(match self.dtype {
            DType::Scalar(Scalar::U16) => {
                Values::U16(flat(wait(self.snapshot.read_array::<u16>(ARRAY, start, shape))?))
            }
            _ => Values::F32(flat(wait(self.snapshot.read_array::<f32>(ARRAY, start, shape))?)),
        })
    }
}

struct OpenP {
    snapshot: Snapshot,
}

impl OpenProfiles for OpenP {
    fn read(&self, name: &str) -> Result<Vec<f32>> {
        Ok(flat(wait(self.snapshot.read_array::<f32>(name, vec![], vec![]))?))
    }

    fn read_batch(&self, names: &[String]) -> Result<Vec<Vec<f32>>> {
        let all = wait(self.snapshot.read_many::<f32>(names, vec![], vec![]))?;
        Ok(all.into_iter().map(flat).collect())
    }

    fn read_ragged(&self, names: &[String]) -> Result<Vec<f32>> {
        Ok(wait(self.snapshot.read_ragged::<f32>(names))?.into_values())
    }

    fn count_cycle_7(&self) -> Result<usize> {
        let cycles = wait(self.snapshot.attribute_column("cycle"))?;
        Ok(cycles.ids_where(|v| *v == Value::from(7i64)).len())
    }

    fn count_pruned(&self) -> Result<usize> {
        let cycles = wait(self.snapshot.attribute_column("cycle"))?;
        let of_cycle = cycles.ids_where(|v| *v == Value::from(7i64));
        // What may hold a value above 29: at least the number after 29.
        let warm = wait(self.snapshot.statistics_column())?.ids_where(Some(&29f32.next_up().into()), None);
        Ok(of_cycle.iter().filter(|id| warm.binary_search(id).is_ok()).count())
    }

    fn sum_of_maxima(&self) -> Result<f64> {
        let bounds = wait(self.snapshot.statistics_column())?.bounds::<f32>();
        Ok(bounds.iter().map(|(_, _, max)| f64::from(*max)).sum())
    }
}

struct Far {
    store: CountingStorage,
    snapshot: Option<Snapshot>,
}

impl FarVolume for Far {
    fn open(&mut self) -> Result<()> {
        let store: Arc<dyn Storage> = Arc::new(self.store.clone());
        let file = wait(ArrayFile::open(store, FILE, FileConfig::default()))?;
        let snapshot = file.snapshot();
        wait(snapshot.array(ARRAY))?;
        self.snapshot = Some(snapshot);
        Ok(())
    }

    fn read(&self, start: [u64; 3], shape: [u64; 3]) -> Result<Values> {
        let snapshot = self.snapshot.as_ref().context("not open")?;
        let all = wait(snapshot.read_array::<f32>(ARRAY, start.to_vec(), shape.to_vec()))?;
        Ok(Values::F32(flat(all)))
    }

    fn requests(&self) -> u64 {
        self.store.counts().requests()
    }
}

struct Many {
    file: ArrayFile,
    layer_bytes: u64,
    chunk_bytes: u64,
}

impl Catalogue for Many {
    fn add(&mut self, name: &str, values: &[f32]) -> Result<()> {
        self.file.define_array::<f32>(name, vec!["n".into()], vec![values.len() as u64], None, None)?;
        let view = ArrayView::from_shape(IxDyn(&[values.len()]), values)?;
        wait(self.file.write_array(name, vec![], view))?;
        wait(self.file.flush())?;
        let own = self.file.footer().object(ObjectId::Layer(self.file.version())).cloned();
        let own = own.context("a commit has a layer")?;
        self.layer_bytes += own.object_bytes;
        self.chunk_bytes += own.stored_bytes;
        Ok(())
    }

    fn traffic(&self) -> Result<(u64, u64)> {
        Ok((self.file.counters().bytes, self.layer_bytes - self.chunk_bytes))
    }
}

struct Updating {
    file: ArrayFile,
}

impl Updates for Updating {
    fn commit(&mut self, i: u64, value: f32) -> Result<()> {
        let chunk =
            ArrayD::from_shape_vec(IxDyn(&[100, 100]), (0..10_000).map(|k| value + k as f32).collect())?;
        wait(self.file.write_array(ARRAY, vec![i * 100, 0], chunk.view()))?;
        wait(self.file.flush())?;
        Ok(())
    }
}
