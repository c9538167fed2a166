//! Coordinates of a chunk. Those of the one chunk of a small array, which are all 0, take no memory of their own.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use array_format_core::format::constants::MAX_RANK;

/// The origin, of any rank.
static ORIGIN: [u64; MAX_RANK] = [0; MAX_RANK];

/// Grid coordinates of a chunk; compares like the slice of them.
#[derive(Clone)]
pub(crate) struct Coords(Form);

#[derive(Clone)]
enum Form {
    /// As many zeros.
    Origin(u8),
    At(Box<[u64]>),
}

impl Coords {
    /// The first chunk of an array of this rank.
    pub(crate) fn origin(rank: usize) -> Self {
        match u8::try_from(rank) {
            Ok(small) if rank <= MAX_RANK => Self(Form::Origin(small)),
            _ => Self(Form::At(vec![0; rank].into())),
        }
    }
}

/// As the numbers that they are: messages name chunks by them.
impl fmt::Debug for Coords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl Deref for Coords {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        match &self.0 {
            Form::Origin(rank) => ORIGIN.get(..usize::from(*rank)).unwrap_or_default(),
            Form::At(coords) => coords,
        }
    }
}

impl From<&[u64]> for Coords {
    fn from(coords: &[u64]) -> Self {
        match coords.iter().all(|k| *k == 0) {
            true => Self::origin(coords.len()),
            false => Self(Form::At(coords.into())),
        }
    }
}

impl From<Vec<u64>> for Coords {
    fn from(coords: Vec<u64>) -> Self {
        match coords.iter().all(|k| *k == 0) {
            true => Self::origin(coords.len()),
            false => Self(Form::At(coords.into())),
        }
    }
}

impl Borrow<[u64]> for Coords {
    fn borrow(&self) -> &[u64] {
        self
    }
}

impl PartialEq for Coords {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Coords {}

impl PartialOrd for Coords {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Coords {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for Coords {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_what_they_were_made_of() {
        let all: [&[u64]; 7] = [&[], &[0], &[0, 0], &[0, 1], &[1], &[1, 0], &[0; MAX_RANK + 300]];
        for a in all {
            let coords = Coords::from(a);
            assert_eq!((&*coords, &*Coords::from(a.to_vec())), (a, a));
            for b in all {
                assert_eq!(coords.cmp(&b.into()), a.cmp(b));
                assert_eq!(coords == b.into(), a == b);
            }
        }
        assert_eq!(size_of::<Coords>(), 16);
    }
}
