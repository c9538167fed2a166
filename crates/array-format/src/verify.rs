//! Checking everything: every checksum, every reference, every chunk.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use array_format_core::address::ObjectId;
use array_format_core::block::{BlockMeta, ChunkRef};
use array_format_core::footer::{DetachedRoot, Footer};
use array_format_core::format::attributes::AttributesPage;
use array_format_core::format::blocks::decode_table;
use array_format_core::format::chunks::ChunksPage;
use array_format_core::format::constants::HEADER_BYTES;
use array_format_core::format::directory::Directory;
use array_format_core::format::nodes::{Node, NodeRow, NodesPage};
use array_format_core::format::page::{self, PageRef, Table};
use array_format_core::format::statistics::StatisticsPage;
use array_format_core::format::trailer::{ObjectKind, Trailer, check_header};
use array_format_core::grid::element_count;
use array_format_core::schema::Schema;
use array_format_core::statistics::Statistics;
use array_format_core::{Error, ErrorKind, Result};

use crate::file::ArrayFile;
use crate::index::Version;
use crate::index::scan::KeyRange;
use crate::read::View;
use crate::read::view::ChunkSource;
use crate::write::paged::Paged;
use crate::write::pending::grid;

/// How thoroughly to check.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// Also computes the statistics of all chunks and arrays and compares them with those in the file.
    pub statistics: bool,
}

impl VerifyOptions {
    /// Compares statistics with the data, or not.
    #[must_use]
    pub fn statistics(mut self, statistics: bool) -> Self {
        self.statistics = statistics;
        self
    }
}

/// What was checked, and what is damaged.
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    /// Layers whose header, trailer and block table were checked.
    pub layers: u64,
    /// Index pages that were read and decoded.
    pub pages: u64,
    /// Blocks whose bytes were checked.
    pub blocks: u64,
    /// Chunks that were decoded.
    pub chunks: u64,
    /// Arrays and groups.
    pub nodes: u64,
    /// All damage that was found, each with its place.
    pub damage: Vec<Error>,
}

impl VerifyReport {
    /// Whether everything is as it should be.
    pub fn is_clean(&self) -> bool {
        self.damage.is_empty()
    }

    fn note<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|e| self.damage.push(e)).ok()
    }
}

impl ArrayFile {
    /// Checks the version that the handle is based on: every layer that it needs, every index page, every block, live or dead, and that every
    /// chunk decodes. Goes on after damage and reports all of it. Nothing is taken from the cache.
    ///
    /// # Errors
    /// Only what keeps it from looking at all, such as a store that cannot be reached.
    pub async fn verify(&self, options: VerifyOptions) -> Result<VerifyReport> {
        let mut version = self.view().version;
        // A cache of its own, and small: what is verified is the file.
        version.config = Arc::new((*version.config).clone().with_cache(crate::DeltaCache::new(8 << 20)));
        let mut report = VerifyReport::default();
        let mut tables = HashMap::new();
        for entry in &version.head.footer.objects {
            let checked = version.check_layer(entry.id, &mut tables, &mut report).await;
            match checked {
                Err(e) if matches!(e.kind(), ErrorKind::Unavailable | ErrorKind::PermissionDenied) => {
                    return Err(e);
                }
                other => report.note(other.map_err(|e| version.in_file(e))),
            };
            report.layers += 1;
        }
        for run in &version.head.footer.runs {
            for directory in &run.directories {
                version.check_pages(directory, &mut report).await;
            }
        }
        let view = View { version, pending: Arc::default() };
        view.check_nodes(options, &tables, &mut report).await;
        Ok(report)
    }
}

/// The fingerprints of the blocks that stand in the block tables of whole layers, by number.
type Tables = HashMap<ObjectId, Paged<u32>>;

impl Version {
    async fn check_layer(&self, id: ObjectId, tables: &mut Tables, report: &mut VerifyReport) -> Result<()> {
        let damage_before = report.damage.len();
        let mut fingerprints = Paged::default();
        let entry = self.entry(id)?;
        let object = self.objects.get(&self.head.file_id, &entry).await?;
        let header = object.read(0..HEADER_BYTES as u64).await?;
        let size = object.stored().size();
        let tail = object
            .read(size.saturating_sub(array_format_core::format::constants::TRAILER_BYTES as u64)..size)
            .await?;
        let trailer = Trailer::decode(&tail, size).map_err(|e| e.in_layer(id))?;
        check_header(&header, &trailer).map_err(|e| e.in_layer(id))?;
        let root = &trailer.root;
        let bytes = object.read(root.offset..root.offset + root.stored_bytes).await?;
        let decoded =
            page::open(&bytes, u64::from(root.codec.code()), root.decoded_bytes, root.checksum, "the root");
        let decoded = decoded.map_err(|e| e.in_layer(id).at_offset(root.offset))?;
        let at_root = |e: Error| e.in_layer(id).at_offset(root.offset);
        let own_blocks = match trailer.kind {
            ObjectKind::Layer => Footer::decode(&decoded).map_err(at_root)?.own_blocks,
            ObjectKind::Detached => {
                let detached = DetachedRoot::decode(&decoded).map_err(at_root)?;
                for directory in &detached.run.directories {
                    self.check_pages(directory, report).await;
                }
                detached.own_blocks
            }
        };
        let mut next = 0;
        for leaf in self.leaves_of(&own_blocks, report).await {
            let stored = self.read(leaf.object, leaf.offset..leaf.end()).await;
            let table = stored.and_then(|stored| {
                let decoded =
                    page::open(&stored, leaf.codec, leaf.decoded_bytes, leaf.checksum, "the block table")?;
                decode_table(&decoded)
            });
            let table = table.map_err(|e| self.in_file(e.in_layer(id).at_offset(leaf.offset)));
            report.pages += 1;
            for block in report.note(table).unwrap_or_default() {
                if block.id.number != next || block.id.object != id {
                    report.damage.push(self.at_block(Error::corrupt("a block table out of order"), &block));
                }
                next = block.id.number.saturating_add(1);
                *fingerprints.slot(block.id.number) = block.fingerprint();
                let checked = self.check_block(&block).await;
                report.note(checked);
                report.blocks += 1;
            }
        }
        if report.damage.len() == damage_before {
            tables.insert(id, fingerprints);
        }
        Ok(())
    }

    async fn check_block(&self, block: &BlockMeta) -> Result<()> {
        let at = |e: Error| self.at_block(e, block);
        let stored = self.read(block.id.object, block.offset..block.end()).await.map_err(at)?;
        if block.frame_bytes == 0 {
            return self.decode_block(block, &stored).map(|_| ());
        }
        array_format_core::framed::check(&stored, block.checksum).map_err(at)
    }

    /// The leaf pages of a directory; damaged directory pages are noted and passed over.
    async fn leaves_of(&self, directory: &Directory, report: &mut VerifyReport) -> Vec<PageRef> {
        let mut pages = directory.pages.clone();
        for level in (1..=directory.level).rev() {
            let mut below = Vec::new();
            for r in &pages {
                report.pages += 1;
                let d = self.page::<Directory>(directory.table, r).await;
                let d = d.and_then(|d| self.check_level(directory, &d, level).map(|()| d));
                below.extend(report.note(d).into_iter().flat_map(|d| d.pages.clone()));
            }
            pages = below;
        }
        pages
    }

    async fn check_pages(&self, directory: &Directory, report: &mut VerifyReport) {
        let table = directory.table;
        for r in self.leaves_of(directory, report).await {
            report.pages += 1;
            let rows = match table {
                Table::Nodes => self.page::<NodesPage>(table, &r).await.map(|p| p.len()),
                Table::Chunks => self.page::<ChunksPage>(table, &r).await.map(|p| p.keys.len()),
                Table::Attributes => self.page::<AttributesPage>(table, &r).await.map(|p| p.rows().count()),
                Table::ArrayStatistics | Table::ChunkStatistics => {
                    self.page::<StatisticsPage>(table, &r).await.map(|p| p.keys.len())
                }
                Table::Blocks => Err(Error::corrupt("a block table among the runs")),
            };
            if let Some(rows) = report.note(rows)
                && rows as u64 != r.rows
            {
                let e = Error::corrupt(format!("a page of {rows} rows, its directory says {}", r.rows));
                report.damage.push(self.in_file(e.in_layer(r.object).at_offset(r.offset)));
            }
        }
    }
}

impl View {
    async fn check_nodes(&self, options: VerifyOptions, tables: &Tables, report: &mut VerifyReport) {
        let rows = self.version.rows::<NodeRow>(Table::Nodes, KeyRange::all()).await;
        // Damage of pages was noted already.
        let Ok(rows) = rows else { return };
        let mut ids = HashSet::new();
        let (mut arrays, mut groups) = (0, 0);
        let mut live: HashMap<ObjectId, u64> = HashMap::new();
        for (path, node) in rows.into_iter().filter_map(|r| Some((r.path, r.node?))) {
            report.nodes += 1;
            let place = |e: Error| self.version.in_file(e.in_array(path.clone()));
            match &*node.schema {
                Schema::Array(_) => arrays += 1,
                Schema::Group(_) => groups += u64::from(node.id != 0),
            }
            if !ids.insert(node.id) || node.id >= self.version.head.footer.next_node {
                report
                    .damage
                    .push(place(Error::corrupt(format!("node id {} is given twice or too high", node.id))));
            }
            report.note(self.attributes(&node).await.map_err(place));
            self.check_array(&path, &node, options, tables, &mut live, report).await;
        }
        let footer = &self.version.head.footer;
        if (arrays, groups) != (footer.arrays, footer.groups) {
            let e = format!(
                "{arrays} arrays and {groups} groups, the root says {} and {}",
                footer.arrays, footer.groups
            );
            report.damage.push(self.version.in_file(Error::corrupt(e)));
        }
        if !report.is_clean() {
            return; // what could not be read was not counted
        }
        for o in &footer.objects {
            let found = live.get(&o.id).copied().unwrap_or(0);
            if found != o.live_bytes {
                let e = format!("{found} live bytes, the root says {}", o.live_bytes);
                report.damage.push(self.version.in_file(Error::corrupt(e).in_layer(o.id)));
            }
            if found > o.decoded_bytes {
                let e = format!(
                    "{found} live bytes in blocks of {} decoded bytes: chunks overlap",
                    o.decoded_bytes
                );
                report.damage.push(self.version.in_file(Error::corrupt(e).in_layer(o.id)));
            }
        }
    }

    async fn check_array(
        &self,
        path: &str,
        node: &Node,
        options: VerifyOptions,
        tables: &Tables,
        live: &mut HashMap<ObjectId, u64>,
        report: &mut VerifyReport,
    ) {
        let (Schema::Array(schema), Some(grid)) = (&*node.schema, grid(node)) else { return };
        let place = |e: Error| self.version.in_file(e.in_array(path));
        if node.chunk.is_some() && !grid.is_single() {
            report
                .damage
                .push(place(Error::corrupt("a chunk in the row of an array with more than one grid cell")));
        }
        let Some(chunks) = report.note(self.written_chunks(node).await.map_err(place)) else { return };
        let mut all = Statistics::empty();
        for (coords, source) in chunks {
            let ChunkSource::Stored(chunk) = source else { continue };
            report.chunks += 1;
            let bytes = live.entry(chunk.block.id.object).or_default();
            *bytes = bytes.saturating_add(chunk.length);
            let at = |e: Error| place(self.version.at_block(e, &chunk.block));
            let id = chunk.block.id;
            if tables.get(&id.object).is_some_and(|t| t.get(id.number) != chunk.block.fingerprint()) {
                let e = "the index describes a block otherwise than the block table of its layer";
                report.damage.push(at(Error::corrupt(e)));
            }
            let elements = async {
                let n = element_count(&grid.extents(&coords))?;
                self.check_place(&chunk)?;
                self.version.whole_chunk(schema, &chunk, n).await
            };
            let Some(elements) = report.note(elements.await.map_err(at)) else { continue };
            if options.statistics {
                let found = Statistics::of(&elements);
                all = all.merge(&found);
                let said = self.chunk_statistics(node, &coords).await;
                if let Some(said) = report.note(said.map_err(at))
                    && said != found
                {
                    report.damage.push(at(Error::corrupt(format!("statistics of chunk {coords:?} differ from its data: {said:?} in the index, {found:?} in the data"))));
                }
            }
        }
        if options.statistics
            && let Some(said) = report.note(self.array_statistics(node).await.map_err(place))
            && said != all
        {
            report.damage.push(place(Error::corrupt(format!(
                "statistics differ from the data: {said:?} in the index, {all:?} in the data"
            ))));
        }
    }

    fn check_place(&self, chunk: &ChunkRef) -> Result<()> {
        let entry = self.version.entry(chunk.block.id.object)?;
        if chunk.block.end() > entry.object_bytes || chunk.offset + chunk.length > chunk.block.decoded_bytes {
            return Err(Error::corrupt("a chunk lies outside of its block or layer"));
        }
        Ok(())
    }
}
