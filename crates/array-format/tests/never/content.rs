//! What a file says: attributes, statistics, wide numbers.

use std::sync::Arc;

use array_format::core::block::{BlockMeta, ChunkRef, CodecRecord};
use array_format::core::format::chunks::{self, ChunkRow, ChunksPage};
use array_format::{
    ArrayDefinition, ArrayFile, BlockId, CompactOptions, ErrorKind, FileConfig, NoCompression, ObjectId,
    Statistics, Value,
};
use array_format_testkit::FailingStorage;
use futures::executor::block_on;
use ndarray::{Array1, array};

use crate::support::*;

/// What may come between two changes.
const BETWEEN: [&str; 4] =
    ["nothing", "a flush", "a flush and a compaction", "a flush and a merge of small layers"];

async fn between(file: &mut ArrayFile, what: usize) {
    if what > 0 {
        file.flush().await.unwrap();
    }
    match what {
        2 => drop(file.compact().await.unwrap()),
        3 => drop(file.compact_with(CompactOptions::default().incremental(true)).await.unwrap()),
        _ => {}
    }
}

/// Line 7: An array deleted and defined again shows old bytes or old attributes; a smaller redefinition underflows a count.
#[test]
fn never_07_an_array_defined_again_shows_old_bytes_or_attributes() {
    block_on(async {
        for case in 0..BETWEEN.len().pow(3) {
            let steps = [case % 4, case / 4 % 4, case / 16];
            let what = steps.map(|s| BETWEEN[s]).join(", ");
            let disk = scratch();
            let mut file = ArrayFile::create(&disk, NAME, no_cache()).await.unwrap();
            let define = |n: u64| ArrayDefinition::new::<i32>(vec!["n".into()], vec![n]).chunk_shape(vec![3]);
            file.define("x", define(10)).unwrap();
            file.write_array("x", vec![], filled(1, &[10]).view()).await.unwrap();
            file.set_attribute("x", "units", "m").await.unwrap();
            between(&mut file, steps[0]).await;
            if case % 2 == 0 {
                file.delete("x").await.unwrap();
                between(&mut file, steps[1]).await;
                file.define("x", define(5).fill(7)).unwrap();
            } else {
                between(&mut file, steps[1]).await;
                file.redefine("x", define(5).fill(7)).await.unwrap();
            }
            between(&mut file, steps[2]).await;
            file.write_array("x", vec![4], filled(2, &[1]).view()).await.unwrap();
            file.flush().await.unwrap();
            for compacted in [false, true] {
                if compacted {
                    file.compact().await.unwrap();
                }
                let found = fresh(&disk, &what).await;
                let data = found.read_array::<i32>("x", vec![], vec![]).await.unwrap();
                assert_eq!(data.as_slice().unwrap(), [7, 7, 7, 7, 2], "{what}");
                assert_eq!(found.attributes("x").await.unwrap(), [], "{what}");
                assert_eq!(found.attribute_index("units").await.unwrap(), [], "{what}");
                let chunks = found.chunks("x").await.unwrap();
                assert_eq!(chunks.iter().map(|c| c.coords[0]).collect::<Vec<_>>(), [1], "{what}");
                let statistics = found.statistics("x").await.unwrap();
                assert_eq!(
                    (statistics.elements, statistics.statistics.counts.unwrap().rows),
                    (5, 2),
                    "{what}"
                );
                let usage = found.usage();
                assert_eq!((found.footer().arrays, usage.live_bytes), (1, 8), "{what}: {usage:?}");
            }
        }
    });
}

/// Line 8: Attributes resolve against another layer's dictionary, are dropped by a data-only write, or wrap after 65,536 distinct values.
#[test]
fn never_08_attributes_are_mistaken_dropped_or_wrap() {
    block_on(async {
        let disk = scratch();
        let mut file = ArrayFile::create(&disk, NAME, no_cache()).await.unwrap();
        // Every layer has other values in the same places of its dictionary.
        let units = ["m", "s", "kg", "K"];
        for (i, units) in units.iter().enumerate() {
            let name = format!("a{i}");
            file.define_array::<i32>(&name, vec!["n".into()], vec![2], None, None).unwrap();
            file.set_attribute(&name, "units", *units).await.unwrap();
            file.set_attribute(&name, "number", i as i64).await.unwrap();
            file.flush().await.unwrap();
        }
        let check = async |what: &str| {
            let found = fresh(&disk, what).await;
            for (i, units) in units.iter().enumerate() {
                let wanted = [("number".into(), (i as i64).into()), ("units".into(), (*units).into())];
                assert_eq!(found.attributes(&format!("a{i}")).await.unwrap(), wanted, "{what}");
            }
        };
        check("a dictionary a layer").await;
        for i in 0..units.len() {
            file.write_array(&format!("a{i}"), vec![], filled(5, &[2]).view()).await.unwrap();
            file.flush().await.unwrap();
            check("data only").await;
        }
        file.compact().await.unwrap();
        check("compacted").await;
    });
    block_on(async {
        let disk = scratch();
        let mut file = ArrayFile::create(&disk, NAME, no_cache()).await.unwrap();
        // More than 8 bits count, and often: a page keeps each once.
        let text = |i: usize| Value::from(format!("value {}", i % 1000).as_str());
        for i in 0..MANY {
            let group = format!("{i:05}");
            file.define_group(&group).await.unwrap();
            file.set_attribute(&group, "station", text(i)).await.unwrap();
        }
        file.flush().await.unwrap();
        let found = open(&disk).await;
        let index = found.attribute_index("station").await.unwrap();
        assert_eq!(index.len(), MANY);
        assert!(
            index
                .iter()
                .enumerate()
                .all(|(i, (group, value))| { *group == format!("{i:05}") && *value == text(i) })
        );
        assert_eq!(found.attribute("65536", "station").await.unwrap(), Some(text(65_536)));
    });
}

/// More than 16 bits count.
const MANY: usize = 70_000;

/// Line 9: Statistics disagree with the data after any crash; NaN becomes a maximum; a null count includes what is not null.
#[test]
fn never_09_statistics_disagree_with_the_data() {
    block_on(async {
        let nan = f64::NAN;
        for is_compaction in [false, true] {
            for (k, death) in (0..).flat_map(|k| DEATHS.map(|d| (k, d))) {
                let what = format!("compaction {is_compaction}, {death:?} at {k}");
                let disk = scratch();
                let mut file = ArrayFile::create(&disk, NAME, no_cache()).await.unwrap();
                file.define_array::<f64>("x", vec!["n".into()], vec![6], Some(vec![2]), None).unwrap();
                file.define_array::<Option<i16>>(
                    "n",
                    vec!["n".into()],
                    vec![5],
                    Some(vec![4]),
                    Some(Some(0)),
                )
                .unwrap();
                file.write_array("x", vec![0], array![nan, 9.0, -1.0, nan].into_dyn().view()).await.unwrap();
                let nulls = array![Some(0i16), None, Some(-5), None];
                file.write_array("n", vec![0], nulls.into_dyn().view()).await.unwrap();
                file.flush().await.unwrap();
                if is_compaction {
                    worsen(&mut file).await;
                    file.flush().await.unwrap();
                }
                let failing = FailingStorage::new(disk.clone());
                let mut dying = ArrayFile::open(failing.clone(), NAME, no_cache()).await.unwrap();
                if !is_compaction {
                    worsen(&mut dying).await;
                }
                failing.die_at(k, death);
                let result = if is_compaction { dying.compact().await } else { dying.flush().await };
                let over = failing.operations() <= k;
                let found = fresh(&disk, &what).await;
                let x = found.read_array::<f64>("x", vec![], vec![]).await.unwrap();
                let happened = x[[1]].is_nan();
                assert!(happened || result.is_err(), "{what}");
                let of = async |name: &str| found.statistics(name).await.unwrap().statistics;
                let facts = |s: &Statistics| {
                    let (min, max) = (s.min().and_then(Value::as_f64), s.max().and_then(Value::as_f64));
                    let counts = s.counts.unwrap();
                    (min, max, counts.rows, counts.nulls, counts.nans)
                };
                let (x, n) = (of("x").await, of("n").await);
                if happened {
                    assert_eq!(facts(&x), (Some(-1.0), Some(-1.0), 4, 0, 3), "{what}");
                    assert_eq!(facts(&n), (Some(-5.0), Some(3.0), 4, 1, 0), "{what}");
                } else {
                    assert_eq!(facts(&x), (Some(-1.0), Some(9.0), 4, 0, 2), "{what}");
                    assert_eq!(facts(&n), (Some(-5.0), Some(0.0), 4, 2, 0), "{what}");
                }
                if over {
                    assert!(result.is_ok() && k > 3, "{what}");
                    break;
                }
            }
        }
    });
}

/// The maximum goes, a chunk becomes NaN alone, a null goes.
async fn worsen(file: &mut ArrayFile) {
    file.write_array("x", vec![0], array![f64::NAN, f64::NAN].into_dyn().view()).await.unwrap();
    file.write_array("n", vec![1], array![Some(3i16)].into_dyn().view()).await.unwrap();
}

/// Line 12: 2^32 elements, a 5 GiB chunk, or more than 65,535 of anything wraps silently.
#[test]
fn never_12_wide_numbers_wrap() {
    block_on(far_elements());
    block_on(large_chunks());
    far_offsets();
    block_on(many_things());
}

async fn far_elements() {
    let disk = scratch();
    let mut file = ArrayFile::create(&disk, NAME, no_cache()).await.unwrap();
    let far = (1u64 << 32) + 5;
    let dims = || vec!["y".into(), "x".into()];
    file.define_array::<i32>("line", vec!["n".into()], vec![far + 3], Some(vec![1000]), Some(-1)).unwrap();
    file.define_array::<i32>("plane", dims(), vec![far, far - 12], Some(vec![1, 10]), Some(-1)).unwrap();
    file.write_array("line", vec![5], filled(1, &[1]).view()).await.unwrap();
    file.write_array("line", vec![far], filled(2, &[3]).view()).await.unwrap();
    file.write_array("plane", vec![far - 1, far - 13], filled(3, &[1, 1]).view()).await.unwrap();
    file.append("line", 0, filled(4, &[2]).view()).await.unwrap();
    file.flush().await.unwrap();
    file.compact().await.unwrap();
    let found = fresh(&disk, "wide").await;
    let line = async |start, n| {
        let data = found.read_array::<i32>("line", vec![start], vec![n]).await.unwrap();
        data.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(line(4, 3).await, [-1, 1, -1]);
    assert_eq!(line(far - 1, 6).await, [-1, 2, 2, 2, 4, 4]);
    let steps = found.read_array_steps::<i32>("line", vec![5], vec![2], vec![1 << 32]).await.unwrap();
    assert_eq!(steps.as_slice().unwrap(), [1, 2]);
    let corner = found.read_array::<i32>("plane", vec![far - 2, far - 14], vec![2, 2]).await.unwrap();
    assert_eq!(corner.as_slice().unwrap(), [-1, -1, -1, 3]);
    assert_eq!(found.read_array::<i32>("plane", vec![4, 0], vec![1, 1]).await.unwrap()[[0, 0]], -1);
    let elements = found.statistics("plane").await.unwrap().elements;
    assert_eq!(elements, far * (far - 12));
    let coords: Vec<u64> = found.chunks("line").await.unwrap().iter().map(|c| c.coords[0]).collect();
    assert_eq!(coords, [0, far / 1000]);
    let refused = file.define_array::<i32>("wider", dims(), vec![1 << 33, 1 << 33], None, None);
    assert_eq!(kind(refused, "2^64"), ErrorKind::InvalidArgument);
}

async fn large_chunks() {
    let mut file = ArrayFile::create_memory(FileConfig::new(NoCompression)).await.unwrap();
    let chunk = 5u64 << 30;
    file.define_array::<u8>("one", vec!["n".into()], vec![chunk], None, Some(9)).unwrap();
    file.define_array::<u8>("many", vec!["n".into()], vec![3 * chunk], Some(vec![chunk]), Some(9)).unwrap();
    file.flush().await.unwrap();
    for (name, last) in [("one", chunk - 2), ("many", 3 * chunk - 2)] {
        let end = file.read_array::<u8>(name, vec![last], vec![2]).await.unwrap();
        assert_eq!(end.as_slice().unwrap(), [9, 9]);
        let beyond = file.read_array::<u8>(name, vec![last], vec![3]).await;
        assert_eq!(kind(beyond, "bounds"), ErrorKind::InvalidArgument);
    }
    // Strings have no frames: their chunk ends at 4 GiB.
    file.define_array::<String>("text", vec!["n".into()], vec![1 << 40], None, None).unwrap();
    let text = array![String::from("a")].into_dyn();
    let refused = file.write_array("text", vec![1 << 39], text.view()).await;
    assert_eq!(kind(refused, "chunks"), ErrorKind::InvalidArgument);
}

/// The index has 64 bits for every offset and length.
fn far_offsets() {
    let wide = |i: u64| (5u64 << 30) * (i + 1) + i;
    let rows: Vec<ChunkRow> = (0..10)
        .map(|i| {
            let object = ObjectId::Layer(u64::from(u32::MAX) + i);
            let codec = Arc::new(CodecRecord::of(&NoCompression));
            let block = BlockMeta {
                id: BlockId { object, number: wide(i) },
                offset: wide(i),
                stored_bytes: wide(i + 1),
                decoded_bytes: wide(i + 2),
                frame_bytes: 1 << 30,
                codec,
                checksum: u32::MAX,
            };
            let chunk = ChunkRef { length: wide(i + 2), offset: 0, block: Arc::new(block) };
            ChunkRow {
                node: wide(i),
                coords: vec![wide(i), wide(9 - i)],
                version: wide(i),
                chunk: Some(chunk),
            }
        })
        .collect();
    let page = ChunksPage::decode(&chunks::encode(&rows)).unwrap();
    let back: Vec<ChunkRow> = (0..rows.len()).map(|i| page.row(i)).collect();
    assert_eq!(back, rows);
}

async fn many_things() {
    let disk = scratch();
    let mut file = ArrayFile::create(&disk, NAME, no_cache()).await.unwrap();
    // Arrays, and names of dimensions.
    for i in 0..MANY {
        let dims = vec![format!("d{i}")];
        file.define_array::<i32>(&format!("{i:05}"), dims, vec![1], None, Some(i as i32)).unwrap();
    }
    // Chunks, and attributes.
    file.define_array::<i32>("chunks", vec!["n".into()], vec![MANY as u64], Some(vec![1]), None).unwrap();
    let data = Array1::from_iter(0..MANY as i32).into_dyn();
    file.write_array("chunks", vec![], data.view()).await.unwrap();
    for i in 0..MANY {
        file.set_attribute("chunks", &format!("a{i:05}"), i as i32).await.unwrap();
    }
    file.flush().await.unwrap();
    let found = ArrayFile::open(&disk, NAME, FileConfig::default()).await.unwrap();
    assert_eq!(found.footer().arrays, MANY as u64 + 1);
    assert_eq!(found.list_arrays().await.unwrap().len(), MANY + 1);
    for i in [0, 4463, 65_535, 65_536, MANY - 1] {
        let name = format!("{i:05}");
        let info = found.array(&name).await.unwrap();
        assert_eq!(info.schema.dimensions, [format!("d{i}")]);
        assert_eq!(found.read_array::<i32>(&name, vec![], vec![]).await.unwrap()[[0]], i as i32);
        let attribute = found.attribute("chunks", &format!("a{i:05}")).await.unwrap();
        assert_eq!(attribute, Some((i as i32).into()));
    }
    assert_eq!(found.read_array::<i32>("chunks", vec![], vec![]).await.unwrap(), data);
    assert_eq!(found.chunks("chunks").await.unwrap().len(), MANY);
    let attributes = found.attributes("chunks").await.unwrap();
    assert!(attributes.len() == MANY && attributes.iter().enumerate().all(|(i, a)| a.1 == (i as i32).into()));
}

/// Line 17: A chunk written row by row leaves a file of thousands of times its data.
#[test]
fn never_17_a_chunk_written_row_by_row_leaves_a_huge_file() {
    block_on(async {
        let (rows, columns) = (200u64, 100usize);
        let data = 4 * rows * columns as u64;
        for rows_a_flush in [rows, 20] {
            let disk = scratch();
            let config = FileConfig::new(NoCompression).with_cache(Default::default());
            let mut file = ArrayFile::create(&disk, NAME, config).await.unwrap();
            let dims = vec!["y".into(), "x".into()];
            let shape = vec![rows, columns as u64];
            file.define_array::<i32>("x", dims, shape.clone(), Some(shape), None).unwrap();
            for row in 0..rows {
                file.write_array("x", vec![row, 0], filled(row as i32, &[1, columns]).view()).await.unwrap();
                assert!(file.pending_bytes() < 2 * data, "{} pending", file.pending_bytes());
                if (row + 1) % rows_a_flush == 0 {
                    file.flush().await.unwrap();
                }
            }
            let stored = async || {
                let layers = disk.list(FOLDER).await.unwrap();
                bytes_of(&disk, NAME).await.len() as u64 + layers.iter().map(|l| l.size).sum::<u64>()
            };
            let flushes = rows / rows_a_flush;
            assert!(stored().await < flushes * (data + 4096), "{flushes} flushes: {} bytes", stored().await);
            file.compact().await.unwrap();
            assert!(stored().await < data + 4096, "{} bytes of {data}", stored().await);
            let found = fresh(&disk, "row by row").await;
            let read = found.read_array::<i32>("x", vec![], vec![]).await.unwrap();
            assert!(read.indexed_iter().all(|(at, v)| *v == at[0] as i32));
        }
    });
}
