//! What a storage says, and storages and codecs of a user's own.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use array_format::storage::{FinishMode, ListEntry, ObjectTag, Opened, Storage, StoredObject, Upload};
use array_format::{ArrayFile, CompressionCodec, DeltaCache, Error, ErrorKind, FileConfig, Result};
use array_format_testkit::conformance;
use async_trait::async_trait;
use bytes::Bytes;
use futures::executor::block_on;
use parking_lot::Mutex;

use crate::support::*;

/// The storage of a user: objects in a map. It can also be told to refuse an operation.
#[derive(Debug, Clone, Default)]
struct Shelf(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
struct Content {
    objects: BTreeMap<String, Thing>,
    count: u64,
    refusal: Option<(&'static str, Error)>,
}

#[derive(Debug, Clone)]
struct Thing {
    path: String,
    bytes: Bytes,
    tag: ObjectTag,
    shelf: Shelf,
}

impl Shelf {
    fn refuse(&self, operation: &'static str, error: Error) {
        self.0.lock().refusal = Some((operation, error));
    }

    fn allow(&self) {
        self.0.lock().refusal = None;
    }

    fn check(&self, operation: &str) -> Result<()> {
        match &self.0.lock().refusal {
            Some((refused, e)) if *refused == operation => Err(e.clone()),
            _ => Ok(()),
        }
    }

    fn get(&self, path: &str) -> Result<Thing> {
        check_path(path)?;
        self.0.lock().objects.get(path).cloned().ok_or_else(|| Error::not_found(format!("no {path}")))
    }

    fn publish(&self, path: &str, bytes: Bytes, mode: &FinishMode) -> Result<ObjectTag> {
        let mut content = self.0.lock();
        let there = content.objects.get(path).map(|t| t.tag.clone());
        match (there, mode) {
            (Some(_), FinishMode::Create) => {
                return Err(Error::new(ErrorKind::AlreadyExists, format!("{path} is taken")));
            }
            (there, FinishMode::Replace(expected)) if there.as_ref() != Some(expected) => {
                return Err(Error::new(ErrorKind::Conflict, format!("{path} is another one now")));
            }
            _ => {}
        }
        content.count += 1;
        let tag = ObjectTag::new(format!("shelf {}", content.count));
        let thing = Thing { path: path.to_owned(), bytes, tag: tag.clone(), shelf: self.clone() };
        content.objects.insert(path.to_owned(), thing);
        Ok(tag)
    }
}

fn check_path(path: &str) -> Result<()> {
    let bad = |s: &str| s.is_empty() || s == "." || s == ".." || s.chars().any(char::is_control);
    match path.split('/').any(bad) {
        true => Err(Error::invalid(format!("{path:?} is no path"))),
        false => Ok(()),
    }
}

#[async_trait]
impl Storage for Shelf {
    async fn open(&self, path: &str, tail_bytes: u64) -> Result<Opened> {
        self.check("open")?;
        let thing = self.get(path)?;
        let tail = thing.bytes.slice((thing.size().saturating_sub(tail_bytes)) as usize..);
        Ok(Opened { object: Arc::new(thing), tail })
    }

    async fn upload(&self, path: &str) -> Result<Box<dyn Upload>> {
        self.check("upload")?;
        check_path(path)?;
        Ok(Box::new(Parcel { shelf: self.clone(), path: path.to_owned(), bytes: Vec::new() }))
    }

    async fn promote(&self, from: &str, to: &str, expected: &ObjectTag) -> Result<ObjectTag> {
        self.check("promote")?;
        self.publish(to, self.get(from)?.bytes, &FinishMode::Replace(expected.clone()))
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.check("delete")?;
        check_path(path)?;
        self.0.lock().objects.remove(path);
        Ok(())
    }

    async fn list(&self, folder: &str) -> Result<Vec<ListEntry>> {
        self.check("list")?;
        if !folder.is_empty() {
            check_path(folder)?;
        }
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let content = self.0.lock();
        let names = content.objects.values().filter_map(|thing| {
            let name = thing.path.strip_prefix(&prefix).filter(|n| !n.contains('/'))?;
            Some(ListEntry { name: name.to_owned(), size: thing.size(), tag: thing.tag.clone() })
        });
        Ok(names.collect())
    }

    fn describe(&self, path: &str) -> String {
        format!("shelf:{path}")
    }
}

#[async_trait]
impl StoredObject for Thing {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn tag(&self) -> &ObjectTag {
        &self.tag
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        self.shelf.check("read")?;
        match range.start <= range.end && range.end <= self.size() {
            true => Ok(self.bytes.slice(range.start as usize..range.end as usize)),
            false => Err(Error::corrupt(format!("{range:?} is not within {}", self.path))),
        }
    }
}

struct Parcel {
    shelf: Shelf,
    path: String,
    bytes: Vec<u8>,
}

#[async_trait]
impl Upload for Parcel {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.shelf.check("write")?;
        self.bytes.extend(bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>, mode: FinishMode) -> Result<ObjectTag> {
        self.shelf.check("finish")?;
        self.shelf.publish(&self.path, self.bytes.into(), &mode)
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// Line 15: ENOSPC, a read-only temporary folder or a store error panics or is flattened to a string; not-found, denied, conflict and
/// corrupt stay distinguishable.
#[test]
fn never_15_errors_of_a_store_panic_or_lose_their_kind() {
    use ErrorKind::*;
    block_on(async {
        let shelf = Shelf::default();
        let disk: Arc<dyn Storage> = Arc::new(shelf.clone());
        created(&disk, 1).await;
        // Every kind that a store can answer with, and a cause that a program can still look at.
        let full = || std::io::Error::from_raw_os_error(28);
        let kinds =
            [NotFound, PermissionDenied, Conflict, Corrupt, Unavailable, Unsupported, SnapshotExpired];
        for kind in kinds {
            let error = || Error::new(kind, "the store says no").with_source(full());
            let kept = |e: Error, what: &str| {
                assert_eq!(e.kind(), kind, "{what}: {e:?}");
                let source = std::error::Error::source(&e).and_then(|s| s.downcast_ref::<std::io::Error>());
                let source = source.unwrap_or_else(|| panic!("{what}: flattened to a string: {e:?}"));
                assert_eq!(source.kind(), std::io::ErrorKind::StorageFull, "{what}");
                assert!(e.to_string().contains("the store says no"), "{what}: {e}");
                assert!(e.file().is_some_and(|f| f.contains("run.af")), "{what}: {e:?}");
            };
            for operation in ["open", "list"] {
                shelf.refuse(operation, error());
                let opened = ArrayFile::open(&disk, NAME, no_cache()).await;
                shelf.allow();
                kept(opened.unwrap_err(), &format!("{operation} of open"));
            }
            for operation in ["upload", "write", "finish"] {
                let what = format!("{operation} of flush, {kind:?}");
                let mut file = open(&disk).await;
                put(&mut file, [0, 0], 2, &[8, 8]).await;
                shelf.refuse(operation, error());
                let flushed = file.flush().await;
                shelf.allow();
                kept(flushed.unwrap_err(), &what);
                assert!(file.has_pending(), "{what}");
                assert_eq!(value(&open(&disk).await.snapshot()).await, 1, "{what}");
            }
            for operation in ["list", "upload", "write", "finish", "promote", "delete"] {
                // What a store cannot do, or another compaction did first, is no error of promoting.
                if operation == "promote" && matches!(kind, NotFound | Conflict | Unsupported) {
                    continue;
                }
                let what = format!("{operation} of compact, {kind:?}");
                let shelf = Shelf::default();
                let disk: Arc<dyn Storage> = Arc::new(shelf.clone());
                let mut file = created(&disk, 1).await;
                put(&mut file, [0, 0], 2, &[8, 8]).await;
                file.flush().await.unwrap();
                shelf.refuse(operation, error());
                let compacted = file.compact().await;
                shelf.allow();
                kept(compacted.unwrap_err(), &what);
                assert_eq!(value(&fresh(&disk, &what).await.snapshot()).await, 2, "{what}");
                file.compact().await.unwrap();
                assert_eq!(fresh(&disk, &what).await.num_layers(), 1, "{what}");
            }
        }
    });
    folders_that_refuse();
}

/// Real folders: one that is not there, one that is a file, one that nobody can write to.
fn folders_that_refuse() {
    use ErrorKind::*;
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let missing = ArrayFile::open_path(folder.path().join("no/run.af"), no_cache()).await;
        assert_eq!(kind(missing, "run.af"), NotFound);
        std::fs::write(folder.path().join("file"), "a file").unwrap();
        let inside = ArrayFile::create_path(folder.path().join("file/run.af"), no_cache()).await;
        assert_eq!(kind(inside, "run.af"), InvalidArgument);
        let corrupt = ArrayFile::open_path(folder.path().join("file"), no_cache()).await;
        assert_eq!(kind(corrupt, "not an array-format file"), Corrupt);

        let path = folder.path().join("run.af");
        let mut file = ArrayFile::create_path(&path, no_cache()).await.unwrap();
        define_grid(&mut file, 1).await;
        file.flush().await.unwrap();
        put(&mut file, [0, 0], 2, &[8, 8]).await;
        set_writable(folder.path(), false);
        if std::fs::write(folder.path().join("probe"), "").is_ok() {
            // For root (in a container, say) no folder is read-only; /sys is, to everyone.
            set_writable(folder.path(), true);
            if let Err(e) = ArrayFile::create_path("/sys/run.af", no_cache()).await {
                assert!(matches!(e.kind(), PermissionDenied | Unsupported | NotFound), "{e:?}");
                assert!(std::error::Error::source(&e).is_some(), "{e:?}");
            }
            return;
        }
        let created = ArrayFile::create_path(folder.path().join("new.af"), no_cache()).await;
        assert_eq!(kind(created, "new.af"), PermissionDenied);
        let flushed = file.flush().await;
        let compacted = open_and_compact(&path).await;
        set_writable(folder.path(), true);
        assert_eq!(kind(flushed, "run.af"), PermissionDenied);
        assert_eq!(kind(compacted, "run.af"), PermissionDenied);
        assert_eq!(file.flush().await.unwrap(), 2, "the changes were kept");
    });
}

async fn open_and_compact(path: &std::path::Path) -> Result<u64> {
    ArrayFile::open_path(path, no_cache()).await?.compact().await
}

/// Also of the folder of layers.
fn set_writable(folder: &std::path::Path, writable: bool) {
    for folder in [folder.join(FOLDER), folder.to_owned()] {
        let mut permissions = std::fs::metadata(&folder).unwrap().permissions();
        #[cfg(unix)]
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, if writable { 0o755 } else { 0o555 });
        #[cfg(not(unix))]
        permissions.set_readonly(!writable);
        std::fs::set_permissions(&folder, permissions).unwrap();
    }
}

/// A codec of a user's own: every byte inverted, with its parameter in front.
#[derive(Debug)]
struct Inverted;

impl CompressionCodec for Inverted {
    fn id(&self) -> u32 {
        70_001
    }

    fn name(&self) -> &str {
        "inverted"
    }

    fn params(&self) -> Vec<u8> {
        vec![0xA5]
    }

    fn compress(&self, src: &[u8], dst: &mut Vec<u8>) -> Result<()> {
        dst.extend(src.iter().skip_while(|b| **b == 0).map(|b| b ^ 0xA5));
        Ok(())
    }

    fn decompress(&self, params: &[u8], src: &[u8], dst: &mut [u8]) -> Result<()> {
        let key = *params.first().ok_or_else(|| Error::corrupt("no parameter"))?;
        let zeros = dst.len().checked_sub(src.len()).ok_or_else(|| Error::corrupt("another length"))?;
        dst[..zeros].fill(0);
        dst[zeros..].iter_mut().zip(src).for_each(|(to, from)| *to = from ^ key);
        Ok(())
    }
}

/// Line 16: A user's own codec or storage works for writing and then cannot be read back.
#[test]
fn never_16_an_own_codec_or_storage_cannot_be_read_back() {
    block_on(async {
        let shelf = Shelf::default();
        conformance::run(&shelf, "exam").await;
        let disk: Arc<dyn Storage> = Arc::new(shelf);
        // Shared blocks, and frames.
        for frame_bytes in [256 << 10, 1 << 10] {
            let config = FileConfig::new(Inverted).with_frame_bytes(frame_bytes).with_overwrite(true);
            let mut file = ArrayFile::create(&disk, NAME, config).await.unwrap();
            define_grid(&mut file, 0).await;
            file.define_array::<i32>("framed", vec!["n".into()], vec![1000], None, None).unwrap();
            file.write_array("framed", vec![], filled(2, &[1000]).view()).await.unwrap();
            file.flush().await.unwrap();
            put(&mut file, [3, 3], 5, &[2, 2]).await;
            file.flush().await.unwrap();
            for compacted in [false, true] {
                if compacted {
                    file.compact().await.unwrap();
                }
                // Another handle: what it writes with is another codec.
                let config = FileConfig::default().register_codec(Inverted).unwrap();
                let found =
                    ArrayFile::open(&disk, NAME, config.with_cache(DeltaCache::new(0))).await.unwrap();
                is_whole(&found, "own codec, own storage").await;
                let data = grid(&found).await.unwrap();
                let wanted =
                    |(y, x): (usize, usize)| if (3..5).contains(&y) && (3..5).contains(&x) { 5 } else { 0 };
                assert!(data.indexed_iter().all(|(at, v)| *v == wanted((at[0], at[1]))), "{data}");
                let framed = found.read_array::<i32>("framed", vec![500], vec![3]).await.unwrap();
                assert_eq!(framed.as_slice().unwrap(), [2, 2, 2]);
                assert!(found.counters().decoded_blocks > 0);
                // Without the codec it says which one is missing.
                let stranger = grid(&open(&disk).await).await;
                assert_eq!(kind(stranger, "\"inverted\""), ErrorKind::Unsupported);
            }
        }
    });
}
