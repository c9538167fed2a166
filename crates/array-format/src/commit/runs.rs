//! Runs of a commit: its own rows, merged with those of the newest runs. See `docs/design.md`, "Runs".

use array_format_core::Result;
use array_format_core::footer::Run;
use array_format_core::format::directory::Directory;
use array_format_core::format::page::Table;

use crate::index::Version;
use crate::index::build::{BuildRow, TableBuilder};
use crate::index::scan::KeyRange;
use crate::write::sink::LayerSink;

/// Runs of at most this many stored bytes together are merged with every commit.
const SMALL_RUN_BYTES: u64 = 128 << 10;
/// A run up to twice as large as what it would be merged with is merged too, up to this.
const LARGE_RUN_BYTES: u64 = 512 << 10;

/// How many of the newest runs a commit merges with its own rows. See `docs/design.md`, "Runs".
pub(super) fn absorb(runs: &[Run], small: bool) -> usize {
    let mut sum = if small { 0 } else { SMALL_RUN_BYTES };
    let mut n = 0;
    for run in runs {
        let pages = run.directories.iter().flat_map(|d| &d.pages);
        let bytes = pages.fold(0u64, |sum, p| sum.saturating_add(p.stored_bytes));
        let deep = run.directories.iter().any(|d| d.level > 0);
        let total = bytes.saturating_add(sum);
        let fits = total <= SMALL_RUN_BYTES || (bytes <= 2 * sum && total <= LARGE_RUN_BYTES && !small);
        if deep || !fits {
            break;
        }
        sum = total;
        n += 1;
    }
    n
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
        new: impl Iterator<Item = R>,
        is_tombstone: impl Fn(&R) -> bool,
        sink: &mut LayerSink,
    ) -> Result<Option<Directory>> {
        let mut old = self.version.scan_runs::<R>(self.runs, table, KeyRange::all()).await?;
        let mut next_old = old.next().await?;
        let mut builder = TableBuilder::new(table);
        let keep = |r: &R| !(self.drop_tombstones && is_tombstone(r));
        for row in new {
            let key = row.key();
            while let Some(o) = next_old.take() {
                match o.key().cmp(&key) {
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
