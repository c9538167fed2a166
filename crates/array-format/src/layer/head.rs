//! Finding and reading the newest version: `docs/format.md` section 11.

use std::sync::Arc;

use array_format_core::address::ObjectId;
use array_format_core::footer::Footer;
use array_format_core::format::constants::MAGIC;
use array_format_core::format::page;
use array_format_core::format::trailer::{Id, ObjectKind, Trailer};
use array_format_core::{Error, ErrorKind, Result};
use futures::future::OptionFuture;
use futures::try_join;

use super::names;
use super::object::{Objects, PinnedObject};
use crate::storage::{ListEntry, ObjectTag};

/// Bytes that are read with the first request: they hold trailer, root and often all index pages.
const TAIL_BYTES: u64 = 64 << 10;

/// Rounds of beginning again because a compaction was faster.
const ROUNDS: usize = 5;

/// A version that was found, and the base that it was found beside.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) file_id: Id,
    pub(crate) footer: Arc<Footer>,
    /// Layer number of the base.
    pub(crate) base: u64,
    /// Identity of the base's content.
    pub(crate) base_tag: ObjectTag,
}

/// A layer with its trailer.
pub(crate) struct OpenLayer {
    pub(crate) object: PinnedObject,
    pub(crate) trailer: Trailer,
}

/// Opens a layer and checks its trailer.
pub(crate) async fn open_layer(objects: &Objects, path: &str) -> Result<OpenLayer> {
    let object = objects.open_path(path, TAIL_BYTES).await?;
    let trailer = match Trailer::decode(object.tail(), object.stored().size()) {
        Ok(t) if t.kind == ObjectKind::Layer => t,
        Ok(_) => return Err(Error::corrupt("detached blocks stand where a layer should be")),
        Err(e) => return Err(explain(&object, e).await.in_file(objects.storage.describe(path))),
    };
    Ok(OpenLayer { object, trailer })
}

/// Tells a truncated file from one that was never ours.
async fn explain(object: &PinnedObject, e: Error) -> Error {
    if e.kind() != ErrorKind::Corrupt || e.offset().is_some() {
        return e;
    }
    let begins = object.read(0..object.stored().size().min(MAGIC.len() as u64)).await;
    match begins {
        Ok(bytes) if bytes[..] == MAGIC => {
            Error::corrupt("the end of this array-format file is missing or damaged; restore it from a copy")
        }
        Ok(bytes) if bytes.is_empty() => Error::corrupt("this is not an array-format file: it is empty"),
        Ok(_) => Error::corrupt("this is not an array-format file: it begins with other bytes"),
        Err(_) => e,
    }
}

/// Reads the root of a layer.
pub(crate) async fn read_root(layer: &OpenLayer) -> Result<Footer> {
    let root = &layer.trailer.root;
    let bytes = layer.object.read(root.offset..root.offset + root.stored_bytes).await?;
    let decoded =
        page::open(&bytes, u64::from(root.codec.code()), root.decoded_bytes, root.checksum, "the root")
            .map_err(|e| e.in_layer(layer.trailer.layer).at_offset(root.offset))?;
    let mut footer =
        Footer::decode(&decoded).map_err(|e| e.in_layer(layer.trailer.layer).at_offset(root.offset))?;
    if footer.version != layer.trailer.layer {
        return Err(
            Error::corrupt("root and trailer disagree about the version").in_layer(layer.trailer.layer)
        );
    }
    footer.set_own_length(layer.trailer.object_bytes);
    Ok(footer)
}

/// Layers of a file id in a listing, by number.
pub(crate) fn layers_of(listing: &[ListEntry], file_id: &Id) -> Vec<(u64, u64)> {
    let mut layers: Vec<(u64, u64)> = listing
        .iter()
        .filter_map(|e| match names::parse(&e.name)? {
            (id, ObjectId::Layer(n)) if id == *file_id => Some((n, e.size)),
            _ => None,
        })
        .collect();
    layers.sort_unstable();
    layers
}

/// The newest version, or the one asked for.
///
/// # Cost
/// A listing, then base and newest layer at once: at most 3 requests, 2 in sequence, for up to 1,000 sidecars. One more
/// where the root is larger than 64 KiB.
pub(crate) async fn open_head(objects: &Objects, version: Option<u64>) -> Result<Head> {
    let in_file = |e: Error| e.in_file(objects.describe());
    for _ in 0..ROUNDS {
        if let Some(head) = try_open(objects, version).await.map_err(in_file)? {
            return Ok(head);
        }
    }
    Err(in_file(Error::new(
        ErrorKind::Unavailable,
        "the file changes faster than it can be opened; try again",
    )))
}

/// One attempt; `None` if a layer was collected between the listing and its opening.
async fn try_open(objects: &Objects, version: Option<u64>) -> Result<Option<Head>> {
    // List first, then read the base: see the format's section 11.
    let listing = objects.storage.list(&names::folder(&objects.path)).await?;
    objects.counting.requests.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    // Nearly always all names have one file id, so that the newest layer can be asked for before the base is known.
    let guess = listing
        .iter()
        .filter_map(|e| names::parse(&e.name))
        .filter_map(|(id, o)| match o {
            ObjectId::Layer(n) if version.is_none_or(|v| v == n) => Some((n, id)),
            _ => None,
        })
        .max();
    let guessed = OptionFuture::from(guess.map(|(n, id)| async move {
        let path = names::sidecar(&objects.path, &id, ObjectId::Layer(n));
        match open_layer(objects, &path).await {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }));
    let base = async { open_layer(objects, &objects.path).await };
    let (base, guessed) = try_join!(base, async { Ok(guessed.await) })?;
    let file_id = base.trailer.file_id;
    let base_number = base.trailer.layer;
    let base_tag = base.object.stored().tag().clone();
    let layers = layers_of(&listing, &file_id);
    let newest = layers.last().map_or(base_number, |l| l.0.max(base_number));
    let wanted = version.unwrap_or(newest);
    let head = if wanted == base_number {
        base
    } else {
        if !layers.iter().any(|l| l.0 == wanted) || (version.is_none() && wanted < base_number) {
            let known: Vec<String> = layers.iter().map(|l| l.0.to_string()).collect();
            return Err(Error::not_found(format!(
                "version {wanted} is not in the file (collected, or not written yet); there are {base_number} {}",
                known.join(" ")
            )));
        }
        objects.remember(base.trailer.write_id, base.object);
        match guessed {
            Some(layer) if guess == Some((wanted, file_id)) => match layer? {
                Some(layer) => layer,
                None => return Ok(None),
            },
            _ => {
                let path = names::sidecar(&objects.path, &file_id, ObjectId::Layer(wanted));
                match open_layer(objects, &path).await {
                    Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
                    other => other?,
                }
            }
        }
    };
    if head.trailer.file_id != file_id || head.trailer.layer != wanted {
        return Err(
            Error::corrupt("a layer of another file stands in the place of this one").in_layer(wanted)
        );
    }
    let footer = Arc::new(read_root(&head).await?);
    objects.remember(head.trailer.write_id, head.object);
    let head = Head { file_id, footer, base: base_number, base_tag };
    match missing(&head, &layers) {
        None => Ok(Some(head)),
        Some(n) if version.is_some() => Err(Error::new(
            ErrorKind::SnapshotExpired,
            format!("version {wanted} cannot be read any more: its layer {n} was collected"),
        )),
        Some(n) => Err(Error::corrupt(format!(
            "layer {n} of this file is missing or has another length; version {wanted} needs it: restore it from a copy"
        ))
        .in_layer(n)),
    }
}

/// A layer that the version needs and that is not there as it should be.
fn missing(head: &Head, layers: &[(u64, u64)]) -> Option<u64> {
    head.footer.objects.iter().find_map(|o| match o.id {
        ObjectId::Layer(n) if n != head.base && n != head.footer.version => {
            (!layers.contains(&(n, o.object_bytes))).then_some(n)
        }
        _ => None,
    })
}
