//! The machine that runs operations, and after each commit compares everything that is read with a plain model. The fuzz target
//! `operations` runs it too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use array_format::*;
use array_format_testkit::CountingStorage;
use array_format_testkit::model::{Change, Item, Kind, ModelArray, ModelNode, ModelState, check_snapshot};

const PATHS: [&str; 10] = ["a", "b", "c", "g/a", "g/b", "g/h/a", "g/h", "h/a", "h", "g"];
const KEYS: [&str; 3] = ["k0", "k1", "k2"];
const SHAPES: [&[u64]; 9] = [&[], &[1], &[5], &[9], &[0], &[4, 6], &[20, 17], &[0, 3], &[3, 2, 5]];
const NO_CHUNK: u64 = 0;

/// Numbers that an operation takes one after the other.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n.max(1)
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let i = self.roll(from.len() as u64) as usize;
        from.get(i)
    }

    fn path(&mut self) -> String {
        (*self.pick(&PATHS).unwrap()).to_owned()
    }

    fn items(&mut self, kind: Kind, shape: &[u64]) -> Vec<Item> {
        (0..shape.iter().product::<u64>()).map(|_| kind.item(self.roll(u64::MAX))).collect()
    }
}

/// An open handle, and what it should show.
struct Handle {
    file: ArrayFile,
    base: u64,
    /// Of the version that it is based on.
    below: ModelState,
    state: ModelState,
    /// What a worker changed.
    changes: Vec<Change>,
    /// Whether it joined a detached layer since its last commit.
    joined: bool,
}

impl Handle {
    fn change(&mut self, change: &Change) {
        assert!(self.state.apply(change), "the test made a change that makes no sense: {change:?}");
        self.changes.push(change.clone());
    }
}

fn defines_the_same(a: &ModelNode, b: Option<&ModelNode>) -> bool {
    match (&a.array, b.map(|b| &b.array)) {
        (Some(a), Some(Some(b))) => {
            (a.kind, &a.shape, &a.chunk, &a.fill) == (b.kind, &b.shape, &b.chunk, &b.fill)
        }
        (None, Some(None)) => true,
        _ => false,
    }
}

/// A detached layer that was not joined yet.
struct Detached {
    receipt: Receipt,
    below: ModelState,
    state: ModelState,
    changes: Vec<Change>,
}

struct World {
    storage: Arc<dyn Storage>,
    config: FileConfig,
    handles: Vec<Handle>,
    /// Versions that must be readable.
    versions: BTreeMap<u64, ModelState>,
    newest: (u64, ModelState),
    tags: BTreeMap<String, u64>,
    detached: Vec<Detached>,
    /// Whether handles write data ahead of commits.
    writes_ahead: bool,
    log: Vec<String>,
}

const NAME: &str = "run.af";

impl World {
    async fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let memory = InMemoryStorage::default();
        let storage: Arc<dyn Storage> = match dice.roll(3) {
            // Answers only when it was waited for, as stores do.
            0 => Arc::new(CountingStorage::new(Arc::new(memory))),
            _ => Arc::new(memory),
        };
        let config = match dice.roll(3) {
            0 => FileConfig::new(NoCompression),
            1 => FileConfig::new(Lz4Codec),
            _ => FileConfig::default(),
        };
        // One seed, one run: what is found can be found again.
        let next = AtomicU64::new(1);
        let ids = move || {
            let n = next.fetch_add(1, Ordering::Relaxed);
            (u128::from(seed) << 64 | u128::from(n))
                .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
                .to_le_bytes()
        };
        // Some write everything ahead at once, some a part of it.
        let pending_bytes = [0, 200, 1 << 20][(seed % 3) as usize];
        let config = config
            .with_ids(ids)
            .with_clock(|| 0)
            .with_block_bytes(1 << dice.roll(12))
            .with_frame_bytes(1 << 10)
            .with_pending_bytes(pending_bytes);
        let file = ArrayFile::create(&storage, NAME, config.clone()).await.unwrap();
        let state = ModelState::default();
        let handle = Handle {
            file,
            base: 0,
            below: state.clone(),
            state: state.clone(),
            changes: vec![],
            joined: false,
        };
        let versions = BTreeMap::from([(0, state.clone())]);
        let (newest, tags, detached) = ((0, state), BTreeMap::new(), vec![]);
        let (handles, log, writes_ahead) = (vec![handle], vec![], pending_bytes < 1 << 20);
        Self { storage, config, handles, versions, newest, tags, detached, writes_ahead, log }
    }

    fn what(&self) -> String {
        format!("after\n  {}", self.log.join("\n  "))
    }

    /// Puts a handle's changes on top of the newest version in the model.
    fn merged(&self, handle: usize) -> Option<ModelState> {
        let h = &self.handles[handle];
        ModelState::merge(&h.below, &h.state, &self.newest.1)
    }

    async fn give_up(&mut self, handle: usize) {
        let what = self.what();
        let newest = self.newest.clone();
        let h = &mut self.handles[handle];
        if self.versions.contains_key(&h.base) {
            check_snapshot(&h.file.snapshot(), &h.state, &format!("{what}\nconflict")).await;
        }
        assert!(h.file.has_pending(), "{what}");
        h.file.discard().await.unwrap();
        h.file.refresh().await.unwrap();
        assert_eq!(h.file.version(), newest.0, "{what}");
        (h.base, h.below, h.state) = (newest.0, newest.1.clone(), newest.1);
    }

    /// What is defined and deleted again leaves nothing pending; nothing else may get lost.
    fn settle_pending(&self, handle: usize) {
        let what = self.what();
        let h = &self.handles[handle];
        assert!(h.file.has_pending() || h.state == h.below, "{what}");
    }

    async fn flush(&mut self, handle: usize) {
        self.settle_pending(handle);
        let what = self.what();
        let behind = self.handles[handle].base < self.newest.0;
        let expected = self.merged(handle);
        let h = &mut self.handles[handle];
        match h.file.flush().await {
            Ok(version) if version == h.base => assert_eq!(h.state, h.below, "{what}"),
            Ok(version) => {
                assert_eq!(version, self.newest.0 + 1, "{what}");
                let state = expected.unwrap_or_else(|| panic!("an overlap went unnoticed\n{what}"));
                self.newest = (version, state.clone());
                self.versions.insert(version, state.clone());
                (h.base, h.below, h.state) = (version, state.clone(), state);
            }
            Err(e) if behind && matches!(e.kind(), ErrorKind::Conflict | ErrorKind::AlreadyExists) => {
                self.give_up(handle).await;
            }
            Err(e) => panic!("{e}\n{what}"),
        }
        self.check(handle, true).await;
    }

    async fn refresh(&mut self, handle: usize) {
        let what = self.what();
        let expected = self.merged(handle);
        let (newest, below) = self.newest.clone();
        let h = &mut self.handles[handle];
        match h.file.refresh().await {
            Ok(newer) => {
                assert_eq!(newer, h.base < newest, "{what}");
                (h.base, h.below) = (newest, below);
                h.state = expected.unwrap_or_else(|| panic!("an overlap went unnoticed\n{what}"));
            }
            Err(e) if e.kind() == ErrorKind::Conflict => self.give_up(handle).await,
            Err(e) => panic!("{e}\n{what}"),
        }
    }

    /// What was joined, or written ahead, and not committed cannot be committed any more once older versions are given up. (That has tests
    /// of its own.)
    async fn commit_joined(&mut self) {
        for handle in 0..self.handles.len() {
            if std::mem::take(&mut self.handles[handle].joined) || self.writes_ahead {
                self.flush(handle).await;
            }
        }
    }

    async fn compact(&mut self, handle: usize, keep: bool) {
        self.commit_joined().await;
        self.refresh(handle).await;
        let what = self.what();
        let newest = self.newest.clone();
        let h = &mut self.handles[handle];
        let version = h.file.compact_with(CompactOptions::default().keep_versions(keep)).await;
        let version = version.unwrap_or_else(|e| panic!("{e}\n{what}"));
        assert!(version == newest.0 || version == newest.0 + 1, "{what}");
        assert_eq!(h.file.num_layers(), 1, "{what}");
        h.base = version;
        self.newest.0 = version;
        self.versions.insert(version, newest.1);
        if !keep {
            self.give_up_below(version);
        }
        self.check(handle, true).await;
    }

    /// Versions below a floor stay only if a tag names them.
    fn give_up_below(&mut self, floor: u64) {
        let tags = &self.tags;
        self.versions.retain(|v, _| *v >= floor || tags.values().any(|t| t == v));
    }

    async fn compact_some(&mut self, handle: usize) {
        self.refresh(handle).await;
        let what = self.what();
        let newest = self.newest.clone();
        let h = &mut self.handles[handle];
        let version = h.file.compact_with(CompactOptions::default().incremental(true)).await;
        let version = version.unwrap_or_else(|e| panic!("{e}\n{what}"));
        assert!(version == newest.0 || version == newest.0 + 1, "{what}");
        h.base = version;
        self.newest.0 = version;
        self.versions.insert(version, newest.1);
        self.check(handle, true).await;
    }

    async fn tag(&mut self, dice: &mut Dice, handle: usize) {
        self.refresh(handle).await;
        let name = format!("t{}", dice.roll(2));
        let all: Vec<u64> = self.versions.keys().copied().filter(|v| *v > 0).collect();
        if all.is_empty() {
            return;
        }
        let what = self.what();
        let (number, state) = self.newest.clone();
        let h = &mut self.handles[handle];
        let changed = if dice.roll(3) == 0 {
            let there = self.tags.remove(&name).is_some();
            assert_eq!(h.file.remove_tag(&name).await.unwrap(), there, "{what}");
            there
        } else {
            let version = *dice.pick(&all).unwrap();
            h.file.tag(&name, version).await.unwrap_or_else(|e| panic!("{e}\n{what}"));
            self.tags.insert(name, version) != Some(version)
        };
        if changed {
            h.base = number + 1;
            self.newest.0 = number + 1;
            self.versions.insert(number + 1, state);
        }
        assert_eq!(h.file.version(), self.newest.0, "{what}");
        assert_eq!(h.file.tags(), self.tags, "{what}");
        let floor = h.file.footer().floor;
        self.give_up_below(floor);
        self.check(handle, true).await;
    }

    /// A worker changes something and writes it ahead.
    async fn detach(&mut self, dice: &mut Dice) {
        let file = ArrayFile::open(&self.storage, NAME, self.config.clone()).await.unwrap();
        let (base, state) = self.newest.clone();
        self.handles.push(Handle { file, base, below: state.clone(), state, changes: vec![], joined: false });
        let worker = self.handles.len() - 1;
        for _ in 0..1 + dice.roll(4) {
            match dice.roll(4) {
                0 => self.define_new(dice, worker).await,
                1 => self.attribute(dice, worker).await,
                _ => self.write(dice, worker).await,
            }
        }
        let what = self.what();
        let mut worker = self.handles.pop().unwrap();
        if !worker.file.has_pending() {
            return;
        }
        let receipt = worker.file.detach().await.unwrap_or_else(|e| panic!("{e}\n{what}"));
        assert!(!worker.file.has_pending(), "{what}");
        check_snapshot(&worker.file.snapshot(), &worker.below, &what).await;
        let Handle { below, state, changes, .. } = worker;
        self.detached.push(Detached { receipt, below, state, changes });
    }

    async fn join(&mut self, dice: &mut Dice, handle: usize) {
        if self.detached.is_empty() {
            return;
        }
        self.refresh(handle).await;
        let what = self.what();
        let i = dice.roll(self.detached.len() as u64) as usize;
        let layer = self.detached.swap_remove(i);
        let h = &mut self.handles[handle];
        let mut twice = BTreeSet::new();
        let both = |p: &&String| !layer.below.nodes.contains_key(*p) && h.state.nodes.contains_key(*p);
        twice.extend(layer.state.nodes.keys().filter(both).cloned());
        // And give an attribute the same value.
        let mut below = layer.below.clone();
        for (path, node) in &mut below.nodes {
            let (Some(mine), Some(theirs)) = (layer.state.nodes.get(path), h.state.nodes.get(path)) else {
                continue;
            };
            let same = mine.attributes.iter().filter(|(k, v)| theirs.attributes.get(*k) == Some(*v));
            node.attributes.extend(same.map(|(k, v)| (k.clone(), v.clone())));
            node.attributes
                .retain(|k, _| mine.attributes.contains_key(k) || theirs.attributes.contains_key(k));
        }
        match h.file.join(std::slice::from_ref(&layer.receipt)).await {
            Ok(()) => {
                // What it becomes if nothing overlaps.
                let mut state = h.state.clone();
                let applied = layer.changes.iter().all(|c| match c {
                    // Two may define the same array in the same way, and fill it together.
                    Change::Put(path, node) if defines_the_same(node, state.nodes.get(path)) => {
                        twice.insert(path.clone());
                        true
                    }
                    // A group that was there only by what it held gets a row with its first attribute, also if that was moved away meanwhile.
                    Change::Attribute(path, ..) if state.is_free(path) && !state.is_group(path) => {
                        state.apply(&Change::Put(path.clone(), ModelNode::new(None))) && state.apply(c)
                    }
                    c => state.apply(c),
                });
                assert!(applied, "joined what cannot be applied\n{what}");
                let same_shapes = |a: &ModelState, b: &ModelState| {
                    let shape = |s: &ModelState, p: &String| s.array(p).map(|a| a.shape.clone());
                    a.arrays().iter().all(|p| shape(a, p) == shape(b, p))
                };
                if twice.is_empty() && same_shapes(&below, &h.state) {
                    let merged = ModelState::merge(&below, &layer.state, &h.state);
                    assert!(merged.is_some(), "an overlap went unnoticed\n{what}");
                }
                (h.state, h.joined) = (state, true);
                let again = h.file.join(std::slice::from_ref(&layer.receipt)).await.unwrap_err();
                assert_eq!(again.kind(), ErrorKind::AlreadyExists, "{again}\n{what}");
            }
            Err(e) => {
                let gone = matches!(e.kind(), ErrorKind::SnapshotExpired | ErrorKind::NotFound);
                let given_up = gone && layer.receipt.begun() < h.file.footer().floor;
                assert!(e.kind() == ErrorKind::Conflict || given_up, "{e:?}\n{what}");
                h.file.abandon(&[layer.receipt]).await.unwrap();
            }
        }
        self.check(handle, false).await;
    }

    async fn copy(&mut self, dice: &mut Dice, handle: usize) {
        let to = dice.path();
        let other = dice.roll(self.handles.len() as u64) as usize;
        let what = self.what();
        if !self.versions.contains_key(&self.handles[other].base) {
            return;
        }
        let from = self.handles[other].file.snapshot();
        let state = self.handles[other].state.clone();
        let Some(source) = dice.pick(&state.arrays()).cloned() else { return };
        let h = &mut self.handles[handle];
        if !h.state.is_free(&to) {
            return;
        }
        h.file.copy_from(&from, &source, &to).await.unwrap_or_else(|e| panic!("{e}\n{what}"));
        let copied = &state.nodes[&source];
        let mut node = ModelNode::new(copied.array.clone());
        node.attributes.clone_from(&copied.attributes);
        h.change(&Change::Put(to, node));
        self.check(handle, false).await;
    }

    async fn collect(&mut self, dice: &mut Dice, handle: usize) {
        self.commit_joined().await;
        if !self.handles[handle].file.has_pending() {
            self.refresh(handle).await;
        }
        let what = self.what();
        let options = GcOptions::default().keep_last(1 + dice.roll(3) as usize);
        let (number, state) = self.newest.clone();
        let h = &mut self.handles[handle];
        let before = ArrayFile::open(&self.storage, NAME, self.config.clone()).await.unwrap().footer().floor;
        let told = h.file.garbage_collect(options.dry_run(true)).await.unwrap();
        let done = h.file.garbage_collect(options).await.unwrap_or_else(|e| panic!("{e}\n{what}"));
        assert_eq!(told.objects, done.objects, "{what}");
        let left = h.file.garbage_collect(options).await.unwrap();
        assert!(left.objects.is_empty(), "{left:?}\n{what}");
        let fresh = ArrayFile::open(&self.storage, NAME, self.config.clone()).await.unwrap();
        let (version, floor) = (fresh.version(), fresh.footer().floor);
        assert!(version == number || version == number + 1, "{what}");
        let kept = |floor| self.versions.range(floor..).count();
        assert!(floor <= number && kept(floor) >= options.keep_last.min(kept(before)), "{what}");
        self.newest.0 = version;
        self.versions.insert(version, state);
        self.give_up_below(floor);
        if !self.handles[handle].file.has_pending() {
            self.handles[handle].base = version;
        }
        for version in self.versions.keys() {
            let found = fresh.at(*version).await.unwrap_or_else(|e| panic!("version {version}: {e}\n{what}"));
            check_snapshot(&found, &self.versions[version], &format!("{what}\nversion {version}")).await;
        }
    }

    /// Compares what a handle shows with the model; `deep` also what a fresh handle shows, and every byte.
    async fn check(&self, handle: usize, deep: bool) {
        let what = self.what();
        let h = &self.handles[handle];
        check_snapshot(&h.file.snapshot(), &h.state, &what).await;
        if !deep {
            return;
        }
        let fresh = ArrayFile::open(&self.storage, NAME, self.config.clone())
            .await
            .unwrap_or_else(|e| panic!("{e}\n{what}"));
        assert_eq!(fresh.version(), self.newest.0, "{what}");
        check_snapshot(&fresh.snapshot(), &self.newest.1, &format!("{what}\nfresh handle")).await;
        let report = fresh.verify(VerifyOptions::default().statistics(true)).await.unwrap();
        assert!(report.is_clean(), "{:?}\n{what}", report.damage);
        let (usage, footer) = (fresh.usage(), fresh.footer());
        let live: u64 = footer.objects.iter().map(|o| o.live_bytes).sum();
        let decoded: u64 = footer.objects.iter().map(|o| o.decoded_bytes).sum();
        assert!(footer.objects.iter().all(|o| o.live_bytes <= o.decoded_bytes), "{footer:?}\n{what}");
        assert_eq!((usage.live_bytes, usage.dead_bytes), (live, decoded - live), "{what}");
    }

    async fn time_travel(&self, dice: &mut Dice, handle: usize) {
        let what = self.what();
        let all: Vec<u64> = self.versions.keys().copied().collect();
        let version = *dice.pick(&all).unwrap();
        let file = &self.handles[handle].file;
        let found = file.at(version).await.unwrap_or_else(|e| panic!("version {version}: {e}\n{what}"));
        check_snapshot(&found, &self.versions[&version], &format!("{what}\nversion {version}")).await;
        let listed: BTreeSet<u64> = file.versions().await.unwrap().iter().map(|v| v.version).collect();
        assert!(all.iter().all(|v| listed.contains(v)), "{listed:?}\n{what}");
        let config = self.config.clone().at_version(version);
        let old = ArrayFile::open(&self.storage, NAME, config).await.unwrap();
        check_snapshot(&old.snapshot(), &self.versions[&version], &format!("{what}\nhandle at {version}"))
            .await;
        let report = old.verify(VerifyOptions::default().statistics(true)).await.unwrap();
        assert!(report.is_clean(), "version {version}: {:?}\n{what}", report.damage);
    }

    async fn define(&mut self, dice: &mut Dice, handle: usize) {
        let redefine = dice.roll(3) == 0;
        self.define_or(dice, handle, redefine).await;
    }

    /// As workers can: nothing that is there goes.
    async fn define_new(&mut self, dice: &mut Dice, handle: usize) {
        self.define_or(dice, handle, false).await;
    }

    async fn define_or(&mut self, dice: &mut Dice, handle: usize, redefine: bool) {
        let path = dice.path();
        let h = &mut self.handles[handle];
        let old = h.state.array(&path).is_some();
        let kind = *dice.pick(&Kind::ALL).unwrap();
        let shape = dice.pick(&SHAPES).unwrap().to_vec();
        let chunk = match dice.roll(3) {
            NO_CHUNK => None,
            _ => Some(shape.iter().map(|n| 1 + dice.roll(n + 2)).collect::<Vec<u64>>()),
        };
        let fill = (dice.roll(2) == 0).then(|| kind.item(dice.roll(u64::MAX))).filter(|f| !f.is_null());
        let mut definition = kind.definition(&shape, fill.as_ref());
        if let Some(chunk) = &chunk {
            definition = definition.chunk_shape(chunk.clone());
        }
        if kind != Kind::MaybeText && dice.roll(3) == 0 {
            definition = definition.filters(vec![Filter::Pco { level: 4 }]);
        }
        if dice.roll(3) == 0 {
            definition = definition.codec(&Lz4Codec);
        }
        let array = ModelArray::new(kind, shape, chunk, fill.unwrap_or(kind.zero()));
        let node = ModelNode::new(Some(array));
        if old && redefine {
            h.file.redefine(&path, definition).await.unwrap();
            h.change(&Change::Delete(vec![path.clone()]));
            h.change(&Change::Put(path, node));
        } else if h.state.is_free(&path) {
            h.file.define(&path, definition).unwrap();
            h.change(&Change::Put(path, node));
        } else if !old {
            // A store that answers late finds out later; that is a test of its own.
            assert!(h.state.is_group(&path) || h.state.inside_array(&path));
        }
    }

    async fn write(&mut self, dice: &mut Dice, handle: usize) {
        let h = &mut self.handles[handle];
        let Some(path) = dice.pick(&h.state.arrays()).cloned() else { return };
        let array = h.state.array(&path).unwrap();
        let (mut start, mut shape) = (vec![], vec![]);
        let whole = dice.roll(4) == 0;
        for n in &array.shape {
            let s = if whole { 0 } else { dice.roll(n + 1) };
            start.push(s);
            shape.push(if whole { *n } else { dice.roll(n - s + 1) });
        }
        let kind = array.kind;
        let items = dice.items(kind, &shape);
        kind.write(&mut h.file, &path, start.clone(), &shape, &items).await.unwrap();
        if !items.is_empty() {
            h.change(&Change::Write { path, start, shape, items });
        }
    }

    async fn resize(&mut self, dice: &mut Dice, handle: usize) {
        let h = &mut self.handles[handle];
        let Some(path) = dice.pick(&h.state.arrays()).cloned() else { return };
        let array = h.state.array(&path).unwrap();
        let shape: Vec<u64> = array.shape.iter().map(|n| dice.roll(2 * n.min(&12) + 2)).collect();
        h.file.resize(&path, shape.clone()).await.unwrap();
        if shape != array.shape {
            h.change(&Change::Resize(path, shape));
        }
    }

    async fn append(&mut self, dice: &mut Dice, handle: usize) {
        let h = &mut self.handles[handle];
        let Some(path) = dice.pick(&h.state.arrays()).cloned() else { return };
        let array = h.state.array(&path).unwrap();
        if array.shape.is_empty() || array.shape.iter().any(|n| *n > 25) {
            return;
        }
        let axis = dice.roll(array.shape.len() as u64) as usize;
        let mut added = array.shape.clone();
        added[axis] = dice.roll(5);
        let (kind, mut start, mut shape) = (array.kind, vec![0; added.len()], array.shape.clone());
        start[axis] = shape[axis];
        shape[axis] += added[axis];
        let items = dice.items(kind, &added);
        kind.append(&mut h.file, &path, axis, &added, &items).await.unwrap();
        if added[axis] > 0 {
            h.change(&Change::Resize(path.clone(), shape));
        }
        if !items.is_empty() {
            h.change(&Change::Write { path, start, shape: added, items });
        }
    }

    async fn rename(&mut self, dice: &mut Dice, handle: usize) {
        let (from, to) = (dice.path(), dice.path());
        let what = self.what();
        let h = &mut self.handles[handle];
        let moves: Vec<(String, String)> = h
            .state
            .tree(&from)
            .into_iter()
            .map(|p| (p.clone(), format!("{to}{}", &p[from.len()..])))
            .collect();
        let into_itself = to.starts_with(&format!("{from}/"));
        let valid = !moves.is_empty() && h.state.is_free(&to) && !into_itself;
        let done = h.file.rename(&from, &to).await;
        assert_eq!(done.is_ok(), valid, "{done:?}\n{what}");
        if valid {
            h.change(&Change::Move(moves));
        }
    }

    async fn delete(&mut self, dice: &mut Dice, handle: usize) {
        let path = dice.path();
        let h = &mut self.handles[handle];
        let tree = h.state.tree(&path);
        let done = h.file.delete(&path).await;
        assert_eq!(done.is_ok(), !tree.is_empty());
        if !tree.is_empty() {
            h.change(&Change::Delete(tree));
        }
    }

    async fn define_group(&mut self, dice: &mut Dice, handle: usize) {
        let path = dice.path();
        let h = &mut self.handles[handle];
        let valid = !h.state.nodes.contains_key(&path) && !h.state.inside_array(&path);
        assert_eq!(h.file.define_group(&path).await.is_ok(), valid);
        if valid {
            h.change(&Change::Put(path, ModelNode::new(None)));
        }
    }

    async fn attribute(&mut self, dice: &mut Dice, handle: usize) {
        let path = if dice.roll(6) == 0 { String::new() } else { dice.path() };
        let key = (*dice.pick(&KEYS).unwrap()).to_owned();
        let h = &mut self.handles[handle];
        let there = h.state.nodes.contains_key(&path) || h.state.is_group(&path);
        if dice.roll(4) == 0 {
            let had = h.state.nodes.get(&path).is_some_and(|n| n.attributes.contains_key(&key));
            let done = h.file.remove_attribute(&path, &key).await;
            assert_eq!(done.ok(), there.then_some(had));
            if had {
                h.change(&Change::Attribute(path, key, None));
            }
            return;
        }
        let value: Value = match dice.roll(5) {
            0 => (dice.roll(3) as i32).into(),
            1 => f64::NAN.into(),
            2 => Value::list(&[1u8, 2]),
            _ => format!("v{}", dice.roll(4)).into(),
        };
        let done = h.file.set_attribute(&path, &key, value.clone()).await;
        assert_eq!(done.is_ok(), there);
        if there {
            h.change(&Change::Attribute(path, key, Some(value)));
        }
    }

    async fn reopen(&mut self, dice: &mut Dice, handle: usize) {
        let file = ArrayFile::open(&self.storage, NAME, self.config.clone()).await.unwrap();
        let fresh = Handle {
            file,
            base: self.newest.0,
            below: self.newest.1.clone(),
            state: self.newest.1.clone(),
            changes: vec![],
            joined: false,
        };
        if self.handles.len() < 3 && dice.roll(2) == 0 {
            self.handles.push(fresh);
        } else {
            self.handles[handle] = fresh;
        }
    }

    async fn step(&mut self, op: u8, seed: u64) {
        let mut dice = Dice(seed);
        let handle = dice.roll(self.handles.len() as u64) as usize;
        self.log.push(format!("({op}, {seed}) on handle {handle}"));
        if !self.versions.contains_key(&self.handles[handle].base) {
            // What it shows may have been collected.
            self.refresh(handle).await;
        }
        match op {
            0..20 => self.define(&mut dice, handle).await,
            20..40 => self.write(&mut dice, handle).await,
            40..47 => self.resize(&mut dice, handle).await,
            47..54 => self.append(&mut dice, handle).await,
            54..60 => self.rename(&mut dice, handle).await,
            60..66 => self.delete(&mut dice, handle).await,
            66..68 => self.define_group(&mut dice, handle).await,
            68..78 => self.attribute(&mut dice, handle).await,
            78..86 => self.flush(handle).await,
            86 => self.tag(&mut dice, handle).await,
            100..106 => self.detach(&mut dice).await,
            106..112 => self.join(&mut dice, handle).await,
            112..115 => self.copy(&mut dice, handle).await,
            115..118 => self.compact_some(handle).await,
            118..121 => self.collect(&mut dice, handle).await,
            87..89 => self.reopen(&mut dice, handle).await,
            89 => {
                let h = &mut self.handles[handle];
                h.file.discard().await.unwrap();
                // What it is based on may have been collected; the newest cannot.
                h.file.refresh().await.unwrap();
                (h.base, h.below) = self.newest.clone();
                h.state = h.below.clone();
            }
            90..93 => self.time_travel(&mut dice, handle).await,
            93..95 => self.compact(handle, true).await,
            95..97 => self.compact(handle, false).await,
            97 => self.collect(&mut dice, handle).await,
            98 => self.handles[handle].file = self.handles[handle].file.clone(),
            _ => self.refresh(handle).await,
        }
        if !(78..100).contains(&op) && self.handles[handle].base == self.newest.0 {
            self.settle_pending(handle);
            if dice.roll(4) == 0 {
                self.check(handle, false).await;
            }
        }
    }
}

/// Operations are below this number.
pub(crate) const OPERATIONS: u8 = 121;

/// Runs a sequence of operations, each with the seed of its random numbers.
pub(crate) async fn run(seed: u64, ops: &[(u8, u64)]) {
    let mut world = World::new(seed).await;
    for (op, seed) in ops {
        world.step(*op, *seed).await;
    }
    for handle in 0..world.handles.len() {
        world.flush(handle).await;
    }
    for version in world.versions.keys() {
        let found = world.handles[0].file.at(*version).await.unwrap();
        check_snapshot(&found, &world.versions[version], &world.what()).await;
    }
}
