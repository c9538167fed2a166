//! `af stats`

use std::path::PathBuf;

use crate::Outcome;
use crate::stores::Stores;
use array_format::blocking::wait;
use array_format::{ArrayStatistics, Counts, Result};
use clap::Args;
use serde_json::json;

use crate::print::{line, value_json};

#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// The file: a path or a URL.
    file: PathBuf,
    /// One array; without it all of them.
    array: Option<String>,
    /// Also every chunk of the array.
    #[arg(long, requires = "array")]
    chunks: bool,
    /// Reads an older version.
    #[arg(long)]
    version: Option<u64>,
    /// A JSON object a line.
    #[arg(long)]
    json: bool,
}

impl Stats {
    pub(crate) fn run(self, stores: &Stores) -> Result<Outcome> {
        let file = super::open(stores, &self.file, self.version)?;
        let all = match &self.array {
            Some(name) => vec![wait(file.statistics(name))?],
            None => wait(file.statistics_index())?,
        };
        for s in &all {
            if !self.print(&s.name, s) {
                return Ok(Outcome::Done);
            }
        }
        if let (true, Some(name)) = (self.chunks, &self.array) {
            for c in wait(file.chunks(name))? {
                let elements = c.shape.iter().product();
                let of_chunk = ArrayStatistics { name: name.clone(), elements, statistics: c.statistics };
                if !self.print(&format!("{name} chunk {:?}", c.coords), &of_chunk) {
                    break;
                }
            }
        }
        Ok(Outcome::Done)
    }

    fn print(&self, what: &str, s: &ArrayStatistics) -> bool {
        let (min, max) = (s.statistics.min(), s.statistics.max());
        let count = |f: fn(&Counts) -> u64| s.statistics.counts.as_ref().map(f);
        if self.json {
            return line(&json!({
                "name": what, "elements": s.elements, "min": min.map(value_json), "max": max.map(value_json),
                "exact": !s.statistics.loose, "rows": count(|c| c.rows), "nulls": count(|c| c.nulls), "nans": count(|c| c.nans),
            }));
        }
        let text = |v: Option<String>| v.unwrap_or_else(|| "unknown".into());
        let range = match (min, max) {
            (Some(min), Some(max)) => format!("{min} .. {max}"),
            _ if s.statistics.has_no_values() => "no values".into(),
            _ => "unknown range".into(),
        };
        let number = |f| text(count(f).map(|n| n.to_string()));
        line(&format!(
            "{what}  {range}  {} of {} written, {} null, {} NaN",
            number(|c| c.rows),
            s.elements,
            number(|c| c.nulls),
            number(|c| c.nans)
        ))
    }
}
