//! Many whole arrays one behind the other, in memory of one piece: blocks are decoded to where their values stay.

use std::sync::Arc;

use array_format_core::block::BlockMeta;
use array_format_core::checksum::{check_earned, verify};
use array_format_core::element::ArrayElement;
use array_format_core::format::nodes::{NodesPage, Single};
use array_format_core::{Error, Result};
use ndarray::{ArrayD, ArrayViewD};
use rayon::prelude::*;

use super::kept::Kept;
use super::many::arrays_a_task;
use super::scratch::{Scratch, with_scratch};
use super::single::{bytes_of, is_in_place, plain};
use super::source::{READ_BYTES, Source, stretches};
use super::view::View;
use crate::index::Version;
use crate::index::lookup::{Place, Places};

/// Arrays of any lengths, one behind the other: what CF calls a contiguous ragged array.
#[derive(Debug, Clone, PartialEq)]
pub struct Ragged<T> {
    values: Vec<T>,
    offsets: Vec<usize>,
    shapes: Shapes,
}

/// Extents of arrays, one behind the other: a shape for each would be most of what many small arrays come with.
#[derive(Debug, Clone, PartialEq)]
struct Shapes {
    extents: Vec<usize>,
    ranks: Ranks,
}

#[derive(Debug, Clone, PartialEq)]
enum Ranks {
    /// All arrays have this one.
    Every(usize),
    /// Where the extents of each array begin, and where those of the last one end.
    Starts(Vec<usize>),
}

impl Shapes {
    fn get(&self, i: usize) -> Option<&[usize]> {
        let range = match &self.ranks {
            Ranks::Every(rank) => i.checked_mul(*rank)?..i.checked_add(1)?.checked_mul(*rank)?,
            Ranks::Starts(starts) => *starts.get(i)?..*starts.get(i + 1)?,
        };
        self.extents.get(range)
    }
}

impl<T> Ragged<T> {
    /// The elements of all arrays, those of each in C order.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// Where each array begins in the values, and where the last one ends.
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// The shape of array `i`.
    pub fn shape(&self, i: usize) -> Option<&[usize]> {
        self.shapes.get(i).filter(|_| i < self.len())
    }

    /// Number of arrays.
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Array `i`.
    pub fn get(&self, i: usize) -> Option<ArrayViewD<'_, T>> {
        let values = self.values.get(*self.offsets.get(i)?..*self.offsets.get(i + 1)?)?;
        ArrayViewD::from_shape(self.shape(i)?, values).ok()
    }

    /// The values alone.
    pub fn into_values(self) -> Vec<T> {
        self.values
    }
}

impl<T: Clone> Ragged<T> {
    /// The same of arrays that were read already.
    pub(crate) fn of(arrays: &[ArrayD<T>]) -> Self {
        let mut values = Vec::with_capacity(arrays.iter().map(ArrayD::len).sum());
        let mut offsets = Vec::with_capacity(arrays.len() + 1);
        offsets.push(0);
        let (mut extents, mut starts) = (Vec::with_capacity(arrays.len()), vec![0]);
        for array in arrays {
            values.extend(array.iter().cloned());
            offsets.push(values.len());
            extents.extend(array.shape());
            starts.push(extents.len());
        }
        let rank = arrays.first().map_or(0, ArrayD::ndim);
        let ranks = match arrays.iter().all(|array| array.ndim() == rank) {
            true => Ranks::Every(rank),
            false => Ranks::Starts(starts),
        };
        Self { values, offsets, shapes: Shapes { extents, ranks } }
    }
}

impl View {
    /// Arrays of one rank and one chunk each, by paths that are sorted, where all can be read without waiting. `None`: the usual way leads to
    /// them, or to the error.
    pub(crate) async fn read_ragged<T: ArrayElement>(
        &self,
        names: &[impl AsRef<str>],
    ) -> Result<Option<Ragged<T>>> {
        let paths: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        let is_usual =
            !is_in_place::<T>() || !self.pending.nodes.is_empty() || !self.version.objects.reads_at_once();
        if is_usual || !paths.is_sorted_by(|a, b| a < b) {
            return Ok(None);
        }
        let places = self.version.node_places(&paths).await?;
        let a_task = arrays_a_task(paths.len());
        let part = |of_task: &[Place]| self.version.part::<T>(&places.pages, of_task);
        let parts: Result<Option<Vec<Part<'_>>>> = match places.places.len() <= a_task {
            true => part(&places.places).map(|part| part.map(|part| vec![part])),
            false => {
                let parts = cut(&places, a_task).into_par_iter().with_max_len(1).map(part);
                parts.collect::<Result<Vec<_>>>().map(|parts| parts.into_iter().collect())
            }
        };
        match parts? {
            Some(parts) => self.version.read_consecutive(parts).await,
            None => Ok(None),
        }
    }
}

/// Places in stretches of `a_task` and more, which end where a block does: two threads would both want it otherwise.
fn cut(places: &Places, a_task: usize) -> Vec<&[Place]> {
    let block = |place: &Place| {
        let (page, row) = (*place)?;
        Some(Arc::as_ptr(places.pages.get(page)?.single(row)?.block))
    };
    let (mut rest, mut stretches) = (&places.places[..], Vec::new());
    while !rest.is_empty() {
        let least = a_task.clamp(1, rest.len());
        let last = rest.get(least - 1).and_then(block);
        let (_, after) = rest.split_at(least);
        let more =
            after.iter().take(a_task).take_while(|place| last.is_some() && block(place) == last).count();
        let (stretch, others) = rest.split_at(least + more);
        stretches.push(stretch);
        rest = others;
    }
    stretches
}

/// Arrays that one thread reads.
struct Part<'p> {
    singles: Vec<Single<'p>>,
    /// How many elements come before the end of each.
    ends: Vec<usize>,
    rank: usize,
    /// Of all of them, one behind the other.
    extents: Vec<usize>,
    /// How many of them lie in one block each time, and whether they are all of it, in its order.
    groups: Vec<(usize, bool)>,
}

impl Part<'_> {
    fn elements(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Arrays that lie in one block, and whether they are all of it, in its order.
    fn groups(&self) -> impl Iterator<Item = (&[Single<'_>], bool)> {
        let mut rest = &self.singles[..];
        self.groups.iter().map_while(move |(count, is_whole)| {
            let (group, others) = rest.split_at_checked(*count)?;
            rest = others;
            Some((group, *is_whole))
        })
    }
}

impl Version {
    /// Arrays of one rank and one chunk each; `None` if one of them is something else.
    fn part<'p, T: ArrayElement>(
        &self,
        pages: &'p [Arc<NodesPage>],
        places: &[Place],
    ) -> Result<Option<Part<'p>>> {
        let n = places.len();
        let (singles, ends, extents) = (Vec::with_capacity(n), Vec::with_capacity(n), Vec::with_capacity(n));
        let mut part = Part { singles, ends, rank: 0, extents, groups: Vec::new() };
        let mut end = 0usize;
        for place in places {
            let Some((page, row)) = *place else { return Ok(None) };
            let Some(single) = pages.get(page).and_then(|page| plain::<T>(page, row)) else {
                return Ok(None);
            };
            let at = |e| self.at_block(e, single.block);
            let n = single.shape.elements().map_err(at)?;
            let bytes = (n as u64).saturating_mul(T::DTYPE.fixed_size_bytes().unwrap_or(0) as u64);
            let rank = single.shape.len();
            if part.singles.is_empty() {
                part.rank = rank;
            }
            // A chunk of another length is one that the usual way refuses.
            if rank != part.rank || !single.schema.filters.is_empty() || bytes != single.length {
                return Ok(None);
            }
            check_earned(single.block.stored_bytes, single.length).map_err(at)?;
            end = end.checked_add(n).ok_or_else(too_large)?;
            part.ends.push(end);
            part.extents.extend(single.shape.iter().map(|n| n as usize));
            part.singles.push(single);
        }
        let groups = part.singles.chunk_by(|a, b| Arc::ptr_eq(a.block, b.block));
        part.groups = groups.map(|group| (group.len(), is_whole(group))).collect();
        Ok(Some(part))
    }

    async fn read_consecutive<T: ArrayElement>(&self, parts: Vec<Part<'_>>) -> Result<Option<Ragged<T>>> {
        let rank = parts.first().map_or(0, |part| part.rank);
        if parts.iter().any(|part| part.rank != rank) {
            return Ok(None);
        }
        let count = parts.iter().map(|p| p.singles.len()).sum::<usize>();
        let mut offsets = Vec::with_capacity(count + 1);
        let mut end = 0usize;
        offsets.push(end);
        for part in &parts {
            let start = end;
            end = end.checked_add(part.elements()).ok_or_else(too_large)?;
            offsets.extend(part.ends.iter().map(|n| start + n));
        }
        let groups = || parts.iter().flat_map(Part::groups);
        self.prepare(groups().filter_map(|(group, _)| group.first()).map(|single| &**single.block)).await?;
        let mut values = T::zeros(end).ok_or_else(|| {
            self.in_file(Error::invalid(format!("{end} elements of {} do not fit into memory", T::DTYPE)))
        })?;
        let Some(mut rest) = T::as_le_bytes_mut(&mut values) else { return Ok(None) };
        let mut jobs = Vec::with_capacity(parts.len());
        for part in &parts {
            let (own, others) = rest.split_at_mut(length_of(&part.singles));
            rest = others;
            jobs.push((part, own));
        }
        let used = groups().filter_map(|(group, is_whole)| Some((&**group.first()?.block, is_whole)));
        let kept = Kept::of(self, used)?;
        let run = |(part, out): (&Part<'_>, &mut [u8])| self.fill_ragged(&kept, part, out);
        match jobs.len() {
            0 | 1 => jobs.into_iter().try_for_each(run)?,
            _ => jobs.into_par_iter().with_max_len(1).try_for_each(run)?,
        }
        let mut extents = Vec::with_capacity(count.saturating_mul(rank));
        parts.iter().for_each(|part| extents.extend_from_slice(&part.extents));
        Ok(Some(Ragged { values, offsets, shapes: Shapes { extents, ranks: Ranks::Every(rank) } }))
    }

    fn fill_ragged(&self, kept: &Kept, part: &Part<'_>, mut out: &mut [u8]) -> Result<()> {
        let groups: Vec<(&Arc<BlockMeta>, &[Single<'_>], bool)> = part
            .groups()
            .filter_map(|(group, is_whole)| Some((group.first()?.block, group, is_whole)))
            .collect();
        with_scratch(|Scratch { stored, raw }| {
            for groups in groups.chunk_by(|a, b| a.0.id.object == b.0.id.object) {
                let Some((id, first)) = groups.first().map(|(block, ..)| (block.id.object, block.offset))
                else {
                    continue;
                };
                let object = self.pinned_now(id, first).map_err(|e| self.in_file(e))?;
                let range = |block: &BlockMeta| block.offset..block.end();
                groups.iter().try_for_each(|(block, ..)| self.check_inside(id, range(block)))?;
                let stretches = stretches(groups.iter().map(|(block, ..)| range(block)), 0, READ_BYTES);
                let mut source = Source::now(&object, 0, stretches, stored);
                for (block, group, is_whole) in groups {
                    let (own, rest) = std::mem::take(&mut out).split_at_mut(length_of(group));
                    out = rest;
                    let mut fill = || {
                        let is_all = *is_whole && own.len() == self.decoded_len(block)?;
                        if is_all && self.cached_block(block)?.is_none() {
                            let stored = source.bytes(&range(block))?;
                            verify(stored, block.checksum, "a block")?;
                            // Decoded where it stays.
                            return self.decompress(block, stored, own);
                        }
                        let keeps = kept.keeps(block, *is_whole);
                        let put = |decoded: &[u8]| copy(group, decoded, own);
                        self.with_block(block, keeps, raw, || source.bytes(&range(block)), put)
                    };
                    fill().map_err(|e| self.at_block(e, block))?;
                }
            }
            Ok(())
        })
    }
}

/// Copies arrays from their decoded block.
fn copy(group: &[Single<'_>], decoded: &[u8], mut out: &mut [u8]) -> Result<()> {
    for single in group {
        let bytes = bytes_of(single, decoded)?;
        let (own, rest) = std::mem::take(&mut out).split_at_mut(bytes.len());
        own.copy_from_slice(bytes);
        out = rest;
    }
    Ok(())
}

/// Whether arrays of one block are all of it, in its order.
fn is_whole(group: &[Single<'_>]) -> bool {
    let mut end = Some(0u64);
    for single in group {
        end = end.filter(|end| *end == single.offset).and_then(|end| end.checked_add(single.length));
    }
    group.first().is_some_and(|first| end == Some(first.block.decoded_bytes))
}

fn too_large() -> Error {
    Error::invalid("arrays larger than memory")
}

fn length_of(singles: &[Single<'_>]) -> usize {
    singles.iter().map(|s| s.length as usize).sum()
}
