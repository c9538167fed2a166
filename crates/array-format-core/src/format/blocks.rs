//! Block lists and the block table: `docs/format.md` sections 4 and 9.5.

use std::collections::HashMap;
use std::sync::Arc;

use crate::address::{BlockId, ObjectId};
use crate::block::{BlockMeta, ChunkRef, CodecRecord};
use crate::cursor::{Cursor, put_varint};
use crate::error::{Error, Result};
use crate::format::column::put_extension;
use crate::format::numbers::{Narrow, Numbers, PART, put_ints};
use crate::format::page::{Table, begin, enter};

/// Appends an object list.
pub fn put_objects(out: &mut Vec<u8>, objects: &[ObjectId]) {
    put_varint(out, objects.len() as u64);
    for object in objects {
        match object {
            ObjectId::Layer(n) => {
                out.push(0);
                put_varint(out, *n);
            }
            ObjectId::Detached(id) => {
                out.push(1);
                out.extend(id);
            }
        }
    }
}

/// Reads an object list.
///
/// # Errors
/// `Corrupt`, `Unsupported`.
pub fn objects(c: &mut Cursor<'_>) -> Result<Vec<ObjectId>> {
    let n = c.count(2)?;
    let object = |c: &mut Cursor<'_>| {
        Ok(match c.u8()? {
            0 => ObjectId::Layer(c.varint()?),
            1 => ObjectId::Detached(c.id()?),
            kind => {
                return Err(Error::unsupported(format!(
                    "objects of kind {kind} are not known to this version"
                )));
            }
        })
    };
    (0..n).map(|_| object(c)).collect()
}

/// What can be told to be the same without looking into it.
pub trait Shared {
    /// Whether both are one.
    fn is(&self, other: &Self) -> bool;
}

impl<T> Shared for Arc<T> {
    fn is(&self, other: &Self) -> bool {
        Self::ptr_eq(self, other)
    }
}

/// Things by index, each listed once: what page-local dictionaries are made of.
#[derive(Debug)]
pub struct Interner<T> {
    list: Vec<T>,
    index: HashMap<T, u64>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { list: Vec::new(), index: HashMap::new() }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Interner<T> {
    /// The index of `item`, which is listed if it was not.
    pub fn index(&mut self, item: &T) -> u64 {
        if let Some(i) = self.index.get(item) {
            return *i;
        }
        let i = self.list.len() as u64;
        self.list.push(item.clone());
        self.index.insert(item.clone(), i);
        i
    }

    /// The same where `last` is the item that was asked for before, and its index: neighbours mostly are the same.
    pub fn index_after<'i>(&mut self, last: &mut Option<(&'i T, u64)>, item: &'i T) -> u64
    where
        T: Shared,
    {
        match last {
            Some((same, index)) if same.is(item) => *index,
            _ => {
                let index = self.index(item);
                *last = Some((item, index));
                index
            }
        }
    }

    /// All things, by index.
    pub fn list(&self) -> &[T] {
        &self.list
    }
}

/// Collects the blocks that the chunks of a page lie in.
#[derive(Debug, Default)]
pub struct BlockListBuilder {
    blocks: Vec<Arc<BlockMeta>>,
    index: HashMap<BlockId, u64>,
    last: Option<(Arc<BlockMeta>, u64)>,
}

impl BlockListBuilder {
    /// What a chunk column says of this chunk: 1 + the index of its block.
    pub fn index(&mut self, block: &Arc<BlockMeta>) -> u64 {
        if let Some((last, index)) = &self.last
            && Arc::ptr_eq(last, block)
        {
            return *index;
        }
        let next = self.blocks.len() as u64 + 1;
        let index = *self.index.entry(block.id).or_insert_with(|| {
            self.blocks.push(block.clone());
            next
        });
        self.last = Some((block.clone(), index));
        index
    }

    /// Appends the block list.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_block_list(out, &self.blocks);
    }
}

/// Appends a block list.
pub fn put_block_list(out: &mut Vec<u8>, blocks: &[Arc<BlockMeta>]) {
    let (mut objects, mut codecs) = (Interner::default(), Interner::default());
    let object: Vec<u64> = blocks.iter().map(|b| objects.index(&b.id.object)).collect();
    let codec: Vec<u64> = blocks.iter().map(|b| codecs.index(&*b.codec)).collect();
    put_objects(out, objects.list());
    put_varint(out, codecs.list().len() as u64);
    codecs.list().iter().for_each(|c| c.encode(out));
    put_varint(out, blocks.len() as u64);
    put_ints(out, &object);
    let numbers: [fn(&BlockMeta) -> u64; 5] =
        [|b| b.id.number, |b| b.offset, |b| b.stored_bytes, |b| b.decoded_bytes, |b| b.frame_bytes];
    for number in numbers {
        put_ints(out, &blocks.iter().map(|b| number(b)).collect::<Vec<_>>());
    }
    put_ints(out, &codec);
    put_ints(out, &blocks.iter().map(|b| u64::from(b.checksum)).collect::<Vec<_>>());
}

/// Reads the block list of a page of `rows` rows, each of which refers to one block at most.
///
/// # Errors
/// `Corrupt`.
pub fn block_list(c: &mut Cursor<'_>, rows: usize) -> Result<Vec<Arc<BlockMeta>>> {
    let objects = objects(c)?;
    let n = c.count(3)?;
    let codecs = (0..n).map(|_| CodecRecord::decode(c).map(Arc::new)).collect::<Result<Vec<_>>>()?;
    // Blocks that are alike take no byte each, so that the bytes alone bound nothing.
    let n = crate::format::column::rows(c)?;
    if n > rows {
        return Err(Error::corrupt(format!("{n} blocks for {rows} rows")));
    }
    let object = Numbers::read(c, n)?;
    object.check_below(objects.len(), "object")?;
    let mut column = || Numbers::read(c, n);
    let (number, offset, stored, decoded, frame) = (column()?, column()?, column()?, column()?, column()?);
    let codec = column()?;
    codec.check_below(codecs.len(), "codec")?;
    let sums = column()?;
    (0..n)
        .map(|i| {
            let (number, offset, stored_bytes, decoded_bytes) =
                (number.at(i), offset.at(i), stored.at(i), decoded.at(i));
            if offset.checked_add(stored_bytes).is_none() || decoded_bytes > i64::MAX as u64 {
                return Err(Error::corrupt(format!("block {number} lies outside of any object")));
            }
            let checksum =
                u32::try_from(sums.at(i)).map_err(|_| Error::corrupt("a checksum above 32 bits"))?;
            let id = BlockId { object: objects[object.at(i) as usize], number };
            let (frame_bytes, codec) = (frame.at(i), codecs[codec.at(i) as usize].clone());
            Ok(Arc::new(BlockMeta { id, offset, stored_bytes, decoded_bytes, frame_bytes, codec, checksum }))
        })
        .collect()
}

/// Appends the columns that place chunks in blocks; `None` is 0.
pub fn put_chunk_refs<'a>(out: &mut Vec<u8>, chunks: impl Iterator<Item = Option<&'a ChunkRef>>) {
    let mut blocks = BlockListBuilder::default();
    let (mut block, mut gap, mut length) = (Vec::new(), Vec::new(), Vec::new());
    let mut expected = Expected::default();
    for chunk in chunks {
        let index = chunk.map_or(0, |c| blocks.index(&c.block));
        block.push(index);
        if let Some(c) = chunk {
            gap.push(c.offset.wrapping_sub(expected.offset(index)));
            length.push(c.length);
            expected = Expected { block: index, end: c.offset.wrapping_add(c.length) };
        }
    }
    blocks.encode(out);
    put_ints(out, &block);
    put_ints(out, &gap);
    put_ints(out, &length);
}

/// Where a chunk begins if it follows the one of the row before: what offsets are stored against, since it is nearly
/// always right.
#[derive(Default)]
struct Expected {
    block: u64,
    end: u64,
}

impl Expected {
    fn offset(&self, block: u64) -> u64 {
        if self.block == block { self.end } else { 0 }
    }
}

/// Chunks of the rows of a page.
#[derive(Debug, Clone, Default)]
pub struct ChunkColumn {
    blocks: Vec<Arc<BlockMeta>>,
    /// A value a row: 0, or 1 + index of the block.
    block: Numbers,
    /// Index of each row among the rows with a chunk; empty where all have one.
    nth: Vec<u32>,
    offset: Numbers,
    length: Numbers,
}

impl ChunkColumn {
    /// Reads what [`put_chunk_refs`] wrote for `n` rows.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn decode(c: &mut Cursor<'_>, n: usize) -> Result<Self> {
        let blocks = block_list(c, n)?;
        let block = Numbers::read(c, n)?;
        block.check_below(blocks.len() + 1, "block")?;
        let with = block.count(|b| b > 0);
        let (gap, length) = (Numbers::read(c, with)?, Numbers::read(c, with)?);
        let most = blocks.iter().map(|block| block.decoded_bytes).max().unwrap_or(0);
        let (mut nth, mut offset) = (Vec::new(), Narrow::with_capacity(most, with));
        let (mut indices, mut gaps, mut lengths) = ([0; PART], [0; PART], [0; PART]);
        let mut expected = Expected::default();
        for row in (0..n).step_by(PART) {
            let indices = indices.get_mut(..PART.min(n - row)).unwrap_or_default();
            block.copy_to(row, indices);
            // Neighbours mostly lie in one block.
            for run in indices.chunk_by(|a, b| a == b) {
                let (index, before) = (run.first().copied().unwrap_or(0), offset.len());
                if with < n {
                    nth.extend((0..run.len()).map(|i| (before + if index == 0 { 0 } else { i }) as u32));
                }
                let Some(meta) = (index as usize).checked_sub(1).and_then(|i| blocks.get(i)) else {
                    continue;
                };
                let offsets = gaps.get_mut(..run.len()).unwrap_or_default();
                let lengths = lengths.get_mut(..run.len()).unwrap_or_default();
                gap.copy_to(before, offsets);
                length.copy_to(before, lengths);
                let (mut end, mut fits) = (expected.offset(index), true);
                for (offset, length) in offsets.iter_mut().zip(lengths) {
                    *offset = end.wrapping_add(*offset);
                    fits &= offset.checked_add(*length).is_some_and(|end| end <= meta.decoded_bytes);
                    end = offset.wrapping_add(*length);
                }
                if !fits {
                    let e = Error::corrupt("a chunk lies outside of its block");
                    return Err(e.in_block(meta.id.number));
                }
                offset.extend(offsets);
                expected = Expected { block: index, end };
            }
        }
        Ok(Self { blocks, block, nth, offset: offset.into(), length })
    }

    /// The chunk of a row.
    pub fn get(&self, row: usize) -> Option<ChunkRef> {
        let (block, offset, length) = self.place(row)?;
        Some(ChunkRef { block: block.clone(), offset, length })
    }

    /// The same without a share in the block: block, first byte and bytes in the decoded block.
    pub fn place(&self, row: usize) -> Option<(&Arc<BlockMeta>, u64, u64)> {
        let block = self.blocks.get((self.block.get(row)?.checked_sub(1)?) as usize)?;
        let nth = self.nth(row);
        Some((block, self.offset.get(nth)?, self.length.get(nth)?))
    }

    /// How many rows before this one have a chunk.
    pub fn nth(&self, row: usize) -> usize {
        self.nth.get(row).map_or(row, |n| *n as usize)
    }

    /// How many rows have a chunk.
    pub fn with_chunk(&self) -> usize {
        self.offset.len()
    }

    /// All blocks that are referred to.
    pub fn blocks(&self) -> &[Arc<BlockMeta>] {
        &self.blocks
    }

    /// Bytes in memory, about.
    pub fn heap_bytes(&self) -> usize {
        let numbers = [&self.block, &self.offset, &self.length].map(Numbers::heap_bytes);
        self.blocks.len() * size_of::<BlockMeta>() + self.nth.len() * 4 + numbers.iter().sum::<usize>()
    }
}

/// A page of a layer's block table.
pub fn encode_table(blocks: &[Arc<BlockMeta>]) -> Vec<u8> {
    let mut out = begin(Table::Blocks, blocks.len());
    put_block_list(&mut out, blocks);
    put_extension(&mut out);
    out
}

/// Reads a page of a layer's block table.
///
/// # Errors
/// `Corrupt`.
pub fn decode_table(page: &[u8]) -> Result<Vec<Arc<BlockMeta>>> {
    let mut c = Cursor::new(page);
    let n = enter(&mut c, Table::Blocks)?;
    let blocks = block_list(&mut c, n)?;
    if blocks.len() != n {
        return Err(Error::corrupt("a block table of the wrong length"));
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_bytes_do_not_claim_many_blocks() {
        let codec = Arc::new(CodecRecord { id: 0, name: "none".into(), params: Vec::new() });
        let id = BlockId { object: ObjectId::Layer(1), number: 0 };
        let (offset, stored_bytes, decoded_bytes, frame_bytes, checksum) = (64, 1, 1, 0, 0);
        let block = BlockMeta { id, offset, stored_bytes, decoded_bytes, frame_bytes, codec, checksum };
        let mut out = Vec::new();
        let block = Arc::new(block);
        put_block_list(&mut out, &vec![block; 1 << 16]);
        assert!(out.len() < 60, "{}", out.len());
        assert_eq!(block_list(&mut Cursor::new(&out), 1 << 16).unwrap().len(), 1 << 16);
        assert!(block_list(&mut Cursor::new(&out), 1000).is_err());
    }
}
