//! Compaction and collection.

use std::sync::Arc;

use super::Step;
use crate::actor::{Fault, Found, Keep, Phase, Task, Why};
use crate::model::Late;
use crate::store::{Entry, Name, Number, Object, Part, Root};

impl Step<'_> {
    /// Compaction: merges what was found, unless that is one layer already.
    pub(super) fn merge(&mut self, keep: bool, found: Found) {
        let one = found.newest.needs().all(|part| part == found.newest.part());
        let floor = self.first_kept(found.newest.floor);
        if one && (keep || floor == found.newest.number) {
            return self.merged_as(keep, &found.newest);
        }
        if !self.config.guards.delete_after_publish && !keep && self.me().queue.is_empty() {
            // Wrong way round: what is to be merged goes first.
            let own = |e: &&Entry| matches!(e.name, Name::Layer(f, _) if f == found.base.file);
            self.me().queue = found.listing.iter().filter(own).map(|e| e.name).collect();
            self.me().ground = Some(found.newest);
            return self.go(Phase::Delete);
        }
        self.attempt(&found.newest);
    }

    pub(super) fn merged(&mut self, keep: bool, root: &Arc<Root>) {
        let root = Arc::clone(root);
        self.merged_as(keep, &root);
    }

    /// Compaction: the merged layer is committed.
    fn merged_as(&mut self, keep: bool, root: &Arc<Root>) {
        self.me().ground = Some(Arc::clone(root));
        let base = self.me().base.map_or(0, |b| b.0);
        if !self.config.conditional && self.config.guards.promote_conditional || base >= root.number {
            self.promoted(keep);
        } else {
            // What kept versions need decides whether the base may go.
            let mut todo: Vec<Number> = (self.first_kept(root.floor)..root.number).collect();
            todo.extend(root.tags.iter().filter(|t| **t < root.floor));
            let needed = root.needs().chain(todo.iter().map(|v| Part::Layer(*v, 0))).collect();
            todo.retain(|v| *v > base);
            let stand_in =
                Found { newest: Arc::clone(root), base: Arc::clone(root), listing: Arc::default() };
            let plan = Keep { found: stand_in, floor: root.floor, todo, needed, promote: true, tail: true };
            self.next_kept(plan);
        }
    }

    /// The first version that a floor keeps: the empty one is not.
    fn first_kept(&self, floor: Number) -> Number {
        if self.config.empty { floor.max(1) } else { floor }
    }

    /// Compaction: the base was replaced, or stays.
    fn promoted(&mut self, keep: bool) {
        if keep && !self.config.empty {
            self.finish();
        } else {
            let open = self.open(Why::Tail);
            self.go(open);
        }
    }

    /// Compaction: puts the merged layer in the place of the base.
    pub(super) fn promote(&mut self, root: &Arc<Root>) {
        let base = self.state.store.base.clone();
        let expected = self.me().base.map(|b| b.1);
        let same = base.map(|b| b.id) == expected || !self.config.guards.promote_conditional;
        // The copy is made from the name: a stranger may stand there by now.
        let from = self.state.store.layer(self.name(root));
        match (from, self.fault) {
            (None, _) | (_, Fault::Failed) => {}
            (Some(from), Fault::Late) => self.state.late.push(Late::Replace(from, expected)),
            (Some(from), _) if same => self.state.store.base = Some(from),
            _ => {}
        }
        let open = self.open(Why::Tail);
        self.go(open);
    }

    /// Deletes what a compaction left, by the floor that is there.
    pub(super) fn tail(&mut self, found: Found) {
        let floor = found.newest.floor;
        self.plan(found, floor, true);
    }

    /// Collection: the newest version is open.
    pub(super) fn collect(&mut self, keep: Number, found: Found) {
        let floor = found.newest.floor.max(found.newest.number.saturating_sub(keep));
        self.plan(found, floor, false);
    }

    fn plan(&mut self, found: Found, floor: Number, tail: bool) {
        let guards = self.config.guards;
        let newest = &found.newest;
        let mut todo = Vec::new();
        if guards.kept_versions_kept {
            todo.extend(self.first_kept(floor)..newest.number);
        }
        if guards.tags_kept {
            todo.extend(newest.tags.iter().filter(|t| !(floor..=newest.number).contains(*t)));
        }
        let needed = newest.needs().collect();
        self.next_kept(Keep { found, floor, todo, needed, promote: false, tail });
    }

    /// Reads the next kept version, or goes on if all are read.
    fn next_kept(&mut self, mut keep: Keep) {
        while let Some(version) = keep.todo.last().copied() {
            let base = &keep.found.base;
            if version != base.number {
                return self.go(Phase::Kept(Box::new(keep)));
            }
            keep.needed.extend(base.needs());
            keep.todo.pop();
        }
        if keep.promote {
            let base = self.me().base.map_or(0, |b| b.0);
            let needs = keep.needed.iter().any(|p| matches!(p, Part::Layer(n, _) if *n == base));
            if needs && self.config.guards.promote_only_unneeded {
                let keeps = matches!(self.task(), Some(Task::Compact { keep: true }));
                self.promoted(keeps);
            } else {
                self.go(Phase::Promote(keep.found.newest));
            }
        } else if self.config.guards.head_after_listing {
            self.decided(&keep);
        } else {
            self.go(Phase::Relist(Box::new(keep)));
        }
    }

    /// Reads the root of a kept version.
    pub(super) fn kept(&mut self, mut keep: Keep) {
        let Some(version) = keep.todo.pop() else { return self.fail() };
        let name = Name::Layer(self.named(keep.found.newest.file), version);
        match self.state.store.layer(name) {
            Some(root) => {
                keep.needed.extend(root.needs());
                self.next_kept(keep);
            }
            // It became the base, or another collection was faster.
            None => {
                let open = self.open(if keep.tail { Why::Tail } else { Why::Begin });
                self.go(open);
            }
        }
    }

    /// Wrong way round: lists after the newest version was read.
    pub(super) fn relist(&mut self, mut keep: Keep) {
        keep.found.listing = self.state.store.list();
        self.decided(&keep);
    }

    /// What goes is known: commits the floor if that is needed, then deletes.
    fn decided(&mut self, keep: &Keep) {
        let guards = self.config.guards;
        let (found, floor) = (&keep.found, keep.floor);
        let own = match self.task() {
            Some(Task::Recreate | Task::CreateFile) if !guards.foreign_by_base => 2 + self.who as u8,
            _ => found.base.file,
        };
        let file = self.named(own);
        let needs = |name: Name| {
            keep.needed.iter().any(|part| match (part, name) {
                (Part::Layer(number, _), Name::Layer(_, n)) => *number == n,
                (Part::Detached(id), Name::Detached(_, d)) => *id == d,
                _ => false,
            })
        };
        let given_up = |e: &Entry| match e.name {
            Name::Layer(f, n) => f == file && n < floor && !needs(e.name),
            Name::Detached(f, _) => f == file && (e.begun < floor || !guards.begun_kept) && !needs(e.name),
            Name::Mark(..) => false,
        };
        let other = |e: &Entry| match e.name {
            Name::Layer(f, n) => f != file || n == found.base.number,
            Name::Detached(f, _) => f != file,
            Name::Mark(f, n) => f != file || n <= found.base.number || !guards.marks_kept,
        };
        let names = found.listing.iter().filter(|e| given_up(e) || other(e)).map(|e| e.name);
        let mut queue: Vec<Name> = names.collect();
        let freed = |name: &Name| match *name {
            Name::Layer(f, n) if f == file && n > found.base.number => Some(n),
            _ => None,
        };
        let mark = queue.iter().filter_map(freed).max().map(|n| Name::Mark(file, n));
        let lower = |e: &&Entry| matches!(e.name, Name::Mark(..)) && !other(e) && Some(e.name) < mark;
        queue.extend(found.listing.iter().filter(lower).map(|e| e.name));
        if !self.config.reverse {
            // The last goes first.
            queue.reverse();
        }
        let commits = floor > found.newest.floor && found.listing.iter().any(given_up);
        let newest = Arc::clone(&found.newest);
        (self.me().queue, self.me().mark) = (queue, mark);
        if commits && !keep.tail && guards.floor_before_delete {
            self.attempt(&newest);
        } else {
            self.go_delete();
        }
    }

    pub(super) fn go_delete(&mut self) {
        let guards = self.config.guards;
        let me = self.me();
        (me.ground, me.base) = (None, None);
        if me.queue.is_empty() {
            self.finish();
        } else if me.mark.is_some() && guards.mark_before_delete {
            self.go(Phase::Mark);
        } else {
            self.go(Phase::Delete);
        }
    }

    /// Marks the numbers that are about to be free.
    pub(super) fn mark(&mut self) {
        let Some(mark) = self.me().mark else { return self.go(Phase::Delete) };
        match self.fault {
            Fault::Failed => {}
            Fault::Late => self.state.late.push(Late::Create(mark, Object::Mark)),
            _ => {
                self.state.store.sidecars.insert(mark, Object::Mark);
            }
        }
        self.go(if self.fault == Fault::None { Phase::Delete } else { Phase::Mark });
    }

    /// Deletes the first of the queue.
    pub(super) fn delete(&mut self) {
        let Some(name) = self.me().queue.last().copied() else { return self.finish() };
        self.remove(name);
        if self.fault == Fault::None {
            self.me().queue.pop();
        }
        if !self.me().queue.is_empty() {
            return self.go(Phase::Delete);
        }
        match (self.task(), self.me().ground.clone()) {
            // Wrong way round: now the merged layer.
            (Some(Task::Compact { .. }), Some(ground)) => self.attempt(&ground),
            _ => self.finish(),
        }
    }

    /// An object goes; late, it comes back after a crash.
    pub(super) fn remove(&mut self, name: Name) {
        let gone = self.state.store.sidecars.remove(&name);
        if let (Fault::Late, Some(object)) = (self.fault, gone) {
            self.state.late.push(Late::Create(name, object));
        }
    }
}
