//! Random operations against a plain model: after each commit everything that is read equals it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test")]

mod world;

use futures::executor::block_on;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use world::{OPERATIONS, run};

#[test]
fn sequences_that_failed_once() {
    let all: [&[(u8, u64)]; 7] = [
        // Shrunk to nothing and grown again.
        &[
            (0, 4592129141146244777),
            (20, 8430553153607745951),
            (78, 0),
            (40, 7190680864199777533),
            (40, 1264615524057096915),
            (99, 0),
        ],
        // Two handles compact what only one of them saw promoted.
        &[
            (87, 7438475157163845089),
            (0, 944575532809991358),
            (78, 214300701955020765),
            (95, 360565333109842643),
            (95, 2264087520856264891),
        ],
        // Defined under one name by another, and under that name first and then renamed by this one.
        &[
            (87, 2150339396400886826),
            (0, 13516336185948622506),
            (0, 4085024691900605477),
            (54, 18081214466787610168),
        ],
        // Deleted by one, renamed by another whose tombstone was merged away.
        &[
            (0, 2017549846775852079),
            (78, 0),
            (87, 4280556241224940586),
            (54, 14680696464861881267),
            (78, 4761299133860619167),
            (87, 6635238000636613286),
            (60, 16698201227953193913),
        ],
        // A worker gave an attribute to a group whose arrays were renamed away before the layer was joined.
        &[
            (0, 856418386391868200),
            (0, 12951502757046847010),
            (0, 4831654000429423893),
            (0, 13582800451634647899),
            (78, 0),
            (100, 12608206310735673664),
            (54, 15981649186537886561),
            (106, 0),
        ],
        // Copied twice in one commit.
        &[
            (0, 21719977125902051),
            (20, 255465285394569757),
            (78, 0),
            (112, 2773684915677540091),
            (112, 381121730733181223),
        ],
        // Written ahead and deleted again, while another handle committed: the flush wrote an object for nothing, and went to the other's version.
        &[
            (88, 14932042865442693220),
            (8, 5126317002367454160),
            (7, 11042332726931670380),
            (49, 18049594529425426069),
            (84, 3623011815003198110),
            (61, 16409821513837795448),
            (83, 5377952405444990145),
        ],
    ];
    all.iter().for_each(|ops| block_on(run(0, ops)));
}

#[test]
fn random_operations_leave_what_the_model_says() {
    let cases = std::env::var("AF_MODEL_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let ops = prop::collection::vec((0u8..OPERATIONS, any::<u64>()), 1..60);
    runner
        .run(&(any::<u64>(), ops), |(seed, ops)| {
            block_on(run(seed, &ops));
            Ok(())
        })
        .unwrap();
    println!("{cases} sequences");
}
