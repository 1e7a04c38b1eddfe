//! [`Cpu`]: the leaves of linear algebra on a CPU, by faer, on the calling thread alone.
//!
//! Invariants: faer is called with sizes that were checked here, so that its assertions never fail; its matrices are views of
//! ours (row after row is column after column of the transpose) or copies of a size that [`Dense::scratch_bytes`] counts.
//! Called by the algorithms of this crate.

mod decompose;
pub(crate) mod paired;
mod products;

use blockwise_core::dense::{Accumulate, Dense, Inexact, Leaf, Matrix, MatrixMut, Op, Triangle};
use blockwise_core::{Error, Result};
use faer::dyn_stack::{MemBuffer, StackReq};
use faer::traits::ComplexField;
use faer::{MatMut, MatRef};

/// The numbers that the leaves of a CPU work on: `f32`, `f64` and complex ones of these.
pub trait Field: Inexact + ComplexField<Real = <Self as Inexact>::Real> {}

impl<T: Inexact + ComplexField<Real = <T as Inexact>::Real>> Field for T {}

/// The leaves of a CPU.
///
/// ```
/// use blockwise_core::dense::{Dense, Matrix, MatrixMut, Accumulate, Op};
/// use blockwise_linalg::dense::Cpu;
/// let a = Matrix::new(&[1.0, 2.0, 3.0, 4.0], 2, 2)?;
/// let mut product = [0.0; 4];
/// let out = MatrixMut::new(&mut product, 2, 2)?;
/// Cpu.gemm(out, Accumulate::Replace, 1.0, (a, Op::Plain), (a, Op::Transpose))?;
/// assert_eq!(product, [5.0, 11.0, 11.0, 25.0]);
/// # Ok::<(), blockwise_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu;

impl<T: Field> Dense<T> for Cpu {
    fn scratch_bytes(&self, leaf: Leaf, rows: u64, columns: u64) -> u64 {
        let item_bytes = size_of::<T>() as u64;
        let cells = rows.saturating_mul(columns).saturating_mul(item_bytes);
        let (most, least) = (rows.max(columns), rows.min(columns));
        let square = least.saturating_mul(least).saturating_mul(item_bytes);
        let strip = most.saturating_mul(256 * item_bytes);
        let own = match leaf {
            Leaf::Gemm | Leaf::Gram | Leaf::Trsm | Leaf::Potrf => 0,
            // Row exchanges.
            Leaf::Lu => most.saturating_mul(16),
            // The matrix column by column, and Householder factors.
            Leaf::Qr => cells.saturating_mul(2).saturating_add(strip),
            Leaf::Svd => cells
                .saturating_mul(3)
                .saturating_add(square.saturating_mul(8))
                .saturating_add(strip.saturating_mul(2)),
            Leaf::Eigh => square.saturating_mul(6).saturating_add(strip.saturating_mul(2)),
        };
        own.saturating_add(products::PACKED_BYTES)
    }

    fn gemm(
        &self,
        out: MatrixMut<'_, T>,
        into: Accumulate,
        scale: T,
        a: (Matrix<'_, T>, Op),
        b: (Matrix<'_, T>, Op),
    ) -> Result<()> {
        products::gemm(out, into, scale, a, b)
    }

    fn gram(&self, out: MatrixMut<'_, T>, into: Accumulate, a: Matrix<'_, T>) -> Result<()> {
        products::gram(out, into, a)
    }

    fn trsm(&self, triangle: Triangle, a: (Matrix<'_, T>, Op), b: MatrixMut<'_, T>) -> Result<()> {
        products::trsm(triangle, a, b)
    }

    fn trsm_right(&self, triangle: Triangle, a: (Matrix<'_, T>, Op), b: MatrixMut<'_, T>) -> Result<()> {
        products::trsm_right(triangle, a, b)
    }

    fn potrf(&self, a: MatrixMut<'_, T>) -> Result<()> {
        decompose::potrf(a)
    }

    fn qr(&self, a: Matrix<'_, T>, q: Option<MatrixMut<'_, T>>, r: MatrixMut<'_, T>) -> Result<()> {
        decompose::qr(a, q, r)
    }

    fn svd(
        &self,
        a: Matrix<'_, T>,
        u: Option<MatrixMut<'_, T>>,
        s: &mut [<T as Inexact>::Real],
        vh: Option<MatrixMut<'_, T>>,
    ) -> Result<()> {
        decompose::svd(a, u, s, vh)
    }

    fn eigh(
        &self,
        a: Matrix<'_, T>,
        values: &mut [<T as Inexact>::Real],
        vectors: Option<MatrixMut<'_, T>>,
    ) -> Result<()> {
        decompose::eigh(a, values, vectors)
    }

    fn lu(&self, a: MatrixMut<'_, T>, rows: &mut [usize]) -> Result<()> {
        decompose::lu(a, rows)
    }
}

/// A matrix as faer sees it.
fn faer_ref<'a, T: Field>(a: &Matrix<'a, T>) -> MatRef<'a, T> {
    MatRef::from_row_major_slice_with_stride(a.elements(), a.rows(), a.columns(), a.stride())
}

/// A matrix to fill as faer sees it.
fn faer_mut<T: Field>(a: MatrixMut<'_, T>) -> MatMut<'_, T> {
    let (rows, columns, stride) = (a.rows(), a.columns(), a.stride());
    // faer 0.24's `from_row_major_slice_with_stride_mut` swaps the strides, and so writes outside the slice.
    MatMut::from_column_major_slice_with_stride_mut(a.into_elements(), columns, rows, stride).transpose_mut()
}

/// Working memory for faer.
fn stack(request: StackReq) -> Result<MemBuffer> {
    MemBuffer::try_new(request).map_err(|_| Error::Internal {
        message: format!("no {} bytes of working memory for a decomposition", request.size_bytes()),
    })
}

/// An error unless the sizes are as wanted.
fn expect_size(what: &str, found: (usize, usize), wanted: (usize, usize)) -> Result<()> {
    if found == wanted {
        return Ok(());
    }
    Err(Error::Internal { message: format!("{what}: a matrix of {found:?} where {wanted:?} belongs") })
}
