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

    /// A table in Markdown: seconds, ratio to the limit (or to the fastest), megabytes on disk, peak memory.
    pub fn table(&self, w: &Workload) -> String {
        let mut out = format!("\n### {}\n\n", w.title);
        out.push_str(
            "| step | peer | seconds | to the limit | MB on disk | peak MiB |\n|---|---|---|---|---|---|\n",
        );
        for row in self.rows.iter().filter(|r| r.workload == w.name) {
            let limit = row.peers.get(LIMIT).map(|s| s.seconds);
            let mut peers: Vec<(&String, &Step)> = row.peers.iter().collect();
            peers.sort_by(|a, b| a.1.seconds.total_cmp(&b.1.seconds));
            for (peer, s) in peers {
                let ratio = limit.map_or_else(|| "–".into(), |l| format!("{:.2}", s.seconds / l));
                let bytes = s.bytes.map_or_else(|| "–".into(), |b| format!("{:.1}", b as f64 / 1e6));
                let (step, seconds, peak) = (&row.step, s.seconds, s.peak >> 20);
                let _ = writeln!(out, "| {step} | {peer} | {seconds:.4} | {ratio} | {bytes} | {peak} |");
            }
        }
        out
    }
}
