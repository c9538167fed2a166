//! A pinned file: an open descriptor. It reads on when its name is gone.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use array_format_core::{Error, Result};
use async_trait::async_trait;
use bytes::Bytes;

use super::error::io_error;
use super::map::map;
use super::sys;
use crate::storage::path::check_range;
use crate::storage::{ObjectTag, ReadNow, StoredObject};

/// Smaller files are read: most layers are, and a map is a call to make and another to end it.
const MAPPED_BYTES: u64 = 1 << 20;

#[derive(Debug)]
pub(super) struct LocalObject {
    file: File,
    size: u64,
    mapped: Option<Bytes>,
    tag: ObjectTag,
    shown: String,
}

impl LocalObject {
    /// Opens `place` and reads its last `tail_bytes`. `maps`: files that are large enough are mapped, if they can be.
    pub(super) fn open(place: &Path, shown: String, tail_bytes: u64, maps: bool) -> Result<(Self, Bytes)> {
        let opened = sys::open_to_read(place).and_then(|file| {
            let metadata = file.metadata()?;
            Ok((file, metadata))
        });
        let (file, metadata) = opened.map_err(|e| io_error("open", &shown, e))?;
        if metadata.is_dir() {
            return Err(io_error("open", &shown, io::ErrorKind::IsADirectory.into()));
        }
        if !metadata.is_file() {
            return Err(Error::invalid(format!("cannot open {shown}: it is a pipe or a device, not a file")));
        }
        let size = metadata.len();
        // A file system without maps is read.
        let mapped = if maps && size >= MAPPED_BYTES { map(&file).ok() } else { None };
        let mapped = mapped.filter(|all| all.len() as u64 == size);
        let object = Self { file, size, mapped, tag: sys::tag(&metadata), shown };
        let mut tail = Vec::new();
        object.read_to(object.size.saturating_sub(tail_bytes)..object.size, &mut tail)?;
        Ok((object, tail.into()))
    }

    fn read_to(&self, range: Range<u64>, out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        let length = check_range(&range, self.size, &self.shown)?;
        if length == 0 {
            return Ok(());
        }
        let start = range.start;
        sys::read_at(&self.file, range, length, out).map_err(|e| io_error("read", &self.shown, e))?;
        if out.len() < length {
            let (shown, size) = (&self.shown, self.size);
            let sentence = format!("{shown} had {size} bytes when it was opened and was cut short since");
            return Err(Error::corrupt(sentence).at_offset(start + out.len() as u64));
        }
        Ok(())
    }
}

impl ReadNow for LocalObject {
    fn read_now(&self, range: Range<u64>, out: &mut Vec<u8>) -> Result<()> {
        self.read_to(range, out)
    }
}

#[async_trait]
impl StoredObject for LocalObject {
    fn size(&self) -> u64 {
        self.size
    }

    fn tag(&self) -> &ObjectTag {
        &self.tag
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let mut bytes = Vec::new();
        self.read_to(range, &mut bytes)?;
        Ok(bytes.into())
    }

    fn now(&self) -> Option<&dyn ReadNow> {
        Some(self)
    }

    fn mapped(&self) -> Option<&Bytes> {
        self.mapped.as_ref()
    }
}
