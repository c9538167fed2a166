//! A disk in memory whose power can fail.

use std::collections::BTreeMap;
use std::sync::Arc;

use array_format::storage::{FinishMode, InMemoryStorage, ListEntry, ObjectTag, Opened, Storage, Upload};
use array_format::{Error, ErrorKind, Result};
use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use parking_lot::Mutex;

use crate::pause::pause;

/// Up to so many effects, all subsets are tried.
const ALL_SUBSETS: usize = 6;
/// Beyond that, so many drawn at random.
const SOME_SUBSETS: usize = 64;

/// Objects on a simulated disk, which does to a process that loses its power whatever a [`Storage`] may do to it.
///
/// A `finish` or `promote` that returned `Ok` is durable. Two kinds of effects are not: deletions, and what is in flight, that
/// is a `finish` or `promote` that began and did not end. Power loss keeps any subset of them. What a file shows while there is power is
/// not affected: the effects are visible at once.
///
/// A future that publishes, promotes or deletes pauses before its effect, and once more between the effect and its being durable. So a test
/// cuts the power anywhere by dropping the future that it tests after some number of polls; then it takes
/// [`after_power_loss`](Self::after_power_loss).
///
/// A clone shares the disk.
#[derive(Debug, Clone, Default)]
pub struct PowerLossStorage {
    visible: InMemoryStorage,
    disk: Arc<Mutex<Disk>>,
}

#[derive(Debug, Default)]
struct Disk {
    durable: BTreeMap<String, Bytes>,
    unsynced: Vec<Effect>,
    effects: u64,
    /// So many syncs from now, one fails.
    sync_fails_in: Option<u64>,
}

/// What is at `path` from then on; `None`: nothing.
#[derive(Debug, Clone)]
struct Effect {
    number: u64,
    path: String,
    after: Option<Bytes>,
}

impl Disk {
    fn push(&mut self, path: &str, after: Option<Bytes>) -> u64 {
        self.effects += 1;
        self.unsynced.push(Effect { number: self.effects, path: path.to_owned(), after });
        self.effects
    }

    /// Makes an effect durable, unless a later one at its path is already.
    fn sync(&mut self, number: u64) {
        let Some(at) = self.unsynced.iter().position(|e| e.number == number) else { return };
        let effect = self.unsynced.remove(at);
        self.unsynced.retain(|e| e.path != effect.path || e.number > number);
        apply(&mut self.durable, effect);
    }

    /// Whether the sync that is due now fails.
    fn sync_fails(&mut self) -> bool {
        let fails = self.sync_fails_in == Some(0);
        self.sync_fails_in = self.sync_fails_in.and_then(|n| n.checked_sub(1));
        fails
    }
}

fn not_durable(path: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("simulated failure: {path} cannot be made durable"))
}

fn apply(objects: &mut BTreeMap<String, Bytes>, effect: Effect) {
    match effect.after {
        Some(bytes) => objects.insert(effect.path, bytes),
        None => objects.remove(&effect.path),
    };
}

impl PowerLossStorage {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many effects power loss may undo.
    pub fn unsynced(&self) -> usize {
        self.disk.lock().unsynced.len()
    }

    /// Lets the k-th sync from now fail, counted from 0: that of a `finish` or `promote`, whose effect is then seen and not durable, or a
    /// [`sync`](Storage::sync).
    pub fn fail_sync_at(&self, k: u64) {
        self.disk.lock().sync_fails_in = Some(k);
    }

    /// Whether the sync that was to fail is still to come. Lets none fail any more.
    pub fn heal(&self) -> bool {
        self.disk.lock().sync_fails_in.take().is_some()
    }

    /// What may be found when the power is back: a disk for each subset of the effects that are not durable, with a sentence that
    /// tells the subset. If there are more than 6 of them it is 64 subsets drawn with `seed`, among them all and none.
    pub fn after_power_loss(&self, seed: u64) -> Vec<(String, Self)> {
        let effects = self.unsynced();
        let subsets: Vec<Vec<bool>> = if effects <= ALL_SUBSETS {
            (0..1u32 << effects).map(|bits| (0..effects).map(|i| bits >> i & 1 == 1).collect()).collect()
        } else {
            let mut random = random_bits(seed);
            let drawn = (2..SOME_SUBSETS).map(|_| (0..effects).map(|_| random()).collect());
            [vec![false; effects], vec![true; effects]].into_iter().chain(drawn).collect()
        };
        subsets.iter().map(|kept| self.with_effects(kept)).collect()
    }

    fn with_effects(&self, kept: &[bool]) -> (String, Self) {
        let disk = self.disk.lock();
        let mut durable = disk.durable.clone();
        let mut sentence = String::new();
        for (effect, kept) in disk.unsynced.iter().zip(kept) {
            let verb = if effect.after.is_some() { "putting" } else { "deleting" };
            let fate = if *kept { "kept" } else { "lost" };
            sentence += &format!("{fate}: {verb} {}; ", effect.path);
            if *kept {
                apply(&mut durable, effect.clone());
            }
        }
        let visible = InMemoryStorage::new();
        for (path, bytes) in &durable {
            let put = (&visible as &dyn Storage).put(path, bytes.clone(), FinishMode::Create).now_or_never();
            put.expect("memory does not wait").expect("the name is free");
        }
        let disk = Disk { durable, ..Disk::default() };
        (sentence, Self { visible, disk: Arc::new(Mutex::new(disk)) })
    }

    /// Runs `request`, which puts an object at `path`.
    async fn put_at<T>(&self, path: &str, request: impl Future<Output = Result<T>> + Send) -> Result<T> {
        pause(None).await;
        let (result, number) = {
            // The effect and the note of it are one step for other threads.
            let mut disk = self.disk.lock();
            let result = request.now_or_never().expect("memory does not wait")?;
            let opened = self.visible.open(path, u64::MAX).now_or_never().expect("memory does not wait")?;
            (result, disk.push(path, Some(opened.tail)))
        };
        pause(None).await;
        let mut disk = self.disk.lock();
        if disk.sync_fails() {
            return Err(not_durable(path));
        }
        disk.sync(number);
        Ok(result)
    }
}

/// Bits of xorshift64*.
fn random_bits(seed: u64) -> impl FnMut() -> bool {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 63 == 1
    }
}

#[async_trait]
impl Storage for PowerLossStorage {
    async fn open(&self, path: &str, tail_bytes: u64) -> Result<Opened> {
        self.visible.open(path, tail_bytes).await
    }

    async fn upload(&self, path: &str) -> Result<Box<dyn Upload>> {
        let inner = self.visible.upload(path).await?;
        Ok(Box::new(PowerLossUpload { inner, path: path.to_owned(), storage: self.clone() }))
    }

    async fn promote(&self, from: &str, to: &str, expected: &ObjectTag) -> Result<ObjectTag> {
        self.put_at(to, self.visible.promote(from, to, expected)).await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        pause(None).await;
        let mut disk = self.disk.lock();
        let was_there = self.visible.open(path, 0).now_or_never().is_some_and(|opened| opened.is_ok());
        self.visible.delete(path).now_or_never().expect("memory does not wait")?;
        if was_there {
            disk.push(path, None);
        }
        Ok(())
    }

    async fn list(&self, folder: &str) -> Result<Vec<ListEntry>> {
        self.visible.list(folder).await
    }

    async fn sync(&self, path: &str) -> Result<()> {
        let mut disk = self.disk.lock();
        if disk.sync_fails() {
            return Err(not_durable(path));
        }
        let last = disk.unsynced.iter().rev().find(|e| e.path == path).map(|e| e.number);
        last.into_iter().for_each(|number| disk.sync(number));
        Ok(())
    }

    fn describe(&self, path: &str) -> String {
        self.visible.describe(path)
    }
}

struct PowerLossUpload {
    inner: Box<dyn Upload>,
    path: String,
    storage: PowerLossStorage,
}

#[async_trait]
impl Upload for PowerLossUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.inner.write(bytes).await
    }

    async fn finish(self: Box<Self>, mode: FinishMode) -> Result<ObjectTag> {
        let Self { inner, path, storage } = *self;
        storage.put_at(&path, inner.finish(mode)).await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.inner.abort().await
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    fn names(storage: &PowerLossStorage) -> Vec<String> {
        block_on(storage.list("")).expect("it can be listed").into_iter().map(|e| e.name).collect()
    }

    fn found(storage: &PowerLossStorage) -> Vec<Vec<String>> {
        let mut found: Vec<_> = storage.after_power_loss(1).iter().map(|(_, s)| names(s)).collect();
        found.sort();
        found
    }

    fn create(storage: &PowerLossStorage, path: &str) {
        let storage: &dyn Storage = storage;
        block_on(storage.put(path, Bytes::new(), FinishMode::Create)).expect("a free name");
    }

    #[test]
    fn what_was_acknowledged_stays_and_the_rest_is_lost_in_any_subset() {
        let storage = PowerLossStorage::new();
        create(&storage, "a");
        create(&storage, "b");
        assert_eq!(found(&storage), [["a", "b"]]);
        block_on(storage.delete("a")).expect("it can be deleted");
        block_on(storage.delete("none")).expect("what is not there can be deleted");
        let in_flight = {
            let storage: &dyn Storage = &storage;
            let mut put = Box::pin(storage.put("c", Bytes::new(), FinishMode::Create));
            assert!((&mut put).now_or_never().is_none(), "before its effect");
            assert!((&mut put).now_or_never().is_none(), "before it is durable");
            put
        };
        assert_eq!(names(&storage), ["b", "c"], "with power everything is seen");
        assert_eq!(found(&storage), [vec!["a", "b"], vec!["a", "b", "c"], vec!["b"], vec!["b", "c"]]);
        block_on(in_flight).expect("a free name");
        assert_eq!(found(&storage), [vec!["a", "b", "c"], vec!["b", "c"]]);
        // A deletion cannot come undone when something else is durable at its place.
        create(&storage, "a");
        assert_eq!(
            (found(&storage), storage.unsynced()),
            (vec![vec!["a".into(), "b".into(), "c".into()]], 0)
        );
    }

    #[test]
    fn of_many_effects_some_subsets_are_drawn_the_same_for_the_same_seed() {
        let storage = PowerLossStorage::new();
        (0..9).for_each(|i| create(&storage, &i.to_string()));
        (0..9).for_each(|i| block_on(storage.delete(&i.to_string())).expect("it can be deleted"));
        assert_eq!(storage.unsynced(), 9);
        let found = found(&storage);
        assert_eq!(found.len(), 64);
        assert!(found.iter().any(Vec::is_empty) && found.iter().any(|f| f.len() == 9));
        let sentences = |seed| storage.after_power_loss(seed).into_iter().map(|o| o.0).collect::<Vec<_>>();
        assert!(sentences(1) == sentences(1) && sentences(1) != sentences(2));
    }
}
