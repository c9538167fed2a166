//! Joining detached layers: their changes become pending, and the next commit makes them part of the file.

use std::collections::HashMap;
use std::sync::Arc;

use array_format_core::address::ObjectId;
use array_format_core::footer::{ObjectEntry, Run};
use array_format_core::format::attributes::AttributeRow;
use array_format_core::format::chunks::ChunkRow;
use array_format_core::format::nodes::{Node, NodeRow};
use array_format_core::format::page::Table;
use array_format_core::format::statistics::StatisticsRow;
use array_format_core::schema::Schema;
use array_format_core::statistics::Statistics;
use array_format_core::{Error, ErrorKind, Result};

use crate::detached::{Receipt, check_floor};
use crate::file::ArrayFile;
use crate::index::Version;
use crate::index::scan::{KeyRange, Row};
use crate::layer::head::open_detached;
use crate::layer::names;
use crate::layer::object::JoinedLayer;
use crate::read::View;
use crate::write::brief::Brief;
use crate::write::pending::{NEW_NODE, Pending, Placed, Staged, StagedChunk, StagedNode, grid};
use crate::write::stage::{check_surroundings, put_attribute};

impl ArrayFile {
    /// Makes the changes of detached layers pending, all of them or none. They are then read like changes of one's own, and the next
    /// [`flush`](Self::flush) commits them, together with whatever else is pending, as one version.
    ///
    /// # Errors
    /// `Conflict` that names array and chunk or attribute, if a layer changes what was committed after its worker began, what another of the layers changes, or
    /// what is pending; `SnapshotExpired` if the version that a worker began on was given up; `NotFound` if a layer is gone;
    /// `AlreadyExists` if it is part of the file; `InvalidArgument` for a receipt of another file. Nothing changed then.
    ///
    /// # Cost
    /// One request or two a layer, and the index pages of what is changed; the data is not read.
    pub async fn join(&mut self, receipts: &[Receipt]) -> Result<()> {
        self.check_writable()?;
        let _gate = self.inner.gate.write().await;
        self.join_all(receipts).await.map_err(|e| self.in_file(e))
    }

    async fn join_all(&self, receipts: &[Receipt]) -> Result<()> {
        self.settle().await?;
        if receipts.iter().any(|r| r.begun > self.view().version.number()) {
            self.catch_up().await?;
        }
        let view = self.view();
        let mut join = Join { pending: view.pending.clone(), version: view.version.clone(), begun: 0 };
        for receipt in receipts {
            let run = join.open(receipt).await?;
            join.begun = receipt.begun;
            join.add(&run).await?;
            Arc::make_mut(&mut join.pending).joined.insert(ObjectId::Detached(receipt.object));
        }
        let mut state = self.inner.state.lock();
        if state.pending.edits != view.pending.edits {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the file was changed through another clone of this handle meanwhile; nothing is lost: try again",
            ));
        }
        Arc::make_mut(&mut join.pending).edits += 1;
        state.pending = join.pending;
        Ok(())
    }
}

/// Pending changes that grow by those of one layer after the other.
struct Join {
    version: Version,
    pending: Arc<Pending>,
    /// The version that the worker of the layer in hand worked on.
    begun: u64,
}

/// The pending ids and paths of a layer's nodes, and what its worker saw of them.
type Nodes = HashMap<u64, (u64, String, Node)>;

fn conflict(path: &str, what: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("a detached layer cannot be joined: {what}")).in_array(path)
}

impl Join {
    /// Checks that the layer of a receipt can be joined, and makes its object known.
    async fn open(&self, receipt: &Receipt) -> Result<Run> {
        let (version, id) = (&self.version, ObjectId::Detached(receipt.object));
        if receipt.file_id != version.head.file_id {
            return Err(Error::invalid(
                "this receipt is of another file, or of one that was at this path before",
            ));
        }
        check_floor(version, receipt.begun)?;
        if version.head.footer.object(id).is_some() || self.pending.joined.contains(&id) {
            return Err(
                Error::new(ErrorKind::AlreadyExists, "this detached layer was joined already").in_layer(id)
            );
        }
        let path = names::sidecar(&version.objects.path, &receipt.file_id, id);
        let (layer, root) = match open_detached(&version.objects, &path).await {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                return Err(Error::not_found("the detached layer is gone: it was abandoned or collected")
                    .in_layer(id));
            }
            opened => opened?,
        };
        let trailer = &layer.trailer;
        if trailer.write_id != receipt.object
            || trailer.file_id != receipt.file_id
            || trailer.object_bytes != receipt.object_bytes
            || root.begun != receipt.begun
        {
            return Err(
                Error::corrupt("the detached layer is not the one that the receipt means").in_layer(id)
            );
        }
        let entry = ObjectEntry {
            id,
            write_id: receipt.object,
            object_bytes: receipt.object_bytes,
            stored_bytes: root.stored_bytes,
            decoded_bytes: root.decoded_bytes,
            live_bytes: 0,
        };
        version.objects.join(JoinedLayer { entry, begun: root.begun });
        version.objects.remember(receipt.object, layer.object);
        Ok(root.run)
    }

    fn view(&self) -> View {
        View { version: self.version.clone(), pending: self.pending.clone() }
    }

    async fn rows<R: Row>(&self, run: &Run, table: Table) -> Result<Vec<R>> {
        let mut scan = self.version.scan_runs::<R>(std::slice::from_ref(run), table, KeyRange::all()).await?;
        let mut rows = Vec::new();
        while let Some(row) = scan.next().await? {
            rows.push(row);
        }
        Ok(rows)
    }

    async fn add(&mut self, run: &Run) -> Result<()> {
        let mut nodes = Nodes::new();
        for row in self.rows::<NodeRow>(run, Table::Nodes).await? {
            let Some(seen) = row.node else { continue };
            let (old, id) = (seen.id, self.add_node(&row.path, &seen).await?);
            nodes.insert(old, (id, row.path, seen));
        }
        let mut statistics: HashMap<(u64, Vec<u64>), Statistics> = HashMap::new();
        for row in self.rows::<StatisticsRow>(run, Table::ChunkStatistics).await? {
            statistics.insert((row.node, row.coords), row.statistics.unwrap_or_default());
        }
        for row in self.rows::<ChunkRow>(run, Table::Chunks).await? {
            let known = statistics.remove(&(row.node, row.coords.clone())).unwrap_or_default();
            self.add_chunk(row, known, &nodes).await?;
        }
        for row in self.rows::<AttributeRow>(run, Table::Attributes).await? {
            self.add_attribute(row, &nodes).await?;
        }
        Ok(())
    }

    /// Finds or defines a node, and says which pending id it has.
    async fn add_node(&mut self, path: &str, seen: &Node) -> Result<u64> {
        let found = self.view().node(path).await?;
        if seen.id & NEW_NODE != 0 {
            return match found {
                // Defined by the committer, or another worker, in the same way.
                Some(node)
                    if node.id & NEW_NODE != 0 && node.schema == seen.schema && node.shape == seen.shape =>
                {
                    Ok(node.id)
                }
                Some(_) => Err(conflict(path, "it defines this name, and something else has it")),
                None => {
                    match check_surroundings(&self.view(), path).await {
                        // A group that has a row now and had none.
                        Err(e)
                            if e.kind() == ErrorKind::AlreadyExists
                                && matches!(*seen.schema, Schema::Group(_)) => {}
                        checked => checked.map_err(|e| conflict(path, e.message()))?,
                    }
                    let pending = Arc::make_mut(&mut self.pending);
                    let id = pending.new_id();
                    let node = Node { id, keys: Arc::default(), chunk: None, ..seen.clone() };
                    pending.put(path, Box::new(StagedNode::new(node, None, true)));
                    Ok(id)
                }
            };
        }
        let node = match found {
            Some(node) if node.id == seen.id => node,
            // The root group has a row only once it has something to say.
            None if seen.id == 0 && path.is_empty() => {
                Node { keys: Arc::default(), chunk: None, ..seen.clone() }
            }
            _ => return Err(conflict(path, "another writer deleted or renamed what it changes")),
        };
        if node.schema != seen.schema {
            return Err(conflict(path, "another writer changed the definition"));
        }
        if !matches!(self.pending.nodes.get(path), Some(Staged::Node(_))) {
            let there = self.version.node(path).await?.is_some_and(|r| r.node.is_some());
            let origin = there.then(|| path.to_owned());
            let staged = Box::new(StagedNode::new(node.clone(), origin, true));
            Arc::make_mut(&mut self.pending).put(path, staged);
        }
        Ok(node.id)
    }

    async fn add_chunk(&mut self, row: ChunkRow, statistics: Statistics, nodes: &Nodes) -> Result<()> {
        let known = nodes.get(&row.node).zip(row.chunk);
        let ((id, path, seen), chunk) =
            known.ok_or_else(|| Error::corrupt("a chunk of no array in a detached layer"))?;
        let taken = |what: &str| Err(conflict(path, &format!("chunk {:?} {what}", row.coords)));
        if self.pending.chunk(*id, &row.coords).is_some() {
            return taken("is changed by another layer, or by what is pending");
        }
        let now = match self.pending.nodes.get(path) {
            Some(Staged::Node(s)) => grid(&s.node),
            _ => None,
        };
        let same_box = now.zip(grid(seen)).is_some_and(|(now, then)| {
            then.contains(&row.coords)
                && now.contains(&row.coords)
                && now.extents(&row.coords) == then.extents(&row.coords)
        });
        if !same_box {
            return taken("has another shape by now");
        }
        if id & NEW_NODE == 0 {
            let below = self.version.node(path).await?.and_then(|r| r.node);
            let inline = below.and_then(|n| n.chunk).map_or(0, |c| c.1);
            let table = self.version.chunk(*id, &row.coords).await?.map_or(0, |r| r.version);
            let is_origin = row.coords.iter().all(|k| *k == 0);
            if table > self.begun || (is_origin && inline > self.begun) {
                return taken("was committed by another writer since the worker began");
            }
        }
        let placed = Placed { chunk, statistics: Brief::new(statistics), from: None };
        let chunk = StagedChunk::Placed(Arc::new(placed));
        Arc::make_mut(&mut self.pending).put_chunks(*id, [(row.coords, chunk)]);
        Ok(())
    }

    async fn add_attribute(&mut self, row: AttributeRow, nodes: &Nodes) -> Result<()> {
        let (id, path, seen) = nodes
            .get(&row.node)
            .ok_or_else(|| Error::corrupt("an attribute of nothing in a detached layer"))?;
        let taken = |by: &str| Err(conflict(path, &format!("attribute {:?} is changed by {by}", row.name)));
        if let Some(other) = self.pending.attributes.get(id).and_then(|a| a.get(row.name.as_str())) {
            return if other.as_deref() == row.value.as_ref() {
                Ok(())
            } else {
                taken("another layer, or by what is pending")
            };
        }
        if id & NEW_NODE == 0 {
            let committed = self.version.attribute(&row.name, *id).await?;
            let node = self.version.node(path).await?.and_then(|r| r.node);
            // The tombstone of one that was removed may be gone.
            let came_or_went =
                node.is_some_and(|n| n.keys.contains(&row.name) != seen.keys.contains(&row.name));
            if came_or_went || committed.is_some_and(|a| a.0 > self.begun) {
                return taken("a commit since the worker began");
            }
        }
        put_attribute(Arc::make_mut(&mut self.pending), path, &row.name, row.value)
    }
}
