//! Arrays that are shifted, scaled, sheared or turned, by the names and arguments of SciPy's `ndimage`.
//!
//! Invariant: an argument means here what it means there; orders are 0 and 1, 1 unless said otherwise, and axes may be named. Called by
//! the function table.

use super::entry::{Entry, entry};
use super::filters::{reals, table};
use crate::expression::arguments::Arguments;
use crate::expression::error::{Outcome, Trouble};
use crate::expression::value::Value;
use blockwise_core::Array;
use blockwise_core::array::{Axes, Geometry, ZoomGrid};
use blockwise_kernels::affine::Interpolation;
use ndarray::{Array2, ArrayD, Axis, Ix1, Ix2};

const GEOMETRY: &str = "geometry";

/// The rows.
pub(super) const TABLE: &[Entry] = &[
    entry(
        GEOMETRY,
        "affine_transform(input, matrix, offset=0.0, output_shape=None, order=1, mode=\"constant\", cval=0.0, axes=None)",
        "the array whose element at a position p is the input's at matrix * p + offset: sheared, turned, scaled; the matrix may have the offset as a last column; order 0 takes the nearest element, 1 linear means; mode is constant or nearest",
        |a| {
            seen(a, Axes::All, |geometry, axes| {
                let (matrix, offset) = map(a, axes.len())?;
                let shape = a.read("output_shape", Value::to_shape)?;
                Ok(geometry.affine_transform(&matrix, &offset, shape.as_deref())?)
            })
        },
    ),
    entry(
        GEOMETRY,
        "shift(input, shift, order=1, mode=\"constant\", cval=0.0, axes=None)",
        "elements moved towards the end by so many positions, of all axes or each, or by parts of one",
        |a| seen(a, Axes::All, |geometry, _| Ok(geometry.shift(&a.need("shift", reals)?)?)),
    ),
    entry(
        GEOMETRY,
        "zoom(input, zoom, order=1, mode=\"constant\", cval=0.0, grid_mode=False, axes=None)",
        "so many times as many elements along all axes or each; with grid_mode outer edges keep their places, else the first and the last element",
        |a| {
            let grid = if a.flag("grid_mode")? { ZoomGrid::Edges } else { ZoomGrid::Points };
            seen(a, Axes::All, |geometry, _| Ok(geometry.zoom(&a.need("zoom", reals)?, grid)?))
        },
    ),
    entry(
        GEOMETRY,
        "rotate(input, angle, axes=None, reshape=True, order=1, mode=\"constant\", cval=0.0)",
        "turned by an angle in degrees in the plane of two axes, of the first two unless said otherwise; large enough for all of it, or of the input's shape",
        |a| {
            let grows = a.read("reshape", Value::to_flag)?.unwrap_or(true);
            let angle = a.need("angle", Value::to_real)?;
            seen(a, Axes::from([1, 0]), |geometry, _| Ok(geometry.rotate(angle, grows)?))
        },
    ),
];

/// What `see` makes of the array, by the options that all share. Coordinates of its axes no longer hold.
fn seen(
    arguments: &Arguments,
    axes: Axes,
    see: impl Fn(&Geometry, &[usize]) -> Outcome<Array>,
) -> Outcome<Value> {
    let x = arguments.array("input")?;
    let axes = arguments.read("axes", Value::to_axes)?.unwrap_or(axes);
    let own = axes.resolve(x.array.names())?;
    let interpolation = match arguments.read("order", Value::to_int)?.unwrap_or(1) {
        0 => Interpolation::Nearest,
        1 => Interpolation::Linear,
        other => {
            let message =
                format!("there is no order {other}; there are 0, the nearest element, and 1, linear means");
            return Err(Trouble::here(message));
        }
    };
    let mut geometry = x.array.geometry().axes(own.clone().into()).interpolation(interpolation);
    let constant = arguments.read("cval", Value::to_real)?.unwrap_or(0.0);
    geometry = match arguments.read("mode", |value| Ok(value.to_text()?.to_owned()))?.as_deref() {
        None | Some("constant") => geometry.fill(constant),
        Some("nearest") => geometry.nearest_outside(),
        Some(other) => {
            let message = format!(
                "there is no mode '{other}' here; there are constant and nearest, or pad the array first"
            );
            return Err(Trouble::here(message));
        }
    };
    Ok(x.moved(see(&geometry, &own)?, &own).into())
}

/// Matrix and offset of a map of `rank` axes, in any of the forms that SciPy takes.
fn map(arguments: &Arguments, rank: usize) -> Outcome<(Vec<Vec<f64>>, Vec<f64>)> {
    let given: ArrayD<f64> = arguments.need("matrix", table)?;
    let wrong = |shape: &[usize]| {
        Trouble::here(format!(
            "the matrix of {rank} axes has {rank} rows and columns, or as many and a column for the offset; not {shape:?}"
        ))
    };
    let offset = arguments.read("offset", reals)?.unwrap_or_else(|| vec![0.0]);
    let offset = if let [one] = offset.as_slice() { vec![*one; rank] } else { offset };
    let shape = given.shape().to_vec();
    let mut matrix = match given.clone().into_dimensionality::<Ix1>() {
        Ok(diagonal) if diagonal.len() == rank => Array2::from_diag(&diagonal),
        Ok(_) => return Err(wrong(&shape)),
        Err(_) => given.into_dimensionality::<Ix2>().map_err(|_| wrong(&shape))?,
    };
    if matrix.dim() == (rank + 1, rank + 1) {
        let last = matrix.row(rank);
        let is_unit = last.iter().enumerate().all(|(n, value)| *value == f64::from(u8::from(n == rank)));
        if !is_unit {
            return Err(Trouble::here("the last row of a matrix with offsets is 0, but for a 1 at its end"));
        }
        matrix.remove_index(Axis(0), rank);
    }
    let offset = match matrix.dim() {
        (rows, columns) if (rows, columns) == (rank, rank) => offset,
        (rows, columns) if (rows, columns) == (rank, rank + 1) => matrix.column(rank).to_vec(),
        _ => return Err(wrong(&shape)),
    };
    Ok((matrix.rows().into_iter().map(|row| row.iter().take(rank).copied().collect()).collect(), offset))
}
