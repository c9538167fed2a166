//! Minimum, maximum and counts: `docs/format.md` section 10.

use std::cmp::Ordering;

use half::{bf16, f16};

use crate::buffer::{Elements, Values};
use crate::dtype::{DType, Scalar};
use crate::element::ScalarElement;
use crate::format::constants::MAX_BOUND_BYTES;
use crate::value::{ScalarValue, Value};

/// How many elements there are, and how many of them are special.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Counts {
    /// Elements in written chunks.
    pub rows: u64,
    /// Of these, nulls.
    pub nulls: u64,
    /// Of these, NaNs. A complex number is NaN if a part is.
    pub nans: u64,
}

/// What is known of the values of a chunk or of the written chunks of an array.
///
/// Three-valued: what is absent is unknown, and must never lead a reader to skip data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Statistics {
    /// Minimum and maximum of what is neither null nor NaN.
    pub bounds: Option<(Value, Value)>,
    /// Whether the bounds may be wider than the values.
    pub loose: bool,
    /// The counts.
    pub counts: Option<Counts>,
}

impl Statistics {
    /// Of nothing at all: the neutral element of [`Statistics::merge`].
    pub fn empty() -> Self {
        Self { bounds: None, loose: false, counts: Some(Counts::default()) }
    }

    /// Of elements. `O(n)`, one pass.
    pub fn of(elements: &Elements) -> Self {
        let valid = |i: usize| elements.validity.as_ref().is_none_or(|v| v.get(i) == Some(&1));
        let rows = elements.len() as u64;
        let nulls = elements.validity.iter().flatten().filter(|v| **v == 0).count() as u64;
        let all_valid = nulls == 0;
        let (bounds, nans) = match (&elements.values, elements.dtype) {
            (Values::Variable(v), DType::String | DType::Binary) => {
                let some = || (0..v.len()).filter(|i| valid(*i)).map(|i| v.get(i));
                let text = elements.dtype == DType::String;
                (
                    some()
                        .min()
                        .zip(some().max())
                        .and_then(|(min, max)| bound(min, text).zip(bound(max, text))),
                    0,
                )
            }
            (Values::Fixed(bytes), DType::Scalar(item)) => scan(item, bytes, |i| all_valid || valid(i)),
            _ => (None, 0),
        };
        Self { bounds, loose: false, counts: Some(Counts { rows, nulls, nans }) }
    }

    /// The smallest value, if known.
    pub fn min(&self) -> Option<&Value> {
        self.bounds.as_ref().map(|b| &b.0)
    }

    /// The largest value, if known.
    pub fn max(&self) -> Option<&Value> {
        self.bounds.as_ref().map(|b| &b.1)
    }

    /// Whether it is known that no value is left once nulls and NaNs are taken away.
    pub fn has_no_values(&self) -> bool {
        self.counts.is_some_and(|c| c.rows == c.nulls.saturating_add(c.nans))
    }

    /// Of the elements of both.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        let counts = self.counts.zip(other.counts).and_then(|(a, b)| {
            Some(Counts {
                rows: a.rows.checked_add(b.rows)?,
                nulls: a.nulls.checked_add(b.nulls)?,
                nans: a.nans.checked_add(b.nans)?,
            })
        });
        let (bounds, loose) = if self.has_no_values() {
            (other.bounds.clone(), other.loose)
        } else if other.has_no_values() {
            (self.bounds.clone(), self.loose)
        } else {
            (merge_bounds(self.bounds.as_ref(), other.bounds.as_ref()), self.loose || other.loose)
        };
        let loose = loose && bounds.is_some();
        Self { bounds, loose, counts }
    }

    /// Whether a value between `min` and `max` (both included, either may be open) can be among the elements.
    /// True whenever something is unknown.
    pub fn may_contain(&self, min: Option<&Value>, max: Option<&Value>) -> bool {
        if self.has_no_values() {
            return false;
        }
        let Some((low, high)) = &self.bounds else { return true };
        let above = min.is_some_and(|min| high.partial_cmp_same(min) == Some(Ordering::Less));
        let below = max.is_some_and(|max| low.partial_cmp_same(max) == Some(Ordering::Greater));
        !above && !below
    }
}

fn merge_bounds(a: Option<&(Value, Value)>, b: Option<&(Value, Value)>) -> Option<(Value, Value)> {
    let ((min_a, max_a), (min_b, max_b)) = a.zip(b)?;
    let min = if min_a.partial_cmp_same(min_b)? == Ordering::Greater { min_b } else { min_a };
    let max = if max_a.partial_cmp_same(max_b)? == Ordering::Less { max_b } else { max_a };
    Some((min.clone(), max.clone()))
}

/// A string or bytes as a bound, if it is short enough to be kept.
fn bound(bytes: &[u8], text: bool) -> Option<Value> {
    if bytes.len() > MAX_BOUND_BYTES {
        return None;
    }
    if text {
        return std::str::from_utf8(bytes).ok().map(Value::from);
    }
    Some(Value::Binary(bytes.to_vec()))
}

type Scan = (Option<(Value, Value)>, u64);

fn scan(item: Scalar, bytes: &[u8], valid: impl Fn(usize) -> bool) -> Scan {
    use Scalar::*;
    match item {
        Bool => ordered::<bool>(bytes, valid),
        I8 => ordered::<i8>(bytes, valid),
        I16 => ordered::<i16>(bytes, valid),
        I32 => ordered::<i32>(bytes, valid),
        I64 => ordered::<i64>(bytes, valid),
        U8 => ordered::<u8>(bytes, valid),
        U16 => ordered::<u16>(bytes, valid),
        U32 => ordered::<u32>(bytes, valid),
        U64 => ordered::<u64>(bytes, valid),
        F16 => float::<f16>(bytes, valid, f16::is_nan, |v| v == f16::ZERO, f16::NEG_ZERO, f16::ZERO),
        Bf16 => float::<bf16>(bytes, valid, bf16::is_nan, |v| v == bf16::ZERO, bf16::NEG_ZERO, bf16::ZERO),
        F32 => float::<f32>(bytes, valid, f32::is_nan, |v| v == 0.0, -0.0, 0.0),
        F64 => float::<f64>(bytes, valid, f64::is_nan, |v| v == 0.0, -0.0, 0.0),
        Complex64 => (None, nan_parts::<f32>(bytes, valid, f32::is_nan)),
        Complex128 => (None, nan_parts::<f64>(bytes, valid, f64::is_nan)),
        _ => {
            let time = |v: Value| match v {
                Value::Scalar(s) => ScalarValue::from_bytes(item, s.bytes()).map_or(v, Value::from),
                v => v,
            };
            let (bounds, nans) = ordered::<i64>(bytes, valid);
            (bounds.map(|(min, max)| (time(min), time(max))), nans)
        }
    }
}

fn natives<T: ScalarElement>(bytes: &[u8], valid: impl Fn(usize) -> bool) -> impl Iterator<Item = T> {
    bytes
        .chunks_exact(size_of::<T>())
        .map(T::from_le)
        .enumerate()
        .filter(move |(i, _)| valid(*i))
        .map(|(_, v)| v)
}

fn ordered<T: ScalarElement + Ord>(bytes: &[u8], valid: impl Fn(usize) -> bool) -> Scan {
    let bounds = natives::<T>(bytes, valid).fold(None, |b: Option<(T, T)>, v| match b {
        None => Some((v, v)),
        Some((min, max)) => Some((min.min(v), max.max(v))),
    });
    (bounds.map(|(min, max)| (min.into(), max.into())), 0)
}

fn float<T: ScalarElement + PartialOrd>(
    bytes: &[u8],
    valid: impl Fn(usize) -> bool,
    is_nan: impl Fn(T) -> bool,
    is_zero: impl Fn(T) -> bool,
    negative_zero: T,
    zero: T,
) -> Scan {
    let mut nans = 0;
    let mut bounds: Option<(T, T)> = None;
    for v in natives::<T>(bytes, valid) {
        if is_nan(v) {
            nans += 1;
            continue;
        }
        bounds = Some(match bounds {
            None => (v, v),
            Some((min, max)) => (if v < min { v } else { min }, if v > max { v } else { max }),
        });
    }
    // -0.0 and 0.0 are equal: write the pair that is a bound under either reading, whatever the order of the elements.
    let bounds = bounds.map(|(min, max)| {
        let min = if is_zero(min) { negative_zero } else { min };
        (min.into(), if is_zero(max) { zero } else { max }.into())
    });
    (bounds, nans)
}

fn nan_parts<T: ScalarElement>(
    bytes: &[u8],
    valid: impl Fn(usize) -> bool,
    is_nan: impl Fn(T) -> bool,
) -> u64 {
    let pairs = bytes.chunks_exact(2 * size_of::<T>()).enumerate().filter(|(i, _)| valid(*i));
    pairs.filter(|(_, b)| b.chunks_exact(size_of::<T>()).any(|p| is_nan(T::from_le(p)))).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::ArrayElement;

    fn of<T: ArrayElement>(elements: &[T]) -> Statistics {
        let mut values = Values::empty(T::DTYPE);
        T::put_all(elements, &mut values);
        let validity = T::NULLABLE.then(|| elements.iter().map(|e| u8::from(e.is_valid())).collect());
        Statistics::of(&Elements { dtype: T::DTYPE, values, validity })
    }

    #[test]
    fn nan_is_no_maximum_and_null_is_not_counted_as_a_value() {
        let s = of(&[1f32, f32::NAN, 3.0]);
        assert_eq!(s.bounds, Some((1f32.into(), 3f32.into())));
        assert_eq!(s.counts, Some(Counts { rows: 3, nulls: 0, nans: 1 }));
        let s = of(&[Some(5i32), None, Some(-2)]);
        assert_eq!(s.bounds, Some(((-2i32).into(), 5i32.into())));
        assert_eq!(s.counts, Some(Counts { rows: 3, nulls: 1, nans: 0 }));
        let s = of(&[f64::NAN]);
        assert!(s.bounds.is_none() && s.has_no_values());
    }

    #[test]
    fn what_is_unknown_stays_unknown() {
        let long = of(&["x".repeat(65), "a".into()]);
        assert!(long.bounds.is_none() && !long.has_no_values());
        let short = of(&["b".to_string()]);
        assert!(short.merge(&long).bounds.is_none());
        assert!(short.merge(&long).may_contain(Some(&"zz".into()), None));
        assert_eq!(short.merge(&Statistics::empty()), short);
        assert!(!short.may_contain(Some(&"c".into()), None));
        assert!(short.may_contain(Some(&1i32.into()), None), "another type never prunes");
    }

    #[test]
    fn zeros_bound_either_sign() {
        let s = of(&[0.0f64, -0.0]);
        let (min, max) = s.bounds.unwrap();
        assert_eq!((min, max), (Value::from(-0.0f64), Value::from(0.0f64)));
    }
}
