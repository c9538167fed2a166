//! Definitions of arrays.

use std::sync::Arc;

use array_format_core::block::CodecRecord;
use array_format_core::codec::{CompressionCodec, Filter, NO_COMPRESSION_ID, encode_filters};
use array_format_core::dtype::{DType, Scalar};
use array_format_core::element::{ArrayElement, fill_bytes};
use array_format_core::format::nodes::Node;
use array_format_core::schema::{ArraySchema, Schema, check_path};
use array_format_core::{Error, Result};
use futures::FutureExt;

use super::pending::{Pending, Staged};
use super::stage::{exists, insert_new};
use crate::file::ArrayFile;

/// Everything that can be said of a new array. `define_array` covers the usual cases.
///
/// ```
/// use array_format::{ArrayDefinition, Filter};
/// let definition = ArrayDefinition::new::<f32>(vec!["time".into(), "station".into()], vec![0, 40])
///     .chunk_shape(vec![1000, 40])
///     .fill(f32::NAN)
///     .filters(vec![Filter::Shuffle]);
/// ```
#[derive(Debug, Clone)]
pub struct ArrayDefinition {
    pub(crate) schema: ArraySchema,
    pub(crate) shape: Vec<u64>,
    pub(crate) fill_type: Option<DType>,
    pub(crate) default_filters: bool,
}

impl ArrayDefinition {
    /// An array of native elements; `Option<T>` has a validity mask.
    pub fn new<T: ArrayElement>(dimensions: Vec<String>, shape: Vec<u64>) -> Self {
        Self::of_dtype(T::DTYPE, T::NULLABLE, dimensions, shape)
    }

    /// An array of an element type that is known at run time only.
    pub fn of_dtype(dtype: DType, nullable: bool, dimensions: Vec<String>, shape: Vec<u64>) -> Self {
        let schema = ArraySchema {
            dtype,
            nullable,
            dimensions,
            chunk_shape: None,
            fill: None,
            filters: vec![],
            codec: None,
        };
        Self { schema, shape, fill_type: None, default_filters: true }
    }

    /// Extents of a chunk. Without it the array is one chunk, whatever its shape.
    #[must_use]
    pub fn chunk_shape(mut self, chunk_shape: Vec<u64>) -> Self {
        self.schema.chunk_shape = Some(chunk_shape);
        self
    }

    /// The element that stands for what was never written.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "a value reads better than a reference here")]
    pub fn fill<T: ArrayElement>(mut self, fill: T) -> Self {
        self.fill_type = Some(T::DTYPE);
        self.schema.fill = Some(fill_bytes(&fill));
        self
    }

    /// The same as the element's bytes: little-endian, or those of the text, or of all items of a list.
    #[must_use]
    pub fn fill_bytes(mut self, fill: Vec<u8>) -> Self {
        self.fill_type = Some(self.schema.dtype);
        self.schema.fill = Some(fill);
        self
    }

    /// Filters of the values before compression. Without it they are what the file's settings make of the data.
    #[must_use]
    pub fn filters(mut self, filters: Vec<Filter>) -> Self {
        self.default_filters = false;
        self.schema.filters = filters;
        self
    }

    /// Compresses the blocks of this array with another codec than the file's. A codec of one's own must also be registered
    /// with the file's configuration.
    #[must_use]
    pub fn codec(mut self, codec: &dyn CompressionCodec) -> Self {
        self.schema.codec = Some(CodecRecord::of(codec));
        self
    }
}

impl ArrayFile {
    /// Defines an array of `T`; every element reads as the fill value (without one: zero, "", or null) until it is written.
    ///
    /// # Shape
    /// `dimension_names`, `shape` and `chunk_shape` have one entry a dimension. `chunk_shape = None` means one chunk. An
    /// extent of 0 is fine; a chunk extent of 0 is not.
    ///
    /// # Errors
    /// `InvalidArgument` for a bad name, ranks that differ, a chunk extent of 0, more than 2^64 elements, a name inside of an
    /// array. `AlreadyExists` if something has the name. On a remote store that is found out by the first
    /// [`write_array`](Self::write_array) or [`flush`](Self::flush) instead, since this call does not wait.
    pub fn define_array<T: ArrayElement>(
        &mut self,
        name: &str,
        dimension_names: Vec<String>,
        shape: Vec<u64>,
        chunk_shape: Option<Vec<u64>>,
        fill_value: Option<T>,
    ) -> Result<()> {
        let mut definition = ArrayDefinition::new::<T>(dimension_names, shape);
        definition.schema.chunk_shape = chunk_shape;
        // The fill value of an array with a mask may be null: that is what it is without one.
        if let Some(fill) = fill_value.filter(T::is_valid) {
            definition = definition.fill(fill);
        }
        self.define(name, definition)
    }

    /// Defines an array in all detail. See [`define_array`](Self::define_array).
    ///
    /// # Errors
    /// As [`define_array`](Self::define_array); also for filters or a fill value that do not fit the element type, and a codec that
    /// is not registered (`Unsupported`).
    pub fn define(&mut self, name: &str, definition: ArrayDefinition) -> Result<()> {
        let place = |e: Error| self.in_file(e.in_array(name));
        let (schema, shape) = self.check_definition(name, definition).map_err(place)?;
        let insert = |p: &mut Pending, checked: bool| {
            let schema = p.shared(schema);
            let node = Node { id: p.new_id(), schema, shape, keys: p.no_keys.clone(), chunk: None };
            insert_new(p, name, node, checked);
        };
        {
            // Where nothing was committed yet, pending changes alone tell whether the name is free.
            let mut state = self.inner.state.lock();
            if state.version.head.footer.runs.is_empty() {
                state.pending.check_free(name).map_err(place)?;
                let pending = Arc::make_mut(&mut state.pending);
                pending.edits += 1;
                insert(pending, true);
                return Ok(());
            }
        }
        let checked = match self.check_free(name).now_or_never() {
            Some(free) => free.map(|()| true).map_err(place)?,
            None => false,
        };
        self.edit(|p| match p.nodes.get(name) {
            Some(Staged::Node(_)) => Err(exists(name)),
            Some(Staged::Gone) | None => {
                insert(p, checked);
                Ok(())
            }
        })
        .map_err(place)
    }

    /// Replaces an array by a new one of the same name, or defines it if there is none. Old data and attributes are gone
    /// with the next commit; versions before it keep them.
    ///
    /// # Errors
    /// As [`define`](Self::define), `AlreadyExists` aside.
    pub async fn redefine(&mut self, name: &str, definition: ArrayDefinition) -> Result<()> {
        let exists = self.view().node(name).await?;
        if let Some(node) = exists {
            self.check_definition(name, definition.clone()).map_err(|e| self.in_file(e.in_array(name)))?;
            if matches!(*node.schema, Schema::Group(_)) {
                return Err(self.in_file(Error::invalid("this is a group; delete it first").in_array(name)));
            }
            self.delete(name).await?;
        }
        self.define(name, definition)
    }

    fn check_definition(&self, name: &str, definition: ArrayDefinition) -> Result<(ArraySchema, Vec<u64>)> {
        self.check_writable()?;
        check_path(name)?;
        let ArrayDefinition { mut schema, shape, fill_type, default_filters } = definition;
        if let Some(t) = fill_type.filter(|t| *t != schema.dtype) {
            return Err(Error::invalid(format!("a fill value of type {t} for an array of {}", schema.dtype)));
        }
        schema.check(&shape)?;
        check_fill_of_rounded(&schema)?;
        let config = &self.inner.config;
        if let Some(codec) = &schema.codec {
            config.codecs.codec(codec.id, &codec.name)?;
        }
        let stored = schema.codec.as_ref().map_or(config.codec.id(), |c| c.id) == NO_COMPRESSION_ID;
        let wide = |s: Scalar| s.size_bytes() > 1;
        let chosen = super::choose::item_of(&schema, config).is_some();
        if default_filters && config.shuffle && !stored && !chosen && schema.dtype.item().is_some_and(wide) {
            schema.filters = vec![Filter::Shuffle];
        }
        Ok((schema, shape))
    }
}

/// Bit rounding must leave the fill value alone: elements of a chunk that were not written would read as another value than those outside
/// of it, and missing values would be missing no more.
fn check_fill_of_rounded(schema: &ArraySchema) -> Result<()> {
    let (Some(Filter::BitRound { .. }), Some(fill), DType::Scalar(item)) =
        (schema.filters.first(), &schema.fill, schema.dtype)
    else {
        return Ok(());
    };
    match *encode_filters(&schema.filters[..1], item, fill)? == fill[..] {
        true => Ok(()),
        false => Err(Error::invalid(
            "the fill value would be rounded to another one: keep more bits, or choose one that is the same after rounding, such as NaN",
        )),
    }
}
