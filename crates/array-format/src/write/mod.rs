//! Changes that wait for a commit, and their way into blocks.

pub(crate) mod ascending;
pub(crate) mod brief;
pub(crate) mod by_id;
pub(crate) mod choose;
pub(crate) mod coords;
pub(crate) mod data;
pub(crate) mod define;
mod elements;
pub(crate) mod encode;
mod extents;
pub(crate) mod flats;
pub(crate) mod mover;
mod names;
pub(crate) mod pack;
pub(crate) mod paged;
pub(crate) mod pending;
pub(crate) mod pool;
pub(crate) mod sink;
pub(crate) mod small_map;
pub(crate) mod spill;
pub(crate) mod stage;
