//! `af verify`

use std::path::PathBuf;

use crate::Outcome;
use crate::stores::Stores;
use array_format::blocking::wait;
use array_format::{Result, VerifyOptions};
use clap::Args;
use serde_json::json;

use crate::print::line;

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The file: a path or a URL.
    file: PathBuf,
    /// Checks an older version.
    #[arg(long)]
    version: Option<u64>,
    /// Also compares the statistics with the data.
    #[arg(long)]
    statistics: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(crate) fn run(self, stores: &Stores) -> Result<Outcome> {
        let file = super::open(stores, &self.file, self.version)?;
        let r = wait(file.verify(VerifyOptions::default().statistics(self.statistics)))?;
        if self.json {
            let damage = r.damage.iter().map(|e| {
                json!({
                    "message": e.message(), "file": e.file(), "layer": e.layer(), "array": e.array(), "block": e.block(),
                    "offset": e.offset(),
                })
            });
            let damage: Vec<_> = damage.collect();
            line(&json!({
                "version": file.version(), "versions": r.versions, "layers": r.layers, "pages": r.pages, "blocks": r.blocks, "chunks": r.chunks,
                "nodes": r.nodes, "damage": damage,
            }));
        } else {
            for e in &r.damage {
                line(&format!("damaged: {e}"));
            }
            let what = format!(
                "{} versions, {} layers, {} index pages, {} blocks, {} chunks",
                r.versions, r.layers, r.pages, r.blocks, r.chunks
            );
            let how = if r.is_clean() {
                "all is well".into()
            } else {
                format!("{} places are damaged", r.damage.len())
            };
            line(&format!("version {}: {what}: {how}", file.version()));
        }
        Ok(if r.is_clean() { Outcome::Done } else { Outcome::Partly })
    }
}
