//! `af ls`

use std::path::PathBuf;

use crate::Outcome;
use crate::stores::Stores;
use array_format::Result;
use array_format::blocking::wait;
use clap::Args;
use serde_json::json;

use crate::print::{line, shape};

#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// The file: a path or a URL.
    file: PathBuf,
    /// Only arrays whose name begins like this.
    #[arg(default_value = "")]
    prefix: String,
    /// Reads an older version.
    #[arg(long)]
    version: Option<u64>,
    /// A JSON object a line.
    #[arg(long)]
    json: bool,
}

impl Ls {
    pub(crate) fn run(self, stores: &Stores) -> Result<Outcome> {
        let file = super::open(stores, &self.file, self.version)?;
        for a in wait(file.arrays(&self.prefix))? {
            let ok = if self.json {
                line(&json!({
                    "name": a.name, "dtype": a.schema.dtype.to_string(), "shape": a.shape,
                    "dimensions": a.schema.dimensions, "chunks": a.schema.chunk_shape,
                }))
            } else {
                line(&format!("{}  {} {}", a.name, a.schema.dtype, shape(&a.schema.dimensions, &a.shape)))
            };
            if !ok {
                break;
            }
        }
        Ok(Outcome::Done)
    }
}
