//! Index pages, through the cache.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use array_format_core::address::ObjectId;
use array_format_core::block::BlockMeta;
use array_format_core::footer::ObjectEntry;
use array_format_core::format::attributes::AttributesPage;
use array_format_core::format::chunks::ChunksPage;
use array_format_core::format::directory::Directory;
use array_format_core::format::nodes::NodesPage;
use array_format_core::format::page::{self, PageRef, Table};
use array_format_core::format::statistics::StatisticsPage;
use array_format_core::{Error, Result};
use bytes::Bytes;
use futures::future::TryFutureExt;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use super::Version;
use crate::cache::{Cached, Key};
use crate::layer::object::PinnedObject;
use crate::read::fetch::Stretch;
use crate::storage::pieces::cut;
use crate::write::pack::parallel;

/// A page type: how it is decoded and kept.
pub(crate) trait Page: Sized + Send + Sync {
    fn decode(table: Table, bytes: &[u8]) -> Result<Self>;
    fn to_cached(page: Arc<Self>) -> Cached;
    fn from_cached(cached: Cached) -> Option<Arc<Self>>;
}

macro_rules! page {
    ($page:ident, $variant:ident, |$table:ident, $bytes:ident| $decode:expr) => {
        impl Page for $page {
            fn decode($table: Table, $bytes: &[u8]) -> Result<Self> {
                $decode
            }
            fn to_cached(page: Arc<Self>) -> Cached {
                Cached::$variant(page)
            }
            fn from_cached(cached: Cached) -> Option<Arc<Self>> {
                match cached {
                    Cached::$variant(page) => Some(page),
                    _ => None,
                }
            }
        }
    };
}

page!(Directory, Directory, |_table, bytes| Directory::decode(bytes));
page!(NodesPage, Nodes, |_table, bytes| NodesPage::decode(bytes));
page!(ChunksPage, Chunks, |_table, bytes| ChunksPage::decode(bytes));
page!(AttributesPage, Attributes, |_table, bytes| AttributesPage::decode(bytes));
page!(StatisticsPage, Statistics, |table, bytes| StatisticsPage::decode(table, bytes));

/// So many objects are opened before anything is read from them: all of them stay open.
pub(crate) const FEW_OBJECTS: usize = 16;

/// What a page is had from.
enum Source<P> {
    Decoded(Arc<P>),
    Stored(Bytes),
}

/// Checks and decodes a page.
fn open<P: Page>(table: Table, r: &PageRef, stored: &[u8]) -> Result<Arc<P>> {
    let decoded = page::open(stored, r.codec, r.decoded_bytes, r.checksum, "an index page");
    let page = decoded.and_then(|bytes| P::decode(table, &bytes));
    page.map(Arc::new).map_err(|e| e.in_layer(r.object).at_offset(r.offset))
}

impl Version {
    /// The root's entry of an object, or that of a detached layer that is being joined.
    pub(crate) fn entry(&self, object: ObjectId) -> Result<ObjectEntry> {
        let listed = self.head.footer.object(object).cloned();
        listed.or_else(|| self.objects.detached(object).map(|d| d.entry)).ok_or_else(|| {
            Error::corrupt("the index refers to an object that the root does not list").in_layer(object)
        })
    }

    fn page_key(&self, r: &PageRef) -> Result<Key> {
        let write_id = self.entry(r.object)?.write_id;
        let (object, offset, stored_bytes, checksum) = (r.object, r.offset, r.stored_bytes, r.checksum);
        Ok(Key { write_id, object, offset, stored_bytes, checksum, fingerprint: 0, frame: 0 })
    }

    pub(crate) fn block_key(&self, b: &BlockMeta) -> Result<Key> {
        let write_id = self.entry(b.id.object)?.write_id;
        let (object, offset, stored_bytes, checksum) = (b.id.object, b.offset, b.stored_bytes, b.checksum);
        Ok(Key { write_id, object, offset, stored_bytes, checksum, fingerprint: b.fingerprint(), frame: 0 })
    }

    /// An object of this version, open.
    pub(crate) async fn pinned(&self, object: ObjectId) -> Result<PinnedObject> {
        self.pinned_from(object, u64::MAX).await
    }

    /// An object of this version, open; if it has to be opened now and is small, with its bytes from `offset` on.
    async fn pinned_from(&self, object: ObjectId, offset: u64) -> Result<PinnedObject> {
        self.objects.complete(object, self.number()).await?;
        let entry = self.entry(object)?;
        self.objects.get(&self.head.file_id, &entry, offset).await
    }

    /// The same where objects [are at once](crate::layer::object::Objects::reads_at_once), of one that is [prepared](Self::prepare):
    /// opened by whoever decodes, unless it is open.
    pub(crate) fn pinned_now(&self, object: ObjectId, offset: u64) -> Result<PinnedObject> {
        let entry = self.entry(object)?;
        self.objects.get_now(&self.head.file_id, &entry, offset).map_err(|e| e.in_layer(object))
    }

    /// Bytes of an object that is [`pinned_now`](Self::pinned_now): read into `room` unless they are in memory.
    pub(crate) fn with_bytes_now<R>(
        &self,
        object: ObjectId,
        range: Range<u64>,
        room: &mut Vec<u8>,
        f: impl FnOnce(&[u8]) -> Result<R>,
    ) -> Result<R> {
        self.check_inside(object, range.clone())?;
        f(self.pinned_now(object, range.start)?.read_now(range, room)?)
    }

    /// Sees to it that the objects of these blocks can be read by whoever decodes them. Few objects are opened, each once; of many, not all are to be
    /// open together.
    pub(crate) async fn prepare(&self, blocks: impl Iterator<Item = &BlockMeta> + Send) -> Result<()> {
        // From which of their bytes on they are wanted.
        let mut objects: BTreeMap<ObjectId, u64> = BTreeMap::new();
        for block in blocks {
            let first = objects.entry(block.id.object).or_insert(u64::MAX);
            *first = block.offset.min(*first);
        }
        let are_few = objects.len() <= FEW_OBJECTS;
        for (object, first) in objects {
            let prepared = match are_few {
                true => self.pinned_from(object, first).await.map(drop),
                false => self.objects.complete(object, self.number()).await,
            };
            prepared.map_err(|e| self.in_file(e.in_layer(object)))?;
        }
        Ok(())
    }

    /// Whether a range lies in the object, as the root says it is.
    pub(crate) fn check_inside(&self, object: ObjectId, range: Range<u64>) -> Result<()> {
        if range.start <= range.end && range.end <= self.entry(object)?.object_bytes {
            return Ok(());
        }
        Err(Error::corrupt("the index refers to bytes outside of the object")
            .in_layer(object)
            .at_offset(range.start))
    }

    /// Reads bytes of an object of this version.
    pub(crate) async fn read(&self, object: ObjectId, range: Range<u64>) -> Result<Bytes> {
        self.check_inside(object, range.clone())?;
        let offset = range.start;
        // On the heap: opening an object is a large future, and would be moved along with those of reads that find all in the cache.
        let bytes = match self.objects.reads_at_once() {
            true => Box::pin(self.read_stored(object, range)).await,
            false => Box::pin(self.read_far(object, range)).await,
        };
        bytes.map_err(|e| e.in_layer(object).at_offset(offset))
    }

    async fn read_stored(&self, object: ObjectId, range: Range<u64>) -> Result<Bytes> {
        self.pinned_from(object, range.start).await?.read(range).await
    }

    /// The same over a network, where the cache may have a tier that is nearer.
    async fn read_far(&self, object: ObjectId, range: Range<u64>) -> Result<Bytes> {
        let entry = self.entry(object)?;
        if let Some(bytes) = self.objects.in_tail(&entry.write_id, &range) {
            return Ok(bytes);
        }
        self.config.cache.read_through(&entry, range, |r| self.read_stored(object, r)).await
    }

    /// The bytes between each two neighbours of `cuts`, each piece as soon as it is there.
    pub(crate) fn read_pieces(&self, object: ObjectId, cuts: Vec<u64>) -> BoxStream<'_, Result<Bytes>> {
        let range = cuts.first().copied().unwrap_or(0)..cuts.last().copied().unwrap_or(0);
        let offset = range.start;
        let pieces = async move {
            if self.config.cache.has_disk() {
                let bytes = self.read(object, range).await?;
                return Ok::<_, Error>(stream::iter(cut(&bytes, &cuts)).boxed());
            }
            self.check_inside(object, range)?;
            Ok(self.pinned_from(object, offset).await?.read_pieces(cuts))
        };
        pieces.try_flatten_stream().map_err(move |e: Error| e.in_layer(object).at_offset(offset)).boxed()
    }

    /// A page, from the cache or the layer. At most one request, two if its layer was not open yet and the page is not near the layer's end.
    pub(crate) async fn page<P: Page>(&self, table: Table, r: &PageRef) -> Result<Arc<P>> {
        let key = self.page_key(r)?;
        let load = async {
            let stored = self.read(r.object, r.offset..r.end()).await?;
            Ok(P::to_cached(open(table, r, &stored)?))
        };
        let cached = self.config.cache.get_or_load(&key, load).await.map_err(|e| self.in_file(e))?;
        P::from_cached(cached).ok_or_else(|| {
            self.in_file(Error::corrupt("two index pages of different tables claim the same place"))
        })
    }

    /// Pages: neighbours in one request, several requests in flight, decoded on all cores.
    pub(crate) async fn pages<P: Page>(&self, table: Table, refs: &[PageRef]) -> Result<Vec<Arc<P>>> {
        if let Some(pages) = self.cached_pages(refs)? {
            return Ok(pages);
        }
        let pages = self.pages_with(table, refs, false, |_: &P, _| ()).await?;
        Ok(pages.into_iter().map(|(page, ())| page).collect())
    }

    /// Pages, if the cache has all of them.
    fn cached_pages<P: Page>(&self, refs: &[PageRef]) -> Result<Option<Vec<Arc<P>>>> {
        let mut pages = Vec::with_capacity(refs.len());
        for r in refs {
            match self.config.cache.get(&self.page_key(r)?).and_then(P::from_cached) {
                Some(page) => pages.push(page),
                None => return Ok(None),
            }
        }
        Ok(Some(pages))
    }

    /// The same as [`pages`](Self::pages), each with what `f` makes of it and its number in `refs`, on the thread that decoded it. `is_much`: that is worth the help
    /// of other cores if all pages are in the cache.
    pub(crate) async fn pages_with<P: Page, R: Send>(
        &self,
        table: Table,
        refs: &[PageRef],
        is_much: bool,
        f: impl Fn(&P, usize) -> R + Sync + Send,
    ) -> Result<Vec<(Arc<P>, R)>> {
        let mut jobs: Vec<(usize, Key, Source<P>)> = Vec::with_capacity(refs.len());
        let mut missing: Vec<usize> = Vec::new();
        for (i, r) in refs.iter().enumerate() {
            let key = self.page_key(r)?;
            let page = self.config.cache.get(&key).and_then(P::from_cached);
            if page.is_none() {
                missing.push(i);
            }
            jobs.push((i, key, page.map_or_else(|| Source::Stored(Bytes::new()), Source::Decoded)));
        }
        let is_little = missing.len() < 2 && !is_much;
        if let [i] = missing[..] {
            // One page: concurrent readers of it wait for each other.
            jobs[i].2 = Source::Decoded(self.page(table, &refs[i]).await?);
        } else if !missing.is_empty() {
            let stretch =
                |i: &usize| Stretch { object: refs[*i].object, range: refs[*i].offset..refs[*i].end() };
            let stored = self.fetch(&missing.iter().map(stretch).collect::<Vec<_>>()).await?;
            for (i, stored) in missing.into_iter().zip(stored) {
                jobs[i].2 = Source::Stored(stored);
            }
        }
        let run = |(i, key, source): &(usize, Key, Source<P>)| {
            let page = match source {
                Source::Decoded(page) => page.clone(),
                Source::Stored(stored) => {
                    let page = open::<P>(table, &refs[*i], stored).map_err(|e| self.in_file(e))?;
                    self.config.cache.insert(*key, P::to_cached(page.clone()));
                    page
                }
            };
            let made = f(&page, *i);
            Ok((page, made))
        };
        if is_little { jobs.iter().map(run).collect() } else { parallel(&jobs, run) }
    }

    pub(crate) fn in_file(&self, e: Error) -> Error {
        e.in_file(self.objects.describe())
    }
}
