//! Options for files behind a network: of their stores, and of a cache on a local disk.

use std::path::PathBuf;
use std::time::Duration;

use array_format::blocking::wait;
use array_format::storage::StoreOptions;
use array_format::{DeltaCache, Error, FileConfig, Result};
use clap::Args;

/// For files that are named by URL: `s3://bucket/run.af`, `gs://`, `az://`, `https://`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Stores")]
pub(crate) struct StoreArguments {
    /// An option of the store, such as `endpoint=http://127.0.0.1:9000` or `skip_signature=true`; wins over the environment.
    #[arg(long = "store-option", value_name = "NAME=VALUE", global = true)]
    options: Vec<String>,
    /// Seconds that one operation of a store may take, all attempts together.
    #[arg(long, global = true, value_name = "SECONDS")]
    deadline: Option<f64>,
    /// Accepts a store that ignores conditions: no two processes ever write the same file at once.
    #[arg(long, global = true)]
    single_writer: bool,
    /// Keeps what is read over a network in this folder of a local disk, for the next command.
    #[arg(long, global = true, value_name = "FOLDER", env = "AF_CACHE")]
    cache: Option<PathBuf>,
    /// MiB that the folder may take.
    #[arg(long, global = true, value_name = "MIB", default_value_t = 1024, requires = "cache")]
    cache_mib: u64,
}

/// How stores are reached, and the cache of what came from them.
#[derive(Debug)]
pub(crate) struct Stores {
    pub(crate) options: StoreOptions,
    cache: DeltaCache,
}

impl StoreArguments {
    pub(crate) fn open(self) -> Result<Stores> {
        let mut options = StoreOptions::default().with_single_writer(self.single_writer);
        for option in &self.options {
            let (name, value) = option.split_once('=').ok_or_else(|| {
                Error::invalid(format!("--store-option {option:?} should look like NAME=VALUE"))
            })?;
            options = options.with_option(name, value);
        }
        options = match self.deadline.map(Duration::try_from_secs_f64) {
            Some(Ok(deadline)) if !deadline.is_zero() => options.with_deadline(deadline),
            Some(_) => return Err(Error::invalid("--deadline is a number of seconds above 0")),
            None => options,
        };
        let cache = match self.cache {
            Some(folder) => {
                DeltaCache::default().with_disk(folder, self.cache_mib.saturating_mul(1 << 20))?
            }
            None => DeltaCache::default(),
        };
        Ok(Stores { options, cache })
    }
}

impl Stores {
    pub(crate) fn config(&self) -> FileConfig {
        FileConfig::default().with_cache(self.cache.clone())
    }

    /// Waits until the cache is on disk: the process ends with the command.
    pub(crate) fn close(self) {
        wait(self.cache.sync());
    }
}
