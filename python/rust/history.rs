//! Versions: committing, telling, tagging, merging, collecting, checking.

use std::collections::BTreeMap;

use array_format::{Cause, Change, CompactOptions, GcOptions, VerifyOptions};
use pyo3::prelude::*;

use crate::errors::raised;
use crate::file::Handle;
use crate::wait;

/// Number, time, message, cause, arrays, layers, bytes of its layer, tags.
type Version = (u64, i64, String, &'static str, u64, u64, u64, Vec<String>);

#[pymethods]
impl Handle {
    fn commit(&self, py: Python<'_>, message: &str) -> PyResult<u64> {
        wait(py, self.file().flush_with_message(message))
    }

    fn discard(&self, py: Python<'_>) -> PyResult<()> {
        wait(py, self.file().discard())
    }

    fn refresh(&self, py: Python<'_>) -> PyResult<bool> {
        wait(py, self.file().refresh())
    }

    fn versions(&self, py: Python<'_>) -> PyResult<Vec<Version>> {
        let all = wait(py, self.file().versions())?;
        let row = |v: array_format::VersionInfo| {
            let cause = match v.cause {
                Cause::Create => "create",
                Cause::Commit => "commit",
                Cause::Compaction => "compaction",
                Cause::Collection => "collection",
            };
            (v.version, v.time_ms, v.message, cause, v.arrays, v.layers, v.layer_bytes, v.tags)
        };
        Ok(all.into_iter().map(row).collect())
    }

    /// Path, what happened, whether the definition changed, chunks, attributes.
    fn diff(
        &self,
        py: Python<'_>,
        old: u64,
        new: u64,
    ) -> PyResult<Vec<(String, &'static str, bool, Vec<Vec<u64>>, Vec<String>)>> {
        let changes = wait(py, self.file().diff(old, new))?;
        let row = |(path, change)| match change {
            Change::Added => (path, "added", true, Vec::new(), Vec::new()),
            Change::Removed => (path, "removed", true, Vec::new(), Vec::new()),
            Change::Modified { definition, chunks, attributes } => {
                (path, "modified", definition, chunks, attributes)
            }
        };
        Ok(changes.into_iter().map(row).collect())
    }

    fn tags(&self) -> BTreeMap<String, u64> {
        self.file().tags()
    }

    fn tag(&self, py: Python<'_>, name: &str, version: u64) -> PyResult<()> {
        wait(py, self.file().tag(name, version))
    }

    fn remove_tag(&self, py: Python<'_>, name: &str) -> PyResult<bool> {
        wait(py, self.file().remove_tag(name))
    }

    /// Bytes of layers, of their blocks, of live and of dead chunks.
    fn usage(&self) -> (u64, u64, u64, u64) {
        let u = self.file().usage();
        (u.object_bytes, u.block_bytes, u.live_bytes, u.dead_bytes)
    }

    fn compact(&self, py: Python<'_>, keep_versions: bool, incremental: bool) -> PyResult<u64> {
        let options = CompactOptions::default().keep_versions(keep_versions).incremental(incremental);
        wait(py, self.file().compact_with(options))
    }

    /// Names and bytes of what was or would be deleted, and the number of leftovers of dead writers.
    #[pyo3(signature = (dry_run, keep_last, keep_since))]
    fn gc(
        &self,
        py: Python<'_>,
        dry_run: bool,
        keep_last: usize,
        keep_since: Option<i64>,
    ) -> PyResult<(Vec<(String, u64)>, u64)> {
        let mut options = GcOptions::default().dry_run(dry_run).keep_last(keep_last);
        options.keep_since = keep_since;
        let report = wait(py, self.file().garbage_collect(options))?;
        Ok((report.objects, report.swept))
    }

    /// Versions, layers, pages, blocks, chunks, nodes that were checked, and all damage.
    fn verify(&self, py: Python<'_>, statistics: bool) -> PyResult<([u64; 6], Vec<PyErr>)> {
        let r = wait(py, self.file().verify(VerifyOptions::default().statistics(statistics)))?;
        let checked = [r.versions, r.layers, r.pages, r.blocks, r.chunks, r.nodes];
        Ok((checked, r.damage.iter().map(raised).collect()))
    }
}
