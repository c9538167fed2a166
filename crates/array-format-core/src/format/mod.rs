//! The on-disk things, one a file, each with its encoder and decoder: `docs/format.md` sections 3 to 7 and 10.

pub mod attributes;
pub mod blocks;
pub mod chunks;
pub mod column;
pub mod constants;
pub mod directory;
pub mod front_coded;
pub mod nodes;
pub mod numbers;
pub mod page;
pub mod statistics;
pub mod trailer;
