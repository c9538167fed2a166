//! array-format beside its peers and beside the limit.
//!
//! ```sh
//! cargo run --release --manifest-path benchmarks/Cargo.toml -- run                 # all workloads, some 20 minutes
//! cargo run --release --manifest-path benchmarks/Cargo.toml -- run grid-zstd3      # one
//! ```

mod chart;
mod data;
mod limit;
mod peer;
mod peers;
mod report;
mod workloads;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};

use report::{LIMIT, Results};
use workloads::{Context, Step, WORKLOADS};

#[derive(Parser)]
#[command(about = "array-format beside its peers and beside the limit")]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Measures, prints a table, and keeps the numbers.
    Run(Run),
    /// Puts the numbers of runs together: tables and charts.
    Report {
        /// What `run --out` wrote.
        runs: Vec<PathBuf>,
        /// The folder for `compare.md` and its charts.
        #[arg(long, default_value = "docs")]
        docs: PathBuf,
    },
    /// One phase of one peer; what `run` starts.
    Child {
        workload: String,
        phase: String,
        peer: String,
        #[command(flatten)]
        sizes: Sizes,
    },
}

#[derive(clap::Args)]
struct Run {
    /// Workloads; all of them if none is named.
    workloads: Vec<String>,
    /// Only these peers, by their names; the limit always.
    #[arg(long)]
    peer: Vec<String>,
    /// Only these phases; the first, which writes, always runs.
    #[arg(long)]
    phase: Vec<String>,
    /// How often each phase runs; the fastest counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where the numbers go, as JSON.
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    sizes: Sizes,
}

#[derive(clap::Args, Clone)]
struct Sizes {
    /// Where data and files go.
    #[arg(long, default_value = "target/benchmarks")]
    dir: PathBuf,
    /// Arrays of workload P.
    #[arg(long, default_value_t = 200_000)]
    profiles: usize,
    /// Commits of workload U.
    #[arg(long, default_value_t = 1000)]
    commits: usize,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Action::Run(run) => measure(&run),
        Action::Report { runs, docs } => report(&runs, &docs),
        Action::Child { workload, phase, peer, sizes } => {
            let c = Context {
                data: sizes.dir.join("data"),
                dir: sizes.dir.join(&peer).join(&workload),
                profiles: sizes.profiles,
                commits: sizes.commits,
            };
            let steps = if peer == LIMIT {
                workloads::limits(&workload, &phase, &c)?
            } else {
                let all = peers::all();
                let found =
                    all.iter().find(|p| p.name() == peer).with_context(|| format!("no peer {peer:?}"))?;
                workloads::run(&**found, &workload, &phase, &c)?
            };
            println!("{}", serde_json::to_string(&steps)?);
            Ok(())
        }
    }
}

fn measure(run: &Run) -> Result<()> {
    let mut results = Results::default();
    let peers: Vec<String> = std::iter::once(LIMIT.to_owned())
        .chain(peers::all().iter().map(|p| p.name().to_owned()))
        .filter(|p| p == LIMIT || run.peer.is_empty() || run.peer.contains(p))
        .collect();
    if let Some(w) = run.workloads.iter().find(|w| WORKLOADS.iter().all(|x| x.name != **w)) {
        bail!("no workload {w:?}; there are {:?}", WORKLOADS.iter().map(|w| w.name).collect::<Vec<_>>());
    }
    for w in
        WORKLOADS.iter().filter(|w| run.workloads.is_empty() || run.workloads.iter().any(|x| x == w.name))
    {
        for (i, phase) in w.phases.iter().enumerate() {
            if i > 0 && !run.phase.is_empty() && !run.phase.iter().any(|p| p == phase) {
                continue;
            }
            // Peers in turn, so that what else the machine does meets all of them.
            for _ in 0..run.rounds {
                for peer in &peers {
                    let dir = run.sizes.dir.join(peer).join(w.name);
                    if i == 0 {
                        let _ = fs::remove_dir_all(&dir);
                        fs::create_dir_all(&dir)?;
                    }
                    match child(run, w.name, phase, peer) {
                        Ok(steps) => results.add(w.name, peer, &steps),
                        Err(e) => results.fail(w.name, phase, peer, &format!("{e:#}")),
                    }
                }
            }
        }
        for peer in &peers {
            let _ = fs::remove_dir_all(run.sizes.dir.join(peer).join(w.name));
        }
        print!("{}", results.table(w));
    }
    if let Some(out) = &run.out {
        fs::write(out, serde_json::to_string_pretty(&results)?)?;
    }
    Ok(())
}

/// Marks where the numbers begin in `compare.md`; what stands above is written by hand.
const NUMBERS: &str = "<!-- numbers: written by the benchmarks -->";

fn report(runs: &[PathBuf], docs: &Path) -> Result<()> {
    let mut results = Results::default();
    for run in runs {
        results.merge(serde_json::from_slice(&fs::read(run).with_context(|| run.display().to_string())?)?);
    }
    let page = docs.join("compare.md");
    let text = fs::read_to_string(&page).unwrap_or_default();
    let above = text.split_once(NUMBERS).map_or(text.as_str(), |(above, _)| above);
    let mut out = format!("{above}{NUMBERS}\n");
    fs::create_dir_all(docs.join("compare"))?;
    for w in WORKLOADS.iter().filter(|w| !results.steps(w.name).is_empty()) {
        fs::write(docs.join(format!("compare/{}.svg", w.name)), chart::svg(&results, w.name, w.title))?;
        let table = results.table(w);
        let (head, rows) = table.split_once("\n\n|").unwrap_or((&table, ""));
        out.push_str(&format!("{head}\n\n![{}](compare/{}.svg)\n\n|{rows}", w.title, w.name));
    }
    Ok(fs::write(page, out)?)
}

fn child(run: &Run, workload: &str, phase: &str, peer: &str) -> Result<Vec<Step>> {
    let output = Command::new(std::env::current_exe()?)
        .args(["child", workload, phase, peer])
        .arg("--dir")
        .arg(&run.sizes.dir)
        .arg("--profiles")
        .arg(run.sizes.profiles.to_string())
        .arg("--commits")
        .arg(run.sizes.commits.to_string())
        .output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("{}", text.lines().find(|l| !l.trim().is_empty()).unwrap_or("failed without a word"));
    }
    let text = String::from_utf8(output.stdout)?;
    Ok(serde_json::from_str(text.lines().last().unwrap_or_default())?)
}
