//! Rows of a key range in order, all runs merged; tombstones included.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use array_format_core::Result;
use array_format_core::footer::Run;
use array_format_core::format::attributes::{AttributeRow, AttributesPage};
use array_format_core::format::chunks::{ChunkKeys, ChunkRow, ChunksPage};
use array_format_core::format::directory::Directory;
use array_format_core::format::nodes::{NodeRow, NodesPage};
use array_format_core::format::page::{PageRef, Table, chunk_key, put_key};
use array_format_core::format::statistics::{StatisticsPage, StatisticsRow};

use super::Version;
use super::load::Page;

/// Pages that are brought at once.
const READ_AHEAD: usize = 16;

/// Keys `from <= key < to`; `to = None` is open.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyRange {
    pub(crate) from: Vec<u8>,
    pub(crate) to: Option<Vec<u8>>,
}

impl KeyRange {
    /// All keys.
    pub(crate) fn all() -> Self {
        Self::default()
    }

    /// All keys that begin with these bytes.
    pub(crate) fn prefix(prefix: &[u8]) -> Self {
        let mut to = prefix.to_vec();
        while let Some(last) = to.pop() {
            if let Some(next) = last.checked_add(1) {
                to.push(next);
                break;
            }
        }
        Self { from: prefix.to_vec(), to: (!to.is_empty()).then_some(to) }
    }

    /// All keys of a node, in tables that begin with the node id.
    pub(crate) fn node(node: u64) -> Self {
        let mut prefix = Vec::new();
        put_key(&mut prefix, node);
        Self::prefix(&prefix)
    }

    fn holds(&self, key: &[u8]) -> bool {
        key >= self.from.as_slice() && self.to.as_deref().is_none_or(|to| key < to)
    }

    /// Which of `n` sorted keys are in the range.
    fn rows<K: AsRef<[u8]>>(&self, n: usize, key: impl Fn(usize) -> K) -> Range<usize> {
        let below = |limit: &[u8]| {
            let (mut from, mut to) = (0, n);
            while from < to {
                let middle = usize::midpoint(from, to);
                match key(middle).as_ref() < limit {
                    true => from = middle + 1,
                    false => to = middle,
                }
            }
            from
        };
        below(&self.from)..self.to.as_deref().map_or(n, below)
    }
}

/// A row of a table, and how to get at it.
pub(crate) trait Row: Sized + Send {
    type Page: Page;
    fn key(&self) -> Vec<u8>;
    /// As the keys compare, without making them.
    fn compare(&self, other: &Self) -> Ordering;
    /// The rows of a page in a range. A page is more than what most ranges want of it, and rows cost memory.
    fn rows(page: &Self::Page, range: &KeyRange) -> Vec<Self>;
}

impl Row for NodeRow {
    type Page = NodesPage;
    fn key(&self) -> Vec<u8> {
        self.path.clone().into_bytes()
    }
    fn compare(&self, other: &Self) -> Ordering {
        self.path.cmp(&other.path)
    }
    fn rows(page: &NodesPage, range: &KeyRange) -> Vec<Self> {
        let to = range.to.as_ref().map_or(page.len(), |to| page.lower_bound(to));
        (page.lower_bound(&range.from)..to).map(|i| page.row(i)).collect()
    }
}

impl Row for ChunkRow {
    type Page = ChunksPage;
    fn key(&self) -> Vec<u8> {
        self.key()
    }
    fn compare(&self, other: &Self) -> Ordering {
        (self.node, &self.coords).cmp(&(other.node, &other.coords))
    }
    fn rows(page: &ChunksPage, range: &KeyRange) -> Vec<Self> {
        keyed(&page.keys, range).map(|i| page.row(i)).collect()
    }
}

impl Row for AttributeRow {
    type Page = AttributesPage;
    fn key(&self) -> Vec<u8> {
        self.key()
    }
    fn compare(&self, other: &Self) -> Ordering {
        (&self.name, self.node).cmp(&(&other.name, other.node))
    }
    fn rows(page: &AttributesPage, range: &KeyRange) -> Vec<Self> {
        page.rows().filter(|r| range.holds(&r.key())).collect()
    }
}

impl Row for StatisticsRow {
    type Page = StatisticsPage;
    fn key(&self) -> Vec<u8> {
        self.key()
    }
    fn compare(&self, other: &Self) -> Ordering {
        (self.node, &self.coords).cmp(&(other.node, &other.coords))
    }
    fn rows(page: &StatisticsPage, range: &KeyRange) -> Vec<Self> {
        keyed(&page.keys, range).map(|i| page.row(i)).collect()
    }
}

fn keyed(keys: &ChunkKeys, range: &KeyRange) -> Range<usize> {
    range.rows(keys.len(), |i| {
        let (node, coords) = keys.get(i);
        chunk_key(node, coords)
    })
}

impl Version {
    /// The leaf pages of a directory that may hold keys of a range.
    pub(crate) async fn leaves(&self, directory: &Directory, range: &KeyRange) -> Result<Vec<PageRef>> {
        let between = |d: &Directory| d.pages_between(&range.from, range.to.as_deref()).to_vec();
        let mut pages = between(directory);
        for level in (1..=directory.level).rev() {
            let below: Vec<Arc<Directory>> = self.pages(directory.table, &pages).await?;
            for d in &below {
                self.check_level(directory, d, level)?;
            }
            pages = below.iter().flat_map(|d| between(d)).collect();
        }
        Ok(pages)
    }

    /// Begins a scan of the rows of a table.
    pub(crate) async fn scan<R: Row>(&self, table: Table, range: KeyRange) -> Result<Scan<'_, R>> {
        self.scan_runs(&self.head.footer.runs, table, range).await
    }

    /// Begins a scan of some runs.
    pub(crate) async fn scan_runs<R: Row>(
        &self,
        runs: &[Run],
        table: Table,
        range: KeyRange,
    ) -> Result<Scan<'_, R>> {
        let mut cursors = Vec::new();
        for run in runs {
            if let Some(directory) = run.directory(table) {
                let leaves = self.leaves(directory, &range).await?.into();
                cursors.push(RunCursor { leaves, loaded: VecDeque::new(), rows: VecDeque::new() });
            }
        }
        Ok(Scan { version: self, table, range, cursors })
    }

    /// All rows of a range; for ranges known to be small.
    pub(crate) async fn rows<R: Row>(&self, table: Table, range: KeyRange) -> Result<Vec<R>> {
        let mut scan = self.scan(table, range).await?;
        let mut rows = Vec::new();
        while let Some(row) = scan.next().await? {
            rows.push(row);
        }
        Ok(rows)
    }
}

struct RunCursor<R: Row> {
    leaves: VecDeque<PageRef>,
    loaded: VecDeque<Arc<R::Page>>,
    /// Rows of the page in hand.
    rows: VecDeque<R>,
}

/// A scan under way. Holds a few pages of each run.
pub(crate) struct Scan<'v, R: Row> {
    version: &'v Version,
    table: Table,
    range: KeyRange,
    cursors: Vec<RunCursor<R>>,
}

impl<R: Row> Scan<'_, R> {
    /// The next row: of the newest run among those that have its key.
    pub(crate) async fn next(&mut self) -> Result<Option<R>> {
        for i in 0..self.cursors.len() {
            self.fill(i).await?;
        }
        let newest = (0..self.cursors.len())
            .filter(|i| !self.cursors[*i].rows.is_empty())
            .min_by(|a, b| self.cursors[*a].rows[0].compare(&self.cursors[*b].rows[0]));
        let Some(newest) = newest else { return Ok(None) };
        let Some(row) = self.cursors[newest].rows.pop_front() else { return Ok(None) };
        for cursor in self.cursors.iter_mut().skip(newest + 1) {
            cursor.rows.pop_front_if(|r| r.compare(&row).is_eq());
        }
        Ok(Some(row))
    }

    async fn fill(&mut self, cursor: usize) -> Result<()> {
        // All runs together hold a bounded number of pages.
        let ahead = (READ_AHEAD / self.cursors.len().max(1)).max(2);
        while self.cursors[cursor].rows.is_empty() {
            let c = &mut self.cursors[cursor];
            if c.loaded.is_empty() {
                let next: Vec<PageRef> = c.leaves.drain(..c.leaves.len().min(ahead)).collect();
                if next.is_empty() {
                    return Ok(());
                }
                c.loaded = self.version.pages(self.table, &next).await?.into();
            }
            if let Some(page) = c.loaded.pop_front() {
                c.rows = R::rows(&page, &self.range).into();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_ranges() {
        let r = KeyRange::prefix(b"a/");
        assert!(r.holds(b"a/") && r.holds(b"a/z") && !r.holds(b"a") && !r.holds(b"a0"));
        assert!(KeyRange::prefix(&[255, 255]).holds(&[255, 255, 3]));
        assert!(!KeyRange::prefix(&[255, 255]).holds(&[255, 254]));
        assert!(KeyRange::all().holds(b""));
    }

    #[test]
    fn rows_compare_as_their_keys_do() {
        fn check<R: Row>(rows: &[R]) {
            for (a, b) in rows.iter().flat_map(|a| rows.iter().map(move |b| (a, b))) {
                assert_eq!(a.compare(b), a.key().cmp(&b.key()));
            }
        }
        let numbers = [0, 1, 255, 256, u64::MAX];
        let names = ["", "a", "a/b", "a b", "b", "é", "\u{1}"];
        check(&names.map(|path| NodeRow { path: path.into(), version: 1, node: None }));
        let coords = || numbers.iter().flat_map(|a| numbers.map(|b| vec![*a, b])).chain([vec![], vec![1]]);
        let places = || numbers.iter().flat_map(|node| coords().map(|coords| (*node, coords)));
        let chunk = |(node, coords)| ChunkRow { node, coords, version: 1, chunk: None };
        check(&places().map(chunk).collect::<Vec<_>>());
        let statistics = |(node, coords)| StatisticsRow { node, coords, version: 1, statistics: None };
        check(&places().map(statistics).collect::<Vec<_>>());
        let attribute =
            |(name, node): (&str, u64)| AttributeRow { name: name.into(), node, version: 1, value: None };
        check(&names.iter().flat_map(|n| numbers.map(|i| attribute((n, i)))).collect::<Vec<_>>());
    }

    #[test]
    fn rows_of_a_range() {
        let keys = ["a", "a/b", "a/c", "a/d/e", "b"];
        let rows = |range: KeyRange| range.rows(keys.len(), |i| keys[i]);
        for range in
            ["", "a", "a/", "a/d", "a/x", "b", "c"].map(|p| KeyRange::prefix(p.as_bytes())).into_iter()
        {
            let held: Vec<usize> = (0..keys.len()).filter(|i| range.holds(keys[*i].as_bytes())).collect();
            assert_eq!(rows(range.clone()).collect::<Vec<_>>(), held, "{range:?}");
        }
        assert_eq!(rows(KeyRange::all()), 0..5);
    }
}
