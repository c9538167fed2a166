//! Names for versions, which collection respects.

use std::collections::BTreeMap;

use array_format_core::footer::check_tag;
use array_format_core::{Error, Result};

use crate::commit::maintain::Maintenance;
use crate::file::ArrayFile;
use crate::index::Version;
use crate::layer::open_head;
use array_format_core::ErrorKind;

impl ArrayFile {
    /// Gives a version a name, under which it stays part of the file until the tag is removed, whatever is compacted or collected. A tag of this name is
    /// moved. Itself a commit; pending changes stay pending.
    ///
    /// # Errors
    /// `NotFound` if the version is not in the file; `InvalidArgument` for a name of 0 or more than 1,024 bytes, or version 0, which is empty;
    /// what the storage says.
    ///
    /// # Cost
    /// One small object.
    pub async fn tag(&mut self, name: &str, version: u64) -> Result<()> {
        self.set_tag(name, Some(version)).await
    }

    /// Takes a tag away. Returns whether it was there.
    ///
    /// # Errors
    /// What the storage says.
    pub async fn remove_tag(&mut self, name: &str) -> Result<bool> {
        self.refresh().await?;
        let there = self.tags().contains_key(name);
        self.set_tag(name, None).await?;
        Ok(there)
    }

    /// The tags of the version that the handle is based on, and the versions that they name.
    pub fn tags(&self) -> BTreeMap<String, u64> {
        self.footer().tags.clone()
    }

    async fn set_tag(&mut self, name: &str, version: Option<u64>) -> Result<()> {
        self.check_writable()?;
        check_tag(name).map_err(|e| self.in_file(e))?;
        if version == Some(0) {
            return Err(self
                .in_file(Error::invalid("version 0 is the empty file: it is not kept, and needs no name")));
        }
        self.refresh().await?;
        let _gate = self.inner.gate.write().await;
        let tag = Maintenance::Tag(name.to_owned(), version);
        self.maintain(&tag).await.map(|_| ()).map_err(|e| self.in_file(e))
    }
}

impl Version {
    /// Whether an older version is part of the file and can be read.
    pub(crate) async fn has(&self, version: u64) -> Result<bool> {
        match open_head(&self.objects, Some(version)).await {
            Ok(_) => Ok(true),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::SnapshotExpired) => Ok(false),
            Err(e) => Err(e),
        }
    }
}
