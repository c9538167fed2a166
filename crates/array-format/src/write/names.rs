//! Names, key sets and values of attributes, each kept once: many nodes have the same ones.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use array_format_core::format::nodes::KeySet;
use array_format_core::value::Value;

use super::small_map::SmallMap;

/// Key sets of which it is remembered what they grew to.
const MOST_GROWN: usize = 4096;

/// Values of attributes that are remembered, for others that are equal, and bytes of each of them.
const MOST_VALUES: usize = 1 << 16;
const MOST_SHARED_BYTES: usize = 64;

/// Attributes from which on a node has a key set of its own, which is changed in place.
pub(super) const MANY_KEYS: usize = 32;

/// Names of attributes: many nodes have the same ones.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    /// Each kept once.
    known: HashSet<Arc<str>>,
    /// Key sets that were grown by a name, by their addresses, with what they became.
    grown: HashMap<usize, (KeySet, SmallMap<Arc<str>, KeySet>)>,
    /// What was set last, in order.
    recent: Vec<Recent>,
    /// Which of them is expected next: node after node, mostly the same attributes are set in the same order.
    next: usize,
}

/// An attribute that was set.
#[derive(Debug, Clone)]
pub(super) struct Recent {
    pub(super) name: Arc<str>,
    pub(super) value: Arc<Value>,
    /// The key sets of the node before and after.
    pub(super) before: KeySet,
    pub(super) after: KeySet,
}

impl Names {
    pub(super) fn shared(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        let name: Arc<str> = name.into();
        self.known.insert(name.clone());
        name
    }

    /// A key set with one name more, at `place`: the same one for all that were the same.
    pub(super) fn grown(&mut self, keys: &KeySet, place: usize, name: &str) -> KeySet {
        let at = Arc::as_ptr(keys).addr();
        if let Some(known) = self.grown.get(&at).and_then(|(_, grown)| grown.get(name)) {
            return known.clone();
        }
        let mut more = Vec::with_capacity(keys.len() + 1);
        more.extend_from_slice(keys);
        more.insert(place, name.to_owned());
        let more = Arc::new(more);
        if self.grown.len() >= MOST_GROWN {
            self.grown.clear();
        }
        let name = self.shared(name);
        // It is kept, so that nothing else gets its address.
        let (_, grown) = self.grown.entry(at).or_insert_with(|| (keys.clone(), SmallMap::default()));
        grown.insert(name, more.clone());
        more
    }

    /// The attribute that was set like this on another node, if it is the one that comes next.
    pub(super) fn again(&mut self, keys: &KeySet, name: &str) -> Option<&mut Recent> {
        let is = |r: &Recent| Arc::ptr_eq(&r.before, keys) && *r.name == *name;
        let place = match self.recent.get(self.next) {
            Some(next) if is(next) => self.next,
            _ if self.recent.first().is_some_and(is) => 0,
            _ => return None,
        };
        self.next = place + 1;
        self.recent.get_mut(place)
    }

    pub(super) fn note(&mut self, recent: Recent) {
        if self.next >= MANY_KEYS {
            self.next = 0;
        }
        match self.recent.get_mut(self.next) {
            Some(place) => *place = recent,
            None => self.recent.push(recent),
        }
        self.next += 1;
    }
}

/// The same value as others have that are equal, as those of many arrays mostly are.
pub(super) fn shared_value(known: &mut HashSet<Arc<Value>>, value: Value) -> Arc<Value> {
    if value.heap_bytes() > MOST_SHARED_BYTES {
        return Arc::new(value);
    }
    if let Some(known) = known.get(&value) {
        return known.clone();
    }
    let value = Arc::new(value);
    if known.len() >= MOST_VALUES {
        known.clear();
    }
    known.insert(value.clone());
    value
}
