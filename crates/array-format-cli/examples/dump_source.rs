//! Prints what the import reads of a file as JSON: `cargo run -p array-format-cli --example dump_source FILE [SLAB_BYTES]`.
//!
//! `tests/roundtrip/check_import.py` compares it with what netCDF4-python reads.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command")]

use std::path::Path;
use std::process::ExitCode;

#[path = "../src/import/mod.rs"]
#[allow(dead_code, reason = "the command af needs more of it")]
mod import;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(path) = arguments.next() else {
        eprintln!("usage: dump_source FILE [SLAB_BYTES]");
        return ExitCode::from(2);
    };
    let slab_bytes = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(import::slabs::SLAB_BYTES);
    match import::open(Path::new(&path)) {
        Ok(source) => {
            println!("{}", import::dump::dump(source.as_ref(), slab_bytes));
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}
