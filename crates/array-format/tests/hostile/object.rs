//! A file taken apart, and put together again with other numbers in it and right checksums.

use std::path::Path;

use array_format::storage::{FinishMode, InMemoryStorage, Storage};
use array_format_core::address::ObjectId;
use array_format_core::footer::Footer;
use array_format_core::format::page::{self, PageRef};
use array_format_core::format::trailer::{ObjectKind, RootRef, Trailer};
use futures::FutureExt;

/// All objects of a file. The base comes first.
#[derive(Debug, Clone)]
pub(crate) struct Objects(pub(crate) Vec<(String, Vec<u8>)>);

impl Objects {
    pub(crate) fn load(folder: &Path, name: &str) -> Self {
        let base = format!("{name}.af");
        let mut paths = vec![base.clone()];
        if let Ok(layers) = std::fs::read_dir(folder.join(format!("{base}.layers"))) {
            let name = |e: std::io::Result<std::fs::DirEntry>| e.unwrap().file_name().into_string().unwrap();
            let mut names: Vec<_> = layers.map(name).collect();
            names.sort();
            paths.extend(names.into_iter().map(|n| format!("{base}.layers/{n}")));
        }
        let read = |path: String| {
            let bytes = std::fs::read(folder.join(&path)).unwrap();
            (path, bytes)
        };
        Self(paths.into_iter().map(read).collect())
    }

    /// Path of the file.
    pub(crate) fn path(&self) -> &str {
        &self.0[0].0
    }

    pub(crate) fn storage(&self) -> InMemoryStorage {
        let storage = InMemoryStorage::new();
        for (path, bytes) in &self.0 {
            let dynamic: &dyn Storage = &storage;
            dynamic.put(path, bytes.clone().into(), FinishMode::Create).now_or_never().unwrap().unwrap();
        }
        storage
    }

    /// Bytes of an object.
    pub(crate) fn find(&self, id: ObjectId) -> Option<&[u8]> {
        let is_it = |bytes: &[u8]| {
            let trailer = Trailer::decode(bytes, bytes.len() as u64).unwrap();
            id == match trailer.kind {
                ObjectKind::Layer => ObjectId::Layer(trailer.layer),
                ObjectKind::Detached => ObjectId::Detached(trailer.write_id),
            }
        };
        self.0.iter().map(|(_, bytes)| bytes.as_slice()).find(|bytes| is_it(bytes))
    }

    fn object(&self, id: ObjectId) -> &[u8] {
        self.find(id).unwrap()
    }

    /// The layer of the newest version.
    pub(crate) fn newest(&self) -> Layer<'_> {
        let trailer = |at: usize| Trailer::decode(&self.0[at].1, self.0[at].1.len() as u64).unwrap();
        let layers = (0..self.0.len()).filter(|at| trailer(*at).kind == ObjectKind::Layer);
        let at = layers.max_by_key(|at| trailer(*at).layer).unwrap();
        let trailer = trailer(at);
        let r = &trailer.root;
        let stored = &self.0[at].1[r.offset as usize..][..r.stored_bytes as usize];
        let root = page::open(stored, r.codec.code().into(), r.decoded_bytes, r.checksum, "root").unwrap();
        let footer = Footer::decode(&root).unwrap();
        Layer { objects: self, at, trailer, root, footer }
    }
}

/// The newest layer of a file.
pub(crate) struct Layer<'a> {
    objects: &'a Objects,
    at: usize,
    pub(crate) trailer: Trailer,
    /// Decoded.
    pub(crate) root: Vec<u8>,
    pub(crate) footer: Footer,
}

/// Where a page reference stands: run (`None`: the layer's own blocks), directory, page.
pub(crate) type Place = (Option<usize>, usize, usize);

impl Layer<'_> {
    pub(crate) fn id(&self) -> ObjectId {
        ObjectId::Layer(self.trailer.layer)
    }

    /// All page references of the root.
    pub(crate) fn places(&self) -> Vec<Place> {
        let mut places: Vec<Place> =
            (0..self.footer.own_blocks.pages.len()).map(|page| (None, 0, page)).collect();
        for (r, run) in self.footer.runs.iter().enumerate() {
            for (d, directory) in run.directories.iter().enumerate() {
                places.extend((0..directory.pages.len()).map(|page| (Some(r), d, page)));
            }
        }
        places
    }

    pub(crate) fn page_mut(footer: &mut Footer, place: Place) -> &mut PageRef {
        match place {
            (None, _, page) => &mut footer.own_blocks.pages[page],
            (Some(run), directory, page) => &mut footer.runs[run].directories[directory].pages[page],
        }
    }

    pub(crate) fn page(&self, place: Place) -> PageRef {
        Self::page_mut(&mut self.footer.clone(), place).clone()
    }

    pub(crate) fn decoded(&self, page: &PageRef) -> Vec<u8> {
        let stored = &self.objects.object(page.object)[page.offset as usize..page.end() as usize];
        page::open(stored, page.codec, page.decoded_bytes, page.checksum, "page").unwrap()
    }

    /// Stored bytes of a block.
    pub(crate) fn stored(&self, block: &array_format_core::block::BlockMeta) -> Vec<u8> {
        self.objects.object(block.id.object)[block.offset as usize..block.end() as usize].to_vec()
    }

    /// Where bytes lie that [`rebuilt`](Self::rebuilt) gets first.
    pub(crate) fn appended_at(&self) -> u64 {
        self.trailer.root.offset
    }

    /// The file with `more` and another root at the end of this layer.
    pub(crate) fn rebuilt(&self, more: &[u8], root: &[u8]) -> Objects {
        let mut bytes = self.objects.0[self.at].1[..self.trailer.root.offset as usize].to_vec();
        bytes.extend_from_slice(more);
        let sealed = page::seal(root.to_vec()).unwrap();
        let root = RootRef {
            offset: bytes.len() as u64,
            stored_bytes: sealed.bytes.len() as u64,
            decoded_bytes: sealed.decoded_bytes,
            checksum: sealed.checksum,
            codec: sealed.codec,
        };
        bytes.extend(sealed.bytes);
        let object_bytes = bytes.len() as u64 + 128;
        bytes.extend(Trailer { object_bytes, root, ..self.trailer.clone() }.encode());
        self.with_bytes(bytes)
    }

    /// The file with another page, after `more` bytes for blocks.
    pub(crate) fn with_page(&self, place: Place, decoded: Vec<u8>, mut more: Vec<u8>) -> Objects {
        let sealed = page::seal(decoded).unwrap();
        let mut footer = self.footer.clone();
        let id = self.id();
        let page = Self::page_mut(&mut footer, place);
        page.object = id;
        page.offset = self.appended_at() + more.len() as u64;
        page.stored_bytes = sealed.bytes.len() as u64;
        page.decoded_bytes = sealed.decoded_bytes;
        page.codec = sealed.codec.code().into();
        page.checksum = sealed.checksum;
        more.extend(sealed.bytes);
        self.rebuilt(&more, &footer.encode())
    }

    /// The file with another trailer.
    pub(crate) fn with_trailer(&self, trailer: &[u8]) -> Objects {
        let mut bytes = self.bytes().to_vec();
        let from = bytes.len() - trailer.len();
        bytes.truncate(from);
        bytes.extend_from_slice(trailer);
        self.with_bytes(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.objects.0[self.at].1
    }

    /// The file with other bytes for this layer.
    pub(crate) fn with_bytes(&self, bytes: Vec<u8>) -> Objects {
        let mut objects = self.objects.clone();
        objects.0[self.at].1 = bytes;
        objects
    }
}
