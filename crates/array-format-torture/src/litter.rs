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
    let Names { name, beside: mut found, sidecars, marks } =
        if is_url(path) { on_store(path)? } else { on_disk(Path::new(path))? };
    let (folder, folder_of_marks) = (format!("{name}.layers"), format!("{name}.freed"));
    found.retain(|n| *n != name && *n != folder && (marks.is_empty() || *n != folder_of_marks));
    // A collection leaves the highest one, as long as the base has not passed it.
    found.extend(marks.iter().skip(1).map(|mark| format!("{folder_of_marks}/{mark}")));
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

/// The name of a file, the names beside it, and those in its folders.
struct Names {
    name: String,
    beside: Vec<String>,
    sidecars: Vec<String>,
    marks: Vec<String>,
}

/// All of them, also those that the storage keeps to itself.
fn on_disk(path: &Path) -> Result<Names> {
    let names = |folder: &Path| -> std::io::Result<Vec<String>> {
        std::fs::read_dir(folder)?.map(|e| Ok(e?.file_name().to_string_lossy().into_owned())).collect()
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let inside = |end: &str| names(&path.with_file_name(format!("{name}.{end}"))).unwrap_or_default();
    let (sidecars, marks) = (inside("layers"), inside("freed"));
    Ok(Names { name, beside: names(path.parent().unwrap_or(path))?, sidecars, marks })
}

fn on_store(url: &str) -> Result<Names> {
    let place = StoreOptions::default().place(url)?;
    let (folder, name) = place.path.rsplit_once('/').unwrap_or(("", &place.path));
    let names = |entries: Vec<ListEntry>| entries.into_iter().map(|e| e.name).collect();
    let [beside, sidecars, marks] = listed(&place, folder)?.map(names);
    Ok(Names { name: name.to_owned(), beside, sidecars, marks })
}

/// The objects in the folder of a file, and in those of its layers and marks.
fn listed(place: &Place, folder: &str) -> Result<[Vec<ListEntry>; 3]> {
    let list = |folder: &str| wait(place.storage.list(folder));
    Ok([list(folder)?, list(&format!("{}.layers", place.path))?, list(&format!("{}.freed", place.path))?])
}

/// All objects of a file on a server, as they are now; nothing for a file on disk, where the dead do nothing more.
///
/// # Errors
/// If they cannot be listed.
pub(crate) fn served(path: &str) -> Result<Option<[Vec<ListEntry>; 3]>> {
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
