//! NumPy's `.npz`: a zip archive of `.npy` files, packed or not.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use array_format_core::{Error, ErrorKind, Result};
use zip::ZipArchive;
use zip::result::ZipError;

use super::anonymous::Anonymous;
use super::npy::{self, Header};
use super::{Skipped, Source, SourceGroup, SourceValues, SourceVariable, io_error};

/// An open `.npz` file. Arrays are called like its members; a `/` in a name makes a group.
pub(super) struct NpzSource {
    archive: RefCell<ZipArchive<File>>,
    groups: Vec<SourceGroup>,
    variables: Vec<SourceVariable>,
    members: Vec<Member>,
    skipped: Vec<Skipped>,
    unpacked: RefCell<Option<Unpacked>>,
}

/// A member that became the variable at the same place.
struct Member {
    index: usize,
    header: Header,
}

/// The member that was read last, in a temporary file: packed data have no positions.
struct Unpacked {
    index: usize,
    file: File,
}

impl NpzSource {
    /// Reads the directory and the header of each array.
    ///
    /// # Errors
    /// `Corrupt` for a broken archive; what is wrong with one array only is told by [`Source::skipped`].
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| io_error("cannot open the file", e))?;
        let mut archive = ZipArchive::new(file).map_err(failed)?;
        let (mut variables, mut members, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
        let mut dimensions = Vec::new();
        let mut anonymous = Anonymous::new("dim_", 0);
        let mut taken = BTreeSet::new();
        for index in 0..archive.len() {
            let full = match archive.name_for_index(index) {
                Some(Ok(name)) => name.into_owned(),
                Some(Err(e)) => return Err(failed(e)),
                None => continue,
            };
            let name = full.strip_suffix(".npy").unwrap_or(&full).to_owned();
            let header = member_header(&mut archive, index, &full).and_then(|header| {
                let proper = name.split('/').all(|part| !["", ".", ".."].contains(&part));
                (proper && taken.insert(name.clone()))
                    .then_some(header)
                    .ok_or_else(|| Error::unsupported("its name is no path of its own"))
            });
            match header {
                Ok(header) => {
                    variables.push(npy::describe(name, &header, &mut dimensions, &mut anonymous));
                    members.push(Member { index, header });
                }
                Err(e) => skipped.push(Skipped { name, attribute: None, reason: e.to_string() }),
            }
        }
        let groups = groups(&variables, dimensions);
        let (archive, unpacked) = (RefCell::new(archive), RefCell::new(None));
        Ok(Self { archive, groups, variables, members, skipped, unpacked })
    }
}

fn member_header(archive: &mut ZipArchive<File>, index: usize, name: &str) -> Result<Header> {
    if !name.ends_with(".npy") {
        return Err(Error::unsupported("this member of the archive is no .npy"));
    }
    let mut member = archive.by_index(index).map_err(failed)?;
    let header = Header::read(&mut member)?;
    header.check_len(member.size())?;
    Ok(header)
}

/// The root, which has all dimensions, and a group for each folder.
fn groups(variables: &[SourceVariable], dimensions: Vec<super::SourceDimension>) -> Vec<SourceGroup> {
    let folders: BTreeSet<&str> =
        variables.iter().flat_map(|v| v.name.match_indices('/').map(|(at, _)| &v.name[..at])).collect();
    let root = SourceGroup { path: String::new(), dimensions, attributes: Vec::new() };
    let below = folders.into_iter().map(|path| SourceGroup {
        path: path.to_owned(),
        dimensions: Vec::new(),
        attributes: Vec::new(),
    });
    std::iter::once(root).chain(below).collect()
}

impl NpzSource {
    /// Unpacks a member, which checks its checksum too, unless it is the last one that was.
    fn unpack(&self, index: usize) -> Result<()> {
        if self.unpacked.borrow().as_ref().is_some_and(|u| u.index == index) {
            return Ok(());
        }
        self.unpacked.replace(None); // give back its room first
        let mut archive = self.archive.borrow_mut();
        let member = archive.by_index(index).map_err(failed)?;
        let size = member.size();
        let mut file = tempfile::tempfile().map_err(|e| io_error("no temporary file for unpacking", e))?;
        let copied = std::io::copy(&mut member.take(size.saturating_add(1)), &mut file);
        if copied.map_err(|e| io_error("the member cannot be unpacked", e))? != size {
            return Err(Error::corrupt("the member has another size than the archive says"));
        }
        self.unpacked.replace(Some(Unpacked { index, file }));
        Ok(())
    }
}

impl Source for NpzSource {
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
        let position = self.variables.iter().position(|v| v.name == variable);
        let member = position.and_then(|p| self.members.get(p));
        let member = member.ok_or_else(|| Error::not_found(format!("there is no variable {variable:?}")))?;
        self.unpack(member.index).map_err(|e| e.in_array(variable))?;
        let unpacked = self.unpacked.borrow();
        let unpacked = unpacked.as_ref().ok_or_else(|| Error::corrupt("nothing was unpacked"))?;
        npy::read(&unpacked.file, &member.header, start, shape).map_err(|e| e.in_array(variable))
    }
}

fn failed(error: ZipError) -> Error {
    match error {
        ZipError::Io(e) => io_error("the archive cannot be read", e),
        ZipError::UnsupportedArchive(_) => {
            Error::new(ErrorKind::Unsupported, "the archive cannot be read").with_source(error)
        }
        other => Error::corrupt("the archive cannot be read").with_source(other),
    }
}
