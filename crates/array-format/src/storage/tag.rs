//! What an object was: enough to notice that it is another one now.

use std::fmt;
use std::hash::{Hash, Hasher};

/// Opaque identity of the content of an object: an `ETag`, or device, inode, size and time on disk, or a counter.
///
/// Two equal tags of one path mean the same bytes. Two different ones may still mean the same bytes.
#[derive(Debug, Clone)]
pub struct ObjectTag {
    identity: String,
    // What a store wants to see again in a condition. Not part of the identity: listings leave the version out, and
    // some write the ETag without its quotes.
    condition: Option<Box<Condition>>,
}

/// The words in which a store states a condition.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub(super) e_tag: Option<String>,
    pub(super) version: Option<String>,
}

impl ObjectTag {
    /// A tag of a storage's own making.
    pub fn new(identity: impl Into<String>) -> Self {
        Self { identity: identity.into(), condition: None }
    }

    /// The identity as text, for logs, cache keys and comparisons.
    pub fn as_str(&self) -> &str {
        &self.identity
    }

    /// The tag of an object with this ETag, version, or both; `None` without either.
    pub(super) fn of_store(e_tag: Option<String>, version: Option<String>) -> Option<Self> {
        let identity = match (&e_tag, &version) {
            (Some(e_tag), _) => e_tag.trim_start_matches("W/").trim_matches('"').to_owned(),
            (None, Some(version)) => version.clone(),
            (None, None) => return None,
        };
        Some(Self { identity, condition: Some(Box::new(Condition { e_tag, version })) })
    }

    /// The condition under which this object is still the one.
    pub(super) fn condition(&self) -> Condition {
        match &self.condition {
            Some(condition) => (**condition).clone(),
            None => Condition { e_tag: Some(self.identity.clone()), version: None },
        }
    }
}

impl PartialEq for ObjectTag {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

impl Eq for ObjectTag {}

impl Hash for ObjectTag {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity.hash(state);
    }
}

impl fmt::Display for ObjectTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_without_quotes_and_version_gives_the_tag_that_open_gave() {
        let opened = ObjectTag::of_store(Some("\"abc\"".into()), Some("17".into())).unwrap();
        let listed = ObjectTag::of_store(Some("abc".into()), None).unwrap();
        assert_eq!(opened, listed);
        assert_eq!(opened.condition().version.as_deref(), Some("17"));
        assert!(ObjectTag::of_store(None, None).is_none());
    }
}
