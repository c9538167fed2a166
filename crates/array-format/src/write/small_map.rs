//! A sorted map that is small as a rule: a million arrays have a chunk and a few attributes each, and a tree for each of them would take
//! more memory than what it holds. One entry takes none besides.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Entries up to which they stand in a row.
const FEW: usize = 16;
/// Room for so many is taken with the second one.
const LEAST: usize = 3;

/// A map in the order of its keys.
#[derive(Debug, Clone)]
pub(crate) enum SmallMap<K, V> {
    One(K, V),
    /// Sorted.
    Few(Vec<(K, V)>),
    Many(BTreeMap<K, V>),
}

impl<K, V> Default for SmallMap<K, V> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<K: Ord, V> SmallMap<K, V> {
    fn place<Q: Ord + ?Sized>(few: &[(K, V)], key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        few.binary_search_by(|e| e.0.borrow().cmp(key))
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::One(..) => false,
            Self::Few(few) => few.is_empty(),
            Self::Many(many) => many.is_empty(),
        }
    }

    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        match self {
            Self::One(k, v) => ((*k).borrow() == key).then_some(v),
            Self::Few(few) => few.get(Self::place(few, key).ok()?).map(|e| &e.1),
            Self::Many(many) => many.get(key),
        }
    }

    pub(crate) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        match self {
            Self::One(k, v) => ((*k).borrow() == key).then_some(v),
            Self::Few(few) => {
                let place = Self::place(few, key).ok()?;
                few.get_mut(place).map(|e| &mut e.1)
            }
            Self::Many(many) => many.get_mut(key),
        }
    }

    pub(crate) fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// Puts an entry in, in the place of one with the same key, whose value comes back.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self {
            Self::Many(many) => return many.insert(key, value),
            Self::One(k, v) if *k == key => return Some(std::mem::replace(v, value)),
            Self::One(..) => {
                let mut few = Vec::with_capacity(LEAST);
                if let Self::One(k, v) = std::mem::take(self) {
                    few.push((k, v));
                }
                few.insert(usize::from(few.first().is_some_and(|e| e.0 < key)), (key, value));
                *self = Self::Few(few);
            }
            Self::Few(few) if few.is_empty() => *self = Self::One(key, value),
            Self::Few(few) => match Self::place(few, &key) {
                Ok(i) => return few.get_mut(i).map(|entry| std::mem::replace(&mut entry.1, value)),
                Err(i) if few.len() < FEW => few.insert(i, (key, value)),
                Err(_) => {
                    let mut many: BTreeMap<K, V> = std::mem::take(few).into_iter().collect();
                    many.insert(key, value);
                    *self = Self::Many(many);
                }
            },
        }
        None
    }

    /// Entries with keys above `key`, in order; all of them without one.
    pub(crate) fn iter_above(&self, key: Option<&K>) -> impl Iterator<Item = (&K, &V)> {
        let (one, few, many) = match self {
            Self::One(k, v) => (key.is_none_or(|key| key < k).then_some((k, v)), None, None),
            Self::Few(few) => {
                let from = key.map_or(0, |key| few.partition_point(|e| e.0 <= *key));
                (None, few.get(from..), None)
            }
            Self::Many(many) => {
                let from = key.map_or(Bound::Unbounded, Bound::Excluded);
                (None, None, Some(many.range((from, Bound::Unbounded))))
            }
        };
        let few = few.into_iter().flatten().map(|(k, v)| (k, v));
        one.into_iter().chain(few).chain(many.into_iter().flatten())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.iter_above(None)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|e| e.0)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|e| e.1)
    }
}

impl<K: Ord, V> Extend<(K, V)> for SmallMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        entries.into_iter().for_each(|(k, v)| drop(self.insert(k, v)));
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SmallMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        map.extend(entries);
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_sorted_map_of_any_size() {
        for n in [0u64, 1, 2, 15, 16, 17, 100] {
            let keys = || (0..n).map(|i| i * 7919 % 101);
            let mut map: SmallMap<u64, u64> = keys().map(|k| (k, k + 1)).collect();
            let mut tree: BTreeMap<u64, u64> = keys().map(|k| (k, k + 1)).collect();
            for k in keys().step_by(3) {
                assert_eq!(map.insert(k, 0), tree.insert(k, 0));
            }
            for k in 0..102 {
                assert!(map.iter_above(Some(&k)).eq(tree.range(k + 1..)));
            }
            assert!(map.iter_above(None).eq(tree.iter()));
            if let Some(v) = map.get_mut(&0) {
                *v = 5;
                tree.insert(0, 5);
            }
            assert_eq!(map.iter().collect::<Vec<_>>(), tree.iter().collect::<Vec<_>>(), "{n}");
            assert_eq!(map.keys().count(), tree.len());
            assert!(map.values().eq(tree.values()) && map.is_empty() == tree.is_empty());
            assert!(
                (0..102)
                    .all(|k| map.get(&k) == tree.get(&k) && map.contains_key(&k) == tree.contains_key(&k))
            );
        }
    }
}
