//! The chunks of an array that changed, as the layer has them.

use array_format_core::Result;
use array_format_core::block::ChunkRef;
use array_format_core::format::chunks::ChunkRow;
use array_format_core::format::nodes::Node;
use array_format_core::format::page::Table;
use array_format_core::format::statistics::StatisticsRow;
use array_format_core::grid::Grid;
use array_format_core::statistics::{Counts, Statistics};

use super::blocks::StoredChunk;
use super::build::Builder;
use super::rows::{Inline, Known};
use crate::read::view::ChunkSource;
use crate::write::pending::{StagedChunk, grid};
use crate::write::small_map::SmallMap;

impl Builder<'_> {
    /// The chunks of an array: where each stands depends on whether its grid has one cell (format section 7).
    pub(super) async fn put_chunks(
        &mut self,
        id: u64,
        node: &Node,
        base: Option<&Node>,
        new: &[StoredChunk<'_>],
    ) -> Result<Option<Inline>> {
        let pending_id = node.id;
        let Some(now) = grid(node) else { return Ok(None) };
        let stored_at = |coords: &[u64]| new.iter().find(|c| c.0 == coords).map(|c| c.1);
        let before = base.and_then(grid);
        let origin = vec![0; node.shape.len()];
        let was_single = before.as_ref().is_some_and(Grid::is_single);
        let staged = self.pending.chunks.get(&pending_id);
        let erased = |coords: &[u64]| matches!(staged.and_then(|s| s.get(coords)), Some(StagedChunk::Erased));
        // What dies: stored chunks that are written anew or cut off.
        if let Some(base) = base {
            for coords in staged.into_iter().flat_map(SmallMap::keys) {
                if let ChunkSource::Stored(old) = self.view.chunk(base, coords).await? {
                    self.live(&old, false);
                }
            }
        }
        let inline = node.chunk.clone();
        let old = |chunk| Inline::Old(Box::new(chunk));
        let mut chunk = None;
        if now.is_single() {
            chunk = match stored_at(&origin) {
                Some(placed) => Some(Inline::New(placed.clone())),
                None if erased(&origin) => None,
                None if was_single || base.is_none() => inline.clone().map(old),
                None => self.table_chunk(base, &origin).await?.map(old),
            };
        }
        let base_id = base.map(|b| b.id);
        // Rows of table 2.
        if !now.is_single() {
            for (coords, placed) in new {
                let (chunk, statistics) = (placed.chunk.clone(), placed.statistics.get().into_owned());
                self.chunk_row(id, coords, Some(chunk), self.number, Some(statistics));
            }
            if was_single
                && let Some((chunk, version)) = inline
                && stored_at(&origin).is_none()
                && !erased(&origin)
                && now.contains(&origin)
            {
                let row = self.view.version.statistics(Table::ArrayStatistics, id, &[]).await?;
                let statistics = row.and_then(|r| r.statistics);
                self.chunk_row(id, &origin, Some(chunk), version, statistics);
            }
        }
        if let (Some(base_id), Some(staged)) = (base_id, staged) {
            for (coords, chunk) in staged.iter() {
                let gone = matches!(chunk, StagedChunk::Erased) || now.is_single();
                if gone && self.view.version.chunk(base_id, coords).await?.is_some_and(|r| r.chunk.is_some())
                {
                    self.chunk_row(id, coords, None, self.number, None);
                }
            }
        }
        if now.is_single()
            && !was_single
            && let Some(base_id) = base_id
            && self.view.version.chunk(base_id, &origin).await?.is_some_and(|r| r.chunk.is_some())
        {
            self.chunk_row(id, &origin, None, self.number, None);
        }
        if base.is_none() || staged.is_some_and(|s| !s.is_empty()) {
            let all = self.fold(node, base, new).await?;
            self.rows.put_statistics(id, Known::These(Box::new(all)));
        }
        Ok(chunk)
    }

    // `&mut self` here and below although nothing changes: an upload is `Send` but not `Sync`, and a future that holds `&self` could
    // not be given to a runtime.
    async fn table_chunk(&mut self, base: Option<&Node>, coords: &[u64]) -> Result<Option<(ChunkRef, u64)>> {
        let Some(base) = base else { return Ok(None) };
        let row = self.view.version.chunk(base.id, coords).await?;
        Ok(row.and_then(|r| r.chunk.map(|c| (c, r.version))))
    }

    fn chunk_row(
        &mut self,
        node: u64,
        coords: &[u64],
        chunk: Option<ChunkRef>,
        version: u64,
        s: Option<Statistics>,
    ) {
        // A chunk without known statistics has a row all the same: unknown.
        let statistics = chunk.as_ref().map(|_| s.unwrap_or_default());
        let row = StatisticsRow { node, coords: coords.to_vec(), version, statistics };
        self.rows.chunk_statistics.push(row);
        self.rows.chunks.push(ChunkRow { node, coords: coords.to_vec(), version, chunk });
    }

    /// Statistics of the whole array after the commit.
    async fn fold(
        &mut self,
        node: &Node,
        base: Option<&Node>,
        new: &[StoredChunk<'_>],
    ) -> Result<Statistics> {
        let new = new.iter().fold(Statistics::empty(), |all, (_, p)| all.merge(&p.statistics.get()));
        let (Some(base), Some(now)) = (base, grid(node)) else { return Ok(new) };
        let empty = SmallMap::default();
        let staged = self.pending.chunks.get(&node.id).unwrap_or(&empty);
        // Usually the extremes lie in chunks that stay: then nothing but the chunks that go has to be looked at.
        let mut rest = Some(self.view.array_statistics(base).await?);
        for coords in staged.keys() {
            let Some(all) = rest else { break };
            rest = without(&all, &self.view.chunk_statistics(base, coords).await?);
        }
        if let Some(rest) = rest {
            return Ok(rest.merge(&new));
        }
        let mut all = new;
        for (coords, _) in self.view.written_chunks(base).await? {
            if now.contains(&coords) && !staged.contains_key(&coords[..]) {
                all = all.merge(&self.view.chunk_statistics(base, &coords).await?);
            }
        }
        Ok(all)
    }
}

/// Statistics without a chunk's, if that can be told without looking at the other chunks.
fn without(all: &Statistics, chunk: &Statistics) -> Option<Statistics> {
    let (a, c) = (all.counts?, chunk.counts?);
    if c.rows == 0 {
        return Some(all.clone());
    }
    if !chunk.has_no_values() {
        use std::cmp::Ordering::{Greater, Less};
        let ((low, high), (min, max)) = (all.bounds.as_ref()?, chunk.bounds.as_ref()?);
        if min.partial_cmp_same(low) != Some(Greater) || max.partial_cmp_same(high) != Some(Less) {
            return None;
        }
    }
    let counts = Counts {
        rows: a.rows.checked_sub(c.rows)?,
        nulls: a.nulls.checked_sub(c.nulls)?,
        nans: a.nans.checked_sub(c.nans)?,
    };
    Some(Statistics { counts: Some(counts), ..all.clone() })
}
