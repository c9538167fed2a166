//! The only place that makes a layer visible.

use array_format_core::address::ObjectId;
use array_format_core::footer::Footer;
use array_format_core::format::constants::TRAILER_BYTES;
use array_format_core::format::trailer::{Id, Trailer};
use array_format_core::{Error, ErrorKind, Result};

use crate::index::Version;
use crate::layer::head::{open_layer, read_root};
use crate::layer::names;
use crate::storage::{FinishMode, ObjectTag, Upload};

/// How a create ended.
pub(crate) enum Outcome {
    /// The version is ours, durable, and the base is older than it.
    Committed { base: u64, base_tag: ObjectTag },
    /// Another writer has the number.
    Taken,
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
        let Ok(found) = layer_write_id(version, number).await else { return Err(e) };
        match found {
            Some(id) if id == write_id => {}
            Some(_) => return Ok(Outcome::Taken),
            // Nothing there: it did not happen, unless a compaction has the number in the base by now.
            None if e.kind() == ErrorKind::AlreadyExists => return Ok(Outcome::Taken),
            None => return Err(e),
        }
    }
    // A name that compaction freed can be created again by a writer that was asleep: only a base that is older makes
    // this layer part of the file.
    let base = version.objects.open_path(&version.objects.path, TRAILER_BYTES as u64).await?;
    let trailer = Trailer::decode(base.tail(), base.stored().size())?;
    if trailer.file_id != version.head.file_id {
        return Err(Error::new(
            ErrorKind::SnapshotExpired,
            "another file was created at this path while this one was open; open it anew",
        ));
    }
    if trailer.layer >= number && trailer.write_id != write_id {
        return Ok(Outcome::Taken);
    }
    Ok(Outcome::Committed { base: trailer.layer, base_tag: base.stored().tag().clone() })
}

/// Write id of layer `number`, if there is one.
async fn layer_write_id(version: &Version, number: u64) -> Result<Option<Id>> {
    let path = names::sidecar(&version.objects.path, &version.head.file_id, ObjectId::Layer(number));
    match version.objects.open_path(&path, TRAILER_BYTES as u64).await {
        Ok(object) => Ok(Some(Trailer::decode(object.tail(), object.stored().size())?.write_id)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// The root of version `number` if it was committed with this write id, as a sidecar or, compacted since, in what the
/// newest version lists.
pub(crate) async fn committed_as(version: &Version, number: u64, write_id: Id) -> Result<Option<Footer>> {
    let path = names::sidecar(&version.objects.path, &version.head.file_id, ObjectId::Layer(number));
    let layer = match open_layer(&version.objects, &path).await {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            open_layer(&version.objects, &version.objects.path).await?
        }
        other => other?,
    };
    if layer.trailer.layer != number || layer.trailer.write_id != write_id {
        return Ok(None);
    }
    read_root(&layer).await.map(Some)
}
