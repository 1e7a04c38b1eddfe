//! Plans: what will run, in which order, within which memory, before anything runs.
//!
//! A plan is a list of stages, run one after another. A stage is a pass over some inputs: a set of tasks, one per box
//! of a grid, which read what they need of the inputs, compute, and write. Stages store no tasks: what a task needs
//! follows from the grids and views by arithmetic, so a plan of a million chunks is as small as one of ten.
//!
//! Invariants: a plan that exists fits its budget when run by one thread at least; a stage reads every input chunk
//! that it needs once; every commit box of a sink has one writer, this plan. Made by [`plan_copy`] and
//! `lower::plan_arrays`; run by [`crate::exec`].

mod collected;
mod compute;
mod copy;
pub(crate) mod leaf;
mod picture;
mod route;
mod summary;
pub(crate) mod sweep;

use crate::device::Device;
use crate::digest::Digest;
use crate::engine::Engine;
use crate::error::Result;
use crate::grid::{AxisGrid, ChunkGrid};
use crate::sink::{Sharing, Sink};
use crate::source::Source;
use crate::temporary::Temporary;
pub(crate) use collected::{Collected, replaced};
pub(crate) use compute::{
    Applied, AppliedInput, Compute, Fold, FunctionCall, Grouped, Maker, Operand, Output, Reduced, Reductions,
    place,
};
pub(crate) use copy::plan_copy_stages;
pub use copy::{CopyOptions, PassThrough, plan_copy};
pub(crate) use leaf::{Leaf, Reach, Window, c_order, seen};
pub(crate) use route::{in_bands, in_cached_bands, recut_for};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
pub use summary::{PlanSummary, SourceSummary, StageSummary};
use sweep::Sweep;

/// Output chunks that a plan may have; more are refused.
pub const MAX_CHUNKS: u64 = 1 << 28;

/// What a run may use.
#[derive(Clone, Debug)]
pub struct Resources {
    /// Bytes that chunks, scratch and partials may take together.
    pub budget_bytes: u64,
    /// Threads that read, copy, encode and write.
    pub threads: usize,
    /// Folder for temporary files.
    pub spill_folder: PathBuf,
    /// Bytes that temporary files may take; `None`: what the disk has, less a twentieth.
    pub spill_limit_bytes: Option<u64>,
    /// What runs plans instead of this process's threads.
    pub engine: Option<Arc<dyn Engine>>,
    /// What computes in place of this machine's processors, where it gains time.
    pub device: Option<Arc<dyn Device>>,
}

/// One pass over some inputs: a task a box of `tasks`, in the order of `sweep`. Every input chunk is read once.
pub(crate) struct Stage {
    pub(crate) name: String,
    pub(crate) inputs: Vec<StageInput>,
    /// What tasks see of the inputs; several leaves may see one input.
    pub(crate) leaves: Vec<Leaf>,
    /// The boxes that tasks are about.
    pub(crate) tasks: ChunkGrid,
    /// Boxes of whole tasks that are visited one after another, and skipped if an earlier run stored them.
    pub(crate) commit: ChunkGrid,
    pub(crate) sweep: Sweep,
    /// The tasks that it carries out, by their index along each axis; `None`: all. What tasks of other parts need too is
    /// read again for them.
    pub(crate) part: Option<Vec<Range<u64>>>,
    /// Bytes that any task holds while it runs, beyond its inputs.
    pub(crate) task_bytes: u64,
    /// Bytes held throughout the stage: temporary arrays and results in memory, states of reductions.
    pub(crate) fixed_bytes: u64,
    /// Bytes that the stage needs with all threads at work.
    pub(crate) peak_bytes: u64,
    pub(crate) work: StageWork,
    /// Whether the task array is that of the plan's one sink, position by position: then tasks whose boxes an earlier run
    /// stored are skipped.
    pub(crate) resumes: bool,
    /// Whether the memory of a task is free only when all before it have ended: what it made may wait for them.
    pub(crate) in_turn: bool,
    /// Temporary arrays that this stage writes.
    pub(crate) opens: Vec<Arc<Temporary>>,
    /// Temporary arrays that no later stage needs.
    pub(crate) discards: Vec<Arc<Temporary>>,
}

impl Stage {
    /// The tasks that it carries out, by their index along each axis.
    pub(crate) fn task_ranges(&self) -> Vec<Range<u64>> {
        self.part.clone().unwrap_or_else(|| self.tasks.counts().iter().map(|count| 0..*count).collect())
    }

    /// How many tasks it carries out.
    pub(crate) fn task_count(&self) -> u64 {
        self.task_ranges().iter().map(|range| range.end - range.start).fold(1, u64::saturating_mul)
    }

    /// The shape of the part of the task array that it is about.
    pub(crate) fn shape(&self) -> Vec<u64> {
        extents(self.tasks.axes(), &self.task_ranges())
    }

    /// Bytes of an element of the task array, for accounts: of the widest array written.
    pub(crate) fn item_bytes(&self) -> usize {
        self.work.sinks().iter().map(|sink| sink.dtype().size()).max().unwrap_or(1)
    }
}

/// Elements along each axis in these chunks.
fn extents(axes: &[AxisGrid], chunks: &[Range<u64>]) -> Vec<u64> {
    axes.iter().zip(chunks).map(|(axis, range)| axis.start(range.end) - axis.start(range.start)).collect()
}

/// An array that a stage reads.
pub(crate) struct StageInput {
    pub(crate) source: Arc<dyn Source>,
    /// Bytes that reading a chunk holds beyond the chunk.
    pub(crate) read_scratch: u64,
    /// The temporary array that the source is, or is made of.
    pub(crate) temporary: Option<Arc<Temporary>>,
    /// The same array with its chunks cut into bands, for tasks that can take a chunk band by band: each is still in the cache when
    /// it is computed with. The bands of a chunk never hold more than the chunk would.
    pub(crate) bands: Option<Arc<dyn Source>>,
}

impl StageInput {
    pub(crate) fn new(source: Arc<dyn Source>, temporary: Option<Arc<Temporary>>) -> Self {
        Self { read_scratch: source.read_scratch_bytes(), source, temporary, bands: None }
    }
}

/// What the tasks of a stage do.
pub(crate) enum StageWork {
    /// The single leaf is written as it is.
    Copy(Arc<dyn Sink>),
    /// Stored bytes pass as they are, read by the task itself: the stage has no leaves.
    Pass { source: Arc<dyn Source>, sink: Arc<dyn Sink>, checked: bool },
    /// Programs are evaluated and written or reduced.
    Compute(Compute),
}

impl StageWork {
    /// What makes one of its functions take less, for people.
    pub(crate) fn remedy(&self) -> Option<&str> {
        let Self::Compute(compute) = self else { return None };
        compute.outputs.iter().find_map(|output| match output {
            Output::Applied(applied) => applied.call.function.remedy(),
            _ => None,
        })
    }

    /// Takes in what the tasks compute, as far as it is data.
    fn add_to(&self, digest: &mut Digest) {
        let compute = match self {
            Self::Copy(_) => return digest.add("copy"),
            Self::Pass { checked, .. } => return digest.add(&("pass", checked)),
            Self::Compute(compute) => compute,
        };
        fn add_call(digest: &mut Digest, call: &FunctionCall) {
            digest.add(call.function.name());
            call.inputs.iter().for_each(|input| digest.add(&(&input.program, &input.operands)));
        }
        let add_folds = |digest: &mut Digest, folds: &[Fold]| {
            for Fold { reduction, results } in folds {
                let statistics: Vec<_> = results.iter().map(|(statistic, _)| statistic).collect();
                digest.add(&(reduction, statistics));
            }
        };
        compute.makers.iter().for_each(|maker| add_call(digest, &maker.call));
        for output in &compute.outputs {
            match output {
                Output::Written { program, operands, .. } => digest.add(&(program, operands)),
                Output::Reduced(Reductions { program, operands, parts }) => {
                    digest.add(&(program, operands));
                    for part in parts {
                        digest.add(&part.axes);
                        add_folds(digest, &part.folds);
                    }
                }
                Output::Grouped(grouped) => {
                    digest.add(&(&grouped.program, &grouped.operands, grouped.axis, &grouped.groups.codes));
                    add_folds(digest, &grouped.folds);
                }
                Output::Applied(applied) => {
                    digest.add(&(&applied.index_axes, applied.folded.as_ref().map(|(axes, _)| axes)));
                    add_call(digest, &applied.call);
                }
            }
        }
    }

    /// The arrays that the stage writes.
    pub(crate) fn sinks(&self) -> Vec<&Arc<dyn Sink>> {
        match self {
            Self::Copy(sink) | Self::Pass { sink, .. } => vec![sink],
            Self::Compute(compute) => compute.sinks().collect(),
        }
    }
}

/// A plan that is ready to run.
pub struct Plan {
    pub(crate) stages: Vec<Stage>,
    /// What the plan is made to write, finished when all stages are done.
    pub(crate) sinks: Vec<Arc<dyn Sink>>,
    /// Sinks that the stages do not write: what they get lies elsewhere first.
    pub(crate) collected: Vec<Collected>,
    summary: PlanSummary,
    /// Makes the plan again with other resources.
    again: Option<Again>,
}

/// Plans the same work with other resources.
type Again = Box<dyn Fn(&Resources) -> Result<PlanSummary> + Send + Sync>;

impl Plan {
    pub(crate) fn new(
        label: String,
        stages: Vec<Stage>,
        sinks: Vec<Arc<dyn Sink>>,
        resources: &Resources,
        smallest_budget_bytes: u64,
    ) -> Self {
        let summary = PlanSummary::new(label, &stages, resources, smallest_budget_bytes);
        Self { stages, sinks, collected: Vec::new(), summary, again: None }
    }

    /// The plan, with what makes it again.
    pub(crate) fn made_by(
        self,
        again: impl Fn(&Resources) -> Result<PlanSummary> + Send + Sync + 'static,
    ) -> Self {
        Self { again: Some(Box::new(again)), ..self }
    }

    /// What the same work would do and need with other resources on this machine; nothing runs.
    ///
    /// ```
    /// use blockwise_core::{Array, Session};
    /// let x = Array::from_fn(&[4000, 1000], |at| at[0] as f64)?.rechunk([4000, 10])?;
    /// let plan = Session::with_budget(64 << 20).explain(&[x.rechunk([10, 1000])?])?;
    /// let more = blockwise_core::machine::resources(1 << 30);
    /// assert_eq!(plan.summary_with(&more)?.budget_bytes, 1 << 30);
    /// assert_eq!(plan.summary_with(&more)?.bytes_written, plan.summary().bytes_written);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::OverBudget`](crate::Error::OverBudget) if it cannot run with these.
    pub fn summary_with(&self, resources: &Resources) -> Result<PlanSummary> {
        self.again.as_ref().map_or_else(|| Ok(self.summary.clone()), |again| again(&resources.here()))
    }

    pub(crate) fn with_collected(self, collected: Vec<Collected>) -> Self {
        Self { collected, ..self }
    }

    /// Whether it writes something that every process of a run goes on with.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.sinks.iter().any(|sink| sink.sharing() == Sharing::Held)
    }

    /// A short text that is the same for plans of the same stages: the same inputs as far as their names, grids and dtypes tell, the same
    /// tasks in the same order, the same memory, the same outputs. What outputs are called does not count, nor what temporary arrays are
    /// called after them: a process that only works for another has other names for them.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut digest = Digest::default();
        let opened: Vec<_> = self.stages.iter().flat_map(|stage| &stage.opens).collect();
        for stage in &self.stages {
            digest.add(&(&stage.tasks, &stage.commit, &stage.sweep, &stage.part));
            digest.add(&(stage.task_bytes, stage.fixed_bytes, &stage.leaves));
            for StageInput { source, bands, temporary, .. } in &stage.inputs {
                match temporary {
                    Some(array) => digest.add(&opened.iter().position(|other| Arc::ptr_eq(other, array))),
                    None => digest.add(source.label()),
                }
                digest.add(&(source.dtype(), source.grid()));
                digest.add(&bands.as_ref().map(|bands| bands.grid()));
            }
            for sink in stage.work.sinks() {
                digest.add(&(sink.dtype(), sink.grid(), sink.commit_grid()));
            }
            stage.work.add_to(&mut digest);
        }
        digest.to_string()
    }

    /// What the plan does and needs; its `Display` is the text of `--dry-run`.
    #[must_use]
    pub const fn summary(&self) -> &PlanSummary {
        &self.summary
    }
}
