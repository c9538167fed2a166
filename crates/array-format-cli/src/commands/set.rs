//! `af set`

use std::path::PathBuf;

use crate::Outcome;
use crate::stores::Stores;
use array_format::blocking::wait;
use array_format::{DType, Elements, Error, Result, Scalar, Value, Values};
use clap::Args;

use crate::print::line;
use crate::slice;

#[derive(Debug, Args)]
pub(crate) struct Set {
    /// The file: a path or a URL.
    file: PathBuf,
    /// The array.
    array: String,
    /// Which part, as numpy writes it, without steps: `0:10, 3`.
    #[arg(allow_hyphen_values = true)]
    slice: String,
    /// The value: a number, true, false, or a text.
    #[arg(allow_hyphen_values = true)]
    value: String,
    /// What to say of the new version.
    #[arg(short, long, default_value = "")]
    message: String,
}

impl Set {
    pub(crate) fn run(self, stores: &Stores) -> Result<Outcome> {
        let mut file = super::open(stores, &self.file, None)?;
        let info = wait(file.array(&self.array))?;
        let s = slice::parse(&self.slice, &info.shape).map_err(|e| e.in_array(&self.array))?;
        if s.step.iter().any(|step| *step != 1) {
            return Err(Error::invalid("a part with steps cannot be set; leave the steps out"));
        }
        let dtype = info.schema.dtype;
        let value = element(dtype, &self.value).ok_or_else(|| {
            Error::invalid(format!("{:?} is no value of type {dtype}", self.value)).in_array(&self.array)
        })?;
        let n = s.count.iter().product::<u64>();
        let n = usize::try_from(n).map_err(|_| Error::invalid("the part is larger than memory"))?;
        let elements = Elements { dtype, values: Values::repeat(dtype, &value, n), validity: None };
        wait(file.write_elements(&self.array, s.start, s.count, elements))?;
        let version = wait(file.flush_with_message(&self.message))?;
        line(&format!("version {version}: {n} elements of {} set", self.array));
        Ok(Outcome::Done)
    }
}

/// The bytes of one element.
fn element(dtype: DType, text: &str) -> Option<Vec<u8>> {
    use Scalar::*;
    let value: Value = match dtype {
        DType::String => return Some(text.as_bytes().to_vec()),
        DType::Scalar(item) => match item {
            Bool => text.parse::<bool>().ok()?.into(),
            I8 => text.parse::<i8>().ok()?.into(),
            I16 => text.parse::<i16>().ok()?.into(),
            I32 => text.parse::<i32>().ok()?.into(),
            U8 => text.parse::<u8>().ok()?.into(),
            U16 => text.parse::<u16>().ok()?.into(),
            U32 => text.parse::<u32>().ok()?.into(),
            U64 => text.parse::<u64>().ok()?.into(),
            F32 => text.parse::<f32>().ok()?.into(),
            F64 => text.parse::<f64>().ok()?.into(),
            F16 | Bf16 | Complex64 | Complex128 => return None,
            // i64, timestamps and durations are all i64 in the file.
            _ => text.parse::<i64>().ok()?.into(),
        },
        _ => return None,
    };
    match value {
        Value::Scalar(s) => Some(s.bytes().to_vec()),
        _ => None,
    }
}
