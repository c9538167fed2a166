//! The golden files: what is in them, and what a reader must find. Shared by `tests/golden.rs` and
//! `examples/write_fixtures.rs`, which each use a part of it.

#![allow(clippy::unwrap_used, reason = "helpers of tests, which may")]
#![allow(dead_code, reason = "the example does not read files")]

pub(crate) mod cases;
pub(crate) mod describe;
pub(crate) mod expect;
pub(crate) mod model;
pub(crate) mod samples;
pub(crate) mod script;
pub(crate) mod summary;

use array_format::storage::{InMemoryStorage, Storage};
use bytes::Bytes;
use futures::executor::block_on;
use serde_json::Value as Json;

/// A golden file before it is written to the disk.
pub(crate) struct Fixture {
    /// Name of the case, of its folder and of its files.
    pub(crate) name: &'static str,
    /// Paths below the folder of the case, and bytes.
    pub(crate) objects: Vec<(String, Bytes)>,
    /// What a reader must find, as `fixtures/v1/README.md` says.
    pub(crate) expected: Json,
}

/// All objects of a storage.
pub(crate) fn dump(storage: &InMemoryStorage, path: &str) -> Vec<(String, Bytes)> {
    let folder = format!("{path}.layers");
    let sidecars = block_on(storage.list(&folder)).unwrap();
    let sidecars = sidecars.into_iter().map(|entry| format!("{folder}/{}", entry.name));
    let read = |p: String| {
        let opened = block_on(storage.open(&p, u64::MAX)).unwrap();
        (p, opened.tail)
    };
    std::iter::once(path.to_owned()).chain(sidecars).map(read).collect()
}
