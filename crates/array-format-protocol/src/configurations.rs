//! What is explored. Each is small enough for every state to be looked at.

use crate::actor::{Config, Listings, Task};

const COMPACT: Task = Task::Compact { keep: false };
const KEEP: Task = Task::Compact { keep: true };
const COLLECT: Task = Task::Collect { keep: 0 };
/// The first slot.
const A: u8 = 1;
/// The second slot.
const B: u8 = 2;
const BOTH: u8 = 3;

fn with(name: &'static str, actors: Vec<Vec<Task>>, change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::new(name, actors);
    change(&mut config);
    config
}

/// Two writers of different slots, and calls that go wrong.
pub fn disjoint_writers() -> Config {
    let actors = vec![vec![Task::Commit(A), Task::Commit(A)], vec![Task::Commit(B), Task::Commit(B)]];
    with("two writers of different slots, two faults", actors, |c| {
        (c.open_at_start, c.faults, c.late) = (true, 2, true);
    })
}

/// Two writers of the same slot, and calls that go wrong.
pub fn overlapping_writers() -> Config {
    let actors = vec![vec![Task::Commit(A)], vec![Task::Commit(BOTH), Task::Commit(B)]];
    with("two writers of the same slot, two faults", actors, |c| {
        (c.open_at_start, c.faults, c.late) = (true, 2, true);
    })
}

/// Two writers and a compactor.
pub fn writers_compactor() -> Config {
    let actors = vec![vec![Task::Commit(A)], vec![Task::Commit(B)], vec![COMPACT]];
    with("two writers, compactor, one fault", actors, |c| {
        (c.open_at_start, c.faults, c.late) = (true, 1, true);
    })
}

/// Two writers of the same slot and a compactor.
pub fn overlapping_writers_compactor() -> Config {
    let actors = vec![vec![Task::Commit(A)], vec![Task::Commit(A)], vec![COMPACT]];
    with("two writers of the same slot, compactor, two faults", actors, |c| {
        (c.open_at_start, c.faults, c.late) = (true, 2, true);
    })
}

/// Two writers and a collector.
pub fn writers_collector() -> Config {
    let actors = vec![vec![Task::Commit(A), Task::Commit(A)], vec![Task::Commit(B)], vec![COLLECT]];
    with("two writers, collector, one fault", actors, |c| {
        (c.open_at_start, c.faults, c.late) = (true, 1, true);
    })
}

/// A writer, a compactor, a collector and a reader.
pub fn writer_compactor_collector_reader() -> Config {
    let actors = vec![vec![Task::Commit(B)], vec![COMPACT], vec![COLLECT], vec![Task::Read]];
    with("writer, compactor, collector, reader", actors, |c| {
        (c.initial, c.open_at_start) = (vec![A], true);
    })
}

/// A sleeping writer, two compactions, a reader.
pub fn sleeper_compactions_reader() -> Config {
    let actors = vec![
        vec![Task::Commit(A)],
        vec![Task::Commit(B), COMPACT, Task::Commit(B), COMPACT],
        vec![Task::Read],
    ];
    with("sleeping writer, writer that compacts twice, reader", actors, |c| {
        c.open_at_start = true;
    })
}

/// A store that cannot replace the base on condition.
pub fn unconditional_store() -> Config {
    let actors = vec![vec![Task::Commit(A)], vec![Task::Commit(B), COMPACT], vec![Task::Read]];
    with(
        "store without conditional replace: sleeping writer, writer that compacts, reader, one fault",
        actors,
        |c| {
            (c.open_at_start, c.conditional, c.faults, c.late) = (true, false, 1, true);
        },
    )
}

/// Two sleeping writers where the base stays.
pub fn unconditional_sleepers() -> Config {
    let actors = vec![
        vec![Task::Commit(A)],
        vec![Task::Commit(A)],
        vec![Task::Commit(B), COMPACT, Task::Commit(B), COMPACT],
    ];
    with("store without conditional replace: two sleeping writers, writer that compacts twice", actors, |c| {
        (c.open_at_start, c.conditional) = (true, false);
    })
}

/// Two compactors and a writer.
pub fn two_compactors() -> Config {
    let actors = vec![vec![COMPACT], vec![COMPACT], vec![Task::Commit(B)]];
    with("two compactors, writer", actors, |c| {
        (c.initial, c.open_at_start) = (vec![A], true);
    })
}

/// Two collectors and a writer.
pub fn two_collectors() -> Config {
    let actors = vec![vec![COLLECT], vec![Task::Collect { keep: 1 }], vec![Task::Commit(BOTH)]];
    with("two collectors, one keeps a version, writer, one fault", actors, |c| {
        (c.initial, c.faults) = (vec![BOTH, BOTH], 1);
    })
}

/// Older versions are kept, read, and collected.
pub fn kept_versions() -> Config {
    let actors =
        vec![vec![KEEP], vec![Task::Collect { keep: 1 }], vec![Task::ReadAt(1)], vec![Task::Commit(B)]];
    with("compactor that keeps, collector that keeps one, reader of an older version, writer", actors, |c| {
        (c.initial, c.open_at_start) = (vec![A, A], true);
    })
}

/// Roots that hold one ancestor: who cannot know says so.
pub fn short_memory() -> Config {
    let actors = vec![vec![Task::Commit(A)], vec![Task::Commit(B), Task::Commit(B), COMPACT]];
    with("one ancestor a root: writer, writer that compacts, two faults", actors, |c| {
        (c.open_at_start, c.ancestors, c.faults) = (true, 1, 2);
    })
}

/// The first version of an empty file becomes the base as it is.
pub fn first_version() -> Config {
    let actors = vec![vec![Task::Commit(BOTH)], vec![Task::Commit(A)], vec![KEEP], vec![Task::Read]];
    with("empty file: two writers, compactor that keeps, reader", actors, |c| {
        (c.empty, c.open_at_start) = (true, true);
    })
}

/// The same, and a second compactor.
pub fn first_version_compacted() -> Config {
    let actors =
        vec![vec![Task::Commit(BOTH)], vec![Task::Commit(A)], vec![KEEP], vec![COMPACT], vec![Task::Read]];
    with("empty file: two writers, compactor that keeps, compactor, reader", actors, |c| {
        (c.empty, c.open_at_start) = (true, true);
    })
}

/// A configuration whose listings come in pages.
fn in_pages(mut config: Config) -> Config {
    config.listing = Listings::Pages;
    config
}

/// A compaction that keeps versions which do not need the base replaces it.
pub fn kept_without_base() -> Config {
    let actors =
        vec![vec![KEEP], vec![Task::ReadAt(1)], vec![Task::Commit(B)], vec![Task::Collect { keep: 1 }]];
    with("compactor that keeps, writer, collector that keeps one, reader of an older version", actors, |c| {
        c.initial = vec![BOTH, A];
    })
}

/// A worker, a committer, a writer, a collector.
pub fn worker_committer_collector() -> Config {
    let actors = vec![vec![Task::Detach(A)], vec![Task::Join(0)], vec![Task::Commit(B)], vec![COLLECT]];
    with("worker, committer, writer, collector", actors, |c| {
        c.initial = vec![A];
    })
}

/// A worker, a committer, a compactor.
pub fn worker_committer_compactor() -> Config {
    let actors = vec![vec![Task::Detach(A)], vec![Task::Join(0)], vec![COMPACT], vec![Task::Read]];
    with("worker, committer, compactor, reader, one fault", actors, |c| {
        (c.initial, c.faults) = (vec![B], 1);
    })
}

/// A worker, a committer, a writer of the same slot.
pub fn worker_committer_overlap() -> Config {
    let actors = vec![vec![Task::Detach(A)], vec![Task::Join(0)], vec![Task::Commit(A)]];
    with("worker, committer, writer of the same slot, two faults", actors, |c| {
        (c.faults, c.late) = (2, true);
    })
}

/// A tag and a collector.
pub fn tag_collector() -> Config {
    let actors = vec![vec![Task::Tag(1)], vec![Task::Commit(BOTH)], vec![COLLECT]];
    with("tag, writer, collector, one fault", actors, |c| {
        (c.initial, c.faults) = (vec![A, A], 1);
    })
}

/// A tag on the base, a compactor, a collector.
pub fn tag_compactor() -> Config {
    let actors = vec![vec![Task::Tag(0)], vec![COMPACT], vec![COLLECT], vec![Task::ReadAt(0)]];
    with("tag, compactor, collector, reader of the tagged version", actors, |c| {
        c.initial = vec![A];
    })
}

/// The file is replaced by a new one.
pub fn recreated() -> Config {
    let actors = vec![vec![Task::Commit(A)], vec![Task::Recreate, Task::Commit(A)], vec![Task::Read]];
    with("file replaced: writers of the old and the new file, reader", actors, |c| {
        (c.initial, c.open_at_start, c.faults) = (vec![B], true, 1);
    })
}

/// The file is replaced by a new one while it is compacted and collected.
pub fn recreated_collector() -> Config {
    let actors = vec![vec![COLLECT], vec![Task::Recreate, Task::Commit(A)], vec![COMPACT]];
    with("file replaced: collector, compactor, one fault", actors, |c| {
        (c.initial, c.faults, c.late) = (vec![A], 1, true);
    })
}

/// The file is replaced twice.
pub fn recreated_twice() -> Config {
    let actors = vec![vec![Task::Recreate, Task::Commit(B)], vec![Task::Recreate, Task::Commit(A)]];
    with("file replaced by two, both commit", actors, |c| {
        c.initial = vec![A];
    })
}

/// The base is deleted by hand, the layers stay; a new file is created.
pub fn deleted_and_created() -> Config {
    let actors = vec![
        vec![Task::Commit(A)],
        vec![Task::DeleteFile, Task::CreateFile, Task::Commit(B)],
        vec![Task::Read],
    ];
    with("file deleted and created anew: writer, reader, one fault", actors, |c| {
        (c.initial, c.open_at_start, c.faults) = (vec![B], true, 1);
    })
}

/// Somebody else deletes a layer.
pub fn lost_layer() -> Config {
    let actors = vec![vec![Task::Lose(1)], vec![Task::Read], vec![Task::Commit(B)]];
    with("a layer is lost: reader, writer", actors, |c| {
        c.initial = vec![A, B];
    })
}

/// Two collectors and a sleeping writer.
pub fn collectors_sleeper() -> Config {
    let actors =
        vec![vec![COLLECT], vec![Task::Collect { keep: 1 }], vec![Task::Commit(B)], vec![Task::Read]];
    with("two collectors, one keeps a version, sleeping writer, reader", actors, |c| {
        (c.initial, c.open_at_start) = (vec![A, A], true);
    })
}

/// Collections one after the other where the base stays, and a sleeping writer.
pub fn two_collectors_sleeper() -> Config {
    let actors = vec![vec![COLLECT, COLLECT], vec![Task::Commit(B)], vec![Task::Commit(BOTH)]];
    with("two collections, sleeping writer, writer", actors, |c| {
        (c.initial, c.open_at_start) = (vec![BOTH, BOTH], true);
    })
}

/// A number is freed above the base, then the base passes it; a sleeping writer.
pub fn freed_then_passed() -> Config {
    let actors = vec![vec![COLLECT, COMPACT], vec![Task::Commit(B)]];
    with("collection, then compaction, sleeping writer", actors, |c| {
        (c.initial, c.open_at_start) = (vec![BOTH, BOTH], true);
    })
}

/// Two compactors, a writer, and calls that take effect late.
pub fn two_compactors_late() -> Config {
    let actors = vec![vec![COMPACT], vec![COMPACT], vec![Task::Commit(B)]];
    with("two compactors, writer, one fault", actors, |c| {
        (c.initial, c.open_at_start, c.faults, c.late) = (vec![A], true, 1, true);
    })
}

/// Three writers and a compactor.
pub fn three_writers() -> Config {
    let actors = vec![vec![Task::Commit(A)], vec![Task::Commit(B)], vec![Task::Commit(A)], vec![COMPACT]];
    with("three writers, compactor, one fault", actors, |c| {
        (c.open_at_start, c.faults) = (true, 1);
    })
}

/// Two sleeping writers, two compactions.
pub fn two_sleepers() -> Config {
    let actors = vec![
        vec![Task::Commit(A)],
        vec![Task::Commit(A)],
        vec![Task::Commit(B), COMPACT, Task::Commit(B), COMPACT],
    ];
    with("two sleeping writers, writer that compacts twice, reader", actors, |c| {
        (c.open_at_start, c.faults) = (true, 1);
    })
}

/// A writer, a compactor, a collector, a reader, and calls that go wrong.
pub fn compactor_collector_reader_late() -> Config {
    let actors = vec![vec![Task::Commit(B)], vec![COMPACT], vec![COLLECT], vec![Task::Read]];
    with("writer, compactor, collector, reader, one fault", actors, |c| {
        (c.initial, c.open_at_start, c.faults, c.late) = (vec![A], true, 1, true);
    })
}

/// Highest names are deleted first.
pub fn reverse_deletes() -> Config {
    let actors = vec![vec![Task::Commit(B)], vec![COMPACT], vec![COLLECT], vec![Task::Read]];
    with("writer, compactor, collector, reader; the highest name goes first", actors, |c| {
        (c.initial, c.open_at_start, c.reverse) = (vec![A], true, true);
    })
}

/// A tag, a writer, a compactor, a collector.
pub fn tag_everything() -> Config {
    let actors = vec![vec![Task::Tag(1)], vec![Task::Commit(B)], vec![COMPACT], vec![COLLECT]];
    with("tag, writer, compactor, collector", actors, |c| {
        (c.initial, c.open_at_start) = (vec![A], false);
    })
}

/// Those that are explored at every change.
pub fn short() -> Vec<Config> {
    vec![
        disjoint_writers(),
        overlapping_writers(),
        writers_compactor(),
        overlapping_writers_compactor(),
        writers_collector(),
        writer_compactor_collector_reader(),
        sleeper_compactions_reader(),
        unconditional_store(),
        two_compactors(),
        two_collectors(),
        kept_versions(),
        short_memory(),
        first_version(),
        kept_without_base(),
        worker_committer_collector(),
        worker_committer_compactor(),
        worker_committer_overlap(),
        tag_collector(),
        tag_compactor(),
        recreated(),
        recreated_collector(),
        recreated_twice(),
        deleted_and_created(),
        lost_layer(),
        two_collectors_sleeper(),
        freed_then_passed(),
    ]
}

/// Those that take minutes.
pub fn long() -> Vec<Config> {
    let mut all: Vec<Config> = short().into_iter().map(in_pages).collect();
    all.extend([
        first_version_compacted(),
        unconditional_sleepers(),
        collectors_sleeper(),
        two_compactors_late(),
        three_writers(),
        two_sleepers(),
        compactor_collector_reader_late(),
        reverse_deletes(),
        tag_everything(),
    ]);
    all
}
