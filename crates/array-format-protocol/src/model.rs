//! The model as the explorer sees it: states, actions, what must always hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use stateright::{Model, Property};

use crate::actor::{Actor, Config, Fault, Phase, Since, Task};
use crate::calls;
use crate::history::{Histories, History, Version, Violation, changed};
use crate::step::Step;
use crate::store::{Cell, FileId, Name, Object, Part, Root, SLOTS, Store, WriteId};

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// All objects.
    pub store: Store,
    /// All actors.
    pub actors: Vec<Actor>,
    /// Calls that nobody got an answer of, and that have not taken effect yet.
    pub late: Vec<Late>,
    /// Calls that may still go wrong.
    pub faults: u8,
    /// What really happened.
    pub histories: Histories,
    /// The file that was created last.
    pub current: FileId,
    /// Somebody else deleted a layer.
    pub lost: bool,
    /// What must never happen, and did.
    pub violation: Option<Violation>,
}

/// What takes effect late.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Late {
    /// A create; or a deleted object comes back after a crash.
    Create(Name, Object),
    /// The base is replaced, if it is still the one with this write id.
    Replace(Arc<Root>, Option<WriteId>),
}

/// One call of one actor, or something that happens late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// An actor makes its next call.
    Call(usize, Fault),
    /// A create takes effect.
    Arrive(usize),
}

/// Write id of version `number` of the file that is there at the start.
fn initial_id(number: u8) -> u8 {
    240 + number
}

/// Version 0 of a file.
pub(crate) fn empty(file: FileId, id: u8) -> Root {
    let cell = Cell { version: 0, value: 0, holder: Part::Fill };
    Root { file, number: 0, id, floor: 0, tags: Vec::new(), ancestors: Vec::new(), content: [cell; SLOTS] }
}

impl Config {
    /// How it begins.
    pub(crate) fn start(&self) -> State {
        let file = 1;
        let mut root = empty(file, initial_id(0));
        if !self.empty {
            for cell in &mut root.content {
                cell.holder = Part::Layer(0, initial_id(0));
            }
        }
        let mut root = Arc::new(root);
        let mut store = Store { base: Some(Arc::clone(&root)), sidecars: BTreeMap::new() };
        let mut versions = vec![Version { root: Arc::clone(&root), by: (u8::MAX, 0) }];
        let first = Arc::clone(&root);
        for &slots in &self.initial {
            let id = initial_id(root.number + 1);
            root = Arc::new(changed(&root, id, slots, id, self.ancestors));
            let name = Name::Layer(if self.guards.file_ids { file } else { 0 }, root.number);
            store.sidecars.insert(name, Object::Layer(Arc::clone(&root)));
            versions.push(Version { root: Arc::clone(&root), by: (u8::MAX, root.number) });
        }
        let acknowledged = root.number;
        let histories = Histories::from([(file, History { versions, acknowledged })]);
        let open = self.open_at_start.then(|| Arc::clone(&first));
        let actor = |_| Actor {
            task: 0,
            attempts: 0,
            ground: open.clone(),
            base: open.as_ref().map(|r| (r.number, r.id)),
            seen: None,
            since: Since::default(),
            phase: Phase::Done,
            queue: Vec::new(),
            mark: None,
            detached: None,
        };
        let mut state = State {
            store,
            actors: self.actors.iter().map(actor).collect(),
            late: Vec::new(),
            faults: self.faults,
            histories,
            current: file,
            lost: false,
            violation: None,
        };
        for who in 0..self.actors.len() {
            state = Step::new(self, state, who, Fault::None).begin();
        }
        state
    }
}

/// Whether an actor can move.
pub(crate) fn enabled(state: &State, who: usize) -> bool {
    match state.actors[who].phase {
        Phase::Done => false,
        Phase::Wait(worker) => state.actors[worker].phase == Phase::Done,
        _ => true,
    }
}

impl Model for Config {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.start()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.violation.is_some() {
            return;
        }
        for who in 0..state.actors.len() {
            if !enabled(state, who) {
                continue;
            }
            if let Phase::ListRest(lister, begun) = &state.actors[who].phase {
                let shown = self.shown(begun, &lister.list(&state.store));
                actions.extend((0..shown.len()).map(|i| Action::Call(who, Fault::Shows(i as u8))));
                continue;
            }
            actions.push(Action::Call(who, Fault::None));
            if state.faults == 0 {
                continue;
            }
            let faults: &[Fault] = match state.actors[who].phase {
                Phase::Create(_) if self.late => &[Fault::Lost, Fault::Repeated, Fault::Failed, Fault::Late],
                Phase::Create(_) => &[Fault::Lost, Fault::Repeated, Fault::Failed],
                Phase::Mark if self.late => &[Fault::Lost, Fault::Failed, Fault::Late],
                Phase::Mark => &[Fault::Lost, Fault::Failed],
                Phase::Promote(_) if self.late => &[Fault::Lost, Fault::Failed, Fault::Late],
                Phase::Promote(_) => &[Fault::Lost, Fault::Failed],
                Phase::Delete | Phase::DeleteOwn(..) if self.late => &[Fault::Lost, Fault::Late],
                Phase::Delete | Phase::DeleteOwn(..) | Phase::Detach(_) => &[Fault::Lost],
                _ => &[],
            };
            actions.extend(faults.iter().map(|f| Action::Call(who, *f)));
        }
        actions.extend((0..state.late.len()).map(Action::Arrive));
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Call(who, fault) => {
                if !matches!(fault, Fault::None | Fault::Shows(_)) {
                    next.faults -= 1;
                }
                next = Step::new(self, next, who, fault).call();
            }
            Action::Arrive(index) => {
                let late = next.late.remove(index);
                next = Step::new(self, next, 0, Fault::None).arrive(late);
            }
        }
        if next.violation.is_none() && !next.lost {
            next.violation = crate::history::check(self, &next.store, &next.histories, next.current);
        }
        Some(next)
    }

    fn format_action(&self, action: &Action) -> String {
        format!("{action:?}")
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing happens that must never happen", |_, state: &State| {
                state.violation.is_none()
            }),
            Property::sometimes("all actors finish", |_, state: &State| {
                state.actors.iter().all(|a| a.phase == Phase::Done)
            }),
        ]
    }
}

impl Action {
    /// The action as a sentence, in the state in which it happens.
    pub fn describe(self, config: &Config, state: &State) -> String {
        match self {
            Self::Arrive(index) => match state.late.get(index) {
                Some(Late::Create(name, _)) => format!("late: {name} appears"),
                Some(Late::Replace(root, _)) => format!("late: layer {} becomes the base", root.number),
                None => String::new(),
            },
            Self::Call(who, fault) => {
                let actor = &state.actors[who];
                let role = match config.actors[who].get(usize::from(actor.task)) {
                    Some(Task::Commit(_) | Task::Tag(_)) => "writer",
                    Some(Task::Detach(_)) => "worker",
                    Some(Task::Join(_)) => "committer",
                    Some(Task::Compact { .. }) => "compactor",
                    Some(Task::Collect { .. }) => "collector",
                    Some(Task::Read | Task::ReadAt(_)) => "reader",
                    _ => "other",
                };
                let call = calls::of(actor);
                match fault {
                    Fault::None => format!("{role} {who}: {call}"),
                    other => format!("{role} {who}: {call} ({})", format!("{other:?}").to_lowercase()),
                }
            }
        }
    }
}
