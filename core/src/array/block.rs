//! Functions of whole blocks in the graph: what `map_blocks`, sorting, scans and their kin are made of.
//!
//! Invariant: every input has the shape of the task grid, or length 1 where that has more; every output has as many chunks as the axes of the task grid
//! that it follows, and one on each other axis. Called by the methods of [`Array`] that need whole blocks.

use super::{Array, Kind, Node};
use crate::block::BlockFunction;
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
        let call = Arc::new(BlockCall { function, inputs, tasks, index_axes, outputs });
        let array = |(output, (dtype, grid)): (usize, &(DType, ChunkGrid))| {
            let names = vec![None; grid.rank()];
            let kind = Kind::Block { call: Arc::clone(&call), output };
            Self { node: Arc::new(Node { dtype: *dtype, grid: grid.clone(), names, kind }) }
        };
        Ok(call.outputs.iter().enumerate().map(array).collect())
    }
}
