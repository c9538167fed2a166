//! `af cat`

use std::path::PathBuf;

use crate::Outcome;
use crate::stores::Stores;
use array_format::Result;
use array_format::blocking::wait;
use clap::Args;
use serde_json::json;

use crate::print::{element_json, line};
use crate::slice;

#[derive(Debug, Args)]
pub(crate) struct Cat {
    /// The file: a path or a URL.
    file: PathBuf,
    /// The array.
    array: String,
    /// Which part, as numpy writes it: `0:10, ::2, 3`. Without it all of the array.
    #[arg(default_value = "", allow_hyphen_values = true)]
    slice: String,
    /// Reads an older version.
    #[arg(long)]
    version: Option<u64>,
    /// One JSON object: shape and the elements in row-major order.
    #[arg(long)]
    json: bool,
}

impl Cat {
    pub(crate) fn run(self, stores: &Stores) -> Result<Outcome> {
        let file = super::open(stores, &self.file, self.version)?;
        let info = wait(file.array(&self.array))?;
        let s = slice::parse(&self.slice, &info.shape).map_err(|e| e.in_array(&self.array))?;
        let (shape, elements) = wait(file.read_elements(&self.array, s.start, s.count, s.step))?;
        let n = elements.len();
        if self.json {
            let values: Vec<_> = (0..n).map(|i| element_json(&elements, i)).collect();
            line(
                &json!({"array": self.array, "dtype": info.schema.dtype.to_string(), "shape": shape, "values": values}),
            );
            return Ok(Outcome::Done);
        }
        // A line a row of the last axis, an empty line between planes.
        let row = shape.last().map_or(1, |n| (*n).max(1) as usize);
        let plane = shape.iter().rev().take(2).map(|n| (*n).max(1) as usize).product::<usize>();
        for first in (0..n).step_by(row) {
            if first > 0 && shape.len() > 2 && first % plane == 0 {
                line(&"");
            }
            let texts: Vec<String> =
                (first..n.min(first + row)).map(|i| element_json(&elements, i).to_string()).collect();
            if !line(&texts.join(" ")) {
                break;
            }
        }
        Ok(Outcome::Done)
    }
}
