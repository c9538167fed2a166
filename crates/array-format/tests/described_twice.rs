//! A damaged index that describes two blocks under one number: each array is read, copied and saved as it is described.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

#[path = "hostile/object.rs"]
#[allow(dead_code, reason = "shared with another test")]
mod object;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use array_format::storage::{InMemoryStorage, Storage};
use array_format::*;
use array_format_core::block::{BlockMeta, ChunkRef};
use array_format_core::format::chunks::ChunksPage;
use array_format_core::format::nodes::{self, NodesPage};
use array_format_core::format::page::Table;
use futures::executor::block_on;

use crate::object::Objects;

/// The golden file, with the block of an array of one chunk under the number of a block of an array of many. Checksums are right.
fn contradicting(name: &str) -> Option<Objects> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/v1");
    let objects = Objects::load(&fixtures.join(name), name);
    let layer = objects.newest();
    let pages = layer.places().into_iter().map(|place| (place, layer.decoded(&layer.page(place))));
    let (mut nodes_pages, mut ids) = (Vec::new(), BTreeSet::new());
    for (place, page) in pages {
        if page.first() == Some(&Table::Nodes.code()) {
            nodes_pages.push((place, NodesPage::decode(&page).unwrap()));
        } else if page.first() == Some(&Table::Chunks.code()) {
            let page = ChunksPage::decode(&page).unwrap();
            ids.extend((0..page.keys.len()).filter_map(|row| Some(page.row(row).chunk?.block.id)));
        }
    }
    for (place, page) in nodes_pages {
        let mut rows: Vec<_> = (0..page.len()).map(|row| page.row(row)).collect();
        for node in rows.iter_mut().filter_map(|r| r.node.as_mut()) {
            let Some((chunk, version)) = &node.chunk else { continue };
            let old = chunk.block.id;
            if let Some(id) = ids.iter().find(|id| id.object == old.object && **id != old) {
                let block = Arc::new(BlockMeta { id: *id, ..(*chunk.block).clone() });
                node.chunk = Some((ChunkRef { block, ..chunk.clone() }, *version));
                return Some(layer.with_page(place, nodes::encode(&rows), Vec::new()));
            }
        }
    }
    None
}

/// Values of all arrays, each read on its own.
async fn values(file: &ArrayFile) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for path in file.list_arrays().await.unwrap() {
        let shape = file.array(&path).await.unwrap().shape;
        let read = file.read_elements(&path, vec![0; shape.len()], shape.clone(), vec![1; shape.len()]).await;
        values.insert(path, format!("{read:?}"));
    }
    values
}

async fn check(name: &str, objects: &Objects) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/v1");
    let whole: Arc<dyn Storage> = Arc::new(Objects::load(&fixtures.join(name), name).storage());
    let storage: Arc<dyn Storage> = Arc::new(objects.storage());
    let open = async |s: &Arc<dyn Storage>, path: &str| {
        let config = FileConfig::default().with_cache(DeltaCache::new(1 << 20));
        ArrayFile::open(s, path, config).await.unwrap()
    };
    let expected = values(&open(&whole, objects.path()).await).await;
    let mut file = open(&storage, objects.path()).await;
    assert_eq!(values(&file).await, expected, "{name}");
    let found = file.verify(VerifyOptions::default()).await.unwrap();
    assert!(
        found.damage.iter().any(|d| d.to_string().contains("otherwise than the block table")),
        "{name}: {found:?}"
    );

    let target: Arc<dyn Storage> = Arc::new(InMemoryStorage::new());
    let config = FileConfig::default().with_cache(DeltaCache::new(1 << 20));
    let report = ArrayFile::repair(&storage, objects.path(), &target, "saved.af", config).await.unwrap();
    assert!(report.lost.is_empty(), "{name}: {:?}", report.lost);
    let saved = open(&target, "saved.af").await;
    assert_eq!(values(&saved).await, expected, "{name}");
    let found = saved.verify(VerifyOptions::default().statistics(true)).await.unwrap();
    assert!(found.is_clean(), "{name}: {:?}", found.damage);

    file.compact().await.unwrap();
    let compacted = open(&storage, objects.path()).await;
    assert_eq!(values(&compacted).await, expected, "{name}");
}

#[test]
fn each_array_gets_the_block_that_its_row_describes() {
    let mut tried = 0;
    for name in ["codecs_filters", "groups", "layers", "runs", "compacted", "tags_detached"] {
        if let Some(objects) = contradicting(name) {
            block_on(check(name, &objects));
            tried += 1;
        }
    }
    assert!(tried > 0, "no golden file has two blocks of arrays of one chunk");
}
