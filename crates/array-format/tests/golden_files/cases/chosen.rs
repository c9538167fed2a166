//! What the default settings make of numbers: codec 3 in shared blocks and in frames.

use array_format::{DType, FileConfig, Scalar};

use super::super::Fixture;
use super::super::samples::{cells, cells_with_nulls, native};
use super::super::script::{Script, def};

pub(crate) fn chosen() -> Fixture {
    let mut s =
        Script::new("chosen", 11, FileConfig::default().with_block_bytes(2048).with_frame_bytes(2048));
    for item in Scalar::ALL {
        s.put(&format!("every/{item}"), def(item, &[30]).chunked(&[17]), &cells(item, 30));
    }
    s.put("text", def(DType::String, &[20]), &cells(DType::String, 20));
    s.put("nullable", def(Scalar::F32, &[40]).nullable(), &cells_with_nulls(Scalar::F32, 40));
    // Neighbours of two types, so that their blocks are filled side by side.
    for i in 0..12u32 {
        let depth: Vec<f32> = (0..100).map(|k| ((i * 50 + k * k) as f32 / 10.0).round() / 10.0).collect();
        let time: Vec<i64> = (0..50).map(|k| 1_600_000_000 + i64::from(i) * 86_400 + k * 60).collect();
        s.put(&format!("profile/{i:02}/depth"), def(Scalar::F32, &[100]), &native(&depth));
        s.put(&format!("profile/{i:02}/time"), def(Scalar::I64, &[50]), &native(&time));
    }
    s.commit("small");
    // Large ones: smooth, steady, repeating, and nothing to gain.
    let smooth: Vec<f32> = (0..4000).map(|i| ((i as f32 * 0.01).sin() * 1000.0).round() / 100.0).collect();
    let steady: Vec<i32> = (0..4000).map(|i| 7 * i + i % 3).collect();
    let repeating: Vec<u16> = (0..4000).map(|i| [300, 300, 500, 7, 300, 300, 300, 500][i % 8]).collect();
    let mut state = 1u64;
    let noise: Vec<u64> = (0..1000).map(|_| next(&mut state)).collect();
    s.put(
        "large/smooth",
        def(Scalar::F32, &[40, 100]).chunked(&[40, 60]).dims(&["y", "x"]),
        &native(&smooth),
    );
    s.put("large/steady", def(Scalar::I32, &[4000]), &native(&steady));
    s.put("large/repeating", def(Scalar::U16, &[4000]), &native(&repeating));
    s.put("large/noise", def(Scalar::U64, &[1000]), &native(&noise));
    s.commit("large");
    s.finish(&[0, 1, 2])
}

/// xorshift64.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
