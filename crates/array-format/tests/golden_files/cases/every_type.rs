//! Every element type, with and without nulls, in one chunk and in several; every kind of shape; what was never written.

use array_format::{DType, FileConfig, Scalar, ZstdCodec};

use super::super::Fixture;
use super::super::model::Cell;
use super::super::samples::{cells, cells_with_nulls, native};
use super::super::script::{Def, Script, def};

pub(crate) fn every_type() -> Fixture {
    let mut s = Script::new("every_type", 1, FileConfig::new(ZstdCodec::default()));
    let scalars = Scalar::ALL.into_iter().map(DType::Scalar);
    let others = [
        "string",
        "binary",
        "list<bool; 3>",
        "list<i16; 2>",
        "list<f32; 4>",
        "list<complex128; 1>",
        "list<timestamp[ms]; 2>",
        "list<bool>",
        "list<u8>",
        "list<i64>",
        "list<f32>",
        "list<complex64>",
        "list<duration[ns]>",
    ];
    for dtype in scalars.chain(others.map(|name| name.parse().unwrap())) {
        layouts(&mut s, dtype);
    }
    shapes(&mut s);
    fills(&mut s);
    texts(&mut s);
    s.commit("every type");
    s.finish(&[0, 1])
}

/// A grid of 2 x 3 chunks, clipped on both axes, of which (1, 1) and (0, 2) are never written.
fn in_chunks(s: &mut Script, path: &str, def: Def, all: &[Cell]) {
    s.define(path, def);
    s.write(path, &[0, 0], &[2, 4], &all[..8]);
    s.write(path, &[2, 0], &[1, 2], &all[8..10]);
    s.write(path, &[2, 4], &[1, 1], &all[10..11]);
}

fn layouts(s: &mut Script, dtype: DType) {
    let grid = || def(dtype, &[3, 5]).dims(&["y", "x"]).chunked(&[2, 2]);
    s.put(&format!("{dtype}/single"), def(dtype, &[11]), &cells(dtype, 11));
    s.put(&format!("{dtype}/single_nullable"), def(dtype, &[11]).nullable(), &cells_with_nulls(dtype, 11));
    in_chunks(s, &format!("{dtype}/chunked"), grid(), &cells(dtype, 11));
    in_chunks(s, &format!("{dtype}/chunked_nullable"), grid().nullable(), &cells_with_nulls(dtype, 11));
}

fn shapes(s: &mut Script) {
    let i32s = |n| cells(Scalar::I32, n);
    s.put("shape/0", def(Scalar::F64, &[]), &native(&[0.1]));
    s.put("shape/0_chunked", def(Scalar::F64, &[]).chunked(&[]), &native(&[0.2]));
    s.put("shape/0_null", def(Scalar::F64, &[]).nullable(), &[None]);
    s.put("shape/0_text", def(DType::String, &[]), &native(&["é".to_owned()]));
    s.put("shape/1", def(Scalar::I32, &[1]), &i32s(1));
    s.put("shape/1_chunk_larger_than_array", def(Scalar::I32, &[3]).chunked(&[100]), &i32s(3));
    s.put("shape/1_chunks_of_one", def(Scalar::I32, &[5]).chunked(&[1]), &i32s(5));
    s.put("shape/2_same_dimension_twice", def(Scalar::I32, &[2, 2]).dims(&["n", "n"]), &i32s(4));
    s.put("shape/2_without_dimension_names", def(Scalar::I32, &[2, 2]).dims(&["", ""]), &i32s(4));
    s.put("shape/3", def(Scalar::I32, &[3, 4, 5]).chunked(&[2, 4, 3]), &i32s(60));
    let eight = [2, 1, 3, 1, 2, 1, 1, 2];
    s.put("shape/8", def(Scalar::I32, &eight), &i32s(24));
    s.put("shape/8_chunked", def(Scalar::I32, &eight).chunked(&[1, 1, 2, 1, 2, 1, 1, 1]), &i32s(24));
    s.define("shape/empty", def(Scalar::I32, &[0]));
    s.define("shape/empty_chunked", def(Scalar::I32, &[3, 0, 2]).chunked(&[2, 2, 2]));
    s.define("shape/empty_text", def(DType::String, &[0, 4]).nullable());
    s.put("shape/empty_written", def(Scalar::I32, &[0, 4]).chunked(&[1, 1]), &[]);
}

fn fills(s: &mut Script) {
    let nan = f32::NAN.to_le_bytes();
    s.define("fill/nan", def(Scalar::F32, &[3]).fill(&nan));
    s.define("fill/minus_zero", def(Scalar::F64, &[2]).fill(&(-0.0f64).to_le_bytes()));
    s.define("fill/text", def(DType::String, &[2]).fill("n/a".as_bytes()));
    s.define("fill/text_empty", def(DType::String, &[2]).nullable().fill(b""));
    s.define("fill/binary", def(DType::Binary, &[2]).fill(&[0, 255]));
    s.define("fill/list", def(DType::List { item: Scalar::I16 }, &[2]).fill(&[1, 0, 2, 0]));
    s.define("fill/fixed_list", def(DType::FixedList { item: Scalar::U8, len: 3 }, &[2]).fill(&[1, 2, 3]));
    s.define("fill/nullable", def(Scalar::I16, &[4]).nullable().fill(&7i16.to_le_bytes()));
    s.define("fill/none", def(Scalar::I16, &[4]));
    s.define("fill/none_nullable", def(Scalar::I16, &[4]).nullable());
    s.define("fill/none_text", def(DType::String, &[2]));
    s.define("fill/none_text_nullable", def(DType::String, &[2]).nullable());
    // A chunk that is written in part holds the fill value, and counts it.
    s.define("fill/partly_written", def(Scalar::F32, &[7]).chunked(&[4]).fill(&nan));
    s.write("fill/partly_written", &[1], &[2], &native(&[1.5f32, -1.5]));
    s.define("fill/partly_written_nullable", def(Scalar::I16, &[7]).chunked(&[4]).nullable());
    s.write("fill/partly_written_nullable", &[5], &[1], &native(&[Some(3i16)]));
    s.define("fill/partly_written_text", def(DType::String, &[4]).fill("n/a".as_bytes()));
    s.write("fill/partly_written_text", &[2], &[1], &native(&[String::new()]));
}

fn texts(s: &mut Script) {
    let text = |t: &str| Some(t.as_bytes().to_vec());
    s.put("text/empty_or_null", def(DType::String, &[4]).nullable(), &[text(""), None, text("a"), text("")]);
    s.put("text/all_null", def(DType::String, &[2]).nullable(), &[None, None]);
    s.put("text/all_empty", def(DType::String, &[2]), &[text(""), text("")]);
    s.put("text/bounds_of_64_bytes", def(DType::String, &[1]), &[text(&"é".repeat(32))]);
    s.put("text/bounds_too_long", def(DType::String, &[2]), &[text("a"), text(&"x".repeat(65))]);
    // The chunk with the long text has no bounds, and neither has the array.
    let longer = [text("a"), text("b"), text(&"a".repeat(65)), text("c")];
    s.put("text/bounds_of_one_chunk_too_long", def(DType::String, &[4]).chunked(&[2]), &longer);
    s.put("bytes/empty_or_null", def(DType::Binary, &[3]).nullable(), &[Some(vec![]), None, Some(vec![0])]);
}
