//! Statistics of all arrays.

use std::collections::HashMap;
use std::sync::Arc;

use array_format_core::Result;
use array_format_core::element::ScalarElement;
use array_format_core::format::page::Table;
use array_format_core::format::statistics::StatisticsPage;
use array_format_core::schema::Schema;
use array_format_core::statistics::Statistics;
use array_format_core::value::Value;

use super::ArrayStatistics;
use super::names::Hidden;
use crate::index::scan::KeyRange;
use crate::snapshot::Snapshot;
use crate::write::pending::Staged;

/// The statistics of all arrays that have any, by ids. [`Snapshot::names`] tells their paths.
#[derive(Debug)]
pub struct StatisticsColumn {
    /// Of arrays with pending changes.
    pending: Vec<(u64, Statistics)>,
    /// Newest first.
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    page: Arc<StatisticsPage>,
    /// What newer parts have.
    hidden: Arc<Hidden>,
}

impl StatisticsColumn {
    /// All of them with the ids of their arrays, in any order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Statistics)> {
        let stored = self.parts.iter().flat_map(|part| {
            let rows = (0..part.page.keys.len()).map(|row| (part.page.keys.get(row).0, row));
            let there = rows.filter(|(id, _)| !part.hidden.contains(*id));
            there.filter_map(|(id, row)| Some((id, part.page.get(row).1?)))
        });
        self.pending.iter().cloned().chain(stored)
    }

    /// Ids, minima and maxima of the arrays whose elements are `T`, in any order, without a [`Value`] for each. Arrays that nothing was written to,
    /// or nothing but NaN and null, have none. All values lie between the two; whether they are values themselves is told by [`iter`](Self::iter)
    /// ([`Statistics::loose`]).
    pub fn bounds<T: ScalarElement>(&self) -> Vec<(u64, T, T)> {
        let mut all = Vec::new();
        for (id, statistics) in &self.pending {
            if let Some((Value::Scalar(min), Value::Scalar(max))) = &statistics.bounds
                && let (Some(min), Some(max)) = (min.get::<T>(), max.get::<T>())
            {
                all.push((*id, min, max));
            }
        }
        for part in &self.parts {
            all.reserve(part.page.keys.len());
            part.page.bounds_of(|row, min, max| {
                let id = part.page.keys.get(row).0;
                if !part.hidden.contains(id) {
                    all.push((id, min, max));
                }
            });
        }
        all
    }

    /// Ids of the arrays that may hold a value from `min` to `max` (both included; `None` is open), ascending. An array is left out only if its
    /// statistics prove that it holds none; arrays that nothing was written to have no statistics.
    pub fn ids_where(&self, min: Option<&Value>, max: Option<&Value>) -> Vec<u64> {
        let pending = self.pending.iter().filter(|(_, s)| s.may_contain(min, max));
        let mut ids: Vec<u64> = pending.map(|p| p.0).collect();
        for part in &self.parts {
            part.page.rows_where(min, max, |row| {
                let id = part.page.keys.get(row).0;
                if !part.hidden.contains(id) {
                    ids.push(id);
                }
            });
        }
        if !ids.is_sorted() {
            ids.sort_unstable();
        }
        ids
    }
}

impl Snapshot {
    /// The statistics of all arrays.
    ///
    /// # Errors
    /// What the storage says, `Corrupt`.
    ///
    /// # Cost
    /// Reads the pages of statistics, nothing else.
    pub async fn statistics_column(&self) -> Result<StatisticsColumn> {
        let mut pending = Vec::new();
        for staged in self.view.pending.nodes.values() {
            if let Staged::Node(s) = staged
                && matches!(*s.node.schema, Schema::Array(_))
            {
                pending.push((s.node.id, self.view.array_statistics(&s.node).await?));
            }
        }
        let mut hidden = self.gone().await?.with(pending.iter().map(|p| p.0));
        let mut parts = Vec::new();
        let version = &self.view.version;
        let directories = version.directories(Table::ArrayStatistics);
        for (n, directory) in directories.iter().enumerate() {
            let leaves = version.leaves(directory, &KeyRange::all()).await?;
            let pages = version.pages::<StatisticsPage>(Table::ArrayStatistics, &leaves).await?;
            let newer = Arc::new(hidden);
            hidden = match n + 1 < directories.len() {
                false => Hidden::default(),
                true => newer.with(pages.iter().flat_map(|p| (0..p.keys.len()).map(|row| p.keys.get(row).0))),
            };
            parts.extend(pages.into_iter().map(|page| Part { page, hidden: newer.clone() }));
        }
        Ok(StatisticsColumn { pending, parts })
    }

    /// The statistics of all arrays, sorted by path.
    ///
    /// # Errors
    /// What the storage says, `Corrupt`.
    ///
    /// # Cost
    /// Reads the pages of statistics and those of the names, nothing else. Where only some are wanted,
    /// [`statistics_column`](Self::statistics_column) takes less.
    pub async fn statistics_index(&self) -> Result<Vec<ArrayStatistics>> {
        let mut known: HashMap<u64, Statistics> = self.statistics_column().await?.iter().collect();
        let all = self.view.nodes("").await?.into_iter().filter_map(|(name, node)| {
            let Schema::Array(_) = &*node.schema else { return None };
            let statistics = known.remove(&node.id).unwrap_or_else(Statistics::empty);
            Some(ArrayStatistics { name, elements: node.shape.iter().product(), statistics })
        });
        Ok(all.collect())
    }
}
