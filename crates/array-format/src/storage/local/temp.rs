//! Temporary files: whose they are, and whether the owner still lives.
//!
//! The owner keeps an exclusive lock for as long as it lives; the kernel takes the lock back when it dies, however it
//! dies. So a temporary file that can be locked is dead. Process ids would not tell: they are used again, and other machines have
//! their own.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::sys;
use crate::storage::path::{aside, is_aside};

const MARK: &str = "tmp";
const ATTEMPTS: usize = 16;

/// Whether `name` is one of ours.
pub(super) fn is_temp(name: &str) -> bool {
    is_aside(name, MARK)
}

/// A name of its own beside `target`.
pub(super) fn name_beside(target: &Path) -> io::Result<PathBuf> {
    let name = target.file_name().and_then(|n| n.to_str()).ok_or(io::ErrorKind::InvalidFilename)?;
    Ok(target.with_file_name(aside(name, MARK)))
}

/// A locked file beside its target, removed when dropped unless it was [moved away](Self::moved).
#[derive(Debug)]
pub(super) struct TempFile {
    path: PathBuf,
    is_here: bool,
}

impl TempFile {
    /// A new empty file beside `target`, and the descriptor that holds its lock.
    pub(super) fn create(target: &Path) -> io::Result<(Self, File)> {
        let mut trouble = None;
        for _ in 0..ATTEMPTS {
            let path = name_beside(target)?;
            let file = match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => file,
                Err(e) => {
                    match (e.kind(), path.parent()) {
                        (io::ErrorKind::AlreadyExists, _) => {}
                        (io::ErrorKind::NotFound, Some(folder)) => sys::create_folders(folder)?,
                        _ => return Err(e),
                    }
                    trouble = Some(e);
                    continue;
                }
            };
            let temp = Self { path, is_here: true };
            // Between creation and lock a sweeper may have taken it for dead.
            let is_swept = match file.try_lock() {
                Ok(()) => sys::is_unlinked(&file.metadata()?),
                Err(TryLockError::WouldBlock) => true,
                // No locks here: then `sweep` cannot take one either, and leaves everything alone.
                Err(TryLockError::Error(_)) => false,
            };
            if !is_swept {
                return Ok((temp, file));
            }
        }
        Err(trouble.unwrap_or_else(|| io::ErrorKind::ResourceBusy.into()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The name is gone by now: the file was renamed.
    pub(super) fn moved(&mut self) {
        self.is_here = false;
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if self.is_here {
            // What cannot be removed now is swept later.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes the dead temporary files of `target` and of every name that begins with its name.
pub(super) fn sweep(target: &Path) -> io::Result<u64> {
    let (Some(folder), Some(name)) = (target.parent(), target.file_name().and_then(|n| n.to_str())) else {
        return Ok(0);
    };
    sweep_folder(folder, name)
}

/// As [`sweep`], in the folders beside `target` whose names begin with its name.
pub(super) fn sweep_folders(target: &Path) -> io::Result<u64> {
    let (Some(folder), Some(name)) = (target.parent(), target.file_name().and_then(|n| n.to_str())) else {
        return Ok(0);
    };
    let mut removed = 0;
    for child in children(folder)? {
        let child = child?;
        let is_ours = child.file_name().to_str().is_some_and(|n| n.starts_with(name));
        if is_ours && child.file_type().is_ok_and(|t| t.is_dir()) {
            removed += sweep_folder(&child.path(), "")?;
            // As after a deletion: one that is not empty cannot be removed.
            let _not_empty = fs::remove_dir(child.path());
        }
    }
    Ok(removed)
}

/// What is in a folder; nothing if there is none.
fn children(folder: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>> + use<>> {
    match fs::read_dir(folder) {
        Ok(children) => Ok(Some(children).into_iter().flatten()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        Err(e) => Err(e),
    }
}

fn sweep_folder(folder: &Path, name: &str) -> io::Result<u64> {
    let mut removed = 0;
    for child in children(folder)? {
        let child = child?;
        let is_ours = child.file_name().to_str().is_some_and(|n| n.starts_with(name) && is_temp(n));
        if !is_ours {
            continue;
        }
        // NFS grants an exclusive lock to descriptors that may write only.
        let Ok(file) = OpenOptions::new().read(true).write(true).open(child.path()) else { continue };
        if file.try_lock().is_ok() {
            match fs::remove_file(child.path()) {
                Ok(()) => removed += 1,
                // Another sweeper was faster.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(removed)
}
