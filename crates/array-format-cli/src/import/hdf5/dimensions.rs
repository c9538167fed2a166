//! Dimensions out of dimension scales.
//!
//! NetCDF-4 keeps a dimension as a dataset with `CLASS` = `DIMENSION_SCALE`, which is at the same time its
//! coordinate variable, unless its `NAME` says that there is none. A dataset names its dimensions by references
//! (`DIMENSION_LIST`) or, if it is a scale itself and has several, by their numbers (`_Netcdf4Coordinates`).
//! An axis without a scale gets an anonymous dimension.

use std::collections::HashMap;

use hdf5_reader::Dataset;

use super::super::SourceDimension;
use super::super::anonymous::Anonymous;
use super::catalog::{Node, declared, leaf};

const WITHOUT_VARIABLE: &str = "This is a netCDF dimension but not a netCDF variable";

/// Dimensions of a group.
pub(super) struct GroupDimensions {
    pub(super) declared: Vec<SourceDimension>,
    /// For each dataset its axes; `None` for a dimension without a variable.
    pub(super) axes: Vec<Option<Axes>>,
}

/// The axes of a variable.
pub(super) struct Axes {
    pub(super) names: Vec<String>,
    /// Its shape in netCDF's eyes: unlimited dimensions are as long for all who share them.
    pub(super) shape: Vec<u64>,
    pub(super) is_scale: bool,
}

struct Scale {
    name: String,
    len: u64,
    unlimited: bool,
    node: usize,
    address: u64,
    id: Option<i32>,
    has_variable: bool,
}

#[derive(Default)]
struct Scales {
    all: Vec<Scale>,
    by_address: HashMap<u64, usize>,
    by_id: HashMap<i32, usize>,
}

/// The dimensions of each group.
pub(super) fn resolve(nodes: &mut [Node]) -> Vec<GroupDimensions> {
    let mut scales = Scales::default();
    for (node, group) in nodes.iter().enumerate() {
        group.datasets.iter().for_each(|d| scales.add(node, d));
    }
    // Which scale each axis of each dataset has.
    let axes: Vec<Vec<Vec<Option<usize>>>> =
        nodes.iter().map(|n| n.datasets.iter().map(|d| scales.of_axes(d)).collect()).collect();
    for (dataset, axes) in nodes.iter().zip(&axes).flat_map(|(n, a)| n.datasets.iter().zip(a)) {
        scales.grow(dataset, axes);
    }
    let mut out: Vec<GroupDimensions> = (0..nodes.len()).map(|n| scales.declared_by(n)).collect();
    let first = scales.all.iter().filter_map(|s| s.id).map(|id| u64::try_from(id).unwrap_or(0) + 1).max();
    let mut anonymous = Anonymous::new("phony_dim_", first.unwrap_or(scales.all.len() as u64));
    for node in children_first(nodes) {
        for (dataset, axes) in nodes[node].datasets.iter().zip(&axes[node]) {
            let named = scales.name_axes(dataset, axes, node, nodes, &mut out[node].declared, &mut anonymous);
            out[node].axes.push(named);
        }
    }
    out
}

/// The order in which netCDF numbers anonymous dimensions.
fn children_first(nodes: &[Node]) -> Vec<usize> {
    fn below(nodes: &[Node], of: usize, out: &mut Vec<usize>) {
        let path = &nodes[of].path;
        for (child, node) in nodes.iter().enumerate().skip(of + 1) {
            let parent = node.path.rsplit_once('/').map_or("", |(parent, _)| parent);
            if parent == path {
                below(nodes, child, out);
            }
        }
        out.push(of);
    }
    let mut out = Vec::with_capacity(nodes.len());
    if !nodes.is_empty() {
        below(nodes, 0, &mut out);
    }
    out
}

fn text(dataset: &Dataset, name: &str) -> Option<String> {
    dataset.attribute(name).ok()?.read_string().ok()
}

fn unlimited(dataset: &Dataset, axis: usize) -> bool {
    dataset.max_dims().and_then(|d| d.get(axis)) == Some(&u64::MAX)
}

impl Scales {
    fn add(&mut self, node: usize, dataset: &Dataset) {
        if text(dataset, "CLASS").as_deref() != Some("DIMENSION_SCALE") || self.of(dataset).is_some() {
            return;
        }
        let id = dataset.attribute("_Netcdf4Dimid").ok().and_then(|a| a.read_scalar::<i32>().ok());
        let index = self.all.len();
        self.by_address.insert(dataset.address(), index);
        id.map(|id| self.by_id.entry(id).or_insert(index));
        self.all.push(Scale {
            name: leaf(dataset.name()).to_owned(),
            len: dataset.shape().first().copied().unwrap_or(1),
            unlimited: unlimited(dataset, 0),
            node,
            address: dataset.address(),
            id,
            has_variable: !text(dataset, "NAME").is_some_and(|n| n.starts_with(WITHOUT_VARIABLE)),
        });
    }

    fn of(&self, dataset: &Dataset) -> Option<usize> {
        self.by_address.get(&dataset.address()).copied()
    }

    /// The scale of each axis.
    fn of_axes(&self, dataset: &Dataset) -> Vec<Option<usize>> {
        let rank = dataset.ndim();
        let ids = dataset.attribute("_Netcdf4Coordinates").and_then(|a| a.read_1d::<i32>());
        let mut axes = match (ids, self.of(dataset)) {
            (Ok(ids), _) if ids.len() == rank => ids.iter().map(|id| self.by_id.get(id).copied()).collect(),
            (_, Some(itself)) => vec![Some(itself)],
            _ => (0..rank).map(|axis| self.referenced(dataset, axis)).collect(),
        };
        axes.resize(rank, None);
        axes
    }

    /// The first scale that `DIMENSION_LIST` gives for an axis.
    fn referenced(&self, dataset: &Dataset, axis: usize) -> Option<usize> {
        let list = dataset.attribute("DIMENSION_LIST").ok()?;
        let width = dataset.vlen_reference_size();
        let offset_size = width.checked_sub(8)?;
        let entry = list.raw_data.chunks_exact(width).nth(axis)?;
        let references = dataset.resolve_vlen_reference_bytes(entry, offset_size).ok()?;
        let offset_size = u8::try_from(offset_size).ok()?;
        let addresses = hdf5_reader::reference::read_object_references(&references, offset_size).ok()?;
        self.by_address.get(addresses.first()?).copied()
    }

    /// An unlimited dimension is as long as the longest of its variables.
    fn grow(&mut self, dataset: &Dataset, axes: &[Option<usize>]) {
        for (axis, (scale, len)) in axes.iter().zip(dataset.shape()).enumerate() {
            if let Some(scale) = scale.and_then(|s| self.all.get_mut(s))
                && scale.unlimited
                && unlimited(dataset, axis)
            {
                scale.len = scale.len.max(*len);
            }
        }
    }

    fn declared_by(&self, node: usize) -> GroupDimensions {
        let mut own: Vec<&Scale> = self.all.iter().filter(|s| s.node == node).collect();
        own.sort_by_key(|s| s.id.unwrap_or(i32::MAX));
        let declared = own.iter().map(|s| declared(&s.name, s.len, s.unlimited)).collect();
        GroupDimensions { declared, axes: Vec::new() }
    }

    fn name_axes(
        &self,
        dataset: &Dataset,
        axes: &[Option<usize>],
        node: usize,
        nodes: &[Node],
        dimensions: &mut Vec<SourceDimension>,
        anonymous: &mut Anonymous,
    ) -> Option<Axes> {
        let itself = self.of(dataset).and_then(|s| self.all.get(s));
        if itself.is_some_and(|s| !s.has_variable) {
            return None;
        }
        let mut names: Vec<String> = Vec::with_capacity(axes.len());
        let mut shape = Vec::with_capacity(axes.len());
        for (axis, (scale, len)) in axes.iter().zip(dataset.shape()).enumerate() {
            let grows = unlimited(dataset, axis);
            let fits = |s: &&Scale| s.len == *len || (s.unlimited && grows && s.len > *len);
            let name = match scale.and_then(|s| self.all.get(s)).filter(fits) {
                Some(scale) => {
                    shape.push(scale.len);
                    let above = &nodes[scale.node].path;
                    let here = &nodes[node].path;
                    let visible = above.is_empty() || here == above || here.starts_with(&format!("{above}/"));
                    if !visible && !dimensions.iter().any(|d| d.name == scale.name) {
                        // HDF5 may refer to any scale of the file; netCDF sees those of the groups above.
                        dimensions.push(declared(&scale.name, scale.len, scale.unlimited));
                    }
                    scale.name.clone()
                }
                None => {
                    shape.push(*len);
                    anonymous.name(dimensions, &names, *len, grows)
                }
            };
            names.push(name);
        }
        Some(Axes { names, shape, is_scale: itself.is_some_and(|s| s.address == dataset.address()) })
    }
}
