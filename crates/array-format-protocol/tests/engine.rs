//! What the engine asks of the store is what the model says.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use array_format::{ArrayFile, FileConfig, GcOptions, InMemoryStorage, Storage};
use array_format_protocol::calls::{Scenario, from_log};
use array_format_testkit::FailingStorage;
use futures::executor::block_on;

const NAME: &str = "run.af";

fn change(file: &mut ArrayFile, name: &str) {
    file.define_array::<i32>(name, vec![], vec![], None, None).unwrap();
}

async fn committed(file: &mut ArrayFile, name: &str) {
    change(file, name);
    file.flush().await.unwrap();
}

/// The calls that the engine makes.
async fn calls(scenario: Scenario) -> Vec<String> {
    let memory: Arc<dyn Storage> = Arc::new(InMemoryStorage::default());
    let storage = FailingStorage::new(memory.clone());
    let open = || async { ArrayFile::open(storage.clone(), NAME, FileConfig::default()).await.unwrap() };
    let mut first = ArrayFile::create(&memory, NAME, FileConfig::default()).await.unwrap();
    let mut file = open().await;
    match scenario {
        Scenario::Commit => {
            change(&mut file, "a");
            storage.heal();
            file.flush().await.unwrap();
        }
        Scenario::TakenNumber => {
            change(&mut file, "a");
            committed(&mut first, "b").await;
            storage.heal();
            file.flush().await.unwrap();
        }
        Scenario::Open => {
            committed(&mut first, "b").await;
            storage.heal();
            open().await;
        }
        Scenario::Compaction | Scenario::CompactionBaseStays => {
            committed(&mut first, "b").await;
            committed(&mut first, "c").await;
            file.refresh().await.unwrap();
            storage.heal();
            file.compact().await.unwrap();
        }
        Scenario::Collection => {
            committed(&mut first, "b").await;
            first.delete("b").await.unwrap();
            first.flush().await.unwrap();
            storage.heal();
            file.garbage_collect(GcOptions::default()).await.unwrap();
        }
        Scenario::Join => {
            change(&mut first, "b");
            let receipt = first.detach().await.unwrap();
            storage.heal();
            file.refresh().await.unwrap();
            file.join(&[receipt]).await.unwrap();
            file.flush().await.unwrap();
        }
    }
    storage.log().iter().filter_map(|line| from_log(NAME, line)).collect()
}

/// Without the numbers, which depend on how the file began.
fn verbs(calls: &[String]) -> Vec<&str> {
    let numbered = ["create layer", "delete layer", "open layer"];
    calls.iter().map(|c| numbered.into_iter().find(|verb| c.starts_with(verb)).unwrap_or(c)).collect()
}

fn mutates(call: &&str) -> bool {
    !call.starts_with("open") && !call.starts_with("list")
}

#[test]
fn without_concurrency_the_engine_calls_what_the_model_calls() {
    for scenario in [Scenario::Commit, Scenario::TakenNumber] {
        assert_eq!(block_on(calls(scenario)), scenario.calls(), "{scenario:?}: engine, then model");
    }
}

/// The engine may read more than the model, and more at once; it changes the same, in the same order, after having read what it must.
#[test]
fn what_the_engine_changes_comes_after_what_the_model_reads() {
    use Scenario::{Collection, Commit, Compaction, Join, TakenNumber};
    for scenario in [Commit, TakenNumber, Compaction, Collection, Join] {
        let (engine, model) = (block_on(calls(scenario)), scenario.calls());
        let (engine, model) = (verbs(&engine), verbs(&model));
        let mut rest = engine.iter();
        for call in &model {
            assert!(
                rest.any(|c| c == call),
                "{scenario:?}: {call} is missing in its place: {engine:?}, model {model:?}"
            );
        }
        let changes = |calls: &[&str]| {
            let mut changes: Vec<String> =
                calls.iter().filter(|c| mutates(c)).map(|c| (*c).to_owned()).collect();
            changes.dedup();
            changes
        };
        assert_eq!(changes(&engine), changes(&model), "{scenario:?}: engine, then model");
    }
    let opened = block_on(calls(Scenario::Open));
    assert!(Scenario::Open.calls().starts_with(&opened), "{opened:?}");
}
