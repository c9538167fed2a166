//! What is read across arrays and chunks, for pruning: attributes and statistics as columns, chunks by their statistics.

mod attributes;
mod names;
mod statistics;

use array_format_core::buffer::Elements;
use array_format_core::schema::ArraySchema;
use array_format_core::statistics::Statistics;
use array_format_core::value::Value;
use array_format_core::{Error, Result};

pub use attributes::AttributeColumn;
pub use statistics::StatisticsColumn;

use crate::read::view::ChunkSource;
use crate::snapshot::Snapshot;
use crate::write::pending::grid;

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

impl Snapshot {
    /// What is known of the values of an array: minimum, maximum, counts, over its written chunks.
    ///
    /// # Errors
    /// `NotFound`; `InvalidArgument` for a group.
    pub async fn statistics(&self, name: &str) -> Result<ArrayStatistics> {
        let array = self.view.array(name).await?;
        let statistics = self.view.array_statistics(&array.node).await?;
        Ok(ArrayStatistics { name: name.to_owned(), elements: array.node.shape.iter().product(), statistics })
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

    /// Whether a chunk, named by its grid coordinates, was written.
    ///
    /// # Errors
    /// `NotFound`; `InvalidArgument` for a group, and for coordinates that are not in the array's grid.
    pub async fn is_written(&self, name: &str, coords: &[u64]) -> Result<bool> {
        let array = self.view.array(name).await?;
        if !grid(&array.node).is_some_and(|g| g.contains(coords)) {
            let e = format!("an array of shape {:?} has no chunk {coords:?}", array.node.shape);
            return Err(self.place(name)(Error::invalid(e)));
        }
        Ok(!matches!(self.view.chunk(&array.node, coords).await?, ChunkSource::Unwritten))
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

/// Whether an element that was never written may lie in a range.
fn fill_may_match(schema: &ArraySchema, min: Option<&Value>, max: Option<&Value>) -> Result<bool> {
    Ok(Statistics::of(&Elements::filled(schema, 1)?).may_contain(min, max))
}
