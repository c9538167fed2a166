//! Every commit is a version: look back, compare, compact.

#![allow(clippy::print_stdout, reason = "an example")]

use array_format::{ArrayFile, FileConfig, blocking::wait};
use ndarray::{Array, array};

fn main() -> array_format::Result<()> {
    let mut file = wait(ArrayFile::create_memory(FileConfig::default()))?;
    file.define_array::<i32>("counts", vec!["day".into()], vec![6], Some(vec![2]), None)?;
    wait(file.write_array("counts", vec![0], Array::from_iter(0..6).into_dyn().view()))?;
    wait(file.flush_with_message("first counts"))?;

    wait(file.write_array("counts", vec![4], array![40, 50].into_dyn().view()))?;
    wait(file.append("counts", 0, array![60].into_dyn().view()))?;
    wait(file.flush_with_message("recount of days 4 and 5, and day 6"))?;

    for v in wait(file.versions())? {
        println!("version {}: {}", v.version, v.message);
    }
    println!("changed: {:?}", wait(file.diff(1, 2))?);
    println!("then: {}", wait(wait(file.at(1))?.read_array::<i32>("counts", vec![], vec![]))?);
    println!("now:  {}", wait(file.read_array::<i32>("counts", vec![], vec![]))?);

    wait(file.compact())?;
    println!("{} layer, {:?}", file.num_layers(), file.usage());
    Ok(())
}
