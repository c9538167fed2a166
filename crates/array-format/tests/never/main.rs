//! What must never happen: one test for each line of the list in the founding documentation, by its number. The rooms beside this one
//! go deeper; here stands the shortest proof.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod commits;
mod content;
mod input;
mod late;
mod readers;
mod servers;
mod storages;

mod support;
