//! Making pending changes a version: `docs/format.md` section 11.
//!
//! [`build`] turns changes into rows and writes a layer, [`publish`] is the only place that makes one visible, [`rebase`] decides
//! whether changes of two writers overlap.

pub(crate) mod blocks;
pub(crate) mod build;
mod chunks;
pub(crate) mod maintain;
pub(crate) mod publish;
pub(crate) mod rebase;
mod rest;
mod rows;
mod runs;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use array_format_core::address::ObjectId;
use array_format_core::footer::{Cause, Footer, ObjectEntry};
use array_format_core::format::trailer::{Id, ObjectKind};
use array_format_core::{Error, ErrorKind, Result};

use crate::compaction::Merge;
use crate::config::FileConfig;
use crate::file::ArrayFile;
use crate::index::Version;
use crate::layer::{Head, Objects, open_head};
use crate::storage::FinishMode;
use crate::write::by_id::ById;
use crate::write::pending::Pending;
use crate::write::pool::free;
use crate::write::sink::LayerSink;
use maintain::Maintenance;
use publish::{Found, Outcome};
use rows::Inline;

/// Commits of others that a flush works its way around before it gives up.
const ROUNDS: usize = 32;

/// Changed nodes from which on what a commit leaves behind is freed elsewhere.
const MANY_NODES: usize = 10_000;

/// A commit that was tried.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) version: u64,
    pub(crate) write_id: Id,
    /// What it would commit, and the ids that it gave to new nodes.
    pub(crate) pending: Arc<Pending>,
    pub(crate) ids: Arc<ById<u64>>,
    /// Chunks that stand in the rows of its nodes, by the nodes' ids.
    pub(crate) inline: ById<Inline>,
}

/// Writes version 0: an empty file.
pub(crate) async fn create(objects: &Objects, config: &FileConfig) -> Result<()> {
    let storage = &objects.storage;
    let mode = match storage.open(&objects.path, 0).await {
        Ok(_) if !config.overwrite => {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "there is a file already; open it, or allow to replace it with `FileConfig::with_overwrite`",
            ));
        }
        Ok(opened) => FinishMode::Replace(opened.object.tag().clone()),
        Err(e) if e.kind() == ErrorKind::NotFound => FinishMode::Create,
        Err(e) => return Err(e),
    };
    let (file_id, write_id) = (config.new_id(), config.new_id());
    let upload = storage.upload(&objects.path).await?;
    let mut sink = LayerSink::begin(upload, ObjectKind::Layer, file_id, 0, write_id).await?;
    let own_blocks = sink.put_block_table().await?;
    let footer = Footer {
        version: 0,
        time_ms: config.now_ms(),
        message: String::new(),
        cause: Cause::Create,
        next_node: 1,
        arrays: 0,
        groups: 0,
        objects: vec![own_entry(0, write_id)],
        runs: Vec::new(),
        own_blocks,
        floor: 0,
        tags: BTreeMap::new(),
        ancestors: Vec::new(),
    };
    let (upload, _) = sink.close(footer).await?;
    let replaced = matches!(mode, FinishMode::Replace(_));
    match upload.finish(mode).await {
        Ok(_) => {}
        // The answer may have been lost: what is there now tells.
        Err(e) => match crate::layer::head::open_layer(objects, &objects.path).await {
            Ok(layer) if layer.trailer.write_id == write_id => storage.sync(&objects.path).await?,
            _ => return Err(e),
        },
    }
    if replaced {
        // Layers of the old file have another id and are not part of the new one; they only take space.
        crate::gc::delete_foreign(objects).await?;
    }
    Ok(())
}

/// Waits a little, more with every round: with many writers the slow ones get their turn. Returns whether it did.
async fn back_off(round: usize) -> bool {
    if round > 1 {
        let most = 1 << round.min(8);
        futures_timer::Delay::new(Duration::from_millis(rand::random_range(0..most))).await;
    }
    round > 1
}

fn own_entry(version: u64, write_id: Id) -> ObjectEntry {
    ObjectEntry {
        id: ObjectId::Layer(version),
        write_id,
        object_bytes: 0,
        stored_bytes: 0,
        decoded_bytes: 0,
        live_bytes: 0,
    }
}

impl ArrayFile {
    /// Commits all pending changes as one version, atomically and durably, and returns its number; without changes, nothing is written, and that of
    /// the version that the handle is based on comes back.
    ///
    /// If others committed in the meantime and their changes are disjoint from these, both survive.
    ///
    /// # Errors
    /// `Conflict` that names what overlapped; `AlreadyExists` for a definition that could not be checked earlier; what the
    /// storage says. In every case the changes stay pending, and the next `flush` commits them once. But if the storage failed while data was
    /// [written ahead](crate::FileConfig::with_pending_bytes), what was there is lost, and every `flush` says so until it is written again or
    /// [discarded](Self::discard). `SnapshotExpired` if another process gave up the version that such data was written on and read back on.
    ///
    /// # Cancel safety
    /// Dropped before it is done, the changes stay pending; if the commit happened all the same, the next `flush` finds that out.
    ///
    /// # Cost
    /// One new object with what changed, a second one if that was more than pending data may take in memory, and at most 512 KiB of index that it merges; a listing (of the layers, too, while numbers above the base are marked as freed) and a read of the base's trailer besides,
    /// and a read of the index pages of what changed.
    pub async fn flush(&mut self) -> Result<u64> {
        self.flush_with_message("").await
    }

    /// As [`flush`](Self::flush), with a message that [`versions`](Self::versions) shows.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub async fn flush_with_message(&mut self, message: &str) -> Result<u64> {
        self.check_writable()?;
        let _gate = self.inner.gate.write().await;
        let committed = self.commit(message).await.map_err(|e| self.in_file(e))?;
        if self.inner.config.auto_compact.is_some_and(|most| self.num_layers() > most)
            && let Err(e) = self.maintain(&Maintenance::Merge(Merge::Small)).await
        {
            tracing::warn!(error = %e, "small layers could not be merged; the next flush tries again");
        }
        Ok(committed)
    }

    async fn commit(&self, message: &str) -> Result<u64> {
        self.settle().await?;
        let is_nothing_left = self.inner.state.lock().pending.is_empty();
        if is_nothing_left {
            // What went ahead was deleted again: it is not worth an object, nor that the handle goes to another version.
            self.discard_spill().await;
            return Ok(self.view().version.number());
        }
        let mut ahead = self.settle_spill().await?;
        for round in 0..ROUNDS {
            self.settle().await?;
            let (version, pending) = {
                let state = self.inner.state.lock();
                (state.version.clone(), state.pending.clone())
            };
            if pending.is_empty() {
                return Ok(version.number());
            }
            self.check_definitions().await?;
            let (number, write_id) = (version.next_number()?, self.inner.config.new_id());
            let sink = version.begin_layer(number, write_id).await?;
            let built = match build::build(&version, &pending, &mut ahead, message, write_id, sink).await {
                // What the handle was based on was collected; the newest version has the same, or a conflict.
                Err(e)
                    if e.kind() == ErrorKind::SnapshotExpired
                        && self.catch_up().await? > version.number() =>
                {
                    continue;
                }
                built => built?,
            };
            let (ids, inline) = (built.ids, built.inline);
            let attempt = Arc::new(Attempt { version: number, write_id, pending, ids, inline });
            // From here on the commit may happen without us hearing of it.
            self.inner.state.lock().unconfirmed.push(attempt.clone());
            match publish::publish(&version, built.upload, number, write_id).await? {
                Outcome::Committed { base, base_tag } => {
                    let file_id = version.head.file_id;
                    let head = Head { file_id, footer: Arc::new(built.footer), base, base_tag };
                    self.committed(&attempt, Version { head: Arc::new(head), ..version });
                    tracing::debug!(version = number, "committed");
                    // Many pieces of memory: a tenth of the time of a flush of 10^5 arrays.
                    if attempt.pending.nodes.len() > MANY_NODES {
                        free(attempt);
                    }
                    return Ok(number);
                }
                Outcome::Collected(newest) => {
                    self.committed_and_gone(&attempt, newest).await?;
                    return Ok(number);
                }
                Outcome::Taken(newest) => {
                    tracing::debug!(version = number, round, "another writer was first");
                    self.forget_attempt(&write_id);
                    // It may have been an earlier attempt of our own, whose request arrived late.
                    self.settle().await?;
                    self.go_on(round, newest).await?;
                }
            }
        }
        Err(Error::new(
            ErrorKind::Conflict,
            format!("other writers were faster {ROUNDS} times in a row; the changes are kept, try again"),
        ))
    }

    /// Goes to the newest version and says which that is.
    pub(crate) async fn catch_up(&self) -> Result<u64> {
        let version = self.view().version;
        let head = open_head(&version.objects, None).await?;
        let number = head.footer.version;
        if number > version.number() {
            self.rebase(Version { head: Arc::new(head), ..version }).await?;
        }
        Ok(number)
    }

    /// Waits for its turn and takes the newest version as the new ground.
    pub(crate) async fn go_on(&self, round: usize, newest: Head) -> Result<()> {
        if back_off(round).await {
            return self.catch_up().await.map(drop);
        }
        let version = self.view().version;
        match newest.footer.version > version.number() {
            true => self.rebase(Version { head: Arc::new(newest), ..version }).await,
            false => Ok(()),
        }
    }

    fn forget_attempt(&self, write_id: &Id) {
        self.inner.state.lock().unconfirmed.retain(|a| a.write_id != *write_id);
    }

    /// Finds out what became of commits without an answer.
    pub(crate) async fn settle(&self) -> Result<()> {
        let attempts = self.inner.state.lock().unconfirmed.clone();
        for attempt in attempts {
            let version = self.view().version;
            match publish::outcome(&version, attempt.version, attempt.write_id).await? {
                Found::Committed(head) => {
                    self.committed(&attempt, Version { head: Arc::new(head), ..version });
                    return Ok(());
                }
                Found::Collected(newest) => return self.committed_and_gone(&attempt, newest).await,
                Found::Lost(_) => self.forget_attempt(&attempt.write_id),
                // Its request may still be on its way.
                Found::Nothing => {}
            }
        }
        Ok(())
    }

    /// Takes note of a commit whose own root is gone. What was changed since is put on top of the newest version, as of the attempt's number.
    async fn committed_and_gone(&self, attempt: &Attempt, newest: Head) -> Result<()> {
        let version = self.view().version;
        let mut then = newest.clone();
        let mut footer = (*then.footer).clone();
        footer.version = attempt.version;
        then.footer = Arc::new(footer);
        self.committed(attempt, Version { head: Arc::new(then), ..version.clone() });
        self.rebase(Version { head: Arc::new(newest), ..version }).await
    }

    /// Takes note of a commit: what it held is no longer pending.
    fn committed(&self, attempt: &Attempt, version: Version) {
        let mut state = self.inner.state.lock();
        state.version = version;
        // Of attempts at one number one can succeed, and later ones were made after this one.
        state.unconfirmed.clear();
        let rest = if state.pending.edits == attempt.pending.edits {
            state.pending.none_after()
        } else {
            rest::changed_since(&state.pending, attempt)
        };
        state.pending = Arc::new(rest);
    }
}
