//! The bytes of a chunk: `docs/format.md` sections 9.1 and 9.2.

use std::borrow::Cow;

use crate::buffer::{Elements, Values, Variable, zeroed};
use crate::checksum::check_earned;
use crate::codec::{decode_filters, encode_filters};
use crate::cursor::Cursor;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::format::column::{fixed, put_fixed};
use crate::schema::ArraySchema;

/// Bytes of the validity mask of `n` elements.
pub fn mask_bytes(schema: &ArraySchema, n: usize) -> usize {
    if schema.nullable { n.div_ceil(8) } else { 0 }
}

fn pack_mask(validity: &[u8], out: &mut Vec<u8>) {
    let byte = |bits: &[u8]| bits.iter().enumerate().fold(0, |b, (i, v)| b | (v & 1) << i);
    out.extend(validity.chunks(8).map(byte));
}

/// Unpacks the mask of `n` elements to a byte an element.
///
/// # Errors
/// `Corrupt` where its length or its spare bits are wrong.
pub fn unpack_mask(mask: &[u8], n: usize) -> Result<Vec<u8>> {
    let spare = mask.len() * 8;
    let last = mask.last().copied().unwrap_or(0);
    if mask.len() != n.div_ceil(8) || (spare > n && u32::from(last) >> (8 - (spare - n)) != 0) {
        return Err(Error::corrupt("a validity mask of the wrong length"));
    }
    Ok((0..n).map(|i| mask[i / 8] >> (i % 8) & 1).collect())
}

/// Encodes the elements of a chunk as they stand in an unframed block.
///
/// # Errors
/// As the filters.
pub fn encode(schema: &ArraySchema, elements: &Elements, out: &mut Vec<u8>) -> Result<()> {
    let filtered = |bytes| match schema.dtype.item() {
        Some(item) if !schema.filters.is_empty() => encode_filters(&schema.filters, item, bytes),
        _ => Ok(Cow::Borrowed(bytes)),
    };
    match &elements.values {
        Values::Fixed(bytes) => out.extend_from_slice(&filtered(bytes)?),
        Values::Variable(v) => {
            let unit = schema.dtype.item().map_or(1, |i| i.size_bytes() as u64);
            let mut last = 0;
            let mut lengths = Vec::with_capacity(v.len() * 8);
            for end in &v.ends {
                lengths.extend(((end - last) / unit).to_le_bytes());
                last = *end;
            }
            put_fixed(out, &lengths, 8);
            out.extend_from_slice(&filtered(&v.data)?);
        }
    }
    elements.validity.iter().for_each(|v| pack_mask(v, out));
    Ok(())
}

/// Decodes a chunk of `n` elements from its bytes in an unframed block. Allocates what the elements take, which the chunk's
/// bytes bound for types of varying length, and the caller for the others.
///
/// # Errors
/// `Corrupt` where the bytes are no such chunk.
pub fn decode(schema: &ArraySchema, n: usize, bytes: &[u8]) -> Result<Elements> {
    let (values, mask) = split_mask(schema, n, bytes)?;
    let validity = mask.map(|m| unpack_mask(m, n)).transpose()?;
    let values = match schema.dtype.fixed_size_bytes() {
        Some(size) => {
            let len = n.checked_mul(size).ok_or_else(|| Error::corrupt("a chunk too large"))?;
            check_earned(values.len() as u64, len as u64)?;
            let mut raw = zeroed(len)?;
            decode_fixed(schema, values, &mut raw)?;
            Values::Fixed(raw)
        }
        None => Values::Variable(decode_variable(schema, n, values)?),
    };
    Ok(Elements { dtype: schema.dtype, values, validity })
}

/// Splits the validity mask off the end of a chunk's bytes.
///
/// # Errors
/// `Corrupt` where the chunk is shorter than its mask.
pub fn split_mask<'a>(
    schema: &ArraySchema,
    n: usize,
    bytes: &'a [u8],
) -> Result<(&'a [u8], Option<&'a [u8]>)> {
    if !schema.nullable {
        return Ok((bytes, None));
    }
    let at = bytes.len().checked_sub(n.div_ceil(8));
    let (values, mask) = at
        .and_then(|at| bytes.split_at_checked(at))
        .ok_or_else(|| Error::corrupt("a chunk is shorter than its validity mask"))?;
    Ok((values, Some(mask)))
}

/// Whether the values of a chunk in an unframed block lie there as they do in memory.
pub fn is_plain(schema: &ArraySchema) -> bool {
    schema.filters.is_empty() && schema.dtype.item() != Some(Scalar::Bool)
}

/// Decodes the values of a type of fixed size straight into `raw`, which has exactly their size.
///
/// # Errors
/// `Corrupt`.
pub fn decode_fixed(schema: &ArraySchema, values: &[u8], raw: &mut [u8]) -> Result<()> {
    match schema.dtype.item() {
        Some(item) if !schema.filters.is_empty() => decode_filters(&schema.filters, item, values, raw)?,
        _ if values.len() == raw.len() => raw.copy_from_slice(values),
        _ => {
            let (found, expected) = (values.len(), raw.len());
            return Err(Error::corrupt(format!(
                "a chunk of {found} bytes, its shape and type make {expected}"
            )));
        }
    }
    if schema.dtype.item() == Some(Scalar::Bool) && raw.iter().any(|b| *b > 1) {
        return Err(Error::corrupt("a bool that is neither 0 nor 1"));
    }
    Ok(())
}

fn decode_variable(schema: &ArraySchema, n: usize, bytes: &[u8]) -> Result<Variable> {
    let mut c = Cursor::new(bytes);
    let unit = schema.dtype.item().map_or(1, |i| i.size_bytes() as u64);
    let mut end = 0u64;
    let mut ends = Vec::with_capacity(n.min(bytes.len() / 8));
    for length in fixed(&mut c, n, 8)?.as_chunks::<8>().0 {
        end = u64::from_le_bytes(*length)
            .checked_mul(unit)
            .and_then(|len| end.checked_add(len))
            .ok_or_else(|| Error::corrupt("elements of more than 2^64 bytes"))?;
        ends.push(end);
    }
    let rest = c.take(c.remaining())?;
    let data = match schema.dtype.item() {
        Some(item) if !schema.filters.is_empty() => {
            // Filters shrink numbers by at most about 2,000 (a constant run): more than that the bytes have not earned.
            let most = (rest.len() as u64).saturating_mul(1 << 11).saturating_add(1 << 20);
            let len = usize::try_from(end).ok().filter(|_| end <= most);
            let mut data = vec![0; len.ok_or_else(|| Error::corrupt("lists longer than their bytes allow"))?];
            decode_filters(&schema.filters, item, rest, &mut data)?;
            data
        }
        _ if rest.len() as u64 == end => rest.to_vec(),
        _ => return Err(Error::corrupt(format!("elements of {end} bytes in {} bytes", rest.len()))),
    };
    let text = schema.dtype == DType::String;
    if text && !boundaries(&data, &ends) {
        return Err(Error::corrupt("a string is not UTF-8"));
    }
    Ok(Variable { ends, data })
}

/// Whether the whole is UTF-8 and is cut between characters.
fn boundaries(data: &[u8], ends: &[u64]) -> bool {
    std::str::from_utf8(data).is_ok_and(|s| ends.iter().all(|e| s.is_char_boundary(*e as usize)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Filter;

    fn schema(dtype: DType, nullable: bool, filters: Vec<Filter>) -> ArraySchema {
        ArraySchema {
            dtype,
            nullable,
            dimensions: vec![],
            chunk_shape: None,
            fill: None,
            filters,
            codec: None,
        }
    }

    #[test]
    fn chunks_of_every_kind_round_trip() {
        let words = Variable { ends: vec![1, 1, 4], data: b"a\xc3\xa4b".to_vec() };
        let lists = Variable { ends: vec![4, 4, 12], data: (0..12).collect() };
        let cases = [
            (schema(Scalar::F32.into(), false, vec![Filter::Shuffle]), Values::Fixed((0..12).collect())),
            (
                schema(Scalar::I16.into(), true, vec![Filter::Delta, Filter::Shuffle]),
                Values::Fixed((0..6).collect()),
            ),
            (schema(DType::String, true, vec![]), Values::Variable(words)),
            (
                schema(DType::List { item: Scalar::I32 }, false, vec![Filter::Shuffle]),
                Values::Variable(lists),
            ),
        ];
        for (schema, values) in cases {
            let validity = schema.nullable.then(|| vec![1, 0, 1]);
            let elements = Elements { dtype: schema.dtype, values, validity };
            let mut out = Vec::new();
            encode(&schema, &elements, &mut out).unwrap();
            assert_eq!(decode(&schema, 3, &out).unwrap(), elements);
            assert!(decode(&schema, 3, &out[1..]).is_err());
            assert!(decode(&schema, 40, &out).is_err());
        }
    }

    #[test]
    fn a_bool_of_two_and_a_cut_character_are_damage() {
        assert!(decode(&schema(Scalar::Bool.into(), false, vec![]), 1, &[2]).is_err());
        let cut = Variable { ends: vec![1, 2], data: "ä".into() };
        let s = schema(DType::String, false, vec![]);
        let mut out = Vec::new();
        encode(&s, &Elements { dtype: s.dtype, values: Values::Variable(cut), validity: None }, &mut out)
            .unwrap();
        assert!(decode(&s, 2, &out).is_err());
    }
}
