//! Elements of a dataset as values.

use array_format_core::{DType, Error, Result};
use hdf5_reader::{ByteOrder, Dataset, Datatype, H5Type, SliceInfo, SliceInfoElem, StringPadding};

use super::super::SourceValues;
use super::super::lanes;
use super::failed;
use super::types::Element;

type ReaderResult<T> = hdf5_reader::error::Result<T>;

/// A number of `N` bytes, little-endian, whatever it means.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Number<const N: usize>([u8; N]);

/// The stored bytes of an element of any width.
#[derive(Clone)]
struct Cell(Box<[u8]>);

/// The region `start..start + shape`, which is inside the dataset.
pub(super) fn read(
    dataset: &Dataset,
    element: &Element,
    start: &[u64],
    shape: &[u64],
) -> Result<SourceValues> {
    let range = |(s, n): (&u64, &u64)| SliceInfoElem::Slice { start: *s, end: s + n, step: 1 };
    let region = SliceInfo { selections: start.iter().zip(shape).map(range).collect() };
    let stored = || -> Result<Vec<Cell>> {
        Ok(dataset.read_slice::<Cell>(&region).map_err(failed)?.into_raw_vec_and_offset().0)
    };
    Ok(match *element {
        Element::Char => SourceValues::Fixed(numbers::<1>(dataset, &region)?),
        Element::Fixed { dtype: DType::Scalar(item), .. } if item.size_bytes() == item.lane_bytes() => {
            SourceValues::Fixed(match item.size_bytes() {
                1 => numbers::<1>(dataset, &region)?,
                2 => numbers::<2>(dataset, &region)?,
                4 => numbers::<4>(dataset, &region)?,
                _ => numbers::<8>(dataset, &region)?,
            })
        }
        Element::Fixed { swap, .. } => {
            let stored = stored()?;
            let mut bytes = Vec::with_capacity(stored.len() * stored.first().map_or(0, |s| s.0.len()));
            stored.iter().for_each(|s| bytes.extend_from_slice(&s.0));
            lanes::swap(&mut bytes, swap);
            SourceValues::Fixed(bytes)
        }
        Element::FixedText { padding } => SourceValues::Strings(
            stored()?.into_iter().map(|s| text(s.0.into_vec(), padding)).collect::<Result<_>>()?,
        ),
        Element::Text { padding } => {
            let value =
                |s: Cell| text(dataset.resolve_vlen_reference_bytes(&s.0, 1).map_err(failed)?, padding);
            SourceValues::Strings(stored()?.into_iter().map(value).collect::<Result<_>>()?)
        }
        Element::List { item, swap } => {
            let list = |s: Cell| {
                let bytes = dataset.resolve_vlen_reference_bytes(&s.0, item.size_bytes());
                let mut bytes = bytes.map_err(failed)?;
                lanes::swap(&mut bytes, swap);
                Ok(bytes)
            };
            SourceValues::Lists { item, lists: stored()?.into_iter().map(list).collect::<Result<_>>()? }
        }
    })
}

fn numbers<const N: usize>(dataset: &Dataset, region: &SliceInfo) -> Result<Vec<u8>> {
    let (values, _) = dataset.read_slice::<Number<N>>(region).map_err(failed)?.into_raw_vec_and_offset();
    let mut bytes = Vec::with_capacity(values.len() * N);
    values.iter().for_each(|v| bytes.extend_from_slice(&v.0));
    Ok(bytes)
}

fn text(bytes: Vec<u8>, padding: StringPadding) -> Result<String> {
    String::from_utf8(unpadded(bytes, padding)).map_err(|e| {
        Error::unsupported("a text is not UTF-8; convert the variable to UTF-8 or to numbers of 8 bits")
            .with_source(e)
    })
}

/// The text of a field: up to the first NUL, or without the padding at its end.
pub(super) fn unpadded(mut bytes: Vec<u8>, padding: StringPadding) -> Vec<u8> {
    let end = match padding {
        StringPadding::NullTerminate => bytes.iter().position(|b| *b == 0),
        StringPadding::NullPad => bytes.iter().rposition(|b| *b != 0).map_or(Some(0), |i| Some(i + 1)),
        StringPadding::SpacePad => bytes.iter().rposition(|b| *b != b' ').map_or(Some(0), |i| Some(i + 1)),
    };
    bytes.truncate(end.unwrap_or(bytes.len()));
    bytes
}

fn is_big_endian(datatype: &Datatype) -> bool {
    match datatype {
        Datatype::FixedPoint { byte_order, .. }
        | Datatype::FloatingPoint { byte_order, .. }
        | Datatype::Bitfield { byte_order, .. } => *byte_order == ByteOrder::BigEndian,
        Datatype::Enum { base, .. } => is_big_endian(base),
        _ => false,
    }
}

impl<const N: usize> H5Type for Number<N> {
    fn hdf5_type() -> Datatype {
        Datatype::FixedPoint {
            size: u8::try_from(N).unwrap_or(u8::MAX),
            signed: false,
            byte_order: ByteOrder::LittleEndian,
        }
    }

    fn from_bytes(bytes: &[u8], datatype: &Datatype) -> ReaderResult<Self> {
        let wrong =
            |_| hdf5_reader::error::Error::InvalidData(format!("{} bytes for a number of {N}", bytes.len()));
        let mut bytes: [u8; N] = bytes.try_into().map_err(wrong)?;
        if is_big_endian(datatype) {
            bytes.reverse();
        }
        Ok(Self(bytes))
    }

    fn element_size(_: &Datatype) -> usize {
        N
    }

    fn decode_vec(raw: &[u8], datatype: &Datatype, count: usize) -> Option<ReaderResult<Vec<Self>>> {
        let (numbers, rest) = raw.as_chunks::<N>();
        if numbers.len() != count || !rest.is_empty() {
            return None;
        }
        let swapped = is_big_endian(datatype);
        let number = |n: &[u8; N]| {
            let mut n = *n;
            if swapped {
                n.reverse();
            }
            Self(n)
        };
        Some(Ok(numbers.iter().map(number).collect()))
    }

    // native_copy_compatible stays false: the reader would then copy into uninitialised memory by this word of ours.
}

impl H5Type for Cell {
    fn hdf5_type() -> Datatype {
        Datatype::Opaque { size: 1, tag: String::new() }
    }

    fn from_bytes(bytes: &[u8], _: &Datatype) -> ReaderResult<Self> {
        Ok(Self(bytes.into()))
    }

    fn element_size(datatype: &Datatype) -> usize {
        hdf5_reader::datatype_api::dtype_element_size(datatype).unwrap_or(0)
    }
}
