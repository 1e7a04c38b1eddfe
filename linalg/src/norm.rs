//! NumPy's `linalg.norm`: norms of vectors along one axis, of matrices along two.
//!
//! Norms are reductions: one pass, with what a reduction holds. Those by singular values (2, -2, nuclear) are of whole
//! matrices, not of stacks of them.

use blockwise_core::array::Axes;
use blockwise_core::{Array, DType, Error, Result};

/// Which norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Norm {
    /// The root of the sum of squares: NumPy's default, and `fro`.
    Frobenius,
    /// Of vectors: the root `p` of the sum of powers `p`; 0 counts what is not 0, infinities are the largest and the smallest
    /// absolute value. Of matrices: 1 and -1 are the largest and the smallest sum of a column, infinities those of a row, 2 and
    /// -2 the largest and the smallest singular value.
    Power(f64),
    /// Of matrices: the sum of the singular values.
    Nuclear,
}

/// The norm over `axes`: one axis for norms of vectors, two for norms of matrices, all for the Frobenius norm of everything.
/// With `keep_dims` the axes stay, of length 1. `float16`, `bfloat16` and integers are summed in float32 and float64.
///
/// # Errors
/// If there are no such axes, or there is no such norm of them.
///
/// ```
/// use blockwise_core::Array;
/// use blockwise_linalg::{Norm, norm};
/// let x = Array::from_ndarray(&ndarray::arr2(&[[3.0, 4.0], [0.0, -2.0]]).into_dyn())?;
/// assert_eq!(norm(&x, Norm::Power(2.0), 1, false)?.compute::<f64>()?, ndarray::arr1(&[5.0, 2.0]).into_dyn());
/// assert_eq!(norm(&x, Norm::Power(1.0), .., false)?.compute::<f64>()?[[]], 6.0);
/// # Ok::<(), blockwise_core::Error>(())
/// ```
pub fn norm(x: &Array, norm: Norm, axes: impl Into<Axes>, keep_dims: bool) -> Result<Array> {
    let axes = axes.into().resolve(x.names())?;
    let (wide, dtype) = match (x.dtype(), x.dtype().kind()) {
        (dtype @ (DType::F16 | DType::BF16), _) => (x.astype(DType::F32), dtype),
        (DType::C64, _) => (x.clone(), DType::F32),
        (DType::C128, _) => (x.clone(), DType::F64),
        (dtype, 'f') => (x.clone(), dtype),
        _ => (x.astype(DType::F64), DType::F64),
    };
    let size = wide.abs()?;
    let by_singular_values =
        matches!(norm, Norm::Nuclear) || matches!(norm, Norm::Power(2.0 | -2.0)) && axes.len() == 2;
    let found = match (norm, axes.as_slice()) {
        _ if by_singular_values => of_singular_values(&wide, norm, &axes)?,
        (Norm::Frobenius, _) | (Norm::Power(2.0), [_]) => root_of_squares(&size, &axes)?,
        (Norm::Power(power), [axis]) => of_vectors(&size, power, *axis)?,
        (Norm::Power(power), [rows, columns]) => of_matrices(&size, power, *rows, *columns)?,
        (Norm::Nuclear, _) => return Err(not_one_matrix()),
        (Norm::Power(power), _) => {
            let message = format!("there is no norm {power} over {} axes; give one or two", axes.len());
            return Err(Error::Usage { message });
        }
    };
    let found = found.astype(dtype);
    if !keep_dims {
        return Ok(found);
    }
    let mut ascending = axes;
    ascending.sort_unstable();
    let kept = ascending.iter().try_fold(found, |found, axis| found.expand_dims(*axis as i64))?;
    kept.with_some_names(x.names().to_vec())
}

fn not_one_matrix() -> Error {
    let message =
        "norms by singular values are of one matrix with two axes, not of stacks or vectors".to_owned();
    Error::Usage { message }
}

fn of_singular_values(x: &Array, norm: Norm, axes: &[usize]) -> Result<Array> {
    if x.rank() != 2 || axes.len() != 2 {
        return Err(not_one_matrix());
    }
    let values = crate::svdvals(x)?;
    match norm {
        Norm::Nuclear => values.sum(0),
        Norm::Power(power) if power > 0.0 => values.max(0),
        _ => values.min(0),
    }
}

fn root_of_squares(size: &Array, axes: &[usize]) -> Result<Array> {
    size.square()?.sum(axes)?.sqrt()
}

fn of_vectors(size: &Array, power: f64, axis: usize) -> Result<Array> {
    let axis = axis as i64;
    if power == f64::INFINITY {
        return size.max(axis);
    }
    if power == f64::NEG_INFINITY {
        return size.min(axis);
    }
    if power == 0.0 {
        let counted = Array::call("not_equal", [size.into(), 0.0.into()])?;
        return Ok(counted.sum(axis)?.astype(size.dtype()));
    }
    if power == 1.0 {
        return size.sum(axis);
    }
    let powers = Array::call("power", [size.into(), power.into()])?.sum(axis)?;
    Array::call("power", [powers.into(), (1.0 / power).into()])
}

fn of_matrices(size: &Array, power: f64, rows: usize, columns: usize) -> Result<Array> {
    // A sum over one of the axes, then the largest or smallest over what is left of the other.
    let sums = |summed: usize, other: usize| -> Result<(Array, i64)> {
        let left = if summed < other { other - 1 } else { other };
        Ok((size.sum(summed as i64)?, left as i64))
    };
    if power == 1.0 || power == -1.0 {
        let (sums, axis) = sums(rows, columns)?;
        return if power > 0.0 { sums.max(axis) } else { sums.min(axis) };
    }
    if power.is_infinite() {
        let (sums, axis) = sums(columns, rows)?;
        return if power > 0.0 { sums.max(axis) } else { sums.min(axis) };
    }
    let message =
        format!("there is no norm {power} of matrices here; take 1, -1, infinity, -infinity or Frobenius");
    Err(Error::Usage { message })
}
