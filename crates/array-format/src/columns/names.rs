//! From ids of nodes to their paths.

use std::collections::HashMap;

use array_format_core::Result;
use array_format_core::format::nodes::NodesPage;
use array_format_core::format::page::Table;

use crate::index::scan::KeyRange;
use crate::snapshot::Snapshot;
use crate::write::pending::Staged;

/// Index pages that are looked through at once.
const PAGES: usize = 64;

/// Ids of nodes that something newer has; what older parts say of them does not count.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    /// Ascending.
    ids: Vec<u64>,
}

impl Hidden {
    pub(super) fn contains(&self, id: u64) -> bool {
        !self.ids.is_empty() && self.ids.binary_search(&id).is_ok()
    }

    pub(super) fn with(&self, ids: impl Iterator<Item = u64>) -> Self {
        let mut ids: Vec<u64> = self.ids.iter().copied().chain(ids).collect();
        ids.sort_unstable();
        ids.dedup();
        Self { ids }
    }
}

impl Snapshot {
    /// Ids of the nodes of the version below that pending changes have deleted.
    pub(super) async fn gone(&self) -> Result<Hidden> {
        let (pending, version) = (&self.view.pending, &self.view.version);
        let mut gone = Vec::new();
        for (path, staged) in &pending.nodes {
            // A path that was left, or whose node of the version below was replaced.
            let left = match staged {
                Staged::Gone => true,
                Staged::Node(s) => s.hides,
            };
            if left && let Some(node) = version.node(path).await?.and_then(|r| r.node) {
                gone.push(node.id);
            }
        }
        let staying: std::collections::HashSet<u64> = match gone.is_empty() {
            true => std::collections::HashSet::new(),
            false => pending.nodes.values().filter_map(Staged::id).collect(),
        };
        Ok(Hidden::default().with(gone.into_iter().filter(|id| !staying.contains(id))))
    }

    /// The paths of nodes by their ids, in the order given; `None` for an id that nothing has.
    ///
    /// # Errors
    /// What the storage says, `Corrupt`.
    ///
    /// # Cost
    /// Reads the pages of names, about 10 bytes for every node of the file: names are found by their order, not by ids.
    pub async fn names(&self, ids: &[u64]) -> Result<Vec<Option<String>>> {
        let mut names: Vec<Option<String>> = vec![None; ids.len()];
        let mut places: HashMap<u64, usize> = HashMap::with_capacity(ids.len());
        // Of an id that is asked for twice, the last place; the others are filled from it.
        places.extend(ids.iter().enumerate().map(|(i, id)| (*id, i)));
        let mut found = |id: u64, path: &str| {
            if let Some(slot) = places.get(&id).and_then(|i| names.get_mut(*i)) {
                *slot = Some(path.to_owned());
            }
        };
        let (pending, version) = (&self.view.pending, &self.view.version);
        for (path, staged) in &pending.nodes {
            if let Some(id) = staged.id() {
                found(id, path);
            }
        }
        let runs = version.directories(Table::Nodes);
        for (n, directory) in runs.iter().enumerate() {
            let leaves = version.leaves(directory, &KeyRange::all()).await?;
            for window in leaves.chunks(PAGES) {
                for page in version.pages::<NodesPage>(Table::Nodes, window).await? {
                    for row in 0..page.len() {
                        let Some(id) = page.id(row).filter(|id| places.contains_key(id)) else { continue };
                        let path = page.path(row);
                        // A row counts if nothing newer has its path.
                        if !pending.nodes.contains_key(&path) && !version.is_hidden(&runs[..n], &path).await?
                        {
                            found(id, &path);
                        }
                    }
                }
            }
        }
        for i in 0..ids.len() {
            if let Some(place) = places.get(&ids[i]).filter(|place| **place != i) {
                names[i] = names[*place].clone();
            }
        }
        Ok(names)
    }
}
