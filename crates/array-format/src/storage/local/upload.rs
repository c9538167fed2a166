//! A file on its way: written beside its target, published by name.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use array_format_core::Result;
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use super::error::io_error;
use super::temp::TempFile;
use super::{publish, sys};
use crate::storage::path::failed_before;
use crate::storage::{FinishMode, ObjectTag, Upload};

/// Joins small writes; larger ones pass it by.
const BUFFER_BYTES: usize = 128 << 10;

pub(super) struct LocalUpload {
    // Before the descriptor: the name goes while it is still locked, so that a sweeper never sees it unlocked.
    temp: TempFile,
    file: BufWriter<File>,
    target: PathBuf,
    shown: String,
    folders: DurableFolders,
    has_failed: bool,
}

/// Folders whose own names are known to be durable. One that is there may have been created by another process that has not synced it yet.
pub(super) type DurableFolders = Arc<Mutex<HashSet<PathBuf>>>;

impl LocalUpload {
    /// Creates the temporary file, and the folders above it where they are missing.
    pub(super) fn start(target: PathBuf, shown: String, folders: DurableFolders) -> Result<Self> {
        let (temp, file) = TempFile::create(&target).map_err(|e| io_error("write", &shown, e))?;
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(Self { temp, file, target, shown, folders, has_failed: false })
    }

    fn sync_name_of_folder(&self) -> Result<()> {
        let Some((folder, above)) = self.target.parent().and_then(|f| Some((f, f.parent()?))) else {
            return Ok(());
        };
        if !self.folders.lock().contains(folder) {
            sys::sync_folder(above).map_err(|e| io_error("make durable the folder of", &self.shown, e))?;
            self.folders.lock().insert(folder.to_owned());
        }
        Ok(())
    }

    fn publish(&mut self, mode: &FinishMode) -> Result<ObjectTag> {
        if self.has_failed {
            return Err(failed_before(&self.shown));
        }
        let synced = self.file.flush().and_then(|()| {
            let file = self.file.get_ref();
            sys::stamp(file);
            file.sync_all()?;
            file.metadata()
        });
        let tag = sys::tag(&synced.map_err(|e| io_error("write", &self.shown, e))?);
        self.sync_name_of_folder()?;
        match mode {
            FinishMode::Create => publish::create(&mut self.temp, &self.target, &self.shown)?,
            FinishMode::Replace(expected) => {
                publish::replace(&mut self.temp, &self.target, &self.shown, expected)?;
            }
        }
        Ok(tag)
    }
}

#[async_trait]
impl Upload for LocalUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        if self.has_failed {
            return Err(failed_before(&self.shown));
        }
        self.file.write_all(&bytes).map_err(|e| {
            self.has_failed = true;
            io_error("write", &self.shown, e)
        })
    }

    async fn finish(mut self: Box<Self>, mode: FinishMode) -> Result<ObjectTag> {
        let tag = self.publish(&mode)?;
        let Self { temp, file, target, shown, .. } = *self;
        // One sync of the folder covers both: the new name and the end of the temporary one.
        drop(temp);
        let synced = publish::sync_name(&target, &shown);
        drop(file);
        synced.map(|()| tag)
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
