//! `af dump`: a file, or a group of it, seen as a source of its own.

use std::path::PathBuf;

use crate::Outcome;
use crate::stores::Stores;
use array_format::Result;
use clap::Args;

use crate::import::slabs::SLAB_BYTES;
use crate::import::{af, dump};
use crate::print::line;

#[derive(Debug, Args)]
pub(crate) struct Dump {
    /// The file: a path or a URL.
    file: PathBuf,
    /// A group that is taken for the whole.
    #[arg(default_value = "")]
    group: String,
}

impl Dump {
    pub(crate) fn run(self, stores: &Stores) -> Result<Outcome> {
        let source = af::AfSource::new(super::open(stores, &self.file, None)?, &self.group)?;
        line(&dump::dump(&source, SLAB_BYTES));
        Ok(Outcome::Done)
    }
}
