//! Dimensions as NetCDF-4 sees them: named through HDF5's dimension scales.
//!
//! A scale is a dataset with `CLASS = "DIMENSION_SCALE"`; datasets refer to scales by address (`DIMENSION_LIST`), and
//! NetCDF-4 adds identifiers (`_Netcdf4Dimid`, `_Netcdf4Coordinates`). Invariants: a scale that only declares a
//! dimension is no array; an unlimited dimension is as long as its longest array, and shorter ones are seen with that
//! length, filled up. Called by the tree walk.

use super::attributes::StoredAttributes;
use super::file::H5File;
use super::tree::{ArrayNode, FoundArray};
use crate::container::{GroupInfo, NodePath};
use crate::error::{Error, Result};
use blockwise_core::region::element_count;
use std::collections::HashMap;

/// How the name of a scale begins that declares a dimension without being a variable.
const DIMENSION_ONLY: &str = "This is a netCDF dimension but not a netCDF variable";
/// What NetCDF-4 puts before the name of a variable that is named as a dimension but is not its coordinate.
const NON_COORDINATE: &str = "_nc4_non_coord_";

/// A dataset's role as a dimension scale.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// Whether it declares a dimension and is no variable.
    is_dimension_only: bool,
    /// NetCDF-4's identifier.
    id: Option<u64>,
}

impl Scale {
    /// The role that a dataset's attributes give it.
    pub(super) fn of(stored: &StoredAttributes, file: &H5File) -> Option<Self> {
        stored.text("CLASS", file).filter(|class| class == "DIMENSION_SCALE")?;
        let is_dimension_only =
            stored.text("NAME", file).is_some_and(|name| name.starts_with(DIMENSION_ONLY));
        let id = stored.integers("_Netcdf4Dimid").and_then(|ids| ids.first().copied());
        Some(Self { is_dimension_only, id })
    }
}

/// One dimension.
struct Dimension {
    name: String,
    group: NodePath,
    len: u64,
    is_unlimited: bool,
    id: Option<u64>,
}

/// Gives the arrays their dimension names and the groups their dimensions; takes out what is no array.
pub(super) fn resolve(
    found: Vec<FoundArray>,
    groups: &mut [GroupInfo],
    file: &str,
) -> Result<Vec<ArrayNode>> {
    let mut dimensions = Dimensions::declared(&found);
    dimensions.grow_to(&found);
    let mut arrays = Vec::with_capacity(found.len());
    for mut array in found {
        if array.scale.is_some_and(|scale| scale.is_dimension_only) {
            continue;
        }
        let axes: Vec<Option<&Dimension>> =
            (0..array.node.info.shape.len()).map(|axis| dimensions.of_axis(&array, axis)).collect();
        let info = &mut array.node.info;
        info.path = visible_path(&info.path)?;
        for (axis, dimension) in axes.into_iter().enumerate() {
            let Some(dimension) = dimension else { continue };
            if let Some(name) = info.dimension_names.get_mut(axis) {
                *name = Some(dimension.name.clone());
            }
            let may_grow = dimension.is_unlimited && info.chunk_shape.is_some();
            if let (Some(extent), Some(true)) = (info.shape.get_mut(axis), info.unlimited.get(axis))
                && may_grow
            {
                *extent = (*extent).max(dimension.len);
            }
        }
        if element_count(&info.shape).is_none() {
            return Err(Error::Corrupt {
                path: format!("{file}::{}", info.path),
                what: format!("its dimensions give the impossible shape {:?}", info.shape),
                remedy: "",
            });
        }
        info.is_coordinate = match info.dimension_names.as_slice() {
            [Some(name)] => info.path.name() == Some(name),
            _ => false,
        };
        arrays.push(array.node);
    }
    dimensions.declare_in(groups);
    Ok(arrays)
}

/// The path without NetCDF-4's mark on the name.
fn visible_path(path: &NodePath) -> Result<NodePath> {
    match (path.parent(), path.name().and_then(|name| name.strip_prefix(NON_COORDINATE))) {
        (Some(parent), Some(name)) if !name.is_empty() => parent.child(name),
        _ => Ok(path.clone()),
    }
}

/// All dimensions, by the addresses of their scales and by identifier.
struct Dimensions {
    at: HashMap<u64, Dimension>,
    /// Addresses in the order in which the scales were found.
    order: Vec<u64>,
    by_id: HashMap<u64, u64>,
}

impl Dimensions {
    /// One dimension for every scale.
    fn declared(found: &[FoundArray]) -> Self {
        let mut dimensions = Self { at: HashMap::new(), order: Vec::new(), by_id: HashMap::new() };
        for array in found {
            let (Some(scale), info) = (array.scale, &array.node.info) else { continue };
            let (Some(name), Some(group)) = (info.path.name(), info.path.parent()) else { continue };
            if info.shape.is_empty() || dimensions.at.contains_key(&array.address) {
                continue; // a second link to the same scale, or a scale without an axis
            }
            let dimension = Dimension {
                name: name.to_owned(),
                group,
                len: info.shape.first().copied().unwrap_or(0),
                is_unlimited: info.unlimited.first().copied().unwrap_or(false),
                id: scale.id,
            };
            dimensions.at.insert(array.address, dimension);
            dimensions.order.push(array.address);
            if let Some(id) = scale.id {
                dimensions.by_id.entry(id).or_insert(array.address);
            }
        }
        dimensions
    }

    /// An unlimited dimension is as long as the longest array along it.
    fn grow_to(&mut self, found: &[FoundArray]) {
        for array in found {
            for (axis, extent) in array.node.info.shape.iter().enumerate() {
                if let Some(address) = self.address_of_axis(array, axis)
                    && let Some(dimension) = self.at.get_mut(&address)
                    && dimension.is_unlimited
                {
                    dimension.len = dimension.len.max(*extent);
                }
            }
        }
    }

    /// The scale of one axis of an array.
    fn address_of_axis(&self, array: &FoundArray, axis: usize) -> Option<u64> {
        let listed =
            array.axis_scales.get(axis).and_then(|scales| scales.iter().find(|at| self.at.contains_key(at)));
        let by_id = || self.by_id.get(array.axis_ids.as_ref()?.get(axis)?);
        let own = || (array.scale.is_some() && axis == 0).then_some(&array.address);
        listed.or_else(by_id).or_else(own).copied()
    }

    fn of_axis(&self, array: &FoundArray, axis: usize) -> Option<&Dimension> {
        self.at.get(&self.address_of_axis(array, axis)?)
    }

    /// Tells the groups of their dimensions, in NetCDF-4's order.
    fn declare_in(mut self, groups: &mut [GroupInfo]) {
        let place: HashMap<NodePath, usize> =
            groups.iter().enumerate().map(|(at, group)| (group.path.clone(), at)).collect();
        let mut all: Vec<Dimension> =
            self.order.iter().filter_map(|address| self.at.remove(address)).collect();
        all.sort_by_key(|dimension| dimension.id.unwrap_or(u64::MAX));
        for dimension in all {
            if let Some(group) = place.get(&dimension.group).and_then(|at| groups.get_mut(*at)) {
                group.dimensions.push((dimension.name, dimension.len, dimension.is_unlimited));
            }
        }
    }
}
