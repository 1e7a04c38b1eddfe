//! What a thread does for one step: read a chunk, or carry out a task on its inputs. Errors get their task here,
//! once.
//!
//! Invariants: a panic becomes an error with the chunk's index; an output that is one whole input is handed on
//! without a copy. Called by the worker loop of [`crate::exec`].

use super::compute::ComputeRun;
use super::queue::Task;
use super::view::StageView;
use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::{Error, Result};
use crate::region::Region;
use crate::sink::Sink;
use crate::source::Source;
use blockwise_kernels::program::Scratch;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What the tasks of a running stage do.
pub(super) enum Work<'a> {
    /// The single leaf is written.
    Copy(&'a dyn Sink),
    /// Stored bytes pass as they are.
    Pass { source: &'a dyn Source, sink: &'a dyn Sink, checked: bool },
    /// Programs are evaluated.
    Compute(ComputeRun<'a>),
}

impl Work<'_> {
    /// Carries out `task` of the stage called `stage`; the bytes it took in storage.
    pub(super) fn run(
        &self,
        stage: &str,
        task: &Task,
        view: &StageView<'_>,
        scratch: &mut Scratch,
        cx: &TaskContext<'_>,
    ) -> Result<u64> {
        let (verb, label) = match self {
            Self::Copy(sink) | Self::Pass { sink, .. } => ("write of", sink.label()),
            Self::Compute(_) => ("computation of", stage),
        };
        guarded(verb, label, &task.index, &task.region, || {
            cx.check_cancelled()?;
            match self {
                Self::Pass { source, sink, checked } => pass(*source, *sink, &task.index, *checked, cx),
                Self::Compute(compute) => compute.run(task, view, scratch, cx),
                Self::Copy(sink) => {
                    if let (Some(chunk), Some(leaf)) = (view.whole(task), view.leaves.first())
                        && leaf.view.is_identity()
                    {
                        return sink.write(&task.index, chunk, cx);
                    }
                    let gathered = view.gather(&[0], task, &task.region, sink.dtype(), cx)?;
                    sink.write(&task.index, &gathered, cx)
                }
            }
        })
    }
}

impl Work<'_> {
    /// Carries out `task` of the stage called `stage` on bands of its chunk, whose errors have their task already; the bytes it took
    /// in storage.
    pub(super) fn run_in_bands(
        &self,
        stage: &str,
        task: &Task,
        bands: impl Iterator<Item = Result<Chunk>>,
        scratch: &mut Scratch,
        cx: &TaskContext<'_>,
    ) -> Result<u64> {
        let Self::Compute(compute) = self else {
            return Err(Error::Internal { message: "bands of what is not computed".to_owned() });
        };
        let mut unread = None;
        let computed = guarded("computation of", stage, &task.index, &task.region, || {
            // An error of reading is not one of computing.
            let bands = bands.map_while(|band| match band {
                Ok(band) => Some(cx.check_cancelled().map(|()| band)),
                Err(error) => {
                    unread = Some(error);
                    None
                }
            });
            compute.run_in_bands(task, bands, scratch, cx)
        });
        unread.map_or(computed, Err)
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
        check(source, &chunk, &region)?;
        Ok(chunk)
    })
}

/// As [`read`], of a part of chunk `of`, whose index and region errors name.
pub(super) fn read_band(
    bands: &dyn Source,
    index: &[u64],
    of: (&[u64], &Region),
    cx: &TaskContext<'_>,
) -> Result<Chunk> {
    guarded("read of", bands.label(), of.0, of.1, || {
        let (band, expected) = (bands.read(index, cx)?, bands.grid().region(index)?);
        check(bands, &band, &expected)?;
        Ok(band)
    })
}

/// Whether a chunk is what was asked for.
fn check(source: &dyn Source, chunk: &Chunk, region: &Region) -> Result<()> {
    if chunk.shape() != region.shape() || chunk.dtype() != source.dtype() {
        return Err(Error::Shape { expected: region.shape().to_vec(), found: chunk.shape().to_vec() });
    }
    Ok(())
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
