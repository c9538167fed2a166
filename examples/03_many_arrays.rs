//! A thousand small arrays: columns of attributes and statistics over all of them, one region of many at once.

#![allow(clippy::print_stdout, reason = "an example")]

use array_format::{ArrayFile, FileConfig, Value, blocking::wait};
use ndarray::Array;

fn main() -> array_format::Result<()> {
    let mut file = wait(ArrayFile::create_memory(FileConfig::default()))?;
    for cast in 0..1000u32 {
        let name = format!("cast/{cast:04}/temperature");
        file.define_array::<f32>(&name, vec!["level".into()], vec![50], None, None)?;
        let profile = Array::from_shape_fn(50, |z| 20.0 - z as f32 * 0.2 + (cast % 10) as f32).into_dyn();
        wait(file.write_array(&name, vec![0], profile.view()))?;
        wait(file.set_attribute(&name, "ship", if cast % 3 == 0 { "Alkor" } else { "Poseidon" }))?;
    }
    wait(file.flush())?;

    let ships = wait(file.attribute_index("ship"))?;
    let alkor = ships.iter().filter(|(_, ship)| *ship == Value::from("Alkor")).count();
    println!("{alkor} casts of the Alkor");

    // Which casts can hold anything above 28 degrees? Statistics tell, without reading data.
    let above = Value::from(28.0f32);
    let warm: Vec<String> = wait(file.statistics_index())?
        .into_iter()
        .filter(|a| a.statistics.may_contain(Some(&above), None))
        .map(|a| a.name)
        .collect();
    let surface = wait(file.read_many::<f32>(&warm, vec![0], vec![1]))?;
    println!("{} warm casts, the first at {} degrees", warm.len(), surface[0][[0]]);
    Ok(())
}
