//! The only place that makes a layer visible: `docs/format.md` section 11.

use array_format_core::address::ObjectId;
use array_format_core::footer::Footer;
use array_format_core::format::constants::TRAILER_BYTES;
use array_format_core::format::trailer::{Id, ObjectKind, Trailer};
use array_format_core::{Error, ErrorKind, Result};

use crate::index::Version;
use crate::layer::head::{OpenLayer, layers_of, open_layer, read_root};
use crate::layer::{Head, names, open_head};
use crate::storage::{FinishMode, ObjectTag, Upload};
use crate::write::sink::LayerSink;

/// How a create ended.
pub(crate) enum Outcome {
    /// The version is ours, durable, and part of the file.
    Committed { base: u64, base_tag: ObjectTag },
    /// Another writer has, or had, the number.
    Taken,
    /// The number was taken, perhaps by this very create, and its layer is gone again: the newest version knows whose it was.
    Gone,
}

/// What became of an attempt whose answer is not known.
pub(crate) enum Found {
    /// It is this version.
    Committed(Head),
    /// It was committed, and collected since; this is the newest version.
    Collected(Head),
    /// Another writer has its number.
    Lost,
    /// Nobody has its number.
    Nothing,
}

impl Version {
    /// Starts the layer of a version.
    pub(crate) async fn begin_layer(&self, number: u64, write_id: Id) -> Result<LayerSink> {
        let upload = self.objects.storage.upload(&self.sidecar(number)).await?;
        LayerSink::begin(upload, ObjectKind::Layer, self.head.file_id, number, write_id).await
    }

    fn sidecar(&self, number: u64) -> String {
        names::sidecar(&self.objects.path, &self.head.file_id, ObjectId::Layer(number))
    }
}

/// Creates layer `number`, and finds out whose it is if the answer does not tell.
///
/// # Errors
/// What the storage says; then the layer may or may not be there.
pub(crate) async fn publish(
    version: &Version,
    upload: Box<dyn Upload>,
    number: u64,
    write_id: Id,
) -> Result<Outcome> {
    if let Err(e) = upload.finish(FinishMode::Create).await {
        // An answer can be lost, and a client that repeats a request meets its own success as "already exists".
        let Ok(found) = layer(version, number).await else { return Err(e) };
        match found {
            // Seen is not yet durable: it may be just that which failed.
            Some(layer) if layer.trailer.write_id == write_id => {
                version.objects.storage.sync(&version.sidecar(number)).await?;
            }
            Some(_) => return Ok(Outcome::Taken),
            // Compacted since.
            None if e.kind() == ErrorKind::AlreadyExists => return Ok(Outcome::Gone),
            // It did not happen, unless a compaction has the number in the base by now.
            None => return Err(e),
        }
    }
    confirm(version, number, write_id).await
}

/// Whether a layer that was created is part of the file: a writer that was asleep can create a name that was in use before.
async fn confirm(version: &Version, number: u64, write_id: Id) -> Result<Outcome> {
    let objects = &version.objects;
    // The listing comes first: a layer that is promoted and deleted meanwhile is the base by then.
    let listing = objects.list().await?;
    let base = objects.open_path(&objects.path, TRAILER_BYTES as u64).await?;
    let trailer = Trailer::decode(base.tail(), base.stored().size())?;
    if trailer.file_id != version.head.file_id {
        return Err(another_file());
    }
    let newest = layers_of(&listing, &trailer.file_id).last().map_or(0, |l| l.0);
    if trailer.layer < number && newest <= number {
        return Ok(Outcome::Committed { base: trailer.layer, base_tag: base.stored().tag().clone() });
    }
    let head = open_head(objects, None).await?;
    if is_ancestor(&head.footer, number, &write_id) || (head.footer.floor <= number && head.base < number) {
        return Ok(Outcome::Committed { base: head.base, base_tag: head.base_tag });
    }
    // Of no use to anybody, and it would be in the way of those who look for versions by their names.
    objects.storage.delete(&version.sidecar(number)).await?;
    Ok(Outcome::Taken)
}

pub(crate) fn another_file() -> Error {
    Error::new(ErrorKind::SnapshotExpired, "another file was created at this path; open it anew")
}

/// Whether the version, or one that it remembers, was written so.
fn is_ancestor(footer: &Footer, number: u64, write_id: &Id) -> bool {
    let own = footer.object(ObjectId::Layer(footer.version)).map(|o| &o.write_id);
    let known = if footer.version == number { own } else { footer.ancestor(number) };
    known == Some(write_id)
}

/// The sidecar of a number.
async fn layer(version: &Version, number: u64) -> Result<Option<OpenLayer>> {
    match open_layer(&version.objects, &version.sidecar(number)).await {
        Ok(layer) => Ok(Some(layer)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// What became of an attempt to commit `number`.
pub(crate) async fn outcome(version: &Version, number: u64, write_id: Id) -> Result<Found> {
    let there = match layer(version, number).await? {
        Some(layer) if layer.trailer.write_id == write_id => {
            version.objects.storage.sync(&version.sidecar(number)).await?;
            return match confirm(version, number, write_id).await? {
                Outcome::Committed { base, base_tag } => {
                    let footer = std::sync::Arc::new(read_root(&layer).await?);
                    Ok(Found::Committed(Head { file_id: version.head.file_id, footer, base, base_tag }))
                }
                Outcome::Taken | Outcome::Gone => Ok(Found::Lost),
            };
        }
        Some(_) => true,
        None => false,
    };
    // Compacted since, perhaps.
    let head = open_head(&version.objects, None).await?;
    if head.file_id != version.head.file_id {
        return Err(another_file());
    }
    version.objects.sync(&head).await?;
    Ok(match is_ancestor(&head.footer, number, &write_id) {
        true if head.footer.version == number => Found::Committed(head),
        true => Found::Collected(head),
        false if there || head.footer.version >= number => Found::Lost,
        false => Found::Nothing,
    })
}
