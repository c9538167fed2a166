//! What can be handed over where a storage is wanted.

use std::sync::Arc;

use ::object_store::ObjectStore;
use ::object_store::memory::InMemory;

use super::{ObjectStoreBackend, Storage};

/// What `ArrayFile::create` and `ArrayFile::open` accept as the place of a file.
///
/// That is any [`Storage`], by value or in an [`Arc`], an `Arc<dyn Storage>`, and an `Arc<dyn ObjectStore>` of the
/// `object_store` crate. A concrete object store (`AmazonS3`, `LocalFileSystem`) needs a word more, because the compiler
/// cannot rule out that it is a [`Storage`] too: `ObjectStoreBackend::new(Arc::new(store))`.
pub trait IntoStorage {
    /// The storage.
    fn into_storage(self) -> Arc<dyn Storage>;
}

impl<S: Storage> IntoStorage for S {
    fn into_storage(self) -> Arc<dyn Storage> {
        Arc::new(self)
    }
}

impl<S: Storage> IntoStorage for Arc<S> {
    fn into_storage(self) -> Arc<dyn Storage> {
        self
    }
}

impl IntoStorage for Arc<dyn Storage> {
    fn into_storage(self) -> Arc<dyn Storage> {
        self
    }
}

impl IntoStorage for &Arc<dyn Storage> {
    fn into_storage(self) -> Arc<dyn Storage> {
        Arc::clone(self)
    }
}

impl IntoStorage for Arc<dyn ObjectStore> {
    fn into_storage(self) -> Arc<dyn Storage> {
        Arc::new(ObjectStoreBackend::new(self))
    }
}

impl IntoStorage for Box<dyn ObjectStore> {
    fn into_storage(self) -> Arc<dyn Storage> {
        Arc::new(ObjectStoreBackend::new(Arc::from(self)))
    }
}

// Spelled out because tests and examples reach for it; see above for the others.
impl IntoStorage for Arc<InMemory> {
    fn into_storage(self) -> Arc<dyn Storage> {
        Arc::new(ObjectStoreBackend::new(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::InMemoryStorage;

    fn describe(storage: impl IntoStorage) -> String {
        storage.into_storage().describe("a.af")
    }

    #[test]
    fn storages_and_object_stores_are_accepted() {
        let shared: Arc<dyn Storage> = Arc::new(InMemoryStorage::default());
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        assert_eq!(describe(InMemoryStorage::default()), "memory://a.af");
        assert_eq!(describe(Arc::new(InMemoryStorage::default())), "memory://a.af");
        assert_eq!(describe(&shared), "memory://a.af");
        assert_eq!(describe(shared), "memory://a.af");
        assert_eq!(describe(store), "InMemory/a.af");
        assert_eq!(describe(Arc::new(InMemory::new())), "InMemory/a.af");
    }
}
