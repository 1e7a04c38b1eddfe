//! A task of a computing stage: gather what it sees, evaluate programs over it, write, reduce or hand on.
//!
//! Invariants: operands that lie in one chunk are read where they lie; everything else that a task holds was counted
//! by the planner. Called by the worker loop of [`crate::exec`] through [`super::task::Work`].

use super::fold::Tree;
use super::grouped::GroupRun;
use super::queue::Task;
use super::view::StageView;
use crate::block::{Block, BlockInfo};
use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
use crate::plan::{Applied, AppliedInput, Compute, Output, Reductions, place, seen};
use crate::region::{Region, small};
use crate::sink::Sink;
use blockwise_kernels::program::{Input, Program, Scratch};
use blockwise_kernels::reduce::{Geometry, Walk};
use blockwise_kernels::strided::Layout;
use blockwise_kernels::{Buffer, DType};
use std::ops::Range;
use std::sync::Arc;

/// A computing stage under way.
pub(super) struct ComputeRun<'a> {
    compute: &'a Compute,
    tasks: &'a ChunkGrid,
    /// Of each output, in order.
    trees: Vec<Trees>,
}

/// What waits of an output.
enum Trees {
    /// States of each fold.
    Reduced(Vec<Tree<Buffer>>),
    /// States of groups.
    Grouped(GroupRun),
    /// Results of a function of whole blocks.
    Applied(Tree<Vec<Chunk>>),
}

/// An operand as one task has it.
enum Gathered<'t> {
    /// In an input chunk.
    There(&'t Chunk, Layout),
    /// Brought together.
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

/// The operands of one task; each is gathered when it is first asked for.
struct Operands<'t> {
    gathered: Vec<(Gathered<'t>, Region)>,
}

impl<'t> Operands<'t> {
    fn inputs(&self, wanted: &[usize]) -> Vec<Input<'_>> {
        wanted.iter().filter_map(|n| self.gathered.get(*n)).map(|(operand, _)| operand.input()).collect()
    }
}

impl<'a> ComputeRun<'a> {
    pub(super) fn new(compute: &'a Compute, tasks: &'a ChunkGrid) -> Self {
        let trees = compute.outputs.iter().map(|output| match output {
            Output::Reduced(reductions) => {
                Trees::Reduced(reductions.folds().map(|_| Tree::default()).collect())
            }
            Output::Grouped(grouped) => Trees::Grouped(GroupRun::new(grouped)),
            Output::Written { .. } | Output::Applied(_) => Trees::Applied(Tree::default()),
        });
        Self { compute, tasks, trees: trees.collect() }
    }

    /// Carries out `task`; the bytes its results took in storage.
    pub(super) fn run(
        &self,
        task: &Task,
        view: &StageView<'_>,
        scratch: &mut Scratch,
        cx: &TaskContext<'_>,
    ) -> Result<u64> {
        let operands = self.gather(task, view, cx)?;
        let mut stored_bytes = 0;
        for (output, trees) in self.compute.outputs.iter().zip(&self.trees) {
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
                    program.evaluate(&inputs, &shape, &mut outs, scratch)?;
                    write_all(sinks, &task.index, &chunks, cx)?
                }
                (Output::Reduced(reductions), Trees::Reduced(trees)) => {
                    self.reduce(reductions, trees, task, &operands, scratch, cx)?
                }
                (Output::Grouped(grouped), Trees::Grouped(run)) => {
                    let inputs = operands.inputs(&grouped.operands);
                    run.run(grouped, self.tasks, task, &inputs, scratch, cx)?
                }
                (Output::Applied(applied), Trees::Applied(tree)) => {
                    self.apply(applied, tree, task, &operands, scratch, cx)?
                }
                _ => return Err(Error::Internal { message: "an output without its trees".to_owned() }),
            };
        }
        Ok(stored_bytes)
    }

    /// Checks after the last task that every reduction has come to its end.
    pub(super) fn is_complete(&self) -> bool {
        self.trees.iter().all(|trees| match trees {
            Trees::Reduced(trees) => trees.iter().all(Tree::is_empty),
            Trees::Grouped(run) => run.is_complete(),
            Trees::Applied(tree) => tree.is_empty(),
        })
    }

    fn gather<'t>(&self, task: &'t Task, view: &StageView<'_>, cx: &TaskContext<'_>) -> Result<Operands<'t>> {
        let shape = self.tasks.shape();
        let mut gathered = Vec::with_capacity(self.compute.operands.len());
        for operand in &self.compute.operands {
            let seen = view.seen(&operand.leaves, &task.region, &shape)?;
            let found = match operand.leaves.as_slice() {
                [leaf] if operand.direct => view.place(*leaf, task, &seen)?,
                _ => None,
            };
            let found = match found {
                Some((chunk, layout)) => Gathered::There(chunk, layout),
                None => Gathered::Own(view.gather(&operand.leaves, task, &seen, operand.dtype, cx)?),
            };
            gathered.push((found, seen));
        }
        Ok(Operands { gathered })
    }

    fn reduce(
        &self,
        reductions: &Reductions,
        trees: &[Tree<Buffer>],
        task: &Task,
        operands: &Operands<'_>,
        scratch: &mut Scratch,
        cx: &TaskContext<'_>,
    ) -> Result<u64> {
        let shape = small(task.region.shape())?;
        let (origin, full) = (small(task.region.origin())?, small(&self.tasks.shape())?);
        let (mut geometries, mut states) = (Vec::new(), Vec::new());
        for part in &reductions.parts {
            let geometry = Geometry::new(&shape, &part.axes)?.placed(&shape, &part.axes, &origin, &full)?;
            for fold in &part.folds {
                states.push(cx.pool().take(fold.reduction.state_bytes(geometry.cells())?));
                geometries.push(geometry.clone());
            }
        }
        let passes = reductions.folds().zip(&geometries).zip(&mut states).map(|((fold, geometry), state)| {
            Ok((fold.reduction.walk(geometry), fold.reduction.begin(geometry, state)?))
        });
        let mut passes = passes.collect::<Result<Vec<_>>>()?;
        let mut walks: Vec<Walk> = Vec::new();
        for (walk, _) in &passes {
            if !walks.contains(walk) {
                walks.push(*walk);
            }
        }
        let inputs = operands.inputs(&reductions.operands);
        for walk in walks {
            reductions.program.for_each_tile(&inputs, &shape, walk.ranges(), scratch, |first, tiles| {
                for ((own, pass), tile) in passes.iter_mut().zip(tiles) {
                    if *own == walk {
                        pass.tile(first, tile);
                    }
                }
            })?;
        }
        passes.into_iter().for_each(|(_, pass)| pass.end());

        let mut stored_bytes = 0;
        let mut complete = trees.iter().zip(states);
        for part in &reductions.parts {
            let kept = part.kept(&task.index);
            let (number, count) = part.place(&task.index, &self.tasks.counts());
            for (fold, (tree, state)) in part.folds.iter().zip(&mut complete) {
                let Some((_, first)) = fold.results.first() else { continue };
                let result = first.grid().linear(&kept);
                let combine = |into: &mut Buffer, next: &Buffer| Ok(fold.reduction.combine(into, next)?);
                let Some(state) = tree.add(result, number, count, state, combine)? else { continue };
                for (statistic, sink) in &fold.results {
                    let region = sink.grid().region(&kept)?;
                    let mut chunk = Chunk::uninit(sink.dtype(), region.shape(), cx.pool())?;
                    fold.reduction.finish(&state, *statistic, chunk.bytes_mut())?;
                    stored_bytes += sink.write(&kept, &chunk, cx)?;
                }
            }
        }
        Ok(stored_bytes)
    }

    fn apply(
        &self,
        applied: &Applied,
        tree: &Tree<Vec<Chunk>>,
        task: &Task,
        operands: &Operands<'_>,
        scratch: &mut Scratch,
        cx: &TaskContext<'_>,
    ) -> Result<u64> {
        let mut own: Vec<Option<Chunk>> = Vec::with_capacity(applied.inputs.len());
        let shape = self.tasks.shape();
        let ranges: Vec<Range<u64>> = task.region.ranges().collect();
        let seen_region = |input: &AppliedInput| Region::from_ranges(&seen(&input.reach, &ranges, &shape));
        let regions = applied.inputs.iter().map(seen_region).collect::<Result<Vec<_>>>()?;
        for (AppliedInput { program, operands: wanted, .. }, region) in applied.inputs.iter().zip(&regions) {
            own.push(match as_it_is(program, wanted, operands) {
                Some(_) => None,
                None => Some(evaluated(program, &operands.inputs(wanted), region, scratch, cx)?),
            });
        }
        let mut blocks = Vec::with_capacity(own.len());
        for ((input, own), region) in applied.inputs.iter().zip(&own).zip(&regions) {
            let own = own.as_ref().map(|chunk| (chunk.bytes(), chunk.dtype()));
            let found = own.or_else(|| as_it_is(&input.program, &input.operands, operands));
            let (bytes, dtype) =
                found.ok_or_else(|| Error::Internal { message: "a block is gone".to_owned() })?;
            blocks.push(Block { bytes, dtype, region });
        }
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
        let info = BlockInfo { index: &task.index, region: &task.region, shape: &shape };
        applied.function.run(&info, &blocks, &mut outputs, cx)?;
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
