//! What a thread does for one step: read a chunk, or carry out a task on its inputs. Errors get their task here,
//! once.
//!
//! Invariants: a panic becomes an error with the chunk's index; an output that is one whole input is handed on
//! without a copy. Called by the worker loop of [`crate::exec`].

use super::queue::{Task, TaskInput};
use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::{Error, Result};
use crate::plan::Leaf;
use crate::region::Region;
use crate::sink::Sink;
use crate::source::Source;
use blockwise_kernels::DType;
use blockwise_kernels::strided::{Layout, copy, copy_region};
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What the tasks of a running stage do.
pub(super) enum Work {
    /// The single leaf is written.
    Copy { sink: Arc<dyn Sink> },
    /// Stored bytes pass as they are.
    Pass { source: Arc<dyn Source>, sink: Arc<dyn Sink>, checked: bool },
}

impl Work {
    /// The array that tasks write.
    pub(super) fn sink(&self) -> &dyn Sink {
        match self {
            Self::Copy { sink } | Self::Pass { sink, .. } => &**sink,
        }
    }

    /// Carries out `task`; the bytes it took in storage.
    pub(super) fn run(&self, task: &Task, view: &StageView<'_>, cx: &TaskContext<'_>) -> Result<u64> {
        guarded("write of", self.sink().label(), &task.index, &task.region, || {
            cx.check_cancelled()?;
            match self {
                Self::Pass { source, sink, checked } => pass(&**source, &**sink, &task.index, *checked, cx),
                Self::Copy { sink } => {
                    let inputs = task.inputs.first().map_or(&[][..], Vec::as_slice);
                    if let (Some(chunk), Some(leaf)) = (view.whole(task), view.leaves.first())
                        && leaf.view.is_identity()
                    {
                        return sink.write(&task.index, chunk, cx);
                    }
                    let gathered = view.gather(0, inputs, &task.region, sink.dtype(), cx)?;
                    sink.write(&task.index, &gathered, cx)
                }
            }
        })
    }
}

fn pass(
    source: &dyn Source,
    sink: &dyn Sink,
    index: &[u64],
    checked: bool,
    cx: &TaskContext<'_>,
) -> Result<u64> {
    if checked {
        drop(read(source, index, cx)?);
    }
    let encoded = source.read_encoded(index, cx)?;
    sink.write_encoded(index, encoded.as_deref(), cx)
}

/// Reads chunk `index` of `source` and checks that it is what its region needs.
pub(super) fn read(source: &dyn Source, index: &[u64], cx: &TaskContext<'_>) -> Result<Chunk> {
    let region = source.grid().region(index)?;
    guarded("read of", source.label(), index, &region, || {
        let chunk = source.read(index, cx)?;
        if chunk.shape() != region.shape() || chunk.dtype() != source.dtype() {
            let found = chunk.shape().to_vec();
            return Err(Error::Shape { expected: region.shape().to_vec(), found });
        }
        Ok(chunk)
    })
}

/// The inputs of a running stage as its tasks see them.
pub(super) struct StageView<'a> {
    pub(super) leaves: &'a [Leaf],
    pub(super) sources: &'a [Arc<dyn Source>],
}

impl StageView<'_> {
    /// The chunk that is exactly the task's region, if the stage has one leaf and it is one such chunk.
    fn whole<'t>(&self, task: &'t Task) -> Option<&'t Chunk> {
        let [inputs] = task.inputs.as_slice() else { return None };
        let [TaskInput { index, chunk }] = inputs.as_slice() else { return None };
        let region = self.sources.first()?.grid().region(index).ok()?;
        (region == task.region).then_some(&**chunk)
    }

    /// What leaf number `leaf` shows in `region`, as a contiguous chunk.
    fn gather(
        &self,
        leaf: usize,
        inputs: &[TaskInput],
        region: &Region,
        dtype: DType,
        cx: &TaskContext<'_>,
    ) -> Result<Chunk> {
        let missing = || Error::Internal { message: format!("no leaf {leaf}") };
        let leaf = self.leaves.get(leaf).ok_or_else(missing)?;
        let source = self.sources.get(leaf.input).ok_or_else(missing)?;
        let mut output = Chunk::uninit(dtype, region.shape(), cx.pool())?;
        for TaskInput { index, chunk } in inputs {
            let from = source.grid().region(index)?;
            let fault = |fault: &dyn fmt::Display| Error::Internal {
                message: format!("assembling {region}: {fault}"),
            };
            if leaf.view.is_identity() {
                let Some(both) = from.intersection(region) else { continue };
                let within = |outer: &Region| {
                    small(&both.origin().iter().zip(outer.origin()).map(|(b, o)| b - o).collect::<Vec<_>>())
                };
                copy_region(
                    output.bytes_mut(),
                    &small(region.shape())?,
                    &within(region)?,
                    chunk.bytes(),
                    &small(from.shape())?,
                    &within(&from)?,
                    &small(both.shape())?,
                    dtype.size(),
                )
                .map_err(|error| fault(&error))?;
            } else {
                let ranges: Vec<Range<u64>> = from.ranges().collect();
                let Some(part) = leaf.part(&ranges, region) else { continue };
                let (to, shape) = (part.output_layout(region)?, small(&part.shape())?);
                let layout = part.source_layout(leaf, &from)?;
                copy(output.bytes_mut(), &to, chunk.bytes(), &layout, &shape, dtype.size())
                    .map_err(|error| fault(&error))?;
            }
        }
        Ok(output)
    }
}

/// The box of output positions that one input chunk fills.
struct Part(Vec<Range<u64>>);

impl Leaf {
    /// What of `region` the chunk with `ranges` below shows; `None` if nothing.
    fn part(&self, ranges: &[Range<u64>], region: &Region) -> Option<Part> {
        let ends: Vec<u64> = region.ranges().map(|range| range.end).collect();
        let shown = self.view.output_ranges(ranges, &ends);
        let cut: Vec<Range<u64>> =
            shown.iter().zip(region.ranges()).map(|(s, r)| s.start.max(r.start)..s.end.min(r.end)).collect();
        cut.iter().all(|range| range.start < range.end).then_some(Part(cut))
    }
}

impl Part {
    fn shape(&self) -> Vec<u64> {
        self.0.iter().map(|range| range.end - range.start).collect()
    }

    /// Where the part lies in a contiguous chunk of `region`.
    fn output_layout(&self, region: &Region) -> Result<Layout> {
        let mut layout = Layout::c_order(&small(region.shape())?).map_err(internal)?;
        let starts = self.0.iter().zip(region.origin()).map(|(range, origin)| range.start - origin);
        layout.offset =
            starts.zip(&layout.strides).map(|(at, stride)| at as usize * stride.unsigned_abs()).sum();
        Ok(layout)
    }

    /// Where the part lies in the contiguous input chunk of `from`, as seen through the leaf's view.
    fn source_layout(&self, leaf: &Leaf, from: &Region) -> Result<Layout> {
        let below = Layout::c_order(&small(from.shape())?).map_err(internal)?;
        let mut layout = Layout { offset: 0, strides: vec![0; self.0.len()] };
        for ((axis, stride), origin) in leaf.view.axes().iter().zip(&below.strides).zip(from.origin()) {
            let at = axis
                .position(axis.output_axis().and_then(|out| self.0.get(out)).map_or(0, |range| range.start));
            layout.offset += (at - origin) as usize * stride.unsigned_abs();
            if let (Some(out), Some(step)) = (axis.output_axis(), axis.step())
                && let Some(own) = layout.strides.get_mut(out)
            {
                *own = stride * step as isize;
            }
        }
        Ok(layout)
    }
}

fn internal(fault: impl fmt::Display) -> Error {
    Error::Internal { message: fault.to_string() }
}

fn guarded<T>(
    verb: &str,
    label: &str,
    index: &[u64],
    region: &Region,
    task: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let outcome = catch_unwind(AssertUnwindSafe(task)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        Err(Error::Panic { message })
    });
    outcome.map_err(|error| error.in_task(format!("{verb} {label}"), index, region))
}

/// Extents of something that is in memory, and so fits `usize`.
fn small(extents: &[u64]) -> Result<Vec<usize>> {
    let too_large = |_| Error::TooLarge { what: "chunk", shape: extents.to_vec() };
    extents.iter().map(|&n| usize::try_from(n).map_err(too_large)).collect()
}
