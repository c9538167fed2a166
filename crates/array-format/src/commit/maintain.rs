//! Commits that leave the content as it is: merged layers, floors, tags.

use std::sync::Arc;

use array_format_core::footer::{Cause, Footer};
use array_format_core::{Error, ErrorKind, Result};

use super::build::Built;
use super::own_entry;
use super::publish::{Outcome, publish};
use crate::compaction::{self, Merge};
use crate::file::ArrayFile;
use crate::index::Version;
use crate::layer::Head;
use crate::layer::head::no_version;
use crate::write::sink::LayerSink;

/// Commits of others that such a commit begins anew for.
const ROUNDS: usize = 16;

/// What is to be committed.
#[derive(Debug, Clone)]
pub(crate) enum Maintenance {
    /// Layers that are merged.
    Merge(Merge),
    /// Versions that are given up: those below the number.
    Floor(u64),
    /// A tag that is set, or removed.
    Tag(String, Option<u64>),
}

impl ArrayFile {
    /// Commits on top of the newest version. Returns whether there was anything to do.
    pub(crate) async fn maintain(&self, what: &Maintenance) -> Result<bool> {
        for round in 0..ROUNDS {
            let version = self.view().version;
            let footer = version.head.footer.clone();
            let (number, write_id) = (version.next_number()?, self.inner.config.new_id());
            let next = |cause| footer.successor(cause, version.config.now_ms(), "");
            let built = match what {
                Maintenance::Merge(merge) => {
                    let Some(plan) = compaction::plan(&version, merge) else { return Ok(false) };
                    let sink = version.begin_layer(number, write_id).await?;
                    plan.write(write_id, sink).await?
                }
                Maintenance::Floor(floor) if footer.floor >= *floor => return Ok(false),
                Maintenance::Floor(floor) => {
                    let sink = version.begin_layer(number, write_id).await?;
                    same_content(Footer { floor: *floor, ..next(Cause::Collection) }, write_id, sink).await?
                }
                Maintenance::Tag(name, tagged) if footer.tags.get(name) == tagged.as_ref() => {
                    return Ok(false);
                }
                Maintenance::Tag(name, tagged) => {
                    let mut next = next(Cause::Commit);
                    match tagged {
                        Some(v) if *v == footer.version || version.has(*v).await? => {
                            next.tags.insert(name.clone(), *v)
                        }
                        Some(v) => return Err(no_version(*v)),
                        None => next.tags.remove(name),
                    };
                    let sink = version.begin_layer(number, write_id).await?;
                    same_content(next, write_id, sink).await?
                }
            };
            match publish(&version, built.upload, number, write_id).await? {
                Outcome::Committed { base, base_tag } => {
                    let file_id = version.head.file_id;
                    let head = Head { file_id, footer: Arc::new(built.footer), base, base_tag };
                    self.rebase(Version { head: Arc::new(head), ..version }).await?;
                    return Ok(true);
                }
                Outcome::Collected(newest) => {
                    self.rebase(Version { head: Arc::new(newest), ..version }).await?;
                    return Ok(true);
                }
                Outcome::Taken(newest) => self.go_on(round, newest).await?,
            }
        }
        Err(Error::new(ErrorKind::Conflict, "other writers commit faster than this can be done; try again"))
    }
}

/// A layer of nothing but a root.
async fn same_content(mut footer: Footer, write_id: [u8; 16], mut sink: LayerSink) -> Result<Built> {
    footer.own_blocks = sink.put_block_table().await?;
    footer.keep_needed();
    footer.objects.push(own_entry(footer.version, write_id));
    let (upload, footer) = sink.close(footer).await?;
    Ok(Built { upload, footer, ids: Default::default(), inline: Default::default() })
}
