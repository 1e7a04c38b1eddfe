//! QR decompositions of matrices with many rows (or many columns), chunk by chunk.
//!
//! Invariants: the matrix is read once for `r`, twice if `q` is wanted; no task holds more than some of its rows, or a few
//! square matrices of its smaller side. Called by programs, and by [`crate::svd`] and its kin through [`Tree`].

mod chain;
pub(crate) mod cuts;
mod panel;
mod state;
mod tree;
mod wide;

use crate::dense::Cpu;
use blockwise_core::array::Index;
use blockwise_core::block::{Block, BlockClosure, BlockInfo, blocks, chunks};
use blockwise_core::dense::{Accumulate, Dense, Leaf, Matrix, MatrixMut, Op};
use blockwise_core::grid::AxisGrid;
use blockwise_core::{Array, Chunk, ChunkGrid, DType, Error, Result};
use num_complex::Complex64;
use panel::Panel;
pub(crate) use state::{State, write_numbers};
use std::sync::Arc;
pub(crate) use tree::Tree;
pub(crate) use wide::{Strip, Wide, factor_dtype, real_dtype};

/// A QR decomposition: see [`qr`].
#[derive(Clone, Debug)]
pub struct Qr {
    /// Orthonormal columns, of shape `(m, k)`, `k = min(m, n)`, cut along the rows.
    pub q: Array,
    /// Upper triangular, of shape `(k, n)`.
    pub r: Array,
}

/// The thin QR decomposition `a = q r` of a matrix of shape `(m, n)`: NumPy's `linalg.qr(a)`, but that the diagonal of `r` is
/// real and not negative, which makes it unique where `a` has full rank.
///
/// A tall matrix may have any number of rows, cut anyhow: panels of rows are decomposed one by one, and their triangles in
/// a tree (tall-skinny QR). Of a wide one the first `m` columns are decomposed. Columns that depend on those before them, zeros
/// included, give rounding errors or zeros on the diagonal of `r`, and `q` is orthonormal all the same. Elements of 32 bits
/// are computed with in 64.
///
/// Workspace: about twenty matrices of `min(m, n)²` elements of 64 bits for each thread, beside a panel of rows: eight times
/// as many rows as columns or 8 MiB, or a chunk if that is more.
///
/// # Errors
/// If the array has not two axes. NaN and infinities are errors when it is computed.
///
/// ```
/// use blockwise_core::{Array, Session};
/// let a = Array::from_fn(&[5000, 3], |at| ((at[0] * 7 + at[1] * at[1]) % 11) as f64)?.rechunk([600, 2])?;
/// let blockwise_linalg::Qr { q, r } = blockwise_linalg::qr(&a)?;
/// assert_eq!((q.shape(), r.shape()), (vec![5000, 3], vec![3, 3]));
/// let r = r.compute::<f64>()?;
/// assert!(r[[1, 0]] == 0.0 && r[[2, 2]] > 0.0);
/// # Ok::<(), blockwise_core::Error>(())
/// ```
pub fn qr(a: &Array) -> Result<Qr> {
    let matrix = Tall::new(a)?;
    if matrix.is_complex() { factors::<Complex64>(&matrix) } else { factors::<f64>(&matrix) }
}

fn factors<T: Wide>(matrix: &Tall) -> Result<Qr> {
    let Tall { array, rows, columns, dtype } = matrix;
    let (rows, columns, dtype) = (*rows, *columns, *dtype);
    let names = array.names().to_vec();
    let name = |axis: usize| names.get(axis).cloned().flatten();
    if rows == 0 || columns == 0 {
        let least = rows.min(columns);
        return Ok(Qr {
            q: Array::zeros(&[rows, least], dtype)?,
            r: Array::zeros(&[least, columns], dtype)?,
        });
    }
    if rows < columns {
        let side = i64::try_from(rows).unwrap_or(i64::MAX);
        let square = array.index(&[Index::from(..), Index::from(0..side)])?;
        let Qr { q, r: first } = factors::<T>(&Tall::new(&square)?)?;
        let rest = array.index(&[Index::from(..), Index::from(side..)])?;
        let rest = adjoint_times::<T>(&q, &rest)?;
        let r = Array::concatenate(&[first, rest], 1)?;
        return Ok(Qr { q, r: r.with_some_names(vec![None, name(1)])? });
    }
    let tree = Tree::<T>::new(array, false)?;
    let n = usize::try_from(columns).unwrap_or(usize::MAX);
    let scratch = Dense::<T>::scratch_bytes(&Cpu, Leaf::Qr, columns, columns)
        .saturating_add(State::<T>::bytes(columns, columns).saturating_mul(2));
    let run = move |state: &State<T>, _: &[T], outputs: &mut [Chunk]| {
        let [triangle, factor] = chunks(outputs)?;
        let (mut q, mut r) = (vec![T::zero(); n * n], vec![T::zero(); n * n]);
        let rows = Matrix::new(&state.r, state.rows, n)?;
        Cpu.qr(rows, Some(MatrixMut::new(&mut q, n, n)?), MatrixMut::new(&mut r, n, n)?)?;
        for at in 0..n {
            let phase = phase(r[at * n + at]);
            r[at * n..(at + 1) * n].iter_mut().for_each(|x| *x *= phase.conj());
            (0..n).for_each(|row| q[row * n + at] *= phase);
        }
        fill(triangle, &r)?;
        write_numbers(&q, factor.bytes_mut())
    };
    let (made, factor) = tree.root("R", scratch, None, &[(dtype, [columns, columns])], Box::new(run))?;
    let r = made.into_iter().next().ok_or_else(|| internal("no R"))?;
    let q = tree.orthogonal(factor, columns)?;
    Ok(Qr { q: q.with_some_names(vec![name(0), None])?, r: r.with_some_names(vec![None, name(1)])? })
}

/// `qᴴ a` for a square `q`, block after block of columns.
fn adjoint_times<T: Wide>(q: &Array, a: &Array) -> Result<Array> {
    let (side, cuts) = match (q.shape()[..].first(), a.grid().axes()) {
        (Some(side), [_, cuts]) => (*side, cuts.clone()),
        _ => return Err(internal("a product of no matrices")),
    };
    let n = usize::try_from(side).unwrap_or(usize::MAX);
    let run = move |_: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
        let ([q, a], [out]) = (blocks(inputs)?, chunks(outputs)?);
        let (q, a) = (Panel::<T>::of_block(q, n)?, Panel::<T>::of_block(a, a.region.shape()[1] as usize)?);
        let (mut left, mut right) = (Vec::new(), Vec::new());
        q.copy(0..q.rows(), &mut left);
        a.copy(0..a.rows(), &mut right);
        let width = a.columns();
        let left = Matrix::new(&left, n, n)?;
        let mut product = vec![T::zero(); n * width];
        let out_of = |product: &mut Vec<T>, right: &[T], how: Accumulate, sign: T| {
            let (out, right) = (MatrixMut::new(product, n, width)?, Matrix::new(right, n, width)?);
            Cpu.gemm(out, how, sign, (left, Op::Adjoint), (right, Op::Plain))
        };
        out_of(&mut product, &right, Accumulate::Replace, T::one())?;
        // Once more for what `q` leaves of `a`: it is orthogonal but for a few rounding errors.
        let parts = (Matrix::new(&product, n, width)?, Op::Plain);
        Cpu.gemm(
            MatrixMut::new(&mut right, n, width)?,
            Accumulate::Add,
            -T::one(),
            (left, Op::Plain),
            parts,
        )?;
        out_of(&mut product, &right, Accumulate::Add, T::one())?;
        fill(out, &product)
    };
    let square = AxisGrid::regular(side, side.max(1))?;
    let block_bytes = side.saturating_mul(cuts.longest()).saturating_mul(size_of::<T>() as u64);
    let scratch = State::<T>::bytes(side, side)
        .saturating_add(block_bytes.saturating_mul(2))
        .saturating_add(Dense::<T>::scratch_bytes(&Cpu, Leaf::Gemm, side, cuts.longest()));
    let tasks = ChunkGrid::from_axes(vec![square.clone(), cuts.clone(), square.clone()])?;
    let made = Array::from_blocks(
        Arc::new(BlockClosure::new("Qᴴ A", scratch, run)),
        vec![(&q.expand_dims(1)?).into(), (&a.expand_dims(2)?).into()],
        tasks,
        vec![None, Some(1)],
        vec![(q.dtype(), ChunkGrid::from_axes(vec![square, cuts])?)],
    )?;
    made.into_iter().next().ok_or_else(|| internal("no product"))
}

/// A number of absolute value 1 with the direction of `x`; 1 if that is 0.
fn phase<T: Wide>(x: T) -> T {
    let [real, imaginary] = x.parts();
    let length = real.hypot(imaginary);
    if length > 0.0 { x * T::from_real(length.recip()) } else { T::one() }
}

/// A matrix whose factors are wanted, its elements converted to what those have.
pub(crate) struct Tall {
    pub(crate) array: Array,
    pub(crate) rows: u64,
    pub(crate) columns: u64,
    /// Of the factors.
    pub(crate) dtype: DType,
}

impl Tall {
    pub(crate) fn new(a: &Array) -> Result<Self> {
        let [rows, columns] = a.shape()[..] else {
            return Err(Error::Rank { expected: 2, found: a.rank() });
        };
        let dtype = factor_dtype(a.dtype());
        let array = if a.dtype() == dtype { a.clone() } else { a.astype(dtype) };
        Ok(Self { array, rows, columns, dtype })
    }

    pub(crate) const fn is_complex(&self) -> bool {
        matches!(self.dtype, DType::C64 | DType::C128)
    }
}

/// Fills a chunk with numbers, rounded if it is of narrow ones.
pub(crate) fn fill<T: Wide>(chunk: &mut Chunk, numbers: &[T]) -> Result<()> {
    if let Some(wide) = chunk.elements_mut::<T>() {
        wide.iter_mut().zip(numbers).for_each(|(to, x)| *to = *x);
        return Ok(());
    }
    let narrow = chunk.elements_mut::<T::Narrow>().ok_or_else(|| internal("factors of another dtype"))?;
    narrow.iter_mut().zip(numbers).for_each(|(to, x)| *to = x.narrow());
    Ok(())
}

pub(crate) fn internal(message: &str) -> Error {
    Error::Internal { message: message.to_owned() }
}
