//! All groups and datasets of a file, and the variables that they become.

use std::collections::{HashMap, HashSet};

use array_format_core::{DType, Result};
use hdf5_reader::group::Group;
use hdf5_reader::{Dataset, Hdf5File};

use super::super::netcdf::fill_attribute;
use super::super::{Skipped, SourceDimension, SourceGroup, SourceVariable, lanes};
use super::attributes::{self, Owner};
use super::dimensions::GroupDimensions;
use super::types::Element;
use super::{Stored, failed};

/// Nobody nests groups deeper than this.
const MAX_DEPTH: usize = 64;

/// What netCDF puts before the name of a variable that is called like a dimension but is not its coordinate.
const NOT_A_COORDINATE: &str = "_nc4_non_coord_";

/// A group with its datasets.
pub(super) struct Node {
    pub(super) path: String,
    pub(super) group: Group,
    pub(super) datasets: Vec<Dataset>,
    pub(super) skipped: Vec<Skipped>,
}

/// All groups, parents before children.
pub(super) fn walk(file: &Hdf5File) -> Result<Vec<Node>> {
    let mut nodes = Vec::new();
    let root = file.root_group().map_err(failed)?;
    visit(root, "", 0, &mut HashSet::new(), &mut nodes)?;
    Ok(nodes)
}

fn visit(
    group: Group,
    path: &str,
    depth: usize,
    seen: &mut HashSet<u64>,
    nodes: &mut Vec<Node>,
) -> Result<()> {
    let mut skipped = Vec::new();
    let (children, datasets) = match group.members() {
        Ok(members) => members,
        Err(_) => one_by_one(&group, path, &mut skipped)?,
    };
    seen.insert(group.address());
    nodes.push(Node { path: path.to_owned(), group, datasets, skipped });
    let this = nodes.len() - 1;
    for child in children {
        let path = join(path, leaf(child.name()));
        let reason = match depth < MAX_DEPTH {
            true if !seen.contains(&child.address()) => {
                visit(child, &path, depth + 1, seen, nodes)?;
                continue;
            }
            true => "another link to a group that is imported under its first name".to_owned(),
            false => format!("groups nested more than {MAX_DEPTH} deep"),
        };
        nodes[this].skipped.push(Skipped { name: path, attribute: None, reason });
    }
    Ok(())
}

/// The members of a group of which one at least cannot be read.
fn one_by_one(group: &Group, path: &str, skipped: &mut Vec<Skipped>) -> Result<(Vec<Group>, Vec<Dataset>)> {
    let (groups, datasets) = group.member_names().map_err(failed)?;
    let mut note = |name: &str, e: &hdf5_reader::error::Error| {
        skipped.push(Skipped { name: join(path, name), attribute: None, reason: e.to_string() });
    };
    let mut found = (Vec::new(), Vec::new());
    for name in groups {
        match group.group(&name) {
            Ok(g) => found.0.push(g),
            Err(e) => note(&name, &e),
        }
    }
    for name in datasets {
        match group.dataset(&name) {
            Ok(d) => found.1.push(d),
            Err(e) => note(&name, &e),
        }
    }
    Ok(found)
}

pub(super) fn leaf(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

/// What a source shows.
#[derive(Default)]
pub(super) struct Catalog {
    pub(super) groups: Vec<SourceGroup>,
    pub(super) variables: Vec<SourceVariable>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) stored: HashMap<String, Stored>,
}

impl Catalog {
    /// Adds a group and its variables.
    pub(super) fn add(&mut self, node: Node, dimensions: GroupDimensions) {
        self.skipped.extend(node.skipped);
        let attributes = attributes::read(&Owner::Group(&node.group), &node.path, &mut self.skipped);
        self.groups.push(SourceGroup {
            path: node.path.clone(),
            dimensions: dimensions.declared,
            attributes,
        });
        for (dataset, axes) in node.datasets.into_iter().zip(dimensions.axes) {
            let Some(axes) = axes else { continue }; // a dimension without a variable
            let name = leaf(dataset.name());
            let name = join(&node.path, name.strip_prefix(NOT_A_COORDINATE).unwrap_or(name));
            if let Err(reason) = self.add_variable(&name, dataset, axes.names, axes.shape, axes.is_scale) {
                self.skipped.push(Skipped { name, attribute: None, reason });
            }
        }
    }

    fn add_variable(
        &mut self,
        name: &str,
        dataset: Dataset,
        dims: Vec<String>,
        shape: Vec<u64>,
        is_scale: bool,
    ) -> Result<(), String> {
        let element = Element::of(dataset.dtype(), &|| dataset.raw_datatype().ok())?;
        if shape.is_empty() && matches!(dataset.num_elements(), Ok(0)) {
            return Err("it has no extents and no value (a null dataspace)".to_owned());
        }
        if self.stored.contains_key(name) {
            return Err("another variable has that name".to_owned());
        }
        let attributes = attributes::read(&Owner::Dataset(&dataset, is_scale), name, &mut self.skipped);
        let is_char = element == Element::Char;
        let declared = element.dtype().item().filter(|_| matches!(element.dtype(), DType::Scalar(_)));
        let fill = declared.and_then(|item| fill_attribute(&attributes, item, is_char));
        let fill = fill.or_else(|| stored_fill(&dataset, element));
        let chunk_shape = dataset.chunks().map(|c| c.iter().map(|n| u64::from(*n)).collect());
        // An unlimited dimension that another variable has grown: the rest of this one reads as its fill value.
        let dataset = dataset.with_padded_shape(&shape).map_err(|e| e.to_string())?;
        self.variables.push(SourceVariable {
            name: name.to_owned(),
            dtype: element.dtype(),
            dims,
            shape,
            chunk_shape,
            fill,
            attributes,
            is_char,
            column_major: false,
        });
        self.stored.insert(name.to_owned(), Stored { dataset, element });
        Ok(())
    }
}

/// The fill value that HDF5 itself keeps, for elements of fixed width.
fn stored_fill(dataset: &Dataset, element: Element) -> Option<Vec<u8>> {
    let swap = match element {
        Element::Fixed { swap, .. } => swap,
        Element::Char => 1,
        _ => return None,
    };
    let fill = dataset.fill_value().filter(|f| f.defined)?;
    let mut bytes = fill.value.clone()?;
    lanes::swap(&mut bytes, swap);
    (element.dtype().fixed_size_bytes() == Some(bytes.len())).then_some(bytes)
}

/// A dimension as a group declares it.
pub(super) fn declared(name: &str, len: u64, unlimited: bool) -> SourceDimension {
    SourceDimension { name: name.to_owned(), len, unlimited }
}
