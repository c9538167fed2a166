//! Hostile files: whatever their numbers say, and with all checksums right, reading them never panics, never hangs, and never takes
//! memory that their bytes have not earned.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr, reason = "a test")]

mod mutate;
mod object;
mod reading;
mod walk;

use std::path::Path;

use object::Objects;
use peak_alloc::PeakAlloc;
use reading::Exam;

/// Counts what is allocated in this process. So there is but one test in it.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The golden files that are taken apart, and which share of their variants is tried: 1 of so many.
const FILES: [(&str, u64); 5] =
    [("compacted", 7), ("groups", 3), ("layers", 13), ("every_type", 797), ("codecs_filters", 3989)];

fn golden(name: &str) -> Objects {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/v1").join(name);
    Objects::load(&folder, name)
}

#[test]
fn no_hostile_file_panics_hangs_or_takes_more_memory_than_it_earned() {
    let mut exam = Exam::new();
    for (name, step) in FILES {
        exam.one_of(step);
        let objects = golden(name);
        exam.read(&objects, &format!("{name} as it is"));
        assert!(exam.is_readable(&objects), "{name}");
        mutate::numbers_of_the_trailer(&mut exam, &objects, name);
        mutate::bytes_of_the_root(&mut exam, &objects, name);
        mutate::bytes_of_the_pages(&mut exam, &objects, name);
        mutate::numbers_of_directories(&mut exam, &objects, name);
        mutate::numbers_of_nodes(&mut exam, &objects, name);
        mutate::numbers_of_chunks(&mut exam, &objects, name);
        exam.one_of(1);
        mutate::frame_tables(&mut exam, &objects, name);
        exam.progress(name);
    }
    exam.report();
}
