//! The calls of an actor as words, so that those of the engine can be compared with them.

use crate::actor::{Actor, Config, Fault, Phase, Task};
use crate::model::{State, enabled};
use crate::step::Step;

/// The next call of an actor.
pub fn of(actor: &Actor) -> String {
    match &actor.phase {
        Phase::List(_) | Phase::ListSecond(..) | Phase::SureList(_) | Phase::Relist(_) => "list".to_owned(),
        Phase::ListRest(..) => "list, to its end".to_owned(),
        Phase::Base(..)
        | Phase::BaseFirst(_)
        | Phase::SureBase(..)
        | Phase::FileBase
        | Phase::Slot(_, _, true) => "open base".to_owned(),
        Phase::Layer(_, listing, base) => {
            let newest = crate::store::newest_of(listing, base.file);
            newest
                .or(crate::store::newest_of(listing, 0))
                .map_or_else(String::new, |e| format!("open {}", e.name))
        }
        Phase::Create(root) => format!("create layer {}", root.number),
        Phase::SureMark(_) => "list marks".to_owned(),
        Phase::Mark => "create mark".to_owned(),
        Phase::Trailer(root) => format!("open layer {}", root.number),
        Phase::DeleteOwn(root, _) => format!("delete layer {}", root.number),
        Phase::Kept(keep) => keep.todo.last().map_or_else(String::new, |v| format!("open layer {v}")),
        Phase::Promote(_) => "promote".to_owned(),
        Phase::Delete => actor.queue.last().map_or_else(String::new, |name| format!("delete {name}")),
        Phase::Slot(root, slot, false) => match root.content[*slot].holder {
            crate::store::Part::Layer(number, _) => format!("open layer {number}"),
            crate::store::Part::Detached(_) | crate::store::Part::Fill => "open detached".to_owned(),
        },
        Phase::Detach(_) => "create detached".to_owned(),
        Phase::OpenDetached(_) => "open detached".to_owned(),
        Phase::FileReplace(_) | Phase::FileCreate => "create base".to_owned(),
        Phase::FileDelete => "delete base".to_owned(),
        Phase::FileLose(number) => format!("delete layer {number}"),
        Phase::Version(_, number) => format!("open layer {number}"),
        Phase::Wait(_) => "wait".to_owned(),
        Phase::Done => "done".to_owned(),
    }
}

/// A simple run of one actor, which nobody disturbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// A writer with version 0 open commits.
    Commit,
    /// Another has committed first, something else.
    TakenNumber,
    /// A file with layer 1 is compacted.
    Compaction,
    /// The same on a store that cannot replace the base on condition.
    CompactionBaseStays,
    /// A file whose version 2 needs nothing of the layer before is collected.
    Collection,
    /// A committer joins what a worker wrote ahead of version 1.
    Join,
    /// A file with layer 1 is opened; what follows are the reads.
    Open,
}

impl Scenario {
    /// The calls that the model makes, in order.
    pub fn calls(self) -> Vec<String> {
        let (initial, actors) = match self {
            Self::Commit => (vec![], vec![Task::Commit(1)]),
            Self::TakenNumber => (vec![], vec![Task::Commit(2), Task::Commit(1)]),
            Self::Compaction | Self::CompactionBaseStays => (vec![1], vec![Task::Compact { keep: false }]),
            Self::Collection => (vec![3, 3], vec![Task::Collect { keep: 0 }]),
            Self::Join => (vec![], vec![Task::Detach(1), Task::Join(0)]),
            Self::Open => (vec![1], vec![Task::Read]),
        };
        let mut config = Config::new("calls", actors.into_iter().map(|task| vec![task]).collect());
        config.open_at_start = matches!(self, Self::Commit | Self::TakenNumber);
        config.initial = initial;
        config.conditional = self != Self::CompactionBaseStays;
        undisturbed(&config).pop().unwrap_or_default()
    }
}

/// The calls of every actor of a configuration, one actor after the other, each undisturbed.
fn undisturbed(config: &Config) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    let mut state = config.start();
    for who in 0..config.actors.len() {
        let mut calls = Vec::new();
        while enabled(&state, who) {
            if !matches!(state.actors[who].phase, Phase::Wait(_)) {
                calls.push(of(&state.actors[who]));
            }
            state = next(config, state, who);
        }
        all.push(calls);
    }
    all
}

fn next(config: &Config, state: State, who: usize) -> State {
    Step::new(config, state, who, Fault::None).call()
}

/// What a line of `array_format_testkit::FailingStorage::log` for the file at `path` is in the words of the model;
/// `None` if it is none of its calls: parts of an upload, ranges of an object that is open.
pub fn from_log(path: &str, line: &str) -> Option<String> {
    let (operation, object) = line.split_once(' ')?;
    let (folder, marks) = (format!("{path}.layers"), format!("{path}.freed"));
    let what = if object == path {
        "base".to_owned()
    } else if object == marks {
        return (operation == "list").then(|| "list marks".to_owned());
    } else if object.strip_prefix(&marks).is_some_and(|rest| rest.starts_with('/')) {
        "mark".to_owned()
    } else if object == folder {
        return (operation == "list").then(|| "list".to_owned());
    } else {
        let name = object.strip_prefix(&folder)?.strip_prefix('/')?;
        let mut parts = name.split('.').skip(1);
        match (parts.next()?, parts.next()?) {
            (number, "layer") => format!("layer {}", number.parse::<u64>().ok()?),
            (_, "blocks") => "detached".to_owned(),
            _ => return None,
        }
    };
    match operation {
        "open" | "delete" => Some(format!("{operation} {what}")),
        "finish" => Some(format!("create {what}")),
        "promote" => Some("promote".to_owned()),
        _ => None,
    }
}
