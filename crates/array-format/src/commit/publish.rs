//! The only place that makes a layer visible: `docs/format.md` section 11.

use array_format_core::address::ObjectId;
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
    /// It was committed, and its layer is gone already; this is the newest version.
    Collected(Head),
    /// Another writer has, or had, the number; this was the newest version then.
    Taken(Head),
}

/// What became of an attempt whose answer is not known.
pub(crate) enum Found {
    /// It is this version.
    Committed(Head),
    /// It was committed, and collected since; this is the newest version.
    Collected(Head),
    /// Another writer has its number; this is the newest version.
    Lost(Head),
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
    let Err(e) = upload.finish(FinishMode::Create).await else {
        return confirm(version, number, write_id).await;
    };
    // An answer can be lost, and a client that repeats a request meets its own success as "already exists".
    match outcome(version, number, write_id).await {
        Ok(Found::Committed(Head { base, base_tag, .. })) => Ok(Outcome::Committed { base, base_tag }),
        Ok(Found::Collected(head)) => Ok(Outcome::Collected(head)),
        Ok(Found::Lost(head)) => Ok(Outcome::Taken(head)),
        Ok(Found::Nothing) => Err(e),
        Err(unknown) if unknown.kind() == ErrorKind::SnapshotExpired => Err(unknown),
        Err(_) => Err(e),
    }
}

/// Whether a layer that was created is part of the file: a writer that was asleep can create a name that was in use before. A number that was is
/// marked, or the base has passed it; so a commit costs the same whatever came before it, and a listing is needed only beside marks.
async fn confirm(version: &Version, number: u64, write_id: Id) -> Result<Outcome> {
    let objects = &version.objects;
    // Marks and listing come first: a mark goes, and a layer is promoted and goes, only when the base has passed them.
    let marks = objects.marks().await?;
    let listing = match marks.iter().any(|(id, up_to)| *id == version.head.file_id && *up_to >= number) {
        true => objects.list_after(&names::name(&version.head.file_id, ObjectId::Layer(number))).await?,
        false => Vec::new(),
    };
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
    match place(version, &head, number, &write_id)? {
        Place::Ours | Place::NotFreed => Ok(Outcome::Committed { base: head.base, base_tag: head.base_tag }),
        Place::Anothers => {
            // Of no use to anybody, and it would be in the way of those who look for versions by their names.
            objects.storage.delete(&version.sidecar(number)).await?;
            Ok(Outcome::Taken(head))
        }
        Place::Forgotten => Err(forgotten(number)),
    }
}

/// What a newer version knows of a number.
enum Place {
    /// The write id stands there.
    Ours,
    /// Another does.
    Anothers,
    /// The ancestors do not reach back, but the number was never freed: whoever created it has it.
    NotFreed,
    /// Nothing.
    Forgotten,
}

/// Whose a number is that a version at or above it was built on.
///
/// # Errors
/// `SnapshotExpired` if that is a version of another file.
fn place(version: &Version, newest: &Head, number: u64, write_id: &Id) -> Result<Place> {
    if newest.file_id != version.head.file_id {
        return Err(another_file());
    }
    let footer = &newest.footer;
    let own = footer.object(ObjectId::Layer(footer.version)).map(|o| &o.write_id);
    let known = if footer.version == number { own } else { footer.ancestor(number) };
    Ok(match known {
        Some(id) if id == write_id => Place::Ours,
        Some(_) => Place::Anothers,
        None if footer.floor <= number && newest.base < number => Place::NotFreed,
        None => Place::Forgotten,
    })
}

fn forgotten(number: u64) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!(
            "it cannot be told any more whether version {number} was this commit: too much was committed since; the changes are kept: compare them with the newest version, then `discard` them or write them again"
        ),
    )
}

pub(crate) fn another_file() -> Error {
    Error::new(ErrorKind::SnapshotExpired, "another file was created at this path; open it anew")
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
///
/// # Errors
/// What the storage says; `SnapshotExpired` if the file is gone; `Unavailable` if nobody remembers.
pub(crate) async fn outcome(version: &Version, number: u64, write_id: Id) -> Result<Found> {
    if let Some(layer) = layer(version, number).await?
        && layer.trailer.write_id == write_id
    {
        // Seen is not yet durable: it may be just that which failed.
        version.objects.storage.sync(&version.sidecar(number)).await?;
        return match confirm(version, number, write_id).await? {
            Outcome::Committed { base, base_tag } => {
                let footer = std::sync::Arc::new(read_root(&layer).await?);
                Ok(Found::Committed(Head { file_id: version.head.file_id, footer, base, base_tag }))
            }
            Outcome::Collected(head) => Ok(Found::Collected(head)),
            Outcome::Taken(head) => Ok(Found::Lost(head)),
        };
    }
    // Compacted since, perhaps; another may stand in its place.
    let head = open_head(&version.objects, None).await?;
    if head.file_id != version.head.file_id {
        return Err(another_file());
    }
    if head.footer.version < number {
        return Ok(Found::Nothing);
    }
    version.objects.sync(&head).await?;
    match place(version, &head, number, &write_id)? {
        Place::Ours if head.footer.version == number => Ok(Found::Committed(head)),
        Place::Ours => Ok(Found::Collected(head)),
        // Never freed, and not there: it is another's, or will be.
        Place::Anothers | Place::NotFreed => Ok(Found::Lost(head)),
        Place::Forgotten => Err(forgotten(number)),
    }
}
