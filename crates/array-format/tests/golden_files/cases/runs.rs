//! An index of several runs: a commit leaves a run alone that is too large to be written anew, and hides its rows. Chunks and their
//! statistics take several pages.

use array_format::{FileConfig, Scalar, Value, ZstdCodec};

use super::super::Fixture;
use super::super::samples::{native, plain};
use super::super::script::{Script, def};

/// Bytes that no page gets smaller by: more than a run has that is merged with every commit.
fn noise() -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..140_000).map(|_| next()).collect()
}

pub(crate) fn runs() -> Fixture {
    let mut s = Script::new("runs", 8, FileConfig::new(ZstdCodec::default()));
    s.put("first", def(Scalar::U8, &[3]), &plain(Scalar::U8, 3));
    s.commit("");

    let chunks: Vec<u8> = (0..2100u32).map(|i| (i % 251) as u8).collect();
    s.put("chunks", def(Scalar::U8, &[2100]).chunked(&[1]), &native(&chunks));
    for name in ["deleted", "kept", "redefined", "renamed"] {
        let path = format!("group/{name}");
        s.put(&path, def(Scalar::I16, &[4]).chunked(&[2]), &plain(Scalar::I16, 4));
        s.set(&path, "changed", 1i8);
        s.set(&path, "removed", 2i8);
        s.set(&path, "units", "m");
    }
    s.set("group/deleted", "noise", Value::Binary(noise()));
    s.set("", "title", "below");
    s.commit("");

    // Tombstones of every table, above the rows that they hide.
    s.delete("first");
    s.delete("group/deleted");
    s.resize("chunks", &[3]);
    s.rename("group/renamed", "moved/away");
    s.write("group/kept", &[2], &[2], &native(&[-1i16, -2]));
    for path in ["group/kept", "moved/away"] {
        s.set(path, "changed", "another type");
        s.unset(path, "removed");
    }
    s.unset("", "title");
    s.commit("hides");

    // A third layer; its run takes in the one before, and both stay above the large one.
    s.delete("group/redefined");
    s.put("group/redefined", def(Scalar::F32, &[1]), &native(&[0.5f32]));
    s.put("group/deleted", def(Scalar::U8, &[]), &native(&[1u8]));
    s.resize("chunks", &[5]);
    s.set("", "title", "above");
    s.commit("defines again");
    // The first layer goes, and with it the versions that read it.
    s.collect_garbage();
    s.finish(&[0, 3, 4])
}
