//! Every storage of ours takes the exam; and what is particular to each.

#![expect(clippy::unwrap_used, reason = "the lints exempt tests, but not the helpers beside them")]

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use array_format::ErrorKind;
use array_format::storage::{
    FinishMode, InMemoryStorage, IntoStorage, LocalStorage, ObjectStoreBackend, Storage,
};
use array_format_testkit::{CountingStorage, FailMode, FailingStorage, PowerLossStorage, conformance};
use bytes::Bytes;
use futures::executor::block_on;
use futures::stream::BoxStream;
use futures::{FutureExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, GetOptions, GetRange, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use tempfile::{TempDir, tempdir};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

fn local() -> (TempDir, Arc<dyn Storage>) {
    let folder = tempdir().unwrap();
    let storage = LocalStorage::new(folder.path()).into_storage();
    (folder, storage)
}

fn names(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn create(storage: &dyn Storage, path: &str, bytes: &'static [u8]) -> array_format::storage::ObjectTag {
    block_on(storage.put(path, Bytes::from_static(bytes), FinishMode::Create)).unwrap()
}

#[test]
fn local_storage_passes() {
    let (_folder, storage) = local();
    block_on(conformance::run(&*storage, "new/folders"));
    conformance::create_races_between_threads(&*storage, "threads");
}

#[test]
fn local_storage_with_memory_maps_passes() {
    let folder = tempdir().unwrap();
    let storage = LocalStorage::new(folder.path()).with_memory_maps(true).into_storage();
    block_on(conformance::run(&*storage, "new/folders"));
}

#[test]
fn a_mapped_object_has_all_of_its_bytes_and_outlives_its_name() {
    let folder = tempdir().unwrap();
    let mapping = LocalStorage::new(folder.path()).with_memory_maps(true).into_storage();
    let large: Vec<u8> = (0..3 << 20).map(|i: u32| (i % 251) as u8).collect();
    for (path, bytes) in [("large", large.clone()), ("small", large[..1000].to_vec()), ("empty", Vec::new())]
    {
        block_on(async {
            let tag = mapping.put(path, bytes.clone().into(), FinishMode::Create).await.unwrap();
            let opened = mapping.open(path, 100).await.unwrap();
            let mapped = || opened.object.mapped().map(|all| &all[..]);
            assert_eq!(mapped(), (path == "large").then_some(&bytes[..]), "{path}");
            mapping.put(path, Bytes::from_static(b"another"), FinishMode::Replace(tag)).await.unwrap();
            mapping.delete(path).await.unwrap();
            assert_eq!(opened.object.read(0..bytes.len() as u64).await.unwrap(), bytes, "{path}");
            assert_eq!(mapped(), (path == "large").then_some(&bytes[..]), "{path}");
        });
    }
}

#[test]
fn memory_passes() {
    let storage = InMemoryStorage::new();
    block_on(conformance::run(&storage, "exam"));
    conformance::create_races_between_threads(&storage, "threads");
}

#[test]
fn object_store_in_memory_passes() {
    let storage = Arc::new(InMemory::new()).into_storage();
    block_on(conformance::run(&*storage, "exam"));
}

#[test]
fn object_store_on_disk_passes() {
    let folder = tempdir().unwrap();
    let store = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
    block_on(conformance::run(&ObjectStoreBackend::new(Arc::new(store)), "exam"));
}

#[test]
fn wrappers_pass() {
    let counting = CountingStorage::new(InMemoryStorage::new().into_storage());
    let failing = FailingStorage::new(counting.clone().into_storage());
    block_on(conformance::run(&failing, "exam"));
    assert!(counting.counts().requests() > 1_000 && failing.operations() > 1_000);
    let disk = PowerLossStorage::new();
    block_on(conformance::run(&disk, "exam"));
    conformance::create_races_between_threads(&disk, "threads");
}

#[test]
fn local_futures_are_complete_at_first_poll() {
    let (_folder, storage) = local();
    let now = "complete at first poll";
    let mut upload = storage.upload("a/b.af").now_or_never().expect(now).unwrap();
    upload.write(Bytes::from_static(b"abc")).now_or_never().expect(now).unwrap();
    let tag = upload.finish(FinishMode::Create).now_or_never().expect(now).unwrap();
    let opened = storage.open("a/b.af", 1).now_or_never().expect(now).unwrap();
    assert_eq!(opened.object.read_ranges(&vec![0..3; 100]).now_or_never().expect(now).unwrap().len(), 100);
    let replaced =
        storage.put("a/b.af", Bytes::new(), FinishMode::Replace(tag)).now_or_never().expect(now).unwrap();
    storage.upload("a/c.af").now_or_never().expect(now).unwrap().abort().now_or_never().expect(now).unwrap();
    create(&*storage, "a/d.af", b"d");
    storage.promote("a/d.af", "a/b.af", &replaced).now_or_never().expect(now).unwrap();
    assert_eq!(storage.list("a").now_or_never().expect(now).unwrap().len(), 2);
    assert_eq!(storage.sweep("a/b.af", WEEK).now_or_never().expect(now).unwrap(), 0);
    storage.delete("a/b.af").now_or_never().expect(now).unwrap();
}

#[test]
fn a_pinned_file_reads_on_when_it_is_deleted_or_replaced() {
    let (_folder, storage) = local();
    let tag = create(&*storage, "a.af", b"old bytes");
    let pinned = block_on(storage.open("a.af", 0)).unwrap().object;
    block_on(storage.put("a.af", Bytes::from_static(b"new bytes"), FinishMode::Replace(tag))).unwrap();
    assert_eq!(block_on(pinned.read(0..9)).unwrap(), "old bytes");
    block_on(storage.delete("a.af")).unwrap();
    assert_eq!(block_on(pinned.read(4..9)).unwrap(), "bytes");
}

#[test]
fn tags_differ_even_where_inode_numbers_are_used_again() {
    let (_folder, storage) = local();
    let mut tags = Vec::new();
    for _ in 0..50 {
        tags.push(create(&*storage, "a.af", b"same length"));
        block_on(storage.delete("a.af")).unwrap();
    }
    tags.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    tags.dedup();
    assert_eq!(tags.len(), 50);
}

#[test]
fn sweeping_removes_what_the_dead_left_and_nothing_else() {
    let (folder, storage) = local();
    create(&*storage, "run.af", b"base");
    let dead = ["run.af.tmp-1-0123456789abcdef", "run.af.000001.tmp-99-00000000000000ff"];
    let kept = ["other.af.tmp-1-0123456789abcdef", "run.af.tmp-1-short", "run.af.tmp"];
    for name in dead.iter().chain(&kept) {
        fs::write(folder.path().join(name), "left").unwrap();
    }
    let mut live = block_on(storage.upload("run.af.000002")).unwrap();
    block_on(live.write(Bytes::from_static(b"live"))).unwrap();

    let listed: Vec<_> = block_on(storage.list("")).unwrap().into_iter().map(|e| e.name).collect();
    assert_eq!(listed, ["run.af", "run.af.tmp", "run.af.tmp-1-short"]);
    assert_eq!(block_on(storage.sweep("run.af", WEEK)).unwrap(), 2);
    assert_eq!(block_on(storage.sweep("run.af", WEEK)).unwrap(), 0);
    block_on(live.finish(FinishMode::Create)).unwrap();

    // Also in folders whose names begin so: sidecars are in one.
    create(&*storage, "run.af.layers/1.layer", b"sidecar");
    for name in ["run.af.layers/2.layer.tmp-1-0123456789abcdef", "run.af.old/1.tmp-1-0123456789abcdef"] {
        fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
        fs::write(folder.path().join(name), "left").unwrap();
    }
    assert_eq!(block_on(storage.sweep("other.af", WEEK)).unwrap(), 1);
    fs::write(folder.path().join(kept[0]), "left").unwrap();
    assert_eq!(block_on(storage.sweep("run.af", WEEK)).unwrap(), 2);
    let listed: Vec<_> = fs::read_dir(folder.path().join("run.af.layers")).unwrap().collect();
    assert_eq!(listed.len(), 1);
    block_on(storage.delete("run.af.layers/1.layer")).unwrap();

    assert_eq!(
        names(&folder),
        ["other.af.tmp-1-0123456789abcdef", "run.af", "run.af.000002", "run.af.tmp", "run.af.tmp-1-short"]
    );
    let refused = block_on(storage.upload(dead[0])).map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
}

#[cfg(unix)]
#[test]
fn replacing_keeps_the_rights_and_follows_links() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let (folder, storage) = local();
    let tag = create(&*storage, "data.af", b"1");
    let file = folder.path().join("data.af");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("data.af", folder.path().join("link.af")).unwrap();
    symlink("nowhere.af", folder.path().join("dangling.af")).unwrap();

    let tag = block_on(storage.put("link.af", Bytes::from_static(b"22"), FinishMode::Replace(tag))).unwrap();
    assert!(fs::symlink_metadata(folder.path().join("link.af")).unwrap().file_type().is_symlink());
    assert_eq!(fs::read(&file).unwrap(), b"22");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    let listed = block_on(storage.list("")).unwrap();
    assert_eq!(
        listed.iter().map(|e| (e.name.as_str(), &e.tag)).collect::<Vec<_>>(),
        [("data.af", &tag), ("link.af", &tag)]
    );
    let dangling = block_on(storage.put("dangling.af", Bytes::new(), FinishMode::Create));
    assert_eq!(dangling.unwrap_err().kind(), ErrorKind::AlreadyExists);
}

#[test]
fn errors_of_the_file_system_keep_their_kind_and_cause() {
    use std::error::Error as _;
    let (folder, storage) = local();
    fs::write(folder.path().join("file"), "x").unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    let under_a_file = [
        block_on(storage.upload("file/a.af")).map(drop).unwrap_err(),
        block_on(storage.open("file/a.af", 0)).map(drop).unwrap_err(),
        block_on(storage.list("file")).map(drop).unwrap_err(),
        block_on(storage.open("folder", 0)).map(drop).unwrap_err(),
        block_on(storage.delete("folder")).unwrap_err(),
    ];
    for error in under_a_file {
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(error.source().and_then(|s| s.downcast_ref::<std::io::Error>()).is_some(), "{error:?}");
    }
    let taken = block_on(storage.put("folder", Bytes::new(), FinishMode::Create)).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
    let long = "x".repeat(300);
    assert_eq!(block_on(storage.upload(&long)).map(drop).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn a_file_cut_short_by_someone_else_is_corrupt() {
    let (folder, storage) = local();
    create(&*storage, "a.af", b"0123456789");
    let object = block_on(storage.open("a.af", 0)).unwrap().object;
    fs::OpenOptions::new().write(true).open(folder.path().join("a.af")).unwrap().set_len(4).unwrap();
    let error = block_on(object.read(2..8)).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (ErrorKind::Corrupt, Some(4)));
}

#[test]
fn replacements_between_threads_lose_none() {
    let (_folder, storage) = local();
    create(&*storage, "n.af", b"0");
    let count = || -> u64 {
        let opened = block_on(storage.open("n.af", 100)).unwrap();
        std::str::from_utf8(&opened.tail).unwrap().parse().unwrap()
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut done = 0;
                while done < 10 {
                    let opened = block_on(storage.open("n.af", 100)).unwrap();
                    let next: u64 = std::str::from_utf8(&opened.tail).unwrap().parse::<u64>().unwrap() + 1;
                    let mode = FinishMode::Replace(opened.object.tag().clone());
                    match block_on(storage.put("n.af", next.to_string().into(), mode)) {
                        Ok(_) => done += 1,
                        Err(e) => assert_eq!(e.kind(), ErrorKind::Conflict, "{e}"),
                    }
                }
            });
        }
    });
    assert_eq!(count(), 40);
}

#[test]
fn stores_that_cannot_replace_say_so() {
    let folder = tempdir().unwrap();
    let store = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
    let storage = ObjectStoreBackend::new(Arc::new(store)).with_url("file:///data/").into_storage();
    let tag = create(&*storage, "a.af", b"1");
    let error = block_on(storage.put("a.af", Bytes::new(), FinishMode::Replace(tag))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("file:///data/a.af"), "{error}");

    let storage = Arc::new(InMemory::new()).into_storage();
    let tag = create(&*storage, "a.af", b"1");
    let large =
        block_on(storage.put("a.af", conformance::pattern(1, 17 << 20), FinishMode::Replace(tag.clone())));
    assert_eq!(large.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(block_on(storage.open("a.af", 0)).unwrap().object.tag(), &tag);
}

#[test]
fn one_request_opens_and_ranges_go_out_together() {
    let storage = CountingStorage::new(Arc::new(InMemory::new()).into_storage());
    block_on(async {
        let shared = storage.clone().into_storage();
        shared.put("a.af", conformance::pattern(1, 10_000), FinishMode::Create).await.unwrap();
        storage.reset();
        let object = storage.open("a.af", 100).await.unwrap().object;
        let counts = storage.counts();
        assert_eq!((counts.requests(), counts.depth, counts.bytes_read), (1, 1, 100));
        assert_eq!(storage.log()[0].range, Some(9_900..10_000));
        let ranges: Vec<_> = (0..32).map(|i| i * 10..i * 10 + 5).collect();
        object.read_ranges(&ranges).await.unwrap();
    });
    let counts = storage.counts();
    assert_eq!((counts.requests(), counts.depth, counts.bytes_read), (33, 3, 100 + 160));
}

#[test]
fn latency_passes_once_for_requests_in_flight() {
    let slow =
        CountingStorage::new(InMemoryStorage::new().into_storage()).with_latency(Duration::from_millis(20));
    let shared = slow.clone().into_storage();
    block_on(shared.put("a.af", conformance::pattern(1, 1_000), FinishMode::Create)).unwrap();
    let object = block_on(slow.open("a.af", 0)).unwrap().object;
    let began = Instant::now();
    block_on(object.read_ranges(&vec![0..1; 16])).unwrap();
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(20) && took < Duration::from_millis(300), "{took:?}");
}

#[test]
fn the_kth_operation_fails_before_or_after_its_effect() {
    let inner = InMemoryStorage::new().into_storage();
    let failing = FailingStorage::new(Arc::clone(&inner));
    let shared = failing.clone().into_storage();
    let put = |path: &str| block_on(shared.put(path, Bytes::from_static(b"x"), FinishMode::Create));
    put("undisturbed").unwrap();
    assert_eq!(failing.log(), ["upload undisturbed", "write undisturbed", "finish undisturbed"]);
    for k in 0..3 {
        failing.fail_at(k, FailMode::FailBefore);
        assert_eq!(put("before").unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(block_on(inner.open("before", 0)).unwrap_err().kind(), ErrorKind::NotFound);
    }
    put("before").unwrap();
    failing.die_at(2, FailMode::FailAfter);
    assert_eq!(put("after").unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(block_on(inner.open("after", 0)).is_ok());
    assert!(block_on(failing.delete("after")).is_err());
    failing.heal();
    block_on(failing.delete("after")).unwrap();
}

/// Memory with the habits of the large stores.
#[derive(Debug, Default)]
struct Quirky {
    inner: InMemory,
    habits: Habits,
}

#[derive(Debug, Default, Clone, Copy)]
struct Habits {
    /// Azure: no suffix ranges.
    has_no_suffix: bool,
    /// S3: any range of an empty object is an error.
    refuses_ranges_of_nothing: bool,
    /// S3 by default: no copy under a condition.
    has_no_copy: bool,
    /// A proxy that drops `If-Match`.
    ignores_conditions: bool,
    /// Azure: the ETag has no quotes in listings.
    lists_without_quotes: bool,
}

impl std::fmt::Display for Quirky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Quirky")
    }
}

fn not_supported() -> object_store::Error {
    object_store::Error::NotSupported { source: "a habit".into() }
}

#[async_trait::async_trait]
impl ObjectStore for Quirky {
    async fn put_opts(
        &self,
        at: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.inner.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, mut options: GetOptions) -> object_store::Result<GetResult> {
        if self.habits.has_no_suffix && matches!(options.range, Some(GetRange::Suffix(_))) {
            return Err(not_supported());
        }
        if self.habits.ignores_conditions {
            options.if_match = None;
        }
        let has_range = options.range.is_some();
        let got = self.inner.get_opts(at, options).await?;
        if self.habits.refuses_ranges_of_nothing && has_range && got.meta.size == 0 {
            return Err(object_store::Error::Generic { store: "Quirky", source: "416".into() });
        }
        Ok(got)
    }

    fn delete_stream(
        &self,
        places: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(places)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        let mut listing = self.inner.list_with_delimiter(prefix).await?;
        for meta in listing.objects.iter_mut().filter(|_| self.habits.lists_without_quotes) {
            meta.e_tag = meta.e_tag.take().map(|e_tag| e_tag.trim_matches('"').to_owned());
        }
        Ok(listing)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        if self.habits.has_no_copy && options.mode == CopyMode::Create {
            return Err(not_supported());
        }
        self.inner.copy_opts(from, to, options).await
    }
}

#[test]
fn stores_with_the_habits_of_azure_s3_and_bad_proxies_pass() {
    let none = Habits::default();
    let all = [
        Habits { has_no_suffix: true, lists_without_quotes: true, ..none },
        Habits { refuses_ranges_of_nothing: true, has_no_copy: true, ..none },
        Habits { ignores_conditions: true, ..none },
    ];
    for habits in all {
        let store: Arc<dyn ObjectStore> = Arc::new(Quirky { habits, ..Quirky::default() });
        block_on(conformance::run(&*Arc::clone(&store).into_storage(), "exam"));
        let left: Vec<ObjectMeta> = block_on(store.list(None).try_collect()).unwrap();
        assert!(left.iter().all(|m| !m.location.as_ref().contains(".part-") || m.location.as_ref().ends_with("x.part-1")));
    }
}

#[test]
fn too_large_for_a_store_without_copy_is_said_and_leaves_nothing() {
    let habits = Habits { has_no_copy: true, ..Habits::default() };
    let store: Arc<dyn ObjectStore> = Arc::new(Quirky { habits, ..Quirky::default() });
    let storage = Arc::clone(&store).into_storage();
    let put = |path| block_on(storage.put(path, Bytes::from(vec![7; 65 << 20]), FinishMode::Create));
    let error = put("a.af").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("S3CopyIfNotExists::Multipart"), "{error}");
    let left: Vec<ObjectMeta> = block_on(store.list(None).try_collect()).unwrap();
    assert!(left.is_empty(), "{left:?}");
}
