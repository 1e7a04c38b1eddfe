//! NumPy's `tensordot`: products over several axes of each array.
//!
//! Workspace: as that of `matmul`.

use crate::contract::{Roles, contract};
use blockwise_core::array::{Axes, Axis};
use blockwise_core::{Array, Error, Result};
use blockwise_kernels::promote::promote;

/// The sum of the products of the elements of two arrays over pairs of axes, one of each array: NumPy's `tensordot`. The
/// result has the other axes of `a`, then those of `b`.
///
/// # Errors
/// If there are no such axes, one is given twice, or two of a pair are not equally long.
///
/// ```
/// use blockwise_core::{Array, DType};
/// use blockwise_linalg::tensordot;
/// let (x, y) = (Array::ones(&[3, 4, 5], DType::F32)?, Array::ones(&[4, 3, 2], DType::F32)?);
/// let product = tensordot(&x, &y, &[0, 1], &[1, 0])?;
/// assert_eq!((product.shape(), product.compute::<f32>()?[[4, 1]]), (vec![5, 2], 12.0));
/// # Ok::<(), blockwise_core::Error>(())
/// ```
pub fn tensordot(a: &Array, b: &Array, axes_a: &[i64], axes_b: &[i64]) -> Result<Array> {
    let resolved = |array: &Array, axes: &[i64]| -> Result<Vec<usize>> {
        Axes::List(axes.iter().map(|axis| Axis::Index(*axis)).collect()).resolve(array.names())
    };
    let (inner_a, inner_b) = (resolved(a, axes_a)?, resolved(b, axes_b)?);
    let (shape_a, shape_b) = (a.shape(), b.shape());
    let equal = |(a, b): (&usize, &usize)| shape_a.get(*a) == shape_b.get(*b);
    if inner_a.len() != inner_b.len() || !inner_a.iter().zip(&inner_b).all(equal) {
        let message = format!(
            "a product over axes {axes_a:?} of shape {shape_a:?} and {axes_b:?} of shape {shape_b:?}: give as many of each, equally long in pairs"
        );
        return Err(Error::Usage { message });
    }
    let free = |array: &Array, inner: &[usize]| -> Vec<usize> {
        (0..array.rank()).filter(|axis| !inner.contains(axis)).collect()
    };
    let (rows, columns) = (free(a, &inner_a), free(b, &inner_b));
    let roles = Roles { batch: 0, rows: rows.len(), inner: inner_a.len(), columns: columns.len() };
    let a = a.transpose([rows, inner_a].concat().as_slice())?;
    let b = b.transpose([inner_b, columns].concat().as_slice())?;
    contract(&a, &b, roles, promote(a.dtype(), b.dtype()))
}
