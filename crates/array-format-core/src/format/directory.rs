//! Directories of pages: `docs/format.md` section 5.

use crate::cursor::{Cursor, put_bytes, put_varint};
use crate::error::{Error, Result};
use crate::format::blocks::{Interner, objects, put_objects};
use crate::format::column::{put_extension, rows};
use crate::format::constants::DIRECTORY;
use crate::format::front_coded::{front_coded, put_front_coded};
use crate::format::numbers::{Numbers, put_ints};
use crate::format::page::{PageRef, Table};

/// Pages of a table in one run, or of a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// What the pages are of.
    pub table: Table,
    /// 0: the references lead to pages of the table; else to directory pages of one level less.
    pub level: u8,
    /// Sorted by first key.
    pub pages: Vec<PageRef>,
    /// Key of the last row below.
    pub last_key: Vec<u8>,
}

impl Directory {
    /// A directory of nothing.
    pub fn empty(table: Table) -> Self {
        Self { table, level: 0, pages: Vec::new(), last_key: Vec::new() }
    }

    /// Appends the on-disk form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend([DIRECTORY, self.table.code(), self.level]);
        put_varint(out, self.pages.len() as u64);
        let mut list = Interner::default();
        let object: Vec<u64> = self.pages.iter().map(|p| list.index(&p.object)).collect();
        put_objects(out, list.list());
        put_ints(out, &object);
        let numbers: [fn(&PageRef) -> u64; 6] = [
            |p| p.offset,
            |p| p.stored_bytes,
            |p| p.decoded_bytes,
            |p| p.codec,
            |p| u64::from(p.checksum),
            |p| p.rows,
        ];
        for number in numbers {
            put_ints(out, &self.pages.iter().map(number).collect::<Vec<_>>());
        }
        put_front_coded(out, self.pages.iter().map(|p| p.first_key.as_slice()));
        put_bytes(out, &self.last_key);
        put_extension(out);
    }

    /// Reads a directory.
    ///
    /// # Errors
    /// `Corrupt`, `Unsupported`.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let c = &mut Cursor::new(bytes);
        let code = c.u8()?;
        if code != DIRECTORY {
            return Err(Error::corrupt(format!("an index page of kind {code} where a directory should be")));
        }
        let table = Table::from_code(c.u8()?)?;
        let level = c.u8()?;
        let n = rows(c)?;
        let list = objects(c)?;
        let mut column = || Numbers::read(c, n);
        let object = column()?;
        object.check_below(list.len(), "object")?;
        let (offset, stored, decoded) = (column()?, column()?, column()?);
        let (codec, sums, row) = (column()?, column()?, column()?);
        let (keys, _) = front_coded(c, n)?;
        let last_key = c.bytes()?.to_vec();
        let pages = (0..n)
            .map(|i| {
                Ok(PageRef {
                    object: list[object.at(i) as usize],
                    offset: offset.at(i),
                    stored_bytes: stored.at(i),
                    decoded_bytes: decoded.at(i),
                    codec: codec.at(i),
                    checksum: u32::try_from(sums.at(i))
                        .map_err(|_| Error::corrupt("a checksum above 32 bits"))?,
                    rows: row.at(i),
                    first_key: keys.get(i),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let sorted = pages.windows(2).all(|w| w[0].first_key < w[1].first_key);
        if !sorted || pages.last().is_some_and(|p| p.first_key > last_key) {
            return Err(Error::corrupt("the pages of a directory are not sorted"));
        }
        Ok(Self { table, level, pages, last_key })
    }

    /// The page that would hold `key`; `None` if it lies outside of all pages.
    pub fn page_of(&self, key: &[u8]) -> Option<&PageRef> {
        if key > self.last_key.as_slice() {
            return None;
        }
        let past = self.pages.partition_point(|p| p.first_key.as_slice() <= key);
        self.pages.get(past.checked_sub(1)?)
    }

    /// The first key that lies behind a page of this directory, if another page follows.
    pub fn end_of(&self, page: &PageRef) -> Option<&[u8]> {
        let past = self.pages.partition_point(|p| p.first_key <= page.first_key);
        let is_here = past.checked_sub(1).and_then(|i| self.pages.get(i)) == Some(page);
        self.pages.get(past).filter(|_| is_here).map(|next| next.first_key.as_slice())
    }

    /// The pages that may hold keys from `from` on and below `to` (`None`: no end).
    pub fn pages_between(&self, from: &[u8], to: Option<&[u8]>) -> &[PageRef] {
        if from > self.last_key.as_slice() {
            return &[];
        }
        let first = self.pages.partition_point(|p| p.first_key.as_slice() <= from).saturating_sub(1);
        let past =
            to.map_or(self.pages.len(), |to| self.pages.partition_point(|p| p.first_key.as_slice() < to));
        self.pages.get(first..past.max(first)).unwrap_or_default()
    }

    /// Rows below.
    pub fn rows(&self) -> u64 {
        self.pages.iter().fold(0, |n, p| n.saturating_add(p.rows))
    }
}
