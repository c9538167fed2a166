//! Native element types: what `define_array::<T>` takes for `T`.

use bytemuck::{AnyBitPattern, NoUninit};
use half::{bf16, f16};
use num_complex::Complex;

use crate::buffer::{Values, Variable};
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};

/// A native type of fixed width that is one [`Scalar`].
pub trait ScalarElement: Copy + Default + PartialEq + Send + Sync + 'static {
    /// Its element type.
    const SCALAR: Scalar;

    /// Writes the little-endian bytes; `dst` has `SCALAR.size_bytes()`.
    fn put_le(&self, dst: &mut [u8]);

    /// Reads little-endian bytes; `src` has `SCALAR.size_bytes()`, and a bool is 1 or not.
    fn from_le(src: &[u8]) -> Self;

    /// The values as the bytes of the file, where memory is laid out like that.
    fn as_le_bytes(values: &[Self]) -> Option<&[u8]>;

    /// The same for writing: whatever bytes are put there are valid values.
    fn as_le_bytes_mut(values: &mut [Self]) -> Option<&mut [u8]>;

    /// `n` values of all zero bytes; `None` where there is no such memory.
    fn zeros(n: usize) -> Option<Vec<Self>>;
}

/// On machines of the other byte order, values are converted one by one.
const LITTLE: bool = cfg!(target_endian = "little");

fn cast<T: NoUninit>(values: &[T]) -> Option<&[u8]> {
    LITTLE.then(|| bytemuck::cast_slice(values))
}

fn cast_mut<T: NoUninit + AnyBitPattern>(values: &mut [T]) -> Option<&mut [u8]> {
    LITTLE.then(|| bytemuck::cast_slice_mut(values))
}

fn lane<const N: usize>(src: &[u8]) -> [u8; N] {
    let mut lane = [0; N];
    lane.copy_from_slice(src.get(..N).unwrap_or(&[0; N]));
    lane
}

macro_rules! plain {
    ($($t:ty => $s:ident),* $(,)?) => {$(
        impl ScalarElement for $t {
            const SCALAR: Scalar = Scalar::$s;
            fn put_le(&self, dst: &mut [u8]) {
                dst.copy_from_slice(&self.to_le_bytes());
            }
            fn from_le(src: &[u8]) -> Self {
                Self::from_le_bytes(lane(src))
            }
            fn as_le_bytes(values: &[Self]) -> Option<&[u8]> {
                cast(values)
            }
            fn as_le_bytes_mut(values: &mut [Self]) -> Option<&mut [u8]> {
                cast_mut(values)
            }
            fn zeros(n: usize) -> Option<Vec<Self>> {
                bytemuck::allocation::try_zeroed_vec(n).ok()
            }
        }
    )*};
}

plain! {
    i8 => I8, i16 => I16, i32 => I32, i64 => I64, u8 => U8, u16 => U16, u32 => U32, u64 => U64,
    f16 => F16, bf16 => Bf16, f32 => F32, f64 => F64,
}

macro_rules! complex {
    ($($t:ty => $s:ident),*) => {$(
        impl ScalarElement for Complex<$t> {
            const SCALAR: Scalar = Scalar::$s;
            fn put_le(&self, dst: &mut [u8]) {
                let (re, im) = dst.split_at_mut(size_of::<$t>());
                re.copy_from_slice(&self.re.to_le_bytes());
                im.copy_from_slice(&self.im.to_le_bytes());
            }
            fn from_le(src: &[u8]) -> Self {
                let (re, im) = src.split_at(size_of::<$t>());
                Self::new(<$t>::from_le_bytes(lane(re)), <$t>::from_le_bytes(lane(im)))
            }
            fn as_le_bytes(values: &[Self]) -> Option<&[u8]> {
                cast(values)
            }
            fn as_le_bytes_mut(values: &mut [Self]) -> Option<&mut [u8]> {
                cast_mut(values)
            }
            fn zeros(n: usize) -> Option<Vec<Self>> {
                bytemuck::allocation::try_zeroed_vec(n).ok()
            }
        }
    )*};
}

complex!(f32 => Complex64, f64 => Complex128);

impl ScalarElement for bool {
    const SCALAR: Scalar = Scalar::Bool;
    fn put_le(&self, dst: &mut [u8]) {
        dst.copy_from_slice(&[u8::from(*self)]);
    }
    fn from_le(src: &[u8]) -> Self {
        src.first() == Some(&1)
    }
    fn as_le_bytes(values: &[Self]) -> Option<&[u8]> {
        Some(bytemuck::cast_slice(values))
    }
    fn as_le_bytes_mut(_: &mut [Self]) -> Option<&mut [u8]> {
        None // not every byte is a bool
    }
    fn zeros(n: usize) -> Option<Vec<Self>> {
        bytemuck::allocation::try_zeroed_vec(n).ok()
    }
}

macro_rules! time {
    ($($(#[$doc:meta])* $t:ident => $s:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(transparent)]
        pub struct $t(pub i64);

        impl ScalarElement for $t {
            const SCALAR: Scalar = Scalar::$s;
            fn put_le(&self, dst: &mut [u8]) {
                ScalarElement::put_le(&self.0, dst);
            }
            fn from_le(src: &[u8]) -> Self {
                Self(<i64 as ScalarElement>::from_le(src))
            }
            fn as_le_bytes(values: &[Self]) -> Option<&[u8]> {
                cast(bytemuck::TransparentWrapper::peel_slice(values))
            }
            fn as_le_bytes_mut(values: &mut [Self]) -> Option<&mut [u8]> {
                cast_mut(bytemuck::TransparentWrapper::peel_slice_mut(values))
            }
            fn zeros(n: usize) -> Option<Vec<Self>> {
                let values: Vec<i64> = bytemuck::allocation::try_zeroed_vec(n).ok()?;
                Some(bytemuck::allocation::TransparentWrapperAlloc::wrap_vec(values))
            }
        }

        // SAFETY: `repr(transparent)` over the one field, above.
        #[expect(unsafe_code, reason = "bytemuck's marker for repr(transparent)")]
        unsafe impl bytemuck::TransparentWrapper<i64> for $t {}
    )*};
}

time! {
    /// Seconds since 1970-01-01T00:00:00Z.
    TimestampS => TimestampS,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    TimestampMs => TimestampMs,
    /// Microseconds since 1970-01-01T00:00:00Z.
    TimestampUs => TimestampUs,
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    TimestampNs => TimestampNs,
    /// A span in seconds.
    DurationS => DurationS,
    /// A span in milliseconds.
    DurationMs => DurationMs,
    /// A span in microseconds.
    DurationUs => DurationUs,
    /// A span in nanoseconds.
    DurationNs => DurationNs,
}

/// A variable-length list of scalars: one element of an array of lists. (`Vec<u8>` is an element of bytes.)
#[derive(Debug, Clone, Default, PartialEq)]
pub struct List<T>(pub Vec<T>);

/// A native type that arrays can be made of.
///
/// `Option<T>` stands for an array with a validity mask; `[T; N]` for fixed-size lists, [`List`] for variable ones.
pub trait ArrayElement: Clone + Send + Sync + 'static {
    /// The element type in the file.
    const DTYPE: DType;
    /// Whether elements can be null.
    const NULLABLE: bool = false;

    /// Appends one element's values.
    fn put(&self, out: &mut Values);

    /// Appends many; types whose memory is laid out like the file copy it at once.
    fn put_all(elements: &[Self], out: &mut Values) {
        elements.iter().for_each(|e| e.put(out));
    }

    /// Whether the element is there; false only for a `None`.
    fn is_valid(&self) -> bool {
        true
    }

    /// Turns the values of an array, and its mask (a byte an element) if it has one, to native elements.
    ///
    /// # Errors
    /// `Corrupt` where the bytes are no such element (text that is not UTF-8).
    fn from_values(values: &Values, validity: Option<&[u8]>) -> Result<Vec<Self>>;

    /// The elements as the bytes of the file, for types that are laid out in memory like there.
    fn as_le_bytes(_elements: &[Self]) -> Option<&[u8]> {
        None
    }

    /// The elements as the bytes of the file, for types that can be read into in place.
    fn as_le_bytes_mut(_elements: &mut [Self]) -> Option<&mut [u8]> {
        None
    }

    /// `n` elements to be read into in place. `None` for types that cannot be, and where there is no such memory.
    fn zeros(_n: usize) -> Option<Vec<Self>> {
        None
    }
}

/// A type whose bytes in the file have one length.
trait Fixed: Sized + Clone {
    const SIZE: usize;
    fn put_bytes(&self, out: &mut Vec<u8>);
    fn from_bytes(src: &[u8]) -> Self;
    fn decode(values: &Values) -> Result<Vec<Self>> {
        let bytes = values.fixed()?;
        Ok(bytes.chunks_exact(Self::SIZE.max(1)).map(Self::from_bytes).collect())
    }
}

impl<T: ScalarElement> Fixed for T {
    const SIZE: usize = size_of::<T>();
    fn put_bytes(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + Self::SIZE, 0);
        self.put_le(&mut out[start..]);
    }
    fn from_bytes(src: &[u8]) -> Self {
        T::from_le(src)
    }
}

impl<T: ScalarElement> ArrayElement for T {
    const DTYPE: DType = DType::Scalar(T::SCALAR);

    fn put(&self, out: &mut Values) {
        if let Values::Fixed(bytes) = out {
            self.put_bytes(bytes);
        }
    }

    fn put_all(elements: &[Self], out: &mut Values) {
        match (T::as_le_bytes(elements), out) {
            (Some(src), Values::Fixed(dst)) => dst.extend_from_slice(src),
            (_, out) => elements.iter().for_each(|e| e.put(out)),
        }
    }

    fn from_values(values: &Values, _: Option<&[u8]>) -> Result<Vec<Self>> {
        T::decode(values)
    }

    fn as_le_bytes(elements: &[Self]) -> Option<&[u8]> {
        T::as_le_bytes(elements)
    }

    fn as_le_bytes_mut(elements: &mut [Self]) -> Option<&mut [u8]> {
        T::as_le_bytes_mut(elements)
    }

    fn zeros(n: usize) -> Option<Vec<Self>> {
        <T as ScalarElement>::zeros(n)
    }
}

impl<T: ScalarElement, const N: usize> ArrayElement for [T; N] {
    const DTYPE: DType = DType::FixedList { item: T::SCALAR, len: N as u32 };

    fn put(&self, out: &mut Values) {
        if let Values::Fixed(bytes) = out {
            self.iter().for_each(|v| v.put_bytes(bytes));
        }
    }

    fn from_values(values: &Values, _: Option<&[u8]>) -> Result<Vec<Self>> {
        let items = T::decode(values)?;
        Ok(items.chunks_exact(N.max(1)).map(|c| std::array::from_fn(|i| c[i])).collect())
    }
}

impl ArrayElement for String {
    const DTYPE: DType = DType::String;

    fn put(&self, out: &mut Values) {
        if let Values::Variable(v) = out {
            v.push(self.as_bytes());
        }
    }

    fn from_values(values: &Values, _: Option<&[u8]>) -> Result<Vec<Self>> {
        let text = |b: &[u8]| {
            let s = std::str::from_utf8(b);
            s.map(str::to_owned).map_err(|e| Error::corrupt(format!("a string is not UTF-8: {e}")))
        };
        values.variable()?.iter().map(text).collect()
    }
}

impl ArrayElement for Vec<u8> {
    const DTYPE: DType = DType::Binary;

    fn put(&self, out: &mut Values) {
        if let Values::Variable(v) = out {
            v.push(self);
        }
    }

    fn from_values(values: &Values, _: Option<&[u8]>) -> Result<Vec<Self>> {
        Ok(values.variable()?.iter().map(<[u8]>::to_vec).collect())
    }
}

impl<T: ScalarElement> ArrayElement for List<T> {
    const DTYPE: DType = DType::List { item: T::SCALAR };

    fn put(&self, out: &mut Values) {
        if let Values::Variable(v) = out {
            let mut bytes = Vec::with_capacity(self.0.len() * T::SIZE);
            self.0.iter().for_each(|item| item.put_bytes(&mut bytes));
            v.push(&bytes);
        }
    }

    fn from_values(values: &Values, _: Option<&[u8]>) -> Result<Vec<Self>> {
        Ok(values
            .variable()?
            .iter()
            .map(|b| Self(b.chunks_exact(T::SIZE).map(T::from_le).collect()))
            .collect())
    }
}

impl<T: ArrayElement + Default> ArrayElement for Option<T> {
    const DTYPE: DType = T::DTYPE;
    const NULLABLE: bool = true;

    fn put(&self, out: &mut Values) {
        match (self, out) {
            (Some(v), out) => v.put(out),
            // The value bytes of a null are zero, whatever the type's default is.
            (None, Values::Fixed(bytes)) => {
                let size = T::DTYPE.fixed_size_bytes().unwrap_or(0);
                bytes.resize(bytes.len() + size, 0);
            }
            (None, Values::Variable(v)) => v.push(&[]),
        }
    }

    fn is_valid(&self) -> bool {
        self.is_some()
    }

    fn from_values(values: &Values, validity: Option<&[u8]>) -> Result<Vec<Self>> {
        let values = T::from_values(values, None)?;
        let valid = |i: usize| validity.is_none_or(|v| v.get(i) == Some(&1));
        Ok(values.into_iter().enumerate().map(|(i, v)| valid(i).then_some(v)).collect())
    }
}

/// The values of one element, as a fill value is stored: without lengths.
pub fn fill_bytes<T: ArrayElement>(element: &T) -> Vec<u8> {
    let mut values = Values::empty(T::DTYPE);
    element.put(&mut values);
    match values {
        Values::Fixed(bytes) => bytes,
        Values::Variable(Variable { data, .. }) => data,
    }
}
