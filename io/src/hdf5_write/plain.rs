//! The dimension scales of plain HDF5 files, for h5py's `dims` and for programs that read them as NetCDF-4.
//!
//! Arrays of coordinates are scales; where there are any, so is every other named dimension, as in NetCDF-4. Invariant: an
//! array has a scale on each of its axes or on none: netCDF's library and h5netcdf read no file with an array that has both.
//! Names are there without scales too, as labels. Called by the writer when all arrays are there.

use super::arrays::ArrayRecord;
use super::file::SharedFile;
use super::in_file;
use super::scales::{self, Scale, ScaledArray};
use crate::container::NodePath;
use crate::error::Result;

/// A dimension that has a scale.
struct Dimension {
    group: NodePath,
    name: String,
    length: u64,
    scale: Scale,
}

/// Makes the scales of a file with these arrays and groups, and ties the arrays to them.
pub(super) fn finish(file: &SharedFile, arrays: &[ArrayRecord], groups: &[NodePath]) -> Result<()> {
    let mut dimensions: Vec<Dimension> = arrays.iter().filter_map(of_coordinates).collect();
    if dimensions.is_empty() {
        return Ok(());
    }
    let mut scaled: Vec<ScaledArray> = Vec::new();
    for array in arrays.iter().filter(|array| !array.is_coordinate()) {
        let group = array.node.parent().unwrap_or_default();
        let names: Option<Vec<&String>> = array.names.iter().map(Option::as_ref).collect();
        let Some(names) = names else { continue };
        let mut axes = Vec::with_capacity(names.len());
        for ((name, &length), &unlimited) in names.into_iter().zip(&array.shape).zip(&array.unlimited) {
            if let Some(position) = nearest(&dimensions, &group, name, length) {
                axes.push(Some(position));
                continue;
            }
            // Plain HDF5 allows several lengths: the first array that needs a scale of this name has it.
            let Some(path) = group.child(name).ok().map(|node| in_file(&node)) else { break };
            let is_taken = dimensions.iter().any(|dimension| dimension.scale.path == path)
                || arrays.iter().any(|array| array.path == path)
                || groups.iter().any(|group| in_file(group) == path);
            if is_taken {
                break;
            }
            let (dataset, text) = scales::declare(file, &path, length, unlimited)?;
            let scale = Scale { path, dataset, name: text, number: None };
            dimensions.push(Dimension { group: group.clone(), name: name.clone(), length, scale });
            axes.push(Some(dimensions.len() - 1));
        }
        if axes.len() == array.shape.len() {
            scaled.push(array.scaled(axes));
        }
    }
    let scales: Vec<Scale> = dimensions.into_iter().map(|dimension| dimension.scale).collect();
    scales::attach(file, &scales, &scaled)
}

/// The dimension of an array that holds its coordinates.
fn of_coordinates(array: &ArrayRecord) -> Option<Dimension> {
    let ([length], true) = (array.shape.as_slice(), array.is_coordinate()) else { return None };
    let name = array.node.name()?.to_owned();
    let scale = Scale { path: array.path.clone(), dataset: array.dataset, name: name.clone(), number: None };
    Some(Dimension { group: array.node.parent().unwrap_or_default(), name, length: *length, scale })
}

/// The dimension of a name and length, by position, in the nearest group upwards from `group`.
fn nearest(dimensions: &[Dimension], group: &NodePath, name: &str, length: u64) -> Option<usize> {
    let fits = |dimension: &Dimension| {
        dimension.name == name
            && dimension.length == length
            && group.components().starts_with(dimension.group.components())
    };
    let fitting = dimensions.iter().enumerate().filter(|(_, dimension)| fits(dimension));
    let nearest = fitting.max_by_key(|(_, dimension)| dimension.group.components().len());
    nearest.map(|(position, _)| position)
}
