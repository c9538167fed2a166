//! Versions of a file, and what changed between them.

use std::collections::BTreeMap;

use array_format_core::address::ObjectId;
use array_format_core::footer::{Cause, Footer};
use array_format_core::format::chunks::ChunkRow;
use array_format_core::format::nodes::{Node, NodeRow};
use array_format_core::format::page::Table;
use array_format_core::schema::Schema;
use array_format_core::{ErrorKind, Result};

use crate::file::ArrayFile;
use crate::index::Version;
use crate::index::scan::KeyRange;
use crate::layer::head::{layers_of, open_layer, read_root};
use crate::layer::{names, open_head};
use crate::snapshot::Snapshot;
use crate::write::stage::empty_group;

/// A version of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionInfo {
    /// Its number.
    pub version: u64,
    /// When it was committed, as the writer's clock had it: milliseconds since 1970-01-01T00:00:00Z.
    pub time_ms: i64,
    /// What the writer said.
    pub message: String,
    /// Why it was made.
    pub cause: Cause,
    /// Arrays in it.
    pub arrays: u64,
    /// Layers that it needs.
    pub layers: u64,
    /// Bytes of its own layer.
    pub layer_bytes: u64,
    /// Its names.
    pub tags: Vec<String>,
}

/// What happened to an array or group between two versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is there in both.
    Modified {
        /// Whether it is another array of the same name, or shape or definition differ.
        definition: bool,
        /// Grid coordinates of the chunks whose data differ; all written ones if it is another array.
        chunks: Vec<Vec<u64>>,
        /// Names of the attributes that were set, changed or removed.
        attributes: Vec<String>,
    },
}

impl ArrayFile {
    /// All versions that can still be opened, oldest first.
    ///
    /// # Errors
    /// What the storage says, `Corrupt`.
    ///
    /// # Cost
    /// A listing, and one request a version.
    pub async fn versions(&self) -> Result<Vec<VersionInfo>> {
        let objects = &self.inner.objects;
        let listing = objects.list().await?;
        let base = open_layer(objects, &objects.path).await?;
        let file_id = base.trailer.file_id;
        let layers = layers_of(&listing, &file_id);
        let mut roots = vec![read_root(&base).await?];
        for (n, _) in layers.iter().filter(|l| l.0 != base.trailer.layer) {
            let path = names::sidecar(&objects.path, &file_id, ObjectId::Layer(*n));
            match open_layer(objects, &path).await {
                Ok(layer) => roots.push(read_root(&layer).await?),
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        roots.sort_by_key(|r| r.version);
        let newest = roots.last().cloned();
        let has = |f: &Footer| {
            newest.as_ref().is_none_or(|n| n.version == f.version || n.keeps(f.version))
                && f.objects.iter().all(|o| match o.id {
                    ObjectId::Layer(n) => n == base.trailer.layer || layers.contains(&(n, o.object_bytes)),
                    ObjectId::Detached(_) => true,
                })
        };
        let tags = newest.as_ref().map(|n| n.tags.clone()).unwrap_or_default();
        Ok(roots.iter().filter(|f| has(f)).map(|f| version_info(f, &tags)).collect())
    }

    /// Reads of an older version. See [`FileConfig::at_version`](crate::FileConfig::at_version) for a handle of its own.
    ///
    /// # Errors
    /// `NotFound` if there is no such version; `SnapshotExpired` if it was collected.
    pub async fn at(&self, version: u64) -> Result<Snapshot> {
        let now = self.view();
        let head = open_head(&self.inner.objects, Some(version)).await?;
        let version = Version { head: std::sync::Arc::new(head), ..now.version };
        Ok(Snapshot { view: crate::read::View { version, pending: Default::default() } })
    }

    /// What changed from version `from` to version `to`, by path.
    ///
    /// # Errors
    /// As [`at`](Self::at).
    ///
    /// # Cost
    /// Reads the index pages of both, not the data: two chunks differ if their places do.
    pub async fn diff(&self, from: u64, to: u64) -> Result<Vec<(String, Change)>> {
        let (old, new) = (self.at(from).await?, self.at(to).await?);
        let (a, b) = (nodes(&old.view.version).await?, nodes(&new.view.version).await?);
        let mut changes = Vec::new();
        for (path, node) in &a {
            if !b.contains_key(path) {
                changes.push((path.clone(), Change::Removed));
            } else if let Some(other) = b.get(path) {
                let change = compare(&old, node, &new, other).await?;
                changes.extend(change.map(|c| (path.clone(), c)));
            }
        }
        changes.extend(b.keys().filter(|p| !a.contains_key(*p)).map(|p| (p.clone(), Change::Added)));
        changes.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(changes)
    }
}

fn version_info(f: &Footer, tags: &BTreeMap<String, u64>) -> VersionInfo {
    VersionInfo {
        version: f.version,
        time_ms: f.time_ms,
        message: f.message.clone(),
        cause: f.cause,
        arrays: f.arrays,
        layers: f.objects.len() as u64,
        layer_bytes: f.object(ObjectId::Layer(f.version)).map_or(0, |o| o.object_bytes),
        tags: tags.iter().filter(|t| *t.1 == f.version).map(|t| t.0.clone()).collect(),
    }
}

async fn nodes(version: &Version) -> Result<BTreeMap<String, Node>> {
    let rows: Vec<NodeRow> = version.rows(Table::Nodes, KeyRange::all()).await?;
    let mut nodes: BTreeMap<String, Node> =
        rows.into_iter().filter_map(|r| Some((r.path, r.node?))).collect();
    // The root is always there, though it has a row only from its first attribute on.
    nodes.entry(String::new()).or_insert_with(|| empty_group(0));
    Ok(nodes)
}

/// The versions that wrote the chunks of a node: compaction moves chunks and leaves these alone.
async fn chunk_versions(version: &Version, node: &Node) -> Result<BTreeMap<Vec<u64>, u64>> {
    let mut all: BTreeMap<Vec<u64>, u64> = BTreeMap::new();
    if let Some((_, version)) = &node.chunk {
        all.insert(vec![0; node.shape.len()], *version);
        return Ok(all);
    }
    if matches!(*node.schema, Schema::Array(_)) {
        let rows: Vec<ChunkRow> = version.rows(Table::Chunks, KeyRange::node(node.id)).await?;
        all.extend(rows.into_iter().filter(|r| r.chunk.is_some()).map(|r| (r.coords, r.version)));
    }
    Ok(all)
}

async fn compare(old: &Snapshot, a: &Node, new: &Snapshot, b: &Node) -> Result<Option<Change>> {
    let (va, vb) = (&old.view.version, &new.view.version);
    let same_node = a.id == b.id;
    let definition = !same_node || a.shape != b.shape || a.schema != b.schema;
    let (ca, cb) = (chunk_versions(va, a).await?, chunk_versions(vb, b).await?);
    let differs = |c: &&Vec<u64>| !same_node || ca.get(*c) != cb.get(*c);
    let mut chunks: Vec<Vec<u64>> = ca.keys().chain(cb.keys()).filter(differs).cloned().collect();
    chunks.sort();
    chunks.dedup();
    let mut names: Vec<&String> = a.keys.iter().chain(b.keys.iter()).collect();
    names.sort();
    names.dedup();
    let mut attributes = Vec::new();
    for name in names {
        let before = if a.keys.contains(name) { old.view.attribute(a, name).await? } else { None };
        let after = if b.keys.contains(name) { new.view.attribute(b, name).await? } else { None };
        if before != after {
            attributes.push(name.clone());
        }
    }
    if !definition && chunks.is_empty() && attributes.is_empty() {
        return Ok(None);
    }
    Ok(Some(Change::Modified { definition, chunks, attributes }))
}

/// Where the bytes of a file are: what [`ArrayFile::usage`] tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of all layers that the version needs.
    pub object_bytes: u64,
    /// Of these, stored bytes of blocks.
    pub block_bytes: u64,
    /// Decoded bytes of chunks that are read in this version.
    pub live_bytes: u64,
    /// Decoded bytes of blocks that are not: replaced and deleted data.
    pub dead_bytes: u64,
}

impl ArrayFile {
    /// Live and dead bytes of the version, from its root alone.
    pub fn usage(&self) -> Usage {
        self.footer().objects.iter().fold(Usage::default(), |u, o| Usage {
            object_bytes: u.object_bytes.saturating_add(o.object_bytes),
            block_bytes: u.block_bytes.saturating_add(o.stored_bytes),
            live_bytes: u.live_bytes.saturating_add(o.live_bytes),
            dead_bytes: u.dead_bytes.saturating_add(o.decoded_bytes.saturating_sub(o.live_bytes)),
        })
    }
}
