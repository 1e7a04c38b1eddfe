//! Solves with triangular matrices, block of rows by block of rows.
//!
//! Workspace: of a matrix of at most [`WHOLE`](crate::leaf::WHOLE) rows a task holds all, and a block of right-hand sides
//! (16 MiB at most, twice). Of a larger one it holds a block of [`PANEL`](crate::leaf::PANEL) rows and columns; solutions lie
//! in memory or in temporary files until all are there, and products take what `matmul` does.

use crate::dense::{Cpu, Field};
use crate::leaf::{self, LeafFunction, PANEL, WHOLE, elements, elements_mut, part};
use crate::{contract::one, matmul};
use blockwise_core::array::Index;
use blockwise_core::block::{Block, blocks, chunks};
use blockwise_core::dense::{Dense, Leaf, Matrix, MatrixMut, Op, Triangle};
use blockwise_core::{Array, AxisGrid, Chunk, ChunkGrid, Error, Result};
use blockwise_kernels::promote::promote;

/// `x` with `a x = b` for a triangular matrix, the lower or the upper half of `a`: SciPy's `linalg.solve_triangular`. `b` is
/// a vector or a matrix of columns. Where the diagonal has a zero, the result has infinities or NaN.
///
/// # Errors
/// If `a` is not square, or `b` has not as many rows.
///
/// ```
/// use blockwise_core::Array;
/// use blockwise_linalg::solve_triangular;
/// let a = Array::from_ndarray(&ndarray::arr2(&[[2.0, 0.0], [1.0, 4.0]]).into_dyn())?;
/// let b = Array::from_ndarray(&ndarray::arr1(&[2.0, 9.0]).into_dyn())?;
/// assert_eq!(solve_triangular(&a, &b, true)?.compute::<f64>()?, ndarray::arr1(&[1.0, 2.0]).into_dyn());
/// # Ok::<(), blockwise_core::Error>(())
/// ```
pub fn solve_triangular(a: &Array, b: &Array, lower: bool) -> Result<Array> {
    let panel = if leaf::side("solve_triangular", a)? <= WHOLE { WHOLE } else { PANEL };
    in_panels(a, b, lower, panel)
}

/// As [`solve_triangular`], in blocks of `panel` rows.
pub(crate) fn in_panels(a: &Array, b: &Array, lower: bool, panel: u64) -> Result<Array> {
    let n = leaf::side("solve_triangular", a)?;
    let (a, b, is_vector) = prepared(a, b)?;
    if n == 0 || b.shape().contains(&0) {
        return as_given(b, is_vector);
    }
    let panel = panel.max(n.div_ceil(MAX_PANELS));
    let step = usize::try_from(panel).unwrap_or(usize::MAX);
    let triangle = if lower { Triangle::Lower } else { Triangle::Upper };
    let mut starts: Vec<u64> = (0..n).step_by(step).collect();
    if !lower {
        starts.reverse();
    }
    // In the order of rows.
    let mut done: Vec<Array> = Vec::new();
    for start in starts {
        let end = (start + panel).min(n);
        let mut right = b.slice(0, start as i64..end as i64)?;
        if !done.is_empty() {
            let known = if lower { 0..start } else { end..n };
            let factor = part(&a, start..end, known)?;
            right = right.try_sub(matmul(&factor, &Array::concatenate(&done, 0)?)?)?;
        }
        let solved = of_block(&part(&a, start..end, start..end)?, &right, triangle)?;
        let at = if lower { done.len() } else { 0 };
        done.insert(at, solved);
    }
    as_given(Array::concatenate(&done, 0)?, is_vector)
}

/// Blocks that a matrix is cut into along a side, at most: each is a few stages of the plan.
const MAX_PANELS: u64 = 64;

/// Both as matrices of the dtype in which they are solved, and whether `b` was a vector.
pub(crate) fn prepared(a: &Array, b: &Array) -> Result<(Array, Array, bool)> {
    let n = leaf::side("a solve", a)?;
    let dtype = leaf::solved_dtype(promote(a.dtype(), b.dtype()));
    let is_vector = b.rank() == 1;
    if b.shape().first() != Some(&n) || b.rank() > 2 {
        let message = format!(
            "a right-hand side of shape {:?} for a matrix of {n} rows; give a vector or a matrix with as many rows",
            b.shape()
        );
        return Err(Error::Usage { message });
    }
    let b = if is_vector { b.expand_dims(1)? } else { b.clone() };
    let a = a.astype(dtype).with_some_names(vec![None; 2])?;
    Ok((a, b.astype(dtype).with_some_names(vec![None; 2])?, is_vector))
}

/// A solution as its right-hand side was given.
pub(crate) fn as_given(x: Array, is_vector: bool) -> Result<Array> {
    if is_vector { x.index(&[Index::Ellipsis, Index::At(0)]) } else { Ok(x) }
}

/// The tasks of a solve with a matrix that is one block, of as many columns of `b` as a block holds: the axes are its rows,
/// those columns, and the columns of the matrix; and the grid of the result.
pub(crate) fn tasks(n: u64, b: &Array) -> Result<(ChunkGrid, ChunkGrid)> {
    let room = (leaf::BLOCK_BYTES / b.dtype().size() as u64 / n.max(1)).max(1);
    let columns = match b.grid().axes().get(1) {
        Some(cuts) => cuts.resized(room)?,
        None => AxisGrid::regular(1, 1)?,
    };
    let whole = AxisGrid::regular(n, n.max(1))?;
    let tasks = ChunkGrid::from_axes(vec![whole.clone(), columns.clone(), whole.clone()])?;
    Ok((tasks, ChunkGrid::from_axes(vec![whole, columns])?))
}

/// `x` with `a x = b`, for the `triangle` of a matrix that is one block.
pub(crate) fn of_block(a: &Array, b: &Array, triangle: Triangle) -> Result<Array> {
    let (tasks, grid) = tasks(leaf::side("a solve", a)?, b)?;
    let inputs = vec![(&a.expand_dims(1)?).into(), (&b.expand_dims(2)?).into()];
    let solve = leaf::function(b.dtype(), Solve { triangle })?;
    one(Array::from_blocks(solve, inputs, tasks, vec![Some(0), Some(1)], vec![(b.dtype(), grid)])?)
}

/// The solution for a block of columns.
#[derive(Clone, Copy)]
struct Solve {
    triangle: Triangle,
}

impl LeafFunction for Solve {
    const NAME: &'static str = "triangular solve";

    fn scratch_bytes<T: Field>(self) -> u64 {
        Dense::<T>::scratch_bytes(&Cpu, Leaf::Trsm, WHOLE, WHOLE)
    }

    fn run<T: Field>(self, inputs: &[Block<'_>], outputs: &mut [Chunk]) -> Result<()> {
        let ([a, b], [out]) = (blocks(inputs)?, chunks(outputs)?);
        let (n, columns) = (b.shape()?[0], b.shape()?[1]);
        let out = elements_mut::<T>(out)?;
        out.copy_from_slice(elements(b)?);
        let a = Matrix::new(elements::<T>(a)?, n, n)?;
        Cpu.trsm(self.triangle, (a, Op::Plain), MatrixMut::new(out, n, columns)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blockwise_core::DType;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn panels_solve(
            n in 1_u64..14, columns in 0_u64..4, panel in 1_u64..6, chunk in (1_u64..6, 1_u64..6), lower in any::<bool>(),
        ) {
            let element = |at: &[u64]| ((at[0] * 31 + at[1] * 17) % 23) as f64 / 23.0 + if at[0] == at[1] { 3.0 } else { 0.0 };
            let a = Array::from_fn(&[n, n], element).unwrap().rechunk([chunk.0, chunk.1]).unwrap();
            let half = if lower { a.tril(0).unwrap() } else { a.triu(0).unwrap() };
            let b = Array::from_fn(&[n, columns], |at| (at[0] + 2 * at[1]) as f64).unwrap();
            // The other half is not read.
            let x = in_panels(&a, &b, lower, panel).unwrap();
            prop_assert_eq!((x.dtype(), x.shape()), (DType::F64, vec![n, columns]));
            if columns > 0 {
                let off = matmul(&half, &x).unwrap().try_sub(&b).unwrap().abs().unwrap().max(..).unwrap();
                prop_assert!(off.compute::<f64>().unwrap()[[]] < 1e-10);
                let first = b.slice(1, 0_i64).unwrap();
                let x = in_panels(&a, &first, lower, panel).unwrap();
                let off = matmul(&half, &x).unwrap().try_sub(&first).unwrap().abs().unwrap().max(..).unwrap();
                prop_assert!(x.shape() == [n] && off.compute::<f64>().unwrap()[[]] < 1e-10);
            }
        }
    }
}
