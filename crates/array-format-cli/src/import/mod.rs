//! What `af import` reads: files of other formats, seen through one model.
//!
//! A [`Source`] is one open file: its groups with dimensions and attributes, its variables, and their values by
//! hyperslab. Values are raw, as they are stored: scale factors, offsets, calendars and flags stay attributes.
//! What has no counterpart here (compound types, references) is not dropped in silence: [`Source::skipped`] names
//! it with the reason, and the rest is imported. None of these formats has nulls, so there is no validity here.
//!
//! | module | reads |
//! |---|---|
//! | [`netcdf`] | NetCDF-3: classic, 64-bit offset, CDF-5 |
//! | [`hdf5`] | NetCDF-4 and plain HDF5 |
//! | [`npy`], [`npz`] | NumPy's two formats |
//! | [`slabs`] | how a big variable is cut for reading |
//! | [`dump`] | the JSON by which `tests/roundtrip` compares a source with an independent reader |

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use array_format_core::{DType, Error, ErrorKind, Result, Scalar};

pub(crate) mod af;
mod anonymous;
pub(crate) mod dump;
mod hdf5;
mod lanes;
mod netcdf;
mod npy;
mod npz;
pub(crate) mod slabs;
#[cfg(test)]
mod tests;

/// A named dimension of a group, visible in the groups below it too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceDimension {
    pub(crate) name: String,
    pub(crate) len: u64,
    pub(crate) unlimited: bool,
}

/// A group; parents come before their children.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SourceGroup {
    /// `""` is the root, `"a/b"` a group inside `a`.
    pub(crate) path: String,
    pub(crate) dimensions: Vec<SourceDimension>,
    pub(crate) attributes: Attributes,
}

/// An array of the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SourceVariable {
    /// Full path within the file, without a leading slash.
    pub(crate) name: String,
    pub(crate) dtype: DType,
    /// One name for each axis, declared in the variable's group or above it.
    pub(crate) dims: Vec<String>,
    pub(crate) shape: Vec<u64>,
    /// How the file stores it, where it does so in chunks.
    pub(crate) chunk_shape: Option<Vec<u64>>,
    /// One element: little-endian, or the bytes of a string.
    pub(crate) fill: Option<Vec<u8>>,
    pub(crate) attributes: Attributes,
    /// The elements are characters (NC_CHAR), not numbers of 8 bits.
    pub(crate) is_char: bool,
    /// The last axis varies slowest in the file (Fortran order); [`Source::read`] gives row-major order even so.
    pub(crate) column_major: bool,
}

/// Names with values, in the order of the file.
pub(crate) type Attributes = Vec<(String, AttributeValue)>;

/// Value of an attribute. Numbers are little-endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AttributeValue {
    Scalar(Scalar, Vec<u8>),
    String(String),
    Binary(Vec<u8>),
    List(Scalar, Vec<u8>),
    StringList(Vec<String>),
}

impl AttributeValue {
    /// One number is a scalar, as in netCDF, whose attributes are lists without a rank; any other count is a list.
    fn numbers(item: Scalar, bytes: Vec<u8>) -> Self {
        if bytes.len() == item.size_bytes() { Self::Scalar(item, bytes) } else { Self::List(item, bytes) }
    }

    /// One string is a string; any other count is a list.
    fn strings(mut strings: Vec<String>) -> Self {
        match (strings.pop(), strings.is_empty()) {
            (Some(only), true) => Self::String(only),
            (last, _) => {
                strings.extend(last);
                Self::StringList(strings)
            }
        }
    }
}

/// Elements of a region, in row-major order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SourceValues {
    /// Elements of fixed width, little-endian, one after another.
    Fixed(Vec<u8>),
    Strings(Vec<String>),
    Binary(Vec<Vec<u8>>),
    /// The items of each list, little-endian.
    Lists {
        item: Scalar,
        lists: Vec<Vec<u8>>,
    },
}

/// Something of the file that cannot be imported as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Skipped {
    /// The variable or group; `""` is the root group.
    pub(crate) name: String,
    /// The attribute, where only that is concerned.
    pub(crate) attribute: Option<String>,
    pub(crate) reason: String,
}

/// One open file.
pub(crate) trait Source: Send {
    /// All groups, the root first, parents before children.
    fn groups(&self) -> &[SourceGroup];

    /// All variables that can be imported, in the order of the file.
    fn variables(&self) -> &[SourceVariable];

    /// What is not among them, and attributes that were left out or changed.
    fn skipped(&self) -> &[Skipped];

    /// The elements `start..start + shape` of a variable.
    ///
    /// # Errors
    /// `NotFound` for an unknown variable, `InvalidArgument` for a region outside it, `Corrupt` for bytes that
    /// cannot be decoded, `Unsupported` for a codec that is not here.
    fn read(&self, variable: &str, start: &[u64], shape: &[u64]) -> Result<SourceValues>;

    /// The variable of that name.
    ///
    /// # Errors
    /// `NotFound`.
    fn variable(&self, name: &str) -> Result<&SourceVariable> {
        let found = self.variables().iter().find(|v| v.name == name);
        found.ok_or_else(|| Error::not_found(format!("there is no variable {name:?}")))
    }
}

const HDF5_MAGIC: &[u8] = b"\x89HDF\r\n\x1a\n";

/// Opens a file of any known format; its first bytes decide which.
///
/// # Errors
/// `NotFound` and the like for the file, `Unsupported` for another format, `Corrupt` for a broken file.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Source>> {
    let place = path.display().to_string();
    open_any(path).map_err(|e| e.in_file(place))
}

fn open_any(path: &Path) -> Result<Box<dyn Source>> {
    let mut file = File::open(path).map_err(|e| io_error("cannot open the file", e))?;
    let mut magic = Vec::new();
    file.by_ref().take(8).read_to_end(&mut magic).map_err(|e| io_error("cannot read the file", e))?;
    if magic.starts_with(b"CDF") {
        return Ok(Box::new(netcdf::ClassicSource::open(path)?));
    }
    if magic.starts_with(npy::MAGIC) {
        return Ok(Box::new(npy::NpySource::open(path)?));
    }
    if magic.starts_with(b"PK\x03\x04") || magic.starts_with(b"PK\x05\x06") {
        return Ok(Box::new(npz::NpzSource::open(path)?));
    }
    if magic == HDF5_MAGIC || has_user_block(&mut file) {
        return Ok(Box::new(hdf5::Hdf5Source::open(path)?));
    }
    Err(Error::unsupported("the file is none of NetCDF, HDF5, .npy and .npz"))
}

/// HDF5 may begin at 512, 1024, 2048 ... bytes.
fn has_user_block(file: &mut File) -> bool {
    let len = file.metadata().map_or(0, |m| m.len());
    let offsets = std::iter::successors(Some(512u64), |o| o.checked_mul(2));
    let mut magic = [0u8; 8];
    offsets.take_while(|o| o.saturating_add(8) <= len).any(|offset| {
        file.seek(SeekFrom::Start(offset)).is_ok()
            && file.read_exact(&mut magic).is_ok()
            && magic == HDF5_MAGIC
    })
}

fn io_error(what: &str, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        std::io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::InvalidData => ErrorKind::Corrupt,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, what).with_source(error)
}

/// Checks a region against a shape and gives its number of elements.
fn region_elements(of: &[u64], start: &[u64], shape: &[u64]) -> Result<usize> {
    let inside = start.len() == of.len()
        && shape.len() == of.len()
        && of.iter().zip(start).zip(shape).all(|((n, s), c)| s.checked_add(*c).is_some_and(|end| end <= *n));
    if !inside {
        return Err(Error::invalid(format!("start {start:?} and shape {shape:?} do not fit in {of:?}")));
    }
    let count = shape.iter().try_fold(1u64, |n, c| n.checked_mul(*c));
    count
        .and_then(|n| usize::try_from(n).ok())
        .ok_or_else(|| Error::invalid(format!("a region of shape {shape:?} does not fit in memory")))
}
