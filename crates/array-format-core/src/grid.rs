//! Chunk grids, regions, and copying between boxes. Pure arithmetic, all of it checked.

use std::ops::Range;

use crate::error::{Error, Result};

/// Elements of a box.
///
/// # Errors
/// `InvalidArgument` above 2^64, or above what this machine addresses.
pub fn element_count(shape: &[u64]) -> Result<usize> {
    if shape.contains(&0) {
        return Ok(0);
    }
    shape
        .iter()
        .try_fold(1u64, |n, s| n.checked_mul(*s))
        .and_then(|n| usize::try_from(n).ok())
        .ok_or_else(|| Error::invalid(format!("shape {shape:?} has more elements than memory has addresses")))
}

/// What of an array is meant: along each axis `count` indices `start, start + step, ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// First index on each axis.
    pub start: Vec<u64>,
    /// How many indices on each axis.
    pub count: Vec<u64>,
    /// Distance of the indices on each axis, at least 1.
    pub step: Vec<u64>,
}

impl Region {
    /// A dense box; empty `start` and `count` mean the whole array.
    ///
    /// # Errors
    /// `InvalidArgument` for another rank than the array's, or beyond its bounds. Nothing is clamped.
    pub fn new(start: &[u64], count: &[u64], shape: &[u64]) -> Result<Self> {
        Self::with_step(start, count, &[], shape)
    }

    /// As [`Region::new`], with steps; an empty `step` means 1.
    ///
    /// # Errors
    /// As [`Region::new`], and for a step of 0.
    pub fn with_step(start: &[u64], count: &[u64], step: &[u64], shape: &[u64]) -> Result<Self> {
        let rank = shape.len();
        let whole = start.is_empty() && count.is_empty();
        let step = if step.is_empty() { vec![1; rank] } else { step.to_vec() };
        let (start, count) = if whole {
            let counts = shape.iter().zip(&step).map(|(n, s)| n.div_ceil((*s).max(1)));
            (vec![0; rank], counts.collect())
        } else {
            (start.to_vec(), count.to_vec())
        };
        for (what, list) in [("start", &start), ("shape", &count), ("step", &step)] {
            if list.len() != rank {
                return Err(Error::invalid(format!(
                    "{what} {list:?} has rank {}, the array has rank {rank}",
                    list.len()
                )));
            }
        }
        for axis in 0..rank {
            if step[axis] == 0 {
                return Err(Error::invalid(format!("step 0 on axis {axis}")));
            }
            let end = match count[axis] {
                0 => Some(start[axis]),
                n => (n - 1)
                    .checked_mul(step[axis])
                    .and_then(|d| d.checked_add(start[axis]))
                    .and_then(|last| last.checked_add(1)),
            };
            if end.is_none_or(|end| end > shape[axis]) {
                return Err(Error::invalid(format!(
                    "out of bounds on axis {axis}: {} elements from {} by steps of {}, but the array has {}",
                    count[axis], start[axis], step[axis], shape[axis]
                )));
            }
        }
        Ok(Self { start, count, step })
    }

    /// Elements of the region.
    ///
    /// # Errors
    /// As [`element_count`].
    pub fn len(&self) -> Result<usize> {
        element_count(&self.count)
    }

    /// Whether the region has no elements.
    pub fn is_empty(&self) -> bool {
        self.count.contains(&0)
    }

    /// Whether the region covers the whole box that begins at `origin`.
    pub fn covers(&self, origin: &[u64], extents: &[u64]) -> bool {
        (0..self.start.len()).all(|a| {
            self.step[a] == 1
                && self.start[a] <= origin[a]
                && self.start[a] + self.count[a] >= origin[a] + extents[a]
        })
    }
}

/// Most cells that one call works on: a chunk of one element each, they take some GiB of memory.
pub const MAX_CELLS: u64 = 1 << 24;

/// The regular tiling of an array; the chunks at the upper edges are clipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    /// Extents of the array.
    pub shape: Vec<u64>,
    /// Extents of a chunk that is not clipped, at least 1.
    pub chunk: Vec<u64>,
}

impl Grid {
    /// Number of cells on each axis.
    pub fn cells(&self) -> Vec<u64> {
        self.shape.iter().zip(&self.chunk).map(|(s, c)| s.div_ceil(*c)).collect()
    }

    /// Number of cells, saturating.
    pub fn cell_count(&self) -> u64 {
        self.cells().iter().fold(1u64, |n, c| n.saturating_mul(*c))
    }

    /// Whether there is exactly one cell, so that the chunk stands in the node's row (format section 7).
    pub fn is_single(&self) -> bool {
        self.cells().iter().all(|c| *c == 1)
    }

    /// Whether a cell of these coordinates is part of the grid.
    pub fn contains(&self, coords: &[u64]) -> bool {
        let cells = self.cells();
        coords.len() == cells.len() && coords.iter().zip(cells).all(|(k, n)| *k < n)
    }

    /// Whether `new` has the cells of this grid, each as it is, and perhaps more: axes became longer, where the last cell was a whole one.
    pub fn only_grows_at_borders(&self, new: &Self) -> bool {
        let axes = self.shape.iter().zip(&new.shape).zip(&self.chunk);
        self.chunk == new.chunk
            && axes
                .into_iter()
                .all(|((old, new), chunk)| old == new || (old < new && old.is_multiple_of(*chunk)))
    }

    /// First element of a cell.
    pub fn origin(&self, coords: &[u64]) -> Vec<u64> {
        coords.iter().zip(&self.chunk).map(|(k, c)| k.saturating_mul(*c)).collect()
    }

    /// Extents of a cell, clipped to the array.
    pub fn extents(&self, coords: &[u64]) -> Vec<u64> {
        let origin = self.origin(coords);
        (0..origin.len()).map(|a| self.chunk[a].min(self.shape[a].saturating_sub(origin[a]))).collect()
    }

    /// The coordinates of all cells that `region` touches, in row-major order.
    ///
    /// # Errors
    /// `InvalidArgument` for more than [`MAX_CELLS`].
    pub fn cells_of(&self, region: &Region) -> Result<Vec<Vec<u64>>> {
        if region.is_empty() {
            return Ok(Vec::new());
        }
        let touched = (0..self.shape.len()).fold(1u64, |n, a| {
            let last = region.start[a] + (region.count[a] - 1) * region.step[a];
            let span = last / self.chunk[a] - region.start[a] / self.chunk[a] + 1;
            n.saturating_mul(span.min(region.count[a]))
        });
        if touched > MAX_CELLS {
            return Err(Error::invalid(format!(
                "{touched} chunks at once; at most {MAX_CELLS} are possible: read or write smaller parts"
            )));
        }
        let axes: Vec<Vec<u64>> = (0..self.shape.len())
            .map(|a| {
                let last = region.start[a] + (region.count[a] - 1) * region.step[a];
                let (from, to) = (region.start[a] / self.chunk[a], last / self.chunk[a]);
                if region.step[a] <= self.chunk[a] {
                    return (from..=to).collect();
                }
                (0..region.count[a]).map(|i| (region.start[a] + i * region.step[a]) / self.chunk[a]).collect()
            })
            .collect();
        let mut cells = vec![Vec::new()];
        for axis in axes {
            cells = cells
                .iter()
                .flat_map(|head: &Vec<u64>| axis.iter().map(move |k| [head.as_slice(), &[*k]].concat()))
                .collect();
        }
        Ok(cells)
    }

    /// The coordinates of all cells, in row-major order.
    ///
    /// # Errors
    /// As [`Grid::cells_of`].
    pub fn all_cells(&self) -> Result<Vec<Vec<u64>>> {
        let whole = Region {
            start: vec![0; self.shape.len()],
            count: self.shape.clone(),
            step: vec![1; self.shape.len()],
        };
        self.cells_of(&whole)
    }

    /// How the part of `region` that lies in a cell maps between the cell's box and the region's result.
    /// `None` if the cell holds none of it.
    pub fn overlap(&self, coords: &[u64], region: &Region) -> Option<Overlap> {
        let (origin, extents) = (self.origin(coords), self.extents(coords));
        let mut o = Overlap { cell: extents.clone(), ..Overlap::default() };
        for a in 0..origin.len() {
            let (start, step, end) = (region.start[a], region.step[a], origin[a] + extents[a]);
            // The first and the past-the-last of the region's indices in the cell.
            let first = origin[a].saturating_sub(start).div_ceil(step);
            let stop = end.saturating_sub(start).div_ceil(step).min(region.count[a]);
            if first >= stop {
                return None;
            }
            o.in_cell.push(start + first * step - origin[a]);
            o.in_region.push(first);
            o.count.push(stop - first);
            o.step.push(step);
        }
        Some(o)
    }
}

/// See [`Grid::overlap`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overlap {
    /// Extents of the cell's box.
    pub cell: Vec<u64>,
    /// First element in the cell's box.
    pub in_cell: Vec<u64>,
    /// Distance of elements in the cell's box.
    pub step: Vec<u64>,
    /// First element in the region's result.
    pub in_region: Vec<u64>,
    /// Elements on each axis.
    pub count: Vec<u64>,
}

impl Overlap {
    /// From the cell's box to the region's result of shape `result`.
    pub fn to_region(&self, result: &[u64]) -> CopyPlan {
        let steps = vec![1; result.len()];
        CopyPlan::new(&self.count, (&self.cell, &self.in_cell, &self.step), (result, &self.in_region, &steps))
    }

    /// From the region's result of shape `result` to the cell's box.
    pub fn to_cell(&self, result: &[u64]) -> CopyPlan {
        let steps = vec![1; result.len()];
        CopyPlan::new(&self.count, (result, &self.in_region, &steps), (&self.cell, &self.in_cell, &self.step))
    }

    /// From the cell's box to a dense one that holds the overlap and nothing else.
    pub fn to_dense(&self) -> CopyPlan {
        let (zeros, ones) = (vec![0; self.count.len()], vec![1; self.count.len()]);
        CopyPlan::new(&self.count, (&self.cell, &self.in_cell, &self.step), (&self.count, &zeros, &ones))
    }

    /// Some of its rows: those of these numbers along `axis`.
    #[must_use]
    pub fn rows(&self, axis: usize, rows: Range<u64>) -> Self {
        let mut part = self.clone();
        part.in_cell[axis] += rows.start * self.step[axis];
        part.in_region[axis] += rows.start;
        part.count[axis] = rows.end - rows.start;
        part
    }

    /// The elements of the cell's box, in row-major order, that are needed.
    pub fn span(&self) -> Range<u64> {
        let strides = strides(&self.cell);
        let first: u64 = self.in_cell.iter().zip(&strides).map(|(i, s)| i * s).sum();
        let last: u64 = (0..self.cell.len())
            .map(|a| (self.in_cell[a] + (self.count[a] - 1) * self.step[a]) * strides[a])
            .sum();
        first..last + 1
    }
}

/// Row-major strides in elements.
pub fn strides(shape: &[u64]) -> Vec<u64> {
    let mut all = vec![1; shape.len()];
    for a in (1..shape.len()).rev() {
        all[a - 1] = all[a] * shape[a].max(1);
    }
    all
}

/// Which elements go where: the same number on each axis, any strides on both sides.
#[derive(Debug, Clone)]
pub struct CopyPlan {
    /// (count, source stride, target stride) from the outermost axis to the innermost; runs are merged.
    axes: Vec<(u64, u64, u64)>,
    source: u64,
    target: u64,
    run: u64,
}

type Side<'a> = (&'a [u64], &'a [u64], &'a [u64]);

impl CopyPlan {
    fn new(count: &[u64], source: Side<'_>, target: Side<'_>) -> Self {
        let side = |(shape, start, step): Side<'_>| {
            let s = strides(shape);
            let offset = s.iter().zip(start).map(|(s, i)| s * i).sum::<u64>();
            (offset, s.iter().zip(step).map(|(s, step)| s * step).collect::<Vec<_>>())
        };
        let ((source, from), (target, to)) = (side(source), side(target));
        let mut run = 1;
        let mut axes: Vec<(u64, u64, u64)> = (0..count.len()).map(|a| (count[a], from[a], to[a])).collect();
        // Innermost axes that are dense on both sides make one run.
        while let Some(&(n, s, t)) = axes.last() {
            if n != 1 && (s != run || t != run) {
                break;
            }
            run *= n;
            axes.pop();
        }
        Self { axes, source, target, run }
    }

    /// Source element, target element and number of elements, if all of them are one run.
    pub fn one_run(&self) -> Option<(usize, usize, usize)> {
        let one = self.axes.iter().all(|(n, _, _)| *n == 1);
        one.then_some((self.source as usize, self.target as usize, self.run as usize))
    }

    /// Calls `copy(source element, target element, elements in a row)` for every run.
    pub fn for_each_run(&self, mut copy: impl FnMut(usize, usize, usize)) {
        if self.run == 0 || self.axes.iter().any(|(n, _, _)| *n == 0) {
            return;
        }
        let run = self.run as usize;
        let Some((&(n, s, t), outer)) = self.axes.split_last() else {
            return copy(self.source as usize, self.target as usize, run);
        };
        let mut index = vec![0u64; outer.len()];
        let (mut source, mut target) = (self.source, self.target);
        loop {
            for i in 0..n {
                copy((source + i * s) as usize, (target + i * t) as usize, run);
            }
            let mut a = outer.len();
            loop {
                let Some(axis) = a.checked_sub(1) else { return };
                a = axis;
                let (count, from, to) = outer[a];
                index[a] += 1;
                source += from;
                target += to;
                if index[a] < count {
                    break;
                }
                source -= from * count;
                target -= to * count;
                index[a] = 0;
            }
        }
    }

    /// Copies elements of `size` bytes. `source_offset` elements were left out at the front of `source`.
    ///
    /// # Errors
    /// `Corrupt` where a side is shorter than its shape.
    pub fn copy_bytes(
        &self,
        source: &[u8],
        source_offset: u64,
        target: &mut [u8],
        size: usize,
    ) -> Result<()> {
        match size {
            1 => self.copy_sized::<1>(source, source_offset, target),
            2 => self.copy_sized::<2>(source, source_offset, target),
            4 => self.copy_sized::<4>(source, source_offset, target),
            8 => self.copy_sized::<8>(source, source_offset, target),
            16 => self.copy_sized::<16>(source, source_offset, target),
            _ => self.copy_runs(source, source_offset, target, size),
        }
    }

    /// With the size known to the compiler, single elements are moved without a call to memcpy.
    fn copy_sized<const N: usize>(&self, source: &[u8], skip: u64, target: &mut [u8]) -> Result<()> {
        if self.run > 1 {
            return self.copy_runs(source, skip, target, N);
        }
        let mut ok = true;
        let (source, _) = source.as_chunks::<N>();
        let (target, _) = target.as_chunks_mut::<N>();
        self.for_each_run(|s, t, _| match (source.get(s.wrapping_sub(skip as usize)), target.get_mut(t)) {
            (Some(src), Some(dst)) => *dst = *src,
            _ => ok = false,
        });
        short(ok)
    }

    fn copy_runs(&self, source: &[u8], skip: u64, target: &mut [u8], size: usize) -> Result<()> {
        let mut ok = true;
        self.for_each_run(|s, t, n| {
            let s = s.wrapping_sub(skip as usize);
            let src = s.checked_mul(size).and_then(|s| source.get(s..s + n * size));
            match (src, target.get_mut(t * size..(t + n) * size)) {
                (Some(src), Some(dst)) => dst.copy_from_slice(src),
                _ => ok = false,
            }
        });
        short(ok)
    }
}

fn short(ok: bool) -> Result<()> {
    if ok { Ok(()) } else { Err(Error::corrupt("a chunk has fewer elements than its shape")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn case() -> impl Strategy<Value = (Vec<u64>, Vec<u64>, Region)> {
        prop::collection::vec((0u64..7, 1u64..5, 0u64..7, 0u64..7, 1u64..4), 0..4).prop_map(|axes| {
            let shape: Vec<u64> = axes.iter().map(|a| a.0).collect();
            let chunk = axes.iter().map(|a| a.1).collect();
            let start: Vec<u64> = axes.iter().map(|a| a.2.min(a.0)).collect();
            let step: Vec<u64> = axes.iter().map(|a| a.4).collect();
            let count: Vec<u64> =
                axes.iter().zip(&start).map(|(a, s)| a.3.min((a.0 - s).div_ceil(a.4))).collect();
            let region = Region::with_step(&start, &count, &step, &shape);
            let region = if axes.is_empty() { Region::new(&[], &[], &[]) } else { region };
            (shape, chunk, region.unwrap())
        })
    }

    proptest! {
        /// Cutting an array into chunks and gathering a region from them gives what indexing gives.
        #[test]
        fn chunks_hold_every_element_of_a_region_once((shape, chunk, region) in case()) {
            let grid = Grid { shape: shape.clone(), chunk };
            let n = element_count(&shape).unwrap();
            let whole: Vec<u8> = (0..n as u32).flat_map(u32::to_le_bytes).collect();
            let all = Region::new(&[], &[], &shape).unwrap();
            let mut out = vec![0xff; region.len().unwrap() * 4];
            for cell in grid.cells_of(&region).unwrap() {
                let mut bytes = vec![0; element_count(&grid.extents(&cell)).unwrap() * 4];
                grid.overlap(&cell, &all).unwrap().to_cell(&shape).copy_bytes(&whole, 0, &mut bytes, 4).unwrap();
                let Some(o) = grid.overlap(&cell, &region) else { continue };
                let span = o.span();
                let part = &bytes[span.start as usize * 4..span.end as usize * 4];
                o.to_region(&region.count).copy_bytes(part, span.start, &mut out, 4).unwrap();
            }
            let strides = strides(&shape);
            let mut expected = vec![0u64];
            for (a, _) in shape.iter().enumerate() {
                expected = expected.iter().flat_map(|base| {
                    (0..region.count[a]).map(|i| base + (region.start[a] + i * region.step[a]) * strides[a]).collect::<Vec<_>>()
                }).collect();
            }
            let got: Vec<u64> = out.as_chunks::<4>().0.iter().map(|b| u64::from(u32::from_le_bytes(*b))).collect();
            prop_assert_eq!(got, expected);
        }
    }

    #[test]
    fn nothing_is_clamped() {
        assert!(Region::new(&[1], &[4], &[4]).is_err());
        assert!(Region::new(&[0, 0], &[1, 1], &[4]).is_err());
        assert!(Region::new(&[u64::MAX], &[2], &[4]).is_err());
        assert!(Region::new(&[5], &[0], &[4]).is_err());
        assert!(Region::with_step(&[0], &[2], &[4], &[4]).is_err());
        assert!(Region::with_step(&[0], &[2], &[0], &[4]).is_err());
        assert!(Region::new(&[4], &[0], &[4]).unwrap().is_empty());
    }
}
