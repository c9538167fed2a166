//! Regions of an array that lies in a file without gaps, in either order.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use array_format_core::{Error, Result};

use super::super::io_error;
use super::Header;

/// The bytes of a region that is inside the array, in row-major order.
pub(super) fn read(file: &File, header: &Header, start: &[u64], shape: &[u64]) -> Result<Vec<u8>> {
    let width = header.element.width();
    if width == 0 || shape.contains(&0) {
        return Ok(Vec::new());
    }
    if !header.column_major || shape.len() < 2 {
        return row_major(file, header.data_offset, width, &header.shape, start, shape);
    }
    // The same bytes are a row-major array with its axes the other way round.
    let reversed = |v: &[u64]| v.iter().rev().copied().collect::<Vec<u64>>();
    let (of, start, shape) = (reversed(&header.shape), reversed(start), reversed(shape));
    let bytes = row_major(file, header.data_offset, width, &of, &start, &shape)?;
    transposed(&bytes, width, &shape)
}

fn too_big() -> Error {
    Error::invalid("the region does not fit in memory")
}

/// Reads runs of neighbouring bytes, as few and long as the region allows.
fn row_major(
    mut file: &File,
    offset: u64,
    width: usize,
    of: &[u64],
    start: &[u64],
    shape: &[u64],
) -> Result<Vec<u8>> {
    let width = width as u64;
    let total = shape.iter().try_fold(width, |n, s| n.checked_mul(*s)).ok_or_else(too_big)?;
    let mut bytes = vec![0u8; usize::try_from(total).map_err(|_| too_big())?];
    // Axes behind `outer` are read whole, axis `outer` itself is one stretch.
    let whole = of.iter().zip(shape).rev().take_while(|(n, s)| n == s).count();
    let outer = of.len().saturating_sub(whole + 1);
    let run: u64 = shape.iter().skip(outer).product::<u64>() * width;
    let strides: Vec<u64> =
        (0..of.len()).map(|axis| of[axis + 1..].iter().product::<u64>() * width).collect();
    let begin: u64 = offset + start.iter().zip(&strides).map(|(s, stride)| s * stride).sum::<u64>();
    let mut index = vec![0u64; outer];
    for part in bytes.chunks_exact_mut(usize::try_from(run).map_err(|_| too_big())?) {
        let at = begin + index.iter().zip(&strides).map(|(i, stride)| i * stride).sum::<u64>();
        let got = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(part));
        got.map_err(|e| io_error("the array cannot be read", e).at_offset(at))?;
        for axis in (0..outer).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    Ok(bytes)
}

/// Turns an array of `shape` round, so that its first axis is the last.
fn transposed(bytes: &[u8], width: usize, shape: &[u64]) -> Result<Vec<u8>> {
    let shape: Vec<usize> =
        shape.iter().map(|s| usize::try_from(*s).map_err(|_| too_big())).collect::<Result<_>>()?;
    // In the result, axis k (of the reversed shape) steps by the product of the extents before it.
    let mut strides = vec![width; shape.len()];
    for axis in 1..shape.len() {
        strides[axis] = strides[axis - 1] * shape[axis - 1];
    }
    let mut out = vec![0u8; bytes.len()];
    let mut index = vec![0usize; shape.len()];
    let mut at = 0;
    for cell in bytes.chunks_exact(width) {
        out[at..at + width].copy_from_slice(cell);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    Ok(out)
}
