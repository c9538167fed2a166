//! What is still pending after a commit.
//!
//! An attempt can be dropped, or lose its answer, and be found committed when more was changed since. And `define` waits for
//! nobody.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Attempt;
use crate::write::pending::{Pending, Staged, StagedChunk, StagedNode};
use crate::write::small_map::SmallMap;

/// What was changed since an attempt took the pending changes, put on top of what it committed.
pub(crate) fn changed_since(now: &Pending, attempt: &Attempt) -> Pending {
    let then = &attempt.pending;
    let real = |id: u64| attempt.ids.get(&id).copied().unwrap_or(id);
    let mut rest = now.none_after();
    rest.joined = now.joined.difference(&then.joined).copied().collect();
    for (id, chunks) in now.chunks.iter() {
        let old = then.chunks.get(&id);
        let changed =
            chunks.iter().filter(|(k, c)| !old.and_then(|o| o.get(*k)).is_some_and(|o| same_chunk(o, c)));
        for (coords, chunk) in changed {
            // Numbers are where they were in the other ones.
            match chunk {
                StagedChunk::Flat(flat) => rest.put_flat(real(id), coords.clone(), now.flat(*flat)),
                _ => rest.put_chunks(real(id), [(coords.clone(), chunk.clone())]),
            }
        }
    }
    for (id, attributes) in now.attributes.iter() {
        let old = then.attributes.get(&id);
        let changed = attributes.iter().filter(|(name, value)| old.and_then(|o| o.get(*name)) != Some(value));
        let changed: SmallMap<_, _> = changed.map(|(k, v)| (k.clone(), v.clone())).collect();
        if !changed.is_empty() {
            rest.attributes.insert(real(id), changed);
        }
    }
    // Where the attempt put its nodes.
    let placed: BTreeMap<u64, (&String, &StagedNode)> =
        then.nodes.iter().filter_map(|(path, n)| Some((node(n)?.node.id, (path, node(n)?)))).collect();
    for (path, staged) in &now.nodes {
        let stood = then.nodes.get(path);
        match staged {
            Staged::Gone if matches!(stood, Some(Staged::Gone)) => {}
            Staged::Gone => {
                rest.nodes.insert(path.clone(), Staged::Gone);
            }
            Staged::Node(s) => {
                let mut s = s.clone();
                let was = s.node.id;
                s.node.id = real(was);
                s.hides = match stood {
                    Some(stood) => node(stood).is_some_and(|n| n.node.id != was),
                    None => s.hides,
                };
                if let Some((at, committed)) = placed.get(&was) {
                    let moved = *at != path;
                    let redefined =
                        committed.node.shape != s.node.shape || committed.node.schema != s.node.schema;
                    let touched =
                        rest.chunks.contains_key(&s.node.id) || rest.attributes.contains_key(&s.node.id);
                    if !moved && !redefined && !touched {
                        continue;
                    }
                    s.origin = Some((*at).clone());
                    (s.redefined, s.checked) = (moved || redefined, true);
                    s.keys_below = committed.node.keys.clone();
                    let chunk = attempt.inline.get(&s.node.id).map(|c| c.chunk(attempt.version));
                    s.node.chunk = chunk.map(|(chunk, version)| (chunk.clone(), version));
                }
                rest.nodes.insert(path.clone(), Staged::Node(s));
            }
        }
    }
    // What the attempt put where nothing is any more.
    for (path, _) in then.nodes.iter().filter(|(p, n)| node(n).is_some() && !now.nodes.contains_key(*p)) {
        rest.nodes.insert(path.clone(), Staged::Gone);
    }
    rest
}

fn node(staged: &Staged) -> Option<&StagedNode> {
    match staged {
        Staged::Node(s) => Some(s),
        Staged::Gone => None,
    }
}

fn same_chunk(a: &StagedChunk, b: &StagedChunk) -> bool {
    use StagedChunk::{Data, Erased, Flat, Placed};
    match (a, b) {
        (Data(a), Data(b)) => Arc::ptr_eq(a, b),
        (Flat(a), Flat(b)) => a == b,
        (Erased, Erased) => true,
        (Placed(a), Placed(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}
