//! Whole arrays of one chunk in a block that it shares with others: what files of many arrays are made of.
//!
//! The way of [`assemble`](super::assemble) leads to the same result. Here nothing is planned, since there is nothing to plan: it is three
//! times as fast.

use array_format_core::checksum::check_earned;
use array_format_core::chunk;
use array_format_core::element::ArrayElement;
use array_format_core::format::nodes::{NodesPage, Single};
use array_format_core::{Error, Result};
use ndarray::{ArrayD, IxDyn};

use super::view::View;

/// Whether elements are laid out in memory like in files, so that they can be read in place.
pub(super) fn is_in_place<T: ArrayElement>() -> bool {
    T::as_le_bytes_mut(&mut []).is_some()
}

/// The row, if the array has elements of type `T` in a block that has no frames.
pub(super) fn plain<T: ArrayElement>(page: &NodesPage, row: usize) -> Option<Single<'_>> {
    let single = page.single(row)?;
    let s = single.schema;
    let same = s.dtype == T::DTYPE && !s.nullable && !T::NULLABLE;
    (same && single.block.frame_bytes == 0).then_some(single)
}

/// Blocks from this size on that hold one array are decoded into the result, and not kept: the cache is for what arrays share.
pub(super) const LARGE_BYTES: u64 = 32 << 10;

/// Memory for the elements of an array, to be read into in place; `None` for types that are not laid out in memory like in files.
fn room<T: ArrayElement>(single: &Single<'_>) -> Result<Option<Vec<T>>> {
    let n = single.shape.elements()?;
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

/// Extents, without an allocation for the ranks that are usual.
pub(super) fn shape_of(single: &Single<'_>) -> IxDyn {
    let mut dims = [0; USUAL_RANK];
    match dims.get_mut(..single.shape.len()) {
        Some(dims) => {
            dims.iter_mut().zip(single.shape.iter()).for_each(|(to, n)| *to = n as usize);
            IxDyn(dims)
        }
        None => IxDyn(&single.shape.iter().map(|n| n as usize).collect::<Vec<_>>()),
    }
}

/// Up to so many extents lie in an [`IxDyn`] itself.
const USUAL_RANK: usize = 4;

fn array_of<T>(single: &Single<'_>, values: Vec<T>) -> Result<ArrayD<T>> {
    ArrayD::from_shape_vec(shape_of(single), values).map_err(|e| Error::corrupt(e.to_string()))
}

/// The bytes of an array in its decoded block.
pub(super) fn bytes_of<'b>(single: &Single<'_>, block: &'b [u8]) -> Result<&'b [u8]> {
    let place = usize::try_from(single.offset).ok().zip(usize::try_from(single.length).ok());
    let bytes = place.and_then(|(from, n)| block.get(from..from.checked_add(n)?));
    bytes.ok_or_else(|| Error::corrupt("a chunk lies outside of its block"))
}

/// The elements of an array from its decoded block.
pub(super) fn elements<T: ArrayElement>(single: &Single<'_>, block: &[u8]) -> Result<Option<ArrayD<T>>> {
    let bytes = bytes_of(single, block)?;
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

impl View {
    /// All elements of an array, if it is such a one. `None`: the usual way leads to them, or to the error.
    pub(crate) async fn read_single<T: ArrayElement>(&self, path: &str) -> Result<Option<ArrayD<T>>> {
        if self.pending.nodes.contains_key(path) || !is_in_place::<T>() {
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
        let found = elements(&single, &block).map_err(at);
        self.version.recent.put(&self.version, page, row, block);
        found
    }

    /// The same without waiting, of an array that follows the one that was read last, and lies in the same block.
    pub(crate) fn read_next<T: ArrayElement>(&self, path: &str) -> Option<Result<ArrayD<T>>> {
        if !self.pending.nodes.is_empty() || !is_in_place::<T>() {
            return None;
        }
        self.version.recent.next(&self.version, |page, row, block| {
            if !page.is_at(row, path) {
                return None;
            }
            let single = plain::<T>(page, row)?;
            let bytes = block(single.block)?;
            let at = |e| self.version.at_block(e, single.block);
            elements(&single, bytes).map_err(at).transpose()
        })
    }
}
