//! A layer as it is written: header, then blocks and pages as they come, then root and trailer.

use std::sync::Arc;

use array_format_core::Result;
use array_format_core::address::{BlockId, ObjectId};
use array_format_core::block::{BlockMeta, CodecRecord};
use array_format_core::footer::Footer;
use array_format_core::format::blocks;
use array_format_core::format::constants::{MINOR_VERSION, TRAILER_BYTES};
use array_format_core::format::directory::Directory;
use array_format_core::format::page::{Table, put_key, seal};
use array_format_core::format::trailer::{Id, ObjectKind, RootRef, Trailer, header};
use bytes::Bytes;

use crate::index::build::{directory, put_page};
use crate::storage::Upload;

/// Blocks of a page of the block table.
const BLOCK_TABLE_ROWS: usize = 4096;

/// A layer under way.
pub(crate) struct LayerSink {
    upload: Box<dyn Upload>,
    offset: u64,
    layer: u64,
    file_id: Id,
    write_id: Id,
    blocks: Vec<Arc<BlockMeta>>,
}

/// A block that is ready to be stored.
pub(crate) struct ReadyBlock {
    pub(crate) stored: Bytes,
    pub(crate) decoded_bytes: u64,
    pub(crate) frame_bytes: u64,
    pub(crate) codec: Arc<CodecRecord>,
    pub(crate) checksum: u32,
}

impl LayerSink {
    pub(crate) async fn begin(
        upload: Box<dyn Upload>,
        file_id: Id,
        layer: u64,
        write_id: Id,
    ) -> Result<Self> {
        let mut sink = Self { upload, offset: 0, layer, file_id, write_id, blocks: Vec::new() };
        sink.write(header(ObjectKind::Layer, &file_id, layer, &write_id).into()).await?;
        Ok(sink)
    }

    pub(crate) fn layer(&self) -> u64 {
        self.layer
    }

    /// Appends bytes and says where they begin.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<u64> {
        let offset = self.offset;
        self.offset += bytes.len() as u64;
        self.upload.write(bytes).await?;
        Ok(offset)
    }

    /// Stores a block and gives it its number.
    pub(crate) async fn put_block(&mut self, block: ReadyBlock) -> Result<Arc<BlockMeta>> {
        let stored_bytes = block.stored.len() as u64;
        let offset = self.write(block.stored).await?;
        let id = BlockId { object: ObjectId::Layer(self.layer), number: self.blocks.len() as u64 };
        let meta = Arc::new(BlockMeta {
            id,
            offset,
            stored_bytes,
            decoded_bytes: block.decoded_bytes,
            frame_bytes: block.frame_bytes,
            codec: block.codec,
            checksum: block.checksum,
        });
        self.blocks.push(meta.clone());
        Ok(meta)
    }

    /// Writes the block table. Called once, after the last block.
    pub(crate) async fn put_block_table(&mut self) -> Result<Directory> {
        let blocks = std::mem::take(&mut self.blocks);
        let key = |b: &BlockMeta| {
            let mut key = Vec::new();
            put_key(&mut key, b.id.number);
            key
        };
        let mut pages = Vec::new();
        for group in blocks.chunks(BLOCK_TABLE_ROWS) {
            let first = group.first().map(|b| key(b)).unwrap_or_default();
            let last = group.last().map(|b| key(b)).unwrap_or_default();
            pages.push((put_page(blocks::encode_table(group), first, group.len() as u64, self).await?, last));
        }
        self.blocks = blocks;
        directory(Table::Blocks, pages, self).await
    }

    /// Stored and decoded bytes of all blocks.
    pub(crate) fn block_bytes(&self) -> (u64, u64) {
        let sum = |f: fn(&BlockMeta) -> u64| self.blocks.iter().map(|b| f(b)).sum();
        (sum(|b| b.stored_bytes), sum(|b| b.decoded_bytes))
    }

    /// Writes root and trailer.
    pub(crate) async fn close(mut self, mut footer: Footer) -> Result<(Box<dyn Upload>, Footer)> {
        let root = seal(footer.encode())?;
        let length = self.offset + root.bytes.len() as u64 + TRAILER_BYTES as u64;
        let trailer = Trailer {
            kind: ObjectKind::Layer,
            file_id: self.file_id,
            write_id: self.write_id,
            layer: self.layer,
            object_bytes: length,
            root: RootRef {
                offset: self.offset,
                stored_bytes: root.bytes.len() as u64,
                decoded_bytes: root.decoded_bytes,
                checksum: root.checksum,
                codec: root.codec,
            },
            minor: MINOR_VERSION,
        };
        self.write(root.bytes.into()).await?;
        self.write(trailer.encode().into()).await?;
        footer.set_own_length(length);
        Ok((self.upload, footer))
    }
}
