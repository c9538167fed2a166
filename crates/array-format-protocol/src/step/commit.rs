//! The four steps of a commit.

use std::sync::Arc;

use super::Step;
use crate::actor::{Fault, Found, Lister, Listings, Phase, Task, Why, slots_of};
use crate::history::{History, Violation, changed};
use crate::model::Late;
use crate::store::{Listing, Name, Object, Part, Root};

impl Step<'_> {
    /// Builds the layer of the task on a version, and is about to create it.
    pub(super) fn attempt(&mut self, ground: &Arc<Root>) {
        let task = usize::from(self.me().task);
        let (slots, value) = (self.config.slots(self.who, task), self.config.value(self.who, task));
        let id = self.new_id();
        let mut root = changed(ground, id, slots, value, self.config.ancestors);
        if !self.config.guards.takes_over {
            // As if it had kept what it knew first.
            root.floor = 0;
        }
        match self.task() {
            Some(Task::Tag(version)) => {
                let may = ground.keeps(version) || !self.config.guards.tag_check;
                if !may {
                    // What is asked for is no version of the file any more.
                    return self.fail();
                }
                if !root.tags.contains(&version) {
                    root.tags.push(version);
                    root.tags.sort_unstable();
                }
            }
            Some(Task::Join(_)) => {
                let Some(detached) = self.me().detached.clone() else { return self.fail() };
                for slot in slots_of(slots) {
                    root.content[slot].holder = Part::Detached(detached.id);
                }
                self.me().seen = self.begun_on(&detached);
            }
            Some(Task::Compact { keep }) => {
                for cell in root.content.iter_mut().filter(|c| c.holder != Part::Fill) {
                    cell.holder = Part::Layer(root.number, id);
                }
                if !keep {
                    root.floor = root.number;
                }
            }
            Some(Task::Collect { keep }) => {
                root.floor = root.floor.max(ground.number.saturating_sub(keep));
            }
            _ => {}
        }
        if let Some(Task::Commit(_)) = self.task() {
            self.me().seen.get_or_insert((ground.number, ground.id));
        }
        self.me().ground = Some(Arc::clone(ground));
        self.go(Phase::Create(Arc::new(root)));
    }

    /// Step 1.
    pub(super) fn create(&mut self, root: Arc<Root>) {
        let guards = self.config.guards;
        let name = self.name(&root);
        let free = !self.state.store.sidecars.contains_key(&name);
        let happens = !matches!(self.fault, Fault::Failed | Fault::Late);
        if happens && (free || !guards.create_if_absent) {
            self.state.store.sidecars.insert(name, Object::Layer(Arc::clone(&root)));
            self.published(&root);
        }
        if self.fault == Fault::Late {
            self.state.late.push(Late::Create(name, Object::Layer(Arc::clone(&root))));
        }
        let taken = !free && guards.create_if_absent;
        match self.fault {
            Fault::None if !taken => self.created(root),
            _ if guards.write_id_after_error => self.go(Phase::Trailer(root)),
            // As if it were another's for sure.
            _ => self.go(self.open(Why::Taken(root, true))),
        }
    }

    /// Takes note of a layer that is there now.
    pub(super) fn published(&mut self, root: &Arc<Root>) {
        let there = self.state.store.base.as_ref().is_some_and(|b| b.file == root.file);
        let actor = self.state.actors[self.who].clone();
        if let Some((number, id)) = actor.seen {
            let seen_in = |h: &History| h.versions.get(usize::from(number)).is_some_and(|v| v.root.id == id);
            if self.state.histories.iter().any(|(file, h)| *file != root.file && seen_in(h)) {
                self.violated(Violation::AnotherFile);
            }
        }
        let Some(history) = self.state.histories.get_mut(&root.file) else { return };
        if there
            && history.versions.len() == usize::from(root.number)
            && let Err(violation) = history.push(self.config, &actor, self.who, root)
        {
            self.violated(violation);
        }
    }

    /// Step 1, after an error.
    pub(super) fn trailer(&mut self, root: Arc<Root>) {
        let own = self.state.store.layer(self.name(&root)).map(|r| r.id == root.id);
        match own {
            Some(true) => self.created(root),
            None if !self.config.guards.ancestors_when_taken => self.go(Phase::Create(root)),
            other => self.go(self.open(Why::Taken(root, other == Some(false)))),
        }
    }

    fn created(&mut self, root: Arc<Root>) {
        let guards = self.config.guards;
        if guards.mark_after_create && guards.mark_before_base {
            self.go(Phase::SureMark(root));
        } else {
            self.sure_listed(root, Listing::default());
        }
    }

    /// Step 2.
    pub(super) fn sure_mark(&mut self, root: Arc<Root>) {
        let lister = Lister::Marks(Arc::clone(&root));
        let marks = lister.list(&self.state.store);
        if self.config.listing == Listings::Atomic {
            self.sure_marked(root, &marks);
        } else {
            self.go(Phase::ListRest(lister, marks));
        }
    }

    pub(super) fn sure_marked(&mut self, root: Arc<Root>, marks: &Listing) {
        let file = self.named(root.file);
        let marked =
            marks.iter().any(|e| matches!(e.name, Name::Mark(f, n) if f == file && n >= root.number));
        if !self.config.guards.mark_before_base && !marked {
            let base = self.me().base.map_or(0, |b| b.0);
            return self.sure(root, &Listing::default(), base);
        }
        if marked && self.config.guards.list_after_create {
            self.go(Phase::SureList(root));
        } else {
            // A number without a mark was never freed, or the base has passed it.
            self.sure_listed(root, Listing::default());
        }
    }

    /// Step 2.
    pub(super) fn sure_list(&mut self, root: Arc<Root>) {
        let listing = self.state.store.list();
        if self.config.listing == Listings::Atomic {
            self.sure_listed(root, listing);
        } else {
            self.go(Phase::ListRest(Lister::Sure(root), listing));
        }
    }

    pub(super) fn sure_listed(&mut self, root: Arc<Root>, listing: Listing) {
        if self.config.guards.base_after_create {
            self.go(Phase::SureBase(root, listing));
        } else {
            let base = self.me().base.map_or(0, |b| b.0);
            self.sure(root, &listing, base);
        }
    }

    /// Step 2.
    pub(super) fn sure_base(&mut self, root: Arc<Root>, listing: &Listing) {
        let guards = self.config.guards;
        let gone = guards.file_after_create && guards.file_ids;
        match self.state.store.base.clone() {
            // Another file, or none: the commit did not happen.
            None => self.fail(),
            Some(base) if gone && base.file != root.file => self.fail(),
            Some(base) => {
                self.me().base = Some((base.number, base.id));
                if guards.mark_before_base {
                    self.sure(root, listing, base.number);
                } else {
                    self.go(Phase::SureMark(root));
                }
            }
        }
    }

    fn sure(&mut self, root: Arc<Root>, listing: &Listing, base: u8) {
        let file = self.named(root.file);
        let higher =
            listing.iter().any(|e| matches!(e.name, Name::Layer(f, n) if f == file && n > root.number));
        if base < root.number && !higher {
            self.acknowledged(&root);
        } else {
            self.go(self.open(Why::Created(root)));
        }
    }

    /// Step 3.
    pub(super) fn decide(&mut self, root: &Arc<Root>, found: Found) {
        let guards = self.config.guards;
        if guards.file_ids && guards.file_of_newest && found.newest.file != root.file {
            return self.fail();
        }
        let floor = !guards.floor_test || found.newest.floor <= root.number;
        let base = !guards.base_test || found.base.number < root.number;
        let known = guards.ancestors_test && found.newest.id_of(root.number) == Some(root.id);
        if (floor && base) || known {
            self.acknowledged(root);
        } else if self.unknown(root, &found) {
            self.fail();
        } else {
            self.go(Phase::DeleteOwn(Arc::clone(root), found));
        }
    }

    /// Step 3: the number had been freed.
    pub(super) fn delete_own(&mut self, root: &Arc<Root>, found: Found) {
        let name = self.name(root);
        self.remove(name);
        if self.fault == Fault::None {
            self.rebase(&found);
        } else {
            self.go(Phase::DeleteOwn(Arc::clone(root), found));
        }
    }

    /// Step 4: another has the number, or the create had no effect.
    pub(super) fn taken(&mut self, root: &Arc<Root>, other: bool, found: &Found) {
        let guards = self.config.guards;
        if guards.file_ids && guards.file_of_newest && found.newest.file != root.file {
            return self.fail();
        }
        self.me().base = Some((found.base.number, found.base.id));
        if guards.ancestors_when_taken && found.newest.id_of(root.number) == Some(root.id) {
            self.acknowledged(root);
        } else if found.newest.number < root.number && guards.repeats_same_write_id {
            self.go(Phase::Create(Arc::clone(root)));
        } else if self.unknown(root, found) {
            // While the number cannot have been freed, the layer tells.
            if found.newest.floor > root.number || found.base.number >= root.number {
                self.fail();
            } else if other {
                self.rebase(found);
            } else {
                self.go(Phase::Trailer(Arc::clone(root)));
            }
        } else {
            self.rebase(found);
        }
    }

    /// Whether the ancestors of the newest version do not reach back to a layer.
    fn unknown(&self, root: &Root, found: &Found) -> bool {
        let before = found.newest.number > root.number;
        self.config.guards.says_unknown && before && found.newest.id_of(root.number).is_none()
    }

    /// Step 4: builds on the newest version if nothing overlaps.
    fn rebase(&mut self, found: &Found) {
        self.me().base = Some((found.base.number, found.base.id));
        match self.task() {
            Some(Task::Commit(slots)) => {
                let seen = self.me().ground.as_ref().map_or(0, |g| g.number);
                if self.config.guards.overlap_check && overlaps(&found.newest, slots, seen) {
                    self.conflict(found.newest.file);
                } else {
                    self.attempt(&found.newest);
                }
            }
            Some(Task::Join(_)) => self.join(found),
            Some(Task::Tag(_)) => self.attempt(&found.newest),
            _ => {
                let open = self.open(Why::Begin);
                self.go(open);
            }
        }
    }

    /// Tells the caller that another changed the same.
    pub(super) fn conflict(&mut self, file: u8) {
        let (actor, who) = (self.state.actors[self.who].clone(), self.who);
        let by = (who as u8, actor.task);
        if let Some(history) = self.state.histories.get(&file) {
            let own = history.versions.iter().any(|v| v.by == by);
            if own || !history.changed_since(self.config, &actor, who) {
                self.violated(Violation::FalseConflict);
            }
        }
        self.fail();
    }

    /// Tells the caller that the commit is done.
    fn acknowledged(&mut self, root: &Arc<Root>) {
        match self.state.histories.get_mut(&root.file) {
            Some(history) if history.has(root) => {
                history.acknowledged = history.acknowledged.max(root.number);
            }
            _ => self.violated(Violation::AcknowledgedNotCommitted),
        }
        self.me().ground = Some(Arc::clone(root));
        match self.task() {
            Some(Task::Compact { keep }) => self.merged(keep, root),
            Some(Task::Collect { .. }) => self.go_delete(),
            _ => self.finish(),
        }
    }
}

/// Whether a version holds newer changes of some slots than those that were seen.
pub(super) fn overlaps(newest: &Root, slots: u8, seen: u8) -> bool {
    slots_of(slots).any(|s| newest.content[s].version > seen)
}
