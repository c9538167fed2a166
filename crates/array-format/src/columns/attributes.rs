//! One attribute of all nodes.

use std::sync::Arc;

use array_format_core::Result;
use array_format_core::format::attributes::{AttributeGroup, AttributesPage};
use array_format_core::format::page::{Table, attribute_key};
use array_format_core::value::Value;

use super::names::Hidden;
use crate::index::scan::KeyRange;
use crate::snapshot::Snapshot;

/// One attribute of all arrays and groups that have it: ids of nodes and values. [`Snapshot::names`] tells their paths.
///
/// Holds index pages as they are stored: values that repeat are there once.
#[derive(Debug)]
pub struct AttributeColumn {
    name: String,
    /// Newest first.
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    page: Arc<AttributesPage>,
    /// What newer parts have.
    hidden: Arc<Hidden>,
}

impl AttributeColumn {
    /// What `f` makes of the values, with the ids of their nodes, in any order; nodes for which it has nothing are left out. `f` is asked once for
    /// values that repeat within an index page, so it should depend on nothing else.
    pub fn filter_map<R: Clone>(&self, mut f: impl FnMut(&Value) -> Option<R>) -> Vec<(u64, R)> {
        let mut found = Vec::new();
        for part in &self.parts {
            let Some(group) = part.page.group(&self.name) else { continue };
            group.for_each(&mut f, |row, r| {
                if let Some(node) = group.nodes.get(row).filter(|n| !part.hidden.contains(**n)) {
                    found.push((*node, r));
                }
            });
        }
        found
    }

    /// Ids of the nodes whose value passes, ascending. Of `f` as [`filter_map`](Self::filter_map) says.
    pub fn ids_where(&self, mut f: impl FnMut(&Value) -> bool) -> Vec<u64> {
        let mut ids: Vec<u64> =
            self.filter_map(|v| f(v).then_some(())).into_iter().map(|(id, ())| id).collect();
        if !ids.is_sorted() {
            ids.sort_unstable();
        }
        ids
    }
}

impl Snapshot {
    /// One attribute of all arrays and groups that have it.
    ///
    /// # Errors
    /// What the storage says, `Corrupt`.
    ///
    /// # Cost
    /// Reads the pages of that attribute, nothing else; nothing is computed for each node before it is asked for.
    pub async fn attribute_column(&self, name: &str) -> Result<AttributeColumn> {
        let mut hidden = self.gone().await?;
        let mut parts = Vec::new();
        let mut pending = Vec::new();
        for (id, attributes) in self.view.pending.attributes.iter() {
            if let Some(value) = attributes.get(name) {
                pending.push((id, value.as_deref().cloned()));
            }
        }
        if !pending.is_empty() {
            let changed: Vec<u64> = pending.iter().map(|p| p.0).collect();
            let page = AttributesPage::of(name, pending);
            parts.push(Part { page: Arc::new(page), hidden: Arc::new(Hidden::default()) });
            hidden = hidden.with(changed.into_iter());
        }
        let range = KeyRange::prefix(&attribute_key(name, 0)[..name.len() + 1]);
        let version = &self.view.version;
        let directories = version.directories(Table::Attributes);
        for (n, directory) in directories.iter().enumerate() {
            let leaves = version.leaves(directory, &range).await?;
            let pages = version.pages::<AttributesPage>(Table::Attributes, &leaves).await?;
            let newer = Arc::new(hidden);
            hidden = match n + 1 < directories.len() {
                false => Hidden::default(),
                true => {
                    let groups = pages.iter().filter_map(|p| p.group(name));
                    newer.with(groups.flat_map(|g: &AttributeGroup| g.nodes.iter().copied()))
                }
            };
            parts.extend(pages.into_iter().map(|page| Part { page, hidden: newer.clone() }));
        }
        Ok(AttributeColumn { name: name.to_owned(), parts })
    }

    /// One attribute of all arrays and groups that have it, sorted by path.
    ///
    /// # Errors
    /// What the storage says, `Corrupt`.
    ///
    /// # Cost
    /// Reads the pages of that attribute and those of the names, nothing else. A text for each: where only some are wanted,
    /// [`attribute_column`](Self::attribute_column) takes less.
    pub async fn attribute_index(&self, name: &str) -> Result<Vec<(String, Value)>> {
        let values = self.attribute_column(name).await?.filter_map(|v| Some(v.clone()));
        let ids: Vec<u64> = values.iter().map(|v| v.0).collect();
        let names = self.names(&ids).await?;
        let mut index: Vec<(String, Value)> =
            names.into_iter().zip(values).filter_map(|(name, (_, value))| Some((name?, value))).collect();
        index.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(index)
    }
}
