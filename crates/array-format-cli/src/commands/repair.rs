//! `af repair`

use std::path::PathBuf;

use crate::Outcome;
use crate::stores::Stores;
use array_format::blocking::wait;
use array_format::{ArrayFile, Result};
use clap::Args;
use serde_json::json;

use crate::print::line;

#[derive(Debug, Args)]
pub(crate) struct Repair {
    /// The damaged file, a path or a URL; it is only read.
    file: PathBuf,
    /// The new file.
    into: PathBuf,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

impl Repair {
    pub(crate) fn run(self, stores: &Stores) -> Result<Outcome> {
        let (from, into) = (super::place(stores, &self.file)?, super::place(stores, &self.into)?);
        let config = stores.config();
        let report = wait(ArrayFile::repair(from.storage, &from.path, into.storage, &into.path, config))?;
        if self.json {
            let lost = report.lost.iter().map(|l| {
                json!({"version": l.version, "path": l.path, "message": l.error.message(), "layer": l.error.layer(),
                    "block": l.error.block(), "offset": l.error.offset()})
            });
            let lost: Vec<_> = lost.collect();
            line(&json!({"versions": report.versions, "saved": report.saved, "lost": lost}));
        } else {
            for l in &report.lost {
                let version = l.version.map_or(String::new(), |v| format!("version {v}: "));
                let path = l.path.as_ref().map_or(String::new(), |p| format!("{p}: "));
                line(&format!("lost: {version}{path}{}", l.error));
            }
            let (versions, lost) = (report.versions.len(), report.lost.len());
            line(&format!(
                "{versions} versions and {} arrays and groups of the newest saved, {lost} losses",
                report.saved
            ));
        }
        Ok(if report.lost.is_empty() { Outcome::Done } else { Outcome::Partly })
    }
}
