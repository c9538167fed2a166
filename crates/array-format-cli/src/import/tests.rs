//! The readers on the real files of `data/`, and on `.npy` and `.npz` made here. The comparison with an
//! independent reader is `tests/roundtrip`.

use std::io::Write;
use std::path::{Path, PathBuf};

use array_format_core::{DType, ErrorKind, Scalar};

use super::slabs::slabs;
use super::{AttributeValue, Source, SourceValues, SourceVariable, dump, open};

fn data(name: &str) -> Box<dyn Source> {
    open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data").join(name)).unwrap()
}

fn f32s(values: SourceValues) -> Vec<f32> {
    let SourceValues::Fixed(bytes) = values else { panic!("not of fixed width") };
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn attribute<'a>(variable: &'a SourceVariable, name: &str) -> &'a AttributeValue {
    &variable.attributes.iter().find(|(n, _)| n == name).unwrap().1
}

#[test]
fn every_real_file_opens_and_skips_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "nc") {
            let source = open(&path).unwrap();
            assert_eq!(source.skipped(), [], "{}", path.display());
            let json = dump::dump(source.as_ref(), 1 << 16);
            assert_eq!(json["arrays"].as_array().unwrap().len(), source.variables().len());
            files += 1;
        }
    }
    assert!(files >= 8);
}

#[test]
fn netcdf4_has_dimensions_chunks_and_raw_values() {
    let source = data("atlantic_profiles.nc");
    let depth = &source.groups()[0].dimensions[0];
    assert_eq!((depth.name.as_str(), depth.len, depth.unlimited), ("depth", 40, true));
    let salinity = source.variable("salinity").unwrap();
    assert_eq!(salinity.dtype, DType::Scalar(Scalar::F32));
    assert_eq!(salinity.dims, ["depth", "lat", "lon"]);
    assert_eq!(salinity.chunk_shape.as_deref(), Some(&[1, 6, 8][..]));
    assert!(salinity.attributes.iter().all(|(n, _)| n != "DIMENSION_LIST"));
    let fill = attribute(salinity, "_FillValue");
    assert_eq!(*fill, AttributeValue::Scalar(Scalar::F32, salinity.fill.clone().unwrap()));
    let level = f32s(source.read("salinity", &[3, 0, 0], &[1, 6, 8]).unwrap());
    let column = f32s(source.read("salinity", &[0, 2, 5], &[40, 1, 1]).unwrap());
    assert_eq!((level.len(), column.len()), (48, 40));
    assert_eq!(level[2 * 8 + 5].to_bits(), column[3].to_bits());
}

#[test]
fn netcdf3_has_characters_and_numbers() {
    let source = data("space_weather.nc");
    let pole = source.variable("rotated_pole").unwrap();
    assert!(pole.is_char && pole.shape.is_empty());
    assert_eq!(source.read("rotated_pole", &[], &[]).unwrap(), SourceValues::Fixed(vec![0]));
    let density = source.variable("Ne").unwrap();
    assert_eq!(density.dims, ["height", "rLat", "rLon"]);
    assert_eq!((density.dtype, density.chunk_shape.as_ref()), (DType::Scalar(Scalar::F64), None));
}

#[test]
fn strings_of_netcdf4_are_strings() {
    let source = data("vlstr_type.nc");
    let at = |i| source.read("expver", &[i], &[1]).unwrap();
    assert_eq!(at(0), SourceValues::Strings(vec!["AB".to_owned()])); // as netCDF4-python says
    assert_eq!(at(149), SourceValues::Strings(vec!["ABCD".to_owned()]));
}

#[test]
fn bad_requests_are_told() {
    let source = data("vlstr_type.nc");
    let kind = |r: super::Result<SourceValues>| r.unwrap_err().kind();
    assert_eq!(kind(source.read("no such", &[], &[])), ErrorKind::NotFound);
    assert_eq!(kind(source.read("expver", &[149], &[2])), ErrorKind::InvalidArgument);
    assert_eq!(kind(source.read("expver", &[0, 0], &[1, 1])), ErrorKind::InvalidArgument);
    assert_eq!(kind(source.read("expver", &[u64::MAX], &[2])), ErrorKind::InvalidArgument);
}

#[test]
fn other_and_broken_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let written = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        open(&path).err().unwrap().kind()
    };
    assert_eq!(open(&dir.path().join("none")).err().unwrap().kind(), ErrorKind::NotFound);
    assert_eq!(written("text", b"no data"), ErrorKind::Unsupported);
    assert_eq!(written("empty", b""), ErrorKind::Unsupported);
    assert_eq!(written("cut.nc", b"CDF\x01\0\0\0\0"), ErrorKind::Corrupt);
    assert_eq!(written("cut.h5", b"\x89HDF\r\n\x1a\n\0"), ErrorKind::Corrupt);
    assert_eq!(written("cut.npz", b"PK\x03\x04"), ErrorKind::Corrupt);
    assert_eq!(written("cut.npy", &npy("<f4", false, "(3,)", &[0; 11])), ErrorKind::Corrupt);
    assert_eq!(written("objects.npy", &npy("|O", false, "(1,)", &[0; 8])), ErrorKind::Unsupported);
    assert_eq!(
        written("huge.npy", &npy("<f8", false, "(99999999999, 99999999999)", &[])),
        ErrorKind::Corrupt
    );
}

fn npy(descr: &str, fortran: bool, shape: &str, values: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values);
    bytes
}

fn open_npy(descr: &str, fortran: bool, shape: &str, values: &[u8]) -> (tempfile::TempDir, Box<dyn Source>) {
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().join("a.npy");
    std::fs::write(&path, npy(descr, fortran, shape, values)).unwrap();
    let source = open(&path).unwrap();
    (dir, source)
}

#[test]
fn npy_types_become_ours() {
    let read = |descr: &str, values: &[u8]| {
        let (_dir, source) = open_npy(descr, false, "(2,)", values);
        (source.variables()[0].dtype.to_string(), source.read("a", &[0], &[2]).unwrap())
    };
    let fixed = |dtype: &str, bytes: &[u8]| (dtype.to_owned(), SourceValues::Fixed(bytes.to_vec()));
    assert_eq!(read("|b1", &[0, 1]), fixed("bool", &[0, 1]));
    assert_eq!(read(">i2", &[1, 2, 3, 4]), fixed("i16", &[2, 1, 4, 3]));
    assert_eq!(read("<f2", &[1, 2, 3, 4]), fixed("f16", &[1, 2, 3, 4]));
    assert_eq!(
        read(">c8", &(0..16).collect::<Vec<u8>>()).1,
        fixed("", &[3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12]).1
    );
    assert_eq!(read("|V1", &[7, 8]), fixed("list<u8; 1>", &[7, 8]));
    let days: Vec<u8> = [2i64, i64::MIN].iter().flat_map(|d| d.to_le_bytes()).collect();
    let seconds: Vec<u8> = [172_800i64, i64::MIN].iter().flat_map(|d| d.to_le_bytes()).collect();
    assert_eq!(read("<M8[D]", &days), fixed("timestamp[s]", &seconds));
    assert_eq!(read("<m8[ns]", &days), fixed("duration[ns]", &days));
    let text = ["ä", "\0"].map(|t| u32::from(t.chars().next().unwrap()).to_be_bytes()).concat();
    let strings = SourceValues::Strings(vec!["ä".to_owned(), String::new()]);
    assert_eq!(read(">U1", &text), ("string".to_owned(), strings));
    assert_eq!(
        read("|S2", b"ab\0\0"),
        ("binary".to_owned(), SourceValues::Binary(vec![b"ab".to_vec(), vec![]]))
    );
}

#[test]
fn npy_of_either_order_reads_row_major() {
    let value = |i: u8, j: u8, k: u8| 100 * i + 10 * j + k;
    let (mut c, mut f) = (Vec::new(), Vec::new());
    for n in 0..24u8 {
        c.push(value(n / 12, n / 4 % 3, n % 4));
        f.push(value(n % 2, n / 2 % 3, n / 6));
    }
    let region: Vec<u8> = [(0, 1), (0, 2), (1, 1), (1, 2)]
        .iter()
        .flat_map(|(i, j)| (1..4).map(move |k| value(*i, *j, k)))
        .collect();
    for (fortran, bytes) in [(false, &c), (true, &f)] {
        let (_dir, source) = open_npy("|u1", fortran, "(2, 3, 4)", bytes);
        assert_eq!(source.read("a", &[0; 3], &[2, 3, 4]).unwrap(), SourceValues::Fixed(c.clone()));
        let part = source.read("a", &[0, 1, 1], &[2, 2, 3]).unwrap();
        assert_eq!(part, SourceValues::Fixed(region.clone()), "fortran {fortran}");
        assert_eq!(source.read("a", &[0, 1, 1], &[2, 0, 3]).unwrap(), SourceValues::Fixed(vec![]));
        let hash = |slab| dump::dump(source.as_ref(), slab)["arrays"][0]["sha256"].clone();
        assert_eq!(hash(1 << 20), hash(5));
    }
}

#[test]
fn npz_members_are_arrays_packed_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npz");
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    let mut add = |name: &str, method, bytes: &[u8]| {
        zip.start_file(name, options.compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    };
    let stored = zip::CompressionMethod::Stored;
    add("x.npy", stored, &npy("<i2", false, "(2, 2)", &[1, 0, 2, 0, 3, 0, 4, 0]));
    add("folder/y.npy", zip::CompressionMethod::Deflated, &npy("|u1", false, "(1000,)", &[9; 1000]));
    add("scalar.npy", stored, &npy("<f8", false, "()", &[0; 8]));
    add("objects.npy", stored, &npy("|O", false, "(1,)", &[0; 8]));
    add("../outside.npy", stored, &npy("|u1", false, "(1,)", &[0]));
    add("readme.txt", stored, b"hello");
    zip.finish().unwrap();
    let source = open(&path).unwrap();
    let names: Vec<&str> = source.variables().iter().map(|v| v.name.as_str()).collect();
    assert_eq!(names, ["x", "folder/y", "scalar"]);
    assert_eq!(source.groups().iter().map(|g| g.path.as_str()).collect::<Vec<_>>(), ["", "folder"]);
    let skipped: Vec<&str> = source.skipped().iter().map(|s| s.name.as_str()).collect();
    assert_eq!(skipped, ["objects", "../outside", "readme.txt"]);
    assert_eq!(source.variable("x").unwrap().dims, ["dim_0", "dim_1"]);
    assert_eq!(source.read("x", &[1, 0], &[1, 2]).unwrap(), SourceValues::Fixed(vec![3, 0, 4, 0]));
    assert_eq!(source.read("folder/y", &[990], &[10]).unwrap(), SourceValues::Fixed(vec![9; 10]));
    assert_eq!(source.read("scalar", &[], &[]).unwrap(), SourceValues::Fixed(vec![0; 8]));
}

#[test]
fn a_changed_byte_of_an_npz_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npz");
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("x.npy", options).unwrap();
    zip.write_all(&npy("|u1", false, "(4,)", b"abcd")).unwrap();
    zip.finish().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(4).position(|w| w == b"abcd").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = open(&path).unwrap().read("x", &[0], &[4]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn slabs_cover_a_variable_once_in_whole_chunks() {
    let (_dir, source) = open_npy("|u1", false, "(7, 5, 6)", &[0; 210]);
    let mut variable = source.variables()[0].clone();
    for chunk in [None, Some(vec![2, 5, 4]), Some(vec![100, 1, 1])] {
        for (column_major, max_bytes) in [(false, 1), (false, 13), (true, 13), (false, 60), (false, 1 << 20)]
        {
            variable.chunk_shape = chunk.clone();
            variable.column_major = column_major;
            let mut seen = vec![0; 210];
            for slab in slabs(&variable, max_bytes) {
                let unit: u64 = chunk.iter().flatten().zip([7, 5, 6]).map(|(c, n)| (*c).min(n)).product();
                assert!(slab.shape.iter().product::<u64>() <= max_bytes.max(unit.max(1)));
                for i in 0..slab.shape.iter().product::<u64>() {
                    let (k, rest) = (i % slab.shape[2], i / slab.shape[2]);
                    let (j, i) = (rest % slab.shape[1], rest / slab.shape[1]);
                    let at = ((slab.start[0] + i) * 5 + slab.start[1] + j) * 6 + slab.start[2] + k;
                    seen[usize::try_from(at).unwrap()] += 1;
                }
            }
            assert!(seen.iter().all(|n| *n == 1), "{chunk:?} {column_major} {max_bytes}");
        }
    }
    variable.shape = vec![3, 0, 2];
    assert_eq!(slabs(&variable, 10).count(), 0);
    variable.shape = vec![];
    variable.chunk_shape = None;
    assert_eq!(slabs(&variable, 10).count(), 1);
}
