//! Numbers to tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::workloads::{Step, Workload};

/// The name under which the limit stands among the peers.
pub const LIMIT: &str = "limit";

/// The best of all rounds.
#[derive(Default, Serialize, Deserialize)]
pub struct Results {
    rows: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    workload: String,
    step: String,
    peers: BTreeMap<String, Step>,
    failed: BTreeMap<String, String>,
}

impl Results {
    fn row(&mut self, workload: &str, step: &str) -> &mut Row {
        let found = self.rows.iter().position(|r| r.workload == workload && r.step == step);
        let i = found.unwrap_or_else(|| {
            let (workload, step) = (workload.to_owned(), step.to_owned());
            self.rows.push(Row { workload, step, peers: BTreeMap::new(), failed: BTreeMap::new() });
            self.rows.len() - 1
        });
        &mut self.rows[i]
    }

    pub fn add(&mut self, workload: &str, peer: &str, steps: &[Step]) {
        for step in steps {
            let best =
                self.row(workload, &step.name).peers.entry(peer.to_owned()).or_insert_with(|| step.clone());
            if step.seconds < best.seconds {
                *best = step.clone();
            }
        }
    }

    pub fn fail(&mut self, workload: &str, phase: &str, peer: &str, why: &str) {
        if !why.contains("not possible") {
            eprintln!("{workload} {phase} {peer}: {why}");
        }
        self.row(workload, phase).failed.insert(peer.to_owned(), why.to_owned());
    }

    /// Takes the steps of other runs in; of peers that both have, the faster one.
    pub fn merge(&mut self, other: Self) {
        for row in other.rows {
            for (peer, step) in row.peers {
                self.add(&row.workload, &peer, &[step]);
            }
        }
    }

    /// The rows of a workload: step, limit and peers, fastest first.
    pub fn steps(&self, workload: &str) -> Vec<(&str, Option<f64>, Vec<(&str, &Step)>)> {
        let rows = self.rows.iter().filter(|r| r.workload == workload && !r.peers.is_empty());
        rows.map(|row| {
            let mut peers: Vec<(&str, &Step)> = row.peers.iter().map(|(p, s)| (p.as_str(), s)).collect();
            peers.sort_by(|a, b| a.1.seconds.total_cmp(&b.1.seconds));
            (row.step.as_str(), row.peers.get(LIMIT).map(|s| s.seconds), peers)
        })
        .collect()
    }

    /// A table in Markdown: seconds, ratio to the limit (or to the fastest), megabytes on disk, peak memory.
    pub fn table(&self, w: &Workload) -> String {
        let mut out = format!("\n### {}\n\n", w.title);
        out.push_str(
            "| step | peer | seconds | to the limit | MB on disk | peak MiB |\n|---|---|---|---|---|---|\n",
        );
        for (step, limit, peers) in self.steps(w.name) {
            for (peer, s) in peers {
                let ratio = limit.map_or_else(|| "–".into(), |l| format!("{:.2}", s.seconds / l));
                let bytes = s.bytes.map_or_else(|| "–".into(), |b| format!("{:.1}", b as f64 / 1e6));
                let (seconds, peak) = (s.seconds, s.peak >> 20);
                let _ = writeln!(out, "| {step} | {peer} | {seconds:.4} | {ratio} | {bytes} | {peak} |");
            }
        }
        out
    }
}
