//! The Cholesky decomposition of a positive definite matrix, panel by panel: left-looking, so that what is done is only read.
//!
//! Workspace: a matrix of at most [`WHOLE`](crate::leaf::WHOLE) rows is one block, twice. A larger one is made in panels of
//! [`PANEL`](crate::leaf::PANEL) columns (more where there would be over 64), which lie in memory or in temporary files; a
//! task holds what a task of `matmul` does, and a few blocks of 8 MiB in float64.

use crate::dense::{Cpu, Field};
use crate::leaf::{self, LeafFunction, PANEL, WHOLE, adjoint, elements, elements_mut, part};
use crate::{contract::one, matmul};
use blockwise_core::block::{Block, blocks, chunks};
use blockwise_core::dense::{Dense, Leaf, Matrix, MatrixMut, Op, Triangle};
use blockwise_core::{Array, AxisGrid, Chunk, ChunkGrid, Error, Result};

/// The lower triangular matrix `l` with `a = l lᴴ`, for a Hermitian positive definite matrix: NumPy's `linalg.cholesky`. Of
/// `a` the lower half alone is read.
///
/// # Errors
/// If `a` is not square. When it is computed: [`Error::NotPositiveDefinite`] if `a` is not positive definite, with the column
/// at which that shows.
///
/// ```
/// use blockwise_core::Array;
/// use blockwise_linalg::cholesky;
/// let a = Array::from_ndarray(&ndarray::arr2(&[[4.0, 2.0], [2.0, 10.0]]).into_dyn())?;
/// assert_eq!(cholesky(&a)?.compute::<f64>()?, ndarray::arr2(&[[2.0, 0.0], [1.0, 3.0]]).into_dyn());
/// # Ok::<(), blockwise_core::Error>(())
/// ```
pub fn cholesky(a: &Array) -> Result<Array> {
    let panel = if leaf::side("cholesky", a)? <= WHOLE { WHOLE } else { PANEL };
    in_panels(a, panel)
}

/// As [`cholesky`], in panels of `panel` columns, or more where those are too many.
pub(crate) fn in_panels(a: &Array, panel: u64) -> Result<Array> {
    let n = leaf::side("cholesky", a)?;
    let dtype = leaf::solved_dtype(a.dtype());
    let a = a.astype(dtype).with_some_names(vec![None; 2])?;
    if n == 0 {
        return Ok(a);
    }
    let panel = panel.max(n.div_ceil(MAX_PANELS));
    // Each from its own diagonal block down.
    let mut done: Vec<(u64, Array)> = Vec::new();
    for start in (0..n).step_by(usize::try_from(panel).unwrap_or(usize::MAX)) {
        let end = (start + panel).min(n);
        let mut rest = part(&a, start..n, start..end)?;
        if !done.is_empty() {
            let left = done.iter().map(|(from, made)| part(made, start - from..n - from, 0..panel));
            let left = Array::concatenate(&left.collect::<Result<Vec<_>>>()?, 1)?;
            let top = left.slice(0, ..(end - start) as i64)?;
            rest = rest.try_sub(matmul(&left, &adjoint(&top)?)?)?;
        }
        let width = end - start;
        let diagonal = of_diagonal(&part(&rest, 0..width, 0..width)?, start)?;
        let made = if end < n {
            let below = divided(&part(&rest, width..n - start, 0..width)?, &diagonal)?;
            Array::concatenate(&[diagonal, below], 0)?
        } else {
            diagonal
        };
        done.push((start, made));
    }
    let columns = done.into_iter().map(|(start, made)| {
        if start == 0 {
            return Ok(made);
        }
        let width = made.shape().get(1).copied().unwrap_or(0);
        Array::concatenate(&[Array::zeros(&[start, width], dtype)?, made], 0)
    });
    Array::concatenate(&columns.collect::<Result<Vec<_>>>()?, 1)
}

/// Panels that a matrix is cut into, at most: each is a few stages of the plan.
const MAX_PANELS: u64 = 64;

/// The factor of a block on the diagonal, which begins at column `start`.
fn of_diagonal(a: &Array, start: u64) -> Result<Array> {
    let shape = a.shape();
    let tasks = ChunkGrid::single(&shape)?;
    let factor = leaf::function(a.dtype(), Factor { start })?;
    let outputs = vec![(a.dtype(), tasks.clone())];
    one(Array::from_blocks(factor, vec![a.into()], tasks, vec![Some(0), Some(1)], outputs)?)
}

/// `x` with `x lᴴ = b`.
fn divided(b: &Array, l: &Array) -> Result<Array> {
    let (rows, width) = (b.shape()[0], l.shape()[0]);
    let room = (leaf::BLOCK_BYTES / b.dtype().size() as u64 / width.max(1)).max(1);
    let cuts = b.grid().axes().first().map(|cuts| cuts.resized(room)).transpose()?;
    let cuts = match cuts {
        Some(cuts) => cuts,
        None => AxisGrid::regular(rows, room)?,
    };
    let whole = AxisGrid::regular(width, width.max(1))?;
    let tasks = ChunkGrid::from_axes(vec![cuts.clone(), whole.clone(), whole.clone()])?;
    let inputs = vec![(&b.expand_dims(1)?).into(), (&l.expand_dims(0)?).into()];
    let outputs = vec![(b.dtype(), ChunkGrid::from_axes(vec![cuts, whole])?)];
    let divide = leaf::function(b.dtype(), Divide)?;
    one(Array::from_blocks(divide, inputs, tasks, vec![Some(0), Some(2)], outputs)?)
}

/// The Cholesky factor of a block.
#[derive(Clone, Copy)]
struct Factor {
    /// The column of the whole matrix at which the block begins.
    start: u64,
}

impl LeafFunction for Factor {
    const NAME: &'static str = "cholesky";

    fn scratch_bytes<T: Field>(self) -> u64 {
        Dense::<T>::scratch_bytes(&Cpu, Leaf::Potrf, WHOLE, WHOLE)
    }

    fn run<T: Field>(self, inputs: &[Block<'_>], outputs: &mut [Chunk]) -> Result<()> {
        let ([a], [out]) = (blocks(inputs)?, chunks(outputs)?);
        let side = a.shape()?.first().copied().unwrap_or(0);
        let out = elements_mut::<T>(out)?;
        out.copy_from_slice(elements(a)?);
        Cpu.potrf(MatrixMut::new(out, side, side)?).map_err(|error| match error {
            Error::NotPositiveDefinite { column } => {
                Error::NotPositiveDefinite { column: column + self.start }
            }
            other => other,
        })
    }
}

/// `x` with `x lᴴ = b`, for blocks of rows.
#[derive(Clone, Copy)]
struct Divide;

impl LeafFunction for Divide {
    const NAME: &'static str = "triangular solve";

    fn scratch_bytes<T: Field>(self) -> u64 {
        Dense::<T>::scratch_bytes(&Cpu, Leaf::Trsm, WHOLE, WHOLE)
    }

    fn run<T: Field>(self, inputs: &[Block<'_>], outputs: &mut [Chunk]) -> Result<()> {
        let ([b, l], [out]) = (blocks(inputs)?, chunks(outputs)?);
        let (rows, width) = (b.shape()?[0], b.shape()?[2]);
        let out = elements_mut::<T>(out)?;
        out.copy_from_slice(elements(b)?);
        let l = Matrix::new(elements::<T>(l)?, width, width)?;
        Cpu.trsm_right(Triangle::Lower, (l, Op::Adjoint), MatrixMut::new(out, rows, width)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blockwise_core::{DType, Session};
    use ndarray::{Array2, Ix2};
    use num_complex::Complex64;
    use proptest::prelude::*;

    /// A positive definite matrix, cut into chunks of this shape.
    fn definite(n: u64, chunk: [u64; 2], dtype: DType) -> Array {
        let x = Array::from_fn(&[n + 2, n], |at| {
            let mixed = (at[0] * 31 + at[1] * 17) % 23;
            Complex64::new(mixed as f64 / 23.0, ((mixed * 7) % 11) as f64 / 11.0)
        });
        let x =
            if dtype.kind() == 'c' { x.unwrap() } else { Array::call("real", [x.unwrap().into()]).unwrap() };
        let x = x.rechunk([3, 4]).unwrap();
        let a = matmul(&adjoint(&x).unwrap(), &x).unwrap();
        let a = a.try_add(Array::eye(n, n, 0, a.dtype()).unwrap()).unwrap();
        a.astype(dtype).rechunk(chunk).unwrap()
    }

    fn held(array: &Array) -> Array2<Complex64> {
        array.astype(DType::C128).compute::<Complex64>().unwrap().into_dimensionality::<Ix2>().unwrap()
    }

    fn furthest(a: &Array2<Complex64>, b: &Array2<Complex64>) -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - b).norm()).fold(0.0, f64::max)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn panels_make_the_factor(n in 1_u64..14, panel in 1_u64..6, chunk in (1_u64..6, 1_u64..6), kind in 0..4_usize) {
            let dtype = [DType::F32, DType::F64, DType::C64, DType::C128][kind];
            let a = definite(n, [chunk.0, chunk.1], dtype);
            let l = in_panels(&a, panel).unwrap();
            prop_assert_eq!((l.dtype(), l.shape()), (dtype, vec![n, n]));
            let back = matmul(&l, &adjoint(&l).unwrap()).unwrap();
            let limit = if dtype.size() == 4 || dtype == DType::C64 { 1e-3 } else { 1e-11 };
            prop_assert!(furthest(&held(&back), &held(&a)) < limit);
            let upper: f64 = held(&l).indexed_iter().filter(|((i, j), _)| i < j).map(|(_, x)| x.norm()).sum();
            prop_assert!(upper == 0.0);
        }
    }

    #[test]
    fn what_is_not_positive_definite_is_told_with_its_column() {
        let a = definite(10, [4, 10], DType::F64);
        let spoilt = |at: u64| {
            let spike = Array::from_fn(&[10, 10], move |place| if place == [at, at] { 100.0 } else { 0.0 });
            in_panels(&a.try_sub(spike.unwrap()).unwrap(), 3).unwrap()
        };
        for at in [0, 2, 3, 7, 9] {
            let error = spoilt(at).compute::<f64>().unwrap_err();
            let text = error.to_string();
            assert!(text.contains(&format!("column {at} ")), "{text}");
        }
        assert!(cholesky(&Array::zeros(&[2, 3], DType::F64).unwrap()).is_err());
        assert_eq!(cholesky(&Array::zeros(&[0, 0], DType::F32).unwrap()).unwrap().shape(), [0, 0]);
    }

    #[test]
    fn panels_go_through_temporary_files() {
        let n = 1000;
        let a = Session::with_budget(1 << 30).persist(&definite(n, [100, 100], DType::F64)).unwrap();
        let l = in_panels(&a, 128).unwrap();
        // Room for what the leaves hold, but not for all panels.
        let session = |budget_bytes: u64| {
            Session::new(blockwise_core::plan::Resources {
                budget_bytes,
                threads: 1,
                spill_folder: std::env::temp_dir(),
                spill_limit_bytes: None,
                engine: None,
                device: None,
            })
        };
        let budget_bytes = 26 << 20;
        let plan = session(budget_bytes).explain(std::slice::from_ref(&l)).unwrap();
        assert!(plan.summary().temporary_bytes > 0, "{}", plan.summary());
        // The result is held beside what the plan takes.
        let session = session(budget_bytes + 8 * n * n);
        let l = session.compute::<f64>(&l).unwrap().into_dimensionality::<Ix2>().unwrap();
        let a = a.compute::<f64>().unwrap().into_dimensionality::<Ix2>().unwrap();
        let off = (l.dot(&l.t()) - a).iter().map(|x| x.abs()).fold(0.0, f64::max);
        assert!(off < 1e-9, "{off}");
    }
}
