//! Compression is recorded with every block, so that a reader needs to be told nothing.

use std::sync::Arc;

use array_format::{
    ArrayDefinition, ArrayFile, CompressionCodec, Error, ErrorKind, FileConfig, Filter, InMemoryStorage,
    Lz4Codec, NoCompression, Result, ZstdCodec,
};
use futures::executor::block_on;
use ndarray::{Array1, ArrayD};

use super::{assert_whole, noise};

/// Compresses well, but not to nothing.
fn data(n: usize) -> ArrayD<u32> {
    let mut next = noise(5);
    Array1::from_shape_fn(n, |_| (next() % 900) as u32).into_dyn()
}

async fn put(file: &mut ArrayFile, name: &str, codec: Option<&dyn CompressionCodec>, data: &ArrayD<u32>) {
    let definition =
        ArrayDefinition::new::<u32>(vec!["n".into()], vec![data.len() as u64]).chunk_shape(vec![3000]);
    let definition = codec.iter().fold(definition, |d, codec| d.codec(*codec));
    file.define(name, definition).unwrap();
    file.write_array(name, vec![], data.view()).await.unwrap();
}

/// A file of one array in shared blocks (or in frames, if they are small).
async fn written(config: FileConfig) -> (InMemoryStorage, u64) {
    let storage = InMemoryStorage::new();
    let mut file = ArrayFile::create(storage.clone(), "a.af", config).await.unwrap();
    put(&mut file, "x", None, &data(10_000)).await;
    file.flush().await.unwrap();
    (storage, file.usage().block_bytes)
}

#[test]
fn readers_need_no_configuration() {
    let codecs: [Arc<dyn CompressionCodec>; 5] = [
        Arc::new(NoCompression),
        Arc::new(Lz4Codec),
        Arc::new(ZstdCodec::default()),
        Arc::new(ZstdCodec::new(19).unwrap()),
        Arc::new(ZstdCodec::new(-7).unwrap()),
    ];
    block_on(async {
        for codec in codecs {
            for frame_bytes in [1 << 10, 256 << 10] {
                let config = FileConfig::new(codec.clone()).with_frame_bytes(frame_bytes);
                let (storage, stored) = written(config).await;
                if codec.id() != NoCompression.id() {
                    assert!(stored < 4 * 10_000 * 9 / 10, "{codec:?} stored {stored} bytes");
                }
                for reader in
                    [FileConfig::default(), FileConfig::new(NoCompression), FileConfig::new(Lz4Codec)]
                {
                    let file = ArrayFile::open(storage.clone(), "a.af", reader).await.unwrap();
                    let read = file.read_array::<u32>("x", vec![], vec![]).await.unwrap();
                    assert_eq!(read, data(10_000), "{codec:?}");
                    assert_whole(&file).await;
                }
            }
        }
    });
}

#[test]
fn arrays_of_one_file_have_codecs_of_their_own() {
    block_on(async {
        let storage = InMemoryStorage::new();
        let mut file = ArrayFile::create(storage.clone(), "a.af", FileConfig::new(Lz4Codec)).await.unwrap();
        let data = data(10_000);
        put(&mut file, "as the file", None, &data).await;
        put(&mut file, "none", Some(&NoCompression), &data).await;
        put(&mut file, "zstd", Some(&ZstdCodec::default()), &data).await;
        file.flush().await.unwrap();
        file.compact().await.unwrap();
        let file = ArrayFile::open(storage, "a.af", FileConfig::default()).await.unwrap();
        let recorded = |name: &'static str| {
            let file = &file;
            async move { file.array(name).await.unwrap().schema.codec.map(|c| c.id) }
        };
        assert_eq!(recorded("as the file").await, None);
        assert_eq!(recorded("none").await, Some(NoCompression.id()));
        assert_eq!(recorded("zstd").await, Some(ZstdCodec::default().id()));
        for name in ["as the file", "none", "zstd"] {
            assert_eq!(file.read_array::<u32>(name, vec![], vec![]).await.unwrap(), data, "{name}");
        }
    });
}

#[test]
fn the_level_that_an_array_asks_for_is_used() {
    block_on(async {
        let mut sizes = Vec::new();
        for level in [-7, 19] {
            let mut file = ArrayFile::create_memory(FileConfig::default()).await.unwrap();
            put(&mut file, "x", Some(&ZstdCodec::new(level).unwrap()), &data(50_000)).await;
            file.flush().await.unwrap();
            let (_, whole) = written(FileConfig::new(ZstdCodec::new(level).unwrap())).await;
            sizes.push((file.usage().block_bytes, whole));
        }
        assert!(sizes[1].0 < sizes[0].0 && sizes[1].1 < sizes[0].1, "{sizes:?}");
    });
}

/// A codec of a user's own: runs of one byte, as their length and the byte inverted.
#[derive(Debug)]
struct Inverted {
    id: u32,
    name: &'static str,
}

const INVERTED: Inverted = Inverted { id: 70_000, name: "inverted" };

impl CompressionCodec for Inverted {
    fn id(&self) -> u32 {
        self.id
    }
    fn name(&self) -> &str {
        self.name
    }
    fn compress(&self, src: &[u8], dst: &mut Vec<u8>) -> Result<()> {
        // What does not get smaller is stored as it is: shuffled numbers are runs.
        for run in src.chunk_by(|a, b| a == b) {
            for part in run.chunks(255) {
                dst.extend([part.len() as u8, !part[0]]);
            }
        }
        Ok(())
    }
    fn decompress(&self, _params: &[u8], src: &[u8], dst: &mut [u8]) -> Result<()> {
        let runs = src.chunks_exact(2).flat_map(|run| std::iter::repeat_n(!run[1], usize::from(run[0])));
        let bytes: Vec<u8> = runs.collect();
        if bytes.len() != dst.len() {
            return Err(Error::corrupt("another length"));
        }
        dst.copy_from_slice(&bytes);
        Ok(())
    }
}

fn steps(n: usize) -> ArrayD<u32> {
    Array1::from_shape_fn(n, |i| (i / 500) as u32).into_dyn()
}

#[test]
fn a_codec_of_ones_own_reads_back_when_it_is_registered() {
    block_on(async {
        let storage = InMemoryStorage::new();
        let config = FileConfig::new(INVERTED);
        let mut file = ArrayFile::create(storage.clone(), "a.af", config).await.unwrap();
        put(&mut file, "x", None, &steps(10_000)).await;
        put(&mut file, "plain", Some(&NoCompression), &steps(10)).await;
        file.flush().await.unwrap();
        file.write_array("x", vec![0], steps(3000).view()).await.unwrap();
        file.flush().await.unwrap();
        file.compact().await.unwrap();
        assert!(file.usage().block_bytes < 10_000, "{:?}", file.usage());

        let config = FileConfig::default().register_codec(INVERTED).unwrap();
        let file = ArrayFile::open(storage.clone(), "a.af", config).await.unwrap();
        assert_eq!(file.read_array::<u32>("x", vec![], vec![]).await.unwrap(), steps(10_000));
        assert_whole(&file).await;

        let file = ArrayFile::open(storage.clone(), "a.af", FileConfig::default()).await.unwrap();
        let e = file.read_array::<u32>("x", vec![], vec![]).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unsupported);
        assert!(e.to_string().contains("\"inverted\" (id 70000)"), "{e}");
        // All that does not need the codec is there.
        assert_eq!(file.array("x").await.unwrap().shape, [10_000]);
        assert_eq!(file.statistics("x").await.unwrap().statistics.max(), Some(&19u32.into()));
        assert_eq!(file.read_array::<u32>("plain", vec![], vec![]).await.unwrap(), steps(10));

        let other = Inverted { name: "something else", ..INVERTED };
        let config = FileConfig::default().register_codec(other).unwrap();
        let file = ArrayFile::open(storage, "a.af", config).await.unwrap();
        let e = file.read_array::<u32>("x", vec![], vec![]).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unsupported);
        assert!(e.to_string().contains("inverted") && e.to_string().contains("something else"), "{e}");
    });
}

#[test]
fn an_array_may_ask_for_a_codec_of_ones_own() {
    block_on(async {
        let definition = || ArrayDefinition::new::<u32>(vec!["n".into()], vec![5000]).codec(&INVERTED);
        let mut file = ArrayFile::create_memory(FileConfig::default()).await.unwrap();
        let e = file.define("x", definition()).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unsupported);
        assert!(e.to_string().contains("inverted"), "{e}");

        let config = FileConfig::default().register_codec(INVERTED).unwrap();
        let mut file = ArrayFile::create_memory(config).await.unwrap();
        file.define("x", definition()).unwrap();
        file.write_array("x", vec![], steps(5000).view()).await.unwrap();
        file.flush().await.unwrap();
        assert_eq!(file.read_array::<u32>("x", vec![], vec![]).await.unwrap(), steps(5000));
    });
}

#[test]
fn ids_below_65536_are_not_the_users() {
    let format = Inverted { id: 65_535, ..INVERTED };
    assert_eq!(FileConfig::default().register_codec(format).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let first = Inverted { id: 65_536, ..INVERTED };
    assert!(FileConfig::default().register_codec(first).is_ok());
}

#[test]
fn rounded_values_read_the_same_before_and_after_the_commit() {
    block_on(async {
        let mut file = ArrayFile::create_memory(FileConfig::default()).await.unwrap();
        let define = |fill: f32| {
            ArrayDefinition::new::<f32>(vec!["n".into()], vec![100])
                .chunk_shape(vec![30])
                .fill(fill)
                .filters(vec![Filter::BitRound { keep_bits: 6 }, Filter::Shuffle])
        };
        let refused = file.define("x", define(-9999.9)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
        assert!(refused.to_string().contains("keep more bits"), "{refused}");
        file.define("x", define(9.969_21e36)).unwrap();
        let data = ndarray::Array::from_shape_fn(50, |i| (i as f32).sqrt() + 0.123).into_dyn();
        file.write_array("x", vec![10], data.view()).await.unwrap();
        let pending = file.read_array::<f32>("x", vec![], vec![]).await.unwrap();
        let told = file.statistics("x").await.unwrap();
        file.flush().await.unwrap();
        assert_eq!(file.read_array::<f32>("x", vec![], vec![]).await.unwrap(), pending);
        assert_eq!(file.statistics("x").await.unwrap().statistics, told.statistics);
        assert_ne!(pending[[12]], data[[2]]);
        assert_eq!((pending[[0]], pending[[99]]), (9.969_21e36, 9.969_21e36));
    });
}
