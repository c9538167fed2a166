//! One storage operation goes wrong, in every way and at every place: a commit is there or not, pending changes are committed exactly
//! once, nothing is lost.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

mod ahead;
mod disk;
mod dropped;
mod fault;
mod flush;
mod judge;
mod operations;
mod staging;
mod work;
