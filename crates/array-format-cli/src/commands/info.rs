//! `af info`

use std::path::PathBuf;

use crate::Outcome;
use crate::stores::Stores;
use array_format::blocking::wait;
use array_format::{ArrayFile, Result, Value};
use clap::Args;
use serde_json::{Map, json};

use crate::print::{bytes, line, shape, value_json};

#[derive(Debug, Args)]
pub(crate) struct Info {
    /// The file: a path or a URL.
    file: PathBuf,
    /// An array or a group; without it the file itself.
    #[arg(default_value = "")]
    name: String,
    /// Reads an older version.
    #[arg(long)]
    version: Option<u64>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

impl Info {
    pub(crate) fn run(self, stores: &Stores) -> Result<Outcome> {
        let file = super::open(stores, &self.file, self.version)?;
        let attributes = wait(file.attributes(&self.name));
        if wait(file.contains(&self.name))? {
            self.array(&file, &attributes?)?;
        } else {
            self.group(&file, &attributes?)?;
        }
        Ok(Outcome::Done)
    }

    fn array(&self, file: &ArrayFile, attributes: &[(String, Value)]) -> Result<()> {
        let a = wait(file.array(&self.name))?;
        let chunks = wait(file.chunks(&self.name))?.len();
        let filters: Vec<&str> = a.schema.filters.iter().map(|f| f.name()).collect();
        if self.json {
            line(&json!({
                "name": a.name, "dtype": a.schema.dtype.to_string(), "nullable": a.schema.nullable, "shape": a.shape,
                "dimensions": a.schema.dimensions, "chunks": a.schema.chunk_shape, "written_chunks": chunks,
                "filters": filters, "attributes": attributes_json(attributes),
            }));
            return Ok(());
        }
        line(&format!("array {}: {} {}", a.name, a.schema.dtype, shape(&a.schema.dimensions, &a.shape)));
        match &a.schema.chunk_shape {
            Some(c) => line(&format!("  chunks {c:?}, {chunks} written")),
            None => line(&format!("  one chunk, {}", if chunks > 0 { "written" } else { "not written" })),
        };
        if !filters.is_empty() {
            line(&format!("  filters {}", filters.join(", ")));
        }
        print_attributes(attributes);
        Ok(())
    }

    fn group(&self, file: &ArrayFile, attributes: &[(String, Value)]) -> Result<()> {
        let dimensions = wait(file.dimensions(&self.name))?;
        let (f, u) = (file.footer(), file.usage());
        if self.json {
            let dimensions = dimensions
                .iter()
                .map(|d| json!({"name": d.name, "length": d.length, "unlimited": d.unlimited}));
            line(&json!({
                "file": file.name(), "group": self.name, "version": f.version, "arrays": f.arrays, "layers": f.objects.len(),
                "object_bytes": u.object_bytes, "block_bytes": u.block_bytes, "live_bytes": u.live_bytes, "dead_bytes": u.dead_bytes,
                "dimensions": dimensions.collect::<Vec<_>>(), "attributes": attributes_json(attributes),
            }));
            return Ok(());
        }
        if self.name.is_empty() {
            line(&format!(
                "file {}: version {}, {} arrays, {} layers",
                file.name(),
                f.version,
                f.arrays,
                f.objects.len()
            ));
            let size = format!("  {} on disk, {} of it blocks", bytes(u.object_bytes), bytes(u.block_bytes));
            line(&format!("{size}; decoded {} live, {} dead", bytes(u.live_bytes), bytes(u.dead_bytes)));
        } else {
            line(&format!("group {}", self.name));
        }
        for d in dimensions {
            line(&format!(
                "  dimension {} = {}{}",
                d.name,
                d.length,
                if d.unlimited { " (unlimited)" } else { "" }
            ));
        }
        print_attributes(attributes);
        Ok(())
    }
}

fn print_attributes(attributes: &[(String, Value)]) {
    for (name, value) in attributes {
        line(&format!("  {name} = {value}"));
    }
}

fn attributes_json(attributes: &[(String, Value)]) -> Map<String, serde_json::Value> {
    attributes.iter().map(|(k, v)| (k.clone(), value_json(v))).collect()
}
