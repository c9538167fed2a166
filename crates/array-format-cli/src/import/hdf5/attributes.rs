//! Attributes of groups and datasets.

use array_format_core::{DType, Scalar};
use hdf5_reader::group::Group;
use hdf5_reader::{Attribute, Dataset, RawAttribute};

use super::super::{AttributeValue, Attributes, Skipped, lanes};
use super::types::Element;
use super::values::unpadded;

/// What netCDF keeps for itself. `CLASS` and `NAME` are hidden on dimension scales only: elsewhere they are the
/// user's.
const HIDDEN: [&str; 6] = [
    "DIMENSION_LIST",
    "REFERENCE_LIST",
    "_Netcdf4Dimid",
    "_Netcdf4Coordinates",
    "_NCProperties",
    "_nc3_strict",
];

/// Whom attributes belong to.
pub(super) enum Owner<'a> {
    Group(&'a Group),
    Dataset(&'a Dataset, /* is a dimension scale */ bool),
}

impl Owner<'_> {
    fn hides(&self, name: &str) -> bool {
        HIDDEN.contains(&name)
            || (matches!(self, Self::Dataset(_, true)) && ["CLASS", "NAME"].contains(&name))
    }

    fn all(&self) -> Result<Vec<Attribute>, String> {
        match self {
            Self::Group(g) => g.attributes().map_err(|e| e.to_string()),
            Self::Dataset(d, _) => Ok(d.attributes()),
        }
    }

    fn raw(&self, name: &str) -> Option<RawAttribute> {
        let all = match self {
            Self::Group(g) => g.raw_attributes(),
            Self::Dataset(d, _) => d.raw_attributes(),
        };
        all.ok()?.into_iter().find(|a| a.name() == name)
    }

    fn resolve(&self, reference: &[u8], width: usize) -> Result<Vec<u8>, String> {
        match self {
            Self::Group(g) => g.resolve_vlen_reference_bytes(reference, width),
            Self::Dataset(d, _) => d.resolve_vlen_reference_bytes(reference, width),
        }
        .map_err(|e| e.to_string())
    }
}

/// The attributes of `owner`, which is called `name`. What cannot be had is added to `skipped`.
pub(super) fn read(owner: &Owner<'_>, name: &str, skipped: &mut Vec<Skipped>) -> Attributes {
    let mut note = |attribute: Option<&str>, reason: String| {
        skipped.push(Skipped { name: name.to_owned(), attribute: attribute.map(str::to_owned), reason });
    };
    let all = owner.all().unwrap_or_else(|e| {
        note(None, format!("its attributes cannot be read: {e}"));
        Vec::new()
    });
    let mut out = Vec::with_capacity(all.len());
    for attribute in all.iter().filter(|a| !owner.hides(&a.name)) {
        let mut exact = true;
        match value(owner, attribute, &mut exact) {
            Ok(value) => out.push((attribute.name.clone(), value)),
            Err(reason) => note(Some(&attribute.name), format!("left out: {reason}")),
        }
        if !exact {
            note(
                Some(&attribute.name),
                "not UTF-8; bytes that are no text were replaced by U+FFFD".to_owned(),
            );
        }
    }
    out
}

fn value(owner: &Owner<'_>, attribute: &Attribute, exact: &mut bool) -> Result<AttributeValue, String> {
    let raw_type = || owner.raw(&attribute.name).map(|a| a.raw_datatype().to_vec());
    let element = Element::of(&attribute.datatype, &raw_type)?;
    let count = attribute.num_elements().map_err(|e| e.to_string())?;
    let count = usize::try_from(count).map_err(|e| e.to_string())?;
    let bytes = |width: usize| {
        let len = count.checked_mul(width);
        let bytes = len.and_then(|n| attribute.raw_data.get(..n));
        bytes.map(<[u8]>::to_vec).ok_or_else(|| "its bytes are missing".to_owned())
    };
    let mut decode = |bytes: Vec<u8>| match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => {
            *exact = false;
            String::from_utf8_lossy(e.as_bytes()).into_owned()
        }
    };
    Ok(match element {
        Element::Fixed { dtype: DType::Scalar(item), swap } => {
            let mut bytes = bytes(item.size_bytes())?;
            lanes::swap(&mut bytes, swap);
            AttributeValue::numbers(item, bytes)
        }
        Element::Fixed { dtype: DType::FixedList { item, len }, swap } if count == 1 => {
            let mut bytes =
                bytes(item.size_bytes().saturating_mul(usize::try_from(len).unwrap_or(usize::MAX)))?;
            lanes::swap(&mut bytes, swap);
            if item == Scalar::U8 { AttributeValue::Binary(bytes) } else { AttributeValue::List(item, bytes) }
        }
        Element::Char => AttributeValue::String(decode(trimmed(bytes(1)?))),
        Element::FixedText { padding } => {
            let width = attribute.raw_data.len().checked_div(count).unwrap_or(0);
            let bytes = bytes(width)?;
            let strings: Vec<String> = match attribute.shape.is_empty() {
                true => vec![decode(trimmed(bytes))], // netCDF's NC_CHAR: the blanks at its end are the user's
                false => bytes.chunks(width.max(1)).map(|b| decode(unpadded(b.to_vec(), padding))).collect(),
            };
            AttributeValue::strings(strings)
        }
        Element::Text { padding } => match &attribute.decoded_strings {
            Some(strings) => AttributeValue::strings(strings.clone()),
            None => {
                // The reader gives none if one of them is not UTF-8.
                let raw = owner.raw(&attribute.name).ok_or("its bytes are missing")?;
                let references = &raw.message().raw_data;
                let width = references.len().checked_div(count).unwrap_or(0).max(1);
                let one = |r: &[u8]| Ok(decode(unpadded(owner.resolve(r, 1)?, padding)));
                let strings = references.chunks(width).take(count).map(one).collect::<Result<_, String>>()?;
                AttributeValue::strings(strings)
            }
        },
        Element::List { item, swap } if count == 1 => {
            let mut bytes = owner.resolve(&attribute.raw_data, item.size_bytes())?;
            lanes::swap(&mut bytes, swap);
            AttributeValue::List(item, bytes)
        }
        Element::Fixed { .. } | Element::List { .. } => {
            return Err(format!("{count} lists in one attribute"));
        }
    })
}

fn trimmed(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |i| i + 1);
    bytes.truncate(end);
    bytes
}
