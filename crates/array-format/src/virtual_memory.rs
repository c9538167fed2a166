//! What only the operating system can do about memory: the only unsafe code of this crate.

use std::fs::File;
use std::io;

use bytes::Bytes;
use memmap2::Mmap;

/// Memory below this is not worth a call: of pages of 2 MiB it holds one, if any.
const LARGE_BYTES: usize = 4 << 20;

/// Asks for large pages for memory that was not touched yet: filling it then takes a fault for 2 MiB instead of one for 4 KiB. A wish: whatever the
/// system says, the memory holds what it did.
#[cfg(target_os = "linux")]
pub(crate) fn prefer_large_pages(memory: &mut [u8]) {
    use rustix::mm::{Advice, madvise};
    let page = rustix::param::page_size();
    let skipped = memory.as_ptr().align_offset(page);
    if memory.len() < LARGE_BYTES {
        return;
    }
    let Some(whole) = memory.get_mut(skipped..) else { return };
    let len = whole.len() - whole.len() % page;
    // SAFETY: the pages lie inside of memory that is borrowed for writing, and the advice changes nothing of what they hold.
    #[expect(unsafe_code, reason = "the system takes an address")]
    let _refused = unsafe { madvise(whole.as_mut_ptr().cast(), len, Advice::LinuxHugepage) };
}

/// Elsewhere the system decides by itself.
#[cfg(not(target_os = "linux"))]
pub(crate) fn prefer_large_pages(_: &mut [u8]) {}

/// The bytes of a file, without a copy of what the system holds of it. As long as they are held, nobody may truncate the file or write to it.
pub(crate) fn map(file: &File) -> io::Result<Bytes> {
    // SAFETY: objects never change once they have their names (`storage`, "immutable"), and who asks for maps (`LocalStorage::with_maps`) has said
    // that nobody else changes them either.
    #[expect(unsafe_code, reason = "a file is mapped")]
    let map = unsafe { Mmap::map(file) };
    map.map(Bytes::from_owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_holds_what_it_did() {
        let mut memory: Vec<u8> = (0..LARGE_BYTES + 12_345).map(|i| i as u8).collect();
        let before = memory.clone();
        for start in [0, 1, 4096, 5000] {
            prefer_large_pages(&mut memory[start..]);
            assert!(memory == before);
        }
        prefer_large_pages(&mut []);
    }
}
