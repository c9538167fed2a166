//! What `src/crate.md` promises, a room a bullet.

#![allow(clippy::unwrap_used, reason = "the lints exempt tests, but not the helpers beside them")]

#[path = "features/ahead.rs"]
mod ahead;
#[path = "features/backends.rs"]
mod backends;
#[path = "features/codecs.rs"]
mod codecs;
#[path = "features/layouts.rs"]
mod layouts;
#[path = "features/many.rs"]
mod many;
#[path = "features/space.rs"]
mod space;
#[path = "features/threads.rs"]
mod threads;

use array_format::storage::Storage;
use array_format::{ArrayFile, VerifyOptions};

/// Every object of a file, with its length.
async fn objects(storage: &dyn Storage, path: &str) -> Vec<(String, u64)> {
    let base = storage.open(path, 0).await.unwrap().object.size();
    let sidecars = storage.list(&format!("{path}.layers")).await.unwrap();
    let sidecars = sidecars.into_iter().map(|entry| (entry.name, entry.size));
    std::iter::once((path.to_owned(), base)).chain(sidecars).collect()
}

/// Bytes of all objects of a file.
async fn total_bytes(storage: &dyn Storage, path: &str) -> u64 {
    objects(storage, path).await.iter().map(|o| o.1).sum()
}

async fn assert_whole(file: &ArrayFile) {
    let report = file.verify(VerifyOptions::default().statistics(true)).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.damage);
}

/// Numbers that no codec makes smaller, the same every time.
fn noise(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}
