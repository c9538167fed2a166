//! The root of a version: `docs/format.md` section 6.

use crate::address::ObjectId;
use crate::cursor::{Cursor, put_bytes, put_varint, unzigzag, zigzag};
use crate::error::{Error, Result};
use crate::format::blocks::{objects, put_objects};
use crate::format::column::{ints, put_extension, put_ints};
use crate::format::constants::ROOT;
use crate::format::directory::Directory;
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
        for run in &self.runs {
            put_varint(&mut out, run.directories.len() as u64);
            run.directories.iter().for_each(|d| put_directory(&mut out, d));
        }
        put_directory(&mut out, &self.own_blocks);
        put_varint(&mut out, 0); // sections: none are defined
        put_extension(&mut out);
        out
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
        let run = |c: &mut Cursor<'_>| -> Result<Run> {
            let n = c.count(8)?;
            let directories = (0..n).map(|_| Directory::decode(c.bytes()?)).collect::<Result<Vec<_>>>()?;
            Ok(Run { directories })
        };
        let runs = (0..n).map(|_| run(c)).collect::<Result<Vec<_>>>()?;
        let own_blocks = Directory::decode(c.bytes()?)?;
        let n = c.count(3)?;
        for _ in 0..n {
            let (id, required, _) = (c.varint()?, c.u8()?, c.bytes()?);
            if required != 0 {
                return Err(Error::unsupported(format!("the file needs section {id}; use a later version")));
            }
        }
        Ok(Self { version, time_ms, message, cause, next_node, arrays, groups, objects, runs, own_blocks })
    }

    /// Fills in what the trailer knows: the length of this layer's own object.
    pub fn set_own_length(&mut self, object_bytes: u64) {
        let own = ObjectId::Layer(self.version);
        self.objects.iter_mut().filter(|o| o.id == own).for_each(|o| o.object_bytes = object_bytes);
    }

    /// The entry of an object.
    pub fn object(&self, id: ObjectId) -> Option<&ObjectEntry> {
        self.objects.iter().find(|o| o.id == id)
    }
}

fn put_directory(out: &mut Vec<u8>, directory: &Directory) {
    let mut bytes = Vec::new();
    directory.encode(&mut bytes);
    put_bytes(out, &bytes);
}
