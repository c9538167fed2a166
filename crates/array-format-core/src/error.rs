//! What can go wrong, in the words of the person who has to act on it.

use std::fmt;
use std::sync::Arc;

/// Shorthand used by the whole project.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do about an [`Error`]. Stable: programs may match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file, layer, array, group or attribute is not there.
    NotFound,
    /// Something of that name is there already.
    AlreadyExists,
    /// The call itself is wrong (type, rank, bounds, name). Nothing was changed.
    InvalidArgument,
    /// Another writer changed the same thing first. The pending changes are kept.
    Conflict,
    /// The store refused for lack of rights.
    PermissionDenied,
    /// The store failed or cannot be reached; trying again may help.
    Unavailable,
    /// The bytes are not what their checksum or their structure demands.
    Corrupt,
    /// The file needs a later version, a feature or a codec that is not here.
    Unsupported,
    /// The version that was opened has been collected; open the file again.
    SnapshotExpired,
}

impl ErrorKind {
    /// The stable name of the kind, as scripts and other languages see it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::InvalidArgument => "invalid_argument",
            Self::Conflict => "conflict",
            Self::PermissionDenied => "permission_denied",
            Self::Unavailable => "unavailable",
            Self::Corrupt => "corrupt",
            Self::Unsupported => "unsupported",
            Self::SnapshotExpired => "snapshot_expired",
        }
    }
}

/// One sentence for a person, a [kind](ErrorKind) for a program, and the place: file, layer, array, block, offset.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    file: Option<String>,
    layer: Option<String>,
    array: Option<String>,
    block: Option<u64>,
    offset: Option<u64>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            file: None,
            layer: None,
            array: None,
            block: None,
            offset: None,
            source: None,
        }))
    }

    /// Shorthand for [`ErrorKind::InvalidArgument`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// Shorthand for [`ErrorKind::Corrupt`].
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// Shorthand for [`ErrorKind::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// Shorthand for [`ErrorKind::Unsupported`].
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The sentence alone, without the place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The file concerned, as it was named when it was opened.
    pub fn file(&self) -> Option<&str> {
        self.0.file.as_deref()
    }

    /// The layer concerned.
    pub fn layer(&self) -> Option<&str> {
        self.0.layer.as_deref()
    }

    /// The array, group or attribute owner concerned.
    pub fn array(&self) -> Option<&str> {
        self.0.array.as_deref()
    }

    /// The block concerned: its number in the layer's block table.
    pub fn block(&self) -> Option<u64> {
        self.0.block
    }

    /// Byte offset in the layer at which the trouble begins.
    pub fn offset(&self) -> Option<u64> {
        self.0.offset
    }

    /// Names the file, unless a deeper place did so already.
    #[must_use]
    pub fn in_file(mut self, file: impl Into<String>) -> Self {
        self.0.file.get_or_insert_with(|| file.into());
        self
    }

    /// Names the layer, unless a deeper place did so already.
    #[must_use]
    pub fn in_layer(mut self, layer: impl fmt::Display) -> Self {
        self.0.layer.get_or_insert_with(|| layer.to_string());
        self
    }

    /// Names the array, unless a deeper place did so already.
    #[must_use]
    pub fn in_array(mut self, array: impl Into<String>) -> Self {
        self.0.array.get_or_insert_with(|| array.into());
        self
    }

    /// Names the block, unless a deeper place did so already.
    #[must_use]
    pub fn in_block(mut self, block: u64) -> Self {
        self.0.block.get_or_insert(block);
        self
    }

    /// Names the byte offset, unless a deeper place did so already.
    #[must_use]
    pub fn at_offset(mut self, offset: u64) -> Self {
        self.0.offset.get_or_insert(offset);
        self
    }

    /// Changes the kind and keeps the rest: the room above knows better what it means.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        let mut place = Vec::new();
        if let Some(v) = &self.0.array {
            place.push(format!("array {v:?}"));
        }
        if let Some(v) = &self.0.file {
            place.push(format!("file {v}"));
        }
        if let Some(v) = &self.0.layer {
            place.push(format!("layer {v}"));
        }
        if let Some(v) = self.0.block {
            place.push(format!("block {v}"));
        }
        if let Some(v) = self.0.offset {
            place.push(format!("offset {v}"));
        }
        if !place.is_empty() {
            write!(f, " ({})", place.join(", "))?;
        }
        // Servers answer in documents of many lines; an error is one.
        if let Some(source) = &self.0.source {
            let text = source.to_string();
            let mut separator = ": ";
            for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
                write!(f, "{separator}{line}")?;
                separator = " ";
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|s| s.as_ref() as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_line_whatever_caused_it() {
        let answer =
            std::io::Error::other("status 404: <?xml?>\n<Error>\n  <Code>NoSuchKey</Code>\n\n</Error>\n");
        let e = Error::new(ErrorKind::NotFound, "cannot open x.af").with_source(answer);
        assert_eq!(
            e.to_string(),
            "cannot open x.af: status 404: <?xml?> <Error> <Code>NoSuchKey</Code> </Error>"
        );
    }
}
