//! Changes that wait for a commit. Cloning shares the data.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use array_format_core::address::ObjectId;
use array_format_core::block::ChunkRef;
use array_format_core::buffer::{Elements, Values};
use array_format_core::dtype::DType;
use array_format_core::format::nodes::{KeySet, Node};
use array_format_core::grid::Grid;
use array_format_core::schema::{ArraySchema, Schema};
use array_format_core::value::Value;

use array_format_core::Result;

use super::ascending::Ascending;
use super::brief::Brief;
use super::by_id::ById;
use super::coords::Coords;
use super::flats::{Flat, Flats, HeldFlat};
use super::names::{MANY_KEYS, Names, Recent, shared_value};
use super::small_map::SmallMap;
use super::stage::{exists, holds_others, inside_of_array};
use crate::index::Version;

/// Ids of nodes that no version has yet; the commit gives them real ones.
pub(crate) const NEW_NODE: u64 = 1 << 63;

/// A node that was defined, or changed in any way.
#[derive(Debug, Clone)]
pub(crate) struct StagedNode {
    /// As readers of this handle see it. `keys` has pending attributes too.
    pub(crate) node: Node,
    /// Path of its row in the version below; `None` for a new node.
    pub(crate) origin: Option<String>,
    /// Whether name, shape or schema changed, or the node is new.
    pub(crate) redefined: bool,
    /// Whether the path was checked not to exist in the version below.
    pub(crate) checked: bool,
    /// Names of its attributes in the version below.
    pub(crate) keys_below: KeySet,
    /// Whether it stands where a node of the version below was deleted or renamed away.
    pub(crate) hides: bool,
}

/// What a path means.
#[derive(Debug, Clone)]
pub(crate) enum Staged {
    /// Deleted or renamed away: a node of the version below was there.
    Gone,
    /// Something.
    Node(Box<StagedNode>),
}

impl Staged {
    /// The id of the node that is here.
    pub(crate) fn id(&self) -> Option<u64> {
        match self {
            Self::Gone => None,
            Self::Node(staged) => Some(staged.node.id),
        }
    }
}

/// What a chunk is.
#[derive(Debug, Clone)]
pub(crate) enum StagedChunk {
    /// These elements.
    Data(Arc<Elements>),
    /// Numbers of the array's type, without a mask or filters; [`Pending::elements`] has them.
    Flat(Flat),
    /// Never written: cut off by a smaller shape, or erased.
    Erased,
    /// In a block already.
    Placed(Arc<Placed>),
}

impl StagedChunk {
    /// Whether it is in no block yet, but in memory.
    pub(crate) fn waits(&self) -> bool {
        matches!(self, Self::Data(_) | Self::Flat(_))
    }

    /// Bytes of elements in memory.
    fn heap_bytes(&self) -> u64 {
        match self {
            Self::Data(e) => e.heap_bytes() as u64,
            Self::Flat(flat) => flat.len() as u64,
            Self::Erased | Self::Placed(_) => 0,
        }
    }
}

/// A chunk that is in a block already: of a detached layer of this file, or of another file.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) chunk: ChunkRef,
    pub(crate) statistics: Brief,
    /// The version of another file that has it, for the block to be copied from.
    pub(crate) from: Option<Box<Version>>,
}

/// All changes since the last commit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pending {
    /// By path.
    pub(crate) nodes: Ascending<String, Staged>,
    /// By node id and grid coordinates. Changed through methods, which count the bytes.
    pub(crate) chunks: ById<SmallMap<Coords, StagedChunk>>,
    /// Numbers of small chunks.
    flats: Flats,
    /// Bytes of elements that wait in memory.
    bytes: u64,
    /// By node id and name; `None` is removed.
    pub(crate) attributes: ById<SmallMap<Arc<str>, Option<Arc<Value>>>>,
    names: Names,
    values: HashSet<Arc<Value>>,
    /// The key set of nodes without attributes.
    pub(crate) no_keys: KeySet,
    /// Detached layers that were joined.
    pub(crate) joined: BTreeSet<ObjectId>,
    /// Schemas of new nodes, each kept once: most of many arrays are alike.
    schemas: HashSet<Arc<Schema>>,
    /// The one that was asked for last.
    last_schema: Option<Arc<Schema>>,
    /// For the ids of new nodes.
    pub(crate) new_nodes: u64,
    /// Grows with every change.
    pub(crate) edits: u64,
}

impl StagedNode {
    /// A node as it is in the version below, or one that is new.
    pub(crate) fn new(node: Node, origin: Option<String>, checked: bool) -> Self {
        let (redefined, keys_below) = (origin.is_none(), node.keys.clone());
        Self { node, origin, redefined, checked, keys_below, hides: false }
    }
}

impl Pending {
    /// No changes, after these.
    pub(crate) fn none_after(&self) -> Self {
        let flats = self.flats.none_after();
        Self { new_nodes: self.new_nodes, edits: self.edits, flats, ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.chunks.is_empty() && self.attributes.is_empty()
    }

    /// Whether a new node can have this path, as far as pending changes tell.
    ///
    /// # Errors
    /// `AlreadyExists`; `InvalidArgument` if a part of it is an array.
    pub(crate) fn check_free(&self, path: &str) -> Result<()> {
        let last = self.nodes.last();
        for (at, _) in path.match_indices('/') {
            // What holds the node before it is no array, as was found out then.
            if last.is_some_and(|(last, staged)| staged.id().is_some() && last.get(..=at) == path.get(..=at))
            {
                continue;
            }
            let parent = path.get(..at).unwrap_or_default();
            if let Some(Staged::Node(s)) = self.nodes.get(parent)
                && matches!(*s.node.schema, Schema::Array(_))
            {
                return Err(inside_of_array(parent, path));
            }
        }
        if self.nodes.all_below(path) {
            return Ok(());
        }
        let prefix = format!("{path}/");
        let mut below = self.nodes_from(&prefix).take_while(|s| s.0.starts_with(&prefix));
        match (self.nodes.get(path), below.any(|s| s.1.id().is_some())) {
            (Some(Staged::Node(_)), _) => Err(exists(path)),
            (_, true) => Err(holds_others(path)),
            _ => Ok(()),
        }
    }

    /// The same schema as others have that are equal.
    pub(crate) fn shared(&mut self, schema: ArraySchema) -> Arc<Schema> {
        if let Some(last) = &self.last_schema
            && matches!(&**last, Schema::Array(last) if **last == schema)
        {
            return last.clone();
        }
        let schema = Arc::new(Schema::Array(Arc::new(schema)));
        let shared = match self.schemas.get(&schema) {
            Some(known) => known.clone(),
            None => {
                self.schemas.insert(schema.clone());
                schema
            }
        };
        self.last_schema.insert(shared).clone()
    }

    /// Puts an attribute of a pending node in; `None` removes it. `false` if nothing pending has this path.
    pub(crate) fn put_attribute(&mut self, path: &str, name: &str, value: Option<Value>) -> bool {
        let Some(Staged::Node(staged)) = self.nodes.get_mut(path) else { return false };
        let keys = &mut staged.node.keys;
        if let Some(value) = &value
            && let Some(again) = self.names.again(keys, name)
        {
            if *again.value != *value {
                again.value = shared_value(&mut self.values, value.clone());
            }
            *keys = again.after.clone();
            self.attributes.entry(staged.node.id).insert(again.name.clone(), Some(again.value.clone()));
            return true;
        }
        let before = (value.is_some() && keys.len() < MANY_KEYS).then(|| keys.clone());
        match (keys.binary_search_by(|k| k.as_str().cmp(name)), &value) {
            (Ok(i), None) => drop(Arc::make_mut(keys).remove(i)),
            (Err(i), Some(_)) if keys.len() >= MANY_KEYS => Arc::make_mut(keys).insert(i, name.to_owned()),
            (Err(i), Some(_)) => *keys = self.names.grown(keys, i, name),
            _ => {}
        }
        let name = self.names.shared(name);
        let value = value.map(|v| shared_value(&mut self.values, v));
        if let Some((before, value)) = before.zip(value.clone()) {
            let after = keys.clone();
            self.names.note(Recent { name: name.clone(), value, before, after });
        }
        self.attributes.entry(staged.node.id).insert(name, value);
        true
    }

    /// An id for a new node.
    pub(crate) fn new_id(&mut self) -> u64 {
        self.new_nodes += 1;
        NEW_NODE | self.new_nodes
    }

    /// Puts a node at a path, whatever was deleted there before.
    pub(crate) fn put(&mut self, path: &str, mut staged: Box<StagedNode>) {
        staged.hides = matches!(self.nodes.get(path), Some(Staged::Gone));
        self.nodes.insert(path.to_owned(), Staged::Node(staged));
    }

    /// Takes a node away from a path, and leaves behind what hides the one of the version below, if there is one.
    pub(crate) fn take(&mut self, path: &str) -> Option<Box<StagedNode>> {
        match self.nodes.remove(path)? {
            Staged::Node(staged) => {
                if staged.hides || staged.origin.as_deref() == Some(path) {
                    self.nodes.insert(path.to_owned(), Staged::Gone);
                }
                Some(staged)
            }
            gone => {
                self.nodes.insert(path.to_owned(), gone);
                None
            }
        }
    }

    /// What is pending from a path on.
    pub(crate) fn nodes_from(&self, path: &str) -> impl Iterator<Item = (&String, &Staged)> {
        self.nodes.range::<str>(Bound::Included(path), Bound::Unbounded)
    }

    pub(crate) fn chunk(&self, node: u64, coords: &[u64]) -> Option<&StagedChunk> {
        self.chunks.get(&node)?.get(coords)
    }

    /// Puts chunks of a node in, in the place of what they were.
    pub(crate) fn put_chunks<C: Into<Coords>>(
        &mut self,
        node: u64,
        chunks: impl IntoIterator<Item = (C, StagedChunk)>,
    ) {
        let of_node = self.chunks.entry(node);
        for (coords, chunk) in chunks {
            self.bytes += chunk.heap_bytes();
            if let Some(old) = of_node.insert(coords.into(), chunk) {
                self.bytes -= old.heap_bytes();
                if let StagedChunk::Flat(flat) = old {
                    self.flats.free(flat);
                }
            }
        }
    }

    /// Puts all numbers of a small chunk in, which has neither mask nor filters, as they are in memory.
    pub(crate) fn put_flat(&mut self, node: u64, coords: Coords, numbers: &[u8]) {
        let flat = StagedChunk::Flat(self.flats.put(numbers));
        self.put_chunks(node, [(coords, flat)]);
    }

    /// Numbers of a small chunk.
    pub(crate) fn flat(&self, flat: Flat) -> &[u8] {
        self.flats.get(flat)
    }

    /// The same, to be kept.
    pub(crate) fn held(&self, flat: Flat) -> HeldFlat {
        self.flats.held(flat)
    }

    /// The elements of a chunk that waits in memory, of an array of this type.
    pub(crate) fn elements(&self, chunk: &StagedChunk, dtype: DType) -> Option<Arc<Elements>> {
        match chunk {
            StagedChunk::Data(elements) => Some(elements.clone()),
            StagedChunk::Flat(flat) => {
                let values = Values::Fixed(self.flats.get(*flat).to_vec());
                Some(Arc::new(Elements { dtype, values, validity: None }))
            }
            StagedChunk::Erased | StagedChunk::Placed(_) => None,
        }
    }

    /// Changes the elements of a chunk that waits in memory. `None` if there is none.
    pub(crate) fn change_chunk<R>(
        &mut self,
        node: u64,
        coords: &[u64],
        dtype: DType,
        f: impl FnOnce(&mut Elements) -> R,
    ) -> Option<R> {
        if let Some(flat @ StagedChunk::Flat(_)) = self.chunk(node, coords) {
            let elements = self.elements(flat, dtype)?;
            self.put_chunks(node, [(coords, StagedChunk::Data(elements))]);
        }
        let Some(StagedChunk::Data(elements)) = self.chunks.get_mut(&node)?.get_mut(coords) else {
            return None;
        };
        let elements = Arc::make_mut(elements);
        self.bytes -= elements.heap_bytes() as u64;
        let result = f(elements);
        self.bytes += elements.heap_bytes() as u64;
        Some(result)
    }

    /// Forgets all data and attributes of a node that is going away.
    pub(crate) fn forget(&mut self, node: u64) {
        let chunks = self.chunks.remove(&node);
        for chunk in chunks.iter().flat_map(SmallMap::values) {
            self.bytes -= chunk.heap_bytes();
            if let StagedChunk::Flat(flat) = chunk {
                self.flats.free(*flat);
            }
        }
        self.attributes.remove(&node);
    }

    /// Whether data is to be written ahead, of which `most` bytes may wait in memory, and so many are being encoded.
    pub(crate) fn should_spill(&self, most: u64, encoding: u64) -> bool {
        self.bytes > most || self.bytes.saturating_sub(encoding) > unencoded(most)
    }

    /// Bytes of elements that wait in memory for a commit.
    pub(crate) fn data_bytes(&self) -> u64 {
        self.bytes
    }
}

/// How many bytes wait as they are, where pending data may take `most`; of more, some is encoded while the caller goes on.
pub(crate) fn unencoded(most: u64) -> u64 {
    most / 4
}

/// The chunks of an array, without a grid where there is one chunk.
pub(crate) enum Cells<'n> {
    One(&'n [u64]),
    Many(Grid),
}

impl<'n> Cells<'n> {
    pub(crate) fn of(node: &'n Node, schema: &ArraySchema) -> Self {
        match &schema.chunk_shape {
            None => Self::One(&node.shape),
            Some(chunk) => Self::Many(Grid { shape: node.shape.clone(), chunk: chunk.clone() }),
        }
    }

    /// Whether there is a chunk here.
    pub(crate) fn contains(&self, coords: &[u64]) -> bool {
        match self {
            Self::One(shape) => {
                coords.len() == shape.len() && coords.iter().all(|k| *k == 0) && !shape.contains(&0)
            }
            Self::Many(grid) => grid.contains(coords),
        }
    }

    pub(crate) fn extents(&self, coords: &[u64]) -> Cow<'_, [u64]> {
        match self {
            Self::One(shape) => Cow::Borrowed(shape),
            Self::Many(grid) => Cow::Owned(grid.extents(coords)),
        }
    }
}

/// The grid of an array.
pub(crate) fn grid(node: &Node) -> Option<Grid> {
    match &*node.schema {
        Schema::Array(a) => Some(Grid { shape: node.shape.clone(), chunk: a.chunk_extents(&node.shape) }),
        Schema::Group(_) => None,
    }
}

/// Where the version below has a chunk: in the node's row, or perhaps in table 2.
pub(crate) fn inline_chunk<'n>(node: &'n Node, coords: &[u64]) -> Option<&'n ChunkRef> {
    node.chunk.as_ref().filter(|_| coords.iter().all(|k| *k == 0)).map(|c| &c.0)
}
