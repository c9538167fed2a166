//! The command `torture`: the processes that are killed and that compete, and the two programs that start and check them.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command")]

use std::process::ExitCode;

use array_format::ArrayFile;
use array_format::blocking::wait;
use array_format_torture::writer::Form;
use array_format_torture::{
    Result, config, contest, keeper, killer, reader, say, until_input_ends, victim, writer,
};
use clap::{Parser, Subcommand};

/// Tortures array-format files.
#[derive(Debug, Parser)]
#[command(name = "torture", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Kills a process that commits and compacts, again and again, and checks what it left.
    Kill {
        /// The file to make: a path, or a URL whose store is found through the environment.
        path: String,
        /// How often.
        #[arg(long, default_value_t = 25)]
        kills: u64,
        /// What the commits hold and what else is done.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Lets many writers work on one file.
    Contest {
        /// The file to make: a path, or a URL whose store is found through the environment.
        path: String,
        /// disjoint, overlap or clones.
        #[arg(long, default_value = "disjoint")]
        form: Form,
        /// Threads instead of processes.
        #[arg(long)]
        threads: bool,
        /// How many writers.
        #[arg(long, default_value_t = 4)]
        writers: u64,
        /// Commits of each.
        #[arg(long, default_value_t = 200)]
        commits: u64,
        /// No version is given up.
        #[arg(long)]
        keep: bool,
        /// What the commits hold.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Works until it is killed.
    #[command(hide = true)]
    Victim { path: String, seed: u64, dice: u64 },
    /// Commits, and says so.
    #[command(hide = true)]
    Writer { path: String, form: Form, writer: u64, commits: u64, seed: u64 },
    /// Reads until its input ends.
    #[command(hide = true)]
    Reader { path: String, form: Form, writers: u64, seed: u64 },
    /// Compacts and collects until its input ends.
    #[command(hide = true)]
    Keeper {
        path: String,
        #[arg(action = clap::ArgAction::Set)]
        keep: bool,
        seed: u64,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("torture: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let program = std::env::current_exe()?;
    match command {
        Command::Kill { path, kills, seed } => {
            let seed = seed.unwrap_or_else(killer::any_seed);
            println!("seed {seed}");
            println!("{}", killer::run(&killer::Options { program, path, kills, seed })?);
        }
        Command::Contest { path, form, threads, writers, commits, keep, seed } => {
            let place = if threads || form == Form::Clones {
                contest::Place::Threads
            } else {
                contest::Place::Processes
            };
            let seed = seed.unwrap_or_else(killer::any_seed);
            println!("seed {seed}");
            let options = contest::Options { program, path, place, form, writers, commits, keep, seed };
            println!("{}", contest::run(&options)?);
        }
        Command::Victim { path, seed, dice } => victim::run(&path, seed, dice)?,
        Command::Writer { path, form, writer, commits, seed } => {
            let mut file = wait(ArrayFile::open_url(&path, config()))?;
            let met = writer::run(&mut file, form, writer, commits, seed, |a| say(&a.to_string()))?;
            say(&format!("{} {} {}", met.conflicts, met.outrun, met.expired))?;
        }
        Command::Reader { path, form, writers, seed } => {
            let read = reader::run(&path, form, writers, !seed, &until_input_ends())?;
            say(&format!("{} {}", read.whole, read.gone))?;
        }
        Command::Keeper { path, keep, seed } => {
            let kept = keeper::run(&path, keep, seed, &until_input_ends())?;
            say(&format!("{} {}", kept.done, kept.outrun))?;
        }
    }
    Ok(())
}
