//! A file on its way: written beside its target, published by name.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

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

/// After so many bytes the disk begins with them, while the caller goes on: at the end there would be nothing left to do but to wait.
const BEHIND_BYTES: usize = 16 << 20;

pub(super) struct LocalUpload {
    // Before the descriptor: the name goes while it is still locked, so that a sweeper never sees it unlocked.
    temp: TempFile,
    file: BufWriter<File>,
    target: PathBuf,
    shown: String,
    folders: DurableFolders,
    has_failed: bool,
    unsynced: usize,
    syncing: Option<JoinHandle<io::Result<()>>>,
}

/// Folders whose own names are known to be durable, and which folders these were: another process may have removed one, and created it
/// again without having synced it yet.
pub(super) type DurableFolders = Arc<Mutex<HashMap<PathBuf, (u64, u64, SystemTime)>>>;

impl LocalUpload {
    /// Creates the temporary file, and the folders above it where they are missing.
    pub(super) fn start(target: PathBuf, shown: String, folders: DurableFolders) -> Result<Self> {
        let (temp, file) = TempFile::create(&target).map_err(|e| io_error("write", &shown, e))?;
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(Self { temp, file, target, shown, folders, has_failed: false, unsynced: 0, syncing: None })
    }

    fn write_some(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.unsynced = self.unsynced.saturating_add(bytes.len());
        let is_busy = self.syncing.as_ref().is_some_and(|thread| !thread.is_finished());
        if self.unsynced < BEHIND_BYTES || is_busy {
            return Ok(());
        }
        self.synced_behind()?;
        self.unsynced = 0;
        // Where there is no descriptor or thread to be had, all of it is synced at the end.
        let Ok(file) = self.file.get_ref().try_clone() else { return Ok(()) };
        let thread = thread::Builder::new().name("array-format-sync".into());
        self.syncing = thread.spawn(move || file.sync_data()).ok();
        Ok(())
    }

    /// Waits for the thread that syncs. What it hears of a failure the kernel says only once, so it must not be lost.
    fn synced_behind(&mut self) -> io::Result<()> {
        match self.syncing.take().map(JoinHandle::join) {
            Some(Ok(synced)) => synced,
            Some(Err(_)) => Err(io::Error::other("the thread that syncs panicked")),
            None => Ok(()),
        }
    }

    fn sync_name_of_folder(&self) -> Result<()> {
        let Some((folder, above)) = self.target.parent().and_then(|f| Some((f, f.parent()?))) else {
            return Ok(());
        };
        // The temporary file in it keeps it from being removed meanwhile.
        let id = sys::folder_id(folder);
        if id.is_none() || self.folders.lock().get(folder) != id.as_ref() {
            sys::sync_folder(above).map_err(|e| io_error("make durable the folder of", &self.shown, e))?;
            self.folders.lock().extend(id.map(|id| (folder.to_owned(), id)));
        }
        Ok(())
    }

    fn publish(&mut self, mode: &FinishMode) -> Result<ObjectTag> {
        if self.has_failed {
            return Err(failed_before(&self.shown));
        }
        let synced = self.synced_behind().and_then(|()| self.file.flush()).and_then(|()| {
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
        self.write_some(&bytes).map_err(|e| {
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

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    fn finish(target: &std::path::Path, folders: &DurableFolders) {
        let mut upload = LocalUpload::start(target.to_owned(), "shown".into(), folders.clone()).unwrap();
        upload.publish(&FinishMode::Create).unwrap();
    }

    #[test]
    fn a_folder_that_others_removed_and_created_again_is_made_durable_again() {
        let above = tempfile::tempdir().unwrap();
        let (folder, folders) = (above.path().join("run.af.layers"), DurableFolders::default());
        finish(&folder.join("1"), &folders);
        let first = folders.lock()[&folder];
        finish(&folder.join("2"), &folders);
        assert_eq!(folders.lock()[&folder], first);
        fs::remove_dir_all(&folder).unwrap();
        // Births are recorded to the tick of the kernel's clock.
        std::thread::sleep(Duration::from_millis(20));
        fs::create_dir(&folder).unwrap();
        finish(&folder.join("3"), &folders);
        assert_ne!(folders.lock()[&folder], first);
        assert_eq!(sys::folder_id(&folder), Some(folders.lock()[&folder]));
    }

    #[test]
    fn what_others_deleted_with_its_folder_needs_no_sync() {
        let above = tempfile::tempdir().unwrap();
        let target = above.path().join("run.af.layers").join("1");
        publish::sync_name(&target, "shown").unwrap();
        fs::write(above.path().join("run.af.layers"), "no folder").unwrap();
        assert!(publish::sync_name(&target.join("2"), "shown").is_err());
    }
}
