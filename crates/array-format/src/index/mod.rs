//! The index of a version: pages on demand, lookups, scans, and building a run.

pub(crate) mod build;
pub(crate) mod load;
pub(crate) mod lookup;
mod recent;
pub(crate) mod scan;

use std::sync::Arc;

use array_format_core::{Error, Result};

pub(crate) use recent::Recent;

use crate::config::FileConfig;
use crate::layer::{Head, Objects};

/// One committed version of a file, and all that is needed to read it. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) objects: Arc<Objects>,
    pub(crate) config: Arc<FileConfig>,
    pub(crate) head: Arc<Head>,
    pub(crate) recent: Arc<Recent>,
}

impl Version {
    pub(crate) fn number(&self) -> u64 {
        self.head.footer.version
    }

    /// The number of the next one.
    pub(crate) fn next_number(&self) -> Result<u64> {
        // The highest number stands for what is no layer.
        match self.number().checked_add(1) {
            Some(n) if n < u64::MAX => Ok(n),
            _ => Err(self.in_file(Error::invalid("the file has had 2^64 versions; no more are possible"))),
        }
    }
}
