//! What may happen between a flush that failed and the next one.

use std::sync::Arc;

use array_format::*;
use array_format_testkit::FailingStorage;
use array_format_testkit::model::{Change, Kind};
use futures::executor::block_on;

use crate::fault::{Fault, every_fault, set};
use crate::work::{NAME, Work, fresh, prepared, shows};

/// What happens between a commit that failed and the next one. (Nothing: see `judge`.)
#[derive(Debug, Clone, Copy, PartialEq)]
enum Between {
    Refresh,
    MoreChanges,
    Discard,
    OthersCommit,
}

async fn flush_with_fault(stage: usize, between: Between, fault: Option<Fault>) -> Vec<String> {
    let what = format!("stage {stage}, {between:?}, {fault:?}");
    let memory: Arc<dyn Storage> = Arc::new(InMemoryStorage::default());
    let before = prepared(&memory, stage).await;
    let version = before.file.version();
    let failing = FailingStorage::new(memory.clone());
    let file = ArrayFile::open(failing.clone(), NAME, FileConfig::default()).await.unwrap();
    let mut work = Work { file, state: before.state.clone() };
    work.stage(stage).await;
    set(fault, &failing);
    let result = work.file.flush().await;
    let log = failing.log();
    failing.heal();
    let found = fresh(&memory, &what).await;
    let committed = found.version() > version;
    shows(&found, if committed { &work.state } else { &before.state }, &what).await;
    shows(&work.file, &work.state, &what).await;
    match &result {
        Ok(v) => assert!(committed && *v == version + 1, "{what}"),
        Err(e) => assert_eq!(e.kind(), ErrorKind::Unavailable, "{what}: {e:?}"),
    }
    let mut expected = version + 1;
    match between {
        Between::Refresh => {
            work.file.refresh().await.unwrap_or_else(|e| panic!("{what}: {e}"));
            shows(&work.file, &work.state, &what).await;
        }
        Between::MoreChanges => {
            work.stage(9).await;
            shows(&work.file, &work.state, &what).await;
            expected += u64::from(committed);
        }
        Between::Discard => {
            work.file.discard().await.unwrap();
            work.file.refresh().await.unwrap();
            assert!(!work.file.has_pending());
            if !committed {
                work.state = before.state.clone();
                expected = version;
            }
        }
        Between::OthersCommit => {
            let mut other = Work {
                file: found,
                state: if committed { work.state.clone() } else { before.state.clone() },
            };
            other.define("of/another", Kind::I32, &[3], None).await;
            other.write("of/another", &[0], &[2], 1).await;
            other.file.flush().await.unwrap();
            let node = other.state.nodes["of/another"].clone();
            assert!(work.state.apply(&Change::Put("of/another".into(), node)));
            expected += 1;
        }
    }
    let again = work.file.flush().await.unwrap_or_else(|e| panic!("{what}: {e}"));
    if between == Between::OthersCommit {
        work.file.refresh().await.unwrap();
    } else {
        assert_eq!(again, expected, "{what}");
    }
    assert!(!work.file.has_pending(), "{what}");
    assert_eq!(work.file.flush().await.unwrap(), expected, "{what}");
    let found = fresh(&memory, &what).await;
    assert_eq!(found.version(), expected, "{what}");
    shows(&found, &work.state, &format!("{what}, then")).await;
    shows(&work.file, &work.state, &format!("{what}, then, same handle")).await;
    log
}

#[test]
fn a_flush_that_fails_anywhere_is_there_or_not_and_the_next_one_commits_once() {
    block_on(async {
        let mut cases = 0;
        use Between::*;
        for between in [Refresh, MoreChanges, Discard, OthersCommit] {
            for stage in [0, 2] {
                cases += every_fault(|fault| flush_with_fault(stage, between, fault)).await;
            }
        }
        println!("{cases} cases");
        assert!(cases > 400);
    });
}
