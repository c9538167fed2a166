//! Which layers are merged, and the layer that they become.

use std::mem::take;

use array_format_core::Result;
use array_format_core::address::ObjectId;
use array_format_core::block::ChunkRef;
use array_format_core::footer::{Cause, Footer, ObjectEntry, Run};
use array_format_core::format::attributes::AttributeRow;
use array_format_core::format::chunks::ChunkRow;
use array_format_core::format::nodes::NodeRow;
use array_format_core::format::page::Table;
use array_format_core::format::statistics::StatisticsRow;
use array_format_core::format::trailer::Id;
use array_format_core::schema::Schema;

use crate::commit::build::Built;
use crate::index::Version;
use crate::index::build::{BuildRow, TableBuilder};
use crate::index::scan::KeyRange;
use crate::write::mover::Mover;
use crate::write::paged::Paged;
use crate::write::pending::grid;
use crate::write::sink::LayerSink;

/// Rows in hand at once.
const BATCH_ROWS: usize = 2048;

/// Layers up to this size are small.
const SMALL_LAYER_BYTES: u64 = 8 << 20;

/// Runs of at most this many stored bytes together are merged when small layers are.
const SMALL_RUNS_BYTES: u64 = 4 << 20;

/// What to merge.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Merge {
    /// All layers, into one that needs no other.
    All {
        /// Whether older versions stay part of the file.
        keep_versions: bool,
    },
    /// The newest runs, and the blocks of small layers.
    Small,
}

/// A merge that is worth while.
pub(crate) struct Plan<'a> {
    version: &'a Version,
    /// How many of the newest runs are merged.
    runs: usize,
    /// Objects whose blocks are moved; `None`: all.
    objects: Option<Vec<ObjectId>>,
    floor: u64,
}

/// What is to be done; `None` if that is nothing.
pub(crate) fn plan<'a>(version: &'a Version, merge: &Merge) -> Option<Plan<'a>> {
    let footer = &*version.head.footer;
    match merge {
        Merge::All { keep_versions } => {
            let floor = if *keep_versions { footer.floor } else { footer.version.saturating_add(1) };
            // Before version 1 there was nothing but the empty file, which nobody can want to keep.
            let nothing_older = footer.floor >= footer.version || footer.version == 1;
            let done = is_merged(footer) && (*keep_versions || nothing_older);
            (!done).then_some(Plan { version, runs: footer.runs.len(), objects: None, floor })
        }
        Merge::Small => {
            let is_small = |o: &&ObjectEntry| {
                o.id != ObjectId::Layer(version.head.base)
                    && (o.object_bytes <= SMALL_LAYER_BYTES
                        || o.live_bytes.saturating_mul(2) < o.decoded_bytes)
            };
            let objects: Vec<ObjectId> = footer.objects.iter().filter(is_small).map(|o| o.id).collect();
            let mut bytes = 0u64;
            let fits = |run: &&Run| {
                let pages = run.directories.iter().flat_map(|d| &d.pages);
                bytes = pages.fold(bytes, |sum, p| sum.saturating_add(p.stored_bytes));
                bytes <= SMALL_RUNS_BYTES && run.directories.iter().all(|d| d.level == 0)
            };
            let runs = footer.runs.iter().take_while(fits).count();
            (objects.len() > 1 && runs > 0).then_some(Plan {
                version,
                runs,
                objects: Some(objects),
                floor: footer.floor,
            })
        }
    }
}

/// Whether a version is one layer without anything dead in it, or with what a merge left in it before.
fn is_merged(footer: &Footer) -> bool {
    match &footer.objects[..] {
        [only] => {
            only.id == ObjectId::Layer(footer.version)
                && footer.runs.len() < 2
                && (only.live_bytes == only.decoded_bytes || footer.cause == Cause::Compaction)
        }
        _ => false,
    }
}

/// What is known of a node.
const LIVES: u8 = 1;
const HAS_CHUNK_ROWS: u8 = 2;

impl Plan<'_> {
    fn merged(&self) -> &[Run] {
        self.version.head.footer.runs.get(..self.runs).unwrap_or_default()
    }

    fn kept(&self) -> &[Run] {
        self.version.head.footer.runs.get(self.runs..).unwrap_or_default()
    }

    fn moves(&self, chunk: &ChunkRef) -> bool {
        self.objects.as_ref().is_none_or(|o| o.contains(&chunk.block.id.object))
    }

    /// Writes the layer.
    pub(crate) async fn write(self, write_id: Id, mut sink: LayerSink) -> Result<Built> {
        // Rows that hide nothing can go once there is nothing below.
        let last = self.kept().is_empty();
        let mut mover = Mover::new(self.version);
        let mut nodes = Paged::<u8>::default();
        self.survey(&mut mover, &mut nodes).await?;
        let mut objects = self.version.head.footer.objects.clone();
        let mut run = Run::default();
        let has_chunk_rows = |node: u64| nodes.get(node) & HAS_CHUNK_ROWS != 0;

        let moved = &mut Moved { plan: &self, mover, objects: &mut objects, live_bytes: 0 };
        run.directories.extend(
            self.table::<NodeRow>(Table::Nodes, &mut sink, moved, |r| !last || r.node.is_some(), |_| true)
                .await?,
        );
        run.directories.extend(
            self.table::<ChunkRow>(
                Table::Chunks,
                &mut sink,
                moved,
                |r| !last || r.chunk.is_some() && has_chunk_rows(r.node),
                // The row of a deleted array's chunk is nobody's. Of an array whose row is in an older run nothing is known here.
                |r| has_chunk_rows(r.node),
            )
            .await?,
        );
        run.directories.extend(
            self.table::<AttributeRow>(
                Table::Attributes,
                &mut sink,
                moved,
                |r| !last || r.value.is_some() && nodes.get(r.node) & LIVES != 0,
                |_| false,
            )
            .await?,
        );
        for table in [Table::ArrayStatistics, Table::ChunkStatistics] {
            let wanted = if table == Table::ArrayStatistics { LIVES } else { HAS_CHUNK_ROWS };
            run.directories.extend(
                self.table::<StatisticsRow>(
                    table,
                    &mut sink,
                    moved,
                    |r| !last || r.statistics.is_some() && nodes.get(r.node) & wanted != 0,
                    |_| false,
                )
                .await?,
            );
        }
        let own_live = moved.live_bytes;
        self.close(run, objects, own_live, write_id, sink).await
    }

    async fn close(
        &self,
        run: Run,
        objects: Vec<ObjectEntry>,
        live_bytes: u64,
        write_id: Id,
        mut sink: LayerSink,
    ) -> Result<Built> {
        let footer = &self.version.head.footer;
        let own_blocks = sink.put_block_table().await?;
        let (stored_bytes, decoded_bytes) = sink.block_bytes();
        let id = sink.object();
        let mut runs = vec![run];
        runs.extend_from_slice(self.kept());
        runs.retain(|r| !r.directories.is_empty());
        let mut footer = Footer {
            objects,
            runs,
            own_blocks,
            floor: self.floor,
            ..footer.successor(Cause::Compaction, self.version.config.now_ms(), "")
        };
        footer.keep_needed();
        footer.objects.retain(|o| o.id != id);
        footer.objects.push(ObjectEntry {
            id,
            write_id,
            object_bytes: 0,
            stored_bytes,
            decoded_bytes,
            live_bytes,
        });
        let (upload, footer) = sink.close(footer).await?;
        Ok(Built { upload, footer, ids: Default::default(), inline: Default::default() })
    }

    /// What lives: nodes that have a row, and their chunks. A writer that makes a grid smaller writes tombstones for what it cuts off, so
    /// that grids need not be looked at.
    async fn survey(&self, mover: &mut Mover<'_>, known: &mut Paged<u8>) -> Result<()> {
        let mut nodes =
            self.version.scan_runs::<NodeRow>(self.merged(), Table::Nodes, KeyRange::all()).await?;
        while let Some(row) = nodes.next().await? {
            let Some(node) = row.node else { continue };
            let many =
                matches!(&*node.schema, Schema::Array(_)) && grid(&node).is_some_and(|g| !g.is_single());
            *known.slot(node.id) = LIVES | if many { HAS_CHUNK_ROWS } else { 0 };
            if let Some((chunk, _)) = &node.chunk {
                mover.count(chunk);
            }
        }
        let mut chunks =
            self.version.scan_runs::<ChunkRow>(self.merged(), Table::Chunks, KeyRange::all()).await?;
        while let Some(row) = chunks.next().await? {
            if let Some(chunk) = row.chunk.filter(|_| known.get(row.node) & HAS_CHUNK_ROWS != 0) {
                mover.count(&chunk);
            }
        }
        Ok(())
    }

    /// Writes the rows of a table that are wanted, the chunks of those that are `movable` moved.
    async fn table<R: MergeRow>(
        &self,
        table: Table,
        sink: &mut LayerSink,
        moved: &mut Moved<'_, '_>,
        wanted: impl Fn(&R) -> bool,
        movable: impl Fn(&R) -> bool,
    ) -> Result<Option<array_format_core::format::directory::Directory>> {
        let mut builder = TableBuilder::<R>::new(table);
        let mut scan = self.version.scan_runs::<R>(self.merged(), table, KeyRange::all()).await?;
        let mut rows = Vec::new();
        loop {
            let row = scan.next().await?;
            let done = row.is_none();
            rows.extend(row.filter(&wanted));
            if done || rows.len() >= BATCH_ROWS {
                let mut chunks: Vec<&mut ChunkRef> =
                    rows.iter_mut().filter(|r| movable(r)).filter_map(R::chunk).collect();
                moved.place(&mut chunks, sink).await?;
                for row in take(&mut rows) {
                    builder.push(row, sink).await?;
                }
            }
            if done {
                return builder.finish(sink).await;
            }
        }
    }
}

/// Blocks that were moved, and what that leaves behind.
struct Moved<'a, 'v> {
    plan: &'a Plan<'v>,
    mover: Mover<'v>,
    objects: &'a mut Vec<ObjectEntry>,
    live_bytes: u64,
}

impl Moved<'_, '_> {
    async fn place(&mut self, chunks: &mut [&mut ChunkRef], sink: &mut LayerSink) -> Result<()> {
        let mut moving: Vec<&mut ChunkRef> =
            chunks.iter_mut().map(|c| &mut **c).filter(|c| self.plan.moves(c)).collect();
        for chunk in &moving {
            self.live_bytes = self.live_bytes.saturating_add(chunk.length);
            if let Some(entry) = self.objects.iter_mut().find(|o| o.id == chunk.block.id.object) {
                entry.live_bytes = entry.live_bytes.saturating_sub(chunk.length);
            }
        }
        self.mover.place(&mut moving, sink).await
    }
}

/// A row that may have a chunk.
trait MergeRow: BuildRow {
    fn chunk(_: &mut Self) -> Option<&mut ChunkRef> {
        None
    }
}

impl MergeRow for NodeRow {
    fn chunk(row: &mut Self) -> Option<&mut ChunkRef> {
        Some(&mut row.node.as_mut()?.chunk.as_mut()?.0)
    }
}

impl MergeRow for ChunkRow {
    fn chunk(row: &mut Self) -> Option<&mut ChunkRef> {
        row.chunk.as_mut()
    }
}

impl MergeRow for AttributeRow {}
impl MergeRow for StatisticsRow {}
