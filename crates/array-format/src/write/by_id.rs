//! A map by ids of nodes. New nodes get them one after the other, so that most have a place that follows from the id.

use std::collections::BTreeMap;

/// Places in the row that stay empty where ids are left out, at most, and as many as the row has.
const MOST_LEFT_OUT: u64 = 64;

/// Keys from the first one on stand in a row, each at its distance from it; keys before it, or too far ahead, in a tree.
#[derive(Debug, Clone)]
pub(crate) struct ById<V> {
    first: u64,
    row: Vec<Option<V>>,
    others: BTreeMap<u64, V>,
}

impl<V> Default for ById<V> {
    fn default() -> Self {
        Self { first: 0, row: Vec::new(), others: BTreeMap::new() }
    }
}

impl<V> ById<V> {
    /// The place in the row, if there is one for this id.
    fn place(&self, id: u64) -> Option<usize> {
        let place = usize::try_from(id.checked_sub(self.first)?).ok()?;
        (place < self.row.len()).then_some(place)
    }

    pub(crate) fn get(&self, id: &u64) -> Option<&V> {
        match self.place(*id) {
            Some(i) => self.row.get(i)?.as_ref(),
            None if self.others.is_empty() => None,
            None => self.others.get(id),
        }
    }

    pub(crate) fn get_mut(&mut self, id: &u64) -> Option<&mut V> {
        match self.place(*id) {
            Some(i) => self.row.get_mut(i)?.as_mut(),
            None if self.others.is_empty() => None,
            None => self.others.get_mut(id),
        }
    }

    pub(crate) fn contains_key(&self, id: &u64) -> bool {
        self.get(id).is_some()
    }

    /// The slot of an id in the row, which grows by it if that leaves few places empty.
    fn slot(&mut self, id: u64) -> Option<&mut Option<V>> {
        if self.row.is_empty() {
            self.first = id;
        }
        let place = id.checked_sub(self.first)?;
        let len = self.row.len() as u64;
        if place >= len {
            if place - len > len.min(MOST_LEFT_OUT) {
                return None;
            }
            // What was too far ahead when it came would have its place here now.
            if !self.others.is_empty() && self.others.range(self.first..=id).next().is_some() {
                return None;
            }
            self.row.resize_with(place as usize + 1, || None);
        }
        self.row.get_mut(place as usize)
    }

    pub(crate) fn insert(&mut self, id: u64, value: V) -> Option<V> {
        match self.slot(id) {
            Some(slot) => slot.replace(value),
            None => self.others.insert(id, value),
        }
    }

    pub(crate) fn remove(&mut self, id: &u64) -> Option<V> {
        match self.place(*id) {
            Some(i) => self.row.get_mut(i)?.take(),
            None => self.others.remove(id),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.others.is_empty() && self.row.iter().all(Option::is_none)
    }

    /// All entries by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &V)> {
        let row = (self.first..).zip(&self.row).filter_map(|(id, v)| Some((id, v.as_ref()?)));
        let below = self.others.range(..self.first).map(|(id, v)| (*id, v));
        let above = self.others.range(self.first..).map(|(id, v)| (*id, v));
        below.chain(row).chain(above)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|e| e.1)
    }
}

impl<V: Default> ById<V> {
    /// The value of an id; a default one if there was none.
    pub(crate) fn entry(&mut self, id: u64) -> &mut V {
        // Twice, since a slot that is handed out cannot be had again.
        if self.slot(id).is_some()
            && let Some(slot) = self.place(id).and_then(|i| self.row.get_mut(i))
        {
            return slot.get_or_insert_default();
        }
        self.others.entry(id).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_sorted_map(
            sorted in any::<bool>(),
            spread in prop_oneof![Just(1u64), Just(3), Just(1000), Just(1 << 60)],
            changes in prop::collection::vec((0u64..12, 0u8..5), 0..100),
        ) {
            let mut changes = changes;
            if sorted {
                changes.sort_unstable();
            }
            let (mut map, mut tree) = (ById::default(), BTreeMap::new());
            for (i, (id, change)) in changes.into_iter().enumerate() {
                let id = (id + 1) * spread;
                match change {
                    0 => prop_assert_eq!(map.remove(&id), tree.remove(&id)),
                    1 => prop_assert_eq!(map.get_mut(&id).map(|v| *v += 1), tree.get_mut(&id).map(|v| *v += 1)),
                    2 => {
                        *map.entry(id) += 1;
                        *tree.entry(id).or_default() += 1;
                    }
                    _ => prop_assert_eq!(map.insert(id, i), tree.insert(id, i)),
                }
                prop_assert_eq!(map.is_empty(), tree.is_empty());
            }
            prop_assert!(map.iter().eq(tree.iter().map(|(id, v)| (*id, v))) && map.values().eq(tree.values()));
            for id in (0..40).map(|i| i * spread.min(1 << 58)) {
                prop_assert_eq!(map.get(&id), tree.get(&id));
                prop_assert_eq!(map.contains_key(&id), tree.contains_key(&id));
            }
        }
    }
}
