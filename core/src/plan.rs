//! Plans of copies: what will run, in which order, within which memory, before anything runs.
//!
//! A copy goes from a [`Source`] to a [`Sink`] of the same dtype and shape, whatever their grids. It is a list of
//! stages; each decodes every input chunk once and writes every output chunk once. One stage does if the inputs that
//! must be held fit the budget; otherwise stages go through temporary files, as few as the budget allows. Stages
//! store no tasks: an output's inputs follow from the two grids by arithmetic.
//!
//! Invariants: a plan that exists fits its budget when run by one thread at least; every commit box of the sink has
//! one writer, this plan. Called by the facade; run by [`crate::exec`].

mod route;
mod summary;
pub(crate) mod sweep;

use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
use crate::region::byte_count;
use crate::sink::Sink;
use crate::source::Source;
use crate::view::View;
use std::path::PathBuf;
use std::sync::Arc;
pub use summary::{PlanSummary, StageSummary};
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
}

/// How chunks pass whose encoding and grid are the same on both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PassThrough {
    /// Stored bytes pass unchanged, and are decoded once to see that they are sound.
    #[default]
    Checked,
    /// Stored bytes pass unchanged and unseen.
    Trusted,
    /// Chunks are decoded and encoded again.
    Off,
}

/// Choices of a copy.
#[derive(Clone, Copy, Debug, Default)]
pub struct CopyOptions {
    /// How chunks pass whose encoding and grid are the same on both sides.
    pub pass_through: PassThrough,
}

/// What a stage reads or writes.
pub(crate) enum End<T: ?Sized> {
    /// The copy's own source or sink.
    Outer(Arc<T>),
    /// Temporary array number `.0`.
    Spill(usize),
}

/// One pass over some inputs: a task a chunk of `tasks`, in the order of `sweep`. Every input chunk is read once.
pub(crate) struct Stage {
    pub(crate) name: String,
    pub(crate) inputs: Vec<StageInput>,
    /// What tasks see of the inputs; several leaves may see one input.
    pub(crate) leaves: Vec<Leaf>,
    /// The boxes that tasks make.
    pub(crate) tasks: ChunkGrid,
    /// Boxes of whole tasks that are visited one after another, and skipped if an earlier run stored them.
    pub(crate) commit: ChunkGrid,
    pub(crate) sweep: Sweep,
    /// Bytes that any task holds while it runs, beyond its inputs.
    pub(crate) task_bytes: u64,
    /// Bytes that the stage needs with all threads at work.
    pub(crate) peak_bytes: u64,
    pub(crate) work: StageWork,
}

/// An array that a stage reads.
pub(crate) struct StageInput {
    pub(crate) end: End<dyn Source>,
    /// Bytes that reading a chunk holds beyond the chunk.
    pub(crate) read_scratch: u64,
}

/// What the tasks of a stage see of one input.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    /// Position in [`Stage::inputs`].
    pub(crate) input: usize,
    /// From positions of the task grid's array to positions of the input.
    pub(crate) view: View,
}

/// What the tasks of a stage do.
pub(crate) enum StageWork {
    /// The single leaf is written as it is.
    Copy(End<dyn Sink>),
    /// Stored bytes pass as they are, read by the task itself: the stage has no leaves.
    Pass { source: Arc<dyn Source>, sink: Arc<dyn Sink>, checked: bool },
}

/// Bytes that a copy between two grids needs; upper bounds over all chunks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TaskSizes {
    /// Scratch of reading a chunk, beyond the decoded chunk.
    pub(crate) read_scratch: u64,
    /// Scratch of writing a chunk, beyond the chunk.
    pub(crate) write_scratch: u64,
    /// The largest input chunk, decoded.
    pub(crate) input: u64,
    /// The largest output chunk, decoded; 0 if inputs are handed on uncopied.
    pub(crate) output: u64,
    /// Inputs held at once when outputs run one by one.
    pub(crate) held: u64,
}

impl TaskSizes {
    /// Bytes that a task holds while it assembles and writes.
    pub(crate) const fn task_bytes(&self) -> u64 {
        self.output.saturating_add(self.write_scratch)
    }

    /// Bytes that `threads` threads can use without waiting for each other; for one thread, what must be.
    pub(crate) const fn needed_bytes(&self, threads: u64) -> u64 {
        let writing = self.task_bytes();
        let task = if self.read_scratch > writing { self.read_scratch } else { writing };
        let ahead = self.input.saturating_mul(threads.saturating_sub(1));
        self.held.saturating_add(task.saturating_mul(threads)).saturating_add(ahead)
    }
}

/// A temporary array between two stages.
#[derive(Clone, Debug)]
pub(crate) struct SpillSpec {
    pub(crate) grid: ChunkGrid,
}

/// A copy that is ready to run.
pub struct CopyPlan {
    pub(crate) stages: Vec<Stage>,
    pub(crate) spills: Vec<SpillSpec>,
    pub(crate) sink: Arc<dyn Sink>,
    summary: PlanSummary,
}

impl CopyPlan {
    /// What the plan does and needs; its `Display` is the text of `--dry-run`.
    #[must_use]
    pub const fn summary(&self) -> &PlanSummary {
        &self.summary
    }
}

/// Plans the copy of `source` into `sink`.
///
/// # Errors
/// [`Error::OverBudget`] with the smallest budget that works, if none of the routes fits; [`Error::Usage`] if dtype
/// or shape differ; [`Error::TooManyChunks`] beyond [`MAX_CHUNKS`].
pub fn plan_copy(
    source: Arc<dyn Source>,
    sink: Arc<dyn Sink>,
    resources: &Resources,
    options: &CopyOptions,
) -> Result<CopyPlan> {
    check_ends(&*source, &*sink)?;
    if let Some(plan) = plan_pass_through(&source, &sink, resources, options)? {
        return Ok(plan);
    }
    let (source, chosen) = choose_route(source, &sink, resources)?;
    let spills: Vec<SpillSpec> = chosen.between.iter().map(|grid| SpillSpec { grid: grid.clone() }).collect();
    let last = spills.len();
    let threads = resources.threads.max(1) as u64;
    let grid_after = |n: usize| spills.get(n).map_or_else(|| sink.grid().clone(), |spill| spill.grid.clone());
    let stages = chosen
        .hops
        .into_iter()
        .enumerate()
        .map(|(n, hop)| Stage {
            name: stage_name(n, last),
            inputs: vec![StageInput {
                end: if n == 0 { End::Outer(Arc::clone(&source)) } else { End::Spill(n - 1) },
                read_scratch: hop.sizes.read_scratch,
            }],
            leaves: vec![Leaf { input: 0, view: View::identity(sink.grid().rank()) }],
            tasks: grid_after(n),
            commit: if n == last { sink.commit_grid().clone() } else { grid_after(n) },
            sweep: hop.sweep,
            task_bytes: hop.sizes.task_bytes(),
            peak_bytes: hop.sizes.needed_bytes(threads),
            work: StageWork::Copy(if n == last { End::Outer(Arc::clone(&sink)) } else { End::Spill(n) }),
        })
        .collect();
    Ok(finish_plan(stages, spills, source, sink, resources, chosen.smallest_budget_bytes))
}

/// The route, and the source cut as the route reads it. A source that serves any box is cut for long runs first,
/// then, if that takes too much memory, exactly as the output is.
fn choose_route(
    source: Arc<dyn Source>,
    sink: &Arc<dyn Sink>,
    resources: &Resources,
) -> Result<(Arc<dyn Source>, route::Route)> {
    let cuts = [route::recut_for(&source, sink.grid()), source.recut(sink.grid()), Some(source)];
    let mut refusal: Option<(u64, Error)> = None;
    for cut in cuts.into_iter().flatten() {
        match route::choose(&Ends::new(&cut, sink)?, resources) {
            Ok(route) => return Ok((cut, route)),
            Err(Error::OverBudget { needed_bytes, .. })
                if refusal.as_ref().is_some_and(|(least, _)| *least <= needed_bytes) => {}
            Err(error) => {
                let needed_bytes =
                    if let Error::OverBudget { needed_bytes, .. } = &error { *needed_bytes } else { 0 };
                refusal = Some((needed_bytes, error));
            }
        }
    }
    Err(refusal
        .map_or_else(|| Error::Internal { message: "no source to plan for".to_owned() }, |(_, error)| error))
}

/// What the router must know of the two ends.
pub(crate) struct Ends {
    pub(crate) input: ChunkGrid,
    pub(crate) output: ChunkGrid,
    pub(crate) commit: ChunkGrid,
    pub(crate) item_bytes: usize,
    pub(crate) read_scratch: u64,
    pub(crate) write_scratch: u64,
    pub(crate) label: String,
}

impl Ends {
    fn new(source: &Arc<dyn Source>, sink: &Arc<dyn Sink>) -> Result<Self> {
        let shape = source.grid().shape();
        byte_count(&shape, source.dtype().size()).ok_or(Error::TooLarge { what: "array", shape })?;
        Ok(Self {
            input: source.grid().clone(),
            output: sink.grid().clone(),
            commit: sink.commit_grid().clone(),
            item_bytes: source.dtype().size(),
            read_scratch: source.read_scratch_bytes(),
            write_scratch: sink.write_scratch_bytes(),
            label: format!("{} to {}", source.label(), sink.label()),
        })
    }
}

fn check_ends(source: &dyn Source, sink: &dyn Sink) -> Result<()> {
    let (from, to) = (source.grid().shape(), sink.grid().shape());
    if from != to {
        return Err(Error::Shape { expected: to, found: from });
    }
    if source.dtype() != sink.dtype() {
        return Err(Error::Usage {
            message: format!(
                "{} holds {}, {} takes {}; convert the elements first",
                source.label(),
                source.dtype(),
                sink.label(),
                sink.dtype()
            ),
        });
    }
    if !sink.commit_grid().is_coarser_or_equal(sink.grid()) {
        return Err(Error::Usage {
            message: format!("{}: shards must be made of whole chunks", sink.label()),
        });
    }
    for (label, grid) in [(source.label(), source.grid()), (sink.label(), sink.grid())] {
        let chunks = grid.chunk_count();
        if chunks > MAX_CHUNKS {
            return Err(Error::TooManyChunks { label: label.to_owned(), chunks });
        }
    }
    Ok(())
}

fn plan_pass_through(
    source: &Arc<dyn Source>,
    sink: &Arc<dyn Sink>,
    resources: &Resources,
    options: &CopyOptions,
) -> Result<Option<CopyPlan>> {
    let same = source.encoding().is_some() && source.encoding() == sink.encoding();
    if options.pass_through == PassThrough::Off || !same || source.grid() != sink.grid() {
        return Ok(None);
    }
    let input = byte_count(&source.grid().largest_chunk(), source.dtype().size())
        .ok_or_else(|| Error::TooLarge { what: "chunk", shape: source.grid().largest_chunk() })?;
    // The encoded chunk is bounded by the scratch of reading it.
    let sizes = TaskSizes {
        read_scratch: 0,
        write_scratch: source
            .read_scratch_bytes()
            .saturating_mul(2)
            .saturating_add(sink.write_scratch_bytes()),
        input,
        output: input,
        held: 0,
    };
    let smallest_bytes = sizes.needed_bytes(1);
    if smallest_bytes > resources.budget_bytes {
        return Err(route::over_budget(
            &format!("copy of {}", source.label()),
            &sizes,
            smallest_bytes,
            resources,
        ));
    }
    let checked = options.pass_through == PassThrough::Checked;
    let stages = vec![Stage {
        name: "copy of encoded chunks".to_owned(),
        inputs: Vec::new(),
        leaves: Vec::new(),
        tasks: sink.grid().clone(),
        commit: sink.commit_grid().clone(),
        sweep: Sweep::new((0..source.grid().rank()).collect()),
        task_bytes: sizes.task_bytes(),
        peak_bytes: sizes.task_bytes().saturating_mul(resources.threads.max(1) as u64),
        work: StageWork::Pass { source: Arc::clone(source), sink: Arc::clone(sink), checked },
    }];
    Ok(Some(finish_plan(stages, Vec::new(), Arc::clone(source), Arc::clone(sink), resources, smallest_bytes)))
}

fn stage_name(n: usize, last: usize) -> String {
    match (n, last) {
        (0, 0) => "rechunk".to_owned(),
        (0, _) => "split into temporary pieces".to_owned(),
        (n, last) if n == last => "assemble from temporary pieces".to_owned(),
        _ => format!("regroup temporary pieces ({n})"),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the plan keeps the ends alive through its stages")]
fn finish_plan(
    stages: Vec<Stage>,
    spills: Vec<SpillSpec>,
    source: Arc<dyn Source>,
    sink: Arc<dyn Sink>,
    resources: &Resources,
    smallest_budget_bytes: u64,
) -> CopyPlan {
    let summary = PlanSummary::new(&stages, &spills, &*source, &*sink, resources, smallest_budget_bytes);
    CopyPlan { stages, spills, sink, summary }
}
