//! Where the file of a case lies: every kind of storage that the library has.

use std::sync::Arc;

use array_format::IntoStorage;
use array_format::storage::{LocalStorage, Storage};
use array_format_testkit::PowerLossStorage;
use tempfile::TempDir;

/// A kind of storage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// In memory, on a disk whose power may fail as well.
    Memory,
    Local,
    ObjectStore,
}

/// An empty storage of its own for a case.
pub(crate) struct Disk {
    pub(crate) storage: Arc<dyn Storage>,
    /// What the power does to it; none to the kinds whose power is not ours.
    pub(crate) power: Option<PowerLossStorage>,
    _folder: Option<TempDir>,
}

impl Disk {
    pub(crate) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Memory => {
                let power = PowerLossStorage::new();
                Self { storage: Arc::new(power.clone()), power: Some(power), _folder: None }
            }
            Kind::Local => {
                let folder = tempfile::tempdir().unwrap();
                let storage = Arc::new(LocalStorage::new(folder.path()));
                Self { storage, power: None, _folder: Some(folder) }
            }
            Kind::ObjectStore => {
                let store = Arc::new(object_store::memory::InMemory::new());
                Self { storage: store.into_storage(), power: None, _folder: None }
            }
        }
    }
}
