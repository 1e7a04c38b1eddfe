//! LU decompositions with row exchanges, and what is solved with them.
//!
//! Workspace: a matrix of at most [`WHOLE`](crate::leaf::WHOLE) rows and columns is one block, twice (three times where it must
//! be brought together from chunks), and for solves once with a block of right-hand sides (16 MiB at most, twice). A larger
//! one is made in [`panels`], whose workspace is theirs.

mod panels;

use crate::contract::one;
use crate::dense::{Cpu, Field};
use crate::leaf::{self, LeafFunction, WHOLE, adjoint, elements, elements_mut};
use crate::triangular::{as_given, prepared, tasks};
use crate::{cholesky, solve_triangular};
use blockwise_core::block::{Block, blocks, chunks};
use blockwise_core::dense::{Dense, Leaf, Matrix, MatrixMut, Op, Triangle};
use blockwise_core::{Array, Chunk, ChunkGrid, DType, Error, Result};

/// An LU decomposition: see [`lu`].
#[derive(Clone, Debug)]
pub struct Lu {
    /// The exchanges, a matrix of zeros and ones of shape `(m, m)`.
    pub p: Array,
    /// Lower triangular with ones on its diagonal, of shape `(m, k)`.
    pub l: Array,
    /// Upper triangular, of shape `(k, n)`.
    pub u: Array,
}

/// What is known of a matrix that is solved with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assume {
    /// Nothing: by LU decomposition with row exchanges.
    General,
    /// It is Hermitian and positive definite: by Cholesky decomposition, of its lower half.
    PositiveDefinite,
}

/// The LU decomposition `a = p l u` of a matrix of shape `(m, n)`, `k = min(m, n)`: SciPy's `linalg.lu`.
///
/// # Errors
/// If `a` has not two axes.
///
/// ```
/// use blockwise_core::Array;
/// use blockwise_linalg::{lu, matmul};
/// let a = Array::from_ndarray(&ndarray::arr2(&[[1.0, 2.0], [4.0, 4.0]]).into_dyn())?;
/// let found = lu(&a)?;
/// assert_eq!(found.u.compute::<f64>()?, ndarray::arr2(&[[4.0, 4.0], [0.0, 1.0]]).into_dyn());
/// let back = matmul(&found.p, &matmul(&found.l, &found.u)?)?;
/// assert_eq!(back.compute::<f64>()?, a.compute::<f64>()?);
/// # Ok::<(), blockwise_core::Error>(())
/// ```
pub fn lu(a: &Array) -> Result<Lu> {
    let [m, n] = a.shape()[..] else {
        return Err(Error::Rank { expected: 2, found: a.rank() });
    };
    let dtype = leaf::solved_dtype(a.dtype());
    let k = m.min(n);
    if k == 0 {
        let (l, u) = (Array::zeros(&[m, 0], dtype)?, Array::zeros(&[0, n], dtype)?);
        return Ok(Lu { p: Array::eye(m, m, 0, dtype)?, l, u });
    }
    let a = a.astype(dtype).with_some_names(vec![None; 2])?;
    let (l, u, rows) = if m.max(n) <= WHOLE {
        let (both, rows) = factors(&a)?;
        let l = leaf::part(&both, 0..m, 0..k)?.tril(-1)?.try_add(Array::eye(m, k, 0, dtype)?)?;
        (l.astype(dtype), leaf::part(&both, 0..k, 0..n)?.triu(0)?, rows)
    } else {
        let made = panels::in_panels(&a, panels::PANEL, false)?;
        (made.lower, made.upper, made.rows)
    };
    let from = Array::arange_i64(0, i64::try_from(m).unwrap_or(i64::MAX), 1)?.expand_dims(1)?;
    let p = Array::call("equal", [from.into(), rows.transpose(..)?.into()])?.astype(dtype);
    Ok(Lu { p, l, u })
}

/// `x` with `a x = b`: NumPy's `linalg.solve`. `b` is a vector or a matrix of columns.
///
/// # Errors
/// If `a` is not square, or `b` has not as many rows. When it is computed: [`Error::Singular`] if `a` is singular.
///
/// ```
/// use blockwise_core::Array;
/// use blockwise_linalg::solve;
/// let a = Array::from_ndarray(&ndarray::arr2(&[[0.0, 2.0], [1.0, 4.0]]).into_dyn())?;
/// let b = Array::from_ndarray(&ndarray::arr1(&[4.0, 9.0]).into_dyn())?;
/// assert_eq!(solve(&a, &b)?.compute::<f64>()?, ndarray::arr1(&[1.0, 2.0]).into_dyn());
/// # Ok::<(), blockwise_core::Error>(())
/// ```
pub fn solve(a: &Array, b: &Array) -> Result<Array> {
    solve_with(a, b, Assume::General)
}

/// As [`solve`], with what is known of `a`.
///
/// # Errors
/// As [`solve`]; [`Error::NotPositiveDefinite`] if `a` is not what is assumed.
pub fn solve_with(a: &Array, b: &Array, assume: Assume) -> Result<Array> {
    let n = leaf::side("solve", a)?;
    let (a, b, is_vector) = prepared(a, b)?;
    if n == 0 || b.shape().contains(&0) {
        return as_given(b, is_vector);
    }
    let x = match assume {
        Assume::General if n > WHOLE => panels::solved(&a, &b, panels::PANEL)?,
        Assume::General => {
            let (both, rows) = factors(&a)?;
            let (tasks, grid) = tasks(n, &b)?;
            let inputs = vec![
                (&both.expand_dims(1)?).into(),
                (&rows.expand_dims(2)?).into(),
                (&b.expand_dims(2)?).into(),
            ];
            let solve = leaf::function(b.dtype(), Solve)?;
            one(Array::from_blocks(solve, inputs, tasks, vec![Some(0), Some(1)], vec![(b.dtype(), grid)])?)?
        }
        Assume::PositiveDefinite => {
            let l = cholesky(&a)?;
            solve_triangular(&adjoint(&l)?, &solve_triangular(&l, &b, true)?, false)?
        }
    };
    as_given(x, is_vector)
}

/// The inverse of a square matrix: NumPy's `linalg.inv`. To solve, use [`solve`]: it is faster and more exact.
///
/// # Errors
/// As [`solve`].
pub fn inv(a: &Array) -> Result<Array> {
    let n = leaf::side("inv", a)?;
    solve(a, &Array::eye(n, n, 0, leaf::solved_dtype(a.dtype()))?)
}

/// `l` and `u` in one matrix of one block, and which rows of `a` its rows are, as a column.
fn factors(a: &Array) -> Result<(Array, Array)> {
    let shape = a.shape();
    let tasks = ChunkGrid::single(&shape)?;
    let rows = ChunkGrid::single(&[shape[0], 1])?;
    let outputs = vec![(a.dtype(), tasks.clone()), (DType::I64, rows)];
    let factor = leaf::function(a.dtype(), Factor { longest: shape[0].max(shape[1]) })?;
    let mut results = Array::from_blocks(factor, vec![a.into()], tasks, vec![None, None], outputs)?;
    match (results.pop(), results.pop()) {
        (Some(rows), Some(both)) => Ok((both, rows)),
        _ => Err(Error::Internal { message: "a decomposition without results".to_owned() }),
    }
}

#[derive(Clone, Copy)]
struct Factor {
    longest: u64,
}

impl LeafFunction for Factor {
    const NAME: &'static str = "LU decomposition of a whole matrix";

    fn scratch_bytes<T: Field>(self) -> u64 {
        let own = Dense::<T>::scratch_bytes(&Cpu, Leaf::Lu, self.longest, self.longest);
        own.saturating_add(self.longest.saturating_mul(8))
    }

    fn run<T: Field>(self, inputs: &[Block<'_>], outputs: &mut [Chunk]) -> Result<()> {
        let ([a], [both, rows]) = (blocks(inputs)?, chunks(outputs)?);
        let (m, n) = (a.shape()?[0], a.shape()?[1]);
        let both = elements_mut::<T>(both)?;
        both.copy_from_slice(elements(a)?);
        let mut order = vec![0; m];
        Cpu.lu(MatrixMut::new(both, m, n)?, &mut order)?;
        let rows = rows.elements_mut::<i64>();
        let rows =
            rows.ok_or_else(|| Error::Internal { message: "row numbers of another dtype".to_owned() })?;
        for (to, row) in rows.iter_mut().zip(order) {
            *to = row as i64;
        }
        Ok(())
    }
}

/// The solution for a block of columns.
#[derive(Clone, Copy)]
struct Solve;

impl LeafFunction for Solve {
    const NAME: &'static str = "solve";

    fn scratch_bytes<T: Field>(self) -> u64 {
        Dense::<T>::scratch_bytes(&Cpu, Leaf::Trsm, WHOLE, WHOLE)
    }

    fn run<T: Field>(self, inputs: &[Block<'_>], outputs: &mut [Chunk]) -> Result<()> {
        let ([both, rows, b], [out]) = (blocks(inputs)?, chunks(outputs)?);
        let (n, columns) = (b.shape()?[0], b.shape()?[1]);
        let both = Matrix::new(elements::<T>(both)?, n, n)?;
        let zero = (0..n).find(|at| both.row(*at).get(*at).is_none_or(num_traits::Zero::is_zero));
        if let Some(column) = zero {
            return Err(Error::Singular { column: column as u64 });
        }
        let rows = rows.elements::<i64>().unwrap_or_default();
        let (b, out) = (elements::<T>(b)?, elements_mut::<T>(out)?);
        for (to, row) in out.chunks_exact_mut(columns).zip(rows) {
            let from = usize::try_from(*row).ok().and_then(|row| b.get(row * columns..(row + 1) * columns));
            to.copy_from_slice(from.ok_or_else(|| Error::Internal { message: format!("no row {row}") })?);
        }
        Cpu.trsm(Triangle::UnitLower, (both, Op::Plain), MatrixMut::new(out, n, columns)?)?;
        Cpu.trsm(Triangle::Upper, (both, Op::Plain), MatrixMut::new(out, n, columns)?)
    }
}
