//! [`BlockFunction`]: what a user or an operation does with whole blocks in memory, as dask's `map_blocks`.
//!
//! Invariant: a function is pure: the same blocks give the same elements, on whatever thread and in whatever order.
//! Called by the executor, once a task.

use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::device::FilterDemand;
use crate::error::{Error, Result};
use crate::region::Region;
use blockwise_kernels::{DType, Element};
use ndarray::{ArrayViewD, IxDyn};

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

impl<'a> Block<'a> {
    /// The elements, if `T` is their type.
    #[must_use]
    pub fn elements<T: Element>(&self) -> Option<&'a [T]> {
        if T::DTYPE == self.dtype { T::cast_slice(self.bytes) } else { None }
    }

    /// The elements as an array to look at.
    ///
    /// # Errors
    /// [`Error::Usage`] if `T` is not their type.
    pub fn view<T: Element>(&self) -> Result<ArrayViewD<'a, T>> {
        let elements = self.elements::<T>().ok_or_else(|| Error::Usage {
            message: format!(
                "the block holds {}, not {}; convert the array with astype first",
                self.dtype,
                T::DTYPE
            ),
        })?;
        ArrayViewD::from_shape(IxDyn(&self.shape()?), elements)
            .map_err(|fault| Error::Internal { message: fault.to_string() })
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

    /// Whether it waits for something else than this machine's processors, through [`TaskContext::waiting`]: a run then has threads that
    /// compute meanwhile.
    fn waits(&self) -> bool {
        false
    }

    /// Upper bound on the bytes that a call holds beyond inputs and outputs, for a task of `elements` elements.
    fn scratch_bytes(&self, elements: u64) -> u64 {
        let _ = elements;
        0
    }

    /// What makes it take less, where a budget refuses it: for people.
    fn remedy(&self) -> Option<&str> {
        None
    }

    /// What a device may do in its place, if that is a filter of its only input; the blocks' bytes are not looked at.
    ///
    /// # Errors
    /// If the task does not fit the function.
    fn filter(&self, info: &BlockInfo<'_>, inputs: &[Block<'_>]) -> Result<Option<FilterDemand<'_>>> {
        let _ = (info, inputs);
        Ok(None)
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

/// How the results of two tasks become one.
///
/// # Contract
/// `combine` is called from many threads at once, for neighbours in a tree that depends on the task grid alone; it starts no
/// threads and holds nothing besides what it is given.
pub trait BlockFold: Send + Sync {
    /// Makes `into`, the results of some tasks, those of these and of the tasks after them, whose results are `next`. Chunks
    /// of both have the same shapes.
    ///
    /// # Errors
    /// If it cannot.
    fn combine(&self, into: &mut [Chunk], next: &[Chunk]) -> Result<()>;
}

/// A closure as a function of whole blocks, with a name and the bytes it takes besides.
pub struct BlockClosure<F> {
    name: String,
    scratch_bytes: u64,
    remedy: Option<String>,
    run: F,
}

impl<F> BlockClosure<F>
where
    F: Fn(&BlockInfo<'_>, &[Block<'_>], &mut [Chunk]) -> Result<()> + Send + Sync,
{
    /// A function that `run` carries out, holding at most `scratch_bytes` beyond inputs and outputs.
    pub fn new(name: impl Into<String>, scratch_bytes: u64, run: F) -> Self {
        Self { name: name.into(), scratch_bytes, remedy: None, run }
    }

    /// The same function, with what makes it take less.
    #[must_use]
    pub fn with_remedy(self, remedy: Option<String>) -> Self {
        Self { remedy, ..self }
    }
}

impl<F> BlockFunction for BlockClosure<F>
where
    F: Fn(&BlockInfo<'_>, &[Block<'_>], &mut [Chunk]) -> Result<()> + Send + Sync,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn scratch_bytes(&self, _elements: u64) -> u64 {
        self.scratch_bytes
    }

    fn remedy(&self) -> Option<&str> {
        self.remedy.as_deref()
    }

    fn run(
        &self,
        info: &BlockInfo<'_>,
        inputs: &[Block<'_>],
        outputs: &mut [Chunk],
        _cx: &TaskContext<'_>,
    ) -> Result<()> {
        (self.run)(info, inputs, outputs)
    }
}

/// The inputs of a task, if there are as many as its function takes.
///
/// # Errors
/// [`Error::Internal`] if there are not.
pub fn blocks<'s, 'a, const N: usize>(inputs: &'s [Block<'a>]) -> Result<&'s [Block<'a>; N]> {
    inputs.try_into().map_err(|_| Error::Internal { message: format!("{} blocks for {N}", inputs.len()) })
}

/// The outputs of a task, if there are as many as its function fills.
///
/// # Errors
/// [`Error::Internal`] if there are not.
pub fn chunks<const N: usize>(outputs: &mut [Chunk]) -> Result<&mut [Chunk; N]> {
    let found = outputs.len();
    outputs.try_into().map_err(|_| Error::Internal { message: format!("{found} outputs for {N}") })
}
