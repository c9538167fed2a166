//! The one rule for paths, and the checks that every storage shares.

use std::ops::Range;

use array_format_core::{Error, ErrorKind, Result};

/// `path`, if it can name an object in every storage.
pub(super) fn check_object(path: &str) -> Result<&str> {
    if path.is_empty() {
        return Err(Error::invalid("a path must not be empty"));
    }
    for segment in path.split('/') {
        let trouble = match segment {
            "" => "it begins or ends with `/`, or holds `//`",
            "." | ".." => "`.` and `..` are not resolved here",
            s if s.chars().any(char::is_control) => "it holds a control character",
            _ => continue,
        };
        return Err(Error::invalid(format!("{path:?} is no path within a storage: {trouble}")));
    }
    Ok(path)
}

/// `folder`, if it can name a folder; the empty string is the top.
pub(super) fn check_folder(folder: &str) -> Result<&str> {
    if folder.is_empty() { Ok(folder) } else { check_object(folder) }
}

/// The length of `range`, if it lies within an object of `size` bytes.
pub(super) fn check_range(range: &Range<u64>, size: u64, shown: &str) -> Result<usize> {
    let length = range.end.checked_sub(range.start).filter(|_| range.end <= size).ok_or_else(|| {
        let Range { start, end } = range;
        Error::corrupt(format!("bytes {start}..{end} were asked of {shown}, which has {size}"))
            .at_offset(*start)
    })?;
    usize::try_from(length).map_err(|_| {
        Error::unsupported(format!("{length} bytes of {shown} do not fit this machine's address space"))
    })
}

/// The error of an upload whose earlier write failed.
pub(super) fn failed_before(shown: &str) -> Error {
    let sentence =
        format!("an earlier write of {shown} failed, so it cannot be finished; start a new upload");
    Error::new(ErrorKind::Unavailable, sentence)
}

/// Marks a name as belonging to an unfinished upload: `<name>.<mark>-<pid>-<16 hex digits>`.
///
/// The process id is for people who find such a name; the digits make it unique.
pub(super) fn aside(name: &str, mark: &str) -> String {
    format!("{name}.{mark}-{}-{:016x}", std::process::id(), rand::random::<u64>())
}

/// Whether [`aside`] made this name.
pub(super) fn is_aside(name: &str, mark: &str) -> bool {
    let Some((front, digits)) = name.rsplit_once('-') else { return false };
    let Some((front, pid)) = front.rsplit_once('-') else { return false };
    let marked = front.strip_suffix(mark).is_some_and(|f| f.len() > 1 && f.ends_with('.'));
    marked
        && !pid.is_empty()
        && pid.bytes().all(|b| b.is_ascii_digit())
        && digits.len() == 16
        && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_the_storage_are_refused() {
        for good in ["a", "a/b.af", "a b/ü%20.af", "...", "a/.b"] {
            assert!(check_object(good).is_ok(), "{good}");
        }
        for bad in ["", "/", "/a", "a/", "a//b", ".", "a/..", "../a", "a\0b", "a\nb"] {
            assert_eq!(check_object(bad).unwrap_err().kind(), ErrorKind::InvalidArgument, "{bad:?}");
        }
        assert!(check_folder("").is_ok());
    }

    #[test]
    fn ranges_outside_are_corrupt() {
        assert_eq!(check_range(&(2..5), 5, "x").unwrap(), 3);
        assert_eq!(check_range(&(5..5), 5, "x").unwrap(), 0);
        for bad in [3..6, 6..6, u64::MAX - 1..u64::MAX] {
            assert_eq!(check_range(&bad, 5, "x").unwrap_err().kind(), ErrorKind::Corrupt, "{bad:?}");
        }
        assert!(check_range(&Range { start: 3, end: 2 }, 5, "x").is_err());
    }

    #[test]
    fn names_set_aside_are_told_from_users_names() {
        assert!(is_aside(&aside("run.af", "tmp"), "tmp"));
        assert!(is_aside("run.af.3.tmp-12-0123456789abcdef", "tmp"));
        for name in [
            "run.af",
            "run.tmp-1.af",
            "run.tmp-12-short",
            ".tmp-12-0123456789abcdef",
            "runtmp-12-0123456789abcdef",
            "run.af.part-12-0123456789abcdef",
            "run.af.tmp--0123456789abcdef",
        ] {
            assert!(!is_aside(name, "tmp"), "{name}");
        }
    }
}
