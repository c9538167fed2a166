//! NetCDF-4 and plain HDF5, as a netCDF library sees them.
//!
//! The reader crate gives objects of HDF5; what netCDF makes of them is here: dimension scales become dimensions
//! ([`dimensions`]), datasets become variables ([`catalog`]), types and values are translated ([`types`],
//! [`values`], [`attributes`]), and the attributes that netCDF keeps for itself are hidden.

mod attributes;
mod catalog;
mod dimensions;
mod types;
mod values;

use std::collections::HashMap;
use std::path::Path;

use array_format_core::{Error, ErrorKind, Result};
use hdf5_reader::{Dataset, Hdf5File};

use self::types::Element;
use super::{Skipped, Source, SourceGroup, SourceValues, SourceVariable, region_elements};

/// An open HDF5 file.
pub(super) struct Hdf5Source {
    groups: Vec<SourceGroup>,
    variables: Vec<SourceVariable>,
    skipped: Vec<Skipped>,
    stored: HashMap<String, Stored>,
}

/// How to read a variable.
struct Stored {
    dataset: Dataset,
    element: Element,
}

impl Hdf5Source {
    /// Reads all metadata; values are read when they are asked for.
    ///
    /// # Errors
    /// `Corrupt` or `Unsupported` if not even the groups can be read; what is wrong with one variable only is
    /// told by [`Source::skipped`].
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = Hdf5File::open(path).map_err(failed)?;
        let mut nodes = catalog::walk(&file)?;
        let mut catalog = catalog::Catalog::default();
        let resolved = dimensions::resolve(&mut nodes);
        for (node, dimensions) in nodes.into_iter().zip(resolved) {
            catalog.add(node, dimensions);
        }
        let catalog::Catalog { groups, variables, skipped, stored } = catalog;
        Ok(Self { groups, variables, skipped, stored })
    }
}

impl Source for Hdf5Source {
    fn groups(&self) -> &[SourceGroup] {
        &self.groups
    }

    fn variables(&self) -> &[SourceVariable] {
        &self.variables
    }

    fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    fn read(&self, variable: &str, start: &[u64], shape: &[u64]) -> Result<SourceValues> {
        let unknown = || Error::not_found(format!("there is no variable {variable:?}"));
        let stored = self.stored.get(variable).ok_or_else(unknown)?;
        region_elements(stored.dataset.shape(), start, shape)?;
        values::read(&stored.dataset, &stored.element, start, shape).map_err(|e| e.in_array(variable))
    }
}

fn failed(error: hdf5_reader::error::Error) -> Error {
    Error::new(kind(&error), "the HDF5 file cannot be read").with_source(error)
}

fn kind(error: &hdf5_reader::error::Error) -> ErrorKind {
    use hdf5_reader::error::Error as E;
    match error {
        E::Context { source, .. } => kind(source),
        E::Io(e) if e.kind() == std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        E::Io(e) if e.kind() == std::io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        E::Io(_) => ErrorKind::Unavailable,
        E::UnsupportedFilter(_) | E::UnsupportedEncoding(_) | E::ResourceLimit(_) => ErrorKind::Unsupported,
        other if other.to_string().starts_with("unsupported") => ErrorKind::Unsupported,
        _ => ErrorKind::Corrupt,
    }
}
