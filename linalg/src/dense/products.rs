//! Products and triangular solves of dense matrices.
//!
//! Invariant: sizes are checked before faer sees them. Called by [`super::Cpu`].

use super::{Field, expect_size, faer_mut, faer_ref};
use blockwise_core::Result;
use blockwise_core::dense::{Accumulate, Matrix, MatrixMut, Op, Triangle};
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::{matmul, triangular_solve};
use faer::{Accum, Conj, MatRef, Par};

/// Most bytes of packed panels that a product holds, whatever its size.
pub(super) const PACKED_BYTES: u64 = 8 << 20;

pub(super) fn gemm<T: Field>(
    out: MatrixMut<'_, T>,
    into: Accumulate,
    scale: T,
    a: (Matrix<'_, T>, Op),
    b: (Matrix<'_, T>, Op),
) -> Result<()> {
    let ((a, conj_a), (b, conj_b)) = (taken(&a), taken(&b));
    expect_size("product", (b.nrows(), b.ncols()), (a.ncols(), b.ncols()))?;
    expect_size("result of a product", (out.rows(), out.columns()), (a.nrows(), b.ncols()))?;
    let out = faer_mut(out);
    matmul::matmul_with_conj(out, accum(into), a, conj_a, b, conj_b, scale, Par::Seq);
    Ok(())
}

pub(super) fn gram<T: Field>(out: MatrixMut<'_, T>, into: Accumulate, a: Matrix<'_, T>) -> Result<()> {
    expect_size("result of a product", (out.rows(), out.columns()), (a.columns(), a.columns()))?;
    let (out, a) = (faer_mut(out), faer_ref(&a));
    triangular::matmul_with_conj(
        out,
        BlockStructure::TriangularLower,
        accum(into),
        a.transpose(),
        BlockStructure::Rectangular,
        Conj::Yes,
        a,
        BlockStructure::Rectangular,
        Conj::No,
        T::one(),
        Par::Seq,
    );
    Ok(())
}

pub(super) fn trsm<T: Field>(triangle: Triangle, a: (Matrix<'_, T>, Op), b: MatrixMut<'_, T>) -> Result<()> {
    let is_transposed = a.1.transposes();
    let (a, conj) = taken(&a);
    expect_size("triangular matrix", (a.nrows(), a.ncols()), (b.rows(), b.rows()))?;
    solve(triangle, is_transposed, a, conj, faer_mut(b));
    Ok(())
}

pub(super) fn trsm_right<T: Field>(
    triangle: Triangle,
    a: (Matrix<'_, T>, Op),
    b: MatrixMut<'_, T>,
) -> Result<()> {
    // The transposes, with the triangle on the left.
    let is_transposed = !a.1.transposes();
    let (a, conj) = taken(&a);
    expect_size("triangular matrix", (a.nrows(), a.ncols()), (b.columns(), b.columns()))?;
    solve(triangle, is_transposed, a.transpose(), conj, faer_mut(b).transpose_mut());
    Ok(())
}

/// Solves with `a`, which is the transpose of what `triangle` says or that itself.
fn solve<T: Field>(
    triangle: Triangle,
    is_transposed: bool,
    a: MatRef<'_, T>,
    conj: Conj,
    b: faer::MatMut<'_, T>,
) {
    let solve = match (triangle, is_transposed) {
        (Triangle::Lower, false) | (Triangle::Upper, true) => {
            triangular_solve::solve_lower_triangular_in_place_with_conj
        }
        (Triangle::Upper, false) | (Triangle::Lower, true) => {
            triangular_solve::solve_upper_triangular_in_place_with_conj
        }
        (Triangle::UnitLower, false) | (Triangle::UnitUpper, true) => {
            triangular_solve::solve_unit_lower_triangular_in_place_with_conj
        }
        (Triangle::UnitUpper, false) | (Triangle::UnitLower, true) => {
            triangular_solve::solve_unit_upper_triangular_in_place_with_conj
        }
    };
    solve(a, conj, b, Par::Seq);
}

fn taken<'a, T: Field>((a, op): &(Matrix<'a, T>, Op)) -> (MatRef<'a, T>, Conj) {
    let a = faer_ref(a);
    let a = if op.transposes() { a.transpose() } else { a };
    (a, if op.conjugates() { Conj::Yes } else { Conj::No })
}

const fn accum(into: Accumulate) -> Accum {
    match into {
        Accumulate::Replace => Accum::Replace,
        Accumulate::Add => Accum::Add,
    }
}
