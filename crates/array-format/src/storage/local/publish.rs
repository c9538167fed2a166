//! The only place where names of finished files come, change and go.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use array_format_core::{Error, ErrorKind, Result};

use super::error::{conflict, io_error};
use super::sys;
use super::temp::{self, TempFile};
use crate::storage::ObjectTag;

const ATTEMPTS: usize = 64;

/// Gives the finished file `temp` the name `target`, unless that is taken.
pub(super) fn create(temp: &mut TempFile, target: &Path, shown: &str) -> Result<()> {
    let linked = match fs::hard_link(temp.path(), target) {
        // No hard links on this file system (FAT, some network and user-space ones).
        Err(e) if cannot_link(&e) => {
            sys::rename_without_replacing(temp.path(), target).map(|()| temp.moved())
        }
        result => result,
    };
    linked.map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => {
            let sentence =
                format!("cannot create {shown}: its folder or its temporary file was removed meanwhile");
            Error::new(ErrorKind::Unavailable, sentence).with_source(e)
        }
        _ => io_error("create", shown, e),
    })
}

/// Puts the finished file `temp` in the place of `target`, if that still is what `expected` says.
pub(super) fn replace(temp: &mut TempFile, target: &Path, shown: &str, expected: &ObjectTag) -> Result<()> {
    let current = lock_current(target, shown, expected)?;
    keep_rights(&current, temp.path());
    fs::rename(temp.path(), target).map_err(|e| io_error("replace", shown, e))?;
    temp.moved();
    Ok(())
}

/// Puts the file `from` in the place of `to`, if that still is what `expected` says; `from` stays where links are possible.
pub(super) fn promote(
    from: &Path,
    from_shown: &str,
    to: &Path,
    to_shown: &str,
    expected: &ObjectTag,
) -> Result<ObjectTag> {
    let source = fs::metadata(from).map_err(|e| io_error("promote", from_shown, e))?;
    let current = lock_current(to, to_shown, expected)?;
    let is_done = current.metadata().is_ok_and(|m| sys::same_file(&m, &source));
    if !is_done {
        keep_rights(&current, from);
        link_and_rename(from, to).map_err(|e| io_error("promote", from_shown, e))?;
    }
    sync_name(to, to_shown)?;
    Ok(sys::tag(&source))
}

/// A second name for `from`, moved over `to`.
fn link_and_rename(from: &Path, to: &Path) -> io::Result<()> {
    for _ in 0..ATTEMPTS {
        let second = temp::name_beside(to)?;
        match fs::hard_link(from, &second) {
            Ok(()) => {}
            Err(e) if cannot_link(&e) => return fs::rename(from, to),
            Err(e) => return Err(e),
        }
        match fs::rename(&second, to) {
            Ok(()) => return Ok(()),
            // The second name is not locked, so a sweeper may take it for dead; `from` is not at risk.
            Err(e) if e.kind() == io::ErrorKind::NotFound && from.exists() => {}
            Err(e) => {
                let _ = fs::remove_file(&second);
                return Err(e);
            }
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

/// Removes the file at `target`, if there is one.
///
/// Under the lock of [`replace`]: else a deletion and a creation could slip in between its check and its rename, and the new
/// file would be lost.
pub(super) fn delete(target: &Path, shown: &str) -> Result<()> {
    let mut lock = None;
    for _ in 0..ATTEMPTS {
        // Where nothing can be locked, nothing can be replaced either, and there is nothing to wait for.
        let Ok(file) = sys::open_to_lock(target) else { break };
        let is_locked = file.lock().is_ok();
        let (held, named) = (file.metadata(), fs::metadata(target));
        lock = Some(file);
        match (held, named) {
            (Ok(held), Ok(named)) if is_locked && !sys::same_file(&held, &named) => {}
            _ => break,
        }
    }
    let removed = fs::remove_file(target);
    drop(lock);
    match removed {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error("delete", shown, e)),
        _ => Ok(()),
    }
}

/// Makes the name of `target` durable. If its folder is gone, others have deleted what was just published in it, and all else: there is
/// nothing to make durable.
pub(super) fn sync_name(target: &Path, shown: &str) -> Result<()> {
    match target.parent().map_or(Ok(()), sys::sync_folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error("make durable the name of", shown, e)),
        _ => Ok(()),
    }
}

/// Makes the file at `target` durable with its name, and the name of its folder.
pub(super) fn sync(target: &Path, shown: &str) -> Result<()> {
    let folder = target.parent();
    let synced = File::open(target)
        .and_then(|file| file.sync_all())
        .and_then(|()| folder.map_or(Ok(()), sys::sync_folder))
        .and_then(|()| folder.and_then(Path::parent).map_or(Ok(()), sys::sync_folder));
    match synced {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error("make durable", shown, e)),
        _ => Ok(()),
    }
}

/// The file at `target`, locked and found to be what `expected` says. The lock lasts as long as the descriptor.
fn lock_current(target: &Path, shown: &str, expected: &ObjectTag) -> Result<File> {
    let gone = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => conflict(shown, "deleted"),
        _ => io_error("replace", shown, e),
    };
    for _ in 0..ATTEMPTS {
        let file = sys::open_to_lock(target).map_err(gone)?;
        file.lock().map_err(|e| {
            let sentence = format!("cannot replace {shown} safely: its file system has no locks");
            Error::unsupported(sentence).with_source(e)
        })?;
        let held = file.metadata().map_err(gone)?;
        let named = fs::metadata(target).map_err(gone)?;
        // While we waited for the lock its owner may have replaced the file: then it is the new one that counts.
        if sys::same_file(&held, &named) {
            return if sys::tag(&named) == *expected { Ok(file) } else { Err(conflict(shown, "replaced")) };
        }
    }
    Err(conflict(shown, "replaced again and again"))
}

/// Whoever may read the old file may read the new one.
fn keep_rights(current: &File, successor: &Path) {
    if let Ok(metadata) = current.metadata() {
        let _ = fs::set_permissions(successor, metadata.permissions());
    }
}

/// Whether the file system, or a rule about other users' files, forbids hard links.
fn cannot_link(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported | io::ErrorKind::TooManyLinks
    )
}
