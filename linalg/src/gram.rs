//! The Gram matrix `xᴴ x` of a matrix, in one pass over its rows.
//!
//! Workspace: a task holds a block of whole rows (16 MiB at most, unless chunks force more) and a matrix of the result's
//! size; `1 + log2(blocks)` of these wait in memory. Where the result takes more than [`RESULT_BYTES`], it is a product of
//! two matrices, as of `matmul`.

use crate::contract::{Sum, one, tiles};
use crate::dense::{Cpu, Field};
use crate::leaf::{adjoint, elements, elements_mut};
use blockwise_core::block::{Block, BlockFold, BlockFunction, BlockInfo, blocks, chunks};
use blockwise_core::dense::{Accumulate, Dense, Leaf, Matrix, MatrixMut};
use blockwise_core::{Array, AxisGrid, Chunk, ChunkGrid, DType, Error, Result, TaskContext};
use std::marker::PhantomData;
use std::sync::Arc;

/// Bytes of a result up to which it is made in one pass, half of it computed.
const RESULT_BYTES: u64 = 32 << 20;
/// Bytes that a block aims at.
const BLOCK_BYTES: u64 = 16 << 20;
/// Bytes below which smaller blocks, for more tasks, are not worth their while.
const SMALL_BYTES: u64 = 1 << 20;
/// Tasks that there should be at least, so that all threads have some.
const TASKS: u64 = 32;

/// `xᴴ x`: the products of all pairs of columns of a matrix, the first of each conjugated. One pass over `x` where the
/// columns are few.
///
/// # Errors
/// If `x` has not two axes.
///
/// ```
/// use blockwise_core::Array;
/// use blockwise_linalg::gram;
/// let x = Array::from_fn(&[1000, 2], |at| if at[1] == 0 { 1.0 } else { at[0] as f64 })?.rechunk([128, 2])?;
/// let products = gram(&x)?.compute::<f64>()?;
/// assert_eq!(products, ndarray::arr2(&[[1000.0, 499_500.0], [499_500.0, 332_833_500.0]]).into_dyn());
/// # Ok::<(), blockwise_core::Error>(())
/// ```
pub fn gram(x: &Array) -> Result<Array> {
    let [rows, columns] = x.shape()[..] else {
        return Err(Error::Rank { expected: 2, found: x.rank() });
    };
    let dtype = x.dtype();
    if matches!(dtype, DType::F16 | DType::BF16) {
        return Ok(gram(&x.astype(DType::F32))?.astype(dtype));
    }
    let item_bytes = dtype.size() as u64;
    let result_bytes = columns.saturating_mul(columns).saturating_mul(item_bytes);
    if !matches!(dtype.kind(), 'f' | 'c') || result_bytes > RESULT_BYTES || rows == 0 || columns == 0 {
        return crate::matmul(&adjoint(x)?, x)?.with_some_names(vec![None; 2]);
    }
    let x = x.with_some_names(vec![None; 2])?;
    let total_bytes = rows.saturating_mul(columns).saturating_mul(item_bytes);
    let block = (total_bytes / TASKS).clamp(SMALL_BYTES, BLOCK_BYTES) / item_bytes;
    let row_cuts = x.grid().axes().get(..1).unwrap_or(&[]);
    let mut cuts = tiles::filled(row_cuts, (block / columns).max(columns.min(1024)))?;
    cuts.push(AxisGrid::regular(columns, columns)?);
    let tasks = ChunkGrid::from_axes(cuts)?;
    let (function, fold): (Arc<dyn BlockFunction>, Arc<dyn BlockFold>) = match dtype {
        DType::F32 => of::<f32>(),
        DType::F64 => of::<f64>(),
        DType::C64 => of::<num_complex::Complex32>(),
        _ => of::<num_complex::Complex64>(),
    };
    let outputs = vec![(dtype, ChunkGrid::single(&[columns, columns])?)];
    let inputs = vec![(&x).into()];
    one(Array::from_folded_blocks(function, inputs, tasks, vec![None, None], outputs, vec![0], fold)?)
}

fn of<T: Field + crate::contract::Summed>() -> (Arc<dyn BlockFunction>, Arc<dyn BlockFold>) {
    (Arc::new(GramOfRows::<T> { of: PhantomData }), Arc::new(Sum::<T>::default()))
}

/// The Gram matrix of a block of rows.
struct GramOfRows<T> {
    of: PhantomData<fn(T)>,
}

impl<T: Field> BlockFunction for GramOfRows<T> {
    fn name(&self) -> &str {
        "gram"
    }

    fn scratch_bytes(&self, elements: u64) -> u64 {
        Dense::<T>::scratch_bytes(&Cpu, Leaf::Gram, elements, 1)
    }

    fn run(
        &self,
        _: &BlockInfo<'_>,
        inputs: &[Block<'_>],
        outputs: &mut [Chunk],
        _: &TaskContext<'_>,
    ) -> Result<()> {
        let ([x], [out]) = (blocks(inputs)?, chunks(outputs)?);
        let [rows, columns] = x.shape()?[..] else {
            return Err(Error::Rank { expected: 2, found: x.region.rank() });
        };
        let (x, out) = (elements::<T>(x)?, elements_mut::<T>(out)?);
        let lower = MatrixMut::new(out, columns, columns)?;
        Cpu.gram(lower, Accumulate::Replace, Matrix::new(x, rows, columns)?)?;
        mirror(out, columns);
        Ok(())
    }
}

/// Side of the squares in which a matrix is mirrored: both fit the cache.
const SQUARE: usize = 32;

/// Fills the upper half of a square matrix with the conjugates of the lower.
fn mirror<T: Field>(matrix: &mut [T], side: usize) {
    for top in (0..side).step_by(SQUARE) {
        for left in (top..side).step_by(SQUARE) {
            for row in top..(top + SQUARE).min(side) {
                for column in left.max(row + 1)..(left + SQUARE).min(side) {
                    if let Some(lower) = matrix.get(column * side + row).copied()
                        && let Some(upper) = matrix.get_mut(row * side + column)
                    {
                        *upper = blockwise_core::dense::Inexact::conj(lower);
                    }
                }
            }
        }
    }
}
