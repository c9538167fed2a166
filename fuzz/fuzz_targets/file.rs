//! Golden files with changed bytes and right checksums: opened, read, verified, repaired and compacted. Errors are fine.

#![no_main]

#[path = "../../crates/array-format/tests/hostile/object.rs"]
#[allow(dead_code, reason = "shared with a test")]
mod object;
#[path = "../../crates/array-format/tests/hostile/walk.rs"]
mod walk;

use std::path::Path;
use std::sync::{Arc, LazyLock};

use array_format::storage::{InMemoryStorage, Storage};
use array_format::{ArrayFile, CompactOptions, DeltaCache, FileConfig, GcOptions, VerifyOptions};
use array_format_core::block::ChunkRef;
use array_format_core::checksum::checksum;
use array_format_core::cursor::Cursor;
use array_format_core::format::nodes::{self, Node, NodesPage};
use array_format_core::format::page::Table;
use futures::executor::block_on;
use libfuzzer_sys::fuzz_target;

use crate::object::Objects;
use crate::walk::read_everything;

const FILES: [&str; 8] = [
    "compacted",
    "groups",
    "layers",
    "versions_kept",
    "tags_detached",
    "runs",
    "compacted_keeping_versions",
    "codecs_filters",
];

static GOLDEN: LazyLock<Vec<Objects>> = LazyLock::new(|| {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/v1");
    FILES.iter().map(|name| Objects::load(&fixtures.join(name), name)).collect()
});

/// A change of some bytes to others.
struct Edit<'a> {
    /// What is changed.
    kind: u8,
    /// Which of them.
    which: usize,
    at: usize,
    removed: usize,
    with: &'a [u8],
}

/// Kinds of edits; 0 is one of a page.
const BLOCK: u8 = 1;
const ROOT: u8 = 2;
const TRAILER: u8 = 3;
const RAW: u8 = 4;
const CUT: u8 = 5;

impl<'a> Edit<'a> {
    fn read(c: &mut Cursor<'a>) -> Option<Self> {
        let (kind, which, at) = (c.u8().ok()? % 6, c.u8().ok()?, c.u16().ok()?);
        // Four bits each: how many bytes go, and how many come.
        let lengths = usize::from(c.u8().ok()?);
        let with = c.take((lengths & 15).min(c.remaining())).ok()?;
        Some(Self { kind, which: which.into(), at: at.into(), removed: lengths >> 4, with })
    }

    fn applied(&self, bytes: &[u8]) -> Vec<u8> {
        let at = self.at % (bytes.len() + 1);
        let end = bytes.len().min(at + self.removed);
        [&bytes[..at], self.with, &bytes[end..]].concat()
    }
}

fn edit_page(objects: &Objects, edit: &Edit<'_>) -> Option<Objects> {
    let layer = objects.newest();
    let places = layer.places();
    let place = *places.get(edit.which % places.len().max(1))?;
    let page = edit.applied(&layer.decoded(&layer.page(place)));
    Some(layer.with_page(place, page, Vec::new()))
}

/// Changes the stored bytes of a block that holds an array of one chunk.
fn edit_block(objects: &Objects, edit: &Edit<'_>) -> Option<Objects> {
    let layer = objects.newest();
    let mut chunks = Vec::new();
    for place in layer.places() {
        let page = layer.decoded(&layer.page(place));
        if page.first() != Some(&Table::Nodes.code()) {
            continue;
        }
        let Ok(page) = NodesPage::decode(&page) else { continue };
        let with_chunk = |row: &usize| page.row(*row).node.is_some_and(|n| n.chunk.is_some());
        chunks.extend((0..page.len()).filter(with_chunk).map(|row| (place, row)));
    }
    let (place, row) = *chunks.get(edit.which % chunks.len().max(1))?;
    let page = NodesPage::decode(&layer.decoded(&layer.page(place))).ok()?;
    let mut rows: Vec<_> = (0..page.len()).map(|row| page.row(row)).collect();
    let node = rows[row].node.take()?;
    let (chunk, version) = node.chunk.clone()?;
    // An edit of a page may have moved the block anywhere.
    let object = objects.find(chunk.block.id.object)?;
    let stored = object.get(chunk.block.offset as usize..chunk.block.end() as usize)?;
    let stored = edit.applied(stored);
    let mut block = (*chunk.block).clone();
    block.id.object = layer.id();
    block.offset = layer.appended_at();
    block.stored_bytes = stored.len() as u64;
    let table = match stored.first_chunk::<4>() {
        // Of a block in frames only the table has this checksum.
        Some(count) if block.frame_bytes > 0 => 12 * u32::from_le_bytes(*count) as usize + 4,
        _ => stored.len(),
    };
    block.checksum = checksum(&stored[..table.min(stored.len())]);
    let moved = ChunkRef { block: Arc::new(block), ..chunk };
    rows[row].node = Some(Node { chunk: Some((moved, version)), ..node });
    Some(layer.with_page(place, nodes::encode(&rows), stored))
}

fn edit_trailer(objects: &Objects, edits: &[Edit<'_>]) -> Objects {
    let layer = objects.newest();
    let mut trailer = layer.bytes()[layer.bytes().len() - 128..].to_vec();
    for edit in edits {
        // A trailer has one length.
        for (i, b) in edit.with.iter().enumerate() {
            trailer[(edit.at + i) % 128] = *b;
        }
    }
    let sum = checksum(&trailer[4..]).to_le_bytes();
    trailer[..4].copy_from_slice(&sum);
    layer.with_trailer(&trailer)
}

/// Edits are made in the order in which they can be: after one of the root it may not decode any more.
fn edited(base: &Objects, edits: Vec<Edit<'_>>) -> Objects {
    let mut objects = base.clone();
    let (inner, outer): (Vec<_>, Vec<_>) = edits.into_iter().partition(|e| e.kind < ROOT);
    for edit in &inner {
        let next = if edit.kind == BLOCK { edit_block(&objects, edit) } else { edit_page(&objects, edit) };
        objects = next.unwrap_or(objects);
    }
    let (of_root, outer): (Vec<_>, Vec<_>) = outer.into_iter().partition(|e| e.kind == ROOT);
    let layer = objects.newest();
    let mut root = layer.root.clone();
    of_root.iter().for_each(|e| root = e.applied(&root));
    let mut objects = if of_root.is_empty() { objects } else { layer.rebuilt(&[], &root) };
    let (of_trailer, raw): (Vec<_>, Vec<_>) = outer.into_iter().partition(|e| e.kind == TRAILER);
    if !of_trailer.is_empty() {
        objects = if of_root.is_empty() { edit_trailer(&objects, &of_trailer) } else { objects };
    }
    for edit in raw {
        let n = objects.0.len();
        let bytes = &mut objects.0[edit.which % n].1;
        match edit.kind {
            RAW => *bytes = edit.applied(bytes),
            CUT => bytes.truncate(edit.at % (bytes.len() + 1)),
            _ => {}
        }
    }
    objects
}

/// Does one thing with a file.
async fn use_it(objects: &Objects, job: u8) {
    let config = || FileConfig::default().with_cache(DeltaCache::new(1 << 20)).with_clock(|| 0);
    let storage: Arc<dyn Storage> = Arc::new(objects.storage());
    let open = || ArrayFile::open(&storage, objects.path(), config());
    match job % 5 {
        0 => {
            let _ = read_everything(objects).await;
        }
        1 => {
            let Ok(file) = open().await else { return };
            for version in file.versions().await.unwrap_or_default().iter().rev().take(4) {
                if let Ok(old) = file.at(version.version).await {
                    let _ = old.arrays("").await;
                }
                let _ = file.diff(version.version, file.version()).await;
            }
        }
        2 => {
            let Ok(mut file) = open().await else { return };
            let _ = file.compact_with(CompactOptions::default().incremental(true)).await;
            let _ = file.garbage_collect(GcOptions::default().keep_last(1)).await;
            if let Ok(file) = open().await {
                let _ = file.list_arrays().await;
            }
        }
        3 => {
            let Ok(mut file) = open().await else { return };
            let _ = file.compact_with(CompactOptions::default().keep_versions(job > 7)).await;
            if let Ok(file) = open().await {
                let _ = file.list_arrays().await;
            }
        }
        _ => {
            let target: Arc<dyn Storage> = Arc::new(InMemoryStorage::new());
            let report = ArrayFile::repair(&storage, objects.path(), &target, "saved.af", config()).await;
            if report.is_ok() {
                let saved =
                    ArrayFile::open(&target, "saved.af", config()).await.expect("what was saved opens");
                let found =
                    saved.verify(VerifyOptions::default().statistics(true)).await.expect("and can be read");
                assert!(found.is_clean(), "what was saved is not whole: {:#?}", found.damage);
            }
        }
    }
}

// The low half of the first byte chooses the file, the high half what is done with it; the rest are edits.
fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else { return };
    let base = &GOLDEN[usize::from(first & 15) % FILES.len()];
    let mut c = Cursor::new(rest);
    let edits: Vec<_> = std::iter::from_fn(|| Edit::read(&mut c)).take(12).collect();
    block_on(use_it(&edited(base, edits), first >> 4));
});
