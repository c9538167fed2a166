//! What was read last: whoever reads many arrays mostly reads them in order, and finds the next one beside the last.

use std::sync::Arc;

use array_format_core::block::BlockMeta;
use array_format_core::format::nodes::NodesPage;
use bytes::Bytes;
use parking_lot::Mutex;

use super::Version;
use crate::layer::Head;

/// The array that was read last.
#[derive(Debug)]
struct Last {
    head: Arc<Head>,
    /// Of the newest run, so that no other one has to be asked for what the page has.
    page: Arc<NodesPage>,
    row: usize,
    /// Decoded.
    block: Bytes,
    /// How often the cache had been cleared when this came from it.
    cleared: u64,
}

/// Shared by all who read through a handle. Who finds it in use does without.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    last: Mutex<Option<Last>>,
}

impl Recent {
    /// Notes the row of an array of a version that was read from a shared block.
    pub(crate) fn put(&self, version: &Version, page: Arc<NodesPage>, row: usize, block: Bytes) {
        // Rows of an older run may be hidden by newer ones.
        let runs = version.head.footer.runs.len();
        if runs == 1
            && let Some(mut last) = self.last.try_lock()
        {
            let (head, cleared) = (version.head.clone(), version.config.cache.cleared());
            *last = Some(Last { head, page, row, block, cleared });
        }
    }

    /// What `read` makes of the row behind the last one; it is given the bytes of blocks on request: those of the last one. If it makes nothing of
    /// it, the last row stays.
    pub(crate) fn next<R>(
        &self,
        version: &Version,
        read: impl for<'l> FnOnce(&'l NodesPage, usize, &dyn Fn(&Arc<BlockMeta>) -> Option<&'l [u8]>) -> Option<R>,
    ) -> Option<R> {
        let mut guard = self.last.try_lock()?;
        let last = guard.as_mut()?;
        if !Arc::ptr_eq(&last.head, &version.head) || last.cleared != version.config.cache.cleared() {
            return None;
        }
        let block = last.page.single(last.row)?.block;
        let bytes = |other: &Arc<BlockMeta>| Arc::ptr_eq(block, other).then_some(&last.block[..]);
        let result = read(&last.page, last.row + 1, &bytes)?;
        last.row += 1;
        version.objects.counting.hit();
        Some(result)
    }
}
