//! Dimension scales: how HDF5 and NetCDF-4 tie the axes of arrays to their dimensions.
//!
//! The HDF5 library's high-level part, which would do this, is not built in; its dimension scale specification is
//! followed by hand: a scale has `CLASS`, `NAME` and `REFERENCE_LIST` (who uses it, on which axis), an array has
//! `DIMENSION_LIST` (the scale of each axis). NetCDF-4 adds the numbers of dimensions. Invariant: every reference in
//! one list has its counterpart in the other. Called by the writer, when all arrays are there, and by `plain`.

use super::attributes::Encoded;
use super::file::OpenFile;
use super::file::{DatasetId, SharedFile};
use super::library::{ElementKind, Extent, Failure, Library, Native, NewDataset, Reference, StorageLayout};
use crate::error::Result;

/// A scale.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    /// Path of its dataset in the file.
    pub(super) path: String,
    /// Its dataset.
    pub(super) dataset: DatasetId,
    /// What its `NAME` says.
    pub(super) name: String,
    /// Its number as a NetCDF dimension.
    pub(super) number: Option<i32>,
}

/// An array whose axes have scales.
#[derive(Clone, Debug)]
pub(super) struct ScaledArray {
    /// Path of its dataset in the file.
    pub(super) path: String,
    /// Its dataset.
    pub(super) dataset: DatasetId,
    /// The scale of each axis, by position in the list of scales; `None` if the axis has none.
    pub(super) axes: Vec<Option<usize>>,
}

/// Creates the scale at `path` of a dimension that has no coordinates; gives its dataset and what its `NAME` shall say.
pub(super) fn declare(
    file: &SharedFile,
    path: &str,
    length: u64,
    unlimited: bool,
) -> Result<(DatasetId, String)> {
    let layout = if unlimited { StorageLayout::Chunked(&[1]) } else { StorageLayout::Late };
    let dataset = file.call(1024, |library, open| {
        let element = library.native(Native::BigEndianF32)?;
        let elements = ElementKind::Plain(&element, None);
        let (shape, unlimited) = (&[length], &[unlimited]);
        let new = NewDataset { path, elements, shape, unlimited, layout, filters: &[] };
        Ok(open.keep(library.create_dataset(&open.file, &new)?))
    })?;
    // The text by which netCDF's library knows a scale that is no variable.
    Ok((dataset, format!("This is a netCDF dimension but not a netCDF variable.{length:>10}")))
}

/// Ties `arrays` to `scales`. No scale is among the arrays.
pub(super) fn attach(file: &SharedFile, scales: &[Scale], arrays: &[ScaledArray]) -> Result<()> {
    for (position, scale) in scales.iter().enumerate() {
        let users: Vec<(&ScaledArray, u32)> = arrays
            .iter()
            .flat_map(|array| (0_u32..).zip(&array.axes).map(move |(axis, scale)| (array, axis, scale)))
            .filter(|(_, _, scale)| **scale == Some(position))
            .map(|(array, axis, _)| (array, axis))
            .collect();
        let growth_bytes = 1024 + 64 * users.len() as u64;
        file.call(growth_bytes, |library, open| describe_scale(library, open, scale, &users))?;
    }
    for array in arrays.iter().filter(|array| array.axes.iter().any(Option::is_some)) {
        let growth_bytes = 4096 + 64 * array.axes.len() as u64;
        file.call(growth_bytes, |library, open| {
            let lists = array.axes.iter().map(|axis| {
                let scale = axis.and_then(|position| scales.get(position));
                scale.map(|scale| library.reference(&open.file, &scale.path)).into_iter().collect()
            });
            let lists = lists.collect::<Result<Vec<Vec<Reference>>, Failure>>()?;
            library.write_reference_lists(open.dataset(array.dataset)?, "DIMENSION_LIST", &lists)
        })?;
    }
    Ok(())
}

fn describe_scale(
    library: &Library,
    open: &OpenFile,
    scale: &Scale,
    users: &[(&ScaledArray, u32)],
) -> Result<(), Failure> {
    let dataset = open.dataset(scale.dataset)?;
    Encoded::terminated("CLASS", "DIMENSION_SCALE").write(library, dataset)?;
    Encoded::terminated("NAME", &scale.name).write(library, dataset)?;
    if let Some(number) = scale.number {
        Encoded::int("_Netcdf4Dimid", number).write(library, dataset)?;
    }
    if users.is_empty() {
        return Ok(());
    }
    // The record as C lays it out: a reference of 8 bytes, an axis of 4, and 4 of padding.
    let (reference, axis) = (library.native(Native::ObjectReference)?, library.native(Native::U32)?);
    let record = library.record(16, &[(c"dataset", 0, &reference), (c"dimension", 8, &axis)])?;
    let mut bytes = Vec::with_capacity(16 * users.len());
    for (array, axis) in users {
        bytes.extend_from_slice(&library.reference(&open.file, &array.path)?.0.to_ne_bytes());
        bytes.extend_from_slice(&axis.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]);
    }
    library.write_attribute(dataset, "REFERENCE_LIST", &record, Extent::List(users.len()), &bytes)
}
