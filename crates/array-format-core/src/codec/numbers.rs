//! Codec 3: numbers of one type, through filters and another codec.

use std::borrow::Cow;
use std::sync::Arc;

use super::filter::{misfit, numbers_of};
use super::{
    CompressionCodec, Filter, LZ4_ID, Lz4Codec, MAX_FILTERS, NO_COMPRESSION_ID, NUMBERS_ID, NoCompression,
    ZSTD_ID, ZstdCodec, decode_filters, encode_filters, pco,
};
use crate::cursor::{Cursor, put_bytes, put_varint};
use crate::dtype::Scalar;
use crate::error::{Error, Result};

/// Filters and a codec together, chosen for a block of numbers rather than for an array: what the default settings write once they
/// have seen the data.
#[derive(Debug, Clone)]
pub struct NumbersCodec {
    item: Scalar,
    filters: Vec<Filter>,
    inner: Arc<dyn CompressionCodec>,
    /// Of filter `Pco`. Nothing that a reader needs.
    tuning: pco::Tuning,
}

/// What keeps filters and inner codec from going together, if anything.
fn wrong(item: Scalar, filters: &[Filter], inner: u32) -> Option<String> {
    if filters.iter().any(|f| matches!(f, Filter::BitRound { .. })) {
        return Some("codec numbers loses nothing and cannot round".into());
    }
    if matches!(filters.last(), Some(Filter::Pco { .. })) && inner != NO_COMPRESSION_ID {
        return Some("nothing is compressed after filter Pco".into());
    }
    if ![NO_COMPRESSION_ID, LZ4_ID, ZSTD_ID].contains(&inner) {
        return Some(format!("codec {inner} cannot be inside of codec numbers"));
    }
    misfit(filters, item)
}

impl NumbersCodec {
    /// Passes elements of type `item` through `filters`, then through `inner`, which is one of the three simple codecs.
    ///
    /// # Errors
    /// `InvalidArgument` where these do not go together: no bit rounding, and nothing but `NoCompression` after `Pco`.
    pub fn new(item: Scalar, filters: Vec<Filter>, inner: impl CompressionCodec) -> Result<Self> {
        match wrong(item, &filters, inner.id()) {
            Some(why) => Err(Error::invalid(why)),
            None => Ok(Self { item, filters, inner: Arc::new(inner), tuning: pco::Tuning::default() }),
        }
    }

    /// The same, faster for numbers like those of all samples, if they are of one kind. What is stored is read in the same way.
    ///
    /// # Errors
    /// `InvalidArgument` if pcodec cannot encode them.
    pub fn tuned(mut self, samples: &[&[u8]]) -> Result<Self> {
        if let Some((Filter::Pco { level }, before)) = self.filters.split_last()
            && !self.item.is_complex()
        {
            let numbers = |sample: &&[u8]| {
                let whole = sample.len() - sample.len() % self.item.size_bytes();
                let sample = sample.get(..whole).unwrap_or_default();
                encode_filters(before, self.item, sample).map(Cow::into_owned)
            };
            let samples = samples.iter().map(numbers).collect::<Result<Vec<_>>>()?;
            let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
            let found = pco::tuning(*level, numbers_of(before, self.item), &samples)?;
            self.tuning = found.unwrap_or_default();
        }
        Ok(self)
    }

    /// The codec of recorded parameters, to write with. The level of the inner codec is its default one.
    ///
    /// # Errors
    /// `Corrupt`; `Unsupported` for a type or filter of a later version.
    pub fn from_params(params: &[u8]) -> Result<Self> {
        let (item, filters, inner) = Self::parse(params)?;
        let inner: Arc<dyn CompressionCodec> = match inner {
            NO_COMPRESSION_ID => Arc::new(NoCompression),
            LZ4_ID => Arc::new(Lz4Codec),
            _ => Arc::new(ZstdCodec::default()),
        };
        Ok(Self { item, filters, inner, tuning: pco::Tuning::default() })
    }

    /// What the parameters say. Those of the inner codec mean nothing to a reader.
    fn parse(params: &[u8]) -> Result<(Scalar, Vec<Filter>, u32)> {
        let mut c = Cursor::new(params);
        let code = c.u8()?;
        let item = Scalar::from_code(code)
            .ok_or_else(|| Error::unsupported(format!("element type {code} is of a later version")))?;
        let n = c.count(2)?;
        if n > MAX_FILTERS {
            return Err(Error::corrupt(format!("{n} filters")));
        }
        let filters = (0..n).map(|_| Filter::decode_record(&mut c)).collect::<Result<Vec<_>>>()?;
        let inner = c.varint()?;
        let inner = u32::try_from(inner).map_err(|_| Error::corrupt(format!("codec id {inner}")))?;
        c.bytes()?;
        if c.remaining() != 0 {
            return Err(Error::corrupt("codec numbers has more parameters than it should"));
        }
        match wrong(item, &filters, inner) {
            Some(why) => Err(Error::corrupt(why)),
            None => Ok((item, filters, inner)),
        }
    }
}

impl Default for NumbersCodec {
    /// Bytes as they are: the one to read with, which goes by what was recorded.
    fn default() -> Self {
        let (filters, inner) = (Vec::new(), Arc::new(NoCompression));
        Self { item: Scalar::U8, filters, inner, tuning: pco::Tuning::default() }
    }
}

impl CompressionCodec for NumbersCodec {
    fn id(&self) -> u32 {
        NUMBERS_ID
    }

    fn name(&self) -> &str {
        "numbers"
    }

    fn params(&self) -> Vec<u8> {
        let mut out = vec![self.item.code()];
        put_varint(&mut out, self.filters.len() as u64);
        self.filters.iter().for_each(|f| f.encode_record(&mut out));
        put_varint(&mut out, u64::from(self.inner.id()));
        put_bytes(&mut out, &self.inner.params());
        out
    }

    fn compress(&self, src: &[u8], dst: &mut Vec<u8>) -> Result<()> {
        if let Some((Filter::Pco { level }, before)) = self.filters.split_last() {
            let numbers = encode_filters(before, self.item, src)?;
            dst.extend(pco::encode(*level, numbers_of(before, self.item), &numbers, &self.tuning)?);
            return Ok(());
        }
        self.inner.compress(&encode_filters(&self.filters, self.item, src)?, dst)
    }

    fn decompress(&self, params: &[u8], src: &[u8], dst: &mut [u8]) -> Result<()> {
        let (item, filters, inner) = Self::parse(params)?;
        if inner == NO_COMPRESSION_ID {
            return decode_filters(&filters, item, src, dst);
        }
        let decompress = |to: &mut [u8]| match inner {
            LZ4_ID => Lz4Codec.decompress(&[], src, to),
            _ => ZstdCodec::default().decompress(&[], src, to),
        };
        if filters.is_empty() {
            return decompress(dst);
        }
        let mut filtered = vec![0; dst.len()];
        decompress(&mut filtered)?;
        decode_filters(&filters, item, &filtered, dst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn what_goes_together_is_recorded_and_comes_back() {
        let raw: Vec<u8> = (0..1000i32).flat_map(|i| (i * i / 7).to_le_bytes()).collect();
        let shuffle = vec![Filter::Delta, Filter::Shuffle];
        let mut all = vec![
            NumbersCodec::new(Scalar::I32, shuffle.clone(), ZstdCodec::default()).unwrap(),
            NumbersCodec::new(Scalar::I32, shuffle, Lz4Codec).unwrap(),
            NumbersCodec::new(Scalar::I32, vec![], ZstdCodec::default()).unwrap(),
            NumbersCodec::new(Scalar::F32, vec![Filter::Decimal { digits: 1 }, Filter::Delta], Lz4Codec)
                .unwrap(),
        ];
        if cfg!(feature = "pco") {
            let pco = vec![Filter::Pco { level: 4 }];
            all.push(NumbersCodec::new(Scalar::I32, pco, NoCompression).unwrap());
        }
        for codec in all {
            let mut stored = Vec::new();
            codec.compress(&raw, &mut stored).unwrap();
            assert!(stored.len() < raw.len());
            assert_eq!(NumbersCodec::from_params(&codec.params()).unwrap().params(), codec.params());
            let mut back = vec![0; raw.len()];
            NumbersCodec::default().decompress(&codec.params(), &stored, &mut back).unwrap();
            assert_eq!(back, raw);
            for len in [0, 4, raw.len() - 4, raw.len() - 1, raw.len() + 4] {
                let failed = NumbersCodec::default().decompress(&codec.params(), &stored, &mut vec![0; len]);
                assert_eq!(failed.unwrap_err().kind(), ErrorKind::Corrupt, "{codec:?} {len}");
            }
        }
    }

    #[test]
    fn a_codec_that_was_tuned_makes_as_little_and_encodes_anything() {
        let bytes = |f: &dyn Fn(u32) -> f32| (0..3000).flat_map(|i| f(i).to_le_bytes()).collect::<Vec<u8>>();
        let wave = |i: u32| ((i as f32 / 70.0).sin() * 1000.0).round() / 100.0;
        let kinds: [Vec<u8>; 4] = [
            bytes(&wave),
            bytes(&|i| f32::from_bits(i.wrapping_mul(2_654_435_761))),
            bytes(&|_| f32::NAN),
            bytes(&|i| i as f32 / 100.0),
        ];
        if !cfg!(feature = "pco") {
            return;
        }
        let stored = |codec: &NumbersCodec, raw: &[u8]| {
            let mut out = Vec::new();
            codec.compress(raw, &mut out).unwrap();
            let mut back = vec![0; raw.len()];
            NumbersCodec::default().decompress(&codec.params(), &out, &mut back).unwrap();
            assert_eq!(back, raw);
            out.len()
        };
        let pco = Filter::Pco { level: 4 };
        for filters in [vec![pco], vec![Filter::Decimal { digits: 2 }, pco]] {
            let plain = NumbersCodec::new(Scalar::F32, filters, NoCompression).unwrap();
            for samples in [&kinds[..1], &kinds[1..2], &kinds[..], &[], &kinds[3..]] {
                let samples: Vec<&[u8]> = samples.iter().map(|k| &k[..4000]).collect();
                let tuned = plain.clone().tuned(&samples).unwrap();
                assert_eq!(tuned.params(), plain.params());
                for kind in &kinds {
                    let bytes = stored(&tuned, kind);
                    if samples.len() == 1 && kind.starts_with(samples[0]) {
                        let usual = stored(&plain, kind);
                        assert!(bytes * 100 <= usual * 105, "{bytes} instead of {usual}");
                    }
                }
            }
            assert!(plain.tuned(&[&[1, 2, 3]]).is_ok());
        }
    }

    #[test]
    fn known_answer() {
        let codec = NumbersCodec::new(Scalar::F32, vec![Filter::Shuffle], ZstdCodec::default()).unwrap();
        assert_eq!(codec.params(), [Scalar::F32.code(), 1, 1, 0, 2, 1, 3]);
    }

    #[test]
    fn what_does_not_go_together_is_refused_on_both_sides() {
        let pco = vec![Filter::Pco { level: 4 }];
        assert!(NumbersCodec::new(Scalar::F32, pco.clone(), ZstdCodec::default()).is_err());
        assert!(NumbersCodec::new(Scalar::Bool, pco, NoCompression).is_err());
        assert!(
            NumbersCodec::new(Scalar::F32, vec![Filter::BitRound { keep_bits: 3 }], NoCompression).is_err()
        );
        assert!(NumbersCodec::new(Scalar::F32, vec![], NumbersCodec::default()).is_err());
        let f32 = Scalar::F32.code();
        let cases: [&[u8]; 9] = [
            &[],
            &[f32],
            &[f32, 1, 4, 1, 4, 2, 0],    // Zstandard after pco
            &[f32, 1, 3, 1, 4, 0, 0],    // bit rounding
            &[f32, 0, 3, 0],             // itself
            &[f32, 0, 0, 0, 0],          // one byte too many
            &[f32, 1, 2, 0, 0, 0],       // delta of floats
            &[f32, 9, 1, 0, 1, 0, 1, 0], // too many filters
            &[200, 0, 0, 0],             // no such type
        ];
        for params in cases {
            assert!(NumbersCodec::default().decompress(params, &[0; 8], &mut [0; 8]).is_err(), "{params:?}");
        }
        NumbersCodec::default().decompress(&[f32, 0, 0, 0], &[7; 8], &mut [0; 8]).unwrap();
    }
}
