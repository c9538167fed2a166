//! Does everything twice: to a file, and to the model that says what a reader of it must find.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use array_format::blocking::wait;
use array_format::storage::InMemoryStorage;
use array_format::{
    ArrayDefinition, ArrayFile, Cause, CompactOptions, CompressionCodec, DType, Elements, FileConfig, Filter,
    GcOptions, Receipt, Value, Values,
};
use serde_json::{Value as Json, json};

use super::model::{Array, Cell, Model};
use super::{Fixture, dump, expect};

/// Time of version 0; every version is a second later.
const EPOCH_MS: i64 = 1_700_000_000_000;

/// A new array.
pub(crate) struct Def {
    dtype: DType,
    nullable: bool,
    dims: Vec<String>,
    shape: Vec<u64>,
    chunk_shape: Option<Vec<u64>>,
    fill: Option<Vec<u8>>,
    filters: Vec<Filter>,
    codec: Option<Arc<dyn CompressionCodec>>,
}

/// An array of a type, with dimensions called `d0`, `d1`, and so on.
pub(crate) fn def(dtype: impl Into<DType>, shape: &[u64]) -> Def {
    let dims = (0..shape.len()).map(|i| format!("d{i}")).collect();
    let (nullable, chunk_shape, fill, filters, codec) = (false, None, None, vec![], None);
    Def { dtype: dtype.into(), nullable, dims, shape: shape.to_vec(), chunk_shape, fill, filters, codec }
}

impl Def {
    pub(crate) fn nullable(self) -> Self {
        Self { nullable: true, ..self }
    }
    pub(crate) fn chunked(self, chunk: &[u64]) -> Self {
        Self { chunk_shape: Some(chunk.to_vec()), ..self }
    }
    pub(crate) fn dims(self, dims: &[&str]) -> Self {
        Self { dims: dims.iter().map(|d| (*d).to_owned()).collect(), ..self }
    }
    pub(crate) fn fill(self, fill: &[u8]) -> Self {
        Self { fill: Some(fill.to_vec()), ..self }
    }
    pub(crate) fn filters(self, filters: &[Filter]) -> Self {
        Self { filters: filters.to_vec(), ..self }
    }
    pub(crate) fn codec(self, codec: impl CompressionCodec) -> Self {
        Self { codec: Some(Arc::new(codec)), ..self }
    }
}

pub(crate) struct Script {
    name: &'static str,
    storage: InMemoryStorage,
    config: FileConfig,
    file: ArrayFile,
    /// Detached layers that wait for the next commit.
    receipts: Vec<Receipt>,
    model: Model,
    versions: Vec<Json>,
}

impl Script {
    /// `number` tells the ids of one golden file from those of the others.
    pub(crate) fn new(name: &'static str, number: u8, config: FileConfig) -> Self {
        let (time, id) = (AtomicI64::new(EPOCH_MS), AtomicU64::new(0));
        let config = config.with_clock(move || time.fetch_add(1000, Ordering::Relaxed)).with_ids(move || {
            let mut bytes = [number; 16];
            bytes[8..].copy_from_slice(&id.fetch_add(1, Ordering::Relaxed).to_be_bytes());
            bytes
        });
        let storage = InMemoryStorage::new();
        let file = wait(ArrayFile::create(storage.clone(), &format!("{name}.af"), config.clone())).unwrap();
        let (model, versions, receipts) = (Model::new(), Vec::new(), Vec::new());
        let mut script = Self { name, storage, config, file, receipts, model, versions };
        script.expect(Cause::Create, "");
        script
    }

    pub(crate) fn define(&mut self, path: &str, def: Def) {
        let Def { dtype, nullable, dims, shape, chunk_shape, fill, filters, codec } = def;
        let mut d =
            ArrayDefinition::of_dtype(dtype, nullable, dims.clone(), shape.clone()).filters(filters.clone());
        if let Some(chunk) = &chunk_shape {
            d = d.chunk_shape(chunk.clone());
        }
        if let Some(fill) = &fill {
            d = d.fill_bytes(fill.clone());
        }
        if let Some(codec) = &codec {
            d = d.codec(&**codec);
        }
        self.file.define(path, d).unwrap();
        let array = Array {
            dtype,
            nullable,
            dims,
            shape,
            chunk_shape,
            fill,
            filters,
            cells: Vec::new(),
            written: Default::default(),
            attributes: Default::default(),
            numbered: false,
        };
        self.model.arrays.insert(path.to_owned(), array.blank());
    }

    /// Writes a box of elements.
    pub(crate) fn write(&mut self, path: &str, start: &[u64], shape: &[u64], cells: &[Cell]) {
        let array = self.model.arrays.get_mut(path).unwrap();
        array.write(start, shape, cells);
        let elements = elements(array, cells);
        wait(self.file.write_elements(path, start.to_vec(), shape.to_vec(), elements)).unwrap();
    }

    /// Defines an array and writes all of it.
    pub(crate) fn put(&mut self, path: &str, def: Def, cells: &[Cell]) {
        let shape = def.shape.clone();
        self.define(path, def);
        self.write(path, &vec![0; shape.len()], &shape, cells);
    }

    pub(crate) fn resize(&mut self, path: &str, shape: &[u64]) {
        wait(self.file.resize(path, shape.to_vec())).unwrap();
        self.model.arrays.get_mut(path).unwrap().resize(shape.to_vec());
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        wait(self.file.rename(from, to)).unwrap();
        self.model.rename(from, to);
    }

    pub(crate) fn delete(&mut self, path: &str) {
        wait(self.file.delete(path)).unwrap();
        self.model.delete(path);
    }

    pub(crate) fn group(&mut self, path: &str) {
        wait(self.file.define_group(path)).unwrap();
        self.model.group(path);
    }

    pub(crate) fn dimension(&mut self, group: &str, name: &str, length: u64, unlimited: bool) {
        wait(self.file.define_dimension(group, name, length, unlimited)).unwrap();
        let dims = &mut self.model.group(group).dims;
        match dims.iter_mut().find(|d| d.0 == name) {
            Some(known) => *known = (name.to_owned(), length, unlimited),
            None => dims.push((name.to_owned(), length, unlimited)),
        }
    }

    pub(crate) fn set(&mut self, path: &str, name: &str, value: impl Into<Value>) {
        let value = value.into();
        wait(self.file.set_attribute(path, name, value.clone())).unwrap();
        self.model.attributes(path).insert(name.to_owned(), value);
    }

    pub(crate) fn unset(&mut self, path: &str, name: &str) {
        assert!(wait(self.file.remove_attribute(path, name)).unwrap());
        self.model.attributes(path).remove(name);
    }

    /// Does what `work` does in a worker, which writes it ahead.
    pub(crate) fn detached(&mut self, work: impl FnOnce(&mut Self)) {
        let path = format!("{}.af", self.name);
        let worker = wait(ArrayFile::open(self.storage.clone(), &path, self.config.clone())).unwrap();
        let committer = std::mem::replace(&mut self.file, worker);
        work(self);
        let mut worker = std::mem::replace(&mut self.file, committer);
        self.receipts.push(wait(worker.detach()).unwrap());
    }

    /// Names a version, which is a commit.
    pub(crate) fn tag(&mut self, name: &str, version: u64) {
        wait(self.file.tag(name, version)).unwrap();
        self.expect(Cause::Commit, "");
    }

    /// Gives up all versions but the newest few and those with a name, which is a commit.
    pub(crate) fn collect(&mut self, keep_last: usize) {
        wait(self.file.garbage_collect(GcOptions::default().keep_last(keep_last))).unwrap();
        self.expect(Cause::Collection, "");
    }

    pub(crate) fn commit(&mut self, message: &str) {
        wait(self.file.join(&std::mem::take(&mut self.receipts))).unwrap();
        wait(self.file.flush_with_message(message)).unwrap();
        self.model.commit();
        self.expect(Cause::Commit, message);
    }

    pub(crate) fn compact(&mut self, keep_versions: bool) {
        wait(self.file.compact_with(CompactOptions::default().keep_versions(keep_versions))).unwrap();
        self.expect(Cause::Compaction, "");
    }

    /// Deletes the layers that the newest version does not need.
    pub(crate) fn collect_garbage(&mut self) {
        wait(self.file.garbage_collect(GcOptions::default())).unwrap();
    }

    fn expect(&mut self, cause: Cause, message: &str) {
        let number = self.versions.len() as u64;
        let time = EPOCH_MS + 1000 * number as i64;
        self.versions.push(expect::version(&self.model, number, time, message, cause, &self.file.footer()));
    }

    /// The golden file, of which these versions can still be read.
    pub(crate) fn finish(self, readable: &[u64]) -> Fixture {
        let versions: Vec<Json> = self
            .versions
            .into_iter()
            .enumerate()
            .filter(|(i, _)| readable.contains(&(*i as u64)))
            .map(|v| v.1)
            .collect();
        let expected = json!({ "schema": 2, "versions": versions });
        Fixture { name: self.name, objects: dump(&self.storage, &format!("{}.af", self.name)), expected }
    }
}

fn elements(array: &Array, cells: &[Cell]) -> Elements {
    let zero = vec![0; array.dtype.fixed_size_bytes().unwrap_or(0)];
    let mut values = Values::empty(array.dtype);
    for cell in cells {
        let bytes = cell.as_ref().unwrap_or(&zero);
        match &mut values {
            Values::Fixed(all) => all.extend(bytes),
            Values::Variable(all) => all.push(bytes),
        }
    }
    let validity = array.nullable.then(|| cells.iter().map(|c| u8::from(c.is_some())).collect());
    Elements { dtype: array.dtype, values, validity }
}
