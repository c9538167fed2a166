//! Futures that are dropped before they are done.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use array_format::*;
use array_format_testkit::CountingStorage;
use futures::executor::block_on;

use crate::work::{NAME, Work, fresh, prepared, shows};

/// Polls a future this many times, and drops it if it is not ready by then.
pub(crate) fn poll_times<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..times {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
    }
    None
}

#[test]
fn a_flush_that_is_dropped_at_any_point_keeps_its_changes_and_commits_them_once() {
    let mut cases = 0;
    for more in [false, true] {
        for times in 0.. {
            let what = format!("dropped after {times} polls, more changes {more}");
            let memory: Arc<dyn Storage> = Arc::new(InMemoryStorage::default());
            let storage = CountingStorage::new(memory.clone());
            let (mut work, version) = block_on(async {
                let before = prepared(&memory, 2).await;
                let config = FileConfig::default().with_cache(DeltaCache::new(0));
                let file = ArrayFile::open(storage.clone(), NAME, config).await.unwrap();
                let mut work = Work { file, state: before.state.clone() };
                work.stage(2).await;
                (work, before.file.version())
            });
            let done = poll_times(work.file.flush(), times).map(Result::unwrap);
            cases += 1;
            block_on(async {
                shows(&work.file, &work.state, &what).await;
                let committed = fresh(&memory, &what).await.version() > version;
                let mut expected = version + 1;
                if more {
                    work.stage(9).await;
                    shows(&work.file, &work.state, &what).await;
                    expected += u64::from(committed);
                }
                assert_eq!(
                    work.file.flush().await.unwrap_or_else(|e| panic!("{what}: {e}")),
                    expected,
                    "{what}"
                );
                assert_eq!(work.file.flush().await.unwrap(), expected, "{what}");
                shows(&work.file, &work.state, &what).await;
                shows(&fresh(&memory, &what).await, &work.state, &what).await;
            });
            if done.is_some() {
                break;
            }
        }
    }
    println!("{cases} cases");
    assert!(cases >= 8);
}
