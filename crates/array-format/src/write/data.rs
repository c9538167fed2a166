//! Writing elements.

use std::borrow::Cow;
use std::sync::Arc;

use array_format_core::buffer::Elements;
use array_format_core::dtype::DType;
use array_format_core::element::ArrayElement;
use array_format_core::grid::{Grid, Overlap, Region};
use array_format_core::schema::{ArraySchema, Schema};
use array_format_core::{Error, Result};
use ndarray::ArrayViewD;

use super::coords::Coords;
use super::elements::{all_of, check_bytes, check_elements, from_view, overwrite, part_of, part_of_bytes};
use super::encode::BATCH_BYTES;
use super::flats::MOST_FLAT_BYTES;
use super::pack::as_read;
use super::pending::{Pending, Staged, StagedChunk, grid};
use super::stage::staged_mut;
use crate::file::{ArrayFile, State};
use crate::read::View;
use crate::read::view::{FoundArray, found_array};

/// Arrays of more bytes are not copied while others wait for the lock.
const SMALL_BYTES: usize = 64 << 10;

impl ArrayFile {
    /// Writes a region: `view` goes to the box that begins at `start`; an empty `start` is the origin.
    ///
    /// Chunks that the region covers in part are read, changed and kept in memory until the commit, however often they are written. Where pending data
    /// takes more than [`FileConfig::with_pending_bytes`](crate::FileConfig::with_pending_bytes) allows, chunks are encoded and go ahead to an object of
    /// their own; they are read back if they are written again in part. Several threads can write at once, each through its clone of the handle; of
    /// regions that overlap, each element is of one of them.
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
        self.check_writable()?;
        match start.iter().all(|n| *n == 0) && self.write_staged(name, &start, &view) {
            true => Ok(()),
            // On the heap: what is rare would make every call large.
            false => Box::pin(self.write_any(name, start, view)).await,
        }
    }

    /// Writes all of a small array of one chunk that is pending, if that can be done without waiting. `start` is the origin. Returns whether it was.
    fn write_staged<T: ArrayElement>(&self, name: &str, start: &[u64], view: &ArrayViewD<'_, T>) -> bool {
        if view.is_empty() || size_of::<T>().saturating_mul(view.len()) > SMALL_BYTES {
            return false;
        }
        let most = self.inner.config.pending_bytes;
        let mut state = self.inner.state.lock();
        if self.inner.gate.is_held_alone() {
            return false;
        }
        let State { pending, encoding, .. } = &mut *state;
        let Some(Staged::Node(s)) = pending.nodes.get(name) else { return false };
        let Schema::Array(schema) = &*s.node.schema else { return false };
        let whole = s.checked
            && schema.chunk_shape.is_none()
            && view.shape().iter().map(|n| *n as u64).eq(s.node.shape.iter().copied())
            && (start.is_empty() || start.len() == view.ndim());
        let fits = T::DTYPE == schema.dtype && (schema.nullable || !T::NULLABLE);
        if !whole || !fits || pending.should_spill(most, *encoding) {
            return false;
        }
        let (id, rank) = (s.node.id, s.node.shape.len());
        let plain = matches!(schema.dtype, DType::Scalar(_)) && !schema.nullable && schema.filters.is_empty();
        let flat = view.as_slice().and_then(T::as_le_bytes).filter(|_| plain);
        let elements = match flat.is_none_or(|numbers| numbers.len() > MOST_FLAT_BYTES) {
            true => match as_pending(schema, all_of(view)) {
                Ok(new) => Some(new),
                Err(_) => return false,
            },
            false => None,
        };
        let (pending, coords) = (Arc::make_mut(pending), Coords::origin(rank));
        pending.edits += 1;
        match (elements, flat) {
            (None, Some(numbers)) => pending.put_flat(id, coords, numbers),
            (elements, _) => {
                let elements = elements.map(|e| (coords, StagedChunk::Data(Arc::new(e))));
                pending.put_chunks(id, elements);
            }
        }
        true
    }

    async fn write_any<T: ArrayElement>(
        &self,
        name: &str,
        start: Vec<u64>,
        view: ArrayViewD<'_, T>,
    ) -> Result<()> {
        let shape: Vec<u64> = view.shape().iter().map(|n| *n as u64).collect();
        let start = if start.is_empty() { vec![0; shape.len()] } else { start };
        let _gate = self.inner.gate.read().await;
        let array = self.find(name).await?;
        self.check_type::<T>(name, &array.schema)?;
        let whole = array.schema.chunk_shape.is_none() && shape == array.node.shape && !shape.contains(&0);
        if whole && start.iter().all(|n| *n == 0) && start.len() == shape.len() {
            return self.write_single(name, &array, all_of(&view)).await;
        }
        let region = self.region(name, &array, &start, &shape)?;
        self.write_region(name, &array, &region, |overlap| from_view(&view, overlap)).await
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
        let _gate = self.inner.gate.read().await;
        let array = self.find(name).await?;
        let place = |e: Error| self.in_file(e.in_array(name));
        let start = if start.is_empty() { vec![0; shape.len()] } else { start };
        check_elements(&array.schema, &shape, &elements).map_err(place)?;
        let region = self.region(name, &array, &start, &shape)?;
        let part = |overlap: &Overlap| Ok(part_of(&elements, &shape, overlap));
        self.write_region(name, &array, &region, part).await
    }

    /// Writes a region of elements of fixed size that lie in memory as in the file: little-endian, in row-major order; `validity` has a byte an
    /// element, 0 for null. For other languages. See [`write_array`](Self::write_array).
    ///
    /// # Errors
    /// As [`write_array`](Self::write_array); also if there are not as many bytes as `shape` says, or a bool is neither 0 nor 1.
    pub async fn write_bytes(
        &mut self,
        name: &str,
        start: Vec<u64>,
        shape: Vec<u64>,
        values: &[u8],
        validity: Option<&[u8]>,
    ) -> Result<()> {
        self.check_writable()?;
        let _gate = self.inner.gate.read().await;
        let array = self.find(name).await?;
        let start = if start.is_empty() { vec![0; shape.len()] } else { start };
        check_bytes(&array.schema, &shape, values, validity).map_err(|e| self.in_file(e.in_array(name)))?;
        let region = self.region(name, &array, &start, &shape)?;
        let dtype = array.schema.dtype;
        let part = |overlap: &Overlap| Ok(part_of_bytes(dtype, values, validity, &shape, overlap));
        self.write_region(name, &array, &region, part).await
    }

    /// The array of a path. Takes no share in the pending changes, which are about to be changed.
    async fn find(&self, path: &str) -> Result<FoundArray> {
        let (staged, version) = {
            let state = self.inner.state.lock();
            let node = match state.pending.nodes.get(path) {
                Some(Staged::Node(s)) => Some(Some(s.node.clone())),
                Some(Staged::Gone) => Some(None),
                None => None,
            };
            (node, state.version.clone())
        };
        match staged {
            None => View { version, pending: Arc::default() }.array(path).await,
            Some(node) => found_array(&version, path, node),
        }
    }

    pub(super) fn region(
        &self,
        name: &str,
        array: &FoundArray,
        start: &[u64],
        shape: &[u64],
    ) -> Result<Region> {
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

    /// Makes all elements of an array of one chunk pending: most of what files of many arrays are given.
    async fn write_single(&self, name: &str, array: &FoundArray, new: Elements) -> Result<()> {
        self.spill().await.map_err(|e| self.in_file(e))?;
        let new = as_pending(&array.schema, new).map_err(|e| self.in_file(e.in_array(name)))?;
        let chunk = (Coords::origin(array.node.shape.len()), StagedChunk::Data(Arc::new(new)));
        self.stage(name).await?;
        self.edit(|p| {
            let id = staged_mut(p, name)?.node.id;
            p.put_chunks(id, [chunk]);
            Ok(())
        })
        .map_err(|e| self.in_file(e.in_array(name)))
    }

    /// Makes a region pending; `part` gives the elements of an overlap, in row-major order.
    async fn write_region(
        &self,
        name: &str,
        array: &FoundArray,
        region: &Region,
        part: impl Fn(&Overlap) -> Result<Elements>,
    ) -> Result<()> {
        let Some(grid) = grid(&array.node) else { return Ok(()) };
        // Room first: if the storage fails, nothing has changed yet.
        self.spill().await.map_err(|e| self.in_file(e))?;
        let cells = grid.cells_of(region).map_err(|e| self.in_file(e.in_array(name)))?;
        let (mut whole, mut cut) = (Vec::new(), Vec::new());
        for coords in cells {
            let is_whole = region.covers(&grid.origin(&coords), &grid.extents(&coords));
            if is_whole { whole.push(coords) } else { cut.push(coords) }
        }
        // What is covered in part must be read, which can fail; what is covered as a whole cannot.
        let size = chunk_bytes(array, &grid);
        let cells = |bytes: usize| (bytes / size).max(1);
        let most = usize::try_from(self.inner.config.pending_bytes).unwrap_or(usize::MAX);
        for batch in cut.chunks(cells(most)) {
            let mut left = batch.to_vec();
            while !left.is_empty() {
                let parts = self.parts(name, array, region, &left, &mut Vec::new(), &part).await?;
                left = self.put_chunks(name, parts).await?;
            }
            self.spill_later().await;
        }
        for batch in whole.chunks(cells(BATCH_BYTES)) {
            let parts = self.parts(name, array, region, batch, &mut Vec::new(), &part).await?;
            self.put_chunks(name, parts).await?;
            self.spill_later().await;
        }
        Ok(())
    }

    /// As `spill` in the middle of a write, which shall not end halfway: what the storage says, the next write says.
    pub(super) async fn spill_later(&self) {
        if let Err(e) = self.spill().await {
            tracing::warn!(error = %e, "pending data stays in memory");
        }
    }

    /// What becomes of chunks that a region covers. Changes nothing. Takes what it changes from `reshaped`: chunks that a new shape has
    /// changed and that are not pending yet.
    pub(super) async fn parts(
        &self,
        name: &str,
        array: &FoundArray,
        region: &Region,
        cells: &[Vec<u64>],
        reshaped: &mut Vec<(Vec<u64>, StagedChunk)>,
        part: &impl Fn(&Overlap) -> Result<Elements>,
    ) -> Result<Vec<Part>> {
        let Some(grid) = grid(&array.node) else { return Ok(Vec::new()) };
        let place = |e: Error| self.in_file(e.in_array(name));
        let mut parts = Vec::with_capacity(cells.len());
        for coords in cells {
            let Some(overlap) = grid.overlap(coords, region) else { continue };
            let new = part(&overlap).and_then(|new| as_pending(&array.schema, new)).map_err(place)?;
            let coords = coords.clone();
            if overlap.count == overlap.cell {
                parts.push(Part { coords, new, cut: None });
                continue;
            }
            let reshaped = reshaped.iter().position(|r| r.0 == coords).map(|i| reshaped.swap_remove(i).1);
            let below = match reshaped {
                Some(StagedChunk::Data(e)) => Below::Reshaped(Arc::unwrap_or_clone(e)),
                _ => self.below(array, &grid, &coords).await.map_err(place)?,
            };
            parts.push(Part { coords, new, cut: Some((overlap, below)) });
        }
        Ok(parts)
    }

    /// The elements of a chunk that a region covers in part.
    async fn below(&self, array: &FoundArray, grid: &Grid, coords: &[u64]) -> Result<Below> {
        let (seen, version) = {
            let state = self.inner.state.lock();
            (state.pending.chunk(array.node.id, coords).cloned(), state.version.clone())
        };
        if seen.as_ref().is_some_and(StagedChunk::waits) {
            return Ok(Below::Pending);
        }
        let mut alone = Pending::default();
        alone.put_chunks(array.node.id, seen.clone().map(|chunk| (coords.to_vec(), chunk)));
        let view = View { version, pending: Arc::new(alone) };
        Ok(Below::Elements(view.whole(array, grid, coords).await?, seen))
    }

    /// Makes parts pending, all of them at once, and returns the chunks that another thread changed since they were read: these are to be
    /// read again.
    pub(super) async fn put_chunks(&self, name: &str, parts: Vec<Part>) -> Result<Vec<Vec<u64>>> {
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        self.stage(name).await?;
        self.edit(|p| put_parts(p, name, parts)).map_err(|e| self.in_file(e.in_array(name)))
    }
}

/// Elements as they wait for a commit: they read as they will when they are committed.
fn as_pending(schema: &ArraySchema, mut new: Elements) -> Result<Elements> {
    if let Cow::Owned(rounded) = as_read(schema, &new)? {
        new = rounded;
    }
    if schema.nullable && new.validity.is_none() {
        new.validity = Some(vec![1; new.len()]);
    }
    Ok(new)
}

/// Bytes of a chunk in memory, about; at least 1.
pub(super) fn chunk_bytes(array: &FoundArray, grid: &Grid) -> usize {
    let elements = grid.chunk.iter().fold(1u64, |n, extent| n.saturating_mul(*extent));
    let size = array.schema.dtype.fixed_size_bytes().unwrap_or(16) as u64;
    usize::try_from(elements.saturating_mul(size)).unwrap_or(usize::MAX).max(1)
}

/// What a region makes of a chunk.
pub(super) struct Part {
    coords: Vec<u64>,
    new: Elements,
    /// `None`: it covers the whole chunk. Else which part of it, and what the rest is.
    cut: Option<(Overlap, Below)>,
}

/// The elements of a chunk before a region is put in.
pub(super) enum Below {
    /// They are pending, and changed there.
    Pending,
    /// These, whatever the chunk was: it gets another shape.
    Reshaped(Elements),
    /// These, as the chunk was when they were read.
    Elements(Elements, Option<StagedChunk>),
}

/// Whether a chunk is what it was.
fn is_same(then: Option<&StagedChunk>, now: Option<&StagedChunk>) -> bool {
    match (then, now) {
        (None, None) | (Some(StagedChunk::Erased), Some(StagedChunk::Erased)) => true,
        (Some(StagedChunk::Placed(a)), Some(StagedChunk::Placed(b))) => Arc::ptr_eq(a, b),
        _ => false,
    }
}

pub(super) fn put_parts(p: &mut Pending, name: &str, parts: Vec<Part>) -> Result<Vec<Vec<u64>>> {
    let id = staged_mut(p, name)?.node.id;
    let mut changed = Vec::new();
    for Part { coords, new, cut } in parts {
        let Some((overlap, below)) = cut else {
            p.put_chunks(id, [(coords, StagedChunk::Data(Arc::new(new)))]);
            continue;
        };
        // Another thread may have made it pending meanwhile, or written it ahead.
        let now = p.chunk(id, &coords);
        let put = match below {
            Below::Reshaped(elements) => Some(elements),
            _ if now.is_some_and(StagedChunk::waits) => None,
            Below::Elements(elements, seen) if is_same(seen.as_ref(), now) => Some(elements),
            _ => {
                changed.push(coords);
                continue;
            }
        };
        if let Some(elements) = put {
            p.put_chunks(id, [(coords.clone(), StagedChunk::Data(Arc::new(elements)))]);
        }
        match p.change_chunk(id, &coords, new.dtype, |e| overwrite(e, &new, &overlap)) {
            Some(done) => done?,
            None => return Err(Error::invalid("the chunk is gone")),
        }
    }
    Ok(changed)
}
