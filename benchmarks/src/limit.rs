//! What no format can beat on this machine: the same chunks compressed or decompressed in memory, on all cores.

use anyhow::Result;
use rayon::prelude::*;

use crate::data::{Values, Volume};
use crate::peer::Compression;

/// The raw bytes of each chunk, as a codec gets them.
pub fn chunks(volume: &Volume) -> Vec<Vec<u8>> {
    let bytes: Vec<u8> = match &volume.values {
        Values::F32(v) => v.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Values::U16(v) => v.iter().flat_map(|v| v.to_le_bytes()).collect(),
    };
    let size = (bytes.len() as u64 / volume.shape.iter().product::<u64>()) as usize;
    let [nz, ny, nx] = volume.shape.map(|n| n as usize);
    let [cz, cy, cx] = volume.chunk.map(|n| n as usize);
    let mut all = Vec::new();
    for z in (0..nz).step_by(cz) {
        for y in (0..ny).step_by(cy) {
            for x in (0..nx).step_by(cx) {
                let mut chunk = Vec::with_capacity(cz * cy * cx * size);
                for zz in z..z + cz {
                    for yy in y..y + cy {
                        let at = ((zz * ny + yy) * nx + x) * size;
                        chunk.extend_from_slice(&bytes[at..at + cx * size]);
                    }
                }
                all.push(chunk);
            }
        }
    }
    all
}

/// Compresses every chunk on all cores.
pub fn compress(chunks: &[Vec<u8>], how: Compression) -> Result<Vec<Vec<u8>>> {
    chunks
        .par_iter()
        .map(|c| match how {
            Compression::None => Ok(c.clone()),
            Compression::Lz4 => anyhow::bail!("no limit is taken for LZ4"),
            Compression::Zstd3 => Ok(zstd::bulk::compress(c, 3)?),
            Compression::Default => {
                let numbers: Vec<f32> = c.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
                let config = pco::ChunkConfig::default().with_compression_level(4);
                Ok(pco::standalone::simple_compress(&numbers, &config)?)
            }
        })
        .collect()
}

/// Decompresses every chunk on all cores into one fresh buffer, one chunk behind the other.
pub fn decompress(stored: &[Vec<u8>], raw_bytes: usize, how: Compression) -> Result<Vec<u8>> {
    let mut out = vec![0u8; raw_bytes * stored.len()];
    out.par_chunks_mut(raw_bytes).zip(stored).try_for_each(|(out, c)| -> Result<()> {
        match how {
            Compression::None => out.copy_from_slice(c),
            Compression::Lz4 => anyhow::bail!("no limit is taken for LZ4"),
            Compression::Zstd3 => {
                zstd::bulk::decompress_to_buffer(c, out)?;
            }
            Compression::Default => {
                let numbers: Vec<f32> = pco::standalone::simple_decompress(c)?;
                for (out, v) in out.as_chunks_mut().0.iter_mut().zip(numbers) {
                    *out = v.to_le_bytes();
                }
            }
        }
        Ok(())
    })?;
    Ok(out)
}

/// Compresses numbers, as the default settings do it, block by block.
pub fn compress_numbers(blocks: &[&[f32]]) -> Result<Vec<Vec<u8>>> {
    let config = pco::ChunkConfig::default().with_compression_level(4);
    blocks.par_iter().map(|b| Ok(pco::standalone::simple_compress(b, &config)?)).collect()
}

/// Decompresses such blocks on all cores into one fresh buffer.
pub fn decompress_numbers(stored: &[Vec<u8>], numbers: usize) -> Result<Vec<f32>> {
    let mut out = vec![0f32; numbers];
    let block = numbers.div_ceil(stored.len().max(1)).next_power_of_two();
    out.par_chunks_mut(block).zip(stored).try_for_each(|(out, c)| -> Result<()> {
        pco::standalone::simple_decompress_into(c, out)?;
        Ok(())
    })?;
    Ok(out)
}
