//! Every codec and every filter, in shared blocks and in frames.

use array_format::{DType, FileConfig, Filter, Lz4Codec, NoCompression, Scalar, ZstdCodec};

use super::super::Fixture;
use super::super::model::Cell;
use super::super::samples::{cells, cells_with_nulls, native, plain, scalar};
use super::super::script::{Def, Script, def};

const PCO: Filter = Filter::Pco { level: 8 };

pub(crate) fn codecs_filters() -> Fixture {
    // Small blocks and the smallest frames, so that a small file has many of both.
    let config = FileConfig::new(Lz4Codec).with_block_bytes(600).with_frame_bytes(1024);
    let mut s = Script::new("codecs_filters", 3, config);
    codecs(&mut s);
    single_filters(&mut s);
    pipelines(&mut s);
    frames(&mut s);
    s.commit("codecs and filters");
    s.finish(&[0, 1])
}

fn codecs(s: &mut Script) {
    let array = || def(Scalar::I32, &[60]).chunked(&[25]);
    let text = || def(DType::String, &[40]).nullable();
    let (numbers, texts) = (plain(Scalar::I32, 60), cells_with_nulls(DType::String, 40));
    s.put("codec/default", array(), &numbers);
    s.put("codec/none", array().codec(NoCompression), &numbers);
    s.put("codec/lz4", array().codec(Lz4Codec), &numbers);
    s.put("codec/zstd", array().codec(ZstdCodec::default()), &numbers);
    s.put("codec/zstd_19", array().codec(ZstdCodec::new(19).unwrap()), &numbers);
    s.put("codec/zstd_fast", array().codec(ZstdCodec::new(-5).unwrap()), &numbers);
    s.put("codec/none_text", text().codec(NoCompression), &texts);
    s.put("codec/lz4_text", text().codec(Lz4Codec), &texts);
    s.put("codec/zstd_text", text().codec(ZstdCodec::default()), &texts);
    // Nothing to gain: stored as it is, whatever the codec.
    s.put("codec/zstd_one_byte", def(Scalar::U8, &[]).codec(ZstdCodec::default()), &native(&[200u8]));
}

/// Every filter on every type that it works on.
fn single_filters(s: &mut Script) {
    for item in Scalar::ALL {
        let floating = item.is_float() || item.is_complex();
        let array = || def(item, &[30]).chunked(&[17]);
        let values = cells(item, 30);
        s.put(&format!("shuffle/{item}"), array().filters(&[Filter::Shuffle]), &values);
        if floating {
            let filters = [Filter::BitRound { keep_bits: 4 }];
            s.put(&format!("bit_rounding/{item}"), array().filters(&filters), &values);
        } else if item != Scalar::Bool {
            s.put(&format!("delta/{item}"), array().filters(&[Filter::Delta]), &values);
        }
        if !matches!(item, Scalar::Bool | Scalar::Bf16) {
            s.put(&format!("pco/{item}"), array().filters(&[PCO]).codec(NoCompression), &values);
        }
    }
}

fn pipelines(s: &mut Script) {
    use Filter::{BitRound, Delta, Shuffle};
    let array = |item: Scalar, filters: &[Filter]| def(item, &[40]).nullable().filters(filters);
    let put = |s: &mut Script, name: &str, item: Scalar, filters: &[Filter]| {
        s.put(&format!("pipeline/{name}"), array(item, filters), &cells_with_nulls(item, 40));
    };
    put(s, "delta_shuffle", Scalar::I32, &[Delta, Shuffle]);
    put(s, "delta_delta_shuffle", Scalar::TimestampMs, &[Delta, Delta, Shuffle]);
    put(s, "delta_pco", Scalar::I64, &[Delta, Filter::Pco { level: 0 }]);
    put(s, "delta_8", Scalar::U8, &[Delta; 8]);
    put(s, "rounding_shuffle", Scalar::F32, &[BitRound { keep_bits: 1 }, Shuffle]);
    put(s, "rounding_pco", Scalar::F64, &[BitRound { keep_bits: 52 }, Filter::Pco { level: 12 }]);
    put(s, "rounding_pco_complex", Scalar::Complex64, &[BitRound { keep_bits: 9 }, PCO]);
    let fixed = DType::FixedList { item: Scalar::U16, len: 3 };
    s.put("pipeline/fixed_list", def(fixed, &[9]).filters(&[Delta, Shuffle]), &cells(fixed, 9));
    let list = |item| DType::List { item };
    let (ints, floats) = (list(Scalar::I32), list(Scalar::F32));
    s.put("pipeline/list", def(ints, &[20]).filters(&[Delta, PCO]), &cells(ints, 20));
    let rounding = def(floats, &[20]).nullable().chunked(&[8]).filters(&[BitRound { keep_bits: 3 }, Shuffle]);
    s.put("pipeline/list_nullable", rounding, &cells_with_nulls(floats, 20));
    // The filter sees no number at all.
    s.put(
        "pipeline/list_without_items",
        def(ints, &[3]).filters(&[PCO]),
        &[Some(vec![]), Some(vec![]), Some(vec![])],
    );
}

fn frames(s: &mut Script) {
    use Filter::{BitRound, Delta, Shuffle};
    let wide = |item: Scalar| def(item, &[40, 20]).dims(&["y", "x"]);
    let values = |item| plain(item, 800);
    let put =
        |s: &mut Script, name: &str, d: Def, values: &[Cell]| s.put(&format!("framed/{name}"), d, values);
    put(s, "none", wide(Scalar::F64).codec(NoCompression), &values(Scalar::F64));
    put(s, "lz4", wide(Scalar::F64), &values(Scalar::F64));
    put(s, "zstd", wide(Scalar::F64).codec(ZstdCodec::default()), &values(Scalar::F64));
    put(s, "shuffle", wide(Scalar::F64).filters(&[Shuffle]), &values(Scalar::F64));
    put(s, "delta_shuffle", wide(Scalar::I64).filters(&[Delta, Shuffle]), &values(Scalar::I64));
    put(s, "pco", wide(Scalar::F32).filters(&[PCO]).codec(NoCompression), &values(Scalar::F32));
    let rounded = wide(Scalar::F32).filters(&[BitRound { keep_bits: 2 }, Shuffle]);
    put(s, "rounding", rounded, &values(Scalar::F32));
    let half = |item| {
        let cell = |i| (i % 5 != 0 && i < 700).then(|| scalar(item, i));
        (0..800).map(cell).collect::<Vec<Cell>>()
    };
    put(s, "nullable", wide(Scalar::F64).nullable(), &half(Scalar::F64));
    let filtered = wide(Scalar::I32).nullable().filters(&[Delta, PCO]);
    put(s, "nullable_filtered", filtered, &half(Scalar::I32));
    let chunked = def(Scalar::I16, &[2500]).chunked(&[1200]).filters(&[Delta, Shuffle]);
    put(s, "chunked", chunked, &plain(Scalar::I16, 2500)); // the last chunk is too short for frames
    put(s, "bool", def(Scalar::Bool, &[2501]).nullable(), &plain(Scalar::Bool, 2501));
    put(s, "complex", def(Scalar::Complex128, &[150]).filters(&[Shuffle]), &plain(Scalar::Complex128, 150));
    let list = DType::FixedList { item: Scalar::F32, len: 3 };
    put(s, "fixed_list", def(list, &[200]).filters(&[Shuffle]), &cells(list, 200));
    put(s, "partly_written", wide(Scalar::F64).fill(&1.5f64.to_le_bytes()), &values(Scalar::F64));
    s.resize("framed/partly_written", &[50, 20]);
}
