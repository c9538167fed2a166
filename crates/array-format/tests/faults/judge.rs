//! Every operation crossed with every fault, and one judgement for all of them.

use std::cell::Cell;
use std::sync::Arc;

use array_format::*;
use array_format_testkit::model::{Kind, ModelState};
use array_format_testkit::{FailingStorage, PowerLossStorage};
use futures::executor::block_on;

use crate::disk::{self, Disk};
use crate::dropped::poll_times;
use crate::fault::{Fault, every_fault, set};
use crate::operations::{Before, Operation, Subject};
use crate::work::{NAME, Work, fresh, prepared, shows};

/// Looks at the file as a process does that comes later: it holds exactly the state before or after, nothing is damaged. Returns the
/// state, or `None` if there is no file.
async fn look(
    disk: &Arc<dyn Storage>,
    subject: &Subject,
    acknowledged: bool,
    what: &str,
) -> Option<ModelState> {
    if subject.before.state.is_none()
        && let Err(e) = ArrayFile::open(disk, NAME, FileConfig::default()).await
    {
        assert_eq!(e.kind(), ErrorKind::NotFound, "{what}: {e:?}");
        assert!(!acknowledged, "{what}: acknowledged and lost");
        return None;
    }
    let found = fresh(disk, what).await;
    let state = subject.expected(&found, acknowledged, what);
    shows(&found, &state, what).await;
    Some(state)
}

/// The next commit of another process works, and is seen.
async fn next_commit(disk: &Arc<dyn Storage>, found: Option<&ModelState>, what: &str) -> ModelState {
    let what = format!("{what}, the next commit");
    let mut next = match found {
        None => prepared(disk, 0).await,
        Some(state) => Work { file: fresh(disk, &what).await, state: state.clone() },
    };
    let version = next.file.version();
    let name = format!("next{version}");
    next.define(&name, Kind::I32, &[3], None).await;
    next.write(&name, &[0], &[2], 1).await;
    let committed = next.file.flush().await.unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(committed, version + 1, "{what}");
    let found = fresh(disk, &what).await;
    assert_eq!(found.version(), committed, "{what}");
    shows(&found, &next.state, &what).await;
    next.state
}

/// The handle that lives on tries again, and what is pending is committed once.
async fn try_again(disk: &Arc<dyn Storage>, subject: &mut Subject, what: &str) -> Option<ModelState> {
    let what = format!("{what}, again");
    match subject.run().await {
        Ok(()) => {}
        Err(e) => {
            let is_there = e.kind() == ErrorKind::AlreadyExists && subject.operation == Operation::Create;
            assert!(is_there, "{what}: {e:?}");
        }
    }
    let found = look(disk, subject, true, &what).await;
    let Some(work) = &mut subject.work else { return found };
    shows(&work.file, &work.state, &what).await;
    if let Operation::Compaction { keep_versions } = subject.operation {
        let compacted = fresh(disk, &what).await;
        assert_eq!(compacted.num_layers(), 1, "{what}");
        if keep_versions {
            let arrays = compacted.at(1).await.unwrap().list_arrays().await.unwrap();
            assert_eq!(arrays.len(), 4, "{what}");
        }
    }
    let committed = work.file.flush().await.unwrap_or_else(|e| panic!("{what}: {e}"));
    assert!(!work.file.has_pending(), "{what}");
    assert_eq!(work.file.flush().await.unwrap(), committed, "{what}");
    let found = fresh(disk, &what).await;
    assert_eq!(found.version(), committed, "{what}");
    shows(&found, &work.state, &what).await;
    shows(&work.file, &work.state, &what).await;
    Some(work.state.clone())
}

/// The power may also fail when all is over, and until the next commit.
async fn next_commit_after_power_loss(
    disk: &PowerLossStorage,
    found: Option<&ModelState>,
    what: &str,
) -> u64 {
    let mut cases = 0;
    for (kept, disk) in disk.after_power_loss(1) {
        next_commit(&(Arc::new(disk) as Arc<dyn Storage>), found, &format!("{what}, power loss: {kept}"))
            .await;
        cases += 1;
    }
    cases
}

async fn with_fault(
    on: disk::Kind,
    operation: Operation,
    fault: Option<Fault>,
    losses: &Cell<u64>,
) -> Vec<String> {
    let what = format!("{on:?}, {operation:?}, {fault:?}");
    let Disk { storage: disk, power, .. } = &Disk::new(on);
    let before = operation.prepare(disk).await;
    let reader = match &before.state {
        None => None,
        Some(state) => {
            let reader = fresh(disk, &what).await;
            shows(&reader, state, &what).await;
            Some(reader)
        }
    };
    let failing = FailingStorage::new(disk.clone());
    let mut subject = Subject::new(operation, &before, Arc::new(failing.clone())).await;
    set(fault, &failing);
    let result = subject.run().await;
    let log = failing.log();
    failing.heal();
    if let Err(e) = &result {
        use ErrorKind::{AlreadyExists, Conflict, Unavailable};
        assert!(matches!(e.kind(), Unavailable | AlreadyExists | Conflict), "{what}: {e:?}");
    }
    let mut found = look(disk, &subject, result.is_ok(), &what).await;
    if fault.is_none_or(|f| !f.dies) {
        found = try_again(disk, &mut subject, &what).await;
    }
    if let Some(power) = power {
        losses.set(losses.get() + next_commit_after_power_loss(power, found.as_ref(), &what).await);
    }
    let state = next_commit(disk, found.as_ref(), &what).await;
    if let Some(power) = power {
        losses.set(losses.get() + next_commit_after_power_loss(power, Some(&state), &what).await);
    }
    // Whoever had the file open before reads on in what they opened.
    if let (Some(reader), Some(state)) = (reader, &before.state) {
        shows(&reader, state, &what).await;
    }
    log
}

async fn without_power(operation: Operation, before: &Before, prepared: &PowerLossStorage) -> u64 {
    let mut cases = 0;
    for times in 0.. {
        let (_, disk) = prepared.after_power_loss(0).pop().unwrap();
        let mut subject = Subject::new(operation, before, Arc::new(disk.clone())).await;
        let acknowledged = poll_times(subject.run(), times).map(Result::unwrap).is_some();
        for (kept, disk) in disk.after_power_loss(times as u64) {
            let what = format!("{operation:?}, power lost after {times} polls, {kept}");
            let disk: Arc<dyn Storage> = Arc::new(disk);
            let found = look(&disk, &subject, acknowledged, &what).await;
            next_commit(&disk, found.as_ref(), &what).await;
            cases += 1;
        }
        if acknowledged {
            break;
        }
    }
    cases
}

/// Whatever fails, the file is as before or as after, and the next commit works.
fn fails_everywhere(on: disk::Kind) {
    block_on(async {
        let (mut all, losses) = (0, Cell::new(0));
        for operation in Operation::ALL {
            let cases = every_fault(|fault| with_fault(on, operation, fault, &losses)).await;
            println!("{on:?}, {operation:?}: {cases} cases");
            all += cases;
        }
        println!(
            "{on:?}: {all} cases of failing operations, with {} losses of power afterwards",
            losses.get()
        );
        assert!(all > 500);
        assert_eq!(losses.get() > 1000, on == disk::Kind::Memory);
    });
}

#[test]
fn whatever_fails_in_memory_the_file_is_as_before_or_as_after_and_the_next_commit_works() {
    fails_everywhere(disk::Kind::Memory);
}

#[test]
fn whatever_fails_on_a_local_disk_the_file_is_as_before_or_as_after_and_the_next_commit_works() {
    fails_everywhere(disk::Kind::Local);
}

#[test]
fn whatever_fails_on_an_object_store_the_file_is_as_before_or_as_after_and_the_next_commit_works() {
    fails_everywhere(disk::Kind::ObjectStore);
}

/// A folder or file that cannot be made durable: an error comes back, and what is seen may be lost with the power. Whatever was acknowledged may not.
async fn without_sync(operation: Operation, k: u64) -> (u64, bool) {
    let power = PowerLossStorage::new();
    let disk: Arc<dyn Storage> = Arc::new(power.clone());
    let before = operation.prepare(&disk).await;
    let mut subject = Subject::new(operation, &before, disk).await;
    power.fail_sync_at(k);
    let mut acknowledged = subject.run().await.is_ok();
    let is_over = power.heal();
    let mut cases = 0;
    for round in 0..2 {
        for (kept, disk) in power.after_power_loss(k) {
            let what = format!("{operation:?}, sync {k} failed, round {round}, {kept}");
            let disk: Arc<dyn Storage> = Arc::new(disk);
            let found = look(&disk, &subject, acknowledged, &what).await;
            next_commit(&disk, found.as_ref(), &what).await;
            cases += 1;
        }
        if !acknowledged {
            let what = format!("{operation:?}, sync {k} failed, again");
            // The file is there; it is for whoever creates it to say what now.
            acknowledged = match subject.run().await {
                Ok(()) => true,
                Err(e) if e.kind() == ErrorKind::AlreadyExists && operation == Operation::Create => false,
                Err(e) => panic!("{what}: {e:?}"),
            };
        }
    }
    (cases, is_over)
}

#[test]
fn what_cannot_be_made_durable_is_not_acknowledged() {
    block_on(async {
        let mut all = 0;
        for operation in Operation::ALL {
            for k in 0.. {
                let (cases, is_over) = without_sync(operation, k).await;
                all += cases;
                if is_over {
                    break;
                }
            }
        }
        println!("{all} cases of what cannot be made durable");
        assert!(all > 50);
    });
}

#[test]
fn when_the_power_fails_the_file_is_as_before_or_as_after_and_the_next_commit_works() {
    block_on(async {
        let mut all = 0;
        for operation in Operation::ALL {
            let disk = PowerLossStorage::new();
            let before = operation.prepare(&(Arc::new(disk.clone()) as Arc<dyn Storage>)).await;
            assert_eq!(disk.unsynced(), 0);
            let cases = without_power(operation, &before, &disk).await;
            println!("{operation:?}: {cases} cases");
            all += cases;
        }
        println!("{all} cases of power loss");
        assert!(all > 50);
    });
}
