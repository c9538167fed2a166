//! The few things that differ between operating systems.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::storage::ObjectTag;

/// Device, inode, size and time of last change.
///
/// An inode number is used again once its file is gone, so the time must tell the two apart: see [`stamp`].
pub(super) fn tag(metadata: &Metadata) -> ObjectTag {
    let (device, inode) = identity(metadata);
    let since_epoch = metadata.modified().ok().and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok());
    // Until 2554; a shorter number is written faster, and every file that is opened or listed has a tag.
    let changed_ns = u64::try_from(since_epoch.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX);
    tag_of(device, inode, metadata.len(), changed_ns)
}

fn tag_of(device: u64, inode: u64, size: u64, changed_ns: u64) -> ObjectTag {
    // By hand: `format!` took a third of the time of looking at a file.
    let mut text = String::with_capacity(64);
    for number in [device, inode, size, changed_ns] {
        if !text.is_empty() {
            text.push('-');
        }
        let digits = (u64::BITS - number.leading_zeros()).div_ceil(4).max(1);
        text.extend((0..digits).rev().filter_map(|i| char::from_digit((number >> (4 * i)) as u32 & 15, 16)));
    }
    ObjectTag::new(text)
}

/// A folder whose files are looked at by their names: with a descriptor, the kernel need not walk the folder's own path each time.
pub(super) struct Folder {
    #[cfg(unix)]
    descriptor: std::os::fd::OwnedFd,
    #[cfg(not(unix))]
    place: std::path::PathBuf,
}

#[cfg(unix)]
impl Folder {
    pub(super) fn open(place: &Path) -> io::Result<Self> {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { descriptor: rustix::fs::open(place, flags, Mode::empty())? })
    }

    /// Size and tag of a file, past links; `None` for what is no file.
    #[allow(
        clippy::cast_sign_loss,
        clippy::cast_lossless,
        clippy::unnecessary_cast,
        reason = "of these, systems have types of their own"
    )]
    pub(super) fn look(&self, name: &str) -> io::Result<Option<(u64, ObjectTag)>> {
        use rustix::fs::{AtFlags, FileType, statat};
        let stat = statat(&self.descriptor, name, AtFlags::empty())?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        let seconds = u64::try_from(stat.st_mtime).ok();
        let since_epoch = seconds.map(|s| Duration::new(s, u32::try_from(stat.st_mtime_nsec).unwrap_or(0)));
        let changed_ns = u64::try_from(since_epoch.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX);
        let size = stat.st_size as u64;
        Ok(Some((size, tag_of(stat.st_dev as u64, stat.st_ino as u64, size, changed_ns))))
    }
}

#[cfg(not(unix))]
impl Folder {
    pub(super) fn open(place: &Path) -> io::Result<Self> {
        Ok(Self { place: place.to_owned() })
    }

    /// Size and tag of a file, past links; `None` for what is no file.
    pub(super) fn look(&self, name: &str) -> io::Result<Option<(u64, ObjectTag)>> {
        let metadata = fs::metadata(self.place.join(name))?;
        Ok(metadata.is_file().then(|| (metadata.len(), tag(&metadata))))
    }
}

/// Gives `file` the present time to the nanosecond. The kernel itself would stamp it with the last tick, up to 10 ms
/// old, in which another file of the same inode number may have been born and died.
pub(super) fn stamp(file: &File) {
    // A file system that refuses keeps its own, coarser time.
    let _ = file.set_modified(SystemTime::now());
}

/// Whether both describe one file, by whichever name.
pub(super) fn same_file(a: &Metadata, b: &Metadata) -> bool {
    identity(a) == identity(b)
}

/// Which folder it is: another one that later has the same name has another number or another time of birth. `None` where births are not
/// recorded.
pub(super) fn folder_id(folder: &Path) -> Option<(u64, u64, SystemTime)> {
    let metadata = fs::metadata(folder).ok()?;
    let (device, inode) = identity(&metadata);
    Some((device, inode, metadata.created().ok()?))
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

// The file index is not to be had in stable Rust; the time of birth stands in for it.
#[cfg(not(unix))]
fn identity(metadata: &Metadata) -> (u64, u64) {
    let born = metadata.created().ok().and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok());
    (0, u64::try_from(born.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX))
}

/// Whether the last name of an open file is gone.
#[cfg(unix)]
pub(super) fn is_unlinked(metadata: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(metadata) == 0
}

#[cfg(not(unix))]
pub(super) fn is_unlinked(_: &Metadata) -> bool {
    false
}

/// Opens for reading, without waiting for the other end of a pipe that somebody put at `path`.
pub(super) fn open_to_read(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
        options.custom_flags(flags);
    }
    options.open(path)
}

/// Opens for locking. NFS wants a descriptor that may write; a read-only file is locked without.
pub(super) fn open_to_lock(path: &Path) -> io::Result<File> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Err(e) if matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
            open_to_read(path)
        }
        result => result,
    }
}

/// The bytes of `range`; fewer where the file ends.
pub(super) fn read_at(file: &File, range: Range<u64>, length: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
    // Not `with_capacity`: a sparse file can claim more than there is memory, and that must not end the process.
    bytes.try_reserve_exact(length).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    while bytes.len() < length {
        match read_some(file, bytes, length, range.start) {
            Ok(0) => break,
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(length);
    Ok(())
}

/// Appends to `bytes` what follows them in the file, whose byte `start` is their first.
#[cfg(unix)]
fn read_some(file: &File, bytes: &mut Vec<u8>, _length: usize, start: u64) -> io::Result<usize> {
    let offset = start + bytes.len() as u64;
    Ok(rustix::io::pread(file, rustix::buffer::spare_capacity(bytes), offset)?)
}

#[cfg(windows)]
fn read_some(file: &File, bytes: &mut Vec<u8>, length: usize, start: u64) -> io::Result<usize> {
    use std::os::windows::fs::FileExt;
    let done = bytes.len();
    bytes.resize(length, 0);
    let result = file.seek_read(bytes.get_mut(done..).unwrap_or_default(), start + done as u64);
    bytes.truncate(done + *result.as_ref().unwrap_or(&0));
    result
}

/// Makes the names in `folder` durable.
#[cfg(unix)]
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    use rustix::io::Errno;
    let result = File::open(folder)?.sync_all();
    match result.as_ref().err().and_then(Errno::from_io_error) {
        // Some network file systems have nothing to sync in a folder, and say so in this way.
        Some(Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
        _ => result,
    }
}

// Windows has no such call; NTFS journals its names.
#[cfg(not(unix))]
pub(super) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Creates `folder` and those above it, durably.
pub(super) fn create_folders(folder: &Path) -> io::Result<()> {
    let above = folder.parent();
    let created = match (fs::create_dir(folder), above) {
        (Err(e), Some(above)) if e.kind() == io::ErrorKind::NotFound => {
            create_folders(above)?;
            fs::create_dir(folder)
        }
        (result, _) => result,
    };
    match created {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        // Also when another writer was faster: it may not have synced yet.
        _ => above.map_or(Ok(()), sync_folder),
    }
}

/// Renames `from` to `to` unless that name is taken.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub(super) fn rename_without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(super) fn rename_without_replacing(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_its_four_numbers() {
        for (device, inode, size, changed_ns) in [(0, 1, 0xF0, 10), (u64::MAX, 1 << 60, 15, 16)] {
            let text = format!("{device:x}-{inode:x}-{size:x}-{changed_ns:x}");
            assert_eq!(tag_of(device, inode, size, changed_ns).as_str(), text);
        }
    }
}
