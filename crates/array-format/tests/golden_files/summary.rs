//! Statistics as section 10 of the format says, from raw bytes.

use array_format::DType;

use super::model::Cell;

/// Statistics of a chunk, or of the chunks of an array together.
#[derive(Clone, Default)]
pub(crate) struct Summary {
    pub(crate) rows: u64,
    pub(crate) nulls: u64,
    pub(crate) nans: u64,
    /// Minimum and maximum; `None` where there is no value to have any.
    bounds: Option<(Vec<u8>, Vec<u8>)>,
    /// There are values, but a bound was too long to be kept, or the type has no order.
    unknown: bool,
}

/// What the values of a type sort by.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i128),
    Bytes(Vec<u8>),
}

/// Bits of mantissa, of the floats.
fn mantissa(name: &str) -> Option<u32> {
    Some(match name {
        "f16" => 10,
        "bf16" => 7,
        "f32" => 23,
        "f64" => 52,
        _ => return None,
    })
}

fn unsigned(bytes: &[u8]) -> i128 {
    bytes.iter().rev().fold(0, |n, b| n << 8 | i128::from(*b))
}

/// Sign and magnitude; the order of a float's magnitudes is that of its bits.
fn float(bytes: &[u8]) -> (bool, i128) {
    let (bits, sign) = (unsigned(bytes), 1i128 << (8 * bytes.len() - 1));
    (bits & sign != 0, bits & !sign)
}

fn is_nan(bytes: &[u8], mantissa: u32) -> bool {
    let infinity = ((1i128 << (8 * bytes.len() - 1)) - 1) >> mantissa << mantissa;
    float(bytes).1 > infinity
}

/// `None` for a type without order.
fn key(dtype: DType, bytes: &[u8]) -> Option<Key> {
    let name = dtype.to_string();
    if mantissa(&name).is_some() {
        let (negative, magnitude) = float(bytes);
        return Some(Key::Number(if negative { -magnitude } else { magnitude }));
    }
    let number = unsigned(bytes);
    let full = 1i128 << (8 * bytes.len().min(15));
    match name.as_str() {
        "string" | "binary" => Some(Key::Bytes(bytes.to_vec())),
        "bool" | "u8" | "u16" | "u32" | "u64" => Some(Key::Number(number)),
        "complex64" | "complex128" => None,
        _ if name.starts_with("list") => None,
        _ => Some(Key::Number(if number >= full / 2 { number - full } else { number })),
    }
}

fn holds_nan(dtype: DType, bytes: &[u8]) -> bool {
    let half = |name| bytes.chunks_exact(bytes.len() / 2).any(|part| is_nan(part, mantissa(name).unwrap()));
    match dtype.to_string().as_str() {
        "complex64" => half("f32"),
        "complex128" => half("f64"),
        name => mantissa(name).is_some_and(|m| is_nan(bytes, m)),
    }
}

/// -0.0 counts as 0.0; a minimum of zero is written -0.0, a maximum +0.0.
fn signed_zero(dtype: DType, bytes: &[u8], minimum: bool) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if mantissa(&dtype.to_string()).is_some() && float(&bytes).1 == 0 {
        *bytes.last_mut().unwrap() = if minimum { 0x80 } else { 0 };
    }
    bytes
}

impl Summary {
    pub(crate) fn of(dtype: DType, cells: &[&Cell]) -> Self {
        let mut all = Self { rows: cells.len() as u64, ..Self::default() };
        let mut values: Vec<&Vec<u8>> = Vec::new();
        for cell in cells {
            match cell {
                None => all.nulls += 1,
                Some(bytes) if holds_nan(dtype, bytes) => all.nans += 1,
                Some(bytes) => values.push(bytes),
            }
        }
        all.unknown = values.iter().any(|v| key(dtype, v).is_none());
        if !all.unknown {
            let min = values.iter().min_by_key(|v| key(dtype, v));
            let max = values.iter().max_by_key(|v| key(dtype, v));
            let signed = |v: &Vec<u8>, minimum| signed_zero(dtype, v, minimum);
            all.bounds = min.zip(max).map(|(min, max)| (signed(min, true), signed(max, false)));
        }
        if all.bounds.as_ref().is_some_and(|(min, max)| min.len() > 64 || max.len() > 64) {
            (all.bounds, all.unknown) = (None, true);
        }
        all
    }

    /// Of both. What is unknown of one is unknown of both.
    pub(crate) fn and(self, other: &Self, dtype: DType) -> Self {
        let unknown = self.unknown || other.unknown;
        let bounds = match (self.bounds, other.bounds.clone()) {
            _ if unknown => None,
            (Some((a, b)), Some((c, d))) => {
                let low = if key(dtype, &c) < key(dtype, &a) { c } else { a };
                let high = if key(dtype, &d) > key(dtype, &b) { d } else { b };
                Some((low, high))
            }
            (a, b) => a.or(b),
        };
        let (rows, nulls) = (self.rows + other.rows, self.nulls + other.nulls);
        Self { rows, nulls, nans: self.nans + other.nans, bounds, unknown }
    }

    /// Minimum and maximum, if they are known and there.
    pub(crate) fn bounds(&self) -> Option<&(Vec<u8>, Vec<u8>)> {
        self.bounds.as_ref()
    }
}
