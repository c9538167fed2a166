//! Slices as numpy writes them: `0:10, ::2, 3`.

use array_format::{Error, Result};

/// Start, count and step of each axis; axes that are one index are dropped from the result's shape by `cat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) start: Vec<u64>,
    pub(crate) count: Vec<u64>,
    pub(crate) step: Vec<u64>,
}

/// Reads a slice for an array of `shape`. Axes that are left out are whole; negative numbers count from the end.
///
/// # Errors
/// `InvalidArgument` for more axes than the array has, an index out of bounds, or what is no slice.
pub(crate) fn parse(text: &str, shape: &[u64]) -> Result<Slice> {
    let text = text.trim();
    let text = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text).trim();
    let parts: Vec<&str> =
        if text.is_empty() { Vec::new() } else { text.split(',').map(str::trim).collect() };
    if parts.len() > shape.len() {
        return Err(Error::invalid(format!(
            "the slice has {} axes, the array has {}",
            parts.len(),
            shape.len()
        )));
    }
    let mut slice = Slice { start: Vec::new(), count: Vec::new(), step: Vec::new() };
    for (axis, n) in shape.iter().enumerate() {
        let (start, count, step) = axis_slice(parts.get(axis).copied().unwrap_or(":"), *n, axis)?;
        slice.start.push(start);
        slice.count.push(count);
        slice.step.push(step);
    }
    Ok(slice)
}

fn axis_slice(text: &str, n: u64, axis: usize) -> Result<(u64, u64, u64)> {
    let wrong =
        || Error::invalid(format!("{text:?} is no slice of axis {axis}; write start:stop:step or an index"));
    let index = |s: &str| -> Result<i128> {
        let i: i128 = s.trim().parse().map_err(|_| wrong())?;
        Ok(if i < 0 { i + i128::from(n) } else { i })
    };
    let inside = |i: i128, most: u64| {
        u64::try_from(i)
            .ok()
            .filter(|i| *i <= most)
            .ok_or_else(|| Error::invalid(format!("{text:?} is out of bounds: axis {axis} has {n} elements")))
    };
    let parts: Vec<&str> = text.split(':').collect();
    if let [one] = parts[..] {
        let i = inside(index(one)?, n.saturating_sub(1))?;
        return if n == 0 { Err(wrong()) } else { Ok((i, 1, 1)) };
    }
    let part = |i: usize| parts.get(i).map(|s| s.trim()).filter(|s| !s.is_empty());
    if parts.len() > 3 {
        return Err(wrong());
    }
    let step = match part(2) {
        None => 1,
        Some(s) => s.parse::<u64>().ok().filter(|s| *s > 0).ok_or_else(wrong)?,
    };
    let start = part(0).map_or(Ok(0), |s| inside(index(s)?, n))?;
    let stop = part(1).map_or(Ok(n), |s| inside(index(s)?, n))?;
    Ok((start, stop.saturating_sub(start).div_ceil(step), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_mean_what_numpy_means() {
        let s = parse("[1:4, -1, ::2]", &[5, 3, 7, 2]).unwrap();
        assert_eq!((s.start, s.count, s.step), (vec![1, 2, 0, 0], vec![3, 1, 4, 2], vec![1, 1, 2, 1]));
        assert_eq!(parse("", &[3]).unwrap().count, [3]);
        assert_eq!(parse("2:1", &[3]).unwrap().count, [0]);
        for bad in ["3", "0:4", "a", "1:2:0", "0,0", "1:2:3:4", "-4"] {
            assert!(parse(bad, &[3]).is_err(), "{bad}");
        }
    }
}
