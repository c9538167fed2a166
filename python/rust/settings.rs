//! How files are opened: from Python's arguments to the library's settings.

use std::time::Duration;

use array_format::codec::Filter;
use array_format::storage::{Place, StoreOptions};
use array_format::{DeltaCache, Error, FileConfig, Lz4Codec, NoCompression, Result, ZstdCodec};
use parking_lot::Mutex;
use pyo3::prelude::*;

use crate::errors::raised;

/// One cache for all files of the process; `None` until the first is opened.
static CACHE: Mutex<Option<DeltaCache>> = Mutex::new(None);

fn cache() -> DeltaCache {
    CACHE.lock().get_or_insert_default().clone()
}

/// The cache of all files that are opened from now on: bytes in memory, and a folder on a local disk for what comes over a network.
#[pyfunction]
#[pyo3(signature = (memory_bytes, disk_folder=None, disk_bytes=0))]
pub(crate) fn set_cache(
    py: Python<'_>,
    memory_bytes: u64,
    disk_folder: Option<std::path::PathBuf>,
    disk_bytes: u64,
) -> PyResult<()> {
    let cache = py.detach(|| {
        let cache = DeltaCache::new(memory_bytes);
        match disk_folder {
            Some(folder) => cache.with_disk(folder, disk_bytes),
            None => Ok(cache),
        }
    });
    *CACHE.lock() = Some(cache.map_err(|e| raised(&e))?);
    Ok(())
}

/// Waits until what the cache keeps on disk is there.
#[pyfunction]
pub(crate) fn sync_cache(py: Python<'_>) -> PyResult<()> {
    let cache = cache();
    crate::wait(py, async {
        cache.sync().await;
        Ok(())
    })
}

/// What `array_format.open` says.
#[derive(Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Settings {
    options: Vec<(String, String)>,
    deadline: Option<f64>,
    single_writer: bool,
    memory_maps: bool,
    codec: Option<String>,
    pending_bytes: Option<u64>,
    block_bytes: Option<usize>,
    frame_bytes: Option<usize>,
    auto_compact: Option<usize>,
}

impl Settings {
    pub(crate) fn place(&self, url: &str) -> Result<Place> {
        let mut options =
            StoreOptions::default().with_single_writer(self.single_writer).with_memory_maps(self.memory_maps);
        for (name, value) in &self.options {
            options = options.with_option(name, value);
        }
        if let Some(seconds) = self.deadline {
            let deadline = Duration::try_from_secs_f64(seconds).ok().filter(|d| !d.is_zero());
            let deadline = deadline.ok_or_else(|| {
                Error::invalid(format!("a deadline is a number of seconds above 0, not {seconds}"))
            })?;
            options = options.with_deadline(deadline);
        }
        options.place(url)
    }

    pub(crate) fn config(&self) -> Result<FileConfig> {
        let mut config = match self.codec.as_deref().map(codec).transpose()? {
            None => FileConfig::default(),
            Some(Codec::None) => FileConfig::new(NoCompression),
            Some(Codec::Lz4) => FileConfig::new(Lz4Codec),
            Some(Codec::Zstd(zstd)) => FileConfig::new(zstd),
        };
        config = config.with_cache(cache());
        if let Some(bytes) = self.pending_bytes {
            config = config.with_pending_bytes(bytes);
        }
        if let Some(bytes) = self.block_bytes {
            config = config.with_block_bytes(bytes);
        }
        if let Some(bytes) = self.frame_bytes {
            config = config.with_frame_bytes(bytes);
        }
        if let Some(layers) = self.auto_compact {
            config = config.with_auto_compact(layers);
        }
        Ok(config)
    }
}

#[derive(Debug)]
pub(crate) enum Codec {
    None,
    Lz4,
    Zstd(ZstdCodec),
}

/// `none`, `lz4`, `zstd`, `zstd:9`.
pub(crate) fn codec(text: &str) -> Result<Codec> {
    let bad = || {
        Error::invalid(format!(
            "{text:?} is no codec: say \"none\", \"lz4\", \"zstd\" or \"zstd:LEVEL\" (1 to 22)"
        ))
    };
    match text.split_once(':').unwrap_or((text, "")) {
        ("none", "") => Ok(Codec::None),
        ("lz4", "") => Ok(Codec::Lz4),
        ("zstd", "") => Ok(Codec::Zstd(ZstdCodec::default())),
        ("zstd", level) => Ok(Codec::Zstd(ZstdCodec::new(level.parse().map_err(|_| bad())?)?)),
        _ => Err(bad()),
    }
}

/// `shuffle`, `delta`, `bitround:10`, `decimal:2`, `pco`, `pco:8`.
pub(crate) fn filter(text: &str) -> Result<Filter> {
    let bad = || {
        Error::invalid(format!(
            "{text:?} is no filter: say \"shuffle\", \"delta\", \"bitround:BITS\", \"decimal:DIGITS\" or \"pco:LEVEL\" (0 to 12)"
        ))
    };
    let number = |n: &str| n.parse().map_err(|_| bad());
    match text.split_once(':').unwrap_or((text, "")) {
        ("shuffle", "") => Ok(Filter::Shuffle),
        ("delta", "") => Ok(Filter::Delta),
        ("bitround", bits) => Ok(Filter::BitRound { keep_bits: number(bits)? }),
        ("decimal", digits) => Ok(Filter::Decimal { digits: number(digits)? }),
        ("pco", "") => Ok(Filter::Pco { level: 8 }),
        ("pco", level) => Ok(Filter::Pco { level: number(level)? }),
        _ => Err(bad()),
    }
}

/// The same, the other way.
pub(crate) fn filter_text(filter: Filter) -> String {
    match filter {
        Filter::Shuffle => "shuffle".into(),
        Filter::Delta => "delta".into(),
        Filter::BitRound { keep_bits } => format!("bitround:{keep_bits}"),
        Filter::Decimal { digits } => format!("decimal:{digits}"),
        Filter::Pco { level } => format!("pco:{level}"),
        other => format!("{other:?}"),
    }
}
