//! Decompositions of dense matrices.
//!
//! Our rows are faer's columns: where that spares a copy, the transpose is decomposed. Invariant: sizes are checked before
//! faer sees them. Called by [`super::Cpu`].

use super::{Field, expect_size, faer_mut, faer_ref, stack};
use blockwise_core::dense::{Inexact, Matrix, MatrixMut};
use blockwise_core::{Error, Result};
use faer::diag::DiagMut;
use faer::dyn_stack::MemStack;
use faer::linalg::cholesky::llt::factor::{self as llt, LltError, LltRegularization};
use faer::linalg::evd::{self, ComputeEigenvectors};
use faer::linalg::householder;
use faer::linalg::lu::partial_pivoting::factor as partial_lu;
use faer::linalg::qr::no_pivoting::factor as qr_factor;
use faer::linalg::svd::{self as faer_svd, ComputeSvdVectors};
use faer::{Conj, Mat, Par};
use num_traits::{Float, Zero};

type Real<T> = <T as Inexact>::Real;

pub(super) fn potrf<T: Field>(mut a: MatrixMut<'_, T>) -> Result<()> {
    let n = a.rows();
    expect_size("Cholesky", (n, a.columns()), (n, n))?;
    let mut buffer = stack(llt::cholesky_in_place_scratch::<T>(n, Par::Seq, Default::default()))?;
    let nothing: <T as Inexact>::Real = Zero::zero();
    let done = llt::cholesky_in_place(
        faer_mut(a.reborrow()),
        LltRegularization { dynamic_regularization_delta: nothing, dynamic_regularization_epsilon: nothing },
        Par::Seq,
        MemStack::new(&mut buffer),
        Default::default(),
    );
    if let Err(LltError::NonPositivePivot { index }) = done {
        return Err(Error::NotPositiveDefinite { column: index as u64 });
    }
    for row in 0..n {
        let elements = a.row_mut(row);
        // A NaN below the diagonal does not stop every variant of the factorisation.
        if elements.get(row).is_none_or(|pivot| !Float::is_finite(pivot.real())) {
            return Err(Error::NotPositiveDefinite { column: row as u64 });
        }
        elements.get_mut(row + 1..).unwrap_or(&mut []).fill(T::zero());
    }
    Ok(())
}

pub(super) fn qr<T: Field>(
    a: Matrix<'_, T>,
    q: Option<MatrixMut<'_, T>>,
    mut r: MatrixMut<'_, T>,
) -> Result<()> {
    let (m, n) = (a.rows(), a.columns());
    let k = m.min(n);
    expect_size("R", (r.rows(), r.columns()), (k, n))?;
    if let Some(q) = &q {
        expect_size("Q", (q.rows(), q.columns()), (m, k))?;
    }
    if k == 0 {
        return Ok(());
    }
    let mut factors: Mat<T> = faer_ref(&a).to_owned();
    let block = qr_factor::recommended_block_size::<T>(m, n);
    let mut coefficients: Mat<T> = Mat::zeros(block, k);
    let mut buffer = stack(
        qr_factor::qr_in_place_scratch::<T>(m, n, block, Par::Seq, Default::default())
            .or(householder::apply_block_householder_sequence_on_the_left_in_place_scratch::<T>(m, block, k)),
    )?;
    qr_factor::qr_in_place(
        factors.as_mut(),
        coefficients.as_mut(),
        Par::Seq,
        MemStack::new(&mut buffer),
        Default::default(),
    );
    if (0..k).any(|at| factors[(at, at)].is_zero()) {
        // faer takes what is left of a column, a few rounding errors of the whole, for nothing.
        let squares = (0..m).map(|row| norm(a.row(row))).fold(Real::<T>::zero(), |sum, x| sum + x * x);
        if squares.is_normal() {
            // Reflections hold as much again as these.
            drop((factors, coefficients, buffer));
            return reflected(a, q, r);
        }
    }
    for row in 0..k {
        for (column, to) in r.row_mut(row).iter_mut().enumerate() {
            *to = if column < row { T::zero() } else { factors[(row, column)] };
        }
    }
    let Some(mut q) = q else { return Ok(()) };
    let mut columns: Mat<T> =
        Mat::from_fn(m, k, |row, column| if row == column { T::one() } else { T::zero() });
    householder::apply_block_householder_sequence_on_the_left_in_place_with_conj(
        factors.as_ref().subcols(0, k),
        coefficients.as_ref(),
        Conj::No,
        columns.as_mut(),
        Par::Seq,
        MemStack::new(&mut buffer),
    );
    for row in 0..m {
        for (column, to) in q.row_mut(row).iter_mut().enumerate() {
            *to = columns[(row, column)];
        }
    }
    Ok(())
}

pub(super) fn svd<T: Field>(
    a: Matrix<'_, T>,
    u: Option<MatrixMut<'_, T>>,
    s: &mut [<T as Inexact>::Real],
    vh: Option<MatrixMut<'_, T>>,
) -> Result<()> {
    let (m, n) = (a.rows(), a.columns());
    let k = m.min(n);
    expect_size("singular values", (s.len(), 1), (k, 1))?;
    if let Some(u) = &u {
        expect_size("U", (u.rows(), u.columns()), (m, k))?;
    }
    if let Some(vh) = &vh {
        expect_size("Vᴴ", (vh.rows(), vh.columns()), (k, n))?;
    }
    if k == 0 {
        return Ok(());
    }
    // aᵀ = conj(v) s uᵀ: its left vectors, column after column, are vᴴ row after row; its right ones are conj(u).
    let wanted = |is_wanted| if is_wanted { ComputeSvdVectors::Thin } else { ComputeSvdVectors::No };
    let request = faer_svd::svd_scratch::<T>(
        n,
        m,
        wanted(vh.is_some()),
        wanted(u.is_some()),
        Par::Seq,
        Default::default(),
    );
    let mut buffer = stack(request)?;
    let mut values = vec![T::zero(); k];
    let mut right: Option<Mat<T>> = u.is_some().then(|| Mat::zeros(m, k));
    let done = faer_svd::svd(
        faer_ref(&a).transpose(),
        DiagMut::from_slice_mut(&mut values),
        vh.map(|vh| faer_mut(vh).transpose_mut()),
        right.as_mut().map(Mat::as_mut),
        Par::Seq,
        MemStack::new(&mut buffer),
        Default::default(),
    );
    let converged = done.is_ok() && values.iter().all(|value| Float::is_finite(value.real()));
    if !converged {
        let operation = "the singular value decomposition";
        return Err(Error::NoConvergence { operation, rows: m as u64, columns: n as u64 });
    }
    for (to, value) in s.iter_mut().zip(&values) {
        *to = value.real();
    }
    if let (Some(mut u), Some(right)) = (u, right) {
        for row in 0..m {
            for (column, to) in u.row_mut(row).iter_mut().enumerate() {
                *to = Inexact::conj(right[(row, column)]);
            }
        }
    }
    Ok(())
}

pub(super) fn eigh<T: Field>(
    a: Matrix<'_, T>,
    values: &mut [<T as Inexact>::Real],
    vectors: Option<MatrixMut<'_, T>>,
) -> Result<()> {
    let n = a.rows();
    expect_size("Hermitian matrix", (n, a.columns()), (n, n))?;
    expect_size("eigenvalues", (values.len(), 1), (n, 1))?;
    if let Some(vectors) = &vectors {
        expect_size("eigenvectors", (vectors.rows(), vectors.columns()), (n, n))?;
    }
    if n == 0 {
        return Ok(());
    }
    let wanted = if vectors.is_some() { ComputeEigenvectors::Yes } else { ComputeEigenvectors::No };
    let mut buffer = stack(evd::self_adjoint_evd_scratch::<T>(n, wanted, Par::Seq, Default::default()))?;
    let mut found = vec![T::zero(); n];
    let mut columns: Option<Mat<T>> = vectors.is_some().then(|| Mat::zeros(n, n));
    let done = evd::self_adjoint_evd(
        faer_ref(&a),
        DiagMut::from_slice_mut(&mut found),
        columns.as_mut().map(Mat::as_mut),
        Par::Seq,
        MemStack::new(&mut buffer),
        Default::default(),
    );
    if done.is_err() || !found.iter().all(|value| Float::is_finite(value.real())) {
        let operation = "the eigendecomposition";
        return Err(Error::NoConvergence { operation, rows: n as u64, columns: n as u64 });
    }
    for (to, value) in values.iter_mut().zip(&found) {
        *to = value.real();
    }
    if let (Some(mut vectors), Some(columns)) = (vectors, columns) {
        for row in 0..n {
            for (column, to) in vectors.row_mut(row).iter_mut().enumerate() {
                *to = columns[(row, column)];
            }
        }
    }
    Ok(())
}

/// As [`qr`], reflection by reflection, none of which is left out because it is of a short vector. Source: G. Golub and C. Van
/// Loan, Matrix Computations, 5.1 and 5.2.
fn reflected<T: Field>(a: Matrix<'_, T>, q: Option<MatrixMut<'_, T>>, mut r: MatrixMut<'_, T>) -> Result<()> {
    let (m, n) = (a.rows(), a.columns());
    let k = m.min(n);
    // Columns, and reflections: vectors of norm 1, from their row on.
    let mut columns: Vec<Vec<T>> = (0..n).map(|at| (0..m).map(|row| a.row(row)[at]).collect()).collect();
    let mut reflections: Vec<Vec<T>> = Vec::with_capacity(k);
    for at in 0..k {
        let mut vector = columns[at][at..].to_vec();
        let norm = norm(&vector);
        if norm > Real::<T>::zero() {
            let head = vector[0];
            let length = head.abs_squared().sqrt();
            let turn =
                if length > Real::<T>::zero() { head * T::from_real(length.recip()) } else { T::one() };
            vector[0] += turn * T::from_real(norm);
            let norm = self::norm(&vector).recip();
            vector.iter_mut().for_each(|x| *x *= T::from_real(norm));
            columns[at..].iter_mut().for_each(|column| reflect(&vector, &mut column[at..]));
        } else {
            vector.clear();
        }
        // What is zero but for rounding errors.
        columns[at][at + 1..].fill(T::zero());
        reflections.push(vector);
    }
    for row in 0..k {
        for (column, to) in columns.iter().zip(r.row_mut(row)) {
            *to = column[row];
        }
    }
    let Some(mut q) = q else { return Ok(()) };
    for column in 0..k {
        let mut whole = vec![T::zero(); m];
        whole[column] = T::one();
        for (at, vector) in reflections.iter().enumerate().rev() {
            reflect(vector, &mut whole[at..]);
        }
        for (row, x) in whole.iter().enumerate() {
            q.row_mut(row)[column] = *x;
        }
    }
    Ok(())
}

fn norm<T: Field>(x: &[T]) -> Real<T> {
    x.iter().fold(Real::<T>::zero(), |sum, x| sum + x.abs_squared()).sqrt()
}

/// `x` mirrored at the plane that `vector`, of norm 1, stands upright on.
fn reflect<T: Field>(vector: &[T], x: &mut [T]) {
    let dot = vector.iter().zip(x.iter()).fold(T::zero(), |sum, (v, x)| sum + v.conj() * *x);
    let twice = dot + dot;
    x.iter_mut().zip(vector).for_each(|(x, v)| *x -= *v * twice);
}

pub(super) fn lu<T: Field>(a: MatrixMut<'_, T>, rows: &mut [usize]) -> Result<()> {
    let (m, n) = (a.rows(), a.columns());
    expect_size("row exchanges", (rows.len(), 1), (m, 1))?;
    let mut inverse = vec![0_usize; m];
    let mut buffer = stack(partial_lu::lu_in_place_scratch::<usize, T>(m, n, Par::Seq, Default::default()))?;
    partial_lu::lu_in_place(
        faer_mut(a),
        rows,
        &mut inverse,
        Par::Seq,
        MemStack::new(&mut buffer),
        Default::default(),
    );
    Ok(())
}
