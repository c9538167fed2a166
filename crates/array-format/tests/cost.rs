//! What things cost, in requests and bytes: exact, and the bars of the design as assertions.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::PathBuf;
use std::sync::Arc;

use array_format::storage::StoreOptions;
use array_format::*;
use array_format_testkit::CountingStorage;
use futures::executor::block_on;
use ndarray::{Array, Array1, ArrayD};

/// Numbers without a pattern that compression could find (splitmix64).
fn random(i: u64) -> u64 {
    let z = i.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Workload P: one chunk of 16 to 200 f32 an array, three attributes with repeated values.
async fn profiles(file: &mut ArrayFile, n: u64) {
    for i in 0..n {
        let name = format!("profile/{i:07}/TEMP");
        let len = 16 + random(i) % 185;
        file.define_array::<f32>(&name, vec!["level".into()], vec![len], None, None).unwrap();
        let data = Array::from_shape_fn(len as usize, |k| (random(i << 8 | k as u64) % 3000) as f32 / 100.0)
            .into_dyn();
        file.write_array(&name, vec![0], data.view()).await.unwrap();
        file.set_attribute(&name, "units", "degree_Celsius").await.unwrap();
        file.set_attribute(&name, "platform", format!("float-{}", random(i / 7) % 4000)).await.unwrap();
        file.set_attribute(&name, "quality", (random(i) >> 40) as i32 % 5).await.unwrap();
    }
}

/// The same on disk, with the path of the file and the names of its arrays.
async fn profiles_on_disk(n: u64) -> (tempfile::TempDir, PathBuf, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.af");
    let mut file = ArrayFile::create_path(&path, FileConfig::default()).await.unwrap();
    profiles(&mut file, n).await;
    file.flush().await.unwrap();
    (folder, path, (0..n).map(|i| format!("profile/{i:07}/TEMP")).collect())
}

fn counted(store: &InMemoryStorage) -> (Arc<CountingStorage>, Arc<dyn Storage>) {
    let counting = Arc::new(CountingStorage::new(Arc::new(store.clone())));
    (counting.clone(), counting)
}

#[test]
fn a_file_that_is_mapped_is_read_without_requests_once_it_is_open() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let storage = Arc::new(LocalStorage::new(folder.path()));
        let data = Array::from_shape_fn((64, 100, 200), |(i, j, k)| random((i * j + k) as u64) as f32);
        let mut file = ArrayFile::create(storage, "g.af", FileConfig::new(NoCompression)).await.unwrap();
        let dims = || vec!["t".into(), "y".into(), "x".into()];
        file.define_array::<f32>("grid", dims(), vec![64, 100, 200], Some(vec![8, 100, 200]), None).unwrap();
        file.write_array("grid", vec![0, 0, 0], data.view().into_dyn()).await.unwrap();
        profiles(&mut file, 1000).await;
        file.flush().await.unwrap();
        let names: Vec<String> = (0..1000).map(|i| format!("profile/{i:07}/TEMP")).collect();
        let expected: Vec<ArrayD<f32>> = file.read_many(&names, vec![], vec![]).await.unwrap();

        let options = StoreOptions::default().with_memory_maps(true);
        let place = options.place(folder.path().join("g.af").to_str().unwrap()).unwrap();
        let file = ArrayFile::open_at(place, FileConfig::default()).await.unwrap();
        file.array("grid").await.unwrap();
        let before = file.counters();
        let whole: ArrayD<f32> = file.read_array("grid", vec![], vec![]).await.unwrap();
        assert_eq!(whole, data.clone().into_dyn());
        let part: ArrayD<f32> = file.read_array("grid", vec![0, 7, 9], vec![64, 1, 1]).await.unwrap();
        assert_eq!(part, data.slice(ndarray::s![.., 7..8, 9..10]).into_dyn());
        assert_eq!(file.read_many::<f32>(&names, vec![], vec![]).await.unwrap(), expected);
        let after = file.counters();
        assert_eq!((after.requests, after.bytes), (before.requests, before.bytes), "{after:?}");
    });
}

#[test]
fn a_few_layers_are_opened_once_each_however_many_threads_read_them() {
    const LAYERS: u64 = 8;
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.af");
        let config = || FileConfig::new(NoCompression).with_cache(DeltaCache::new(0));
        let mut file = ArrayFile::create_path(&path, config()).await.unwrap();
        // Of two frames, and of none.
        let arrays = [("framed", 1 << 17), ("whole", 1 << 15)];
        for (name, chunk) in arrays {
            let (shape, grid) = (vec![2 * LAYERS * chunk], Some(vec![chunk]));
            file.define_array::<f32>(name, vec!["n".into()], shape, grid, None).unwrap();
            for i in 0..LAYERS {
                // Two chunks a layer, which two threads want at the same time.
                let data = Array::from_shape_fn(2 * chunk as usize, |k| random(k as u64) as f32).into_dyn();
                file.write_array(name, vec![2 * chunk * i], data.view()).await.unwrap();
                file.flush().await.unwrap();
            }
        }
        for (name, _) in arrays {
            for _ in 0..50 {
                let file = ArrayFile::open_path(&path, config()).await.unwrap();
                let before = file.counters().requests;
                file.read_array::<f32>(name, vec![], vec![]).await.unwrap();
                // Opening the file has opened the newest layer. Frames come after their table.
                let (opened, reads) = if name == "framed" { (LAYERS, 3) } else { (LAYERS - 1, 1) };
                assert_eq!(file.counters().requests - before, opened + 2 * LAYERS * reads, "{name}");
            }
        }
    });
}

#[test]
fn a_few_of_many_arrays_that_were_written_ahead_are_read_block_by_block() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.af");
        let config = FileConfig::default().with_pending_bytes(1 << 20);
        let mut file = ArrayFile::create_path(&path, config).await.unwrap();
        profiles(&mut file, 20_000).await;
        file.flush().await.unwrap();
        assert!(file.usage().block_bytes > 3 << 20);

        let file = ArrayFile::open_path(&path, FileConfig::default()).await.unwrap();
        let before = file.counters();
        let names: Vec<String> = (0..100).map(|i| format!("profile/{:07}/TEMP", i * 199)).collect();
        let read: Vec<ArrayD<f32>> = file.read_many(&names, vec![], vec![]).await.unwrap();
        assert_eq!(read.len(), names.len());
        let after = file.counters();
        println!("100 arrays: {after:?}");
        assert_eq!(after.decoded_blocks - before.decoded_blocks, 100);
        // The index, and 100 blocks of some 3 KiB: not what lies between them, which is all of the file.
        assert!(after.bytes - before.bytes <= 1 << 20, "{after:?}");
    });
}

/// Written variable by variable, named profile by profile: neighbours by name lie in two blocks in turns.
#[test]
fn a_batch_decodes_each_block_once_in_whatever_order_its_names_come() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.af");
        let mut file = ArrayFile::create_path(&path, FileConfig::default()).await.unwrap();
        let name = |i: usize, variable: &str| format!("{i:04}/{variable}");
        for variable in ["PSAL", "TEMP"] {
            for i in 0..600usize {
                let values = Array1::from_iter((0..100).map(|k| ((i * 31 + k * 7) % 400) as f32 / 100.0));
                let (name, dims) = (name(i, variable), vec!["n".into()]);
                file.define_array::<f32>(&name, dims, vec![100], None, None).unwrap();
                file.write_array(&name, vec![], values.view().into_dyn()).await.unwrap();
            }
        }
        file.flush().await.unwrap();
        let names: Vec<String> = (0..600).flat_map(|i| ["PSAL", "TEMP"].map(|v| name(i, v))).collect();
        let open = || ArrayFile::open_path(&path, FileConfig::default());
        let singly = open().await.unwrap();
        for name in &names {
            singly.read_array::<f32>(name, vec![], vec![]).await.unwrap();
        }
        let blocks = singly.counters().decoded_blocks;
        assert!((20..200).contains(&blocks), "{blocks}");
        let batch = open().await.unwrap();
        batch.read_many::<f32>(&names, vec![], vec![]).await.unwrap();
        assert_eq!(batch.counters().decoded_blocks, blocks);
        let ragged = open().await.unwrap();
        ragged.read_ragged::<f32>(&names).await.unwrap();
        assert_eq!(ragged.counters().decoded_blocks, blocks);
    });
}

/// Small blocks that lie beside each other are read together where they are decoded to where they stay.
#[test]
fn arrays_one_behind_the_other_take_a_request_for_many_blocks() {
    block_on(async {
        let (_folder, path, names) = profiles_on_disk(8000).await;
        let open = ArrayFile::open_path(&path, FileConfig::default()).await.unwrap();
        open.read_many::<f32>(&names[..1], vec![], vec![]).await.unwrap();
        let before = open.counters();
        open.read_ragged::<f32>(&names).await.unwrap();
        let after = open.counters();
        let (blocks, requests) =
            (after.decoded_blocks - before.decoded_blocks, after.requests - before.requests);
        assert!(blocks > 200 && requests * 4 < blocks, "{blocks} blocks in {requests} requests");
    });
}

/// What a large batch wants little of is kept when it is wanted for the second time; what a small one wants, at once.
#[test]
fn a_large_batch_keeps_small_blocks_at_the_second_time_and_a_small_one_at_once() {
    block_on(async {
        let (_folder, path, names) = profiles_on_disk(8000).await;
        let names: Vec<String> = names.into_iter().step_by(20).collect();
        let singly = ArrayFile::open_path(&path, FileConfig::default()).await.unwrap();
        let mut expected = Vec::new();
        for name in &names {
            expected.push(singly.read_array::<f32>(name, vec![], vec![]).await.unwrap());
        }
        let blocks = singly.counters().decoded_blocks;
        assert!(blocks > 200, "{blocks} blocks: no more than a batch keeps at once");
        for is_ragged in [false, true] {
            let open = ArrayFile::open_path(&path, FileConfig::default()).await.unwrap();
            let mut decoded = Vec::new();
            for _ in 0..3 {
                match is_ragged {
                    true => {
                        let ragged = open.read_ragged::<f32>(&names).await.unwrap();
                        assert!((0..names.len()).all(|i| ragged.get(i).unwrap() == expected[i]));
                    }
                    false => {
                        assert_eq!(open.read_many::<f32>(&names, vec![], vec![]).await.unwrap(), expected);
                    }
                }
                decoded.push(open.counters().decoded_blocks);
            }
            assert_eq!(decoded[0], blocks, "ragged: {is_ragged}");
            // A few are used at two places of the batch, and kept at once.
            assert!(decoded[1] > blocks * 19 / 10, "{decoded:?}");
            assert_eq!(decoded[2], decoded[1]);
            let few = ArrayFile::open_path(&path, FileConfig::default()).await.unwrap();
            few.read_many::<f32>(&names[..20], vec![], vec![]).await.unwrap();
            let decoded = few.counters().decoded_blocks;
            few.read_many::<f32>(&names[..20], vec![], vec![]).await.unwrap();
            assert_eq!(few.counters().decoded_blocks, decoded);
        }
    });
}

#[test]
fn the_index_of_profiles_takes_at_most_24_bytes_an_array_and_opening_reads_little() {
    block_on(async {
        let n = 100_000;
        let store = InMemoryStorage::default();
        let mut file = ArrayFile::create(store.clone(), "p.af", FileConfig::default()).await.unwrap();
        profiles(&mut file, n).await;
        file.flush().await.unwrap();
        file.compact().await.unwrap();
        let usage = file.usage();
        let index_bytes = usage.object_bytes - usage.block_bytes;
        println!("index: {:.2} bytes an array of {n}", index_bytes as f64 / n as f64);
        assert!(index_bytes <= 24 * n, "{index_bytes} bytes");

        let (counting, storage) = counted(&store);
        let file = ArrayFile::open(storage, "p.af", FileConfig::default()).await.unwrap();
        let c = counting.counts();
        println!("open: {c:?}; {:?}", file.counters());
        assert!(file.counters().requests <= 2, "a listing, then one request");
        assert!(file.counters().bytes <= 256 << 10);
        let before = file.counters();
        let found: ArrayD<f32> = file.read_array("profile/0054321/TEMP", vec![], vec![]).await.unwrap();
        assert!(!found.is_empty());
        let after = file.counters();
        println!("first array: {after:?}");
        assert!(after.requests - before.requests <= 3);
        assert!(after.bytes - before.bytes <= 1 << 20);

        let before = file.counters();
        assert_eq!(file.attribute_index("quality").await.unwrap().len(), n as usize);
        let bytes = file.counters().bytes - before.bytes;
        println!("one attribute of all: {:.2} bytes an array", bytes as f64 / n as f64);
        assert!(bytes <= 16 * n);
        let before = file.counters();
        assert_eq!(file.statistics_index().await.unwrap().len(), n as usize);
        let bytes = file.counters().bytes - before.bytes;
        println!("statistics of all: {:.2} bytes an array", bytes as f64 / n as f64);
        assert!(bytes <= 16 * n);
    });
}

#[test]
fn a_commit_of_one_chunk_writes_little_and_a_thousand_layers_open_in_three_requests() {
    block_on(async {
        let store = InMemoryStorage::default();
        let mut file = ArrayFile::create(store.clone(), "u.af", FileConfig::default()).await.unwrap();
        profiles(&mut file, 5_000).await;
        file.flush().await.unwrap();
        let mut largest = 0;
        for i in 0..998u64 {
            let name = format!("profile/{:07}/TEMP", i * 5);
            let v = Array::from_elem(16, i as f32).into_dyn();
            file.write_array(&name, vec![0], v.view()).await.unwrap();
            file.flush().await.unwrap();
            largest =
                largest.max(file.footer().object(ObjectId::Layer(file.version())).unwrap().object_bytes);
        }
        println!("largest layer of one small chunk: {largest} bytes");
        assert!(largest <= 256 << 10);
        assert_eq!(file.version(), 999);
        let (counting, storage) = counted(&store);
        let file = ArrayFile::open(storage, "u.af", FileConfig::default()).await.unwrap();
        println!("open of 1,000 layers: {:?} {:?}", counting.counts(), file.counters());
        assert!(file.counters().requests <= 4);
        assert!(counting.counts().depth <= 3);
        assert!(file.counters().bytes <= 256 << 10);
        let before = file.counters();
        let a: ArrayD<f32> = file.read_array("profile/0000015/TEMP", vec![0], vec![16]).await.unwrap();
        assert_eq!(a[[3]], 3.0);
        println!("one array: {} requests", file.counters().requests - before.requests);
        assert!(file.counters().requests - before.requests <= 3);
    });
}

#[test]
fn a_commit_of_a_thousand_spread_arrays_writes_at_most_its_data_and_a_mebibyte() {
    block_on(async {
        let mut file = ArrayFile::create_memory(FileConfig::default()).await.unwrap();
        profiles(&mut file, 50_000).await;
        file.flush().await.unwrap();
        for round in 0..12u64 {
            for i in 0..1000u64 {
                let name = format!("profile/{:07}/TEMP", i * 50 + round);
                let v = Array::from_elem(16, (i + round) as f32).into_dyn();
                file.write_array(&name, vec![0], v.view()).await.unwrap();
            }
            let version = file.flush().await.unwrap();
            let own = file.footer().object(ObjectId::Layer(version)).unwrap().clone();
            let index = own.object_bytes - own.stored_bytes;
            println!("round {round}: index {index} bytes, {} runs", file.footer().runs.len());
            assert!(index <= 1 << 20);
        }
    });
}

#[test]
fn a_chunk_written_row_by_row_is_stored_once() {
    block_on(async {
        let mut file = ArrayFile::create_memory(FileConfig::new(NoCompression)).await.unwrap();
        file.define_array::<f32>("x", vec!["y".into(), "x".into()], vec![1000, 1000], None, None).unwrap();
        for y in 0..1000u64 {
            let row = Array::from_shape_fn((1, 1000), |(_, x)| (y * 1000 + x as u64) as f32).into_dyn();
            file.write_array("x", vec![y, 0], row.view()).await.unwrap();
        }
        file.flush().await.unwrap();
        let u = file.usage();
        assert_eq!(u.dead_bytes, 0);
        assert!(u.object_bytes as f64 <= 1.1 * 4_000_000.0, "{} bytes", u.object_bytes);
    });
}

#[test]
fn blocks_are_fetched_together_and_decoded_once() {
    block_on(async {
        let store = InMemoryStorage::default();
        let mut file = ArrayFile::create(store.clone(), "g.af", FileConfig::default()).await.unwrap();
        file.define_array::<f32>(
            "g",
            vec!["y".into(), "x".into()],
            vec![320, 100],
            Some(vec![10, 100]),
            None,
        )
        .unwrap();
        let data = Array::from_shape_fn((320, 100), |(y, x)| (y * x) as f32 * 1.7).into_dyn();
        file.write_array("g", vec![], data.view()).await.unwrap();
        file.flush().await.unwrap();
        let (counting, storage) = counted(&store);
        let file = ArrayFile::open(storage, "g.af", FileConfig::default()).await.unwrap();
        counting.reset();
        let before = file.counters();
        assert_eq!(file.read_array::<f32>("g", vec![], vec![]).await.unwrap(), data);
        let after = file.counters();
        println!("whole grid: {after:?}");
        assert!(after.requests - before.requests <= 3);
        let blocks = after.decoded_blocks;
        assert_eq!(file.read_array::<f32>("g", vec![5, 5], vec![300, 3]).await.unwrap().shape(), [300, 3]);
        assert_eq!(file.counters().decoded_blocks, blocks, "all from the cache");
    });
}

/// Chunks are decoded in the order in which they come, several of one slab at once.
#[test]
fn a_large_region_takes_few_requests_and_each_of_its_chunks_is_decoded_once() {
    block_on(async {
        let data =
            Array::from_shape_fn([40, 256, 256], |(t, y, x)| random((t << 16 | y << 8 | x) as u64) as u32);
        let data = data.into_dyn();
        for (config, cache) in [
            (FileConfig::new(NoCompression), DeltaCache::new(0)),
            (FileConfig::new(NoCompression), DeltaCache::default()),
            (FileConfig::default(), DeltaCache::new(0)),
            (FileConfig::default(), DeltaCache::default()),
        ] {
            let store = InMemoryStorage::default();
            let mut file = ArrayFile::create(store.clone(), "g.af", config).await.unwrap();
            let names = ["t", "y", "x"].map(String::from).to_vec();
            file.define_array::<u32>("g", names, vec![40, 256, 256], Some(vec![8, 128, 128]), None).unwrap();
            file.write_array("g", vec![], data.view()).await.unwrap();
            file.flush().await.unwrap();
            let (_, storage) = counted(&store);
            let config = FileConfig::default().with_cache(cache);
            let file = ArrayFile::open(storage, "g.af", config).await.unwrap();
            let before = file.counters();
            assert_eq!(file.read_array::<u32>("g", vec![], vec![]).await.unwrap(), data);
            let after = file.counters();
            assert!(after.requests - before.requests <= 4, "10.5 MB in ranges of 4 MiB: {after:?}");
            assert_eq!(after.decoded_blocks - before.decoded_blocks, 20);
            let part = file.read_array::<u32>("g", vec![1, 0, 5], vec![39, 256, 250]).await.unwrap();
            assert_eq!(part, data.slice(ndarray::s![1..40, .., 5..255]).into_dyn());
        }
    });
}

#[test]
fn a_new_chunk_of_64_kib_costs_itself_and_a_few_pages_of_the_index() {
    block_on(async {
        let store = InMemoryStorage::default();
        let mut file = ArrayFile::create(store.clone(), "c.af", FileConfig::default()).await.unwrap();
        profiles(&mut file, 20_000).await;
        file.flush().await.unwrap();
        let (counting, storage) = counted(&store);
        let mut file = ArrayFile::open(storage, "c.af", FileConfig::new(NoCompression)).await.unwrap();
        counting.reset();
        file.define_array::<f32>("profile/0010000/NEW", vec!["n".into()], vec![16_384], None, None).unwrap();
        let chunk = Array::from_shape_fn(16_384, |i| random(i as u64) as f32).into_dyn();
        file.write_array("profile/0010000/NEW", vec![], chunk.view()).await.unwrap();
        file.flush().await.unwrap();
        let c = counting.counts();
        println!("one chunk into 20,000 arrays: {c:?}");
        assert!(c.reads <= 3, "{} index pages", c.reads);
        assert!(c.bytes_written <= (64 << 10) + (256 << 10), "{} bytes", c.bytes_written);
    });
}

#[test]
fn blocks_that_lie_apart_are_all_asked_for_at_once() {
    block_on(async {
        let store = InMemoryStorage::default();
        let mut file =
            ArrayFile::create(store.clone(), "r.af", FileConfig::new(NoCompression)).await.unwrap();
        let names = ["t", "x"].map(String::from).to_vec();
        file.define_array::<f32>("r", names, vec![32, 65_536], Some(vec![1, 16_384]), None).unwrap();
        let data = Array::from_shape_fn((32, 65_536), |(t, x)| (t * x) as f32).into_dyn();
        file.write_array("r", vec![], data.view()).await.unwrap();
        file.flush().await.unwrap();
        let (counting, storage) = counted(&store);
        let file = ArrayFile::open(storage, "r.af", FileConfig::default()).await.unwrap();
        counting.reset();
        let part = file.read_array::<f32>("r", vec![0, 0], vec![32, 16_384]).await.unwrap();
        assert_eq!(part[[31, 9]], 31.0 * 9.0);
        let c = counting.counts();
        println!("32 blocks: {c:?}");
        assert_eq!((c.requests(), c.depth), (32, 1), "{c:?}");
    });
}
