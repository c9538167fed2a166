//! [`Snapshot`]: all that can be read, of one moment.

use std::sync::Arc;

use array_format_core::buffer::Elements;
use array_format_core::dtype::DType;
use array_format_core::element::ArrayElement;
use array_format_core::footer::Footer;
use array_format_core::format::nodes::Node;
use array_format_core::grid::Region;
use array_format_core::schema::{ArraySchema, Schema};
use array_format_core::value::Value;
use array_format_core::{Error, Result};
use ndarray::{ArrayD, ArrayViewMutD, IxDyn};

use crate::read::View;
use crate::read::ragged::Ragged;
use crate::read::view::FoundArray;

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

    pub(crate) fn place<'a>(&'a self, name: &'a str) -> impl Fn(Error) -> Error + 'a {
        move |e| e.in_array(name).in_file(self.view.version.objects.describe())
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
            Schema::Array(a) => Some(info(&path, &FoundArray { schema: a.clone(), node: node.clone() })),
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
        if start.is_empty()
            && shape.is_empty()
            && let Some(next) = self.view.read_next(name)
        {
            return next.map_err(self.place(name));
        }
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
        if start.is_empty()
            && shape.is_empty()
            && step.is_empty()
            && let Some(whole) = self.view.read_single(name).await.map_err(&place)?
        {
            return Ok(whole);
        }
        let array = self.view.array(name).await?;
        check_readable::<T>(&array.schema).map_err(&place)?;
        let region = Region::with_step(&start, &shape, &step, &array.node.shape).map_err(&place)?;
        self.read_found(&array, &region).await.map_err(&place)
    }

    async fn read_found<T: ArrayElement>(&self, array: &FoundArray, region: &Region) -> Result<ArrayD<T>> {
        let dims: Vec<usize> = region.count.iter().map(|n| *n as usize).collect();
        // Numbers are decoded where they stay.
        let mut zeros = if T::NULLABLE { None } else { T::zeros(region.len()?) };
        let values = match zeros.as_deref_mut().and_then(T::as_le_bytes_mut) {
            Some(bytes) => {
                self.view.read_fixed(array, region, bytes, None).await?;
                zeros.unwrap_or_default()
            }
            None => {
                let elements = self.view.read(array, region).await?;
                T::from_values(&elements.values, elements.validity.as_deref())?
            }
        };
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

    /// Reads a region of elements of fixed size into the caller's memory, as they are in the file: little-endian, in row-major order; and a byte an
    /// element into `validity`, 0 for null. For other languages. See [`read_array_steps`](Self::read_array_steps).
    ///
    /// # Errors
    /// As [`read_array_steps`](Self::read_array_steps); also if there are not as many bytes as the region says, or no `validity` for an array that can hold
    /// nulls. After an error the memory holds anything.
    pub async fn read_bytes(
        &self,
        name: &str,
        start: Vec<u64>,
        shape: Vec<u64>,
        step: Vec<u64>,
        values: &mut [u8],
        validity: Option<&mut [u8]>,
    ) -> Result<()> {
        let place = self.place(name);
        let array = self.view.array(name).await?;
        let dtype = array.schema.dtype;
        let Some(size) = dtype.fixed_size_bytes() else {
            return Err(place(Error::invalid(format!("elements of {dtype} have no fixed size"))));
        };
        let region = Region::with_step(&start, &shape, &step, &array.node.shape).map_err(&place)?;
        let n = region.len().map_err(&place)?;
        let mask_fits = match &validity {
            Some(mask) => mask.len() == n && array.schema.nullable,
            None => !array.schema.nullable,
        };
        if Some(values.len()) != n.checked_mul(size) || !mask_fits {
            let (bytes, nullable) = (values.len(), array.schema.nullable);
            return Err(place(Error::invalid(format!(
                "{bytes} bytes for {n} elements of {dtype}, or a validity mask where the array has none (nullable: {nullable})"
            ))));
        }
        self.view.read_fixed(&array, &region, values, validity).await.map_err(&place)
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
        let whole = start.is_empty() && shape.is_empty();
        let mut read: Vec<Option<ArrayD<T>>> = match whole {
            true => self.view.read_singles(names).await?,
            false => names.iter().map(|_| None).collect(),
        };
        let left: Vec<usize> = (0..names.len()).filter(|i| read[*i].is_none()).collect();
        for batch in left.chunks(MANY) {
            let mut found = Vec::with_capacity(batch.len());
            for (i, name) in batch.iter().map(|i| (*i, names[*i].as_ref())) {
                let array = self.view.array(name).await?;
                let place = self.place(name);
                check_readable::<T>(&array.schema).map_err(&place)?;
                let region = Region::new(&start, &shape, &array.node.shape).map_err(&place)?;
                found.push((i, name, array, region));
            }
            // Brings the blocks of all of them at once; the reads below find them in the cache.
            let arrays: Vec<_> = found.iter().map(|(_, _, a, r)| (a, r)).collect();
            self.view.prefetch(&arrays).await?;
            for (i, name, array, region) in &found {
                read[*i] = Some(self.read_found(array, region).await.map_err(self.place(name))?);
            }
        }
        // All are there; unlike `flatten`, this leaves them where they are in memory.
        Ok(read.into_iter().map_while(|array| array).collect())
    }

    /// Reads many whole arrays one behind the other into memory of one piece. Sorted names of arrays of one chunk are read fastest: their
    /// blocks are decoded to where the values stay.
    ///
    /// # Errors
    /// As [`read_array`](Self::read_array), for the first array in trouble.
    pub async fn read_ragged<T: ArrayElement>(&self, names: &[impl AsRef<str> + Sync]) -> Result<Ragged<T>> {
        if let Some(read) = self.view.read_ragged(names).await? {
            return Ok(read);
        }
        Ok(Ragged::of(&self.read_many(names, vec![], vec![]).await?))
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
