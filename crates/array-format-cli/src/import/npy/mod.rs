//! NumPy's `.npy`: one array without a name, attributes or dimension names.

mod header;
mod region;

use std::fs::File;
use std::path::Path;

use array_format_core::{DType, Error, Result, Scalar};

pub(super) use self::header::{Header, MAGIC};
use super::anonymous::Anonymous;
use super::{
    Skipped, Source, SourceDimension, SourceGroup, SourceValues, SourceVariable, io_error, lanes,
    region_elements,
};

/// How an element is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    /// `swap`: the width of the numbers in it that are big-endian, or 1. `ticks`: how many of our units of time
    /// make one of the file's, or 1.
    Fixed { dtype: DType, swap: usize, ticks: i64 },
    /// UTF-32 with NULs behind it.
    Text { characters: usize, big_endian: bool },
    /// Bytes with NULs behind them.
    Bytes { len: usize },
}

impl Element {
    /// The element type that the array gets.
    pub(super) fn dtype(self) -> DType {
        match self {
            Self::Fixed { dtype, .. } => dtype,
            Self::Text { .. } => DType::String,
            Self::Bytes { .. } => DType::Binary,
        }
    }

    /// Bytes that it takes in the file.
    pub(super) fn width(self) -> usize {
        match self {
            Self::Fixed { dtype, .. } => dtype.fixed_size_bytes().unwrap_or(0),
            Self::Text { characters, .. } => characters.saturating_mul(4),
            Self::Bytes { len } => len,
        }
    }

    fn values(self, mut bytes: Vec<u8>, count: usize) -> Result<SourceValues> {
        let cells = |bytes: &[u8]| match self.width() {
            0 => vec![Vec::new(); count],
            width => bytes.chunks_exact(width).map(<[u8]>::to_vec).collect(),
        };
        Ok(match self {
            Self::Fixed { swap, ticks, .. } => {
                lanes::swap(&mut bytes, swap);
                if ticks != 1 {
                    bytes.as_chunks_mut::<8>().0.iter_mut().try_for_each(|t| rescale(t, ticks))?;
                }
                SourceValues::Fixed(bytes)
            }
            Self::Bytes { .. } => SourceValues::Binary(cells(&bytes).into_iter().map(without_nuls).collect()),
            Self::Text { big_endian, .. } => {
                lanes::swap(&mut bytes, if big_endian { 4 } else { 1 });
                SourceValues::Strings(cells(&bytes).iter().map(|c| utf32(c)).collect::<Result<_>>()?)
            }
        })
    }
}

/// Days, hours or minutes to seconds. NaT, the smallest number, stays what it is.
fn rescale(time: &mut [u8; 8], ticks: i64) -> Result<()> {
    let old = i64::from_le_bytes(*time);
    if old != i64::MIN {
        let new = old.checked_mul(ticks);
        let new =
            new.ok_or_else(|| Error::unsupported(format!("the time {old} x {ticks} s exceeds 64 bits")))?;
        *time = new.to_le_bytes();
    }
    Ok(())
}

fn without_nuls(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |i| i + 1);
    bytes.truncate(end);
    bytes
}

fn utf32(cell: &[u8]) -> Result<String> {
    let codes: Vec<u32> = cell.as_chunks::<4>().0.iter().map(|c| u32::from_le_bytes(*c)).collect();
    let end = codes.iter().rposition(|c| *c != 0).map_or(0, |i| i + 1);
    let text: Option<String> = codes[..end].iter().map(|c| char::from_u32(*c)).collect();
    text.ok_or_else(|| Error::corrupt("a text holds a number that is no character"))
}

/// Elements of a region of the array whose data begin at `header.data_offset` of `file`.
pub(super) fn read(file: &File, header: &Header, start: &[u64], shape: &[u64]) -> Result<SourceValues> {
    let count = region_elements(&header.shape, start, shape)?;
    let bytes = region::read(file, header, start, shape)?;
    header.element.values(bytes, count)
}

/// The variable that an array of this header becomes.
pub(super) fn describe(
    name: String,
    header: &Header,
    dimensions: &mut Vec<SourceDimension>,
    anonymous: &mut Anonymous,
) -> SourceVariable {
    let mut dims = Vec::with_capacity(header.shape.len());
    for len in &header.shape {
        let dim = anonymous.name(dimensions, &dims, *len, false);
        dims.push(dim);
    }
    SourceVariable {
        name,
        dtype: header.element.dtype(),
        dims,
        shape: header.shape.clone(),
        chunk_shape: None,
        fill: None,
        attributes: Vec::new(),
        is_char: false,
        column_major: header.column_major,
    }
}

/// An open `.npy` file. The array is called like the file.
pub(super) struct NpySource {
    file: File,
    header: Header,
    groups: Vec<SourceGroup>,
    variables: Vec<SourceVariable>,
}

impl NpySource {
    /// Reads the header.
    ///
    /// # Errors
    /// `Unsupported` for an element type that is not known here, `Corrupt` for a broken or truncated file.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| io_error("cannot open the file", e))?;
        let len = file.metadata().map_err(|e| io_error("cannot read the file", e))?.len();
        let header = Header::read(&mut &file)?;
        header.check_len(len)?;
        let name = path.file_stem().map_or_else(|| "array".to_owned(), |s| s.to_string_lossy().into_owned());
        let mut dimensions = Vec::new();
        let variable = describe(name, &header, &mut dimensions, &mut Anonymous::new("dim_", 0));
        let groups = vec![SourceGroup { path: String::new(), dimensions, attributes: Vec::new() }];
        Ok(Self { file, header, groups, variables: vec![variable] })
    }
}

impl Source for NpySource {
    fn groups(&self) -> &[SourceGroup] {
        &self.groups
    }

    fn variables(&self) -> &[SourceVariable] {
        &self.variables
    }

    fn skipped(&self) -> &[Skipped] {
        &[]
    }

    fn read(&self, variable: &str, start: &[u64], shape: &[u64]) -> Result<SourceValues> {
        self.variable(variable)?;
        read(&self.file, &self.header, start, shape).map_err(|e| e.in_array(variable))
    }
}

/// Numbers whose name in `.npy` is a letter and a width.
fn number(kind: u8, width: usize) -> Option<Scalar> {
    Some(match (kind, width) {
        (b'b', 1) => Scalar::Bool,
        (b'i', 1) => Scalar::I8,
        (b'i', 2) => Scalar::I16,
        (b'i', 4) => Scalar::I32,
        (b'i', 8) => Scalar::I64,
        (b'u', 1) => Scalar::U8,
        (b'u', 2) => Scalar::U16,
        (b'u', 4) => Scalar::U32,
        (b'u', 8) => Scalar::U64,
        (b'f', 2) => Scalar::F16,
        (b'f', 4) => Scalar::F32,
        (b'f', 8) => Scalar::F64,
        (b'c', 8) => Scalar::Complex64,
        (b'c', 16) => Scalar::Complex128,
        _ => return None,
    })
}
