//! Groups with a row, groups that are only part of a path, and the dimensions that they declare.

use array_format::{FileConfig, Scalar, ZstdCodec};

use super::super::Fixture;
use super::super::samples::native;
use super::super::script::{Script, def};

pub(crate) fn groups() -> Fixture {
    let mut s = Script::new("groups", 7, FileConfig::new(ZstdCodec::default()));
    s.group("empty");
    s.group("a/b/c");
    s.put("a/x", def(Scalar::I32, &[2]).dims(&["time"]), &native(&[1i32, 2]));
    s.put("a/b/c/d/y", def(Scalar::I32, &[]), &native(&[3i32]));
    s.define("top", def(Scalar::U8, &[]));
    s.define("a b/ü-日", def(Scalar::U8, &[]));
    s.dimension("", "time", 2, true);
    s.dimension("", "station", 1_000_000_000_000, false);
    s.dimension("a", "time", 0, true);
    // More dimensions than bits in a byte.
    for i in 0..17 {
        s.dimension("a/b/c", &format!("dim{i}"), i, i % 3 == 0);
    }
    s.set("a/b", "only an attribute", true);
    s.set("empty", "note", "nothing here");
    s.commit("groups");

    s.dimension("", "time", 3, false);
    s.dimension("a/b", "z", 5, false);
    s.group("a b");
    s.rename("a/b/c", "moved");
    s.delete("empty");
    s.commit("changed");

    s.rename("moved/d", "moved again");
    s.delete("a/b");
    s.set("", "title", "root");
    s.commit("gone");
    s.finish(&[0, 1, 2, 3])
}
