//! [`BlockFunction`]: what a user or an operation does with whole blocks in memory, as dask's `map_blocks`.
//!
//! Invariant: a function is pure: the same blocks give the same elements, on whatever thread and in whatever order.
//! Called by the executor, once a task.

use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::Result;
use crate::region::Region;
use blockwise_kernels::DType;

/// One input of a task, contiguous in C order.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// The elements' bytes, in machine byte order.
    pub bytes: &'a [u8],
    /// Their type.
    pub dtype: DType,
    /// The box of the task's array that the block holds: its own box, and more where the input has a halo.
    pub region: &'a Region,
}

impl Block<'_> {
    /// The elements, if `T` is their type.
    #[must_use]
    pub fn elements<T: blockwise_kernels::Element>(&self) -> Option<&[T]> {
        if T::DTYPE == self.dtype { T::cast_slice(self.bytes) } else { None }
    }

    /// Elements per axis.
    ///
    /// # Errors
    /// If one does not fit the machine's integers.
    pub fn shape(&self) -> Result<Vec<usize>> {
        crate::region::small(self.region.shape())
    }
}

/// What a task is about.
#[derive(Clone, Copy, Debug)]
pub struct BlockInfo<'a> {
    /// Index of the task's box in its grid.
    pub index: &'a [u64],
    /// The task's own box.
    pub region: &'a Region,
    /// Elements per axis of the array that the boxes are of.
    pub shape: &'a [u64],
}

/// A function of whole blocks.
///
/// # Contract
/// `run` is called from many threads at once. It fills every output whole, holds no more than
/// [`scratch_bytes`](BlockFunction::scratch_bytes) beyond what it is given, and starts no threads.
pub trait BlockFunction: Send + Sync {
    /// What people call it, such as `sort`.
    fn name(&self) -> &str;

    /// Upper bound on the bytes that a call holds beyond inputs and outputs, for a task of `elements` elements.
    fn scratch_bytes(&self, elements: u64) -> u64 {
        let _ = elements;
        0
    }

    /// Fills `outputs` from `inputs`.
    ///
    /// # Errors
    /// If it cannot.
    fn run(
        &self,
        info: &BlockInfo<'_>,
        inputs: &[Block<'_>],
        outputs: &mut [Chunk],
        cx: &TaskContext<'_>,
    ) -> Result<()>;
}
