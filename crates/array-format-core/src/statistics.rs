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
        let mask = elements.validity.as_deref().filter(|_| nulls > 0);
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
            (Values::Fixed(bytes), DType::Scalar(item)) => scan(item, bytes, mask),
            _ => (None, 0),
        };
        Self { bounds, loose: false, counts: Some(Counts { rows, nulls, nans }) }
    }

    /// Of numbers as they are in memory, all of them there. As [`Statistics::of`].
    pub fn of_numbers(dtype: DType, bytes: &[u8]) -> Self {
        let size = dtype.fixed_size_bytes().unwrap_or(1).max(1);
        let (bounds, nans) = match dtype {
            DType::Scalar(item) => scan(item, bytes, None),
            _ => (None, 0),
        };
        let rows = (bytes.len() / size) as u64;
        Self { bounds, loose: false, counts: Some(Counts { rows, nulls: 0, nans }) }
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

/// `mask` has a byte an element, 1 where it is valid; without one all are.
fn scan(item: Scalar, bytes: &[u8], mask: Option<&[u8]>) -> Scan {
    use Scalar::*;
    match item {
        Bool => ordered::<bool>(bytes, mask),
        I8 => ordered::<i8>(bytes, mask),
        I16 => ordered::<i16>(bytes, mask),
        I32 => ordered::<i32>(bytes, mask),
        I64 => ordered::<i64>(bytes, mask),
        U8 => ordered::<u8>(bytes, mask),
        U16 => ordered::<u16>(bytes, mask),
        U32 => ordered::<u32>(bytes, mask),
        U64 => ordered::<u64>(bytes, mask),
        F16 => float::<f16>(bytes, mask, f16::is_nan, |v| v == f16::ZERO, f16::NEG_ZERO, f16::ZERO),
        Bf16 => float::<bf16>(bytes, mask, bf16::is_nan, |v| v == bf16::ZERO, bf16::NEG_ZERO, bf16::ZERO),
        F32 => float::<f32>(bytes, mask, f32::is_nan, |v| v == 0.0, -0.0, 0.0),
        F64 => float::<f64>(bytes, mask, f64::is_nan, |v| v == 0.0, -0.0, 0.0),
        Complex64 => (None, nan_parts::<f32>(bytes, mask, f32::is_nan)),
        Complex128 => (None, nan_parts::<f64>(bytes, mask, f64::is_nan)),
        _ => {
            let time = |v: Value| match v {
                Value::Scalar(s) => ScalarValue::from_bytes(item, s.bytes()).map_or(v, Value::from),
                v => v,
            };
            let (bounds, nans) = ordered::<i64>(bytes, mask);
            (bounds.map(|(min, max)| (time(min), time(max))), nans)
        }
    }
}

/// Elements that are compared at once: as many as vectors of any machine hold.
const LANES: usize = 32;

fn natives<T: ScalarElement>(bytes: &[u8], mask: Option<&[u8]>) -> impl Iterator<Item = T> {
    let valid = move |i: usize| mask.is_none_or(|mask| mask.get(i) == Some(&1));
    let all = bytes.chunks_exact(size_of::<T>()).map(T::from_le).enumerate();
    all.filter(move |(i, _)| valid(*i)).map(|(_, v)| v)
}

/// The least and the greatest of the elements that are numbers, and how many are none.
fn extremes<T: ScalarElement + PartialOrd>(
    bytes: &[u8],
    mask: Option<&[u8]>,
    is_nan: impl Fn(T) -> bool,
) -> (Option<(T, T)>, u64) {
    let mut nans = 0;
    let Some(first) = natives::<T>(bytes, mask).inspect(|_| nans += 1).find(|v| !is_nan(*v)) else {
        return (None, nans);
    };
    nans = 0;
    let less = |a: T, b: T| if a < b { a } else { b };
    let greater = |a: T, b: T| if a > b { a } else { b };
    let (mut min, mut max) = (first, first);
    let mut rest = bytes;
    if mask.is_none() {
        // Lane by lane, without a branch: the compiler makes vectors of it. A NaN is neither less nor greater.
        let groups = bytes.chunks_exact(size_of::<T>() * LANES);
        rest = groups.remainder();
        let (mut least, mut most, mut none) = ([first; LANES], [first; LANES], [0u32; LANES]);
        for group in groups {
            for (i, v) in group.chunks_exact(size_of::<T>()).map(T::from_le).enumerate().take(LANES) {
                least[i] = less(v, least[i]);
                most[i] = greater(v, most[i]);
                none[i] += u32::from(is_nan(v));
            }
        }
        (min, max) = (
            least.into_iter().fold(min, |m, v| less(v, m)),
            most.into_iter().fold(max, |m, v| greater(v, m)),
        );
        nans = none.into_iter().map(u64::from).sum();
    }
    for v in natives::<T>(rest, mask) {
        (min, max) = (less(v, min), greater(v, max));
        nans += u64::from(is_nan(v));
    }
    (Some((min, max)), nans)
}

fn ordered<T: ScalarElement + Ord>(bytes: &[u8], mask: Option<&[u8]>) -> Scan {
    let (bounds, _) = extremes::<T>(bytes, mask, |_| false);
    (bounds.map(|(min, max)| (min.into(), max.into())), 0)
}

fn float<T: ScalarElement + PartialOrd>(
    bytes: &[u8],
    mask: Option<&[u8]>,
    is_nan: impl Fn(T) -> bool,
    is_zero: impl Fn(T) -> bool,
    negative_zero: T,
    zero: T,
) -> Scan {
    let (bounds, nans) = extremes(bytes, mask, is_nan);
    // -0.0 and 0.0 are equal: write the pair that is a bound under either reading, whatever the order of the elements.
    let bounds = bounds.map(|(min, max)| {
        let min = if is_zero(min) { negative_zero } else { min };
        (min.into(), if is_zero(max) { zero } else { max }.into())
    });
    (bounds, nans)
}

fn nan_parts<T: ScalarElement>(bytes: &[u8], mask: Option<&[u8]>, is_nan: impl Fn(T) -> bool) -> u64 {
    let valid = |i: usize| mask.is_none_or(|mask| mask.get(i) == Some(&1));
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
    fn bounds_of_any_number_of_elements_are_those_of_one_by_one() {
        for n in (0..100).chain([1000, 1031]) {
            let values: Vec<f32> = (0..n)
                .map(|i| match i * 7919 % 11 {
                    0 => f32::NAN,
                    1 => f32::INFINITY,
                    k => (i * k) as f32 - 1000.0,
                })
                .collect();
            let some = || values.iter().copied().filter(|v| !v.is_nan());
            let bounds = some().min_by(f32::total_cmp).zip(some().max_by(f32::total_cmp));
            let s = of(&values);
            assert_eq!(s.bounds, bounds.map(|(min, max)| (min.into(), max.into())), "{n}");
            assert_eq!(s.counts.unwrap().nans, (values.len() - some().count()) as u64);
            let masked: Vec<Option<f32>> =
                values.iter().enumerate().map(|(i, v)| (i % 3 > 0).then_some(*v)).collect();
            let kept: Vec<f32> = masked.iter().flatten().copied().collect();
            assert_eq!(of(&masked).bounds, of(&kept).bounds, "{n}");
            let integers: Vec<i16> = (0..n).map(|i| (i * 7919 % 1009) as i16 - 500).collect();
            let bounds = integers.iter().min().zip(integers.iter().max());
            assert_eq!(of(&integers).bounds, bounds.map(|(min, max)| ((*min).into(), (*max).into())), "{n}");
        }
    }

    #[test]
    fn zeros_bound_either_sign() {
        let s = of(&[0.0f64, -0.0]);
        let (min, max) = s.bounds.unwrap();
        assert_eq!((min, max), (Value::from(-0.0f64), Value::from(0.0f64)));
    }
}
