//! A model of array-format's commit protocol (`docs/format.md`, section 11), small enough that every state of it is looked at.
//!
//! The [store](store) creates if absent, replaces the base on condition, reads, lists and deletes. [Actors](actor) make one call at a time, in any order:
//! writers, compactors, collectors, workers and committers, readers. A crash needs no step of its own: a crashed actor is one that
//! is never called again, and what must hold is checked in every state. A writer that sleeps is the same until it wakes.
//! [Guards](guards::Guards) are the checks of the protocol, each a switch.

pub mod actor;
pub mod calls;
pub mod configurations;
pub mod explore;
pub mod guards;
pub mod history;
pub mod model;
mod step;
pub mod store;
