//! Statistics in little memory: those of a million chunks may wait for a commit.

use std::borrow::Cow;

use array_format_core::dtype::Scalar;
use array_format_core::statistics::{Counts, Statistics};
use array_format_core::value::{ScalarValue, Value};

/// What is known of the values of a chunk.
#[derive(Debug, Clone)]
pub(crate) struct Brief(Form);

#[derive(Debug, Clone)]
enum Form {
    /// Numbers of at most 8 bytes, all bounds and counts known and exact.
    Numbers {
        item: Scalar,
        min: [u8; 8],
        max: [u8; 8],
        rows: u32,
        nulls: u32,
        nans: u32,
    },
    Any(Box<Statistics>),
}

impl Brief {
    pub(crate) fn new(statistics: Statistics) -> Self {
        Self(numbers(&statistics).unwrap_or_else(|| Form::Any(Box::new(statistics))))
    }

    pub(crate) fn get(&self) -> Cow<'_, Statistics> {
        match &self.0 {
            Form::Any(statistics) => Cow::Borrowed(statistics),
            Form::Numbers { item, min, max, rows, nulls, nans } => {
                let value = |bytes: &[u8; 8]| {
                    let bytes = bytes.get(..item.size_bytes()).unwrap_or_default();
                    ScalarValue::from_bytes(*item, bytes).ok().map(Value::from)
                };
                let counts =
                    Counts { rows: u64::from(*rows), nulls: u64::from(*nulls), nans: u64::from(*nans) };
                let (bounds, counts) = (value(min).zip(value(max)), Some(counts));
                Cow::Owned(Statistics { bounds, loose: false, counts })
            }
        }
    }
}

fn numbers(statistics: &Statistics) -> Option<Form> {
    let Statistics {
        bounds: Some((Value::Scalar(min), Value::Scalar(max))),
        loose: false,
        counts: Some(counts),
    } = statistics
    else {
        return None;
    };
    let small = |n: u64| u32::try_from(n).ok();
    let lane = |value: &ScalarValue| {
        let mut lane = [0; 8];
        lane.get_mut(..value.bytes().len())?.copy_from_slice(value.bytes());
        Some(lane)
    };
    let item = min.item();
    Some(Form::Numbers {
        item: (item == max.item()).then_some(item)?,
        min: lane(min)?,
        max: lane(max)?,
        rows: small(counts.rows)?,
        nulls: small(counts.nulls)?,
        nans: small(counts.nans)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_statistics_come_back() {
        let counts = |rows| Some(Counts { rows, nulls: 1, nans: 2 });
        let bounds: [Option<(Value, Value)>; 6] = [
            None,
            Some((1f32.into(), 2f32.into())),
            Some((i64::MIN.into(), i64::MAX.into())),
            Some((true.into(), true.into())),
            Some((1u8.into(), 1u16.into())),
            Some(("a".into(), "b".into())),
        ];
        for bounds in bounds {
            for counts in [None, counts(7), counts(1 << 32)] {
                for loose in [false, true] {
                    let statistics = Statistics { bounds: bounds.clone(), loose, counts };
                    assert_eq!(*Brief::new(statistics.clone()).get(), statistics);
                }
            }
        }
        assert!(size_of::<Brief>() <= 32, "{}", size_of::<Brief>());
    }
}
