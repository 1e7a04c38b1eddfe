//! Reductions of groups: a task adds the rows that it holds of each group to a state, and hands these states on.
//!
//! The elements of a task are rows of those behind each position of the axis; a row belongs to the group of its position, and
//! the rows of a group that a task holds are reduced as an array of their own. Invariants: every row is evaluated once,
//! in an order that the task's box alone decides; states of a group are added in the order of tasks. Called by the tasks
//! of [`super::compute`].

use super::chain::Chains;
use super::queue::Task;
use crate::array::LEFT_OUT;
use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
use crate::plan::{Fold, Grouped};
use crate::region::small;
use crate::sink::Sink;
use crate::sync::Mutex;
use blockwise_kernels::program::{Input, Scratch, TILE_ELEMENTS};
use blockwise_kernels::reduce::{Geometry, Pass};
use blockwise_kernels::{Buffer, DType};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

/// Reductions of groups under way.
pub(super) struct GroupRun {
    /// Of each fold.
    folds: Vec<FoldRun>,
}

#[derive(Default)]
struct FoldRun {
    chains: Chains<Buffer>,
    /// Chunks of results of which some groups have come, one for each statistic, and how many groups are to come.
    filled: Mutex<HashMap<u64, (Vec<Chunk>, u64)>>,
}

/// The groups that a task holds some of.
struct Held {
    /// Number of each, and its rows.
    groups: Vec<(u32, usize)>,
    /// Of each row the position in `groups`, and its number among the group's rows; `None`: in no group.
    rows: Vec<Option<(usize, usize)>>,
}

impl Held {
    fn new(codes: &[u32]) -> Self {
        let mut known: HashMap<u32, usize> = HashMap::new();
        let mut groups: Vec<(u32, usize)> = Vec::new();
        let mut row = |code: &u32| {
            if *code == LEFT_OUT {
                return None;
            }
            let at = *known.entry(*code).or_insert_with(|| {
                groups.push((*code, 0));
                groups.len() - 1
            });
            let (_, count) = groups.get_mut(at)?;
            *count += 1;
            Some((at, *count - 1))
        };
        let rows = codes.iter().map(&mut row).collect();
        Self { groups, rows }
    }
}

/// A task's box as rows: how many there are before the axis, along it, and elements of each.
#[derive(Clone, Copy)]
struct Rows {
    outer: usize,
    count: usize,
    len: usize,
}

impl GroupRun {
    pub(super) fn new(grouped: &Grouped) -> Self {
        Self { folds: grouped.folds.iter().map(|_| FoldRun::default()).collect() }
    }

    /// Whether every group has come to its end.
    pub(super) fn is_complete(&self) -> bool {
        let filled = |fold: &FoldRun| fold.filled.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        self.folds.iter().all(|fold| fold.chains.is_empty() && filled(fold))
    }

    /// Adds what `task` holds; the bytes that results took in storage.
    pub(super) fn run(
        &self,
        grouped: &Grouped,
        tasks: &ChunkGrid,
        task: &Task,
        inputs: &[Input<'_>],
        scratch: &mut Scratch,
        cx: &TaskContext<'_>,
    ) -> Result<u64> {
        let shape = small(task.region.shape())?;
        let axis = grouped.axis;
        let rows = Rows {
            outer: shape.iter().take(axis).product(),
            count: shape.get(axis).copied().unwrap_or(1),
            len: shape.iter().skip(axis + 1).product(),
        };
        let first = task.region.origin().get(axis).map_or(0, |origin| *origin as usize);
        let held = Held::new(grouped.groups.codes.get(first..first + rows.count).unwrap_or_default());
        let states = states(grouped, rows, &held, &shape, inputs, scratch, cx)?;
        let mut kept = task.index.clone();
        if let Some(along) = kept.get_mut(axis) {
            *along = 0;
        }
        // Results are numbered by the box across the axis.
        let across = tasks.linear(&kept);
        let part = task.index.get(axis).copied().unwrap_or(0);
        let mut stored_bytes = 0;
        for ((run, fold), states) in self.folds.iter().zip(&grouped.folds).zip(states) {
            for ((group, _), state) in held.groups.iter().zip(states) {
                let place = grouped.groups.place(*group, part);
                let (number, count) =
                    place.ok_or_else(|| Error::Internal { message: format!("no group {group} here") })?;
                let combine = |into: &mut Buffer, next: &Buffer| Ok(fold.reduction.combine(into, next)?);
                let whole = run.chains.add((across, *group), number, count, state, combine)?;
                if let Some(whole) = whole {
                    kept.clone_from(&task.index);
                    stored_bytes += run.finish(fold, axis, *group, &mut kept, &whole, cx)?;
                }
            }
        }
        Ok(stored_bytes)
    }
}

/// The states of the groups that a task holds some of, for each fold.
fn states(
    grouped: &Grouped,
    rows: Rows,
    held: &Held,
    shape: &[usize],
    inputs: &[Input<'_>],
    scratch: &mut Scratch,
    cx: &TaskContext<'_>,
) -> Result<Vec<Vec<Buffer>>> {
    let geometry = |count: usize| Geometry::new(&[rows.outer, count, rows.len], &[1]);
    let geometries = held.groups.iter().map(|(_, count)| geometry(*count)).collect::<Result<Vec<_>, _>>()?;
    let mut all = Vec::with_capacity(grouped.folds.len());
    for fold in &grouped.folds {
        let bytes = fold.reduction.state_bytes(rows.outer * rows.len)?;
        all.push(held.groups.iter().map(|_| cx.pool().take(bytes)).collect::<Vec<_>>());
    }
    let passes = grouped.folds.iter().zip(&mut all).map(|(fold, states)| {
        let begun = geometries.iter().zip(states.iter_mut()).map(|(geometry, state)| {
            let begun: Result<Pass<'_>> = Ok(fold.reduction.begin(geometry, state)?);
            begun
        });
        Ok((fold.reduction.tile_dtype(), begun.collect::<Result<Vec<_>>>()?))
    });
    let mut passes: Vec<(DType, Vec<Pass<'_>>)> = passes.collect::<Result<_>>()?;
    let mut take = |first: usize, tiles: &[&[u8]]| {
        for ((dtype, passes), tile) in passes.iter_mut().zip(tiles) {
            hand_out(first, tile, dtype.size(), rows, held, passes);
        }
    };
    if rows.len > TILE_ELEMENTS / 2 {
        // Column by column, so that the states of a column stay in the cache.
        let Rows { outer, count, len } = rows;
        let wanted: Vec<usize> =
            (0..count).filter(|row| held.rows.get(*row).is_some_and(Option::is_some)).collect();
        let wanted = &wanted;
        let ranges = (0..outer).flat_map(move |block| {
            (0..len).step_by(TILE_ELEMENTS).flat_map(move |column| {
                let tile = TILE_ELEMENTS.min(len - column);
                wanted.iter().map(move |row| ((block * count + row) * len + column, tile))
            })
        });
        grouped.program.for_each_tile(inputs, shape, ranges, scratch, &mut take)?;
    } else {
        let total = rows.outer * rows.count * rows.len;
        grouped.program.for_each_tile(inputs, shape, [(0, total)], scratch, &mut take)?;
    }
    passes.into_iter().flat_map(|(_, passes)| passes).for_each(Pass::end);
    Ok(all)
}

/// Hands the rows of a tile, whose first element is number `first` of the box, to the passes of their groups.
fn hand_out(first: usize, tile: &[u8], item_bytes: usize, rows: Rows, held: &Held, passes: &mut [Pass<'_>]) {
    let Rows { count, len, .. } = rows;
    let total = tile.len() / item_bytes;
    let mut done = 0;
    while done < total {
        let at = first + done;
        let (block, row, column) =
            (at / (count * len).max(1), at / len.max(1) % count.max(1), at % len.max(1));
        let mut here = (len - column).min(total - done);
        let own = held.rows.get(row).copied().flatten();
        // Rows of one group that follow one another go together.
        let mut next = row + 1;
        while done + here < total
            && next < count
            && let Some((group, number)) = own
            && held.rows.get(next).copied().flatten() == Some((group, number + next - row))
        {
            here = (here + len).min(total - done);
            next += 1;
        }
        if let Some((group, number)) = own
            && let Some((_, of_group)) = held.groups.get(group)
            && let Some(pass) = passes.get_mut(group)
        {
            let place = (block * of_group + number) * len + column;
            pass.tile(place, tile.get(done * item_bytes..(done + here) * item_bytes).unwrap_or_default());
        }
        done += here;
    }
}

impl FoldRun {
    /// Writes what the whole state of a group gives into its place of the results, and these when they are full.
    fn finish(
        &self,
        fold: &Fold,
        axis: usize,
        group: u32,
        index: &mut [u64],
        whole: &Buffer,
        cx: &TaskContext<'_>,
    ) -> Result<u64> {
        let Some((_, first)) = fold.results.first() else { return Ok(0) };
        let missing = || Error::Internal { message: format!("no place for group {group}") };
        let cuts = first.grid().axes().get(axis).ok_or_else(missing)?;
        let along = cuts.chunk_of(u64::from(group)).ok_or_else(missing)?;
        *index.get_mut(axis).ok_or_else(missing)? = along;
        let region = first.grid().region(index)?;
        let new = |sink: &Arc<dyn Sink>| Chunk::uninit(sink.dtype(), region.shape(), cx.pool());
        let fresh = || fold.results.iter().map(|(_, sink)| new(sink)).collect::<Result<Vec<_>>>();
        let shape = small(region.shape())?;
        let row: usize = shape.iter().skip(axis + 1).product();
        let together = shape.get(axis).copied().unwrap_or(1);
        let local = (u64::from(group) - cuts.start(along)) as usize;
        let fill = |chunks: &mut [Chunk]| -> Result<()> {
            for ((statistic, sink), chunk) in fold.results.iter().zip(chunks) {
                let row_bytes = row * sink.dtype().size();
                if together == 1 {
                    fold.reduction.finish(whole, *statistic, chunk.bytes_mut())?;
                    continue;
                }
                let cells: usize = shape.iter().product::<usize>() / together.max(1);
                let mut found = cx.pool().take(cells * sink.dtype().size());
                fold.reduction.finish(whole, *statistic, &mut found)?;
                let places = chunk.bytes_mut().chunks_exact_mut((together * row_bytes).max(1));
                for (place, row) in places.zip(found.chunks_exact(row_bytes.max(1))) {
                    let place = place.get_mut(local * row_bytes..(local + 1) * row_bytes);
                    place.ok_or_else(missing)?.copy_from_slice(row);
                }
            }
            Ok(())
        };
        let full = if together == 1 {
            let mut chunks = fresh()?;
            fill(&mut chunks)?;
            Some(chunks)
        } else {
            let key = first.grid().linear(index);
            let mut filled = self.filled.lock().unwrap_or_else(PoisonError::into_inner);
            let (mut chunks, left) = match filled.remove(&key) {
                Some(known) => known,
                None => (fresh()?, together as u64),
            };
            fill(&mut chunks)?;
            if left > 1 {
                filled.insert(key, (chunks, left - 1));
                None
            } else {
                Some(chunks)
            }
        };
        let mut stored_bytes = 0;
        for ((_, sink), chunk) in fold.results.iter().zip(full.unwrap_or_default()) {
            stored_bytes += sink.write(index, &chunk, cx)?;
        }
        Ok(stored_bytes)
    }
}
