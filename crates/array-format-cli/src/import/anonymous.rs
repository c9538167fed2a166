//! Names for dimensions that have none.

use super::SourceDimension;

/// Gives out `phony_dim_0`, `phony_dim_1` ... as netCDF does: arrays of one group share a dimension where their
/// extents agree, but no array has the same one twice.
pub(super) struct Anonymous {
    prefix: &'static str,
    next: u64,
}

impl Anonymous {
    /// Names that begin with `prefix`, numbered from `next`.
    pub(super) fn new(prefix: &'static str, next: u64) -> Self {
        Self { prefix, next }
    }

    /// A name for an axis: one of `dimensions` that was made here and is not in `used`, or a new one.
    pub(super) fn name(
        &mut self,
        dimensions: &mut Vec<SourceDimension>,
        used: &[String],
        len: u64,
        unlimited: bool,
    ) -> String {
        let fits = |d: &&SourceDimension| {
            d.len == len
                && d.unlimited == unlimited
                && d.name.starts_with(self.prefix)
                && !used.contains(&d.name)
        };
        if let Some(found) = dimensions.iter().find(fits) {
            return found.name.clone();
        }
        loop {
            let name = format!("{}{}", self.prefix, self.next);
            self.next += 1;
            if !dimensions.iter().any(|d| d.name == name) {
                dimensions.push(SourceDimension { name: name.clone(), len, unlimited });
                return name;
            }
        }
    }
}
