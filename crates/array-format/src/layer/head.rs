//! Finding and reading the newest version: `docs/format.md` section 11.

use std::sync::Arc;

use array_format_core::address::ObjectId;
use array_format_core::footer::{DetachedRoot, Footer};
use array_format_core::format::constants::MAGIC;
use array_format_core::format::page;
use array_format_core::format::trailer::{Id, ObjectKind, Trailer};
use array_format_core::{Error, ErrorKind, Result};
use futures::future::OptionFuture;
use futures::try_join;

use super::names;
use super::object::{Objects, PinnedObject, TAIL_BYTES};
use crate::storage::{ListEntry, ObjectTag};

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
    let at = |e: Error| e.in_layer(layer.trailer.layer).at_offset(root.offset);
    let decoded = root_bytes(layer).await.map_err(at)?;
    let mut footer = Footer::decode(&decoded).map_err(at)?;
    if footer.version != layer.trailer.layer {
        return Err(
            Error::corrupt("root and trailer disagree about the version").in_layer(layer.trailer.layer)
        );
    }
    footer.set_own_length(layer.trailer.object_bytes);
    Ok(footer)
}

/// Opens a detached layer and reads its root.
pub(crate) async fn open_detached(objects: &Objects, path: &str) -> Result<(OpenLayer, DetachedRoot)> {
    let object = objects.open_path(path, TAIL_BYTES).await?;
    let in_file = |e: Error| e.in_file(objects.storage.describe(path));
    let trailer = Trailer::decode(object.tail(), object.stored().size()).map_err(in_file)?;
    if trailer.kind != ObjectKind::Detached {
        return Err(in_file(Error::corrupt("a layer stands where a detached layer should be")));
    }
    let layer = OpenLayer { object, trailer };
    let decoded = root_bytes(&layer).await.map_err(in_file)?;
    let root = DetachedRoot::decode(&decoded).map_err(in_file)?;
    Ok((layer, root))
}

async fn root_bytes(layer: &OpenLayer) -> Result<Vec<u8>> {
    let root = &layer.trailer.root;
    let bytes = layer.object.read(root.offset..root.offset.saturating_add(root.stored_bytes)).await?;
    page::open(&bytes, u64::from(root.codec.code()), root.decoded_bytes, root.checksum, "the root")
        .map_err(|e| e.at_offset(root.offset))
}

/// A layer in a listing.
struct ListedLayer<'l> {
    file_id: Id,
    number: u64,
    entry: &'l ListEntry,
}

/// Layers of all file ids in a listing.
fn all_layers_of(listing: &[ListEntry]) -> impl Iterator<Item = ListedLayer<'_>> {
    listing.iter().filter_map(|entry| match names::parse(&entry.name)? {
        (file_id, ObjectId::Layer(number)) => Some(ListedLayer { file_id, number, entry }),
        _ => None,
    })
}

fn numbers_and_sizes<'l>(layers: impl Iterator<Item = &'l ListedLayer<'l>>) -> Vec<(u64, u64)> {
    let mut layers: Vec<(u64, u64)> = layers.map(|l| (l.number, l.entry.size)).collect();
    layers.sort_unstable();
    layers
}

/// Layers of a file id in a listing, by number, with their sizes.
pub(crate) fn layers_of(listing: &[ListEntry], file_id: &Id) -> Vec<(u64, u64)> {
    let layers: Vec<_> = all_layers_of(listing).filter(|l| l.file_id == *file_id).collect();
    numbers_and_sizes(layers.iter())
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
    let listing = objects.list().await?;
    let listed: Vec<ListedLayer<'_>> = all_layers_of(&listing).collect();
    // Nearly always all names have one file id, so that layers can be asked for before the base is known.
    let guess = |wanted: Option<u64>| {
        let layers = listed.iter().filter(|l| wanted.is_none_or(|w| w == l.number));
        layers.map(|l| (l.number, l.file_id)).max()
    };
    let newest_guess = guess(None);
    let old_guess = version.and_then(|v| guess(Some(v))).filter(|g| Some(*g) != newest_guess);
    let open = |guess: Option<(u64, Id)>| {
        OptionFuture::from(guess.map(|(n, id)| async move {
            match open_layer(objects, &names::sidecar(&objects.path, &id, ObjectId::Layer(n))).await {
                Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
                other => other.map(Some),
            }
        }))
    };
    let base = async { open_layer(objects, &objects.path).await };
    let (base, newest, old) =
        try_join!(base, async { Ok(open(newest_guess).await) }, async { Ok(open(old_guess).await) })?;
    let (file_id, base_number) = (base.trailer.file_id, base.trailer.layer);
    let found = Found {
        objects,
        file_id,
        base: base_number,
        base_tag: base.object.stored().tag().clone(),
        layers: numbers_and_sizes(listed.iter().filter(|l| l.file_id == file_id)),
        listed: &listed,
    };
    let newest = match found.layers.last().map(|l| l.0).filter(|n| *n > base_number) {
        None => base,
        Some(n) => {
            objects.remember(base.trailer.write_id, base.object);
            let early = newest.filter(|_| newest_guess == Some((n, file_id)));
            match found.layer(n, early).await? {
                Some(layer) => layer,
                None => return Ok(None),
            }
        }
    };
    let head = found.head(newest).await?;
    let head = match version.filter(|v| *v != head.footer.version) {
        None => head,
        Some(wanted) if wanted > head.footer.version || !head.footer.keeps(wanted) => {
            return Err(no_version(wanted));
        }
        Some(wanted) if wanted == base_number => {
            let base = open_layer(objects, &objects.path).await?;
            if base.trailer.layer != wanted {
                return Ok(None);
            }
            found.head(base).await?
        }
        Some(wanted) => {
            let early = old.filter(|_| old_guess == Some((wanted, file_id)));
            match found.layer(wanted, early).await? {
                Some(layer) => found.head(layer).await?,
                None if found.layers.iter().any(|l| l.0 == wanted) => return Ok(None),
                None => return Err(no_version(wanted)),
            }
        }
    };
    let wanted = head.footer.version;
    match missing(&head, &found.layers) {
        None => Ok(Some(head)),
        // A listing need not be of one moment: a layer that came while others went can be missing from it.
        Some(_) if layers_of(&objects.list().await?, &file_id) != found.layers => Ok(None),
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

/// What listing and base tell.
struct Found<'a> {
    objects: &'a Objects,
    file_id: Id,
    base: u64,
    base_tag: ObjectTag,
    layers: Vec<(u64, u64)>,
    /// Those of all file ids.
    listed: &'a [ListedLayer<'a>],
}

impl Found<'_> {
    /// Layer `n`, opened already or now; `None` if it is gone, or is not the one that was listed: compacted away since, its name can be
    /// created again by a writer that was asleep, which is no version of the file.
    async fn layer(&self, n: u64, early: Option<Result<Option<OpenLayer>>>) -> Result<Option<OpenLayer>> {
        let is_it = |l: &&ListedLayer<'_>| l.number == n && l.file_id == self.file_id;
        let Some(listed) = self.listed.iter().rfind(is_it) else { return Ok(None) };
        let layer = match early {
            Some(layer) => layer?,
            None => match open_layer(
                self.objects,
                &names::sidecar(&self.objects.path, &self.file_id, ObjectId::Layer(n)),
            )
            .await
            {
                Err(e) if e.kind() == ErrorKind::NotFound => None,
                other => Some(other?),
            },
        };
        match layer {
            Some(l) if *l.object.stored().tag() != listed.entry.tag => Ok(None),
            Some(l) if l.trailer.file_id != self.file_id || l.trailer.layer != n => {
                Err(Error::corrupt("a layer of another file stands in the place of this one").in_layer(n))
            }
            layer => Ok(layer),
        }
    }

    async fn head(&self, layer: OpenLayer) -> Result<Head> {
        let footer = Arc::new(read_root(&layer).await?);
        self.objects.remember(layer.trailer.write_id, layer.object);
        Ok(Head { file_id: self.file_id, footer, base: self.base, base_tag: self.base_tag.clone() })
    }
}

/// There is no such version of the file.
pub(crate) fn no_version(version: u64) -> Error {
    Error::not_found(format!(
        "version {version} is not in the file: it was collected, or not written yet; `versions` lists those that are there"
    ))
}

/// A layer that the version needs and that is not there as it should be.
fn missing(head: &Head, layers: &[(u64, u64)]) -> Option<u64> {
    head.footer.objects.iter().find_map(|o| match o.id {
        ObjectId::Layer(n) if n != head.base && n != head.footer.version => {
            layers.binary_search(&(n, o.object_bytes)).is_err().then_some(n)
        }
        _ => None,
    })
}
