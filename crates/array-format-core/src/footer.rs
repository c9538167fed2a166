//! The root of a version: `docs/format.md` section 6.

use std::collections::{BTreeMap, BTreeSet};

use crate::address::ObjectId;
use crate::cursor::{Cursor, put_bytes, put_varint, unzigzag, zigzag};
use crate::error::{Error, Result};
use crate::format::blocks::{objects, put_objects};
use crate::format::column::put_extension;
use crate::format::constants::{DETACHED_ROOT, MAX_ANCESTORS, MAX_TAG_BYTES, ROOT};
use crate::format::directory::Directory;
use crate::format::numbers::{ints, put_ints};
use crate::format::page::Table;
use crate::format::trailer::Id;

/// Why a version was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The file was created.
    Create,
    /// Changes were committed.
    Commit,
    /// Layers were merged; the content is that of the version before.
    Compaction,
    /// Older versions were given up; the content is that of the version before.
    Collection,
}

/// An object that a version needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectEntry {
    /// Which object.
    pub id: ObjectId,
    /// Of the write that made it.
    pub write_id: Id,
    /// Bytes of the object. (In the file, that of the root's own layer is 0: only its trailer can know.)
    pub object_bytes: u64,
    /// Stored bytes of its blocks.
    pub stored_bytes: u64,
    /// Decoded bytes of its blocks.
    pub decoded_bytes: u64,
    /// Decoded bytes of its blocks that chunks of this version occupy.
    pub live_bytes: u64,
}

/// A sorted run of index rows: at most one directory a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// Directories in the order of their tables.
    pub directories: Vec<Directory>,
}

impl Run {
    /// The directory of a table.
    pub fn directory(&self, table: Table) -> Option<&Directory> {
        self.directories.iter().find(|d| d.table == table)
    }
}

/// What finds everything in a version. It is the root that the layer of the version holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footer {
    /// Number of the version and of its layer.
    pub version: u64,
    /// Milliseconds since 1970-01-01T00:00:00Z, as the writer's caller gave them.
    pub time_ms: i64,
    /// What the writer's caller had to say.
    pub message: String,
    /// Why the version was made.
    pub cause: Cause,
    /// The id that the next new array or group gets.
    pub next_node: u64,
    /// Arrays in this version.
    pub arrays: u64,
    /// Groups with a row in this version, without the root.
    pub groups: u64,
    /// Every object that the version needs.
    pub objects: Vec<ObjectEntry>,
    /// Index runs, newest first.
    pub runs: Vec<Run>,
    /// The layer's own block table.
    pub own_blocks: Directory,
    /// Versions below this one are no longer part of the file, unless a tag names them.
    pub floor: u64,
    /// Versions that have a name, by name.
    pub tags: BTreeMap<String, u64>,
    /// Write ids of the versions before this one, the nearest first: at most [`MAX_ANCESTORS`].
    pub ancestors: Vec<Id>,
}

/// Sections of the root.
const FLOOR: u64 = 1;
const TAGS: u64 = 2;
const ANCESTORS: u64 = 3;

/// Checks that a name can be a tag's.
///
/// # Errors
/// `InvalidArgument`.
pub fn check_tag(name: &str) -> Result<()> {
    match name.len() {
        1..=MAX_TAG_BYTES => Ok(()),
        0 => Err(Error::invalid("the name of a tag is empty")),
        n => Err(Error::invalid(format!(
            "the name of a tag has {n} bytes; at most {MAX_TAG_BYTES} are possible"
        ))),
    }
}

impl Footer {
    /// The root, decoded form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![ROOT];
        put_varint(&mut out, self.version);
        put_varint(&mut out, zigzag(self.time_ms));
        put_bytes(&mut out, self.message.as_bytes());
        out.push(match self.cause {
            Cause::Create => 0,
            Cause::Commit => 1,
            Cause::Compaction => 2,
            Cause::Collection => 3,
        });
        for n in [self.next_node, self.arrays, self.groups] {
            put_varint(&mut out, n);
        }
        put_objects(&mut out, &self.objects.iter().map(|o| o.id).collect::<Vec<_>>());
        let own = ObjectId::Layer(self.version);
        let lengths = self.objects.iter().map(|o| if o.id == own { 0 } else { o.object_bytes });
        put_ints(&mut out, &lengths.collect::<Vec<_>>());
        let numbers: [fn(&ObjectEntry) -> u64; 3] =
            [|o| o.stored_bytes, |o| o.decoded_bytes, |o| o.live_bytes];
        for number in numbers {
            put_ints(&mut out, &self.objects.iter().map(number).collect::<Vec<_>>());
        }
        self.objects.iter().for_each(|o| out.extend(o.write_id));
        put_varint(&mut out, self.runs.len() as u64);
        self.runs.iter().for_each(|run| put_run(&mut out, run));
        put_directory(&mut out, &self.own_blocks);
        self.put_sections(&mut out);
        put_extension(&mut out);
        out
    }

    fn put_sections(&self, out: &mut Vec<u8>) {
        let mut sections = Vec::new();
        if self.floor > 0 {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, self.floor);
            sections.push((FLOOR, bytes));
        }
        if !self.tags.is_empty() {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, self.tags.len() as u64);
            for (name, version) in &self.tags {
                put_bytes(&mut bytes, name.as_bytes());
                put_varint(&mut bytes, *version);
            }
            sections.push((TAGS, bytes));
        }
        if !self.ancestors.is_empty() {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, self.ancestors.len() as u64);
            self.ancestors.iter().for_each(|id| bytes.extend(id));
            sections.push((ANCESTORS, bytes));
        }
        put_varint(out, sections.len() as u64);
        for (id, bytes) in sections {
            put_varint(out, id);
            out.push(0);
            put_bytes(out, &bytes);
        }
    }

    fn read_section(&mut self, id: u64, required: bool, bytes: &[u8]) -> Result<()> {
        let c = &mut Cursor::new(bytes);
        match id {
            FLOOR => self.floor = c.varint()?,
            TAGS => {
                for _ in 0..c.count(2)? {
                    let (name, version) = (c.str()?.to_owned(), c.varint()?);
                    check_tag(&name).map_err(|e| Error::corrupt(e.to_string()))?;
                    if self.tags.last_key_value().is_some_and(|last| *last.0 >= name) {
                        return Err(Error::corrupt("tags out of order"));
                    }
                    self.tags.insert(name, version);
                }
            }
            ANCESTORS => {
                let n = c.count(16)?;
                if n > MAX_ANCESTORS {
                    return Err(Error::corrupt(format!("{n} ancestors")));
                }
                self.ancestors = (0..n).map(|_| c.id()).collect::<Result<_>>()?;
            }
            _ if required => {
                return Err(Error::unsupported(format!("the file needs section {id}; use a later version")));
            }
            _ => {}
        }
        Ok(())
    }

    /// Write id of an earlier version, if this one remembers it.
    pub fn ancestor(&self, version: u64) -> Option<&Id> {
        let back = self.version.checked_sub(version)?.checked_sub(1)?;
        self.ancestors.get(usize::try_from(back).ok()?)
    }

    /// The version after this one, as long as nothing in it changes.
    #[must_use]
    pub fn successor(&self, cause: Cause, time_ms: i64, message: &str) -> Self {
        let own = self.object(ObjectId::Layer(self.version)).map(|o| o.write_id);
        let ancestors = own.into_iter().chain(self.ancestors.iter().copied()).take(MAX_ANCESTORS).collect();
        let (version, message) = (self.version.saturating_add(1), message.to_owned());
        Self { version, time_ms, message, cause, ancestors, ..self.clone() }
    }

    /// Whether `version`, if it is older than this one, is still part of the file.
    pub fn keeps(&self, version: u64) -> bool {
        version >= self.floor || self.tags.values().any(|v| *v == version)
    }

    /// Reads a root.
    ///
    /// # Errors
    /// `Corrupt`, or `Unsupported` for what a later version requires.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let c = &mut Cursor::new(bytes);
        let kind = c.u8()?;
        if kind != ROOT {
            return Err(Error::corrupt(format!("a root of kind {kind}")));
        }
        let (version, time_ms, message) = (c.varint()?, unzigzag(c.varint()?), c.str()?.to_owned());
        let cause = match c.u8()? {
            0 => Cause::Create,
            1 => Cause::Commit,
            2 => Cause::Compaction,
            3 => Cause::Collection,
            n => {
                return Err(Error::unsupported(format!(
                    "a version of cause {n} is not known to this version"
                )));
            }
        };
        let (next_node, arrays, groups) = (c.varint()?, c.varint()?, c.varint()?);
        let ids = objects(c)?;
        let n = ids.len();
        let (object, stored, decoded, live) = (ints(c, n)?, ints(c, n)?, ints(c, n)?, ints(c, n)?);
        let objects = (0..n)
            .map(|i| {
                Ok(ObjectEntry {
                    id: ids[i],
                    write_id: c.id()?,
                    object_bytes: object[i],
                    stored_bytes: stored[i],
                    decoded_bytes: decoded[i],
                    live_bytes: live[i],
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let n = c.count(1)?;
        let runs = (0..n).map(|_| read_run(c)).collect::<Result<Vec<_>>>()?;
        let own_blocks = Directory::decode(c.bytes()?)?;
        let mut footer = Self {
            version,
            time_ms,
            message,
            cause,
            next_node,
            arrays,
            groups,
            objects,
            runs,
            own_blocks,
            floor: 0,
            tags: BTreeMap::new(),
            ancestors: Vec::new(),
        };
        let mut sections = BTreeSet::new();
        for _ in 0..c.count(3)? {
            let (id, required, bytes) = (c.varint()?, c.u8()?, c.bytes()?);
            if !sections.insert(id) {
                return Err(Error::corrupt(format!("section {id} twice")));
            }
            footer.read_section(id, required != 0, bytes)?;
        }
        if footer.floor > footer.version {
            let e = format!("a floor of {} in version {}", footer.floor, footer.version);
            return Err(Error::corrupt(e));
        }
        if let Some((tag, version)) = footer.tags.iter().find(|t| !(1..=footer.version).contains(t.1)) {
            return Err(Error::corrupt(format!(
                "tag {tag:?} of version {version} in version {}",
                footer.version
            )));
        }
        Ok(footer)
    }

    /// Forgets the objects that the version does not need: those without live data and without pages.
    pub fn keep_needed(&mut self) {
        let pages: BTreeSet<ObjectId> = (self.runs.iter().flat_map(|r| &r.directories))
            .flat_map(|d| &d.pages)
            .map(|p| p.object)
            .collect();
        self.objects.retain(|o| o.live_bytes > 0 || pages.contains(&o.id));
    }

    /// Fills in what the trailer knows: the length of this layer's own object.
    pub fn set_own_length(&mut self, object_bytes: u64) {
        let own = ObjectId::Layer(self.version);
        self.objects.iter_mut().filter(|o| o.id == own).for_each(|o| o.object_bytes = object_bytes);
    }

    /// The entry of an object.
    pub fn object(&self, id: ObjectId) -> Option<&ObjectEntry> {
        // They are in order as a rule, and a version of many layers is asked for them all the time.
        let place = self.objects.binary_search_by_key(&id, |o| o.id).ok();
        let found = place.and_then(|i| self.objects.get(i));
        found.or_else(|| self.objects.iter().find(|o| o.id == id))
    }
}

fn put_directory(out: &mut Vec<u8>, directory: &Directory) {
    let mut bytes = Vec::new();
    directory.encode(&mut bytes);
    put_bytes(out, &bytes);
}

/// What finds everything in a detached layer: `docs/format.md` section 9.3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachedRoot {
    /// The version that the worker worked on.
    pub begun: u64,
    /// Stored bytes of all blocks.
    pub stored_bytes: u64,
    /// Decoded bytes of all blocks.
    pub decoded_bytes: u64,
    /// The object's own block table.
    pub own_blocks: Directory,
    /// What is to be committed.
    pub run: Run,
}

impl DetachedRoot {
    /// The root, decoded form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![DETACHED_ROOT];
        for n in [self.begun, self.stored_bytes, self.decoded_bytes] {
            put_varint(&mut out, n);
        }
        put_directory(&mut out, &self.own_blocks);
        put_run(&mut out, &self.run);
        put_extension(&mut out);
        out
    }

    /// Reads a root.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let c = &mut Cursor::new(bytes);
        let kind = c.u8()?;
        if kind != DETACHED_ROOT {
            return Err(Error::corrupt(format!("a root of kind {kind} in detached blocks")));
        }
        let (begun, stored_bytes, decoded_bytes) = (c.varint()?, c.varint()?, c.varint()?);
        let own_blocks = Directory::decode(c.bytes()?)?;
        Ok(Self { begun, stored_bytes, decoded_bytes, own_blocks, run: read_run(c)? })
    }
}

fn put_run(out: &mut Vec<u8>, run: &Run) {
    put_varint(out, run.directories.len() as u64);
    run.directories.iter().for_each(|d| put_directory(out, d));
}

fn read_run(c: &mut Cursor<'_>) -> Result<Run> {
    let n = c.count(8)?;
    let directories = (0..n).map(|_| Directory::decode(c.bytes()?)).collect::<Result<_>>()?;
    Ok(Run { directories })
}
