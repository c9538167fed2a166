//! Enough arrays, attributes and statistics for several pages.

use array_format::{FileConfig, Scalar, ZstdCodec};

use super::super::Fixture;
use super::super::samples::native;
use super::super::script::{Script, def};

pub(crate) fn many() -> Fixture {
    let mut s = Script::new("many", 6, FileConfig::new(ZstdCodec::default()));
    for (i, name) in (0..3000u32).zip(["PRES", "PSAL", "TEMP"].into_iter().cycle()) {
        let path = format!("profile/{:06}/{name}", i / 3);
        s.put(&path, def(Scalar::U8, &[]), &native(&[(i % 251) as u8]));
        if i < 2070 {
            s.set(&path, "u", (i % 3) as u8);
        }
    }
    s.commit("");
    s.set("", "title", "many");
    s.commit("");
    s.compact(false);
    s.finish(&[3])
}
