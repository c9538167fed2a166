//! Bytes that are damaged, hostile, older or later.

use std::path::Path;
use std::sync::Arc;

use array_format::core::block::{BlockMeta, ChunkRef, CodecRecord};
use array_format::core::checksum::checksum;
use array_format::core::cursor::{put_bytes, put_varint};
use array_format::core::format::directory::Directory;
use array_format::core::format::nodes::{self, NodesPage};
use array_format::core::format::page::{self, PageRef, Table};
use array_format::core::format::trailer::{PageCodec, RootRef, Trailer};
use array_format::footer::{Footer, Run};
use array_format::storage::{LocalStorage, Storage};
use array_format::{ArrayFile, BlockId, ErrorKind, FileConfig, NoCompression, ObjectId, Result, ZstdCodec};
use futures::executor::block_on;

use crate::support::*;

/// Everything in the file; what cannot be read is an error, and never a panic.
async fn read_all(disk: &Arc<dyn Storage>, config: FileConfig) -> Result<Vec<i32>> {
    let file = ArrayFile::open(disk, NAME, config).await?;
    let mut all = Vec::new();
    for name in file.list_arrays().await? {
        file.array(&name).await?;
        file.attributes(&name).await?;
        file.statistics(&name).await?;
        file.chunks(&name).await?;
        all.extend(file.read_array::<i32>(&name, vec![], vec![]).await?);
    }
    Ok(all)
}

/// Line 13: A flipped bit anywhere in the file yields wrong values without an error. The error names file, layer, block and offset.
#[test]
fn never_13_a_flipped_bit_yields_wrong_values() {
    block_on(async {
        // Blocks that chunks share, and a block in frames, in two layers.
        let disk = scratch();
        let config = || FileConfig::new(NoCompression).with_frame_bytes(1 << 10);
        let mut file = ArrayFile::create(&disk, NAME, config()).await.unwrap();
        define_grid(&mut file, 1).await;
        file.flush().await.unwrap();
        file.define_array::<i32>("framed", vec!["n".into()], vec![1000], None, None).unwrap();
        file.write_array("framed", vec![], filled(2, &[1000]).view()).await.unwrap();
        put(&mut file, [0, 0], 3, &[4, 4]).await;
        file.flush().await.unwrap();
        let wanted = read_all(&disk, no_cache()).await.unwrap();
        let blocks = |layer: u64| {
            let objects = &file.footer().objects;
            let entry = objects.iter().find(|o| o.id == ObjectId::Layer(layer)).unwrap();
            // The blocks of a layer come right after its header.
            64..64 + entry.stored_bytes
        };
        let layers = disk.list(FOLDER).await.unwrap();
        for (layer, entry) in (1..).zip(&layers) {
            let path = format!("{FOLDER}/{}", entry.name);
            let bytes = bytes_of(&disk, &path).await;
            let (mut errors, mut in_blocks) = (0, 0);
            for at in (0..bytes.len()).filter(|at| *at < 128 || at % 7 == 0) {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << (at % 8);
                disk.delete(&path).await.unwrap();
                put_object(&disk, &path, &bad).await;
                let what = format!("byte {at} of layer {layer}");
                match read_all(&disk, no_cache()).await {
                    Ok(found) => assert!(found == wanted, "{what}: wrong values without an error"),
                    Err(e) => {
                        assert!(
                            matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported),
                            "{what}: {e:?}"
                        );
                        assert!(e.file().is_some(), "{what}: {e:?}");
                        errors += 1;
                        if blocks(layer).contains(&(at as u64)) {
                            assert_eq!(e.layer(), Some(&*layer.to_string()), "{what}: {e:?}");
                            assert!(e.block().is_some() && e.array().is_some(), "{what}: {e:?}");
                            let offset = e.offset().unwrap_or_else(|| panic!("{what}: {e:?}"));
                            assert!(blocks(layer).contains(&offset) && offset <= at as u64, "{what}: {e:?}");
                            let text = e.to_string();
                            let names = ["file ", "layer ", "block ", "offset "];
                            assert!(names.iter().all(|n| text.contains(n)), "{what}: {text}");
                            in_blocks += 1;
                        }
                    }
                }
            }
            disk.delete(&path).await.unwrap();
            put_object(&disk, &path, &bytes).await;
            assert!(
                errors > in_blocks && in_blocks > 20,
                "layer {layer}: {errors} errors, {in_blocks} in blocks"
            );
        }
    });
}

/// An object that is taken apart, and put together again with right checksums.
struct Object {
    bytes: Vec<u8>,
    trailer: Trailer,
    footer: Footer,
}

impl Object {
    fn new(bytes: Vec<u8>) -> Self {
        let trailer = Trailer::decode(&bytes, bytes.len() as u64).unwrap();
        let r = &trailer.root;
        let stored = &bytes[r.offset as usize..][..r.stored_bytes as usize];
        let root = page::open(stored, r.codec.code().into(), r.decoded_bytes, r.checksum, "root").unwrap();
        Self { footer: Footer::decode(&root).unwrap(), trailer, bytes }
    }

    /// With `more` bytes where the root was, and this root after them.
    fn with(&self, more: &[u8], root: &[u8], change: impl FnOnce(&mut Trailer)) -> Vec<u8> {
        let mut bytes = self.bytes[..self.trailer.root.offset as usize].to_vec();
        bytes.extend(more);
        let reference = RootRef {
            offset: bytes.len() as u64,
            stored_bytes: root.len() as u64,
            decoded_bytes: root.len() as u64,
            checksum: checksum(root),
            codec: PageCodec::None,
        };
        bytes.extend(root);
        let mut trailer = self.trailer.clone();
        (trailer.root, trailer.object_bytes) = (reference, bytes.len() as u64 + 128);
        change(&mut trailer);
        bytes.extend(trailer.encode());
        bytes
    }

    /// Where `more` will be.
    fn more_at(&self) -> u64 {
        self.trailer.root.offset
    }
}

/// The base of a file of one small array.
async fn small() -> Object {
    let disk = scratch();
    let mut file = ArrayFile::create(&disk, NAME, no_cache()).await.unwrap();
    file.define_array::<i32>("x", vec![], vec![], None, Some(5)).unwrap();
    file.flush().await.unwrap();
    file.compact().await.unwrap();
    Object::new(bytes_of(&disk, NAME).await)
}

async fn file_of(bytes: &[u8]) -> Arc<dyn Storage> {
    let disk = scratch();
    put_object(&disk, NAME, bytes).await;
    disk
}

/// Line 14: A 400-byte hostile file makes the process abort, overflow the stack, or allocate what the input has not earned. No panic on
/// any input.
#[test]
fn never_14_a_hostile_file_aborts_or_overflows() {
    block_on(async {
        let object = small().await;
        let root = object.footer.encode();
        let whole = object.with(&[], &root, |_| {});
        assert_eq!(read_all(&file_of(&whole).await, no_cache()).await.unwrap(), [5]);
        let huge = [1u64 << 20, 1 << 32, 1 << 60, 1 << 63, u64::MAX];
        // A huge number in the place of every byte of the root: counts, lengths, offsets.
        for (at, number) in (0..root.len()).flat_map(|at| huge.map(|n| (at, n))) {
            let mut bad = root[..at].to_vec();
            put_varint(&mut bad, number);
            bad.extend(&root[at + 1..]);
            survives(&object.with(&[], &bad, |_| {})).await;
        }
        // And for every number of the trailer.
        for number in huge {
            survives(&object.with(&[], &root, |t| t.root.decoded_bytes = number)).await;
            survives(&object.with(&[], &root, |t| t.root.stored_bytes = number)).await;
            survives(&object.with(&[], &root, |t| t.root.offset = number)).await;
            survives(&object.with(&[], &root, |t| t.object_bytes = number)).await;
            survives(&object.with(&[], &root, |t| t.layer = number)).await;
            for codec in [PageCodec::None, PageCodec::Zstd] {
                survives(
                    &object.with(&[], &root, |t| (t.root.codec, t.root.decoded_bytes) = (codec, number)),
                )
                .await;
            }
        }
        // Sections that speak of versions that are yet to come, or can have no name.
        let version = object.footer.version;
        let floors = [version + 1, u64::MAX].map(|floor| (floor, None));
        let tags = [0, version + 1, u64::MAX].map(|tagged| (0, Some(tagged)));
        for (floor, tagged) in floors.into_iter().chain(tags) {
            let mut footer = object.footer.clone();
            (footer.floor, footer.tags) = (floor, tagged.into_iter().map(|v| ("t".to_owned(), v)).collect());
            let bad = object.with(&[], &footer.encode(), |_| {});
            let e = ArrayFile::open(file_of(&bad).await, NAME, no_cache()).await.unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Corrupt, "{floor} {tagged:?}: {e:?}");
        }
        // Directories that lead to themselves.
        for level in [0, 1, 2, 8, 9, 255] {
            let bad = leads_to_itself(&object, level);
            assert!(bad.len() < 800, "{}", bad.len());
            let e = read_all(&file_of(&bad).await, no_cache()).await.unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Corrupt, "level {level}: {e:?}");
        }
        // A chunk of 2^63 bytes, says its codec, in a block of a few.
        for decoded in [1u64 << 32, 1 << 40, 1 << 62, 1 << 63] {
            for (frame, codec) in [0, 1 << 10, decoded].into_iter().flat_map(|f| [(f, false), (f, true)]) {
                let bad = huge_chunk(&object, decoded, frame, codec);
                let file = ArrayFile::open(file_of(&bad).await, NAME, no_cache()).await.unwrap();
                let read = file.read_array::<i32>("x", vec![1], vec![1]).await;
                assert_eq!(read.unwrap_err().kind(), ErrorKind::Corrupt, "{decoded} {frame} {codec}");
            }
        }
    });
}

/// Whatever comes back, it comes back.
async fn survives(bytes: &[u8]) {
    let disk = file_of(bytes).await;
    drop(read_all(&disk, no_cache()).await);
    if let Ok(file) = ArrayFile::open(&disk, NAME, no_cache()).await {
        drop(file.verify(Default::default()).await);
    }
}

/// The directory of names leads to a directory page whose only reference is to itself.
fn leads_to_itself(object: &Object, level: u8) -> Vec<u8> {
    let sum = 0x1234_5678;
    let reference = |bytes: u64| PageRef {
        object: ObjectId::Layer(object.footer.version),
        offset: object.more_at(),
        stored_bytes: bytes,
        decoded_bytes: bytes,
        codec: 0,
        checksum: sum,
        rows: 1,
        first_key: b"x".to_vec(),
    };
    let directory = |level, bytes| Directory {
        table: Table::Nodes,
        level,
        pages: vec![reference(bytes)],
        last_key: b"x".to_vec(),
    };
    let page = |bytes: u64| {
        let mut page = Vec::new();
        directory(level.saturating_sub(1), bytes).encode(&mut page);
        // Four bytes that a reader skips, to make the checksum come out.
        page.pop();
        put_bytes(&mut page, &[0; 4]);
        page
    };
    let length = page(100).len() as u64;
    let page = forged(page(length), sum);
    assert_eq!((page.len() as u64, checksum(&page)), (length, sum));
    let mut footer = object.footer.clone();
    footer.runs = vec![Run { directories: vec![directory(level, length)] }];
    object.with(&page, &footer.encode(), |_| {})
}

/// Sets the last four bytes so that the checksum is `wanted`: it is linear in them.
fn forged(mut page: Vec<u8>, wanted: u32) -> Vec<u8> {
    let at = page.len() - 4;
    let mut with = |bits: u32| {
        page[at..].copy_from_slice(&bits.to_le_bytes());
        checksum(&page)
    };
    let zero = with(0);
    // Gauss: (what the bits do to the checksum, the bits).
    let mut rows: Vec<(u32, u32)> = (0..32).map(|i| (with(1 << i) ^ zero, 1 << i)).collect();
    let mut rest = (wanted ^ zero, 0);
    for bit in 0..32 {
        let Some(i) = rows.iter().position(|r| r.0 >> bit & 1 == 1) else { continue };
        let pivot = rows.swap_remove(i);
        let targets = rows.iter_mut().chain([&mut rest]);
        targets.filter(|r| r.0 >> bit & 1 == 1).for_each(|r| *r = (r.0 ^ pivot.0, r.1 ^ pivot.1));
    }
    with(rest.1);
    page
}

/// The array `x` has one chunk of so many bytes; its block has 8.
fn huge_chunk(object: &Object, decoded: u64, frame: u64, is_zstd: bool) -> Vec<u8> {
    let mut footer = object.footer.clone();
    let names = &mut footer.runs[0].directories[0];
    assert_eq!(names.table, Table::Nodes);
    let old = names.pages[0].clone();
    let stored = &object.bytes[old.offset as usize..old.end() as usize];
    let decoded_page = page::open(stored, old.codec, old.decoded_bytes, old.checksum, "names").unwrap();
    let mut row = NodesPage::decode(&decoded_page).unwrap().row(0);
    let node = row.node.as_mut().unwrap();
    let mut schema = match &*node.schema {
        array_format::core::schema::Schema::Array(a) => (**a).clone(),
        array_format::core::schema::Schema::Group(_) => panic!("x is an array"),
    };
    schema.dimensions = vec!["n".into()];
    node.schema = Arc::new(array_format::core::schema::Schema::Array(Arc::new(schema)));
    node.shape = vec![decoded / 4];
    let block = [7u8, 0, 0, 0, 9, 9, 9, 9];
    let codec =
        if is_zstd { CodecRecord::of(&ZstdCodec::default()) } else { CodecRecord::of(&NoCompression) };
    let meta = BlockMeta {
        id: BlockId { object: ObjectId::Layer(footer.version), number: 0 },
        offset: object.more_at(),
        stored_bytes: block.len() as u64,
        decoded_bytes: decoded,
        frame_bytes: frame,
        codec: Arc::new(codec),
        checksum: checksum(&block),
    };
    let chunk = ChunkRef { length: decoded, offset: 0, block: Arc::new(meta) };
    node.chunk = Some((chunk, 1));
    let page = nodes::encode(&[row]);
    names.pages[0] = PageRef {
        offset: object.more_at() + block.len() as u64,
        stored_bytes: page.len() as u64,
        decoded_bytes: page.len() as u64,
        codec: 0,
        checksum: checksum(&page),
        ..old
    };
    object.with(&[&block[..], &page].concat(), &footer.encode(), |_| {})
}

/// Line 18: Bytes that version n wrote cannot be read by version n+1.
#[test]
fn never_18_bytes_of_an_earlier_version_cannot_be_read() {
    block_on(async {
        // The fixtures are never edited: later versions read these very bytes.
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/v1");
        let mut arrays = 0;
        for folder in std::fs::read_dir(fixtures).unwrap().map(|e| e.unwrap().path()) {
            if !folder.is_dir() {
                continue;
            }
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            let storage = LocalStorage::new(&folder);
            let file = ArrayFile::open(storage, &format!("{name}.af"), FileConfig::default()).await;
            let file = file.unwrap_or_else(|e| panic!("{name}: {e}"));
            is_whole(&file, &name).await;
            for version in file.versions().await.unwrap() {
                let snapshot = file.at(version.version).await.unwrap();
                arrays += snapshot.list_arrays().await.unwrap().len();
            }
        }
        assert!(arrays > 100, "{arrays}");

        // What version n+1 may add, and what it may not.
        let object = small().await;
        let mut footer = object.footer.clone();
        (footer.floor, footer.ancestors) = (0, Vec::new());
        let plain = footer.encode();
        let with_section = |required: u8| {
            // No sections and an empty extension; then one of 1,000, and an extension.
            let mut root = plain.strip_suffix(&[0, 0]).unwrap().to_vec();
            put_varint(&mut root, 1);
            put_varint(&mut root, 1000);
            root.push(required);
            put_bytes(&mut root, b"of a later version");
            put_bytes(&mut root, b"and more");
            root
        };
        let read = async |bytes: Vec<u8>| read_all(&file_of(&bytes).await, no_cache()).await;
        assert_eq!(read(object.with(&[], &plain, |_| {})).await.unwrap(), [5]);
        assert_eq!(read(object.with(&[], &with_section(0), |_| {})).await.unwrap(), [5]);
        assert_eq!(read(object.with(&[], &with_section(0), |t| t.minor = 7)).await.unwrap(), [5]);
        let refused = read(object.with(&[], &with_section(1), |_| {})).await;
        assert_eq!(kind(refused, "section 1000"), ErrorKind::Unsupported);
        for (at, change) in [(12, 2u8), (124, 1)] {
            // Major version 2; a required feature.
            let mut later = object.with(&[], &plain, |_| {});
            let end = later.len();
            later[end - at] = change;
            let sum = checksum(&later[end - 124..]).to_le_bytes();
            later[end - 128..end - 124].copy_from_slice(&sum);
            assert_eq!(kind(read(later).await, "later"), ErrorKind::Unsupported);
        }
    });
}
