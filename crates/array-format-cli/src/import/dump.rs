//! A source as JSON, for the comparison with an independent reader: `tests/roundtrip/check_import.py` says what the
//! fields are. Values stand as the SHA-256 of their bytes, floating-point attributes as their bits.

use array_format_core::{DType, Error, Result, Scalar};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::slabs::{Slab, slabs};
use super::{AttributeValue, Attributes, Skipped, Source, SourceValues, SourceVariable};

/// All of it. Variables are read in slabs of about `slab_bytes`, as `af import` reads them.
pub(crate) fn dump(source: &dyn Source, slab_bytes: u64) -> Value {
    let mut skipped: Vec<Value> = source.skipped().iter().map(skipped_json).collect();
    let mut arrays = Vec::new();
    for variable in source.variables() {
        match sha256(source, variable, slab_bytes) {
            Ok(hash) => arrays.push(array_json(variable, &hash)),
            Err(e) => {
                let reason = e.to_string();
                skipped.push(skipped_json(&Skipped { name: variable.name.clone(), attribute: None, reason }));
            }
        }
    }
    let groups = source.groups().iter().map(|group| {
        let dimensions = group.dimensions.iter();
        let dimensions = dimensions.map(|d| json!({"name": d.name, "len": d.len, "unlimited": d.unlimited}));
        json!({
            "path": group.path,
            "dimensions": dimensions.collect::<Vec<_>>(),
            "attributes": attributes_json(&group.attributes),
        })
    });
    json!({"groups": groups.collect::<Vec<_>>(), "arrays": arrays, "skipped": skipped})
}

fn skipped_json(skipped: &Skipped) -> Value {
    json!({"name": skipped.name, "attribute": skipped.attribute, "reason": skipped.reason})
}

fn array_json(variable: &SourceVariable, sha256: &str) -> Value {
    json!({
        "name": variable.name,
        "dtype": variable.dtype.to_string(),
        "char": variable.is_char,
        "dims": variable.dims,
        "shape": variable.shape,
        "chunks": variable.chunk_shape,
        "fill": variable.fill.as_deref().map(hex),
        "sha256": sha256,
        "attributes": attributes_json(&variable.attributes),
    })
}

fn attributes_json(attributes: &Attributes) -> Value {
    let one = |(name, value): &(String, AttributeValue)| {
        let (of, value) = match value {
            AttributeValue::Scalar(item, bytes) => {
                (item.to_string(), numbers(*item, bytes).pop().unwrap_or_default())
            }
            AttributeValue::List(item, bytes) => {
                (format!("list<{item}>"), Value::Array(numbers(*item, bytes)))
            }
            AttributeValue::String(text) => ("string".to_owned(), json!(text)),
            AttributeValue::StringList(texts) => ("list<string>".to_owned(), json!(texts)),
            AttributeValue::Binary(bytes) => ("binary".to_owned(), json!(hex(bytes))),
        };
        (name.clone(), json!({"type": of, "value": value}))
    };
    Value::Object(attributes.iter().map(one).collect::<Map<_, _>>())
}

/// Integers and times as numbers, floating-point numbers as `0x` and their bits, complex ones as pairs.
fn numbers(item: Scalar, bytes: &[u8]) -> Vec<Value> {
    let bits = |b: &[u8]| Value::String(format!("0x{}", hex(&b.iter().rev().copied().collect::<Vec<_>>())));
    let one = |bytes: &[u8]| {
        if item.is_complex() {
            return Value::Array(bytes.chunks(item.lane_bytes()).map(bits).collect());
        }
        if item.is_float() {
            return bits(bytes);
        }
        let unsigned = matches!(item, Scalar::Bool | Scalar::U8 | Scalar::U16 | Scalar::U32 | Scalar::U64);
        let negative = !unsigned && bytes.last().is_some_and(|b| b & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide.iter_mut().zip(bytes).for_each(|(w, b)| *w = *b);
        if unsigned { json!(u64::from_le_bytes(wide)) } else { json!(i64::from_le_bytes(wide)) }
    };
    bytes.chunks_exact(item.size_bytes()).map(one).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Of all elements in row-major order: those of fixed width little-endian, the others each with its length before
/// it (u64, in bytes; in items for lists).
fn sha256(source: &dyn Source, variable: &SourceVariable, slab_bytes: u64) -> Result<String> {
    let width = variable.dtype.fixed_size_bytes();
    let count = super::region_elements(&variable.shape, &vec![0; variable.shape.len()], &variable.shape)?;
    let mut fixed = vec![0u8; count.saturating_mul(width.unwrap_or(0))];
    let mut varying: Vec<Vec<u8>> = vec![Vec::new(); if width.is_none() { count } else { 0 }];
    for slab in slabs(variable, slab_bytes) {
        match source.read(&variable.name, &slab.start, &slab.shape)? {
            SourceValues::Fixed(part) => {
                place(&mut fixed, &variable.shape, &slab, &part, width.unwrap_or(1))?;
            }
            SourceValues::Binary(part) => place(&mut varying, &variable.shape, &slab, &part, 1)?,
            SourceValues::Lists { lists, .. } => place(&mut varying, &variable.shape, &slab, &lists, 1)?,
            SourceValues::Strings(part) => {
                let part: Vec<Vec<u8>> = part.into_iter().map(String::into_bytes).collect();
                place(&mut varying, &variable.shape, &slab, &part, 1)?;
            }
        }
    }
    let mut hash = Sha256::new();
    hash.update(&fixed);
    let item = match variable.dtype {
        DType::List { item } => item.size_bytes(),
        _ => 1,
    };
    for value in &varying {
        hash.update(((value.len() / item) as u64).to_le_bytes());
        hash.update(value);
    }
    Ok(hex(&hash.finalize()))
}

/// Copies the elements of a slab, each of `width` units, to their places in the whole.
fn place<T: Clone>(whole: &mut [T], of: &[u64], slab: &Slab, part: &[T], width: usize) -> Result<()> {
    let wrong = || Error::corrupt("the source gave another number of elements than were asked for");
    let row = slab.shape.last().map_or(Ok(1), |n| usize::try_from(*n).map_err(|_| wrong()))? * width;
    let rows = part.chunks(row.max(1));
    if part.len() as u64 != slab.shape.iter().product::<u64>() * width as u64 {
        return Err(wrong());
    }
    let outer = slab.shape.len().saturating_sub(1);
    let mut index = vec![0u64; outer];
    for row in rows {
        let mut at = 0u64;
        for (axis, n) in of.iter().enumerate() {
            at = at * n + slab.start[axis] + index.get(axis).copied().unwrap_or(0);
        }
        let at = usize::try_from(at).map_err(|_| wrong())? * width;
        whole.get_mut(at..at + row.len()).ok_or_else(wrong)?.clone_from_slice(row);
        for axis in (0..outer).rev() {
            index[axis] += 1;
            if index[axis] < slab.shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    Ok(())
}
