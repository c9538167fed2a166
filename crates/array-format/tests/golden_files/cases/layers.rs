//! What changes from version to version.

use array_format::{DType, FileConfig, Scalar, ScalarValue, Value, ZstdCodec};

use super::super::Fixture;
use super::super::samples::{cells, cells_with_nulls, element, native};
use super::super::script::{Script, def};

pub(crate) fn layers() -> Fixture {
    let mut s = Script::new("layers", 2, FileConfig::new(ZstdCodec::default()));
    define(&mut s);
    overwrite(&mut s);
    resize(&mut s);
    rename(&mut s);
    define_again(&mut s);
    attributes_only(&mut s);
    swap(&mut s);
    s.finish(&[0, 1, 2, 3, 4, 5, 6, 7])
}

fn define(s: &mut Script) {
    let grid = def(Scalar::F32, &[4, 6]).dims(&["y", "x"]).chunked(&[2, 3]).fill(&(-9f32).to_le_bytes());
    s.put("ocean/temperature", grid, &cells(Scalar::F32, 24));
    s.put("ocean/salinity", def(Scalar::I16, &[5]).nullable(), &cells_with_nulls(Scalar::I16, 5));
    s.put("ocean/depth", def(Scalar::F64, &[3]), &native(&[0.5, 1.5, 2.5]));
    s.define("air/pressure", def(Scalar::U16, &[2, 2]));
    s.put(
        "text/names",
        def(DType::String, &[4]).nullable().chunked(&[2]),
        &cells_with_nulls(DType::String, 4),
    );
    s.put("text/gone", def(DType::Binary, &[2]), &cells(DType::Binary, 2));
    for item in Scalar::ALL {
        let value = |i| ScalarValue::from_bytes(item, &element(item.into(), i)).unwrap();
        s.set("", &format!("one {item}"), value(1));
        let bytes = (0..3).flat_map(|i| element(item.into(), i)).collect();
        s.set("", &format!("three {item}"), Value::List { item, bytes });
    }
    s.set("", "title", "Grüße, 海");
    s.set("", "empty title", "");
    s.set("", "bytes", Value::Binary(vec![0, 255, 10]));
    s.set("", "texts", Value::StringList(vec!["a".into(), String::new(), "é".into()]));
    s.set("", "no texts", Value::StringList(vec![]));
    s.set("", "byte strings", Value::BinaryList(vec![vec![], vec![1, 2]]));
    s.set("", "no numbers", Value::list::<f64>(&[]));
    s.set("", "not a number", f64::NAN);
    s.set("ocean", "responsible", "nobody");
    // One name with one type on all its nodes, and one with several.
    for path in ["ocean/temperature", "ocean/salinity", "ocean/depth"] {
        s.set(path, "scale", 0.5f64);
    }
    s.set("ocean/temperature", "units", "degC");
    s.set("ocean/salinity", "units", "1");
    s.set("ocean/depth", "units", 7u8);
    s.commit("define");
}

fn overwrite(s: &mut Script) {
    s.write("ocean/temperature", &[2, 3], &[2, 3], &native(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]));
    s.write("text/names", &[1], &[1], &native(&[Some("second".to_owned())]));
    s.set("ocean/temperature", "units", "K");
    s.set("ocean/depth", "units", "m");
    s.set("", "title", "second title");
    s.set("ocean", "responsible", Value::StringList(vec!["somebody".into(), "else".into()]));
    s.commit("overwrite a chunk");
}

fn resize(s: &mut Script) {
    s.resize("ocean/temperature", &[3, 4]);
    s.resize("ocean/salinity", &[7]);
    s.resize("text/names", &[1]);
    s.resize("ocean/depth", &[0]);
    s.unset("ocean/temperature", "units");
    s.unset("ocean", "responsible");
    s.unset("", "title");
    s.commit("resize");
}

fn rename(s: &mut Script) {
    s.rename("ocean/depth", "sea/floor/depth");
    s.rename("air", "atmosphere");
    s.delete("ocean/salinity");
    s.delete("text/gone");
    s.commit("rename and delete");
}

fn define_again(s: &mut Script) {
    s.put("ocean/salinity", def(DType::String, &[2, 2]), &cells(DType::String, 4));
    s.put("text/gone/below", def(Scalar::U8, &[1]), &native(&[9u8]));
    // What was cut off does not come back.
    s.resize("ocean/temperature", &[5, 7]);
    s.write("ocean/temperature", &[4, 6], &[1, 1], &native(&[100f32]));
    s.resize("text/names", &[5]);
    s.resize("sea/floor/depth", &[4]);
    s.write("sea/floor/depth", &[1], &[2], &native(&[-1.0, -0.0]));
    s.set("", "title", 3i32);
    s.set("ocean/salinity", "units", "g/kg");
    s.commit("define again");
}

fn attributes_only(s: &mut Script) {
    s.set("atmosphere/pressure", "units", "hPa");
    s.unset("ocean/salinity", "units");
    s.delete("sea");
    s.commit("");
}

fn swap(s: &mut Script) {
    s.rename("ocean/temperature", "ocean/t");
    s.rename("ocean/salinity", "ocean/temperature");
    s.rename("ocean/t", "ocean/salinity");
    s.write("ocean/salinity", &[0, 0], &[1, 1], &native(&[f32::NAN]));
    s.commit("swap two names");
}
