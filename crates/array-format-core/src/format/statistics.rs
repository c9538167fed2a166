//! Pages of statistics: `docs/format.md` section 10, tables 4 and 5.

use crate::cursor::Cursor;
use crate::dtype::Scalar;
use crate::element::ScalarElement;
use crate::error::{Error, Result};
use crate::format::chunks::ChunkKeys;
use crate::format::column::{Strings, fixed, put_extension, put_fixed, put_strings, strings};
use crate::format::numbers::{Numbers, put_ints};
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
                let size = item.size_bytes();
                let room = bounds.len() * size;
                let (mut min, mut max) = (Vec::with_capacity(room), Vec::with_capacity(room));
                for (least, most) in of_type() {
                    min.extend_from_slice(bound_bytes(least));
                    max.extend_from_slice(bound_bytes(most));
                }
                put_fixed(out, &min, size);
                put_fixed(out, &max, size);
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

/// Bounds of one type.
#[derive(Debug)]
enum Bounds {
    Scalar { item: Scalar, min: Vec<u8>, max: Vec<u8> },
    Text { min: Strings, max: Strings },
    Binary { min: Strings, max: Strings },
}

impl Bounds {
    fn read(c: &mut Cursor<'_>, code: u8, n: usize) -> Result<Self> {
        if let Some(item) = Scalar::from_code(code) {
            let (min, max) = (fixed(c, n, item.size_bytes())?, fixed(c, n, item.size_bytes())?);
            if item == Scalar::Bool && min.iter().chain(&max).any(|b| *b > 1) {
                return Err(Error::corrupt("a bool that is neither 0 nor 1"));
            }
            return Ok(Self::Scalar { item, min, max });
        }
        if code != STRING && code != BINARY {
            return Err(Error::unsupported(format!("bounds of type {code} are not known to this version")));
        }
        let (min, max) = (strings(c, n)?, strings(c, n)?);
        match code {
            STRING if min.are_utf8() && max.are_utf8() => Ok(Self::Text { min, max }),
            STRING => Err(Error::corrupt("a bound is not UTF-8")),
            _ => Ok(Self::Binary { min, max }),
        }
    }

    fn get(&self, i: usize) -> Option<(Value, Value)> {
        match self {
            Self::Scalar { item, min, max } => {
                let value = |bytes: &[u8]| {
                    let bytes = bytes.get(i * item.size_bytes()..(i + 1) * item.size_bytes())?;
                    ScalarValue::from_bytes(*item, bytes).ok().map(Value::from)
                };
                value(min).zip(value(max))
            }
            Self::Text { min, max } => {
                let value = |s: &Strings| std::str::from_utf8(s.get(i)).ok().map(Value::from);
                value(min).zip(value(max))
            }
            Self::Binary { min, max } => {
                Some((Value::Binary(min.get(i).to_vec()), Value::Binary(max.get(i).to_vec())))
            }
        }
    }
}

/// The columns of statistics, as they are stored: a million arrays are looked at where three numbers of each are wanted.
#[derive(Debug)]
struct Columns {
    flags: Numbers,
    /// Which of the rows with bounds, and with counts, a row is; empty where every row has both.
    nth: Vec<(u32, u32)>,
    bounds: Vec<Bounds>,
    /// Of each row with bounds: which of `bounds`, and where in it; empty where there is one type.
    place: Vec<(u8, u32)>,
    rows: Numbers,
    nulls: Numbers,
    nans: Numbers,
}

impl Columns {
    fn read(c: &mut Cursor<'_>, n: usize) -> Result<Self> {
        let flags = Numbers::read(c, n)?;
        let (m, k) = (flags.count(|f| f & BOUNDS != 0), flags.count(|f| f & COUNTS != 0));
        let mut nth = Vec::new();
        if (m, k) != (n, n) {
            let mut next = (0u32, 0u32);
            for f in (0..n).filter_map(|row| flags.get(row)) {
                nth.push(next);
                next = (next.0 + u32::from(f & BOUNDS != 0), next.1 + u32::from(f & COUNTS != 0));
            }
        }
        let types = Numbers::read(c, m)?;
        let mut present: Vec<u64> = match types.constant() {
            Some(t) => vec![t],
            None => types.iter().collect(),
        };
        present.sort_unstable();
        present.dedup();
        let mut bounds = Vec::with_capacity(present.len());
        let mut place = if present.len() > 1 { vec![(0, 0); m] } else { Vec::new() };
        let one = present.len() == 1;
        for t in present {
            let code = u8::try_from(t).map_err(|_| {
                Error::unsupported(format!("bounds of type {t} are not known to this version"))
            })?;
            let mut count = 0u32;
            for (_, place) in place.iter_mut().enumerate().filter(|(i, _)| types.get(*i) == Some(t)) {
                *place = (bounds.len() as u8, count);
                count += 1;
            }
            bounds.push(Bounds::read(c, code, if one { m } else { count as usize })?);
        }
        let (rows, nulls, nans) = (Numbers::read(c, k)?, Numbers::read(c, k)?, Numbers::read(c, k)?);
        Ok(Self { flags, nth, bounds, place, rows, nulls, nans })
    }

    /// Which of the rows with bounds, and with counts, a row is.
    fn nth(&self, row: usize) -> (usize, usize) {
        self.nth.get(row).map_or((row, row), |(m, k)| (*m as usize, *k as usize))
    }

    /// The rows that may hold a value from `min` to `max`, as [`Statistics::may_contain`] says.
    fn rows_where(&self, min: Option<&Value>, max: Option<&Value>, take: &mut dyn FnMut(usize)) {
        if let ([Bounds::Scalar { item, min: lows, max: highs }], true) =
            (&self.bounds[..], self.nth.is_empty())
        {
            let done = match item {
                Scalar::I8 => self.compare::<i8>(lows, highs, min, max, take),
                Scalar::I16 => self.compare::<i16>(lows, highs, min, max, take),
                Scalar::I32 => self.compare::<i32>(lows, highs, min, max, take),
                Scalar::I64 => self.compare::<i64>(lows, highs, min, max, take),
                Scalar::U8 => self.compare::<u8>(lows, highs, min, max, take),
                Scalar::U16 => self.compare::<u16>(lows, highs, min, max, take),
                Scalar::U32 => self.compare::<u32>(lows, highs, min, max, take),
                Scalar::U64 => self.compare::<u64>(lows, highs, min, max, take),
                Scalar::F32 => self.compare::<f32>(lows, highs, min, max, take),
                Scalar::F64 => self.compare::<f64>(lows, highs, min, max, take),
                _ => false,
            };
            if done {
                return;
            }
        }
        for row in 0..self.flags.len() {
            if self.get(row).is_some_and(|s| s.may_contain(min, max)) {
                take(row);
            }
        }
    }

    /// The same where all rows have counts and bounds of one type, as the processor compares them. `false` if a bound that is asked for is of
    /// another type.
    fn compare<T: ScalarElement + PartialOrd>(
        &self,
        lows: &[u8],
        highs: &[u8],
        min: Option<&Value>,
        max: Option<&Value>,
        take: &mut dyn FnMut(usize),
    ) -> bool {
        let native = |v: Option<&Value>| match v {
            None => Some(None),
            Some(Value::Scalar(s)) => s.get::<T>().map(Some),
            Some(_) => None,
        };
        let (Some(min), Some(max)) = (native(min), native(max)) else { return false };
        let pairs = lows.chunks_exact(size_of::<T>()).zip(highs.chunks_exact(size_of::<T>()));
        for (row, (low, high)) in pairs.enumerate() {
            let above = min.is_some_and(|min| T::from_le(high) < min);
            let below = max.is_some_and(|max| T::from_le(low) > max);
            let at = |column: &Numbers| column.get(row).unwrap_or(0);
            let empty = at(&self.rows) == at(&self.nulls).saturating_add(at(&self.nans));
            let gone = self.flags.get(row).is_none_or(|f| f & TOMBSTONE != 0);
            if !above && !below && !empty && !gone {
                take(row);
            }
        }
        true
    }

    /// Row, minimum and maximum of the rows whose bounds are of type `T`.
    fn bounds_of<T: ScalarElement>(&self, take: &mut dyn FnMut(usize, T, T)) {
        let size = T::SCALAR.size_bytes();
        let known = BOUNDS | TOMBSTONE;
        for (row, flags) in self.flags.iter().enumerate() {
            if flags & known != BOUNDS {
                continue;
            }
            let m = self.nth(row).0;
            let (bounds, i) = self.place.get(m).map_or((0, m), |(t, i)| (usize::from(*t), *i as usize));
            if let Some(Bounds::Scalar { item, min, max }) = self.bounds.get(bounds)
                && *item == T::SCALAR
                && let Some(min) = min.get(i * size..(i + 1) * size)
                && let Some(max) = max.get(i * size..(i + 1) * size)
            {
                take(row, T::from_le(min), T::from_le(max));
            }
        }
    }

    fn get(&self, row: usize) -> Option<Statistics> {
        let (flags, (m, k)) = (self.flags.get(row)?, self.nth(row));
        if flags & TOMBSTONE != 0 {
            return None;
        }
        let bounds = || {
            let (bounds, i) = self.place.get(m).map_or((0, m), |(t, i)| (usize::from(*t), *i as usize));
            self.bounds.get(bounds)?.get(i)
        };
        let counts = || {
            let at = |column: &Numbers| column.get(k);
            Some(Counts { rows: at(&self.rows)?, nulls: at(&self.nulls)?, nans: at(&self.nans)? })
        };
        Some(Statistics {
            bounds: if flags & BOUNDS != 0 { bounds() } else { None },
            loose: flags & LOOSE != 0,
            counts: if flags & COUNTS != 0 { counts() } else { None },
        })
    }
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
    version: Numbers,
    columns: Columns,
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
            ChunkKeys::of_nodes(Numbers::read(c, n)?)?
        } else {
            ChunkKeys::decode(c, n)?
        };
        Ok(Self { keys, version: Numbers::read(c, n)?, columns: Columns::read(c, n)? })
    }

    /// Version and statistics of a row; `None` is a tombstone.
    pub fn get(&self, row: usize) -> (u64, Option<Statistics>) {
        (self.version.get(row).unwrap_or(0), self.columns.get(row))
    }

    /// A row; `row` must be below the number of keys.
    pub fn row(&self, row: usize) -> StatisticsRow {
        let ((node, coords), (version, statistics)) = (self.keys.get(row), self.get(row));
        StatisticsRow { node, coords: coords.to_vec(), version, statistics }
    }

    /// The rows that may hold a value from `min` to `max`, as [`Statistics::may_contain`] says; tombstones do not.
    pub fn rows_where(&self, min: Option<&Value>, max: Option<&Value>, mut take: impl FnMut(usize)) {
        self.columns.rows_where(min, max, &mut take);
    }

    /// Row, minimum and maximum of the rows whose bounds are of type `T`; tombstones have none.
    pub fn bounds_of<T: ScalarElement>(&self, mut take: impl FnMut(usize, T, T)) {
        self.columns.bounds_of(&mut take);
    }

    /// Bytes in memory, about.
    pub fn heap_bytes(&self) -> usize {
        let Columns { flags, nth, bounds: _, place, rows, nulls, nans } = &self.columns;
        let numbers =
            [&self.version, flags, rows, nulls, nans].map(Numbers::heap_bytes).iter().sum::<usize>();
        self.keys.heap_bytes() + numbers + (nth.len() + place.len()) * 8 + flags.len() * 16
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
    fn rows_are_found_as_their_statistics_say() {
        let counts = |rows, nans| Some(Counts { rows, nulls: 0, nans });
        let row = |node: u64, bounds: Option<(Value, Value)>, counts: Option<Counts>| StatisticsRow {
            node,
            coords: Vec::new(),
            version: 1,
            statistics: Some(Statistics { bounds, loose: false, counts }),
        };
        let numbers = |n: u64| {
            (0..n).map(|i| row(i, Some((f32::from(i as u16).into(), 9f32.into())), counts(4, 4 * (i % 2))))
        };
        let plain: Vec<_> = numbers(20).collect();
        let mut mixed = plain.clone();
        mixed.push(row(20, Some((1i64.into(), 2i64.into())), counts(1, 0)));
        mixed.push(row(21, None, None));
        mixed.push(row(22, Some(("a".into(), "b".into())), None));
        mixed.push(StatisticsRow { statistics: None, ..row(23, None, None) });
        let asked: [Option<Value>; 6] = [
            None,
            Some(3f32.into()),
            Some(f32::NAN.into()),
            Some(2i64.into()),
            Some("b".into()),
            Some(10f32.into()),
        ];
        for rows in [plain, mixed] {
            let page = StatisticsPage::decode(Table::ArrayStatistics, &encode(Table::ArrayStatistics, &rows))
                .unwrap();
            for (min, max) in asked.iter().flat_map(|a| asked.iter().map(move |b| (a.as_ref(), b.as_ref()))) {
                let mut found = Vec::new();
                page.rows_where(min, max, |row| found.push(row));
                let holds =
                    |s: &StatisticsRow| s.statistics.as_ref().is_some_and(|s| s.may_contain(min, max));
                let expected: Vec<usize> = (0..rows.len()).filter(|i| holds(&rows[*i])).collect();
                assert_eq!(found, expected, "{min:?} {max:?}");
            }
            assert!((0..rows.len()).all(|i| page.row(i) == rows[i]));
        }
    }

    #[test]
    fn a_few_bytes_do_not_claim_100_mb_of_statistics() {
        let page = tombstones(MAX_ROWS);
        assert!(page.len() < 40, "{}", page.len());
        assert!(StatisticsPage::decode(Table::ArrayStatistics, &page).unwrap().heap_bytes() < 16 << 20);
        assert!(StatisticsPage::decode(Table::ArrayStatistics, &tombstones(1 << 20)).is_err());
    }
}
