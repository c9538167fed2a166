//! Writes the golden files that are not there yet to `fixtures/v1`, or to the folder that is named. It never touches one that
//! is: golden files are added, not edited.
//!
//! ```text
//! cargo run -p array-format --example write_fixtures
//! ```

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

#[path = "../tests/golden_files/mod.rs"]
mod golden_files;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

fn main() -> std::io::Result<()> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/v1");
    let target = std::env::args_os().nth(1).map_or(fixtures, PathBuf::from);
    for case in golden_files::cases::ALL {
        let fixture = case();
        let folder = target.join(fixture.name);
        if folder.exists() {
            println!("{}: is there already and stays as it is", fixture.name);
            continue;
        }
        let mut total = 0;
        for (path, bytes) in &fixture.objects {
            total += write_new(&folder.join(path), bytes)?;
        }
        // A line an array, so that differences between cases can be looked at.
        let json = fixture.expected.to_string().replace("},\"", "},\n\"") + "\n";
        total += write_new(&folder.join(format!("{}.json", fixture.name)), json.as_bytes())?;
        println!("{}: {total} bytes", fixture.name);
    }
    Ok(())
}

fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<usize> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    fs::OpenOptions::new().write(true).create_new(true).open(path)?.write_all(bytes)?;
    Ok(bytes.len())
}
