//! Values of attributes, minima and maxima: `docs/format.md` section 10.

use std::cmp::Ordering;
use std::fmt;

use half::{bf16, f16};
use num_complex::Complex;

use crate::cursor::{Cursor, put_bytes, put_varint};
use crate::dtype::Scalar;
use crate::element::ScalarElement;
use crate::error::{Error, Result};

/// One scalar of any type. Equality is that of the bytes, so that a NaN equals itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ScalarValue {
    item: Scalar,
    bytes: [u8; 16],
}

impl ScalarValue {
    /// From little-endian bytes, `item.size_bytes()` of them.
    ///
    /// # Errors
    /// `InvalidArgument` for another number of bytes, or a bool that is neither 0 nor 1.
    pub fn from_bytes(item: Scalar, bytes: &[u8]) -> Result<Self> {
        let mut all = [0; 16];
        match all.get_mut(..item.size_bytes()) {
            Some(dst) if dst.len() == bytes.len() => dst.copy_from_slice(bytes),
            _ => return Err(Error::invalid(format!("{} bytes for a {item}", bytes.len()))),
        }
        if item == Scalar::Bool && bytes[0] > 1 {
            return Err(Error::invalid(format!("a bool of value {}", bytes[0])));
        }
        Ok(Self { item, bytes: all })
    }

    /// Its type.
    pub fn item(&self) -> Scalar {
        self.item
    }

    /// Its little-endian bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.item.size_bytes()]
    }

    fn i64(&self) -> i64 {
        i64::from_le_bytes(self.lane())
    }

    fn lane<const N: usize>(&self) -> [u8; N] {
        let mut lane = [0; N];
        lane.copy_from_slice(&self.bytes[..N]);
        lane
    }

    /// As a signed integer, if it is an integer, bool, timestamp or duration that fits.
    pub fn as_i64(&self) -> Option<i64> {
        use Scalar::*;
        Some(match self.item {
            Bool | U8 => i64::from(self.bytes[0]),
            I8 => i64::from(i8::from_le_bytes(self.lane())),
            I16 => i64::from(i16::from_le_bytes(self.lane())),
            I32 => i64::from(i32::from_le_bytes(self.lane())),
            U16 => i64::from(u16::from_le_bytes(self.lane())),
            U32 => i64::from(u32::from_le_bytes(self.lane())),
            U64 => i64::try_from(u64::from_le_bytes(self.lane())).ok()?,
            F16 | Bf16 | F32 | F64 | Complex64 | Complex128 => return None,
            _ => self.i64(),
        })
    }

    /// As a float, if it is a real number (large integers are rounded).
    pub fn as_f64(&self) -> Option<f64> {
        use Scalar::*;
        Some(match self.item {
            F16 => f64::from(f16::from_le_bytes(self.lane())),
            Bf16 => f64::from(bf16::from_le_bytes(self.lane())),
            F32 => f64::from(f32::from_le_bytes(self.lane())),
            F64 => f64::from_le_bytes(self.lane()),
            U64 => u64::from_le_bytes(self.lane()) as f64,
            Complex64 | Complex128 => return None,
            _ => self.as_i64()? as f64,
        })
    }

    /// As a native value, if the type is exactly that.
    pub fn get<T: ScalarElement>(&self) -> Option<T> {
        (T::SCALAR == self.item).then(|| T::from_le(self.bytes()))
    }

    /// Order of two values of one type; `None` for different types, complex numbers and NaN.
    pub fn partial_cmp_same(&self, other: &Self) -> Option<Ordering> {
        if self.item != other.item || self.item.is_complex() {
            return None;
        }
        if self.item.is_float() {
            return self.as_f64()?.partial_cmp(&other.as_f64()?);
        }
        match self.item {
            Scalar::U64 => Some(u64::from_le_bytes(self.lane()).cmp(&u64::from_le_bytes(other.lane()))),
            _ => Some(self.as_i64()?.cmp(&other.as_i64()?)),
        }
    }
}

impl<T: ScalarElement> From<T> for ScalarValue {
    fn from(v: T) -> Self {
        let mut bytes = [0; 16];
        v.put_le(&mut bytes[..T::SCALAR.size_bytes()]);
        Self { item: T::SCALAR, bytes }
    }
}

impl fmt::Display for ScalarValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Scalar::*;
        match self.item {
            Bool => write!(f, "{}", self.bytes[0] == 1),
            F16 => write!(f, "{}", f16::from_le_bytes(self.lane())),
            Bf16 => write!(f, "{}", bf16::from_le_bytes(self.lane())),
            F32 => write!(f, "{}", f32::from_le_bytes(self.lane())),
            F64 => write!(f, "{}", f64::from_le_bytes(self.lane())),
            U64 => write!(f, "{}", u64::from_le_bytes(self.lane())),
            Complex64 => write!(f, "{}", Complex::<f32>::from_le(self.bytes())),
            Complex128 => write!(f, "{}", Complex::<f64>::from_le(self.bytes())),
            _ => match self.as_i64() {
                Some(v) => write!(f, "{v}"),
                None => Ok(()),
            },
        }
    }
}

impl fmt::Debug for ScalarValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}_{}", self.item)
    }
}

/// Value of an attribute, a minimum or a maximum.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// A number, bool, timestamp or duration.
    Scalar(ScalarValue),
    /// Text.
    String(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// Scalars of one type, as little-endian bytes.
    List {
        /// Type of the items.
        item: Scalar,
        /// All items, one after the other.
        bytes: Vec<u8>,
    },
    /// Texts.
    StringList(Vec<String>),
    /// Runs of bytes.
    BinaryList(Vec<Vec<u8>>),
}

const STRING: u8 = 32;
const BINARY: u8 = 33;
const LIST_BIT: u8 = 128;

impl Value {
    /// A list of native scalars.
    pub fn list<T: ScalarElement>(items: &[T]) -> Self {
        let size = T::SCALAR.size_bytes();
        let mut bytes = vec![0; items.len() * size];
        for (v, dst) in items.iter().zip(bytes.chunks_exact_mut(size)) {
            v.put_le(dst);
        }
        Self::List { item: T::SCALAR, bytes }
    }

    /// The native items, if it is a list of exactly that type.
    pub fn items<T: ScalarElement>(&self) -> Option<Vec<T>> {
        match self {
            Self::List { item, bytes } if *item == T::SCALAR => {
                Some(bytes.chunks_exact(item.size_bytes()).map(T::from_le).collect())
            }
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(s) => Some(s),
            _ => None,
        }
    }

    /// As [`ScalarValue::as_f64`].
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Scalar(s) => s.as_f64(),
            _ => None,
        }
    }

    /// As [`ScalarValue::as_i64`].
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Scalar(s) => s.as_i64(),
            _ => None,
        }
    }

    /// Name of its type: `f32`, `string`, `list<i64>`.
    pub fn type_name(&self) -> String {
        match self {
            Self::Scalar(s) => s.item.to_string(),
            Self::String(_) => "string".into(),
            Self::Binary(_) => "binary".into(),
            Self::List { item, .. } => format!("list<{item}>"),
            Self::StringList(_) => "list<string>".into(),
            Self::BinaryList(_) => "list<binary>".into(),
        }
    }

    /// Order of two values of one type; `None` where there is none.
    pub fn partial_cmp_same(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Scalar(a), Self::Scalar(b)) => a.partial_cmp_same(b),
            (Self::String(a), Self::String(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
            (Self::Binary(a), Self::Binary(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// Bytes of a text, of bytes, or of the items of a list; a scalar takes none besides itself.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Scalar(_) => 0,
            Self::String(s) => s.len(),
            Self::Binary(bytes) | Self::List { bytes, .. } => bytes.len(),
            Self::StringList(list) => list.iter().map(String::len).sum(),
            Self::BinaryList(list) => list.iter().map(Vec::len).sum(),
        }
    }

    /// Refuses a list whose bytes are not whole items.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::List { item, bytes } if bytes.len() % item.size_bytes() != 0 => {
                Err(Error::invalid(format!("{} bytes are no whole number of {item}", bytes.len())))
            }
            Self::List { item: Scalar::Bool, bytes } if bytes.iter().any(|b| *b > 1) => {
                Err(Error::invalid("a bool that is neither 0 nor 1"))
            }
            _ => Ok(()),
        }
    }

    /// Appends the on-disk form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Scalar(s) => {
                out.push(s.item.code());
                out.extend(s.bytes());
            }
            Self::String(s) => {
                out.push(STRING);
                put_bytes(out, s.as_bytes());
            }
            Self::Binary(b) => {
                out.push(BINARY);
                put_bytes(out, b);
            }
            Self::List { item, bytes } => {
                out.push(item.code() | LIST_BIT);
                put_varint(out, (bytes.len() / item.size_bytes()) as u64);
                out.extend(bytes);
            }
            Self::StringList(list) => {
                out.push(STRING | LIST_BIT);
                put_varint(out, list.len() as u64);
                list.iter().for_each(|s| put_bytes(out, s.as_bytes()));
            }
            Self::BinaryList(list) => {
                out.push(BINARY | LIST_BIT);
                put_varint(out, list.len() as u64);
                list.iter().for_each(|s| put_bytes(out, s));
            }
        }
    }

    /// Reads the on-disk form.
    ///
    /// # Errors
    /// `Corrupt`, or `Unsupported` for a type of a later version.
    pub fn decode(c: &mut Cursor<'_>) -> Result<Self> {
        let code = c.u8()?;
        let corrupt = |e: Error| Error::corrupt(e.message());
        Ok(match code {
            STRING => Self::String(c.str()?.to_owned()),
            BINARY => Self::Binary(c.bytes()?.to_vec()),
            0xA0 => {
                let n = c.count(1)?;
                Self::StringList((0..n).map(|_| Ok(c.str()?.to_owned())).collect::<Result<_>>()?)
            }
            0xA1 => {
                let n = c.count(1)?;
                Self::BinaryList((0..n).map(|_| Ok(c.bytes()?.to_vec())).collect::<Result<_>>()?)
            }
            _ => {
                let item = Scalar::from_code(code & !LIST_BIT)
                    .ok_or_else(|| Error::unsupported(format!("attribute values of type {code}")))?;
                let n = if code & LIST_BIT == 0 { 1 } else { c.count(item.size_bytes())? };
                let bytes = c.take(n * item.size_bytes())?;
                if code & LIST_BIT == 0 {
                    Self::Scalar(ScalarValue::from_bytes(item, bytes).map_err(corrupt)?)
                } else {
                    let list = Self::List { item, bytes: bytes.to_vec() };
                    list.check().map_err(corrupt)?;
                    list
                }
            }
        })
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn join(f: &mut fmt::Formatter<'_>, items: impl Iterator<Item = String>) -> fmt::Result {
            write!(f, "[{}]", items.collect::<Vec<_>>().join(", "))
        }
        match self {
            Self::Scalar(s) => s.fmt(f),
            Self::String(s) => write!(f, "{s:?}"),
            Self::Binary(b) => write!(f, "0x{}", b.iter().map(|b| format!("{b:02x}")).collect::<String>()),
            Self::List { item, bytes } => join(
                f,
                bytes
                    .chunks_exact(item.size_bytes())
                    .map(|b| ScalarValue::from_bytes(*item, b).map(|v| v.to_string()).unwrap_or_default()),
            ),
            Self::StringList(list) => join(f, list.iter().map(|s| format!("{s:?}"))),
            Self::BinaryList(list) => join(f, list.iter().map(|b| Self::Binary(b.clone()).to_string())),
        }
    }
}

impl<T: ScalarElement> From<T> for Value {
    fn from(v: T) -> Self {
        Self::Scalar(v.into())
    }
}

impl From<&str> for Value {
    fn from(v: &str) -> Self {
        Self::String(v.to_owned())
    }
}

impl From<String> for Value {
    fn from(v: String) -> Self {
        Self::String(v)
    }
}

impl From<ScalarValue> for Value {
    fn from(v: ScalarValue) -> Self {
        Self::Scalar(v)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_round_trips() {
        let mut values: Vec<Value> = Scalar::ALL
            .into_iter()
            .map(|item| ScalarValue::from_bytes(item, &vec![1; item.size_bytes()]).unwrap().into())
            .collect();
        values.extend(Scalar::ALL.map(|item| Value::List { item, bytes: vec![1; 3 * item.size_bytes()] }));
        values.extend([
            Value::from("text"),
            Value::from(f64::NAN),
            Value::Binary(vec![0, 255]),
            Value::StringList(vec!["a".into(), String::new()]),
            Value::BinaryList(vec![vec![], vec![7]]),
            Value::list::<i32>(&[]),
        ]);
        for v in values {
            let mut out = Vec::new();
            v.encode(&mut out);
            let mut c = Cursor::new(&out);
            assert_eq!(Value::decode(&mut c).unwrap(), v);
            assert_eq!(c.remaining(), 0);
        }
    }

    #[test]
    fn order_is_that_of_the_type() {
        use std::cmp::Ordering::*;
        let cmp = |a: Value, b: Value| a.partial_cmp_same(&b);
        assert_eq!(cmp(u64::MAX.into(), 1u64.into()), Some(Greater));
        assert_eq!(cmp((-1i8).into(), 1i8.into()), Some(Less));
        assert_eq!(cmp((-0.0f32).into(), 0.0f32.into()), Some(Equal));
        assert_eq!(cmp(f32::NAN.into(), 1f32.into()), None);
        assert_eq!(cmp(1f32.into(), 1f64.into()), None);
    }
}
