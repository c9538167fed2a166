//! Several filters, one after the other.

use std::borrow::Cow;

use super::filter::{misfit, numbers_of};
use super::{Filter, bitround, decimal, delta, filled, pco, shuffle};
use crate::dtype::Scalar;
use crate::error::{Error, Result};

/// What the filters make of `raw`, little-endian numbers of type `item`. Borrows where there is nothing to do, else
/// takes one buffer for the filters that work in place and one for `Shuffle` or `Pco`.
///
/// # Errors
/// `InvalidArgument` where the filters do not fit the type (see [`check_filters`](super::check_filters)) or `raw` is
/// not whole numbers; `Unsupported` for `Pco` in a program built without the feature `pco`.
pub fn encode_filters<'a>(filters: &[Filter], item: Scalar, raw: &'a [u8]) -> Result<Cow<'a, [u8]>> {
    if let Some(why) = misfit(filters, item) {
        return Err(Error::invalid(why));
    }
    if !raw.len().is_multiple_of(item.size_bytes()) {
        return Err(Error::invalid(format!("{} bytes are not whole elements of type {item}", raw.len())));
    }
    let mut bytes = Cow::Borrowed(raw);
    for filter in filters {
        match *filter {
            Filter::Shuffle if item.lane_bytes() == 1 => {}
            Filter::Shuffle => {
                let mut planes = vec![0; bytes.len()];
                shuffle::shuffle(item.lane_bytes(), &bytes, &mut planes);
                bytes = Cow::Owned(planes);
            }
            Filter::Delta => delta::encode(item.lane_bytes(), bytes.to_mut()),
            Filter::BitRound { keep_bits } => bitround::round(item, keep_bits, bytes.to_mut()),
            Filter::Pco { level } => {
                let numbers = numbers_of(filters, item);
                bytes = Cow::Owned(pco::encode(level, numbers, &bytes, &pco::Tuning::default())?);
            }
            Filter::Decimal { digits } => decimal::encode(item, digits, bytes.to_mut()),
        }
    }
    Ok(bytes)
}

/// Fills `dst` with the numbers that the filters made `encoded` from. Allocates nothing, but for `Pco` up to 2 MiB and
/// the length of `dst`.
///
/// # Errors
/// `Corrupt` where `encoded` does not decode to exactly as many bytes as `dst` has, or the filters do not fit the type;
/// `Unsupported` for `Pco` in a program built without the feature `pco`. What `dst` holds is then of no meaning.
pub fn decode_filters(filters: &[Filter], item: Scalar, encoded: &[u8], dst: &mut [u8]) -> Result<()> {
    if let Some(why) = misfit(filters, item) {
        return Err(Error::corrupt(why));
    }
    if !dst.len().is_multiple_of(item.size_bytes()) {
        return Err(Error::corrupt(format!("{} bytes are not whole elements of type {item}", dst.len())));
    }
    // Only the last filter may move or resize anything, so that the others work in place on what it leaves in `dst`.
    match filters.last() {
        Some(Filter::Pco { .. }) => pco::decode(numbers_of(filters, item), encoded, dst)?,
        last => {
            filled("a filtered chunk", encoded.len(), dst.len())?;
            if last == Some(&Filter::Shuffle) {
                shuffle::unshuffle(item.lane_bytes(), encoded, dst);
            } else {
                dst.copy_from_slice(encoded);
            }
        }
    }
    for _ in filters.iter().filter(|filter| **filter == Filter::Delta) {
        delta::decode(item.lane_bytes(), dst);
    }
    if let Some(Filter::Decimal { digits }) = filters.first() {
        decimal::decode(item, *digits, dst);
    }
    Ok(())
}
