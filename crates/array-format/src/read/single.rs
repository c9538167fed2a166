//! Whole arrays of one chunk in a block that it shares with others: what files of many arrays are made of.
//!
//! The way of [`assemble`](super::assemble) leads to the same result. Here nothing is planned, since there is nothing to plan: it is three
//! times as fast.

use std::collections::HashMap;
use std::sync::Arc;

use array_format_core::block::BlockMeta;
use array_format_core::checksum::check_earned;
use array_format_core::chunk;
use array_format_core::element::ArrayElement;
use array_format_core::format::nodes::{NodesPage, Single};
use array_format_core::grid::element_count;
use array_format_core::{Error, Result};
use bytes::Bytes;
use ndarray::{ArrayD, IxDyn};
use rayon::prelude::*;

use super::view::View;
use crate::index::Version;

/// Decoded bytes of blocks that are brought at once for many arrays.
const BATCH_BYTES: u64 = 32 << 20;
/// Arrays that a core takes at once: copying one is little work.
const ARRAYS_A_TASK: usize = 256;

/// The row, if the array has elements of type `T` in a block that has no frames.
fn plain<T: ArrayElement>(page: &NodesPage, row: usize) -> Option<Single<'_>> {
    let single = page.single(row)?;
    let s = single.schema;
    let same = s.dtype == T::DTYPE && !s.nullable && !T::NULLABLE;
    (same && single.block.frame_bytes == 0).then_some(single)
}

/// Blocks from this size on that hold one array are decoded into the result, and not kept: the cache is for what arrays share.
const LARGE_BYTES: u64 = 32 << 10;

/// Memory for the elements of an array, to be read into in place; `None` for types that are not laid out in memory like in files.
fn room<T: ArrayElement>(single: &Single<'_>) -> Result<Option<Vec<T>>> {
    let n = element_count(single.shape)?;
    let bytes = (n as u64).saturating_mul(T::DTYPE.fixed_size_bytes().unwrap_or(0) as u64);
    let plain = single.schema.filters.is_empty();
    // A chunk of another length is one that the usual way refuses.
    if plain && bytes != single.length {
        return Ok(None);
    }
    check_earned(single.block.stored_bytes, single.length)?;
    check_earned(single.length, bytes)?;
    Ok(T::zeros(n).filter(|v| v.len() == n))
}

fn array_of<T>(single: &Single<'_>, values: Vec<T>) -> Result<ArrayD<T>> {
    let dims: Vec<usize> = single.shape.iter().map(|n| *n as usize).collect();
    ArrayD::from_shape_vec(IxDyn(&dims), values).map_err(|e| Error::corrupt(e.to_string()))
}

/// The elements of an array from its decoded block.
fn elements<T: ArrayElement>(single: &Single<'_>, block: &[u8]) -> Result<Option<ArrayD<T>>> {
    let place = usize::try_from(single.offset).ok().zip(usize::try_from(single.length).ok());
    let bytes = place.and_then(|(from, n)| block.get(from..from.checked_add(n)?));
    let bytes = bytes.ok_or_else(|| Error::corrupt("a chunk lies outside of its block"))?;
    let Some(mut values) = room::<T>(single)? else { return Ok(None) };
    match T::as_le_bytes_mut(&mut values) {
        Some(out) if single.schema.filters.is_empty() && out.len() == bytes.len() => {
            out.copy_from_slice(bytes);
        }
        Some(out) => chunk::decode_fixed(single.schema, bytes, out)?,
        None => return Ok(None),
    }
    array_of(single, values).map(Some)
}

/// Where an array is: page and row, its name and its block by their numbers.
struct Found<'p> {
    name: usize,
    page: &'p NodesPage,
    row: usize,
    block: usize,
}

impl View {
    /// All elements of an array, if it is such a one. `None`: the usual way leads to them, or to the error.
    pub(crate) async fn read_single<T: ArrayElement>(&self, path: &str) -> Result<Option<ArrayD<T>>> {
        if self.pending.nodes.contains_key(path) {
            return Ok(None);
        }
        let Some((page, row)) = self.version.node_place(path).await? else { return Ok(None) };
        let Some(single) = plain::<T>(&page, row) else { return Ok(None) };
        let at = |e| self.version.at_block(e, single.block);
        if single.block.decoded_bytes >= LARGE_BYTES
            && single.length == single.block.decoded_bytes
            && let Some(mut values) = room::<T>(&single).map_err(at)?
            && let Some(out) = T::as_le_bytes_mut(&mut values)
        {
            self.version.decode_into(single.schema, single.block, out).await?;
            return array_of(&single, values).map(Some).map_err(at);
        }
        let block = self.version.block(single.block).await?;
        elements(&single, &block).map_err(at)
    }

    /// The same of many: pages and blocks that they share are loaded once, blocks are decoded and elements copied on all cores.
    pub(crate) async fn read_singles<T: ArrayElement>(
        &self,
        names: &[impl AsRef<str> + Sync],
    ) -> Result<Vec<Option<ArrayD<T>>>> {
        let mut all: Vec<Option<ArrayD<T>>> = Vec::new();
        all.resize_with(names.len(), || None);
        // In the order of the index, so that each page is wanted once.
        let path = |i: usize| names.get(i).map_or("", AsRef::as_ref);
        let mut order: Vec<usize> =
            (0..names.len()).filter(|i| !self.pending.nodes.contains_key(path(*i))).collect();
        order.sort_by(|a, b| path(*a).cmp(path(*b)));
        let paths: Vec<&str> = order.iter().map(|i| path(*i)).collect();
        let places = self.version.node_places(&paths).await?;
        let mut batch = Batch::default();
        for (name, place) in order.into_iter().zip(&places) {
            let Some((page, row)) = place else { continue };
            let Some(single) = plain::<T>(page, *row) else { continue };
            let block = batch.block(single.block);
            batch.found.push(Found { name, page, row: *row, block });
            if batch.bytes >= BATCH_BYTES {
                self.version.put_batch(std::mem::take(&mut batch), &mut all).await?;
            }
        }
        self.version.put_batch(batch, &mut all).await?;
        Ok(all)
    }
}

/// Arrays that were found, with their blocks.
#[derive(Default)]
struct Batch<'p> {
    found: Vec<Found<'p>>,
    blocks: Vec<Arc<BlockMeta>>,
    /// By address: a page has one description of each block.
    known: HashMap<usize, usize>,
    bytes: u64,
}

impl Batch<'_> {
    fn block(&mut self, block: &Arc<BlockMeta>) -> usize {
        if self.blocks.last().is_some_and(|b| Arc::ptr_eq(b, block)) {
            return self.blocks.len() - 1;
        }
        let next = self.blocks.len();
        let i = *self.known.entry(Arc::as_ptr(block).addr()).or_insert(next);
        if i == next {
            self.blocks.push(block.clone());
            self.bytes = self.bytes.saturating_add(block.decoded_bytes);
        }
        i
    }
}

impl Version {
    async fn put_batch<T: ArrayElement>(
        &self,
        batch: Batch<'_>,
        all: &mut [Option<ArrayD<T>>],
    ) -> Result<()> {
        let loaded = self.blocks(&batch.blocks).await?;
        let blocks: Vec<Option<&Bytes>> = batch.blocks.iter().map(|b| loaded.get(b)).collect();
        let one = |f: &Found<'_>| -> Result<Option<ArrayD<T>>> {
            let single = plain::<T>(f.page, f.row);
            match (single, blocks.get(f.block).copied().flatten()) {
                (Some(s), Some(block)) => elements(&s, block).map_err(|e| self.at_block(e, s.block)),
                _ => Ok(None),
            }
        };
        let arrays: Vec<Option<ArrayD<T>>> = match batch.found.len() > ARRAYS_A_TASK {
            true => batch.found.par_iter().with_min_len(ARRAYS_A_TASK).map(one).collect::<Result<_>>()?,
            false => batch.found.iter().map(one).collect::<Result<_>>()?,
        };
        for (f, array) in batch.found.iter().zip(arrays) {
            if let Some(place) = all.get_mut(f.name) {
                *place = array;
            }
        }
        Ok(())
    }
}
