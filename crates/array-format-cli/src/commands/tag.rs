//! `af tag`

use std::path::PathBuf;

use crate::Outcome;
use crate::stores::Stores;
use array_format::Result;
use array_format::blocking::wait;
use clap::Args;

use crate::print::line;

#[derive(Debug, Args)]
pub(crate) struct Tag {
    /// The file: a path or a URL.
    file: PathBuf,
    /// The name; without it, all tags are listed.
    name: Option<String>,
    /// The version; without it, the newest.
    #[arg(conflicts_with = "delete")]
    version: Option<u64>,
    /// Takes the name away.
    #[arg(short, long, requires = "name")]
    delete: bool,
}

impl Tag {
    pub(crate) fn run(self, stores: &Stores) -> Result<Outcome> {
        let mut file = super::open(stores, &self.file, None)?;
        let Some(name) = self.name else {
            for (name, version) in file.tags() {
                line(&format!("{version}  {name}"));
            }
            return Ok(Outcome::Done);
        };
        if self.delete {
            return match wait(file.remove_tag(&name))? {
                true => Ok(Outcome::Done),
                false => Err(array_format::Error::not_found(format!(
                    "there is no tag {name:?}; `af tag FILE` lists them"
                ))),
            };
        }
        let version = self.version.unwrap_or_else(|| file.version());
        wait(file.tag(&name, version))?;
        line(&format!("version {version} is {name:?}"));
        Ok(Outcome::Done)
    }
}
