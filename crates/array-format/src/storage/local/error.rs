//! What the operating system said, in the words of this project.

use std::io;

use array_format_core::{Error, ErrorKind};

/// `cannot <action> <shown>: <what to do>`, with `source` kept.
pub(super) fn io_error(action: &str, shown: &str, source: io::Error) -> Error {
    let (kind, advice) = explain(&source);
    Error::new(kind, format!("cannot {action} {shown}: {advice}")).with_source(source)
}

/// The loser's error of [`FinishMode::Replace`](crate::storage::FinishMode::Replace) and `promote`.
pub(super) fn conflict(shown: &str, what: &str) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!("{shown} was {what} by someone else since it was opened; open it again"),
    )
}

fn explain(source: &io::Error) -> (ErrorKind, &'static str) {
    use io::ErrorKind as Io;
    match source.kind() {
        Io::NotFound => (ErrorKind::NotFound, "it is not there"),
        Io::AlreadyExists => (ErrorKind::AlreadyExists, "something of that name is there already"),
        Io::PermissionDenied => (
            ErrorKind::PermissionDenied,
            "this user has no right to do so; change the rights or choose another folder",
        ),
        Io::ReadOnlyFilesystem => {
            (ErrorKind::PermissionDenied, "the file system is mounted read-only; choose another folder")
        }
        Io::StorageFull => (ErrorKind::Unavailable, "the disk is full; free some space and try again"),
        Io::QuotaExceeded => (ErrorKind::Unavailable, "the quota is used up; free some space and try again"),
        Io::IsADirectory => (ErrorKind::InvalidArgument, "it is a folder, not a file"),
        Io::NotADirectory => (ErrorKind::InvalidArgument, "a part of the path is a file, not a folder"),
        Io::InvalidFilename => (ErrorKind::InvalidArgument, "the file system does not take a name like this"),
        Io::FileTooLarge => {
            (ErrorKind::Unsupported, "the file system or a limit does not allow files this large")
        }
        Io::CrossesDevices => (ErrorKind::Unsupported, "the two names are on different file systems"),
        Io::Unsupported => (ErrorKind::Unsupported, "the file system cannot do this"),
        Io::OutOfMemory => (ErrorKind::Unavailable, "there is not enough memory"),
        _ => explain_number(source),
    }
}

/// The errors that the standard library has no kind for.
#[cfg(unix)]
fn explain_number(source: &io::Error) -> (ErrorKind, &'static str) {
    use rustix::io::Errno;
    match Errno::from_io_error(source) {
        Some(Errno::MFILE | Errno::NFILE) => {
            (ErrorKind::Unavailable, "too many files are open; close some or raise the limit (ulimit -n)")
        }
        Some(Errno::IO) => {
            (ErrorKind::Unavailable, "the disk reports an error; look at the system log before you try again")
        }
        Some(Errno::LOOP) => (ErrorKind::InvalidArgument, "its symbolic links lead in a circle"),
        _ => (ErrorKind::Unavailable, "the operating system refused; trying again may help"),
    }
}

#[cfg(not(unix))]
fn explain_number(_: &io::Error) -> (ErrorKind, &'static str) {
    (ErrorKind::Unavailable, "the operating system refused; trying again may help")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use rustix::io::Errno;
    use std::error::Error as _;

    #[test]
    fn the_kind_tells_what_to_do_and_the_source_is_kept() {
        for (errno, kind) in [
            (Errno::NOENT, ErrorKind::NotFound),
            (Errno::EXIST, ErrorKind::AlreadyExists),
            (Errno::ACCESS, ErrorKind::PermissionDenied),
            (Errno::PERM, ErrorKind::PermissionDenied),
            (Errno::ROFS, ErrorKind::PermissionDenied),
            (Errno::NOSPC, ErrorKind::Unavailable),
            (Errno::DQUOT, ErrorKind::Unavailable),
            (Errno::IO, ErrorKind::Unavailable),
            (Errno::MFILE, ErrorKind::Unavailable),
            (Errno::ISDIR, ErrorKind::InvalidArgument),
            (Errno::NOTDIR, ErrorKind::InvalidArgument),
            (Errno::NAMETOOLONG, ErrorKind::InvalidArgument),
            (Errno::LOOP, ErrorKind::InvalidArgument),
            (Errno::XDEV, ErrorKind::Unsupported),
        ] {
            let error = io_error("write", "./a.af", errno.into());
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.message().starts_with("cannot write ./a.af: "), "{error}");
            let source = error.source().and_then(|s| s.downcast_ref::<io::Error>()).unwrap();
            assert_eq!(Errno::from_io_error(source), Some(errno));
        }
    }
}
