//! Round trips of everything, and bytes that nobody wrote.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::dtype::{DType, Scalar};
use crate::error::ErrorKind;

fn codecs() -> Vec<Arc<dyn CompressionCodec>> {
    vec![Arc::new(NoCompression), Arc::new(Lz4Codec), Arc::new(ZstdCodec::default())]
}

/// Bytes with something to compress in them, and some without.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..2000),
        vec(0u8..4, 0..5000),
        (any::<u8>(), 0..200_000usize).prop_map(|(b, n)| vec![b; n]),
        (1..30_000u32, 1..50u32)
            .prop_map(|(n, step)| (0..n).flat_map(|i| (i / step).to_le_bytes()).collect()),
    ]
}

/// Every pipeline of up to three filters that fits a type.
fn pipelines(item: Scalar) -> Vec<Vec<Filter>> {
    let all = [
        Filter::Shuffle,
        Filter::Delta,
        Filter::BitRound { keep_bits: 5 },
        Filter::Pco { level: 4 },
        Filter::Decimal { digits: 3 },
    ]
    .map(|f| vec![f]);
    let mut found: Vec<Vec<Filter>> = vec![vec![]];
    for _ in 0..3 {
        found = found
            .iter()
            .flat_map(|p| all.iter().map(|f| [&p[..], f].concat()))
            .chain(found.clone())
            .collect();
        found.retain(|p| check_filters(p, item.into()).is_ok());
        if cfg!(not(feature = "pco")) {
            found.retain(|p| !p.contains(&Filter::Pco { level: 4 }));
        }
    }
    found
}

fn chunk() -> impl Strategy<Value = (Scalar, Vec<Filter>, Vec<u8>)> {
    (select(&Scalar::ALL[..]), any::<Index>(), bytes()).prop_map(|(item, pick, mut raw)| {
        raw.truncate(raw.len() / item.size_bytes() * item.size_bytes());
        (item, pick.get(&pipelines(item)).clone(), raw)
    })
}

fn is_corrupt(result: Result<()>) -> bool {
    result.is_err_and(|e| e.kind() == ErrorKind::Corrupt)
}

#[test]
fn every_scalar_has_the_pipelines_it_should() {
    let count = |item| pipelines(item).into_iter().collect::<std::collections::HashSet<_>>().len();
    assert_eq!(count(Scalar::Bool), 2);
    assert_eq!(count(Scalar::Bf16), 4);
    if cfg!(feature = "pco") {
        // Up to three times Delta, or fewer and Shuffle or Pco at the end.
        assert_eq!(count(Scalar::I64), 4 + 3 + 3);
        assert_eq!(count(Scalar::Complex64), 6);
        // Also behind decimals: up to twice Delta, or once and Shuffle or Pco.
        assert_eq!(count(Scalar::F64), 6 + 3 + 4);
    }
}

#[test]
fn filters_refuse_what_is_not_whole_numbers() {
    for item in Scalar::ALL.into_iter().filter(|item| item.size_bytes() > 1) {
        let e = encode_filters(&[Filter::Shuffle], item, &[0; 17]).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::InvalidArgument);
        assert!(is_corrupt(decode_filters(&[Filter::Shuffle], item, &[0; 17], &mut [0; 17])));
    }
    // A file may say anything.
    let filters = [Filter::Shuffle, Filter::Pco { level: 8 }];
    assert!(is_corrupt(decode_filters(&filters, Scalar::F32, &[0; 16], &mut [0; 16])));
    assert!(is_corrupt(decode_filters(&[Filter::Delta], Scalar::F32, &[0; 16], &mut [0; 16])));
    assert!(encode_filters(&filters, Scalar::F32, &[]).is_err());
}

#[test]
fn nothing_to_do_borrows() {
    assert!(matches!(encode_filters(&[], Scalar::F32, &[0; 8]).unwrap(), std::borrow::Cow::Borrowed(_)));
    assert!(check_filters(&[Filter::Delta], DType::FixedList { item: Scalar::I8, len: 3 }).is_ok());
}

#[test]
#[cfg(not(feature = "pco"))]
fn a_program_without_pco_says_so() {
    let filters = [Filter::Pco { level: 8 }];
    let e = encode_filters(&filters, Scalar::F32, &[]).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unsupported);
    assert!(e.message().contains("feature \"pco\""));
    assert_eq!(
        decode_filters(&filters, Scalar::F32, &[], &mut []).unwrap_err().kind(),
        ErrorKind::Unsupported
    );
}

proptest! {
    #[test]
    fn codecs_round_trip_and_keep_to_the_length(src in bytes(), front in vec(any::<u8>(), 0..9)) {
        for codec in codecs() {
            let mut out = front.clone();
            codec.compress(&src, &mut out).unwrap();
            prop_assert_eq!(&out[..front.len()], &front[..]);
            let stored = &out[front.len()..];
            let mut back = vec![0xaa; src.len()];
            codec.decompress(&codec.params(), stored, &mut back).unwrap();
            prop_assert!(back == src);
            prop_assert!(is_corrupt(codec.decompress(&[], stored, &mut vec![0; src.len() + 1])));
            if let Some(less) = src.len().checked_sub(1) {
                prop_assert!(is_corrupt(codec.decompress(&[], stored, &mut vec![0; less])));
            }
        }
    }

    #[test]
    fn codecs_refuse_cut_and_survive_bent_bytes(src in bytes(), cut: Index, at: Index, bend in 1u8..) {
        for codec in codecs() {
            let mut out = Vec::new();
            codec.compress(&src, &mut out).unwrap();
            if out.is_empty() {
                continue;
            }
            let mut dst = vec![0; src.len()];
            prop_assert!(is_corrupt(codec.decompress(&[], &out[..cut.index(out.len())], &mut dst)) || src.is_empty());
            let at = at.index(out.len());
            out[at] ^= bend;
            let _ = codec.decompress(&[], &out, &mut dst);
            let _ = zstd_pure::decompress(&out, &mut dst);
            let _ = lz4_pure::decompress(&out, &mut dst);
        }
    }

    #[test]
    fn garbage_does_not_panic((item, filters, mut raw) in chunk(), encoded in vec(any::<u8>(), 0..300)) {
        for codec in codecs() {
            let _ = codec.decompress(&encoded, &encoded, &mut raw);
        }
        let _ = decode_filters(&filters, item, &encoded, &mut raw);
    }

    #[test]
    fn filters_round_trip((item, filters, raw) in chunk()) {
        let encoded = encode_filters(&filters, item, &raw).unwrap();
        let mut back = vec![0xaa; raw.len()];
        decode_filters(&filters, item, &encoded, &mut back).unwrap();
        let mut expected = raw.clone();
        if filters.contains(&Filter::BitRound { keep_bits: 5 }) {
            bitround::round(item, 5, &mut expected);
        }
        prop_assert!(back == expected, "{item} {filters:?}");
        let size = item.size_bytes();
        prop_assert!(is_corrupt(decode_filters(&filters, item, &encoded, &mut vec![0; raw.len() + size])));
        if let Some(less) = raw.len().checked_sub(size) {
            prop_assert!(is_corrupt(decode_filters(&filters, item, &encoded, &mut vec![0; less])));
        }
    }

    #[test]
    fn filters_refuse_cut_and_survive_bent_bytes((item, filters, raw) in chunk(), cut: Index, at: Index, bend in 1u8..) {
        let mut encoded = encode_filters(&filters, item, &raw).unwrap().into_owned();
        prop_assume!(!encoded.is_empty());
        let mut dst = vec![0; raw.len()];
        prop_assert!(is_corrupt(decode_filters(&filters, item, &encoded[..cut.index(encoded.len())], &mut dst)));
        let at = at.index(encoded.len());
        encoded[at] ^= bend;
        let _ = decode_filters(&filters, item, &encoded, &mut dst);
    }
}
