//! `af gc`

use std::path::PathBuf;

use crate::Outcome;
use crate::stores::Stores;
use array_format::blocking::wait;
use array_format::{GcOptions, Result};
use clap::Args;

use crate::print::{bytes, line};

#[derive(Debug, Args)]
pub(crate) struct Gc {
    /// The file: a path or a URL.
    file: PathBuf,
    /// Only tells what would be deleted.
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// How many of the newest versions stay.
    #[arg(long, default_value_t = 1, value_name = "N")]
    keep_last: usize,
}

impl Gc {
    pub(crate) fn run(self, stores: &Stores) -> Result<Outcome> {
        let mut file = super::open(stores, &self.file, None)?;
        let options = GcOptions::default().dry_run(self.dry_run).keep_last(self.keep_last);
        let report = wait(file.garbage_collect(options))?;
        for (name, size) in &report.objects {
            line(&format!("{name}  {}", bytes(*size)));
        }
        let verb = if self.dry_run { "would be deleted" } else { "deleted" };
        line(&format!("{} objects of {} {verb}", report.objects.len(), bytes(report.bytes())));
        Ok(Outcome::Done)
    }
}
