//! Files on this machine.
//!
//! ```text
//! upload   run.af.7.tmp-4711-93ab...   written, locked by its owner, fsynced
//! create   link(temp, run.af.7)        fails if the name is taken: the commit point
//! replace  lock(run.af), still the same inode and tag? rename(temp, run.af)
//! then     unlink(temp), fsync(folder)
//! ```
//!
//! Assumed of the file system: `fsync` of a file makes its bytes durable, `fsync` of a folder its names; `link`
//! refuses a taken name; `rename` is atomic for whoever looks; `flock` excludes other processes. Mounts where `flock` holds
//! only within one machine (NFS with `local_lock`) allow one writing machine at a time.

mod error;
mod map;
mod object;
mod publish;
mod sys;
mod temp;
mod upload;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use array_format_core::{Error, ErrorKind, Result};
use async_trait::async_trait;
use rayon::prelude::*;

use self::error::io_error;
use self::object::LocalObject;
use self::upload::{DurableFolders, LocalUpload};
use super::path::{check_folder, check_object};
use super::{ListEntry, ObjectTag, Opened, Storage, Upload};

/// Files in a folder of this machine.
///
/// Every call does its work at once, on the calling thread: its future is complete when it is first polled, so that any
/// executor will do and no runtime is needed. An object that is open is an open descriptor; an
/// [`ArrayFile`](crate::ArrayFile) keeps no more than a few dozen of them, however many layers it has.
///
/// Symbolic links are followed: replacing a link replaces what it points to.
///
/// Not used: threads, caches; memory maps only [where the user wants them](Self::with_memory_maps).
#[derive(Debug, Clone)]
pub struct LocalStorage {
    // As it was given, for people, and as it is, so that a later change of the working folder changes nothing.
    shown: PathBuf,
    root: PathBuf,
    folders: DurableFolders,
    maps: bool,
}

impl LocalStorage {
    /// The storage whose paths are relative to the folder `root`. It is created when the first object is.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let shown = match root.into() {
            empty if empty.as_os_str().is_empty() => PathBuf::from("."),
            root => root,
        };
        let root = std::path::absolute(&shown).unwrap_or_else(|_| shown.clone());
        Self { shown, root, folders: DurableFolders::default(), maps: false }
    }

    /// Reads files of 1 MiB and more through memory maps, without a copy of what the system holds of them. Not the default: another process that
    /// truncates such a file, or a disk that fails under it, ends this one (`SIGBUS`) where reading would give an error, and bytes that
    /// are overwritten change under who reads them. This library does neither; mind tools that copy over a file in place. On Windows a file that is
    /// mapped cannot be replaced or deleted.
    #[must_use]
    pub fn with_memory_maps(mut self, maps: bool) -> Self {
        self.maps = maps;
        self
    }

    /// The storage and the path within it for the file `path`, which may be absolute or hold `..`.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if `path` names a folder or its last part is not Unicode.
    pub fn for_path(path: impl AsRef<Path>) -> Result<(Self, String)> {
        let path = path.as_ref();
        let ends_in_a_separator = path
            .as_os_str()
            .as_encoded_bytes()
            .last()
            .is_some_and(|b| std::path::is_separator(char::from(*b)));
        let name = path.file_name().filter(|_| !ends_in_a_separator);
        let Some(name) = name.and_then(OsStr::to_str) else {
            return Err(Error::invalid(format!("{} does not name a file", path.display())));
        };
        let name = check_object(name)?.to_owned();
        Ok((Self::new(path.parent().unwrap_or_else(|| Path::new("."))), name))
    }

    /// The folder that paths are relative to, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the object `path` is on this machine.
    fn locate(&self, path: &str) -> Result<PathBuf> {
        let name = check_object(path)?.rsplit('/').next().unwrap_or(path);
        if temp::is_temp(name) {
            let shown = self.describe(path);
            return Err(Error::invalid(format!("{shown} is a name for unfinished uploads; choose another")));
        }
        if cfg!(windows) && path.contains(['\\', ':']) {
            return Err(Error::invalid(format!(
                "{path:?} holds a character that Windows gives another meaning"
            )));
        }
        Ok(join(&self.root, path))
    }

    /// Like [`locate`](Self::locate), for writing: past a symbolic link, so that renaming does not replace the link itself.
    fn locate_to_write(&self, path: &str) -> Result<PathBuf> {
        let target = self.locate(path)?;
        let is_link = fs::symlink_metadata(&target).is_ok_and(|m| m.file_type().is_symlink());
        // A link into nowhere stays as it is: creating finds the name taken, replacing finds nothing there.
        Ok(if is_link { fs::canonicalize(&target).unwrap_or(target) } else { target })
    }
}

#[async_trait]
impl Storage for LocalStorage {
    async fn open(&self, path: &str, tail_bytes: u64) -> Result<Opened> {
        let (object, tail) =
            LocalObject::open(&self.locate(path)?, self.describe(path), tail_bytes, self.maps)?;
        Ok(Opened { object: Arc::new(object), tail })
    }

    async fn upload(&self, path: &str) -> Result<Box<dyn Upload>> {
        let upload =
            LocalUpload::start(self.locate_to_write(path)?, self.describe(path), self.folders.clone())?;
        Ok(Box::new(upload))
    }

    async fn promote(&self, from: &str, to: &str, expected: &ObjectTag) -> Result<ObjectTag> {
        let from_file = self.locate_to_write(from)?;
        let to_file = self.locate_to_write(to)?;
        publish::promote(&from_file, &self.describe(from), &to_file, &self.describe(to), expected)
    }

    async fn delete(&self, path: &str) -> Result<()> {
        let place = self.locate(path)?;
        publish::delete(&place, &self.describe(path))?;
        // A folder comes with its first object and goes with its last; one that is not empty cannot be removed.
        if let Some(folder) = place.parent().filter(|folder| *folder != self.root) {
            self.folders.lock().remove(folder);
            let _not_empty = fs::remove_dir(folder);
        }
        Ok(())
    }

    async fn list(&self, folder: &str) -> Result<Vec<ListEntry>> {
        self.list_until_still(folder, "")
    }

    async fn list_after(&self, folder: &str, after: &str) -> Result<Vec<ListEntry>> {
        self.list_until_still(folder, after)
    }

    async fn sync(&self, path: &str) -> Result<()> {
        let (target, shown) = (self.locate(path)?, self.describe(path));
        publish::sync(&target, &shown)
    }

    async fn sweep(&self, path: &str, _older_than: Duration) -> Result<u64> {
        let failed = |e| io_error("sweep the folder of", &self.describe(path), e);
        let beside = temp::sweep(&self.locate_to_write(path)?).map_err(failed)?;
        // `run.af.layers/7.tmp-...` begins with `run.af` too.
        Ok(beside + temp::sweep_folders(&self.locate(path)?).map_err(failed)?)
    }

    fn answers_at_once(&self) -> bool {
        true
    }

    fn describe(&self, path: &str) -> String {
        let shown = join(&self.shown, path).into_os_string();
        shown.into_string().unwrap_or_else(|shown| shown.to_string_lossy().into_owned())
    }
}

/// `folder.join(path)`, without growing what was made for the folder alone: it is done twice for each file that is opened.
fn join(folder: &Path, path: &str) -> PathBuf {
    let mut joined = PathBuf::with_capacity(folder.as_os_str().len() + 1 + path.len());
    joined.push(folder);
    joined.push(path);
    joined
}

/// So many files are looked at in less time than another thread takes to begin.
const NAMES_A_TASK: usize = 128;

/// Passes over a folder until two in a row find the same names.
const LIST_PASSES: usize = 1000;

impl LocalStorage {
    fn list_until_still(&self, folder: &str, after: &str) -> Result<Vec<ListEntry>> {
        let place = self.root.join(check_folder(folder)?);
        let failed = |e| io_error("list", &self.describe(folder), e);
        // A folder is read in no order, so that one pass can miss both what goes and what has come for it.
        let mut names = names_in(&place, after).map_err(failed)?;
        for _ in 0..LIST_PASSES {
            // Looked at between the passes: whatever was there before a file that is another by now is found by the second one.
            let entries = describe_all(&place, &names).map_err(failed)?;
            let again = names_in(&place, after).map_err(failed)?;
            if are_same(&names, &again)
                && let Some(mut entries) = entries
            {
                entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
                return Ok(entries);
            }
            names = again;
        }
        let sentence = format!("{} changes faster than it can be listed; try again", self.describe(folder));
        Err(Error::new(ErrorKind::Unavailable, sentence))
    }
}

/// Whether two passes found the same names: in the same order, as a rule.
fn are_same(names: &[String], again: &[String]) -> bool {
    fn sorted(names: &[String]) -> Vec<&String> {
        let mut names: Vec<&String> = names.iter().collect();
        names.sort_unstable();
        names
    }
    names == again || sorted(names) == sorted(again)
}

/// The names in a folder, in no order; one that is not there has none. What is not above `after` is left out.
fn names_in(folder: &Path, after: &str) -> io::Result<Vec<String>> {
    let children = match fs::read_dir(folder) {
        Ok(children) => children,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut names = Vec::new();
    for child in children {
        // A name that is not Unicode cannot be asked for, so it is not ours.
        let Ok(name) = child?.file_name().into_string() else { continue };
        if name.as_str() > after && !temp::is_temp(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// The files of these names, on all cores where there are many; `None` if one is gone.
fn describe_all(folder: &Path, names: &[String]) -> io::Result<Option<Vec<ListEntry>>> {
    if names.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let opened = match sys::Folder::open(folder) {
        Ok(opened) => opened,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    if names.len() <= NAMES_A_TASK {
        return describe_some(folder, &opened, names);
    }
    let parts = names.par_chunks(NAMES_A_TASK).map(|names| describe_some(folder, &opened, names));
    let parts: Vec<Option<Vec<ListEntry>>> = parts.collect::<io::Result<_>>()?;
    Ok(parts.into_iter().collect::<Option<Vec<_>>>().map(|parts| parts.concat()))
}

fn describe_some(
    folder: &Path,
    opened: &sys::Folder,
    names: &[String],
) -> io::Result<Option<Vec<ListEntry>>> {
    let mut entries = Vec::with_capacity(names.len());
    for name in names {
        match opened.look(name) {
            Ok(Some((size, tag))) => entries.push(ListEntry { name: name.clone(), size, tag }),
            Ok(None) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => match fs::symlink_metadata(folder.join(name)) {
                // A link into nowhere.
                Ok(m) if m.file_type().is_symlink() => {}
                // A file that came since, or lies in another folder that came for this one.
                Ok(_) => return Ok(None),
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(e),
            },
            Err(e) => return Err(e),
        }
    }
    Ok(Some(entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn a_file_that_comes_while_the_folder_is_looked_at_is_not_passed_over() {
        let place = tempfile::tempdir().unwrap();
        let (folder, old) = (place.path().join("run.af.layers"), place.path().join("old"));
        let names = ["nowhere", "layer"].map(String::from);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("layer"), b"1").unwrap();
        std::os::unix::fs::symlink("gone", folder.join("nowhere")).unwrap();
        let opened = sys::Folder::open(&folder).unwrap();
        let entries = describe_some(&folder, &opened, &names).unwrap().unwrap();
        assert_eq!(entries.iter().map(|e| (&e.name[..], e.size)).collect::<Vec<_>>(), [("layer", 1)]);
        // Another folder takes its place.
        fs::rename(&folder, &old).unwrap();
        fs::remove_file(old.join("layer")).unwrap();
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("layer"), b"2").unwrap();
        assert!(describe_some(&folder, &opened, &names).unwrap().is_none());
        // Here it is gone for good: the names are to be read again.
        fs::remove_file(folder.join("layer")).unwrap();
        assert!(describe_some(&folder, &opened, &names).unwrap().is_none());
    }

    #[test]
    fn two_passes_are_the_same_in_whatever_order_they_find_names() {
        let names = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (again, same) in [
            (&["1", "2", "3"][..], true),
            (&["3", "1", "2"], true),
            (&["1", "2"], false),
            (&["1", "2", "4"], false),
            (&["1", "2", "2"], false),
        ] {
            assert_eq!(are_same(&names(&["1", "2", "3"]), &names(again)), same, "{again:?}");
        }
    }

    #[test]
    fn a_tag_is_the_same_whichever_way_a_file_is_looked_at() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("x");
        fs::write(&file, b"123").unwrap();
        let tag = sys::tag(&fs::metadata(&file).unwrap());
        let folder = sys::Folder::open(place.path()).unwrap();
        assert_eq!(folder.look("x").unwrap(), Some((3, tag)));
        fs::create_dir(place.path().join("y")).unwrap();
        assert_eq!(folder.look("y").unwrap(), None);
    }

    #[test]
    fn a_path_splits_into_folder_and_name() {
        let (storage, name) = LocalStorage::for_path("/data/../data/run.af").unwrap();
        assert_eq!((storage.describe(&name), name.as_str()), ("/data/../data/run.af".into(), "run.af"));
        let (storage, name) = LocalStorage::for_path("run.af").unwrap();
        assert_eq!(storage.describe(&name), "./run.af");
        assert!(storage.root().is_absolute());
        for bad in ["", "/", "..", "a/..", "folder/"] {
            assert!(LocalStorage::for_path(bad).is_err(), "{bad}");
        }
    }
}
