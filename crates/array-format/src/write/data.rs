//! Writing elements, and changing shapes.

use std::borrow::Cow;
use std::sync::Arc;

use array_format_core::buffer::Elements;
use array_format_core::element::ArrayElement;
use array_format_core::grid::{Grid, Overlap, Region};
use array_format_core::schema::ArraySchema;
use array_format_core::{Error, Result};
use ndarray::ArrayViewD;

use super::elements::{check_elements, from_view, overwrite, part_of, reshape};
use super::pack::as_read;
use super::pending::{Pending, StagedChunk, grid};
use super::stage::staged_mut;
use crate::file::ArrayFile;
use crate::read::view::FoundArray;

impl ArrayFile {
    /// Writes a region: `view` goes to the box that begins at `start`; an empty `start` is the origin.
    ///
    /// Chunks that the region covers in part are read, changed and kept in memory until the commit, however often they are written.
    ///
    /// # Shape
    /// `start` and `view` have the array's rank.
    ///
    /// # Errors
    /// `NotFound`; `InvalidArgument` for another element type or rank, or beyond the bounds; nothing is clamped and
    /// nothing changed then.
    ///
    /// # Cost
    /// One copy of the data; one read of every chunk that is covered in part and was written before.
    pub async fn write_array<T: ArrayElement>(
        &mut self,
        name: &str,
        start: Vec<u64>,
        view: ArrayViewD<'_, T>,
    ) -> Result<()> {
        let shape: Vec<u64> = view.shape().iter().map(|n| *n as u64).collect();
        let start = if start.is_empty() { vec![0; shape.len()] } else { start };
        self.check_writable()?;
        let _gate = self.inner.gate.lock().await;
        let array = self.view().array(name).await?;
        self.check_type::<T>(name, &array.schema)?;
        let region = self.region(name, &array, &start, &shape)?;
        let chunks =
            self.parts(name, &array, &region, &mut Vec::new(), |overlap| from_view(&view, overlap)).await?;
        self.put_chunks(name, chunks).await
    }

    /// Writes a region of elements whose type is known at run time only. See [`write_array`](Self::write_array).
    ///
    /// # Errors
    /// As [`write_array`](Self::write_array); also if `elements` are not as many as `shape` says, or their bytes are no such elements.
    pub async fn write_elements(
        &mut self,
        name: &str,
        start: Vec<u64>,
        shape: Vec<u64>,
        elements: Elements,
    ) -> Result<()> {
        self.check_writable()?;
        let _gate = self.inner.gate.lock().await;
        let array = self.view().array(name).await?;
        let place = |e: Error| self.in_file(e.in_array(name));
        let start = if start.is_empty() { vec![0; shape.len()] } else { start };
        check_elements(&array.schema, &shape, &elements).map_err(place)?;
        let region = self.region(name, &array, &start, &shape)?;
        let part = |overlap: &Overlap| Ok(part_of(&elements, &shape, overlap));
        let chunks = self.parts(name, &array, &region, &mut Vec::new(), part).await?;
        self.put_chunks(name, chunks).await
    }

    fn region(&self, name: &str, array: &FoundArray, start: &[u64], shape: &[u64]) -> Result<Region> {
        let place = |e: Error| self.in_file(e.in_array(name));
        if shape.len() != array.node.shape.len() {
            let (n, rank) = (shape.len(), array.node.shape.len());
            return Err(place(Error::invalid(format!("data of rank {n} for an array of rank {rank}"))));
        }
        let step = vec![1; shape.len()];
        Region::with_step(start, shape, &step, &array.node.shape).map_err(place)
    }

    pub(crate) fn check_type<T: ArrayElement>(&self, name: &str, schema: &ArraySchema) -> Result<()> {
        let place = |e: Error| self.in_file(e.in_array(name));
        if T::DTYPE != schema.dtype {
            return Err(place(Error::invalid(format!(
                "the array has elements of {}, not {}",
                schema.dtype,
                T::DTYPE
            ))));
        }
        if T::NULLABLE && !schema.nullable {
            return Err(place(Error::invalid(
                "the array has no validity mask: define it with `Option<T>` to store nulls",
            )));
        }
        Ok(())
    }

    /// What becomes of the chunks of a region; `part` gives the elements of an overlap, in row-major order. Changes nothing.
    /// Takes what it changes from `reshaped`: chunks that a new shape has changed and that are not pending yet.
    async fn parts(
        &self,
        name: &str,
        array: &FoundArray,
        region: &Region,
        reshaped: &mut Vec<(Vec<u64>, StagedChunk)>,
        part: impl Fn(&Overlap) -> Result<Elements>,
    ) -> Result<Vec<Part>> {
        let Some(grid) = grid(&array.node) else { return Ok(Vec::new()) };
        let place = |e: Error| self.in_file(e.in_array(name));
        let mut parts = Vec::new();
        for coords in grid.cells_of(region).map_err(place)? {
            let Some(overlap) = grid.overlap(&coords, region) else { continue };
            let mut new = part(&overlap).map_err(place)?;
            // What is pending reads as it will when it is committed.
            if let Cow::Owned(rounded) = as_read(&array.schema, &new).map_err(place)? {
                new = rounded;
            }
            if array.schema.nullable && new.validity.is_none() {
                new.validity = Some(vec![1; new.len()]);
            }
            if region.covers(&grid.origin(&coords), &grid.extents(&coords)) {
                parts.push(Part { coords, below: None, new, overlap: None });
                continue;
            }
            let reshaped = reshaped.iter().position(|r| r.0 == coords).map(|i| reshaped.swap_remove(i).1);
            let staged = matches!(
                self.inner.state.lock().pending.chunk(array.node.id, &coords),
                Some(StagedChunk::Data(_))
            );
            let below = match reshaped {
                Some(StagedChunk::Data(e)) => Some(Arc::unwrap_or_clone(e)),
                _ if staged => None,
                _ => Some(self.view().whole(array, &grid, &coords).await.map_err(place)?),
            };
            parts.push(Part { coords, below, new, overlap: Some(overlap) });
        }
        Ok(parts)
    }

    /// Makes parts pending, all of them at once.
    async fn put_chunks(&self, name: &str, parts: Vec<Part>) -> Result<()> {
        if parts.is_empty() {
            return Ok(());
        }
        self.stage(name).await?;
        self.edit(|p| put_parts(p, name, parts)).map_err(|e| self.in_file(e.in_array(name)))
    }

    /// Changes the shape. What lies outside of the new shape is gone; what is new reads as the fill value, also where
    /// there was data before an earlier, smaller shape.
    ///
    /// # Errors
    /// `NotFound`; `InvalidArgument` for another rank, or more than 2^64 elements.
    ///
    /// # Cost
    /// Reads the chunks that the old or new edge cuts, and the index of the array's chunks; nothing if the old shape ends at chunk
    /// boundaries and only grows.
    pub async fn resize(&mut self, name: &str, shape: Vec<u64>) -> Result<()> {
        self.check_writable()?;
        let _gate = self.inner.gate.lock().await;
        let array = self.view().array(name).await?;
        let chunks = self.reshaped(name, &array, &shape).await?;
        if shape == array.node.shape {
            return Ok(());
        }
        self.stage(name).await?;
        let place = |e: Error| self.in_file(e.in_array(name));
        self.edit(|p| put_shape(p, name, shape, chunks)).map_err(place)
    }

    /// The chunks that another shape changes. Changes nothing.
    async fn reshaped(
        &self,
        name: &str,
        array: &FoundArray,
        shape: &[u64],
    ) -> Result<Vec<(Vec<u64>, StagedChunk)>> {
        let place = |e: Error| self.in_file(e.in_array(name));
        if shape.len() != array.node.shape.len() {
            let (n, rank) = (shape.len(), array.node.shape.len());
            return Err(place(Error::invalid(format!("a shape of {n} dimensions for an array of {rank}"))));
        }
        array.schema.check(shape).map_err(place)?;
        let mut resized = array.node.clone();
        resized.shape = shape.to_vec();
        let mut changes = Vec::new();
        let (Some(old), Some(new)) = (grid(&array.node), grid(&resized)) else { return Ok(changes) };
        if only_grows_at_boundaries(&old, &new) && array.schema.chunk_shape.is_some() {
            return Ok(changes);
        }
        let view = self.view();
        for (coords, _) in view.written_chunks(&array.node).await? {
            if !new.contains(&coords) {
                changes.push((coords, StagedChunk::Erased));
            } else if old.extents(&coords) != new.extents(&coords) {
                let before = view.whole(array, &old, &coords).await?;
                let after = reshape(&array.schema, &before, &old.extents(&coords), &new.extents(&coords));
                changes.push((coords, StagedChunk::Data(Arc::new(after.map_err(place)?))));
            }
        }
        Ok(changes)
    }

    /// Grows the array along `axis` and writes `view` into the new part.
    ///
    /// # Shape
    /// `view` has the array's extents on all other axes.
    ///
    /// # Errors
    /// As [`resize`](Self::resize) and [`write_array`](Self::write_array); nothing changed then.
    pub async fn append<T: ArrayElement>(
        &mut self,
        name: &str,
        axis: usize,
        view: ArrayViewD<'_, T>,
    ) -> Result<()> {
        self.check_writable()?;
        let place = |e: Error| self.in_file(e.in_array(name));
        let _gate = self.inner.gate.lock().await;
        let mut array = self.view().array(name).await?;
        self.check_type::<T>(name, &array.schema)?;
        let before = array.node.shape.clone();
        let added: Vec<u64> = view.shape().iter().map(|n| *n as u64).collect();
        let fits = |(a, (old, new)): (usize, (&u64, &u64))| a == axis || old == new;
        if axis >= before.len()
            || added.len() != before.len()
            || !before.iter().zip(&added).enumerate().all(fits)
        {
            return Err(place(Error::invalid(format!(
                "data of shape {added:?} cannot be appended to {before:?} on axis {axis}"
            ))));
        }
        let (mut shape, mut start) = (before.clone(), vec![0; before.len()]);
        start[axis] = before[axis];
        shape[axis] = before[axis]
            .checked_add(added[axis])
            .ok_or_else(|| place(Error::invalid("the array would have more than 2^64 elements")))?;
        let mut chunks = self.reshaped(name, &array, &shape).await?;
        if shape == before {
            return Ok(());
        }
        array.node.shape.clone_from(&shape);
        let region = self.region(name, &array, &start, &added)?;
        let part = |overlap: &Overlap| from_view(&view, overlap);
        let parts = self.parts(name, &array, &region, &mut chunks, part).await?;
        self.stage(name).await?;
        self.edit(|p| {
            put_shape(p, name, shape, chunks)?;
            put_parts(p, name, parts)
        })
        .map_err(place)
    }
}

/// What a region makes of a chunk.
struct Part {
    coords: Vec<u64>,
    /// What it covers in part, unless that is pending already.
    below: Option<Elements>,
    new: Elements,
    /// `None`: it covers the whole chunk.
    overlap: Option<Overlap>,
}

fn put_parts(p: &mut Pending, name: &str, parts: Vec<Part>) -> Result<()> {
    let id = staged_mut(p, name)?.node.id;
    let chunks = p.chunks.entry(id).or_default();
    for Part { coords, below, new, overlap } in parts {
        let Some(overlap) = overlap else {
            chunks.insert(coords, StagedChunk::Data(Arc::new(new)));
            continue;
        };
        if let Some(below) = below {
            chunks.insert(coords.clone(), StagedChunk::Data(Arc::new(below)));
        }
        match chunks.get_mut(&coords) {
            Some(StagedChunk::Data(e)) => overwrite(Arc::make_mut(e), &new, &overlap)?,
            _ => return Err(Error::invalid("the chunk is gone")),
        }
    }
    Ok(())
}

fn put_shape(
    p: &mut Pending,
    name: &str,
    shape: Vec<u64>,
    chunks: Vec<(Vec<u64>, StagedChunk)>,
) -> Result<()> {
    let staged = staged_mut(p, name)?;
    staged.node.shape = shape;
    staged.redefined = true;
    let id = staged.node.id;
    if !chunks.is_empty() {
        p.chunks.entry(id).or_default().extend(chunks);
    }
    Ok(())
}

fn only_grows_at_boundaries(old: &Grid, new: &Grid) -> bool {
    (0..old.shape.len()).all(|a| {
        old.shape[a] == new.shape[a]
            || (old.shape[a] < new.shape[a] && old.shape[a].is_multiple_of(old.chunk[a]))
    })
}
