//! The command `af`: see the library of this crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    array_format_cli::run(std::env::args_os()).into()
}
