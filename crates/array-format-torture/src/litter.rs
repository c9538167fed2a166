//! What lies in the folder of a file and should not.

use std::collections::BTreeSet;
use std::path::Path;

use array_format::ArrayFile;
use array_format::ObjectId;
use array_format::blocking::wait;
use array_format::storage::{ListEntry, Place, StoreOptions};

use crate::Result;

/// Names in the folder of `path` that are not objects of the file. Detached layers that wait to be joined are no litter if
/// `waiting` says so.
///
/// # Errors
/// If the folder or the file cannot be read.
pub(crate) fn litter(path: &str, file: &ArrayFile, waiting: bool) -> Result<Vec<String>> {
    let mut needed = BTreeSet::new();
    let versions = wait(file.versions())?.into_iter().map(|v| v.version);
    for version in versions.chain(file.tags().into_values()) {
        let footer = wait(file.at(version))?.footer();
        needed.insert(ObjectId::Layer(version));
        needed.extend(footer.objects.iter().map(|o| o.id));
    }
    let (name, mut found, sidecars) = if is_url(path) { on_store(path)? } else { on_disk(Path::new(path))? };
    let folder = format!("{name}.layers");
    found.retain(|n| *n != name && *n != folder);
    for entry in sidecars {
        let parts: Vec<&str> = entry.split('.').collect();
        let known = match parts[..] {
            [_, number, "layer"] => number.parse().is_ok_and(|n| needed.contains(&ObjectId::Layer(n))),
            [_, id, "blocks"] => waiting || is_joined(&needed, id),
            _ => false,
        };
        if !known {
            found.push(format!("{folder}/{entry}"));
        }
    }
    Ok(found)
}

/// The name of a file, the names beside it, and those in its folder of layers.
type Names = (String, Vec<String>, Vec<String>);

/// All of them, also those that the storage keeps to itself.
fn on_disk(path: &Path) -> Result<Names> {
    let names = |folder: &Path| -> std::io::Result<Vec<String>> {
        std::fs::read_dir(folder)?.map(|e| Ok(e?.file_name().to_string_lossy().into_owned())).collect()
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let sidecars = names(&path.with_file_name(format!("{name}.layers"))).unwrap_or_default();
    Ok((name, names(path.parent().unwrap_or(path))?, sidecars))
}

fn on_store(url: &str) -> Result<Names> {
    let place = StoreOptions::default().place(url)?;
    let (folder, name) = place.path.rsplit_once('/').unwrap_or(("", &place.path));
    let names = |entries: Vec<ListEntry>| entries.into_iter().map(|e| e.name).collect();
    let [beside, sidecars] = listed(&place, folder)?;
    Ok((name.to_owned(), names(beside), names(sidecars)))
}

/// The objects in the folder of a file, and in that of its layers.
fn listed(place: &Place, folder: &str) -> Result<[Vec<ListEntry>; 2]> {
    let list = |folder: &str| wait(place.storage.list(folder));
    Ok([list(folder)?, list(&format!("{}.layers", place.path))?])
}

/// All objects of a file on a server, as they are now; nothing for a file on disk, where the dead do nothing more.
///
/// # Errors
/// If they cannot be listed.
pub(crate) fn served(path: &str) -> Result<Option<[Vec<ListEntry>; 2]>> {
    if !is_url(path) {
        return Ok(None);
    }
    let place = StoreOptions::default().place(path)?;
    let folder = place.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    listed(&place, folder).map(Some)
}

fn is_url(path: &str) -> bool {
    path.contains("://")
}

fn is_joined(needed: &BTreeSet<ObjectId>, hex: &str) -> bool {
    let id = u128::from_str_radix(hex, 16).map(u128::to_be_bytes);
    id.is_ok_and(|id| needed.contains(&ObjectId::Detached(id)))
}
