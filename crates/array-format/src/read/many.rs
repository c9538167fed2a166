//! Many whole arrays of one chunk at once: pages and blocks that they share are loaded once, and decoded on all cores.

use std::collections::HashMap;
use std::sync::Arc;

use array_format_core::address::ObjectId;
use array_format_core::block::BlockMeta;
use array_format_core::element::ArrayElement;
use array_format_core::format::nodes::{NodesPage, Single};
use array_format_core::{Error, Result};
use bytes::Bytes;
use ndarray::ArrayD;
use rayon::prelude::*;

use super::kept::Kept;
use super::scratch::{Scratch, with_scratch};
use super::single::{elements, is_in_place, plain};
use super::view::View;
use crate::index::Version;
use crate::index::load::FEW_OBJECTS;
use crate::index::lookup::{Place, Places};
use crate::layer::object::PinnedObject;
use crate::write::pack::parallel;

/// Decoded bytes of blocks that are brought at once for many arrays.
const BATCH_BYTES: u64 = 32 << 20;
/// Most arrays that a core takes at once: some blocks that no other task wants.
const ARRAYS_A_TASK: usize = 512;
const LEAST_ARRAYS_A_TASK: usize = 64;
const TASKS_A_CORE: usize = 4;

/// Arrays that were read, in the order of their paths.
type Read<T> = Vec<Option<ArrayD<T>>>;

impl View {
    /// As [`read_single`](Self::read_single), of many arrays.
    pub(crate) async fn read_singles<T: ArrayElement>(
        &self,
        names: &[impl AsRef<str> + Sync],
    ) -> Result<Read<T>> {
        if !is_in_place::<T>() {
            return Ok(names.iter().map(|_| None).collect());
        }
        // In the order of the index, so that each page is wanted once.
        let path = |i: usize| names.get(i).map_or("", AsRef::as_ref);
        let mut order: Vec<usize> = (0..names.len()).collect();
        if !self.pending.nodes.is_empty() {
            order.retain(|i| !self.pending.nodes.contains_key(path(*i)));
        }
        if !order.is_sorted_by(|a, b| path(*a) <= path(*b)) {
            order.sort_by(|a, b| path(*a).cmp(path(*b)));
        }
        let paths: Vec<&str> = order.iter().map(|i| path(*i)).collect();
        let places = self.version.node_places(&paths).await?;
        self.version.open_few(&places.pages).await;
        let mut read = self.version.read_now(&places)?;
        self.version.read_rest(&places, &mut read).await?;
        if order.len() == names.len() && order.is_sorted() {
            return Ok(read);
        }
        let mut all: Read<T> = Vec::new();
        all.resize_with(names.len(), || None);
        for (i, array) in order.into_iter().zip(read) {
            if let Some(place) = all.get_mut(i) {
                *place = array;
            }
        }
        Ok(all)
    }
}

/// How many of `n` arrays a core takes at once: fewer where there would be too little for all cores.
pub(super) fn arrays_a_task(n: usize) -> usize {
    n.div_ceil(TASKS_A_CORE * rayon::current_num_threads()).clamp(LEAST_ARRAYS_A_TASK, ARRAYS_A_TASK)
}

/// The arrays of a stretch of paths whose chunks lie in one block.
struct Group<'p> {
    block: &'p Arc<BlockMeta>,
    /// Which of the stretch.
    arrays: Vec<(usize, Single<'p>)>,
}

impl<'p> Group<'p> {
    /// Whether every byte of the block is asked for.
    fn is_whole(&self) -> bool {
        let wanted = self.arrays.iter().fold(0u64, |n, (_, single)| n.saturating_add(single.length));
        wanted >= self.block.decoded_bytes
    }
}

fn groups<'p, T: ArrayElement>(pages: &'p [Arc<NodesPage>], places: &[Place]) -> Vec<Group<'p>> {
    let mut groups: Vec<Group<'p>> = Vec::new();
    for (i, place) in places.iter().enumerate() {
        let Some((page, row)) = place else { continue };
        let Some(single) = pages.get(*page).and_then(|page| plain::<T>(page, *row)) else { continue };
        match groups.last_mut() {
            Some(last) if Arc::ptr_eq(last.block, single.block) => last.arrays.push((i, single)),
            _ => groups.push(Group { block: single.block, arrays: vec![(i, single)] }),
        }
    }
    groups
}

impl Version {
    /// Opens the objects that arrays of these pages lie in, where there are few of them, and a storage that answers at once: then each thread can
    /// read what it decodes. What cannot be opened is found out by who needs it.
    async fn open_few(&self, pages: &[Arc<NodesPage>]) {
        if !self.objects.reads_at_once() {
            return;
        }
        let mut few: Vec<ObjectId> = Vec::new();
        for object in pages.iter().flat_map(|page| page.blocks()).map(|block| block.id.object) {
            if few.last() != Some(&object) && !few.contains(&object) {
                if few.len() == FEW_OBJECTS {
                    return;
                }
                few.push(object);
            }
        }
        for object in few {
            let _needed_perhaps = self.pinned(object).await;
        }
    }

    /// Reads arrays whose blocks are in the cache, or in objects that are open and can be read without waiting: each thread reads what it
    /// decodes. Leaves the others.
    fn read_now<T: ArrayElement>(&self, places: &Places) -> Result<Read<T>> {
        let mut read: Read<T> = Vec::with_capacity(places.places.len());
        read.resize_with(places.places.len(), || None);
        if !self.objects.reads_at_once() {
            return Ok(read);
        }
        let a_task = arrays_a_task(read.len());
        let of_task = |of_task: &[Place]| groups::<T>(&places.pages, of_task);
        let tasks: Vec<Vec<Group<'_>>> = match read.len() <= a_task {
            true => vec![of_task(&places.places)],
            false => places.places.par_chunks(a_task).with_max_len(1).map(of_task).collect(),
        };
        let used = tasks.iter().flatten().map(|group| (&**group.block, group.is_whole()));
        let kept = Kept::of(self, used)?;
        // Put where they stay by who reads them: they are structs of a hundred bytes, and to gather them took a quarter of the time.
        let run =
            |(groups, read): (&Vec<Group<'_>>, &mut [Option<ArrayD<T>>])| self.read_task(groups, &kept, read);
        match tasks.as_slice() {
            [task] => run((task, &mut read))?,
            _ => tasks.par_iter().zip(read.par_chunks_mut(a_task)).with_max_len(1).try_for_each(run)?,
        }
        Ok(read)
    }

    fn read_task<T: ArrayElement>(
        &self,
        groups: &[Group<'_>],
        kept: &Kept,
        read: &mut [Option<ArrayD<T>>],
    ) -> Result<()> {
        let mut object: Option<PinnedObject> = None;
        let mut last = None;
        with_scratch(|scratch| {
            for group in groups {
                let id = group.block.id.object;
                if last != Some(id) {
                    object = self.objects.opened(&self.entry(id)?.write_id).filter(PinnedObject::reads_now);
                    last = Some(id);
                }
                let Some(object) = &object else { continue };
                self.check_inside(id, group.block.offset..group.block.end())?;
                self.read_group(object, group, kept, scratch, read)
                    .map_err(|e| self.at_block(e, group.block))?;
            }
            Ok(())
        })
    }

    fn read_group<T: ArrayElement>(
        &self,
        object: &PinnedObject,
        group: &Group<'_>,
        kept: &Kept,
        scratch: &mut Scratch,
        read: &mut [Option<ArrayD<T>>],
    ) -> Result<()> {
        let keeps = kept.keeps(group.block, group.is_whole());
        let Scratch { stored, raw } = scratch;
        let range = group.block.offset..group.block.end();
        self.with_block(
            group.block,
            keeps,
            raw,
            || object.read_now(range, stored),
            |decoded| {
                for (i, single) in &group.arrays {
                    if let Some(place) = read.get_mut(*i) {
                        *place = elements(single, decoded)?;
                    }
                }
                Ok(())
            },
        )
    }

    /// `f` of the decoded bytes of an unframed block, from the cache or, stored, from `read`. `keeps`: they go to the cache.
    pub(super) fn with_block<'s, R>(
        &self,
        block: &BlockMeta,
        keeps: bool,
        raw: &mut Vec<u8>,
        read: impl FnOnce() -> Result<&'s [u8]>,
        f: impl FnOnce(&[u8]) -> Result<R>,
    ) -> Result<R> {
        if let Some(bytes) = self.cached_block(block)? {
            self.objects.counting.hit();
            return f(&bytes);
        }
        if !keeps {
            return f(self.decode_block_to(block, read()?, raw)?);
        }
        let decode = || self.decode_block(block, read()?);
        f(&self.config.cache.get_or_decode(&self.block_key(block)?, decode)?)
    }

    /// Reads the others: all blocks are asked for at once.
    async fn read_rest<T: ArrayElement>(&self, places: &Places, read: &mut Read<T>) -> Result<()> {
        let mut batch = Batch::default();
        for (i, place) in places.places.iter().enumerate() {
            let Some((page, row)) = place else { continue };
            if read.get(i).is_none_or(Option::is_some) {
                continue;
            }
            let Some(single) = places.pages.get(*page).and_then(|page| plain::<T>(page, *row)) else {
                continue;
            };
            let block = batch.block(single.block);
            batch.found.push((i, single, block));
            if batch.bytes >= BATCH_BYTES {
                self.put_batch(std::mem::take(&mut batch), read).await?;
            }
        }
        self.put_batch(batch, read).await
    }

    async fn put_batch<T: ArrayElement>(&self, batch: Batch<'_>, read: &mut Read<T>) -> Result<()> {
        if batch.found.is_empty() {
            return Ok(());
        }
        let loaded = self.blocks(&batch.blocks).await?;
        let blocks: Vec<Option<&Bytes>> = batch.blocks.iter().map(|b| loaded.get(b)).collect();
        let tasks: Vec<_> = batch.found.chunks(ARRAYS_A_TASK).collect();
        let arrays = parallel(&tasks, |task| {
            let one = |(_, single, block): &(usize, Single<'_>, usize)| {
                let block = blocks.get(*block).copied().flatten();
                let block = block.ok_or_else(|| Error::corrupt("a block was not loaded"))?;
                elements(single, block).map_err(|e| self.at_block(e, single.block))
            };
            task.iter().map(one).collect::<Result<Vec<_>>>()
        })?;
        for ((i, ..), array) in batch.found.iter().zip(arrays.into_iter().flatten()) {
            if let Some(place) = read.get_mut(*i) {
                *place = array;
            }
        }
        Ok(())
    }
}

/// Arrays that were found, with their blocks.
#[derive(Default)]
struct Batch<'p> {
    /// Which of the paths, where it is, and which of the blocks.
    found: Vec<(usize, Single<'p>, usize)>,
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
