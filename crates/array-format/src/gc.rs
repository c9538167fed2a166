//! The only place that deletes.

use std::collections::HashSet;

use array_format_core::Result;
use array_format_core::address::ObjectId;
use array_format_core::format::trailer::Id;

use crate::file::ArrayFile;
use crate::index::Version;
use crate::layer::{Objects, names, open_head};

/// What to collect.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct GcOptions {
    /// Only tells what would be deleted.
    pub dry_run: bool,
}

impl GcOptions {
    /// Only tells what would be deleted, or does it.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }
}

/// What was, or would be, deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Names of the objects in the file's folder of layers, with their lengths in bytes.
    pub objects: Vec<(String, u64)>,
    /// What dead writers had left unfinished on the local disk.
    pub swept: u64,
}

impl GcReport {
    /// Bytes of all objects.
    pub fn bytes(&self) -> u64 {
        self.objects.iter().map(|o| o.1).sum()
    }
}

impl ArrayFile {
    /// Deletes the layers that the newest version does not need, and what dead writers left. Older versions that need them can no
    /// longer be opened.
    ///
    /// # Errors
    /// What the storage says. What was deleted until then was not needed.
    pub async fn garbage_collect(&mut self, options: GcOptions) -> Result<GcReport> {
        self.check_writable()?;
        let _gate = self.inner.gate.lock().await;
        let version = self.view().version;
        collect(&version, options).await.map_err(|e| self.in_file(e))
    }
}

/// See [`ArrayFile::garbage_collect`]. Trusts no older view: the head is read again first.
pub(crate) async fn collect(version: &Version, options: GcOptions) -> Result<GcReport> {
    let objects = &version.objects;
    let listing = objects.storage.list(&names::folder(&objects.path)).await?;
    // The head is read after the listing: a layer that comes later is not in the listing and cannot be deleted.
    let head = open_head(objects, None).await?;
    let file_id = head.file_id;
    let newest = head.footer.version;
    let mut needed: HashSet<String> = HashSet::new();
    for entry in &head.footer.objects {
        if entry.id != ObjectId::Layer(head.base) {
            needed.insert(names::name(&file_id, entry.id));
        }
    }
    let mut report = GcReport::default();
    for entry in listing {
        let ours = match names::parse(&entry.name) {
            Some((id, ObjectId::Layer(n))) => id != file_id || n <= newest,
            // Blocks that a worker wrote ahead may be about to be joined; of another file they are garbage.
            Some((id, ObjectId::Detached(_))) => id != file_id,
            None => false,
        };
        let is_head = head.base != newest && entry.name == names::name(&file_id, ObjectId::Layer(newest));
        if ours && !is_head && !needed.contains(&entry.name) {
            report.objects.push((entry.name, entry.size));
        }
    }
    if !options.dry_run {
        for (name, _) in &report.objects {
            objects.storage.delete(&format!("{}/{name}", names::folder(&objects.path))).await?;
        }
        report.swept = objects.storage.sweep(&objects.path).await?;
    }
    Ok(report)
}

/// Deletes the layers of an older file at the same path.
pub(crate) async fn delete_foreign(objects: &Objects, file_id: &Id) -> Result<()> {
    for entry in objects.storage.list(&names::folder(&objects.path)).await? {
        if names::parse(&entry.name).is_some_and(|(id, _)| id != *file_id) {
            objects.storage.delete(&format!("{}/{}", names::folder(&objects.path), entry.name)).await?;
        }
    }
    Ok(())
}
