//! Detached layers: what a worker writes ahead, for a committer to join. `docs/format.md` sections 9.3 and 11.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use array_format_core::address::ObjectId;
use array_format_core::checksum::checksum;
use array_format_core::cursor::Cursor;
use array_format_core::footer::{DetachedRoot, ObjectEntry, Run};
use array_format_core::format::attributes::AttributeRow;
use array_format_core::format::chunks::ChunkRow;
use array_format_core::format::nodes::{Node, NodeRow};
use array_format_core::format::page::Table;
use array_format_core::format::statistics::StatisticsRow;
use array_format_core::format::trailer::Id;
use array_format_core::schema::Schema;
use array_format_core::{Error, ErrorKind, Result};

use crate::commit::blocks::{Stored, store_chunks};
use crate::file::ArrayFile;
use crate::gc;
use crate::index::Version;
use crate::index::build::{BuildRow, TableBuilder};
use crate::layer::head::open_detached;
use crate::layer::{Objects, names};
use crate::read::View;
use crate::storage::FinishMode;
use crate::write::encode::Pipeline;
use crate::write::pending::{NEW_NODE, Pending, Staged, StagedChunk, StagedNode, grid};
use crate::write::sink::LayerSink;
use crate::write::small_map::SmallMap;

/// What a worker hands to the committer: where its detached layer is. Small, and the same on every machine.
///
/// As text (`to_string`, `parse`) it is hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt {
    pub(crate) file_id: Id,
    pub(crate) object: Id,
    pub(crate) object_bytes: u64,
    pub(crate) begun: u64,
}

/// First bytes of a receipt.
const MAGIC: [u8; 4] = *b"afr1";

impl Receipt {
    /// The version that the worker worked on.
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// Bytes of the detached layer.
    pub fn object_bytes(&self) -> u64 {
        self.object_bytes
    }

    /// The receipt as 56 bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(self.file_id);
        out.extend(self.object);
        out.extend(self.object_bytes.to_le_bytes());
        out.extend(self.begun.to_le_bytes());
        out.extend(checksum(&out).to_le_bytes());
        out
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// `InvalidArgument` if these bytes are no receipt.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let read = || {
            let (body, sum) = bytes.split_at_checked(bytes.len().saturating_sub(4))?;
            let c = &mut Cursor::new(body);
            let intact = c.take(4).ok()? == MAGIC && sum == checksum(body).to_le_bytes();
            let receipt = Self {
                file_id: c.id().ok()?,
                object: c.id().ok()?,
                object_bytes: c.u64().ok()?,
                begun: c.u64().ok()?,
            };
            (intact && c.remaining() == 0).then_some(receipt)
        };
        read()
            .ok_or_else(|| Error::invalid("these bytes are no receipt of a detached layer, or were changed"))
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl FromStr for Receipt {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        let digit = |d: &[u8]| u8::from_str_radix(std::str::from_utf8(d).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = s.trim().as_bytes().chunks(2).map(digit).collect();
        Self::from_bytes(&bytes.unwrap_or_default())
    }
}

/// Whether what was begun at a version may still be joined on top of another.
pub(crate) fn check_floor(version: &Version, begun: u64) -> Result<()> {
    let floor = version.head.footer.floor;
    if begun >= floor {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::SnapshotExpired,
        format!(
            "a detached layer was begun on version {begun}, and the versions below {floor} were given up since: `discard` and write it again"
        ),
    ))
}

impl ArrayFile {
    /// Writes the pending changes to an object of their own, which is no version yet, and hands back a receipt. Any process that
    /// has the file open can [`join`](Self::join) receipts and commit them, together and atomically. The handle has no pending changes afterwards.
    ///
    /// What can be detached: data, new arrays and groups, attributes, axes that become longer at a border of chunks. Not: other changes of shape,
    /// renames, deletions; the committer makes these. Workers that define the same array, in the same way, fill it together. What a worker
    /// wrote to the new part of an array can be joined once the committer has made the array as long.
    ///
    /// # Errors
    /// `InvalidArgument` if there are no changes, or others than these; what the storage says. The changes stay pending then.
    ///
    /// # Cost
    /// One object, written without a condition.
    pub async fn detach(&mut self) -> Result<Receipt> {
        self.check_writable()?;
        let _gate = self.inner.gate.write().await;
        self.write_detached().await.map_err(|e| self.in_file(e))
    }

    async fn write_detached(&self) -> Result<Receipt> {
        self.settle().await?;
        self.check_definitions().await?;
        check_detachable(&self.view()).await?;
        let ahead = self.take_spill().await?;
        let (version, pending) = {
            let state = self.inner.state.lock();
            (state.version.clone(), state.pending.clone())
        };
        if pending.is_empty() {
            return Err(Error::invalid("there are no changes to detach"));
        }
        let (file_id, begun) = (version.head.file_id, version.number());
        let (path, mut sink) = match ahead {
            Some(ahead) => ahead,
            None => {
                let object = self.inner.config.new_id();
                let path = names::sidecar(&version.objects.path, &file_id, ObjectId::Detached(object));
                let upload = version.objects.storage.upload_unique(&path).await?;
                (path, LayerSink::begin_detached(upload, file_id, object).await?)
            }
        };
        let object = sink.write_id();
        let mut pipeline = Pipeline::new(&version.config);
        let stored = store_chunks(&pending, &version, &mut pipeline, &mut sink).await?;
        let run = write_run(&pending, &stored, &mut sink).await?;
        let own_blocks = sink.put_block_table().await?;
        let (stored_bytes, decoded_bytes) = sink.block_bytes();
        let root = DetachedRoot { begun, stored_bytes, decoded_bytes, own_blocks, run };
        let object_bytes = publish_detached(&version.objects, &path, sink, &root).await?.object_bytes;
        let mut state = self.inner.state.lock();
        if state.pending.edits != pending.edits {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the file was changed through another clone of this handle while it was detached; nothing is lost: try again",
            ));
        }
        state.pending = Arc::new(pending.none_after());
        Ok(Receipt { file_id, object, object_bytes, begun })
    }

    /// Deletes detached layers that will not be joined. Those that are part of the newest version stay.
    ///
    /// # Errors
    /// `InvalidArgument` for a receipt of another file; what the storage says.
    pub async fn abandon(&self, receipts: &[Receipt]) -> Result<()> {
        self.check_writable()?;
        gc::abandon(&self.inner.objects, receipts).await.map_err(|e| self.in_file(e))
    }
}

/// Completes a detached layer and says what it is.
pub(crate) async fn publish_detached(
    objects: &Objects,
    path: &str,
    sink: LayerSink,
    root: &DetachedRoot,
) -> Result<ObjectEntry> {
    let (id, write_id) = (sink.object(), sink.write_id());
    let (upload, object_bytes) = sink.close_detached(root).await?;
    if let Err(e) = upload.finish(FinishMode::Create).await {
        // The answer may have been lost: nobody else has this name.
        let found = open_detached(objects, path).await;
        if !found.is_ok_and(|(layer, _)| layer.trailer.write_id == write_id) {
            return Err(e);
        }
        objects.storage.sync(path).await?;
    }
    let (stored_bytes, decoded_bytes) = (root.stored_bytes, root.decoded_bytes);
    Ok(ObjectEntry { id, write_id, object_bytes, stored_bytes, decoded_bytes, live_bytes: 0 })
}

async fn check_detachable(view: &View) -> Result<()> {
    let pending = &*view.pending;
    let refuse = |path: &str, what: &str| {
        let sentence =
            format!("{what} cannot be detached: commit it with `flush`, or let the committer do it");
        Err(Error::invalid(sentence).in_array(path))
    };
    for (path, staged) in &pending.nodes {
        match staged {
            Staged::Gone => return refuse(path, "a deletion or a change of name"),
            Staged::Node(s) if s.hides || s.origin.as_ref().is_some_and(|o| o != path) => {
                return refuse(path, "a change of name");
            }
            Staged::Node(s) => {
                if s.origin.is_some() && s.redefined && !only_grows(view, path, s).await? {
                    return refuse(path, "a change of shape or definition");
                }
                let chunks = || pending.chunks.get(&s.node.id).into_iter().flat_map(SmallMap::values);
                if s.origin.is_some() && chunks().any(|c| matches!(c, StagedChunk::Erased)) {
                    return refuse(path, "the erasure of a chunk");
                }
                // What was written ahead is the handle's own.
                let joined = |c: &StagedChunk| match c {
                    StagedChunk::Placed(p) => {
                        p.from.is_none() && pending.joined.contains(&p.chunk.block.id.object)
                    }
                    _ => false,
                };
                if chunks().any(joined) {
                    return refuse(path, "what was joined");
                }
            }
        }
    }
    Ok(())
}

/// Whether an array is as it was but for axes that became longer, at borders of chunks: no chunk that was there is another one now.
async fn only_grows(view: &View, path: &str, staged: &StagedNode) -> Result<bool> {
    let Some(before) = view.version.node(path).await?.and_then(|row| row.node) else { return Ok(false) };
    let same = before.id == staged.node.id && before.schema == staged.node.schema;
    let longer = before.shape != staged.node.shape;
    let grids = grid(&before).zip(grid(&staged.node));
    Ok(same && longer && grids.is_some_and(|(old, new)| old.only_grows_at_borders(&new)))
}

/// The rows that a committer shall add.
async fn write_run(pending: &Pending, stored: &Stored<'_>, sink: &mut LayerSink) -> Result<Run> {
    let nodes = pending.nodes.iter().filter_map(|(path, staged)| match staged {
        Staged::Node(s) => Some(NodeRow { path: path.clone(), version: 0, node: Some(row_node(s)) }),
        Staged::Gone => None,
    });
    let mut chunks = BTreeMap::new();
    for staged in pending.nodes.values() {
        let Staged::Node(s) = staged else { continue };
        let Schema::Array(schema) = &*s.node.schema else { continue };
        for (coords, placed) in stored.of(&s.node, schema) {
            let known = (placed.chunk.clone(), placed.statistics.get().into_owned());
            chunks.insert((s.node.id, coords.to_vec()), known);
        }
    }
    let mut attributes = BTreeMap::new();
    for (id, of_node) in pending.attributes.iter() {
        for (name, value) in of_node.iter() {
            let row = AttributeRow {
                name: name.to_string(),
                node: id,
                version: 0,
                value: value.as_deref().cloned(),
            };
            attributes.insert((name.clone(), id), row);
        }
    }
    let statistics = chunks.iter().map(|((node, coords), (_, s))| StatisticsRow {
        node: *node,
        coords: coords.clone(),
        version: 0,
        statistics: Some(s.clone()),
    });
    let statistics: Vec<_> = statistics.collect();
    let chunks = chunks.into_iter().map(|((node, coords), (chunk, _))| ChunkRow {
        node,
        coords,
        version: 0,
        chunk: Some(chunk),
    });
    let mut run = Run::default();
    run.directories.extend(write_table(Table::Nodes, nodes, sink).await?);
    run.directories.extend(write_table(Table::Chunks, chunks, sink).await?);
    run.directories.extend(write_table(Table::Attributes, attributes.into_values(), sink).await?);
    run.directories.extend(write_table(Table::ChunkStatistics, statistics.into_iter(), sink).await?);
    Ok(run)
}

fn row_node(staged: &StagedNode) -> Node {
    // Of a node that is there: what the worker saw, so that the committer can tell what came or went since.
    let keys = if staged.node.id & NEW_NODE == 0 { &staged.keys_below } else { &staged.node.keys };
    Node { chunk: None, keys: keys.clone(), ..staged.node.clone() }
}

async fn write_table<R: BuildRow>(
    table: Table,
    rows: impl Iterator<Item = R>,
    sink: &mut LayerSink,
) -> Result<Option<array_format_core::format::directory::Directory>> {
    let mut builder = TableBuilder::new(table);
    for row in rows {
        builder.push(row, sink).await?;
    }
    builder.finish(sink).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_come_back_and_changed_ones_do_not() {
        let receipt = Receipt { file_id: [1; 16], object: [2; 16], object_bytes: 300, begun: 7 };
        assert_eq!(receipt.to_bytes().len(), 56);
        assert_eq!(Receipt::from_bytes(&receipt.to_bytes()).unwrap(), receipt);
        assert_eq!(receipt.to_string().parse::<Receipt>().unwrap(), receipt);
        for bit in 0..56 * 8 {
            let mut bytes = receipt.to_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Receipt::from_bytes(&bytes).unwrap_err().kind(), ErrorKind::InvalidArgument);
        }
        for text in ["", "xy", "é", &receipt.to_string()[2..]] {
            assert!(text.parse::<Receipt>().is_err(), "{text}");
        }
    }
}
