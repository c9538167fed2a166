//! A model of array-format's commit protocol (`docs/format.md`, section 11), small enough that every state of it is looked at.
//!
//! The [store] creates if absent, replaces the base on condition, reads, lists and deletes. [Actors](actor) make one call at a time, in
//! any order: writers, compactors, collectors, workers and committers, readers. A crash needs no step of its own: a crashed actor
//! is one that never moves again, and what must hold is checked in every state. A writer that sleeps is the same until it
//! wakes. Calls that change something may lose their answer, be repeated by the client, fail, or take effect later.
//!
//! [History](history) keeps what really happened, and says in every state whether the file is what it should be. [Guards](guards::Guards) are
//! the checks of the protocol, each a switch: the tests take one away at a time, and the explorer shows the shortest way to
//! what it was for. [Configurations](configurations) say who takes part.
//!
//! # What is left out
//!
//! Bytes: a chunk is a *slot* that holds who wrote it. Attributes and definitions: they overlap as chunks do. Index pages: they lie
//! where the chunks lie. Compactions that merge some layers only, and removing tags. The listing tells on which version a
//! detached layer was begun; a collection has to read that in the object, which never changes. Reads never fail: who reads
//! again is where it was.
//!
//! Version 0 holds chunks and is kept, unless a configuration says that the file begins empty: it stands for the base that
//! earlier compactions left, under whatever number.

pub mod actor;
pub mod calls;
pub mod configurations;
pub mod explore;
pub mod guards;
pub mod history;
pub mod model;
mod step;
pub mod store;
