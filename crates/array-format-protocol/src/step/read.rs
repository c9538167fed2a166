//! Readers, workers, and the committer that joins what workers wrote.

use std::sync::Arc;

use super::Step;
use super::commit::overlaps;
use crate::actor::{Fault, Found, Phase, Since, Task, Why, slots_of};
use crate::history::Violation;
use crate::store::{Detached, Name, Object, Part, Root, SLOTS};

impl Step<'_> {
    /// A reader has opened a version.
    pub(super) fn read(&mut self, root: Arc<Root>) {
        let since = self.me().since;
        let known = self.state.histories.get(&root.file).is_some_and(|h| h.has(&root));
        if !known {
            self.violated(Violation::OpenedStranger);
        } else if since.file == root.file && root.number < since.acknowledged {
            self.violated(Violation::OpenedStale);
        }
        if since.lost && !self.whole(&root) {
            self.violated(Violation::Unnoticed);
        }
        self.me().since = Since::default();
        if self.config.guards.looks_in_base {
            self.me().base = None;
        }
        self.next_slot(root, 0);
    }

    /// A reader asks for an older version.
    pub(super) fn find(&mut self, found: Found, number: u8) {
        if !found.newest.keeps(number) {
            // It is no version of the file, or not yet.
            self.fail();
        } else if number == found.newest.number {
            self.read(found.newest);
        } else if number == found.base.number {
            self.read(found.base);
        } else {
            self.go(Phase::Version(found, number));
        }
    }

    /// A reader opens an older version.
    pub(super) fn version(&mut self, found: &Found, number: u8) {
        let name = Name::Layer(self.named(found.newest.file), number);
        let listed = found.listing.iter().find(|e| e.name == name).map(|e| e.id);
        let root = self.state.store.layer(name);
        let any = !self.config.guards.opens_what_was_listed;
        match root.filter(|r| any || Some(r.id) == listed) {
            Some(root) => self.read(root),
            None => {
                let open = self.open(Why::Begin);
                self.go(open);
            }
        }
    }

    /// Whether everything that a version needs is there.
    fn whole(&self, root: &Root) -> bool {
        let base = self.state.store.base.as_ref().map(|b| b.id);
        root.needs().all(|part| base == Some(part.id()) || self.object(root.file, part).is_some())
    }

    fn object(&self, file: u8, part: Part) -> Option<&Object> {
        let name = match part {
            Part::Layer(number, _) => Name::Layer(self.named(file), number),
            Part::Detached(id) => Name::Detached(self.named(file), id),
            Part::Fill => return None,
        };
        self.state.store.sidecars.get(&name)
    }

    fn next_slot(&mut self, root: Arc<Root>, from: usize) {
        match (from..SLOTS).find(|s| root.content[*s].holder != Part::Fill) {
            Some(slot) => {
                let base = self.known_base(&root, slot);
                self.go(Phase::Slot(root, slot, base));
            }
            None => self.finish(),
        }
    }

    /// Wrong way round: whether a slot is in what was the base when the reader began.
    fn known_base(&self, root: &Root, slot: usize) -> bool {
        let base = self.state.actors[self.who].base.map(|b| b.0);
        matches!(root.content[slot].holder, Part::Layer(n, _) if Some(n) == base)
    }

    /// A reader reads a slot: from the sidecar, or from what it became.
    pub(super) fn slot(&mut self, root: Arc<Root>, slot: usize, base: bool) {
        let guards = self.config.guards;
        let holder = root.content[slot].holder;
        let object = if base {
            self.state
                .store
                .base
                .clone()
                .filter(|b| matches!(holder, Part::Layer(n, _) if n == b.number))
                .map(Object::Layer)
        } else {
            self.object(root.file, holder).cloned()
        };
        let object = object.filter(|o| !guards.reference_ids || o.id() == holder.id());
        let Some(object) = object else {
            if !base && guards.looks_in_base && matches!(holder, Part::Layer(..)) {
                return self.go(Phase::Slot(root, slot, true));
            }
            return self.expired(&root);
        };
        let bytes = match object {
            Object::Layer(found) => found.bytes(slot),
            Object::Detached(found) => found.slots[slot],
            Object::Mark => None,
        };
        if bytes != Some(root.content[slot].value) {
            self.violated(Violation::WrongBytes);
        }
        self.next_slot(root, slot + 1);
    }

    /// Tells the caller that the version cannot be read any more.
    fn expired(&mut self, root: &Root) {
        let base = self.state.store.base.as_ref().map(|b| b.file);
        let newest = self.state.histories.get(&root.file).and_then(|h| h.newest());
        let kept = base == Some(root.file) && newest.is_some_and(|n| n.keeps(root.number));
        let gone = self.state.store.base.as_ref().is_some_and(|b| self.config.gone(root.number, b));
        if kept && !gone && !self.state.lost {
            self.violated(Violation::FalseExpired);
        }
        self.fail();
    }

    /// A worker has opened a version.
    pub(super) fn begin_detached(&mut self, slots: u8, root: &Arc<Root>) {
        let task = usize::from(self.me().task);
        let value = self.config.value(self.who, task);
        let mut detached =
            Detached { file: root.file, id: self.new_id(), begun: root.number, slots: [None; SLOTS] };
        for slot in slots_of(slots) {
            detached.slots[slot] = Some(value);
        }
        self.go(Phase::Detach(Arc::new(detached)));
    }

    /// A worker writes its object.
    pub(super) fn detach(&mut self, detached: Arc<Detached>) {
        let name = Name::Detached(self.named(detached.file), detached.id);
        self.state.store.sidecars.insert(name, Object::Detached(Arc::clone(&detached)));
        if self.fault == Fault::None {
            self.me().detached = Some(detached);
            self.finish();
        } else {
            self.go(Phase::Detach(detached));
        }
    }

    /// The worker handed over the id of its object, and what it begun with.
    pub(super) fn waited(&mut self, worker: usize) {
        self.me().detached = self.state.actors[worker].detached.clone();
        if self.me().detached.is_none() {
            return self.fail();
        }
        let open = self.open(Why::Begin);
        self.go(open);
    }

    /// A committer reads the detached layer.
    pub(super) fn open_detached(&mut self, found: &Found) {
        let Some(detached) = self.me().detached.clone() else { return self.fail() };
        if self.object(detached.file, Part::Detached(detached.id)).is_none() {
            return self.refused(&detached);
        }
        self.join(found);
    }

    /// Joins the detached layer on top of a version.
    pub(super) fn join(&mut self, found: &Found) {
        let guards = self.config.guards;
        let Some(detached) = self.me().detached.clone() else { return self.fail() };
        if found.newest.file != detached.file {
            return self.fail();
        }
        if guards.begun_check && detached.begun < found.newest.floor {
            return self.refused(&detached);
        }
        let Some(Task::Join(worker)) = self.task() else { return self.fail() };
        let slots = self.config.slots(worker, 0);
        if guards.overlap_check && overlaps(&found.newest, slots, detached.begun) {
            self.me().seen = self.begun_on(&detached);
            return self.conflict(found.newest.file);
        }
        self.attempt(&found.newest);
    }

    /// The version that a detached layer was begun on.
    pub(super) fn begun_on(&self, detached: &Detached) -> Option<(u8, u8)> {
        let versions = &self.state.histories.get(&detached.file)?.versions;
        Some((detached.begun, versions.get(usize::from(detached.begun))?.root.id))
    }

    /// Tells the caller that the detached layer cannot be joined any more.
    fn refused(&mut self, detached: &Detached) {
        let newest = self.state.histories.get(&detached.file).and_then(|h| h.newest());
        let there = self.state.store.base.as_ref().is_some_and(|b| b.file == detached.file);
        if there && newest.is_some_and(|n| detached.begun >= n.floor) {
            self.violated(Violation::FalseRefusal);
        }
        self.fail();
    }
}
