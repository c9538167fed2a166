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
        other => unimplemented!("{other:?}"),
    }
    storage.log().iter().filter_map(|line| from_log(NAME, line)).collect()
}

#[test]
fn the_engine_calls_what_the_model_calls() {
    for scenario in [Scenario::Commit, Scenario::TakenNumber, Scenario::Open] {
        let (engine, model) = (block_on(calls(scenario)), scenario.calls());
        assert_eq!(engine, model, "{scenario:?}: engine, then model");
    }
    let _ = GcOptions::default();
}
