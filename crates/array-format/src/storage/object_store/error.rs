//! What the store said, in the words of this project.

use ::object_store::Error as Store;
use array_format_core::{Error, ErrorKind};

/// `cannot <action> <shown>: <why>`, with `source` kept.
pub(super) fn store_error(action: &str, shown: &str, source: Store) -> Error {
    let (kind, why) = match &source {
        Store::NotFound { .. } => (ErrorKind::NotFound, "it is not there"),
        Store::AlreadyExists { .. } => (ErrorKind::AlreadyExists, "something of that name is there already"),
        Store::Precondition { .. } => {
            (ErrorKind::Conflict, "it was replaced or deleted by someone else; open it again")
        }
        Store::PermissionDenied { .. } => {
            (ErrorKind::PermissionDenied, "these credentials do not allow it; check the policy of the bucket")
        }
        Store::Unauthenticated { .. } => {
            (ErrorKind::PermissionDenied, "the store does not accept the credentials, or there are none")
        }
        Store::NotImplemented { .. } | Store::NotSupported { .. } => {
            (ErrorKind::Unsupported, "the store cannot do this")
        }
        Store::InvalidPath { .. } => (ErrorKind::InvalidArgument, "the store does not take a path like this"),
        Store::UnknownConfigurationKey { .. } => {
            (ErrorKind::InvalidArgument, "the store does not know an option")
        }
        _ => (ErrorKind::Unavailable, "the store failed or cannot be reached; trying again may help"),
    };
    Error::new(kind, format!("cannot {action} {shown}: {why}")).with_source(source)
}

/// Whether trying otherwise may help.
pub(super) fn is_unsupported(e: &Store) -> bool {
    matches!(e, Store::NotImplemented { .. } | Store::NotSupported { .. })
}
