//! Singular value decompositions of matrices with a small side, chunk by chunk, and what follows from them.
//!
//! Invariants: the matrix is read once for the singular values and the vectors of the small side, twice if those of the long
//! side are wanted; signs follow from the result alone. Called by programs and by [`crate::pca`].

mod jacobi;

use crate::dense::Cpu;
use crate::qr::{State, Tall, Tree, Wide, fill, internal, real_dtype, write_numbers};
use blockwise_core::array::Index;
use blockwise_core::dense::{Accumulate, Dense, Leaf, Matrix, MatrixMut, Op};
use blockwise_core::{Array, Chunk, DType, Result};
use jacobi::Polished;
use num_complex::Complex64;

/// A singular value decomposition: see [`svd`].
#[derive(Clone, Debug)]
pub struct Svd {
    /// Left singular vectors as columns, of shape `(m, k)`.
    pub u: Array,
    /// Singular values, largest first, of shape `(k,)`.
    pub s: Array,
    /// Right singular vectors as rows, conjugated: of shape `(k, n)`.
    pub vh: Array,
}

/// The thin singular value decomposition `a = u diag(s) vh` of a matrix of shape `(m, n)`, `k = min(m, n)`: NumPy's
/// `linalg.svd(a, full_matrices=False)`, dask's `linalg.svd(a)`.
///
/// One side may be as long as you like, cut anyhow: the matrix (or its transpose) is decomposed as by [`qr`](crate::qr()), then
/// its triangle. Signs are dask's (`coerce_signs`): the sum of every row of `vh` is not negative. Singular values are
/// as exact as LAPACK's: to a few rounding errors of the largest. Elements of 32 bits are computed with in 64. Singular
/// vectors are orthonormal whatever the rank.
///
/// Workspace: as [`qr`](crate::qr()), and about twenty squares of the small side at the end.
///
/// # Errors
/// If the array has not two axes. NaN and infinities are errors when it is computed.
///
/// ```
/// use blockwise_core::Array;
/// let a = Array::from_fn(&[2000, 2], |at| if at[1] == 0 { 3.0 } else { (-1.0_f64).powi(at[0] as i32) })?;
/// let svd = blockwise_linalg::svd(&a.rechunk([300, 1])?)?;
/// let s = svd.s.compute::<f64>()?;
/// assert!((s[0] - 3.0 * 2000_f64.sqrt()).abs() < 1e-10 && (s[1] - 2000_f64.sqrt()).abs() < 1e-10);
/// # Ok::<(), blockwise_core::Error>(())
/// ```
pub fn svd(a: &Array) -> Result<Svd> {
    Ok(leading(a, u64::MAX)?.0)
}

/// The largest singular values and their vectors, `rank` of them if there are as many; and all singular values. Of the long side,
/// no more vectors are made than are given.
pub(crate) fn leading(a: &Array, rank: u64) -> Result<(Svd, Array)> {
    let whole = Tall::new(a)?;
    let names = a.names().to_vec();
    let name = |axis: usize| names.get(axis).cloned().flatten();
    let (rows, columns, dtype) = (whole.rows, whole.columns, whole.dtype);
    if rows == 0 || columns == 0 {
        let (u, vh) = (Array::zeros(&[rows, 0], dtype)?, Array::zeros(&[0, columns], dtype)?);
        let s = Array::zeros(&[0], real_dtype(dtype))?;
        return Ok((Svd { u, s: s.clone(), vh }, s));
    }
    let is_wide = rows < columns;
    let rank = rank.min(rows).min(columns);
    let tall = if is_wide { Tall::new(&whole.array.transpose(..)?)? } else { whole };
    let Svd { u, s, vh } = match tall.is_complex() {
        true => decomposed::<Complex64>(&tall, is_wide, rank)?,
        false => decomposed::<f64>(&tall, is_wide, rank)?,
    };
    let first = Index::from(0..i64::try_from(rank).unwrap_or(i64::MAX));
    let (kept, vh) = (s.index(&[first])?, vh.index(&[first])?);
    // aᵀ = u s vh is a = vhᵀ s uᵀ.
    let (u, vh) = if is_wide { (vh.transpose(..)?, u.transpose(..)?) } else { (u, vh) };
    let (u, vh) = (u.with_some_names(vec![name(0), None])?, vh.with_some_names(vec![None, name(1)])?);
    Ok((Svd { u, s: kept, vh }, s))
}

/// The singular values of a matrix, largest first: NumPy's `linalg.svdvals`. The matrix is read once.
///
/// # Errors
/// As [`svd`].
pub fn svdvals(a: &Array) -> Result<Array> {
    Ok(svd(a)?.s)
}

/// The pseudo-inverse of a matrix (Moore and Penrose), of shape `(n, m)`: NumPy's `linalg.pinv`. Singular values up to
/// `tolerance` times the largest count as zero; `None`: `max(m, n)` rounding errors. The matrix is read twice.
///
/// # Errors
/// As [`svd`].
///
/// ```
/// use blockwise_core::Array;
/// let a = Array::from_fn(&[300, 2], |at| (at[0] * (at[1] + 1) % 7) as f64)?;
/// let inverse = blockwise_linalg::pinv(&a, None)?.compute::<f64>()?;
/// let a = a.compute::<f64>()?;
/// let product: f64 = (0..300).map(|row| inverse[[0, row]] * a[[row, 0]]).sum();
/// assert!((product - 1.0).abs() < 1e-12);
/// # Ok::<(), blockwise_core::Error>(())
/// ```
pub fn pinv(a: &Array, tolerance: Option<f64>) -> Result<Array> {
    let whole = Tall::new(a)?;
    let (rows, columns, dtype) = (whole.rows, whole.columns, whole.dtype);
    if rows == 0 || columns == 0 {
        return Array::zeros(&[columns, rows], dtype);
    }
    let is_wide = rows < columns;
    let tall = if is_wide { Tall::new(&whole.array.transpose(..)?)? } else { whole };
    let epsilon = if real_dtype(dtype) == DType::F32 { f64::from(f32::EPSILON) } else { f64::EPSILON };
    let tolerance = tolerance.unwrap_or(rows.max(columns) as f64 * epsilon);
    let inverse = match tall.is_complex() {
        true => conjugate(&inverted::<Complex64>(&tall, tolerance, is_wide)?)?,
        false => inverted::<f64>(&tall, tolerance, is_wide)?,
    };
    // The adjoint of (a⁺)ᴴ; of a wide matrix, the transpose of the adjoint.
    let inverse = if is_wide { inverse } else { inverse.transpose(..)? };
    let names = vec![a.names().get(1).cloned().flatten(), a.names().first().cloned().flatten()];
    inverse.with_some_names(names)
}

fn conjugate(array: &Array) -> Result<Array> {
    Array::call("conjugate", [array.into()])
}

/// The decomposition of a tall matrix, with `rank` columns of `u`; `of_transpose`: of one whose transpose's signs are wanted.
fn decomposed<T: Wide>(matrix: &Tall, of_transpose: bool, rank: u64) -> Result<Svd> {
    let tree = Tree::<T>::new(&matrix.array, of_transpose)?;
    let (columns, dtype) = (matrix.columns, matrix.dtype);
    let small = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let (n, k) = (small(columns), small(rank));
    let run = move |state: &State<T>, _: &[T], outputs: &mut [Chunk]| {
        let [values, right, factor] = blockwise_core::block::chunks(outputs)?;
        let mut found = Factors::of(state)?;
        found.fix_signs(of_transpose.then_some(state.sums.as_slice()));
        fill::<f64>(values, &found.s)?;
        fill(right, &found.vh)?;
        if k < n {
            let rows = found.u.chunks_exact(n).flat_map(|row| row.iter().take(k).copied());
            found.u = rows.collect();
        }
        write_numbers(&found.u, factor.bytes_mut())
    };
    let outputs = [(real_dtype(dtype), [1, columns]), (dtype, [columns, columns])];
    let (made, factor) = tree.root("SVD of R", scratch_bytes::<T>(columns), None, &outputs, Box::new(run))?;
    let [s, vh] = <[Array; 2]>::try_from(made).map_err(|_| internal("no singular values"))?;
    let s = s.index(&[Index::from(0)])?;
    Ok(Svd { u: tree.orthogonal(factor, rank)?, s, vh })
}

/// `u diag(1 / s) vh` of a tall matrix, without the singular values up to `tolerance` times the largest; `of_transpose`:
/// of one whose transpose's is wanted.
fn inverted<T: Wide>(matrix: &Tall, tolerance: f64, of_transpose: bool) -> Result<Array> {
    let tree = Tree::<T>::new(&matrix.array, of_transpose)?;
    let n = usize::try_from(matrix.columns).unwrap_or(usize::MAX);
    let run = move |state: &State<T>, _: &[T], outputs: &mut [Chunk]| {
        let [factor] = blockwise_core::block::chunks(outputs)?;
        let Factors { mut u, s, vh, .. } = Factors::of(state)?;
        let least = s.first().copied().unwrap_or(0.0) * tolerance;
        for row in u.chunks_exact_mut(n) {
            for (x, s) in row.iter_mut().zip(&s) {
                *x *= T::from_real(if *s > least { s.recip() } else { 0.0 });
            }
        }
        let mut product = vec![T::zero(); state.rows * n];
        Cpu.gemm(
            MatrixMut::new(&mut product, state.rows, n)?,
            Accumulate::Replace,
            T::one(),
            (Matrix::new(&u, state.rows, n)?, Op::Plain),
            (Matrix::new(&vh, n, n)?, Op::Plain),
        )?;
        write_numbers(&product, factor.bytes_mut())
    };
    let (_, factor) =
        tree.root("inverse of R", scratch_bytes::<T>(matrix.columns), None, &[], Box::new(run))?;
    tree.orthogonal(factor, matrix.columns)
}

/// Bytes that [`Factors`] take.
pub(crate) fn scratch_bytes<T: Wide>(columns: u64) -> u64 {
    Dense::<T>::scratch_bytes(&Cpu, Leaf::Svd, columns, columns)
        .saturating_add(State::<T>::bytes(columns, columns).saturating_mul(5))
}

/// The singular value decomposition of a state's triangle.
pub(crate) struct Factors<T> {
    columns: usize,
    pub(crate) u: Vec<T>,
    pub(crate) s: Vec<f64>,
    pub(crate) vh: Vec<T>,
}

impl<T: Wide> Factors<T> {
    pub(crate) fn of(state: &State<T>) -> Result<Self> {
        let n = state.sums.len();
        let largest = state.r.iter().flat_map(|x| x.parts()).fold(0.0_f64, |most, x| most.max(x.abs()));
        // A power of two, with which squares neither overflow nor vanish.
        let scale = if largest > 0.0 { largest.log2().floor().clamp(-1000.0, 1000.0).exp2() } else { 1.0 };
        let r: Vec<T> = state.r.iter().map(|x| *x * T::from_real(scale.recip())).collect();
        let (mut u, mut s, mut vh) = (vec![T::zero(); state.rows * n], vec![0.0; n], vec![T::zero(); n * n]);
        Cpu.svd(
            Matrix::new(&r, state.rows, n)?,
            Some(MatrixMut::new(&mut u, state.rows, n)?),
            &mut s,
            Some(MatrixMut::new(&mut vh, n, n)?),
        )?;
        let Polished { u, mut s, vh } =
            jacobi::polished(Matrix::new(&r, state.rows, n)?, Polished { u, s, vh })?;
        s.iter_mut().for_each(|s| *s *= scale);
        Ok(Self { columns: n, u, s, vh })
    }

    /// Turns vectors round where the sum of the row of right singular vectors is negative. For the decomposition of a
    /// transpose those are the columns of the long side, whose sums follow from the sums of the matrix's columns.
    pub(crate) fn fix_signs(&mut self, sums: Option<&[T]>) {
        let n = self.columns;
        for at in 0..n {
            let row = self.vh.get(at * n..(at + 1) * n).unwrap_or(&[]);
            let sum = match sums {
                None => row.iter().fold(T::zero(), |sum, x| sum + *x),
                Some(sums) => row.iter().zip(sums).fold(T::zero(), |sum, (x, of)| sum + x.conj() * *of),
            };
            let [real, imaginary] = sum.parts();
            if real < 0.0 || (real == 0.0 && imaginary < 0.0) {
                self.vh.iter_mut().skip(at * n).take(n).for_each(|x| *x = -*x);
                self.u.iter_mut().skip(at).step_by(n).for_each(|x| *x = -*x);
            }
        }
    }
}
