//! Files: opening, names, definitions, attributes.

use array_format::{ArrayDefinition, ArrayFile, ArrayInfo, FileConfig, Lz4Codec, NoCompression, Result};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyBytes, PyList, PyTuple};

use crate::settings::{Codec, Settings, codec, filter, filter_text};
use crate::values;
use crate::wait;

/// An open file: a clone of the library's handle for each call.
#[pyclass(frozen, module = "array_format._core")]
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) file: ArrayFile,
}

impl Handle {
    pub(crate) fn file(&self) -> ArrayFile {
        self.file.clone()
    }
}

fn prepare(url: &str, settings: &Settings) -> Result<(array_format::storage::Place, FileConfig)> {
    Ok((settings.place(url)?, settings.config()?))
}

#[pyfunction]
pub(crate) fn create(py: Python<'_>, url: &str, overwrite: bool, settings: Settings) -> PyResult<Handle> {
    let file = wait(py, async {
        let (place, config) = prepare(url, &settings)?;
        ArrayFile::create_at(place, config.with_overwrite(overwrite)).await
    })?;
    Ok(Handle { file })
}

#[pyfunction]
#[pyo3(signature = (url, version, settings))]
pub(crate) fn open(py: Python<'_>, url: &str, version: Option<u64>, settings: Settings) -> PyResult<Handle> {
    let file = wait(py, async {
        let (place, config) = prepare(url, &settings)?;
        let config = match version {
            Some(version) => config.at_version(version),
            None => config,
        };
        ArrayFile::open_at(place, config).await
    })?;
    Ok(Handle { file })
}

/// Shape, element type, whether nulls, dimensions, chunk shape, fill value, filters, codec, names of attributes.
type Info<'py> = (
    Vec<u64>,
    String,
    bool,
    Vec<String>,
    Option<Vec<u64>>,
    Option<Bound<'py, PyBytes>>,
    Vec<String>,
    Option<String>,
    Vec<String>,
);

fn info(py: Python<'_>, array: ArrayInfo) -> Info<'_> {
    let schema = array.schema;
    (
        array.shape,
        schema.dtype.to_string(),
        schema.nullable,
        schema.dimensions,
        schema.chunk_shape,
        schema.fill.map(|f| PyBytes::new(py, &f)),
        schema.filters.into_iter().map(filter_text).collect(),
        schema.codec.map(|c| c.name),
        array.attribute_names,
    )
}

/// What `define` says of an array.
#[derive(Debug, FromPyObject)]
#[pyo3(from_item_all)]
struct Definition {
    dtype: String,
    nullable: bool,
    dims: Vec<String>,
    shape: Vec<u64>,
    chunks: Option<Vec<u64>>,
    fill: Option<Vec<u8>>,
    filters: Option<Vec<String>>,
    codec: Option<String>,
}

impl Definition {
    fn build(self) -> Result<ArrayDefinition> {
        let mut d = ArrayDefinition::of_dtype(self.dtype.parse()?, self.nullable, self.dims, self.shape);
        if let Some(chunks) = self.chunks {
            d = d.chunk_shape(chunks);
        }
        if let Some(fill) = self.fill {
            d = d.fill_bytes(fill);
        }
        if let Some(filters) = self.filters {
            d = d.filters(filters.iter().map(|f| filter(f)).collect::<Result<_>>()?);
        }
        Ok(match self.codec.as_deref().map(codec).transpose()? {
            None => d,
            Some(Codec::None) => d.codec(&NoCompression),
            Some(Codec::Lz4) => d.codec(&Lz4Codec),
            Some(Codec::Zstd(zstd)) => d.codec(&zstd),
        })
    }
}

fn pairs(py: Python<'_>, attributes: Vec<(String, array_format::Value)>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for (name, value) in attributes {
        list.append((name, values::to_python(py, &value)?))?;
    }
    Ok(list)
}

#[pymethods]
impl Handle {
    fn version(&self) -> u64 {
        self.file.version()
    }

    fn name(&self) -> String {
        self.file.name()
    }

    fn has_pending(&self) -> bool {
        self.file.has_pending()
    }

    fn pending_bytes(&self) -> u64 {
        self.file.pending_bytes()
    }

    fn num_layers(&self) -> usize {
        self.file.num_layers()
    }

    /// Arrays and groups of the committed version.
    fn counts(&self) -> (u64, u64) {
        let footer = self.file.footer();
        (footer.arrays, footer.groups)
    }

    /// Requests, bytes, decoded blocks, cache hits.
    fn counters(&self) -> (u64, u64, u64, u64) {
        let c = self.file.counters();
        (c.requests, c.bytes, c.decoded_blocks, c.cache_hits)
    }

    fn list_arrays(&self, py: Python<'_>, prefix: &str) -> PyResult<Vec<String>> {
        wait(py, self.file.list_arrays_in(prefix))
    }

    fn list_groups(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        wait(py, self.file.list_groups())
    }

    fn contains(&self, py: Python<'_>, name: &str) -> PyResult<bool> {
        wait(py, self.file.contains(name))
    }

    fn array<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Info<'py>> {
        Ok(info(py, wait(py, self.file.array(name))?))
    }

    fn arrays<'py>(&self, py: Python<'py>, prefix: &str) -> PyResult<Vec<(String, Info<'py>)>> {
        let all = wait(py, self.file.arrays(prefix))?;
        Ok(all.into_iter().map(|a| (a.name.clone(), info(py, a))).collect())
    }

    /// Names, lengths, whether unlimited.
    fn dimensions(&self, py: Python<'_>, group: &str) -> PyResult<Vec<(String, u64, bool)>> {
        let all = wait(py, self.file.dimensions(group))?;
        Ok(all.into_iter().map(|d| (d.name, d.length, d.unlimited)).collect())
    }

    fn define(&self, py: Python<'_>, name: &str, definition: Definition, replace: bool) -> PyResult<()> {
        let mut file = self.file();
        wait(py, async move {
            let definition = definition.build()?;
            match replace {
                true => file.redefine(name, definition).await,
                false => file.define(name, definition),
            }
        })
    }

    fn define_group(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        wait(py, self.file().define_group(name))
    }

    fn define_dimension(
        &self,
        py: Python<'_>,
        group: &str,
        name: &str,
        length: u64,
        unlimited: bool,
    ) -> PyResult<()> {
        wait(py, self.file().define_dimension(group, name, length, unlimited))
    }

    fn delete(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        wait(py, self.file().delete(name))
    }

    fn rename(&self, py: Python<'_>, old: &str, new: &str) -> PyResult<()> {
        wait(py, self.file().rename(old, new))
    }

    fn resize(&self, py: Python<'_>, name: &str, shape: Vec<u64>) -> PyResult<()> {
        wait(py, self.file().resize(name, shape))
    }

    /// Copies an array of another file, as it is stored.
    fn copy_from(&self, py: Python<'_>, other: &Handle, source: &str, target: &str) -> PyResult<()> {
        let snapshot = other.file.snapshot();
        wait(py, self.file().copy_from(&snapshot, source, target))
    }

    fn attribute<'py>(
        &self,
        py: Python<'py>,
        node: &str,
        name: &str,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let value = wait(py, self.file.attribute(node, name))?;
        value.map(|v| values::to_python(py, &v)).transpose()
    }

    fn attributes<'py>(&self, py: Python<'py>, node: &str) -> PyResult<Bound<'py, PyList>> {
        pairs(py, wait(py, self.file.attributes(node))?)
    }

    /// The attributes of many nodes, in their order.
    fn attributes_of<'py>(&self, py: Python<'py>, nodes: Vec<String>) -> PyResult<Vec<Bound<'py, PyList>>> {
        let all = wait(py, async {
            let snapshot = self.file.snapshot();
            let mut all = Vec::with_capacity(nodes.len());
            for node in &nodes {
                all.push(snapshot.attributes(node).await?);
            }
            Ok(all)
        })?;
        all.into_iter().map(|of_node| pairs(py, of_node)).collect()
    }

    fn set_attribute(
        &self,
        py: Python<'_>,
        node: &str,
        name: &str,
        kind: &str,
        payload: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let value = values::from_python(kind, payload)?;
        wait(py, self.file().set_attribute(node, name, value))
    }

    fn remove_attribute(&self, py: Python<'_>, node: &str, name: &str) -> PyResult<bool> {
        wait(py, self.file().remove_attribute(node, name))
    }
}
