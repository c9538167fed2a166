//! Many writers on one file, and what must be true of it afterwards.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use array_format::blocking::wait;
use array_format::{ArrayFile, VerifyOptions};

use crate::counters::{self, COUNTERS};
use crate::keeper::Kept;
use crate::litter::litter;
use crate::reader::{self, Read};
use crate::writer::{self, Acknowledged, Form, Met, message};
use crate::{Child, Result, config, ensure, owned};

/// Where the writers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Threads of this process.
    Threads,
    /// Processes.
    Processes,
}

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program whose commands `writer`, `reader` and `keeper` are started.
    pub program: PathBuf,
    /// The file; it must not be there.
    pub path: String,
    /// Threads or processes. Clones of a handle are threads.
    pub place: Place,
    /// What they do to each other.
    pub form: Form,
    /// How many there are.
    pub writers: u64,
    /// How often each commits.
    pub commits: u64,
    /// Whether all versions are kept, so that the history can be checked; otherwise they are given up all the time.
    pub keep: bool,
    /// Decides what is written.
    pub seed: u64,
}

/// What happened.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Commits that were acknowledged.
    pub commits: u64,
    /// What the writers met.
    pub met: Met,
    /// What the readers read.
    pub read: Read,
    /// What the keeper did.
    pub kept: Kept,
    /// The newest version.
    pub version: u64,
    /// The time it took.
    pub elapsed: Duration,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { commits, met, read, kept, version, elapsed } = self;
        writeln!(f, "{commits} commits acknowledged in {:.1} s; version {version}", elapsed.as_secs_f64())?;
        writeln!(
            f,
            "  writers: {} conflicts, outrun {} times, {} reads of collected versions",
            met.conflicts, met.outrun, met.expired
        )?;
        writeln!(f, "  readers: {} versions whole, {} gone", read.whole, read.gone)?;
        write!(f, "  keeper: {} compactions and collections, outrun {} times", kept.done, kept.outrun)
    }
}

type Written = Result<(Vec<Acknowledged>, Met)>;

/// Runs the whole thing.
///
/// # Errors
/// The first thing that is not as it should be.
pub fn run(options: &Options) -> Result<Report> {
    let start = Instant::now();
    let mut file = wait(ArrayFile::create_url(&options.path, config()))?;
    match options.form {
        Form::Overlap => counters::setup(&mut file)?,
        Form::Disjoint | Form::Clones => owned::setup(&mut file, options.writers)?,
    }
    let stop = Arc::new(AtomicBool::new(false));
    let thread = {
        let (o, stop) = (options.clone(), stop.clone());
        std::thread::spawn(move || reader::run(&o.path, o.form, o.writers, o.seed, &stop))
    };
    let path = options.path.clone();
    let start_child = |what: &[&str]| {
        let arguments: Vec<String> = what.iter().map(|s| (*s).to_owned()).collect();
        Child::start(&options.program, &arguments)
    };
    let (form, writers, commits) =
        (options.form.to_string(), options.writers.to_string(), options.commits.to_string());
    let (seed, keep) = (options.seed.to_string(), options.keep.to_string());
    let readers = start_child(&["reader", &path, &form, &writers, &seed])?;
    let keeper = start_child(&["keeper", &path, &keep, &seed])?;
    let results: Vec<Written> = match options.place {
        Place::Threads => threads(options, &file)?,
        Place::Processes => {
            let children = (0..options.writers)
                .map(|i| start_child(&["writer", &path, &form, &i.to_string(), &commits, &seed]));
            // All of them run before the first is waited for.
            let children: Vec<Result<Child>> = children.collect();
            children.into_iter().map(|child| written(child?)).collect()
        }
    };
    let mut report = Report::default();
    let mut all = Vec::new();
    for result in results {
        let (acknowledged, met) = result?;
        all.extend(acknowledged);
        report.met += met;
    }
    stop.store(true, Ordering::Relaxed);
    report.read += thread.join().map_err(|_| "the reader panicked")??;
    let said = numbers(&readers.finish()?)?;
    report.read += Read { whole: said[0], gone: said[1] };
    let said = numbers(&keeper.finish()?)?;
    report.kept += Kept { done: said[0], outrun: said[1] };
    report.commits = all.len() as u64;
    report.version = check(options, &all)?;
    report.elapsed = start.elapsed();
    Ok(report)
}

fn threads(options: &Options, file: &ArrayFile) -> Result<Vec<Written>> {
    let mut threads: Vec<JoinHandle<Written>> = Vec::new();
    for writer in 0..options.writers {
        let o = options.clone();
        let mut file = match o.form {
            Form::Clones => file.clone(),
            Form::Disjoint | Form::Overlap => wait(ArrayFile::open_url(&o.path, config()))?,
        };
        threads.push(std::thread::spawn(move || {
            let mut all = Vec::new();
            let met = writer::run(&mut file, o.form, writer, o.commits, o.seed, |a| {
                all.push(a);
                Ok(())
            })?;
            Ok((all, met))
        }));
    }
    Ok(threads.into_iter().map(|t| t.join().map_err(|_| "a writer panicked")?).collect())
}

/// What a writing process says.
fn written(child: Child) -> Written {
    let mut lines = child.finish()?;
    let met = numbers(&lines.split_off(lines.len().saturating_sub(1)))?;
    let all = lines.iter().map(|l| l.parse()).collect::<Result<_, _>>()?;
    Ok((all, Met { conflicts: met[0], outrun: met[1], expired: met[2] }))
}

/// The numbers of the last line.
fn numbers(lines: &[String]) -> Result<Vec<u64>> {
    let last = lines.last().ok_or("a child said nothing")?;
    Ok(last.split(' ').map(str::parse).collect::<Result<_, _>>()?)
}

/// Compares the file with what was acknowledged. Returns the newest version.
fn check(options: &Options, all: &[Acknowledged]) -> Result<u64> {
    let Options { form, writers, commits, .. } = *options;
    let mut file = wait(ArrayFile::open_url(&options.path, config()))?;
    ensure!(all.len() as u64 == writers * commits, "{} commits were acknowledged", all.len());
    let found = reader::commits(&file.snapshot(), form, writers)??;
    ensure!(found.iter().all(|n| *n == commits), "of {commits} commits each, {found:?} are there");
    let report = wait(file.verify(VerifyOptions::default().statistics(true)))?;
    ensure!(report.is_clean(), "version {} is damaged: {:?}", file.version(), report.damage);
    if form != Form::Clones {
        let versions: BTreeSet<u64> = all.iter().map(|a| a.version).collect();
        ensure!(versions.len() == all.len(), "two acknowledged commits are one version");
    }
    if form == Form::Overlap {
        serial(all, &counters::check(&file.snapshot(), writers)??.counters)?;
    }
    history(options, all, &file)?;
    wait(file.garbage_collect(Default::default()))?;
    let litter = litter(&options.path, &file, false)?;
    ensure!(litter.is_empty(), "after a collection there is still {litter:?}");
    Ok(file.version())
}

/// In the order of their versions, the commits saw and made what they would have, one after the other.
fn serial(all: &[Acknowledged], found: &[i64]) -> Result<()> {
    let mut order: Vec<&Acknowledged> = all.iter().collect();
    order.sort_by_key(|a| a.version);
    let mut counters = [0i64; COUNTERS as usize];
    for commit in order {
        for (counter, value) in &commit.increments {
            let counter = &mut counters[*counter as usize];
            *counter += 1;
            ensure!(counter == value, "{commit}: one increment was lost, the counter is {counter} by then");
        }
    }
    ensure!(counters == found, "the counters are {found:?}, the acknowledged commits make {counters:?}");
    Ok(())
}

/// Each commit is one version, the one that was acknowledged.
fn history(options: &Options, all: &[Acknowledged], file: &ArrayFile) -> Result<()> {
    let mut listed: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for version in wait(file.versions())? {
        listed.entry(version.message).or_default().push(version.version);
    }
    // A commit of clones has the changes of several, and the message of one.
    let clones = options.form == Form::Clones;
    let mut checked = BTreeMap::new();
    for a in all {
        let found = listed.get(&message(a.writer, a.seq));
        let alone = found.is_some_and(|f| *f == [a.version]);
        ensure!(
            alone || clones || (found.is_none() && !options.keep),
            "commit {} of writer {} was acknowledged as version {}, and is {found:?}",
            a.seq,
            a.writer,
            a.version
        );
        if options.keep {
            let commits = match checked.entry(a.version) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let there = wait(file.at(a.version))?;
                    new.insert(reader::commits(&there, options.form, options.writers)??)
                }
            };
            let seq = commits[a.writer as usize];
            let fits = if clones { seq >= a.seq } else { seq == a.seq };
            ensure!(fits, "version {} of commit {} of writer {} has {commits:?}", a.version, a.seq, a.writer);
        }
    }
    Ok(())
}
