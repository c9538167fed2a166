//! The header of `.npy`: a Python dictionary such as `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.

use std::io::Read;

use array_format_core::{DType, Error, Result, Scalar};

use super::super::io_error;
use super::{Element, number};

/// First bytes of every `.npy` file.
pub(in super::super) const MAGIC: &[u8] = b"\x93NUMPY";

/// Longer ones are not believed; NumPy itself refuses more than 10,000 bytes.
const MAX_HEADER_BYTES: usize = 1 << 20;

/// What an array is, and where its data begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Header {
    pub(in super::super) element: Element,
    pub(in super::super) column_major: bool,
    pub(in super::super) shape: Vec<u64>,
    pub(in super::super) data_offset: u64,
}

impl Header {
    /// Reads it from the begin of a file.
    ///
    /// # Errors
    /// `Unsupported` for an element type that is not known here, `Corrupt` for a broken header.
    pub(in super::super) fn read(from: &mut impl Read) -> Result<Self> {
        let mut take = |n: usize| -> Result<Vec<u8>> {
            let mut bytes = vec![0; n];
            from.read_exact(&mut bytes).map_err(|e| io_error("the .npy header cannot be read", e))?;
            Ok(bytes)
        };
        let begin = take(8)?;
        if !begin.starts_with(MAGIC) {
            return Err(Error::corrupt("not an array of NumPy: its first bytes are others"));
        }
        let width = match begin[6] {
            1 => 2,
            2 | 3 => 4,
            v => return Err(Error::unsupported(format!("version {v} of the .npy format"))),
        };
        let mut len = [0u8; 8];
        len[..width].copy_from_slice(&take(width)?);
        let len = usize::try_from(u64::from_le_bytes(len)).unwrap_or(usize::MAX);
        if len > MAX_HEADER_BYTES {
            return Err(Error::corrupt(format!("a .npy header of {len} bytes")));
        }
        let text = String::from_utf8(take(len)?).map_err(|_| Error::corrupt("the .npy header is no text"))?;
        let data_offset = (8 + width + len) as u64;
        let (descr, column_major, shape) = Dictionary { rest: &text }.parse()?;
        Ok(Self { element: element(&descr)?, column_major, shape, data_offset })
    }

    /// Checks that a file of `len` bytes holds all of the data.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(in super::super) fn check_len(&self, len: u64) -> Result<()> {
        let bytes = self.shape.iter().try_fold(self.element.width() as u64, |n, s| n.checked_mul(*s));
        let end = bytes.and_then(|n| n.checked_add(self.data_offset));
        if end.is_none_or(|end| end > len) {
            return Err(Error::corrupt(format!(
                "the data of shape {:?} are cut off at {len} bytes",
                self.shape
            )));
        }
        Ok(())
    }
}

/// The element of a type string such as `<f4`, `|S10`, `>U3`, `<M8[ns]`.
fn element(descr: &str) -> Result<Element> {
    let unknown =
        || Error::unsupported(format!("the NumPy type {descr:?}; save the array with another dtype"));
    let [order, kind, rest @ ..] = descr.as_bytes() else { return Err(unknown()) };
    let big_endian = *order == b'>';
    if !b"<>|=".contains(order) {
        return Err(unknown());
    }
    let rest = std::str::from_utf8(rest).map_err(|_| unknown())?;
    let (width, unit) = rest.split_once('[').unwrap_or((rest, ""));
    let width: usize = width.parse().map_err(|_| unknown())?;
    let fixed = |dtype: DType, lane: usize, ticks| {
        let swap = if big_endian { lane } else { 1 };
        Element::Fixed { dtype, swap, ticks }
    };
    Ok(match kind {
        b'U' => Element::Text { characters: width, big_endian },
        b'S' | b'a' => Element::Bytes { len: width },
        b'V' => {
            let len = u32::try_from(width).ok().filter(|n| *n > 0).ok_or_else(unknown)?;
            fixed(DType::FixedList { item: Scalar::U8, len }, 1, 1)
        }
        b'M' | b'm' if width == 8 => {
            let (item, ticks) = time(*kind == b'M', unit.trim_end_matches(']')).ok_or_else(unknown)?;
            fixed(DType::Scalar(item), 8, ticks)
        }
        kind => {
            let item = number(*kind, width).ok_or_else(unknown)?;
            fixed(DType::Scalar(item), item.lane_bytes(), 1)
        }
    })
}

/// A time and how many of its units make one of NumPy's.
fn time(absolute: bool, unit: &str) -> Option<(Scalar, i64)> {
    let pick = |a, b| if absolute { a } else { b };
    let seconds = pick(Scalar::TimestampS, Scalar::DurationS);
    Some(match unit {
        "W" => (seconds, 604_800),
        "D" => (seconds, 86_400),
        "h" => (seconds, 3_600),
        "m" => (seconds, 60),
        "s" => (seconds, 1),
        "ms" => (pick(Scalar::TimestampMs, Scalar::DurationMs), 1),
        "us" => (pick(Scalar::TimestampUs, Scalar::DurationUs), 1),
        "ns" => (pick(Scalar::TimestampNs, Scalar::DurationNs), 1),
        _ => return None,
    })
}

/// The little of Python's grammar that NumPy writes.
struct Dictionary<'a> {
    rest: &'a str,
}

impl Dictionary<'_> {
    fn parse(mut self) -> Result<(String, bool, Vec<u64>)> {
        let bad = || Error::corrupt("the .npy header is not the dictionary that NumPy writes");
        let (mut descr, mut order, mut shape) = (None, None, None);
        self.eat('{').ok_or_else(bad)?;
        while self.eat('}').is_none() {
            let key = self.quoted().ok_or_else(bad)?;
            self.eat(':').ok_or_else(bad)?;
            match key.as_str() {
                "descr" if self.rest.trim_start().starts_with('[') => {
                    return Err(Error::unsupported("structured NumPy arrays; save each field as an array"));
                }
                "descr" => descr = Some(self.quoted().ok_or_else(bad)?),
                "fortran_order" => order = Some(self.boolean().ok_or_else(bad)?),
                "shape" => shape = Some(self.tuple().ok_or_else(bad)?),
                _ => return Err(bad()),
            }
            self.eat(',');
        }
        Ok((descr.ok_or_else(bad)?, order.ok_or_else(bad)?, shape.ok_or_else(bad)?))
    }

    fn eat(&mut self, c: char) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(c)?;
        Some(())
    }

    fn quoted(&mut self) -> Option<String> {
        let quote = self.rest.trim_start().chars().next().filter(|c| ['\'', '"'].contains(c))?;
        self.eat(quote)?;
        let (text, rest) = self.rest.split_once(quote)?;
        self.rest = rest;
        Some(text.to_owned())
    }

    fn boolean(&mut self) -> Option<bool> {
        let rest = self.rest.trim_start();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = rest.strip_prefix(word) {
                self.rest = rest;
                return Some(value);
            }
        }
        None
    }

    fn tuple(&mut self) -> Option<Vec<u64>> {
        self.eat('(')?;
        let (inside, rest) = self.rest.split_once(')')?;
        self.rest = rest;
        let numbers = inside.split(',').map(str::trim).filter(|n| !n.is_empty());
        numbers.map(|n| n.trim_end_matches('L').parse().ok()).collect() // Python 2 wrote 3L
    }
}
