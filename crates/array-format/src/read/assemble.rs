//! From chunks to the region that was asked for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use array_format_core::block::{BlockMeta, ChunkRef};
use array_format_core::buffer::{Elements, Values, Variable, zeroed};
use array_format_core::checksum::check_earned;
use array_format_core::chunk;
use array_format_core::grid::{Grid, Region, element_count};
use array_format_core::schema::ArraySchema;
use array_format_core::{Error, Result};
use bytes::Bytes;

use super::fetch::slice;
use super::fill::Target;
use super::slabs::{self, Piece, Slab};
use super::view::{ChunkSource, FoundArray, View};
use crate::index::Version;
use crate::write::pending::grid;

impl View {
    /// Reads a region of an array into memory of its own.
    pub(crate) async fn read(&self, array: &FoundArray, region: &Region) -> Result<Elements> {
        let n = region.len()?;
        let schema = &array.schema;
        if let Some(size) = schema.dtype.fixed_size_bytes() {
            let len = n.checked_mul(size).ok_or_else(|| Error::invalid("a region larger than memory"))?;
            let mut values = zeroed(len)?;
            let mut validity = if schema.nullable { Some(zeroed(n)?) } else { None };
            self.read_fixed(array, region, &mut values, validity.as_deref_mut()).await?;
            return Ok(Elements { dtype: schema.dtype, values: Values::Fixed(values), validity });
        }
        self.read_variable(array, region, n).await
    }

    /// Reads a region of elements of fixed size straight into `values`, and a byte an element into `validity`.
    pub(crate) async fn read_fixed(
        &self,
        array: &FoundArray,
        region: &Region,
        values: &mut [u8],
        validity: Option<&mut [u8]>,
    ) -> Result<()> {
        let Some(grid) = grid(&array.node) else { return Ok(()) };
        let size = array.schema.dtype.fixed_size_bytes().unwrap_or(0);
        // Chunks of one coordinate on the first axis that is longer than 1 fill one contiguous slab of the result: slabs are filled in parallel.
        let axis = region.count.iter().position(|n| *n > 1).unwrap_or(0);
        let mut slabs: Vec<Slab<'_>> = Vec::new();
        let mut rest = Target { values, validity };
        let row_elements: u64 = region.count.iter().skip(axis + 1).product();
        for cells in grid.cells_of(region)?.chunk_by(|a, b| a.get(axis) == b.get(axis)) {
            let mut pieces = Vec::new();
            for coords in cells {
                let Some(overlap) = grid.overlap(coords, region) else { continue };
                let elements = element_count(&overlap.cell)?;
                let source = self.chunk(&array.node, coords).await?;
                let source = resolve(source, &array.schema, elements).await?;
                pieces.push(Piece::new(source, overlap, elements));
            }
            let Some(first) = pieces.first() else { continue };
            let rows = first.overlap.count.get(axis).copied().unwrap_or(1);
            let offset = first.overlap.in_region.get(axis).copied().unwrap_or(0);
            let mut shape = region.count.clone();
            if let Some(n) = shape.get_mut(axis) {
                *n = rows;
            }
            let elements = usize::try_from(rows * row_elements).unwrap_or(usize::MAX);
            let target = rest.split_off(elements, size);
            for piece in &mut pieces {
                if let Some(i) = piece.overlap.in_region.get_mut(axis) {
                    *i -= offset;
                }
            }
            slabs.push(Slab { pieces, shape, target });
        }
        if self.version.objects.reads_at_once() {
            slabs = slabs::cut(slabs, axis, size as u64);
        }
        // On the heap: it is large, and would be moved along with the futures of reads that never come here.
        Box::pin(self.version.fill(&array.schema, slabs)).await
    }

    /// Brings the shared blocks of many regions into the cache at once.
    pub(crate) async fn prefetch(&self, wanted: &[(&FoundArray, &Region)]) -> Result<()> {
        let mut seen = HashSet::new();
        let mut blocks = Vec::new();
        for (array, region) in wanted {
            let Some(grid) = grid(&array.node) else { continue };
            for coords in grid.cells_of(region)? {
                if let ChunkSource::Stored(chunk) = self.chunk(&array.node, &coords).await?
                    && chunk.block.frame_bytes == 0
                    && seen.insert(chunk.block.clone())
                {
                    blocks.push(chunk.block);
                }
            }
        }
        self.version.blocks(&blocks).await.map(|_| ())
    }

    async fn read_variable(&self, array: &FoundArray, region: &Region, n: usize) -> Result<Elements> {
        let Some(grid) = grid(&array.node) else { return Err(Error::invalid("not an array")) };
        let schema = &array.schema;
        let mut chunks: Vec<Elements> = vec![Elements::filled(schema, 1)?];
        // Two words and, in the result, a length for every element.
        zeroed(n.checked_mul(24).ok_or_else(|| Error::invalid("a region larger than memory"))?)?;
        let mut places = vec![(0usize, 0usize); n];
        for coords in grid.cells_of(region)? {
            let Some(overlap) = grid.overlap(&coords, region) else { continue };
            let elements = element_count(&overlap.cell)?;
            let source = self.chunk(&array.node, &coords).await?;
            let chunk = match resolve(source, schema, elements).await? {
                ChunkSource::Unwritten | ChunkSource::Elsewhere(_) => continue,
                ChunkSource::Staged(e) => (*e).clone(),
                ChunkSource::Stored(chunk) => self.version.whole_chunk(schema, &chunk, elements).await?,
            };
            chunks.push(chunk);
            let i = chunks.len() - 1;
            overlap.to_region(&region.count).for_each_run(|from, to, len| {
                for k in 0..len {
                    if let Some(place) = places.get_mut(to + k) {
                        *place = (i, from + k);
                    }
                }
            });
        }
        let mut values = Variable::default();
        let mut validity = schema.nullable.then(Vec::new);
        for (chunk, element) in places {
            let chunk = &chunks[chunk];
            values.push(chunk.values.variable()?.get(element));
            if let (Some(out), Some(v)) = (&mut validity, &chunk.validity) {
                out.push(v.get(element).copied().unwrap_or(0));
            }
        }
        Ok(Elements { dtype: schema.dtype, values: Values::Variable(values), validity })
    }

    /// All elements of a chunk, for changing some of them.
    pub(crate) async fn whole(&self, array: &FoundArray, grid: &Grid, coords: &[u64]) -> Result<Elements> {
        let n = element_count(&grid.extents(coords))?;
        match resolve(self.chunk(&array.node, coords).await?, &array.schema, n).await? {
            ChunkSource::Unwritten | ChunkSource::Elsewhere(_) => Elements::filled(&array.schema, n),
            ChunkSource::Staged(e) => Ok((*e).clone()),
            ChunkSource::Stored(chunk) => self.version.whole_chunk(&array.schema, &chunk, n).await,
        }
    }
}

/// Brings a chunk of another file; the others stay as they are.
async fn resolve(source: ChunkSource, schema: &ArraySchema, elements: usize) -> Result<ChunkSource> {
    match source {
        ChunkSource::Elsewhere(p) => match &p.from {
            Some(version) => {
                Ok(ChunkSource::Staged(Arc::new(version.whole_chunk(schema, &p.chunk, elements).await?)))
            }
            None => Ok(ChunkSource::Stored(p.chunk.clone())),
        },
        source => Ok(source),
    }
}

impl Version {
    /// All elements of a stored chunk.
    pub(crate) async fn whole_chunk(
        &self,
        schema: &ArraySchema,
        chunk: &ChunkRef,
        n: usize,
    ) -> Result<Elements> {
        let at = |e: Error| self.at_block(e, &chunk.block);
        if chunk.block.frame_bytes == 0 {
            let blocks = self.blocks(std::slice::from_ref(&chunk.block)).await?;
            let bytes = chunk_bytes(chunk, &blocks).map_err(at)?;
            return chunk::decode(schema, n, bytes).map_err(at);
        }
        let size = schema.dtype.fixed_size_bytes().unwrap_or(0);
        let len = n.checked_mul(size).ok_or_else(|| at(Error::corrupt("a chunk larger than memory")))?;
        check_earned(chunk.block.stored_bytes, len as u64).map_err(at)?;
        let mut values = zeroed(len)?;
        let mut validity = schema.nullable.then(|| vec![0; n]);
        let shape = vec![n as u64];
        let whole = Region { start: vec![0], count: shape.clone(), step: vec![1] };
        let line = Grid { shape: shape.clone(), chunk: shape.iter().map(|n| (*n).max(1)).collect() };
        let Some(overlap) = line.overlap(&[0], &whole) else { return Elements::filled(schema, n) };
        let piece = Piece::new(ChunkSource::Stored(chunk.clone()), overlap, n);
        let target = Target { values: &mut values, validity: validity.as_deref_mut() };
        Box::pin(self.fill(schema, vec![Slab { pieces: vec![piece], shape, target }])).await?;
        Ok(Elements { dtype: schema.dtype, values: Values::Fixed(values), validity })
    }
}

fn chunk_bytes<'b>(chunk: &ChunkRef, blocks: &'b HashMap<Arc<BlockMeta>, Bytes>) -> Result<&'b [u8]> {
    let block = blocks.get(&chunk.block).ok_or_else(|| Error::corrupt("a block was not loaded"))?;
    slice(chunk, block)
}
