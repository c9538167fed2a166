//! Failures while pending data is written ahead of the commit, and after.

use std::sync::Arc;

use array_format::*;
use array_format_testkit::FailingStorage;
use futures::executor::block_on;
use ndarray::Array1;

use crate::fault::{Fault, every_fault, set};
use crate::work::{NAME, fresh};

const CHUNK: u64 = 500;
const CHUNKS: u64 = 4;

async fn write(file: &mut ArrayFile, expected: &mut [i32], start: u64, values: std::ops::Range<i32>) -> bool {
    let values: Vec<i32> = values.collect();
    let done =
        file.write_array("x", vec![start], Array1::from(values.clone()).into_dyn().view()).await.is_ok();
    if done {
        expected[start as usize..start as usize + values.len()].copy_from_slice(&values);
    }
    done
}

async fn ahead_with_fault(fault: Option<Fault>) -> Vec<String> {
    let what = format!("{fault:?}");
    let memory: Arc<dyn Storage> = Arc::new(InMemoryStorage::default());
    let mut file = ArrayFile::create(&memory, NAME, FileConfig::new(NoCompression)).await.unwrap();
    let shape = vec![CHUNK * CHUNKS];
    file.define_array::<i32>("x", vec!["n".into()], shape, Some(vec![CHUNK]), None).unwrap();
    file.write_array("x", vec![], Array1::from_elem((CHUNK * CHUNKS) as usize, -1i32).into_dyn().view())
        .await
        .unwrap();
    let version = file.flush().await.unwrap();
    drop(file);

    let failing = FailingStorage::new(memory.clone());
    // Room for two chunks: those that a write covers in part are changed together, or not at all.
    let config =
        FileConfig::new(NoCompression).with_pending_bytes(2 * 4 * CHUNK).with_cache(DeltaCache::new(0));
    let mut file = ArrayFile::open(failing.clone(), NAME, config).await.unwrap();
    set(fault, &failing);
    let before = vec![-1i32; (CHUNK * CHUNKS) as usize];
    let mut expected = before.clone();
    let mut all = true;
    // Whole chunks, then some that are cut, which are read back, and one that is written again.
    all &= write(&mut file, &mut expected, 0, 0..1000).await;
    all &= write(&mut file, &mut expected, 1000, 5000..5500).await;
    all &= write(&mut file, &mut expected, 250, 8000..8900).await;
    all &= write(&mut file, &mut expected, 500, 9000..9500).await;
    let found = file.read_array::<i32>("x", vec![], vec![]).await;
    if let Ok(found) = &found {
        assert_eq!(found.as_slice().unwrap(), expected, "{what}");
    }
    let flushed = file.flush().await;
    let log = failing.log();
    failing.heal();

    let show = |file: &ArrayFile| {
        let file = file.clone();
        async move { file.read_array::<i32>("x", vec![], vec![]).await.map(|a| a.into_raw_vec_and_offset().0) }
    };
    let now = fresh(&memory, &what).await;
    let stored = show(&now).await.unwrap();
    match &flushed {
        Ok(_) => assert_eq!(stored, expected, "{what}"),
        // It happened, or it did not.
        Err(_) => assert!(stored == before || stored == expected, "{what}"),
    }
    assert!(fault.is_some() || (all && flushed.is_ok()), "{what}");
    // The next one commits the same, or says what is lost; then nothing is pending after `discard`, and all can be written again.
    match file.flush().await {
        Ok(_) => assert_eq!(show(&fresh(&memory, &what).await).await.unwrap(), expected, "{what}"),
        Err(e) => {
            assert!(e.message().contains("is lost"), "{what}: {e}");
            assert_eq!(now.version(), version, "{what}");
            file.discard().await.unwrap();
            assert_eq!(show(&file).await.unwrap(), before, "{what}");
        }
    }
    let mut again = show(&file).await.unwrap();
    assert!(write(&mut file, &mut again, 100, 1..1700).await, "{what}");
    file.flush().await.unwrap_or_else(|e| panic!("{what}: {e}"));
    let last = fresh(&memory, &what).await;
    assert_eq!(show(&last).await.unwrap(), again, "{what}");
    assert!(last.verify(VerifyOptions::default()).await.unwrap().is_clean(), "{what}");
    log
}

#[test]
fn data_that_goes_ahead_is_committed_or_said_to_be_lost() {
    let cases = block_on(every_fault(ahead_with_fault));
    println!("{cases} cases");
    assert!(cases > 60);
}
