//! Whether a file holds what the model says.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Debug;

use array_format::{ArrayStatistics, Counts, ScalarElement, Snapshot, Statistics, StatisticsColumn, Value};

use super::{Item, ModelArray, ModelState, indices};

/// Statistics of items, computed the long way.
pub fn recompute<'a>(items: impl Iterator<Item = &'a Item>) -> Statistics {
    let mut counts = Counts::default();
    let mut bounds: Option<(Value, Value)> = None;
    for item in items {
        counts.rows += 1;
        counts.nulls += u64::from(item.is_null());
        let Some(value) = item.value() else {
            counts.nans += u64::from(!item.is_null());
            continue;
        };
        bounds = Some(match bounds {
            None => (value.clone(), value),
            Some((min, max)) => {
                let less = |a: &Value, b: &Value| a.partial_cmp_same(b) == Some(Ordering::Less);
                let low = if less(&value, &min) { value.clone() } else { min };
                (low, if less(&max, &value) { value } else { max })
            }
        });
    }
    let long = |v: &Value| v.as_str().is_some_and(|s| s.len() > 64);
    let bounds = bounds.filter(|(min, max)| !long(min) && !long(max));
    let zero =
        |v: Value, zero: f64| if v.as_f64() == Some(0.0) && v.type_name() == "f64" { zero.into() } else { v };
    let bounds = bounds.map(|(min, max)| (zero(min, -0.0), zero(max, 0.0)));
    Statistics { bounds, loose: false, counts: Some(counts) }
}

impl ModelArray {
    /// The items of each written chunk.
    fn chunks(&self) -> BTreeMap<Vec<u64>, Vec<&Item>> {
        let mut chunks: BTreeMap<Vec<u64>, Vec<&Item>> = BTreeMap::new();
        for (index, item) in indices(&self.shape).iter().zip(&self.data) {
            let cell = self.cell(index);
            if self.written.contains(&cell) {
                chunks.entry(cell).or_default().push(item);
            }
        }
        chunks
    }
}

/// Compares everything that can be read of a file with the model.
///
/// # Panics
/// Where they differ.
pub async fn check_snapshot(found: &Snapshot, model: &ModelState, what: &str) {
    assert_eq!(found.list_arrays().await.expect(what), model.arrays(), "arrays, {what}");
    assert_eq!(found.list_groups().await.expect(what), model.groups(), "groups, {what}");
    for (path, node) in &model.nodes {
        let attributes =
            found.attributes(path).await.unwrap_or_else(|e| panic!("attributes of {path}, {what}: {e}"));
        let expected: Vec<_> = node.attributes.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        assert_eq!(attributes, expected, "attributes of {path:?}, {what}");
        if let Some(array) = &node.array {
            check_array(found, path, array, what).await;
        }
    }
    let statistics = found.statistics_index().await.expect(what);
    assert!(statistics.iter().map(|s| &s.name).eq(model.arrays().iter()), "{what}");
    for s in &statistics {
        assert_eq!(*s, found.statistics(&s.name).await.expect(what), "statistics index, {what}");
    }
    for name in ["k0", "k1", "k2"] {
        let index = found.attribute_index(name).await.expect(what);
        let have = model.nodes.iter().filter_map(|(p, n)| Some((p.clone(), n.attributes.get(name)?.clone())));
        assert!(index.iter().cloned().eq(have), "attribute index of {name}, {what}: {index:?}");
        let column = found.attribute_column(name).await.expect(what);
        assert_eq!(column.ids_where(|_| true).len(), index.len(), "attribute column of {name}, {what}");
    }
    let column = found.statistics_column().await.expect(what);
    let three = Value::from(3i32);
    for (min, max) in [(None, None), (Some(&three), None), (None, Some(&three))] {
        let names = found.names(&column.ids_where(min, max)).await.expect(what);
        let mut names: Vec<_> = names.into_iter().map(|n| n.expect("a statistic of nothing")).collect();
        names.sort();
        let may = statistics.iter().filter(|s| s.statistics.may_contain(min, max)).map(|s| &s.name);
        assert!(names.iter().eq(may), "statistics column, {what}: {names:?}");
    }
    check_bounds::<i32>(found, &column, &statistics, what).await;
    check_bounds::<f64>(found, &column, &statistics, what).await;
    check_bounds::<bool>(found, &column, &statistics, what).await;
    let arrays = model.arrays();
    let names: Vec<&String> = arrays.iter().chain(arrays.first()).collect();
    // They are not all of one type as a rule.
    if let Ok(whole) = found.read_many::<i32>(&names, vec![], vec![]).await {
        let alone = names.iter().map(|n| found.read_array::<i32>(n, vec![], vec![]));
        let alone = futures::future::try_join_all(alone).await.expect(what);
        assert_eq!(whole, alone, "many at once, {what}");
    }
}

async fn check_bounds<T: ScalarElement + Debug>(
    found: &Snapshot,
    column: &StatisticsColumn,
    statistics: &[ArrayStatistics],
    what: &str,
) {
    let (ids, bounds): (Vec<u64>, Vec<(T, T)>) =
        column.bounds::<T>().into_iter().map(|(id, min, max)| (id, (min, max))).unzip();
    let names = found.names(&ids).await.expect(what);
    let mut have: Vec<_> = names.into_iter().map(|n| n.expect("bounds of nothing")).zip(bounds).collect();
    have.sort_by(|a, b| a.0.cmp(&b.0));
    let known = statistics.iter().filter_map(|s| match &s.statistics.bounds {
        Some((Value::Scalar(min), Value::Scalar(max))) => {
            Some((s.name.clone(), (min.get::<T>()?, max.get::<T>()?)))
        }
        _ => None,
    });
    assert_eq!(have, known.collect::<Vec<_>>(), "bounds, {what}");
}

async fn check_array(found: &Snapshot, path: &str, array: &ModelArray, what: &str) {
    let info = found.array(path).await.unwrap_or_else(|e| panic!("{path}, {what}: {e}"));
    assert_eq!(info.shape, array.shape, "shape of {path}, {what}");
    let read = array.kind.read(found, path, (vec![], vec![], vec![])).await;
    let (shape, items) = read.unwrap_or_else(|e| panic!("{path}, {what}: {e}"));
    assert_eq!(shape, array.shape, "{path}, {what}");
    assert_eq!(items, array.data, "data of {path}, {what}");
    // Every second element from the second on, where there are any.
    let start: Vec<u64> = array.shape.iter().map(|n| u64::from(*n > 1)).collect();
    let count: Vec<u64> = array.shape.iter().zip(&start).map(|(n, s)| (n - s).div_ceil(2)).collect();
    let region = (start.clone(), count.clone(), vec![2; start.len()]);
    let (_, items) = array.kind.read(found, path, region).await.expect(what);
    let picked = indices(&count).into_iter().map(|i| {
        let at: Vec<u64> = i.iter().zip(&start).map(|(i, s)| s + 2 * i).collect();
        array.at(&at).clone()
    });
    assert!(items.into_iter().eq(picked), "steps through {path}, {what}");
    check_statistics(found, path, array, what).await;
}

async fn check_statistics(found: &Snapshot, path: &str, array: &ModelArray, what: &str) {
    let expected = array.chunks();
    let chunks = found.chunks(path).await.expect(what);
    let coords: Vec<&Vec<u64>> = chunks.iter().map(|c| &c.coords).collect();
    assert!(coords.iter().copied().eq(expected.keys()), "written chunks of {path}: {coords:?}, {what}");
    for (chunk, items) in chunks.iter().zip(expected.values()) {
        assert_eq!(chunk.shape.iter().product::<u64>(), items.len() as u64, "{path}, {what}");
        assert_eq!(
            chunk.statistics,
            recompute(items.iter().copied()),
            "chunk {:?} of {path}, {what}",
            chunk.coords
        );
    }
    let all = found.statistics(path).await.expect(what);
    assert_eq!(all.elements, array.data.len() as u64, "{path}, {what}");
    let whole = recompute(expected.values().flatten().copied());
    assert_eq!(all.statistics.counts, whole.counts, "statistics of {path}, {what}");
    // An array's bounds are unknown as soon as a chunk's are.
    if expected.values().all(|c| {
        let s = recompute(c.iter().copied());
        s.bounds.is_some() || s.has_no_values()
    }) {
        assert_eq!(all.statistics, whole, "statistics of {path}, {what}");
    } else {
        assert_eq!(all.statistics.bounds, None, "statistics of {path}, {what}");
    }
}
