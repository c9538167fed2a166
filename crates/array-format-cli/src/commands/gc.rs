//! `af gc`

use std::path::PathBuf;
use std::time::Duration;

use crate::Outcome;
use crate::stores::Stores;
use array_format::blocking::wait;
use array_format::{Error, GcOptions, Result};
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
    /// Days after which an upload to a store is taken for a dead writer's.
    #[arg(long, default_value_t = 7.0, value_name = "DAYS")]
    abandoned_after: f64,
}

impl Gc {
    pub(crate) fn run(self, stores: &Stores) -> Result<Outcome> {
        let mut file = super::open(stores, &self.file, None)?;
        let abandoned_after = Duration::try_from_secs_f64(self.abandoned_after * 24.0 * 3600.0)
            .map_err(|e| Error::invalid("--abandoned-after is a number of days").with_source(e))?;
        let options = GcOptions::default().dry_run(self.dry_run).keep_last(self.keep_last);
        let options = options.abandoned_after(abandoned_after);
        let report = wait(file.garbage_collect(options))?;
        for (name, size) in &report.objects {
            line(&format!("{name}  {}", bytes(*size)));
        }
        let verb = if self.dry_run { "would be deleted" } else { "deleted" };
        line(&format!("{} objects of {} {verb}", report.objects.len(), bytes(report.bytes())));
        if report.swept > 0 {
            line(&format!("{} unfinished uploads of dead writers deleted", report.swept));
        }
        Ok(Outcome::Done)
    }
}
