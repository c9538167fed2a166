//! Pages of attributes: `docs/format.md` section 10, table 3.

use crate::cursor::{Cursor, put_bytes, put_varint};
use crate::dtype::Scalar;
use crate::error::{Error, Result};
use crate::format::blocks::Interner;
use crate::format::column::{fixed, put_extension, put_fixed, rows as row_count};
use crate::format::numbers::{Numbers, ints, put_ints};
use crate::format::page::{Table, attribute_key, begin, enter};
use crate::value::{ScalarValue, Value};

/// A row: an attribute of a node from a version on.
#[derive(Debug, Clone, PartialEq)]
pub struct AttributeRow {
    /// Name of the attribute.
    pub name: String,
    /// The array or group.
    pub node: u64,
    /// The version that wrote the row.
    pub version: u64,
    /// `None`: a tombstone.
    pub value: Option<Value>,
}

impl AttributeRow {
    /// The row's key.
    pub fn key(&self) -> Vec<u8> {
        attribute_key(&self.name, self.node)
    }
}

/// What a row is made of, where it is not kept.
#[derive(Debug, Clone, Copy)]
pub struct AttributeRef<'a> {
    /// Name of the attribute.
    pub name: &'a str,
    /// The array or group.
    pub node: u64,
    /// The version that wrote the row.
    pub version: u64,
    /// `None`: a tombstone.
    pub value: Option<&'a Value>,
}

const PLAIN: u8 = 0;
const DICTIONARY: u8 = 1;

/// Values whose place in the dictionary is known by where they lie in memory: writers keep those once that are equal.
const REMEMBERED: usize = 512;
/// For fewer rows nothing is remembered.
const WORTH_REMEMBERING: usize = 128;

/// The dictionary of values, and what each row says: 0, or 1 + the index of its value.
fn dictionary<'a>(rows: &[AttributeRef<'a>]) -> (Interner<&'a Value>, Vec<u64>) {
    let mut dictionary = Interner::default();
    let slots = if rows.len() < WORTH_REMEMBERING { 0 } else { REMEMBERED };
    let mut remembered: Vec<Option<(*const Value, u64)>> = vec![None; slots];
    let mut index_of = |value: &'a Value| {
        let address = std::ptr::from_ref(value);
        let slot = ((address.addr() / 16) ^ (address.addr() / (16 * REMEMBERED))) % REMEMBERED;
        match remembered.get(slot).copied().flatten() {
            Some((known, index)) if known == address => index,
            _ => {
                let index = 1 + dictionary.index(&value);
                if let Some(slot) = remembered.get_mut(slot) {
                    *slot = Some((address, index));
                }
                index
            }
        }
    };
    let index = rows.iter().map(|r| r.value.map_or(0, &mut index_of)).collect();
    (dictionary, index)
}

fn put_values(out: &mut Vec<u8>, rows: &[AttributeRef<'_>]) {
    let (dictionary, index) = dictionary(rows);
    let scalars: Option<Vec<&ScalarValue>> = rows
        .iter()
        .map(|r| match r.value {
            Some(Value::Scalar(s)) => Some(s),
            _ => None,
        })
        .collect();
    // Plain is worth it where values hardly repeat: a dictionary entry costs its value and an index.
    if let Some(scalars) = scalars
        && let [first, ..] = scalars[..]
        && scalars.iter().all(|s| s.item() == first.item())
        && dictionary.list().len() * 2 > rows.len()
        && rows.len() > 1
    {
        let values: Vec<u8> = scalars.iter().flat_map(|s| s.bytes()).copied().collect();
        out.extend([PLAIN, first.item().code()]);
        put_fixed(out, &values, first.item().size_bytes());
        return;
    }
    out.push(DICTIONARY);
    put_varint(out, dictionary.list().len() as u64);
    dictionary.list().iter().for_each(|v| v.encode(out));
    put_ints(out, &index);
}

/// Encodes rows that are sorted by name and node.
pub fn encode(rows: &[AttributeRow]) -> Vec<u8> {
    let refs = rows.iter().map(|r| {
        let AttributeRow { name, node, version, value } = r;
        AttributeRef { name, node: *node, version: *version, value: value.as_ref() }
    });
    encode_refs(&refs.collect::<Vec<_>>())
}

/// The same of rows that are not kept.
pub fn encode_refs(rows: &[AttributeRef<'_>]) -> Vec<u8> {
    let mut out = begin(Table::Attributes, rows.len());
    let groups: Vec<&[AttributeRef<'_>]> = rows.chunk_by(|a, b| a.name == b.name).collect();
    put_varint(&mut out, groups.len() as u64);
    for group in groups {
        put_bytes(&mut out, group[0].name.as_bytes());
        put_varint(&mut out, group.len() as u64);
        put_ints(&mut out, &group.iter().map(|r| r.node).collect::<Vec<_>>());
        put_ints(&mut out, &group.iter().map(|r| r.version).collect::<Vec<_>>());
        put_values(&mut out, group);
    }
    put_extension(&mut out);
    out
}

#[derive(Debug)]
enum ValueColumn {
    Plain { item: Scalar, bytes: Vec<u8> },
    Dictionary { values: Vec<Value>, index: Numbers },
}

/// The rows of one attribute name in a page.
#[derive(Debug)]
pub struct AttributeGroup {
    /// The name.
    pub name: String,
    /// Nodes, ascending.
    pub nodes: Vec<u64>,
    version: Numbers,
    values: ValueColumn,
}

impl AttributeGroup {
    /// Reads a group of at most `left` rows: they take no byte each, so that only the page's number of rows bounds all groups.
    fn decode(c: &mut Cursor<'_>, left: usize) -> Result<Self> {
        let name = c.str()?.to_owned();
        let n = row_count(c)?;
        if n > left {
            return Err(Error::corrupt("the attributes of a page have more rows than the page"));
        }
        let (nodes, version) = (ints(c, n)?, Numbers::read(c, n)?);
        if nodes.windows(2).any(|w| w[0] >= w[1]) {
            return Err(Error::corrupt("the nodes of an attribute are not sorted"));
        }
        let values = match c.u8()? {
            PLAIN => {
                let code = c.u8()?;
                let item = Scalar::from_code(code)
                    .ok_or_else(|| Error::unsupported(format!("attribute values of type {code}")))?;
                let bytes = fixed(c, n, item.size_bytes())?;
                if item == Scalar::Bool && bytes.iter().any(|b| *b > 1) {
                    return Err(Error::corrupt("a bool that is neither 0 nor 1"));
                }
                ValueColumn::Plain { item, bytes }
            }
            DICTIONARY => {
                let d = c.count(1)?;
                let values = (0..d).map(|_| Value::decode(c)).collect::<Result<Vec<_>>>()?;
                let index = Numbers::read(c, n)?;
                index.check_below(d + 1, "attribute value")?;
                ValueColumn::Dictionary { values, index }
            }
            form => return Err(Error::unsupported(format!("attribute columns of form {form}"))),
        };
        Ok(Self { name, nodes, version, values })
    }

    /// Version and value of a row; `None` is a tombstone.
    pub fn get(&self, row: usize) -> (u64, Option<Value>) {
        let value = match &self.values {
            ValueColumn::Plain { item, bytes } => {
                let size = item.size_bytes();
                let bytes = bytes.get(row * size..(row + 1) * size);
                bytes.and_then(|b| ScalarValue::from_bytes(*item, b).ok()).map(Value::from)
            }
            ValueColumn::Dictionary { values, index } => {
                index.get(row).and_then(|i| values.get((i.checked_sub(1)?) as usize)).cloned()
            }
        };
        (self.version.get(row).unwrap_or(0), value)
    }
}

impl AttributeGroup {
    /// The value of every row whose value `f` has an answer for, with the row. Where values repeat, `f` is asked once for each.
    pub fn for_each<R: Clone>(&self, mut f: impl FnMut(&Value) -> Option<R>, mut take: impl FnMut(usize, R)) {
        match &self.values {
            ValueColumn::Plain { .. } => {
                for row in 0..self.nodes.len() {
                    if let Some(r) = self.get(row).1.as_ref().and_then(&mut f) {
                        take(row, r);
                    }
                }
            }
            ValueColumn::Dictionary { values, index } => {
                let answers: Vec<Option<R>> = values.iter().map(f).collect();
                for (row, i) in index.iter().enumerate() {
                    let answer = i.checked_sub(1).and_then(|i| answers.get(i as usize));
                    if let Some(Some(r)) = answer {
                        take(row, r.clone());
                    }
                }
            }
        }
    }
}

/// A decoded page.
#[derive(Debug)]
pub struct AttributesPage {
    /// Rows by name, ascending.
    pub groups: Vec<AttributeGroup>,
    decoded_bytes: usize,
}

impl AttributesPage {
    /// Decodes a page.
    ///
    /// # Errors
    /// `Corrupt`, `Unsupported`.
    pub fn decode(page: &[u8]) -> Result<Self> {
        let c = &mut Cursor::new(page);
        let n = enter(c, Table::Attributes)?;
        let count = c.count(4)?;
        let mut left = n;
        let mut groups = Vec::with_capacity(count);
        for _ in 0..count {
            let group = AttributeGroup::decode(c, left)?;
            left -= group.nodes.len();
            groups.push(group);
        }
        let sorted = groups.windows(2).all(|w| w[0].name < w[1].name);
        if !sorted || left > 0 {
            return Err(Error::corrupt("the attributes of a page are not sorted or not complete"));
        }
        Ok(Self { groups, decoded_bytes: page.len() })
    }

    /// A page of one attribute; of each node its value, or `None`: a tombstone. Nodes are ascending.
    pub fn of(name: &str, rows: Vec<(u64, Option<Value>)>) -> Self {
        let (nodes, values): (Vec<u64>, Vec<Option<Value>>) = rows.into_iter().unzip();
        let mut numbers = 0;
        let index = values.iter().map(|v| {
            numbers += u64::from(v.is_some());
            if v.is_some() { numbers } else { 0 }
        });
        let index = Numbers::packed(&index.collect::<Vec<_>>());
        let version = Numbers::progression(0, 0, nodes.len());
        let values = ValueColumn::Dictionary { values: values.into_iter().flatten().collect(), index };
        let group = AttributeGroup { name: name.to_owned(), nodes, version, values };
        Self { groups: vec![group], decoded_bytes: 0 }
    }

    /// The rows of a name.
    pub fn group(&self, name: &str) -> Option<&AttributeGroup> {
        self.groups.binary_search_by(|g| g.name.as_str().cmp(name)).ok().and_then(|i| self.groups.get(i))
    }

    /// Version and value (`None`: a tombstone) of an attribute, if the page has a row for it.
    pub fn find(&self, name: &str, node: u64) -> Option<(u64, Option<Value>)> {
        let group = self.group(name)?;
        group.nodes.binary_search(&node).ok().map(|row| group.get(row))
    }

    /// All rows.
    pub fn rows(&self) -> impl Iterator<Item = AttributeRow> {
        self.groups.iter().flat_map(|g| {
            g.nodes.iter().enumerate().map(|(i, node)| {
                let (version, value) = g.get(i);
                AttributeRow { name: g.name.clone(), node: *node, version, value }
            })
        })
    }

    /// Bytes in memory, about.
    pub fn heap_bytes(&self) -> usize {
        self.decoded_bytes * 4 + self.groups.len() * size_of::<AttributeGroup>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::column::MAX_ROWS;

    #[test]
    fn groups_have_no_more_rows_than_their_page() {
        let claims = |rows: u64| {
            let mut page = begin(Table::Attributes, rows as usize);
            put_varint(&mut page, 2);
            for name in ["a", "b"] {
                put_bytes(&mut page, name.as_bytes());
                put_varint(&mut page, MAX_ROWS / 2);
                put_ints(&mut page, &(0..MAX_ROWS / 2).collect::<Vec<_>>());
                put_ints(&mut page, &vec![1; MAX_ROWS as usize / 2]);
                page.extend([DICTIONARY, 0]);
                put_ints(&mut page, &vec![0; MAX_ROWS as usize / 2]);
            }
            assert!(page.len() < 60, "{}", page.len());
            AttributesPage::decode(&page)
        };
        assert_eq!(claims(MAX_ROWS).unwrap().rows().count() as u64, MAX_ROWS);
        for rows in [0, 1, MAX_ROWS - 1] {
            let e = claims(rows).unwrap_err();
            assert!(e.message().contains("more rows than the page"), "{e}");
        }
    }
}
