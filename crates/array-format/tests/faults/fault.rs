//! Every way in which one operation of a storage fails.

use std::future::Future;

use array_format_testkit::{FailMode, FailingStorage};

/// One failing operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) at: u64,
    pub(crate) mode: FailMode,
    /// The process died there; else it lives on, and may try again.
    pub(crate) dies: bool,
}

impl Fault {
    /// All that can happen to the operations of this log.
    fn all(log: &[String]) -> Vec<Self> {
        let mut faults = Vec::new();
        for (at, operation) in log.iter().enumerate() {
            let is = |names: &[&str]| names.iter().any(|n| operation.split(' ').next() == Some(n));
            let mut add = |mode, dies| faults.push(Self { at: at as u64, mode, dies });
            for mode in [FailMode::FailBefore, FailMode::FailAfter] {
                add(mode, false);
                add(mode, true);
            }
            // Elsewhere it is no different from failing before, or not at all.
            if is(&["write", "finish"]) {
                add(FailMode::Tear, true);
            }
            if is(&["finish", "promote"]) {
                add(FailMode::Repeat, false);
            }
        }
        faults
    }
}

/// Lets the storage fail so from now on, or not at all.
pub(crate) fn set(fault: Option<Fault>, storage: &FailingStorage) {
    match fault {
        None => storage.heal(),
        Some(Fault { at, mode, dies: true }) => storage.die_at(at, mode),
        Some(Fault { at, mode, dies: false }) => storage.fail_at(at, mode),
    }
}

/// Runs `case` undisturbed, which returns the log of its storage operations, and then with every fault of each of them. Returns how
/// often it ran.
pub(crate) async fn every_fault<F: Future<Output = Vec<String>>>(case: impl Fn(Option<Fault>) -> F) -> u64 {
    let faults = Fault::all(&case(None).await);
    for fault in &faults {
        case(Some(*fault)).await;
    }
    1 + faults.len() as u64
}
