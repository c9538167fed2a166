//! Pages of arrays and groups: `docs/format.md` section 7.

use std::sync::Arc;

use crate::block::{BlockMeta, ChunkRef};
use crate::cursor::{Cursor, put_bytes, put_varint};
use crate::error::{Error, Result};
use crate::format::blocks::{ChunkColumn, Interner, put_chunk_refs};
use crate::format::column::put_extension;
use crate::format::front_coded::{FrontCoded, front_coded, put_front_coded};
use crate::format::numbers::{Numbers, put_ints};
use crate::format::page::{Table, begin, enter};
use crate::grid::element_count;
use crate::schema::{ArraySchema, Schema, check_extents};

/// The names of a node's attributes, sorted.
pub type KeySet = Arc<Vec<String>>;

/// An array or group as its row has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Never given twice in a file; the root group has 0.
    pub id: u64,
    /// Its definition.
    pub schema: Arc<Schema>,
    /// Array: extents. Group: lengths of the declared dimensions.
    pub shape: Vec<u64>,
    /// Names of its attributes.
    pub keys: KeySet,
    /// The chunk of an array with one grid cell, and the version that wrote it.
    pub chunk: Option<(ChunkRef, u64)>,
}

/// A row: what a path means from a version on.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeRow {
    /// The path.
    pub path: String,
    /// The version that last changed the definition.
    pub version: u64,
    /// `None`: a tombstone.
    pub node: Option<Node>,
}

/// An array of one chunk, as its row has it.
#[derive(Debug, Clone, Copy)]
pub struct Single<'p> {
    /// Its definition.
    pub schema: &'p ArraySchema,
    /// Extents.
    pub shape: Extents<'p>,
    /// The block that holds the chunk.
    pub block: &'p Arc<BlockMeta>,
    /// First byte of the chunk in the decoded block.
    pub offset: u64,
    /// Bytes of the chunk in the decoded block.
    pub length: u64,
}

/// The extents of a row.
#[derive(Debug, Clone, Copy)]
pub struct Extents<'p> {
    all: &'p Numbers,
    from: usize,
    to: usize,
}

impl Extents<'_> {
    /// How many there are: the rank.
    pub fn len(&self) -> usize {
        self.to - self.from
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        (self.from..self.to).map(|i| self.all.at(i))
    }

    /// Elements of such an array.
    ///
    /// # Errors
    /// As [`element_count`].
    pub fn elements(&self) -> Result<usize> {
        let one = (self.len() == 1).then(|| usize::try_from(self.all.at(self.from)).ok());
        one.flatten().map_or_else(|| element_count(&self.iter().collect::<Vec<_>>()), Ok)
    }
}

const TOMBSTONE: u64 = 0;
const GROUP: u64 = 1;
const ARRAY: u64 = 2;

/// Most extents that the rows of a page may have together, unless the page has more bytes.
pub const MAX_EXTENTS: usize = 1 << 21;

/// What a row is made of, where it is not kept.
#[derive(Debug, Clone, Copy)]
pub struct RowRef<'a> {
    /// The path.
    pub path: &'a str,
    /// The version that last changed the definition.
    pub version: u64,
    /// `None`: a tombstone.
    pub node: Option<NodeRef<'a>>,
}

/// The same of a [`Node`].
#[derive(Debug, Clone, Copy)]
pub struct NodeRef<'a> {
    /// As in [`Node`].
    pub id: u64,
    /// Its definition.
    pub schema: &'a Arc<Schema>,
    /// Extents, or lengths of dimensions.
    pub shape: &'a [u64],
    /// Names of its attributes.
    pub keys: &'a KeySet,
    /// The chunk of an array with one grid cell, and the version that wrote it.
    pub chunk: Option<(&'a ChunkRef, u64)>,
}

impl<'a> From<&'a NodeRow> for RowRef<'a> {
    fn from(row: &'a NodeRow) -> Self {
        let node = row.node.as_ref().map(|Node { id, schema, shape, keys, chunk }| {
            let chunk = chunk.as_ref().map(|(chunk, version)| (chunk, *version));
            NodeRef { id: *id, schema, shape, keys, chunk }
        });
        Self { path: &row.path, version: row.version, node }
    }
}

impl RowRef<'_> {
    /// The row.
    pub fn to_row(&self) -> NodeRow {
        let node = self.node.map(|NodeRef { id, schema, shape, keys, chunk }| Node {
            id,
            schema: schema.clone(),
            shape: shape.to_vec(),
            keys: keys.clone(),
            chunk: chunk.map(|(chunk, version)| (chunk.clone(), version)),
        });
        NodeRow { path: self.path.to_owned(), version: self.version, node }
    }
}

/// Encodes rows that are sorted by path.
pub fn encode(rows: &[NodeRow]) -> Vec<u8> {
    encode_refs(&rows.iter().map(RowRef::from).collect::<Vec<_>>())
}

/// The same of rows that are not kept.
pub fn encode_refs(rows: &[RowRef<'_>]) -> Vec<u8> {
    let mut out = begin(Table::Nodes, rows.len());
    put_front_coded(&mut out, rows.iter().map(|r| r.path.as_bytes()));
    let mut column =
        |f: &dyn Fn(&RowRef<'_>) -> u64| put_ints(&mut out, &rows.iter().map(f).collect::<Vec<_>>());
    column(&|r| match r.node.map(|n| &**n.schema) {
        None => TOMBSTONE,
        Some(Schema::Group(_)) => GROUP,
        Some(Schema::Array(_)) => ARRAY,
    });
    column(&|r| r.version);
    column(&|r| r.node.map_or(0, |n| n.id));
    let (mut schemas, mut key_sets) = (Interner::default(), Interner::default());
    let (mut last_schema, mut last_keys) = (None, None);
    let schema = rows.iter().map(|r| r.node.map_or(0, |n| schemas.index_after(&mut last_schema, n.schema)));
    put_ints(&mut out, &schema.collect::<Vec<_>>());
    put_varint(&mut out, schemas.list().len() as u64);
    for schema in schemas.list() {
        let mut record = Vec::new();
        schema.encode(&mut record);
        put_bytes(&mut out, &record);
    }
    let key_set = rows.iter().map(|r| r.node.map_or(0, |n| key_sets.index_after(&mut last_keys, n.keys)));
    put_ints(&mut out, &key_set.collect::<Vec<_>>());
    put_varint(&mut out, key_sets.list().len() as u64);
    for keys in key_sets.list() {
        put_varint(&mut out, keys.len() as u64);
        keys.iter().for_each(|k| put_bytes(&mut out, k.as_bytes()));
    }
    let nodes = || rows.iter().filter_map(|r| r.node);
    put_ints(&mut out, &nodes().flat_map(|n| n.shape.iter().copied()).collect::<Vec<_>>());
    put_chunk_refs(&mut out, rows.iter().map(|r| r.node?.chunk.map(|c| c.0)));
    put_ints(&mut out, &nodes().filter_map(|n| n.chunk.map(|c| c.1)).collect::<Vec<_>>());
    put_extension(&mut out);
    out
}

/// A decoded page.
#[derive(Debug)]
pub struct NodesPage {
    paths: FrontCoded,
    kind: Numbers,
    version: Numbers,
    id: Numbers,
    schema: Numbers,
    schemas: Vec<Arc<Schema>>,
    key_set: Numbers,
    key_sets: Vec<KeySet>,
    /// First extent of each row in `shape`, and the end of the last.
    extents: Numbers,
    shape: Numbers,
    chunks: ChunkColumn,
    chunk_version: Numbers,
}

impl NodesPage {
    /// Decodes a page.
    ///
    /// # Errors
    /// `Corrupt`, or `Unsupported` for definitions of a later version.
    pub fn decode(page: &[u8]) -> Result<Self> {
        let c = &mut Cursor::new(page);
        let n = enter(c, Table::Nodes)?;
        let (paths, ascend) = front_coded(c, n)?;
        if !paths.are_utf8() {
            return Err(Error::corrupt("a path is not UTF-8"));
        }
        if !ascend {
            return Err(Error::corrupt("the paths of a page are not sorted"));
        }
        let mut column = || Numbers::read(c, n);
        let (kind, version, id, schema) = (column()?, column()?, column()?, column()?);
        let count = c.count(2)?;
        let schemas =
            (0..count).map(|_| Schema::decode(c.bytes()?).map(Arc::new)).collect::<Result<Vec<_>>>()?;
        let key_set = Numbers::read(c, n)?;
        let count = c.count(1)?;
        let keys = |c: &mut Cursor<'_>| -> Result<KeySet> {
            let n = c.count(1)?;
            Ok(Arc::new((0..n).map(|_| Ok(c.str()?.to_owned())).collect::<Result<_>>()?))
        };
        let key_sets = (0..count).map(|_| keys(c)).collect::<Result<Vec<_>>>()?;
        let rank = |row: usize| -> Result<usize> {
            let kind = kind.at(row);
            if kind == TOMBSTONE {
                return Ok(0);
            }
            let at = |v: &Numbers| usize::try_from(v.at(row)).unwrap_or(usize::MAX);
            let schema = schemas.get(at(&schema)).filter(|_| at(&key_set) < key_sets.len());
            let fits = |s: &Arc<Schema>| matches!(**s, Schema::Array(_)) == (kind == ARRAY);
            let schema = schema.filter(|s| kind <= ARRAY && fits(s));
            Ok(schema.ok_or_else(|| Error::corrupt("a node without a definition"))?.rank())
        };
        let alike = n > 0 && [&kind, &schema, &key_set].iter().all(|column| column.constant().is_some());
        let extents = if alike {
            Numbers::progression(0, rank(0)? as u64, n + 1)
        } else {
            let mut ends = vec![0];
            for row in 0..n {
                ends.push(ends[row] + rank(row)? as u64);
            }
            Numbers::packed(&ends)
        };
        let end = extents.at(n) as usize;
        // Constant extents take no byte each, and many groups can share one definition of many dimensions.
        if end > MAX_EXTENTS.max(page.len()) {
            return Err(Error::corrupt(format!("a page of {} bytes with {end} extents", page.len())));
        }
        let shape = Numbers::read(c, end)?;
        let chunks = ChunkColumn::decode(c, n)?;
        let chunk_version = Numbers::read(c, chunks.with_chunk())?;
        let page = Self {
            paths,
            kind,
            version,
            id,
            schema,
            schemas,
            key_set,
            key_sets,
            extents,
            shape,
            chunks,
            chunk_version,
        };
        page.check()?;
        Ok(page)
    }

    fn check(&self) -> Result<()> {
        // Definitions were checked when they were read. One extent alone is never too many elements.
        if self.schemas.iter().any(|schema| schema.rank() > 1) {
            let mut shape = Vec::new();
            for row in (0..self.len()).filter(|row| self.is_array(*row)) {
                shape.clear();
                shape.extend(self.shape_of(row).iter());
                check_extents(&shape).map_err(|e| Error::corrupt(e.message()))?;
            }
        }
        self.chunk_version.check_below(usize::MAX, "version")
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.kind.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kind.is_empty()
    }

    /// The path of a row.
    pub fn path(&self, row: usize) -> String {
        // All were found to be UTF-8.
        String::from_utf8(self.paths.get(row)).unwrap_or_default()
    }

    /// Whether there is such a row, and this is its path.
    pub fn is_at(&self, row: usize, path: &str) -> bool {
        self.paths.is(row, path.as_bytes())
    }

    /// Node id of a row that is no tombstone.
    pub fn id(&self, row: usize) -> Option<u64> {
        (self.kind.get(row)? != TOMBSTONE).then(|| self.id.at(row))
    }

    /// Whether a row is an array.
    pub fn is_array(&self, row: usize) -> bool {
        self.kind.get(row) == Some(ARRAY)
    }

    /// Whether the node of a row has an attribute of this name.
    pub fn has_key(&self, row: usize, key: &str) -> bool {
        self.id(row).is_some()
            && self.key_sets.get(self.key_set.at(row) as usize).is_some_and(|k| k.iter().any(|x| x == key))
    }

    /// First row whose path is not below these bytes.
    pub fn lower_bound(&self, path: &[u8]) -> usize {
        self.paths.lower_bound(path)
    }

    /// The row of a path.
    pub fn find(&self, path: &str) -> Option<usize> {
        let row = self.lower_bound(path.as_bytes());
        self.is_at(row, path).then_some(row)
    }

    /// Definition and extents of a row that is an array of one chunk which was written, and where that chunk is.
    pub fn single(&self, row: usize) -> Option<Single<'_>> {
        let Some(Schema::Array(schema)) = self.schemas.get(self.schema.get(row)? as usize).map(|s| &**s)
        else {
            return None;
        };
        let (block, offset, length) = self.chunks.place(row).filter(|_| self.is_array(row))?;
        Some(Single { schema, shape: self.shape_of(row), block, offset, length })
    }

    /// The blocks that hold the chunks of its arrays of one chunk.
    pub fn blocks(&self) -> &[Arc<BlockMeta>] {
        self.chunks.blocks()
    }

    fn shape_of(&self, row: usize) -> Extents<'_> {
        // Below the number of extents: what `decode` counted is what it read.
        Extents {
            all: &self.shape,
            from: self.extents.at(row) as usize,
            to: self.extents.at(row + 1) as usize,
        }
    }

    /// A row; `row` must be below [`NodesPage::len`].
    pub fn row(&self, row: usize) -> NodeRow {
        let node = (self.kind.at(row) != TOMBSTONE).then(|| Node {
            id: self.id.at(row),
            schema: self.schemas[self.schema.at(row) as usize].clone(),
            shape: self.shape_of(row).iter().collect(),
            keys: self.key_sets[self.key_set.at(row) as usize].clone(),
            chunk: self
                .chunks
                .get(row)
                .map(|c| (c, self.chunk_version.get(self.chunks.nth(row)).unwrap_or(0))),
        });
        NodeRow { path: self.path(row), version: self.version.at(row), node }
    }

    /// Bytes in memory, about.
    pub fn heap_bytes(&self) -> usize {
        let Self { kind, version, id, schema, key_set, extents, shape, chunk_version, .. } = self;
        let numbers = [kind, version, id, schema, key_set, extents, shape, chunk_version];
        self.paths.heap_bytes()
            + numbers.map(Numbers::heap_bytes).iter().sum::<usize>()
            + self.chunks.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::GroupSchema;

    #[test]
    fn groups_that_share_many_dimensions_do_not_take_more_memory_than_bounded() {
        let page = |groups: usize| {
            let dimensions = vec![String::new(); 4096];
            let schema = GroupSchema { unlimited: vec![false; dimensions.len()], dimensions };
            let schema = Arc::new(Schema::Group(schema));
            let keys = KeySet::default();
            let row = |i: usize| {
                let shape = vec![0; schema.rank()];
                let node = Node { id: 1, schema: schema.clone(), shape, keys: keys.clone(), chunk: None };
                NodeRow { path: format!("{i:04}"), version: 1, node: Some(node) }
            };
            encode(&(0..groups).map(row).collect::<Vec<_>>())
        };
        let most = MAX_EXTENTS / 4096;
        assert!(page(most + 1).len() < 10_000);
        assert_eq!(NodesPage::decode(&page(most)).unwrap().len(), most);
        let e = NodesPage::decode(&page(most + 1)).unwrap_err();
        assert!(e.message().contains("extents"), "{e}");
    }
}
