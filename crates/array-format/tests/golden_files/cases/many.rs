//! Enough arrays, attributes and chunks for several pages of every table.

use array_format::{FileConfig, Scalar};

use super::super::Fixture;
use super::super::samples::native;
use super::super::script::{Script, def};

pub(crate) fn many() -> Fixture {
    let mut s = Script::new("many", 6, FileConfig::default());
    for (i, name) in (0..3000u32).zip(["PRES", "PSAL", "TEMP"].into_iter().cycle()) {
        let path = format!("profile/{:06}/{name}", i / 3);
        s.put(&path, def(Scalar::U8, &[]), &native(&[(i % 251) as u8]));
        if i < 2070 {
            s.set(&path, "u", (i % 3) as u8);
        }
    }
    s.commit("");
    let chunks: Vec<u8> = (0..2060u32).map(|i| (i % 251) as u8).collect();
    s.put("chunks", def(Scalar::U8, &[2060]).chunked(&[1]), &native(&chunks));
    s.commit("");
    s.compact(false);
    s.finish(&[3])
}
