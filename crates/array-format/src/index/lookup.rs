//! One row by its key: the first run that has it decides.

use std::borrow::Cow;
use std::sync::Arc;

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

/// Pages that are loaded at once for many paths.
const WINDOW: usize = 64;

/// More paths than this are looked up on all cores.
const MANY_PATHS: usize = 1024;

/// Where rows are.
pub(crate) struct Places {
    pub(crate) pages: Vec<Arc<NodesPage>>,
    /// Of each path.
    pub(crate) places: Vec<Place>,
}

/// Which of the pages, and the row in it.
pub(crate) type Place = Option<(usize, usize)>;

/// The rows of some of the paths, all of which this page may hold.
fn rows_of(page: &NodesPage, which: &[usize], paths: &[&str]) -> Vec<Option<usize>> {
    let mut last = None;
    let row = |i: &usize| {
        let path = *paths.get(*i)?;
        // It is often the row after the last one.
        let next = last.map_or(0, |row| row + 1);
        let found = if page.is_at(next, path) { Some(next) } else { page.find(path) };
        last = found;
        found
    };
    which.iter().map(row).collect()
}

impl Version {
    /// The directories of a table, newest run first.
    pub(crate) fn directories(&self, table: Table) -> Vec<&Directory> {
        self.head.footer.runs.iter().filter_map(|r| r.directory(table)).collect()
    }

    /// The leaf page that would hold a key.
    async fn leaf<'d>(&self, directory: &'d Directory, key: &[u8]) -> Result<Option<Cow<'d, PageRef>>> {
        let Some(page) = directory.page_of(key) else { return Ok(None) };
        let mut level = directory.level;
        if level == 0 {
            return Ok(Some(Cow::Borrowed(page)));
        }
        let mut page = page.clone();
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
        Ok(Some(Cow::Owned(page)))
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
        Ok(self.node_place(path).await?.map(|(page, row)| page.row(row)))
    }

    /// Where the row of a path is, tombstones included.
    pub(crate) async fn node_place(&self, path: &str) -> Result<Option<(Arc<NodesPage>, usize)>> {
        for run in &self.head.footer.runs {
            let Some(directory) = run.directory(Table::Nodes) else { continue };
            let Some(leaf) = self.leaf(directory, path.as_bytes()).await? else { continue };
            let page = self.page::<NodesPage>(Table::Nodes, &leaf).await?;
            if let Some(row) = page.find(path) {
                return Ok(Some((page, row)));
            }
        }
        Ok(None)
    }

    /// Whether any of these runs has a row of a path, tombstones included.
    pub(crate) async fn is_hidden(&self, newer: &[&Directory], path: &str) -> Result<bool> {
        for directory in newer {
            if let Some(leaf) = self.leaf(directory, path.as_bytes()).await?
                && self.page::<NodesPage>(Table::Nodes, &leaf).await?.find(path).is_some()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where the rows of many paths are, which are sorted; tombstones included. Pages are loaded once, many at a time.
    pub(crate) async fn node_places(&self, paths: &[&str]) -> Result<Places> {
        let mut all = Places { pages: Vec::new(), places: vec![None; paths.len()] };
        let mut left: Vec<usize> = (0..paths.len()).collect();
        let path = |i: &usize| paths.get(*i).map_or(&[][..], |path| path.as_bytes());
        for directory in self.directories(Table::Nodes) {
            let mut at = 0;
            while at < left.len() {
                // Pages of a window, and which of the paths that are left each of them may hold.
                let mut refs: Vec<PageRef> = Vec::new();
                let mut members: Vec<&[usize]> = Vec::new();
                while refs.len() < WINDOW && at < left.len() {
                    let rest = left.get(at..).unwrap_or_default();
                    let Some(leaf) = self.leaf(directory, rest.first().map_or(&[], path)).await? else {
                        at += 1;
                        continue;
                    };
                    let mut count = 1;
                    if let Some(end) = directory.end_of(&leaf) {
                        count = rest.partition_point(|i| path(i) < end);
                    } else {
                        while let Some(i) = rest.get(count)
                            && let Some(next) = self.leaf(directory, path(i)).await?
                            && (next.object, next.offset) == (leaf.object, leaf.offset)
                        {
                            count += 1;
                        }
                    }
                    refs.push(leaf.into_owned());
                    members.push(rest.get(..count).unwrap_or_default());
                    at += count;
                }
                let rows = |page: &NodesPage, n: usize| {
                    rows_of(page, members.get(n).copied().unwrap_or_default(), paths)
                };
                let is_much = members.iter().map(|which| which.len()).sum::<usize>() > MANY_PATHS;
                let found = self.pages_with(Table::Nodes, &refs, is_much, rows).await?;
                for (which, (page, rows)) in members.iter().zip(found) {
                    for (i, row) in which.iter().zip(rows) {
                        all.places[*i] = row.map(|row| (all.pages.len(), row));
                    }
                    all.pages.push(page);
                }
            }
            left.retain(|i| all.places[*i].is_none());
        }
        Ok(all)
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
