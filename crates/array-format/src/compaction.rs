//! Merging all layers into one: `docs/format.md` section 11, `docs/design.md` "Compaction".

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use array_format_core::address::{BlockId, ObjectId};
use array_format_core::block::{BlockMeta, ChunkRef};
use array_format_core::checksum::verify;
use array_format_core::footer::{Cause, Footer, ObjectEntry, Run};
use array_format_core::format::attributes::AttributeRow;
use array_format_core::format::chunks::ChunkRow;
use array_format_core::format::nodes::NodeRow;
use array_format_core::format::page::Table;
use array_format_core::format::statistics::StatisticsRow;
use array_format_core::format::trailer::Id;
use array_format_core::schema::Schema;
use array_format_core::{Error, ErrorKind, Result};
use bytes::Bytes;

use crate::commit::build::Built;
use crate::commit::publish::{Outcome, publish};
use crate::file::ArrayFile;
use crate::gc;
use crate::index::Version;
use crate::index::build::TableBuilder;
use crate::index::scan::KeyRange;
use crate::layer::{Head, names, open_head};
use crate::write::pack::compress;
use crate::write::pending::grid;
use crate::write::sink::{LayerSink, ReadyBlock};

/// Commits of others that a compaction begins anew for.
const ROUNDS: usize = 8;

/// How to compact.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct CompactOptions {
    /// Keeps the layers of older versions, so that these can still be opened. [`ArrayFile::garbage_collect`] removes them later.
    pub keep_versions: bool,
}

impl CompactOptions {
    /// Keeps older versions, or not.
    #[must_use]
    pub fn keep_versions(mut self, keep: bool) -> Self {
        self.keep_versions = keep;
        self
    }
}

impl ArrayFile {
    /// Merges all layers back into a single file. Content and version history go on: compaction is itself a version. Older
    /// versions can no longer be opened afterwards; handles that have them open go on reading.
    ///
    /// Pending changes stay pending.
    ///
    /// # Errors
    /// `Conflict` if others commit faster than it can finish; what the storage says. Interrupted anywhere, the file is whole, and the next
    /// compaction finishes the job.
    ///
    /// # Cost
    /// Reads and writes all live blocks once, compressed as they are.
    pub async fn compact(&mut self) -> Result<u64> {
        self.compact_with(CompactOptions::default()).await
    }

    /// As [`compact`](Self::compact), with options. Returns the version that the handle is based on afterwards.
    ///
    /// # Errors
    /// As [`compact`](Self::compact).
    pub async fn compact_with(&mut self, options: CompactOptions) -> Result<u64> {
        self.check_writable()?;
        self.refresh().await?;
        let _gate = self.inner.gate.lock().await;
        self.merge_layers(options).await.map_err(|e| self.in_file(e))
    }

    async fn merge_layers(&self, options: CompactOptions) -> Result<u64> {
        for _ in 0..ROUNDS {
            let version = self.view().version;
            if !is_merged(&version) {
                let next = version.next_number()?;
                let write_id = self.inner.config.new_id();
                let path =
                    names::sidecar(&version.objects.path, &version.head.file_id, ObjectId::Layer(next));
                let upload = version.objects.storage.upload(&path).await?;
                let sink = LayerSink::begin(upload, version.head.file_id, next, write_id).await?;
                let built = merge(&version, write_id, sink).await?;
                match publish(&version, built.upload, next, write_id).await? {
                    Outcome::Committed { base, base_tag } => {
                        let file_id = version.head.file_id;
                        let head = Head { file_id, footer: Arc::new(built.footer), base, base_tag };
                        self.rebase(Version { head: Arc::new(head), ..version }).await?;
                    }
                    Outcome::Taken => {
                        let head = open_head(&version.objects, None).await?;
                        self.rebase(Version { head: Arc::new(head), ..version }).await?;
                        continue;
                    }
                }
            }
            // The base may be what older versions need: it stays where they are kept.
            if !options.keep_versions {
                self.replace_base().await?;
                let version = self.view().version;
                gc::collect(&version, gc::GcOptions::default()).await?;
            }
            return Ok(self.version());
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "other writers commit faster than the file can be compacted; try again",
        ))
    }

    /// Puts the merged layer in the place of the base, if the base is still the one that was seen.
    async fn replace_base(&self) -> Result<()> {
        let version = self.view().version;
        let head = &version.head;
        if head.base == head.footer.version {
            return Ok(());
        }
        let from = names::sidecar(&version.objects.path, &head.file_id, ObjectId::Layer(head.footer.version));
        match version.objects.storage.promote(&from, &version.objects.path, &head.base_tag).await {
            Ok(base_tag) => {
                self.set_head(Head { base: head.footer.version, base_tag, ..(**head).clone() });
                Ok(())
            }
            // The store cannot replace on condition: base and merged layer stay two objects. Or another compaction was first.
            Err(e)
                if matches!(e.kind(), ErrorKind::Unsupported | ErrorKind::Conflict | ErrorKind::NotFound) =>
            {
                tracing::debug!(error = %e, "the base stays");
                Ok(())
            }
            Err(e) => Err(e),
        }
    }
}

/// Whether a version is one layer without anything dead in it.
fn is_merged(version: &Version) -> bool {
    let footer = &version.head.footer;
    match &footer.objects[..] {
        [only] => {
            only.id == ObjectId::Layer(footer.version)
                && footer.runs.len() < 2
                && only.live_bytes == only.decoded_bytes
        }
        _ => false,
    }
}

/// Copies blocks to a layer, each once.
struct Mover<'a> {
    version: &'a Version,
    live: HashMap<BlockId, u64>,
    moved: HashMap<BlockId, Arc<BlockMeta>>,
    /// Chunks of half-dead blocks, gathered into a new block.
    repacked: HashMap<(BlockId, u64), ChunkRef>,
    live_bytes: u64,
}

impl Mover<'_> {
    async fn place(&mut self, chunk: &ChunkRef, sink: &mut LayerSink) -> Result<ChunkRef> {
        self.live_bytes = self.live_bytes.saturating_add(chunk.length);
        let id = chunk.block.id;
        if let Some(at) = self.repacked.get(&(id, chunk.offset)) {
            return Ok(at.clone());
        }
        if let Some(block) = self.moved.get(&id) {
            return Ok(ChunkRef { block: block.clone(), ..chunk.clone() });
        }
        let live = self.live.get(&id).copied().unwrap_or(0);
        // Blocks that are mostly dead are taken apart; the others are copied as they are, undecoded.
        if chunk.block.frame_bytes == 0 && live.saturating_mul(2) < chunk.block.decoded_bytes {
            return self.repack(chunk, sink).await;
        }
        let stored = self.stored(&chunk.block).await?;
        let b = &chunk.block;
        let ready = ReadyBlock {
            stored,
            decoded_bytes: b.decoded_bytes,
            frame_bytes: b.frame_bytes,
            codec: b.codec.clone(),
            checksum: b.checksum,
        };
        let block = sink.put_block(ready).await?;
        self.moved.insert(id, block.clone());
        Ok(ChunkRef { block, ..chunk.clone() })
    }

    /// The stored bytes of a block; a copy must not launder damage, so that they are checked.
    async fn stored(&self, block: &BlockMeta) -> Result<Bytes> {
        let stored = self.version.read(block.id.object, block.offset..block.end()).await;
        let stored = stored.map_err(|e| self.version.at_block(e, block))?;
        if block.frame_bytes == 0 {
            verify(&stored, block.checksum, "a block").map_err(|e| self.version.at_block(e, block))?;
        } else {
            array_format_core::framed::check(&stored, block.checksum)
                .map_err(|e| self.version.at_block(e, block))?;
        }
        Ok(stored)
    }

    async fn repack(&mut self, chunk: &ChunkRef, sink: &mut LayerSink) -> Result<ChunkRef> {
        let codec = self.version.codec(&chunk.block)?;
        let stored = self.stored(&chunk.block).await?;
        let decoded = self.version.decode_block(&chunk.block, &stored)?;
        let bytes = usize::try_from(chunk.offset)
            .ok()
            .zip(usize::try_from(chunk.length).ok())
            .and_then(|(from, len)| decoded.get(from..from.checked_add(len)?))
            .ok_or_else(|| Error::corrupt("a chunk lies outside of its block"))?;
        let block = sink.put_block(compress(bytes, &*codec)?).await?;
        let at = ChunkRef { block, offset: 0, length: chunk.length };
        self.repacked.insert((chunk.block.id, chunk.offset), at.clone());
        Ok(at)
    }
}

fn add(live: &mut HashMap<BlockId, u64>, chunk: &ChunkRef) {
    let bytes = live.entry(chunk.block.id).or_default();
    *bytes = bytes.saturating_add(chunk.length);
}

/// Writes a layer that needs no other.
async fn merge(version: &Version, write_id: Id, mut sink: LayerSink) -> Result<Built> {
    let footer = &version.head.footer;
    let number = version.next_number()?;
    // What lives: nodes that have a row, and of their chunks those that the grid still has.
    let mut alive: HashSet<u64> = HashSet::new();
    let mut keys: HashMap<u64, Arc<Vec<String>>> = HashMap::new();
    let mut grids = HashMap::new();
    let mut live: HashMap<BlockId, u64> = HashMap::new();
    let mut nodes = version.scan::<NodeRow>(Table::Nodes, KeyRange::all()).await?;
    while let Some(row) = nodes.next().await? {
        let Some(node) = row.node else { continue };
        alive.insert(node.id);
        if !node.keys.is_empty() {
            keys.insert(node.id, node.keys.clone());
        }
        if let Some((chunk, _)) = &node.chunk {
            add(&mut live, chunk);
        }
        if let (Schema::Array(_), Some(grid)) = (&*node.schema, grid(&node))
            && !grid.is_single()
        {
            grids.insert(node.id, grid);
        }
    }
    let in_grid = |node: u64, coords: &[u64]| {
        grids.get(&node).is_some_and(|g: &array_format_core::grid::Grid| g.contains(coords))
    };
    let mut chunks = version.scan::<ChunkRow>(Table::Chunks, KeyRange::all()).await?;
    while let Some(row) = chunks.next().await? {
        if let Some(chunk) = row.chunk.as_ref().filter(|_| in_grid(row.node, &row.coords)) {
            add(&mut live, chunk);
        }
    }
    let mut mover = Mover { version, live, moved: HashMap::new(), repacked: HashMap::new(), live_bytes: 0 };
    let mut run = Run::default();

    let mut builder = TableBuilder::<NodeRow>::new(Table::Nodes);
    let mut nodes = version.scan::<NodeRow>(Table::Nodes, KeyRange::all()).await?;
    while let Some(mut row) = nodes.next().await? {
        let Some(node) = &mut row.node else { continue };
        if let Some((chunk, _)) = &mut node.chunk {
            *chunk = mover.place(chunk, &mut sink).await?;
        }
        builder.push(row, &mut sink).await?;
    }
    run.directories.extend(builder.finish(&mut sink).await?);

    let mut builder = TableBuilder::<ChunkRow>::new(Table::Chunks);
    let mut chunks = version.scan::<ChunkRow>(Table::Chunks, KeyRange::all()).await?;
    while let Some(mut row) = chunks.next().await? {
        let Some(chunk) = row.chunk.as_mut().filter(|_| in_grid(row.node, &row.coords)) else { continue };
        *chunk = mover.place(chunk, &mut sink).await?;
        builder.push(row, &mut sink).await?;
    }
    run.directories.extend(builder.finish(&mut sink).await?);

    let mut builder = TableBuilder::<AttributeRow>::new(Table::Attributes);
    let mut attributes = version.scan::<AttributeRow>(Table::Attributes, KeyRange::all()).await?;
    while let Some(row) = attributes.next().await? {
        let listed = keys.get(&row.node).is_some_and(|k| k.contains(&row.name));
        if row.value.is_some() && listed {
            builder.push(row, &mut sink).await?;
        }
    }
    run.directories.extend(builder.finish(&mut sink).await?);

    for table in [Table::ArrayStatistics, Table::ChunkStatistics] {
        let mut builder = TableBuilder::<StatisticsRow>::new(table);
        let mut rows = version.scan::<StatisticsRow>(table, KeyRange::all()).await?;
        while let Some(row) = rows.next().await? {
            let lives = alive.contains(&row.node)
                && (row.coords.is_empty() && table == Table::ArrayStatistics
                    || in_grid(row.node, &row.coords));
            if row.statistics.is_some() && lives {
                builder.push(row, &mut sink).await?;
            }
        }
        run.directories.extend(builder.finish(&mut sink).await?);
    }

    let own_blocks = sink.put_block_table().await?;
    let (stored_bytes, decoded_bytes) = sink.block_bytes();
    let id = ObjectId::Layer(number);
    let live_bytes = mover.live_bytes;
    let own = ObjectEntry { id, write_id, object_bytes: 0, stored_bytes, decoded_bytes, live_bytes };
    let runs = if run.directories.is_empty() { Vec::new() } else { vec![run] };
    let footer = Footer {
        version: number,
        time_ms: version.config.now_ms(),
        message: String::new(),
        cause: Cause::Compaction,
        next_node: footer.next_node,
        arrays: footer.arrays,
        groups: footer.groups,
        objects: vec![own],
        runs,
        own_blocks,
    };
    let (upload, footer) = sink.close(footer).await?;
    Ok(Built { upload, footer, ids: Default::default(), inline: Default::default() })
}
