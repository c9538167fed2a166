//! Finding the newest version.

use std::sync::Arc;

use super::Step;
use crate::actor::{Fault, Found, Lister, Listings, Phase, Since, Task, Why};
use crate::history::Violation;
use crate::store::{Listing, Name, Part, Root, newest_of};

impl Step<'_> {
    /// How an opening begins.
    pub(super) fn open(&self, why: Why) -> Phase {
        if self.config.guards.list_before_base { Phase::List(why) } else { Phase::BaseFirst(why) }
    }

    fn began(&mut self) {
        // Only readers are checked for it.
        if self.task() != Some(Task::Read) {
            return;
        }
        let file = self.state.store.base.as_ref().map_or(0, |b| b.file);
        let acknowledged = self.state.histories.get(&file).map_or(0, |h| h.acknowledged);
        self.me().since = Since { file, acknowledged, lost: self.state.lost };
    }

    pub(super) fn list(&mut self, why: Why) {
        self.began();
        let listing = self.state.store.list();
        if self.config.listing == Listings::Atomic {
            self.go(Phase::Base(why, listing));
        } else {
            self.go(Phase::ListRest(Lister::Open(why), listing));
        }
    }

    /// The end of a listing that is not atomic.
    pub(super) fn list_rest(&mut self, lister: Lister, begun: &Listing) {
        let mut shown = self.config.shown(begun, &lister.list(&self.state.store));
        let index = if let Fault::Shows(index) = self.fault { usize::from(index) } else { 0 };
        self.fault = Fault::None;
        let listing = shown.swap_remove(index);
        match lister {
            Lister::Open(why) => self.go(Phase::Base(why, listing)),
            Lister::Sure(root) => self.sure_listed(root, listing),
            Lister::Marks(root) => self.sure_marked(root, &listing),
        }
    }

    pub(super) fn base(&mut self, why: Why, listing: Listing) {
        match self.state.store.base.clone() {
            Some(base) => self.newest(why, listing, base),
            // There is no file here any more.
            None => self.fail(),
        }
    }

    pub(super) fn base_first(&mut self, why: Why) {
        self.began();
        match self.state.store.base.clone() {
            Some(base) => self.go(Phase::ListSecond(why, base)),
            None => self.fail(),
        }
    }

    pub(super) fn list_second(&mut self, why: Why, base: Arc<Root>) {
        let listing = self.state.store.list();
        self.newest(why, listing, base);
    }

    fn newest(&mut self, why: Why, listing: Listing, base: Arc<Root>) {
        match newest_of(&listing, self.named(base.file)).map(|e| e.name) {
            Some(Name::Layer(_, number)) if number > base.number => self.go(Phase::Layer(why, listing, base)),
            _ => {
                let found = Found { newest: Arc::clone(&base), base, listing };
                self.opened(why, found);
            }
        }
    }

    pub(super) fn layer(&mut self, why: Why, listing: Listing, base: Arc<Root>) {
        let guards = self.config.guards;
        let Some(entry) = newest_of(&listing, self.named(base.file)) else { return self.fail() };
        let newest = match self.state.store.layer(entry.name) {
            Some(root) if !guards.opens_what_was_listed || root.id == entry.id => root,
            // It is gone, or a stranger stands in its place: begin again.
            _ if guards.begins_again => return self.go(self.open(why)),
            _ => Arc::clone(&base),
        };
        let found = Found { newest, base, listing };
        self.opened(why, found);
    }

    fn opened(&mut self, why: Why, found: Found) {
        if self.config.guards.missing_check && self.damaged(&found) {
            if !self.state.lost {
                self.violated(Violation::FalseDamage);
            }
            return self.fail();
        }
        match why {
            Why::Begin => self.begun(found),
            Why::Created(root) => self.decide(&root, found),
            Why::Taken(root, other) => self.taken(&root, other, &found),
            Why::Tail => self.tail(found),
        }
    }

    /// Whether something is missing that the newest version needs.
    fn damaged(&self, found: &Found) -> bool {
        let file = self.named(found.base.file);
        found.newest.needs().any(|part| {
            let name = match part {
                Part::Fill => return false,
                Part::Layer(number, _) if number == found.base.number => return false,
                Part::Layer(number, _) => Name::Layer(file, number),
                Part::Detached(id) => Name::Detached(file, id),
            };
            if self.config.guards.missing_in_listing {
                !found.listing.iter().any(|e| e.name == name)
            } else {
                !self.state.store.sidecars.contains_key(&name)
            }
        })
    }

    /// The newest version is open: the task begins.
    fn begun(&mut self, found: Found) {
        self.me().base = Some((found.base.number, found.base.id));
        match self.task() {
            Some(Task::Commit(_) | Task::Tag(_)) => self.attempt(&found.newest),
            Some(Task::Join(_)) => self.go(Phase::OpenDetached(found)),
            Some(Task::Detach(slots)) => self.begin_detached(slots, &found.newest),
            Some(Task::Compact { keep }) => self.merge(keep, found),
            Some(Task::Collect { keep }) => self.collect(keep, found),
            Some(Task::Read) => self.read(found.newest),
            Some(Task::ReadAt(number)) => self.find(found, number),
            _ => self.fail(),
        }
    }
}
