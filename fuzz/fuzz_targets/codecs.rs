//! Codecs, filters, chunks and frames: what goes in comes back, and bytes that nobody wrote are refused without harm.

#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use array_format_core::buffer::Elements;
use array_format_core::checksum::checksum;
use array_format_core::codec::{
    CompressionCodec, Filter, Lz4Codec, NoCompression, NumbersCodec, ZstdCodec, check_filters,
    decode_filters, encode_filters,
};
use array_format_core::framed::{self, FrameTable};
use array_format_core::schema::ArraySchema;
use array_format_core::{DType, Scalar, chunk};
use libfuzzer_sys::fuzz_target;

/// No claimed length is above this: the callers bound what is claimed by what bytes earn.
const MOST_BYTES: u32 = 1 << 16;

#[derive(Debug)]
struct Case {
    level: i32,
    schema: ArraySchema,
    /// How often the data is repeated: what repeats compresses.
    times: usize,
    frame_elements: u64,
    /// What somebody claims that the data decodes to, in bytes and in elements.
    claimed: usize,
    data: Vec<u8>,
}

fn filter(u: &mut Unstructured<'_>) -> Result<Filter> {
    Ok(match u.int_in_range(0..=4)? {
        0 => Filter::Shuffle,
        1 => Filter::Delta,
        2 => Filter::BitRound { keep_bits: u.arbitrary()? },
        3 => Filter::Decimal { digits: u.arbitrary()? },
        _ => Filter::Pco { level: u.arbitrary()? },
    })
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let item = *u.choose(&Scalar::ALL)?;
        let dtype = match u.int_in_range(0..=7)? {
            0 => DType::String,
            1 => DType::Binary,
            2 => DType::FixedList { item, len: u.int_in_range(1..=9)? },
            3 => DType::List { item },
            _ => DType::Scalar(item),
        };
        let filters = (0..u.int_in_range(0..=9)?).map(|_| filter(u)).collect::<Result<_>>()?;
        let schema = ArraySchema {
            dtype,
            nullable: u.arbitrary()?,
            dimensions: vec!["x".into()],
            chunk_shape: None,
            fill: None,
            filters,
            codec: None,
        };
        Ok(Self {
            level: u.int_in_range(-7..=22)?,
            schema,
            times: u.int_in_range(1..=40)?,
            frame_elements: u.int_in_range(1..=2000)?,
            claimed: u.int_in_range(0..=MOST_BYTES)? as usize,
            data: u.bytes(u.len())?.to_vec(),
        })
    }
}

impl Case {
    /// Decodes what nobody encoded.
    fn decode_garbage(&self) {
        let mut dst = vec![0; self.claimed];
        for codec in [&NoCompression as &dyn CompressionCodec, &Lz4Codec, &ZstdCodec::default()] {
            let _ = codec.decompress(&self.data, &self.data, &mut dst);
        }
        // Parameters in front of the bytes.
        let (params, stored) = self.data.split_at(self.data.len().min(self.level.unsigned_abs() as usize));
        let _ = NumbersCodec::default().decompress(params, stored, &mut dst);
        let (schema, data) = (&self.schema, &self.data[..]);
        if let Some(item) = schema.dtype.item() {
            let _ = decode_filters(&schema.filters, item, data, &mut dst);
            // The same with a length that fits.
            dst.truncate(dst.len() / item.size_bytes() * item.size_bytes());
            let _ = decode_filters(&schema.filters, item, data, &mut dst);
        }
        let n = self.claimed / schema.dtype.fixed_size_bytes().unwrap_or(1).max(1);
        for n in [n, n % 64] {
            let _ = chunk::decode(schema, n, data);
            self.read_frames(n, self.frame_elements, data);
        }
        let _ = framed::check(data, checksum(data));
        let _ = Filter::decode_record(&mut array_format_core::cursor::Cursor::new(data));
    }

    /// Reads all frames of a block of `n` elements, and returns their bytes.
    fn read_frames(&self, n: usize, frame_elements: u64, stored: &[u8]) -> Option<Vec<u8>> {
        let schema = &self.schema;
        let frame_bytes = frame_elements * schema.dtype.fixed_size_bytes().unwrap_or(1) as u64;
        let table = FrameTable::decode(schema, n, frame_bytes, stored.len() as u64, stored).ok()?;
        let mut raw = Vec::new();
        for frame in table.values() {
            let mut dst = vec![0; (frame.raw().end - frame.raw().start) as usize];
            let bytes = &stored[frame.stored.start as usize..frame.stored.end as usize];
            frame.decode(schema, &ZstdCodec::default(), &[], bytes, &mut dst).ok()?;
            raw.extend(dst);
        }
        if let Some(frame) = table.mask() {
            let bytes = &stored[frame.stored.start as usize..frame.stored.end as usize];
            frame.decode_mask(&ZstdCodec::default(), &[], bytes, n).ok()?;
        }
        Some(raw)
    }

    fn codecs_round_trip(&self, raw: &[u8]) {
        // High levels take 100 times as long, and share their code with the others.
        let zstd = ZstdCodec::new(self.level.min(6)).unwrap_or_default();
        for codec in [&NoCompression as &dyn CompressionCodec, &Lz4Codec, &zstd] {
            let mut stored = b"front".to_vec();
            codec.compress(raw, &mut stored).unwrap();
            let (front, stored) = stored.split_at(5);
            assert_eq!(front, b"front");
            let mut back = vec![0xaa; raw.len()];
            codec.decompress(&codec.params(), stored, &mut back).unwrap();
            assert_eq!(back, raw, "{codec:?}");
            assert!(codec.decompress(&[], stored, &mut vec![0; raw.len() + 1]).is_err(), "{codec:?}");
        }
    }

    fn chunks_round_trip(&self, raw: &[u8]) {
        let schema = &self.schema;
        let Some(size) = schema.dtype.fixed_size_bytes() else { return };
        let Some(item) = schema.dtype.item() else { return };
        let mut raw = raw[..raw.len() / size * size].to_vec();
        if item == Scalar::Bool {
            raw.iter_mut().for_each(|b| *b &= 1);
        }
        let n = raw.len() / size;
        let filtered = encode_filters(&schema.filters, item, &raw).unwrap();
        let mut back = vec![0xaa; raw.len()];
        decode_filters(&schema.filters, item, &filtered, &mut back).unwrap();
        if matches!(schema.filters.first(), Some(Filter::BitRound { .. })) {
            // Rounding what is rounded changes nothing.
            assert_eq!(encode_filters(&schema.filters, item, &back).unwrap(), filtered);
        } else {
            assert_eq!(back, raw, "{schema:?}");
        }

        let validity = schema.nullable.then(|| (0..n).map(|i| raw[i * size] & 1).collect());
        let elements = Elements {
            dtype: schema.dtype,
            values: array_format_core::buffer::Values::Fixed(raw.clone()),
            validity: validity.clone(),
        };
        let mut bytes = Vec::new();
        chunk::encode(schema, &elements, &mut bytes).unwrap();
        let decoded = chunk::decode(schema, n, &bytes).unwrap();
        assert_eq!(decoded.validity, validity);
        assert_eq!(decoded.values.fixed().unwrap(), back, "{schema:?}");

        let frame_bytes = self.frame_elements * size as u64;
        let block = framed::encode(schema, &elements, frame_bytes, &ZstdCodec::default()).unwrap();
        framed::check(&block.bytes, block.checksum).unwrap();
        let read = self.read_frames(n, self.frame_elements, &block.bytes).unwrap();
        assert_eq!(read.len(), raw.len());
        if !matches!(schema.filters.first(), Some(Filter::BitRound { .. })) {
            assert_eq!(read, raw, "{schema:?}");
        }
    }
}

fuzz_target!(|case: Case| {
    case.decode_garbage();
    let raw = case.data.repeat(case.times.min(1 + (1 << 13) / case.data.len().max(1)));
    case.codecs_round_trip(&raw);
    if check_filters(&case.schema.filters, case.schema.dtype).is_ok() {
        case.chunks_round_trip(&raw);
    }
});
