//! What no format can beat.

use anyhow::Result;

use super::{Context, Step, timed};
use crate::data::{self, Profiles};
use crate::limit;
use crate::peer::Compression;

/// Numbers of a block that small arrays share.
const BLOCK_NUMBERS: usize = 2048;

/// What no format can beat, for the phases that have such a limit.
pub fn limits(workload: &str, phase: &str, c: &Context) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    if (workload, phase) == ("profiles", "all") {
        let profiles = Profiles::new(c.profiles);
        let blocks: Vec<&[f32]> = profiles.all().chunks(BLOCK_NUMBERS).collect();
        let stored = limit::compress_numbers(&blocks)?;
        let raw = profiles.all().len();
        drop(profiles);
        for name in ["all, in batches of 10,000", "all, in batches one behind the other"] {
            timed(&mut steps, name, || Ok(std::hint::black_box(limit::decompress_numbers(&stored, raw)?)))?;
        }
        return Ok(steps);
    }
    let (volume, how) = match workload {
        "grid-zstd3" => (data::grid(&c.data)?, Compression::Zstd3),
        "grid" => (data::grid(&c.data)?, Compression::Default),
        "voxels" => (data::voxel_volume(&c.data)?, Compression::None),
        "voxels-zstd3" => (data::voxel_volume(&c.data)?, Compression::Zstd3),
        _ => return Ok(steps),
    };
    let chunks = limit::chunks(&volume);
    let raw = chunks.first().map_or(0, Vec::len);
    drop(volume);
    if phase == "write" {
        let stored = timed(&mut steps, "write", || limit::compress(&chunks, how))?;
        steps[0].bytes = Some(stored.iter().map(|c| c.len() as u64).sum());
        return Ok(steps);
    }
    // A map needs the first quarter of the raw bytes of each of its chunks.
    let (pieces, count, name) = match phase {
        "read" => (chunks, 1, "open and read"),
        "maps" => {
            let quarter = raw / 4;
            let maps: Vec<Vec<u8>> = chunks.iter().take(16).map(|c| c[..quarter].to_vec()).collect();
            (maps, 20, "20 maps")
        }
        _ => return Ok(steps),
    };
    let raw = pieces.first().map_or(0, Vec::len);
    let stored = limit::compress(&pieces, how)?;
    drop(pieces);
    // Kept, as the peers keep what they read: memory that is freed and had again would not be fresh.
    timed(&mut steps, name, || {
        (0..count).map(|_| limit::decompress(&stored, raw, how)).collect::<Result<Vec<_>>>()
    })?;
    Ok(steps)
}
