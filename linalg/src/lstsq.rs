//! Least squares by the singular value decomposition, as NumPy's.
//!
//! Workspace: that of [`svd`](crate::svd()) of a matrix with a small side, and of products with it; the matrix is read three
//! times: for its singular values, for what is left of the right-hand side, and for the residuals if they are wanted.

use crate::leaf::adjoint;
use crate::{matmul, svd};
use blockwise_core::array::Index;
use blockwise_core::{Array, DType, Error, Result};

/// A solution of a least squares problem: see [`lstsq`].
#[derive(Clone, Debug)]
pub struct Lstsq {
    /// What minimises `|b - a x|`, and among such the shortest: of shape `(n,)` or `(n, columns)`.
    pub x: Array,
    /// The sums of the squares of `b - a x`, for each column.
    pub residuals: Array,
    /// How many singular values count: an `int64`.
    pub rank: Array,
    /// The singular values of `a`, largest first.
    pub s: Array,
}

/// The least squares solution of `a x = b`: NumPy's `linalg.lstsq`. Singular values up to `tolerance` times the largest count
/// as zero; `None`: `max(m, n)` rounding errors. One side of `a` may be as long as you like. Unlike NumPy's, `residuals` are
/// there whatever the rank.
///
/// # Errors
/// If `a` has not two axes, or `b` has not as many rows. NaN and infinities are errors when it is computed.
///
/// ```
/// use blockwise_core::Array;
/// use blockwise_linalg::lstsq;
/// // A line through 1000 points.
/// let a = Array::from_fn(&[1000, 2], |at| if at[1] == 0 { 1.0 } else { at[0] as f64 })?.rechunk([128, 2])?;
/// let b = Array::from_fn(&[1000], |at| 3.0 + 0.5 * at[0] as f64)?;
/// let line = lstsq(&a, &b, None)?.x.compute::<f64>()?;
/// assert!((line[[0]] - 3.0).abs() < 1e-9 && (line[[1]] - 0.5).abs() < 1e-12);
/// # Ok::<(), blockwise_core::Error>(())
/// ```
pub fn lstsq(a: &Array, b: &Array, tolerance: Option<f64>) -> Result<Lstsq> {
    let [m, n] = a.shape()[..] else {
        return Err(Error::Rank { expected: 2, found: a.rank() });
    };
    if b.shape().first() != Some(&m) || b.rank() > 2 {
        let message = format!(
            "a right-hand side of shape {:?} for a matrix of {m} rows; give a vector or a matrix with as many rows",
            b.shape()
        );
        return Err(Error::Usage { message });
    }
    let is_vector = b.rank() == 1;
    let b = if is_vector { b.expand_dims(1)? } else { b.clone() }.with_some_names(vec![None; 2])?;
    let a = a.with_some_names(vec![None; 2])?;
    let found = svd(&a)?;
    let epsilon = if found.s.dtype() == DType::F32 { f64::from(f32::EPSILON) } else { f64::EPSILON };
    let tolerance = tolerance.unwrap_or(epsilon * m.max(n) as f64);
    let limit = found.s.slice(0, ..1)?.try_mul(tolerance)?;
    let counts = Array::call("greater", [(&found.s).into(), limit.into()])?;
    let inverse = Array::call("reciprocal", [(&found.s).into()])?;
    let zero = Array::zeros(&[], inverse.dtype())?;
    let inverse = Array::call("where", [(&counts).into(), inverse.into(), zero.into()])?;
    let shadow = matmul(&adjoint(&found.u)?, &b)?.try_mul(inverse.expand_dims(1)?)?;
    let x = matmul(&adjoint(&found.vh)?, &shadow)?;
    let residuals = b.try_sub(matmul(&a, &x)?)?.abs()?.square()?.sum(0)?;
    let column = |array: Array| {
        if is_vector { array.index(&[Index::Ellipsis, Index::At(0)]) } else { Ok(array) }
    };
    Ok(Lstsq { x: column(x)?, residuals: column(residuals)?, rank: counts.sum(0)?, s: found.s })
}
