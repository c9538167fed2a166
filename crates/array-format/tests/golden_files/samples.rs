//! Elements for every type: the awkward ones first, then an endless supply of ordinary ones.

use array_format::{DType, Scalar, Value};

use super::model::Cell;

/// `value` in as many little-endian bytes as the type has.
fn le(item: Scalar, value: i128) -> Vec<u8> {
    value.to_le_bytes()[..item.size_bytes()].to_vec()
}

/// Zeros, ones, the largest, the least, infinities and NaNs of both signs, one with a payload.
fn floats(bytes: u32, mantissa: u32) -> Vec<i128> {
    let sign = 1i128 << (8 * bytes - 1);
    let infinity = (sign - 1) >> mantissa << mantissa;
    let one = (infinity >> 1) & !((1 << mantissa) - 1);
    let quiet = infinity | 1 << (mantissa - 1);
    vec![0, sign, one, sign | one, infinity, quiet, infinity - 1, 1, sign | infinity, sign | quiet | 1]
}

fn special(item: Scalar) -> Vec<Vec<u8>> {
    let bits = 8 * item.size_bytes() as u32;
    let numbers = match item.name() {
        "bool" => vec![1, 0],
        "u8" | "u16" | "u32" | "u64" => vec![0, (1 << bits) - 1, 1, 1 << (bits - 1)],
        "f16" => floats(2, 10),
        "bf16" => floats(2, 7),
        "f32" => floats(4, 23),
        "f64" => floats(8, 52),
        "complex64" => return pairs(Scalar::F32),
        "complex128" => return pairs(Scalar::F64),
        _ => vec![0, -1, -(1 << (bits - 1)), (1 << (bits - 1)) - 1, 1], // the third is NaT to numpy
    };
    numbers.into_iter().map(|n| le(item, n)).collect()
}

/// Every special part beside another one.
fn pairs(part: Scalar) -> Vec<Vec<u8>> {
    let parts = special(part);
    (0..parts.len()).map(|i| [&parts[i][..], &parts[(i + 3) % parts.len()]].concat()).collect()
}

/// Scalar number `i` of a type: small integers, which every type has.
pub(crate) fn scalar(item: Scalar, i: u64) -> Vec<u8> {
    let n = (i * 7 % 100) as u8;
    let exact = |n: u8| Value::from(f32::from(n));
    let Value::Scalar(f) = exact(n) else { unreachable!() };
    match item.name() {
        "bool" => vec![n & 1],
        "f16" => half(n).to_vec(),
        "bf16" => f.bytes()[2..].to_vec(), // integers below 256 have their last 16 bits clear
        "f32" => f.bytes().to_vec(),
        "f64" => f64::from(n).to_le_bytes().to_vec(),
        "complex64" => [f.bytes(), &f32::from(n / 2).to_le_bytes()].concat(),
        "complex128" => [f64::from(n).to_le_bytes(), f64::from(n / 2).to_le_bytes()].concat(),
        _ => le(item, i128::from(n)),
    }
}

/// An integer below 256 as binary16.
fn half(n: u8) -> [u8; 2] {
    let Some(high) = n.checked_ilog2() else { return [0, 0] };
    let mantissa = (u16::from(n) << (10 - high)) & 0x3ff;
    ((high as u16 + 15) << 10 | mantissa).to_le_bytes()
}

const TEXTS: [&str; 6] = ["", "a", "Zürich", "日本", "a\0b", "longer than the others by far"];

/// Element number `i` of a type.
pub(crate) fn element(dtype: DType, i: u64) -> Vec<u8> {
    let text = || {
        format!("{}{}", TEXTS[i as usize % TEXTS.len()], if i < 6 { String::new() } else { i.to_string() })
    };
    match dtype {
        DType::Scalar(item) => {
            let special = special(item);
            special.get(i as usize).cloned().unwrap_or_else(|| scalar(item, i))
        }
        DType::String => text().into_bytes(),
        DType::Binary => text().bytes().map(|b| b ^ 0xA5).collect(),
        DType::FixedList { item, len } => {
            (0..u64::from(len)).flat_map(|k| element(item.into(), i + k)).collect()
        }
        DType::List { item } => (0..i % 4).flat_map(|k| element(item.into(), i + k)).collect(),
    }
}

/// `n` elements.
pub(crate) fn cells(dtype: impl Into<DType>, n: u64) -> Vec<Cell> {
    let dtype = dtype.into();
    (0..n).map(|i| Some(element(dtype, i))).collect()
}

/// `n` elements, every third of them null.
pub(crate) fn cells_with_nulls(dtype: impl Into<DType>, n: u64) -> Vec<Cell> {
    let all = cells(dtype, n).into_iter().enumerate();
    all.map(|(i, cell)| cell.filter(|_| i % 3 != 1)).collect()
}

/// `n` ordinary scalars.
pub(crate) fn plain(item: Scalar, n: u64) -> Vec<Cell> {
    (0..n).map(|i| Some(scalar(item, i))).collect()
}

/// Elements of a native type.
pub(crate) fn native<T: array_format::ArrayElement>(all: &[T]) -> Vec<Cell> {
    let bytes = |e: &T| e.is_valid().then(|| array_format::element::fill_bytes(e));
    all.iter().map(bytes).collect()
}
