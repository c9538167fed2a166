//! The command `af`: import, list, read, compact and verify array-format files. A library, so that the Python package can bring the command along.
//!
//! Exit codes: 0 all is well; 1 it failed, and one line on standard error says why and what to do; 2 the arguments are wrong;
//! 3 it was done, but something was left out or is damaged, and the output says what.
#![expect(clippy::print_stderr, reason = "a command")]

mod commands;
mod import;
mod print;
mod slice;
mod stores;

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use self::stores::{StoreArguments, Stores};

/// Many n-dimensional arrays in one file.
#[derive(Debug, Parser)]
#[command(name = "af", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    stores: StoreArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Packs NetCDF, HDF5, .npy and .npz files into one array-format file.
    Import(commands::import::Import),
    /// Lists arrays: name, element type, shape.
    Ls(commands::ls::Ls),
    /// Tells of a file, a group or an array: sizes, layers, definition, attributes.
    Info(commands::info::Info),
    /// Prints the elements of an array, or of a part of it.
    Cat(commands::cat::Cat),
    /// Sets all elements of a part of an array to one value, as a new version.
    Set(commands::set::Set),
    /// Prints minimum, maximum and counts of arrays, from the index alone.
    Stats(commands::stats::Stats),
    /// Lists the versions of a file, newest first.
    Log(commands::log::Log),
    /// Merges all layers into a single file.
    Compact(commands::compact::Compact),
    /// Deletes layers that no kept version needs.
    Gc(commands::gc::Gc),
    /// Names versions, so that they stay; lists the names.
    Tag(commands::tag::Tag),
    /// Checks every byte of a file and reports all damage.
    Verify(commands::verify::Verify),
    /// Saves what is whole of a damaged file into a new one, and lists what was lost.
    Repair(commands::repair::Repair),
    /// Prints everything as JSON, values as SHA-256: for comparing with other readers.
    #[command(hide = true)]
    Dump(commands::dump::Dump),
}

/// What a command came to, where it was no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// Something was left out or is damaged.
    Partly,
}

/// Runs the command with these arguments, the first of which is its name, and returns the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(e) => {
            // Nobody reads what it says: then the code says it.
            let _ = e.print();
            return u8::try_from(e.exit_code()).unwrap_or(2);
        }
    };
    let result = arguments.stores.open().and_then(|stores| {
        let outcome = execute(arguments.command, &stores);
        stores.close();
        outcome
    });
    match result {
        Ok(Outcome::Done) => 0,
        Ok(Outcome::Partly) => 3,
        Err(e) => {
            eprintln!("af: {e}");
            1
        }
    }
}

fn execute(command: Command, stores: &Stores) -> array_format::Result<Outcome> {
    match command {
        Command::Import(c) => c.run(stores),
        Command::Ls(c) => c.run(stores),
        Command::Info(c) => c.run(stores),
        Command::Cat(c) => c.run(stores),
        Command::Set(c) => c.run(stores),
        Command::Stats(c) => c.run(stores),
        Command::Log(c) => c.run(stores),
        Command::Compact(c) => c.run(stores),
        Command::Gc(c) => c.run(stores),
        Command::Tag(c) => c.run(stores),
        Command::Verify(c) => c.run(stores),
        Command::Repair(c) => c.run(stores),
        Command::Dump(c) => c.run(stores),
    }
}
