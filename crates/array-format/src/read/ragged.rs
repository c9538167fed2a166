//! Many whole arrays one behind the other, in memory of one piece: blocks are decoded to where their values stay.

use std::collections::HashMap;
use std::sync::Arc;

use array_format_core::address::ObjectId;
use array_format_core::checksum::{check_earned, verify};
use array_format_core::element::ArrayElement;
use array_format_core::format::nodes::{NodesPage, Single};
use array_format_core::{Error, Result};
use ndarray::{ArrayD, ArrayViewD, IxDyn};
use rayon::prelude::*;

use super::kept::Kept;
use super::many::arrays_a_task;
use super::scratch::{Scratch, with_scratch};
use super::single::{bytes_of, is_in_place, plain, shape_of};
use super::view::View;
use crate::index::Version;
use crate::index::lookup::Place;
use crate::layer::object::PinnedObject;

/// Arrays of any lengths, one behind the other: what CF calls a contiguous ragged array.
#[derive(Debug, Clone, PartialEq)]
pub struct Ragged<T> {
    values: Vec<T>,
    offsets: Vec<usize>,
    shapes: Vec<IxDyn>,
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

    /// Extents of each array.
    pub fn shapes(&self) -> &[IxDyn] {
        &self.shapes
    }

    /// Number of arrays.
    pub fn len(&self) -> usize {
        self.shapes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.shapes.is_empty()
    }

    /// Array `i`.
    pub fn get(&self, i: usize) -> Option<ArrayViewD<'_, T>> {
        let values = self.values.get(*self.offsets.get(i)?..*self.offsets.get(i + 1)?)?;
        ArrayViewD::from_shape(self.shapes.get(i)?.clone(), values).ok()
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
        for array in arrays {
            values.extend(array.iter().cloned());
            offsets.push(values.len());
        }
        Self { values, offsets, shapes: arrays.iter().map(ndarray::ArrayBase::raw_dim).collect() }
    }
}

impl View {
    /// Arrays of one chunk each, by paths that are sorted, where all can be read without waiting. `None`: the usual way leads to them, or to the
    /// error.
    pub(crate) async fn read_ragged<T: ArrayElement>(
        &self,
        names: &[impl AsRef<str>],
    ) -> Result<Option<Ragged<T>>> {
        let paths: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        let is_usual =
            !is_in_place::<T>() || !self.pending.nodes.is_empty() || !self.version.objects.reads_now();
        if is_usual || !paths.is_sorted_by(|a, b| a < b) {
            return Ok(None);
        }
        let places = self.version.node_places(&paths).await?;
        let a_task = arrays_a_task(paths.len());
        let part = |of_task: &[Place]| self.version.part::<T>(&places.pages, of_task);
        let parts: Result<Option<Vec<Part<'_>>>> = match places.places.len() <= a_task {
            true => part(&places.places).map(|part| part.map(|part| vec![part])),
            false => {
                let parts = places.places.par_chunks(a_task).with_max_len(1).map(part);
                parts.collect::<Result<Vec<_>>>().map(|parts| parts.into_iter().collect())
            }
        };
        match parts? {
            Some(parts) => self.version.read_consecutive(parts).await,
            None => Ok(None),
        }
    }
}

/// Arrays that one thread reads.
struct Part<'p> {
    singles: Vec<Single<'p>>,
    /// How many elements come before the end of each.
    ends: Vec<usize>,
    shapes: Vec<IxDyn>,
    /// Where their blocks are.
    objects: Vec<ObjectId>,
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
    /// Arrays of one chunk each; `None` if one of them is something else.
    fn part<'p, T: ArrayElement>(
        &self,
        pages: &'p [Arc<NodesPage>],
        places: &[Place],
    ) -> Result<Option<Part<'p>>> {
        let n = places.len();
        let (singles, ends, shapes) = (Vec::with_capacity(n), Vec::with_capacity(n), Vec::with_capacity(n));
        let mut part = Part { singles, ends, shapes, objects: Vec::new(), groups: Vec::new() };
        let mut end = 0usize;
        for place in places {
            let Some((page, row)) = *place else { return Ok(None) };
            let Some(single) = pages.get(page).and_then(|page| plain::<T>(page, row)) else {
                return Ok(None);
            };
            let at = |e| self.at_block(e, single.block);
            let n = single.shape.elements().map_err(at)?;
            let bytes = (n as u64).saturating_mul(T::DTYPE.fixed_size_bytes().unwrap_or(0) as u64);
            // A chunk of another length is one that the usual way refuses.
            if !single.schema.filters.is_empty() || bytes != single.length {
                return Ok(None);
            }
            check_earned(single.block.stored_bytes, single.length).map_err(at)?;
            end = end.checked_add(n).ok_or_else(too_large)?;
            part.ends.push(end);
            part.shapes.push(shape_of(&single));
            let id = single.block.id.object;
            if part.objects.last() != Some(&id) && !part.objects.contains(&id) {
                part.objects.push(id);
            }
            part.singles.push(single);
        }
        let groups = part.singles.chunk_by(|a, b| Arc::ptr_eq(a.block, b.block));
        part.groups = groups.map(|group| (group.len(), is_whole(group))).collect();
        Ok(Some(part))
    }

    async fn read_consecutive<T: ArrayElement>(&self, parts: Vec<Part<'_>>) -> Result<Option<Ragged<T>>> {
        let mut objects: HashMap<ObjectId, PinnedObject> = HashMap::new();
        let count = parts.iter().map(|p| p.singles.len()).sum::<usize>();
        let mut offsets = Vec::with_capacity(count + 1);
        let mut end = 0usize;
        offsets.push(end);
        for part in &parts {
            let start = end;
            end = end.checked_add(part.elements()).ok_or_else(too_large)?;
            offsets.extend(part.ends.iter().map(|n| start + n));
            for id in &part.objects {
                if !objects.contains_key(id) {
                    let object = self.pinned(*id).await.map_err(|e| self.in_file(e))?;
                    if !object.reads_now() {
                        return Ok(None);
                    }
                    objects.insert(*id, object);
                }
            }
        }
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
        let groups = parts.iter().flat_map(Part::groups);
        let used = groups.filter_map(|(group, is_whole)| Some((&**group.first()?.block, is_whole)));
        let kept = Kept::of(self, used)?;
        let run = |(part, out): (&Part<'_>, &mut [u8])| self.fill_ragged(&objects, &kept, part, out);
        match jobs.len() {
            0 | 1 => jobs.into_iter().try_for_each(run)?,
            _ => jobs.into_par_iter().with_max_len(1).try_for_each(run)?,
        }
        let mut shapes = Vec::with_capacity(count);
        parts.into_iter().for_each(|part| shapes.extend(part.shapes));
        Ok(Some(Ragged { values, offsets, shapes }))
    }

    fn fill_ragged(
        &self,
        objects: &HashMap<ObjectId, PinnedObject>,
        kept: &Kept,
        part: &Part<'_>,
        mut out: &mut [u8],
    ) -> Result<()> {
        with_scratch(|scratch| {
            for (group, is_whole) in part.groups() {
                let Some(block) = group.first().map(|s| s.block) else { continue };
                let (own, rest) = std::mem::take(&mut out).split_at_mut(length_of(group));
                out = rest;
                let object = objects.get(&block.id.object);
                let object = object.ok_or_else(|| Error::corrupt("an object was not opened"))?;
                self.check_inside(block.id.object, block.offset..block.end())?;
                self.fill_group(object, (group, is_whole), kept, scratch, own)
                    .map_err(|e| self.at_block(e, block))?;
            }
            Ok(())
        })
    }

    /// Fills `out` with arrays of one block: decoded in place where they are all of it, in its order, which is the second of `group`.
    fn fill_group(
        &self,
        object: &PinnedObject,
        (group, is_whole): (&[Single<'_>], bool),
        kept: &Kept,
        scratch: &mut Scratch,
        out: &mut [u8],
    ) -> Result<()> {
        let Some(block) = group.first().map(|s| s.block) else { return Ok(()) };
        if is_whole && out.len() == self.decoded_len(block)? && self.cached_block(block)?.is_none() {
            let stored = object.read_now(block.offset..block.end(), &mut scratch.stored)?;
            verify(stored, block.checksum, "a block")?;
            return self.decompress(block, stored, out);
        }
        self.with_block(object, block, kept.keeps(block, is_whole), scratch, |decoded| {
            let mut out = out;
            for single in group {
                let bytes = bytes_of(single, decoded)?;
                let (own, rest) = std::mem::take(&mut out).split_at_mut(bytes.len());
                own.copy_from_slice(bytes);
                out = rest;
            }
            Ok(())
        })
    }
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
