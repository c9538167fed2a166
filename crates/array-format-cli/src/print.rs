//! What goes to standard output.

use std::fmt::Display;
use std::io::Write;

use array_format::{DType, Elements, Scalar, ScalarValue, Value, Values};
use serde_json::json;

/// Prints a line. False when nobody reads any more (`af ls | head`), which is no error.
pub(crate) fn line(text: &impl Display) -> bool {
    writeln!(std::io::stdout().lock(), "{text}").is_ok()
}

/// `(time 12, depth 50)`, or `(12, 50)` without names.
pub(crate) fn shape(dimensions: &[String], shape: &[u64]) -> String {
    let one = |(n, s): (&String, &u64)| if n.is_empty() { s.to_string() } else { format!("{n} {s}") };
    format!("({})", dimensions.iter().zip(shape).map(one).collect::<Vec<_>>().join(", "))
}

/// Bytes for a person.
pub(crate) fn bytes(n: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} B") } else { format!("{value:.1} {}", units[unit]) }
}

/// A value as JSON: numbers where JSON has them, else text.
pub(crate) fn value_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Scalar(s) => scalar_json(s),
        Value::String(s) => json!(s),
        Value::StringList(l) => json!(l),
        Value::List { item, bytes } => bytes
            .chunks_exact(item.size_bytes())
            .map(|b| ScalarValue::from_bytes(*item, b).map_or(serde_json::Value::Null, |s| scalar_json(&s)))
            .collect(),
        other => json!(other.to_string()),
    }
}

/// A scalar as JSON. NaN, infinities and complex numbers, which JSON lacks, are text.
pub(crate) fn scalar_json(s: &ScalarValue) -> serde_json::Value {
    if s.item() == Scalar::Bool {
        return json!(s.as_i64() == Some(1));
    }
    if let Some(v) = s.get::<u64>() {
        return json!(v);
    }
    match (s.as_i64(), s.as_f64()) {
        (Some(i), _) => json!(i),
        // The shortest digits of its own type, not those of the f64 that it widens to.
        (None, Some(f)) if f.is_finite() => s.to_string().parse::<f64>().map_or(json!(f), |v| json!(v)),
        _ => json!(s.to_string()),
    }
}

/// Element `i` as JSON.
pub(crate) fn element_json(elements: &Elements, i: usize) -> serde_json::Value {
    if elements.validity.as_ref().is_some_and(|v| v.get(i) == Some(&0)) {
        return serde_json::Value::Null;
    }
    let bytes = match &elements.values {
        Values::Fixed(b) => {
            let size = elements.dtype.fixed_size_bytes().unwrap_or(1);
            b.get(i * size..(i + 1) * size).unwrap_or_default()
        }
        Values::Variable(v) => v.get(i),
    };
    match elements.dtype {
        DType::Scalar(item) => {
            ScalarValue::from_bytes(item, bytes).map_or(serde_json::Value::Null, |s| scalar_json(&s))
        }
        DType::String => json!(String::from_utf8_lossy(bytes)),
        DType::Binary => value_json(&Value::Binary(bytes.to_vec())),
        DType::FixedList { item, .. } | DType::List { item } => {
            value_json(&Value::List { item, bytes: bytes.to_vec() })
        }
    }
}
