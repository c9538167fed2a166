//! Zarr 3 by the crate zarrs: a file a chunk, or a file a shard of chunks.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use zarrs::array::codec::{BloscCodec, BloscCompressionLevel, BloscCompressor, BloscShuffleMode, ZstdCodec};
use zarrs::array::{
    Array, ArrayBuilder, ArrayShardedReadableExt, ArrayShardedReadableExtCache, ArraySubset,
    BytesToBytesCodecTraits, CodecOptions, ElementOwned, data_type,
};
use zarrs::filesystem::{FilesystemStore, FilesystemStoreOptions};
use zarrs::storage::{ReadableStorageTraits, ReadableWritableStorageTraits};

use super::{chunk, sum};
use crate::data::{Values, Volume};
use crate::peer::{Compression, OpenVolume, Peer, Updates};

/// A file a chunk.
pub struct Zarrs;

/// A file a shard.
pub struct ZarrsSharded;

/// Where the array is in the store.
const ROOT: &str = "/";

fn codecs(how: Compression) -> Result<Vec<Arc<dyn BytesToBytesCodecTraits>>> {
    Ok(match how {
        Compression::None => vec![],
        // Blosc without its shuffle: the codec alone, as elsewhere.
        Compression::Lz4 => {
            let level = BloscCompressionLevel::try_from(5).map_err(|n| anyhow::anyhow!("no level {n}"))?;
            let codec =
                BloscCodec::new(BloscCompressor::LZ4, level, None, BloscShuffleMode::NoShuffle, None)?;
            vec![Arc::new(codec)]
        }
        // Nobody says anything about compression in Rust; in Python the default is Zstandard.
        Compression::Zstd3 | Compression::Default => vec![Arc::new(ZstdCodec::new(3, false))],
    })
}

/// How many chunks a shard has along each dimension: some ten megabytes, a whole number of them in the array, and for a
/// field all its rows and columns.
fn shard(volume: &Volume) -> [u64; 3] {
    let (shape, chunk) = (volume.shape, volume.chunk);
    match volume.values {
        Values::F32(_) => [shape[0].min(4 * chunk[0]), shape[1], shape[2]],
        Values::U16(_) => [0, 1, 2].map(|d| shape[d].min(2 * chunk[d])),
    }
}

/// Writes a volume as an array, in parallel.
pub(super) fn write<S>(
    store: Arc<S>,
    volume: &Volume,
    shard: Option<[u64; 3]>,
    how: Compression,
) -> Result<()>
where
    S: ReadableWritableStorageTraits + 'static,
{
    let outer = shard.unwrap_or(volume.chunk).to_vec();
    let mut builder = match volume.values {
        Values::F32(_) => ArrayBuilder::new(volume.shape.to_vec(), outer, data_type::float32(), 0f32),
        Values::U16(_) => ArrayBuilder::new(volume.shape.to_vec(), outer, data_type::uint16(), 0u16),
    };
    builder.bytes_to_bytes_codecs(codecs(how)?).dimension_names(Some(["t", "y", "x"]));
    if shard.is_some() {
        builder.subchunk_shape(volume.chunk.to_vec());
    }
    let array = builder.build(store, ROOT)?;
    array.store_metadata()?;
    let chunks = ArraySubset::new_with_shape(array.chunk_grid_shape().to_vec());
    match &volume.values {
        Values::F32(v) => array.store_chunks(&chunks, v)?,
        Values::U16(v) => array.store_chunks(&chunks, v)?,
    }
    Ok(())
}

fn file_store(dir: &Path) -> Result<Arc<FilesystemStore>> {
    // Handles that are kept open: worth it for shards, which are read in parts.
    let mut options = FilesystemStoreOptions::default();
    options.file_handle_cache_size(256);
    Ok(Arc::new(FilesystemStore::new_with_options(dir, options)?))
}

impl Peer for Zarrs {
    fn name(&self) -> &'static str {
        "zarrs"
    }

    // The store syncs each file it writes, here as in `updates`; that cannot be turned off.
    fn write_volume(&self, dir: &Path, volume: &Volume, how: Compression) -> Result<()> {
        write(file_store(dir)?, volume, None, how)
    }

    fn open_volume(&self, dir: &Path) -> Result<Box<dyn OpenVolume>> {
        Ok(Box::new(Open::new(file_store(dir)?)?))
    }

    fn updates(&self, dir: &Path, commits: usize) -> Result<Box<dyn Updates>> {
        let shape = vec![commits as u64 * 100, 100];
        let mut builder = ArrayBuilder::new(shape, vec![100, 100], data_type::float32(), 0f32);
        builder.bytes_to_bytes_codecs(codecs(Compression::Default)?);
        let array = builder.build(file_store(dir)?, ROOT)?;
        array.store_metadata()?;
        Ok(Box::new(Updating { array }))
    }

    fn open_updates(&self, dir: &Path) -> Result<()> {
        Array::open(file_store(dir)?, ROOT)?;
        Ok(())
    }

    fn sum_updates(&self, dir: &Path, _commits: usize) -> Result<f64> {
        let array = Array::open(file_store(dir)?, ROOT)?;
        let all: Vec<f32> = array.retrieve_array_subset(&array.subset_all())?;
        ensure!(all.len() as u64 == array.shape().iter().product::<u64>(), "{} elements", all.len());
        Ok(sum(&all))
    }
}

impl Peer for ZarrsSharded {
    fn name(&self) -> &'static str {
        "zarrs, sharded"
    }

    fn write_volume(&self, dir: &Path, volume: &Volume, how: Compression) -> Result<()> {
        write(file_store(dir)?, volume, Some(shard(volume)), how)
    }

    fn open_volume(&self, dir: &Path) -> Result<Box<dyn OpenVolume>> {
        Ok(Box::new(Open::new(file_store(dir)?)?))
    }
}

pub(super) struct Open<S: ReadableStorageTraits + 'static> {
    array: Array<S>,
    /// The indices of shards, read once; does nothing for an array without shards.
    shards: ArrayShardedReadableExtCache,
}

impl<S: ReadableStorageTraits + 'static> Open<S> {
    pub(super) fn new(store: Arc<S>) -> Result<Self> {
        let array = Array::open(store, ROOT)?;
        let shards = ArrayShardedReadableExtCache::new(&array);
        Ok(Self { array, shards })
    }

    fn elements<T: ElementOwned>(&self, part: &ArraySubset, options: &CodecOptions) -> Result<Vec<T>> {
        // Shards that are wanted as a whole are read as a whole.
        if part.shape() == self.array.shape() {
            Ok(self.array.retrieve_array_subset_opt(part, options)?)
        } else {
            Ok(self.array.retrieve_array_subset_sharded_opt(&self.shards, part, options)?)
        }
    }

    fn values(&self, start: [u64; 3], shape: [u64; 3], options: &CodecOptions) -> Result<Values> {
        let part = ArraySubset::new_with_start_shape(start.to_vec(), shape.to_vec())?;
        Ok(if *self.array.data_type() == data_type::uint16() {
            Values::U16(self.elements(&part, options)?)
        } else {
            Values::F32(self.elements(&part, options)?)
        })
    }
}

impl<S: ReadableStorageTraits + 'static> OpenVolume for Open<S> {
    fn read(&self, start: [u64; 3], shape: [u64; 3]) -> Result<Values> {
        self.values(start, shape, &CodecOptions::default())
    }

    fn read_alone(&self, start: [u64; 3], shape: [u64; 3]) -> Result<Values> {
        self.values(start, shape, &CodecOptions::default().with_concurrent_target(1))
    }
}

struct Updating {
    array: Array<FilesystemStore>,
}

impl Updates for Updating {
    fn commit(&mut self, i: u64, value: f32) -> Result<()> {
        Ok(self.array.store_chunk(&[i, 0], chunk(value))?)
    }
}
