//! The rows that a commit adds. Until they are written they take as little memory as they can: a million arrays may be new.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use array_format_core::block::ChunkRef;
use array_format_core::format::attributes::{self, AttributeRef, AttributeRow};
use array_format_core::format::chunks::ChunkRow;
use array_format_core::format::nodes::{self, Node, NodeRef, NodeRow, RowRef};
use array_format_core::format::page::Table;
use array_format_core::format::statistics::StatisticsRow;
use array_format_core::statistics::Statistics;
use array_format_core::value::Value;

use crate::index::build::{BuildRow, Plan, STATISTICS_BYTES, attribute_bytes, node_bytes};
use crate::write::by_id::ById;
use crate::write::pending::{Pending, Placed, StagedNode};
use crate::write::small_map::SmallMap;

/// A chunk in the row of its node.
#[derive(Debug, Clone)]
pub(crate) enum Inline {
    /// That this commit writes.
    New(Arc<Placed>),
    /// That an earlier version wrote, with its number.
    Old(Box<(ChunkRef, u64)>),
}

impl Inline {
    /// The chunk, and the version that wrote it, where this commit makes version `number`.
    pub(crate) fn chunk(&self, number: u64) -> (&ChunkRef, u64) {
        match self {
            Self::New(placed) => (&placed.chunk, number),
            Self::Old(old) => (&old.0, old.1),
        }
    }
}

/// What a node's row says: its id, what it is, and its chunk if that stands there.
pub(super) type NodeParts<'a> = (u64, &'a StagedNode, Option<Inline>);

/// A node's row to be.
struct PlannedNode<'a> {
    path: &'a str,
    version: u64,
    /// `None` is a tombstone.
    node: Option<NodeParts<'a>>,
}

/// The statistics of an array.
pub(super) enum Known {
    /// Those of its one chunk.
    Of(Arc<Placed>),
    These(Box<Statistics>),
    /// A tombstone.
    Gone,
}

/// Of one attribute: ids of nodes, and values; `None` is a tombstone.
type Column<'a> = Vec<(u64, Option<&'a Value>)>;

/// All rows that a commit adds. Of two with one key the later one counts.
#[derive(Default)]
pub(super) struct Rows<'a> {
    nodes: Vec<PlannedNode<'a>>,
    pub(super) attributes: Columns<'a>,
    statistics: Vec<(u64, Known)>,
    pub(super) chunks: Vec<ChunkRow>,
    pub(super) chunk_statistics: Vec<StatisticsRow>,
}

/// Attributes by name.
#[derive(Default)]
pub(super) struct Columns<'a> {
    all: Vec<(String, Column<'a>)>,
    places: BTreeMap<String, usize>,
    /// Where the next name is looked for first: nodes that follow each other mostly have the same ones.
    next: usize,
}

impl<'a> Columns<'a> {
    fn put(&mut self, name: &str, node: u64, value: Option<&'a Value>) {
        let guess = if self.next < self.all.len() { self.next } else { 0 };
        let place = match self.all.get(guess) {
            Some((known, _)) if known == name => guess,
            _ => match self.places.get(name) {
                Some(place) => *place,
                None => {
                    self.places.insert(name.to_owned(), self.all.len());
                    self.all.push((name.to_owned(), Vec::new()));
                    self.all.len() - 1
                }
            },
        };
        self.next = place + 1;
        if let Some((_, column)) = self.all.get_mut(place) {
            column.push((node, value));
        }
    }

    /// Puts all attributes of a new node, which has another id as long as it is pending.
    pub(super) fn put_new(&mut self, pending: &'a Pending, pending_id: u64, node: u64) {
        for (name, value) in pending.attributes.get(&pending_id).into_iter().flat_map(SmallMap::iter) {
            if value.is_some() {
                self.put(name, node, value.as_deref());
            }
        }
    }
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
    /// None, with room for those of so many nodes.
    pub(super) fn with_room(nodes: usize) -> Self {
        Self { nodes: Vec::with_capacity(nodes), statistics: Vec::with_capacity(nodes), ..Self::default() }
    }

    pub(super) fn put_node(&mut self, path: &'a str, version: u64, node: Option<NodeParts<'a>>) {
        self.nodes.push(PlannedNode { path, version, node });
    }

    pub(super) fn put_attribute(&mut self, name: &str, node: u64, value: Option<&'a Value>) {
        self.attributes.put(name, node, value);
    }

    pub(super) fn put_statistics(&mut self, node: u64, known: Known) {
        self.statistics.push((node, known));
    }

    /// Number of rows of nodes, double ones included.
    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The rows of nodes, in version `number`.
    pub(super) fn take_nodes(&mut self, number: u64) -> Nodes<'a> {
        Nodes { number, rows: sorted(std::mem::take(&mut self.nodes), |a, b| a.path.cmp(b.path)) }
    }

    pub(super) fn take_attributes(&mut self, version: u64) -> impl Plan<Row = AttributeRow> + use<'a> {
        let mut columns = std::mem::take(&mut self.attributes).all;
        columns.sort_by(|a, b| a.0.cmp(&b.0));
        let mut attributes = Attributes { version, columns: Vec::new(), ends: Vec::new() };
        for (name, column) in columns {
            let column = sorted(column, |a, b| a.0.cmp(&b.0));
            attributes.ends.push(attributes.len() + column.len());
            attributes.columns.push((name, column));
        }
        attributes
    }

    pub(super) fn take_statistics(&mut self, version: u64) -> impl Plan<Row = StatisticsRow> + use<'a> {
        let rows = sorted(std::mem::take(&mut self.statistics), |a, b| a.0.cmp(&b.0));
        OfArrays { version, rows }
    }
}

/// Rows that are there.
impl<R: BuildRow + Clone + Sync> Plan for Vec<R> {
    type Row = R;

    fn len(&self) -> usize {
        self.len()
    }

    fn row(&self, i: usize) -> R {
        self[i].clone()
    }

    fn size(&self, i: usize) -> usize {
        self[i].size()
    }

    fn is_tombstone(&self, i: usize) -> bool {
        self[i].is_tombstone()
    }

    fn page(&self, table: Table, range: Range<usize>) -> Vec<u8> {
        R::encode(table, &self[range])
    }
}

/// Rows of nodes.
pub(super) struct Nodes<'a> {
    number: u64,
    rows: Vec<PlannedNode<'a>>,
}

impl Nodes<'_> {
    fn get(&self, i: usize) -> RowRef<'_> {
        let PlannedNode { path, version, node } = &self.rows[i];
        let node = node.as_ref().map(|(id, staged, chunk)| {
            let Node { schema, shape, keys, .. } = &staged.node;
            NodeRef { id: *id, schema, shape, keys, chunk: chunk.as_ref().map(|c| c.chunk(self.number)) }
        });
        RowRef { path, version: *version, node }
    }

    /// The chunks in the rows, by the nodes' ids.
    pub(super) fn into_inline(self) -> ById<Inline> {
        let mut inline = ById::default();
        for (id, _, chunk) in self.rows.into_iter().filter_map(|n| n.node) {
            if let Some(chunk) = chunk {
                inline.insert(id, chunk);
            }
        }
        inline
    }
}

impl Plan for Nodes<'_> {
    type Row = NodeRow;

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn row(&self, i: usize) -> NodeRow {
        self.get(i).to_row()
    }

    fn size(&self, i: usize) -> usize {
        let PlannedNode { path, node, .. } = &self.rows[i];
        node_bytes(path, node.as_ref().map(|n| &n.1.node.shape[..]))
    }

    fn is_tombstone(&self, i: usize) -> bool {
        self.rows[i].node.is_none()
    }

    // All rows have the same few definitions: threads that clone them wait for each other.
    fn page(&self, _: Table, range: Range<usize>) -> Vec<u8> {
        nodes::encode_refs(&range.map(|i| self.get(i)).collect::<Vec<_>>())
    }
}

struct Attributes<'a> {
    version: u64,
    /// By name.
    columns: Vec<(String, Column<'a>)>,
    /// How many rows each column and those before it have.
    ends: Vec<usize>,
}

impl Attributes<'_> {
    fn get(&self, i: usize) -> AttributeRef<'_> {
        let of = self.ends.partition_point(|end| *end <= i);
        let (name, column) = &self.columns[of];
        let (node, value) = column[i + column.len() - self.ends[of]];
        AttributeRef { name, node, version: self.version, value }
    }
}

impl Plan for Attributes<'_> {
    type Row = AttributeRow;

    fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    fn row(&self, i: usize) -> AttributeRow {
        let AttributeRef { name, node, version, value } = self.get(i);
        AttributeRow { name: name.to_owned(), node, version, value: value.cloned() }
    }

    fn size(&self, i: usize) -> usize {
        attribute_bytes(self.get(i).value)
    }

    fn is_tombstone(&self, i: usize) -> bool {
        self.get(i).value.is_none()
    }

    fn page(&self, _: Table, range: Range<usize>) -> Vec<u8> {
        attributes::encode_refs(&range.map(|i| self.get(i)).collect::<Vec<_>>())
    }
}

/// Statistics of arrays.
struct OfArrays {
    version: u64,
    rows: Vec<(u64, Known)>,
}

impl Plan for OfArrays {
    type Row = StatisticsRow;

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn row(&self, i: usize) -> StatisticsRow {
        let (node, known) = &self.rows[i];
        let statistics = match known {
            Known::Of(placed) => Some(placed.statistics.get()),
            Known::These(statistics) => Some(Cow::Borrowed(&**statistics)),
            Known::Gone => None,
        };
        let statistics = statistics.map(Cow::into_owned);
        StatisticsRow { node: *node, coords: Vec::new(), version: self.version, statistics }
    }

    fn size(&self, _: usize) -> usize {
        STATISTICS_BYTES
    }

    fn is_tombstone(&self, i: usize) -> bool {
        matches!(self.rows[i].1, Known::Gone)
    }
}
