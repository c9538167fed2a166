//! Actors: what they are to do, and where they stand.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::guards::Guards;
use crate::store::{
    Detached, FileId, Listing, Name, Number, Part, Root, SLOTS, Store, Value, WriteId, in_pages, unordered,
};

/// A set of slots, a bit each.
pub type Slots = u8;

/// One thing that an actor does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Task {
    /// Commits a change of these slots.
    Commit(Slots),
    /// Tags a version.
    Tag(Number),
    /// Writes these slots into a detached layer.
    Detach(Slots),
    /// Joins what the actor of this index has detached, once it is done.
    Join(usize),
    /// Merges all layers into one, and deletes what that makes superfluous, or keeps older versions.
    Compact {
        /// Older versions stay.
        keep: bool,
    },
    /// Collects all but so many versions before the newest.
    Collect {
        /// How many older versions stay.
        keep: Number,
    },
    /// Opens the newest version, then reads every slot.
    Read,
    /// Opens a version by its number, then reads every slot.
    ReadAt(Number),
    /// Replaces the file by an empty one, and deletes the layers of the old one.
    Recreate,
    /// Deletes the base, and nothing else.
    DeleteFile,
    /// Creates a file where there is none.
    CreateFile,
    /// Somebody else deletes a layer.
    Lose(Number),
}

/// How a listing comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Listings {
    /// As the folder is at one moment.
    Atomic,
    /// In pages, in the order of the names: what comes and goes meanwhile shows where the listing has not been yet.
    Pages,
    /// In any order: what comes and goes meanwhile shows or not.
    Unordered,
}

/// What is explored.
#[derive(Debug, Clone)]
pub struct Config {
    /// For the report.
    pub name: &'static str,
    /// What each actor does, one thing after the other.
    pub actors: Vec<Vec<Task>>,
    /// Commits that are there from the start, on top of version 0.
    pub initial: Vec<Slots>,
    /// Whether version 0 is empty; else it stands for what an earlier compaction left.
    pub empty: bool,
    /// Whether writers begin with version 0 open, as one that slept.
    pub open_at_start: bool,
    /// Whether the store can replace the base on condition.
    pub conditional: bool,
    /// How many calls may go wrong.
    pub faults: u8,
    /// Whether a call without an answer may take effect later, and a deleted object come back.
    pub late: bool,
    /// How many ancestors a root holds.
    pub ancestors: usize,
    /// How a listing comes about.
    pub listing: Listings,
    /// Deletes the highest names first.
    pub reverse: bool,
    /// What the protocol checks.
    pub guards: Guards,
}

impl Config {
    /// A configuration of actors, all checks on, without faults.
    pub fn new(name: &'static str, actors: Vec<Vec<Task>>) -> Self {
        Self {
            name,
            actors,
            initial: Vec::new(),
            empty: false,
            open_at_start: false,
            conditional: true,
            faults: 0,
            late: false,
            ancestors: 64,
            listing: Listings::Atomic,
            reverse: false,
            guards: Guards::default(),
        }
    }

    /// The slots that a task changes.
    pub fn slots(&self, who: usize, task: usize) -> Slots {
        match self.actors.get(who).and_then(|tasks| tasks.get(task)) {
            None if who == usize::from(u8::MAX) && task > 0 => self.initial[task - 1],
            Some(Task::Commit(slots) | Task::Detach(slots)) => *slots,
            Some(Task::Join(worker)) => self.slots(*worker, 0),
            _ => 0,
        }
    }

    /// What a task writes into its slots.
    pub fn value(&self, who: usize, task: usize) -> Value {
        match self.actors.get(who).and_then(|tasks| tasks.get(task)) {
            Some(Task::Join(worker)) => self.value(*worker, 0),
            _ => (who * 8 + task + 1) as Value,
        }
    }
}

impl Config {
    /// Whether a version is the empty one, which is gone once the base was replaced.
    pub fn gone(&self, version: Number, base: &Root) -> bool {
        self.empty && version == 0 && base.number > 0
    }

    /// What a listing can show that began with one state of the folder and ended with another.
    pub fn shown(&self, begun: &Listing, ended: &Listing) -> Vec<Listing> {
        match self.listing {
            _ if begun == ended => vec![Arc::clone(begun)],
            Listings::Atomic => vec![Arc::clone(ended)],
            Listings::Pages => in_pages(begun, ended),
            Listings::Unordered => unordered(begun, ended),
        }
    }
}

/// The slots of a set.
pub fn slots_of(slots: Slots) -> impl Iterator<Item = usize> {
    (0..SLOTS).filter(move |s| slots & (1 << s) != 0)
}

/// What an actor opens the newest version for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Why {
    /// To begin its task.
    Begin,
    /// Step 3 of a commit: this layer was created.
    Created(Arc<Root>),
    /// Step 4 of a commit: this layer was not created, or nobody knows.
    /// It is known whether another has its number.
    Taken(Arc<Root>, bool),
    /// To delete what a compaction, or a new file, left.
    Tail,
}

/// What an opening found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Found {
    /// The newest version.
    pub newest: Arc<Root>,
    /// The base.
    pub base: Arc<Root>,
    /// The listing that was taken first.
    pub listing: Listing,
}

/// Reading the roots of all kept versions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Keep {
    /// What was opened.
    pub found: Found,
    /// The floor to be.
    pub floor: Number,
    /// Versions to read.
    pub todo: Vec<Number>,
    /// Objects that are needed.
    pub needed: BTreeSet<Part>,
    /// In order to replace the base, not to collect.
    pub promote: bool,
    /// In the tail of another task, which commits no floor.
    pub tail: bool,
}

/// What a listing is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Lister {
    /// Opening.
    Open(Why),
    /// Step 2 of a commit.
    Sure(Arc<Root>),
    /// Step 2 of a commit: marks.
    Marks(Arc<Root>),
}

impl Lister {
    /// What it lists, as it is now.
    pub fn list(&self, store: &Store) -> Listing {
        match self {
            Self::Open(_) | Self::Sure(_) => store.list(),
            Self::Marks(_) => store.list_marks(),
        }
    }
}

/// The next call of an actor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Opening: list.
    List(Why),
    /// Any listing that is not atomic: its end, and what the beginning saw.
    ListRest(Lister, Listing),
    /// Opening: read the base.
    Base(Why, Listing),
    /// Opening: read the newest layer.
    Layer(Why, Listing, Arc<Root>),
    /// Opening, wrong way round: read the base first.
    BaseFirst(Why),
    /// Opening, wrong way round: list then.
    ListSecond(Why, Arc<Root>),
    /// Commit, step 1.
    Create(Arc<Root>),
    /// Commit, step 1: whose layer is it?
    Trailer(Arc<Root>),
    /// Commit, step 2: list the marks.
    SureMark(Arc<Root>),
    /// Commit, step 2, of a number that is marked.
    SureList(Arc<Root>),
    /// Commit, step 2.
    SureBase(Arc<Root>, Listing),
    /// Commit, step 3: the number had been freed.
    DeleteOwn(Arc<Root>, Found),
    /// Collection, and compaction before it replaces the base: read the root of a kept version.
    Kept(Box<Keep>),
    /// Collection, wrong way round: list once more.
    Relist(Box<Keep>),
    /// Compaction: replace the base.
    Promote(Arc<Root>),
    /// Mark the numbers that are about to be free.
    Mark,
    /// Delete the first of the queue.
    Delete,
    /// Read a slot of a version; once the sidecar was not there, from the base.
    Slot(Arc<Root>, usize, bool),
    /// Write a detached layer.
    Detach(Arc<Detached>),
    /// Read a detached layer.
    OpenDetached(Found),
    /// Read the root of an older version.
    Version(Found, Number),
    /// Wait for a worker.
    Wait(usize),
    /// Read the base in order to replace it by a new file.
    FileBase,
    /// Replace the base by a new file.
    FileReplace(WriteId),
    /// Create a file.
    FileCreate,
    /// Delete the base.
    FileDelete,
    /// Delete a layer of the file that is there.
    FileLose(Number),
    /// All done, or given up.
    Done,
}

/// What was so when an opening began, for the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Since {
    /// The file that was there.
    pub file: FileId,
    /// Its newest acknowledged version.
    pub acknowledged: Number,
    /// Somebody else had deleted a layer.
    pub lost: bool,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Actor {
    /// Index of its task.
    pub task: u8,
    /// Write ids that it used.
    pub attempts: u8,
    /// The version that it works on.
    pub ground: Option<Arc<Root>>,
    /// The base that it read last: number and write id.
    pub base: Option<(Number, WriteId)>,
    /// The version that its changes were made on.
    pub seen: Option<(Number, WriteId)>,
    /// What was so when its opening began.
    pub since: Since,
    /// The next call.
    pub phase: Phase,
    /// What it deletes.
    pub queue: Vec<Name>,
    /// The mark that it makes before.
    pub mark: Option<Name>,
    /// What it detached, or is about to join.
    pub detached: Option<Arc<Detached>>,
}

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// It does not.
    None,
    /// It has its effect, and the answer is lost.
    Lost,
    /// It has its effect, is repeated by the client, and meets itself.
    Repeated,
    /// It has no effect, and an error comes back.
    Failed,
    /// An error comes back; it has its effect later.
    Late,
    /// No fault: of what came and went during a listing, it shows these.
    Shows(u8),
}
