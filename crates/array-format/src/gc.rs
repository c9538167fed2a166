//! The only place that deletes: `docs/format.md` section 11.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use array_format_core::address::ObjectId;
use array_format_core::footer::{Cause, DetachedRoot, Footer};
use array_format_core::format::trailer::Id;
use array_format_core::{Error, ErrorKind, Result};

use crate::commit::maintain::Maintenance;
use crate::detached::Receipt;
use crate::file::ArrayFile;
use crate::layer::head::{layers_of, open_detached, open_layer, read_root};
use crate::layer::{Head, Objects, names, open_head};
use crate::storage::ListEntry;

/// What to collect.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct GcOptions {
    /// Only tells what would be deleted.
    pub dry_run: bool,
    /// How many of the newest versions stay: at least 1.
    pub keep_last: usize,
    /// Versions that were committed at this time or later stay, as their writers' clocks had it: milliseconds since
    /// 1970-01-01T00:00:00Z.
    pub keep_since: Option<i64>,
    /// How long ago an upload to a store was begun that is taken for a dead writer's. A week, unless set.
    pub abandoned_after: Duration,
}

/// No upload of a writer that lives takes as long; Azure has the same limit.
const ABANDONED_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);

impl Default for GcOptions {
    fn default() -> Self {
        Self { dry_run: false, keep_last: 1, keep_since: None, abandoned_after: ABANDONED_AFTER }
    }
}

impl GcOptions {
    /// Only tells what would be deleted, or does it.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Keeps this many of the newest versions: grace for readers that have them open, and for workers that write detached layers on them.
    #[must_use]
    pub fn keep_last(mut self, versions: usize) -> Self {
        self.keep_last = versions;
        self
    }

    /// Keeps the versions that were committed at `time_ms` or later.
    #[must_use]
    pub fn keep_since(mut self, time_ms: i64) -> Self {
        self.keep_since = Some(time_ms);
        self
    }

    /// Takes an upload for a dead writer's that was begun so long ago. One that lives, and is removed, makes the flush of its writer fail.
    #[must_use]
    pub fn abandoned_after(mut self, age: Duration) -> Self {
        self.abandoned_after = age;
        self
    }
}

/// What was, or would be, deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Names of the objects in the file's folder of layers, with their lengths in bytes.
    pub objects: Vec<(String, u64)>,
    /// What dead writers had left unfinished: temporary files and keys, uploads that nobody ended.
    pub swept: u64,
}

impl GcReport {
    /// Bytes of all objects.
    pub fn bytes(&self) -> u64 {
        self.objects.iter().map(|o| o.1).sum()
    }
}

impl ArrayFile {
    /// Deletes the layers that no kept version needs, detached layers that can no longer be joined, and what dead writers left. Kept are the newest version,
    /// those that `options` name, and those with a [tag](Self::tag).
    ///
    /// If versions are given up, that is itself a commit: nobody can tag or join what is about to be deleted.
    ///
    /// # Errors
    /// What the storage says. What was deleted until then was not needed. `InvalidArgument` if versions would be given up on which pending data of this
    /// handle was written ahead and read again.
    ///
    /// # Cost
    /// Two listings, one request a kept version, at most one small commit, one deletion an object; an empty object where layers above the base are
    /// deleted.
    pub async fn garbage_collect(&mut self, options: GcOptions) -> Result<GcReport> {
        self.check_writable()?;
        let report = self.collect(options).await.map_err(|e| self.in_file(e))?;
        if !self.has_pending() {
            self.refresh().await?;
        }
        Ok(report)
    }

    async fn collect(&self, options: GcOptions) -> Result<GcReport> {
        let objects = &self.inner.objects;
        let listing = objects.list().await?;
        // The head is read after the listing: what comes later is not in the listing and cannot be deleted.
        let head = open_head(objects, None).await?;
        let floor = floor(objects, &head, &listing, options).await?;
        let mut report = GcReport { objects: unneeded(objects, &head, floor, &listing).await?, swept: 0 };
        if options.dry_run {
            return Ok(report);
        }
        let committed = head.footer.floor;
        let now = unneeded(objects, &head, committed, &listing).await?;
        if now.len() < report.objects.len() {
            self.check_nothing_ahead()?;
            // A handle of its own: pending changes have nothing to do with it.
            self.beside(head).maintain(&Maintenance::Floor(floor)).await?;
        }
        // Decided anew: until the floor was there, a version below it could still get a tag, or a detached layer be joined.
        report.objects = delete_unneeded(objects, Some(&listing)).await?;
        report.swept = objects.storage.sweep(&objects.path, options.abandoned_after).await?;
        Ok(report)
    }
}

/// The lowest version that stays, tags aside.
async fn floor(objects: &Objects, head: &Head, listing: &[ListEntry], options: GcOptions) -> Result<u64> {
    let newest = head.footer.version;
    let mut older: BTreeSet<u64> = layers_of(listing, &head.file_id).into_iter().map(|l| l.0).collect();
    older.insert(head.base);
    let mut floor = newest;
    let (mut kept, mut above) = (1, head.footer.clone());
    for version in older.range(head.footer.floor..newest).rev() {
        let Some(root) = version_root(objects, head, *version).await? else { continue };
        // A collection has the content of the version before it: that is one to keep, not two.
        let same = above.cause == Cause::Collection;
        if !same && kept >= options.keep_last && options.keep_since.is_none_or(|since| root.time_ms < since) {
            break;
        }
        kept += usize::from(!same);
        (floor, above) = (*version, root);
    }
    Ok(floor)
}

/// The root of a version; `None` if its layer is gone.
async fn version_root(objects: &Objects, head: &Head, version: u64) -> Result<Option<Arc<Footer>>> {
    if version == head.footer.version {
        return Ok(Some(head.footer.clone()));
    }
    let path = match version == head.base {
        true => objects.path.clone(),
        false => names::sidecar(&objects.path, &head.file_id, ObjectId::Layer(version)),
    };
    let layer = match open_layer(objects, &path).await {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        layer => layer?,
    };
    match layer.trailer.file_id == head.file_id && layer.trailer.layer == version {
        true => Ok(Some(Arc::new(read_root(&layer).await?))),
        false => Ok(None),
    }
}

/// What is listed and no version needs that is part of the file if `floor` is its floor.
async fn unneeded(
    objects: &Objects,
    head: &Head,
    floor: u64,
    listing: &[ListEntry],
) -> Result<Vec<(String, u64)>> {
    let file_id = head.file_id;
    // Listed after the head was read: a version that came between the two can need what was detached before.
    let versions = objects.list().await?;
    let mut kept: BTreeSet<u64> =
        layers_of(&versions, &file_id).into_iter().map(|l| l.0).filter(|n| *n >= floor).collect();
    kept.insert(head.footer.version);
    if head.base >= floor {
        kept.insert(head.base);
    }
    let mut needed: HashSet<ObjectId> = HashSet::new();
    for version in &kept {
        let root = version_root(objects, head, *version).await?;
        needed.extend(root.iter().flat_map(|r| &r.objects).map(|o| o.id));
        needed.insert(ObjectId::Layer(*version));
    }
    for (name, version) in &head.footer.tags {
        let Some(root) = version_root(objects, head, *version).await? else {
            return Err(Error::corrupt(format!(
                "version {version}, which the tag {name:?} names, is missing; nothing is deleted as long as the tag is there"
            )));
        };
        needed.extend(root.objects.iter().map(|o| o.id));
        needed.insert(ObjectId::Layer(*version));
    }
    let mut garbage = Vec::new();
    for entry in listing {
        let unneeded = match names::parse(&entry.name) {
            Some((id, _)) if id != file_id => true,
            // Its sidecar is what it was copied from.
            Some((_, ObjectId::Layer(n))) if n == head.base => true,
            Some((_, ObjectId::Layer(n))) => n < floor && !needed.contains(&ObjectId::Layer(n)),
            Some((_, id @ ObjectId::Detached(_))) => {
                !needed.contains(&id) && begun(objects, &file_id, id).await?.is_some_and(|b| b < floor)
            }
            None => false,
        };
        if unneeded {
            garbage.push((entry.name.clone(), entry.size));
        }
    }
    Ok(garbage)
}

/// The version that the worker of a detached layer worked on. What cannot be read is left alone.
async fn begun(objects: &Objects, file_id: &Id, id: ObjectId) -> Result<Option<u64>> {
    let path = names::sidecar(&objects.path, file_id, id);
    match open_detached(objects, &path).await {
        Ok((_, DetachedRoot { begun, .. })) => Ok(Some(begun)),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Corrupt | ErrorKind::Unsupported) => {
            tracing::warn!(error = %e, "a detached layer is left alone");
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

/// Deletes what no version of the file needs, of a listing that was taken before or of one taken now.
pub(crate) async fn delete_unneeded(
    objects: &Objects,
    listing: Option<&[ListEntry]>,
) -> Result<Vec<(String, u64)>> {
    let now;
    let listing = match listing {
        Some(listing) => listing,
        None => {
            now = objects.list().await?;
            &now
        }
    };
    // Listed before the head is read, as layers are: marks of a file that comes over this one are not in it.
    let marks = objects.marks().await?;
    let head = open_head(objects, None).await?;
    let garbage = unneeded(objects, &head, head.footer.floor, listing).await?;
    let mark = highest_freed(&head, &garbage, &marks);
    let stale = |&(id, number): &(Id, u64)| id != head.file_id || mark.is_none_or(|m| number < m);
    let stale: Vec<(Id, u64)> = marks.into_iter().filter(stale).collect();
    if garbage.is_empty() && stale.is_empty() {
        return Ok(garbage);
    }
    objects.sync(&head).await?;
    if let Some(number) = mark {
        objects.mark(&head.file_id, number).await?;
    }
    for (name, _) in &garbage {
        objects.storage.delete(&format!("{}/{name}", names::folder(&objects.path))).await?;
    }
    for (id, number) in stale {
        objects.storage.delete(&names::mark(&objects.path, &id, number)).await?;
    }
    Ok(garbage)
}

/// The highest number that a writer may find free once the garbage is deleted, and could take for a new one. The base tells those that it has passed.
fn highest_freed(head: &Head, garbage: &[(String, u64)], marks: &[(Id, u64)]) -> Option<u64> {
    let deleted = garbage.iter().filter_map(|(name, _)| match names::parse(name)? {
        (id, ObjectId::Layer(n)) => Some((id, n)),
        _ => None,
    });
    let all = deleted.chain(marks.iter().copied());
    all.filter(|(id, n)| *id == head.file_id && *n > head.base).map(|(_, n)| n).max()
}

/// Deletes the layers of older files at the same path.
pub(crate) async fn delete_foreign(objects: &Objects) -> Result<()> {
    let (listing, marks) = (objects.list().await?, objects.marks().await?);
    // Whose file it is now is asked after the listings: another may have been created over this one, and have layers by now.
    let base = open_layer(objects, &objects.path).await?;
    for entry in listing {
        if names::parse(&entry.name).is_some_and(|(id, _)| id != base.trailer.file_id) {
            objects.storage.delete(&format!("{}/{}", names::folder(&objects.path), entry.name)).await?;
        }
    }
    for (id, number) in marks.into_iter().filter(|(id, _)| *id != base.trailer.file_id) {
        objects.storage.delete(&names::mark(&objects.path, &id, number)).await?;
    }
    Ok(())
}

/// Deletes detached layers that are not part of the newest version.
pub(crate) async fn abandon(objects: &Objects, receipts: &[Receipt]) -> Result<()> {
    let head = open_head(objects, None).await?;
    for receipt in receipts {
        if receipt.file_id != head.file_id {
            return Err(Error::invalid(
                "this receipt is of another file, or of one that was at this path before",
            ));
        }
        let id = ObjectId::Detached(receipt.object);
        if head.footer.object(id).is_none() {
            objects.storage.delete(&names::sidecar(&objects.path, &head.file_id, id)).await?;
        }
    }
    Ok(())
}
