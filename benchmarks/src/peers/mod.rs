//! The formats that are compared.

mod array_format_0_15;
mod array_format_0_9;
#[cfg(feature = "icechunk")]
mod icechunk;
pub mod ours;
mod safetensors;
mod sqlite;
mod zarrs;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use tokio::runtime::Runtime;

use crate::peer::Peer;

/// All of them, ours first.
pub fn all() -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(ours::Ours { maps: false }),
        Box::new(ours::Ours { maps: true }),
        Box::new(array_format_0_15::ArrayFormat0_15),
        Box::new(array_format_0_9::ArrayFormat0_9),
        Box::new(zarrs::Zarrs),
        Box::new(zarrs::ZarrsSharded),
        #[cfg(feature = "icechunk")]
        Box::new(icechunk::Icechunk),
        Box::new(sqlite::Sqlite),
        Box::new(safetensors::Safetensors),
    ]
}

/// The runtime of the peers that need one; the others never start it.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("a runtime"))
}

/// Tasks that are under way at once: enough that no thread waits.
fn tasks() -> usize {
    2 * std::thread::available_parallelism().map_or(2, usize::from)
}

/// Syncs files and the folder they are in, for the commits of peers that never sync.
fn sync(dir: &Path, files: &[String]) -> io::Result<()> {
    for name in files {
        File::open(dir.join(name))?.sync_all()?;
    }
    File::open(dir)?.sync_all()
}

/// The elements of the chunk that a commit writes.
fn chunk(value: f32) -> Vec<f32> {
    (0..10_000).map(|k| value + k as f32).collect()
}

/// The bytes of elements, little-endian.
fn to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// The elements in bytes.
fn from_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn sum(values: &[f32]) -> f64 {
    values.iter().map(|v| f64::from(*v)).sum()
}
