//! Filter 4: the pcodec numeric codec, in its standalone format.

use bytemuck::{AnyBitPattern, NoUninit};
use half::f16;
use pco::data_types::Number;
use pco::errors::PcoError;
use pco::metadata::{DeltaEncoding, DynLatent, Mode};
use pco::standalone::{DecompressorItem, FileCompressor, FileDecompressor, simple_compress};
use pco::{ChunkConfig, DeltaSpec, ModeSpec, PagingSpec};

use super::{filled, pco_guard};
use crate::dtype::Scalar;
use crate::error::{Error, Result};

/// The major version of pcodec's format that we write and read.
const FORMAT_MAJOR: u8 = 4;
/// Numbers decoded at once. A multiple of 256, which is what pcodec asks for, and small enough for the stack.
const BATCH: usize = 1024;
/// pcodec looks so far ahead. Of a stream that is shorter it would make a copy of twice that length, in fresh memory.
const AHEAD_BYTES: usize = 256 * 18 + 9;
/// Streams of less get zeros behind them instead.
const SHORT_BYTES: usize = 8 << 10;
/// Above this, pcodec has no levels.
const MAX_LEVEL: u8 = 12;

/// A machine number that pcodec has an encoding for.
trait Lane: Number + AnyBitPattern + NoUninit {
    fn load(bytes: &[u8]) -> Vec<Self>;
    /// The numbers from number `first` on, of `dst` whose lanes they are.
    fn store(numbers: &[Self], first: usize, dst: &mut [u8]);
    /// The same for complex numbers: the real parts come first, then the imaginary parts.
    fn store_parts(numbers: &[Self], first: usize, dst: &mut [u8]);
}

macro_rules! lanes {
    ($($t:ty),*) => {$(
        impl Lane for $t {
            fn load(bytes: &[u8]) -> Vec<Self> {
                bytes.as_chunks().0.iter().map(|lane| <$t>::from_le_bytes(*lane)).collect()
            }

            fn store(numbers: &[Self], first: usize, dst: &mut [u8]) {
                let to = dst.as_chunks_mut().0.get_mut(first..).unwrap_or_default();
                for (to, number) in to.iter_mut().zip(numbers) {
                    *to = number.to_le_bytes();
                }
            }

            fn store_parts(numbers: &[Self], first: usize, dst: &mut [u8]) {
                let lanes = dst.as_chunks_mut().0;
                let half = lanes.len() / 2;
                for (i, number) in (first..).zip(numbers) {
                    let lane = if i < half { 2 * i } else { 2 * (i - half) + 1 };
                    if let Some(to) = lanes.get_mut(lane) {
                        *to = number.to_le_bytes();
                    }
                }
            }
        }
    )*};
}
lanes!(u8, u16, u32, u64, i8, i16, i32, i64, f16, f32, f64);

/// Calls `$f::<T>` with the machine number of `$item`.
macro_rules! dispatch {
    ($item:expr, $f:ident($($arg:expr),*)) => {
        match $item {
            Scalar::U8 => $f::<u8>($($arg),*),
            Scalar::U16 => $f::<u16>($($arg),*),
            Scalar::U32 => $f::<u32>($($arg),*),
            Scalar::U64 => $f::<u64>($($arg),*),
            Scalar::I8 => $f::<i8>($($arg),*),
            Scalar::I16 => $f::<i16>($($arg),*),
            Scalar::I32 => $f::<i32>($($arg),*),
            Scalar::F16 => $f::<f16>($($arg),*),
            Scalar::F32 | Scalar::Complex64 => $f::<f32>($($arg),*),
            Scalar::F64 | Scalar::Complex128 => $f::<f64>($($arg),*),
            Scalar::Bool | Scalar::Bf16 => Err(Error::invalid(format!("filter Pco has no encoding for {}", $item))),
            // i64, timestamps, durations
            _ => $f::<i64>($($arg),*),
        }
    };
}

/// How to encode numbers of some kind. To find it out takes pcodec as long as the rest of its work.
#[derive(Debug, Clone, Default)]
pub(super) struct Tuning {
    mode: ModeSpec,
    delta: DeltaSpec,
}

/// The pcodec stream of the numbers in `raw`.
pub(super) fn encode(level: u8, item: Scalar, raw: &[u8], tuning: &Tuning) -> Result<Vec<u8>> {
    dispatch!(item, encode_as(level, item.is_complex(), raw, tuning))
}

/// What pcodec finds best for each of these samples, if that is the same for all.
pub(super) fn tuning(level: u8, item: Scalar, samples: &[&[u8]]) -> Result<Option<Tuning>> {
    let mut agreed: Option<(Mode, DeltaEncoding)> = None;
    for sample in samples.iter().filter(|s| s.len() >= item.size_bytes()) {
        let found = dispatch!(item, found_best(level, sample))?;
        match &agreed {
            Some(agreed) if *agreed != found => return Ok(None),
            _ => agreed = Some(found),
        }
    }
    Ok(agreed.and_then(|(mode, delta)| {
        let mode = match mode {
            Mode::Classic => ModeSpec::Classic,
            Mode::IntMult(base) => ModeSpec::TryIntMult(unsigned(base)?),
            Mode::FloatMult(base) => ModeSpec::TryFloatMult(positive_float(base)?),
            Mode::FloatQuant(bits) => ModeSpec::TryFloatQuant(bits),
            _ => return None,
        };
        let delta = match delta {
            DeltaEncoding::NoOp => DeltaSpec::NoOp,
            DeltaEncoding::Consecutive { order, .. } => DeltaSpec::TryConsecutive(order),
            _ => return None,
        };
        Some(Tuning { mode, delta })
    }))
}

fn found_best<T: Lane>(level: u8, raw: &[u8]) -> Result<(Mode, DeltaEncoding)> {
    let cannot = |e: PcoError| Error::invalid("pco cannot encode these numbers").with_source(e);
    let compressor =
        FileCompressor::default().chunk_compressor(&T::load(raw), &configured(level)).map_err(cannot)?;
    let meta = compressor.meta();
    Ok((meta.mode.clone(), meta.delta_encoding.clone()))
}

fn unsigned(latent: DynLatent) -> Option<u64> {
    match latent {
        DynLatent::U8(v) => Some(v.into()),
        DynLatent::U16(v) => Some(v.into()),
        DynLatent::U32(v) => Some(v.into()),
        DynLatent::U64(v) => Some(v),
        _ => None,
    }
}

/// The number of a latent, which has the order of the numbers: of positive ones the bits, and the sign bit set.
fn positive_float(latent: DynLatent) -> Option<f64> {
    let base = match latent {
        DynLatent::U16(v) => f16::from_bits(v ^ (1 << 15)).to_f64(),
        DynLatent::U32(v) => f32::from_bits(v ^ (1 << 31)).into(),
        DynLatent::U64(v) => f64::from_bits(v ^ (1 << 63)),
        _ => return None,
    };
    (base.is_finite() && base > 0.0).then_some(base)
}

fn configured(level: u8) -> ChunkConfig {
    ChunkConfig::default().with_compression_level(usize::from(level.min(MAX_LEVEL))).with_enable_8_bit(true)
}

/// Fills `dst` with the numbers of a stream, exactly. Beside what pcodec needs for a chunk's tables (2 MiB at most)
/// and a dictionary that is no longer than `dst`, nothing is allocated.
pub(super) fn decode(item: Scalar, encoded: &[u8], dst: &mut [u8]) -> Result<()> {
    let mut short = [0; SHORT_BYTES + AHEAD_BYTES];
    match short.get_mut(..encoded.len()).filter(|_| encoded.len() <= SHORT_BYTES) {
        Some(front) => {
            front.copy_from_slice(encoded);
            let padded = short.get(..encoded.len() + AHEAD_BYTES).unwrap_or_default();
            dispatch!(item, decode_as(item.is_complex(), padded, AHEAD_BYTES, dst))
        }
        None => dispatch!(item, decode_as(item.is_complex(), encoded, 0, dst)),
    }
}

fn encode_as<T: Lane>(level: u8, complex: bool, raw: &[u8], tuning: &Tuning) -> Result<Vec<u8>> {
    let cannot = |e: PcoError| Error::invalid("pco cannot encode these numbers").with_source(e);
    let mut config =
        configured(level).with_mode_spec(tuning.mode.clone()).with_delta_spec(tuning.delta.clone());
    let mut numbers = T::load(raw);
    if complex {
        // Real and imaginary parts have distributions of their own, and so get pcodec chunks of their own.
        let (real, imaginary) = (numbers.iter().step_by(2), numbers.iter().skip(1).step_by(2));
        let pages = config.paging_spec.n_per_page(real.len()).map_err(cannot)?;
        config.paging_spec = PagingSpec::Exact(pages.repeat(2));
        numbers = real.chain(imaginary).copied().collect();
    }
    simple_compress(&numbers, &config).map_err(cannot)
}

/// The last `padding` bytes are none of the stream's.
fn decode_as<T: Lane>(complex: bool, encoded: &[u8], padding: usize, dst: &mut [u8]) -> Result<()> {
    let bad = |e: PcoError| Error::corrupt("a pco stream does not decode").with_source(e);
    let cut = || Error::corrupt("a pco stream ends before its numbers do");
    let (file, mut src) = FileDecompressor::new(encoded).map_err(bad)?;
    let version = file.format_version();
    if src.len() < padding {
        return Err(cut());
    }
    if version.major != FORMAT_MAJOR {
        return Err(Error::unsupported(format!(
            "pco format version {version}; this version knows {FORMAT_MAJOR}"
        )));
    }
    let total = dst.len() / size_of::<T>();
    let mut done = 0;
    loop {
        // pcodec would allocate what the stream asks for, and its own slice functions would cut it short silently.
        pco_guard::check_chunk(src, 8 * size_of::<T>(), total - done)?;
        let mut chunk = match file.chunk_decompressor::<T, _>(src).map_err(bad)? {
            DecompressorItem::Chunk(chunk) => chunk,
            DecompressorItem::EndOfData(rest) => {
                if rest.len() < padding {
                    return Err(cut());
                }
                if rest.len() > padding {
                    let more = rest.len() - padding;
                    return Err(Error::corrupt(format!("{more} bytes behind the end of a pco stream")));
                }
                return filled("a pco stream", done * size_of::<T>(), dst.len());
            }
        };
        if let Some(numbers) = in_place(complex, dst).and_then(|all| all.get_mut(done..)) {
            // All of the chunk: it was checked to be no longer.
            done += chunk.read(numbers).map_err(bad)?.n_processed;
        } else {
            let mut batch = [T::default(); BATCH];
            loop {
                let progress = chunk.read(&mut batch).map_err(bad)?;
                let numbers = batch.get(..progress.n_processed).unwrap_or_default();
                if complex {
                    T::store_parts(numbers, done, dst);
                } else {
                    T::store(numbers, done, dst);
                }
                done += numbers.len();
                if progress.finished {
                    break;
                }
            }
        }
        src = chunk.into_src();
    }
}

/// Bytes as the numbers that they are to be, where this machine has them in the same order, and they lie as it wants them to.
fn in_place<T: Lane>(complex: bool, dst: &mut [u8]) -> Option<&mut [T]> {
    let as_they_are = cfg!(target_endian = "little") && !complex;
    as_they_are.then(|| bytemuck::try_cast_slice_mut(dst).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_of_the_version_that_the_format_names() {
        let raw: Vec<u8> = (0..100i32).flat_map(i32::to_le_bytes).collect();
        let stream = encode(8, Scalar::I32, &raw, &Tuning::default()).unwrap();
        let (file, _) = FileDecompressor::new(&stream[..]).unwrap();
        assert_eq!(file.format_version().major, FORMAT_MAJOR);
        assert_eq!(stream[..5], [b'p', b'c', b'o', b'!', 3]);
        // Levels above the last one mean the last one.
        assert_eq!(
            encode(12, Scalar::I32, &raw, &Tuning::default()).unwrap(),
            encode(255, Scalar::I32, &raw, &Tuning::default()).unwrap()
        );
        assert!(decode(Scalar::U32, &stream, &mut vec![0; 400]).is_err());
        assert!(decode(Scalar::I32, &[&stream[..], &[0]].concat(), &mut vec![0; 400]).is_err());
    }

    #[test]
    fn numbers_come_back_wherever_they_are_to_lie() {
        let numbers: Vec<i64> = (0..5000i64).map(|i| i * i % 977 - 300).collect();
        let raw: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        let stream = encode(4, Scalar::I64, &raw, &Tuning::default()).unwrap();
        let chunks = configured(4).with_paging_spec(PagingSpec::Exact(vec![3000, 1, 1999]));
        let mut room = vec![0u8; raw.len() + 8];
        for stream in [stream.clone(), simple_compress(&numbers, &chunks).unwrap()] {
            for start in 0..8 {
                let dst = &mut room[start..start + raw.len()];
                decode(Scalar::I64, &stream, dst).unwrap();
                assert_eq!(dst, raw, "{start}");
                dst.fill(0);
            }
        }
        for wrong in [raw.len() - 8, raw.len() + 8] {
            assert!(decode(Scalar::I64, &stream, &mut vec![0; wrong]).is_err());
        }
    }

    #[test]
    fn short_streams_and_long_ones_are_refused_if_cut_or_too_long() {
        for n in [1usize, 300, 3000, 60_000] {
            let raw: Vec<u8> =
                (0..n as u32).flat_map(|i| (i.wrapping_mul(40_503) % 5003).to_le_bytes()).collect();
            let stream = encode(4, Scalar::U32, &raw, &Tuning::default()).unwrap();
            let mut dst = vec![0; raw.len()];
            for cut in (1..stream.len()).take(40).chain([stream.len() / 2, stream.len() - 1, stream.len()]) {
                let e = decode(Scalar::U32, &stream[..stream.len() - cut], &mut dst).unwrap_err();
                assert_eq!(e.kind(), crate::error::ErrorKind::Corrupt, "{n} {cut}: {e}");
            }
            for more in [1, 9, AHEAD_BYTES, 2 * AHEAD_BYTES] {
                let long = [&stream[..], &vec![0; more]].concat();
                assert!(
                    decode(Scalar::U32, &long, &mut dst).unwrap_err().message().contains("behind the end")
                );
            }
            decode(Scalar::U32, &stream, &mut dst).unwrap();
            assert_eq!(dst, raw);
        }
    }

    #[test]
    fn complex_numbers_are_two_runs_of_numbers() {
        let raw: Vec<u8> = (0..600).flat_map(|i| (i as f32).to_le_bytes()).collect();
        let stream = encode(8, Scalar::Complex64, &raw, &Tuning::default()).unwrap();
        let numbers: Vec<f32> = pco::standalone::simple_decompress(&stream).unwrap();
        let parts = (0..600).step_by(2).chain((1..600).step_by(2));
        assert_eq!(numbers, parts.map(|i| i as f32).collect::<Vec<_>>());
    }
}
