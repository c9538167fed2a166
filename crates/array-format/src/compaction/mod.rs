//! Merging layers: `docs/format.md` section 11, `docs/design.md` "Compaction".

mod merge;

use array_format_core::address::ObjectId;
use array_format_core::{ErrorKind, Result};

use crate::commit::maintain::Maintenance;
use crate::file::ArrayFile;
use crate::gc;
use crate::index::Version;
use crate::layer::{Head, names, open_head};

pub(crate) use merge::{Merge, plan};

/// How to compact.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct CompactOptions {
    /// Keeps older versions, so that they can still be opened. [`ArrayFile::garbage_collect`] removes them later.
    pub keep_versions: bool,
    /// Merges small layers only, and leaves large ones where they are. Keeps older versions.
    pub incremental: bool,
}

impl CompactOptions {
    /// Keeps older versions, or not.
    #[must_use]
    pub fn keep_versions(mut self, keep: bool) -> Self {
        self.keep_versions = keep;
        self
    }

    /// Merges small layers only, or all of them.
    #[must_use]
    pub fn incremental(mut self, incremental: bool) -> Self {
        self.incremental = incremental;
        self
    }
}

impl ArrayFile {
    /// Merges all layers back into a single file. Content and version history go on: compaction is itself a version. Older
    /// versions can no longer be opened afterwards, except those with a [tag](Self::tag); handles that have them open go on reading.
    ///
    /// Pending changes stay pending.
    ///
    /// # Errors
    /// `Conflict` if others commit faster than it can finish; what the storage says. Interrupted anywhere, the file is whole, and the next
    /// compaction finishes the job.
    ///
    /// # Cost
    /// Reads and writes all live blocks once, compressed as they are, and the index. Memory does not grow with the data: some
    /// 64 MiB of blocks, and 20 bytes a block.
    pub async fn compact(&mut self) -> Result<u64> {
        self.compact_with(CompactOptions::default()).await
    }

    /// As [`compact`](Self::compact), with options. Returns the version that the handle is based on afterwards.
    ///
    /// # Errors
    /// As [`compact`](Self::compact).
    pub async fn compact_with(&mut self, options: CompactOptions) -> Result<u64> {
        self.check_writable()?;
        self.refresh().await?;
        let _gate = self.inner.gate.write().await;
        self.merge_layers(options).await.map_err(|e| self.in_file(e))
    }

    async fn merge_layers(&self, options: CompactOptions) -> Result<u64> {
        let merge = match options.incremental {
            true => Merge::Small,
            false => Merge::All { keep_versions: options.keep_versions },
        };
        if !options.incremental && !options.keep_versions {
            self.check_nothing_ahead()?;
        }
        self.maintain(&Maintenance::Merge(merge)).await?;
        if !options.incremental && !options.keep_versions {
            let version = self.view().version;
            self.replace_base(&version).await?;
            gc::delete_unneeded(&version.objects, None).await?;
        }
        Ok(self.version())
    }

    /// Puts the merged layer in the place of the base, if nothing needs that any more and it still is the one that was seen.
    async fn replace_base(&self, version: &Version) -> Result<()> {
        let head = &version.head;
        let number = head.footer.version;
        let merged = matches!(&head.footer.objects[..], [only] if only.id == ObjectId::Layer(number));
        let alone = head.footer.floor >= number || number == 1;
        if head.base == number || !merged || !alone || tags_need(version, ObjectId::Layer(head.base)).await? {
            return Ok(());
        }
        let from = names::sidecar(&version.objects.path, &head.file_id, ObjectId::Layer(number));
        match version.objects.storage.promote(&from, &version.objects.path, &head.base_tag).await {
            Ok(base_tag) => {
                self.set_head(Head { base: number, base_tag, ..(**head).clone() });
                Ok(())
            }
            // The store cannot replace on condition: base and merged layer stay two objects. Or another compaction was first.
            Err(e)
                if matches!(e.kind(), ErrorKind::Unsupported | ErrorKind::Conflict | ErrorKind::NotFound) =>
            {
                tracing::debug!(error = %e, "the base stays");
                Ok(())
            }
            Err(e) => Err(e),
        }
    }
}

/// Whether a version with a tag needs an object.
async fn tags_need(version: &Version, object: ObjectId) -> Result<bool> {
    for tagged in version.head.footer.tags.values() {
        let head = open_head(&version.objects, Some(*tagged)).await?;
        if head.footer.object(object).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
