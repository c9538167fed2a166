//! The expectation of a version as JSON: `fixtures/v1/README.md`. From the model, never from what the library reads.

use std::collections::{BTreeMap, BTreeSet};

use array_format::address::ObjectId;
use array_format::{Cause, DType, Filter, Footer, Value};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::model::{Array, Cell, Group, Model};
use super::summary::Summary;

/// Values of more hexadecimal digits than this stand as a digest.
const LONGEST: usize = 300;

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A version. What compression made of the blocks cannot be told from the input, so `footer` has it; the reader in Python adds
/// up the block tables and compares.
pub(crate) fn version(
    model: &Model,
    number: u64,
    time: i64,
    message: &str,
    cause: Cause,
    footer: &Footer,
) -> Json {
    let groups_with_rows = model.groups.keys().filter(|p| !p.is_empty()).count();
    json!({
        "version": number,
        "time": time,
        "message": message,
        "cause": cause_name(cause),
        "footer": {
            "next_node_id": model.next_id,
            "arrays": model.arrays.len(),
            "groups": groups_with_rows,
            "objects": objects(footer),
            "sections": sections(footer),
        },
        "groups": groups(model),
        "arrays": model.arrays.iter().map(|(p, a)| (p.clone(), array(a))).collect::<serde_json::Map<_, _>>(),
    })
}

pub(crate) fn cause_name(cause: Cause) -> &'static str {
    match cause {
        Cause::Create => "create",
        Cause::Commit => "commit",
        Cause::Compaction => "compaction",
        Cause::Collection => "collection",
    }
}

pub(crate) fn objects(footer: &Footer) -> Vec<Json> {
    let object = |o: &array_format::footer::ObjectEntry| {
        let (key, id) = match o.id {
            ObjectId::Layer(n) => ("layer", json!(n)),
            ObjectId::Detached(id) => ("blocks", json!(hex(&id))),
        };
        json!({ key: id, "stored": o.stored_bytes, "decoded": o.decoded_bytes, "live": o.live_bytes })
    };
    footer.objects.iter().map(object).collect()
}

/// In schema 2 only.
pub(crate) fn sections(footer: &Footer) -> Json {
    let ancestors: Vec<String> = footer.ancestors.iter().map(|id| hex(id)).collect();
    json!({ "floor": footer.floor, "tags": footer.tags, "ancestors": ancestors })
}

/// Groups with a row, and those that are only part of a path.
fn groups(model: &Model) -> Json {
    let mut paths: BTreeSet<&str> = model.groups.keys().map(String::as_str).collect();
    for path in model.arrays.keys().chain(model.groups.keys()) {
        paths.extend(path.match_indices('/').map(|(at, _)| &path[..at]));
    }
    let nothing = Group::default();
    let group = |path: &str| {
        let g = model.groups.get(path).unwrap_or(&nothing);
        json!({ "dims": g.dims.iter().map(dimension).collect::<Vec<_>>(), "attributes": attributes(&g.attributes) })
    };
    paths.into_iter().map(|path| (path.to_owned(), group(path))).collect::<serde_json::Map<_, _>>().into()
}

fn dimension((name, length, unlimited): &(String, u64, bool)) -> Json {
    json!({ "name": name, "length": length, "unlimited": unlimited })
}

fn array(a: &Array) -> Json {
    let parts = a.written_cells();
    let parts: BTreeMap<_, _> = parts.iter().map(|(at, cells)| (at, Summary::of(a.dtype, cells))).collect();
    let whole = parts.values().fold(Summary::default(), |all, part| all.and(part, a.dtype));
    let chunk_statistics: Vec<Json> = match a.grid_cells() {
        0 | 1 => Vec::new(),
        _ => parts.iter().map(|(at, part)| statistics(a.dtype, part, Some(at))).collect(),
    };
    let valid = || a.cells.iter().map(|c| if c.is_some() { '1' } else { '0' }).collect::<String>();
    json!({
        "type": a.dtype.to_string(),
        "dims": a.dims,
        "shape": a.shape,
        "chunk_shape": a.chunk_shape,
        "nullable": a.nullable,
        "fill": a.fill.as_deref().map(hex),
        "filters": filters(&a.filters),
        "values": values(a.dtype, &a.cells),
        "validity": a.nullable.then(valid),
        "attributes": attributes(&a.attributes),
        "statistics": statistics(a.dtype, &whole, None),
        "chunk_statistics": chunk_statistics,
    })
}

pub(crate) fn filters(filters: &[Filter]) -> Vec<Json> {
    let filter = |f: &Filter| match f {
        Filter::Shuffle => ("shuffle", vec![]),
        Filter::Delta => ("delta", vec![]),
        Filter::BitRound { keep_bits } => ("bit_rounding", vec![*keep_bits]),
        Filter::Pco { level } => ("pco", vec![*level]),
        Filter::Decimal { digits } => ("decimal", vec![*digits]),
        other => unreachable!("{other:?} is new: give it a name here and in the README of the fixtures"),
    };
    filters.iter().map(filter).map(|(name, p)| json!({ "filter": name, "parameters": hex(&p) })).collect()
}

pub(crate) fn values(dtype: DType, cells: &[Cell]) -> Json {
    let zero = vec![0; dtype.fixed_size_bytes().unwrap_or(0)];
    let bytes = |c: &Cell| c.clone().unwrap_or_else(|| zero.clone());
    if !dtype.is_variable() {
        let all: Vec<u8> = cells.iter().flat_map(bytes).collect();
        return if 2 * all.len() > LONGEST { digest(&all) } else { hex(&all).into() };
    }
    let each: Vec<Vec<u8>> = cells.iter().map(bytes).collect();
    if 2 * each.iter().map(Vec::len).sum::<usize>() <= LONGEST {
        return each.iter().map(|e| hex(e)).collect();
    }
    let with_length = |e: &Vec<u8>| [&(e.len() as u64).to_le_bytes()[..], e].concat();
    digest(&each.iter().flat_map(with_length).collect::<Vec<_>>())
}

fn digest(bytes: &[u8]) -> Json {
    format!("sha256:{}", hex(&Sha256::digest(bytes))).into()
}

fn statistics(dtype: DType, s: &Summary, at: Option<&[u64]>) -> Json {
    let mut json = json!({
        "type": s.bounds().map(|_| dtype.to_string()),
        "min": s.bounds().map(|b| hex(&b.0)),
        "max": s.bounds().map(|b| hex(&b.1)),
        "loose": false,
        "rows": s.rows,
        "nulls": s.nulls,
        "nans": s.nans,
    });
    if let Some(at) = at {
        json["at"] = json!(at);
    }
    json
}

fn attributes(all: &BTreeMap<String, Value>) -> Json {
    all.iter().map(|(name, v)| (name.clone(), attribute(v))).collect::<serde_json::Map<_, _>>().into()
}

pub(crate) fn attribute(value: &Value) -> Json {
    let raw: Json = match value {
        Value::Scalar(s) => hex(s.bytes()).into(),
        Value::String(s) => hex(s.as_bytes()).into(),
        Value::Binary(b) => hex(b).into(),
        Value::List { bytes, .. } => hex(bytes).into(),
        Value::StringList(list) => list.iter().map(|s| hex(s.as_bytes())).collect(),
        Value::BinaryList(list) => list.iter().map(|b| hex(b)).collect(),
    };
    json!({ "type": value.type_name(), "value": raw })
}
