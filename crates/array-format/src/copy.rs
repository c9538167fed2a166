//! Copies of arrays between files.

use std::sync::Arc;

use array_format_core::schema::ArraySchema;
use array_format_core::{Error, Result};

use crate::file::ArrayFile;
use crate::read::view::ChunkSource;
use crate::snapshot::Snapshot;
use crate::write::brief::Brief;
use crate::write::define::ArrayDefinition;
use crate::write::pending::{Placed, StagedChunk};
use crate::write::stage::staged_mut;

impl ArrayFile {
    /// Copies an array of another file, or of this one, under a new name, with its attributes. Blocks are copied as they are, compressed, when the
    /// next [`flush`](Self::flush) commits them; until then `from` is read.
    ///
    /// # Errors
    /// `NotFound`, `AlreadyExists`; `Unsupported` for a codec that this file's configuration does not have; what the storages say.
    ///
    /// # Cost
    /// The index pages of the array now; its blocks, read and written once, with the commit.
    pub async fn copy_from(&mut self, from: &Snapshot, source: &str, target: &str) -> Result<()> {
        let array = from.view.array(source).await?;
        let chunks = from.view.written_chunks(&array.node).await?;
        let mut staged = Vec::with_capacity(chunks.len());
        for (coords, source) in chunks {
            let chunk = match source {
                ChunkSource::Unwritten => continue,
                ChunkSource::Staged(elements) => StagedChunk::Data(elements),
                ChunkSource::Elsewhere(placed) => StagedChunk::Placed(placed),
                ChunkSource::Stored(chunk) => {
                    let statistics = from.view.chunk_statistics(&array.node, &coords).await?;
                    let from = Some(Box::new(from.view.version.clone()));
                    StagedChunk::Placed(Arc::new(Placed { chunk, statistics: Brief::new(statistics), from }))
                }
            };
            if let StagedChunk::Placed(placed) = &chunk {
                let codec = &placed.chunk.block.codec;
                let known = self.inner.config.codecs.codec(codec.id, &codec.name);
                known.map_err(|e| self.in_file(e.in_array(target)))?;
            }
            staged.push((coords, chunk));
        }
        let attributes = from.view.attributes(&array.node).await?;
        let definition = ArrayDefinition::of_schema((*array.schema).clone(), array.node.shape.clone());
        self.define(target, definition)?;
        for (name, value) in attributes {
            self.set_attribute(target, &name, value).await?;
        }
        let _gate = self.inner.gate.write().await;
        self.edit(|p| {
            let id = staged_mut(p, target)?.node.id;
            p.put_chunks(id, staged);
            Ok(())
        })
        .map_err(|e: Error| self.in_file(e.in_array(target)))
    }
}

impl ArrayDefinition {
    /// The definition of an array that exists.
    pub fn of_schema(schema: ArraySchema, shape: Vec<u64>) -> Self {
        Self { schema, shape, fill_type: None, default_filters: false }
    }
}
