//! What a file should hold, kept in plain maps and vectors: the library is compared with it after every step.

mod check;
mod element;
mod merge;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use array_format::Value;

pub use check::{check_snapshot, recompute};
pub use element::{Item, Kind};

/// An array as a user sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelArray {
    /// Element type.
    pub kind: Kind,
    /// Extents in elements.
    pub shape: Vec<u64>,
    /// Extents of a chunk; `None`: the array is one chunk.
    pub chunk: Option<Vec<u64>>,
    /// What was never written reads as this.
    pub fill: Item,
    /// All elements, in row-major order.
    pub data: Vec<Item>,
    /// Grid coordinates of the chunks that were written.
    pub written: BTreeSet<Vec<u64>>,
}

/// An array or an explicit group.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelNode {
    /// Stays with the node when it is renamed.
    pub id: u64,
    /// `None`: a group.
    pub array: Option<ModelArray>,
    /// Attributes by name.
    pub attributes: BTreeMap<String, Value>,
}

/// A version of a file, or what a handle with pending changes sees.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ModelState {
    /// Nodes by path; the root group has the path "".
    pub nodes: BTreeMap<String, ModelNode>,
}

impl ModelNode {
    /// A new node: an array, or a group.
    pub fn new(array: Option<ModelArray>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), array, attributes: BTreeMap::new() }
    }
}

/// A change. Names of groups are resolved to the nodes below them.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A new array, or an explicit group.
    Put(String, ModelNode),
    /// These paths are gone.
    Delete(Vec<String>),
    /// These paths have these new names.
    Move(Vec<(String, String)>),
    /// A region of elements.
    Write {
        /// The array.
        path: String,
        /// First element.
        start: Vec<u64>,
        /// Extents.
        shape: Vec<u64>,
        /// The elements.
        items: Vec<Item>,
    },
    /// A new shape.
    Resize(String, Vec<u64>),
    /// An attribute is set, or removed.
    Attribute(String, String, Option<Value>),
}

/// All indices of a box, in row-major order.
pub fn indices(shape: &[u64]) -> Vec<Vec<u64>> {
    shape.iter().fold(vec![Vec::new()], |heads, n| {
        heads.iter().flat_map(|h| (0..*n).map(move |i| [h.as_slice(), &[i]].concat())).collect()
    })
}

fn flat(shape: &[u64], index: &[u64]) -> usize {
    shape.iter().zip(index).fold(0, |at, (n, i)| at * n + i) as usize
}

impl ModelArray {
    /// Nothing written.
    pub fn new(kind: Kind, shape: Vec<u64>, chunk: Option<Vec<u64>>, fill: Item) -> Self {
        let data = vec![fill.clone(); shape.iter().product::<u64>() as usize];
        Self { kind, shape, chunk, fill, data, written: BTreeSet::new() }
    }

    /// The grid cell of an element.
    pub fn cell(&self, index: &[u64]) -> Vec<u64> {
        match &self.chunk {
            Some(chunk) => index.iter().zip(chunk).map(|(i, c)| i / c).collect(),
            None => vec![0; index.len()],
        }
    }

    /// The element at an index.
    pub fn at(&self, index: &[u64]) -> &Item {
        &self.data[flat(&self.shape, index)]
    }

    fn write(&mut self, start: &[u64], shape: &[u64], items: &[Item]) {
        for (offset, item) in indices(shape).iter().zip(items) {
            let index: Vec<u64> = start.iter().zip(offset).map(|(s, o)| s + o).collect();
            let at = flat(&self.shape, &index);
            self.data[at] = item.clone();
            self.written.insert(self.cell(&index));
        }
    }

    fn resize(&mut self, shape: &[u64]) {
        let old = std::mem::replace(
            self,
            Self::new(self.kind, shape.to_vec(), self.chunk.clone(), self.fill.clone()),
        );
        let mut cells = BTreeSet::new();
        for index in indices(shape) {
            cells.insert(self.cell(&index));
            if index.iter().zip(&old.shape).all(|(i, n)| i < n) {
                let at = flat(shape, &index);
                self.data[at] = old.at(&index).clone();
            }
        }
        self.written = old.written.intersection(&cells).cloned().collect();
    }
}

impl ModelState {
    /// Paths of a node and of all below it.
    pub fn tree(&self, path: &str) -> Vec<String> {
        let below = format!("{path}/");
        self.nodes.keys().filter(|p| *p == path || p.starts_with(&below)).cloned().collect()
    }

    /// Whether a path is a group, explicit or only part of another path.
    pub fn is_group(&self, path: &str) -> bool {
        match self.nodes.get(path) {
            Some(node) => node.array.is_none(),
            None => path.is_empty() || !self.tree(path).is_empty(),
        }
    }

    /// Whether a part of the path is an array.
    pub fn inside_array(&self, path: &str) -> bool {
        path.match_indices('/').any(|(at, _)| self.nodes.get(&path[..at]).is_some_and(|n| n.array.is_some()))
    }

    /// Whether an array can be defined here.
    pub fn is_free(&self, path: &str) -> bool {
        self.tree(path).is_empty() && !self.inside_array(path)
    }

    /// The array of a path.
    pub fn array(&self, path: &str) -> Option<&ModelArray> {
        self.nodes.get(path).and_then(|n| n.array.as_ref())
    }

    /// Paths of all arrays, sorted.
    pub fn arrays(&self) -> Vec<String> {
        self.nodes.iter().filter(|n| n.1.array.is_some()).map(|n| n.0.clone()).collect()
    }

    /// Paths of all groups but the root, sorted.
    pub fn groups(&self) -> Vec<String> {
        let mut groups = BTreeSet::new();
        for (path, node) in &self.nodes {
            groups.extend(path.match_indices('/').map(|(at, _)| path[..at].to_owned()));
            if node.array.is_none() && !path.is_empty() {
                groups.insert(path.clone());
            }
        }
        groups.into_iter().collect()
    }

    /// Makes a change. `false` if it makes no sense here.
    pub fn apply(&mut self, change: &Change) -> bool {
        match change {
            Change::Put(path, node) => {
                if self.nodes.contains_key(path) || self.inside_array(path) {
                    return false;
                }
                self.nodes.insert(path.clone(), node.clone());
            }
            Change::Delete(paths) => return paths.iter().all(|p| self.nodes.remove(p).is_some()),
            Change::Move(moves) => {
                for (from, to) in moves {
                    let Some(node) = self.nodes.remove(from) else { return false };
                    if self.nodes.insert(to.clone(), node).is_some() {
                        return false;
                    }
                }
            }
            Change::Write { path, start, shape, items } => match self.array_mut(path) {
                Some(array) if start.iter().zip(shape).zip(&array.shape).all(|((s, n), m)| s + n <= *m) => {
                    array.write(start, shape, items);
                }
                _ => return false,
            },
            Change::Resize(path, shape) => match self.array_mut(path) {
                Some(array) => array.resize(shape),
                None => return false,
            },
            Change::Attribute(path, name, value) => {
                if !self.nodes.contains_key(path) {
                    if !self.is_group(path) {
                        return false;
                    }
                    self.nodes.insert(path.clone(), ModelNode::new(None));
                }
                if let Some(node) = self.nodes.get_mut(path) {
                    match value {
                        Some(value) => node.attributes.insert(name.clone(), value.clone()),
                        None => node.attributes.remove(name),
                    };
                }
            }
        }
        true
    }

    fn array_mut(&mut self, path: &str) -> Option<&mut ModelArray> {
        self.nodes.get_mut(path).and_then(|n| n.array.as_mut())
    }
}
