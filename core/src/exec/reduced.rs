//! Reductions of a running stage: the state of a task's elements, taken tile by tile, and those of all tasks combined.
//!
//! Invariants: several reductions take each tile together, while it is in the cache; a chunk that is taken band by band gives the
//! same bits as the whole; states are combined in an order that depends on the task grid alone ([`super::fold`]). Called by
//! the tasks of [`super::compute`].

use super::fold::{Place, Tree};
use super::queue::Task;
use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::device::Placed;
use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
use crate::plan::{Fold, Reductions};
use crate::region::small;
use blockwise_kernels::Buffer;
use blockwise_kernels::program::{Input, Scratch};
use blockwise_kernels::reduce::{Geometry, Pass, Reduction, Walk};

/// The states of all folds of an output.
pub(super) struct ReducedRun {
    trees: Vec<Tree<Buffer>>,
}

/// The folds of one task under way.
pub(super) struct Tiles<'t> {
    reductions: &'t Reductions,
    passes: Vec<(Reduction, &'t Geometry, Pass<'t>)>,
    scratch: &'t mut Scratch,
}

impl Tiles<'_> {
    /// Takes the elements from the flat index `first` of the task on, of which `inputs` of `shape` are the operands: the whole
    /// task's, or a part that [`takes_bands`] allows.
    pub(super) fn take(&mut self, inputs: &[Input<'_>], shape: &[usize], first: usize) -> Result<()> {
        let count = shape.iter().product();
        let walks = self.passes.iter().map(|(reduction, geometry, _)| {
            let walk = reduction.walk_part(geometry, first, count);
            walk.ok_or_else(|| Error::Internal { message: "a part of a chunk with other bits".to_owned() })
        });
        let walks = walks.collect::<Result<Vec<Walk>>>()?;
        for (number, walk) in walks.iter().enumerate() {
            if walks.iter().take(number).any(|earlier| earlier == walk) {
                continue;
            }
            let (passes, scratch) = (&mut self.passes, &mut *self.scratch);
            self.reductions.program.for_each_tile(inputs, shape, walk.ranges(), scratch, |at, tiles| {
                for (((_, _, pass), own), tile) in passes.iter_mut().zip(&walks).zip(tiles) {
                    if own == walk {
                        pass.tile(first + at, tile);
                    }
                }
            })?;
        }
        Ok(())
    }
}

impl ReducedRun {
    pub(super) fn new(reductions: &Reductions) -> Self {
        Self { trees: reductions.folds().map(|_| Tree::default()).collect() }
    }

    /// Whether nothing waits any more.
    pub(super) fn is_complete(&self) -> bool {
        self.trees.iter().all(Tree::is_empty)
    }

    /// Reduces the elements of `task`: a device those of its inputs, or all of which `feed` hands over. The bytes that complete results
    /// took in storage.
    #[expect(clippy::too_many_arguments, reason = "who reduces what, and for whom")]
    pub(super) fn run(
        &self,
        reductions: &Reductions,
        tasks: &ChunkGrid,
        task: &Task,
        scratch: &mut Scratch,
        cx: &TaskContext<'_>,
        device: Option<(&Placed<'_>, &[Input<'_>])>,
        feed: impl FnOnce(&mut Tiles<'_>) -> Result<()>,
    ) -> Result<u64> {
        let shape = small(task.region.shape())?;
        let (origin, full) = (small(task.region.origin())?, small(&tasks.shape())?);
        let (mut geometries, mut states) = (Vec::new(), Vec::new());
        for part in &reductions.parts {
            let geometry = Geometry::new(&shape, &part.axes)?.placed(&shape, &part.axes, &origin, &full)?;
            for fold in &part.folds {
                states.push(cx.pool().take(fold.reduction.state_bytes(geometry.cells())?));
                geometries.push(geometry.clone());
            }
        }
        let is_done = match device {
            Some((placed, inputs)) => {
                let mut states: Vec<&mut [u8]> = states.iter_mut().map(|state| &mut state[..]).collect();
                placed.compute(inputs, &shape, &mut states, cx)?
            }
            None => false,
        };
        if !is_done {
            let passes =
                reductions.folds().zip(&geometries).zip(&mut states).map(|((fold, geometry), state)| {
                    Ok((fold.reduction, geometry, fold.reduction.begin(geometry, state)?))
                });
            let mut tiles = Tiles { reductions, passes: passes.collect::<Result<_>>()?, scratch };
            feed(&mut tiles)?;
            tiles.passes.into_iter().for_each(|(_, _, pass)| pass.end());
        }

        let mut stored_bytes = 0;
        let mut complete = self.trees.iter().zip(states);
        for part in &reductions.parts {
            let kept = part.kept(&task.index);
            let (number, count) = part.place(&task.index, &tasks.counts());
            for (fold, (tree, state)) in part.folds.iter().zip(&mut complete) {
                let Some((_, first)) = fold.results.first() else { continue };
                let result = first.grid().linear(&kept);
                let combine = |into: &mut Buffer, next: &Buffer| Ok(fold.reduction.combine(into, next)?);
                if let Some(state) = tree.add(result, number, count, state, combine)? {
                    stored_bytes += finish(fold, &kept, &state, cx)?;
                }
            }
        }
        Ok(stored_bytes)
    }

    /// Takes out the states that wait, fold by fold: those whose neighbours other processes have.
    pub(super) fn take_waiting(&self) -> Vec<Vec<(Place, Buffer)>> {
        self.trees.iter().map(Tree::take_waiting).collect()
    }

    /// Adds the state at `place` of fold `number`, which was taken out elsewhere; the bytes that a complete result took in storage.
    pub(super) fn add_at(
        &self,
        reductions: &Reductions,
        tasks: &ChunkGrid,
        number: usize,
        place: Place,
        state: Buffer,
        cx: &TaskContext<'_>,
    ) -> Result<u64> {
        let folds = reductions.parts.iter().flat_map(|part| part.folds.iter().map(move |fold| (part, fold)));
        let missing = || Error::Internal { message: format!("no fold {number} for a state") };
        let ((part, fold), tree) = folds.zip(&self.trees).nth(number).ok_or_else(missing)?;
        let Some((_, first)) = fold.results.first() else { return Ok(0) };
        let (_, count) = part.place(&vec![0; tasks.rank()], &tasks.counts());
        let combine = |into: &mut Buffer, next: &Buffer| Ok(fold.reduction.combine(into, next)?);
        match tree.add_at(place, count, state, combine)? {
            None => Ok(0),
            Some(state) => {
                let kept = first.grid().index_at(place.0).ok_or_else(missing)?;
                finish(fold, &kept, &state, cx)
            }
        }
    }
}

/// Writes what the whole state of the result chunk `kept` gives; the bytes that took.
fn finish(fold: &Fold, kept: &[u64], state: &Buffer, cx: &TaskContext<'_>) -> Result<u64> {
    let mut stored_bytes = 0;
    for (statistic, sink) in &fold.results {
        let region = sink.grid().region(kept)?;
        let mut chunk = Chunk::uninit(sink.dtype(), region.shape(), cx.pool())?;
        fold.reduction.finish(state, *statistic, chunk.bytes_mut())?;
        stored_bytes += sink.write(kept, &chunk, cx)?;
    }
    Ok(stored_bytes)
}

/// Whether the elements of a task of `shape` may come in parts of whole positions of its first axis that has several.
pub(super) fn takes_bands(reductions: &Reductions, shape: &[u64]) -> Result<bool> {
    let shape = small(shape)?;
    let axis = shape.iter().position(|length| *length > 1).unwrap_or(0);
    let row: usize = shape.iter().skip(axis + 1).product();
    for part in &reductions.parts {
        let geometry = Geometry::new(&shape, &part.axes)?;
        if part.folds.iter().any(|fold| fold.reduction.walk_part(&geometry, 0, row).is_none()) {
            return Ok(false);
        }
    }
    Ok(true)
}
