//! [`Leaf`]: what the tasks of a stage see of one input, and by arithmetic which chunks that needs.
//!
//! A leaf shows an input through a view, possibly only in a window of the task array, and possibly more than the task's
//! own box (a halo, or whole axes). Invariant: [`Leaf::needs`] and [`Leaf::tasks_that_need`] are each other's
//! inverse: a chunk is counted once for every task that names it. Called by the queue and the tasks of
//! [`crate::exec`], and by the planner for bounds.

use crate::grid::ChunkGrid;
use crate::region::Region;
use crate::view::View;
use std::ops::Range;

/// A part of the task array, in which a leaf shows its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) ranges: Vec<Range<u64>>,
}

/// What a task sees along one axis of the task array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Its own range, and as many elements before and after it; clipped at the array's ends.
    Around(u64, u64),
    /// Position 0 alone: the input is the same all along the axis.
    Still,
}

/// The box of the task array of `shape` that a task on `own` sees.
pub(crate) fn seen(reach: &[Reach], own: &[Range<u64>], shape: &[u64]) -> Vec<Range<u64>> {
    let mut seen = own.to_vec();
    for ((range, reach), extent) in seen.iter_mut().zip(reach).zip(shape) {
        *range = match reach {
            Reach::Around(before, after) => {
                range.start.saturating_sub(*before)..range.end.saturating_add(*after).min(*extent)
            }
            Reach::Still => 0..1,
        };
    }
    seen
}

/// What the tasks of a stage see of one input.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    /// Position in [`super::Stage::inputs`].
    pub(crate) input: usize,
    /// From positions of the window (else of the task array) to positions of the input.
    pub(crate) view: View,
    /// The part of the task array that it shows; `None`: all.
    pub(crate) window: Option<Window>,
    /// What is seen beside a task's own box, per axis; empty if nothing is.
    pub(crate) reach: Vec<Reach>,
}

impl Leaf {
    /// An input of `rank` axes as it is.
    pub(crate) fn whole(input: usize, rank: usize) -> Self {
        Self::through(input, View::identity(rank))
    }

    /// An input through a view.
    pub(crate) const fn through(input: usize, view: View) -> Self {
        Self { input, view, window: None, reach: Vec::new() }
    }

    /// The box of the task array of `shape` that a task on `own` sees.
    pub(crate) fn seen(&self, own: &[Range<u64>], shape: &[u64]) -> Vec<Range<u64>> {
        seen(&self.reach, own, shape)
    }

    /// The part of `ranges` (of the task array) in the window, relative to the window's origin.
    pub(crate) fn within(&self, ranges: &[Range<u64>]) -> Option<Vec<Range<u64>>> {
        let Some(window) = &self.window else { return Some(ranges.to_vec()) };
        ranges
            .iter()
            .zip(&window.ranges)
            .map(|(range, window)| {
                let (start, end) = (range.start.max(window.start), range.end.min(window.end));
                (start < end).then(|| start - window.start..end - window.start)
            })
            .collect()
    }

    /// The origin of the window on an axis.
    pub(crate) fn origin(&self, axis: usize) -> u64 {
        self.window.as_ref().and_then(|w| w.ranges.get(axis)).map_or(0, |range| range.start)
    }

    /// The chunks of `grid`, the input's, that the task on `own` needs: those of which it sees something.
    pub(crate) fn needs(&self, own: &Region, shape: &[u64], grid: &ChunkGrid) -> Vec<Vec<u64>> {
        let own: Vec<Range<u64>> = own.ranges().collect();
        let seen = self.seen(&own, shape);
        let Some(local) = self.within(&seen) else { return Vec::new() };
        let below = self.view.source_ranges(&local);
        let touched: Vec<Range<u64>> =
            below.iter().zip(grid.axes()).map(|(range, axis)| axis.chunks_in(range.clone())).collect();
        let all = c_order(touched);
        if self.view.is_dense() {
            return all.collect();
        }
        // A step may stride over a whole chunk.
        let meets = |(t, r): (&Range<u64>, &Range<u64>)| t.start.max(r.start) < t.end.min(r.end);
        all.filter(|index| {
            let chunk: Vec<Range<u64>> = index
                .iter()
                .zip(grid.axes())
                .map(|(at, axis)| axis.start(*at)..axis.start(*at + 1))
                .collect();
            self.shown(&chunk, shape).is_some_and(|shown| shown.iter().zip(&seen).all(meets))
        })
        .collect()
    }

    /// The box of the task array that shows something of the input's box `below`; `None` if nothing does.
    fn shown(&self, below: &[Range<u64>], shape: &[u64]) -> Option<Vec<Range<u64>>> {
        match &self.window {
            None => self.view.output_ranges(below, shape),
            Some(window) => {
                let local: Vec<u64> = window.ranges.iter().map(|range| range.end - range.start).collect();
                let shown = self.view.output_ranges(below, &local)?;
                let placed = shown.iter().zip(&window.ranges);
                Some(placed.map(|(s, w)| s.start + w.start..s.end + w.start).collect())
            }
        }
    }

    /// The ranges of tasks (of the grid `tasks`) that see something of the input's box `below`; `None` if none does.
    pub(crate) fn tasks_that_need(&self, below: &Region, tasks: &ChunkGrid) -> Option<Vec<Range<u64>>> {
        let below: Vec<Range<u64>> = below.ranges().collect();
        let shape = tasks.shape();
        let mut shown = self.shown(&below, &shape)?;
        for ((range, reach), extent) in shown.iter_mut().zip(&self.reach).zip(&shape) {
            // A task sees a position up to `after` behind its end and `before` ahead of its start.
            *range = match reach {
                Reach::Around(before, after) => {
                    range.start.saturating_sub(*after)..range.end.saturating_add(*before).min(*extent)
                }
                Reach::Still => 0..*extent,
            };
        }
        Some(shown.iter().zip(tasks.axes()).map(|(range, axis)| axis.chunks_in(range.clone())).collect())
    }
}

/// The indices of a box of chunks, the last axis fastest.
pub(crate) fn c_order(ranges: Vec<Range<u64>>) -> super::sweep::Visit {
    super::sweep::Sweep::new((0..ranges.len()).collect()).visit(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::AxisView;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn chunks_and_tasks_agree(
            extent in 1_u64..30, chunk in 1_u64..9, task in 1_u64..9, step in prop_oneof![-3_i64..0, 1_i64..4],
            before in 0_u64..5, after in 0_u64..5, window in proptest::option::of((0_u64..10, 1_u64..10)),
        ) {
            let window = window.map(|(start, len)| start.min(extent - 1)..(start + len).min(extent).max(start.min(extent - 1) + 1));
            let shown = window.as_ref().map_or(extent, |w| w.end - w.start);
            let below = (shown - 1) * step.unsigned_abs() + 1;
            let start = if step > 0 { 0 } else { below - 1 };
            let leaf = Leaf {
                input: 0,
                view: View::new(vec![AxisView::Along { axis: 0, start, step }]),
                window: window.map(|range| Window { ranges: vec![range] }),
                reach: vec![Reach::Around(before, after)],
            };
            let grid = ChunkGrid::regular(&[below], &[chunk]).unwrap();
            let tasks = ChunkGrid::regular(&[extent], &[task]).unwrap();
            for at in tasks.indices() {
                let needed = leaf.needs(&tasks.region(&at).unwrap(), &[extent], &grid);
                for index in grid.indices() {
                    let users = leaf.tasks_that_need(&grid.region(&index).unwrap(), &tasks);
                    let uses = users.is_some_and(|users| users[0].contains(&at[0]));
                    prop_assert_eq!(needed.contains(&index), uses, "{:?} {:?}", at, index);
                }
            }
        }

        #[test]
        fn one_element_needs_the_chunk_it_is_in_alone(extent in 1_u64..30, chunk in 1_u64..9, at in 0_u64..30) {
            let leaf = Leaf::through(0, View::new(vec![AxisView::Fixed { at: at.min(extent - 1) }]));
            let grid = ChunkGrid::regular(&[extent], &[chunk]).unwrap();
            let tasks = ChunkGrid::regular(&[], &[]).unwrap();
            let needed = leaf.needs(&tasks.region(&[]).unwrap(), &[], &grid);
            prop_assert_eq!(needed.len(), 1);
            for index in grid.indices() {
                let users = leaf.tasks_that_need(&grid.region(&index).unwrap(), &tasks);
                prop_assert_eq!(users.is_some(), needed.contains(&index));
            }
        }
    }
}
