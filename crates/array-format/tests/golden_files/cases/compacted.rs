//! What compaction leaves: blocks copied as they are, blocks taken apart, older versions gone or kept.

use array_format::{DType, FileConfig, Filter, Lz4Codec, Scalar, ZstdCodec};

use super::super::Fixture;
use super::super::samples::{cells, cells_with_nulls, native, plain};
use super::super::script::{Script, def};

/// Three versions with much dead data.
fn history(s: &mut Script) {
    let grid = |item| def(item, &[6, 8]).chunked(&[2, 3]);
    s.put("data/mostly_alive", grid(Scalar::F32).filters(&[Filter::Shuffle]), &plain(Scalar::F32, 48));
    s.put(
        "data/mostly_dead",
        grid(Scalar::I64).nullable().codec(Lz4Codec),
        &cells_with_nulls(Scalar::I64, 48),
    );
    s.put("data/framed", def(Scalar::F64, &[300]).codec(ZstdCodec::default()), &plain(Scalar::F64, 300));
    s.put("data/text", def(DType::String, &[6]).chunked(&[4]), &cells(DType::String, 6));
    s.put("data/deleted", def(Scalar::U8, &[100]), &plain(Scalar::U8, 100));
    s.set("data/deleted", "units", "1");
    s.set("data/text", "units", "1");
    s.set("data/text", "removed", 1.5f32);
    s.set("", "history", "long");
    s.commit("first");

    s.write("data/mostly_dead", &[0, 0], &[4, 8], &cells_with_nulls(Scalar::I64, 32));
    s.write("data/mostly_alive", &[4, 6], &[2, 2], &native(&[1f32, 2.0, 3.0, f32::NAN]));
    s.unset("data/text", "removed");
    s.set("", "history", "longer");
    s.commit("second");

    s.delete("data/deleted");
    s.resize("data/mostly_dead", &[5, 4]);
    s.rename("data/text", "text/renamed");
    s.define("data/unwritten", def(Scalar::Bool, &[3]).nullable());
    s.group("an empty group");
    s.dimension("data", "x", 8, false);
    s.commit("third");
}

/// The codec of small blocks aside, all is as by default.
fn config() -> FileConfig {
    FileConfig::new(ZstdCodec::default()).with_frame_bytes(1024)
}

pub(crate) fn compacted() -> Fixture {
    let mut s = Script::new("compacted", 4, config());
    history(&mut s);
    s.compact(false);
    s.write("data/framed", &[299], &[1], &native(&[-1f64]));
    s.put("data/new", def(Scalar::I8, &[2]), &native(&[1i8, -1]));
    s.commit("upon the new base");
    s.finish(&[4, 5])
}

/// The merged layer stands beside the base, which older versions may need. (`fixtures/v1/compacted_keeping_versions` is from the
/// days when it took the base's place also then. No program writes it any more, but a compaction that was interrupted before it
/// deleted anything leaves the same.)
pub(crate) fn versions_kept() -> Fixture {
    let mut s = Script::new("versions_kept", 9, config());
    history(&mut s);
    s.compact(true);
    s.set("", "history", "short");
    s.commit("upon the merged layer");
    s.finish(&[0, 1, 2, 3, 4, 5])
}
