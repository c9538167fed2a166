//! Every storage operation fails once, before or after its effect, or the process dies there: a commit is there or not, pending
//! changes are committed exactly once, nothing is lost.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use array_format::*;
use array_format_testkit::model::{Change, Item, Kind, ModelArray, ModelNode, ModelState, check_snapshot};
use array_format_testkit::{CountingStorage, FailMode, FailingStorage};
use futures::executor::block_on;

const NAME: &str = "run.af";

/// A handle and what it should show.
struct Work {
    file: ArrayFile,
    state: ModelState,
}

impl Work {
    async fn define(&mut self, path: &str, kind: Kind, shape: &[u64], chunk: Option<&[u64]>) {
        let mut definition = kind.definition(shape, None);
        if let Some(chunk) = chunk {
            definition = definition.chunk_shape(chunk.to_vec());
        }
        self.file.define(path, definition).unwrap();
        let array = ModelArray::new(kind, shape.to_vec(), chunk.map(<[u64]>::to_vec), kind.zero());
        assert!(self.state.apply(&Change::Put(path.into(), ModelNode::new(Some(array)))));
    }

    async fn write(&mut self, path: &str, start: &[u64], shape: &[u64], seed: u64) {
        let kind = self.state.array(path).unwrap().kind;
        let n = shape.iter().product::<u64>();
        let items: Vec<Item> =
            (0..n).map(|i| kind.item((i + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect();
        kind.write(&mut self.file, path, start.to_vec(), shape, &items).await.unwrap();
        let (path, start, shape) = (path.into(), start.to_vec(), shape.to_vec());
        assert!(self.state.apply(&Change::Write { path, start, shape, items }));
    }

    async fn attribute(&mut self, path: &str, value: i32) {
        self.file.set_attribute(path, "k0", value).await.unwrap();
        assert!(self.state.apply(&Change::Attribute(path.into(), "k0".into(), Some(value.into()))));
    }

    async fn rename(&mut self, from: &str, to: &str) {
        self.file.rename(from, to).await.unwrap();
        assert!(self.state.apply(&Change::Move(vec![(from.into(), to.into())])));
    }

    async fn delete(&mut self, path: &str) {
        self.file.delete(path).await.unwrap();
        assert!(self.state.apply(&Change::Delete(vec![path.into()])));
    }

    async fn resize(&mut self, path: &str, shape: &[u64]) {
        self.file.resize(path, shape.to_vec()).await.unwrap();
        assert!(self.state.apply(&Change::Resize(path.into(), shape.to_vec())));
    }

    /// The changes of the first, second and third commit, and what is changed after one that failed.
    async fn stage(&mut self, number: usize) {
        match number {
            0 => {
                self.define("g/x", Kind::I32, &[6, 4], Some(&[2, 3])).await;
                self.write("g/x", &[0, 0], &[6, 4], 1).await;
                self.define("one", Kind::F64, &[5], None).await;
                self.write("one", &[1], &[3], 2).await;
                self.define("text", Kind::MaybeText, &[3], None).await;
                self.attribute("g/x", 1).await;
                self.attribute("", 2).await;
                self.define("more/a", Kind::MaybeI16, &[4], None).await;
                self.write("more/a", &[0], &[4], 3).await;
            }
            1 => {
                self.write("g/x", &[1, 1], &[3, 2], 4).await;
                self.resize("g/x", &[5, 7]).await;
                self.write("text", &[0], &[3], 5).await;
                self.attribute("g", 3).await;
            }
            2 => {
                self.write("one", &[0], &[2], 6).await;
                self.rename("g/x", "h/x").await;
                self.delete("text").await;
                self.define("text", Kind::I32, &[2], None).await;
                self.write("text", &[0], &[1], 7).await;
                self.write("h/x", &[0, 0], &[1, 1], 8).await;
                self.define("later", Kind::I32, &[9], Some(&[4])).await;
                self.write("later", &[0], &[9], 9).await;
            }
            _ => {
                // Arrays that the commit before changed, deleted, renamed and left alone.
                self.attribute("one", 9).await;
                self.attribute("more/a", 9).await;
                match self.state.array("h/x") {
                    Some(_) => {
                        self.rename("h/x", "g/x").await;
                        self.rename("later", "h/x").await;
                        self.delete("text").await;
                    }
                    None => {
                        self.rename("g/x", "h/x").await;
                        self.define("g/x", Kind::I32, &[1], None).await;
                        self.delete("text").await;
                        self.define("text", Kind::F64, &[3], Some(&[1])).await;
                    }
                }
            }
        }
    }
}

async fn prepared(storage: &Arc<dyn Storage>, stages: usize) -> Work {
    let file = ArrayFile::create(storage, NAME, FileConfig::default()).await.unwrap();
    let mut work = Work { file, state: ModelState::default() };
    for stage in 0..stages {
        work.stage(stage).await;
        work.file.flush().await.unwrap();
    }
    work
}

/// What a process that comes later finds.
async fn fresh(storage: &Arc<dyn Storage>) -> ArrayFile {
    let file = ArrayFile::open(storage, NAME, FileConfig::default()).await.unwrap();
    let report = file.verify(VerifyOptions::default().statistics(true)).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.damage);
    file
}

async fn shows(file: &ArrayFile, state: &ModelState, what: &str) {
    check_snapshot(&file.snapshot(), state, what).await;
}

/// One failing operation.
#[derive(Debug, Clone, Copy)]
struct Fault {
    at: u64,
    mode: FailMode,
    dies: bool,
}

impl Fault {
    fn set(self, storage: &FailingStorage) {
        match self.dies {
            true => storage.die_at(self.at, self.mode),
            false => storage.fail_at(self.at, self.mode),
        }
    }
}

/// Runs `case` with every fault, until the operation is over before the fault comes. Returns how many there were.
async fn every_fault<F: Future<Output = u64>>(case: impl Fn(Fault) -> F) -> u64 {
    let mut cases = 0;
    for mode in [FailMode::FailBefore, FailMode::FailAfter] {
        for dies in [false, true] {
            for at in 0.. {
                let operations = case(Fault { at, mode, dies }).await;
                cases += 1;
                if operations <= at {
                    break;
                }
            }
        }
    }
    cases
}

/// What happens between a commit that failed and the next one.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Between {
    Nothing,
    Refresh,
    MoreChanges,
    Discard,
    OthersCommit,
}

async fn flush_with_fault(stage: usize, between: Between, fault: Fault) -> u64 {
    let what = format!("stage {stage}, {between:?}, {fault:?}");
    let memory: Arc<dyn Storage> = Arc::new(InMemoryStorage::default());
    let before = prepared(&memory, stage).await;
    let version = before.file.version();
    let failing = FailingStorage::new(memory.clone());
    let file = ArrayFile::open(failing.clone(), NAME, FileConfig::default()).await.unwrap();
    let mut work = Work { file, state: before.state.clone() };
    work.stage(stage).await;
    fault.set(&failing);
    let result = work.file.flush().await;
    let operations = failing.operations();
    failing.heal();
    let found = fresh(&memory).await;
    let committed = found.version() > version;
    shows(&found, if committed { &work.state } else { &before.state }, &what).await;
    shows(&work.file, &work.state, &what).await;
    match &result {
        Ok(v) => assert!(committed && *v == version + 1, "{what}"),
        Err(e) => assert_eq!(e.kind(), ErrorKind::Unavailable, "{what}: {e:?}"),
    }
    let mut expected = version + 1;
    match between {
        Between::Nothing => {}
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
    let found = fresh(&memory).await;
    assert_eq!(found.version(), expected, "{what}");
    shows(&found, &work.state, &format!("{what}, then")).await;
    shows(&work.file, &work.state, &format!("{what}, then, same handle")).await;
    operations
}

#[test]
fn a_flush_that_fails_anywhere_is_there_or_not_and_the_next_one_commits_once() {
    block_on(async {
        let mut cases = 0;
        use Between::*;
        for between in [Nothing, Refresh, MoreChanges, Discard, OthersCommit] {
            for stage in [0, 2] {
                cases += every_fault(|fault| flush_with_fault(stage, between, fault)).await;
            }
        }
        println!("{cases} cases");
        assert!(cases > 400);
    });
}

#[test]
fn a_compaction_that_fails_anywhere_loses_nothing_and_publishes_nothing() {
    block_on(async {
        let mut cases = 0;
        for keep in [false, true] {
            cases += every_fault(|fault| async move {
                let what = format!("keep {keep}, {fault:?}");
                let memory: Arc<dyn Storage> = Arc::new(InMemoryStorage::default());
                let before = prepared(&memory, 2).await;
                let pinned = fresh(&memory).await;
                shows(&pinned, &before.state, &what).await;
                let failing = FailingStorage::new(memory.clone());
                let file = ArrayFile::open(failing.clone(), NAME, FileConfig::default()).await.unwrap();
                let mut work = Work { file, state: before.state.clone() };
                work.stage(2).await;
                fault.set(&failing);
                let options = CompactOptions::default().keep_versions(keep);
                let result = work.file.compact_with(options).await;
                let operations = failing.operations();
                failing.heal();
                let found = fresh(&memory).await;
                shows(&found, &before.state, &what).await;
                shows(&work.file, &work.state, &what).await;
                if let Err(e) = &result {
                    assert_eq!(e.kind(), ErrorKind::Unavailable, "{what}: {e:?}");
                    work.file.compact_with(options).await.unwrap_or_else(|e| panic!("{what}: {e}"));
                }
                let found = fresh(&memory).await;
                assert_eq!(found.num_layers(), 1, "{what}");
                shows(&found, &before.state, &what).await;
                if keep {
                    let at = found.at(1).await.unwrap();
                    assert_eq!(at.list_arrays().await.unwrap().len(), 4, "{what}");
                }
                work.file.flush().await.unwrap_or_else(|e| panic!("{what}: {e}"));
                shows(&fresh(&memory).await, &work.state, &what).await;
                shows(&work.file, &work.state, &what).await;
                operations
            })
            .await;
        }
        println!("{cases} cases");
        assert!(cases > 100);
    });
}

#[test]
fn a_create_that_fails_anywhere_leaves_a_file_or_none() {
    block_on(async {
        let cases = every_fault(|fault| async move {
            let memory: Arc<dyn Storage> = Arc::new(InMemoryStorage::default());
            let failing = FailingStorage::new(memory.clone());
            fault.set(&failing);
            let result = ArrayFile::create(failing.clone(), NAME, FileConfig::default()).await;
            let operations = failing.operations();
            failing.heal();
            match ArrayFile::open(&memory, NAME, FileConfig::default()).await {
                Ok(found) => shows(&found, &ModelState::default(), "created").await,
                Err(e) => {
                    assert_eq!(e.kind(), ErrorKind::NotFound, "{fault:?}: {e:?}");
                    assert!(result.is_err(), "{fault:?}");
                    prepared(&memory, 1).await;
                }
            }
            operations
        })
        .await;
        println!("{cases} cases");
        assert!(cases > 20);
    });
}

#[test]
fn an_overwrite_that_fails_anywhere_leaves_the_old_file_or_an_empty_one() {
    block_on(async {
        let cases = every_fault(|fault| async move {
            let what = format!("{fault:?}");
            let memory: Arc<dyn Storage> = Arc::new(InMemoryStorage::default());
            let before = prepared(&memory, 3).await;
            let failing = FailingStorage::new(memory.clone());
            let config = FileConfig::default().with_overwrite(true);
            fault.set(&failing);
            let result = ArrayFile::create(failing.clone(), NAME, config.clone()).await;
            let operations = failing.operations();
            failing.heal();
            let found = fresh(&memory).await;
            let replaced = found.version() == 0;
            assert!(replaced || result.is_err(), "{what}");
            let empty = ModelState::default();
            shows(&found, if replaced { &empty } else { &before.state }, &what).await;
            let file = ArrayFile::create(&memory, NAME, config).await.unwrap();
            let mut work = Work { file, state: ModelState::default() };
            work.stage(0).await;
            assert_eq!(work.file.flush().await.unwrap(), 1);
            shows(&fresh(&memory).await, &work.state, &what).await;
            assert_eq!(memory.list("run.af.layers").await.unwrap().len(), 1, "{what}");
            operations
        })
        .await;
        println!("{cases} cases");
        assert!(cases > 20);
    });
}

#[test]
fn an_append_or_write_that_cannot_read_changes_nothing() {
    block_on(async {
        let mut cases = 0;
        for call in 0..3 {
            cases += every_fault(|fault| async move {
                let memory: Arc<dyn Storage> = Arc::new(InMemoryStorage::default());
                // Larger than what comes along with opening the file.
                let file = ArrayFile::create(&memory, NAME, FileConfig::new(NoCompression)).await.unwrap();
                let mut before = Work { file, state: ModelState::default() };
                before.define("g/x", Kind::I32, &[64, 700], Some(&[30, 100])).await;
                before.write("g/x", &[0, 0], &[64, 700], 1).await;
                before.file.flush().await.unwrap();
                let failing = FailingStorage::new(memory.clone());
                let config = FileConfig::default().with_cache(DeltaCache::new(0));
                let file = ArrayFile::open(failing.clone(), NAME, config);
                let mut file = file.await.unwrap();
                fault.set(&failing);
                let items = vec![Item::I32(5); 3 * 700];
                let result = match call {
                    0 => Kind::I32.append(&mut file, "g/x", 0, &[3, 700], &items).await,
                    1 => Kind::I32.write(&mut file, "g/x", vec![1, 1], &[4, 500], &items[..2000]).await,
                    _ => file.rename("g", "k").await,
                };
                let operations = failing.operations();
                failing.heal();
                assert!(result.is_err() || operations <= fault.at || call == 2, "{call} {fault:?}");
                if result.is_err() {
                    shows(&file, &before.state, &format!("{call} {fault:?}")).await;
                    assert!(!file.has_pending(), "{call} {fault:?}");
                }
                operations
            })
            .await;
        }
        println!("{cases} cases");
        assert!(cases > 20);
    });
}

/// Polls a future this many times, and drops it if it is not ready by then.
fn poll_times<F: Future>(future: F, times: usize) -> Option<F::Output> {
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
                let committed = fresh(&memory).await.version() > version;
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
                shows(&fresh(&memory).await, &work.state, &what).await;
            });
            if done.is_some() {
                break;
            }
        }
    }
    println!("{cases} cases");
    assert!(cases >= 8);
}
