//! Sequences of operations against the model of the crate's own tests.

#![no_main]

#[path = "../../crates/array-format/tests/model/world.rs"]
mod world;

use libfuzzer_sys::fuzz_target;
use world::{OPERATIONS, run};

/// The tests of the model have twice as many. Long sequences cost more than they find.
const MOST_OPERATIONS: usize = 30;

// A byte for the seed of the world, then three for each operation: which one, and the seed of its random numbers. 16 bits of seed are
// enough to reach everything that an operation can draw, and short for the fuzzer to find.
fuzz_target!(|input: &[u8]| {
    let Some((seed, operations)) = input.split_first() else { return };
    let operations: Vec<(u8, u64)> = operations
        .as_chunks()
        .0
        .iter()
        .take(MOST_OPERATIONS)
        .map(|[op, low, high]| (op % OPERATIONS, u64::from(u16::from_le_bytes([*low, *high]))))
        .collect();
    futures::executor::block_on(run(u64::from(*seed), &operations));
});
