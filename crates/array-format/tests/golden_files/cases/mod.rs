//! The cases. What each of them writes is frozen with its golden file: for something new, add a case.

mod chosen;
mod codecs_filters;
mod compacted;
mod decimals;
mod every_type;
mod groups;
mod layers;
mod many;
mod runs;
mod tags_detached;

use super::Fixture;

/// Makes a golden file.
pub(crate) type Case = fn() -> Fixture;

pub(crate) const ALL: [Case; 11] = [
    every_type::every_type,
    layers::layers,
    codecs_filters::codecs_filters,
    compacted::compacted,
    compacted::versions_kept,
    many::many,
    groups::groups,
    runs::runs,
    tags_detached::tags_detached,
    chosen::chosen,
    decimals::decimals,
];
