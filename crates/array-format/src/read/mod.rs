//! Reading: a view of a version with or without pending changes, the plan of a region, fetching, assembling.

mod arrivals;
pub(crate) mod assemble;
pub(crate) mod fetch;
mod fill;
mod frames;
mod kept;
mod load;
mod many;
pub(crate) mod ragged;
mod scratch;
mod single;
mod slabs;
mod source;
mod stream;
pub(crate) mod view;

pub(crate) use view::View;
