//! A number for each of many numbers that mostly follow each other.

use std::collections::BTreeMap;

const PAGE: u64 = 1024;

/// Takes memory for the neighbourhoods that were set, and nothing for what a file may claim beside them.
#[derive(Debug, Default)]
pub(crate) struct Paged<T> {
    pages: BTreeMap<u64, Box<[T]>>,
}

impl<T: Copy + Default> Paged<T> {
    pub(crate) fn get(&self, key: u64) -> T {
        let page = self.pages.get(&(key / PAGE));
        page.and_then(|p| p.get((key % PAGE) as usize)).copied().unwrap_or_default()
    }

    pub(crate) fn slot(&mut self, key: u64) -> &mut T {
        let page = self.pages.entry(key / PAGE).or_insert_with(|| vec![T::default(); PAGE as usize].into());
        &mut page[(key % PAGE) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_is_found_and_the_rest_is_the_default() {
        let mut numbers = Paged::<u32>::default();
        for key in [0, 1, 1023, 1024, u64::MAX] {
            *numbers.slot(key) += (key % 7) as u32 + 1;
        }
        for key in [0, 1, 1023, 1024, u64::MAX] {
            assert_eq!(numbers.get(key), (key % 7) as u32 + 1);
        }
        assert_eq!((numbers.get(2), numbers.pages.len()), (0, 3));
    }
}
