//! One call of one actor, and what it makes of the answer.

mod collect;
mod commit;
mod file;
mod open;
mod read;

use std::collections::btree_map::Entry;

use crate::actor::{Actor, Config, Fault, Phase, Task, Why};
use crate::history::Violation;
use crate::model::{Late, State};
use crate::store::{FileId, Name, Object, Root};

/// A state on its way to the next one.
pub(crate) struct Step<'a> {
    config: &'a Config,
    state: State,
    who: usize,
    fault: Fault,
}

impl<'a> Step<'a> {
    pub(crate) fn new(config: &'a Config, state: State, who: usize, fault: Fault) -> Self {
        Self { config, state, who, fault }
    }

    /// Makes the actor's next call.
    pub(crate) fn call(mut self) -> State {
        match std::mem::replace(&mut self.me().phase, Phase::Done) {
            Phase::List(why) => self.list(why),
            Phase::ListRest(lister, begun) => self.list_rest(lister, &begun),
            Phase::Base(why, listing) => self.base(why, listing),
            Phase::Layer(why, listing, base) => self.layer(why, listing, base),
            Phase::BaseFirst(why) => self.base_first(why),
            Phase::ListSecond(why, base) => self.list_second(why, base),
            Phase::Create(root) => self.create(root),
            Phase::Trailer(root) => self.trailer(root),
            Phase::SureMark(root) => self.sure_mark(root),
            Phase::SureList(root) => self.sure_list(root),
            Phase::SureBase(root, listing) => self.sure_base(root, &listing),
            Phase::DeleteOwn(root, found) => self.delete_own(&root, found),
            Phase::Kept(keep) => self.kept(*keep),
            Phase::Relist(keep) => self.relist(*keep),
            Phase::Promote(root) => self.promote(&root),
            Phase::Mark => self.mark(),
            Phase::Delete => self.delete(),
            Phase::Slot(root, slot, base) => self.slot(root, slot, base),
            Phase::Detach(detached) => self.detach(detached),
            Phase::OpenDetached(found) => self.open_detached(&found),
            Phase::Version(found, number) => self.version(&found, number),
            Phase::Wait(worker) => self.waited(worker),
            Phase::FileBase => self.file_base(),
            Phase::FileReplace(id) => self.file_replace(id),
            Phase::FileCreate => self.file_create(),
            Phase::FileDelete => self.file_delete(),
            Phase::FileLose(number) => self.file_lose(number),
            Phase::Done => {}
        }
        self.state
    }

    /// Begins the actor's first task.
    pub(crate) fn begin(mut self) -> State {
        self.begin_task();
        self.state
    }

    /// Something takes effect late.
    pub(crate) fn arrive(mut self, late: Late) -> State {
        let (name, object) = match late {
            Late::Create(name, object) => (name, object),
            Late::Replace(root, expected) => {
                let same = self.state.store.base.as_ref().map(|b| b.id) == expected;
                if same || !self.config.guards.promote_conditional {
                    self.state.store.base = Some(root);
                }
                return self.state;
            }
        };
        let Entry::Vacant(place) = self.state.store.sidecars.entry(name) else { return self.state };
        place.insert(object.clone());
        if let Object::Layer(root) = object {
            // Write ids tell who it was.
            self.who = usize::from(root.id / 16);
            if self.who < self.state.actors.len() {
                self.published(&root);
            }
        }
        self.state
    }

    fn me(&mut self) -> &mut Actor {
        &mut self.state.actors[self.who]
    }

    fn task(&self) -> Option<Task> {
        let task = usize::from(self.state.actors[self.who].task);
        self.config.actors[self.who].get(task).copied()
    }

    fn go(&mut self, phase: Phase) {
        self.me().phase = phase;
    }

    /// Takes note of what must never happen; the first counts.
    fn violated(&mut self, violation: Violation) {
        self.state.violation.get_or_insert(violation);
    }

    /// Gives up: an error for the caller.
    fn fail(&mut self) {
        let me = self.me();
        (me.ground, me.base, me.seen, me.detached) = (None, None, None, None);
        (me.queue, me.mark) = (Vec::new(), None);
        me.task = u8::MAX;
        me.phase = Phase::Done;
    }

    /// The task is done; the next one begins.
    fn finish(&mut self) {
        let me = self.me();
        me.task += 1;
        me.seen = None;
        (me.queue, me.mark) = (Vec::new(), None);
        self.begin_task();
    }

    fn begin_task(&mut self) {
        let phase = match self.task() {
            None => {
                let me = self.me();
                (me.ground, me.base, me.seen) = (None, None, None);
                Phase::Done
            }
            Some(Task::Commit(_) | Task::Tag(_)) => match self.me().ground.clone() {
                Some(ground) => return self.attempt(&ground),
                None => self.open(Why::Begin),
            },
            Some(Task::Join(worker)) => Phase::Wait(worker),
            Some(Task::Recreate) => Phase::FileBase,
            Some(Task::DeleteFile) => Phase::FileDelete,
            Some(Task::CreateFile) => Phase::FileCreate,
            Some(Task::Lose(number)) => Phase::FileLose(number),
            Some(_) => self.open(Why::Begin),
        };
        self.go(phase);
    }

    /// The file id that names carry.
    fn named(&self, file: FileId) -> FileId {
        if self.config.guards.file_ids { file } else { 0 }
    }

    fn name(&self, root: &Root) -> Name {
        Name::Layer(self.named(root.file), root.number)
    }

    /// A new write id.
    fn new_id(&mut self) -> u8 {
        let who = self.who as u8;
        let me = self.me();
        me.attempts += 1;
        who * 16 + me.attempts
    }
}
