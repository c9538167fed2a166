//! Building the pages of a run, in the order of the rows.

use array_format_core::Result;
use array_format_core::format::attributes::{self, AttributeRow};
use array_format_core::format::chunks::{self, ChunkRow};
use array_format_core::format::directory::Directory;
use array_format_core::format::nodes::{self, NodeRow};
use array_format_core::format::page::{PageRef, Table, seal};
use array_format_core::format::statistics::{self, StatisticsRow};

use super::scan::Row;
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
}

impl BuildRow for NodeRow {
    fn encode(_: Table, rows: &[Self]) -> Vec<u8> {
        nodes::encode(rows)
    }
    fn size(&self) -> usize {
        self.path.len() / 2 + 24 + self.node.as_ref().map_or(0, |n| n.shape.len() * 2)
    }
}

impl BuildRow for ChunkRow {
    fn encode(_: Table, rows: &[Self]) -> Vec<u8> {
        chunks::encode(rows)
    }
    fn size(&self) -> usize {
        24 + self.coords.len()
    }
}

impl BuildRow for AttributeRow {
    fn encode(_: Table, rows: &[Self]) -> Vec<u8> {
        attributes::encode(rows)
    }
    fn size(&self) -> usize {
        use array_format_core::value::Value;
        8 + match &self.value {
            Some(Value::String(s)) => s.len(),
            Some(Value::Binary(b)) | Some(Value::List { bytes: b, .. }) => b.len(),
            Some(Value::StringList(l)) => l.iter().map(String::len).sum(),
            Some(Value::BinaryList(l)) => l.iter().map(Vec::len).sum(),
            _ => 8,
        }
    }
}

impl BuildRow for StatisticsRow {
    fn encode(table: Table, rows: &[Self]) -> Vec<u8> {
        statistics::encode(table, rows)
    }
    fn size(&self) -> usize {
        32 + self.coords.len()
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

/// Writes a page and says where it lies.
pub(crate) async fn put_page(
    decoded: Vec<u8>,
    first_key: Vec<u8>,
    rows: u64,
    sink: &mut LayerSink,
) -> Result<PageRef> {
    let page = seal(decoded)?;
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
