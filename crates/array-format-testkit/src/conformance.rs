//! What every storage must do. Run it on your own: `block_on(conformance::run(&storage, "some/empty/folder"))`.
//!
//! Replacing and promoting may be `Unsupported`; everything else must work.

mod races;

use std::ops::Range;
use std::time::Duration;

use array_format::storage::{FinishMode, ObjectTag, Storage};
use array_format::{Error, ErrorKind, Result};
use bytes::Bytes;
use futures::future::join_all;

pub use races::{create_races, create_races_between_threads, replace_races};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// The whole exam. `folder` must be empty or absent; objects are left in it.
///
/// # Panics
///
/// When the storage fails it.
pub async fn run(storage: &dyn Storage, folder: &str) {
    let place = |test: &str| format!("{folder}/{test}");
    absent_objects(storage, &place("absent")).await;
    create_and_read(storage, &place("read")).await;
    empty_objects(storage, &place("empty")).await;
    unfinished_is_invisible(storage, &place("unfinished")).await;
    create_races(storage, &place("race")).await;
    unique_names(storage, &place("unique")).await;
    pinned_when_deleted(storage, &place("pinned")).await;
    replace(storage, &place("replace")).await;
    promote(storage, &place("promote")).await;
    replace_races(storage, &place("replace-race")).await;
    names(storage, &place("names")).await;
    refused_paths(storage, &place("paths")).await;
    large_object(storage, &place("large")).await;
    concurrent_reads(storage, &place("concurrent")).await;
    listing(storage, &place("list")).await;
}

/// `length` bytes that differ from place to place and from seed to seed.
pub fn pattern(seed: u64, length: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect::<Vec<_>>().into()
}

async fn create(storage: &dyn Storage, path: &str, bytes: Bytes) -> Result<ObjectTag> {
    storage.put(path, bytes, FinishMode::Create).await
}

async fn created(storage: &dyn Storage, path: &str, bytes: Bytes) -> ObjectTag {
    create(storage, path, bytes).await.expect("a free name can be created")
}

/// All bytes and the tag of what is there now.
async fn content(storage: &dyn Storage, path: &str) -> Result<(Bytes, ObjectTag)> {
    let opened = storage.open(path, 0).await?;
    assert!(opened.tail.is_empty(), "a tail of 0 bytes has none");
    let bytes = opened.object.read(0..opened.object.size()).await?;
    Ok((bytes, opened.object.tag().clone()))
}

async fn names_in(storage: &dyn Storage, folder: &str) -> Vec<String> {
    storage.list(folder).await.expect("a folder can be listed").into_iter().map(|e| e.name).collect()
}

#[track_caller]
fn assert_kind<T: std::fmt::Debug>(result: Result<T>, kind: ErrorKind) {
    match result {
        Err(e) if e.kind() == kind => assert!(!e.message().is_empty()),
        other => panic!("{} was expected, not {other:?}", kind.name()),
    }
}

/// The value, or `None` where the storage says that it cannot do this.
#[track_caller]
fn if_supported<T>(result: Result<T>) -> Option<T> {
    match result {
        Err(e) if e.kind() == ErrorKind::Unsupported => None,
        result => Some(result.expect("replace and promote work or are unsupported")),
    }
}

/// What is not there is not found, and deleting it is fine.
pub async fn absent_objects(storage: &dyn Storage, folder: &str) {
    let path = format!("{folder}/nothing.af");
    assert_kind(storage.open(&path, 0).await, ErrorKind::NotFound);
    assert_kind(storage.open(&path, 100).await, ErrorKind::NotFound);
    storage.delete(&path).await.expect("deleting what is not there is fine");
    assert!(names_in(storage, folder).await.is_empty());
    storage.sweep(&path, WEEK).await.expect("sweeping an absent folder is fine");
    assert!(storage.describe(&path).ends_with(&path), "{} names the path", storage.describe(&path));
}

/// What was created is read back: tails shorter and longer than the object, ranges, ranges outside.
pub async fn create_and_read(storage: &dyn Storage, folder: &str) {
    let path = format!("{folder}/a.af");
    let bytes = pattern(1, 10_000);
    let mut upload = storage.upload(&path).await.expect("an upload starts");
    for part in [0..1, 1..1, 1..5_000, 5_000..10_000] {
        upload.write(bytes.slice(part)).await.expect("an upload takes bytes");
    }
    let tag = upload.finish(FinishMode::Create).await.expect("a free name can be created");

    for tail in [0, 1, 100, 9_999, 10_000, 10_001, 1 << 20, u64::MAX] {
        let opened = storage.open(&path, tail).await.expect("the object can be opened");
        let from = 10_000_u64.saturating_sub(tail) as usize;
        assert_eq!(opened.object.size(), 10_000);
        assert_eq!(opened.object.tag(), &tag, "open and finish agree on the tag");
        assert!(opened.tail == bytes.slice(from..), "a tail of {tail} bytes");
    }

    let object = storage.open(&path, 0).await.expect("the object can be opened").object;
    let ranges: Vec<Range<u64>> =
        vec![0..10_000, 0..1, 9_999..10_000, 17..4_711, 5..5, 0..0, 10_000..10_000, 0..1];
    let read = object.read_ranges(&ranges).await.expect("ranges can be read");
    assert_eq!(read.len(), ranges.len());
    for (range, read) in ranges.iter().zip(read) {
        let expected = bytes.slice(range.start as usize..range.end as usize);
        assert!(read == expected, "{range:?}");
        assert!(object.read(range.clone()).await.expect("a range can be read") == expected, "{range:?}");
    }
    assert!(object.read_ranges(&[]).await.expect("no ranges can be read").is_empty());
    for outside in [0..10_001, 9_999..10_001, 10_001..10_001, 20_000..20_010, u64::MAX - 1..u64::MAX] {
        assert_kind(object.read(outside.clone()).await, ErrorKind::Corrupt);
        assert_kind(object.read_ranges(&[0..1, outside]).await, ErrorKind::Corrupt);
    }
    assert_kind(object.read(Range { start: 2, end: 1 }).await, ErrorKind::Corrupt);

    assert_kind(create(storage, &path, pattern(2, 10)).await, ErrorKind::AlreadyExists);
    assert!(
        content(storage, &path).await.expect("it is still there").0 == bytes,
        "a refused create changes nothing"
    );
    storage.delete(&path).await.expect("an object can be deleted");
    assert_kind(storage.open(&path, 0).await, ErrorKind::NotFound);
    created(storage, &path, pattern(3, 10)).await;
}

/// An object of no bytes is an object.
pub async fn empty_objects(storage: &dyn Storage, folder: &str) {
    let path = format!("{folder}/a.af");
    let upload = storage.upload(&path).await.expect("an upload starts");
    upload.finish(FinishMode::Create).await.expect("an empty object can be created");
    for tail in [0, 1, 1_000] {
        let opened = storage.open(&path, tail).await.expect("an empty object can be opened");
        assert_eq!((opened.object.size(), opened.tail.len()), (0, 0));
        assert!(opened.object.read(0..0).await.expect("no bytes can be read").is_empty());
        assert_kind(opened.object.read(0..1).await, ErrorKind::Corrupt);
    }
    assert_kind(create(storage, &path, Bytes::new()).await, ErrorKind::AlreadyExists);
    assert_eq!(names_in(storage, folder).await, ["a.af"]);
}

/// Before `finish`, after `abort` and after a drop there is nothing, whatever the size.
pub async fn unfinished_is_invisible(storage: &dyn Storage, folder: &str) {
    for (name, length) in [("small.af", 100), ("large.af", 20 << 20)] {
        let path = format!("{folder}/{name}");
        let mut uploads = Vec::new();
        for seed in 0..3 {
            let mut upload = storage.upload(&path).await.expect("several uploads of one path can run");
            upload.write(pattern(seed, length)).await.expect("an upload takes bytes");
            uploads.push(upload);
        }
        assert_kind(storage.open(&path, 1).await, ErrorKind::NotFound);
        assert!(names_in(storage, folder).await.is_empty(), "nothing is listed before finish");
        storage.sweep(&path, WEEK).await.expect("sweeping works");

        let last = uploads.pop().expect("three were started");
        uploads.pop().expect("three were started").abort().await.expect("an upload can be aborted");
        drop(uploads);
        assert_kind(storage.open(&path, 1).await, ErrorKind::NotFound);
        assert!(names_in(storage, folder).await.is_empty(), "nothing is listed after abort and drop");

        last.finish(FinishMode::Create).await.expect("a live upload survives sweeping");
        let (bytes, _) = content(storage, &path).await.expect("what is finished is there");
        assert!(bytes == pattern(2, length));
        assert_eq!(names_in(storage, folder).await, [name]);
        storage.delete(&path).await.expect("an object can be deleted");
    }
}

/// A unique name is created like any other, small or large.
pub async fn unique_names(storage: &dyn Storage, folder: &str) {
    for (name, length) in [("small-5f0c.af", 10), ("large-9a1b.af", 20 << 20)] {
        let path = format!("{folder}/{name}");
        let mut upload = storage.upload_unique(&path).await.expect("an upload starts");
        upload.write(pattern(1, length)).await.expect("an upload takes bytes");
        assert_kind(storage.open(&path, 1).await, ErrorKind::NotFound);
        let tag = upload.finish(FinishMode::Create).await.expect("a unique name can be created");
        let (bytes, found) = content(storage, &path).await.expect("what is finished is there");
        assert!(bytes == pattern(1, length));
        assert_eq!(found, tag);
    }
    assert_eq!(names_in(storage, folder).await.len(), 2);
}

/// What was opened stays what it was, or says that it is gone, when its name is given to other bytes.
pub async fn pinned_when_deleted(storage: &dyn Storage, folder: &str) {
    let path = format!("{folder}/a.af");
    let old = pattern(1, 5_000);
    created(storage, &path, old.clone()).await;
    let pinned = storage.open(&path, 10).await.expect("the object can be opened").object;
    storage.delete(&path).await.expect("an object can be deleted");
    assert_same_or_expired(pinned.read(0..5_000).await, &old);
    // Some file systems tell the time in steps of 10 ms, and use inode numbers again.
    std::thread::sleep(Duration::from_millis(30));
    created(storage, &path, pattern(2, 5_000)).await;
    assert_same_or_expired(pinned.read(0..5_000).await, &old);
    assert_same_or_expired(pinned.read(100..101).await, &old.slice(100..101));
    let new = storage.open(&path, 0).await.expect("the object can be opened").object;
    assert_ne!(new.tag(), pinned.tag(), "other bytes have another tag");
    storage.delete(&path).await.expect("an object can be deleted");
    created(storage, &path, pattern(3, 500)).await;
    assert_same_or_expired(pinned.read(0..5_000).await, &old);
    assert_same_or_expired(pinned.read(10..20).await, &old.slice(10..20));
    assert_same_or_expired(new.read(10..20).await, &pattern(2, 5_000).slice(10..20));
}

#[track_caller]
fn assert_same_or_expired(result: Result<Bytes>, expected: &Bytes) {
    match result {
        Ok(bytes) => assert!(bytes == *expected, "a pinned object never gives other bytes"),
        Err(e) => assert_eq!(e.kind(), ErrorKind::SnapshotExpired, "{e}"),
    }
}

/// Replacing takes the tag of what is there, and no other.
pub async fn replace(storage: &dyn Storage, folder: &str) {
    let path = format!("{folder}/a.af");
    let first = created(storage, &path, pattern(1, 3_000)).await;
    let pinned = storage.open(&path, 0).await.expect("the object can be opened").object;
    let replaced = storage.put(&path, pattern(2, 3_000), FinishMode::Replace(first.clone())).await;
    let Some(second) = if_supported(replaced) else {
        let (bytes, _) = content(storage, &path).await.expect("it is still there");
        assert!(bytes == pattern(1, 3_000), "what is unsupported changes nothing");
        return;
    };
    assert_ne!(first, second);
    let (bytes, tag) = content(storage, &path).await.expect("the object can be read");
    assert!(bytes == pattern(2, 3_000) && tag == second);
    assert_same_or_expired(pinned.read(0..3_000).await, &pattern(1, 3_000));
    assert_same_or_expired(pinned.read(7..8).await, &pattern(1, 3_000).slice(7..8));

    let stale = storage.put(&path, pattern(3, 10), FinishMode::Replace(first)).await;
    assert_kind(stale, ErrorKind::Conflict);
    assert!(content(storage, &path).await.expect("it is still there").0 == pattern(2, 3_000));
    let third =
        storage.put(&path, pattern(4, 10), FinishMode::Replace(second)).await.expect("tags can be chained");
    storage.delete(&path).await.expect("an object can be deleted");
    assert_kind(storage.put(&path, pattern(5, 10), FinishMode::Replace(third)).await, ErrorKind::Conflict);
    assert_kind(storage.open(&path, 0).await, ErrorKind::NotFound);
    assert!(names_in(storage, folder).await.is_empty());
}

/// Promoting puts the bytes of one object in the place of another, under the same condition.
pub async fn promote(storage: &dyn Storage, folder: &str) {
    let (from, to) = (format!("{folder}/from.af"), format!("{folder}/to.af"));
    let old = created(storage, &to, pattern(1, 1_000)).await;
    created(storage, &from, pattern(2, 2_000)).await;
    let pinned = storage.open(&to, 0).await.expect("the object can be opened").object;
    let Some(tag) = if_supported(storage.promote(&from, &to, &old).await) else {
        let (bytes, _) = content(storage, &to).await.expect("it is still there");
        assert!(bytes == pattern(1, 1_000), "what is unsupported changes nothing");
        return;
    };
    let (bytes, found) = content(storage, &to).await.expect("the object can be read");
    assert!(bytes == pattern(2, 2_000) && found == tag);
    assert_same_or_expired(pinned.read(0..1_000).await, &pattern(1, 1_000));
    storage.delete(&from).await.expect("an object can be deleted");
    assert!(content(storage, &to).await.expect("it outlives its source").0 == pattern(2, 2_000));
    assert_eq!(names_in(storage, folder).await, ["to.af"], "promoting leaves nothing else behind");

    created(storage, &from, pattern(3, 500)).await;
    assert_kind(storage.promote(&from, &to, &old).await, ErrorKind::Conflict);
    assert!(content(storage, &to).await.expect("it is still there").0 == pattern(2, 2_000));
    assert_kind(storage.promote(&format!("{folder}/nothing.af"), &to, &tag).await, ErrorKind::NotFound);
    storage.delete(&to).await.expect("an object can be deleted");
    assert_kind(storage.promote(&from, &to, &tag).await, ErrorKind::Conflict);
    assert!(
        content(storage, &from).await.expect("a refused promotion keeps its source").0 == pattern(3, 500)
    );
}

/// Names are kept letter by letter.
pub async fn names(storage: &dyn Storage, folder: &str) {
    let mut names = vec![
        "plain.af",
        "two words.af",
        "größe-日本-🌊.af",
        "50%.af",
        "50%25.af",
        "a%2Fb.af",
        "..af",
        "a..b.af",
        ".hidden.af",
        "UPPER.af",
        "plus+and&.af",
        "run.af.000001",
        "quote'.af",
        "x.tmp",
        "x.part-1",
    ];
    for (seed, name) in names.iter().enumerate() {
        created(storage, &format!("{folder}/{name}"), pattern(seed as u64, 50)).await;
    }
    for (seed, name) in names.iter().enumerate() {
        let (bytes, _) = content(storage, &format!("{folder}/{name}")).await.expect("each name is found");
        assert!(bytes == pattern(seed as u64, 50), "{name} holds its own bytes");
    }
    names.sort_unstable();
    assert_eq!(names_in(storage, folder).await, names);
    let deep = format!("{folder}/two words/ü/50%/c.af");
    created(storage, &deep, pattern(1, 50)).await;
    assert_eq!(names_in(storage, &format!("{folder}/two words/ü/50%")).await, ["c.af"]);
    assert_eq!(names_in(storage, folder).await, names, "folders are not listed");
}

/// Paths that some storage could not hold are refused by every one.
pub async fn refused_paths(storage: &dyn Storage, folder: &str) {
    for bad in ["", "/", "..", "a/../b", "a//b", "/a", "a/", "./a", "a\nb", "a\0b"] {
        let path =
            if bad.is_empty() || bad.starts_with('/') { bad.to_owned() } else { format!("{folder}/{bad}") };
        assert_kind(storage.open(&path, 0).await, ErrorKind::InvalidArgument);
        assert_kind(storage.upload(&path).await.map(drop), ErrorKind::InvalidArgument);
        assert_kind(storage.delete(&path).await, ErrorKind::InvalidArgument);
        if !path.is_empty() {
            assert_kind(storage.list(&path).await, ErrorKind::InvalidArgument);
        }
    }
}

/// 20 MiB, written in uneven pieces: more than one PUT holds.
pub async fn large_object(storage: &dyn Storage, folder: &str) {
    let path = format!("{folder}/a.af");
    let bytes = pattern(1, (20 << 20) + 17);
    let mut upload = storage.upload(&path).await.expect("an upload starts");
    for at in (0..bytes.len()).step_by(3_000_001) {
        let piece = bytes.slice(at..bytes.len().min(at + 3_000_001));
        upload.write(piece).await.expect("an upload takes bytes");
    }
    let tag = upload.finish(FinishMode::Create).await.expect("a large object can be created");
    let opened = storage.open(&path, 1 << 20).await.expect("the object can be opened");
    assert_eq!((opened.object.size(), opened.object.tag()), (bytes.len() as u64, &tag));
    assert!(opened.tail == bytes.slice(bytes.len() - (1 << 20)..));
    assert!(opened.object.read(0..bytes.len() as u64).await.expect("it can be read whole") == bytes);

    let mut again = storage.upload(&path).await.expect("an upload starts");
    again.write(pattern(2, 20 << 20)).await.expect("an upload takes bytes");
    assert_kind(again.finish(FinishMode::Create).await, ErrorKind::AlreadyExists);
    assert!(content(storage, &path).await.expect("it is still there").0 == bytes);
    assert_eq!(names_in(storage, folder).await, ["a.af"]);
}

/// Many ranges at once come back in order.
pub async fn concurrent_reads(storage: &dyn Storage, folder: &str) {
    let path = format!("{folder}/a.af");
    let bytes = pattern(1, 100_000);
    created(storage, &path, bytes.clone()).await;
    let object = storage.open(&path, 0).await.expect("the object can be opened").object;
    let ranges: Vec<Range<u64>> =
        (0..200).map(|i| (i * 7_919) % 99_000..(i * 7_919) % 99_000 + 1 + i).collect();
    let batches = join_all((0..4).map(|_| object.read_ranges(&ranges))).await;
    for batch in batches {
        for (range, read) in ranges.iter().zip(batch.expect("ranges can be read")) {
            assert!(read == bytes.slice(range.start as usize..range.end as usize), "{range:?}");
        }
    }
}

/// A listing is sorted, complete, of this folder only, and agrees with what `open` finds.
pub async fn listing(storage: &dyn Storage, folder: &str) {
    let here = format!("{folder}/run");
    let expected: Vec<String> = (0..1_100).map(|i| format!("{i:06}.af")).collect();
    // Not in the order of their names, and not all at once.
    for batch in expected.iter().rev().collect::<Vec<_>>().chunks(50) {
        let created = batch.iter().map(|name| {
            let path = format!("{here}/{name}");
            async move { create(storage, &path, pattern(0, name.len() + 3)).await }
        });
        join_all(created)
            .await
            .into_iter()
            .collect::<Result<Vec<_>, Error>>()
            .expect("objects can be created");
    }
    for stranger in ["run.af", "run2/a.af", "ru/b.af", "run/below/c.af", "run-/d.af"] {
        created(storage, &format!("{folder}/{stranger}"), pattern(1, 1)).await;
    }
    let listed = storage.list(&here).await.expect("a folder can be listed");
    assert_eq!(listed.iter().map(|e| &e.name).collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
    for after in ["", "0", &listed[listed.len() / 2].name, "~"] {
        let above: Vec<_> = listed.iter().filter(|e| e.name.as_str() > after).cloned().collect();
        let found = storage.list_after(&here, after).await.expect("a part of a folder can be listed");
        assert_eq!(found, above, "what is above {after:?}");
    }
    for entry in listed.iter().step_by(100) {
        let object =
            storage.open(&format!("{here}/{}", entry.name), 0).await.expect("what is listed is there").object;
        assert_eq!((object.size(), object.tag()), (entry.size, &entry.tag));
    }
    assert_eq!(names_in(storage, folder).await, ["run.af"]);
    storage.delete(&format!("{here}/000007.af")).await.expect("an object can be deleted");
    assert_eq!(names_in(storage, &here).await.len(), expected.len() - 1);
}
