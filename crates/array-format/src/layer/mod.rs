//! The objects of a file: their names, how they are opened and pinned, which one is the newest.

pub(crate) mod head;
pub(crate) mod names;
pub(crate) mod object;

pub(crate) use head::{Head, open_head};
pub(crate) use object::Objects;
