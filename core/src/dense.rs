//! [`Dense`]: the leaves of linear algebra: what a device offers on dense matrices in its memory.
//!
//! Algorithms over chunks are built of these and of nothing else, so that a GPU can take a CPU's place. Invariants: matrices
//! lie row after row; a leaf reads and fills only what it is given, starts no threads, gives the same bits for the same
//! matrices, and holds no more than [`Dense::scratch_bytes`] besides. Implemented in `blockwise-linalg` for CPUs. Called by
//! the algorithms there.

mod matrix;

pub use matrix::{Matrix, MatrixMut};

use crate::error::Result;
use blockwise_kernels::Element;
use num_complex::{Complex32, Complex64};
use num_traits::{Float, NumAssign};
use std::ops::Neg;

/// The numbers that leaves work on: `f32`, `f64` and complex ones of these.
pub trait Inexact: Element + NumAssign + Neg<Output = Self> {
    /// Of what absolute values are.
    type Real: Inexact<Real = Self::Real> + Float;

    /// The complex conjugate; the number itself if it is real.
    #[must_use]
    fn conj(self) -> Self;

    /// The real part.
    #[must_use]
    fn real(self) -> Self::Real;

    /// The square of the absolute value.
    #[must_use]
    fn abs_squared(self) -> Self::Real;

    /// The number without an imaginary part.
    #[must_use]
    fn from_real(real: Self::Real) -> Self;

    /// The number nearest to `x`.
    #[must_use]
    fn nearest(x: f64) -> Self;
}

macro_rules! inexact {
    ($($real:ty, $complex:ty;)*) => {$(
        impl Inexact for $real {
            type Real = Self;
            fn conj(self) -> Self { self }
            fn real(self) -> Self { self }
            fn abs_squared(self) -> Self { self * self }
            fn from_real(real: Self) -> Self { real }
            fn nearest(x: f64) -> Self { x as Self }
        }
        impl Inexact for $complex {
            type Real = $real;
            fn conj(self) -> Self { Self::conj(&self) }
            fn real(self) -> $real { self.re }
            fn abs_squared(self) -> $real { self.norm_sqr() }
            fn from_real(real: $real) -> Self { Self::new(real, 0.0) }
            fn nearest(x: f64) -> Self { Self::new(x as $real, 0.0) }
        }
    )*};
}
inexact! { f32, Complex32; f64, Complex64; }

/// How a matrix is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// As it is.
    Plain,
    /// Transposed.
    Transpose,
    /// Each element's conjugate.
    Conjugate,
    /// Transposed, each element's conjugate.
    Adjoint,
}

impl Op {
    /// Whether rows become columns.
    #[must_use]
    pub const fn transposes(self) -> bool {
        matches!(self, Self::Transpose | Self::Adjoint)
    }

    /// Whether elements are conjugated.
    #[must_use]
    pub const fn conjugates(self) -> bool {
        matches!(self, Self::Conjugate | Self::Adjoint)
    }
}

/// Whether what a leaf computes replaces what is there or is added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accumulate {
    /// It replaces; what was there may be anything.
    Replace,
    /// It is added.
    Add,
}

/// Which half of a matrix counts, and what its diagonal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Triangle {
    /// The lower half with the diagonal.
    Lower,
    /// The upper half with the diagonal.
    Upper,
    /// The lower half, its diagonal taken for ones.
    UnitLower,
    /// The upper half, its diagonal taken for ones.
    UnitUpper,
}

/// A leaf, to ask what it holds besides its matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// [`Dense::gemm`] of results with at most so many rows and columns.
    Gemm,
    /// [`Dense::gram`] of a matrix of that size.
    Gram,
    /// [`Dense::trsm`] of right-hand sides of that size.
    Trsm,
    /// [`Dense::potrf`] of a square matrix.
    Potrf,
    /// [`Dense::qr`] of a matrix of that size.
    Qr,
    /// [`Dense::svd`] of a matrix of that size.
    Svd,
    /// [`Dense::eigh`] of a square matrix.
    Eigh,
    /// [`Dense::lu`] of a matrix of that size.
    Lu,
}

/// What a device offers on dense matrices of `T`.
///
/// # Contract
/// Sizes that do not fit each other are [`Error::Internal`](crate::Error::Internal). Matrices with no rows or columns are
/// fine: a product over nothing is zeros. NaN and infinities go through products, solves and [`Dense::lu`] by IEEE 754's
/// rules; where a factorisation cannot go on with them it is an error, never an endless loop.
pub trait Dense<T: Inexact>: Send + Sync {
    /// Upper bound on the bytes that `leaf` holds beside its arguments, for a matrix of `rows` and `columns`.
    fn scratch_bytes(&self, leaf: Leaf, rows: u64, columns: u64) -> u64;

    /// `out (+)= scale * op(a) @ op(b)`.
    ///
    /// # Errors
    /// If the sizes do not fit.
    fn gemm(
        &self,
        out: MatrixMut<'_, T>,
        into: Accumulate,
        scale: T,
        a: (Matrix<'_, T>, Op),
        b: (Matrix<'_, T>, Op),
    ) -> Result<()>;

    /// `out (+)= aᴴ a`, the lower half with the diagonal alone; the other half is left as it is.
    ///
    /// # Errors
    /// If `out` is not square with as many rows as `a` has columns.
    fn gram(&self, out: MatrixMut<'_, T>, into: Accumulate, a: Matrix<'_, T>) -> Result<()>;

    /// Solves `op(a) x = b` for `x`, which takes `b`'s place; `a` is the named half of a square matrix. A zero on the diagonal
    /// gives infinities or NaN.
    ///
    /// # Errors
    /// If the sizes do not fit.
    fn trsm(&self, triangle: Triangle, a: (Matrix<'_, T>, Op), b: MatrixMut<'_, T>) -> Result<()>;

    /// Solves `x op(a) = b`, as [`Dense::trsm`] does with `a` on the left.
    ///
    /// # Errors
    /// If the sizes do not fit.
    fn trsm_right(&self, triangle: Triangle, a: (Matrix<'_, T>, Op), b: MatrixMut<'_, T>) -> Result<()>;

    /// The Cholesky factor `l`, lower, with `a = l lᴴ`, in the place of `a`'s lower half, which alone is read; the other half
    /// is set to zeros.
    ///
    /// # Errors
    /// [`Error::NotPositiveDefinite`](crate::Error::NotPositiveDefinite) with the column at which it shows (NaN among
    /// `a`'s elements too); `a` is spoilt then.
    fn potrf(&self, a: MatrixMut<'_, T>) -> Result<()>;

    /// The thin QR decomposition by Householder reflections: `q` (if wanted, `rows x k`) with orthonormal columns and `r`
    /// (`k x columns`), upper, with `a = q r`, `k = min(rows, columns)`.
    ///
    /// # Errors
    /// If the sizes do not fit.
    fn qr(&self, a: Matrix<'_, T>, q: Option<MatrixMut<'_, T>>, r: MatrixMut<'_, T>) -> Result<()>;

    /// The thin singular value decomposition: `u` (`rows x k`), `s` (`k` values, largest first) and `vh` (`k x columns`) with
    /// `a = u diag(s) vh`, `k = min(rows, columns)`; vectors only where they are wanted.
    ///
    /// # Errors
    /// [`Error::NoConvergence`](crate::Error::NoConvergence), as for NaN and infinities, or sizes that do not fit.
    fn svd(
        &self,
        a: Matrix<'_, T>,
        u: Option<MatrixMut<'_, T>>,
        s: &mut [T::Real],
        vh: Option<MatrixMut<'_, T>>,
    ) -> Result<()>;

    /// The eigenvalues, smallest first, of the Hermitian matrix whose lower half is `a`'s, and, if wanted, its eigenvectors as
    /// columns.
    ///
    /// # Errors
    /// [`Error::NoConvergence`](crate::Error::NoConvergence), as for NaN and infinities, or sizes that do not fit.
    fn eigh(&self, a: Matrix<'_, T>, values: &mut [T::Real], vectors: Option<MatrixMut<'_, T>>)
    -> Result<()>;

    /// The LU decomposition with row exchanges, in the place of `a`: `l` below the diagonal (its diagonal is ones), `u` on
    /// and above it. Row `i` of `l @ u` is row `rows[i]` of `a`. A singular matrix has a zero on the diagonal of `u`.
    ///
    /// # Errors
    /// If there are not as many `rows` as `a` has.
    fn lu(&self, a: MatrixMut<'_, T>, rows: &mut [usize]) -> Result<()>;
}
