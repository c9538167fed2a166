//! `af import`

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::stores::Stores;
use array_format::blocking::wait;
use array_format::{ArrayDefinition, ArrayFile, Elements, Error, ErrorKind, Result, Value, Values, Variable};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::import::af::{CHAR, TYPE_MARK};
use crate::import::slabs::{SLAB_BYTES, slabs};
use crate::import::{AttributeValue, Source, SourceValues, SourceVariable, open};
use crate::print::{bytes, line};

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The array-format file, a path or a URL; created if it is not there.
    file: PathBuf,
    /// NetCDF, HDF5, .npy and .npz files, paths or URLs. One goes to the top of the file, several to a group each, named after the file
    /// and the folders that the files do not share.
    #[arg(required = true)]
    sources: Vec<PathBuf>,
    /// Puts everything into this group.
    #[arg(long)]
    group: Option<String>,
    /// A group for each file, also if there is only one.
    #[arg(long)]
    groups: bool,
    /// What to say of the new version.
    #[arg(short, long, default_value = "")]
    message: String,
}

/// Data that waits in memory before it is committed. An import of more becomes several versions.
const COMMIT_BYTES: u64 = 256 << 20;

/// Of a source that is copied to this machine, so much is asked for at once.
const COPY_BYTES: usize = 16 << 20;

/// Arrays that the source does not chunk are cut into chunks of about this size if they are larger.
const CHUNK_BYTES: u64 = 4 << 20;

impl Import {
    pub(crate) fn run(self, stores: &Stores) -> Result<Outcome> {
        let groups =
            group_names(&self.sources, self.groups || self.sources.len() > 1, self.group.as_deref())?;
        let place = super::place(stores, &self.file)?;
        let mut file = match wait(ArrayFile::open_at(place.clone(), stores.config())) {
            Err(e) if e.kind() == ErrorKind::NotFound => wait(ArrayFile::create_at(place, stores.config()))?,
            other => other?,
        };
        let message = if self.message.is_empty() {
            format!("import of {} files", self.sources.len())
        } else {
            self.message
        };
        let progress = ProgressBar::new(self.sources.len() as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
            progress.set_style(style);
        }
        let mut left_out = Vec::new();
        let mut arrays = 0;
        for (path, group) in self.sources.iter().zip(&groups) {
            progress.set_message(path.display().to_string());
            let imported = here(stores, path).and_then(|here| {
                let path = here.as_ref().map_or(path.as_path(), |here| here.path.as_path());
                import_one(&mut file, path, group, &mut left_out, &message)
            });
            match imported {
                Ok(n) => arrays += n,
                Err(e) => left_out.push(format!("{}: {e}", path.display())),
            }
            progress.inc(1);
        }
        let version = wait(file.flush_with_message(&message))?;
        progress.finish_and_clear();
        for text in &left_out {
            eprintln!("af: left out: {text}");
        }
        let size = bytes(file.usage().object_bytes);
        line(&format!("version {version}: {arrays} arrays of {} files, {size}", self.sources.len()));
        Ok(if left_out.is_empty() { Outcome::Done } else { Outcome::Partly })
    }
}

/// A source that was brought to this machine, for as long as it is read.
struct Here {
    path: PathBuf,
    /// It goes with the copy.
    _folder: tempfile::TempDir,
}

/// A copy of a source that is named by URL: the readers of these formats seek about in a file of this machine.
fn here(stores: &Stores, source: &Path) -> Result<Option<Here>> {
    let Some(url) = source.to_str().filter(|s| s.contains("://")) else { return Ok(None) };
    let failed =
        |e| Error::new(ErrorKind::Unavailable, "no temporary file for a copy of the source").with_source(e);
    let place = stores.options.place(url)?;
    let object = wait(place.storage.open(&place.path, 0))?.object;
    let folder = tempfile::tempdir().map_err(failed)?;
    let path = folder.path().join(source.file_name().unwrap_or_default());
    let mut file = File::create(&path).map_err(failed)?;
    let cuts: Vec<u64> = (0..object.size()).step_by(COPY_BYTES).chain([object.size()]).collect();
    for range in cuts.windows(2) {
        if let [from, to] = *range {
            file.write_all(&wait(object.read(from..to))?).map_err(failed)?;
        }
    }
    Ok(Some(Here { path, _folder: folder }))
}

/// The group of each file: its path below the folder that all have in common, without its ending.
fn group_names(sources: &[PathBuf], several: bool, into: Option<&str>) -> Result<Vec<String>> {
    let prefix = into.map(|g| g.trim_matches('/').to_owned()).unwrap_or_default();
    if !several {
        return Ok(vec![prefix; sources.len()]);
    }
    let parents: Vec<Vec<_>> =
        sources.iter().map(|s| s.parent().unwrap_or(Path::new("")).components().collect()).collect();
    let first = parents.first().cloned().unwrap_or_default();
    let shared = (0..first.len()).take_while(|i| parents.iter().all(|p| p.get(*i) == first.get(*i))).count();
    let mut seen = BTreeSet::new();
    let mut names = Vec::new();
    for (source, parent) in sources.iter().zip(&parents) {
        let mut parts: Vec<String> =
            parent.iter().skip(shared).map(|c| c.as_os_str().to_string_lossy().into_owned()).collect();
        parts.push(source.file_stem().unwrap_or_default().to_string_lossy().into_owned());
        if !prefix.is_empty() {
            parts.insert(0, prefix.clone());
        }
        let name = parts.join("/");
        if !seen.insert(name.clone()) {
            return Err(Error::invalid(format!(
                "two files would become group {name:?}; import them one by one with --group"
            )));
        }
        names.push(name);
    }
    Ok(names)
}

/// Imports all of a source into a group. What cannot be imported is noted; a file that fails halfway is taken back as a whole.
fn import_one(
    file: &mut ArrayFile,
    path: &Path,
    group: &str,
    left_out: &mut Vec<String>,
    message: &str,
) -> Result<u64> {
    let source = open(path)?;
    let join = |name: &str| match (group, name) {
        ("", n) => n.to_owned(),
        (g, "") => g.to_owned(),
        (g, n) => format!("{g}/{n}"),
    };
    if !group.is_empty()
        && wait(file.list_groups())?.iter().any(|g| g == group)
        && wait(has_arrays(file, group))?
    {
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            format!("group {group:?} is in the file already; choose another with --group"),
        ));
    }
    for s in source.skipped() {
        let what = s.attribute.as_ref().map(|a| format!(", attribute {a}")).unwrap_or_default();
        left_out.push(format!("{}: {}{what}: {}", path.display(), s.name, s.reason));
    }
    for g in source.groups() {
        let name = join(&g.path);
        if !name.is_empty() {
            match wait(file.define_group(&name)) {
                Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(e),
                _ => {}
            }
        }
        for d in &g.dimensions {
            wait(file.define_dimension(&name, &d.name, d.len, d.unlimited))?;
        }
        for (key, value) in &g.attributes {
            wait(file.set_attribute(&name, key, to_value(value)))?;
        }
    }
    let mut arrays = 0;
    for v in source.variables() {
        let name = join(&v.name);
        match import_variable(file, source.as_ref(), v, &name, message) {
            Ok(()) => arrays += 1,
            Err(e) => {
                // Half a variable is worse than none.
                if wait(file.contains(&name))? && e.kind() != ErrorKind::AlreadyExists {
                    wait(file.delete(&name))?;
                }
                left_out.push(format!("{}: {}: {e}", path.display(), v.name));
            }
        }
    }
    Ok(arrays)
}

async fn has_arrays(file: &ArrayFile, group: &str) -> Result<bool> {
    Ok(!file.list_arrays_in(&format!("{group}/")).await?.is_empty())
}

fn import_variable(
    file: &mut ArrayFile,
    source: &dyn Source,
    v: &SourceVariable,
    name: &str,
    message: &str,
) -> Result<()> {
    let mut definition = ArrayDefinition::of_dtype(v.dtype, false, v.dims.clone(), v.shape.clone());
    if let Some(chunk) = chunk_shape(v) {
        definition = definition.chunk_shape(chunk);
    }
    if let Some(fill) = &v.fill {
        definition = definition.fill_bytes(fill.clone());
    }
    file.define(name, definition)?;
    for (key, value) in &v.attributes {
        wait(file.set_attribute(name, key, to_value(value)))?;
    }
    if v.is_char {
        wait(file.set_attribute(name, TYPE_MARK, CHAR))?;
    }
    for slab in slabs(v, SLAB_BYTES) {
        let values = match source.read(&v.name, &slab.start, &slab.shape)? {
            SourceValues::Fixed(b) => Values::Fixed(b),
            SourceValues::Strings(s) => variable(s.iter().map(String::as_bytes)),
            SourceValues::Binary(b) | SourceValues::Lists { lists: b, .. } => {
                variable(b.iter().map(Vec::as_slice))
            }
        };
        let elements = Elements { dtype: v.dtype, values, validity: None };
        wait(file.write_elements(name, slab.start, slab.shape, elements))?;
        if file.pending_bytes() > COMMIT_BYTES {
            wait(file.flush_with_message(message))?;
        }
    }
    Ok(())
}

fn variable<'a>(elements: impl Iterator<Item = &'a [u8]>) -> Values {
    let mut all = Variable::default();
    elements.for_each(|e| all.push(e));
    Values::Variable(all)
}

/// The chunks of the source; an array that is large and has none is cut along its first axes.
fn chunk_shape(v: &SourceVariable) -> Option<Vec<u64>> {
    if let Some(chunk) = &v.chunk_shape {
        return Some(chunk.iter().map(|c| (*c).max(1)).collect());
    }
    let size = v.dtype.fixed_size_bytes().unwrap_or(32) as u64;
    let bytes = v.shape.iter().fold(size, |n, s| n.saturating_mul(*s));
    if bytes <= CHUNK_BYTES {
        return None;
    }
    let mut chunk = vec![1; v.shape.len()];
    let mut room = CHUNK_BYTES / size;
    for (c, n) in chunk.iter_mut().zip(&v.shape).rev() {
        *c = room.clamp(1, (*n).max(1));
        room /= *c;
    }
    Some(chunk)
}

fn to_value(value: &AttributeValue) -> Value {
    match value.clone() {
        AttributeValue::Scalar(item, bytes) => match array_format::ScalarValue::from_bytes(item, &bytes) {
            Ok(s) => s.into(),
            Err(_) => Value::List { item, bytes },
        },
        AttributeValue::String(s) => Value::String(s),
        AttributeValue::Binary(b) => Value::Binary(b),
        AttributeValue::List(item, bytes) => Value::List { item, bytes },
        AttributeValue::StringList(l) => Value::StringList(l),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_named_by_what_files_do_not_share() {
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        let names = group_names(&paths(&["d/a.nc", "d/x/b.nc"]), true, None).unwrap();
        assert_eq!(names, ["a", "x/b"]);
        assert_eq!(group_names(&paths(&["d/a.nc"]), false, None).unwrap(), [""]);
        assert_eq!(group_names(&paths(&["d/a.nc"]), true, Some("g")).unwrap(), ["g/a"]);
        assert!(group_names(&paths(&["a.nc", "a.npy"]), true, None).is_err());
    }
}
