//! The rows that a commit adds. Until they are written they take as little memory as they can: a million arrays may be new.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use array_format_core::block::ChunkRef;
use array_format_core::format::attributes::AttributeRow;
use array_format_core::format::chunks::ChunkRow;
use array_format_core::format::nodes::{Node, NodeRow};
use array_format_core::format::statistics::StatisticsRow;
use array_format_core::statistics::Statistics;
use array_format_core::value::Value;

use crate::write::pending::{Placed, StagedNode};

/// A chunk in the row of its node, and the version that wrote it.
pub(super) type Inline = Option<(ChunkRef, u64)>;

/// A node's row to be.
struct PlannedNode<'a> {
    path: &'a str,
    version: u64,
    /// Its id and what it is; `None` is a tombstone.
    node: Option<(u64, &'a StagedNode, Inline)>,
}

/// The statistics of an array.
pub(super) enum Known {
    /// Those of its one chunk.
    Of(Arc<Placed>),
    These(Box<Statistics>),
    /// A tombstone.
    Gone,
}

/// All rows that a commit adds. Of two with one key the later one counts.
#[derive(Default)]
pub(super) struct Rows<'a> {
    nodes: Vec<PlannedNode<'a>>,
    /// By name: ids of nodes, and values; `None` is a tombstone.
    attributes: BTreeMap<String, Vec<(u64, Option<&'a Value>)>>,
    statistics: Vec<(u64, Known)>,
    pub(super) chunks: Vec<ChunkRow>,
    pub(super) chunk_statistics: Vec<StatisticsRow>,
}

/// Rows in the order of their keys.
pub(super) fn sorted<R>(mut rows: Vec<R>, order: impl Fn(&R, &R) -> Ordering) -> Vec<R> {
    // They are as a rule, and then no memory is taken to sort them.
    if !rows.is_sorted_by(|a, b| order(a, b) == Ordering::Less) {
        rows.sort_by(&order);
        rows.dedup_by(|later, earlier| {
            let same = order(later, earlier) == Ordering::Equal;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
    }
    rows
}

impl<'a> Rows<'a> {
    pub(super) fn put_node(
        &mut self,
        path: &'a str,
        version: u64,
        node: Option<(u64, &'a StagedNode, Inline)>,
    ) {
        self.nodes.push(PlannedNode { path, version, node });
    }

    pub(super) fn put_attribute(&mut self, name: &str, node: u64, value: Option<&'a Value>) {
        match self.attributes.get_mut(name) {
            Some(rows) => rows.push((node, value)),
            None => drop(self.attributes.insert(name.to_owned(), vec![(node, value)])),
        }
    }

    pub(super) fn put_statistics(&mut self, node: u64, known: Known) {
        self.statistics.push((node, known));
    }

    /// Number of rows of nodes, double ones included.
    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The chunks in the rows of nodes, by the nodes' ids.
    pub(super) fn inline(&self) -> BTreeMap<u64, (ChunkRef, u64)> {
        self.nodes.iter().filter_map(|n| n.node.as_ref()).filter_map(|n| Some((n.0, n.2.clone()?))).collect()
    }

    pub(super) fn take_nodes(&mut self) -> impl Iterator<Item = NodeRow> + use<'a> {
        let nodes = sorted(std::mem::take(&mut self.nodes), |a, b| a.path.cmp(b.path));
        nodes.into_iter().map(|PlannedNode { path, version, node }| {
            let node = node.map(|(id, staged, chunk)| {
                let Node { schema, shape, keys, .. } = &staged.node;
                Node { id, schema: schema.clone(), shape: shape.clone(), keys: keys.clone(), chunk }
            });
            NodeRow { path: path.to_owned(), version, node }
        })
    }

    pub(super) fn take_attributes(&mut self, version: u64) -> impl Iterator<Item = AttributeRow> + use<'a> {
        std::mem::take(&mut self.attributes).into_iter().flat_map(move |(name, rows)| {
            let row = move |(node, value): (u64, Option<&Value>)| AttributeRow {
                name: name.clone(),
                node,
                version,
                value: value.cloned(),
            };
            sorted(rows, |a, b| a.0.cmp(&b.0)).into_iter().map(row)
        })
    }

    pub(super) fn take_statistics(&mut self, version: u64) -> impl Iterator<Item = StatisticsRow> + use<'a> {
        let rows = sorted(std::mem::take(&mut self.statistics), |a, b| a.0.cmp(&b.0));
        rows.into_iter().map(move |(node, known)| {
            let statistics = match known {
                Known::Of(placed) => Some(placed.statistics.clone()),
                Known::These(statistics) => Some(*statistics),
                Known::Gone => None,
            };
            StatisticsRow { node, coords: Vec::new(), version, statistics }
        })
    }
}
