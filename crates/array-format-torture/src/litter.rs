//! What lies in the folder of a file and should not.

use std::collections::BTreeSet;
use std::path::Path;

use array_format::ArrayFile;
use array_format::ObjectId;
use array_format::blocking::wait;

use crate::Result;

/// Names in the folder of `path` that are not objects of the file. Detached layers that wait to be joined are no litter if
/// `waiting` says so.
///
/// # Errors
/// If the folder or the file cannot be read.
pub(crate) fn litter(path: &Path, file: &ArrayFile, waiting: bool) -> Result<Vec<String>> {
    let mut needed = BTreeSet::new();
    let versions = wait(file.versions())?.into_iter().map(|v| v.version);
    for version in versions.chain(file.tags().into_values()) {
        let footer = wait(file.at(version))?.footer();
        needed.insert(ObjectId::Layer(version));
        needed.extend(footer.objects.iter().map(|o| o.id));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let sidecars = format!("{name}.layers");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path.parent().unwrap_or(path))? {
        found.push(entry?.file_name().to_string_lossy().into_owned());
    }
    found.retain(|n| *n != name && *n != sidecars);
    if let Ok(entries) = std::fs::read_dir(path.with_file_name(&sidecars)) {
        for entry in entries {
            let entry = entry?.file_name().to_string_lossy().into_owned();
            let parts: Vec<&str> = entry.split('.').collect();
            let known = match parts[..] {
                [_, number, "layer"] => number.parse().is_ok_and(|n| needed.contains(&ObjectId::Layer(n))),
                [_, id, "blocks"] => waiting || is_joined(&needed, id),
                _ => false,
            };
            if !known {
                found.push(format!("{sidecars}/{entry}"));
            }
        }
    }
    Ok(found)
}

fn is_joined(needed: &BTreeSet<ObjectId>, hex: &str) -> bool {
    let id = u128::from_str_radix(hex, 16).map(u128::to_be_bytes);
    id.is_ok_and(|id| needed.contains(&ObjectId::Detached(id)))
}
