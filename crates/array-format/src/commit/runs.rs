//! Runs of a commit: its own rows, merged with those of the newest runs. See `docs/design.md`, "Runs".

use array_format_core::Result;
use array_format_core::footer::Run;
use array_format_core::format::directory::Directory;
use array_format_core::format::page::{PageRef, Table};

use crate::index::Version;
use crate::index::build::{BuildRow, Plan, TableBuilder, put_pages};
use crate::index::scan::KeyRange;
use crate::write::sink::LayerSink;

/// A newest run of at most so many rows is merged with every commit: what a small commit writes again.
const FRESH_RUN_ROWS: u64 = 256;
/// A newest run that grew beyond that is merged with the next ones once, up to this.
const SMALL_RUN_BYTES: u64 = 128 << 10;
/// A large commit takes in runs up to twice as large as what they are merged with, up to this.
const LARGE_RUN_BYTES: u64 = 512 << 10;

/// How many of the newest runs a commit merges with its own rows. See `docs/design.md`, "Runs".
pub(super) fn absorb(runs: &[Run], small: bool) -> usize {
    let sizes = runs.iter().map_while(Size::of);
    if small { absorb_small(sizes) } else { absorb_large(sizes) }
}

/// Of the pages of a run.
#[derive(Clone, Copy, Default)]
struct Size {
    rows: u64,
    bytes: u64,
}

impl Size {
    /// `None` if there are levels of directories: the run is large.
    fn of(run: &Run) -> Option<Self> {
        let deep = run.directories.iter().any(|d| d.level > 0);
        let pages = run.directories.iter().flat_map(|d| &d.pages);
        let size = |p: &PageRef| Self { rows: p.rows, bytes: p.stored_bytes };
        (!deep).then(|| pages.map(size).fold(Self::default(), Self::plus))
    }

    fn plus(self, other: Self) -> Self {
        Self { rows: self.rows.saturating_add(other.rows), bytes: self.bytes.saturating_add(other.bytes) }
    }

    /// Whether every small commit takes it in.
    fn is_fresh(self) -> bool {
        self.rows <= FRESH_RUN_ROWS && self.bytes <= SMALL_RUN_BYTES
    }
}

fn absorb_small(mut sizes: impl Iterator<Item = Size>) -> usize {
    let Some(newest) = sizes.next() else { return 0 };
    let fits = |sum: Size| if newest.is_fresh() { sum.is_fresh() } else { sum.bytes <= SMALL_RUN_BYTES };
    let sums = sizes.scan(newest, |sum, size| {
        *sum = sum.plus(size);
        Some(*sum)
    });
    let more = sums.take_while(|sum| fits(*sum)).count();
    // One that is no longer fresh is left alone where there is nothing that it can be merged with.
    if newest.is_fresh() || more > 0 { 1 + more } else { 0 }
}

fn absorb_large(sizes: impl Iterator<Item = Size>) -> usize {
    let mut sum = SMALL_RUN_BYTES;
    let fits = |size: &Size| {
        let fits = size.bytes <= sum.saturating_mul(2);
        sum = sum.saturating_add(size.bytes);
        fits && sum <= LARGE_RUN_BYTES
    };
    sizes.take_while(fits).count()
}

pub(super) struct Merge<'a> {
    pub(super) version: &'a Version,
    pub(super) runs: &'a [Run],
    pub(super) drop_tombstones: bool,
}

impl Merge<'_> {
    /// Writes the rows of a table: new ones, and those of the merged runs that these do not hide.
    pub(super) async fn table<R: BuildRow>(
        &self,
        table: Table,
        new: &impl Plan<Row = R>,
        sink: &mut LayerSink,
    ) -> Result<Option<Directory>> {
        let merges = self.runs.iter().any(|r| r.directory(table).is_some());
        let drops = self.drop_tombstones && (0..new.len()).any(|i| new.is_tombstone(i));
        if !merges && !drops {
            return put_pages(table, new, sink).await;
        }
        let mut old = self.version.scan_runs::<R>(self.runs, table, KeyRange::all()).await?;
        let mut next_old = old.next().await?;
        let mut builder = TableBuilder::new(table);
        let keep = |r: &R| !(self.drop_tombstones && r.is_tombstone());
        for row in (0..new.len()).map(|i| new.row(i)) {
            while let Some(o) = next_old.take() {
                match o.compare(&row) {
                    std::cmp::Ordering::Less => {
                        if keep(&o) {
                            builder.push(o, sink).await?;
                        }
                        next_old = old.next().await?;
                    }
                    std::cmp::Ordering::Equal => {
                        next_old = old.next().await?;
                        break;
                    }
                    std::cmp::Ordering::Greater => {
                        next_old = Some(o);
                        break;
                    }
                }
            }
            if keep(&row) {
                builder.push(row, sink).await?;
            }
        }
        while let Some(o) = next_old {
            if keep(&o) {
                builder.push(o, sink).await?;
            }
            next_old = old.next().await?;
        }
        builder.finish(sink).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ten thousand commits of `rows` new rows each write, and how many runs there are at most.
    fn commits(base: Size, rows: u64) -> (f64, usize) {
        let mut runs = vec![base];
        let (mut written, mut most) = (0, 0);
        for _ in 0..10_000 {
            let n = absorb_small(runs.iter().copied());
            let own = Size { rows, bytes: 20 * rows };
            let run = runs.drain(..n).fold(own, Size::plus);
            written += run.rows;
            runs.insert(0, run);
            most = most.max(runs.len());
        }
        (written as f64 / 10_000.0, most)
    }

    #[test]
    fn small_commits_write_few_rows_again_and_leave_few_runs() {
        for base in [0, 600, 6_000, 10_000_000] {
            let (written, runs) = commits(Size { rows: base, bytes: 20 * base }, 3);
            assert!(written < 400.0, "{written} rows a commit upon {base}");
            // 30,000 rows of 20 bytes are 5 runs of 128 KiB; one more is fresh, one the base.
            assert!(runs <= 7, "{runs} runs upon {base}");
        }
    }

    #[test]
    fn a_run_that_is_no_longer_fresh_is_merged_once() {
        let run = |rows| Size { rows, bytes: 20 * rows };
        assert_eq!(absorb_small([run(250), run(257), run(9_000)].into_iter()), 1, "only the fresh one");
        assert_eq!(absorb_small([run(257), run(257), run(9_000)].into_iter()), 2, "both, up to 128 KiB");
        assert_eq!(absorb_small([run(514), run(9_000)].into_iter()), 0, "until the next is full");
        assert_eq!(absorb_small([run(3), run(3), run(9_000)].into_iter()), 2, "fresh ones together");
        assert_eq!(absorb_small([].into_iter()), 0);
    }

    #[test]
    fn large_commits_take_in_what_is_not_much_larger() {
        let run = |kib: u64| Size { rows: kib, bytes: kib << 10 };
        assert_eq!(absorb_large([run(4), run(100), run(600)].into_iter()), 2);
        assert_eq!(absorb_large([run(300)].into_iter()), 0);
        assert_eq!(absorb_large([run(256), run(200)].into_iter()), 1, "512 KiB at most");
    }
}
