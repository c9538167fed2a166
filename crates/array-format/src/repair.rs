//! Saving what is whole of a damaged file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use array_format_core::address::ObjectId;
use array_format_core::footer::Footer;
use array_format_core::format::constants::{HEADER_BYTES, TRAILER_BYTES};
use array_format_core::format::nodes::{Node, NodesPage};
use array_format_core::format::page::Table;
use array_format_core::format::trailer::{Header, Id, ObjectKind, Trailer};
use array_format_core::grid::element_count;
use array_format_core::schema::Schema;
use array_format_core::statistics::Statistics;
use array_format_core::value::Value;
use array_format_core::{Error, ErrorKind, Result};

use crate::config::FileConfig;
use crate::file::ArrayFile;
use crate::index::Version;
use crate::index::scan::KeyRange;
use crate::layer::head::{OpenLayer, read_root};
use crate::layer::{Head, Objects, names};
use crate::read::View;
use crate::read::view::{ChunkSource, FoundArray};
use crate::storage::{IntoStorage, ListEntry, ObjectTag};
use crate::write::brief::Brief;
use crate::write::define::ArrayDefinition;
use crate::write::pending::{Placed, StagedChunk, grid};
use crate::write::stage::staged_mut;

/// What was saved, and what was not.
#[derive(Debug, Clone, Default)]
pub struct RepairReport {
    /// Versions of the damaged file of which something was saved, and the versions of the new file that hold it.
    pub versions: Vec<(u64, u64)>,
    /// Arrays and groups of the newest of these that are in the new file.
    pub saved: u64,
    /// All that was lost.
    pub lost: Vec<Lost>,
}

/// Something that could not be saved.
#[derive(Debug, Clone)]
pub struct Lost {
    /// Of which version; `None`: the object as a whole.
    pub version: Option<u64>,
    /// Which array or group; `None` where not even the names can be read.
    pub path: Option<String>,
    /// Why, and where the damage is.
    pub error: Error,
}

impl ArrayFile {
    /// Saves every version and every array that is whole of a damaged file into a new file, and lists what was lost. The
    /// damaged file is only read.
    ///
    /// An array is whole in a version if its definition, all of its attributes and all of its chunks can be read. One that is damaged is left out
    /// of that version; an older one may have it. Versions of which nothing can be read are left out. Tags go along.
    ///
    /// # Errors
    /// `NotFound` if there is nothing at the path; `Corrupt` if nothing of it can be read; `AlreadyExists` if there is a file at the new
    /// one; what the storages say. Damage is no error, but stands in the report.
    ///
    /// # Cost
    /// Reads everything once a version that changed it. Memory grows with the number of arrays, not with their data.
    pub async fn repair(
        store: impl IntoStorage,
        path: &str,
        into_store: impl IntoStorage,
        into_path: &str,
        config: FileConfig,
    ) -> Result<RepairReport> {
        let objects = Arc::new(Objects::new(store.into_storage(), path.to_owned()));
        let mut report = RepairReport::default();
        let config = FileConfig { version: None, overwrite: false, ..config };
        let roots = find_roots(&objects, &mut report).await.map_err(|e| e.in_file(objects.describe()))?;
        let time = Arc::new(AtomicI64::new(roots.first().map_or(0, |r| r.footer.time_ms)));
        let clock = time.clone();
        let target = config.clone().with_clock(move || clock.load(Ordering::Relaxed));
        let file = ArrayFile::create(into_store, into_path, target).await?;
        let mut saver = Saver { file, known: BTreeMap::new(), report };
        for head in roots {
            time.store(head.footer.time_ms, Ordering::Relaxed);
            let config = Arc::new(config.clone());
            saver
                .save(Version {
                    objects: objects.clone(),
                    config,
                    head: Arc::new(head),
                    recent: Arc::default(),
                })
                .await?;
        }
        Ok(saver.report)
    }
}

/// All roots that can be read, oldest first.
async fn find_roots(objects: &Objects, report: &mut RepairReport) -> Result<Vec<Head>> {
    let listing = objects.list().await?;
    let base = look(objects, &objects.path, report).await?;
    let Some(file_id) = base.as_ref().map(|b| b.0.file_id).or_else(|| common_id(&listing)) else {
        return Err(match report.lost.pop() {
            Some(lost) => lost.error,
            None => Error::not_found("there is no file at this path, and no layer beside it"),
        });
    };
    let base_number = base.as_ref().map_or(0, |b| b.0.layer);
    let mut roots: BTreeMap<u64, Footer> = BTreeMap::new();
    roots.extend(base.and_then(|b| b.1).map(|f| (f.version, f)));
    for entry in &listing {
        let Some((id, ObjectId::Layer(n))) = names::parse(&entry.name) else { continue };
        if id == file_id
            && let Some((_, Some(footer))) = look(objects, &sidecar(objects, entry), report).await?
            && footer.version == n
        {
            roots.entry(n).or_insert(footer);
        }
    }
    // What the newest root gave up, others may have begun to delete.
    let keeps = roots.values().next_back().map(|newest| (newest.version, newest.floor, newest.tags.clone()));
    let is_version = |v: u64| {
        keeps
            .as_ref()
            .is_none_or(|(newest, floor, tags)| v == *newest || v >= *floor || tags.values().any(|t| *t == v))
    };
    let head = |footer: Footer| Head {
        file_id,
        footer: Arc::new(footer),
        base: base_number,
        base_tag: ObjectTag::new("not replaced"),
    };
    Ok(roots.into_values().filter(|f| is_version(f.version)).map(head).collect())
}

fn sidecar(objects: &Objects, entry: &ListEntry) -> String {
    format!("{}/{}", names::folder(&objects.path), entry.name)
}

/// The file id that most layers have.
fn common_id(listing: &[ListEntry]) -> Option<Id> {
    let mut counts: BTreeMap<Id, usize> = BTreeMap::new();
    listing
        .iter()
        .filter_map(|e| names::parse(&e.name))
        .for_each(|(id, _)| *counts.entry(id).or_default() += 1);
    counts.into_iter().max_by_key(|c| c.1).map(|c| c.0)
}

/// What an object says of itself, and its root if that is whole. Makes its blocks known also where the trailer is damaged.
async fn look(
    objects: &Objects,
    path: &str,
    report: &mut RepairReport,
) -> Result<Option<(Header, Option<Footer>)>> {
    let mut lose = |e: Error| {
        let error = e.in_file(objects.storage.describe(path));
        report.lost.push(Lost { version: None, path: None, error });
    };
    let object = match objects.open_path(path, TRAILER_BYTES as u64).await {
        Ok(object) => object,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Corrupt) => {
            lose(e);
            return Ok(None);
        }
        Err(e) => return Err(e),
    };
    let size = object.stored().size();
    let start = object.read(0..size.min(HEADER_BYTES as u64)).await?;
    let trailer = Trailer::decode(object.tail(), size);
    let header = match (Header::decode(&start), &trailer) {
        (Ok(header), _) => header,
        (Err(e), Ok(t)) => {
            lose(e);
            Header { kind: t.kind, file_id: t.file_id, layer: t.layer, write_id: t.write_id }
        }
        (Err(_), Err(e)) => {
            lose(e.clone());
            return Ok(None);
        }
    };
    objects.remember(header.write_id, object.clone());
    let root = match trailer {
        Err(e) => Err(e),
        Ok(trailer) if header.kind == ObjectKind::Layer => {
            read_root(&OpenLayer { object, trailer }).await.map(Some)
        }
        Ok(_) => Ok(None),
    };
    Ok(Some((header, root.map_err(lose).unwrap_or_default())))
}

/// What the new file has of a path.
#[derive(Debug, PartialEq)]
struct Known {
    id: u64,
    schema: Arc<Schema>,
    shape: Vec<u64>,
    attributes: Vec<(String, Value)>,
    /// Chunks, by coordinates, with the versions that wrote them.
    chunks: BTreeMap<Vec<u64>, u64>,
}

/// A node that is whole.
struct Whole {
    known: Known,
    placed: BTreeMap<Vec<u64>, Placed>,
}

struct Saver {
    file: ArrayFile,
    known: BTreeMap<String, Known>,
    report: RepairReport,
}

impl Saver {
    async fn save(&mut self, version: Version) -> Result<()> {
        let number = version.number();
        let mut lost = Vec::new();
        let paths = paths(&version, &mut lost).await?;
        let view = View { version: version.clone(), pending: Arc::default() };
        let mut there = BTreeMap::new();
        for path in paths {
            match self.whole(&view, &path).await {
                Ok(whole) => there.extend(whole.map(|w| (path, w))),
                Err(e) if is_damage(&e) => lost.push((Some(path), version.in_file(e))),
                Err(e) => return Err(e),
            }
        }
        self.report.saved = there.len() as u64;
        // What is gone goes first: an array may stand where a group was.
        let gone: Vec<String> = self.known.keys().filter(|p| !there.contains_key(*p)).cloned().collect();
        for path in gone.iter().rev() {
            self.known.remove(path);
            let below = format!("{path}/");
            let holds = there.range(below.clone()..).next().is_some_and(|t| t.0.starts_with(&below));
            if !path.is_empty() && !holds {
                self.file.delete(path).await?;
            }
        }
        for (path, whole) in there {
            self.put(&path, whole).await?;
        }
        let lose = |(path, error)| Lost { version: Some(number), path, error };
        self.report.lost.extend(lost.into_iter().map(lose));
        let message = version.head.footer.message.clone();
        let saved = self.file.flush_with_message(&message).await?;
        self.report.versions.push((number, saved));
        for (tag, tagged) in &version.head.footer.tags {
            let new = self.report.versions.iter().find(|v| v.0 == *tagged).map(|v| v.1);
            // Of a version that nothing is left of, no name either.
            if let Some(new) = new.filter(|new| *new > 0 && self.file.tags().get(tag) != Some(new)) {
                self.file.tag(tag, new).await?;
            }
        }
        Ok(())
    }

    /// Everything of a node, read; `None` if there is none, an error if it is damaged.
    async fn whole(&self, view: &View, path: &str) -> Result<Option<Whole>> {
        let Some(row) = view.version.node(path).await? else { return Ok(None) };
        let Some(node) = row.node else { return Ok(None) };
        let attributes = view.attributes(&node).await?;
        let mut chunks = BTreeMap::new();
        let mut placed = BTreeMap::new();
        if let (Schema::Array(schema), Some(grid)) = (&*node.schema, grid(&node)) {
            let before = self.known.get(path).filter(|k| k.id == node.id && k.shape == node.shape);
            let array = FoundArray { node: node.clone(), schema: schema.clone() };
            for (coords, source) in view.written_chunks(&node).await? {
                let ChunkSource::Stored(chunk) = source else { continue };
                let written = written_by(&view.version, &node, &coords).await?;
                chunks.insert(coords.clone(), written);
                if before.is_some_and(|b| b.chunks.get(&coords) == Some(&written)) {
                    continue;
                }
                let n = element_count(&grid.extents(&coords))?;
                let elements = view.version.whole_chunk(&array.schema, &chunk, n).await?;
                // Of the data: what the index says may be damaged apart from it.
                let statistics = Statistics::of(&elements);
                let from = Some(Box::new(view.version.clone()));
                placed.insert(coords, Placed { chunk, statistics: Brief::new(statistics), from });
            }
        }
        let known = Known { id: node.id, schema: node.schema, shape: node.shape, attributes, chunks };
        Ok(Some(Whole { known, placed }))
    }

    /// Brings the new file to what the version has at a path.
    async fn put(&mut self, path: &str, whole: Whole) -> Result<()> {
        let Whole { known, placed } = whole;
        if self.known.get(path) == Some(&known) {
            return Ok(());
        }
        let before = self.known.get(path).filter(|k| k.id == known.id && k.schema == known.schema);
        let same = before.is_some();
        let old_names: Vec<String> =
            before.map_or_else(Vec::new, |b| b.attributes.iter().map(|a| a.0.clone()).collect());
        match &*known.schema {
            Schema::Array(schema) if !same => {
                let definition = ArrayDefinition::of_schema((**schema).clone(), known.shape.clone());
                self.file.redefine(path, definition).await?;
            }
            Schema::Array(_) => self.file.resize(path, known.shape.clone()).await?,
            Schema::Group(group) => {
                if !path.is_empty() && !same {
                    self.file.define_group(path).await?;
                }
                for ((name, length), unlimited) in
                    group.dimensions.iter().zip(&known.shape).zip(&group.unlimited)
                {
                    self.file.define_dimension(path, name, *length, *unlimited).await?;
                }
            }
        }
        for name in old_names.iter().filter(|n| known.attributes.iter().all(|a| a.0 != **n)) {
            self.file.remove_attribute(path, name).await?;
        }
        for (name, value) in &known.attributes {
            self.file.set_attribute(path, name, value.clone()).await?;
        }
        if !placed.is_empty() {
            self.file.stage(path).await?;
            self.file.edit(|p| {
                let id = staged_mut(p, path)?.node.id;
                p.put_chunks(id, placed.into_iter().map(|(k, p)| (k, StagedChunk::Placed(Arc::new(p)))));
                Ok(())
            })?;
        }
        self.known.insert(path.to_owned(), known);
        Ok(())
    }
}

fn is_damage(e: &Error) -> bool {
    matches!(
        e.kind(),
        ErrorKind::Corrupt | ErrorKind::NotFound | ErrorKind::SnapshotExpired | ErrorKind::Unsupported
    )
}

async fn written_by(version: &Version, node: &Node, coords: &[u64]) -> Result<u64> {
    if let Some((_, version)) = &node.chunk {
        return Ok(*version);
    }
    Ok(version.chunk(node.id, coords).await?.map_or(0, |row| row.version))
}

/// All paths that can be read in the index of a version, be it in a run that does not decide.
async fn paths(version: &Version, lost: &mut Vec<(Option<String>, Error)>) -> Result<BTreeSet<String>> {
    let mut paths = BTreeSet::new();
    let directories = version.head.footer.runs.iter().filter_map(|r| r.directory(Table::Nodes));
    for directory in directories {
        let leaves = match version.leaves(directory, &KeyRange::all()).await {
            Ok(leaves) => leaves,
            Err(e) if is_damage(&e) => {
                lost.push((None, e));
                continue;
            }
            Err(e) => return Err(e),
        };
        for leaf in leaves {
            match version.page::<NodesPage>(Table::Nodes, &leaf).await {
                Ok(page) => paths.extend((0..page.len()).map(|row| page.path(row))),
                Err(e) if is_damage(&e) => lost.push((None, e)),
                Err(e) => return Err(e),
            }
        }
    }
    Ok(paths)
}
