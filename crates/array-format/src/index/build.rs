//! Building the pages of a run, in the order of the rows.

use std::ops::Range;

use array_format_core::Result;
use array_format_core::format::attributes::{self, AttributeRow};
use array_format_core::format::chunks::{self, ChunkRow};
use array_format_core::format::directory::Directory;
use array_format_core::format::nodes::{self, NodeRow};
use array_format_core::format::page::{PageRef, StoredPage, Table, seal};
use array_format_core::format::statistics::{self, StatisticsRow};
use array_format_core::value::Value;

use super::scan::Row;
use crate::write::pool::on_threads;
use crate::write::sink::LayerSink;

/// Rows of a page. Measured with `docs/prototype`: pages of some 30 KiB that decode in well under a millisecond.
const PAGE_ROWS: usize = 2048;

/// Keys and other texts may be long: a page is also closed when its rows take this many bytes.
const PAGE_BYTES: usize = 192 << 10;

/// References that a directory holds before it gets a level of pages below it.
const FAN_OUT: usize = 512;

/// A row that pages are built of.
pub(crate) trait BuildRow: Row {
    fn encode(table: Table, rows: &[Self]) -> Vec<u8>;
    /// Bytes of the row, about.
    fn size(&self) -> usize;
    /// Whether it says that something is gone.
    fn is_tombstone(&self) -> bool;
}

impl BuildRow for NodeRow {
    fn encode(_: Table, rows: &[Self]) -> Vec<u8> {
        nodes::encode(rows)
    }
    fn size(&self) -> usize {
        node_bytes(&self.path, self.node.as_ref().map(|n| &n.shape[..]))
    }
    fn is_tombstone(&self) -> bool {
        self.node.is_none()
    }
}

impl BuildRow for ChunkRow {
    fn encode(_: Table, rows: &[Self]) -> Vec<u8> {
        chunks::encode(rows)
    }
    fn size(&self) -> usize {
        24 + self.coords.len()
    }
    fn is_tombstone(&self) -> bool {
        self.chunk.is_none()
    }
}

impl BuildRow for AttributeRow {
    fn encode(_: Table, rows: &[Self]) -> Vec<u8> {
        attributes::encode(rows)
    }
    fn size(&self) -> usize {
        attribute_bytes(self.value.as_ref())
    }
    fn is_tombstone(&self) -> bool {
        self.value.is_none()
    }
}

impl BuildRow for StatisticsRow {
    fn encode(table: Table, rows: &[Self]) -> Vec<u8> {
        statistics::encode(table, rows)
    }
    fn size(&self) -> usize {
        STATISTICS_BYTES + self.coords.len()
    }
    fn is_tombstone(&self) -> bool {
        self.statistics.is_none()
    }
}

/// Rows of a table to be, in the order of their keys. They are made when they are wanted: page by page, on all cores.
pub(crate) trait Plan: Sync {
    /// What they are.
    type Row: BuildRow;

    fn len(&self) -> usize;

    /// A row; `i` is below [`Plan::len`].
    fn row(&self, i: usize) -> Self::Row;

    /// Bytes of a row, as [`BuildRow::size`] says.
    fn size(&self, i: usize) -> usize;

    /// Whether a row says that something is gone.
    fn is_tombstone(&self, i: usize) -> bool;

    /// A page of some of them.
    fn page(&self, table: Table, range: Range<usize>) -> Vec<u8> {
        let rows: Vec<Self::Row> = range.map(|i| self.row(i)).collect();
        BuildRow::encode(table, &rows)
    }
}

/// Bytes of the row of an array's statistics, about.
pub(crate) const STATISTICS_BYTES: usize = 32;

/// Bytes of the row of a node, about; one without a shape is a tombstone.
pub(crate) fn node_bytes(path: &str, shape: Option<&[u64]>) -> usize {
    path.len() / 2 + 24 + shape.map_or(0, |shape| shape.len() * 2)
}

/// Bytes of the row of an attribute, about.
pub(crate) fn attribute_bytes(value: Option<&Value>) -> usize {
    match value {
        None | Some(Value::Scalar(_)) => 16,
        Some(value) => 8 + value.heap_bytes(),
    }
}

/// Takes sorted rows of one table and writes pages as they fill up.
pub(crate) struct TableBuilder<R> {
    table: Table,
    rows: Vec<R>,
    bytes: usize,
    /// Pages and the keys of their last rows.
    pages: Vec<(PageRef, Vec<u8>)>,
}

impl<R: BuildRow> TableBuilder<R> {
    pub(crate) fn new(table: Table) -> Self {
        Self { table, rows: Vec::new(), bytes: 0, pages: Vec::new() }
    }

    /// Adds a row whose key is above all before it.
    pub(crate) async fn push(&mut self, row: R, sink: &mut LayerSink) -> Result<()> {
        self.bytes += row.size();
        self.rows.push(row);
        if self.rows.len() >= PAGE_ROWS || self.bytes >= PAGE_BYTES {
            self.close_page(sink).await?;
        }
        Ok(())
    }

    async fn close_page(&mut self, sink: &mut LayerSink) -> Result<()> {
        let (Some(first), Some(last)) = (self.rows.first(), self.rows.last()) else { return Ok(()) };
        let (first_key, last_key) = (first.key(), last.key());
        let rows = self.rows.len() as u64;
        let page = put_page(R::encode(self.table, &self.rows), first_key, rows, sink).await?;
        self.pages.push((page, last_key));
        self.rows.clear();
        self.bytes = 0;
        Ok(())
    }

    /// The directory of all that was pushed; `None` if that was nothing.
    pub(crate) async fn finish(mut self, sink: &mut LayerSink) -> Result<Option<Directory>> {
        self.close_page(sink).await?;
        if self.pages.is_empty() {
            return Ok(None);
        }
        directory(self.table, self.pages, sink).await.map(Some)
    }
}

/// Pages that are built at once: enough for all cores, little in memory.
const PAGES_AT_ONCE: usize = 64;

/// Writes the pages of rows that need not be merged with others: they are built on all cores.
pub(crate) async fn put_pages<P: Plan>(
    table: Table,
    plan: &P,
    sink: &mut LayerSink,
) -> Result<Option<Directory>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for i in 0..plan.len() {
        bytes += plan.size(i);
        if i + 1 - start >= PAGE_ROWS || bytes >= PAGE_BYTES || i + 1 == plan.len() {
            ranges.push(start..i + 1);
            (start, bytes) = (i + 1, 0);
        }
    }
    let mut pages = Vec::with_capacity(ranges.len());
    for ranges in ranges.chunks(PAGES_AT_ONCE) {
        let sealed = on_threads(ranges, |range| {
            let keys = (plan.row(range.start).key(), plan.row(range.end - 1).key());
            Ok((seal(plan.page(table, range.clone()))?, keys))
        })?;
        for (range, (page, (first_key, last_key))) in ranges.iter().zip(sealed) {
            pages.push((put_sealed(page, first_key, range.len() as u64, sink).await?, last_key));
        }
    }
    if pages.is_empty() {
        return Ok(None);
    }
    directory(table, pages, sink).await.map(Some)
}

/// Writes a page and says where it lies.
pub(crate) async fn put_page(
    decoded: Vec<u8>,
    first_key: Vec<u8>,
    rows: u64,
    sink: &mut LayerSink,
) -> Result<PageRef> {
    put_sealed(seal(decoded)?, first_key, rows, sink).await
}

async fn put_sealed(
    page: StoredPage,
    first_key: Vec<u8>,
    rows: u64,
    sink: &mut LayerSink,
) -> Result<PageRef> {
    let stored_bytes = page.bytes.len() as u64;
    let offset = sink.write(page.bytes.into()).await?;
    Ok(PageRef {
        object: sink.object(),
        offset,
        stored_bytes,
        decoded_bytes: page.decoded_bytes,
        codec: u64::from(page.codec.code()),
        checksum: page.checksum,
        rows,
        first_key,
    })
}

/// A directory of leaf pages (each with the key of its last row), with levels of directory pages below it where there are many.
pub(crate) async fn directory(
    table: Table,
    mut pages: Vec<(PageRef, Vec<u8>)>,
    sink: &mut LayerSink,
) -> Result<Directory> {
    let mut level = 0;
    while pages.len() > FAN_OUT {
        let mut above = Vec::new();
        for group in pages.chunks(FAN_OUT) {
            let below = group_directory(table, level, group);
            let first_key = group.first().map(|p| p.0.first_key.clone()).unwrap_or_default();
            let mut bytes = Vec::new();
            below.encode(&mut bytes);
            above.push((put_page(bytes, first_key, below.rows(), sink).await?, below.last_key));
        }
        pages = above;
        level += 1;
    }
    Ok(group_directory(table, level, &pages))
}

fn group_directory(table: Table, level: u8, pages: &[(PageRef, Vec<u8>)]) -> Directory {
    let last_key = pages.last().map(|p| p.1.clone()).unwrap_or_default();
    Directory { table, level, pages: pages.iter().map(|p| p.0.clone()).collect(), last_key }
}
