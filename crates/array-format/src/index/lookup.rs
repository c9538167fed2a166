//! One row by its key: the first run that has it decides.

use array_format_core::Result;
use array_format_core::format::attributes::AttributesPage;
use array_format_core::format::chunks::{ChunkRow, ChunksPage};
use array_format_core::format::directory::Directory;
use array_format_core::format::nodes::{NodeRow, NodesPage};
use array_format_core::format::page::{PageRef, Table, attribute_key, chunk_key};
use array_format_core::format::statistics::{StatisticsPage, StatisticsRow};
use array_format_core::value::Value;

use super::Version;

/// Deepest tree of directories that is followed; fan-out makes more than 3 unheard of.
const MAX_LEVELS: u8 = 8;

impl Version {
    /// The leaf page that would hold a key.
    async fn leaf(&self, directory: &Directory, key: &[u8]) -> Result<Option<PageRef>> {
        let Some(mut page) = directory.page_of(key).cloned() else { return Ok(None) };
        let mut level = directory.level;
        if level > MAX_LEVELS {
            return Err(self.in_file(array_format_core::Error::corrupt("a directory of too many levels")));
        }
        while level > 0 {
            let below = self.page::<Directory>(directory.table, &page).await?;
            self.check_level(directory, &below, level)?;
            let Some(next) = below.page_of(key).cloned() else { return Ok(None) };
            page = next;
            level -= 1;
        }
        Ok(Some(page))
    }

    pub(crate) fn check_level(&self, above: &Directory, below: &Directory, level: u8) -> Result<()> {
        if below.table == above.table && below.level + 1 == level {
            return Ok(());
        }
        Err(self
            .in_file(array_format_core::Error::corrupt("a directory leads to one of another table or level")))
    }

    /// The row of a path, tombstones included.
    pub(crate) async fn node(&self, path: &str) -> Result<Option<NodeRow>> {
        for run in &self.head.footer.runs {
            let Some(directory) = run.directory(Table::Nodes) else { continue };
            let Some(leaf) = self.leaf(directory, path.as_bytes()).await? else { continue };
            if let Some(row) = self.page::<NodesPage>(Table::Nodes, &leaf).await?.find(path) {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// The row of a chunk in table 2, tombstones included.
    pub(crate) async fn chunk(&self, node: u64, coords: &[u64]) -> Result<Option<ChunkRow>> {
        let key = chunk_key(node, coords);
        for run in &self.head.footer.runs {
            let Some(directory) = run.directory(Table::Chunks) else { continue };
            let Some(leaf) = self.leaf(directory, &key).await? else { continue };
            let page = self.page::<ChunksPage>(Table::Chunks, &leaf).await?;
            if let Some(row) = page.keys.find(node, coords) {
                return Ok(Some(page.row(row)));
            }
        }
        Ok(None)
    }

    /// Version and value of an attribute, tombstones included.
    pub(crate) async fn attribute(&self, name: &str, node: u64) -> Result<Option<(u64, Option<Value>)>> {
        let key = attribute_key(name, node);
        for run in &self.head.footer.runs {
            let Some(directory) = run.directory(Table::Attributes) else { continue };
            let Some(leaf) = self.leaf(directory, &key).await? else { continue };
            let page = self.page::<AttributesPage>(Table::Attributes, &leaf).await?;
            if let Some(found) = page.find(name, node) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The row of statistics of an array (no coordinates) or a chunk, tombstones included.
    pub(crate) async fn statistics(
        &self,
        table: Table,
        node: u64,
        coords: &[u64],
    ) -> Result<Option<StatisticsRow>> {
        let key = chunk_key(node, coords);
        for run in &self.head.footer.runs {
            let Some(directory) = run.directory(table) else { continue };
            let Some(leaf) = self.leaf(directory, &key).await? else { continue };
            let page = self.page::<StatisticsPage>(table, &leaf).await?;
            if let Some(row) = page.keys.find(node, coords) {
                return Ok(Some(page.row(row)));
            }
        }
        Ok(None)
    }
}
