//! Reductions of everything to one small result, by states of a fixed size: one for each block, combined group by group.
//!
//! Invariants: groups follow from the grid alone, and states combine in the order of blocks, so that results do not depend on
//! threads or budget; no task holds more than a group's states. Called by histograms, thresholds, uniques and covariances.

use super::order::one;
use super::tasks::{BLOCK_BYTES, joined};
use super::{Array, BlockInput};
use crate::block::{Block, BlockClosure, BlockInfo, blocks, chunks};
use crate::chunk::Chunk;
use crate::error::{Error, Result};
use crate::generate::Generated;
use crate::grid::{AxisGrid, ChunkGrid};
use blockwise_kernels::{Buffer, DType};
use std::sync::Arc;

/// Adds blocks to a state of zeros.
type Add = dyn Fn(&BlockInfo<'_>, &[Block<'_>], &mut [u8]) -> Result<()> + Send + Sync;
/// Adds the state of the blocks that come next.
type Combine = dyn Fn(&mut [u8], &[u8]) -> Result<()> + Send + Sync;
/// Makes the result of the state of everything.
type Finish = dyn Fn(&[u8], &mut Chunk) -> Result<()> + Send + Sync;

/// A reduction by states; one of zeros is of no elements.
pub(super) struct States {
    pub(super) name: &'static str,
    /// Bytes of a state, a multiple of 8.
    pub(super) bytes: u64,
    /// Bytes that adding or combining takes besides.
    pub(super) scratch_bytes: u64,
    pub(super) add: Box<Add>,
    pub(super) combine: Box<Combine>,
    pub(super) finish: Box<Finish>,
}

impl States {
    /// The result, of `dtype` and `shape`, for `inputs`, all of the shape of `grid`, which may be joined to larger blocks.
    pub(super) fn reduce(
        self,
        inputs: Vec<BlockInput>,
        grid: &ChunkGrid,
        dtype: DType,
        shape: &[u64],
    ) -> Result<Array> {
        let item_bytes: usize = inputs.iter().map(|input| input.array.dtype().size()).sum();
        self.reduce_blocks(inputs, joined(grid, item_bytes as u64)?, dtype, shape)
    }

    /// As [`States::reduce`], for the blocks of `tasks` as they are.
    pub(super) fn reduce_blocks(
        self,
        inputs: Vec<BlockInput>,
        tasks: ChunkGrid,
        dtype: DType,
        shape: &[u64],
    ) -> Result<Array> {
        let Self { name, bytes, scratch_bytes, add, combine, finish } = self;
        let result = ChunkGrid::single(shape)?;
        if tasks.chunk_count() == 0 {
            let source = Generated::filling(name, dtype, result, move |_, chunk| {
                finish(&Buffer::zeroed(size(bytes)?), chunk)
            });
            return Ok(Array::from_source(Arc::new(source)));
        }
        let index_axes: Vec<Option<usize>> =
            (0..tasks.rank()).map(Some).chain(std::iter::once(None)).collect();
        let grid = states_grid(&tasks.counts(), &vec![1; tasks.rank()], bytes)?;
        let run = move |info: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let [out] = chunks(outputs)?;
            out.bytes_mut().fill(0);
            add(info, inputs, out.bytes_mut())
        };
        let function = BlockClosure::new(name, scratch_bytes, run);
        let outputs = vec![(DType::U8, grid)];
        let [mut states] =
            one(Array::from_blocks(Arc::new(function), inputs, tasks, index_axes.clone(), outputs)?)?;

        let combine: Arc<Combine> = Arc::from(combine);
        let most = (BLOCK_BYTES / bytes.max(1)).max(2);
        loop {
            let mut counts = states.shape();
            counts.pop();
            let Some((axis, count)) = counts.iter().copied().enumerate().max_by_key(|(_, count)| *count)
            else {
                break;
            };
            if count <= 1 {
                break;
            }
            let mut lengths = vec![1; counts.len()];
            lengths[axis] = count.min(most);
            let tasks = states_grid(&counts, &lengths, bytes)?;
            let left: Vec<u64> = tasks.counts().iter().take(counts.len()).copied().collect();
            let combine = Arc::clone(&combine);
            let run = move |_: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
                let ([group], [out]) = (blocks(inputs)?, chunks(outputs)?);
                let into = out.bytes_mut();
                let mut parts = group.bytes.chunks_exact(into.len().max(1));
                if let Some(first) = parts.next() {
                    into.copy_from_slice(first);
                }
                parts.try_for_each(|next| combine(into, next))
            };
            let function = BlockClosure::new(format!("{name}: combine"), scratch_bytes, run);
            let outputs = vec![(DType::U8, states_grid(&left, &vec![1; left.len()], bytes)?)];
            let inputs = vec![(&states).into()];
            [states] =
                one(Array::from_blocks(Arc::new(function), inputs, tasks, index_axes.clone(), outputs)?)?;
        }
        let run = move |_: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([state], [out]) = (blocks(inputs)?, chunks(outputs)?);
            finish(state.bytes, out)
        };
        let function = BlockClosure::new(format!("{name}: finish"), scratch_bytes, run);
        let (tasks, index_axes) = (states.grid().clone(), vec![None; shape.len()]);
        let inputs = vec![(&states).into()];
        let [result] =
            one(Array::from_blocks(Arc::new(function), inputs, tasks, index_axes, vec![(dtype, result)])?)?;
        Ok(result)
    }
}

/// How states lie: one element for each block along the task axes, and their bytes.
fn states_grid(counts: &[u64], lengths: &[u64], bytes: u64) -> Result<ChunkGrid> {
    let axes = counts.iter().zip(lengths).map(|(count, length)| AxisGrid::regular(*count, *length));
    ChunkGrid::from_axes(axes.chain(std::iter::once(AxisGrid::regular(bytes, bytes))).collect::<Result<_>>()?)
}

fn size(bytes: u64) -> Result<usize> {
    usize::try_from(bytes).map_err(|_| Error::TooLarge { what: "state", shape: vec![bytes] })
}
