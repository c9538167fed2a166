//! Pages of statistics: `docs/format.md` section 10, tables 4 and 5.

use crate::cursor::Cursor;
use crate::dtype::Scalar;
use crate::error::{Error, Result};
use crate::format::chunks::ChunkKeys;
use crate::format::column::{fixed, ints, put_extension, put_fixed, put_ints, put_strings, strings};
use crate::format::page::{Table, begin, chunk_key, enter};
use crate::statistics::{Counts, Statistics};
use crate::value::{ScalarValue, Value};

/// A row: statistics of an array (no coordinates) or of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatisticsRow {
    /// The array.
    pub node: u64,
    /// Grid coordinates of the chunk; empty for an array.
    pub coords: Vec<u64>,
    /// The version that wrote the row.
    pub version: u64,
    /// `None`: a tombstone.
    pub statistics: Option<Statistics>,
}

impl StatisticsRow {
    /// The row's key: that of an array is its id alone.
    pub fn key(&self) -> Vec<u8> {
        chunk_key(self.node, &self.coords)
    }
}

const BOUNDS: u64 = 1;
const COUNTS: u64 = 2;
const LOOSE: u64 = 4;
const TOMBSTONE: u64 = 128;

const STRING: u8 = 32;
const BINARY: u8 = 33;

fn bound_type(v: &Value) -> u8 {
    match v {
        Value::Scalar(s) => s.item().code(),
        Value::String(_) => STRING,
        _ => BINARY,
    }
}

fn bound_bytes(v: &Value) -> &[u8] {
    match v {
        Value::Scalar(s) => s.bytes(),
        Value::String(s) => s.as_bytes(),
        Value::Binary(b) => b,
        _ => &[],
    }
}

fn put_columns(out: &mut Vec<u8>, rows: &[StatisticsRow]) {
    let flags = |r: &StatisticsRow| match &r.statistics {
        None => TOMBSTONE,
        Some(s) => {
            let bit = |on: bool, bit: u64| if on { bit } else { 0 };
            bit(s.bounds.is_some(), BOUNDS) | bit(s.counts.is_some(), COUNTS) | bit(s.loose, LOOSE)
        }
    };
    put_ints(out, &rows.iter().map(flags).collect::<Vec<_>>());
    let bounds: Vec<&(Value, Value)> =
        rows.iter().filter_map(|r| r.statistics.as_ref()?.bounds.as_ref()).collect();
    let mut types: Vec<u8> = bounds.iter().map(|b| bound_type(&b.0)).collect();
    put_ints(out, &types.iter().map(|t| u64::from(*t)).collect::<Vec<_>>());
    types.sort_unstable();
    types.dedup();
    for t in types {
        let of_type = || bounds.iter().filter(move |b| bound_type(&b.0) == t);
        match Scalar::from_code(t) {
            Some(item) => {
                let min: Vec<u8> = of_type().flat_map(|b| bound_bytes(&b.0).to_vec()).collect();
                let max: Vec<u8> = of_type().flat_map(|b| bound_bytes(&b.1).to_vec()).collect();
                put_fixed(out, &min, item.size_bytes());
                put_fixed(out, &max, item.size_bytes());
            }
            None => {
                put_strings(out, of_type().map(|b| bound_bytes(&b.0)));
                put_strings(out, of_type().map(|b| bound_bytes(&b.1)));
            }
        }
    }
    let counts: [fn(&Counts) -> u64; 3] = [|c| c.rows, |c| c.nulls, |c| c.nans];
    for count in counts {
        let column: Vec<u64> =
            rows.iter().filter_map(|r| r.statistics.as_ref()?.counts.as_ref().map(count)).collect();
        put_ints(out, &column);
    }
}

fn columns(c: &mut Cursor<'_>, n: usize) -> Result<Vec<Option<Statistics>>> {
    let flags = ints(c, n)?;
    let m = flags.iter().filter(|f| **f & BOUNDS != 0).count();
    let types = ints(c, m)?;
    let mut bounds: Vec<Option<(Value, Value)>> = vec![None; m];
    let mut present = types.clone();
    present.sort_unstable();
    present.dedup();
    for t in present {
        let rows = || (0..m).filter(|i| types[*i] == t);
        let k = rows().count();
        let pair =
            |row: usize, min: Result<Value>, max: Result<Value>, bounds: &mut Vec<Option<(Value, Value)>>| {
                let pair = (min?, max?);
                if let Some(slot) = bounds.get_mut(row) {
                    *slot = Some(pair);
                }
                Ok::<(), Error>(())
            };
        let code = u8::try_from(t).unwrap_or(0);
        if let Some(item) = Scalar::from_code(code) {
            let size = item.size_bytes();
            let (min, max) = (fixed(c, k, size)?, fixed(c, k, size)?);
            let value = |b: &[u8]| {
                ScalarValue::from_bytes(item, b).map(Value::from).map_err(|e| Error::corrupt(e.message()))
            };
            for ((row, min), max) in rows().zip(min.chunks_exact(size)).zip(max.chunks_exact(size)) {
                pair(row, value(min), value(max), &mut bounds)?;
            }
        } else if code == STRING || code == BINARY {
            let (min, max) = (strings(c, k)?, strings(c, k)?);
            let value = |b: &[u8]| match std::str::from_utf8(b) {
                Ok(s) if code == STRING => Ok(Value::from(s)),
                Err(_) if code == STRING => Err(Error::corrupt("a bound is not UTF-8")),
                _ => Ok(Value::Binary(b.to_vec())),
            };
            for (i, row) in rows().enumerate() {
                pair(row, value(min.get(i)), value(max.get(i)), &mut bounds)?;
            }
        } else {
            return Err(Error::unsupported(format!("bounds of type {t} are not known to this version")));
        }
    }
    let k = flags.iter().filter(|f| **f & COUNTS != 0).count();
    let (rows, nulls, nans) = (ints(c, k)?, ints(c, k)?, ints(c, k)?);
    let mut bounds = bounds.into_iter();
    let mut counts = (0..k).map(|i| Counts { rows: rows[i], nulls: nulls[i], nans: nans[i] });
    Ok(flags
        .into_iter()
        .map(|f| {
            let bounds = if f & BOUNDS != 0 { bounds.next().flatten() } else { None };
            let counts = if f & COUNTS != 0 { counts.next() } else { None };
            (f & TOMBSTONE == 0).then_some(Statistics { bounds, loose: f & LOOSE != 0, counts })
        })
        .collect())
}

/// Encodes sorted rows as a page of table 4 or 5.
pub fn encode(table: Table, rows: &[StatisticsRow]) -> Vec<u8> {
    let mut out = begin(table, rows.len());
    if table == Table::ArrayStatistics {
        put_ints(&mut out, &rows.iter().map(|r| r.node).collect::<Vec<_>>());
    } else {
        ChunkKeys::encode(&mut out, &rows.iter().map(|r| (r.node, r.coords.as_slice())));
    }
    put_ints(&mut out, &rows.iter().map(|r| r.version).collect::<Vec<_>>());
    put_columns(&mut out, rows);
    put_extension(&mut out);
    out
}

/// A decoded page.
#[derive(Debug)]
pub struct StatisticsPage {
    /// Which arrays or chunks.
    pub keys: ChunkKeys,
    version: Vec<u64>,
    statistics: Vec<Option<Statistics>>,
}

impl StatisticsPage {
    /// Decodes a page of table 4 or 5.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn decode(table: Table, page: &[u8]) -> Result<Self> {
        let c = &mut Cursor::new(page);
        let n = enter(c, table)?;
        let keys = if table == Table::ArrayStatistics {
            ChunkKeys::of_nodes(ints(c, n)?)?
        } else {
            ChunkKeys::decode(c, n)?
        };
        Ok(Self { keys, version: ints(c, n)?, statistics: columns(c, n)? })
    }

    /// Version and statistics of a row; `None` is a tombstone.
    pub fn get(&self, row: usize) -> (u64, Option<&Statistics>) {
        (self.version.get(row).copied().unwrap_or(0), self.statistics.get(row).and_then(Option::as_ref))
    }

    /// A row; `row` must be below the number of keys.
    pub fn row(&self, row: usize) -> StatisticsRow {
        let ((node, coords), (version, s)) = (self.keys.get(row), self.get(row));
        StatisticsRow { node, coords: coords.to_vec(), version, statistics: s.cloned() }
    }

    /// Bytes in memory, about.
    pub fn heap_bytes(&self) -> usize {
        self.keys.heap_bytes() + self.statistics.len() * (8 + size_of::<Option<Statistics>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::put_varint;
    use crate::format::column::MAX_ROWS;

    /// A page of tombstones for arrays 0, 1, 2 and so on.
    fn tombstones(rows: u64) -> Vec<u8> {
        let mut page = vec![Table::ArrayStatistics.code()];
        put_varint(&mut page, rows);
        put_ints(&mut page, &(0..rows).collect::<Vec<_>>());
        put_ints(&mut page, &vec![1; rows as usize]);
        put_ints(&mut page, &vec![TOMBSTONE; rows as usize]);
        (0..4).for_each(|_| put_ints(&mut page, &[]));
        page
    }

    #[test]
    fn a_few_bytes_do_not_claim_100_mb_of_statistics() {
        let page = tombstones(MAX_ROWS);
        assert!(page.len() < 40, "{}", page.len());
        assert!(StatisticsPage::decode(Table::ArrayStatistics, &page).unwrap().heap_bytes() < 16 << 20);
        assert!(StatisticsPage::decode(Table::ArrayStatistics, &tombstones(1 << 20)).is_err());
    }
}
