//! NumPy's `matmul`, `dot` and `inner`: products over one axis of each array.
//!
//! Workspace: a task holds a block of each factor (16 MiB at most, unless chunks force more), twice where it must be brought
//! together, and its result (8 MiB); results that are not whole yet wait in memory, `1 + log2(inner blocks)` of them each. A
//! budget below what both factors and these take means that factors are read several times, in parts.

use crate::contract::{Roles, contract};
use blockwise_core::{Array, DType, Error, Result};
use blockwise_kernels::promote::promote;

/// NumPy's `matmul`, the `@` of Python: products of matrices, which are the last two axes; the axes before broadcast. A
/// vector is a row on the left and a column on the right, and the result does not have that axis.
///
/// Integers wrap around, bools are "any of both", `float16` and `bfloat16` are summed in `float32`.
///
/// # Errors
/// If the shapes do not fit, or one is a single number.
///
/// ```
/// use blockwise_core::Array;
/// use blockwise_linalg::matmul;
/// let x = Array::from_fn(&[300, 40], |at| (at[0] + at[1]) as f64)?.rechunk([70, 40])?;
/// let column = matmul(&x, &Array::ones(&[40], x.dtype())?)?;
/// assert_eq!(column.shape(), [300]);
/// assert_eq!(column.compute::<f64>()?[[2]], (2..42).sum::<i32>().into());
/// # Ok::<(), blockwise_core::Error>(())
/// ```
pub fn matmul(a: &Array, b: &Array) -> Result<Array> {
    matmul_as(a, b, promote(a.dtype(), b.dtype()))
}

/// As [`matmul`], computed in `dtype`, which the result has: `float64` for products of `float32` that are summed exactly
/// enough.
///
/// # Errors
/// As [`matmul`].
pub fn matmul_as(a: &Array, b: &Array, dtype: DType) -> Result<Array> {
    if a.rank() == 0 || b.rank() == 0 {
        let message = "matmul takes no single numbers; multiply by them with *".to_owned();
        return Err(Error::Usage { message });
    }
    let (rows, columns) = (a.rank() > 1, b.rank() > 1);
    // Vectors have no batch: what both have of it stands before their matrices.
    let batch = (a.rank() - 1 - usize::from(rows)).max(b.rank() - 1 - usize::from(columns));
    let deepened = |array: &Array, own: usize| {
        let missing = batch + own - array.rank();
        (0..missing).try_fold(array.clone(), |array, _| array.expand_dims(0))
    };
    let wide_a = deepened(a, 1 + usize::from(rows))?;
    let wide_b = deepened(b, 1 + usize::from(columns))?;
    let (shape_a, shape_b) = (wide_a.shape(), wide_b.shape());
    let inner_a = shape_a.last();
    let inner_b = shape_b.get(batch);
    let fits = |(a, b): (&u64, &u64)| a == b || *a == 1 || *b == 1;
    if inner_a != inner_b || !shape_a.iter().zip(&shape_b).take(batch).all(fits) {
        let message = format!(
            "matmul of shapes {:?} and {:?}: the last axis of the first must be as long as the {} of the second, and axes before the matrices equal or 1",
            a.shape(),
            b.shape(),
            if columns { "last but one" } else { "only one" }
        );
        return Err(Error::Usage { message });
    }
    let roles = Roles { batch, rows: usize::from(rows), inner: 1, columns: usize::from(columns) };
    contract(&wide_a, &wide_b, roles, dtype)
}

/// NumPy's `dot`: over the last axis of `a` and the last but one (or only one) of `b`, for every pair of what the others
/// hold; with a single number, the elementwise product.
///
/// # Errors
/// If the axes are not equally long.
///
/// ```
/// use blockwise_core::Array;
/// use blockwise_linalg::dot;
/// let x = Array::arange(0.0, 4.0, 1.0)?;
/// assert_eq!(dot(&x, &x)?.compute::<f64>()?[[]], 14.0);
/// # Ok::<(), blockwise_core::Error>(())
/// ```
pub fn dot(a: &Array, b: &Array) -> Result<Array> {
    if a.rank() == 0 || b.rank() == 0 {
        return a.try_mul(b);
    }
    let axis = if b.rank() == 1 { 0 } else { b.rank() as i64 - 2 };
    crate::tensordot(a, b, &[-1], &[axis])
}

/// NumPy's `inner`: over the last axis of each, for every pair of what the others hold; with a single number, the
/// elementwise product.
///
/// # Errors
/// If the axes are not equally long.
pub fn inner(a: &Array, b: &Array) -> Result<Array> {
    if a.rank() == 0 || b.rank() == 0 {
        return a.try_mul(b);
    }
    crate::tensordot(a, b, &[-1], &[-1])
}
