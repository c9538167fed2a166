//! What really happened, for the checks alone: no actor looks at it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::actor::{Actor, Config, slots_of};
use crate::store::{FileId, Name, Number, Object, Part, Root, Store, newest_of};

/// Something that must never happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Violation {
    /// A commit was acknowledged and is not part of the file.
    AcknowledgedNotCommitted,
    /// Who opens now does not find the newest version.
    NewestNotFound,
    /// An object is missing that a version of the file needs.
    NeededMissing,
    /// A version was built on what is no version.
    BuiltOnStranger,
    /// A version holds a part of a change, or lost what was there.
    Half,
    /// A commit happened that had not seen an overlapping one.
    LostUpdate,
    /// A change was committed twice.
    Twice,
    /// A conflict was reported, and nobody else had changed anything.
    FalseConflict,
    /// A reader opened what is no version of the file.
    OpenedStranger,
    /// A reader missed a commit that was acknowledged before it began.
    OpenedStale,
    /// Damage was reported, and there is none.
    FalseDamage,
    /// A reader was told that a version had expired, which had not.
    FalseExpired,
    /// A reader got other bytes than those of its version.
    WrongBytes,
    /// A tag is gone, or stands on what is no version.
    BadTag,
    /// A detached layer was refused that could be joined.
    FalseRefusal,
    /// A layer is missing, and nobody noticed.
    Unnoticed,
    /// A change that was made to a file is in another one.
    AnotherFile,
}

/// A version of a file, and which task of whom committed it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version {
    /// Its root.
    pub root: Arc<Root>,
    /// Who, and which task.
    pub by: (u8, u8),
}

/// All versions of a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct History {
    /// By number.
    pub versions: Vec<Version>,
    /// The newest that was acknowledged.
    pub acknowledged: Number,
}

/// All files that were at the path.
pub type Histories = BTreeMap<FileId, History>;

impl History {
    /// The newest version.
    pub fn newest(&self) -> Option<&Arc<Root>> {
        self.versions.last().map(|v| &v.root)
    }

    /// Whether a root is a version.
    pub fn has(&self, root: &Root) -> bool {
        self.versions.get(usize::from(root.number)).is_some_and(|v| v.root.id == root.id)
    }

    /// Whether somebody else changed these slots after a version, or a stranger stood in that version's place.
    pub fn changed_since(&self, config: &Config, actor: &Actor, who: usize) -> bool {
        let Some((number, id)) = actor.seen else { return false };
        let slots = config.slots(who, usize::from(actor.task));
        let known = self.versions.get(usize::from(number)).is_some_and(|v| v.root.id == id);
        let from = usize::from(number) + usize::from(known);
        self.versions.iter().skip(from).any(|v| {
            usize::from(v.by.0) != who && config.slots(usize::from(v.by.0), usize::from(v.by.1)) & slots != 0
        })
    }

    /// Takes up a root that was created under the next number.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn push(
        &mut self,
        config: &Config,
        actor: &Actor,
        who: usize,
        root: &Arc<Root>,
    ) -> Result<(), Violation> {
        let by = (who as u8, actor.task);
        let task = usize::from(actor.task);
        let slots = config.slots(who, task);
        let overlaps = self.changed_since(config, actor, who);
        let twice = slots != 0 && self.versions.iter().any(|v| v.by == by);
        let before = self.versions.last().map(|v| Arc::clone(&v.root));
        self.versions.push(Version { root: Arc::clone(root), by });
        let Some(before) = before else { return Ok(()) };
        if root.ancestors.first() != Some(&before.id) {
            return Err(Violation::BuiltOnStranger);
        }
        for (slot, cell) in root.content.iter().enumerate() {
            let mine = slots & (1 << slot) != 0;
            let expected = if mine { config.value(who, task) } else { before.content[slot].value };
            if cell.value != expected || (!mine && cell.version != before.content[slot].version) {
                return Err(Violation::Half);
            }
        }
        if twice {
            return Err(Violation::Twice);
        }
        if overlaps {
            return Err(Violation::LostUpdate);
        }
        if before.tags.iter().any(|t| !root.tags.contains(t)) || root.tags.iter().any(|t| !before.keeps(*t)) {
            return Err(Violation::BadTag);
        }
        Ok(())
    }
}

/// Checks a store against what happened.
pub fn check(config: &Config, store: &Store, histories: &Histories, current: FileId) -> Option<Violation> {
    let base = store.base.as_ref()?;
    if base.file != current {
        return Some(Violation::NewestNotFound);
    }
    let history = histories.get(&base.file)?;
    let newest = history.newest()?;
    let file = if config.guards.file_ids { base.file } else { 0 };
    let layer = |number| store.layer(Name::Layer(file, number));
    let found = match newest_of(&store.list(), file) {
        Some(entry) => match entry.name {
            Name::Layer(_, number) if number > base.number => layer(number).map_or(0, |r| r.id),
            _ => base.id,
        },
        None => base.id,
    };
    if found != newest.id {
        return Some(Violation::NewestNotFound);
    }
    let there = |part: Part| {
        let name = match part {
            Part::Layer(number, _) => Name::Layer(file, number),
            Part::Detached(id) => Name::Detached(file, id),
            Part::Fill => return true,
        };
        base.id == part.id() || store.sidecars.get(&name).map(Object::id) == Some(part.id())
    };
    let kept =
        history.versions.iter().filter(|v| newest.keeps(v.root.number) && !config.gone(v.root.number, base));
    for version in kept {
        if !version.root.needs().all(there) {
            return Some(Violation::NeededMissing);
        }
    }
    None
}

/// A root with a change of some slots, held by itself.
pub fn changed(ground: &Root, id: u8, slots: u8, value: u8, ancestors: usize) -> Root {
    let mut root = ground.clone();
    root.number = ground.number + 1;
    root.id = id;
    root.ancestors.insert(0, ground.id);
    root.ancestors.truncate(ancestors);
    for slot in slots_of(slots) {
        let cell = &mut root.content[slot];
        (cell.version, cell.value, cell.holder) = (root.number, value, Part::Layer(root.number, id));
    }
    root
}
