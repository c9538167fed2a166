//! What a filter is, how it is recorded, and which ones fit which type.

use super::{bitround, decimal};
use crate::cursor::{Cursor, put_bytes, put_varint};
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};

/// A step that makes numbers easier to compress. Filters run in the order given when a chunk is written, and in the
/// opposite order when it is read. Which ones go together says [`check_filters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Filter {
    /// The first bytes of all numbers, then the second bytes, and so on: for numbers whose high bytes are alike.
    Shuffle,
    /// The difference of every number to the one before: for integers and times that rise steadily.
    Delta,
    /// Rounds floats to `keep_bits` bits of mantissa, ties to even. The rest is zeros, which compress well. **This
    /// loses precision**: the relative error is up to `2^-(keep_bits + 1)`.
    BitRound {
        /// Bits of mantissa that stay: 1 to 10 for f16, 7 for bf16, 23 for f32, 52 for f64.
        keep_bits: u8,
    },
    /// The pcodec numeric codec: smaller and slower than the others, and best with no compression after it.
    Pco {
        /// 0 (fast) to 12 (small); more means 12. pcodec recommends 8.
        level: u8,
    },
    /// Floats that are decimals, such as 12.34, as integers: what `Delta`, `Shuffle` and `Pco` make of those is smaller, and faster done.
    /// Nothing is lost, whatever the numbers are; others, NaN and infinities among them, just compress no better.
    Decimal {
        /// Digits behind the point: 0 to 10 for f32, 0 to 22 for f64. Integers below 2^23 for f32, 2^50 for f64 are made of as many.
        digits: u8,
    },
}

/// Filters that an array may have.
pub const MAX_FILTERS: usize = 8;

const SHUFFLE: u64 = 1;
const DELTA: u64 = 2;
const BIT_ROUND: u64 = 3;
const PCO: u64 = 4;
const DECIMAL: u64 = 5;

impl Filter {
    /// Its name, as messages have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shuffle => "Shuffle",
            Self::Delta => "Delta",
            Self::BitRound { .. } => "BitRound",
            Self::Pco { .. } => "Pco",
            Self::Decimal { .. } => "Decimal",
        }
    }

    /// Appends the on-disk form: id, then length-prefixed parameters.
    pub fn encode_record(self, out: &mut Vec<u8>) {
        let (id, params) = match self {
            Self::Shuffle => (SHUFFLE, None),
            Self::Delta => (DELTA, None),
            Self::BitRound { keep_bits } => (BIT_ROUND, Some(keep_bits)),
            Self::Pco { level } => (PCO, Some(level)),
            Self::Decimal { digits } => (DECIMAL, Some(digits)),
        };
        put_varint(out, id);
        put_bytes(out, params.as_slice());
    }

    /// Reads the on-disk form. Whether the filter fits its array is not looked at.
    ///
    /// # Errors
    /// `Unsupported` for a filter or parameters of a later version, `Corrupt` where bytes are missing.
    pub fn decode_record(c: &mut Cursor<'_>) -> Result<Self> {
        let id = c.varint()?;
        let mut params = Cursor::new(c.bytes()?);
        let filter = match id {
            SHUFFLE => Self::Shuffle,
            DELTA => Self::Delta,
            BIT_ROUND => Self::BitRound { keep_bits: params.u8()? },
            PCO => Self::Pco { level: params.u8()? },
            DECIMAL => Self::Decimal { digits: params.u8()? },
            _ => {
                return Err(Error::unsupported(format!(
                    "filter {id} is not known to this version; use a later one"
                )));
            }
        };
        if params.remaining() != 0 {
            return Err(Error::unsupported(format!(
                "filter {} has parameters that are not known to this version; use a later one",
                filter.name()
            )));
        }
        Ok(filter)
    }
}

/// Checks that an array of `dtype` can have these filters, in this order.
///
/// Filters need numbers, so that strings and bytes have none. `Delta` needs integers, timestamps or durations,
/// `BitRound` floats or complex numbers, `Decimal` f32 or f64, `Pco` any number but bool and bf16. `BitRound` or `Decimal` comes first, and
/// after `Decimal` the numbers are integers; `Shuffle` and `Pco` come last, because after them there are no numbers any more. At most
/// [`MAX_FILTERS`].
///
/// # Errors
/// `InvalidArgument`, saying what does not go together.
pub fn check_filters(filters: &[Filter], dtype: DType) -> Result<()> {
    if filters.is_empty() {
        return Ok(());
    }
    let item = dtype.item().ok_or_else(|| {
        Error::invalid(format!("filters work on numbers and cannot be used for element type {dtype}"))
    })?;
    misfit(filters, item).map_or(Ok(()), |why| Err(Error::invalid(why)))
}

/// Why these filters cannot work on `item`, if so. Costs a look at each.
pub(super) fn misfit(filters: &[Filter], item: Scalar) -> Option<String> {
    if filters.len() > MAX_FILTERS {
        return Some(format!("{} filters; an array may have {MAX_FILTERS}", filters.len()));
    }
    if let Some(pair) =
        filters.windows(2).find(|pair| matches!(pair, [Filter::Shuffle | Filter::Pco { .. }, _]))
    {
        let (last, next) = (pair.first()?.name(), pair.last()?.name());
        return Some(format!(
            "filter {last} must be the last one: what it makes are no numbers for {next} to work on"
        ));
    }
    let numbers = numbers_of(filters, item);
    filters.iter().enumerate().find_map(|(i, filter)| match filter {
        Filter::Shuffle => None,
        Filter::Delta if is_integer(numbers) => None,
        Filter::Delta => {
            Some(format!("filter Delta works on integers, timestamps and durations, not on {item}"))
        }
        Filter::BitRound { keep_bits } => match bitround::mantissa_bits(item) {
            None => Some(format!("filter BitRound works on floats and complex numbers, not on {item}")),
            Some(most) if !(1..=most).contains(keep_bits) => {
                Some(format!("filter BitRound can keep 1 to {most} bits of {item}, not {keep_bits}"))
            }
            Some(_) if i > 0 => {
                Some("filter BitRound must be the first one: it rounds the numbers themselves".into())
            }
            Some(_) => None,
        },
        Filter::Pco { .. } if matches!(item, Scalar::Bool | Scalar::Bf16) => {
            Some(format!("filter Pco has no encoding for {item}; use Shuffle or none"))
        }
        Filter::Pco { .. } => None,
        Filter::Decimal { digits } => match decimal::integers_of(item) {
            None => Some(format!("filter Decimal works on f32 and f64, not on {item}")),
            Some((_, most)) if *digits > most => {
                Some(format!("filter Decimal can have 0 to {most} digits of {item}, not {digits}"))
            }
            Some(_) if i > 0 => {
                Some("filter Decimal must be the first one: others leave no decimals, or none at all".into())
            }
            Some(_) => None,
        },
    })
}

/// The type of the numbers that filters behind the first one work on.
pub(super) fn numbers_of(filters: &[Filter], item: Scalar) -> Scalar {
    match filters.first() {
        Some(Filter::Decimal { .. }) => decimal::integers_of(item).map_or(item, |(integers, _)| integers),
        _ => item,
    }
}

fn is_integer(item: Scalar) -> bool {
    !(item == Scalar::Bool || item.is_float() || item.is_complex())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn records_are_frozen() {
        let filters = [
            Filter::Shuffle,
            Filter::Delta,
            Filter::BitRound { keep_bits: 9 },
            Filter::Pco { level: 8 },
            Filter::Decimal { digits: 2 },
        ];
        let mut out = Vec::new();
        for filter in filters {
            filter.encode_record(&mut out);
        }
        assert_eq!(out, [1, 0, 2, 0, 3, 1, 9, 4, 1, 8, 5, 1, 2]);
        let mut c = Cursor::new(&out);
        for filter in filters {
            assert_eq!(Filter::decode_record(&mut c).unwrap(), filter);
        }
        let kind = |bytes: &[u8]| Filter::decode_record(&mut Cursor::new(bytes)).unwrap_err().kind();
        assert_eq!(kind(&[6, 0]), ErrorKind::Unsupported);
        assert_eq!(kind(&[1, 1, 0]), ErrorKind::Unsupported);
        assert_eq!(kind(&[3, 0]), ErrorKind::Corrupt);
        assert_eq!(kind(&[3, 2, 1]), ErrorKind::Corrupt);
        assert_eq!(kind(&[]), ErrorKind::Corrupt);
    }

    #[test]
    fn what_goes_together() {
        use Filter::*;
        let round = BitRound { keep_bits: 7 };
        let pco = Pco { level: 8 };
        let decimal = Decimal { digits: 10 };
        let ok = |filters: &[Filter], item: Scalar| check_filters(filters, item.into()).is_ok();
        for item in Scalar::ALL {
            assert!(ok(&[Shuffle], item));
            assert_eq!(ok(&[Delta, Delta, Shuffle], item), is_integer(item), "{item}");
            assert_eq!(ok(&[round, Shuffle], item), item.is_float() || item.is_complex(), "{item}");
            assert_eq!(ok(&[pco], item), !matches!(item, Scalar::Bool | Scalar::Bf16), "{item}");
            assert!(!ok(&[Shuffle, Delta], item) && !ok(&[Shuffle, Shuffle], item));
            assert!(!ok(&[pco, Shuffle], item) && !ok(&[Shuffle, pco], item) && !ok(&[round, round], item));
            let has_decimals = matches!(item, Scalar::F32 | Scalar::F64);
            for filters in [&[decimal][..], &[decimal, Delta, Delta, Shuffle], &[decimal, Delta, pco]] {
                assert_eq!(ok(filters, item), has_decimals, "{item}");
            }
            assert!(
                !ok(&[round, decimal], item)
                    && !ok(&[decimal, round], item)
                    && !ok(&[decimal, decimal], item)
            );
            assert!(check_filters(&[Shuffle], DType::List { item }).is_ok());
        }
        assert!(
            !ok(&[BitRound { keep_bits: 0 }], Scalar::F32) && ok(&[BitRound { keep_bits: 23 }], Scalar::F32)
        );
        assert!(
            !ok(&[BitRound { keep_bits: 24 }], Scalar::F32)
                && !ok(&[BitRound { keep_bits: 8 }], Scalar::Bf16)
        );
        assert!(!ok(&[Decimal { digits: 11 }], Scalar::F32) && ok(&[Decimal { digits: 22 }], Scalar::F64));
        assert!(!ok(&[Decimal { digits: 23 }], Scalar::F64));
        assert!(ok(&[Delta; MAX_FILTERS], Scalar::I8) && !ok(&[Delta; MAX_FILTERS + 1], Scalar::I8));
        for dtype in [DType::String, DType::Binary] {
            assert!(check_filters(&[], dtype).is_ok());
            assert_eq!(check_filters(&[Shuffle], dtype).unwrap_err().kind(), ErrorKind::InvalidArgument);
        }
    }
}
