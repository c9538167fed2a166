//! From pending changes to a layer: rows, blocks, pages, root.

use std::collections::HashSet;
use std::sync::Arc;

use array_format_core::address::ObjectId;
use array_format_core::block::ChunkRef;
use array_format_core::footer::{Cause, Footer, ObjectEntry, Run};
use array_format_core::format::nodes::{Node, NodeRow};
use array_format_core::format::page::Table;
use array_format_core::format::statistics::StatisticsRow;
use array_format_core::format::trailer::Id;
use array_format_core::schema::{ArraySchema, Schema};
use array_format_core::statistics::Statistics;
use array_format_core::{Error, ErrorKind, Result};
use rustc_hash::FxHashMap;

use super::blocks::{Stored, StoredChunk, store_chunks};
use super::own_entry;
use super::rows::{Columns, Inline, Known, Rows, sorted};
use super::runs::{Merge, absorb};
use crate::index::Version;
use crate::read::View;
use crate::storage::Upload;
use crate::write::by_id::ById;
use crate::write::encode::Pipeline;
use crate::write::pending::{NEW_NODE, Pending, Staged, StagedNode};
use crate::write::pool::both;
use crate::write::sink::LayerSink;
use crate::write::small_map::SmallMap;
use crate::write::spill::TakenChunk;

/// A layer that is written but not visible.
pub(crate) struct Built {
    pub(crate) upload: Box<dyn Upload>,
    pub(crate) footer: Footer,
    /// The ids that new nodes got.
    pub(crate) ids: Arc<ById<u64>>,
    /// The chunks in the rows of changed nodes, by the nodes' ids.
    pub(crate) inline: ById<Inline>,
}

pub(super) struct Builder<'a> {
    pub(super) view: View,
    pub(super) pending: &'a Pending,
    pub(super) number: u64,
    sink: LayerSink,
    pub(super) rows: Rows<'a>,
    ids: Arc<ById<u64>>,
    objects: Vec<ObjectEntry>,
    /// Where in `objects` an object is.
    places: FxHashMap<ObjectId, usize>,
    /// The object that was counted last, and where it is.
    last_place: Option<(ObjectId, usize)>,
    /// Ids of the nodes that are somewhere after the commit, once that is asked for.
    staying: Option<HashSet<u64>>,
    arrays: i64,
    groups: i64,
}

/// Writes the layer of the version after `version`. Of `ahead` it takes chunks that are encoded already.
pub(crate) async fn build(
    version: &Version,
    pending: &Pending,
    ahead: &mut Pipeline<TakenChunk>,
    message: &str,
    write_id: Id,
    sink: LayerSink,
) -> Result<Built> {
    let number = version.next_number()?;
    let footer = &version.head.footer;
    let mut builder = Builder {
        view: View { version: version.clone(), pending: Arc::default() },
        pending,
        number,
        sink,
        rows: Rows::with_room(pending.nodes.len()),
        ids: Arc::default(),
        objects: footer.objects.clone(),
        places: footer.objects.iter().enumerate().map(|(i, o)| (o.id, i)).collect(),
        last_place: None,
        staying: None,
        arrays: 0,
        groups: 0,
    };
    let next_node = builder.give_ids(footer.next_node)?;
    let stored = store_chunks(pending, version, ahead, &mut builder.sink).await?;
    if pending.nodes.len() >= MANY && pending.nodes.values().all(|s| new_single(s).is_some()) {
        builder.put_all_new(&stored)?;
    } else {
        stored.all().try_for_each(|placed| builder.enliven(&placed.chunk))?;
        for (path, staged) in &pending.nodes {
            match (staged, new_single(staged)) {
                (Staged::Gone, _) => builder.remove(path).await?,
                (_, Some((s, schema))) => {
                    builder.put_new(path, s, stored.of(&s.node, schema).next());
                    let id = builder.id(s.node.id);
                    builder.rows.attributes.put_new(pending, s.node.id, id);
                }
                (Staged::Node(s), None) => builder.put(path, s, &stored).await?,
            }
        }
    }
    // Rows have what they need of it, and rows of a million arrays need the memory.
    drop(stored);
    builder.finish(message, write_id, next_node).await
}

/// Fewer nodes are put down in less time than another thread takes to begin.
const MANY: usize = 1024;

/// A new array of one chunk whose path nothing had, so that it needs no look at the version below: what most of many arrays are.
fn new_single(staged: &Staged) -> Option<(&StagedNode, &ArraySchema)> {
    let Staged::Node(s) = staged else { return None };
    let Schema::Array(schema) = &*s.node.schema else { return None };
    let is_new = s.origin.is_none() && s.checked && !s.hides;
    (is_new && schema.chunk_shape.is_none()).then_some((&**s, schema))
}

impl<'a> Builder<'a> {
    /// Gives ids to new nodes in the order of their paths, so that neighbours have neighbouring ids.
    fn give_ids(&mut self, mut next: u64) -> Result<u64> {
        let mut ids = ById::default();
        for staged in self.pending.nodes.values() {
            if let Staged::Node(s) = staged
                && s.node.id & NEW_NODE != 0
            {
                ids.insert(s.node.id, next);
                next = next.saturating_add(1);
            }
        }
        self.ids = Arc::new(ids);
        match next & NEW_NODE {
            0 => Ok(next),
            _ => Err(Error::invalid("the file has had 2^63 nodes; no more are possible")),
        }
    }

    fn id(&self, pending: u64) -> u64 {
        self.ids.get(&pending).copied().unwrap_or(pending)
    }

    /// Counts a chunk as live. Detached layers come into the file with the first of theirs.
    fn enliven(&mut self, chunk: &ChunkRef) -> Result<()> {
        let id = chunk.block.id.object;
        let is_last = self.last_place.is_some_and(|(last, _)| last == id);
        if !is_last
            && !self.places.contains_key(&id)
            && let Some(layer) = self.view.version.objects.detached(id)
        {
            crate::detached::check_floor(&self.view.version, layer.begun)?;
            self.add_object(layer.entry);
        }
        self.live(chunk, true);
        Ok(())
    }

    fn add_object(&mut self, entry: ObjectEntry) {
        self.places.insert(entry.id, self.objects.len());
        self.objects.push(entry);
    }

    /// Counts a chunk as live, or as dead.
    pub(super) fn live(&mut self, chunk: &ChunkRef, live: bool) {
        let id = chunk.block.id.object;
        let is_last = self.last_place.is_some_and(|(last, _)| last == id);
        if !is_last && id == ObjectId::Layer(self.number) && !self.places.contains_key(&id) {
            self.add_object(own_entry(self.number, [0; 16]));
        }
        let place = match self.last_place {
            Some((last, place)) if last == id => Some(place),
            _ => self.places.get(&id).copied(),
        };
        self.last_place = place.map(|place| (id, place));
        if let Some(entry) = place.and_then(|i| self.objects.get_mut(i)) {
            entry.live_bytes = match live {
                true => entry.live_bytes.saturating_add(chunk.length),
                false => entry.live_bytes.saturating_sub(chunk.length),
            };
        }
    }

    /// A path that leads nowhere any more. If its node is not elsewhere now, its data is dead.
    async fn remove(&mut self, path: &'a str) -> Result<()> {
        let Some(NodeRow { node: Some(node), .. }) = self.view.version.node(path).await? else {
            return Ok(());
        };
        let all = self.pending;
        let staying = self.staying.get_or_insert_with(|| all.nodes.values().filter_map(Staged::id).collect());
        let moved = staying.contains(&node.id);
        self.rows.put_node(path, self.number, None);
        self.count(&node, -1);
        if moved {
            return Ok(());
        }
        for (_, source) in self.view.written_chunks(&node).await? {
            if let crate::read::view::ChunkSource::Stored(chunk) = source {
                self.live(&chunk, false);
            }
        }
        // Its attributes and statistics would be ignored, for nothing has its id; taking them along makes columns smaller.
        for key in node.keys.iter() {
            self.rows.put_attribute(key, node.id, None);
        }
        if matches!(*node.schema, Schema::Array(_)) {
            self.rows.put_statistics(node.id, Known::Gone);
        }
        Ok(())
    }

    fn count(&mut self, node: &Node, n: i64) {
        match &*node.schema {
            Schema::Array(_) => self.arrays += n,
            Schema::Group(_) if node.id != 0 => self.groups += n,
            Schema::Group(_) => {}
        }
    }

    /// A node that is new or changed.
    async fn put(&mut self, path: &'a str, staged: &'a StagedNode, stored: &Stored<'a>) -> Result<()> {
        let below = match &staged.origin {
            Some(origin) => {
                let row = self.view.version.node(origin).await?;
                let row = row.filter(|r| r.node.as_ref().is_some_and(|n| n.id == staged.node.id));
                Some(row.ok_or_else(|| {
                    Error::new(ErrorKind::Conflict, "another writer deleted or renamed it").in_array(path)
                })?)
            }
            None => {
                if let Some(NodeRow { node: Some(_), .. }) = self.view.version.node(path).await?
                    && !staged.checked
                    && !staged.hides
                {
                    return Err(Error::new(
                        ErrorKind::AlreadyExists,
                        "something has this name already; `delete` this definition, or use `redefine`",
                    )
                    .in_array(path));
                }
                None
            }
        };
        let id = self.id(staged.node.id);
        let base = below.as_ref().and_then(|r| r.node.clone());
        if staged.origin.as_deref() != Some(path) {
            // Something else may have had this path: it is hidden by the row of this one.
            self.bury(path, id).await?;
            self.count(&staged.node, 1);
        }
        let version = match (&below, staged.redefined) {
            (Some(row), false) => row.version,
            _ => self.number,
        };
        let inline = match &*staged.node.schema {
            Schema::Array(schema) => match base.is_none() && schema.chunk_shape.is_none() {
                true => self.put_single(id, stored.of(&staged.node, schema).next()),
                false => {
                    let new: Vec<_> = stored.of(&staged.node, schema).collect();
                    self.put_chunks(id, &staged.node, base.as_ref(), &new).await?
                }
            },
            Schema::Group(_) => None,
        };
        let pending: &'a Pending = self.pending;
        for (name, value) in pending.attributes.get(&staged.node.id).into_iter().flat_map(SmallMap::iter) {
            if value.is_some() || base.as_ref().is_some_and(|b| b.keys.iter().any(|k| **k == **name)) {
                self.rows.put_attribute(name, id, value.as_deref());
            }
        }
        self.rows.put_node(path, version, Some((id, staged, inline)));
        Ok(())
    }

    /// As [`put`](Self::put), of [such an array](new_single), its attributes aside.
    fn put_new(&mut self, path: &'a str, staged: &'a StagedNode, new: Option<StoredChunk<'_>>) {
        let id = self.id(staged.node.id);
        self.count(&staged.node, 1);
        let inline = self.put_single(id, new);
        self.rows.put_node(path, self.number, Some((id, staged, inline)));
    }

    /// All nodes, each of which is [such an array](new_single): their attributes are gathered beside them.
    fn put_all_new(&mut self, stored: &Stored<'a>) -> Result<()> {
        let (pending, ids) = (self.pending, self.ids.clone());
        let nodes = || {
            for (path, staged) in &pending.nodes {
                let Some((s, schema)) = new_single(staged) else { continue };
                let new = stored.of(&s.node, schema).next();
                if let Some((_, placed)) = new {
                    self.enliven(&placed.chunk)?;
                }
                self.put_new(path, s, new);
            }
            Ok(())
        };
        let attributes = || {
            let mut columns = Columns::default();
            for id in pending.nodes.values().filter_map(|s| Some(new_single(s)?.0.node.id)) {
                columns.put_new(pending, id, ids.get(&id).copied().unwrap_or(id));
            }
            columns
        };
        let (done, attributes) = both(nodes, attributes);
        self.rows.attributes = attributes;
        done
    }

    /// The chunk of a new array that has no more than one, and its statistics.
    fn put_single(&mut self, id: u64, new: Option<StoredChunk<'_>>) -> Option<Inline> {
        let Some((_, placed)) = new else {
            self.rows.put_statistics(id, Known::These(Box::new(Statistics::empty())));
            return None;
        };
        self.rows.put_statistics(id, Known::Of(placed.clone()));
        Some(Inline::New(placed.clone()))
    }

    /// Counts what stood at a path as gone, unless it moved.
    async fn bury(&mut self, path: &'a str, id: u64) -> Result<()> {
        let below = self.view.version.node(path).await?.and_then(|r| r.node).filter(|n| n.id != id);
        if below.is_some() {
            self.remove(path).await?;
        }
        Ok(())
    }

    async fn finish(mut self, message: &str, write_id: Id, next_node: u64) -> Result<Built> {
        let version = self.view.version.clone();
        let footer = &version.head.footer;
        let own_blocks = self.sink.put_block_table().await?;
        let mut rows = std::mem::take(&mut self.rows);
        let small = rows.nodes() < 64;
        let absorbed = absorb(&footer.runs, small);
        let (merged, kept) = footer.runs.split_at(absorbed);
        let drop_tombstones = kept.is_empty();
        let mut run = Run::default();
        let m = Merge { version: &version, runs: merged, drop_tombstones };
        let sink = &mut self.sink;
        let nodes = rows.take_nodes(self.number);
        run.directories.extend(m.table(Table::Nodes, &nodes, sink).await?);
        let inline = nodes.into_inline();
        let chunks = sorted(rows.chunks.split_off(0), |a, b| (a.node, &a.coords).cmp(&(b.node, &b.coords)));
        run.directories.extend(m.table(Table::Chunks, &chunks, sink).await?);
        let attributes = rows.take_attributes(self.number);
        run.directories.extend(m.table(Table::Attributes, &attributes, sink).await?);
        drop(attributes);
        let of_arrays = rows.take_statistics(self.number);
        run.directories.extend(m.table(Table::ArrayStatistics, &of_arrays, sink).await?);
        drop(of_arrays);
        let by_chunk = |a: &StatisticsRow, b: &StatisticsRow| (a.node, &a.coords).cmp(&(b.node, &b.coords));
        let of_chunks = sorted(rows.chunk_statistics.split_off(0), by_chunk);
        run.directories.extend(m.table(Table::ChunkStatistics, &of_chunks, sink).await?);
        let mut runs = vec![run];
        runs.extend_from_slice(kept);
        runs.retain(|r| !r.directories.is_empty());
        let (stored_bytes, decoded_bytes) = self.sink.block_bytes();
        let own = ObjectId::Layer(self.number);
        let live_bytes = self.objects.iter().find(|o| o.id == own).map_or(0, |o| o.live_bytes);
        self.objects.retain(|o| o.id != own);
        let add = |n: u64, d: i64| n.saturating_add_signed(d);
        let mut footer = Footer {
            next_node,
            arrays: add(footer.arrays, self.arrays),
            groups: add(footer.groups, self.groups),
            objects: self.objects,
            runs,
            own_blocks,
            ..footer.successor(Cause::Commit, version.config.now_ms(), message)
        };
        footer.keep_needed();
        footer.objects.push(ObjectEntry {
            stored_bytes,
            decoded_bytes,
            live_bytes,
            ..own_entry(self.number, write_id)
        });
        let (upload, footer) = self.sink.close(footer).await?;
        Ok(Built { upload, footer, ids: self.ids, inline })
    }
}
