//! Numbers of small arrays that wait for a commit: one behind the other, in rooms of some hundred kilobytes. Memory for each of a million arrays would be
//! taken and given back in pieces, which costs more than to fill it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// A room is left for the next one when it holds so many bytes.
const ROOM_BYTES: usize = 256 << 10;

/// More numbers get memory of their own.
pub(crate) const MOST_FLAT_BYTES: usize = ROOM_BYTES / 4;

/// Where the numbers of a chunk are. No two chunks ever get the same place, however long a handle lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Flat {
    /// Numbers enough for a petabyte.
    room: u32,
    offset: u32,
    length: u32,
}

impl Flat {
    pub(crate) fn len(self) -> usize {
        self.length as usize
    }

    fn range(self) -> Range<usize> {
        let offset = self.offset as usize;
        offset..offset + self.length as usize
    }
}

/// Numbers that are held on to, whatever becomes of the pending changes.
#[derive(Debug, Clone)]
pub(crate) struct HeldFlat {
    room: Arc<Vec<u8>>,
    flat: Flat,
}

impl HeldFlat {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.room.get(self.flat.range()).unwrap_or_default()
    }
}

#[derive(Debug, Clone, Default)]
struct Room {
    bytes: Arc<Vec<u8>>,
    /// Chunks in it that are still wanted.
    live: u32,
}

/// All rooms. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flats {
    rooms: BTreeMap<u32, Room>,
    /// The number of the room that is being filled, or of the next one.
    open: u32,
    spare: Spare,
}

/// Memory of rooms that nobody wants any more: the next ones need not have it from the operating system, page by page.
#[derive(Debug, Default)]
struct Spare(Vec<Vec<u8>>);

/// Rooms that are kept: what is in one batch.
const SPARE_ROOMS: usize = 32;

impl Clone for Spare {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Spare {
    fn put(&mut self, room: Room) {
        if self.0.len() < SPARE_ROOMS
            && let Some(mut bytes) = Arc::into_inner(room.bytes)
            && bytes.capacity() == ROOM_BYTES
        {
            bytes.clear();
            self.0.push(bytes);
        }
    }
}

impl Flats {
    /// Nothing, but with numbers that were not given before.
    pub(crate) fn none_after(&self) -> Self {
        Self { rooms: BTreeMap::new(), open: self.open.saturating_add(1), spare: Spare::default() }
    }

    /// Puts numbers in.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Flat {
        let full = |room: &Room| room.bytes.len() + bytes.len() > ROOM_BYTES;
        // Whoever holds on to a room keeps it as it is: then it may be left nearly empty, and the next one takes no more than it needs.
        let is_full = self.rooms.get(&self.open).is_none_or(full);
        let is_held = self.rooms.get_mut(&self.open).is_some_and(|r| Arc::get_mut(&mut r.bytes).is_none());
        if is_full || is_held {
            self.leave();
        }
        let room = self.rooms.entry(self.open).or_default();
        let filled = Arc::make_mut(&mut room.bytes);
        if filled.capacity() == 0 && is_full {
            *filled = self.spare.0.pop().unwrap_or_else(|| Vec::with_capacity(ROOM_BYTES));
        }
        let flat = Flat { room: self.open, offset: filled.len() as u32, length: bytes.len() as u32 };
        filled.extend_from_slice(bytes);
        room.live += 1;
        flat
    }

    /// Ends the room that is being filled.
    fn leave(&mut self) {
        if self.rooms.get(&self.open).is_some_and(|r| r.live == 0) {
            self.remove(self.open);
        }
        self.open = self.open.saturating_add(1);
    }

    pub(crate) fn get(&self, flat: Flat) -> &[u8] {
        self.rooms.get(&flat.room).and_then(|room| room.bytes.get(flat.range())).unwrap_or_default()
    }

    pub(crate) fn held(&self, flat: Flat) -> HeldFlat {
        let room = self.rooms.get(&flat.room).map(|room| room.bytes.clone());
        HeldFlat { room: room.unwrap_or_default(), flat }
    }

    /// Takes note that numbers are not wanted any more.
    pub(crate) fn free(&mut self, flat: Flat) {
        let Some(room) = self.rooms.get_mut(&flat.room) else { return };
        room.live = room.live.saturating_sub(1);
        if room.live == 0 && flat.room != self.open {
            self.remove(flat.room);
        }
    }

    fn remove(&mut self, room: u32) {
        if let Some(room) = self.rooms.remove(&room) {
            self.spare.put(room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_rooms_go_with_the_last_of_theirs() {
        let bytes = |i: usize| vec![i as u8; 100 + i % 400];
        let mut flats = Flats::default();
        let mut all: Vec<Flat> = (0..5000).map(|i| flats.put(&bytes(i))).collect();
        let rooms = flats.rooms.len();
        assert!(rooms >= 5 && all.iter().enumerate().all(|(i, f)| flats.get(*f) == bytes(i)));
        // What is held stays, and is not written to.
        let (held, then) = (flats.held(all[4999]), flats.clone());
        all.push(flats.put(&bytes(5000)));
        assert_eq!((held.bytes(), flats.get(all[5000])), (&bytes(4999)[..], &bytes(5000)[..]));
        assert_eq!(flats.rooms.len(), rooms + 1);
        all.iter().for_each(|f| flats.free(*f));
        assert_eq!(flats.rooms.len(), 1, "the one that is being filled");
        assert_eq!(flats.spare.0.len(), 0, "all of them are held by the clone");
        assert!((0..5000).all(|i| then.get(all[i]) == bytes(i)) && held.bytes() == bytes(4999));
        let next = flats.none_after().put(&[1]);
        assert!(all.iter().all(|f| f.room != next.room));
    }

    #[test]
    fn memory_of_rooms_is_used_again() {
        let mut flats = Flats::default();
        let numbers = vec![7; ROOM_BYTES / 8];
        let first: Vec<Flat> = (0..32).map(|_| flats.put(&numbers)).collect();
        let places: Vec<*const u8> = flats.rooms.values().map(|r| r.bytes.as_ptr()).collect();
        assert_eq!(places.len(), 4);
        first.iter().for_each(|f| flats.free(*f));
        assert_eq!((flats.rooms.len(), flats.spare.0.len()), (1, 3));
        let again: Vec<Flat> = (0..32).map(|i| flats.put(&vec![i; ROOM_BYTES / 8])).collect();
        assert!(flats.spare.0.is_empty() && flats.rooms.values().all(|r| places.contains(&r.bytes.as_ptr())));
        assert!(again.iter().zip(0..).all(|(f, i)| flats.get(*f) == vec![i; ROOM_BYTES / 8]));
    }
}
