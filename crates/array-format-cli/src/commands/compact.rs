//! `af compact`

use std::path::PathBuf;

use crate::Outcome;
use crate::stores::Stores;
use array_format::blocking::wait;
use array_format::{CompactOptions, Result};
use clap::Args;

use crate::print::{bytes, line};

#[derive(Debug, Args)]
pub(crate) struct Compact {
    /// The file: a path or a URL.
    file: PathBuf,
    /// Keeps older versions readable; `af gc` removes them later.
    #[arg(long)]
    keep_versions: bool,
    /// Merges small layers only; keeps older versions.
    #[arg(long)]
    incremental: bool,
}

impl Compact {
    pub(crate) fn run(self, stores: &Stores) -> Result<Outcome> {
        let mut file = super::open(stores, &self.file, None)?;
        let before = file.usage();
        let options =
            CompactOptions::default().keep_versions(self.keep_versions).incremental(self.incremental);
        let version = wait(file.compact_with(options))?;
        let after = file.usage();
        line(&format!(
            "version {version}: {} layer, {} (was {})",
            file.num_layers(),
            bytes(after.object_bytes),
            bytes(before.object_bytes)
        ));
        Ok(Outcome::Done)
    }
}
