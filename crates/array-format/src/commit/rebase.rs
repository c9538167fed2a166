//! Whether changes overlap with what others committed, at the level of chunks, attributes and definitions.

use std::sync::Arc;

use array_format_core::format::nodes::{KeySet, NodeRow};
use array_format_core::schema::{GroupSchema, Schema};
use array_format_core::{Error, ErrorKind, Result};

use crate::file::ArrayFile;
use crate::index::Version;
use crate::write::pending::{NEW_NODE, Pending, Staged, StagedNode};
use crate::write::small_map::SmallMap;

impl ArrayFile {
    /// Puts the pending changes on top of a newer version.
    ///
    /// # Errors
    /// `Conflict` that names the first overlap; then the handle stays where it was. `SnapshotExpired` if it is another file.
    pub(crate) async fn rebase(&self, version: Version) -> Result<()> {
        while !self.try_rebase(&version).await? {}
        Ok(())
    }

    /// `false` if something was defined while it waited: `define` does not wait for the gate.
    async fn try_rebase(&self, version: &Version) -> Result<bool> {
        let (seen, pending, file_id) = {
            let state = self.inner.state.lock();
            (state.version.number(), state.pending.clone(), state.version.head.file_id)
        };
        if version.head.file_id != file_id {
            return Err(Error::new(
                ErrorKind::SnapshotExpired,
                "another file was created at this path; open it anew",
            ));
        }
        let pending = with_root(version, pending).await?;
        check(version, &pending, seen).await?;
        let mut rebased = (*pending).clone();
        for (path, staged) in rebased.nodes.iter_mut() {
            if let Staged::Node(s) = staged
                && let Some(origin) = s.origin.clone()
            {
                let row = version.node(&origin).await?;
                let node = row.and_then(|r| r.node).ok_or_else(|| gone(path))?;
                take_over(s, node, &pending);
            }
        }
        let mut state = self.inner.state.lock();
        if state.pending.edits != pending.edits {
            return Ok(false);
        }
        state.pending = Arc::new(rebased);
        state.version = version.clone();
        Ok(true)
    }
}

/// The root group is always there and gets a row with its first attribute: if others gave it one meanwhile, ours is no new node.
async fn with_root(version: &Version, pending: Arc<Pending>) -> Result<Arc<Pending>> {
    let is_new = |staged: &Staged| matches!(staged, Staged::Node(s) if s.origin.is_none() && !s.hides);
    if !pending.nodes.get("").is_some_and(is_new) || version.node("").await?.is_none_or(|r| r.node.is_none())
    {
        return Ok(pending);
    }
    let mut changed = (*pending).clone();
    if let Some(Staged::Node(s)) = changed.nodes.get_mut("") {
        s.origin = Some(String::new());
        s.redefined = *s.node.schema != Schema::Group(GroupSchema::default());
    }
    Ok(Arc::new(changed))
}

/// Gives a staged node what others changed of it and we did not.
fn take_over(staged: &mut StagedNode, node: array_format_core::format::nodes::Node, pending: &Pending) {
    let mut keys: Vec<String> = node.keys.to_vec();
    for (name, value) in pending.attributes.get(&node.id).into_iter().flat_map(SmallMap::iter) {
        match (keys.binary_search_by(|k| k.as_str().cmp(name)), value) {
            (Ok(i), None) => {
                keys.remove(i);
            }
            (Err(i), Some(_)) => keys.insert(i, name.to_string()),
            _ => {}
        }
    }
    staged.node.keys = Arc::new(keys);
    staged.keys_below = node.keys;
    staged.node.chunk = node.chunk;
    if !staged.redefined {
        staged.node.shape = node.shape;
        staged.node.schema = node.schema;
    }
}

fn gone(path: &str) -> Error {
    Error::new(ErrorKind::Conflict, "another writer deleted or renamed what was changed here").in_array(path)
}

fn conflict(path: &str, what: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("another writer changed {what} since this handle read it"))
        .in_array(path)
}

async fn check(version: &Version, pending: &Pending, seen: u64) -> Result<()> {
    for (path, staged) in &pending.nodes {
        let row = version.node(path).await?;
        match staged {
            Staged::Gone => check_discarded(version, path, row, seen).await?,
            Staged::Node(s) => {
                if s.hides {
                    check_discarded(version, path, row.clone(), seen).await?;
                }
                check_node(version, pending, path, s, row, seen).await?;
            }
        }
    }
    Ok(())
}

/// What is deleted must be as it was seen, data and attributes included.
async fn check_discarded(version: &Version, path: &str, row: Option<NodeRow>, seen: u64) -> Result<()> {
    // It was there, or it would not have to be discarded.
    let Some(node) = row.as_ref().and_then(|r| r.node.as_ref()) else { return Err(gone(path)) };
    for name in node.keys.iter() {
        if version.attribute(name, node.id).await?.is_some_and(|a| a.0 > seen) {
            return Err(conflict(path, &format!("attribute {name:?}")));
        }
    }
    check_unchanged(version, path, row, seen).await
}

/// Definition and data must be as they were seen.
async fn check_unchanged(version: &Version, path: &str, row: Option<NodeRow>, seen: u64) -> Result<()> {
    let Some(row) = row else { return Ok(()) };
    if row.version > seen {
        return Err(conflict(path, "the definition"));
    }
    let Some(node) = row.node else { return Ok(()) };
    if node.chunk.as_ref().is_some_and(|c| c.1 > seen) {
        return Err(conflict(path, "data"));
    }
    let chunks: Vec<array_format_core::format::chunks::ChunkRow> = version
        .rows(array_format_core::format::page::Table::Chunks, crate::index::scan::KeyRange::node(node.id))
        .await?;
    match chunks.iter().find(|c| c.version > seen) {
        Some(c) => Err(conflict(path, &format!("chunk {:?}", c.coords))),
        None => Ok(()),
    }
}

async fn check_node(
    version: &Version,
    pending: &Pending,
    path: &str,
    staged: &StagedNode,
    row: Option<NodeRow>,
    seen: u64,
) -> Result<()> {
    if staged.origin.as_deref() != Some(path) {
        // New here: nothing may have come to this path, above it or below it.
        if row.as_ref().is_some_and(|r| r.node.is_some() && r.version > seen) {
            return Err(conflict(path, "this name: it is taken"));
        }
        check_ancestors(version, path, seen).await?;
    }
    let Some(origin) = &staged.origin else { return Ok(()) };
    let row = if origin == path { row } else { version.node(origin).await? };
    let Some(NodeRow { version: changed, node: Some(node), .. }) = row else { return Err(gone(path)) };
    if node.id != staged.node.id {
        return Err(gone(path));
    }
    let chunks = pending.chunks.get(&node.id);
    if changed > seen && (staged.redefined || chunks.is_some()) {
        return Err(conflict(path, "the definition"));
    }
    let inline = node.chunk.as_ref().map_or(0, |c| c.1);
    if inline > seen && (staged.redefined || chunks.is_some()) {
        return Err(conflict(path, &format!("chunk {:?}", vec![0; node.shape.len()])));
    }
    if staged.redefined && staged.node.id & NEW_NODE == 0 {
        check_unchanged(
            version,
            path,
            Some(NodeRow { path: path.into(), version: 0, node: Some(node.clone()) }),
            seen,
        )
        .await?;
    }
    for coords in chunks.into_iter().flat_map(SmallMap::keys) {
        if version.chunk(node.id, coords).await?.is_some_and(|r| r.version > seen) {
            return Err(conflict(path, &format!("chunk {coords:?}")));
        }
    }
    for name in pending.attributes.get(&node.id).into_iter().flat_map(SmallMap::keys) {
        // The tombstone of one that was removed may be gone.
        let listed = |keys: &KeySet| keys.binary_search_by(|k| k.as_str().cmp(name)).is_ok();
        let came_or_went = listed(&node.keys) != listed(&staged.keys_below);
        if came_or_went || version.attribute(name, node.id).await?.is_some_and(|a| a.0 > seen) {
            return Err(conflict(path, &format!("attribute {name:?}")));
        }
    }
    Ok(())
}

async fn check_ancestors(version: &Version, path: &str, seen: u64) -> Result<()> {
    for (at, _) in path.match_indices('/') {
        let row = version.node(&path[..at]).await?.filter(|r| r.version > seen);
        if row.and_then(|r| r.node).is_some_and(|n| matches!(*n.schema, Schema::Array(_))) {
            return Err(conflict(path, "a group of this name: it is an array now"));
        }
    }
    let below = crate::index::scan::KeyRange::prefix(format!("{path}/").as_bytes());
    let rows: Vec<NodeRow> = version.rows(array_format_core::format::page::Table::Nodes, below).await?;
    match rows.iter().any(|r| r.node.is_some() && r.version > seen) {
        true => Err(conflict(path, "this name: it is a group now")),
        false => Ok(()),
    }
}
