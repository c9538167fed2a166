//! What no format can beat on this machine: the same chunks compressed or decompressed in memory, on all cores.

use anyhow::Result;
use array_format_core::codec::{CompressionCodec, Filter, NoCompression, NumbersCodec};
use array_format_core::dtype::Scalar;
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
            Compression::Default => compressed(&default_codec(&[c])?, c),
        })
        .collect()
}

/// What the default settings choose for decimals, of which these are some.
fn default_codec(sample: &[&[u8]]) -> Result<NumbersCodec> {
    let filters = vec![Filter::Decimal { digits: 2 }, Filter::Pco { level: 4 }];
    let sample: Vec<&[u8]> = sample.iter().map(|bytes| &bytes[..bytes.len().min(SAMPLE_BYTES)]).collect();
    Ok(NumbersCodec::new(Scalar::F32, filters, NoCompression)?.tuned(&sample)?)
}

const SAMPLE_BYTES: usize = 16 << 10;

fn compressed(codec: &NumbersCodec, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    codec.compress(bytes, &mut out)?;
    Ok(out)
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
                let codec = default_codec(&[])?;
                codec.decompress(&codec.params(), c, out)?;
            }
        }
        Ok(())
    })?;
    Ok(out)
}

/// Compresses numbers, as the default settings do it, block by block.
pub fn compress_numbers(blocks: &[&[f32]]) -> Result<Vec<Vec<u8>>> {
    let blocks: Vec<Vec<u8>> =
        blocks.iter().map(|block| block.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let codec = default_codec(&blocks.first().map(Vec::as_slice).into_iter().collect::<Vec<_>>())?;
    blocks.par_iter().map(|block| compressed(&codec, block)).collect()
}

/// Decompresses such blocks on all cores into one fresh buffer.
pub fn decompress_numbers(stored: &[Vec<u8>], numbers: usize) -> Result<Vec<u8>> {
    let codec = default_codec(&[])?;
    let mut out = vec![0u8; 4 * numbers];
    let block = 4 * numbers.div_ceil(stored.len().max(1)).next_power_of_two();
    out.par_chunks_mut(block)
        .zip(stored)
        .try_for_each(|(out, c)| -> Result<()> { Ok(codec.decompress(&codec.params(), c, out)?) })?;
    Ok(out)
}
