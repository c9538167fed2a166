//! Elements in memory, of any type.

use crate::dtype::DType;
use crate::error::{Error, Result};

/// `len` zero bytes, or an error where there is no such memory: the size may be a user's or a file's wish.
///
/// # Errors
/// `InvalidArgument`.
pub fn zeroed(len: usize) -> Result<Vec<u8>> {
    // Memory is asked for twice: once to learn whether it is there, once already zeroed, which costs nothing more.
    let mut probe: Vec<u8> = Vec::new();
    if probe.try_reserve_exact(len).is_err() {
        return Err(Error::invalid(format!(
            "{len} bytes do not fit in memory; read a smaller region, or define the array with smaller chunks"
        )));
    }
    drop(probe);
    Ok(vec![0; len])
}

/// Elements of varying length: where each ends, and the bytes of all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variable {
    /// First byte after each element, in `data`. Never falls.
    pub ends: Vec<u64>,
    /// The bytes of all elements, one after the other.
    pub data: Vec<u8>,
}

impl Variable {
    /// Appends an element.
    pub fn push(&mut self, element: &[u8]) {
        self.data.extend_from_slice(element);
        self.ends.push(self.data.len() as u64);
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Element `i`; empty beyond the end.
    pub fn get(&self, i: usize) -> &[u8] {
        let end = self.ends.get(i).copied().unwrap_or(0) as usize;
        let start = i.checked_sub(1).and_then(|i| self.ends.get(i)).copied().unwrap_or(0) as usize;
        self.data.get(start..end).unwrap_or_default()
    }

    /// All elements in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|i| self.get(i))
    }
}

/// The values of elements, nulls included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Values {
    /// Little-endian elements of one size, one after the other.
    Fixed(Vec<u8>),
    /// Elements of varying length.
    Variable(Variable),
}

impl Values {
    /// No values of `dtype`.
    pub fn empty(dtype: DType) -> Self {
        if dtype.is_variable() { Self::Variable(Variable::default()) } else { Self::Fixed(Vec::new()) }
    }

    /// `n` times one element, given by its bytes.
    pub fn repeat(dtype: DType, element: &[u8], n: usize) -> Self {
        if !dtype.is_variable() {
            return Self::Fixed(element.repeat(n));
        }
        let len = element.len() as u64;
        Self::Variable(Variable { ends: (1..=n as u64).map(|i| i * len).collect(), data: element.repeat(n) })
    }

    /// The bytes of elements of one size.
    ///
    /// # Errors
    /// `InvalidArgument` for elements of varying length.
    pub fn fixed(&self) -> Result<&[u8]> {
        match self {
            Self::Fixed(bytes) => Ok(bytes),
            Self::Variable(_) => Err(Error::invalid("elements of varying length have no fixed layout")),
        }
    }

    /// Elements of varying length.
    ///
    /// # Errors
    /// `InvalidArgument` for elements of one size.
    pub fn variable(&self) -> Result<&Variable> {
        match self {
            Self::Variable(v) => Ok(v),
            Self::Fixed(_) => Err(Error::invalid("elements of one size do not vary in length")),
        }
    }

    /// Bytes in memory.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Fixed(bytes) => bytes.len(),
            Self::Variable(v) => v.data.len() + 8 * v.ends.len(),
        }
    }
}

/// Elements of one type, in row-major order, with a mask if any may be null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elements {
    /// Type of the elements.
    pub dtype: DType,
    /// Their values; what stands for a null is zero or empty.
    pub values: Values,
    /// A byte an element, 1 if it is there and 0 if it is null; `None` if the array has no mask.
    pub validity: Option<Vec<u8>>,
}

impl Elements {
    /// `n` times the element that stands for what was never written.
    ///
    /// # Errors
    /// As [`zeroed`].
    pub fn filled(schema: &crate::schema::ArraySchema, n: usize) -> Result<Self> {
        let dtype = schema.dtype;
        // Elements of varying length have a word each besides.
        let fill_bytes = schema.fill.as_ref().map_or(0, Vec::len) + 8;
        zeroed(n.saturating_mul(dtype.fixed_size_bytes().unwrap_or(fill_bytes)))?;
        let zero = vec![0; dtype.fixed_size_bytes().unwrap_or(0)];
        let fill = schema.fill.as_deref().unwrap_or(&zero);
        let valid = u8::from(schema.fill.is_some());
        Ok(Self {
            dtype,
            values: Values::repeat(dtype, fill, n),
            validity: schema.nullable.then(|| vec![valid; n]),
        })
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match &self.values {
            Values::Fixed(bytes) => match self.dtype.fixed_size_bytes() {
                Some(size) if size > 0 => bytes.len() / size,
                _ => self.validity.as_ref().map_or(0, Vec::len),
            },
            Values::Variable(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes in memory.
    pub fn heap_bytes(&self) -> usize {
        self.values.heap_bytes() + self.validity.as_ref().map_or(0, Vec::len)
    }
}
