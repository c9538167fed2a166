//! What a version says: nodes, attributes, chunks, statistics.

use std::collections::{HashMap, HashSet};

use array_format_core::address::ObjectId;
use array_format_core::block::ChunkRef;
use array_format_core::format::nodes::{Node, NodeRow};
use array_format_core::format::page::Table;
use array_format_core::grid::element_count;
use array_format_core::schema::Schema;
use array_format_core::statistics::Statistics;
use array_format_core::{Error, Result};

use super::Check;
use crate::index::Version;
use crate::index::scan::KeyRange;
use crate::read::View;
use crate::read::view::ChunkSource;
use crate::write::pending::grid;

impl Check {
    /// Checks the nodes of a version, and everything that they refer to.
    pub(super) async fn content(&mut self, view: &View) {
        let version = &view.version;
        let rows = version.rows::<NodeRow>(Table::Nodes, KeyRange::all()).await;
        // Damage of pages was noted already.
        let Ok(rows) = rows else { return };
        let mut ids = HashSet::new();
        let (mut arrays, mut groups) = (0, 0);
        let mut live: HashMap<ObjectId, u64> = HashMap::new();
        for (path, node) in rows.into_iter().filter_map(|r| Some((r.path, r.node?))) {
            self.report.nodes += 1;
            let place = |e: Error| version.in_file(e.in_array(path.clone()));
            match &*node.schema {
                Schema::Array(_) => arrays += 1,
                Schema::Group(_) => groups += u64::from(node.id != 0),
            }
            if !ids.insert(node.id) || node.id >= version.head.footer.next_node {
                self.damaged(place(Error::corrupt(format!(
                    "node id {} is given twice or too high",
                    node.id
                ))));
            }
            self.note(view.attributes(&node).await.map_err(place));
            self.array(view, &path, &node, &mut live).await;
        }
        let footer = &version.head.footer;
        if (arrays, groups) != (footer.arrays, footer.groups) {
            let e = format!(
                "{arrays} arrays and {groups} groups, the root says {} and {}",
                footer.arrays, footer.groups
            );
            self.damaged(version.in_file(Error::corrupt(e)));
        }
        if !self.report.is_clean() || self.trouble.is_some() {
            return; // what could not be read was not counted
        }
        for o in &footer.objects {
            let found = live.get(&o.id).copied().unwrap_or(0);
            if found != o.live_bytes {
                let e = format!("{found} live bytes, the root says {}", o.live_bytes);
                self.damaged(version.in_file(Error::corrupt(e).in_layer(o.id)));
            }
            if found > o.decoded_bytes {
                let e = format!(
                    "{found} live bytes in blocks of {} decoded bytes: chunks overlap",
                    o.decoded_bytes
                );
                self.damaged(version.in_file(Error::corrupt(e).in_layer(o.id)));
            }
        }
    }

    async fn array(&mut self, view: &View, path: &str, node: &Node, live: &mut HashMap<ObjectId, u64>) {
        let version = &view.version;
        let (Schema::Array(schema), Some(grid)) = (&*node.schema, grid(node)) else { return };
        let place = |e: Error| version.in_file(e.in_array(path));
        if node.chunk.is_some() && !grid.is_single() {
            self.damaged(place(Error::corrupt(
                "a chunk in the row of an array with more than one grid cell",
            )));
        }
        let Some(chunks) = self.note(view.written_chunks(node).await.map_err(place)) else { return };
        let mut all = Statistics::empty();
        for (coords, source) in chunks {
            let ChunkSource::Stored(chunk) = source else { continue };
            self.report.chunks += 1;
            let bytes = live.entry(chunk.block.id.object).or_default();
            *bytes = bytes.saturating_add(chunk.length);
            let at = |e: Error| place(version.at_block(e, &chunk.block));
            let id = chunk.block.id;
            if self.tables.get(&id.object).is_some_and(|t| t.get(id.number) != chunk.block.fingerprint()) {
                let e = "the index describes a block otherwise than the block table of its layer";
                self.damaged(at(Error::corrupt(e)));
            }
            let elements = async {
                let n = element_count(&grid.extents(&coords))?;
                check_place(version, &chunk)?;
                version.whole_chunk(schema, &chunk, n).await
            };
            let Some(elements) = self.note(elements.await.map_err(at)) else { continue };
            if self.options.statistics {
                let found = Statistics::of(&elements);
                all = all.merge(&found);
                let said = view.chunk_statistics(node, &coords).await;
                if let Some(said) = self.note(said.map_err(at))
                    && said != found
                {
                    self.damaged(at(Error::corrupt(format!("statistics of chunk {coords:?} differ from its data: {said:?} in the index, {found:?} in the data"))));
                }
            }
        }
        if self.options.statistics
            && let Some(said) = self.note(view.array_statistics(node).await.map_err(place))
            && said != all
        {
            self.damaged(place(Error::corrupt(format!(
                "statistics differ from the data: {said:?} in the index, {all:?} in the data"
            ))));
        }
    }
}

fn check_place(version: &Version, chunk: &ChunkRef) -> Result<()> {
    let entry = version.entry(chunk.block.id.object)?;
    if chunk.block.end() > entry.object_bytes || chunk.offset + chunk.length > chunk.block.decoded_bytes {
        return Err(Error::corrupt("a chunk lies outside of its block or layer"));
    }
    Ok(())
}
