//! Layers: header, trailer, root, block table, blocks, index pages.

use array_format_core::block::BlockMeta;
use array_format_core::footer::{DetachedRoot, Footer, ObjectEntry};
use array_format_core::format::attributes::AttributesPage;
use array_format_core::format::blocks::decode_table;
use array_format_core::format::chunks::ChunksPage;
use array_format_core::format::constants::{HEADER_BYTES, TRAILER_BYTES};
use array_format_core::format::directory::Directory;
use array_format_core::format::nodes::NodesPage;
use array_format_core::format::page::{self, PageRef, Table};
use array_format_core::format::statistics::StatisticsPage;
use array_format_core::format::trailer::{ObjectKind, Trailer, check_header};
use array_format_core::{Error, Result};

use super::Check;
use crate::index::Version;
use crate::write::paged::Paged;

impl Check {
    /// Checks the layers and index pages that a version needs, each once.
    pub(super) async fn layers_of(&mut self, version: &Version) {
        self.report.versions += 1;
        for entry in &version.head.footer.objects {
            if self.layers.insert(entry.write_id) {
                let checked = self.layer(version, entry).await;
                self.note(checked.map_err(|e| version.in_file(e)));
                self.report.layers += 1;
            }
        }
        for run in &version.head.footer.runs {
            for directory in &run.directories {
                self.pages(version, directory).await;
            }
        }
    }

    async fn layer(&mut self, version: &Version, entry: &ObjectEntry) -> Result<()> {
        let id = entry.id;
        let damage_before = self.report.damage.len();
        let mut fingerprints = Paged::default();
        let object = version.objects.get(&version.head.file_id, entry, u64::MAX).await?;
        let header = object.read(0..HEADER_BYTES as u64).await?;
        let size = object.stored().size();
        let tail = object.read(size.saturating_sub(TRAILER_BYTES as u64)..size).await?;
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
                    self.pages(version, directory).await;
                }
                detached.own_blocks
            }
        };
        let mut next = 0;
        for leaf in self.leaves(version, &own_blocks).await {
            let stored = version.read(leaf.object, leaf.offset..leaf.end()).await;
            let table = stored.and_then(|stored| {
                let decoded =
                    page::open(&stored, leaf.codec, leaf.decoded_bytes, leaf.checksum, "the block table")?;
                decode_table(&decoded)
            });
            let table = table.map_err(|e| version.in_file(e.in_layer(id).at_offset(leaf.offset)));
            self.report.pages += 1;
            for block in self.note(table).unwrap_or_default() {
                if block.id.number != next || block.id.object != id {
                    self.report
                        .damage
                        .push(version.at_block(Error::corrupt("a block table out of order"), &block));
                }
                next = block.id.number.saturating_add(1);
                *fingerprints.slot(block.id.number) = block.fingerprint();
                let checked = check_block(version, &block).await;
                self.note(checked);
                self.report.blocks += 1;
            }
        }
        if self.report.damage.len() == damage_before {
            self.tables.insert(id, fingerprints);
        }
        Ok(())
    }

    /// The leaf pages of a directory; damaged directory pages are noted and passed over.
    async fn leaves(&mut self, version: &Version, directory: &Directory) -> Vec<PageRef> {
        let mut pages = directory.pages.clone();
        for level in (1..=directory.level).rev() {
            let mut below = Vec::new();
            for r in &pages {
                self.report.pages += 1;
                let d = version.page::<Directory>(directory.table, r).await;
                let d = d.and_then(|d| version.check_level(directory, &d, level).map(|()| d));
                below.extend(self.note(d).into_iter().flat_map(|d| d.pages.clone()));
            }
            pages = below;
        }
        pages
    }

    async fn pages(&mut self, version: &Version, directory: &Directory) {
        let table = directory.table;
        for r in self.leaves(version, directory).await {
            if !self.pages.insert((r.object, r.offset, r.checksum, r.rows)) {
                continue;
            }
            self.report.pages += 1;
            let rows = match table {
                Table::Nodes => version.page::<NodesPage>(table, &r).await.map(|p| p.len()),
                Table::Chunks => version.page::<ChunksPage>(table, &r).await.map(|p| p.keys.len()),
                Table::Attributes => {
                    version.page::<AttributesPage>(table, &r).await.map(|p| p.rows().count())
                }
                Table::ArrayStatistics | Table::ChunkStatistics => {
                    version.page::<StatisticsPage>(table, &r).await.map(|p| p.keys.len())
                }
                Table::Blocks => Err(Error::corrupt("a block table among the runs")),
            };
            if let Some(rows) = self.note(rows)
                && rows as u64 != r.rows
            {
                let e = Error::corrupt(format!("a page of {rows} rows, its directory says {}", r.rows));
                self.report.damage.push(version.in_file(e.in_layer(r.object).at_offset(r.offset)));
            }
        }
    }
}

async fn check_block(version: &Version, block: &BlockMeta) -> Result<()> {
    let at = |e: Error| version.at_block(e, block);
    let stored = version.read(block.id.object, block.offset..block.end()).await.map_err(at)?;
    if block.frame_bytes == 0 {
        return version.decode_block(block, &stored).map(|_| ());
    }
    array_format_core::framed::check(&stored, block.checksum).map_err(at)
}
