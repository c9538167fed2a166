//! How a variable is cut for reading, so that a big one never is in memory at once.

use array_format_core::DType;

use super::SourceVariable;

/// Bytes of one slab, unless a single chunk of the file is larger.
pub(crate) const SLAB_BYTES: u64 = 64 << 20;

/// What an element of varying length is taken to need.
const VARIABLE_BYTES: u64 = 256;

/// A hyperslab: where it begins, and its extents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slab {
    pub(crate) start: Vec<u64>,
    pub(crate) shape: Vec<u64>,
}

/// The slabs of a variable, each of about `max_bytes` at most and made of whole chunks of the file, in the order
/// in which the file stores them. Together they cover the variable once. None if it has no elements.
pub(crate) fn slabs(variable: &SourceVariable, max_bytes: u64) -> impl Iterator<Item = Slab> + use<> {
    let shape = variable.shape.clone();
    let step = extents(variable, max_bytes);
    let axes: Vec<usize> = fastest_first(shape.len(), variable.column_major).collect();
    let mut next = (!shape.contains(&0)).then(|| vec![0u64; shape.len()]);
    std::iter::from_fn(move || {
        let start = next.take()?;
        let extents = start.iter().zip(&step).zip(&shape).map(|((s, step), n)| (*step).min(n - s)).collect();
        let mut after = start.clone();
        for &axis in &axes {
            after[axis] = after[axis].saturating_add(step[axis]);
            if after[axis] < shape[axis] {
                next = Some(after);
                break;
            }
            after[axis] = 0;
        }
        Some(Slab { start, shape: extents })
    })
}

fn fastest_first(rank: usize, column_major: bool) -> impl Iterator<Item = usize> {
    (0..rank).map(move |i| if column_major { i } else { rank - 1 - i })
}

/// Extents of a whole slab: grown from one chunk, along the axis that varies fastest first.
fn extents(variable: &SourceVariable, max_bytes: u64) -> Vec<u64> {
    let shape = &variable.shape;
    let element = match variable.dtype {
        DType::String | DType::Binary | DType::List { .. } => VARIABLE_BYTES,
        fixed => fixed.fixed_size_bytes().map_or(VARIABLE_BYTES, |n| n as u64).max(1),
    };
    let unit: Vec<u64> = match &variable.chunk_shape {
        Some(chunk) => chunk.iter().zip(shape).map(|(c, n)| (*c).clamp(1, (*n).max(1))).collect(),
        None => vec![1; shape.len()],
    };
    let mut budget = (max_bytes / element).max(1) / unit.iter().product::<u64>().max(1);
    let mut extents = unit.clone();
    for axis in fastest_first(shape.len(), variable.column_major) {
        let wanted = shape[axis].div_ceil(unit[axis]).max(1);
        let units = wanted.min(budget.max(1));
        extents[axis] = units.saturating_mul(unit[axis]).min(shape[axis].max(1));
        if units < wanted {
            break; // only whole rows may grow further
        }
        budget /= units;
    }
    extents
}
