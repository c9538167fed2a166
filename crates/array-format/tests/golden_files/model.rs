//! The plainest arrays there can be: every element in a list of its own. What the library must agree with.

use std::collections::{BTreeMap, BTreeSet};

use array_format::{DType, Filter, Value};

/// Raw bytes of an element; `None` is null.
pub(crate) type Cell = Option<Vec<u8>>;

/// An array.
#[derive(Clone)]
pub(crate) struct Array {
    pub(crate) dtype: DType,
    pub(crate) nullable: bool,
    pub(crate) dims: Vec<String>,
    pub(crate) shape: Vec<u64>,
    pub(crate) chunk_shape: Option<Vec<u64>>,
    pub(crate) fill: Option<Vec<u8>>,
    pub(crate) filters: Vec<Filter>,
    pub(crate) cells: Vec<Cell>,
    /// Coordinates of the chunks that were written.
    pub(crate) written: BTreeSet<Vec<u64>>,
    pub(crate) attributes: BTreeMap<String, Value>,
    /// Whether a commit gave it an id.
    pub(crate) numbered: bool,
}

/// A group that has a row of its own.
#[derive(Clone, Default)]
pub(crate) struct Group {
    pub(crate) dims: Vec<(String, u64, bool)>,
    pub(crate) attributes: BTreeMap<String, Value>,
    pub(crate) numbered: bool,
}

/// A file.
#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) arrays: BTreeMap<String, Array>,
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) next_id: u64,
}

/// All indices of a box, in row-major order.
pub(crate) fn indices(shape: &[u64]) -> Vec<Vec<u64>> {
    let mut all = vec![Vec::new()];
    for extent in shape {
        all = all
            .into_iter()
            .flat_map(|index| {
                (0..*extent).map(move |i| {
                    let mut index = index.clone();
                    index.push(i);
                    index
                })
            })
            .collect();
    }
    all
}

fn flat(shape: &[u64], index: &[u64]) -> usize {
    shape.iter().zip(index).fold(0, |at, (extent, i)| at * *extent as usize + *i as usize)
}

impl Array {
    /// What an element is that was never written.
    fn unwritten(&self) -> Cell {
        match &self.fill {
            Some(fill) => Some(fill.clone()),
            None if self.nullable => None,
            None => Some(vec![0; self.dtype.fixed_size_bytes().unwrap_or(0)]),
        }
    }

    /// Fills a new array.
    pub(crate) fn blank(mut self) -> Self {
        self.cells = vec![self.unwritten(); indices(&self.shape).len()];
        self
    }

    fn chunk_of(&self, index: &[u64]) -> Vec<u64> {
        match &self.chunk_shape {
            Some(chunk) => index.iter().zip(chunk).map(|(i, c)| i / c).collect(),
            None => vec![0; index.len()],
        }
    }

    /// Cells of the grid.
    pub(crate) fn grid_cells(&self) -> u64 {
        match &self.chunk_shape {
            Some(chunk) => self.shape.iter().zip(chunk).map(|(s, c)| s.div_ceil(*c)).product(),
            None => u64::from(!self.shape.contains(&0)),
        }
    }

    pub(crate) fn write(&mut self, start: &[u64], shape: &[u64], cells: &[Cell]) {
        let boxed = indices(shape);
        assert_eq!(boxed.len(), cells.len());
        for (offset, cell) in boxed.iter().zip(cells) {
            let index: Vec<u64> = start.iter().zip(offset).map(|(s, o)| s + o).collect();
            let at = flat(&self.shape, &index);
            self.cells[at].clone_from(cell);
            self.written.insert(self.chunk_of(&index));
        }
    }

    pub(crate) fn resize(&mut self, shape: Vec<u64>) {
        let old = std::mem::replace(&mut self.shape, shape);
        let inside = |index: &[u64]| index.iter().zip(&old).all(|(i, s)| i < s);
        let all = indices(&self.shape);
        let keep = |index: &Vec<u64>| match inside(index) {
            true => self.cells[flat(&old, index)].clone(),
            false => self.unwritten(),
        };
        let cells = all.iter().map(keep).collect();
        let left: BTreeSet<Vec<u64>> = all.iter().map(|index| self.chunk_of(index)).collect();
        self.cells = cells;
        self.written.retain(|chunk| left.contains(chunk));
    }

    /// The elements of every written chunk.
    pub(crate) fn written_cells(&self) -> BTreeMap<Vec<u64>, Vec<&Cell>> {
        let mut chunks: BTreeMap<Vec<u64>, Vec<&Cell>> = BTreeMap::new();
        for (index, cell) in indices(&self.shape).iter().zip(&self.cells) {
            let chunk = self.chunk_of(index);
            if self.written.contains(&chunk) {
                chunks.entry(chunk).or_default().push(cell);
            }
        }
        chunks
    }

    /// What a commit makes of the elements: bit rounding is the one filter that changes them.
    fn round(&mut self) {
        let Some(Filter::BitRound { keep_bits }) = self.filters.first().copied() else { return };
        let (lane, mantissa) = match self.dtype.item().unwrap().name() {
            "f16" => (2, 10),
            "bf16" => (2, 7),
            "f32" | "complex64" => (4, 23),
            "f64" | "complex128" => (8, 52),
            other => unreachable!("{other} has no mantissa"),
        };
        let chunks: Vec<bool> =
            indices(&self.shape).iter().map(|index| self.written.contains(&self.chunk_of(index))).collect();
        let in_chunk = self.cells.iter_mut().zip(chunks).filter(|(_, written)| *written);
        for bytes in in_chunk.filter_map(|(cell, _)| cell.as_mut()) {
            for lane in bytes.chunks_exact_mut(lane) {
                round_lane(lane, mantissa, u32::from(keep_bits));
            }
        }
    }
}

/// Section 9.4 of the format, word for word, in numbers wide enough not to care.
fn round_lane(lane: &mut [u8], mantissa: u32, keep: u32) {
    let mut wide = [0; 16];
    wide[..lane.len()].copy_from_slice(lane);
    let (x, d) = (u128::from_le_bytes(wide), mantissa - keep);
    let exponent = ((1u128 << (8 * lane.len() - 1)) - 1) >> mantissa << mantissa;
    if d == 0 || x & exponent == exponent {
        return;
    }
    let cleared = |x: u128| x >> d << d;
    let sum = x + (1 << (d - 1)) - 1 + (x >> d & 1);
    let y = if sum & exponent == exponent { cleared(x) } else { cleared(sum) };
    lane.copy_from_slice(&y.to_le_bytes()[..lane.len()]);
}

impl Model {
    pub(crate) fn new() -> Self {
        let root = Group { numbered: true, ..Group::default() };
        Self { arrays: BTreeMap::new(), groups: BTreeMap::from([(String::new(), root)]), next_id: 1 }
    }

    /// The group of a path, which has a row from now on.
    pub(crate) fn group(&mut self, path: &str) -> &mut Group {
        self.groups.entry(path.to_owned()).or_default()
    }

    pub(crate) fn attributes(&mut self, path: &str) -> &mut BTreeMap<String, Value> {
        match self.arrays.contains_key(path) {
            true => &mut self.arrays.get_mut(path).unwrap().attributes,
            false => &mut self.group(path).attributes,
        }
    }

    pub(crate) fn delete(&mut self, path: &str) {
        let below = format!("{path}/");
        let stays = |p: &str| p != path && !p.starts_with(&below);
        self.arrays.retain(|p, _| stays(p));
        self.groups.retain(|p, _| stays(p));
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        let below = format!("{from}/");
        let moved = |p: String| match p == from || p.starts_with(&below) {
            true => format!("{to}{}", &p[from.len()..]),
            false => p,
        };
        self.arrays = std::mem::take(&mut self.arrays).into_iter().map(|(p, a)| (moved(p), a)).collect();
        self.groups = std::mem::take(&mut self.groups).into_iter().map(|(p, g)| (moved(p), g)).collect();
    }

    pub(crate) fn commit(&mut self) {
        self.arrays.values_mut().for_each(Array::round);
        let numbered = self.arrays.values_mut().map(|a| &mut a.numbered);
        for numbered in numbered.chain(self.groups.values_mut().map(|g| &mut g.numbered)) {
            self.next_id += u64::from(!std::mem::replace(numbered, true));
        }
    }
}
