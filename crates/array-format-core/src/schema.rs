//! What an array or a group is, apart from its extents and data: `docs/format.md` section 7.

use crate::block::CodecRecord;
use std::sync::Arc;

use crate::codec::{Filter, check_filters};
use crate::cursor::{Cursor, put_bytes, put_varint};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::format::constants::{MAX_NAME_BYTES, MAX_RANK};

/// Definition of an array, without its shape.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ArraySchema {
    /// Element type.
    pub dtype: DType,
    /// Whether elements can be null.
    pub nullable: bool,
    /// Dimension names, as many as the rank.
    pub dimensions: Vec<String>,
    /// Extents of a chunk; `None`: the chunk is the whole array, whatever its shape.
    pub chunk_shape: Option<Vec<u64>>,
    /// The element that stands for what was never written.
    pub fill: Option<Vec<u8>>,
    /// Applied to the values of every chunk before compression, in this order.
    pub filters: Vec<Filter>,
    /// What writers compress the array's blocks with, if it is not the file's default.
    pub codec: Option<CodecRecord>,
}

/// Checks extents.
///
/// # Errors
/// `InvalidArgument` for more than 2^64 elements.
pub fn check_extents(shape: &[u64]) -> Result<()> {
    match shape.iter().try_fold(1u64, |n, extent| n.checked_mul((*extent).max(1))) {
        Some(_) => Ok(()),
        None => Err(Error::invalid(format!("shape {shape:?} has more than 2^64 elements"))),
    }
}

/// Checks the name of a dimension.
///
/// # Errors
/// `InvalidArgument` for one that is too long, or with `/` or NUL.
pub fn check_dimension(name: &str) -> Result<()> {
    if name.len() <= MAX_NAME_BYTES && !name.contains(['/', '\0']) {
        return Ok(());
    }
    Err(Error::invalid(format!("{name:?} is no dimension name: too long, or with '/' or NUL")))
}

/// Definition of a group: the dimensions that it declares, as netCDF does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct GroupSchema {
    /// Names.
    pub dimensions: Vec<String>,
    /// Which of them are unlimited.
    pub unlimited: Vec<bool>,
}

/// Definition of a node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Schema {
    /// An array.
    Array(Arc<ArraySchema>),
    /// A group.
    Group(GroupSchema),
}

const NULLABLE: u8 = 1;
const CHUNKED: u8 = 2;
const HAS_FILL: u8 = 4;

impl ArraySchema {
    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.dimensions.len()
    }

    /// The extents of a chunk of an array of this shape.
    pub fn chunk_extents(&self, shape: &[u64]) -> Vec<u64> {
        match &self.chunk_shape {
            Some(chunk) => chunk.clone(),
            None => shape.iter().map(|s| (*s).max(1)).collect(),
        }
    }

    /// Checks all that a user can get wrong.
    ///
    /// # Errors
    /// `InvalidArgument` that says what does not fit.
    pub fn check(&self, shape: &[u64]) -> Result<()> {
        let rank = shape.len();
        if rank > MAX_RANK {
            return Err(Error::invalid(format!("{rank} dimensions; at most {MAX_RANK} are possible")));
        }
        if self.dimensions.len() != rank {
            return Err(Error::invalid(format!(
                "{} dimension names for a shape of {rank} dimensions",
                self.dimensions.len()
            )));
        }
        self.dimensions.iter().try_for_each(|name| check_dimension(name))?;
        check_extents(shape)?;
        if let Some(chunk) = &self.chunk_shape {
            if chunk.len() != rank {
                return Err(Error::invalid(format!(
                    "chunk shape {chunk:?} for a shape of {rank} dimensions"
                )));
            }
            if let Some(axis) = chunk.iter().position(|c| *c == 0) {
                return Err(Error::invalid(format!(
                    "chunk shape {chunk:?} has extent 0 on axis {axis}; a chunk holds at least one element"
                )));
            }
        }
        if let DType::FixedList { len, .. } = self.dtype
            && (len == 0 || len > crate::dtype::MAX_FIXED_LIST_LEN)
        {
            return Err(Error::invalid(format!("lists of {len} items; use 1 to 2^24, or variable lists")));
        }
        self.check_fill()?;
        check_filters(&self.filters, self.dtype)
    }

    fn check_fill(&self) -> Result<()> {
        let Some(fill) = &self.fill else { return Ok(()) };
        let fits = match self.dtype {
            DType::Binary => true,
            DType::String => std::str::from_utf8(fill).is_ok(),
            DType::List { item } => fill.len() % item.size_bytes() == 0,
            fixed => fixed.fixed_size_bytes() == Some(fill.len()),
        };
        let bools = self.dtype.item() == Some(crate::dtype::Scalar::Bool);
        if !fits || (bools && fill.iter().any(|b| *b > 1)) {
            return Err(Error::invalid(format!("the fill value is no {}", self.dtype)));
        }
        Ok(())
    }
}

impl Schema {
    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        match self {
            Self::Array(a) => a.dimensions.len(),
            Self::Group(g) => g.dimensions.len(),
        }
    }

    /// Appends the on-disk form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let names = |out: &mut Vec<u8>, names: &[String]| {
            put_varint(out, names.len() as u64);
            names.iter().for_each(|n| put_bytes(out, n.as_bytes()));
        };
        match self {
            Self::Group(g) => {
                out.push(0);
                names(out, &g.dimensions);
                let mut bits = vec![0u8; g.dimensions.len().div_ceil(8)];
                for (i, _) in g.unlimited.iter().enumerate().filter(|(_, u)| **u) {
                    if let Some(byte) = bits.get_mut(i / 8) {
                        *byte |= 1 << (i % 8);
                    }
                }
                out.extend(bits);
            }
            Self::Array(a) => {
                a.dtype.encode(out);
                let flag = |on: bool, bit: u8| if on { bit } else { 0 };
                out.push(
                    flag(a.nullable, NULLABLE)
                        | flag(a.chunk_shape.is_some(), CHUNKED)
                        | flag(a.fill.is_some(), HAS_FILL),
                );
                names(out, &a.dimensions);
                a.chunk_shape.iter().flatten().for_each(|c| put_varint(out, *c));
                a.fill.iter().for_each(|f| put_bytes(out, f));
                put_varint(out, a.filters.len() as u64);
                a.filters.iter().for_each(|f| f.encode_record(out));
                out.push(u8::from(a.codec.is_some()));
                a.codec.iter().for_each(|c| c.encode(out));
            }
        }
    }

    /// Reads the on-disk form from the front of `bytes`; what follows is of a later version.
    ///
    /// # Errors
    /// `Corrupt`, or `Unsupported` for types and filters of a later version.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut c = Cursor::new(bytes);
        let names = |c: &mut Cursor<'_>| -> Result<Vec<String>> {
            let n = c.count(1)?;
            if n > MAX_RANK {
                return Err(Error::corrupt(format!("{n} dimensions")));
            }
            (0..n).map(|_| Ok(c.str()?.to_owned())).collect()
        };
        if bytes.first() == Some(&0) {
            c.u8()?;
            let n = c.count(1)?; // a group may declare more dimensions than an array can have
            let dimensions = (0..n).map(|_| Ok(c.str()?.to_owned())).collect::<Result<Vec<_>>>()?;
            let bits = c.take(dimensions.len().div_ceil(8))?;
            let unlimited = (0..dimensions.len()).map(|i| bits[i / 8] >> (i % 8) & 1 == 1).collect();
            return Ok(Self::Group(GroupSchema { dimensions, unlimited }));
        }
        let dtype = DType::decode(&mut c)?;
        let flags = c.u8()?;
        if flags & !(NULLABLE | CHUNKED | HAS_FILL) != 0 {
            return Err(Error::unsupported(format!("array flags {flags:#x} are not known to this version")));
        }
        let dimensions = names(&mut c)?;
        let chunk_shape = (flags & CHUNKED != 0)
            .then(|| dimensions.iter().map(|_| c.varint()).collect::<Result<Vec<_>>>())
            .transpose()?;
        let fill = (flags & HAS_FILL != 0).then(|| c.bytes().map(<[u8]>::to_vec)).transpose()?;
        let n = c.count(2)?;
        let filters = (0..n).map(|_| Filter::decode_record(&mut c)).collect::<Result<Vec<_>>>()?;
        let codec = match c.u8()? {
            0 => None,
            _ => Some(CodecRecord::decode(&mut c)?),
        };
        let nullable = flags & NULLABLE != 0;
        let schema = ArraySchema { dtype, nullable, dimensions, chunk_shape, fill, filters, codec };
        let some_shape = vec![0; schema.rank()];
        schema.check(&some_shape).map_err(|e| Error::corrupt(e.message()))?;
        Ok(Self::Array(Arc::new(schema)))
    }
}

/// Checks a path: parts between `/`, none empty.
///
/// # Errors
/// `InvalidArgument` that says what is wrong with it.
pub fn check_path(path: &str) -> Result<()> {
    let wrong = |why: &str| Err(Error::invalid(format!("{path:?} is no name: {why}")));
    if path.is_empty() {
        return wrong("it is empty");
    }
    if path.len() > MAX_NAME_BYTES {
        return Err(Error::invalid(format!(
            "a name of {} bytes; at most {MAX_NAME_BYTES} are possible",
            path.len()
        )));
    }
    if path.starts_with('/') || path.ends_with('/') {
        return wrong("it begins or ends with '/'");
    }
    if path.contains("//") {
        return wrong("it has an empty part ('//')");
    }
    if path.contains('\0') {
        return wrong("it has a zero byte");
    }
    Ok(())
}

/// Checks the name of an attribute.
///
/// # Errors
/// `InvalidArgument`.
pub fn check_attribute_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains('\0') {
        let shown: String = name.chars().take(40).collect();
        return Err(Error::invalid(format!(
            "{shown:?} is no attribute name: it is empty, longer than {MAX_NAME_BYTES} bytes, or has a zero byte"
        )));
    }
    Ok(())
}
