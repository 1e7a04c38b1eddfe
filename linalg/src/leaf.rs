//! Functions of whole blocks that are leaves of a device, for any dtype that these take.
//!
//! Invariant: blocks lie as the leaf wants its matrices, row after row. Called by the decompositions and solves of this crate.

use crate::dense::Field;
use blockwise_core::block::{Block, BlockFunction, BlockInfo};
use blockwise_core::{Array, Chunk, DType, Error, Result, TaskContext};
use num_complex::{Complex32, Complex64};
use std::marker::PhantomData;
use std::sync::Arc;

/// Rows and columns of a matrix up to which it is one block.
pub(crate) const WHOLE: u64 = 2048;
/// Rows and columns of the blocks of larger ones.
pub(crate) const PANEL: u64 = 1024;
/// Bytes that a block of right-hand sides aims at.
pub(crate) const BLOCK_BYTES: u64 = 16 << 20;

/// What a function does, whatever the dtype.
pub(crate) trait LeafFunction: Copy + Send + Sync + 'static {
    /// What people call it.
    const NAME: &'static str;

    /// Upper bound of the bytes that it holds beside blocks.
    fn scratch_bytes<T: Field>(self) -> u64;

    /// Fills `outputs` from `inputs`.
    fn run<T: Field>(self, inputs: &[Block<'_>], outputs: &mut [Chunk]) -> Result<()>;
}

struct Of<F, T> {
    function: F,
    of: PhantomData<fn(T)>,
}

impl<F: LeafFunction, T: Field> BlockFunction for Of<F, T> {
    fn name(&self) -> &str {
        F::NAME
    }

    fn scratch_bytes(&self, _elements: u64) -> u64 {
        self.function.scratch_bytes::<T>()
    }

    fn run(
        &self,
        _: &BlockInfo<'_>,
        inputs: &[Block<'_>],
        outputs: &mut [Chunk],
        cx: &TaskContext<'_>,
    ) -> Result<()> {
        cx.check_cancelled()?;
        self.function.run::<T>(inputs, outputs)
    }
}

/// `function` for elements of `dtype`.
pub(crate) fn function<F: LeafFunction>(dtype: DType, function: F) -> Result<Arc<dyn BlockFunction>> {
    Ok(match dtype {
        DType::F32 => Arc::new(Of { function, of: PhantomData::<fn(f32)> }),
        DType::F64 => Arc::new(Of { function, of: PhantomData::<fn(f64)> }),
        DType::C64 => Arc::new(Of { function, of: PhantomData::<fn(Complex32)> }),
        DType::C128 => Arc::new(Of { function, of: PhantomData::<fn(Complex64)> }),
        other => return Err(Error::Internal { message: format!("no {} of {other}", F::NAME) }),
    })
}

/// The dtype in which matrices of `dtype` are solved: NumPy's for all but halves, which are widened.
pub(crate) const fn solved_dtype(dtype: DType) -> DType {
    match dtype {
        DType::F32 | DType::F64 | DType::C64 | DType::C128 => dtype,
        DType::F16 | DType::BF16 => DType::F32,
        _ => DType::F64,
    }
}

/// The side of a square matrix.
pub(crate) fn side(what: &str, a: &Array) -> Result<u64> {
    match a.shape()[..] {
        [rows, columns] if rows == columns => Ok(rows),
        _ => Err(Error::Usage {
            message: format!("{what} takes a square matrix, not one of shape {:?}", a.shape()),
        }),
    }
}

/// Elements of a block.
pub(crate) fn elements<'a, T: Field>(block: &Block<'a>) -> Result<&'a [T]> {
    block.elements().ok_or_else(|| Error::Internal { message: "a block of another dtype".to_owned() })
}

/// Elements of a result, to fill.
pub(crate) fn elements_mut<T: Field>(chunk: &mut Chunk) -> Result<&mut [T]> {
    chunk.elements_mut().ok_or_else(|| Error::Internal { message: "a result of another dtype".to_owned() })
}

/// The conjugate transpose.
pub(crate) fn adjoint(a: &Array) -> Result<Array> {
    let flipped = a.transpose(..)?;
    if a.dtype().kind() == 'c' { Array::call("conjugate", [flipped.into()]) } else { Ok(flipped) }
}

/// Rows `from..to` of a matrix, and columns `left..right`.
pub(crate) fn part(a: &Array, rows: std::ops::Range<u64>, columns: std::ops::Range<u64>) -> Result<Array> {
    let range = |range: std::ops::Range<u64>| range.start as i64..range.end as i64;
    a.slice(0, range(rows))?.slice(1, range(columns))
}
