//! [`Snapshot`]: all that can be read, of one moment.

use std::collections::HashMap;
use std::sync::Arc;

use array_format_core::buffer::Elements;
use array_format_core::dtype::DType;
use array_format_core::element::ArrayElement;
use array_format_core::footer::Footer;
use array_format_core::format::attributes::AttributesPage;
use array_format_core::format::nodes::Node;
use array_format_core::format::page::{Table, attribute_key};
use array_format_core::grid::Region;
use array_format_core::schema::{ArraySchema, Schema};
use array_format_core::statistics::Statistics;
use array_format_core::value::Value;
use array_format_core::{Error, Result};
use ndarray::{ArrayD, ArrayViewMutD, IxDyn};

use crate::index::scan::KeyRange;
use crate::read::View;
use crate::read::view::{ChunkSource, FoundArray};
use crate::write::pending::{Staged, grid};

/// What can be read of a file at one moment. Later commits, compactions and changes do not show in it.
///
/// Cheap to clone, `Send + Sync`: give one to each thread.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(crate) view: View,
}

/// What an array is.
#[derive(Debug, Clone, PartialEq)]
pub struct ArrayInfo {
    /// Its path.
    pub name: String,
    /// Extents in elements.
    pub shape: Vec<u64>,
    /// Element type, dimension names, chunk shape, fill value, filters.
    pub schema: ArraySchema,
    /// Names of its attributes.
    pub attribute_names: Vec<String>,
}

/// A dimension that a group declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dimension {
    /// Its name.
    pub name: String,
    /// Its length in elements.
    pub length: u64,
    /// Whether it may grow.
    pub unlimited: bool,
}

/// A chunk of an array: where it is, and what is known of its values.
#[derive(Debug, Clone, PartialEq)]
pub struct ChunkInfo {
    /// Grid coordinates.
    pub coords: Vec<u64>,
    /// First element.
    pub start: Vec<u64>,
    /// Extents in elements.
    pub shape: Vec<u64>,
    /// Where the bytes are; `None` if the chunk waits for a commit or was never written.
    pub address: Option<array_format_core::address::ChunkAddress>,
    /// What is known of its values.
    pub statistics: Statistics,
}

/// The statistics of an array among many.
#[derive(Debug, Clone, PartialEq)]
pub struct ArrayStatistics {
    /// The array's path.
    pub name: String,
    /// Elements of the array, written or not.
    pub elements: u64,
    /// Of its written chunks. Where `rows` is less than `elements`, the rest is the fill value.
    pub statistics: Statistics,
}

/// A typed region read from many arrays.
pub type Regions<T> = Vec<ArrayD<T>>;

impl Snapshot {
    /// Number of the version below.
    pub fn version(&self) -> u64 {
        self.view.version.number()
    }

    /// The root of that version.
    pub fn footer(&self) -> Arc<Footer> {
        self.view.version.head.footer.clone()
    }

    fn place(&self, name: &str) -> impl Fn(Error) -> Error {
        let (file, name) = (self.view.version.objects.describe(), name.to_owned());
        move |e| e.in_array(name.clone()).in_file(file.clone())
    }

    /// Paths of all arrays, sorted.
    ///
    /// # Errors
    /// What the storage says, `Corrupt`.
    ///
    /// # Cost
    /// Reads the index pages of names, about 10 bytes an array.
    pub async fn list_arrays(&self) -> Result<Vec<String>> {
        self.list_arrays_in("").await
    }

    /// Paths of all arrays whose path begins with `prefix`, sorted. For a group, let it end with `/`.
    ///
    /// # Errors
    /// What the storage says, `Corrupt`.
    pub async fn list_arrays_in(&self, prefix: &str) -> Result<Vec<String>> {
        let nodes = self.view.nodes(prefix).await?;
        let is_array = |n: &Node| matches!(*n.schema, Schema::Array(_));
        Ok(nodes.into_iter().filter(|(_, n)| is_array(n)).map(|(path, _)| path).collect())
    }

    /// Paths of all groups, sorted, those included that are only part of an array's path.
    ///
    /// # Errors
    /// What the storage says, `Corrupt`.
    pub async fn list_groups(&self) -> Result<Vec<String>> {
        let mut groups = std::collections::BTreeSet::new();
        for (path, node) in self.view.nodes("").await? {
            groups.extend(path.match_indices('/').map(|(at, _)| path[..at].to_owned()));
            if matches!(*node.schema, Schema::Group(_)) && !path.is_empty() {
                groups.insert(path);
            }
        }
        Ok(groups.into_iter().collect())
    }

    /// Whether there is an array of this name.
    ///
    /// # Errors
    /// What the storage says, `Corrupt`.
    pub async fn contains(&self, name: &str) -> Result<bool> {
        let node = self.view.node(name).await?;
        Ok(node.is_some_and(|n| matches!(*n.schema, Schema::Array(_))))
    }

    /// What an array is.
    ///
    /// # Errors
    /// `NotFound`; `InvalidArgument` for a group.
    pub async fn array(&self, name: &str) -> Result<ArrayInfo> {
        let found = self.view.array(name).await?;
        Ok(info(name, &found))
    }

    /// What all arrays with a path prefix are, sorted by path.
    ///
    /// # Errors
    /// What the storage says, `Corrupt`.
    pub async fn arrays(&self, prefix: &str) -> Result<Vec<ArrayInfo>> {
        let nodes = self.view.nodes(prefix).await?;
        let array = |(path, node): (String, Node)| match &*node.schema {
            Schema::Array(a) => {
                Some(info(&path, &FoundArray { schema: Arc::new(a.clone()), node: node.clone() }))
            }
            Schema::Group(_) => None,
        };
        Ok(nodes.into_iter().filter_map(array).collect())
    }

    /// The dimensions that a group (`""`: the file) declares.
    ///
    /// # Errors
    /// What the storage says, `Corrupt`. A group without declarations has none.
    pub async fn dimensions(&self, group: &str) -> Result<Vec<Dimension>> {
        let Some(node) = self.view.node(group).await? else { return Ok(Vec::new()) };
        let Schema::Group(g) = &*node.schema else { return Ok(Vec::new()) };
        let all = g.dimensions.iter().zip(&g.unlimited).zip(&node.shape);
        Ok(all.map(|((n, u), l)| Dimension { name: n.clone(), length: *l, unlimited: *u }).collect())
    }

    /// Reads a region: `shape` elements from `start` on; `vec![], vec![]` is the whole array.
    ///
    /// # Errors
    /// `NotFound`; `InvalidArgument` for another element type or rank, beyond the bounds (nothing is clamped), or if the array has
    /// nulls to say and `T` is no `Option`; `Corrupt`; `SnapshotExpired`.
    ///
    /// # Cost
    /// At most 2 requests in sequence besides opening layers: index page and blocks, 3 for very large chunks. Elements of fixed
    /// size are decoded into the result.
    pub async fn read_array<T: ArrayElement>(
        &self,
        name: &str,
        start: Vec<u64>,
        shape: Vec<u64>,
    ) -> Result<ArrayD<T>> {
        self.read_array_steps(name, start, shape, vec![]).await
    }

    /// Reads every `step`-th element: on each axis `shape` elements `start, start + step, ...`. With empty `start` and `shape`
    /// as many as the array has.
    ///
    /// # Errors
    /// As [`read_array`](Self::read_array); also for a step of 0.
    pub async fn read_array_steps<T: ArrayElement>(
        &self,
        name: &str,
        start: Vec<u64>,
        shape: Vec<u64>,
        step: Vec<u64>,
    ) -> Result<ArrayD<T>> {
        let place = self.place(name);
        let array = self.view.array(name).await?;
        check_readable::<T>(&array.schema).map_err(&place)?;
        let region = Region::with_step(&start, &shape, &step, &array.node.shape).map_err(&place)?;
        self.read_found(&array, &region).await.map_err(&place)
    }

    async fn read_found<T: ArrayElement>(&self, array: &FoundArray, region: &Region) -> Result<ArrayD<T>> {
        let dims: Vec<usize> = region.count.iter().map(|n| *n as usize).collect();
        let elements = self.view.read(array, region).await?;
        let values = T::from_values(&elements.values, elements.validity.as_deref())?;
        ArrayD::from_shape_vec(IxDyn(&dims), values).map_err(|e| Error::corrupt(e.to_string()))
    }

    /// Reads a region into the caller's memory. See [`read_array`](Self::read_array); the region's shape is that of `out`.
    ///
    /// # Errors
    /// As [`read_array`](Self::read_array). After an error `out` holds anything.
    ///
    /// # Cost
    /// Numbers go straight into `out` if it is contiguous and in row-major order, without a buffer between.
    pub async fn read_into<T: ArrayElement>(
        &self,
        name: &str,
        start: Vec<u64>,
        mut out: ArrayViewMutD<'_, T>,
    ) -> Result<()> {
        let place = self.place(name);
        let array = self.view.array(name).await?;
        check_readable::<T>(&array.schema).map_err(&place)?;
        let shape: Vec<u64> = out.shape().iter().map(|n| *n as u64).collect();
        let start = if start.is_empty() { vec![0; shape.len()] } else { start };
        let step = vec![1; shape.len()];
        let region = Region::with_step(&start, &shape, &step, &array.node.shape).map_err(&place)?;
        if !T::NULLABLE
            && let Some(bytes) = out.as_slice_mut().and_then(T::as_le_bytes_mut)
        {
            return self.view.read_fixed(&array, &region, bytes, None).await.map_err(&place);
        }
        let read = self.read_found::<T>(&array, &region).await.map_err(&place)?;
        out.iter_mut().zip(read).for_each(|(to, from)| *to = from);
        Ok(())
    }

    /// Reads a region of elements whose type is known at run time only. See [`read_array_steps`](Self::read_array_steps).
    ///
    /// # Errors
    /// As [`read_array_steps`](Self::read_array_steps).
    pub async fn read_elements(
        &self,
        name: &str,
        start: Vec<u64>,
        shape: Vec<u64>,
        step: Vec<u64>,
    ) -> Result<(Vec<u64>, Elements)> {
        let place = self.place(name);
        let array = self.view.array(name).await?;
        let region = Region::with_step(&start, &shape, &step, &array.node.shape).map_err(&place)?;
        let elements = self.view.read(&array, &region).await.map_err(&place)?;
        Ok((region.count, elements))
    }

    /// Reads one region of many arrays at once, in the order of `names`. Index pages and blocks that they share are read once.
    ///
    /// # Errors
    /// As [`read_array`](Self::read_array), for the first array in trouble.
    pub async fn read_many<T: ArrayElement>(
        &self,
        names: &[impl AsRef<str> + Sync],
        start: Vec<u64>,
        shape: Vec<u64>,
    ) -> Result<Regions<T>> {
        let mut all = Vec::with_capacity(names.len());
        for batch in names.chunks(MANY) {
            let mut found = Vec::with_capacity(batch.len());
            for name in batch {
                let name = name.as_ref();
                let array = self.view.array(name).await?;
                let place = self.place(name);
                check_readable::<T>(&array.schema).map_err(&place)?;
                let region = Region::new(&start, &shape, &array.node.shape).map_err(&place)?;
                found.push((name, array, region));
            }
            // Brings the blocks of all of them at once; the reads below find them in the cache.
            let arrays: Vec<_> = found.iter().map(|(_, a, r)| (a, r)).collect();
            self.view.prefetch(&arrays).await?;
            for (name, array, region) in &found {
                all.push(self.read_found(array, region).await.map_err(self.place(name))?);
            }
        }
        Ok(all)
    }

    /// An attribute of an array, a group, or the file (`""`); `None` if it has none of that name.
    ///
    /// # Errors
    /// `NotFound` if there is no such array or group.
    pub async fn attribute(&self, node: &str, name: &str) -> Result<Option<Value>> {
        match self.owner(node).await? {
            Some(found) => self.view.attribute(&found, name).await,
            None => Ok(None),
        }
    }

    /// All attributes of an array, a group, or the file (`""`), sorted by name.
    ///
    /// # Errors
    /// `NotFound` if there is no such array or group.
    ///
    /// # Cost
    /// One index page an attribute, at once.
    pub async fn attributes(&self, node: &str) -> Result<Vec<(String, Value)>> {
        match self.owner(node).await? {
            Some(found) => self.view.attributes(&found).await,
            None => Ok(Vec::new()),
        }
    }

    /// The node that has attributes; `None` for a group (or the file) without a row.
    async fn owner(&self, path: &str) -> Result<Option<Node>> {
        let node = self.view.node(path).await?;
        if node.is_none() && !path.is_empty() && !self.view.has_below(path).await? {
            return Err(self.place(path)(Error::not_found("there is no such array or group")));
        }
        Ok(node)
    }

    /// One attribute of all arrays and groups that have it, sorted by path.
    ///
    /// # Errors
    /// What the storage says, `Corrupt`.
    ///
    /// # Cost
    /// Reads the pages of that attribute and those of the names, nothing else.
    pub async fn attribute_index(&self, name: &str) -> Result<Vec<(String, Value)>> {
        let mut values: HashMap<u64, Option<Value>> = HashMap::new();
        for (id, attributes) in &self.view.pending.attributes {
            if let Some(value) = attributes.get(name) {
                values.insert(*id, value.clone());
            }
        }
        let range = KeyRange::prefix(&attribute_key(name, 0)[..name.len() + 1]);
        let version = &self.view.version;
        for run in &version.head.footer.runs {
            let Some(directory) = run.directory(Table::Attributes) else { continue };
            let leaves = version.leaves(directory, &range).await?;
            for page in version.pages::<AttributesPage>(Table::Attributes, &leaves).await? {
                let Some(group) = page.group(name) else { continue };
                for (row, node) in group.nodes.iter().enumerate() {
                    values.entry(*node).or_insert_with(|| group.get(row).1);
                }
            }
        }
        let owners = self.owners().await?;
        let mut index: Vec<(String, Value)> =
            values.into_iter().filter_map(|(id, value)| Some((owners.get(&id)?.0.clone(), value?))).collect();
        index.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(index)
    }

    /// Path, elements (`None` for a group) of all nodes, by id.
    async fn owners(&self) -> Result<HashMap<u64, (String, Option<u64>)>> {
        let nodes = self.view.nodes("").await?;
        let elements = |n: &Node| match &*n.schema {
            Schema::Array(_) => Some(n.shape.iter().product()),
            Schema::Group(_) => None,
        };
        Ok(nodes.into_iter().map(|(path, n)| (n.id, (path, elements(&n)))).collect())
    }

    /// What is known of the values of an array: minimum, maximum, counts, over its written chunks.
    ///
    /// # Errors
    /// `NotFound`; `InvalidArgument` for a group.
    pub async fn statistics(&self, name: &str) -> Result<ArrayStatistics> {
        let array = self.view.array(name).await?;
        let statistics = self.view.array_statistics(&array.node).await?;
        Ok(ArrayStatistics { name: name.to_owned(), elements: array.node.shape.iter().product(), statistics })
    }

    /// The statistics of all arrays, sorted by path.
    ///
    /// # Errors
    /// What the storage says, `Corrupt`.
    ///
    /// # Cost
    /// Reads the pages of statistics and those of the names, nothing else.
    pub async fn statistics_index(&self) -> Result<Vec<ArrayStatistics>> {
        let rows = self.view.version.rows(Table::ArrayStatistics, KeyRange::all()).await?;
        let rows: Vec<array_format_core::format::statistics::StatisticsRow> = rows;
        let mut known: HashMap<u64, Statistics> =
            rows.into_iter().filter_map(|r| Some((r.node, r.statistics?))).collect();
        for staged in self.view.pending.nodes.values() {
            if let Staged::Node(s) = staged
                && matches!(*s.node.schema, Schema::Array(_))
            {
                known.insert(s.node.id, self.view.array_statistics(&s.node).await?);
            }
        }
        let mut all: Vec<ArrayStatistics> = self
            .owners()
            .await?
            .into_iter()
            .filter_map(|(id, (name, elements))| {
                let statistics = known.remove(&id).unwrap_or_else(Statistics::empty);
                Some(ArrayStatistics { name, elements: elements?, statistics })
            })
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// All chunks of an array that were written, in row-major order, with their statistics.
    ///
    /// # Errors
    /// `NotFound`; `InvalidArgument` for a group.
    pub async fn chunks(&self, name: &str) -> Result<Vec<ChunkInfo>> {
        let array = self.view.array(name).await?;
        let Some(grid) = grid(&array.node) else { return Ok(Vec::new()) };
        let mut chunks = Vec::new();
        for (coords, source) in self.view.written_chunks(&array.node).await? {
            let statistics = self.view.chunk_statistics(&array.node, &coords).await?;
            let address = match source {
                ChunkSource::Stored(c) => Some(c.address()),
                _ => None,
            };
            let (start, shape) = (grid.origin(&coords), grid.extents(&coords));
            chunks.push(ChunkInfo { coords, start, shape, address, statistics });
        }
        Ok(chunks)
    }

    /// The chunks of an array that may hold a value from `min` to `max` (both included; `None` is open). A chunk is left out only if
    /// its statistics prove that it holds none; chunks that were never written are in if the fill value is, or may be.
    ///
    /// # Errors
    /// `NotFound`; `InvalidArgument` for a group, or for bounds of another type than the elements.
    pub async fn chunks_where(
        &self,
        name: &str,
        min: Option<Value>,
        max: Option<Value>,
    ) -> Result<Vec<ChunkInfo>> {
        let array = self.view.array(name).await?;
        let place = self.place(name);
        for bound in min.iter().chain(&max) {
            if bound.type_name() != array.schema.dtype.to_string() {
                let (found, dtype) = (bound.type_name(), array.schema.dtype);
                return Err(place(Error::invalid(format!(
                    "a bound of type {found} for elements of {dtype}"
                ))));
            }
        }
        let Some(grid) = grid(&array.node) else { return Ok(Vec::new()) };
        let mut chunks = self.chunks(name).await?;
        if fill_may_match(&array.schema, min.as_ref(), max.as_ref())?
            && (chunks.len() as u64) < grid.cell_count()
        {
            let written: std::collections::HashSet<Vec<u64>> =
                chunks.iter().map(|c| c.coords.clone()).collect();
            for coords in grid.all_cells().map_err(&place)?.into_iter().filter(|c| !written.contains(c)) {
                let (start, shape) = (grid.origin(&coords), grid.extents(&coords));
                chunks.push(ChunkInfo {
                    coords,
                    start,
                    shape,
                    address: None,
                    statistics: Statistics::default(),
                });
            }
            chunks.sort_by(|a, b| a.coords.cmp(&b.coords));
        }
        chunks.retain(|c| c.statistics.may_contain(min.as_ref(), max.as_ref()));
        Ok(chunks)
    }
}

/// Arrays whose blocks are brought at once by `read_many`.
const MANY: usize = 1024;

fn info(name: &str, found: &FoundArray) -> ArrayInfo {
    ArrayInfo {
        name: name.to_owned(),
        shape: found.node.shape.clone(),
        schema: (*found.schema).clone(),
        attribute_names: found.node.keys.to_vec(),
    }
}

/// Whether an element that was never written may lie in a range.
fn fill_may_match(schema: &ArraySchema, min: Option<&Value>, max: Option<&Value>) -> Result<bool> {
    Ok(Statistics::of(&Elements::filled(schema, 1)?).may_contain(min, max))
}

fn check_readable<T: ArrayElement>(schema: &ArraySchema) -> Result<()> {
    if T::DTYPE != schema.dtype {
        return Err(Error::invalid(format!("the array has elements of {}, not {}", schema.dtype, T::DTYPE)));
    }
    if schema.nullable && !T::NULLABLE {
        return Err(Error::invalid(format!(
            "the array can hold nulls: read it as Option of {}",
            DType::to_string(&T::DTYPE)
        )));
    }
    Ok(())
}
