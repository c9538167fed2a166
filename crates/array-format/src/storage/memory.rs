//! Objects in memory: for tests, for scratch, and as the simplest example of a storage.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use array_format_core::{Error, ErrorKind, Result};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;

use super::path::{check_folder, check_object, check_range};
use super::{FinishMode, ListEntry, ObjectTag, Opened, Storage, StoredObject, Upload};

/// Objects in memory. A clone shares them; they are gone with the last clone.
///
/// Every future completes when it is first polled.
#[derive(Debug, Default, Clone)]
pub struct InMemoryStorage {
    objects: Arc<Mutex<BTreeMap<String, Version>>>,
}

/// One immutable version of an object. Its handle outlives the place in the map.
#[derive(Debug, Clone)]
struct Version {
    bytes: Bytes,
    tag: ObjectTag,
}

impl Version {
    fn new(bytes: Bytes) -> Self {
        // One counter for the process: no two objects share a tag, in whichever storage they are.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let tag = ObjectTag::new(format!("m{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        Self { bytes, tag }
    }
}

impl InMemoryStorage {
    /// An empty storage.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `version` at `path` if `mode` allows.
    fn publish(&self, path: &str, version: Version, mode: &FinishMode) -> Result<ObjectTag> {
        let mut objects = self.objects.lock();
        let shown = self.describe(path);
        match (objects.get(path), mode) {
            (Some(_), FinishMode::Create) => {
                let sentence = format!("{shown} is there already");
                return Err(Error::new(ErrorKind::AlreadyExists, sentence));
            }
            (Some(current), FinishMode::Replace(expected)) if current.tag != *expected => {
                let sentence = format!("{shown} was replaced by someone else; open it again");
                return Err(Error::new(ErrorKind::Conflict, sentence));
            }
            (None, FinishMode::Replace(_)) => {
                let sentence = format!("{shown} was deleted by someone else");
                return Err(Error::new(ErrorKind::Conflict, sentence));
            }
            _ => {}
        }
        let tag = version.tag.clone();
        objects.insert(path.to_owned(), version);
        Ok(tag)
    }

    fn get(&self, path: &str) -> Result<Version> {
        let version = self.objects.lock().get(check_object(path)?).cloned();
        version.ok_or_else(|| Error::not_found(format!("{} is not there", self.describe(path))))
    }
}

#[async_trait]
impl Storage for InMemoryStorage {
    async fn open(&self, path: &str, tail_bytes: u64) -> Result<Opened> {
        let version = self.get(path)?;
        let tail_bytes = usize::try_from(tail_bytes).unwrap_or(usize::MAX);
        let tail = version.bytes.slice(version.bytes.len().saturating_sub(tail_bytes)..);
        Ok(Opened { object: Arc::new(MemoryObject { version, shown: self.describe(path) }), tail })
    }

    async fn upload(&self, path: &str) -> Result<Box<dyn Upload>> {
        let path = check_object(path)?.to_owned();
        Ok(Box::new(MemoryUpload { storage: self.clone(), path, parts: Vec::new() }))
    }

    async fn promote(&self, from: &str, to: &str, expected: &ObjectTag) -> Result<ObjectTag> {
        let version = self.get(from)?;
        self.publish(check_object(to)?, version, &FinishMode::Replace(expected.clone()))
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.objects.lock().remove(check_object(path)?);
        Ok(())
    }

    async fn list(&self, folder: &str) -> Result<Vec<ListEntry>> {
        let prefix = match check_folder(folder)? {
            "" => String::new(),
            folder => format!("{folder}/"),
        };
        let objects = self.objects.lock();
        let from = (Bound::Included(prefix.as_str()), Bound::Unbounded);
        let entries = objects.range::<str, _>(from).map_while(|(path, version)| {
            let name = path.strip_prefix(&prefix)?;
            let entry = || ListEntry {
                name: name.to_owned(),
                size: version.bytes.len() as u64,
                tag: version.tag.clone(),
            };
            Some((!name.contains('/')).then(entry))
        });
        Ok(entries.flatten().collect())
    }

    fn answers_at_once(&self) -> bool {
        true
    }

    fn describe(&self, path: &str) -> String {
        format!("memory://{path}")
    }
}

#[derive(Debug)]
struct MemoryObject {
    version: Version,
    shown: String,
}

#[async_trait]
impl StoredObject for MemoryObject {
    fn size(&self) -> u64 {
        self.version.bytes.len() as u64
    }

    fn tag(&self) -> &ObjectTag {
        &self.version.tag
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let length = check_range(&range, self.size(), &self.shown)?;
        // Within the length of a slice in memory, so it fits.
        let start = usize::try_from(range.start).unwrap_or(usize::MAX);
        Ok(self.version.bytes.slice(start..start + length))
    }
}

struct MemoryUpload {
    storage: InMemoryStorage,
    path: String,
    parts: Vec<Bytes>,
}

#[async_trait]
impl Upload for MemoryUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.parts.push(bytes);
        Ok(())
    }

    async fn finish(mut self: Box<Self>, mode: FinishMode) -> Result<ObjectTag> {
        let version = Version::new(join(&mut self.parts));
        self.storage.publish(&self.path, version, &mode)
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// One run of bytes; each part is given back as soon as it is copied.
fn join(parts: &mut Vec<Bytes>) -> Bytes {
    if parts.len() == 1 {
        return parts.pop().unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
    for part in parts.drain(..) {
        whole.extend_from_slice(&part);
    }
    whole.freeze()
}
