#![doc = include_str!("crate.md")]
#![allow(clippy::doc_lazy_continuation, reason = "the founding documentation stands word for word")]
// ── Layer 0: Core types ─────────────────────────────────────────────
pub use array_format_core::{address, block, buffer, element, footer};
// ── Layer 1: Metadata ───────────────────────────────────────────────
// The footer model is `footer` and `block`, above; pages and columns are `core::format`.
pub use array_format_core as core;
// ── Layer 2: Extension traits ───────────────────────────────────────
pub use array_format_core::codec;
pub mod storage;
// ── Layer 3: Runtime ────────────────────────────────────────────────
pub mod blocking;
mod cache;
mod columns;
mod commit;
mod compaction;
mod config;
mod copy;
mod detached;
mod file;
mod forward;
mod gate;
mod gc;
mod history;
mod index;
mod join;
mod layer;
mod read;
mod repair;
#[cfg(any(feature = "remote", feature = "disk-cache"))]
mod runtime;
mod snapshot;
mod tags;
mod verify;
mod write;

// ── Public re-exports ───────────────────────────────────────────────
pub use address::{BlockId, ChunkAddress, ObjectId};
pub use array_format_core::dtype::{DType, Scalar, TimeUnit};
pub use array_format_core::error::{Error, ErrorKind, Result};
pub use array_format_core::schema::ArraySchema;
pub use array_format_core::statistics::{Counts, Statistics};
pub use array_format_core::value::{ScalarValue, Value};
pub use block::BlockMeta;
pub use buffer::{Elements, Values, Variable};
pub use cache::DeltaCache;
pub use codec::{CodecRegistry, CompressionCodec, Filter, Lz4Codec, NoCompression, ZstdCodec};
pub use columns::{ArrayStatistics, AttributeColumn, ChunkInfo, StatisticsColumn};
pub use compaction::CompactOptions;
pub use config::FileConfig;
pub use detached::Receipt;
pub use element::{
    ArrayElement, DurationMs, DurationNs, DurationS, DurationUs, List, ScalarElement, TimestampMs,
    TimestampNs, TimestampS, TimestampUs,
};
pub use file::{ArrayFile, Counters};
pub use footer::{Cause, Footer};
pub use gc::{GcOptions, GcReport};
pub use history::{Change, Usage, VersionInfo};
pub use read::ragged::Ragged;
pub use repair::{Lost, RepairReport};
pub use snapshot::{ArrayInfo, Dimension, Regions, Snapshot};
pub use storage::{InMemoryStorage, IntoStorage, LocalStorage, ObjectStoreBackend, Storage};
pub use verify::{VerifyOptions, VerifyReport};
pub use write::define::ArrayDefinition;
