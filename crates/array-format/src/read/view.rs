//! What a reader sees: a committed version, under the pending changes of a handle if it has any.

use std::collections::BTreeSet;
use std::sync::Arc;

use array_format_core::block::ChunkRef;
use array_format_core::buffer::Elements;
use array_format_core::dtype::DType;
use array_format_core::format::chunks::ChunkRow;
use array_format_core::format::nodes::{Node, NodeRow, NodesPage};
use array_format_core::format::page::Table;
use array_format_core::format::statistics::StatisticsRow;
use array_format_core::schema::{ArraySchema, Schema};
use array_format_core::statistics::Statistics;
use array_format_core::value::Value;
use array_format_core::{Error, Result};

use crate::index::Version;
use crate::index::scan::KeyRange;
use crate::write::pending::{NEW_NODE, Pending, Placed, Staged, StagedChunk, grid, inline_chunk};

/// Reads of one moment. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) version: Version,
    pub(crate) pending: Arc<Pending>,
}

/// An array that was found.
#[derive(Debug, Clone)]
pub(crate) struct FoundArray {
    pub(crate) node: Node,
    pub(crate) schema: Arc<ArraySchema>,
}

/// Where the data of a chunk is.
#[derive(Debug, Clone)]
pub(crate) enum ChunkSource {
    /// Waiting for a commit.
    Staged(Arc<Elements>),
    /// In a block.
    Stored(ChunkRef),
    /// In a block of another file, to be copied by the next commit.
    Elsewhere(Arc<Placed>),
    /// Nowhere: it was never written.
    Unwritten,
}

/// The array that a node is.
pub(crate) fn found_array(version: &Version, path: &str, node: Option<Node>) -> Result<FoundArray> {
    let node = node.ok_or_else(|| version.in_file(no_such_array(path)))?;
    match &*node.schema {
        Schema::Array(a) => Ok(FoundArray { schema: a.clone(), node }),
        Schema::Group(_) => {
            Err(version.in_file(Error::invalid("this is a group, not an array").in_array(path)))
        }
    }
}

/// The type of the elements of an array.
fn dtype_of(node: &Node) -> DType {
    match &*node.schema {
        Schema::Array(a) => a.dtype,
        Schema::Group(_) => DType::Binary,
    }
}

pub(crate) fn no_such_array(path: &str) -> Error {
    Error::not_found("there is no such array; `list_arrays` tells which there are").in_array(path)
}

impl Version {
    /// Whether any run has a row, be it a tombstone, whose path begins like this. Most paths begin nothing.
    async fn any_row_below(&self, prefix: &str, range: &KeyRange) -> Result<bool> {
        for directory in self.head.footer.runs.iter().filter_map(|r| r.directory(Table::Nodes)) {
            for leaf in self.leaves(directory, range).await?.iter().take(2) {
                let page = self.page::<NodesPage>(Table::Nodes, leaf).await?;
                let row = page.lower_bound(prefix.as_bytes());
                if row < page.len() && page.path(row).starts_with(prefix) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

impl View {
    /// The node at a path.
    pub(crate) async fn node(&self, path: &str) -> Result<Option<Node>> {
        match self.pending.nodes.get(path) {
            Some(Staged::Gone) => Ok(None),
            Some(Staged::Node(staged)) => Ok(Some(staged.node.clone())),
            None => Ok(self.version.node(path).await?.and_then(|row| row.node)),
        }
    }

    /// The array at a path.
    pub(crate) async fn array(&self, path: &str) -> Result<FoundArray> {
        let node = self.node(path).await?;
        found_array(&self.version, path, node)
    }

    /// Whether any node lies in the group of this path.
    pub(crate) async fn has_below(&self, path: &str) -> Result<bool> {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let staged = self.pending.nodes_from(&prefix).take_while(|s| s.0.starts_with(&prefix));
        let mut hidden = BTreeSet::new();
        for (path, staged) in staged {
            match staged {
                Staged::Node(_) => return Ok(true),
                Staged::Gone => hidden.insert(path.as_str()),
            };
        }
        if self.version.head.footer.arrays == 0 && self.version.head.footer.groups == 0 {
            return Ok(false);
        }
        let range = KeyRange::prefix(prefix.as_bytes());
        if !self.version.any_row_below(&prefix, &range).await? {
            return Ok(false);
        }
        let mut scan = self.version.scan::<NodeRow>(Table::Nodes, range).await?;
        while let Some(row) = scan.next().await? {
            if row.node.is_some() && !hidden.contains(row.path.as_str()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// All nodes below a prefix, in order of their paths.
    pub(crate) async fn nodes(&self, prefix: &str) -> Result<Vec<(String, Node)>> {
        let rows: Vec<NodeRow> = self.version.rows(Table::Nodes, KeyRange::prefix(prefix.as_bytes())).await?;
        let mut staged = self.pending.nodes_from(prefix).take_while(|s| s.0.starts_with(prefix)).peekable();
        let mut nodes = Vec::new();
        let push_staged = |nodes: &mut Vec<(String, Node)>, path: &String, staged: &Staged| {
            if let Staged::Node(s) = staged {
                nodes.push((path.clone(), s.node.clone()));
            }
        };
        for row in rows {
            while let Some((path, s)) = staged.next_if(|s| *s.0 < row.path) {
                push_staged(&mut nodes, path, s);
            }
            match staged.next_if(|s| *s.0 == row.path) {
                Some((path, s)) => push_staged(&mut nodes, path, s),
                None => nodes.extend(row.node.map(|n| (row.path, n))),
            }
        }
        staged.for_each(|(path, s)| push_staged(&mut nodes, path, s));
        Ok(nodes)
    }

    /// Where the data of a chunk is.
    pub(crate) async fn chunk(&self, node: &Node, coords: &[u64]) -> Result<ChunkSource> {
        match self.pending.chunk(node.id, coords) {
            Some(StagedChunk::Data(e)) => return Ok(ChunkSource::Staged(e.clone())),
            Some(flat @ StagedChunk::Flat(_)) => {
                let elements = self.pending.elements(flat, dtype_of(node));
                return Ok(elements.map_or(ChunkSource::Unwritten, ChunkSource::Staged));
            }
            Some(StagedChunk::Erased) => return Ok(ChunkSource::Unwritten),
            Some(StagedChunk::Placed(p)) if p.from.is_some() => return Ok(ChunkSource::Elsewhere(p.clone())),
            Some(StagedChunk::Placed(p)) => return Ok(ChunkSource::Stored(p.chunk.clone())),
            None => {}
        }
        if let Some(chunk) = inline_chunk(node, coords) {
            return Ok(ChunkSource::Stored(chunk.clone()));
        }
        if node.id & NEW_NODE != 0 {
            return Ok(ChunkSource::Unwritten);
        }
        let row = self.version.chunk(node.id, coords).await?;
        Ok(row.and_then(|r| r.chunk).map_or(ChunkSource::Unwritten, ChunkSource::Stored))
    }

    /// Coordinates of all chunks of an array that were written, with where they are.
    pub(crate) async fn written_chunks(&self, node: &Node) -> Result<Vec<(Vec<u64>, ChunkSource)>> {
        let Some(grid) = grid(node) else { return Ok(Vec::new()) };
        let mut coords: BTreeSet<Vec<u64>> = BTreeSet::new();
        if node.id & NEW_NODE == 0 {
            let rows: Vec<ChunkRow> = self.version.rows(Table::Chunks, KeyRange::node(node.id)).await?;
            coords.extend(rows.into_iter().filter(|r| r.chunk.is_some()).map(|r| r.coords));
        }
        if node.chunk.is_some() {
            coords.insert(vec![0; node.shape.len()]);
        }
        coords
            .extend(self.pending.chunks.get(&node.id).into_iter().flat_map(|c| c.keys().map(|k| k.to_vec())));
        let mut written = Vec::new();
        for coords in coords.into_iter().filter(|c| grid.contains(c)) {
            match self.chunk(node, &coords).await? {
                ChunkSource::Unwritten => {}
                source => written.push((coords, source)),
            }
        }
        Ok(written)
    }

    /// Statistics of a chunk of an array.
    pub(crate) async fn chunk_statistics(&self, node: &Node, coords: &[u64]) -> Result<Statistics> {
        match self.pending.chunk(node.id, coords) {
            Some(StagedChunk::Data(e)) => return Ok(Statistics::of(e)),
            Some(StagedChunk::Flat(flat)) => {
                return Ok(Statistics::of_numbers(dtype_of(node), self.pending.flat(*flat)));
            }
            Some(StagedChunk::Erased) => return Ok(Statistics::empty()),
            Some(StagedChunk::Placed(p)) => return Ok(p.statistics.get().into_owned()),
            None => {}
        }
        if node.id & NEW_NODE != 0 {
            return Ok(Statistics::empty());
        }
        let known = |row: Option<StatisticsRow>| row.and_then(|r| r.statistics);
        if inline_chunk(node, coords).is_some() {
            let row = self.version.statistics(Table::ArrayStatistics, node.id, &[]).await?;
            return Ok(known(row).unwrap_or_default());
        }
        if let Some(s) = known(self.version.statistics(Table::ChunkStatistics, node.id, coords).await?) {
            return Ok(s);
        }
        // A chunk without a row of statistics is unknown; one that was never written has none.
        Ok(match self.chunk(node, coords).await? {
            ChunkSource::Unwritten => Statistics::empty(),
            _ => Statistics::default(),
        })
    }

    /// Statistics of an array: of its written chunks together.
    pub(crate) async fn array_statistics(&self, node: &Node) -> Result<Statistics> {
        let changed = self.pending.chunks.contains_key(&node.id);
        if !changed && node.id & NEW_NODE == 0 {
            let row = self.version.statistics(Table::ArrayStatistics, node.id, &[]).await?;
            return Ok(row.map_or_else(Statistics::empty, |r| r.statistics.unwrap_or_else(Statistics::empty)));
        }
        let mut all = Statistics::empty();
        for (coords, _) in self.written_chunks(node).await? {
            all = all.merge(&self.chunk_statistics(node, &coords).await?);
        }
        Ok(all)
    }

    /// An attribute of a node.
    pub(crate) async fn attribute(&self, node: &Node, name: &str) -> Result<Option<Value>> {
        match node.keys.iter().any(|k| k == name) {
            true => self.listed_attribute(node, name).await,
            false => Ok(self.pending_attribute(node, name).flatten()),
        }
    }

    fn pending_attribute(&self, node: &Node, name: &str) -> Option<Option<Value>> {
        let value = self.pending.attributes.get(&node.id)?.get(name)?;
        Some(value.as_deref().cloned())
    }

    /// An attribute that is in the node's key set.
    async fn listed_attribute(&self, node: &Node, name: &str) -> Result<Option<Value>> {
        if let Some(value) = self.pending_attribute(node, name) {
            return Ok(value);
        }
        if node.id & NEW_NODE != 0 {
            return Ok(None);
        }
        let found = self.version.attribute(name, node.id).await?;
        match found.and_then(|f| f.1) {
            Some(value) => Ok(Some(value)),
            None => Err(self
                .version
                .in_file(Error::corrupt(format!("attribute {name:?} is listed but not there")))),
        }
    }

    /// All attributes of a node, sorted by name.
    pub(crate) async fn attributes(&self, node: &Node) -> Result<Vec<(String, Value)>> {
        let reads: Vec<_> = node.keys.iter().map(|k| self.listed_attribute(node, k)).collect();
        let values = futures::future::try_join_all(reads).await?;
        Ok(node.keys.iter().cloned().zip(values).filter_map(|(k, v)| Some((k, v?))).collect())
    }
}
