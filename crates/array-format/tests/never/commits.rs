//! Commits: what is acknowledged, what is pending, what is whose.

use std::sync::Arc;

use array_format::storage::Storage;
use array_format::{ArrayFile, ErrorKind, Result};
use array_format_testkit::{FailMode, FailingStorage, PowerLossStorage};
use futures::FutureExt;
use futures::executor::block_on;

use crate::late::LateStorage;
use crate::support::*;

/// Line 1: A crash at any storage operation of commit or compaction loses an acknowledged commit, or shows half of one.
#[test]
fn never_01_a_crash_loses_an_acknowledged_commit_or_shows_half_of_one() {
    block_on(async {
        let mut cases = 0;
        for (is_compaction, death) in [false, true].into_iter().flat_map(|c| DEATHS.map(|d| (c, d))) {
            for k in 0.. {
                let what = format!("compaction {is_compaction}, {death:?} at {k}");
                let power = PowerLossStorage::new();
                let disk: Arc<dyn Storage> = Arc::new(power.clone());
                let mut file = created(&disk, 1).await;
                put(&mut file, [0, 0], 2, &[8, 8]).await;
                assert_eq!(file.flush().await.unwrap(), 2);
                let failing = FailingStorage::new(disk.clone());
                let mut dying = ArrayFile::open(failing.clone(), NAME, no_cache()).await.unwrap();
                put(&mut dying, [0, 0], 3, &[8, 8]).await;
                failing.die_at(k, death);
                let result = if is_compaction { dying.compact().await } else { dying.flush().await };
                let reached = failing.operations() > k;
                for (kept, disk) in power.after_power_loss(k) {
                    let disk: Arc<dyn Storage> = Arc::new(disk);
                    let what = format!("{what}, {kept}");
                    let mut next = fresh(&disk, &what).await;
                    let found = value(&next.snapshot()).await;
                    assert!(found == 2 || (found == 3 && !is_compaction), "{what}: {found}");
                    assert!(found == 3 || is_compaction || result.is_err(), "{what}: acknowledged and lost");
                    next.compact().await.unwrap_or_else(|e| panic!("{what}: {e}"));
                    assert_eq!(next.num_layers(), 1, "{what}");
                    assert_eq!(disk.list(FOLDER).await.unwrap(), [], "{what}: the job is finished");
                    assert_eq!(value(&fresh(&disk, &what).await.snapshot()).await, found, "{what}");
                    cases += 1;
                }
                if !reached {
                    assert!(result.is_ok(), "{what}");
                    break;
                }
            }
        }
        assert!(cases > 100, "{cases}");
    });
}

/// Line 2: Two writers both get `Ok` and one update is gone. Disjoint changes of two writers both survive; overlapping ones are a
/// `Conflict` that names array and chunk.
#[test]
fn never_02_two_writers_both_get_ok_and_one_update_is_gone() {
    block_on(async {
        // The whole commit of `b` comes between two operations of that of `a`, wherever that is.
        let mut over = 0;
        for (overlaps, k) in [false, true].into_iter().flat_map(|o| (0..20).map(move |k| (o, k))) {
            let what = format!("overlaps {overlaps}, before operation {k}");
            let disk = scratch();
            created(&disk, 1).await;
            let failing = FailingStorage::new(disk.clone());
            let mut a = ArrayFile::open(failing.clone(), NAME, no_cache()).await.unwrap();
            let mut b = open(&disk).await;
            put(&mut a, [0, 0], 2, &[4, 4]).await;
            let other = if overlaps { [3, 3] } else { [4, 4] };
            put(&mut b, other, 3, &[1, 1]).await;
            failing.delay_at(k, 100);
            let (mine, theirs, is_over) = {
                let mut flush = Box::pin(a.flush());
                let early = (&mut flush).now_or_never();
                let theirs = b.flush().await;
                let is_over = early.is_some();
                let mine = match early {
                    Some(mine) => mine,
                    None => flush.await,
                };
                (mine, theirs, is_over)
            };
            let refused = match (overlaps, mine, theirs) {
                (false, Ok(mine), Ok(theirs)) => {
                    assert_eq!(mine + theirs, 5, "{what}: versions 2 and 3");
                    None
                }
                (true, Ok(2), Err(e)) => Some((3, e)),
                (true, Err(e), Ok(2)) => Some((2, e)),
                other => panic!("{what}: {other:?}"),
            };
            let found = grid(&fresh(&disk, &what).await).await.unwrap();
            let lost = refused.as_ref().map(|r| r.0);
            assert_eq!(found[[0, 0]] == 2, lost != Some(2), "{what}: {found}");
            assert_eq!(
                found[[other[0] as usize, other[1] as usize]] == 3,
                lost != Some(3),
                "{what}: {found}"
            );
            if let Some((lost, e)) = refused {
                assert_eq!((e.kind(), e.array()), (ErrorKind::Conflict, Some("grid")), "{what}: {e:?}");
                assert!(e.to_string().contains("chunk [0, 0]"), "{what}: {e}");
                let loser = if lost == 2 { &a } else { &b };
                assert!(loser.has_pending(), "{what}: the changes are kept");
            }
            if is_over {
                assert!(k > 3, "{what}");
                over += 1;
            }
        }
        assert!(over >= 2, "every operation of both cases had its turn");
    });
}

/// Line 3: A failed, timed-out or dropped `flush` throws the pending changes away; a retry says `Ok` without them.
#[test]
fn never_03_a_failed_or_dropped_flush_throws_the_changes_away() {
    #[derive(Debug, Clone, Copy)]
    enum Trouble {
        Fails(FailMode),
        HangsUntilItIsDropped,
    }
    let troubles = [
        Trouble::Fails(FailMode::FailBefore),
        Trouble::Fails(FailMode::FailAfter),
        Trouble::HangsUntilItIsDropped,
    ];
    for trouble in troubles {
        for k in 0.. {
            let what = format!("{trouble:?} at {k}");
            let disk = scratch();
            block_on(created(&disk, 1));
            let failing = FailingStorage::new(disk.clone());
            let mut file = block_on(ArrayFile::open(failing.clone(), NAME, no_cache())).unwrap();
            block_on(put(&mut file, [0, 0], 2, &[8, 8]));
            let done = match trouble {
                Trouble::Fails(mode) => {
                    failing.fail_at(k, mode);
                    block_on(file.flush()).ok()
                }
                Trouble::HangsUntilItIsDropped => {
                    failing.delay_at(k, u32::MAX);
                    poll_times(file.flush(), 3).map(Result::unwrap)
                }
            };
            let reached = failing.operations() > k;
            failing.heal();
            block_on(async {
                assert_eq!(value(&file.snapshot()).await, 2, "{what}: reads still see the changes");
                assert!(done.is_some() || file.has_pending(), "{what}: nothing is pending");
                let again = file.flush().await.unwrap_or_else(|e| panic!("{what}: {e}"));
                assert_eq!(again, 2, "{what}: committed once");
                assert!(!file.has_pending(), "{what}");
                assert_eq!(value(&fresh(&disk, &what).await.snapshot()).await, 2, "{what}");
            });
            if !reached {
                assert!(k > 3 && done.is_some(), "{what}");
                break;
            }
        }
    }
}

/// Line 4: A conditional PUT whose answer was lost is taken for somebody else's commit.
#[test]
fn never_04_a_lost_answer_is_taken_for_another_writers_commit() {
    block_on(async {
        for (mode, compacted) in
            [FailMode::FailAfter, FailMode::Repeat].into_iter().flat_map(|m| [(m, false), (m, true)])
        {
            let what = format!("{mode:?}, compacted meanwhile {compacted}");
            let disk = scratch();
            created(&disk, 1).await;
            let failing = FailingStorage::new(disk.clone());
            let delaying = FailingStorage::new(Arc::new(failing.clone()));
            let mut file = ArrayFile::open(delaying.clone(), NAME, no_cache()).await.unwrap();
            put(&mut file, [0, 0], 2, &[8, 8]).await;
            // upload, writes, finish: what comes next looks whose layer it is.
            let finish = operations_until_finish(&disk).await;
            failing.fail_at(finish, mode);
            delaying.delay_at(finish + 1, 100);
            let result = {
                let mut flush = Box::pin(file.flush());
                assert!((&mut flush).now_or_never().is_none(), "{what}");
                assert!(failing.log()[finish as usize].starts_with("finish"), "{:?}", failing.log());
                if compacted {
                    open(&disk).await.compact().await.unwrap();
                    assert_eq!(disk.list(FOLDER).await.unwrap(), [], "{what}: the layer is part of the base");
                }
                flush.await
            };
            failing.heal();
            match result {
                Ok(version) => assert!(version == 2 || (compacted && version == 3), "{what}: {version}"),
                Err(e) => {
                    assert!(compacted && e.kind() == ErrorKind::Unavailable, "{what}: {e:?}");
                    file.flush().await.unwrap_or_else(|e| panic!("{what}: {e}"));
                }
            }
            assert!(!file.has_pending(), "{what}");
            let found = fresh(&disk, &what).await;
            assert_eq!(value(&found.snapshot()).await, 2, "{what}");
            assert_eq!(found.version(), 2 + u64::from(compacted), "{what}: committed once");
        }
    });
    for (during, more) in [(false, false), (false, true), (true, false), (true, true)] {
        let what = format!("late, during the next flush {during}, more changes {more}");
        an_attempt_that_arrives_late(during, more, &what);
    }
}

/// How many operations of a storage come before the finish of a commit of a whole grid.
async fn operations_until_finish(disk: &Arc<dyn Storage>) -> u64 {
    let failing = FailingStorage::new(disk.clone());
    let mut file = ArrayFile::open(failing.clone(), NAME, no_cache()).await.unwrap();
    put(&mut file, [0, 0], 2, &[8, 8]).await;
    let mut finish = 0;
    loop {
        failing.die_at(finish, FailMode::FailBefore);
        file.flush().await.unwrap_err();
        if failing.log()[finish as usize].starts_with("finish") {
            return finish;
        }
        finish += 1;
    }
}

/// The request of a flush that was dropped reaches the store before, or while, the next flush commits the same changes.
fn an_attempt_that_arrives_late(during: bool, more: bool, what: &str) {
    let disk = scratch();
    block_on(created(&disk, 1));
    let late = LateStorage::new(disk.clone());
    let mut file = block_on(ArrayFile::open(late.clone(), NAME, no_cache())).unwrap();
    block_on(put(&mut file, [0, 0], 2, &[8, 8]));
    late.hold_next_finish();
    assert!(poll_times(file.flush(), 5).is_none(), "{what}");
    assert!(file.has_pending(), "{what}");
    if more {
        block_on(put(&mut file, [0, 0], 3, &[8, 8]));
    }
    if during {
        late.release_at_next_finish();
    } else {
        block_on(late.release()).unwrap();
    }
    block_on(async {
        let wanted = if more { (3, 3) } else { (2, 2) };
        let version = file.flush().await.unwrap_or_else(|e| panic!("{what}: {e:?}"));
        assert!(late.is_released() && !file.has_pending(), "{what}");
        let found = fresh(&disk, what).await;
        assert_eq!((version, found.version()), (wanted.0, wanted.0), "{what}: committed once");
        assert_eq!(value(&found.snapshot()).await, wanted.1, "{what}");
    });
}
