//! Changes that wait for a commit. Cloning shares the data.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use array_format_core::address::ObjectId;
use array_format_core::block::ChunkRef;
use array_format_core::buffer::Elements;
use array_format_core::format::nodes::{KeySet, Node};
use array_format_core::grid::Grid;
use array_format_core::schema::Schema;
use array_format_core::statistics::Statistics;
use array_format_core::value::Value;

use super::small_map::SmallMap;
use crate::index::Version;

/// Key sets of which it is remembered what they grew to.
const MOST_GROWN: usize = 4096;

/// Attributes from which on a node has a key set of its own, which is changed in place.
const MANY_KEYS: usize = 32;

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
    /// Never written: cut off by a smaller shape, or erased.
    Erased,
    /// In a block already.
    Placed(Arc<Placed>),
}

impl StagedChunk {
    /// Bytes of elements in memory.
    fn heap_bytes(&self) -> u64 {
        match self {
            Self::Data(e) => e.heap_bytes() as u64,
            Self::Erased | Self::Placed(_) => 0,
        }
    }
}

/// A chunk that is in a block already: of a detached layer of this file, or of another file.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) chunk: ChunkRef,
    pub(crate) statistics: Statistics,
    /// The version of another file that has it, for the block to be copied from.
    pub(crate) from: Option<Version>,
}

/// All changes since the last commit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pending {
    /// By path.
    pub(crate) nodes: BTreeMap<String, Staged>,
    /// By node id and grid coordinates. Changed through methods, which count the bytes.
    pub(crate) chunks: BTreeMap<u64, SmallMap<Vec<u64>, StagedChunk>>,
    /// Bytes of elements that wait in memory.
    bytes: u64,
    /// By node id and name; `None` is removed.
    pub(crate) attributes: BTreeMap<u64, SmallMap<Arc<str>, Option<Value>>>,
    names: Names,
    /// The key set of nodes without attributes.
    pub(crate) no_keys: KeySet,
    /// Detached layers that were joined.
    pub(crate) joined: BTreeSet<ObjectId>,
    /// Schemas of new nodes, each kept once: most of many arrays are alike.
    pub(crate) schemas: HashSet<Arc<Schema>>,
    /// For the ids of new nodes.
    pub(crate) new_nodes: u64,
    /// Grows with every change.
    pub(crate) edits: u64,
}

/// Names of attributes: many nodes have the same ones.
#[derive(Debug, Clone, Default)]
struct Names {
    /// Each kept once.
    known: HashSet<Arc<str>>,
    /// Key sets that were grown by a name, by their addresses, with what they became.
    grown: HashMap<usize, (KeySet, SmallMap<Arc<str>, KeySet>)>,
}

impl Names {
    fn shared(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        let name: Arc<str> = name.into();
        self.known.insert(name.clone());
        name
    }

    /// A key set with one name more, at `place`: the same one for all that were the same.
    fn grown(&mut self, keys: &KeySet, place: usize, name: &str) -> KeySet {
        let at = Arc::as_ptr(keys).addr();
        if let Some(known) = self.grown.get(&at).and_then(|(_, grown)| grown.get(name)) {
            return known.clone();
        }
        let mut more = Vec::with_capacity(keys.len() + 1);
        more.extend_from_slice(keys);
        more.insert(place, name.to_owned());
        let more = Arc::new(more);
        if self.grown.len() >= MOST_GROWN {
            self.grown.clear();
        }
        let name = self.shared(name);
        // It is kept, so that nothing else gets its address.
        let (_, grown) = self.grown.entry(at).or_insert_with(|| (keys.clone(), SmallMap::default()));
        grown.insert(name, more.clone());
        more
    }
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
        Self { new_nodes: self.new_nodes, edits: self.edits, ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.chunks.is_empty() && self.attributes.is_empty()
    }

    /// The same schema as others have that are equal.
    pub(crate) fn shared(&mut self, schema: Arc<Schema>) -> Arc<Schema> {
        if let Some(known) = self.schemas.get(&schema) {
            return known.clone();
        }
        self.schemas.insert(schema.clone());
        schema
    }

    /// Puts an attribute of a pending node in; `None` removes it. `false` if nothing pending has this path.
    pub(crate) fn put_attribute(&mut self, path: &str, name: &str, value: Option<Value>) -> bool {
        let Some(Staged::Node(staged)) = self.nodes.get_mut(path) else { return false };
        let keys = &mut staged.node.keys;
        match (keys.binary_search_by(|k| k.as_str().cmp(name)), &value) {
            (Ok(i), None) => drop(Arc::make_mut(keys).remove(i)),
            (Err(i), Some(_)) if keys.len() >= MANY_KEYS => Arc::make_mut(keys).insert(i, name.to_owned()),
            (Err(i), Some(_)) => *keys = self.names.grown(keys, i, name),
            _ => {}
        }
        let name = self.names.shared(name);
        self.attributes.entry(staged.node.id).or_default().insert(name, value);
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

    pub(crate) fn chunk(&self, node: u64, coords: &[u64]) -> Option<&StagedChunk> {
        self.chunks.get(&node)?.get(coords)
    }

    /// Puts chunks of a node in, in the place of what they were.
    pub(crate) fn put_chunks(
        &mut self,
        node: u64,
        chunks: impl IntoIterator<Item = (Vec<u64>, StagedChunk)>,
    ) {
        let of_node = self.chunks.entry(node).or_default();
        for (coords, chunk) in chunks {
            self.bytes += chunk.heap_bytes();
            self.bytes -= of_node.insert(coords, chunk).map_or(0, |old| old.heap_bytes());
        }
    }

    /// Changes the elements of a chunk that waits in memory. `None` if there is none.
    pub(crate) fn change_chunk<R>(
        &mut self,
        node: u64,
        coords: &[u64],
        f: impl FnOnce(&mut Elements) -> R,
    ) -> Option<R> {
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
        self.bytes -= chunks.iter().flat_map(SmallMap::values).map(StagedChunk::heap_bytes).sum::<u64>();
        self.attributes.remove(&node);
    }

    /// Bytes of elements that wait in memory for a commit.
    pub(crate) fn data_bytes(&self) -> u64 {
        self.bytes
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
