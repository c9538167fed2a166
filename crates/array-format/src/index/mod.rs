//! The index of a version: pages on demand, lookups, scans, and building a run.

pub(crate) mod build;
pub(crate) mod load;
pub(crate) mod lookup;
pub(crate) mod scan;

use std::sync::Arc;

use crate::config::FileConfig;
use crate::layer::{Head, Objects};

/// One committed version of a file, and all that is needed to read it. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) objects: Arc<Objects>,
    pub(crate) config: Arc<FileConfig>,
    pub(crate) head: Arc<Head>,
}

impl Version {
    pub(crate) fn number(&self) -> u64 {
        self.head.footer.version
    }
}
