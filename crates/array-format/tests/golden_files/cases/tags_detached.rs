//! A tag, a floor, and what workers wrote ahead.

use array_format::{DType, FileConfig, Filter, Lz4Codec, Scalar, ZstdCodec};

use super::super::Fixture;
use super::super::samples::{cells, native, plain};
use super::super::script::{Script, def};

pub(crate) fn tags_detached() -> Fixture {
    let mut s =
        Script::new("tags_detached", 10, FileConfig::new(ZstdCodec::default()).with_frame_bytes(1024));
    let grid = def(Scalar::I32, &[6, 8]).chunked(&[2, 3]).filters(&[Filter::Shuffle]);
    s.put("grid", grid, &plain(Scalar::I32, 48));
    s.put("single", def(Scalar::F64, &[5]), &plain(Scalar::F64, 5));
    s.set("grid", "units", "m");
    s.commit("first");

    s.detached(|s| s.write("grid", &[0, 0], &[2, 3], &native(&[7i32; 6])));
    s.detached(|s| {
        s.write("single", &[1], &[2], &native(&[0.5f64, -0.5]));
        s.set("grid", "units", "km");
        s.put("casts/a", def(Scalar::F32, &[600]).codec(Lz4Codec), &plain(Scalar::F32, 600));
        s.set("casts/a", "platform", "glider");
    });
    s.put("casts/b", def(DType::String, &[3]), &cells(DType::String, 3));
    s.set("", "history", "joined");
    s.commit("joined");

    s.tag("first", 1);
    s.write("grid", &[4, 6], &[2, 2], &native(&[1i32, 2, 3, 4]));
    s.commit("later");
    s.tag("later", 4);
    s.collect(2);
    s.finish(&[1, 4, 5, 6])
}
