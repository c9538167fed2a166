//! What was wanted once and not kept.

use std::collections::HashSet;
use std::hash::BuildHasher;

use parking_lot::Mutex;
use quick_cache::DefaultHashBuilder;

use super::Key;

/// Most keys that are remembered, at 8 bytes each; then all of them are forgotten.
const MOST: usize = 1 << 16;

/// Keys that were asked for. Two may be taken for one: then something is kept at the first time.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    hashes: Mutex<HashSet<u64>>,
    hasher: DefaultHashBuilder,
}

impl Wanted {
    /// Whether a key was asked for before, about.
    pub(super) fn again(&self, key: &Key) -> bool {
        let mut hashes = self.hashes.lock();
        if hashes.len() >= MOST {
            hashes.clear();
        }
        !hashes.insert(self.hasher.hash_one(key))
    }

    pub(super) fn clear(&self) {
        self.hashes.lock().clear();
    }
}
