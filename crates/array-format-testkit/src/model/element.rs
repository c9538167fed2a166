//! The element types of the model.

use array_format::{ArrayDefinition, ArrayFile, Result, Snapshot, Value};
use ndarray::{ArrayD, IxDyn};

/// Element type of a model array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "named after the types")]
pub enum Kind {
    F64,
    I32,
    MaybeI16,
    MaybeText,
}

/// One element. Floats are compared by their bits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "named after the types")]
pub enum Item {
    F64(u64),
    I32(i32),
    MaybeI16(Option<i16>),
    MaybeText(Option<String>),
}

macro_rules! by_kind {
    ($kind:expr, $with:ident) => {
        match $kind {
            Kind::F64 => $with!(f64, Item::F64, f64::from_bits, f64::to_bits),
            Kind::I32 => $with!(i32, Item::I32, std::convert::identity, std::convert::identity),
            Kind::MaybeI16 => {
                $with!(Option<i16>, Item::MaybeI16, std::convert::identity, std::convert::identity)
            }
            Kind::MaybeText => {
                $with!(Option<String>, Item::MaybeText, std::convert::identity, std::convert::identity)
            }
        }
    };
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::F64, Self::I32, Self::MaybeI16, Self::MaybeText];

    /// What an array without a fill value reads as.
    pub fn zero(self) -> Item {
        match self {
            Self::F64 => Item::F64(0),
            Self::I32 => Item::I32(0),
            Self::MaybeI16 => Item::MaybeI16(None),
            Self::MaybeText => Item::MaybeText(None),
        }
    }

    /// One of the type's elements: special ones often, few different ones.
    pub fn item(self, seed: u64) -> Item {
        let small = (seed >> 8) % 9;
        match (self, seed % 8) {
            (Self::F64, 0) => Item::F64(f64::NAN.to_bits()),
            (Self::F64, 1) => Item::F64((-0.0f64).to_bits()),
            (Self::F64, 2) => Item::F64(f64::INFINITY.to_bits()),
            (Self::F64, _) => Item::F64((small as f64 - 4.5).to_bits()),
            (Self::I32, 0) => Item::I32(i32::MIN),
            (Self::I32, _) => Item::I32(small as i32 - 4),
            (Self::MaybeI16, 0..3) => Item::MaybeI16(None),
            (Self::MaybeI16, _) => Item::MaybeI16(Some(small as i16)),
            (Self::MaybeText, 0..3) => Item::MaybeText(None),
            (Self::MaybeText, 3) => Item::MaybeText(Some("long".repeat(20))),
            (Self::MaybeText, _) => Item::MaybeText(Some("ä".repeat(small as usize))),
        }
    }

    /// The definition of an array of this type.
    pub fn definition(self, shape: &[u64], fill: Option<&Item>) -> ArrayDefinition {
        let names: Vec<String> = (0..shape.len()).map(|i| format!("d{i}")).collect();
        macro_rules! definition {
            ($t:ty, $item:path, $from:path, $to:path) => {{
                let definition = ArrayDefinition::new::<$t>(names, shape.to_vec());
                match fill {
                    Some($item(v)) => definition.fill::<$t>($from(v.clone())),
                    _ => definition,
                }
            }};
        }
        by_kind!(self, definition)
    }

    /// Writes items.
    ///
    /// # Errors
    /// As `write_array`.
    pub async fn write(
        self,
        file: &mut ArrayFile,
        path: &str,
        start: Vec<u64>,
        shape: &[u64],
        items: &[Item],
    ) -> Result<()> {
        macro_rules! write {
            ($t:ty, $item:path, $from:path, $to:path) => {
                file.write_array::<$t>(
                    path,
                    start,
                    array::<$t>(shape, items, &|i| match i {
                        $item(v) => Some($from(v.clone())),
                        _ => None,
                    })
                    .view(),
                )
                .await
            };
        }
        by_kind!(self, write)
    }

    /// Appends items along an axis.
    ///
    /// # Errors
    /// As `append`.
    pub async fn append(
        self,
        file: &mut ArrayFile,
        path: &str,
        axis: usize,
        shape: &[u64],
        items: &[Item],
    ) -> Result<()> {
        macro_rules! append {
            ($t:ty, $item:path, $from:path, $to:path) => {
                file.append::<$t>(
                    path,
                    axis,
                    array::<$t>(shape, items, &|i| match i {
                        $item(v) => Some($from(v.clone())),
                        _ => None,
                    })
                    .view(),
                )
                .await
            };
        }
        by_kind!(self, append)
    }

    /// Reads a region; empty `start` and `shape` are the whole array. Returns its shape and items.
    ///
    /// # Errors
    /// As `read_array_steps`.
    pub async fn read(
        self,
        from: &Snapshot,
        path: &str,
        region: (Vec<u64>, Vec<u64>, Vec<u64>),
    ) -> Result<(Vec<u64>, Vec<Item>)> {
        let (start, shape, step) = region;
        macro_rules! read {
            ($t:ty, $item:path, $from:path, $to:path) => {{
                let got = from.read_array_steps::<$t>(path, start, shape, step).await?;
                let shape = got.shape().iter().map(|n| *n as u64).collect();
                Ok((shape, got.into_iter().map(|v| $item($to(v))).collect()))
            }};
        }
        by_kind!(self, read)
    }
}

impl Item {
    /// The item as a value, if it is neither null nor NaN.
    pub fn value(&self) -> Option<Value> {
        match self {
            Self::F64(bits) => Some(f64::from_bits(*bits)).filter(|v| !v.is_nan()).map(Value::from),
            Self::I32(v) => Some((*v).into()),
            Self::MaybeI16(v) => v.map(Value::from),
            Self::MaybeText(v) => v.as_deref().map(Value::from),
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::MaybeI16(None) | Self::MaybeText(None))
    }
}

fn array<T>(shape: &[u64], items: &[Item], value: &dyn Fn(&Item) -> Option<T>) -> ArrayD<T> {
    let dims: Vec<usize> = shape.iter().map(|n| *n as usize).collect();
    let values = items.iter().filter_map(value).collect();
    ArrayD::from_shape_vec(IxDyn(&dims), values)
        .expect("as many items as the shape says, of the array's kind")
}
