//! `af log`

use std::path::PathBuf;

use crate::Outcome;
use crate::stores::Stores;
use array_format::blocking::wait;
use array_format::{Cause, Change, Result};
use clap::Args;
use serde_json::json;

use crate::print::{bytes, line};

#[derive(Debug, Args)]
pub(crate) struct Log {
    /// The file: a path or a URL.
    file: PathBuf,
    /// Also what each version changed.
    #[arg(long)]
    changes: bool,
    /// A JSON object a line.
    #[arg(long)]
    json: bool,
}

impl Log {
    pub(crate) fn run(self, stores: &Stores) -> Result<Outcome> {
        let file = super::open(stores, &self.file, None)?;
        let versions = wait(file.versions())?;
        for (i, v) in versions.iter().enumerate().rev() {
            let cause = match v.cause {
                Cause::Create => "create",
                Cause::Commit => "commit",
                Cause::Compaction => "compaction",
                Cause::Collection => "collection",
            };
            let before = i.checked_sub(1).and_then(|i| versions.get(i)).filter(|_| self.changes);
            let changes = before.map_or(Ok(Vec::new()), |b| wait(file.diff(b.version, v.version)))?;
            if self.json {
                let changes: Vec<_> =
                    changes.iter().map(|(name, c)| json!({"name": name, "change": describe(c)})).collect();
                line(&json!({
                    "version": v.version, "time_ms": v.time_ms, "cause": cause, "message": v.message, "arrays": v.arrays,
                    "layers": v.layers, "layer_bytes": v.layer_bytes, "tags": v.tags, "changes": changes,
                }));
                continue;
            }
            let size = bytes(v.layer_bytes);
            let tags: String = v.tags.iter().map(|t| format!("[{t}] ")).collect();
            line(
                &format!(
                    "version {}  {}  {cause}, {} arrays, {} layers, {size}  {tags}{}",
                    v.version,
                    utc(v.time_ms),
                    v.arrays,
                    v.layers,
                    v.message
                )
                .trim_end(),
            );
            for (name, change) in changes.iter().take(SHOWN) {
                line(&format!("    {name}: {}", describe(change)));
            }
            if changes.len() > SHOWN {
                line(&format!("    and {} more; --json has all of them", changes.len() - SHOWN));
            }
        }
        Ok(Outcome::Done)
    }
}

/// Changes of a version that are shown to a person.
const SHOWN: usize = 8;

fn describe(change: &Change) -> String {
    match change {
        Change::Added => "added".into(),
        Change::Removed => "removed".into(),
        Change::Modified { definition, chunks, attributes } => {
            let mut parts = Vec::new();
            if *definition {
                parts.push("definition".to_owned());
            }
            match &chunks[..] {
                [] => {}
                [one] => parts.push(format!("chunk {one:?}")),
                many => parts.push(format!("{} chunks", many.len())),
            }
            parts.extend(attributes.iter().map(|a| format!("attribute {a}")));
            parts.join(", ")
        }
    }
}

/// `2026-01-31T12:00:00Z`, by the civil calendar: the days of 400 years are counted from 1 March, so that leap days come last.
fn utc(time_ms: i64) -> String {
    let seconds = time_ms.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (d, m) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let y = year + era * 400 + i64::from(m <= 2);
    format!("{y:04}-{m:02}-{d:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates_of_known_seconds() {
        assert_eq!(super::utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(super::utc(951_827_696_123), "2000-02-29T12:34:56Z");
        assert_eq!(super::utc(-1), "1969-12-31T23:59:59Z");
    }
}
