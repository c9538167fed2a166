//! The store of the model: objects that appear whole, names, atomic listings.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Number of a layer, and of the version whose root it holds.
pub type Number = u8;
/// What tells two objects apart: who wrote it, and at which attempt.
pub type WriteId = u8;
/// What a slot holds: who wrote it, in which task.
pub type Value = u8;
/// Which of the files that were at the path.
pub type FileId = u8;

/// Chunks of the file.
pub const SLOTS: usize = 2;

/// A reference in a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Layer of a number.
    Layer(Number, WriteId),
    /// Detached layer.
    Detached(WriteId),
    /// None: what was never written.
    Fill,
}

impl Part {
    /// Write id of the object.
    pub fn id(self) -> WriteId {
        match self {
            Self::Layer(_, id) | Self::Detached(id) => id,
            Self::Fill => 0,
        }
    }
}

/// One chunk as a root describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cell {
    /// Version that wrote it.
    pub version: Number,
    /// What it holds.
    pub value: Value,
    /// The object with its bytes.
    pub holder: Part,
}

/// A layer: its trailer, its root, and the bytes of the slots that it holds itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Root {
    /// File id in the trailer.
    pub file: FileId,
    /// Number of the layer.
    pub number: Number,
    /// Write id in the trailer.
    pub id: WriteId,
    /// Versions below it are no longer part of the file.
    pub floor: Number,
    /// Tagged versions.
    pub tags: Vec<Number>,
    /// Write ids of the versions before, the nearest first.
    pub ancestors: Vec<WriteId>,
    /// The chunks.
    pub content: [Cell; SLOTS],
}

impl Root {
    /// The reference to this layer.
    pub fn part(&self) -> Part {
        Part::Layer(self.number, self.id)
    }

    /// Every object that this version needs, its own included.
    pub fn needs(&self) -> impl Iterator<Item = Part> + '_ {
        self.content.iter().map(|c| c.holder).chain([self.part()]).filter(|p| *p != Part::Fill)
    }

    /// Whether it is a version of the file as this version tells it.
    pub fn keeps(&self, version: Number) -> bool {
        (self.floor..=self.number).contains(&version) || self.tags.contains(&version)
    }

    /// Write id of a version before this one, or of this one, as far back as it is known.
    pub fn id_of(&self, version: Number) -> Option<WriteId> {
        match self.number.checked_sub(version)? {
            0 => Some(self.id),
            back => self.ancestors.get(usize::from(back) - 1).copied(),
        }
    }

    /// The bytes of a slot in this object, if they are here.
    pub fn bytes(&self, slot: usize) -> Option<Value> {
        let cell = self.content[slot];
        (cell.holder == self.part()).then_some(cell.value)
    }
}

/// Blocks that a worker wrote ahead.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Detached {
    /// Its file.
    pub file: FileId,
    /// Its write id.
    pub id: WriteId,
    /// The version that the worker worked on.
    pub begun: Number,
    /// What it holds.
    pub slots: [Option<Value>; SLOTS],
}

/// An object in the folder of layers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Object {
    /// A layer.
    Layer(Arc<Root>),
    /// A detached layer.
    Detached(Arc<Detached>),
    /// A mark: it holds nothing.
    Mark,
}

impl Object {
    /// Its write id.
    pub fn id(&self) -> WriteId {
        match self {
            Self::Layer(root) => root.id,
            Self::Detached(detached) => detached.id,
            Self::Mark => 0,
        }
    }
}

/// Name of an object in the folder of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// `<file id>.<number>.layer`
    Layer(FileId, Number),
    /// `<file id>.<object id>.blocks`
    Detached(FileId, WriteId),
    /// `<file id>.<number>` in the folder of marks: numbers above the base may be free again, up to this one.
    Mark(FileId, Number),
}

impl Name {
    /// The file id in it.
    pub fn file(self) -> FileId {
        match self {
            Self::Layer(file, _) | Self::Detached(file, _) | Self::Mark(file, _) => file,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layer(_, number) => write!(f, "layer {number}"),
            Self::Detached(..) => write!(f, "detached"),
            Self::Mark(..) => write!(f, "mark"),
        }
    }
}

/// One line of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Name of the object.
    pub name: Name,
    /// What it was when it was listed. Only who opens it can use this.
    pub id: WriteId,
    /// Of a detached layer: the version that it was begun on. A reader finds it in the object's root; the model spares
    /// that request, for what is written never changes.
    pub begun: Number,
}

/// What a listing showed.
pub type Listing = Arc<Vec<Entry>>;

/// Number of the newest layer of a file in a listing.
pub fn newest_of(listing: &[Entry], file: FileId) -> Option<Entry> {
    let layers = listing.iter().filter(|e| matches!(e.name, Name::Layer(f, _) if f == file));
    layers.max_by_key(|e| e.name).copied()
}

/// What a listing in pages can show that began with one state of the folder and ended with another.
pub fn in_pages(begun: &[Entry], ended: &[Entry]) -> Vec<Listing> {
    // A page ends with a name that is there.
    let names: Vec<Name> = begun.iter().map(|e| e.name).collect();
    let mut all = vec![Arc::new(ended.to_vec())];
    for name in names {
        let first = begun.iter().filter(|e| e.name <= name);
        let listing: Vec<Entry> = first.chain(ended.iter().filter(|e| e.name > name)).copied().collect();
        if all.iter().all(|l| **l != listing) {
            all.push(Arc::new(listing));
        }
    }
    all
}

/// What a listing without an order can show.
pub fn unordered(begun: &[Entry], ended: &[Entry]) -> Vec<Listing> {
    let mut moved: Vec<Entry> = begun.iter().filter(|e| !ended.contains(e)).copied().collect();
    moved.extend(ended.iter().filter(|e| !begun.contains(e)));
    let mut all = Vec::new();
    for shown in 0..1_u32 << moved.len() {
        let mut listing: Vec<Entry> = begun.iter().filter(|e| ended.contains(e)).copied().collect();
        listing.extend(moved.iter().enumerate().filter(|(i, _)| shown & (1 << i) != 0).map(|(_, e)| *e));
        listing.sort_unstable_by_key(|e| e.name);
        // A name shows once.
        if listing.windows(2).all(|w| w[0].name != w[1].name) {
            all.push(Arc::new(listing));
        }
    }
    all
}

/// All objects.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Store {
    /// The object at the path.
    pub base: Option<Arc<Root>>,
    /// The objects in the folder of layers.
    pub sidecars: BTreeMap<Name, Object>,
}

impl Store {
    /// The folder as it is now.
    pub fn list(&self) -> Listing {
        let entry = |(name, object): (&Name, &Object)| {
            let begun = match object {
                Object::Layer(_) | Object::Mark => 0,
                Object::Detached(d) => d.begun,
            };
            Entry { name: *name, id: object.id(), begun }
        };
        Arc::new(self.sidecars.iter().map(entry).collect())
    }

    /// The folder of marks as it is now.
    pub fn list_marks(&self) -> Listing {
        Arc::new(self.list().iter().filter(|e| matches!(e.name, Name::Mark(..))).copied().collect())
    }

    /// A layer in the folder.
    pub fn layer(&self, name: Name) -> Option<Arc<Root>> {
        match self.sidecars.get(&name)? {
            Object::Layer(root) => Some(Arc::clone(root)),
            Object::Detached(_) | Object::Mark => None,
        }
    }
}
