//! How a file is written and read.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use array_format_core::Result;
use array_format_core::codec::{CodecRegistry, CompressionCodec, NUMBERS_ID, ZstdCodec};
use array_format_core::format::trailer::Id;

use crate::cache::DeltaCache;

/// Small chunks share blocks of about this many decoded bytes; see `docs/design.md`, "Block size".
const BLOCK_BYTES: usize = 64 << 10;
/// The same where a codec for numbers is chosen, which loses a fortieth with smaller ones.
const NUMBERS_BLOCK_BYTES: usize = 8 << 10;

/// Large chunks are cut into frames of about this many raw bytes, which decode alone. Zstandard loses a fifth of its ratio with smaller
/// ones; see `docs/design.md`, "Frames".
const FRAME_BYTES: usize = 256 << 10;
/// The same where pcodec, which loses nothing, was chosen for them.
const PCO_FRAME_BYTES: usize = 32 << 10;

/// Data that waits for a commit takes so much memory, about, before it goes ahead.
const PENDING_BYTES: u64 = 32 << 20;

/// Settings of one open file. Nothing here is needed to *read* what was written with other settings, except a codec of
/// one's own.
#[derive(Clone)]
pub struct FileConfig {
    pub(crate) codec: Arc<dyn CompressionCodec>,
    /// Whether numbers are compressed by what proves best on a sample of them.
    pub(crate) choose: bool,
    pub(crate) codecs: CodecRegistry,
    pub(crate) cache: DeltaCache,
    pub(crate) block_bytes: Option<usize>,
    pub(crate) frame_bytes: Option<usize>,
    pub(crate) pending_bytes: u64,
    pub(crate) shuffle: bool,
    pub(crate) overwrite: bool,
    pub(crate) version: Option<u64>,
    pub(crate) auto_compact: Option<usize>,
    pub(crate) clock: Arc<dyn Fn() -> i64 + Send + Sync>,
    pub(crate) ids: Arc<dyn Fn() -> Id + Send + Sync>,
}

impl FileConfig {
    /// Compresses new blocks with `codec`, unless an array asks for another. Without such a wish, with [`default`](Self::default), numbers are
    /// compressed by what proves best on a sample of them.
    pub fn new(codec: impl CompressionCodec) -> Self {
        let codec: Arc<dyn CompressionCodec> = Arc::new(codec);
        let mut codecs = CodecRegistry::default();
        // What this handle writes it can read, also with a codec of the user's own. A built-in is there already.
        let _known = codecs.register(codec.clone());
        Self {
            codec,
            choose: false,
            codecs,
            cache: DeltaCache::default(),
            block_bytes: None,
            frame_bytes: None,
            pending_bytes: PENDING_BYTES,
            shuffle: true,
            overwrite: false,
            version: None,
            auto_compact: None,
            clock: Arc::new(now_ms),
            ids: Arc::new(rand::random),
        }
    }

    /// Lets files with blocks of this codec be read, and arrays be defined with it.
    ///
    /// # Errors
    /// `InvalidArgument` if its id is below 65,536 or taken by another codec.
    pub fn register_codec(mut self, codec: impl CompressionCodec) -> Result<Self> {
        self.codecs.register(Arc::new(codec))?;
        Ok(self)
    }

    /// Shares decoded blocks and index pages with the other files that use the same cache.
    #[must_use]
    pub fn with_cache(mut self, cache: DeltaCache) -> Self {
        self.cache = cache;
        self
    }

    /// Decoded size up to which small chunks share a block. Larger: better compression, costlier single reads.
    #[must_use]
    pub fn with_block_bytes(mut self, bytes: usize) -> Self {
        self.block_bytes = Some(bytes.clamp(1, 1 << 30));
        self
    }

    /// Raw size of the frames that large chunks are cut into, about. Smaller: cheaper partial reads, worse compression.
    #[must_use]
    pub fn with_frame_bytes(mut self, bytes: usize) -> Self {
        self.frame_bytes = Some(bytes.clamp(1 << 10, 1 << 29));
        self
    }

    /// Memory that data may take while it waits for a commit, about: 32 MiB by default. What exceeds it is compressed and goes ahead, into an object of
    /// its own beside the file, which the commit makes part of it. Larger: fewer objects, and chunks that are written in parts are read back less
    /// often.
    #[must_use]
    pub fn with_pending_bytes(mut self, bytes: u64) -> Self {
        self.pending_bytes = bytes;
        self
    }

    /// Whether arrays of numbers are byte-shuffled before compression if neither their definition nor a sample of them says what is best. On by
    /// default.
    #[must_use]
    pub fn with_shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }

    /// Lets `create` replace a file that is there. Its content is lost.
    #[must_use]
    pub fn with_overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Opens this version instead of the newest; such a handle cannot commit.
    #[must_use]
    pub fn at_version(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }

    /// Merges small layers after a `flush` that leaves a version of more than `layers` layers, as
    /// [`CompactOptions::incremental`](crate::CompactOptions) does; off by default. Older versions stay; [`ArrayFile::garbage_collect`](crate::ArrayFile::garbage_collect)
    /// removes them. A merge that fails is tried again after the next flush, and is no error of this one.
    #[must_use]
    pub fn with_auto_compact(mut self, layers: usize) -> Self {
        self.auto_compact = Some(layers.max(1));
        self
    }

    /// Where the time of commits comes from: milliseconds since 1970-01-01T00:00:00Z. The system's clock by default.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Where file ids and write ids come from. Random by default; anything else must never repeat for two writes that
    /// could meet in one store.
    #[must_use]
    pub fn with_ids(mut self, ids: impl Fn() -> [u8; 16] + Send + Sync + 'static) -> Self {
        self.ids = Arc::new(ids);
        self
    }

    /// Decoded bytes of a block that small chunks share, about; `numbers`: whose codec is chosen by what they are.
    pub(crate) fn block_bytes_for(&self, numbers: bool) -> usize {
        self.block_bytes.unwrap_or(if numbers { NUMBERS_BLOCK_BYTES } else { BLOCK_BYTES })
    }

    /// Raw bytes of a frame that this codec compresses, about.
    pub(crate) fn frame_bytes_for(&self, codec: &dyn CompressionCodec) -> u64 {
        let usual = if codec.id() == NUMBERS_ID { PCO_FRAME_BYTES } else { FRAME_BYTES };
        self.frame_bytes.unwrap_or(usual) as u64
    }

    /// Chunks of fewer bytes are not cut into frames, whatever compresses them: frames have at least a quarter of what they should have, and
    /// a chunk has at least two.
    pub(crate) fn least_framed_bytes(&self) -> usize {
        self.frame_bytes.unwrap_or(PCO_FRAME_BYTES.min(FRAME_BYTES)) / 2
    }

    pub(crate) fn now_ms(&self) -> i64 {
        (self.clock)()
    }

    pub(crate) fn new_id(&self) -> Id {
        (self.ids)()
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Default for FileConfig {
    /// Numbers are compressed by what proves best on a sample of them: pcodec, Zstandard with or without a byte shuffle or
    /// delta, or nothing. All else by Zstandard at level 3.
    fn default() -> Self {
        Self { choose: true, ..Self::new(ZstdCodec::default()) }
    }
}

impl fmt::Debug for FileConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileConfig")
            .field("codec", &self.codec)
            .field("choose", &self.choose)
            .field("block_bytes", &self.block_bytes)
            .field("frame_bytes", &self.frame_bytes)
            .field("pending_bytes", &self.pending_bytes)
            .field("shuffle", &self.shuffle)
            .field("overwrite", &self.overwrite)
            .field("version", &self.version)
            .field("auto_compact", &self.auto_compact)
            .finish_non_exhaustive()
    }
}
