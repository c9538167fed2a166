//! A sorted map for keys that mostly come in order, as the names of many arrays do: these stand in a row, without a tree to walk or to balance. What is
//! asked for is mostly what came last.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::collections::btree_map;
use std::ops::Bound;

/// Entries that were taken out before the row is made anew.
const MOST_HOLES: usize = 64;

/// A map in the order of its keys.
#[derive(Debug, Clone)]
pub(crate) struct Ascending<K, V> {
    /// Keys that came in order; `None` where an entry was taken out.
    row: Vec<(K, Option<V>)>,
    holes: usize,
    /// Keys that came too late, all below the last of the row.
    late: BTreeMap<K, V>,
}

impl<K, V> Default for Ascending<K, V> {
    fn default() -> Self {
        Self { row: Vec::new(), holes: 0, late: BTreeMap::new() }
    }
}

impl<K: Ord, V> Ascending<K, V> {
    /// Where in the row a key is, or would be.
    fn place<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        let Some((last, _)) = self.row.last() else { return Err(0) };
        match last.borrow().cmp(key) {
            std::cmp::Ordering::Equal => Ok(self.row.len() - 1),
            std::cmp::Ordering::Less => Err(self.row.len()),
            std::cmp::Ordering::Greater => self.row.binary_search_by(|e| e.0.borrow().cmp(key)),
        }
    }

    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        match self.place(key) {
            Ok(i) => self.row.get(i)?.1.as_ref(),
            Err(i) if i == self.row.len() => None,
            Err(_) => self.late.get(key),
        }
    }

    pub(crate) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        match self.place(key) {
            Ok(i) => self.row.get_mut(i)?.1.as_mut(),
            Err(i) if i == self.row.len() => None,
            Err(_) => self.late.get_mut(key),
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
        match self.place(&key) {
            Ok(i) => {
                let old = self.row.get_mut(i)?.1.replace(value);
                self.holes -= usize::from(old.is_none());
                old
            }
            Err(i) if i == self.row.len() => {
                self.row.push((key, Some(value)));
                None
            }
            Err(_) => self.late.insert(key, value),
        }
    }

    pub(crate) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let Ok(i) = self.place(key) else { return self.late.remove(key) };
        let old = self.row.get_mut(i)?.1.take()?;
        self.holes += 1;
        if self.holes > MOST_HOLES && self.holes * 2 > self.row.len() {
            // The last key stays below which late ones are: else these would have to be looked through.
            let last = self.row.len() - 1;
            let mut at = 0;
            self.row.retain(|e| {
                at += 1;
                e.1.is_some() || at > last
            });
            self.holes = self.row.iter().filter(|e| e.1.is_none()).count();
        }
        Some(old)
    }

    /// The entry that came last in order, unless it was taken out.
    pub(crate) fn last(&self) -> Option<(&K, &V)> {
        self.row.last().and_then(|(k, v)| Some((k, v.as_ref()?)))
    }

    /// Whether all keys are known to lie below this one.
    pub(crate) fn all_below<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.row.last().is_none_or(|(last, _)| last.borrow() < key)
    }

    pub(crate) fn len(&self) -> usize {
        self.row.len() - self.holes + self.late.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries whose keys lie between the bounds, in order.
    pub(crate) fn range<Q: Ord + ?Sized>(&self, from: Bound<&Q>, to: Bound<&Q>) -> Iter<'_, K, V>
    where
        K: Borrow<Q>,
    {
        let before = |key: &K, bound: Bound<&Q>, otherwise: bool| match bound {
            Bound::Included(b) => key.borrow() < b,
            Bound::Excluded(b) => key.borrow() <= b,
            Bound::Unbounded => otherwise,
        };
        let past = |key: &K| match to {
            Bound::Included(b) => key.borrow() > b,
            Bound::Excluded(b) => key.borrow() >= b,
            Bound::Unbounded => false,
        };
        let first = match self.row.last() {
            Some((last, _)) if before(last, from, false) => self.row.len(),
            _ => self.row.partition_point(|e| before(&e.0, from, false)),
        };
        let rest = self.row.get(first..).unwrap_or_default();
        let rest = match to {
            Bound::Unbounded => rest,
            _ => rest.get(..rest.partition_point(|e| !past(&e.0))).unwrap_or_default(),
        };
        // A tree panics at bounds that cross.
        let late = match self.late.is_empty() || crosses(from, to) {
            true => None,
            false => Some(self.late.range((from, to))),
        };
        Iter { row: rest.iter(), late, next_row: None, next_late: None }
    }

    pub(crate) fn iter(&self) -> Iter<'_, K, V> {
        self.range::<K>(Bound::Unbounded, Bound::Unbounded)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|e| e.1)
    }

    /// All entries, in any order.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        let row = self.row.iter_mut().filter_map(|(k, v)| Some((&*k, v.as_mut()?)));
        row.chain(self.late.iter_mut())
    }
}

fn crosses<Q: Ord + ?Sized>(from: Bound<&Q>, to: Bound<&Q>) -> bool {
    use Bound::{Excluded, Included, Unbounded};
    match (from, to) {
        (Unbounded, _) | (_, Unbounded) => false,
        (Included(a), Included(b)) => a > b,
        (Included(a) | Excluded(a), Included(b) | Excluded(b)) => a >= b,
    }
}

/// Entries in order.
pub(crate) struct Iter<'a, K, V> {
    row: std::slice::Iter<'a, (K, Option<V>)>,
    late: Option<btree_map::Range<'a, K, V>>,
    next_row: Option<(&'a K, &'a V)>,
    next_late: Option<(&'a K, &'a V)>,
}

impl<'a, K: Ord, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        let mut of_row = || self.row.find_map(|(k, v)| Some((k, v.as_ref()?)));
        let Some(late) = &mut self.late else { return of_row() };
        self.next_row = self.next_row.take().or_else(of_row);
        self.next_late = self.next_late.take().or_else(|| late.next());
        match (self.next_row, self.next_late) {
            (Some(row), Some(late)) if late.0 < row.0 => self.next_late.take(),
            (Some(_), _) => self.next_row.take(),
            (None, _) => self.next_late.take(),
        }
    }
}

impl<'a, K: Ord, V> IntoIterator for &'a Ascending<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
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
            changes in prop::collection::vec((0u16..400, 0u8..5), 0..800),
            bounds in prop::collection::vec((0u16..410, 0u8..3, 0u16..410, 0u8..3), 10),
        ) {
            let mut changes = changes;
            if sorted {
                changes.sort_unstable();
            }
            let (mut map, mut tree) = (Ascending::default(), BTreeMap::new());
            for (i, (key, change)) in changes.into_iter().enumerate() {
                match change {
                    0 | 1 => prop_assert_eq!(map.remove(&key), tree.remove(&key)),
                    2 => prop_assert_eq!(map.get_mut(&key).map(|v| *v += 1), tree.get_mut(&key).map(|v| *v += 1)),
                    _ => prop_assert_eq!(map.insert(key, i), tree.insert(key, i)),
                }
                prop_assert_eq!((map.len(), map.is_empty()), (tree.len(), tree.is_empty()));
            }
            prop_assert!(map.iter().eq(tree.iter()) && map.values().eq(tree.values()));
            prop_assert!((0..410).all(|k| map.get(&k) == tree.get(&k) && map.contains_key(&k) == tree.contains_key(&k)));
            let bound = |key, kind| match kind {
                0 => Bound::Included(key),
                1 => Bound::Excluded(key),
                _ => Bound::Unbounded,
            };
            for (a, a_kind, b, b_kind) in bounds {
                let (from, to) = (bound(a, a_kind), bound(b, b_kind));
                let inside = tree.iter().filter(|e| {
                    use std::ops::RangeBounds as _;
                    (from, to).contains(e.0)
                });
                prop_assert!(map.range(from.as_ref(), to.as_ref()).eq(inside));
            }
            map.iter_mut().for_each(|(k, v)| *v = usize::from(*k));
            prop_assert!(map.iter().all(|(k, v)| usize::from(*k) == *v));
        }
    }
}
