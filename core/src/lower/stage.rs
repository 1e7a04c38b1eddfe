//! One stage in the making: its outputs, what they read, the order of tasks, and the bytes all that takes.
//!
//! Invariant: bytes are upper bounds over all tasks, so that what is planned to fit does. Called by
//! [`super::plan_arrays`].

use super::Sums;
use super::expression::{Expression, Piece, Read, Reads};
use super::holding::{Visits, holdings, holdings_of, seen_axis};
use super::making::CallKey;
use super::outputs::{Job, Outputs};
use super::tally::{Waiting, early_bytes, is_in_order, maker_bytes, output_bytes, reached_bytes, waiting};
use crate::array::{Array, Groups, Kind};
use crate::error::{Error, Result, human_bytes};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::plan::recut_for;
use crate::plan::sweep::Sweep;
use crate::plan::{
    Applied, Compute, Fold, FunctionCall, Grouped, Leaf, Maker, Operand, Output, Reach, Reduced, Reductions,
    Resources, Stage, StageInput, StageWork,
};
use crate::region::{byte_count, small};
use crate::sink::Sink;
use crate::source::Source;
use crate::temporary::Temporary;
use crate::view::{AxisView, View};
use blockwise_kernels::reduce::{Geometry, Reduction, Statistic, Walk};
use std::sync::Arc;

/// A stage, and the least bytes it needs.
pub(super) struct Drafted {
    pub(super) stage: Stage,
    pub(super) needed_bytes: u64,
    /// Of inputs, at a time.
    pub(super) held_bytes: u64,
    /// The functions whose results its tasks make for themselves.
    pub(super) made: Vec<CallKey>,
}

impl Drafted {
    pub(super) fn over_budget(&self, resources: &Resources) -> Error {
        let mut detail = format!(
            "its tasks hold {} of inputs and {} besides, and {} are taken throughout",
            human_bytes(self.held_bytes),
            human_bytes(self.stage.task_bytes),
            human_bytes(self.stage.fixed_bytes)
        );
        if let Some(remedy) = self.stage.work.remedy() {
            detail = format!("{detail}; {remedy}");
        }
        Error::OverBudget {
            operation: self.stage.name.clone(),
            detail,
            needed_bytes: self.needed_bytes,
            budget_bytes: resources.budget_bytes,
        }
    }
}

/// What parts of a stage read again.
pub(super) struct Repeated {
    pub(super) bytes: u64,
    /// The task axes along which it stands still.
    pub(super) still: Vec<usize>,
}

/// A stage in the making.
#[derive(Clone)]
pub(super) struct StageDraft<'a> {
    outputs: &'a Outputs,
    jobs: Vec<Member>,
    grids: Option<(ChunkGrid, ChunkGrid)>,
    opens: Vec<Arc<Temporary>>,
    replaced: Vec<Replaced>,
}

/// A read that is made anew, or of the array cut as the tasks want.
#[derive(Clone)]
struct Replaced {
    /// Its position.
    read: usize,
    source: Arc<dyn Source>,
    /// The source, if it is a temporary array.
    temporary: Option<Arc<Temporary>>,
}

/// Outputs of the stage, before they are programs.
#[derive(Clone)]
enum Member {
    Write { array: Array, sink: Arc<dyn Sink> },
    Reduce { axes: Vec<usize>, folds: Vec<FoldDraft> },
    Group { axis: usize, groups: Arc<Groups>, folds: Vec<FoldDraft> },
    Block { call: Arc<crate::array::BlockCall>, sinks: Vec<Arc<dyn Sink>> },
}

#[derive(Clone)]
struct FoldDraft {
    input: Array,
    reduction: Reduction,
    results: Vec<(Statistic, Arc<dyn Sink>)>,
}

impl FoldDraft {
    fn fold(&self) -> Fold {
        Fold { reduction: self.reduction, results: self.results.clone() }
    }
}

/// What folds reduce to, for people.
fn reducers(folds: &[FoldDraft]) -> String {
    let names = folds.iter().map(|fold| format!("{:?}", fold.reduction.reducer()).to_lowercase());
    names.collect::<Vec<_>>().join(", ")
}

/// An input in the making, with the pieces of reads that share it: read, piece.
pub(super) struct InputDraft {
    source: Arc<dyn Source>,
    temporary: Option<Arc<Temporary>>,
    pub(super) pieces: Vec<(usize, usize)>,
}

impl<'a> StageDraft<'a> {
    pub(super) const fn new(outputs: &'a Outputs) -> Self {
        Self { outputs, jobs: Vec::new(), grids: None, opens: Vec::new(), replaced: Vec::new() }
    }

    /// Adds a job whose tasks have the boxes of those before.
    pub(super) fn add(&mut self, job: &Job) -> Result<()> {
        let (tasks, commit) = job.grids();
        self.grids.get_or_insert_with(|| (tasks.clone(), commit.clone()));
        self.opens.extend(job.opens().iter().cloned());
        match job {
            Job::Write { array, sink, .. } => {
                self.jobs.push(Member::Write { array: array.clone(), sink: Arc::clone(sink) });
            }
            Job::Block { call, sinks, .. } => {
                self.jobs.push(Member::Block { call: Arc::clone(call), sinks: sinks.clone() });
            }
            Job::Reduce { array, sinks, .. } => {
                let Kind::Reduce(reduced) = &array.node().kind else {
                    return Err(Error::Internal { message: format!("{array:?} is no reduction") });
                };
                let statistic = reduced.what.statistic;
                let results: Vec<(Statistic, Arc<dyn Sink>)> =
                    sinks.iter().map(|sink| (statistic, Arc::clone(sink))).collect();
                self.add_fold(reduced, results);
            }
        }
        Ok(())
    }

    fn add_fold(&mut self, reduced: &crate::array::Reduced, results: Vec<(Statistic, Arc<dyn Sink>)>) {
        let over_same_axes = self.jobs.iter_mut().find_map(|job| match job {
            Member::Reduce { axes, folds } if reduced.groups.is_none() && *axes == reduced.axes => {
                Some(folds)
            }
            Member::Group { axis, groups, folds } if reduced.is_of(*axis, groups) => Some(folds),
            _ => None,
        });
        let reduction = match self.outputs.sums {
            Sums::Exact => reduced.reduction.exact(),
            Sums::Carried => reduced.reduction,
        };
        let fold = FoldDraft { input: reduced.input.clone(), reduction, results };
        match over_same_axes {
            Some(folds) => {
                let same = folds.iter_mut().find(|known| {
                    known.reduction == fold.reduction && std::ptr::eq(known.input.node(), fold.input.node())
                });
                match same {
                    Some(known) => known.results.extend(fold.results),
                    None => folds.push(fold),
                }
            }
            None => self.jobs.push(match (&reduced.groups, reduced.axes.as_slice()) {
                (Some(groups), [axis]) => {
                    Member::Group { axis: *axis, groups: Arc::clone(groups), folds: vec![fold] }
                }
                _ => Member::Reduce { axes: reduced.axes.clone(), folds: vec![fold] },
            }),
        }
    }

    /// Has read number `read` read `source` instead, which is as the tasks see it: `temporary`, if it is one.
    pub(super) fn replace(
        &mut self,
        read: usize,
        source: Arc<dyn Source>,
        temporary: Option<Arc<Temporary>>,
    ) {
        self.replaced.push(Replaced { read, source, temporary });
    }

    /// The stage, with `fixed_bytes` of the budget taken otherwise.
    pub(super) fn finish(&self, fixed_bytes: u64, resources: &Resources) -> Result<Drafted> {
        self.finish_in(None, fixed_bytes, resources)
    }

    /// The stage, if its tasks are carried out in `parts`, each by itself; the bytes are those of the widest part.
    pub(super) fn finish_in(
        &self,
        parts: Option<&ChunkGrid>,
        fixed_bytes: u64,
        resources: &Resources,
    ) -> Result<Drafted> {
        let Some((tasks, commit)) = self.grids.clone() else {
            return Err(Error::Internal { message: "a stage without outputs".to_owned() });
        };
        let (Reads { all: reads, makers }, outputs) = self.programs(&tasks)?;
        let inputs = share_inputs(&reads);
        let (mut leaves, mut operands) = (Vec::new(), Vec::new());
        let mut gathered_bytes = 0_u64;
        for (position, read) in reads.iter().enumerate() {
            let first = leaves.len();
            for (number, piece) in read.pieces.iter().enumerate() {
                let input = inputs.iter().position(|input| input.pieces.contains(&(position, number)));
                leaves.push(Leaf {
                    input: input.unwrap_or(0),
                    view: piece.view.clone(),
                    window: piece.window.clone(),
                    reach: read.reach.clone(),
                });
            }
            let direct = is_direct(read, &tasks);
            if !direct {
                gathered_bytes =
                    gathered_bytes.saturating_add(reached_bytes(&tasks, &read.reach, read.dtype.size()));
            }
            operands.push(match read.made {
                Some((maker, output)) => Operand::Made { maker, output },
                None => Operand::Read { leaves: (first..leaves.len()).collect(), dtype: read.dtype, direct },
            });
        }
        let (made, makers): (Vec<CallKey>, Vec<Maker>) = makers.into_iter().unzip();
        let visits = match parts {
            Some(parts) => Visits { tasks: &tasks, boxes: parts, apart: true },
            None => Visits { tasks: &tasks, boxes: &commit, apart: false },
        };
        let holdings = holdings(&inputs, &reads, visits);
        let held = |axes: &[usize]| {
            holdings.iter().fold(0_u64, |sum, (holding, item_bytes)| {
                sum.saturating_add(holding.held_elements(axes).saturating_mul(*item_bytes))
            })
        };
        let folds: Vec<Waiting> = outputs.iter().flat_map(|output| waiting(output, &tasks)).collect();
        // Reduced axes stay in order, so that few states of a tree wait at a time.
        let in_order = |axes: &[usize]| folds.iter().all(|fold| is_in_order(axes, &fold.axes));
        let (counts, in_batches) = (most_tasks(&tasks, parts), resources.engine.is_some());
        let states = |axes: &[usize]| {
            folds
                .iter()
                .fold(0_u64, |sum, fold| sum.saturating_add(fold.most_bytes(axes, &counts, in_batches)))
        };
        let rank = tasks.rank();
        let (sweep, _) = Sweep::least(rank, in_order, |axes| held(axes).saturating_add(states(axes)));
        let (held_bytes, state_bytes) = (held(sweep.axes()), states(sweep.axes()));
        let making = makers.iter().enumerate().map(|(n, maker)| maker_bytes(n, maker, &operands, &tasks));
        let task_bytes = outputs
            .iter()
            .map(|output| output_bytes(output, &operands, &tasks))
            .chain(making)
            .max()
            .unwrap_or(0)
            .saturating_add(gathered_bytes);
        let early: Vec<u64> = outputs.iter().filter_map(|output| early_bytes(output, &tasks)).collect();
        let in_turn = !early.is_empty();
        let task_bytes = early.into_iter().fold(0, u64::saturating_add).max(task_bytes);
        let inputs: Vec<StageInput> =
            inputs.into_iter().map(|input| StageInput::new(input.source, input.temporary)).collect();
        let read_bytes = |input: &StageInput| {
            let chunk = byte_count(&input.source.grid().largest_chunk(), input.source.dtype().size());
            (chunk.unwrap_or(u64::MAX), input.read_scratch)
        };
        let largest_input = inputs.iter().map(|input| read_bytes(input).0).max().unwrap_or(0);
        let largest_scratch = inputs.iter().map(|input| read_bytes(input).1).max().unwrap_or(0);
        let between_reads = inputs.iter().map(|input| input.source.held_bytes());
        let fixed_bytes = between_reads.fold(fixed_bytes.saturating_add(state_bytes), u64::saturating_add);
        let needed = |threads: u64| {
            fixed_bytes
                .saturating_add(held_bytes)
                .saturating_add(task_bytes.max(largest_scratch).saturating_mul(threads))
                .saturating_add(largest_input.saturating_mul(threads - 1))
        };
        let stage = Stage {
            name: self.name(&makers),
            inputs,
            leaves,
            tasks,
            commit,
            sweep,
            part: None,
            task_bytes,
            fixed_bytes,
            peak_bytes: needed(resources.threads.max(1) as u64),
            work: StageWork::Compute(Compute { operands, makers, outputs }),
            resumes: self.writes_alone(),
            in_turn,
            opens: self.opens.clone(),
            discards: Vec::new(),
        };
        Ok(Drafted { stage, needed_bytes: needed(1), held_bytes, made })
    }

    /// Whether the stage does nothing but write one array to a sink of the plan.
    fn writes_alone(&self) -> bool {
        matches!(self.jobs.as_slice(), [Member::Write { .. }]) && self.opens.is_empty()
    }

    fn name(&self, makers: &[Maker]) -> String {
        let of = |member: &Member| match member {
            Member::Write { sink, .. } => format!("write {}", sink.label()),
            Member::Reduce { axes, folds } => format!("{} over axes {axes:?}", reducers(folds)),
            Member::Group { axis, groups, folds } => {
                format!("{} of {} groups along axis {axis}", reducers(folds), groups.count())
            }
            Member::Block { call, .. } => call.function.name().to_owned(),
        };
        let making = makers.iter().map(|maker| maker.call.function.name().to_owned());
        making.chain(self.jobs.iter().map(of)).collect::<Vec<_>>().join("; ")
    }

    /// The programs of all outputs and what they read.
    fn programs(&self, tasks: &ChunkGrid) -> Result<(Reads, Vec<Output>)> {
        let (mut reads, shape) = (Reads::default(), tasks.shape());
        let mut outputs = Vec::with_capacity(self.jobs.len());
        for together in self.walked_together(tasks)? {
            outputs.push(self.reductions(&mut reads, &together)?);
        }
        for job in &self.jobs {
            outputs.push(match job {
                Member::Write { array, sink } => {
                    let mut expression = Expression::new(self.outputs, &mut reads, &[]);
                    let value = expression.add(array, array.dtype())?;
                    let (program, operands) = expression.finish(&[value])?;
                    Output::Written { program, operands, sinks: vec![Arc::clone(sink)] }
                }
                Member::Reduce { .. } => continue,
                Member::Group { axis, groups, folds } => self.grouped(&mut reads, *axis, groups, folds)?,
                Member::Block { call, sinks } => {
                    let inputs = call
                        .inputs
                        .iter()
                        .map(|input| Expression::block(self.outputs, &mut reads, input, &shape))
                        .collect::<Result<Vec<_>>>()?;
                    Output::Applied(Applied {
                        call: FunctionCall { function: Arc::clone(&call.function), inputs },
                        index_axes: call.index_axes.clone(),
                        sinks: sinks.clone(),
                        folded: call.folded.clone(),
                    })
                }
            });
        }
        for Replaced { read, source, temporary } in &self.replaced {
            if let Some(read) = reads.all.get_mut(*read) {
                let view = still_view(&read.reach, tasks.rank());
                let (source, temporary) = (Arc::clone(source), temporary.clone());
                read.pieces = vec![Piece { source, view, window: None, temporary }];
            }
        }
        // What serves any box serves those of the tasks.
        for read in &mut reads.all {
            if let [piece] = read.pieces.as_mut_slice()
                && piece.window.is_none()
                && piece.view.is_identity()
                && read.reach.is_empty()
                && piece.source.grid() != tasks
                && piece.source.grid().shape() == shape
                && let Some(cut) = recut_for(&piece.source, tasks)
            {
                piece.source = cut;
            }
        }
        Ok((reads, outputs))
    }

    /// The reductions whose tiles come in the same order: they take each tile one after another.
    fn walked_together(&self, tasks: &ChunkGrid) -> Result<Vec<Vec<&Member>>> {
        let chunk = small(&tasks.largest_chunk())?;
        let mut groups: Vec<(Option<Walk>, Vec<&Member>)> = Vec::new();
        for member in &self.jobs {
            let Member::Reduce { axes, folds } = member else { continue };
            let geometry = Geometry::new(&chunk, axes)?;
            let walk = folds.first().map(|fold| fold.reduction.walk(&geometry));
            match groups.iter_mut().find(|(known, _)| *known == walk) {
                Some((_, members)) => members.push(member),
                None => groups.push((walk, vec![member])),
            }
        }
        Ok(groups.into_iter().map(|(_, members)| members).collect())
    }

    fn reductions(&self, reads: &mut Reads, members: &[&Member]) -> Result<Output> {
        let mut expression = Expression::new(self.outputs, reads, &[]);
        let (mut values, mut parts) = (Vec::new(), Vec::new());
        for member in members {
            let Member::Reduce { axes, folds } = member else { continue };
            for fold in folds {
                values.push(expression.add(&fold.input, fold.reduction.tile_dtype())?);
            }
            parts.push(Reduced { axes: axes.clone(), folds: folds.iter().map(FoldDraft::fold).collect() });
        }
        let (program, operands) = expression.finish(&values)?;
        Ok(Output::Reduced(Reductions { program, operands, parts }))
    }

    fn grouped(
        &self,
        reads: &mut Reads,
        axis: usize,
        groups: &Arc<Groups>,
        folds: &[FoldDraft],
    ) -> Result<Output> {
        let mut expression = Expression::new(self.outputs, reads, &[]);
        let values: Vec<_> = folds
            .iter()
            .map(|fold| expression.add(&fold.input, fold.reduction.tile_dtype()))
            .collect::<Result<_>>()?;
        let (program, operands) = expression.finish(&values)?;
        let folds = folds.iter().map(FoldDraft::fold).collect();
        Ok(Output::Grouped(Grouped { program, operands, axis, groups: Arc::clone(groups), folds }))
    }

    /// What is read more than once when the tasks are carried out in parts. `None` if the stage is no single function of whole blocks with such reads.
    pub(super) fn repeated(&self, drafted: &Drafted) -> Result<Option<Vec<Repeated>>> {
        let [Member::Block { .. }] = self.jobs.as_slice() else { return Ok(None) };
        let (Reads { all: reads, .. }, _) = self.programs(&drafted.stage.tasks)?;
        let repeated = |read: &Read| {
            let axes = read.reach.iter().enumerate();
            let still = axes.filter(|(_, reach)| **reach == Reach::Still).map(|(axis, _)| axis).collect();
            let bytes = byte_count(&read.seen.shape(), read.dtype.size()).unwrap_or(u64::MAX);
            Repeated { bytes, still }
        };
        let repeated: Vec<Repeated> = reads.iter().map(repeated).collect();
        Ok(repeated.iter().any(|read| !read.still.is_empty()).then_some(repeated))
    }

    /// The task axes along which results become one, for a single function of whole blocks.
    pub(super) fn folded(&self) -> &[usize] {
        match self.jobs.as_slice() {
            [Member::Block { call, .. }] => call.folded.as_ref().map_or(&[], |(axes, _)| axes),
            _ => &[],
        }
    }

    /// The read, not replaced yet, whose chunks are held longest, and its position; `None` if all are as the tasks
    /// want them.
    pub(super) fn widest_input(&self, drafted: &Drafted) -> Result<Option<(Read, usize)>> {
        let (tasks, commit) = (&drafted.stage.tasks, &drafted.stage.commit);
        let (Reads { all: reads, .. }, _) = self.programs(tasks)?;
        let mut widest: Option<(u64, usize)> = None;
        for (position, read) in reads.iter().enumerate() {
            let replaced = self.replaced.iter().any(|known| known.read == position);
            if replaced || read.made.is_some() || *read.seen.grid() == seen_tasks(&read.reach, tasks)? {
                continue;
            }
            let axes = drafted.stage.sweep.axes();
            let visits = Visits { tasks, boxes: commit, apart: false };
            let bytes = holdings_of(read, visits).iter().fold(0, |sum: u64, (holding, item_bytes)| {
                sum.saturating_add(holding.held_elements(axes).saturating_mul(*item_bytes))
            });
            if widest.is_none_or(|(most, _)| bytes > most) {
                widest = Some((bytes, position));
            }
        }
        Ok(widest.and_then(|(_, position)| Some((reads.get(position)?.clone(), position))))
    }
}

/// The most tasks of any part along each axis.
fn most_tasks(tasks: &ChunkGrid, parts: Option<&ChunkGrid>) -> Vec<u64> {
    let Some(parts) = parts else { return tasks.counts() };
    let axis = |(tasks, parts): (&AxisGrid, &AxisGrid)| {
        let count = |n| {
            let range = tasks.chunks_in(parts.start(n)..parts.start(n + 1));
            range.end - range.start
        };
        (0..parts.count()).map(count).max().unwrap_or(0)
    };
    tasks.axes().iter().zip(parts.axes()).map(axis).collect()
}

/// Reads of one source through views that differ by less than a chunk share an input, and each chunk is read once.
/// Others are inputs of their own: holding chunks from one to the other would cost more than reading them again.
fn share_inputs(reads: &[Read]) -> Vec<InputDraft> {
    let mut inputs: Vec<InputDraft> = Vec::new();
    for (position, read) in reads.iter().enumerate() {
        for (number, piece) in read.pieces.iter().enumerate() {
            let near = |input: &&mut InputDraft| {
                let first = input.pieces.first().and_then(|(read, n)| reads.get(*read)?.pieces.get(*n));
                piece.window.is_none()
                    && first.is_some_and(|first| {
                        first.window.is_none()
                            && std::ptr::addr_eq(Arc::as_ptr(&first.source), Arc::as_ptr(&piece.source))
                            && are_near(&first.view, &piece.view, &piece.source.grid().largest_chunk())
                    })
            };
            match inputs.iter_mut().find(near) {
                Some(input) => input.pieces.push((position, number)),
                None => inputs.push(InputDraft {
                    source: Arc::clone(&piece.source),
                    temporary: piece.temporary.clone(),
                    pieces: vec![(position, number)],
                }),
            }
        }
    }
    inputs
}

fn are_near(a: &View, b: &View, chunk: &[u64]) -> bool {
    let axis = |((a, b), chunk): ((&AxisView, &AxisView), &u64)| match (a, b) {
        (AxisView::Fixed { at: a }, AxisView::Fixed { at: b }) => a == b,
        (
            AxisView::Along { axis: a, start: from, step },
            AxisView::Along { axis: b, start: to, step: other },
        ) => a == b && step == other && from.abs_diff(*to) <= *chunk,
        _ => false,
    };
    a.axes().iter().zip(b.axes()).zip(chunk).all(axis)
}

/// Whether every task finds the read in one chunk, in rows that are read forwards.
fn is_direct(read: &Read, tasks: &ChunkGrid) -> bool {
    let [piece] = read.pieces.as_slice() else { return false };
    let is_own = |reach: &Reach| matches!(reach, Reach::Still | Reach::Around(0, 0));
    if piece.window.is_some() || !read.reach.iter().all(is_own) {
        return false;
    }
    let one_chunk = tasks
        .axes()
        .iter()
        .enumerate()
        .all(|(axis, cuts)| seen_axis(&[read], axis, cuts.extent()).cuts.is_coarser_or_equal(cuts));
    let Some(last) = tasks.rank().checked_sub(1) else { return true };
    let below = piece.view.axes().iter().enumerate().find_map(|(below, view)| match *view {
        AxisView::Along { axis, step, .. } if axis == last => Some((below, step)),
        _ => None,
    });
    let rows = below.is_none_or(|(below, step)| below + 1 == piece.view.axes().len() && step == 1);
    one_chunk && rows
}

/// The boxes of a read that tasks on `tasks` own: an axis along which it stands still has one element.
pub(super) fn seen_tasks(reach: &[Reach], tasks: &ChunkGrid) -> Result<ChunkGrid> {
    let axis = |(axis, cuts): (usize, &AxisGrid)| match reach.get(axis) {
        Some(Reach::Still) => AxisGrid::regular(1, 1),
        _ => Ok(cuts.clone()),
    };
    ChunkGrid::from_axes(tasks.axes().iter().enumerate().map(axis).collect::<Result<_>>()?)
}

/// The view of an array that is cut as [`seen_tasks`].
fn still_view(reach: &[Reach], rank: usize) -> View {
    let axis = |axis| match reach.get(axis) {
        Some(Reach::Still) => AxisView::Fixed { at: 0 },
        _ => AxisView::Along { axis, start: 0, step: 1 },
    };
    View::new((0..rank).map(axis).collect())
}
