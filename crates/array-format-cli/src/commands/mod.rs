//! One subcommand a file.

pub(crate) mod cat;
pub(crate) mod compact;
pub(crate) mod dump;
pub(crate) mod gc;
pub(crate) mod import;
pub(crate) mod info;
pub(crate) mod log;
pub(crate) mod ls;
pub(crate) mod repair;
pub(crate) mod set;
pub(crate) mod stats;
pub(crate) mod tag;
pub(crate) mod verify;

use std::path::Path;

use array_format::blocking::wait;
use array_format::{ArrayFile, FileConfig, Result};

/// Opens a file, at an older version if one is named.
fn open(path: &Path, version: Option<u64>) -> Result<ArrayFile> {
    let config = FileConfig::default();
    let config = match version {
        Some(v) => config.at_version(v),
        None => config,
    };
    wait(ArrayFile::open_path(path, config))
}

/// The exit code for "done, but not all is well".
const PARTLY: u8 = 3;
