//! Of many who want the same name, one gets it.

use array_format::storage::{FinishMode, ObjectTag, Storage};
use array_format::{ErrorKind, Result};
use futures::future::join_all;

use super::{assert_kind, content, create, created, pattern};

/// Of many that create one name, one wins, and its bytes are there.
pub async fn create_races(storage: &dyn Storage, folder: &str) {
    for round in 0..8 {
        let path = format!("{folder}/{round}.af");
        let racers = (0..16).map(|seed| create(storage, &path, pattern(seed, 1_000)));
        assert_one_winner(&join_all(racers).await, storage, &path).await;
    }
}

/// [`create_races`] between threads, for storages that need no runtime.
///
/// # Panics
///
/// When the storage fails it.
pub fn create_races_between_threads(storage: &dyn Storage, folder: &str) {
    use futures::executor::block_on;
    for round in 0..16 {
        let path = format!("{folder}/{round}.af");
        let start = std::sync::Barrier::new(8);
        let results: Vec<_> = std::thread::scope(|scope| {
            let race = |seed| {
                let (path, start) = (&path, &start);
                scope.spawn(move || {
                    start.wait();
                    block_on(create(storage, path, pattern(seed, 1_000)))
                })
            };
            let racers: Vec<_> = (0..8).map(race).collect();
            racers.into_iter().map(|r| r.join().expect("no racer panics")).collect()
        });
        block_on(assert_one_winner(&results, storage, &path));
    }
}

async fn assert_one_winner(results: &[Result<ObjectTag>], storage: &dyn Storage, path: &str) {
    let winners: Vec<usize> = (0..results.len()).filter(|i| results[*i].is_ok()).collect();
    assert_eq!(winners.len(), 1, "of many creates exactly one wins: {results:?}");
    for error in results.iter().filter_map(|r| r.as_ref().err()) {
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    }
    let (bytes, tag) = content(storage, path).await.expect("the winner's object is there");
    assert!(bytes == pattern(winners[0] as u64, 1_000), "the bytes are the winner's");
    assert_eq!(Some(&tag), results[winners[0]].as_ref().ok(), "the tag is the winner's");
}

/// Of many that replace the same object, one wins.
pub async fn replace_races(storage: &dyn Storage, folder: &str) {
    let path = format!("{folder}/a.af");
    // Content that no racer writes: where a tag is a hash of the content, who writes the same again takes nothing from the next one.
    let mut tag = created(storage, &path, pattern(u64::MAX, 100)).await;
    for round in 0..8_u64 {
        let racers = (0..8_u64)
            .map(|i| storage.put(&path, pattern(round * 8 + i, 100), FinishMode::Replace(tag.clone())));
        let results = join_all(racers).await;
        if results.iter().all(|r| r.as_ref().is_err_and(|e| e.kind() == ErrorKind::Unsupported)) {
            return;
        }
        let (winners, losers): (Vec<_>, Vec<_>) =
            results.into_iter().enumerate().partition(|(_, r)| r.is_ok());
        assert_eq!(winners.len(), 1, "of many replacements exactly one wins");
        for (_, lost) in losers {
            assert_kind(lost, ErrorKind::Conflict);
        }
        let (bytes, found) = content(storage, &path).await.expect("the object can be read");
        assert!(bytes == pattern(round * 8 + winners[0].0 as u64, 100), "the bytes are the winner's");
        tag = found;
    }
}
