//! NetCDF-3: classic, 64-bit offset and 64-bit data (CDF-5). Everything is in the root group, nothing in chunks.

use std::path::Path;

use array_format_core::{DType, Error, ErrorKind, Result, Scalar};
use netcdf_reader::classic::data::NcReadType;
use netcdf_reader::{NcAttrValue, NcAttribute, NcFile, NcSliceInfo, NcSliceInfoElem, NcType, NcVariable};

use super::lanes::le_bytes;
use super::{
    AttributeValue, Attributes, Skipped, Source, SourceDimension, SourceGroup, SourceValues, SourceVariable,
    region_elements,
};

/// An open NetCDF-3 file.
pub(super) struct ClassicSource {
    file: NcFile,
    groups: Vec<SourceGroup>,
    variables: Vec<SourceVariable>,
    skipped: Vec<Skipped>,
}

/// A character, which the reader crate keeps apart from the numbers of 8 bits.
#[derive(Clone, Default)]
struct Char(u8);

impl NcReadType for Char {
    fn nc_type() -> NcType {
        NcType::Char
    }

    fn from_be_bytes(bytes: &[u8]) -> netcdf_reader::Result<Self> {
        let missing = || netcdf_reader::Error::InvalidData("a character is missing".to_owned());
        bytes.first().map(|b| Self(*b)).ok_or_else(missing)
    }

    fn element_size() -> usize {
        1
    }
}

impl Char {
    fn to_le_bytes(&self) -> [u8; 1] {
        [self.0]
    }
}

impl ClassicSource {
    /// Reads the header.
    ///
    /// # Errors
    /// `Corrupt` or `Unsupported`.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = NcFile::open(path).map_err(failed)?;
        let root = file.root_group().map_err(failed)?;
        let mut skipped = Vec::new();
        let dimensions = root.dimensions.iter();
        let dimensions = dimensions.map(|d| SourceDimension {
            name: d.name.clone(),
            len: d.size,
            unlimited: d.is_unlimited,
        });
        let groups = vec![SourceGroup {
            path: String::new(),
            dimensions: dimensions.collect(),
            attributes: attributes("", &root.attributes, &mut skipped),
        }];
        let mut variables = Vec::new();
        for variable in &root.variables {
            variables.extend(describe(variable, &mut skipped));
        }
        Ok(Self { file, groups, variables, skipped })
    }
}

fn scalar(dtype: &NcType) -> Option<Scalar> {
    Some(match dtype {
        NcType::Byte => Scalar::I8,
        NcType::Char | NcType::UByte => Scalar::U8,
        NcType::Short => Scalar::I16,
        NcType::Int => Scalar::I32,
        NcType::Float => Scalar::F32,
        NcType::Double => Scalar::F64,
        NcType::UShort => Scalar::U16,
        NcType::UInt => Scalar::U32,
        NcType::Int64 => Scalar::I64,
        NcType::UInt64 => Scalar::U64,
        _ => return None,
    })
}

fn describe(variable: &NcVariable, skipped: &mut Vec<Skipped>) -> Option<SourceVariable> {
    let Some(item) = scalar(variable.dtype()) else {
        let reason = format!("type {:?} is unknown in NetCDF-3", variable.dtype());
        skipped.push(Skipped { name: variable.name.clone(), attribute: None, reason });
        return None;
    };
    let attributes = attributes(&variable.name, &variable.attributes, skipped);
    let is_char = *variable.dtype() == NcType::Char;
    Some(SourceVariable {
        name: variable.name.clone(),
        dtype: DType::Scalar(item),
        dims: variable.dimensions.iter().map(|d| d.name.clone()).collect(),
        shape: variable.shape(),
        chunk_shape: None,
        fill: fill_attribute(&attributes, item, is_char),
        attributes,
        is_char,
        column_major: false,
    })
}

/// The fill value that the attribute `_FillValue` declares, if it has the variable's type.
pub(super) fn fill_attribute(attributes: &Attributes, item: Scalar, is_char: bool) -> Option<Vec<u8>> {
    match &attributes.iter().find(|(name, _)| name == "_FillValue")?.1 {
        AttributeValue::Scalar(of, bytes) if *of == item && !is_char => Some(bytes.clone()),
        AttributeValue::String(text) if is_char && text.len() <= 1 => {
            Some(vec![text.bytes().next().unwrap_or(0)]) // the text of a NUL is empty
        }
        _ => None,
    }
}

fn attributes(owner: &str, of: &[NcAttribute], skipped: &mut Vec<Skipped>) -> Attributes {
    let mut out = Vec::with_capacity(of.len());
    for attribute in of {
        let mut note = |reason: &str| {
            skipped.push(Skipped {
                name: owner.to_owned(),
                attribute: Some(attribute.name.clone()),
                reason: reason.to_owned(),
            });
        };
        let number = AttributeValue::numbers;
        let value = match attribute.value.clone() {
            NcAttrValue::Bytes(v) => number(Scalar::I8, le_bytes!(v)),
            NcAttrValue::Shorts(v) => number(Scalar::I16, le_bytes!(v)),
            NcAttrValue::Ints(v) => number(Scalar::I32, le_bytes!(v)),
            NcAttrValue::Int64s(v) => number(Scalar::I64, le_bytes!(v)),
            NcAttrValue::UBytes(v) => number(Scalar::U8, v),
            NcAttrValue::UShorts(v) => number(Scalar::U16, le_bytes!(v)),
            NcAttrValue::UInts(v) => number(Scalar::U32, le_bytes!(v)),
            NcAttrValue::UInt64s(v) => number(Scalar::U64, le_bytes!(v)),
            NcAttrValue::Floats(v) => number(Scalar::F32, le_bytes!(v)),
            NcAttrValue::Doubles(v) => number(Scalar::F64, le_bytes!(v)),
            NcAttrValue::Strings(v) => AttributeValue::strings(v),
            NcAttrValue::Chars(text) => {
                if text.contains('\u{FFFD}') {
                    note("not UTF-8; bytes that are no text were replaced by U+FFFD");
                }
                AttributeValue::String(text)
            }
            NcAttrValue::UserDefined { .. } => {
                note("left out: user-defined types are unknown in NetCDF-3");
                continue;
            }
        };
        out.push((attribute.name.clone(), value));
    }
    out
}

impl Source for ClassicSource {
    fn groups(&self) -> &[SourceGroup] {
        &self.groups
    }

    fn variables(&self) -> &[SourceVariable] {
        &self.variables
    }

    fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    fn read(&self, variable: &str, start: &[u64], shape: &[u64]) -> Result<SourceValues> {
        let described = self.variable(variable)?;
        if region_elements(&described.shape, start, shape)? == 0 {
            return Ok(SourceValues::Fixed(Vec::new()));
        }
        let range = |(s, n): (&u64, &u64)| NcSliceInfoElem::Slice { start: *s, end: s + n, step: 1 };
        let region = NcSliceInfo { selections: start.iter().zip(shape).map(range).collect() };
        macro_rules! values {
            ($t:ty) => {{
                // The file itself would want a type that it can read from NetCDF-4 too, which Char is not.
                let file = self.file.as_classic().ok_or_else(|| Error::unsupported("not a NetCDF-3 file"))?;
                let array = file.read_variable_slice::<$t>(variable, &region);
                let (values, _) = array.map_err(|e| failed(e).in_array(variable))?.into_raw_vec_and_offset();
                le_bytes!(values)
            }};
        }
        let dtype = self.file.variable(variable).map_err(failed)?.dtype();
        Ok(SourceValues::Fixed(match dtype {
            NcType::Char => values!(Char),
            NcType::Byte => values!(i8),
            NcType::Short => values!(i16),
            NcType::Int => values!(i32),
            NcType::Int64 => values!(i64),
            NcType::UByte => values!(u8),
            NcType::UShort => values!(u16),
            NcType::UInt => values!(u32),
            NcType::UInt64 => values!(u64),
            NcType::Float => values!(f32),
            NcType::Double => values!(f64),
            other => return Err(Error::unsupported(format!("type {other:?}")).in_array(variable)),
        }))
    }
}

fn failed(error: netcdf_reader::Error) -> Error {
    use netcdf_reader::Error as E;
    let kind = match &error {
        E::Io(e) if e.kind() == std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        E::Io(e) if e.kind() == std::io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        E::Io(_) => ErrorKind::Unavailable,
        E::UnsupportedFeature(_) | E::UnsupportedVersion(_) | E::InvalidMagic => ErrorKind::Unsupported,
        _ => ErrorKind::Corrupt,
    };
    Error::new(kind, "the NetCDF-3 file cannot be read").with_source(error)
}
