//! Element types of HDF5 in our terms.

use array_format_core::{DType, Scalar};
use hdf5_reader::{ByteOrder, CompoundField, Datatype, StringPadding, StringSize, VarLenKind};

/// How an element is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    /// Bytes of fixed width. `swap`: the width of the numbers in it that are big-endian, or 1.
    Fixed { dtype: DType, swap: usize },
    /// One character of netCDF.
    Char,
    /// Text in a field of fixed width.
    FixedText { padding: StringPadding },
    /// Text in the heap of the file.
    Text { padding: StringPadding },
    /// Numbers in the heap of the file.
    List { item: Scalar, swap: usize },
}

impl Element {
    /// The element of a datatype, or the reason why there is none. `raw` gives the datatype as it is in the file.
    pub(super) fn of(datatype: &Datatype, raw: &dyn Fn() -> Option<Vec<u8>>) -> Result<Self, String> {
        if let Some((item, swap)) = scalar(datatype, raw)? {
            return Ok(Self::Fixed { dtype: DType::Scalar(item), swap });
        }
        Ok(match datatype {
            Datatype::String { size: StringSize::Fixed(0), .. } => return Err("texts of no width".to_owned()),
            Datatype::String { size: StringSize::Fixed(1), .. } => Self::Char,
            Datatype::String { size: StringSize::Fixed(_), padding, .. } => {
                Self::FixedText { padding: *padding }
            }
            Datatype::String { size: StringSize::Variable, padding, .. } => Self::Text { padding: *padding },
            Datatype::VarLen { kind: VarLenKind::String, base, padding, .. }
                if base.is_vlen_string_base() =>
            {
                Self::Text { padding: *padding }
            }
            Datatype::VarLen { kind: VarLenKind::Sequence, base, .. } => match scalar(base, &|| None)? {
                Some((item, swap)) => Self::List { item, swap },
                None => return Err(format!("variable-length lists of {}", name(base))),
            },
            Datatype::Opaque { size, .. } if *size > 0 => {
                Self::Fixed { dtype: DType::FixedList { item: Scalar::U8, len: *size }, swap: 1 }
            }
            Datatype::Array { base, dims } => match scalar(base, &|| None)? {
                Some((item, swap)) => {
                    let len = dims.iter().try_fold(1u64, |n, d| n.checked_mul(*d));
                    let len = len.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
                    let len = len.ok_or_else(|| format!("arrays of shape {dims:?} as elements"))?;
                    Self::Fixed { dtype: DType::FixedList { item, len }, swap }
                }
                None => return Err(format!("arrays of {} as elements", name(base))),
            },
            other => return Err(format!("type {}", name(other))),
        })
    }

    /// The element type that the variable gets.
    pub(super) fn dtype(self) -> DType {
        match self {
            Self::Fixed { dtype, .. } => dtype,
            Self::Char => DType::Scalar(Scalar::U8),
            Self::FixedText { .. } | Self::Text { .. } => DType::String,
            Self::List { item, .. } => DType::List { item },
        }
    }
}

fn swap(order: ByteOrder, width: usize) -> usize {
    if order == ByteOrder::BigEndian { width } else { 1 }
}

/// A number and the width to swap, `None` if the type is none; an error for a number that is unknown here.
fn scalar(datatype: &Datatype, raw: &dyn Fn() -> Option<Vec<u8>>) -> Result<Option<(Scalar, usize)>, String> {
    Ok(Some(match datatype {
        Datatype::FixedPoint { size, signed, byte_order } => {
            let item = integer(*size, *signed).ok_or_else(|| format!("integers of {size} bytes"))?;
            (item, swap(*byte_order, usize::from(*size)))
        }
        Datatype::Bitfield { size, byte_order } => {
            let item = integer(*size, false).ok_or_else(|| format!("bit fields of {size} bytes"))?;
            (item, swap(*byte_order, usize::from(*size)))
        }
        Datatype::FloatingPoint { size, byte_order } => {
            let item = match size {
                2 => half(raw())
                    .ok_or("numbers of 2 bytes that are neither IEEE half precision nor bfloat16")?,
                4 => Scalar::F32,
                8 => Scalar::F64,
                _ => return Err(format!("floating-point numbers of {size} bytes")),
            };
            (item, swap(*byte_order, usize::from(*size)))
        }
        Datatype::Enum { base, .. } => return scalar(base, &|| None),
        Datatype::Compound { size, fields } => return Ok(complex(*size, fields)),
        _ => return Ok(None),
    }))
}

fn integer(size: u8, signed: bool) -> Option<Scalar> {
    Some(match (size, signed) {
        (1, true) => Scalar::I8,
        (2, true) => Scalar::I16,
        (4, true) => Scalar::I32,
        (8, true) => Scalar::I64,
        (1, false) => Scalar::U8,
        (2, false) => Scalar::U16,
        (4, false) => Scalar::U32,
        (8, false) => Scalar::U64,
        _ => return None,
    })
}

/// Which of the two formats of 16 bits the datatype message describes: by the size of its mantissa.
fn half(raw: Option<Vec<u8>>) -> Option<Scalar> {
    // class and version, 3 bytes of flags, size (4), bit offset (2), precision (2), exponent location and size,
    // mantissa location and size
    match raw?.get(12..16)? {
        [10, 5, 0, 10] => Some(Scalar::F16),
        [7, 8, 0, 7] => Some(Scalar::Bf16),
        _ => None,
    }
}

/// The convention of h5py and netCDF for complex numbers: a pair of floating-point numbers.
fn complex(size: u32, fields: &[CompoundField]) -> Option<(Scalar, usize)> {
    let [real, imaginary] = fields else { return None };
    let names = [real.name.as_str(), imaginary.name.as_str()];
    let Datatype::FloatingPoint { size: width, byte_order } = &real.datatype else { return None };
    let known = matches!(names, ["r", "i"] | ["re", "im"] | ["real", "imag"] | ["real", "imaginary"]);
    let packed = real.byte_offset == 0
        && imaginary.byte_offset == u32::from(*width)
        && size == 2 * u32::from(*width)
        && real.datatype == imaginary.datatype;
    let item = match width {
        4 => Scalar::Complex64,
        8 => Scalar::Complex128,
        _ => return None,
    };
    (known && packed).then(|| (item, swap(*byte_order, usize::from(*width))))
}

/// A type in the words of a message.
fn name(datatype: &Datatype) -> &'static str {
    match datatype {
        Datatype::Compound { .. } => "compound",
        Datatype::Reference { .. } => "reference",
        Datatype::VarLen { .. } => "variable-length list",
        Datatype::String { .. } => "string",
        Datatype::Array { .. } => "array",
        Datatype::Opaque { .. } => "opaque",
        Datatype::Enum { .. } => "enum",
        _ => "number",
    }
}
