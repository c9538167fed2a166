//! Does one operation, for its instructions to be counted: `scripts/instructions.sh`.
//!
//! Without arguments the program lists its cases, each with a number n of repetitions. `CASE N` does the operation N times. What the
//! script counts is the difference of 2n and n, so that neither what happens once nor the first use of a cache shows in it.

use array_format::{Error, Result};
use array_format_small_operations::CASES;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, repetitions] = &arguments[..] else {
        for case in CASES {
            println!("{}\t{}", case.name, case.repetitions);
        }
        return Ok(());
    };
    let case = CASES.iter().find(|c| c.name == name);
    let case = case.ok_or_else(|| Error::invalid(format!("no case {name}")))?;
    let n: usize = repetitions.parse().map_err(|_| Error::invalid("CASE N"))?;
    let mut operation = (case.prepare)()?;
    for _ in 0..n {
        operation()?;
    }
    Ok(())
}
