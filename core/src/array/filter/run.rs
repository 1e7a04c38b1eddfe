//! A filter as a function of whole blocks: its boxes, its halo, its memory.
//!
//! Boxes are the array's chunks, several where these are shorter than the halo, parts where they are too large for a
//! task. Invariant: boxes depend on the array and the halo alone. Called by the filters of an array.

use super::Filter;
use crate::array::halo::{Halo, padded};
use crate::array::order::one;
use crate::array::tasks::BLOCK_BYTES;
use crate::array::{Array, PadMode};
use crate::block::{Block, BlockFunction, BlockInfo, blocks, chunks};
use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::device::FilterDemand;
use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
use crate::region::element_count;
use blockwise_kernels::filter::{Edge, Filter as Windows, Step, Terms};
use blockwise_kernels::{KernelError, Scalar};
use std::ops::Range;
use std::sync::Arc;

/// Bytes up to which chunks shorter than a halo make one box.
const FAIR_BYTES: u64 = 2 << 20;

impl Filter {
    /// The array of what a chain of windows makes of this one.
    pub(in crate::array) fn chained(&self, name: &str, steps: Vec<Step>) -> Result<Array> {
        self.filtered(name, &Windows::chain(steps, self.dtype()))
    }

    /// The array of what several chains make of this one.
    pub(super) fn combined(&self, name: &str, chains: Vec<Vec<Step>>, terms: Terms) -> Result<Array> {
        self.filtered(name, &Windows::terms(chains, terms, self.dtype()))
    }

    fn filtered(&self, name: &str, windows: &Windows) -> Result<Array> {
        let (array, dtype) = (&self.array, windows.dtype());
        if let Some(dtype) = [array.dtype(), dtype].into_iter().find(|dtype| dtype.kind() == 'c') {
            return Err(KernelError::Refused { operation: "a filter of real numbers", dtype }.into());
        }
        if array.is_empty() {
            let empty = Array::full(&array.shape(), Scalar::zero(dtype))?;
            return Ok(empty.renamed(array.names().to_vec()));
        }
        let mut endless = vec![false; array.rank()];
        for (axis, edge) in self.own_axes()? {
            endless[axis] = edge == Edge::Wrap;
        }
        let halos: Vec<Halo> = (0..array.rank())
            .map(|axis| {
                let (before, after) = windows.reach(axis, endless[axis]);
                let boundary = endless[axis].then_some(PadMode::Wrap);
                Halo { axis, before, after, boundary }
            })
            .collect();
        let tasks = boxes(array, &halos)?;
        let function = Filtered {
            name: name.to_owned(),
            windows: windows.clone(),
            tasks: tasks.clone(),
            shifts: halos.iter().map(|halo| halo.boundary.map(|_| halo.before as i64)).collect(),
            scratch_bytes: windows.scratch_bytes(&tasks.largest_chunk()),
        };
        let (inputs, padded_tasks) = padded(std::slice::from_ref(array), &tasks, &halos)?;
        let index_axes = (0..array.rank()).map(Some).collect();
        let outputs = vec![(dtype, tasks)];
        let [result] =
            one(Array::from_blocks(Arc::new(function), inputs, padded_tasks, index_axes, outputs)?)?;
        Ok(result.renamed(array.names().to_vec()))
    }
}

/// The boxes of the tasks of a filter.
fn boxes(array: &Array, halos: &[Halo]) -> Result<ChunkGrid> {
    let item_bytes = array.dtype().size() as u64;
    let (room, fair) = (BLOCK_BYTES / item_bytes, FAIR_BYTES / item_bytes);
    let mut cuts = array.grid().axes().to_vec();
    let mut elements = element_count(&array.grid().largest_chunk()).unwrap_or(u64::MAX).max(1);
    let is_large = elements > 2 * room;
    for (cut, halo) in cuts.iter_mut().zip(halos) {
        let (longest, seen) = (cut.longest().max(1), halo.before.saturating_add(halo.after));
        let others = (elements / longest).max(1);
        if is_large {
            // A part of the chunk, but not of less than its halo.
            *cut = cut.resized((room / others).max(seen).clamp(1, longest))?;
        } else if longest < seen {
            // Several chunks, so that a task is not mostly halo.
            *cut = cut.coarsened(seen.div_ceil(longest).min(fair / elements).max(1));
        }
        elements = others.saturating_mul(cut.longest());
    }
    ChunkGrid::from_axes(cuts)
}

/// Windows as a function of blocks.
struct Filtered {
    name: String,
    windows: Windows,
    /// The boxes in the array as it is, without pads.
    tasks: ChunkGrid,
    /// Along each axis that goes on as its other end, how long the pad before it is.
    shifts: Vec<Option<i64>>,
    scratch_bytes: u64,
}

impl BlockFunction for Filtered {
    fn name(&self) -> &str {
        &self.name
    }

    fn scratch_bytes(&self, _elements: u64) -> u64 {
        self.scratch_bytes
    }

    fn filter(&self, info: &BlockInfo<'_>, inputs: &[Block<'_>]) -> Result<Option<FilterDemand<'_>>> {
        let [block] = blocks(inputs)?;
        let signed = |range: Range<u64>| range.start as i64..range.end as i64;
        let wanted = self.tasks.region(info.index)?.ranges().map(signed).collect();
        let held = block.region.ranges().map(signed).zip(&self.shifts);
        let held = held
            .map(|(range, shift)| shift.map_or(range.clone(), |by| range.start - by..range.end - by))
            .collect();
        let extents = self.tasks.shape().into_iter().zip(&self.shifts);
        let extents = extents.map(|(extent, shift)| shift.is_none().then_some(extent as i64)).collect();
        Ok(Some(FilterDemand { filter: &self.windows, dtype: block.dtype, held, wanted, extents }))
    }

    fn run(
        &self,
        info: &BlockInfo<'_>,
        inputs: &[Block<'_>],
        outputs: &mut [Chunk],
        cx: &TaskContext<'_>,
    ) -> Result<()> {
        let ([block], [out]) = (blocks(inputs)?, chunks(outputs)?);
        let Some(FilterDemand { filter, dtype, held, wanted, extents }) = self.filter(info, inputs)? else {
            return Err(Error::Internal { message: "a filter that is none".to_owned() });
        };
        Ok(filter.run(block.bytes, dtype, &held, &wanted, &extents, out.bytes_mut(), cx.pool())?)
    }
}
