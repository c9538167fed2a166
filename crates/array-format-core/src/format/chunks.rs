//! Pages of chunks: `docs/format.md` section 10, table 2.

use crate::block::ChunkRef;
use crate::cursor::Cursor;
use crate::error::{Error, Result};
use crate::format::blocks::{ChunkColumn, put_chunk_refs};
use crate::format::column::put_extension;
use crate::format::constants::MAX_RANK;
use crate::format::numbers::{Numbers, ints, put_ints};
use crate::format::page::{Table, begin, chunk_key, enter};

/// A row: where a chunk lies from a version on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkRow {
    /// The array.
    pub node: u64,
    /// Grid coordinates.
    pub coords: Vec<u64>,
    /// The version that wrote the row.
    pub version: u64,
    /// `None`: a tombstone.
    pub chunk: Option<ChunkRef>,
}

/// Which chunk each row of a page is about: node ids and coordinates.
#[derive(Debug, Default)]
pub struct ChunkKeys {
    node: Numbers,
    /// First coordinate of each row in `coords`, and the end of the last; empty where no row has any.
    starts: Vec<usize>,
    coords: Vec<u64>,
}

impl ChunkKeys {
    /// Appends the columns.
    pub fn encode<'a>(out: &mut Vec<u8>, keys: &(impl Iterator<Item = (u64, &'a [u64])> + Clone)) {
        put_ints(out, &keys.clone().map(|k| k.0).collect::<Vec<_>>());
        let ranks: Vec<u64> = keys.clone().map(|k| k.1.len() as u64).collect();
        put_ints(out, &ranks);
        for axis in 0..ranks.iter().copied().max().unwrap_or(0) as usize {
            put_ints(out, &keys.clone().filter_map(|k| k.1.get(axis).copied()).collect::<Vec<_>>());
        }
    }

    /// Reads the columns of `n` rows.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn decode(c: &mut Cursor<'_>, n: usize) -> Result<Self> {
        let (node, ranks) = (Numbers::read(c, n)?, Numbers::read(c, n)?);
        ranks.check_below(MAX_RANK + 1, "rank")?;
        let mut starts = Vec::with_capacity(n + 1);
        let mut end = 0;
        starts.push(0);
        for r in ranks.iter() {
            end += r as usize;
            starts.push(end);
        }
        let mut coords = vec![0; end];
        for axis in 0..ranks.iter().max().unwrap_or(0) {
            let rows = || ranks.iter().enumerate().filter(|(_, rank)| *rank > axis).map(|(row, _)| row);
            for (row, k) in rows().zip(ints(c, rows().count())?) {
                coords[starts[row] + axis as usize] = k;
            }
        }
        let keys = Self { node, starts, coords };
        if (1..n).any(|i| keys.get(i - 1) >= keys.get(i)) {
            return Err(Error::corrupt("the chunks of a page are not sorted"));
        }
        Ok(keys)
    }

    /// Rows that are about arrays, without coordinates.
    ///
    /// # Errors
    /// `Corrupt` if they are not sorted.
    pub fn of_nodes(node: Numbers) -> Result<Self> {
        if node.iter().zip(node.iter().skip(1)).any(|(a, b)| a >= b) {
            return Err(Error::corrupt("the arrays of a page are not sorted"));
        }
        Ok(Self { node, starts: Vec::new(), coords: Vec::new() })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.node.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.node.is_empty()
    }

    /// Node id and coordinates of a row below [`ChunkKeys::len`].
    pub fn get(&self, row: usize) -> (u64, &[u64]) {
        let coords = self.starts.get(row..row + 2).and_then(|s| self.coords.get(s[0]..s[1]));
        (self.node.get(row).unwrap_or(0), coords.unwrap_or_default())
    }

    /// First row whose key is not below this one.
    pub fn lower_bound(&self, node: u64, coords: &[u64]) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let mid = low + (high - low) / 2;
            if self.get(mid) < (node, coords) { low = mid + 1 } else { high = mid }
        }
        low
    }

    /// The row of a chunk.
    pub fn find(&self, node: u64, coords: &[u64]) -> Option<usize> {
        let row = self.lower_bound(node, coords);
        (row < self.len() && self.get(row) == (node, coords)).then_some(row)
    }

    /// Bytes in memory.
    pub fn heap_bytes(&self) -> usize {
        self.node.heap_bytes() + 8 * (self.starts.len() + self.coords.len())
    }
}

/// Encodes rows that are sorted by node and coordinates.
pub fn encode(rows: &[ChunkRow]) -> Vec<u8> {
    let mut out = begin(Table::Chunks, rows.len());
    ChunkKeys::encode(&mut out, &rows.iter().map(|r| (r.node, r.coords.as_slice())));
    put_ints(&mut out, &rows.iter().map(|r| r.version).collect::<Vec<_>>());
    put_chunk_refs(&mut out, rows.iter().map(|r| r.chunk.as_ref()));
    put_extension(&mut out);
    out
}

/// A decoded page.
#[derive(Debug)]
pub struct ChunksPage {
    /// Which chunks.
    pub keys: ChunkKeys,
    version: Numbers,
    chunks: ChunkColumn,
}

impl ChunksPage {
    /// Decodes a page.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn decode(page: &[u8]) -> Result<Self> {
        let c = &mut Cursor::new(page);
        let n = enter(c, Table::Chunks)?;
        Ok(Self {
            keys: ChunkKeys::decode(c, n)?,
            version: Numbers::read(c, n)?,
            chunks: ChunkColumn::decode(c, n)?,
        })
    }

    /// Version of a row, and its chunk if it is no tombstone.
    pub fn get(&self, row: usize) -> (u64, Option<ChunkRef>) {
        (self.version.get(row).unwrap_or(0), self.chunks.get(row))
    }

    /// A row; `row` must be below the number of keys.
    pub fn row(&self, row: usize) -> ChunkRow {
        let ((node, coords), (version, chunk)) = (self.keys.get(row), self.get(row));
        ChunkRow { node, coords: coords.to_vec(), version, chunk }
    }

    /// Bytes in memory, about.
    pub fn heap_bytes(&self) -> usize {
        self.keys.heap_bytes() + self.version.heap_bytes() + self.chunks.heap_bytes()
    }
}

impl ChunkRow {
    /// The row's key.
    pub fn key(&self) -> Vec<u8> {
        chunk_key(self.node, &self.coords)
    }
}
