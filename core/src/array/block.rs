//! Functions of whole blocks in the graph: what `map_blocks`, sorting, scans and their kin are made of.
//!
//! Invariant: every input has the shape of the task grid, or length 1 where that has more; every output has as many chunks as the axes of the task grid
//! that it follows, and one on each other axis. Called by the methods of [`Array`] that need whole blocks.

use super::{Array, Kind, Node};
use crate::block::{BlockFold, BlockFunction};
use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
use blockwise_kernels::DType;
use std::sync::Arc;

/// An input of a function of whole blocks.
#[derive(Clone, Debug)]
pub struct BlockInput {
    /// The array, of the shape of the task grid; where it has length 1 and the tasks more, each sees that one element.
    pub array: Array,
    /// Elements that a task sees before and after its own box, per axis; empty if none, `u64::MAX` for all there are.
    pub reach: Vec<(u64, u64)>,
}

impl From<&Array> for BlockInput {
    fn from(array: &Array) -> Self {
        Self { array: array.clone(), reach: Vec::new() }
    }
}

/// One call of a function of whole blocks; its outputs are arrays of their own.
pub(crate) struct BlockCall {
    pub(crate) function: Arc<dyn BlockFunction>,
    pub(crate) inputs: Vec<BlockInput>,
    pub(crate) tasks: ChunkGrid,
    /// For every axis of the outputs, the task axis that it follows.
    pub(crate) index_axes: Vec<Option<usize>>,
    pub(crate) outputs: Vec<(DType, ChunkGrid)>,
    /// Task axes, ascending, along which results become one, and how.
    pub(crate) folded: Option<(Vec<usize>, Arc<dyn BlockFold>)>,
}

impl Array {
    /// A function of whole blocks: one call for each box of `tasks`. For every axis of the results, `index_axes` says
    /// which task axis it follows, box by box; `None`: one box. The results have the dtypes and grids of `outputs`.
    ///
    /// # Errors
    /// If the shape of an input does not fit `tasks`, or an output other numbers of chunks than what it follows.
    pub fn from_blocks(
        function: Arc<dyn BlockFunction>,
        inputs: Vec<BlockInput>,
        tasks: ChunkGrid,
        index_axes: Vec<Option<usize>>,
        outputs: Vec<(DType, ChunkGrid)>,
    ) -> Result<Vec<Self>> {
        Self::of_blocks(function, inputs, tasks, index_axes, outputs, None)
    }

    /// As [`Array::from_blocks`], but the results of all tasks that differ along `axes` alone become one by `fold`, in a tree
    /// that depends on `tasks` alone: so they have the same bits whatever the threads, the budget and the order of arrival.
    ///
    /// ```
    /// use blockwise_core::block::{BlockClosure, BlockFold, blocks, chunks};
    /// use blockwise_core::{Array, Chunk, ChunkGrid, DType, Result};
    /// use std::sync::Arc;
    /// // The largest of each column, block by block.
    /// struct Larger;
    /// impl BlockFold for Larger {
    ///     fn combine(&self, into: &mut [Chunk], next: &[Chunk]) -> Result<()> {
    ///         let next = next[0].elements::<f64>().unwrap_or_default();
    ///         let into = into[0].elements_mut::<f64>().unwrap_or_default();
    ///         into.iter_mut().zip(next).for_each(|(into, next)| *into = into.max(*next));
    ///         Ok(())
    ///     }
    /// }
    /// let x = Array::from_fn(&[90, 4], |at| ((at[0] * 31 + at[1]) % 83) as f64)?.rechunk([7, 2])?;
    /// let largest = BlockClosure::new("largest", 0, |_, inputs, outputs| {
    ///     let ([block], [out]) = (blocks(inputs)?, chunks(outputs)?);
    ///     out.view_mut::<f64>()?.assign(&block.view::<f64>()?.map_axis(ndarray::Axis(0), |column| {
    ///         column.iter().fold(f64::MIN, |most, x| most.max(*x))
    ///     }));
    ///     Ok(())
    /// });
    /// let outputs = vec![(DType::F64, ChunkGrid::regular(&[4], &[2])?)];
    /// let (tasks, axes) = (x.grid().clone(), vec![Some(1)]);
    /// let found = Array::from_folded_blocks(
    ///     Arc::new(largest), vec![(&x).into()], tasks, axes, outputs, vec![0], Arc::new(Larger),
    /// )?;
    /// assert_eq!(found[0].compute::<f64>()?, x.max(0)?.compute::<f64>()?);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Array::from_blocks`]; if an output follows one of `axes`, or there is no such axis.
    pub fn from_folded_blocks(
        function: Arc<dyn BlockFunction>,
        inputs: Vec<BlockInput>,
        tasks: ChunkGrid,
        index_axes: Vec<Option<usize>>,
        outputs: Vec<(DType, ChunkGrid)>,
        mut axes: Vec<usize>,
        fold: Arc<dyn BlockFold>,
    ) -> Result<Vec<Self>> {
        axes.sort_unstable();
        axes.dedup();
        let followed = axes.iter().any(|axis| index_axes.contains(&Some(*axis)));
        let left =
            (0..tasks.rank()).filter(|axis| !axes.contains(axis) && !index_axes.contains(&Some(*axis)));
        let lost = left.filter(|axis| tasks.axes().get(*axis).is_some_and(|cuts| cuts.count() > 1)).count();
        if followed || lost > 0 || axes.iter().any(|axis| *axis >= tasks.rank()) {
            let message = format!(
                "{} folds along axes {axes:?} of {} and its results follow {index_axes:?}; each axis with several boxes must be one or the other",
                function.name(),
                tasks.rank()
            );
            return Err(Error::Usage { message });
        }
        Self::of_blocks(function, inputs, tasks, index_axes, outputs, Some((axes, fold)))
    }

    fn of_blocks(
        function: Arc<dyn BlockFunction>,
        inputs: Vec<BlockInput>,
        tasks: ChunkGrid,
        index_axes: Vec<Option<usize>>,
        outputs: Vec<(DType, ChunkGrid)>,
        folded: Option<(Vec<usize>, Arc<dyn BlockFold>)>,
    ) -> Result<Vec<Self>> {
        for input in &inputs {
            let (own, wanted) = (input.array.shape(), tasks.shape());
            let fits = own.len() == wanted.len() && own.iter().zip(&wanted).all(|(n, m)| n == m || *n == 1);
            if !fits {
                return Err(Error::Shape { expected: wanted, found: own });
            }
        }
        let counts = tasks.counts();
        let wanted: Vec<u64> = index_axes
            .iter()
            .map(|axis| axis.and_then(|axis| counts.get(axis)).copied().unwrap_or(1))
            .collect();
        for (_, grid) in &outputs {
            if grid.counts() != wanted {
                let message = format!(
                    "{} makes {wanted:?} blocks, but its result is cut into {:?}",
                    function.name(),
                    grid.counts()
                );
                return Err(Error::Usage { message });
            }
        }
        let call = Arc::new(BlockCall { function, inputs, tasks, index_axes, outputs, folded });
        let array = |(output, (dtype, grid)): (usize, &(DType, ChunkGrid))| {
            let names = vec![None; grid.rank()];
            let kind = Kind::Block { call: Arc::clone(&call), output };
            Self { node: Arc::new(Node { dtype: *dtype, grid: grid.clone(), names, kind }) }
        };
        Ok(call.outputs.iter().enumerate().map(array).collect())
    }
}
