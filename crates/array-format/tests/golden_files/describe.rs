//! What the library reads, in the words of `fixtures/v1/README.md`.

use array_format::{ArrayInfo, Elements, Snapshot, Statistics, Value, Values};
use serde_json::{Map, Value as Json, json};

use super::expect::{attribute, cause_name, filters, hex, objects, sections, values};
use super::model::Cell;

pub(crate) async fn version(snapshot: &Snapshot) -> Json {
    let footer = snapshot.footer();
    let mut groups = Map::new();
    for path in std::iter::once(String::new()).chain(snapshot.list_groups().await.unwrap()) {
        groups.insert(path.clone(), group(snapshot, &path).await);
    }
    let mut arrays = Map::new();
    for info in snapshot.arrays("").await.unwrap() {
        arrays.insert(info.name.clone(), array(snapshot, &info).await);
    }
    json!({
        "version": footer.version,
        "time": footer.time_ms,
        "message": footer.message,
        "cause": cause_name(footer.cause),
        "footer": {
            "next_node_id": footer.next_node,
            "arrays": footer.arrays,
            "groups": footer.groups,
            "objects": objects(&footer),
            "sections": sections(&footer),
        },
        "groups": groups,
        "arrays": arrays,
    })
}

async fn group(snapshot: &Snapshot, path: &str) -> Json {
    let dims = snapshot.dimensions(path).await.unwrap();
    let dims: Vec<Json> = dims
        .iter()
        .map(|d| json!({ "name": d.name, "length": d.length, "unlimited": d.unlimited }))
        .collect();
    json!({ "dims": dims, "attributes": attributes(snapshot, path).await })
}

async fn attributes(snapshot: &Snapshot, path: &str) -> Json {
    let all = snapshot.attributes(path).await.unwrap();
    all.iter().map(|(name, v)| (name.clone(), attribute(v))).collect::<Map<_, _>>().into()
}

async fn array(snapshot: &Snapshot, info: &ArrayInfo) -> Json {
    let (schema, path) = (&info.schema, info.name.as_str());
    let (shape, elements) = snapshot.read_elements(path, vec![], vec![], vec![]).await.unwrap();
    assert_eq!(shape, info.shape);
    let cells =
        |shape: &[u64], chunk: &[u64]| shape.iter().zip(chunk).map(|(s, c)| s.div_ceil(*c)).product::<u64>();
    let several = schema.chunk_shape.as_ref().is_some_and(|chunk| cells(&shape, chunk) > 1);
    let chunks = if several { snapshot.chunks(path).await.unwrap() } else { Vec::new() };
    let of_chunk = |c: &array_format::ChunkInfo| {
        let mut json = statistics(&c.statistics);
        json["at"] = json!(c.coords);
        json
    };
    let valid = |v: &Vec<u8>| v.iter().map(|v| if *v == 1 { '1' } else { '0' }).collect::<String>();
    json!({
        "type": schema.dtype.to_string(),
        "dims": schema.dimensions,
        "shape": info.shape,
        "chunk_shape": schema.chunk_shape,
        "nullable": schema.nullable,
        "fill": schema.fill.as_deref().map(hex),
        "filters": filters(&schema.filters),
        "values": values(schema.dtype, &cells_of(&elements)),
        "validity": elements.validity.as_ref().map(valid),
        "attributes": attributes(snapshot, path).await,
        "statistics": statistics(&snapshot.statistics(path).await.unwrap().statistics),
        "chunk_statistics": chunks.iter().map(of_chunk).collect::<Vec<_>>(),
    })
}

/// The bytes as they came, also of nulls, which must be zero or empty.
fn cells_of(elements: &Elements) -> Vec<Cell> {
    match &elements.values {
        Values::Fixed(bytes) => {
            let size = elements.dtype.fixed_size_bytes().unwrap();
            bytes.chunks_exact(size).map(|b| Some(b.to_vec())).collect()
        }
        Values::Variable(v) => v.iter().map(|b| Some(b.to_vec())).collect(),
    }
}

fn statistics(s: &Statistics) -> Json {
    let raw = |v: Option<&Value>| v.map(|v| attribute(v)["value"].clone());
    json!({
        "type": s.min().map(Value::type_name),
        "min": raw(s.min()),
        "max": raw(s.max()),
        "loose": s.loose,
        "rows": s.counts.map(|c| c.rows),
        "nulls": s.counts.map(|c| c.nulls),
        "nans": s.counts.map(|c| c.nans),
    })
}
