//! Sorted arrays, their orders, and their top elements along an axis: NumPy's `sort` and `argsort`, dask's `topk`.
//!
//! Sorting works on lines that are whole in a block; where memory does not hold what that takes, the planner cuts the array
//! anew through the disk. Top elements are found chunk by chunk first. Invariant: NaN comes last, whatever its sign.
//! Called by programs and `eval`.

use super::tasks::{long_along, whole_along};
use super::{Array, Axis, BlockInput};
use crate::block::{Block, BlockClosure, BlockInfo, blocks, chunks};
use crate::chunk::Chunk;
use crate::error::{Error, Result};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::region::{byte_count, small};
use blockwise_kernels::order::{self, TopK};
use blockwise_kernels::{DType, Scalar};
use std::sync::Arc;

impl Array {
    /// The array sorted along `axis`, NaN last.
    ///
    /// # Errors
    /// If there is no such axis, or it has 2^32 elements or more.
    ///
    /// ```
    /// use blockwise_core::{Array, ChunkGrid, memory::MemoryArray};
    /// let grid = ChunkGrid::regular(&[4], &[2])?;
    /// let x = Array::from_source(std::sync::Arc::new(MemoryArray::from_elements("x", grid, &[3, 1, 2, 1])?));
    /// assert_eq!(x.sort(0)?.compute::<i32>()?.as_slice(), Some(&[1, 1, 2, 3][..]));
    /// assert_eq!(x.argsort(0)?.compute::<i64>()?.as_slice(), Some(&[1, 3, 2, 0][..]));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn sort(&self, axis: impl Into<Axis>) -> Result<Self> {
        let axis = self.sortable(axis)?;
        if self.is_empty() {
            return Ok(self.clone());
        }
        let (dtype, tasks) = (self.dtype(), whole_along(self, &[axis])?);
        let scratch = order::sort_scratch_bytes(dtype, &small(&tasks.largest_chunk())?, axis, false)?;
        let run = move |_: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block], [out]) = (blocks(inputs)?, chunks(outputs)?);
            Ok(order::sort(block.bytes, dtype, &block.shape()?, axis, out.bytes_mut())?)
        };
        self.mapped(BlockClosure::new("sort", scratch as u64, run), tasks, dtype)
    }

    /// The positions along `axis` at which the sorted elements are found, as `int64`; equal ones in the order they come.
    ///
    /// # Errors
    /// As [`Array::sort`].
    pub fn argsort(&self, axis: impl Into<Axis>) -> Result<Self> {
        let axis = self.sortable(axis)?;
        if self.is_empty() {
            return Self::full(&self.shape(), Scalar::zero(DType::I64));
        }
        let (dtype, tasks) = (self.dtype(), whole_along(self, &[axis])?);
        let scratch = order::sort_scratch_bytes(dtype, &small(&tasks.largest_chunk())?, axis, true)?;
        let run = move |_: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block], [out]) = (blocks(inputs)?, chunks(outputs)?);
            Ok(order::argsort(block.bytes, dtype, &block.shape()?, axis, 0, out.bytes_mut())?)
        };
        self.mapped(BlockClosure::new("argsort", scratch as u64, run), tasks, DType::I64)
    }

    /// With `k > 0` the `k` largest elements along `axis`, largest first; with `k < 0` the `-k` smallest, smallest first.
    /// No more than there are.
    ///
    /// # Errors
    /// If `k` is 0, or as [`Array::sort`].
    ///
    /// ```
    /// use blockwise_core::{Array, DType};
    /// let x = Array::zeros(&[365, 20], DType::F32)?.with_names(&["time", "x"])?;
    /// assert_eq!(x.topk(3, "time")?.shape(), [3, 20]);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn topk(&self, k: i64, axis: impl Into<Axis>) -> Result<Self> {
        Ok(self.top(k, axis.into())?.0)
    }

    /// The positions along `axis` of what [`Array::topk`] gives, as `int64`; of equal elements the first.
    ///
    /// # Errors
    /// As [`Array::topk`].
    pub fn argtopk(&self, k: i64, axis: impl Into<Axis>) -> Result<Self> {
        Ok(self.top(k, axis.into())?.1)
    }

    /// Values and positions of top elements.
    fn top(&self, k: i64, axis: Axis) -> Result<(Self, Self)> {
        let axis = self.sortable(axis)?;
        let top = TopK::new(k, self.dtype())?;
        let extent = self.grid().axes()[axis].extent();
        let wanted = extent.min(k.unsigned_abs());
        if self.is_empty() {
            let mut shape = self.shape();
            shape[axis] = wanted;
            let places = Self::full(&shape, Scalar::zero(DType::I64))?;
            return Ok((Self::full(&shape, Scalar::zero(self.dtype()))?, places));
        }
        let parts = long_along(self, axis)?;
        let found: Vec<u64> = lengths(&parts.axes()[axis]).map(|length| length.min(wanted)).collect();
        let kept: u64 = found.iter().sum();
        if found.len() == 1 || kept > extent / 2 {
            return top_of_whole(self, None, top, axis);
        }
        // The best of every chunk, then the best of those.
        let (dtype, tasks) = (self.dtype(), parts.clone());
        let run = move |info: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block], [values, places]) = (blocks(inputs)?, chunks(outputs)?);
            top.run(block.bytes, None, &block.shape()?, axis, values.bytes_mut(), places.bytes_mut())?;
            let origin = info.region.origin().get(axis).map_or(0, |origin| *origin as i64);
            for place in places.elements_mut::<i64>().unwrap_or_default() {
                *place += origin;
            }
            Ok(())
        };
        let grid = with_axis(&parts, axis, AxisGrid::rectilinear(&found)?)?;
        let function = BlockClosure::new("topk of chunks", top_scratch(self, &parts, axis, wanted), run);
        let outputs = vec![(dtype, grid.clone()), (DType::I64, grid)];
        let index_axes = (0..self.rank()).map(Some).collect();
        let best = Self::from_blocks(Arc::new(function), vec![self.into()], tasks, index_axes, outputs)?;
        let [values, places] = two(best)?;
        top_of_whole(&values.renamed(self.names().to_vec()), Some(&places), top, axis)
    }

    /// The axis, if its lines can be sorted.
    fn sortable(&self, axis: impl Into<Axis>) -> Result<usize> {
        let axis = axis.into().resolve(self.names())?;
        let extent = self.grid().axes()[axis].extent();
        if u32::try_from(extent).is_err() {
            let message = format!("axis {axis} has {extent} elements; at most 2^32 - 1 can be ranked");
            return Err(Error::Usage { message });
        }
        Ok(axis)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.shape().contains(&0)
    }

    /// A function of this array that keeps shape and names.
    pub(super) fn mapped<F>(&self, function: BlockClosure<F>, tasks: ChunkGrid, dtype: DType) -> Result<Self>
    where
        F: Fn(&BlockInfo<'_>, &[Block<'_>], &mut [Chunk]) -> Result<()> + Send + Sync + 'static,
    {
        let outputs = vec![(dtype, tasks.clone())];
        let index_axes = (0..self.rank()).map(Some).collect();
        let [result] =
            one(Self::from_blocks(Arc::new(function), vec![self.into()], tasks, index_axes, outputs)?)?;
        Ok(result.renamed(self.names().to_vec()))
    }
}

/// Top elements of lines that are whole in a block; `places` are the positions of the elements, if not their own.
fn top_of_whole(array: &Array, places: Option<&Array>, top: TopK, axis: usize) -> Result<(Array, Array)> {
    let tasks = whole_along(array, &[axis])?;
    let found = top.found(small(&array.shape())?[axis]) as u64;
    let grid = with_axis(&tasks, axis, AxisGrid::regular(found, found)?)?;
    let run = move |_: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
        let [values_out, places_out] = chunks(outputs)?;
        let (block, places) = match inputs {
            [block, places] => (block, Some(places.bytes)),
            _ => (&blocks::<1>(inputs)?[0], None),
        };
        let (values_out, places_out) = (values_out.bytes_mut(), places_out.bytes_mut());
        Ok(top.run(block.bytes, places, &block.shape()?, axis, values_out, places_out)?)
    };
    let function = BlockClosure::new("topk", top_scratch(array, &tasks, axis, found), run);
    let inputs: Vec<BlockInput> = [Some(array), places].into_iter().flatten().map(BlockInput::from).collect();
    let outputs = vec![(array.dtype(), grid.clone()), (DType::I64, grid)];
    let index_axes = (0..array.rank()).map(Some).collect();
    let [values, places] = two(Array::from_blocks(Arc::new(function), inputs, tasks, index_axes, outputs)?)?;
    let names = array.names().to_vec();
    Ok((values.renamed(names.clone()), places.renamed(names)))
}

/// Bytes that finding top elements takes: a panel of lines, what is found of them, and the entries of a piece of a line.
fn top_scratch(array: &Array, tasks: &ChunkGrid, axis: usize, found: u64) -> u64 {
    /// Key, place and number of an element.
    const ENTRY_BYTES: u64 = 24;
    let chunk = tasks.largest_chunk();
    let item_bytes = array.dtype().size() as u64;
    let block_bytes = byte_count(&chunk, item_bytes as usize).unwrap_or(u64::MAX);
    let line = chunk.get(axis).copied().unwrap_or(1).max(1);
    // Those found so far, and a piece of the line.
    let entries = found.min(line) + found.max(4096).min(line);
    // A panel is at most the block, and at most 256 KiB or a cache line's width of lines.
    let panel_bytes = line.saturating_mul(64).max(256 << 10).min(block_bytes.max(line * item_bytes));
    let lines = (panel_bytes / (line * item_bytes)).max(1);
    let found_bytes = lines.saturating_mul(found.min(line)).saturating_mul(item_bytes + 8);
    panel_bytes.saturating_add(found_bytes).saturating_add(entries.saturating_mul(ENTRY_BYTES))
}

pub(super) fn lengths(axis: &AxisGrid) -> impl Iterator<Item = u64> + '_ {
    (0..axis.count()).map(|index| axis.length(index))
}

/// The grid with another cut of one axis.
pub(super) fn with_axis(grid: &ChunkGrid, axis: usize, cut: AxisGrid) -> Result<ChunkGrid> {
    let mut axes = grid.axes().to_vec();
    if let Some(own) = axes.get_mut(axis) {
        *own = cut;
    }
    ChunkGrid::from_axes(axes)
}

pub(super) fn one(results: Vec<Array>) -> Result<[Array; 1]> {
    results
        .try_into()
        .map_err(|_| Error::Internal { message: "a function without its one result".to_owned() })
}

fn two(results: Vec<Array>) -> Result<[Array; 2]> {
    results
        .try_into()
        .map_err(|_| Error::Internal { message: "a function without its two results".to_owned() })
}
