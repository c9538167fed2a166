//! Memory that a thread uses again for the next chunk: fresh pages cost more than the bytes that they get.

use std::cell::Cell;

use array_format_core::Result;
use array_format_core::buffer::zeroed;

/// What the next chunk overwrites.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) stored: Vec<u8>,
    pub(super) raw: Vec<u8>,
}

/// A thread keeps no more than this.
const KEPT_BYTES: usize = 16 << 20;

thread_local! {
    static SCRATCH: Cell<Option<Scratch>> = const { Cell::new(None) };
}

pub(super) fn with_scratch<R>(f: impl FnOnce(&mut Scratch) -> R) -> R {
    let mut scratch = SCRATCH.try_with(Cell::take).ok().flatten().unwrap_or_default();
    let result = f(&mut scratch);
    if scratch.stored.capacity() + scratch.raw.capacity() <= KEPT_BYTES {
        // While the thread ends there is nothing to keep it for.
        let _ = SCRATCH.try_with(|cell| cell.set(Some(scratch)));
    }
    result
}

/// The first `len` bytes of memory that is used again, whatever they hold.
pub(super) fn room(memory: &mut Vec<u8>, len: usize) -> Result<&mut [u8]> {
    if memory.len() < len {
        *memory = zeroed(len)?;
    }
    Ok(memory.get_mut(..len).unwrap_or_default())
}
