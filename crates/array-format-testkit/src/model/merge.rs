//! What two writers make of a version together.

use std::collections::BTreeMap;

use super::{ModelArray, ModelNode, ModelState, indices};

/// One thing that both may have changed: `None` if both did.
#[expect(clippy::needless_pass_by_value, reason = "one of the three is handed on")]
fn pick<T: PartialEq>(base: T, mine: T, theirs: T) -> Option<T> {
    if mine == base {
        Some(theirs)
    } else if theirs == base || theirs == mine {
        Some(mine)
    } else {
        None
    }
}

fn by_id(state: &ModelState) -> BTreeMap<u64, (&String, &ModelNode)> {
    state.nodes.iter().map(|(path, node)| (node.id, (path, node))).collect()
}

/// The root group is always there, and the same for all, whether it has anything of its own or not.
fn with_root(state: &ModelState) -> ModelState {
    let mut state = state.clone();
    let root = state.nodes.entry(String::new()).or_insert_with(|| ModelNode::new(None));
    root.id = 0;
    state
}

impl ModelState {
    /// Changes of two writers to the same version, if they do not overlap.
    pub fn merge(base: &Self, mine: &Self, theirs: &Self) -> Option<Self> {
        let (b, m, t) = (with_root(base), with_root(mine), with_root(theirs));
        let (b, m, t) = (by_id(&b), by_id(&m), by_id(&t));
        let mut merged = Self::default();
        let mut ids: Vec<u64> = b.keys().chain(m.keys()).chain(t.keys()).copied().collect();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            let of = |s: &BTreeMap<u64, (&String, &ModelNode)>| {
                s.get(&id).map(|(p, n)| ((*p).clone(), (*n).clone()))
            };
            let node = match (of(&b), of(&m), of(&t)) {
                (Some(b), Some(m), Some(t)) => {
                    let node = ModelNode {
                        id,
                        attributes: merge_attributes(&b.1, &m.1, &t.1)?,
                        array: merge_arrays(b.1.array, m.1.array, t.1.array)?,
                    };
                    Some((pick(b.0, m.0, t.0)?, node))
                }
                (b, m, t) => pick(b, m, t)?,
            };
            if let Some((path, node)) = node
                && merged.nodes.insert(path, node).is_some()
            {
                return None;
            }
        }
        if ![base, mine, theirs].iter().any(|s| s.nodes.contains_key("")) {
            merged.nodes.remove("");
        }
        let inside = merged.nodes.keys().any(|path| merged.inside_array(path));
        (!inside).then_some(merged)
    }
}

fn merge_attributes(
    base: &ModelNode,
    mine: &ModelNode,
    theirs: &ModelNode,
) -> Option<BTreeMap<String, array_format::Value>> {
    let mut all = BTreeMap::new();
    let names = [base, mine, theirs].into_iter().flat_map(|n| n.attributes.keys());
    for name in names {
        let of = |n: &ModelNode| n.attributes.get(name).cloned();
        if let Some(value) = pick(of(base), of(mine), of(theirs))? {
            all.insert(name.clone(), value);
        }
    }
    Some(all)
}

fn merge_arrays(
    base: Option<ModelArray>,
    mine: Option<ModelArray>,
    theirs: Option<ModelArray>,
) -> Option<Option<ModelArray>> {
    match (base, mine, theirs) {
        (Some(b), Some(m), Some(t)) if m.shape == b.shape && t.shape == b.shape => {
            let mut merged = b.clone();
            for (i, index) in indices(&b.shape).iter().enumerate() {
                let cell = b.cell(index);
                let part = |a: &ModelArray| {
                    let all = indices(&a.shape).into_iter().zip(a.data.clone());
                    let items: Vec<_> =
                        all.filter(|(i, _)| a.cell(i) == cell).map(|(_, item)| item).collect();
                    (a.written.contains(&cell), items)
                };
                if m.data[i] == b.data[i] && t.data[i] == b.data[i] {
                    continue;
                }
                pick(part(&b), part(&m), part(&t))?;
                merged.data[i] = pick(&b.data[i], &m.data[i], &t.data[i])?.clone();
            }
            for cell in b.written.iter().chain(&m.written).chain(&t.written) {
                let has = |a: &ModelArray| a.written.contains(cell);
                match pick(has(&b), has(&m), has(&t))? {
                    true => merged.written.insert(cell.clone()),
                    false => merged.written.remove(cell),
                };
            }
            Some(Some(merged))
        }
        (b, m, t) => pick(b, m, t),
    }
}
