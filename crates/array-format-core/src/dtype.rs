//! Element types. Codes are frozen: `docs/format.md`, section "Element types".

use std::fmt;

use crate::cursor::{Cursor, put_varint};
use crate::error::{Error, Result};

/// Unit of a timestamp or duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TimeUnit {
    /// seconds
    Second,
    /// milliseconds
    Milli,
    /// microseconds
    Micro,
    /// nanoseconds
    Nano,
}

/// A type of fixed width, in bytes `1..=16`: what lists are made of, and what filters and statistics see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Scalar {
    /// one byte, 0 or 1
    Bool = 1,
    /// signed, 8 bits
    I8 = 2,
    /// signed, 16 bits
    I16 = 3,
    /// signed, 32 bits
    I32 = 4,
    /// signed, 64 bits
    I64 = 5,
    /// unsigned, 8 bits
    U8 = 6,
    /// unsigned, 16 bits
    U16 = 7,
    /// unsigned, 32 bits
    U32 = 8,
    /// unsigned, 64 bits
    U64 = 9,
    /// IEEE half precision
    F16 = 10,
    /// bfloat16
    Bf16 = 11,
    /// IEEE single precision
    F32 = 12,
    /// IEEE double precision
    F64 = 13,
    /// two f32: real, imaginary
    Complex64 = 14,
    /// two f64: real, imaginary
    Complex128 = 15,
    /// i64 since 1970-01-01T00:00:00 UTC without leap seconds, in seconds
    TimestampS = 16,
    /// the same in milliseconds
    TimestampMs = 17,
    /// the same in microseconds
    TimestampUs = 18,
    /// the same in nanoseconds
    TimestampNs = 19,
    /// i64 seconds
    DurationS = 20,
    /// i64 milliseconds
    DurationMs = 21,
    /// i64 microseconds
    DurationUs = 22,
    /// i64 nanoseconds
    DurationNs = 23,
}

impl Scalar {
    /// All of them, in the order of their codes.
    pub const ALL: [Scalar; 23] = {
        use Scalar::*;
        [
            Bool,
            I8,
            I16,
            I32,
            I64,
            U8,
            U16,
            U32,
            U64,
            F16,
            Bf16,
            F32,
            F64,
            Complex64,
            Complex128,
            TimestampS,
            TimestampMs,
            TimestampUs,
            TimestampNs,
            DurationS,
            DurationMs,
            DurationUs,
            DurationNs,
        ]
    };

    /// The scalar of an on-disk code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }

    /// Its on-disk code.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Bytes a value takes.
    pub fn size_bytes(self) -> usize {
        use Scalar::*;
        match self {
            Bool | I8 | U8 => 1,
            I16 | U16 | F16 | Bf16 => 2,
            I32 | U32 | F32 => 4,
            Complex128 => 16,
            _ => 8,
        }
    }

    /// Width in bytes of the machine number that filters see: a complex number is two of them.
    pub fn lane_bytes(self) -> usize {
        match self {
            Self::Complex64 => 4,
            Self::Complex128 => 8,
            other => other.size_bytes(),
        }
    }

    /// Whether values have NaN among them.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::Bf16 | Self::F32 | Self::F64)
    }

    /// Whether values are complex numbers.
    pub fn is_complex(self) -> bool {
        matches!(self, Self::Complex64 | Self::Complex128)
    }

    /// The unit, for timestamps.
    pub fn timestamp_unit(self) -> Option<TimeUnit> {
        Some(match self {
            Self::TimestampS => TimeUnit::Second,
            Self::TimestampMs => TimeUnit::Milli,
            Self::TimestampUs => TimeUnit::Micro,
            Self::TimestampNs => TimeUnit::Nano,
            _ => return None,
        })
    }

    /// The unit, for durations.
    pub fn duration_unit(self) -> Option<TimeUnit> {
        Some(match self {
            Self::DurationS => TimeUnit::Second,
            Self::DurationMs => TimeUnit::Milli,
            Self::DurationUs => TimeUnit::Micro,
            Self::DurationNs => TimeUnit::Nano,
            _ => return None,
        })
    }

    /// Its name, as `Display` prints it.
    pub fn name(self) -> &'static str {
        use Scalar::*;
        match self {
            Bool => "bool",
            I8 => "i8",
            I16 => "i16",
            I32 => "i32",
            I64 => "i64",
            U8 => "u8",
            U16 => "u16",
            U32 => "u32",
            U64 => "u64",
            F16 => "f16",
            Bf16 => "bf16",
            F32 => "f32",
            F64 => "f64",
            Complex64 => "complex64",
            Complex128 => "complex128",
            TimestampS => "timestamp[s]",
            TimestampMs => "timestamp[ms]",
            TimestampUs => "timestamp[us]",
            TimestampNs => "timestamp[ns]",
            DurationS => "duration[s]",
            DurationMs => "duration[ms]",
            DurationUs => "duration[us]",
            DurationNs => "duration[ns]",
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Element type of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// a number, bool, timestamp or duration
    Scalar(Scalar),
    /// UTF-8 text of any length
    String,
    /// bytes of any length
    Binary,
    /// `len` scalars in every element
    FixedList {
        /// type of the items
        item: Scalar,
        /// items in every element
        len: u32,
    },
    /// any number of scalars in every element
    List {
        /// type of the items
        item: Scalar,
    },
}

const STRING: u8 = 32;
const BINARY: u8 = 33;
const FIXED_LIST: u8 = 40;
const LIST: u8 = 41;

/// Items that one element of a fixed-size list may hold.
pub const MAX_FIXED_LIST_LEN: u32 = 1 << 24;

impl DType {
    /// Bytes of one element, or `None` where lengths vary.
    pub fn fixed_size_bytes(self) -> Option<usize> {
        match self {
            Self::Scalar(s) => Some(s.size_bytes()),
            Self::FixedList { item, len } => item.size_bytes().checked_mul(usize::try_from(len).ok()?),
            _ => None,
        }
    }

    /// Whether elements vary in length.
    pub fn is_variable(self) -> bool {
        matches!(self, Self::String | Self::Binary | Self::List { .. })
    }

    /// The scalar that the value bytes are made of; `None` for strings and bytes.
    pub fn item(self) -> Option<Scalar> {
        match self {
            Self::Scalar(item) | Self::FixedList { item, .. } | Self::List { item } => Some(item),
            Self::String | Self::Binary => None,
        }
    }

    /// Appends the on-disk form.
    pub fn encode(self, out: &mut Vec<u8>) {
        match self {
            Self::Scalar(s) => out.push(s.code()),
            Self::String => out.push(STRING),
            Self::Binary => out.push(BINARY),
            Self::FixedList { item, len } => {
                out.extend([FIXED_LIST, item.code()]);
                put_varint(out, u64::from(len));
            }
            Self::List { item } => out.extend([LIST, item.code()]),
        }
    }

    /// Reads the on-disk form.
    ///
    /// # Errors
    /// `Unsupported` for a code of a later version, `Corrupt` where bytes are missing.
    pub fn decode(c: &mut Cursor<'_>) -> Result<Self> {
        let code = c.u8()?;
        let item = |c: &mut Cursor<'_>| {
            let code = c.u8()?;
            Scalar::from_code(code).ok_or_else(|| unknown(code))
        };
        Ok(match code {
            STRING => Self::String,
            BINARY => Self::Binary,
            FIXED_LIST => {
                let item = item(c)?;
                let len = u32::try_from(c.varint()?).unwrap_or(u32::MAX);
                if len > MAX_FIXED_LIST_LEN {
                    return Err(Error::corrupt(format!("a fixed-size list of {len} items")));
                }
                Self::FixedList { item, len }
            }
            LIST => Self::List { item: item(c)? },
            code => Self::Scalar(Scalar::from_code(code).ok_or_else(|| unknown(code))?),
        })
    }
}

fn unknown(code: u8) -> Error {
    Error::unsupported(format!("element type {code} is not known to this version; use a later one"))
}

impl From<Scalar> for DType {
    fn from(s: Scalar) -> Self {
        Self::Scalar(s)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(s) => s.fmt(f),
            Self::String => f.write_str("string"),
            Self::Binary => f.write_str("binary"),
            Self::FixedList { item, len } => write!(f, "list<{item}; {len}>"),
            Self::List { item } => write!(f, "list<{item}>"),
        }
    }
}

impl std::str::FromStr for DType {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        let scalar = |s: &str| Scalar::ALL.into_iter().find(|x| x.name() == s);
        let bad = || Error::invalid(format!("{s:?} is not an element type"));
        Ok(match s {
            "string" => Self::String,
            "binary" => Self::Binary,
            _ => match s.strip_prefix("list<").and_then(|s| s.strip_suffix('>')) {
                None => Self::Scalar(scalar(s).ok_or_else(bad)?),
                Some(inner) => match inner.split_once(';') {
                    None => Self::List { item: scalar(inner).ok_or_else(bad)? },
                    Some((item, len)) => Self::FixedList {
                        item: scalar(item).ok_or_else(bad)?,
                        len: len.trim().parse().map_err(|_| bad())?,
                    },
                },
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_frozen_and_names_parse_back() {
        for (i, s) in Scalar::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(s.code()), i + 1);
            assert_eq!(Scalar::from_code(s.code()), Some(s));
            let types = [DType::Scalar(s), DType::List { item: s }, DType::FixedList { item: s, len: 3 }];
            for d in types.into_iter().chain([DType::String, DType::Binary]) {
                assert_eq!(d.to_string().parse::<DType>().unwrap(), d);
                let mut out = Vec::new();
                d.encode(&mut out);
                assert_eq!(DType::decode(&mut Cursor::new(&out)).unwrap(), d);
            }
        }
        assert_eq!(Scalar::from_code(0), None);
        assert_eq!(Scalar::from_code(24), None);
    }
}
