//! A layer, or a detached layer, as it is written: header, then blocks and pages as they come, then root and trailer.

use std::sync::Arc;

use array_format_core::Result;
use array_format_core::address::{BlockId, ObjectId};
use array_format_core::block::{BlockMeta, CodecRecord};
use array_format_core::footer::{DetachedRoot, Footer};
use array_format_core::format::blocks;
use array_format_core::format::constants::{MINOR_VERSION, TRAILER_BYTES};
use array_format_core::format::directory::Directory;
use array_format_core::format::page::{PageRef, StoredPage, Table, put_key, seal, seal_plain};
use array_format_core::format::trailer::{Id, ObjectKind, RootRef, Trailer, header};
use bytes::Bytes;

use crate::index::build::{directory, put_page};
use crate::storage::Upload;

/// Blocks of a page of the block table.
const BLOCK_TABLE_ROWS: usize = 4096;

/// Up to this length a root is always compressed.
const SMALL_ROOT_BYTES: usize = 4096;

/// A layer under way.
pub(crate) struct LayerSink {
    upload: Box<dyn Upload>,
    offset: u64,
    kind: ObjectKind,
    layer: u64,
    file_id: Id,
    write_id: Id,
    /// Blocks that are in no page of the block table yet.
    blocks: Vec<Arc<BlockMeta>>,
    /// Pages of the block table, with the keys of their last rows.
    block_pages: Vec<(PageRef, Vec<u8>)>,
    next_block: u64,
    stored_bytes: u64,
    decoded_bytes: u64,
}

/// What stands in the place of a layer number in detached layers.
const NO_LAYER: u64 = u64::MAX;

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
        kind: ObjectKind,
        file_id: Id,
        layer: u64,
        write_id: Id,
    ) -> Result<Self> {
        let mut sink = Self {
            upload,
            offset: 0,
            kind,
            layer,
            file_id,
            write_id,
            blocks: Vec::new(),
            block_pages: Vec::new(),
            next_block: 0,
            stored_bytes: 0,
            decoded_bytes: 0,
        };
        sink.write(header(kind, &file_id, layer, &write_id).into()).await?;
        Ok(sink)
    }

    /// A detached layer; its write id is its name.
    pub(crate) async fn begin_detached(upload: Box<dyn Upload>, file_id: Id, write_id: Id) -> Result<Self> {
        Self::begin(upload, ObjectKind::Detached, file_id, NO_LAYER, write_id).await
    }

    /// The write id of the object.
    pub(crate) fn write_id(&self) -> Id {
        self.write_id
    }

    /// The object that is written.
    pub(crate) fn object(&self) -> ObjectId {
        match self.kind {
            ObjectKind::Layer => ObjectId::Layer(self.layer),
            ObjectKind::Detached => ObjectId::Detached(self.write_id),
        }
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
        let id = BlockId { object: self.object(), number: self.next_block };
        let meta = Arc::new(BlockMeta {
            id,
            offset,
            stored_bytes,
            decoded_bytes: block.decoded_bytes,
            frame_bytes: block.frame_bytes,
            codec: block.codec,
            checksum: block.checksum,
        });
        self.next_block += 1;
        self.stored_bytes = self.stored_bytes.saturating_add(stored_bytes);
        self.decoded_bytes = self.decoded_bytes.saturating_add(block.decoded_bytes);
        self.blocks.push(meta.clone());
        // Not kept until the end: a layer may have any number of blocks.
        if self.blocks.len() >= BLOCK_TABLE_ROWS {
            self.put_block_page().await?;
        }
        Ok(meta)
    }

    async fn put_block_page(&mut self) -> Result<()> {
        let blocks = std::mem::take(&mut self.blocks);
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else { return Ok(()) };
        let key = |b: &BlockMeta| {
            let mut key = Vec::new();
            put_key(&mut key, b.id.number);
            key
        };
        let (first, last) = (key(first), key(last));
        let page = put_page(blocks::encode_table(&blocks), first, blocks.len() as u64, self).await?;
        self.block_pages.push((page, last));
        Ok(())
    }

    /// Writes the rest of the block table. Called once, after the last block.
    pub(crate) async fn put_block_table(&mut self) -> Result<Directory> {
        self.put_block_page().await?;
        directory(Table::Blocks, std::mem::take(&mut self.block_pages), self).await
    }

    /// Stored and decoded bytes of all blocks.
    pub(crate) fn block_bytes(&self) -> (u64, u64) {
        (self.stored_bytes, self.decoded_bytes)
    }

    /// Gives up and removes what was written.
    pub(crate) async fn abort(self) -> Result<()> {
        self.upload.abort().await
    }

    /// Writes root and trailer of a layer.
    pub(crate) async fn close(self, mut footer: Footer) -> Result<(Box<dyn Upload>, Footer)> {
        let root = footer.encode();
        // Ids are random, and those of a thousand layers are nearly all of the root: it would not become smaller, and every commit writes one.
        let ids = (footer.objects.len() + footer.ancestors.len()) * size_of::<Id>();
        let is_random = root.len() > SMALL_ROOT_BYTES && ids > root.len() / 2;
        let sealed = if is_random { seal_plain(root)? } else { seal(root)? };
        let (upload, length) = self.close_with(sealed).await?;
        footer.set_own_length(length);
        Ok((upload, footer))
    }

    /// Writes root and trailer of a detached layer. Returns its length in bytes, too.
    pub(crate) async fn close_detached(self, root: &DetachedRoot) -> Result<(Box<dyn Upload>, u64)> {
        self.close_with(seal(root.encode())?).await
    }

    async fn close_with(mut self, root: StoredPage) -> Result<(Box<dyn Upload>, u64)> {
        let length = self.offset + root.bytes.len() as u64 + TRAILER_BYTES as u64;
        let trailer = Trailer {
            kind: self.kind,
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
        Ok((self.upload, length))
    }
}
