//! Arrays that become longer or shorter, and chunks that are taken back.

use std::sync::Arc;

use array_format_core::element::ArrayElement;
use array_format_core::grid::Overlap;
use array_format_core::{Error, Result};
use ndarray::ArrayViewD;

use super::data::{chunk_bytes, put_parts};
use super::elements::{from_view, reshape};
use super::encode::BATCH_BYTES;
use super::pending::{Pending, StagedChunk, grid};
use super::stage::staged_mut;
use crate::file::ArrayFile;
use crate::read::view::FoundArray;

impl ArrayFile {
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
        let _gate = self.inner.gate.write().await;
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
        if old.only_grows_at_borders(&new) {
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

    /// Makes a chunk, named by its grid coordinates, what it was before anything was written to it: its elements read as the fill value and take no
    /// space. Returns whether it had been written. To other writers the array has another definition then, as after a [`resize`](Self::resize).
    ///
    /// # Errors
    /// `NotFound`; `InvalidArgument` for a group, and for coordinates that are not in the array's grid.
    pub async fn erase_chunk(&mut self, name: &str, coords: Vec<u64>) -> Result<bool> {
        self.check_writable()?;
        let _gate = self.inner.gate.write().await;
        if !self.snapshot().is_written(name, &coords).await? {
            return Ok(false);
        }
        self.stage(name).await?;
        self.edit(|p| {
            let staged = staged_mut(p, name)?;
            // An erased chunk may leave no row behind that another writer could notice; that the array changed, its own row tells.
            staged.redefined = true;
            let id = staged.node.id;
            p.put_chunks(id, [(coords, StagedChunk::Erased)]);
            Ok(())
        })
        .map_err(|e| self.in_file(e.in_array(name)))?;
        Ok(true)
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
        let _gate = self.inner.gate.write().await;
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
        let Some(grid) = grid(&array.node) else { return Ok(()) };
        // The chunks at the old edge may have to be read, which can fail; the others are covered as a whole.
        let cells = grid.cells_of(&region).map_err(place)?;
        let (whole, cut): (Vec<_>, Vec<_>) =
            cells.into_iter().partition(|c| region.covers(&grid.origin(c), &grid.extents(c)));
        self.spill().await.map_err(|e| self.in_file(e))?;
        let parts = self.parts(name, &array, &region, &cut, &mut chunks, &part).await?;
        self.stage(name).await?;
        self.edit(|p| {
            put_shape(p, name, shape, chunks)?;
            put_parts(p, name, parts)
        })
        .map_err(place)?;
        let size = chunk_bytes(&array, &grid);
        for batch in whole.chunks((BATCH_BYTES / size).max(1)) {
            let parts = self.parts(name, &array, &region, batch, &mut Vec::new(), &part).await?;
            self.put_chunks(name, parts).await?;
            self.spill_later().await;
        }
        Ok(())
    }
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
        p.put_chunks(id, chunks);
    }
    Ok(())
}
