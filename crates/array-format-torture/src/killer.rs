//! Kills the victim, again and again, and checks after each kill what it left.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use array_format::blocking::wait;
use array_format::{ArrayFile, CompactOptions, ErrorKind, GcOptions, Snapshot, VerifyOptions};

use crate::dice::{Dice, hash};
use crate::litter::{litter, served};
use crate::model::{Model, Timeline};
use crate::{Child, Result, config, ensure};

/// Versions that are read after each kill, besides the newest and those with tags.
const OLD_VERSIONS: u64 = 4;

/// How long a server is given to finish what a dead process had sent.
const ON_ITS_WAY: Duration = Duration::from_secs(2);

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program whose command `victim` is started.
    pub program: PathBuf,
    /// The file; it must not be there.
    pub path: String,
    /// How often to kill.
    pub kills: u64,
    /// Decides everything but the moment of the kill.
    pub seed: u64,
}

/// What was survived.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Kills of a process that was at work.
    pub kills: u64,
    /// Of these: in the middle of a commit, a compaction, a collection, or the setting of a tag.
    pub amid: BTreeMap<String, u64>,
    /// What was acknowledged: commits, detached layers, compactions, collections, tags.
    pub acknowledged: BTreeMap<String, u64>,
    /// Commits that a kill kept from being acknowledged and that were there all the same.
    pub unacknowledged: u64,
    /// Kills after which a server finished a request when the first look had begun.
    pub late: u64,
    /// Objects collected, and unfinished ones swept, after kills.
    pub collected: (u64, u64),
    /// Old versions read.
    pub old_versions: u64,
    /// Readers that had a version open over a kill: they read it, or were told that it is gone.
    pub readers: (u64, u64),
    /// The time it took.
    pub elapsed: Duration,
}

/// A reader that opened a version before a kill.
struct Pinned {
    snapshot: Snapshot,
    seq: u64,
}

/// What the lines of a victim tell.
#[derive(Default)]
struct Told {
    begun: Option<String>,
    commit: Option<(u64, u64)>,
    tags: BTreeMap<String, Option<u64>>,
    count: BTreeMap<String, u64>,
}

impl Told {
    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["begin", ..] => self.begun = Some(line.trim_start_matches("begin ").to_owned()),
            ["ready", ..] => {}
            [what, ref rest @ ..] => {
                *self.count.entry(what.to_owned()).or_default() += 1;
                if what == "detached" {
                    return;
                }
                if let [seq, version] = rest {
                    self.commit = seq.parse().ok().zip(version.parse().ok());
                }
                if let Some(("tag", tag)) = self.begun.as_deref().and_then(|b| b.split_once(' '))
                    && let Some((name, version)) = tag.split_once(' ')
                {
                    self.tags.insert(name.to_owned(), version.parse().ok());
                }
                self.begun = None;
            }
            [] => {}
        }
    }
}

/// The file between two kills.
struct World<'a> {
    options: &'a Options,
    dice: Dice,
    timeline: Timeline,
    /// Last acknowledged commit and its version.
    acknowledged: (u64, u64),
    tags: BTreeMap<String, u64>,
    pinned: Vec<Pinned>,
    report: Report,
}

/// Runs the whole thing.
///
/// # Errors
/// The first thing that is not as it should be.
pub fn run(options: &Options) -> Result<Report> {
    let start = Instant::now();
    wait(ArrayFile::create_url(&options.path, config()))?;
    let mut world = World {
        options,
        dice: Dice::new(options.seed),
        timeline: Timeline::new(options.seed),
        acknowledged: (0, 0),
        tags: BTreeMap::new(),
        pinned: Vec::new(),
        report: Report::default(),
    };
    while world.report.kills < options.kills {
        let round = world.report.kills;
        let told = world.victim().map_err(|e| format!("kill {round}: {e}"))?;
        let doing = told.begun.clone().unwrap_or_else(|| "nothing".into());
        world.check(&told).map_err(|e| format!("kill {round}, in the middle of {doing}: {e}"))?;
    }
    Ok(Report { elapsed: start.elapsed(), ..world.report })
}

impl World<'_> {
    /// Starts a victim, and kills it.
    fn victim(&mut self) -> Result<Told> {
        let path = self.options.path.clone();
        let arguments =
            ["victim".into(), path, self.options.seed.to_string(), self.dice.number().to_string()];
        let mode = self.dice.roll(8);
        let child = Child::start(&self.options.program, &arguments)?;
        let mut told = Told::default();
        let limit = Duration::from_secs(60);
        let mut until = |what: &str| {
            child.lines_until(limit, |line| {
                told.line(line);
                line.starts_with(what)
            })
        };
        let wait_for = match mode {
            0 => "",
            1 => "begin compaction",
            2 => "begin compaction full",
            3 => "begin collection",
            4 => "begin commit",
            5 => "begin tag",
            _ => "ready",
        };
        ensure!(wait_for.is_empty() || until("ready"), "the victim never began");
        for _ in 0..if wait_for == "ready" || mode == 0 { 0 } else { 1 + self.dice.roll(3) } {
            ensure!(until(wait_for), "the victim stopped, waiting for {wait_for:?}");
        }
        let most = match mode {
            0 => 8_000,
            7 => 400_000,
            _ => 6_000,
        };
        std::thread::sleep(Duration::from_micros(self.dice.roll(most)));
        let (lines, was_alive) = child.kill()?;
        lines.iter().for_each(|line| told.line(line));
        ensure!(was_alive, "the victim failed before it was killed, see above");
        self.report.kills += 1;
        let amid = told.begun.as_deref().map_or("nothing", |b| b.split(' ').next().unwrap_or(b));
        *self.report.amid.entry(amid.to_owned()).or_default() += 1;
        for (what, n) in &told.count {
            *self.report.acknowledged.entry(what.clone()).or_default() += n;
        }
        Ok(told)
    }

    /// Everything that must hold after a kill.
    ///
    /// A server may still be at work on a request whose sender is dead, and what this one does to the file may come
    /// after the first look began: then there is a second. There is no third: the dead send nothing more.
    fn check(&mut self, told: &Told) -> Result<()> {
        self.acknowledged = told.commit.unwrap_or(self.acknowledged);
        let path = &self.options.path;
        let first = served(path)?;
        let mut file = wait(ArrayFile::open_url(path, config()))?;
        if let Err(error) = self.look(told, &mut file) {
            std::thread::sleep(ON_ITS_WAY);
            ensure!(told.begun.is_some() && served(path)? != first, "{error}");
            file = wait(ArrayFile::open_url(path, config()))?;
            self.look(told, &mut file)?;
            self.report.late += 1;
        }
        if self.report.kills.is_multiple_of(3) {
            self.tidy(&mut file)?;
        }
        let file = wait(ArrayFile::open_url(path, config()))?;
        let (seq, _) = self.acknowledged;
        ensure!(self.content(&file.snapshot())? == seq, "the commit after the kill is not there");
        // With it, a reader that has read nothing yet but the root, or everything.
        let snapshot = file.snapshot();
        self.pinned.push(Pinned { snapshot, seq });
        if self.dice.roll(2) == 0 {
            self.content(&file.snapshot())?;
        } else {
            let cold = wait(ArrayFile::open_url(path, config()))?;
            self.pinned.push(Pinned { snapshot: cold.snapshot(), seq });
        }
        Ok(())
    }

    /// Checks what a kill left, and commits.
    fn look(&mut self, told: &Told, file: &mut ArrayFile) -> Result<()> {
        let begun = told.begun.as_deref().unwrap_or_default();
        let version = file.version();
        let seq = self.content(&file.snapshot())?;
        let (acknowledged, at) = self.acknowledged;
        ensure!(version >= at, "version {version} is the newest, version {at} was acknowledged");
        let more = u64::from(begun.starts_with("commit "));
        ensure!(
            (acknowledged..=acknowledged + more).contains(&seq),
            "commit {seq} is the newest, {acknowledged} was acknowledged and {more} begun after it"
        );
        self.report.unacknowledged += seq - acknowledged;
        self.verify(file)?;
        self.check_tags(told, begun, file)?;
        self.check_history(file)?;
        self.check_pinned()?;
        // The next commit works.
        let changes = self.timeline.next(seq);
        changes.make(file)?;
        changes.seal(file)?;
        let next = wait(file.flush())?;
        ensure!(next > version, "a commit on version {version} is {next}");
        self.acknowledged = (seq + 1, next);
        Ok(())
    }

    /// Checks the content of a version, and returns the number of its commit.
    fn content(&mut self, snapshot: &Snapshot) -> Result<u64> {
        let (seq, sum, model) = Model::read(snapshot)?;
        let version = snapshot.version();
        ensure!(model.sum() == sum, "version {version} is torn: commit {seq} and other content: {model:?}");
        ensure!(seq <= self.acknowledged.0 + 1, "version {version} has commit {seq}, which nobody made");
        ensure!(
            self.timeline.sum(seq) == sum,
            "version {version} is whole, but is not what commit {seq} was"
        );
        Ok(seq)
    }

    fn verify(&self, file: &ArrayFile) -> Result<()> {
        let report = wait(file.verify(VerifyOptions::default().statistics(true)))?;
        ensure!(report.is_clean(), "version {} is damaged: {:?}", file.version(), report.damage);
        Ok(())
    }

    fn check_tags(&mut self, told: &Told, begun: &str, file: &ArrayFile) -> Result<()> {
        for (name, version) in &told.tags {
            match version {
                Some(v) => self.tags.insert(name.clone(), *v),
                None => self.tags.remove(name),
            };
        }
        let found = file.tags();
        // What was begun may have happened or not.
        if let Some((name, version)) = begun.strip_prefix("tag ").and_then(|t| t.split_once(' '))
            && found.get(name).copied() == version.parse().ok()
        {
            match version.parse() {
                Ok(v) => self.tags.insert(name.to_owned(), v),
                Err(_) => self.tags.remove(name),
            };
        }
        ensure!(found == self.tags, "the tags are {found:?}, not {:?}", self.tags);
        for version in found.into_values() {
            self.content(&wait(file.at(version))?)?;
        }
        Ok(())
    }

    /// All versions are listed in order, and what is listed can be read.
    fn check_history(&mut self, file: &ArrayFile) -> Result<()> {
        let versions: Vec<u64> = wait(file.versions())?.into_iter().map(|v| v.version).collect();
        ensure!(
            versions.last() == Some(&file.version()),
            "{versions:?} do not end with version {}",
            file.version()
        );
        let mut picked: Vec<u64> =
            (0..OLD_VERSIONS).map(|_| versions[self.dice.roll(versions.len() as u64) as usize]).collect();
        picked.sort_unstable();
        let mut last = 0;
        for version in picked {
            let seq = self.content(&wait(file.at(version))?)?;
            ensure!(seq >= last, "version {version} has commit {seq}, an older one has {last}");
            last = seq;
            self.report.old_versions += 1;
        }
        Ok(())
    }

    fn check_pinned(&mut self) -> Result<()> {
        for pinned in std::mem::take(&mut self.pinned) {
            match Model::read(&pinned.snapshot) {
                Ok((seq, sum, model)) => {
                    let whole = seq == pinned.seq && model.sum() == sum && sum == self.timeline.sum(seq);
                    ensure!(whole, "a reader of commit {} found commit {seq}: {model:?}", pinned.seq);
                    self.report.readers.0 += 1;
                    // Some go on.
                    if self.dice.roll(3) == 0 {
                        self.pinned.push(pinned);
                    }
                }
                Err(e) if e.kind() == ErrorKind::SnapshotExpired => self.report.readers.1 += 1,
                Err(e) => return Err(format!("a reader of commit {}: {e}", pinned.seq).into()),
            }
        }
        Ok(())
    }

    /// Finishes what the victims left, and looks for litter.
    fn tidy(&mut self, file: &mut ArrayFile) -> Result<()> {
        if self.dice.roll(2) == 0 {
            wait(file.compact_with(CompactOptions::default().keep_versions(self.dice.roll(2) == 0)))?;
        }
        let keep = 1 + self.dice.roll(4) as usize;
        let report = wait(file.garbage_collect(GcOptions::default().keep_last(keep)))?;
        self.report.collected.0 += report.objects.len() as u64;
        self.report.collected.1 += report.swept;
        let litter = litter(&self.options.path, file, keep > 1)?;
        ensure!(litter.is_empty(), "after a collection of all but {keep} there is still {litter:?}");
        let again = wait(file.garbage_collect(GcOptions::default().keep_last(keep).dry_run(true)))?;
        ensure!(again.objects.is_empty(), "a second collection would delete {:?}", again.objects);
        self.verify(file)
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} kills survived in {:.1} s", self.kills, self.elapsed.as_secs_f64())?;
        writeln!(f, "  in the middle of: {:?}", self.amid)?;
        writeln!(f, "  acknowledged before: {:?}", self.acknowledged)?;
        writeln!(f, "  commits that happened without being acknowledged: {}", self.unacknowledged)?;
        writeln!(f, "  versions that came while their file was looked at: {}", self.late)?;
        writeln!(f, "  collected after kills: {} objects; swept: {}", self.collected.0, self.collected.1)?;
        writeln!(f, "  old versions read: {}", self.old_versions)?;
        write!(f, "  readers over a kill: {} read, {} were told", self.readers.0, self.readers.1)
    }
}

/// A seed that nobody chose.
pub fn any_seed() -> u64 {
    hash([rand::random::<u64>()])
}
