//! Calls that change what is pending, and cannot read what they need.

use std::sync::Arc;

use array_format::*;
use array_format_testkit::FailingStorage;
use array_format_testkit::model::{Item, Kind, ModelState};
use futures::executor::block_on;

use crate::fault::{every_fault, set};
use crate::work::{NAME, Work, shows};

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
                set(fault, &failing);
                let items = vec![Item::I32(5); 3 * 700];
                let result = match call {
                    0 => Kind::I32.append(&mut file, "g/x", 0, &[3, 700], &items).await,
                    1 => Kind::I32.write(&mut file, "g/x", vec![1, 1], &[4, 500], &items[..2000]).await,
                    _ => file.rename("g", "k").await,
                };
                let log = failing.log();
                failing.heal();
                assert!(result.is_err() || fault.is_none() || call == 2, "{call} {fault:?}");
                if result.is_err() {
                    shows(&file, &before.state, &format!("{call} {fault:?}")).await;
                    assert!(!file.has_pending(), "{call} {fault:?}");
                }
                log
            })
            .await;
        }
        println!("{cases} cases");
        assert!(cases > 20);
    });
}
