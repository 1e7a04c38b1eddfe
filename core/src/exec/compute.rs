//! A task of a computing stage: gather what it sees, evaluate programs over it, write, reduce or hand on.
//!
//! Invariants: operands that lie in one chunk are read where they lie, and those that a function makes are made once; everything
//! else that a task holds was counted by the planner. Called by the worker loop of [`crate::exec`] through [`super::task::Work`].

use super::fold::Tree;
use super::grouped::GroupRun;
use super::queue::Task;
use super::reduced::{ReducedRun, takes_bands};
use super::states::State;
use super::view::StageView;
use crate::block::{Block, BlockInfo};
use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::device::{Device, Outcome, Placed, place_output, placed_calls, prepare_calls};
use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
use crate::plan::{Applied, AppliedInput, Compute, FunctionCall, Operand, Output, Stage, place, seen};
use crate::region::{Region, small};
use crate::sink::Sink;
use blockwise_kernels::DType;
use blockwise_kernels::program::{Input, Program, Scratch};
use blockwise_kernels::strided::Layout;
use std::ops::Range;
use std::sync::Arc;

/// A computing stage under way.
pub(super) struct ComputeRun<'a> {
    compute: &'a Compute,
    tasks: &'a ChunkGrid,
    /// Of each output, in order.
    trees: Vec<Trees>,
    /// Those outputs that a device computes.
    placed: Vec<Option<Placed<'a>>>,
    /// Of each of [`Compute::makers`], the device that does it.
    makers: Vec<Option<&'a dyn Device>>,
}

/// What waits of an output.
enum Trees {
    /// States of each fold.
    Reduced(ReducedRun),
    /// States of groups.
    Grouped(GroupRun),
    /// Results of a function of whole blocks.
    Applied(Tree<Vec<Chunk>>),
}

/// An operand as one task has it.
enum Gathered<'t> {
    /// In an input chunk.
    There(&'t Chunk, Layout),
    /// Brought together, or made.
    Own(Chunk),
}

impl Gathered<'_> {
    fn input(&self) -> Input<'_> {
        match self {
            Self::There(chunk, layout) => Input::strided(chunk.bytes(), chunk.dtype(), layout.clone()),
            Self::Own(chunk) => Input::contiguous(chunk.bytes(), chunk.dtype()),
        }
    }
}

/// The operands of one task.
struct Operands<'t> {
    gathered: Vec<(Gathered<'t>, Region)>,
}

impl<'t> Operands<'t> {
    fn inputs(&self, wanted: &[usize]) -> Vec<Input<'_>> {
        wanted.iter().filter_map(|n| self.gathered.get(*n)).map(|(operand, _)| operand.input()).collect()
    }
}

impl<'a> ComputeRun<'a> {
    /// Begins `compute`, the work of `stage`; a device that computes some of it gets ready.
    pub(super) fn new(
        compute: &'a Compute,
        stage: &'a Stage,
        device: Option<&'a dyn Device>,
        threads: usize,
    ) -> Self {
        let tasks = &stage.tasks;
        let placed: Vec<Option<Placed<'a>>> =
            compute.outputs.iter().map(|output| place_output(stage, output, device?, threads).ok()).collect();
        if let Ok(shape) = small(&tasks.largest_chunk()) {
            for placed in placed.iter().flatten() {
                placed.jobs.iter().for_each(|job| placed.device.prepare(&job.demand(&shape)));
            }
        }
        let makers = placed_calls(stage, compute, device, threads);
        let applied = compute.outputs.iter().zip(&placed).filter_map(|(output, placed)| match output {
            Output::Applied(applied) => Some((&applied.call, placed.as_ref().map(|placed| placed.device))),
            _ => None,
        });
        let made = compute.makers.iter().map(|maker| &maker.call).zip(makers.iter().copied());
        prepare_calls(stage, applied.chain(made));
        let trees = compute.outputs.iter().map(|output| match output {
            Output::Reduced(reductions) => Trees::Reduced(ReducedRun::new(reductions)),
            Output::Grouped(grouped) => Trees::Grouped(GroupRun::new(grouped)),
            Output::Written { .. } | Output::Applied(_) => Trees::Applied(Tree::default()),
        });
        Self { compute, tasks, trees: trees.collect(), placed, makers }
    }

    /// Carries out `task`; the bytes its results took in storage.
    pub(super) fn run(
        &self,
        task: &Task,
        view: &StageView<'_>,
        scratch: &mut Scratch,
        cx: &TaskContext<'_>,
    ) -> Result<u64> {
        let operands = self.gather(task, view, scratch, cx)?;
        let mut stored_bytes = 0;
        for ((output, trees), placed) in self.compute.outputs.iter().zip(&self.trees).zip(&self.placed) {
            cx.check_cancelled()?;
            stored_bytes += match (output, trees) {
                (Output::Written { program, operands: wanted, sinks }, _) => {
                    let inputs = operands.inputs(wanted);
                    let shape = small(task.region.shape())?;
                    let dtypes: Vec<_> = program.output_dtypes().collect();
                    let mut chunks = dtypes
                        .iter()
                        .map(|dtype| Chunk::uninit(*dtype, task.region.shape(), cx.pool()))
                        .collect::<Result<Vec<_>>>()?;
                    let mut outs: Vec<&mut [u8]> = chunks.iter_mut().map(Chunk::bytes_mut).collect();
                    let is_done = match placed {
                        Some(placed) => placed.compute(&inputs, &shape, &mut outs, cx)?,
                        None => false,
                    };
                    if !is_done {
                        program.evaluate(&inputs, &shape, &mut outs, scratch)?;
                    }
                    write_all(sinks, &task.index, &chunks, cx)?
                }
                (Output::Reduced(reductions), Trees::Reduced(run)) => {
                    let inputs = operands.inputs(&reductions.operands);
                    let shape = small(task.region.shape())?;
                    let device = placed.as_ref().map(|placed| (placed, inputs.as_slice()));
                    run.run(reductions, self.tasks, task, scratch, cx, device, |tiles| {
                        tiles.take(&inputs, &shape, 0)
                    })?
                }
                (Output::Grouped(grouped), Trees::Grouped(run)) => {
                    let inputs = operands.inputs(&grouped.operands);
                    run.run(grouped, self.tasks, task, &inputs, scratch, cx)?
                }
                (Output::Applied(applied), Trees::Applied(tree)) => {
                    let device = placed.as_ref().map(|placed| placed.device);
                    self.apply(applied, tree, task, &operands, device, scratch, cx)?
                }
                _ => return Err(Error::Internal { message: "an output without its trees".to_owned() }),
            };
        }
        Ok(stored_bytes)
    }

    /// Whether `task` can be carried out on its one chunk in bands of whole positions of the first axis that has several.
    pub(super) fn takes_bands(&self, task: &Task) -> bool {
        match self.compute.outputs.as_slice() {
            [Output::Reduced(_)] if self.placed.iter().any(Option::is_some) => false,
            [Output::Reduced(reductions)] => takes_bands(reductions, task.region.shape()).unwrap_or(false),
            _ => false,
        }
    }

    /// Carries out `task`, as far as [`ComputeRun::takes_bands`] says, on `bands`: parts of its chunk in ascending order. The bytes its
    /// results took in storage.
    pub(super) fn run_in_bands(
        &self,
        task: &Task,
        bands: impl Iterator<Item = Result<Chunk>>,
        scratch: &mut Scratch,
        cx: &TaskContext<'_>,
    ) -> Result<u64> {
        let ([Output::Reduced(reductions)], [Trees::Reduced(run)]) =
            (self.compute.outputs.as_slice(), self.trees.as_slice())
        else {
            return Err(Error::Internal { message: "bands of what is not reduced".to_owned() });
        };
        run.run(reductions, self.tasks, task, scratch, cx, None, |tiles| {
            let mut first = 0;
            for band in bands {
                let band = band?;
                let (shape, input) = (small(band.shape())?, Input::contiguous(band.bytes(), band.dtype()));
                tiles.take(&vec![input; reductions.operands.len()], &shape, first)?;
                first += shape.iter().product::<usize>();
            }
            let is_whole = first as u64 == task.region.len();
            if is_whole { Ok(()) } else { Err(Error::Internal { message: "bands are missing".to_owned() }) }
        })
    }

    /// Takes out the states that wait for those of tasks elsewhere.
    pub(super) fn take_waiting(&self) -> Result<Vec<State>> {
        let mut states = Vec::new();
        for (output, trees) in self.trees.iter().enumerate() {
            match trees {
                Trees::Reduced(run) => {
                    for (fold, waiting) in run.take_waiting().into_iter().enumerate() {
                        for (place, buffer) in waiting {
                            let chunk = Chunk::new(DType::U8, vec![buffer.len() as u64], buffer)?;
                            states.push(State { output, fold, place, parts: vec![chunk] });
                        }
                    }
                }
                Trees::Applied(tree) => {
                    states.extend(tree.take_waiting().into_iter().map(|(place, parts)| State {
                        output,
                        fold: 0,
                        place,
                        parts,
                    }));
                }
                Trees::Grouped(_) => {}
            }
        }
        Ok(states)
    }

    /// Adds a state that was taken out elsewhere; the bytes that complete results took in storage.
    pub(super) fn add(&self, state: State, cx: &TaskContext<'_>) -> Result<u64> {
        let State { output, fold, place, mut parts } = state;
        let odd = || Error::Internal { message: format!("a state of output {output} that has none") };
        match (self.compute.outputs.get(output), self.trees.get(output)) {
            (Some(Output::Reduced(reductions)), Some(Trees::Reduced(run))) => {
                let buffer = parts.pop().ok_or_else(odd)?.into_buffer();
                run.add_at(reductions, self.tasks, fold, place, buffer, cx)
            }
            (Some(Output::Applied(applied)), Some(Trees::Applied(tree))) => {
                let (Some((axes, fold)), Some(first)) = (&applied.folded, applied.sinks.first()) else {
                    return Err(odd());
                };
                let (_, count) = crate::plan::place(axes, &vec![0; self.tasks.rank()], &self.tasks.counts());
                let combine = |into: &mut Vec<Chunk>, next: &Vec<Chunk>| fold.combine(into, next);
                match tree.add_at(place, count, parts, combine)? {
                    None => Ok(0),
                    Some(whole) => {
                        let index = first.grid().index_at(place.0).ok_or_else(odd)?;
                        write_all(&applied.sinks, &index, &whole, cx)
                    }
                }
            }
            _ => Err(odd()),
        }
    }

    /// Checks after the last task that every reduction has come to its end.
    pub(super) fn is_complete(&self) -> bool {
        self.trees.iter().all(|trees| match trees {
            Trees::Reduced(run) => run.is_complete(),
            Trees::Grouped(run) => run.is_complete(),
            Trees::Applied(tree) => tree.is_empty(),
        })
    }

    fn gather<'t>(
        &self,
        task: &'t Task,
        view: &StageView<'_>,
        scratch: &mut Scratch,
        cx: &TaskContext<'_>,
    ) -> Result<Operands<'t>> {
        let shape = self.tasks.shape();
        let mut operands = Operands { gathered: Vec::with_capacity(self.compute.operands.len()) };
        // What makers gave and is no operand yet.
        let mut made: Vec<Option<Vec<Option<Chunk>>>> = self.compute.makers.iter().map(|_| None).collect();
        for operand in &self.compute.operands {
            let found = match operand {
                Operand::Read { leaves, dtype, direct } => {
                    let seen = view.seen(leaves, &task.region, &shape)?;
                    let there = match leaves.as_slice() {
                        [leaf] if *direct => view.place(*leaf, task, &seen)?,
                        _ => None,
                    };
                    let found = match there {
                        Some((chunk, layout)) => Gathered::There(chunk, layout),
                        None => Gathered::Own(view.gather(leaves, task, &seen, *dtype, cx)?),
                    };
                    (found, seen)
                }
                Operand::Made { maker, output } => {
                    let device = self.makers.get(*maker).copied().flatten();
                    let (Some(maker), Some(results)) =
                        (self.compute.makers.get(*maker), made.get_mut(*maker))
                    else {
                        return Err(no_maker());
                    };
                    if results.is_none() {
                        let chunk = |dtype: &DType| Chunk::uninit(*dtype, task.region.shape(), cx.pool());
                        let mut chunks = maker.dtypes.iter().map(chunk).collect::<Result<Vec<_>>>()?;
                        self.call(&maker.call, task, &operands, &mut chunks, device, scratch, cx)?;
                        *results = Some(chunks.into_iter().map(Some).collect());
                    }
                    let result = results.as_mut().and_then(|results| results.get_mut(*output)?.take());
                    (Gathered::Own(result.ok_or_else(no_maker)?), task.region.clone())
                }
            };
            operands.gathered.push(found);
        }
        Ok(operands)
    }

    /// Calls a function with the blocks that `task` has for it, or has a device do what it does.
    #[expect(clippy::too_many_arguments, reason = "a function, what it is given, and where it runs")]
    fn call(
        &self,
        call: &FunctionCall,
        task: &Task,
        operands: &Operands<'_>,
        outputs: &mut [Chunk],
        device: Option<&dyn Device>,
        scratch: &mut Scratch,
        cx: &TaskContext<'_>,
    ) -> Result<()> {
        let mut own: Vec<Option<Chunk>> = Vec::with_capacity(call.inputs.len());
        let shape = self.tasks.shape();
        let ranges: Vec<Range<u64>> = task.region.ranges().collect();
        let seen_region = |input: &AppliedInput| Region::from_ranges(&seen(&input.reach, &ranges, &shape));
        let regions = call.inputs.iter().map(seen_region).collect::<Result<Vec<_>>>()?;
        for (AppliedInput { program, operands: wanted, .. }, region) in call.inputs.iter().zip(&regions) {
            own.push(match as_it_is(program, wanted, operands) {
                Some(_) => None,
                None => Some(evaluated(program, &operands.inputs(wanted), region, scratch, cx)?),
            });
        }
        let mut blocks = Vec::with_capacity(own.len());
        for ((input, own), region) in call.inputs.iter().zip(&own).zip(&regions) {
            let own = own.as_ref().map(|chunk| (chunk.bytes(), chunk.dtype()));
            let found = own.or_else(|| as_it_is(&input.program, &input.operands, operands));
            let (bytes, dtype) =
                found.ok_or_else(|| Error::Internal { message: "a block is gone".to_owned() })?;
            blocks.push(Block { bytes, dtype, region });
        }
        let info = BlockInfo { index: &task.index, region: &task.region, shape: &shape };
        if let (Some(device), [block], [output]) = (device, blocks.as_slice(), &mut *outputs)
            && let Some(demand) = call.function.filter(&info, &blocks)?
            && device.compute_filter(&demand, block.bytes, output.bytes_mut(), cx)? == Outcome::Done
        {
            return Ok(());
        }
        call.function.run(&info, &blocks, outputs, cx)
    }

    #[expect(clippy::too_many_arguments, reason = "an output, its task, and where it is computed")]
    fn apply(
        &self,
        applied: &Applied,
        tree: &Tree<Vec<Chunk>>,
        task: &Task,
        operands: &Operands<'_>,
        device: Option<&dyn Device>,
        scratch: &mut Scratch,
        cx: &TaskContext<'_>,
    ) -> Result<u64> {
        let index: Vec<u64> = applied
            .index_axes
            .iter()
            .map(|axis| axis.and_then(|axis| task.index.get(axis)).copied().unwrap_or(0))
            .collect();
        let mut outputs = applied
            .sinks
            .iter()
            .map(|sink| Chunk::uninit(sink.dtype(), sink.grid().region(&index)?.shape(), cx.pool()))
            .collect::<Result<Vec<_>>>()?;
        self.call(&applied.call, task, operands, &mut outputs, device, scratch, cx)?;
        if let (Some((axes, fold)), Some(first)) = (&applied.folded, applied.sinks.first()) {
            let (number, count) = place(axes, &task.index, &self.tasks.counts());
            let combine = |into: &mut Vec<Chunk>, next: &Vec<Chunk>| fold.combine(into, next);
            let whole = tree.add(first.grid().linear(&index), number, count, outputs, combine)?;
            let Some(whole) = whole else { return Ok(0) };
            outputs = whole;
        }
        write_all(&applied.sinks, &index, &outputs, cx)
    }
}

fn no_maker() -> Error {
    Error::Internal { message: "an operand that no function makes".to_owned() }
}

/// The operand's bytes and dtype, if it is all the program gives and lies in one run.
fn as_it_is<'t>(
    program: &Program,
    wanted: &[usize],
    operands: &'t Operands<'_>,
) -> Option<(&'t [u8], DType)> {
    let ([only], true) = (wanted, program.is_identity()) else { return None };
    let (operand, region) = operands.gathered.get(*only)?;
    match operand {
        Gathered::Own(chunk) => Some((chunk.bytes(), chunk.dtype())),
        Gathered::There(chunk, layout) => {
            let shape = small(region.shape()).ok()?;
            let whole = Layout::c_order(&shape).ok()?;
            let strides = layout.strides.iter().zip(&whole.strides).zip(&shape);
            if !strides.into_iter().all(|((own, whole), length)| own == whole || *length == 1) {
                return None;
            }
            let item_bytes = chunk.dtype().size();
            let start = layout.offset.checked_mul(item_bytes)?;
            let len = shape.iter().try_fold(item_bytes, |len, length| len.checked_mul(*length))?;
            Some((chunk.bytes().get(start..start.checked_add(len)?)?, chunk.dtype()))
        }
    }
}

fn evaluated(
    program: &Program,
    inputs: &[Input<'_>],
    region: &Region,
    scratch: &mut Scratch,
    cx: &TaskContext<'_>,
) -> Result<Chunk> {
    let dtype = program.output_dtypes().next();
    let dtype = dtype.ok_or_else(|| Error::Internal { message: "a program without outputs".to_owned() })?;
    let mut chunk = Chunk::uninit(dtype, region.shape(), cx.pool())?;
    program.evaluate(inputs, &small(region.shape())?, &mut [chunk.bytes_mut()], scratch)?;
    Ok(chunk)
}

fn write_all(sinks: &[Arc<dyn Sink>], index: &[u64], chunks: &[Chunk], cx: &TaskContext<'_>) -> Result<u64> {
    let mut stored_bytes = 0;
    for (sink, chunk) in sinks.iter().zip(chunks) {
        stored_bytes += sink.write(index, chunk, cx)?;
    }
    Ok(stored_bytes)
}
