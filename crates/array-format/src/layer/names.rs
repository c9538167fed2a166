//! Names of objects: `docs/format.md` section 2.

use array_format_core::address::ObjectId;
use array_format_core::format::trailer::{Id, hex, push_hex};

/// The folder of a file's sidecars.
pub(crate) fn folder(path: &str) -> String {
    format!("{path}.layers")
}

/// Last part of a sidecar's path.
pub(crate) fn name(file_id: &Id, object: ObjectId) -> String {
    let mut name = String::with_capacity(NAME_BYTES);
    push_name(&mut name, file_id, object);
    name
}

/// Path of a sidecar.
pub(crate) fn sidecar(path: &str, file_id: &Id, object: ObjectId) -> String {
    const FOLDER: &str = ".layers/";
    let mut sidecar = String::with_capacity(path.len() + FOLDER.len() + NAME_BYTES);
    sidecar.push_str(path);
    sidecar.push_str(FOLDER);
    push_name(&mut sidecar, file_id, object);
    sidecar
}

/// Of the longest name: two ids in hex digits, two dots and a kind.
const NAME_BYTES: usize = 32 + 1 + 32 + 1 + 6;

// Not formatted: who reads a thousand layers names each of them.
fn push_name(name: &mut String, file_id: &Id, object: ObjectId) {
    push_hex(name, file_id);
    name.push('.');
    match object {
        ObjectId::Layer(number) => {
            let digits = (0..20).rev().map(|i| b'0' + (number / 10_u64.pow(i) % 10) as u8);
            name.extend(digits.map(char::from));
            name.push_str(".layer");
        }
        ObjectId::Detached(id) => {
            push_hex(name, &id);
            name.push_str(".blocks");
        }
    }
}

/// The folder of a file's marks.
pub(crate) fn marks(path: &str) -> String {
    format!("{path}.freed")
}

/// Path of the mark of the numbers up to this one.
pub(crate) fn mark(path: &str, file_id: &Id, number: u64) -> String {
    format!("{}/{}.{number:020}", marks(path), hex(file_id))
}

/// What a name in the folder of marks stands for, if it is one of ours.
pub(crate) fn parse_mark(name: &str) -> Option<(Id, u64)> {
    let (id, number) = name.split_once('.')?;
    Some((parse_hex(id)?, parse_number(number)?))
}

fn parse_number(s: &str) -> Option<u64> {
    if s.len() != 20 || !s.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    s.parse().ok()
}

fn parse_hex(s: &str) -> Option<Id> {
    let mut id = Id::default();
    let (digits, []) = s.as_bytes().as_chunks::<2>() else { return None };
    if digits.len() != id.len() {
        return None;
    }
    for (byte, [high, low]) in id.iter_mut().zip(digits) {
        *byte = lower_hex(*high)? << 4 | lower_hex(*low)?;
    }
    Some(id)
}

fn lower_hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// What a name in the folder stands for, if it is one of ours.
pub(crate) fn parse(name: &str) -> Option<(Id, ObjectId)> {
    let mut parts = name.split('.');
    let (file, object, kind) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let object = match kind {
        "layer" => ObjectId::Layer(parse_number(object)?),
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
            assert_eq!((parse(other), parse_mark(other)), (None, None), "{other}");
        }
    }

    #[test]
    fn marks_parse_back() {
        let id = *b"0123456789abcdef";
        for number in [0, 7, u64::MAX] {
            let path = mark("a.af", &id, number);
            let name = path.strip_prefix("a.af.freed/").unwrap();
            assert_eq!((parse_mark(name), parse(name)), (Some((id, number)), None));
        }
        assert_eq!(parse_mark(&name(&id, ObjectId::Layer(1))), None);
    }
}
