//! Names of objects: `docs/format.md` section 2.

use array_format_core::address::ObjectId;
use array_format_core::format::trailer::{Id, hex};

/// The folder of a file's sidecars.
pub(crate) fn folder(path: &str) -> String {
    format!("{path}.layers")
}

/// Last part of a sidecar's path.
pub(crate) fn name(file_id: &Id, object: ObjectId) -> String {
    match object {
        ObjectId::Layer(n) => format!("{}.{n:020}.layer", hex(file_id)),
        ObjectId::Detached(id) => format!("{}.{}.blocks", hex(file_id), hex(&id)),
    }
}

/// Path of a sidecar.
pub(crate) fn sidecar(path: &str, file_id: &Id, object: ObjectId) -> String {
    format!("{}/{}", folder(path), name(file_id, object))
}

fn parse_hex(s: &str) -> Option<Id> {
    if s.len() != 32 || !s.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return None;
    }
    u128::from_str_radix(s, 16).ok().map(u128::to_be_bytes)
}

/// What a name in the folder stands for, if it is one of ours.
pub(crate) fn parse(name: &str) -> Option<(Id, ObjectId)> {
    let mut parts = name.split('.');
    let (file, object, kind) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let object = match kind {
        "layer" if object.len() == 20 && object.bytes().all(|b| b.is_ascii_digit()) => {
            ObjectId::Layer(object.parse().ok()?)
        }
        "blocks" => ObjectId::Detached(parse_hex(object)?),
        _ => return None,
    };
    Some((parse_hex(file)?, object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back_and_others_do_not() {
        let id = *b"0123456789abcdef";
        for object in [ObjectId::Layer(0), ObjectId::Layer(u64::MAX), ObjectId::Detached([255; 16])] {
            assert_eq!(parse(&name(&id, object)), Some((id, object)));
        }
        for other in ["run.1.af", "x.layer", "", &format!("{}.1.layer", "0".repeat(32))] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
