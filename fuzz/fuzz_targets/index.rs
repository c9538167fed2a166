//! Every decoder of the index on any bytes: no panic, no more memory than the bytes earn, and what decodes and is encoded again decodes to
//! the same. The first byte chooses the decoder.

#![no_main]

use std::collections::HashMap;
use std::fmt::Debug;

use array_format::Receipt;
use array_format_core::Result;
use array_format_core::block::{ChunkRef, CodecRecord};
use array_format_core::checksum::checksum;
use array_format_core::cursor::Cursor;
use array_format_core::footer::{Cause, DetachedRoot, Footer};
use array_format_core::format::attributes::{self, AttributesPage};
use array_format_core::format::blocks;
use array_format_core::format::chunks::{self, ChunksPage};
use array_format_core::format::column;
use array_format_core::format::constants::{
    END_MAGIC, HEADER_BYTES, MAGIC, MAJOR_VERSION, MINOR_VERSION, TRAILER_BYTES,
};
use array_format_core::format::directory::Directory;
use array_format_core::format::front_coded::{FrontCoded, front_coded, put_front_coded};
use array_format_core::format::nodes::{self, NodesPage};
use array_format_core::format::numbers::{ints, put_ints};
use array_format_core::format::page::{self, Table};
use array_format_core::format::statistics::{self, StatisticsPage};
use array_format_core::format::trailer::{Header, Trailer, check_header, header};
use array_format_core::framed::{self, FrameTable};
use array_format_core::schema::{Schema, check_attribute_name, check_path};
use array_format_core::value::Value;
use libfuzzer_sys::fuzz_target;

/// Decodes, encodes, decodes again, and compares.
fn again<T: PartialEq + Debug>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<T>,
    encode: impl Fn(&T) -> Vec<u8>,
) -> Option<T> {
    let first = decode(bytes).ok()?;
    let encoded = encode(&first);
    let second = decode(&encoded).unwrap_or_else(|e| panic!("{e:?}: {encoded:02x?} of {first:?}"));
    assert_eq!(first, second, "{encoded:02x?}");
    Some(first)
}

/// Whether one block is described in one way: pages list each block once, so that of two descriptions one is lost.
fn agree<'a>(chunks: impl Iterator<Item = &'a ChunkRef>) -> bool {
    let mut seen = HashMap::new();
    chunks.into_iter().all(|c| *seen.entry(c.block.id).or_insert(&c.block) == &c.block)
}

fn trailer(bytes: &[u8]) {
    let mut tail = [0; TRAILER_BYTES];
    let n = bytes.len().min(TRAILER_BYTES);
    tail[..n].copy_from_slice(&bytes[..n]);
    let _ = Trailer::decode(&tail, 0);
    tail[120..].copy_from_slice(&END_MAGIC);
    tail[116..118].copy_from_slice(&MAJOR_VERSION.to_le_bytes());
    let sum = checksum(&tail[4..]).to_le_bytes();
    tail[..4].copy_from_slice(&sum);
    let length = u64::from_le_bytes(tail[56..64].try_into().unwrap());
    let decode = |bytes: &[u8]| Trailer::decode(bytes, length);
    let Some(t) = again(&tail, decode, Trailer::encode) else { return };
    assert_eq!(t.object_bytes, length);
    if t.minor == MINOR_VERSION {
        check_header(&header(t.kind, &t.file_id, t.layer, &t.write_id), &t).unwrap();
    }
}

fn object_header(bytes: &[u8]) {
    let mut head = [0; HEADER_BYTES];
    let n = bytes.len().min(HEADER_BYTES);
    head[..n].copy_from_slice(&bytes[..n]);
    head[..8].copy_from_slice(&MAGIC);
    head[8..10].copy_from_slice(&MAJOR_VERSION.to_le_bytes());
    let sum = checksum(&head[..60]).to_le_bytes();
    head[60..].copy_from_slice(&sum);
    again(&head, Header::decode, |h| header(h.kind, &h.file_id, h.layer, &h.write_id));
}

fn root(bytes: &[u8]) {
    let decode = |bytes: &[u8]| {
        let mut footer = Footer::decode(bytes)?;
        // Its own length is not stored.
        footer.set_own_length(0);
        Ok(footer)
    };
    let Some(mut footer) = again(bytes, decode, Footer::encode) else { return };
    for version in [0, footer.floor, footer.version.wrapping_sub(1), footer.version, u64::MAX] {
        let _ = (footer.keeps(version), footer.ancestor(version));
    }
    let _ = footer.successor(Cause::Commit, 0, "").encode();
    footer.keep_needed();
    for directory in footer.runs.iter().flat_map(|r| &r.directories).chain([&footer.own_blocks]) {
        look_up(directory);
    }
}

fn look_up(directory: &Directory) {
    let _ = directory.rows();
    for page in &directory.pages {
        let _ = (page.end(), directory.page_of(&page.first_key));
        let _ = directory.pages_between(&page.first_key, Some(&directory.last_key));
        let _ = directory.pages_between(&directory.last_key, Some(&page.first_key));
    }
}

fn directory(bytes: &[u8]) {
    let encode = |d: &Directory| {
        let mut out = Vec::new();
        d.encode(&mut out);
        out
    };
    if let Some(directory) = again(bytes, Directory::decode, encode) {
        look_up(&directory);
    }
}

fn nodes_page(bytes: &[u8]) {
    let rows = |page: &NodesPage| (0..page.len()).map(|row| page.row(row)).collect::<Vec<_>>();
    let Ok(page) = NodesPage::decode(bytes) else { return };
    let first = rows(&page);
    for (i, row) in first.iter().enumerate() {
        assert_eq!(page.find(&row.path), Some(i));
        assert_eq!(page.id(i).is_some(), row.node.is_some());
        let _ = (page.is_array(i), page.has_key(i, "units"), check_path(&row.path), page.heap_bytes());
        if let Some(node) = &row.node
            && let Schema::Array(schema) = &*node.schema
        {
            let _ = schema.chunk_extents(&node.shape);
        }
    }
    let chunks = first.iter().filter_map(|r| Some(&r.node.as_ref()?.chunk.as_ref()?.0));
    if agree(chunks) {
        let again = NodesPage::decode(&nodes::encode(&first)).unwrap();
        assert_eq!(rows(&again), first);
    }
}

fn chunks_page(bytes: &[u8]) {
    let rows = |page: &ChunksPage| (0..page.keys.len()).map(|row| page.row(row)).collect::<Vec<_>>();
    let Ok(page) = ChunksPage::decode(bytes) else { return };
    let first = rows(&page);
    for (i, row) in first.iter().enumerate() {
        assert_eq!(page.keys.find(row.node, &row.coords), Some(i));
    }
    let _ = page.heap_bytes();
    if agree(first.iter().filter_map(|r| r.chunk.as_ref())) {
        let again = ChunksPage::decode(&chunks::encode(&first)).unwrap();
        assert_eq!(rows(&again), first);
    }
}

fn attributes_page(bytes: &[u8]) {
    let Ok(page) = AttributesPage::decode(bytes) else { return };
    let first: Vec<_> = page.rows().collect();
    for row in &first {
        let found = page.find(&row.name, row.node);
        assert_eq!(found, Some((row.version, row.value.clone())));
        let _ = (check_attribute_name(&row.name), page.heap_bytes());
        if let Some(value) = &row.value {
            value.check().unwrap();
        }
    }
    let again = AttributesPage::decode(&attributes::encode(&first)).unwrap();
    assert_eq!(again.rows().collect::<Vec<_>>(), first);
}

fn statistics_page(table: Table, bytes: &[u8]) {
    let rows = |page: &StatisticsPage| (0..page.keys.len()).map(|row| page.row(row)).collect::<Vec<_>>();
    let Ok(page) = StatisticsPage::decode(table, bytes) else { return };
    let first = rows(&page);
    for pair in first.windows(2) {
        if let (Some(a), Some(b)) = (&pair[0].statistics, &pair[1].statistics) {
            let _ = a.merge(b);
            let _ = a.may_contain(b.min(), b.max());
        }
    }
    let again = StatisticsPage::decode(table, &statistics::encode(table, &first)).unwrap();
    assert_eq!(rows(&again), first);
}

fn block_table(bytes: &[u8]) {
    again(bytes, blocks::decode_table, |b| blocks::encode_table(b));
}

fn value(bytes: &[u8]) {
    let encode = |v: &Value| {
        let mut out = Vec::new();
        v.encode(&mut out);
        out
    };
    let Some(value) = again(bytes, |b| Value::decode(&mut Cursor::new(b)), encode) else { return };
    let _ = (value.to_string(), value.type_name(), value.as_f64(), value.as_i64());
    let _ = value.partial_cmp_same(&value);
    value.check().unwrap();
}

fn schema(bytes: &[u8]) {
    let encode = |s: &Schema| {
        let mut out = Vec::new();
        s.encode(&mut out);
        out
    };
    let Some(schema) = again(bytes, Schema::decode, encode) else { return };
    if let Schema::Array(schema) = schema {
        for n in [0, 1, 1 << 20, u64::MAX] {
            let _ = schema.check(&vec![n; schema.rank()]);
        }
    }
    let encode = |r: &CodecRecord| {
        let mut out = Vec::new();
        r.encode(&mut out);
        out
    };
    again(bytes, |b| CodecRecord::decode(&mut Cursor::new(b)), encode);
}

/// Numbers of elements and of bytes of a frame, a definition, and the bytes of a block.
fn frames(bytes: &[u8]) {
    let c = &mut Cursor::new(bytes);
    let (Ok(n), Ok(frame_bytes), Ok(record)) = (c.u32(), c.u32(), c.bytes()) else { return };
    let Ok(Schema::Array(schema)) = Schema::decode(record) else { return };
    let (n, frame_bytes) = (n as usize, u64::from(frame_bytes));
    let Ok(stored) = c.take(c.remaining()) else { return };
    let _ = framed::check(stored, checksum(stored));
    let _ = framed::table_bytes(&schema, n, frame_bytes);
    let length = stored.len() as u64;
    let Ok(table) = FrameTable::decode(&schema, n, frame_bytes, length, stored) else { return };
    for frame in table.values().iter().chain(table.mask()) {
        assert!(frame.stored.end <= length);
    }
}

fn columns(bytes: &[u8]) {
    let c = &mut Cursor::new(bytes);
    let (Ok(form), Ok(n)) = (c.u8(), column::rows(c)) else { return };
    let rest = c.take(c.remaining()).unwrap_or_default();
    let c = || Cursor::new(rest);
    match form % 4 {
        0 => {
            let encode = |v: &Vec<u64>| {
                let mut out = Vec::new();
                put_ints(&mut out, v);
                out
            };
            again(rest, |b| ints(&mut Cursor::new(b), n), encode);
        }
        1 => {
            if let Ok(first) = column::strings(&mut c(), n) {
                let mut out = Vec::new();
                column::put_strings(&mut out, first.iter().collect::<Vec<_>>().into_iter());
                let second = column::strings(&mut Cursor::new(&out), n).unwrap();
                assert!(first.iter().eq(second.iter()));
            }
        }
        2 => {
            // Encoded again it is shorter, so that its budget is less: a column that was far from the shortest may be refused.
            let values = |column: &FrontCoded| (0..column.len()).map(|i| column.get(i)).collect::<Vec<_>>();
            if let Ok((first, ascend)) = front_coded(&mut c(), n) {
                let (first, mut out) = (values(&first), Vec::new());
                put_front_coded(&mut out, first.iter().map(Vec::as_slice));
                if let Ok((second, again)) = front_coded(&mut Cursor::new(&out), n) {
                    assert_eq!((values(&second), again), (first, ascend));
                }
            }
        }
        _ => {
            for size in [1, 2, 4, 8, 16] {
                if let Ok(first) = column::fixed(&mut c(), n, size) {
                    let mut out = Vec::new();
                    column::put_fixed(&mut out, &first, size);
                    assert_eq!(out, rest[..n * size]);
                }
            }
        }
    }
}

/// A stored page that claims a length.
fn stored_page(bytes: &[u8]) {
    let c = &mut Cursor::new(bytes);
    let (Ok(codec), Ok(claimed)) = (c.u8(), c.u32()) else { return };
    let stored = c.take(c.remaining()).unwrap_or_default();
    let Ok(decoded) = page::open(stored, codec.into(), claimed.into(), checksum(stored), "page") else {
        return;
    };
    let sealed = page::seal(decoded.clone()).unwrap();
    // What shrinks by more than a page may is taken for a bomb, also where it is none.
    if let Ok(again) =
        page::open(&sealed.bytes, sealed.codec.code().into(), sealed.decoded_bytes, sealed.checksum, "page")
    {
        assert_eq!(again, decoded);
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else { return };
    match choice % 16 {
        0 => trailer(bytes),
        1 => object_header(bytes),
        2 => root(bytes),
        3 => {
            again(bytes, DetachedRoot::decode, DetachedRoot::encode);
        }
        4 => directory(bytes),
        5 => nodes_page(bytes),
        6 => chunks_page(bytes),
        7 => attributes_page(bytes),
        8 => statistics_page(Table::ArrayStatistics, bytes),
        9 => statistics_page(Table::ChunkStatistics, bytes),
        10 => block_table(bytes),
        11 => value(bytes),
        12 => schema(bytes),
        13 => frames(bytes),
        14 => columns(bytes),
        _ => {
            stored_page(bytes);
            if let Ok(receipt) = Receipt::from_bytes(bytes) {
                let _ = (receipt.begun(), receipt.object_bytes(), receipt.to_bytes());
            }
        }
    }
});
