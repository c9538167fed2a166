//! Every bit of golden files flipped, and every truncation: what is read is right or an error, `verify` finds it, nothing panics, and no
//! memory is taken that the bytes have not earned. A share of all cases; `AF_EVERY_BIT=1 cargo test --release -p array-format --test every_bit -- --nocapture` runs all of them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

#[path = "hostile/object.rs"]
#[allow(dead_code, reason = "shared with another test")]
mod object;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use array_format::*;
use array_format_core::buffer::Elements;
use futures::executor::block_on;
use peak_alloc::PeakAlloc;

use crate::object::Objects;

/// Counts what is allocated in this process. So there is but one test in it.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Golden files of 100 KB together, of all kinds of pages, blocks and roots.
const FILES: [&str; 9] = [
    "codecs_filters",
    "decimals",
    "every_type",
    "groups",
    "layers",
    "versions_kept",
    "tags_detached",
    "compacted",
    "compacted_keeping_versions",
];
/// Layers that no version of their file needs: collected with the next occasion, and not verified. One is below the floor, the other has become the
/// base.
const LEFTOVERS: [(&str, &str); 2] =
    [("tags_detached", "0002.layer"), ("compacted_keeping_versions", "0004.layer")];
const MOST_BYTES: usize = 64 << 20;
/// Of the cases, one of so many; a prime, so that it comes by all bits of a byte.
const SHARE: usize = 127;

/// What is read of an array or group; `None` where it cannot be read.
#[derive(Debug, Default, PartialEq)]
struct Item {
    attributes: Option<Vec<(String, Value)>>,
    statistics: Option<ArrayStatistics>,
    values: Option<Elements>,
}

/// What is read of a file; `None` where it cannot be read.
#[derive(Debug, Default, PartialEq)]
struct Content {
    version: u64,
    versions: Option<String>,
    groups: Option<Vec<String>>,
    arrays: Option<Vec<ArrayInfo>>,
    items: BTreeMap<String, Item>,
    is_verified: bool,
}

async fn read(objects: &Objects) -> Result<Content> {
    let config = FileConfig::default().with_cache(DeltaCache::new(1 << 20));
    let file = ArrayFile::open(objects.storage(), objects.path(), config).await?;
    let found = file.snapshot();
    let mut content = Content {
        version: file.version(),
        versions: file.versions().await.ok().map(|v| format!("{v:?}")),
        groups: found.list_groups().await.ok(),
        arrays: found.arrays("").await.ok(),
        items: BTreeMap::new(),
        is_verified: file.verify(VerifyOptions::default().statistics(true)).await.is_ok_and(|r| r.is_clean()),
    };
    let groups = content.groups.clone().unwrap_or_default();
    for path in std::iter::once(String::new()).chain(groups) {
        let attributes = found.attributes(&path).await.ok();
        content.items.insert(path, Item { attributes, ..Item::default() });
    }
    for info in content.arrays.iter().flatten() {
        let (start, shape, step) = (vec![0; info.shape.len()], info.shape.clone(), vec![]);
        let item = Item {
            attributes: found.attributes(&info.name).await.ok(),
            statistics: found.statistics(&info.name).await.ok(),
            values: found.read_elements(&info.name, start, shape, step).await.ok().map(|r| r.1),
        };
        content.items.insert(info.name.clone(), item);
    }
    Ok(content)
}

/// Whether something that was read is something else than what was stored.
fn is_wrong<T: PartialEq>(found: Option<&T>, stored: Option<&T>) -> bool {
    found.is_some() && found != stored
}

fn what_is_wrong(found: &Content, stored: &Content) -> Option<String> {
    if found.version != stored.version {
        return Some(format!("version {}", found.version));
    }
    let lists = is_wrong(found.versions.as_ref(), stored.versions.as_ref())
        || is_wrong(found.groups.as_ref(), stored.groups.as_ref())
        || is_wrong(found.arrays.as_ref(), stored.arrays.as_ref());
    if lists {
        return Some("a list".into());
    }
    let item = found.items.iter().find(|(path, item)| {
        let Some(stored) = stored.items.get(*path) else { return true };
        is_wrong(item.attributes.as_ref(), stored.attributes.as_ref())
            || is_wrong(item.statistics.as_ref(), stored.statistics.as_ref())
            || is_wrong(item.values.as_ref(), stored.values.as_ref())
    });
    item.map(|(path, item)| format!("{path:?}: {item:?}"))
}

#[derive(Default)]
struct Exam {
    cases: usize,
    refused: usize,
    partly: usize,
    most_bytes: usize,
    failures: Vec<String>,
}

impl Exam {
    fn check(&mut self, damaged: &Objects, stored: &Content, is_leftover: bool, what: impl Fn() -> String) {
        self.cases += 1;
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        let result = catch_unwind(AssertUnwindSafe(|| block_on(read(damaged))));
        let bytes = MEMORY.peak_usage().saturating_sub(before);
        self.most_bytes = self.most_bytes.max(bytes);
        if bytes > MOST_BYTES {
            self.failures.push(format!("{}: {} MiB", what(), bytes >> 20));
        }
        match result {
            Err(_) => self.failures.push(format!("{}: a panic", what())),
            Ok(Err(_)) => self.refused += 1,
            Ok(Ok(found)) => {
                self.partly += usize::from(found != *stored);
                if found.is_verified && !is_leftover {
                    self.failures.push(format!("{}: verify finds nothing", what()));
                }
                if let Some(wrong) = what_is_wrong(&found, stored) {
                    self.failures.push(format!("{}: wrong: {wrong}", what()));
                }
            }
        }
    }
}

#[test]
fn whatever_bit_is_flipped_what_is_read_is_right_or_an_error() {
    let share = if std::env::var_os("AF_EVERY_BIT").is_some() { 1 } else { SHARE };
    let mut exam = Exam::default();
    for name in FILES {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/v1");
        let whole = Objects::load(&fixtures.join(name), name);
        let stored = block_on(read(&whole)).unwrap();
        let all_there = stored.items.values().all(|i| i.attributes.is_some());
        assert!(stored.is_verified, "{name}");
        assert!(all_there && stored.arrays.is_some() && stored.versions.is_some(), "{name}: {stored:?}");
        for object in 0..whole.0.len() {
            let (path, bytes) = &whole.0[object];
            let mut damaged = whole.clone();
            let is_leftover = LEFTOVERS.iter().any(|(file, end)| *file == name && path.ends_with(end));
            for bit in (0..bytes.len() * 8).step_by(share) {
                damaged.0[object].1[bit / 8] ^= 1 << (bit % 8);
                exam.check(&damaged, &stored, is_leftover, || format!("{path}: bit {bit} flipped"));
                damaged.0[object].1[bit / 8] ^= 1 << (bit % 8);
            }
            for length in (0..bytes.len()).step_by(share) {
                damaged.0[object].1.truncate(length);
                exam.check(&damaged, &stored, is_leftover, || format!("{path}: cut to {length} bytes"));
                damaged.0[object].1.clone_from(bytes);
            }
        }
        println!("{name}: {} cases until now", exam.cases);
    }
    let Exam { cases, refused, partly, most_bytes, failures } = exam;
    println!(
        "{cases} cases: {refused} not opened, {partly} read in part; most memory {} KiB",
        most_bytes >> 10
    );
    let some: Vec<_> = failures.iter().take(20).collect();
    assert!(some.is_empty(), "{} failures, among them\n{some:#?}", failures.len());
    assert!(refused > cases / 10 && partly > cases / 10, "damage is noticed");
}
