//! How numbers are compressed where nobody said: by what proves best on a sample of them. See `docs/design.md`, "Default compression".

use std::sync::Arc;

use array_format_core::Result;
use array_format_core::codec::{CompressionCodec, Filter, NoCompression, NumbersCodec, ZstdCodec};
use array_format_core::dtype::{DType, Scalar};
use array_format_core::schema::ArraySchema;

use super::pack::{ChunkJob, Compress};
use crate::config::FileConfig;

/// Elements of a sample are taken from so many places, each of at most this many bytes, all together a fraction of the data.
const PIECES: usize = 3;
const PIECE_BYTES: usize = 16 << 10;
const FRACTION: usize = 16;
/// A smaller sample tells little.
const LEAST_BYTES: usize = 4 << 10;
/// A chunk of so many bytes gets a block of its own, and frames, whatever compresses it; smaller ones share blocks.
const OWN_BLOCK_BYTES: usize = 64 << 10;
/// pcodec at this level is as fast as Zstandard at 3, and higher ones gain little.
const PCO_LEVEL: u8 = 4;
/// What it must gain over the others, in thousandths.
const PCO_MARGIN: u64 = 100;

/// The type of the numbers of an array whose compression is to be chosen; `None` where it is not: somebody said, or they are no numbers, or a
/// mask stands among them.
pub(crate) fn item_of(schema: &ArraySchema, config: &FileConfig) -> Option<Scalar> {
    let DType::Scalar(item) = schema.dtype else { return None };
    let free = config.choose && schema.codec.is_none() && schema.filters.is_empty() && !schema.nullable;
    (free && item != Scalar::Bool).then_some(item)
}

/// Chooses for the large chunks of one array, all of them alike.
pub(crate) fn for_array(jobs: &mut [ChunkJob], config: &FileConfig) -> Result<()> {
    let Some(Compress::Auto(item)) = jobs.first().map(|j| j.codec.clone()) else { return Ok(()) };
    let own = config.frame_bytes.map_or(OWN_BLOCK_BYTES, |frame| frame * 2);
    let large = |j: &ChunkJob| j.data.fixed().is_some_and(|bytes| bytes.len() >= own);
    let values: Vec<&[u8]> = jobs.iter().filter(|j| large(j)).filter_map(|j| j.data.fixed()).collect();
    let picked: Vec<&[u8]> = spread(values.len(), PIECES).filter_map(|i| values.get(i).copied()).collect();
    if picked.is_empty() {
        return Ok(());
    }
    let codec = by_sample(item, &picked)?;
    for job in jobs.iter_mut().filter(|j| large(j)) {
        job.codec = Compress::As(codec.clone());
    }
    Ok(())
}

/// Up to `n` of `len` places, evenly spread.
pub(super) fn spread(len: usize, n: usize) -> impl Iterator<Item = usize> {
    let n = n.min(len);
    (0..n).map(move |i| (2 * i + 1) * len / (2 * n).max(1))
}

/// The codec that makes least of a sample of `values`, whole elements of type `item`; a faster one where it is as good.
pub(crate) fn by_sample(item: Scalar, values: &[&[u8]]) -> Result<Arc<dyn CompressionCodec>> {
    let all: usize = values.iter().map(|v| v.len()).sum();
    let size = item.size_bytes();
    let piece = (all / FRACTION).clamp(LEAST_BYTES, PIECES * PIECE_BYTES) / PIECES / size * size;
    let mut sample: Vec<&[u8]> = Vec::new();
    for value in values {
        for i in spread((value.len() / piece.max(1)).max(1), PIECES.div_ceil(values.len())) {
            let rest = value.get(i * piece..).unwrap_or_default();
            sample.push(rest.get(..piece).unwrap_or(rest));
        }
    }
    let measured = |codec: &dyn CompressionCodec| -> Result<usize> {
        let mut out = Vec::new();
        sample.iter().try_for_each(|s| codec.compress(s, &mut out))?;
        Ok(out.len())
    };
    let mut best: Arc<dyn CompressionCodec> = Arc::new(NoCompression);
    let mut least = sample.iter().map(|s| s.len()).sum::<usize>();
    // In thousandths: what is slower must gain something.
    let gains =
        |bytes: usize, least: usize, margin: u64| (bytes as u64) * 1000 < (least as u64) * (1000 - margin);
    for (codec, margin) in candidates(item)? {
        let bytes = measured(&codec)?;
        if gains(bytes, least, margin) {
            (best, least) = (codec, bytes);
        }
    }
    let (mut numbers, mut margin) = (None, PCO_MARGIN);
    for filters in with_pco(item, &sample) {
        let Ok(codec) = NumbersCodec::new(item, filters, NoCompression) else { continue };
        let bytes = measured(&codec)?;
        if gains(bytes, least, margin) {
            (numbers, least, margin) = (Some(codec), bytes, 0);
        }
    }
    match numbers {
        Some(codec) => Ok(Arc::new(codec.tuned(&sample)?)),
        None => Ok(best),
    }
}

/// Ways to compress numbers with pcodec. Decimals are integers to it, which takes half of the time: if all are, no other way is looked at.
fn with_pco(item: Scalar, sample: &[&[u8]]) -> Vec<Vec<Filter>> {
    let pco = Filter::Pco { level: PCO_LEVEL };
    match Filter::decimal_of(item, sample) {
        Some((decimal, true)) => vec![vec![decimal, pco]],
        Some((decimal, false)) => vec![vec![decimal, pco], vec![pco]],
        None => vec![vec![pco]],
    }
}

/// Ways to compress numbers without pcodec, from fast to slow, each with the gain over those before it, in thousandths, that it must bring.
fn candidates(item: Scalar) -> Result<Vec<(Arc<dyn CompressionCodec>, u64)>> {
    let zstd = ZstdCodec::default();
    let mut all: Vec<(Arc<dyn CompressionCodec>, u64)> = vec![(Arc::new(zstd), 50)];
    if item.size_bytes() > 1 {
        all.push((Arc::new(NumbersCodec::new(item, vec![Filter::Shuffle], zstd)?), 30));
    }
    let delta = vec![Filter::Delta, Filter::Shuffle];
    if let Ok(delta) = NumbersCodec::new(item, delta, zstd) {
        all.push((Arc::new(delta), 30));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parameters of what is chosen for these numbers.
    fn chosen(f: impl Fn(u32) -> f32) -> Vec<u8> {
        let bytes: Vec<u8> = (0..50_000).flat_map(|i| f(i).to_le_bytes()).collect();
        by_sample(Scalar::F32, &[&bytes]).unwrap().params()
    }

    #[test]
    fn decimals_become_integers_and_others_do_not() {
        let wave = |i: u32| (f64::from(i) * 0.01).sin() * 20.0;
        let noise = |i: u32| f64::from(i.wrapping_mul(2_654_435_761) >> 24) / 100.0;
        // Not -0.0, which is no decimal.
        let rounded = |i: u32, scale: f64| ((wave(i) + noise(i)) * scale).round() / scale + 0.0;
        let codec =
            |filters: Vec<Filter>| NumbersCodec::new(Scalar::F32, filters, NoCompression).unwrap().params();
        let pco = Filter::Pco { level: PCO_LEVEL };
        for (digits, scale) in [(1, 10.0), (2, 100.0), (3, 1000.0)] {
            let decimal = codec(vec![Filter::Decimal { digits }, pco]);
            assert_eq!(chosen(|i| rounded(i, scale) as f32), decimal);
            // Land, and a fill value.
            assert_eq!(chosen(|i| if i % 1000 < 300 { f32::NAN } else { rounded(i, scale) as f32 }), decimal);
            assert_eq!(
                chosen(|i| if i % 1000 < 300 { 9.96921e36 } else { rounded(i, scale) as f32 }),
                decimal
            );
        }
        assert_eq!(chosen(|i| wave(i) as f32), codec(vec![pco]));
    }
}
