//! One number after the other is changed.

use std::sync::Arc;

use array_format_core::block::{BlockMeta, ChunkRef};
use array_format_core::checksum::checksum;
use array_format_core::codec::Filter;
use array_format_core::cursor::{Cursor, put_varint};
use array_format_core::footer::Footer;
use array_format_core::format::chunks::{self, ChunkRow, ChunksPage};
use array_format_core::format::nodes::{self, Node, NodeRow, NodesPage};
use array_format_core::format::page::{PageRef, Table};
use array_format_core::schema::{ArraySchema, Schema};
use array_format_core::{DType, Scalar};

use crate::object::{Layer, Objects, Place};
use crate::reading::Exam;

/// What a number is changed to.
fn hostile(v: u64) -> Vec<u64> {
    let (less, more) = (v.wrapping_sub(1), v.wrapping_add(1));
    let ends = [0, 1, 1 << 16, 1 << 31, 1 << 32, 1 << 63, u64::MAX];
    let mut values: Vec<u64> = [less, more].into_iter().chain(ends).filter(|other| *other != v).collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// Number `field` of a `T`.
type Field<T> = (&'static str, fn(&mut T) -> Option<&mut u64>);

/// All variants of `thing` in which one of `fields` has another value.
fn variants<T: Clone>(thing: &T, fields: &[Field<T>]) -> Vec<(String, T)> {
    let mut all = Vec::new();
    for (name, field) in fields {
        let Some(v) = field(&mut thing.clone()).copied() else { continue };
        for value in hostile(v) {
            let mut other = thing.clone();
            if let Some(place) = field(&mut other) {
                *place = value;
            }
            all.push((format!("{name} {v} -> {value}"), other));
        }
    }
    all
}

/// A change of some bytes to others.
struct Edit {
    at: usize,
    length: usize,
    with: Vec<u8>,
}

impl Edit {
    fn applied(&self, bytes: &[u8]) -> Vec<u8> {
        [&bytes[..self.at], &self.with, &bytes[self.at + self.length..]].concat()
    }

    fn describe(&self) -> String {
        format!("{} bytes at {} -> {:02x?}", self.length, self.at, self.with)
    }
}

/// Every number, wherever one may begin, gets another value, and every byte.
fn edits(bytes: &[u8]) -> impl Iterator<Item = Edit> {
    (0..bytes.len()).flat_map(move |at| {
        let rest = &bytes[at..];
        let mut cursor = Cursor::new(rest);
        let number = cursor.varint().map(|v| {
            let length = rest.len() - cursor.remaining();
            hostile(v).into_iter().map(move |value| {
                let mut with = Vec::new();
                put_varint(&mut with, value);
                Edit { at, length, with }
            })
        });
        let byte = rest[0];
        let others = [0, 1, 0x7f, 0x80, 0xff, byte ^ 1, byte ^ 4].into_iter().filter(move |b| *b != byte);
        number.into_iter().flatten().chain(others.map(move |b| Edit { at, length: 1, with: vec![b] }))
    })
}

pub(crate) fn numbers_of_the_trailer(exam: &mut Exam, objects: &Objects, name: &str) {
    let layer = objects.newest();
    let trailer = layer.trailer.encode();
    for (at, size) in
        [(4, 4), (8, 4), (12, 4), (48, 8), (56, 8), (64, 8), (72, 8), (80, 8), (92, 4), (118, 2)]
    {
        let mut v = [0; 8];
        v[..size].copy_from_slice(&trailer[at..at + size]);
        for value in hostile(u64::from_le_bytes(v)) {
            let mut other = trailer.clone();
            other[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
            let sum = checksum(&other[4..]).to_le_bytes();
            other[..4].copy_from_slice(&sum);
            exam.read(&layer.with_trailer(&other), &format!("{name}: trailer at {at} -> {value}"));
        }
    }
}

pub(crate) fn bytes_of_the_root(exam: &mut Exam, objects: &Objects, name: &str) {
    let layer = objects.newest();
    for edit in edits(&layer.root) {
        if !exam.is_turn() {
            continue;
        }

        let (what, root) = (edit.describe(), edit.applied(&layer.root));
        exam.read(&layer.rebuilt(&[], &root), &format!("{name}: root: {what}"));
    }
}

pub(crate) fn bytes_of_the_pages(exam: &mut Exam, objects: &Objects, name: &str) {
    let layer = objects.newest();
    for place in layer.places() {
        let page = layer.decoded(&layer.page(place));
        for edit in edits(&page) {
            if !exam.is_turn() {
                continue;
            }

            let (what, page) = (edit.describe(), edit.applied(&page));
            let file = layer.with_page(place, page, Vec::new());
            exam.read(&file, &format!("{name}: page {place:?}: {what}"));
        }
    }
}

pub(crate) fn numbers_of_directories(exam: &mut Exam, objects: &Objects, name: &str) {
    let layer = objects.newest();
    let read = |exam: &mut Exam, footer: &Footer, what: &str| {
        exam.read(&layer.rebuilt(&[], &footer.encode()), &format!("{name}: root: {what}"));
    };
    let fields: [Field<PageRef>; 5] = [
        ("offset", |p| Some(&mut p.offset)),
        ("stored bytes", |p| Some(&mut p.stored_bytes)),
        ("decoded bytes", |p| Some(&mut p.decoded_bytes)),
        ("codec", |p| Some(&mut p.codec)),
        ("rows", |p| Some(&mut p.rows)),
    ];
    for place in layer.places() {
        for (what, page) in variants(&layer.page(place), &fields) {
            if !exam.is_turn() {
                continue;
            }

            let mut footer = layer.footer.clone();
            *Layer::page_mut(&mut footer, place) = page;
            read(exam, &footer, &format!("page {place:?}: {what}"));
        }
    }
    for run in 0..layer.footer.runs.len() {
        for directory in 0..layer.footer.runs[run].directories.len() {
            for level in [1, 2, 31, 255] {
                let mut footer = layer.footer.clone();
                footer.runs[run].directories[directory].level = level;
                read(exam, &footer, &format!("directory {run} {directory}: level {level}"));
            }
        }
    }
    for object in 0..layer.footer.objects.len() {
        let fields: [Field<array_format_core::footer::ObjectEntry>; 4] = [
            ("object bytes", |o| Some(&mut o.object_bytes)),
            ("stored bytes", |o| Some(&mut o.stored_bytes)),
            ("decoded bytes", |o| Some(&mut o.decoded_bytes)),
            ("live bytes", |o| Some(&mut o.live_bytes)),
        ];
        for (what, entry) in variants(&layer.footer.objects[object], &fields) {
            let mut footer = layer.footer.clone();
            footer.objects[object] = entry;
            read(exam, &footer, &format!("object {object}: {what}"));
        }
    }
    let fields: [Field<Footer>; 3] = [
        ("next node", |f| Some(&mut f.next_node)),
        ("arrays", |f| Some(&mut f.arrays)),
        ("groups", |f| Some(&mut f.groups)),
    ];
    for (what, footer) in variants(&layer.footer, &fields) {
        read(exam, &footer, &what);
    }
}

/// All variants of the place of a chunk.
fn variants_of_chunk(chunk: &ChunkRef) -> Vec<(String, ChunkRef)> {
    let own: [Field<ChunkRef>; 2] =
        [("chunk offset", |c| Some(&mut c.offset)), ("chunk length", |c| Some(&mut c.length))];
    let mut all = variants(chunk, &own);
    let of_block: [Field<BlockMeta>; 5] = [
        ("block number", |b| Some(&mut b.id.number)),
        ("block offset", |b| Some(&mut b.offset)),
        ("block stored bytes", |b| Some(&mut b.stored_bytes)),
        ("block decoded bytes", |b| Some(&mut b.decoded_bytes)),
        ("frame bytes", |b| Some(&mut b.frame_bytes)),
    ];
    for (what, block) in variants(&*chunk.block, &of_block) {
        all.push((what, ChunkRef { block: Arc::new(block), ..chunk.clone() }));
    }
    // A block and a chunk that claim the same are not refused for disagreeing.
    for bytes in hostile(chunk.length).into_iter().chain((10..32).map(|bits| 1 << bits)) {
        let block = BlockMeta { decoded_bytes: bytes, ..(*chunk.block).clone() };
        let whole = ChunkRef { block: Arc::new(block), offset: 0, length: bytes };
        all.push((format!("block and chunk of {bytes} bytes"), whole));
    }
    for id in [0, 1, 2, 3, 65_536, u32::MAX] {
        let mut block = (*chunk.block).clone();
        block.codec = Arc::new(array_format_core::block::CodecRecord { id, ..(*block.codec).clone() });
        all.push((format!("codec {id}"), ChunkRef { block: Arc::new(block), ..chunk.clone() }));
    }
    all
}

fn variants_of_schema(schema: &ArraySchema) -> Vec<(String, ArraySchema)> {
    let mut all = Vec::new();
    for axis in 0..schema.rank() {
        let Some(chunk) = &schema.chunk_shape else { break };
        for value in hostile(chunk[axis]) {
            let mut other = schema.clone();
            other.chunk_shape.as_mut().unwrap()[axis] = value;
            all.push((format!("chunk extent {axis} -> {value}"), other));
        }
    }
    let lens = [0, 1, 1 << 16, 1 << 24, 1 << 31, u32::MAX];
    let lists = lens.map(|len| DType::FixedList { item: Scalar::F64, len });
    let others = [DType::String, DType::Binary, DType::List { item: Scalar::U8 }, DType::Scalar(Scalar::F64)];
    for dtype in lists.into_iter().chain(others) {
        all.push((format!("type {dtype:?}"), ArraySchema { dtype, ..schema.clone() }));
    }
    let sets = [vec![], vec![Filter::Shuffle], vec![Filter::Delta; 8], vec![Filter::Delta; 9]];
    for filters in sets {
        all.push((format!("filters {filters:?}"), ArraySchema { filters, ..schema.clone() }));
    }
    all.push(("other mask".into(), ArraySchema { nullable: !schema.nullable, ..schema.clone() }));
    all.push(("no chunk shape".into(), ArraySchema { chunk_shape: None, ..schema.clone() }));
    let chunk_shape = Some(vec![u64::MAX; schema.rank()]);
    all.push(("endless chunks".into(), ArraySchema { chunk_shape, ..schema.clone() }));
    for fill in [None, Some(vec![]), Some(vec![0; 1]), Some(vec![255; 8]), Some(vec![255; 4096])] {
        let bytes = fill.as_ref().map(Vec::len);
        all.push((format!("fill of {bytes:?} bytes"), ArraySchema { fill, ..schema.clone() }));
    }
    all
}

fn variants_of_node(node: &Node) -> Vec<(String, Node)> {
    let mut all = variants(node, &[("id", |n: &mut Node| Some(&mut n.id))]);
    let mut shapes = Vec::new();
    for axis in 0..node.shape.len() {
        for value in hostile(node.shape[axis]) {
            let mut shape = node.shape.clone();
            shape[axis] = value;
            shapes.push(shape);
        }
    }
    shapes.push(vec![1 << 31; node.shape.len()]);
    shapes.push(vec![u64::MAX; node.shape.len()]);
    for shape in shapes {
        all.push((format!("shape {shape:?}"), Node { shape, ..node.clone() }));
    }
    if let Some((chunk, version)) = &node.chunk {
        for (what, chunk) in variants_of_chunk(chunk) {
            all.push((what, Node { chunk: Some((chunk, *version)), ..node.clone() }));
        }
    }
    if let Schema::Array(schema) = &*node.schema {
        for (what, schema) in variants_of_schema(schema) {
            all.push((what, Node { schema: Arc::new(Schema::Array(Arc::new(schema))), ..node.clone() }));
        }
    }
    all
}

/// Decoded pages of a table.
fn pages_of(layer: &Layer<'_>, table: Table) -> Vec<(Place, Vec<u8>)> {
    let is_of = |place: &Place| match place.0 {
        Some(run) => {
            let directory = &layer.footer.runs[run].directories[place.1];
            directory.table == table && directory.level == 0
        }
        None => false,
    };
    layer.places().into_iter().filter(is_of).map(|p| (p, layer.decoded(&layer.page(p)))).collect()
}

pub(crate) fn numbers_of_nodes(exam: &mut Exam, objects: &Objects, name: &str) {
    let layer = objects.newest();
    for (place, page) in pages_of(&layer, Table::Nodes) {
        let page = NodesPage::decode(&page).unwrap();
        let rows: Vec<NodeRow> = (0..page.len()).map(|row| page.row(row)).collect();
        for at in 0..rows.len() {
            let Some(node) = &rows[at].node else { continue };
            for (what, node) in variants_of_node(node) {
                if !exam.is_turn() {
                    continue;
                }

                let mut rows = rows.clone();
                rows[at].node = Some(node);
                let file = layer.with_page(place, nodes::encode(&rows), Vec::new());
                exam.read(&file, &format!("{name}: node {:?}: {what}", rows[at].path));
            }
        }
    }
}

pub(crate) fn numbers_of_chunks(exam: &mut Exam, objects: &Objects, name: &str) {
    let layer = objects.newest();
    for (place, page) in pages_of(&layer, Table::Chunks) {
        let page = ChunksPage::decode(&page).unwrap();
        let rows: Vec<ChunkRow> = (0..page.keys.len()).map(|row| page.row(row)).collect();
        for at in 0..rows.len() {
            let mut others = variants(
                &rows[at],
                &[
                    ("node", |r: &mut ChunkRow| Some(&mut r.node)),
                    ("first coordinate", |r| r.coords.first_mut()),
                    ("last coordinate", |r| r.coords.last_mut()),
                ],
            );
            if let Some(chunk) = &rows[at].chunk {
                let other = |(what, chunk)| (what, ChunkRow { chunk: Some(chunk), ..rows[at].clone() });
                others.extend(variants_of_chunk(chunk).into_iter().map(other));
            }
            for (what, row) in others {
                if !exam.is_turn() {
                    continue;
                }

                let mut rows = rows.clone();
                rows[at] = row;
                let file = layer.with_page(place, chunks::encode(&rows), Vec::new());
                exam.read(&file, &format!("{name}: chunk {at}: {what}"));
            }
        }
    }
}

/// Framed blocks with other tables.
pub(crate) fn frame_tables(exam: &mut Exam, objects: &Objects, name: &str) {
    let layer = objects.newest();
    for (place, page) in pages_of(&layer, Table::Nodes) {
        let page = NodesPage::decode(&page).unwrap();
        let rows: Vec<NodeRow> = (0..page.len()).map(|row| page.row(row)).collect();
        for at in 0..rows.len() {
            let Some(node) = &rows[at].node else { continue };
            let Some((chunk, version)) = node.chunk.as_ref().filter(|c| c.0.block.frame_bytes > 0) else {
                continue;
            };
            let stored = layer.stored(&chunk.block);
            let count = u32::from_le_bytes(stored[..4].try_into().unwrap()) as usize;
            let numbers = std::iter::once(0).chain((0..count).flat_map(|i| [4 + 12 * i, 8 + 12 * i]));
            for number in numbers {
                let v = u32::from_le_bytes(stored[number..number + 4].try_into().unwrap());
                for value in hostile(v.into()).into_iter().filter_map(|v| u32::try_from(v).ok()) {
                    let mut stored = stored.clone();
                    stored[number..number + 4].copy_from_slice(&value.to_le_bytes());
                    let count = u32::from_le_bytes(stored[..4].try_into().unwrap()) as usize;
                    let table = count.saturating_mul(12).saturating_add(4).min(stored.len());
                    let mut block = (*chunk.block).clone();
                    block.id.object = layer.id();
                    block.offset = layer.appended_at();
                    block.checksum = checksum(&stored[..table]);
                    let moved = ChunkRef { block: Arc::new(block), ..chunk.clone() };
                    let mut rows = rows.clone();
                    rows[at].node = Some(Node { chunk: Some((moved, *version)), ..node.clone() });
                    let file = layer.with_page(place, nodes::encode(&rows), stored);
                    exam.read(
                        &file,
                        &format!("{name}: {:?}: frame table at {number} -> {value}", rows[at].path),
                    );
                }
            }
        }
    }
}
