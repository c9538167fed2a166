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
use array_format::storage::{LocalStorage, Place};
use array_format::{ArrayFile, Result};

use crate::stores::Stores;

/// The place that an argument names: a URL, or a path of this machine, which need not be UTF-8.
fn place(stores: &Stores, file: &Path) -> Result<Place> {
    match file.to_str() {
        Some(url) => stores.options.place(url),
        None => {
            let (storage, path) = LocalStorage::for_path(file)?;
            Ok(Place { storage: std::sync::Arc::new(storage), path })
        }
    }
}

/// Opens a file, at an older version if one is named.
fn open(stores: &Stores, file: &Path, version: Option<u64>) -> Result<ArrayFile> {
    let config = stores.config();
    let config = match version {
        Some(v) => config.at_version(v),
        None => config,
    };
    wait(ArrayFile::open_at(place(stores, file)?, config))
}
