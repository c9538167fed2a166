//! Checking everything: every checksum, every reference, every chunk.

mod content;
mod layers;
mod versions;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use array_format_core::address::ObjectId;
use array_format_core::format::trailer::Id;
use array_format_core::{Error, ErrorKind, Result};

use crate::file::ArrayFile;
use crate::read::View;
use crate::write::paged::Paged;

/// How thoroughly to check.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// Also computes the statistics of all chunks and arrays and compares them with those in the file.
    pub statistics: bool,
}

impl VerifyOptions {
    /// Compares statistics with the data, or not.
    #[must_use]
    pub fn statistics(mut self, statistics: bool) -> Self {
        self.statistics = statistics;
        self
    }
}

/// What was checked, and what is damaged.
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    /// Versions whose roots and index pages were checked.
    pub versions: u64,
    /// Layers whose header, trailer and block table were checked.
    pub layers: u64,
    /// Index pages that were read and decoded.
    pub pages: u64,
    /// Blocks whose bytes were checked.
    pub blocks: u64,
    /// Chunks of the handle's version that were decoded.
    pub chunks: u64,
    /// Arrays and groups of the handle's version.
    pub nodes: u64,
    /// All damage that was found, each with its place.
    pub damage: Vec<Error>,
}

impl VerifyReport {
    /// Whether everything is as it should be.
    pub fn is_clean(&self) -> bool {
        self.damage.is_empty()
    }
}

impl ArrayFile {
    /// Checks every layer of every version: all checksums, of index pages and of blocks, live or dead. Then that every reference of the version that
    /// the handle is based on is right, and that every one of its chunks decodes. Goes on after damage and reports all of it. Nothing is
    /// taken from the cache.
    ///
    /// # Errors
    /// Only what keeps it from looking at all, such as a store that cannot be reached.
    ///
    /// # Cost
    /// Reads everything that is stored, and the chunks of the handle's version once more. Memory for 4 bytes a block, 64 bytes an index page, and for the
    /// arrays' definitions.
    pub async fn verify(&self, options: VerifyOptions) -> Result<VerifyReport> {
        let mut version = self.view().version;
        // A cache of its own, and small: what is verified is the file.
        version.config = Arc::new((*version.config).clone().with_cache(crate::DeltaCache::new(8 << 20)));
        let mut check = Check { options, ..Check::default() };
        check.layers_of(&version).await;
        let view = View { version, pending: Arc::default() };
        check.content(&view).await;
        check.other_versions(&view.version).await?;
        check.trouble.map_or(Ok(check.report), Err)
    }
}

/// What was looked at until now.
#[derive(Default)]
struct Check {
    options: VerifyOptions,
    report: VerifyReport,
    /// Layers, by write id.
    layers: HashSet<Id>,
    /// Leaf pages of the index: layer, offset, checksum and rows.
    pages: HashSet<(ObjectId, u64, u32, u64)>,
    /// The fingerprints of the blocks that stand in the block tables of whole layers, by number.
    tables: HashMap<ObjectId, Paged<u32>>,
    /// The first error that says nothing of the file, but that it could not be looked at.
    trouble: Option<Error>,
}

impl Check {
    fn note<T>(&mut self, result: Result<T>) -> Option<T> {
        match result {
            Ok(found) => Some(found),
            Err(e) => {
                self.damaged(e);
                None
            }
        }
    }

    fn damaged(&mut self, e: Error) {
        if matches!(e.kind(), ErrorKind::Unavailable | ErrorKind::PermissionDenied) {
            self.trouble.get_or_insert(e);
        } else {
            self.report.damage.push(e);
        }
    }
}
