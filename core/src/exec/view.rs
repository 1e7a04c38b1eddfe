//! The inputs of a running stage as its tasks see them: where an element lies, and bringing a box together.
//!
//! Invariant: what is gathered is whole: the planner made sure that the leaves of an operand cover it. Called by the
//! tasks of [`super::task`] and [`super::compute`].

use super::queue::{Task, TaskInput};
use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::{Error, Result};
use crate::plan::Leaf;
use crate::region::{Region, small};
use crate::source::Source;
use blockwise_kernels::DType;
use blockwise_kernels::strided::{Layout, copy, copy_region};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The inputs of a running stage as its tasks see them.
pub(super) struct StageView<'a> {
    pub(super) leaves: &'a [Leaf],
    pub(super) sources: &'a [Arc<dyn Source>],
}

impl StageView<'_> {
    /// The chunk that is exactly the task's region, if the stage has one leaf and it is one such chunk.
    pub(super) fn whole<'t>(&self, task: &'t Task) -> Option<&'t Chunk> {
        let [inputs] = task.inputs.as_slice() else { return None };
        let [TaskInput { index, chunk }] = inputs.as_slice() else { return None };
        let region = self.sources.first()?.grid().region(index).ok()?;
        (region == task.region).then_some(&**chunk)
    }

    /// The box (of the task array of `shape`) that a task on `own` sees of these leaves, which all reach as far.
    pub(super) fn seen(&self, leaves: &[usize], own: &Region, shape: &[u64]) -> Result<Region> {
        match leaves.first().and_then(|leaf| self.leaves.get(*leaf)) {
            Some(leaf) if !leaf.reach.is_empty() => {
                Region::from_ranges(&leaf.seen(&own.ranges().collect::<Vec<_>>(), shape))
            }
            _ => Ok(own.clone()),
        }
    }

    /// Where `region` lies in the one chunk that leaf number `leaf` shows to the task; `None` if there is not one.
    pub(super) fn place<'t>(
        &self,
        leaf: usize,
        task: &'t Task,
        region: &Region,
    ) -> Result<Option<(&'t Chunk, Layout)>> {
        let (Some(inputs), Some(leaf)) = (task.inputs.get(leaf), self.leaves.get(leaf)) else {
            return Err(missing(leaf));
        };
        let ([TaskInput { index, chunk }], Some(source)) = (inputs.as_slice(), self.sources.get(leaf.input))
        else {
            return Ok(None);
        };
        let from = source.grid().region(index)?;
        let ranges: Vec<Range<u64>> = region.ranges().collect();
        Ok(Some((chunk, source_layout(leaf, &ranges, &from)?)))
    }

    /// What these leaves show in `region`, as a contiguous chunk.
    pub(super) fn gather(
        &self,
        leaves: &[usize],
        task: &Task,
        region: &Region,
        dtype: DType,
        cx: &TaskContext<'_>,
    ) -> Result<Chunk> {
        let mut output = Chunk::uninit(dtype, region.shape(), cx.pool())?;
        for &number in leaves {
            let leaf = self.leaves.get(number).ok_or_else(|| missing(number))?;
            let source = self.sources.get(leaf.input).ok_or_else(|| missing(number))?;
            for TaskInput { index, chunk } in task.inputs.get(number).map_or(&[][..], Vec::as_slice) {
                let from = source.grid().region(index)?;
                copy_part(leaf, &from, chunk, region, &mut output)?;
            }
        }
        Ok(output)
    }
}

/// Copies what `leaf` shows of one input chunk (of the box `from`) into the chunk of `region`.
fn copy_part(leaf: &Leaf, from: &Region, chunk: &Chunk, region: &Region, output: &mut Chunk) -> Result<()> {
    let item_bytes = output.dtype().size();
    let fault =
        |fault: &dyn fmt::Display| Error::Internal { message: format!("assembling {region}: {fault}") };
    // An identity of fewer axes than the task has is broadcast along the last ones.
    if leaf.window.is_none() && leaf.view.is_identity() && from.rank() == region.rank() {
        let Some(both) = from.intersection(region) else { return Ok(()) };
        let within = |outer: &Region| {
            small(&both.origin().iter().zip(outer.origin()).map(|(b, o)| b - o).collect::<Vec<_>>())
        };
        return copy_region(
            output.bytes_mut(),
            &small(region.shape())?,
            &within(region)?,
            chunk.bytes(),
            &small(from.shape())?,
            &within(from)?,
            &small(both.shape())?,
            item_bytes,
        )
        .map_err(|error| fault(&error));
    }
    let Some(part) = shown_part(leaf, from, region) else { return Ok(()) };
    let shape = small(&part.iter().map(|range| range.end - range.start).collect::<Vec<_>>())?;
    let to = output_layout(&part, region)?;
    let layout = source_layout(leaf, &part, from)?;
    copy(output.bytes_mut(), &to, chunk.bytes(), &layout, &shape, item_bytes).map_err(|error| fault(&error))
}

/// What of `region` the input's box `from` fills; `None` if nothing.
fn shown_part(leaf: &Leaf, from: &Region, region: &Region) -> Option<Vec<Range<u64>>> {
    let wanted: Vec<Range<u64>> = region.ranges().collect();
    let local = leaf.within(&wanted)?;
    let below: Vec<Range<u64>> = from.ranges().collect();
    let ends: Vec<u64> = local.iter().map(|range| range.end).collect();
    let shown = leaf.view.output_ranges(&below, &ends)?;
    let part = shown.iter().zip(&local).enumerate().map(|(axis, (s, l))| {
        let origin = leaf.origin(axis);
        s.start.max(l.start) + origin..s.end.min(l.end) + origin
    });
    let part: Vec<Range<u64>> = part.collect();
    part.iter().all(|range| range.start < range.end).then_some(part)
}

/// Where `part` lies in a contiguous chunk of `region`.
fn output_layout(part: &[Range<u64>], region: &Region) -> Result<Layout> {
    let mut layout = Layout::c_order(&small(region.shape())?).map_err(internal)?;
    let starts = part.iter().zip(region.origin()).map(|(range, origin)| range.start - origin);
    layout.offset = starts.zip(&layout.strides).map(|(at, stride)| at as usize * stride.unsigned_abs()).sum();
    Ok(layout)
}

/// Where `part` lies in the contiguous input chunk of `from`, as seen through the leaf's view.
fn source_layout(leaf: &Leaf, part: &[Range<u64>], from: &Region) -> Result<Layout> {
    let below = Layout::c_order(&small(from.shape())?).map_err(internal)?;
    let mut layout = Layout { offset: 0, strides: vec![0; part.len()] };
    for ((axis, stride), origin) in leaf.view.axes().iter().zip(&below.strides).zip(from.origin()) {
        let start = |out: usize| part.get(out).map_or(0, |range| range.start - leaf.origin(out));
        let at = axis.position(axis.output_axis().map_or(0, start));
        layout.offset += (at - origin) as usize * stride.unsigned_abs();
        if let (Some(out), Some(step)) = (axis.output_axis(), axis.step())
            && let Some(own) = layout.strides.get_mut(out)
        {
            *own = stride * step as isize;
        }
    }
    Ok(layout)
}

fn missing(leaf: usize) -> Error {
    Error::Internal { message: format!("no leaf {leaf}") }
}

fn internal(fault: impl fmt::Display) -> Error {
    Error::Internal { message: fault.to_string() }
}
