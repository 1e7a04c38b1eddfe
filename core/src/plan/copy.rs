//! Planning a copy: from a source to a sink of the same dtype and shape, whatever their grids.
//!
//! Each stage decodes every input chunk once and writes every output chunk once. One stage does if the inputs that
//! must be held fit the budget; otherwise stages go through temporary files, as few as the budget allows. Encoded
//! chunks pass as they are where grid and encoding are the same on both sides.
//!
//! Invariant: a plan that exists fits its budget when run by one thread at least. Called by the facade, and by the
//! planner of computations for what must be cut otherwise first.

use super::sweep::Sweep;
use super::{Leaf, MAX_CHUNKS, Plan, Resources, Stage, StageInput, StageWork, replaced, route};
use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
use crate::region::byte_count;
use crate::sink::Sink;
use crate::source::Source;
use crate::temporary::{Place, Temporary};
use std::sync::Arc;

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
    /// Inputs held at once when outputs run one by one, with what their source holds between reads.
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
) -> Result<Plan> {
    let label = format!("{} to {}", source.label(), sink.label());
    let mut collected = Vec::new();
    let written = replaced(&sink, resources, &mut collected);
    let (stages, smallest_budget_bytes) =
        plan_copy_stages(Arc::clone(&source), &written, resources, options)?;
    let (target, options) = (Arc::clone(&sink), *options);
    let again = move |resources: &Resources| {
        let (source, sink) = (Arc::clone(&source), Arc::clone(&target));
        plan_copy(source, sink, resources, &options).map(|plan| plan.summary().clone())
    };
    let plan = Plan::new(label, stages, vec![sink], resources, smallest_budget_bytes);
    Ok(plan.with_collected(collected).made_by(again))
}

/// The stages of a copy, and the smallest budget that works.
pub(crate) fn plan_copy_stages(
    source: Arc<dyn Source>,
    sink: &Arc<dyn Sink>,
    resources: &Resources,
    options: &CopyOptions,
) -> Result<(Vec<Stage>, u64)> {
    check_ends(&*source, &**sink)?;
    if let Some(passed) = plan_pass_through(&source, sink, resources, options)? {
        return Ok(passed);
    }
    let banded = banded_route(&source, sink, resources)?;
    let in_bands = banded.is_some();
    let (source, chosen) = match banded {
        Some(banded) => banded,
        None => choose_route(source, sink, resources)?,
    };
    let temporaries: Vec<Arc<Temporary>> = chosen
        .between
        .iter()
        .map(|grid| {
            let place = Place::Disk(resources.spill_folder.clone());
            Arc::new(Temporary::new("temporary pieces", source.dtype(), grid.clone(), place))
        })
        .collect();
    let last = temporaries.len();
    let threads = resources.threads.max(1) as u64;
    let stages = chosen.hops.into_iter().enumerate().map(|(n, hop)| {
        let from = n.checked_sub(1).and_then(|n| temporaries.get(n));
        let to = temporaries.get(n);
        let input = from.map_or_else(|| Arc::clone(&source), |t| Arc::clone(t) as Arc<dyn Source>);
        let output = to.map_or_else(|| Arc::clone(sink), |t| Arc::clone(t) as Arc<dyn Sink>);
        Stage {
            name: if in_bands { "rechunk in bands".to_owned() } else { stage_name(n, last) },
            inputs: vec![StageInput {
                source: input,
                read_scratch: hop.sizes.read_scratch,
                temporary: from.cloned(),
                bands: None,
            }],
            leaves: vec![Leaf::whole(0, output.grid().rank())],
            tasks: output.grid().clone(),
            part: None,
            commit: output.commit_grid().clone(),
            sweep: hop.sweep,
            task_bytes: hop.sizes.task_bytes(),
            fixed_bytes: if n == 0 { source.held_bytes() } else { 0 },
            peak_bytes: hop.sizes.needed_bytes(threads),
            work: StageWork::Copy(output),
            resumes: true,
            in_turn: false,
            opens: to.cloned().into_iter().collect(),
            discards: from.cloned().into_iter().collect(),
        }
    });
    Ok((stages.collect(), chosen.smallest_budget_bytes))
}

/// The single pass that reads chunks in bands along one axis, as the output is cut there, if it holds less than half of
/// what whole chunks would make it hold, and all threads can work within the budget.
fn banded_route(
    source: &Arc<dyn Source>,
    sink: &Arc<dyn Sink>,
    resources: &Resources,
) -> Result<Option<(Arc<dyn Source>, route::Route)>> {
    let threads = resources.threads.max(1) as u64;
    let whole = route::single(&Ends::new(source, sink)?)?.needed_bytes(threads);
    let mut best: Option<(u64, Arc<dyn Source>, route::Route)> = None;
    for banded in route::in_bands(source, sink.grid()) {
        let route = route::single(&Ends::new(&banded, sink)?)?;
        let needed_bytes = route.needed_bytes(threads);
        let is_less = best.as_ref().is_none_or(|(least, ..)| needed_bytes < *least);
        if needed_bytes <= resources.budget_bytes.min(whole / 2) && is_less {
            best = Some((needed_bytes, banded, route));
        }
    }
    let Some((_, banded, mut route)) = best else { return Ok(None) };
    // Less memory does by another route.
    if let Ok((_, other)) = choose_route(Arc::clone(source), sink, resources) {
        route.smallest_budget_bytes = route.smallest_budget_bytes.min(other.smallest_budget_bytes);
    }
    Ok(Some((banded, route)))
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
    /// Bytes that the source holds between reads.
    pub(crate) held_bytes: u64,
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
            held_bytes: source.held_bytes(),
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
) -> Result<Option<(Vec<Stage>, u64)>> {
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
        part: None,
        commit: sink.commit_grid().clone(),
        sweep: Sweep::new((0..source.grid().rank()).collect()),
        task_bytes: sizes.task_bytes(),
        fixed_bytes: 0,
        peak_bytes: sizes.task_bytes().saturating_mul(resources.threads.max(1) as u64),
        work: StageWork::Pass { source: Arc::clone(source), sink: Arc::clone(sink), checked },
        resumes: true,
        in_turn: false,
        opens: Vec::new(),
        discards: Vec::new(),
    }];
    Ok(Some((stages, smallest_bytes)))
}

fn stage_name(n: usize, last: usize) -> String {
    match (n, last) {
        (0, 0) => "rechunk".to_owned(),
        (0, _) => "split into temporary pieces".to_owned(),
        (n, last) if n == last => "assemble from temporary pieces".to_owned(),
        _ => format!("regroup temporary pieces ({n})"),
    }
}
