//! Create a file on disk, write, commit, read back.

#![allow(clippy::print_stdout, reason = "an example")]

use array_format::{ArrayFile, FileConfig, blocking::wait};
use ndarray::array;

fn main() -> array_format::Result<()> {
    let folder = tempfile::tempdir().map_err(|e| array_format::Error::invalid(e.to_string()))?;
    let path = folder.path().join("ocean.af");

    let mut file = wait(ArrayFile::create_path(&path, FileConfig::default()))?;
    let dimensions = vec!["depth".into(), "station".into()];
    file.define_array::<f32>("cruise1/temperature", dimensions, vec![3, 2], None, Some(f32::NAN))?;
    wait(file.set_attribute("cruise1/temperature", "units", "degC"))?;
    // The third depth is not written: it reads as the fill value.
    let data = array![[18.5f32, 18.1], [12.0, 11.7]].into_dyn();
    wait(file.write_array("cruise1/temperature", vec![0, 0], data.view()))?;
    let version = wait(file.flush())?;
    println!("committed version {version}");

    let file = wait(ArrayFile::open_path(&path, FileConfig::default()))?;
    for name in wait(file.list_arrays())? {
        println!("{name}:\n{}", wait(file.read_array::<f32>(&name, vec![], vec![]))?);
        println!("{:?}", wait(file.statistics(&name))?.statistics.bounds);
    }
    Ok(())
}
