//! A file as memory: the only unsafe code of this crate.

use std::fs::File;
use std::io;

use bytes::Bytes;
use memmap2::Mmap;

/// The bytes of a file, without a copy of what the system holds of it. As long as they are held, nobody may truncate the file or write to it.
pub(super) fn map(file: &File) -> io::Result<Bytes> {
    // SAFETY: objects never change once they have their names (`storage`, "immutable"), and who asks for maps (`LocalStorage::with_memory_maps`) has
    // said that nobody else changes them either.
    #[expect(unsafe_code, reason = "a file is mapped")]
    let map = unsafe { Mmap::map(file) };
    map.map(Bytes::from_owner)
}
