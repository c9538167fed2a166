//! What the store said, in the words of this project.

use ::object_store::Error as Store;
use array_format_core::{Error, ErrorKind};

/// `cannot <action> <shown>: <why>`, with `source` kept.
pub(super) fn store_error(action: &str, shown: &str, source: Store) -> Error {
    let (kind, why) = named(&source).unwrap_or_else(|| of_variant(&source));
    Error::new(kind, format!("cannot {action} {shown}: {why}")).with_source(source)
}

fn of_variant(source: &Store) -> (ErrorKind, &'static str) {
    match source {
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
    }
}

/// What stores say by a name in the body of an answer, whose number alone says less.
const NAMES: &[(&str, ErrorKind, &str)] = &[
    // Where clients look for the machine's own credentials, when there are no others.
    (
        "169.254.169.254",
        ErrorKind::PermissionDenied,
        "no credentials were found; set them in the environment, a profile or options, or `skip_signature=true` for a public bucket",
    ),
    (
        "metadata.google.internal",
        ErrorKind::PermissionDenied,
        "no credentials were found; set them in the environment, a profile or options, or `skip_signature=true` for a public bucket",
    ),
    (
        "NoSuchBucket",
        ErrorKind::NotFound,
        "there is no such bucket; check its name, the region and the endpoint",
    ),
    ("ContainerNotFound", ErrorKind::NotFound, "there is no such container; check its name and the account"),
    ("ExpiredToken", ErrorKind::PermissionDenied, "the session token has expired; sign in again"),
    ("TokenExpired", ErrorKind::PermissionDenied, "the session token has expired; sign in again"),
    (
        "InvalidAccessKeyId",
        ErrorKind::PermissionDenied,
        "the store does not know the access key; check the credentials",
    ),
    (
        "SignatureDoesNotMatch",
        ErrorKind::PermissionDenied,
        "the secret key does not belong to the access key; check the credentials",
    ),
    ("InvalidAuthenticationInfo", ErrorKind::PermissionDenied, "the store does not accept the credentials"),
    ("AuthenticationFailed", ErrorKind::PermissionDenied, "the store does not accept the credentials"),
    (
        "AccessDenied",
        ErrorKind::PermissionDenied,
        "these credentials do not allow it; check the policy of the bucket",
    ),
    (
        "AuthorizationFailure",
        ErrorKind::PermissionDenied,
        "the store does not accept the credentials, or they do not allow it",
    ),
    (
        "403 Forbidden",
        ErrorKind::PermissionDenied,
        "the store denies it; check the credentials and the policy",
    ),
    (
        "non-partial response",
        ErrorKind::Unsupported,
        "the server answers a request for some bytes with the whole object; take one that serves ranges",
    ),
];

fn named(source: &Store) -> Option<(ErrorKind, &'static str)> {
    let mut cause: Option<&dyn std::error::Error> = Some(source);
    while let Some(e) = cause {
        let text = e.to_string();
        if let Some((_, kind, why)) = NAMES.iter().find(|(name, ..)| text.contains(name)) {
            return Some((*kind, why));
        }
        cause = e.source();
    }
    None
}

/// Whether trying otherwise may help.
pub(super) fn is_unsupported(e: &Store) -> bool {
    matches!(e, Store::NotImplemented { .. } | Store::NotSupported { .. })
}
