//! [`View`]: how one array is seen as another without copying: slices, steps, flips, transposes, new and dropped
//! axes, broadcasts, all as one affine map from output positions to positions of the array below.
//!
//! Invariants: each axis of the array below follows at most one output axis, or stands still; an output axis is
//! followed by at most one; every position that the view names lies inside the array below (who makes a view checks
//! that once). Views compose, so a chain of them costs what one costs. Called by arrays (who make and compose
//! them), the planner (which inputs a task needs) and the executor (what to copy).

use crate::grid::AxisGrid;
use std::ops::Range;

/// What one axis of the array below does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AxisView {
    /// It follows an output axis: output position `i` is its position `start + i * step`.
    Along {
        /// The output axis.
        axis: usize,
        /// Its position at output position 0.
        start: u64,
        /// Elements to go per output element; negative for a flipped axis, never 0.
        step: i64,
    },
    /// It stands still: an indexed-away axis, or one of length 1 that is broadcast.
    Fixed {
        /// Where it stands.
        at: u64,
    },
}

impl AxisView {
    /// The output axis that it follows.
    pub(crate) const fn output_axis(self) -> Option<usize> {
        match self {
            Self::Along { axis, .. } => Some(axis),
            Self::Fixed { .. } => None,
        }
    }

    /// Elements to go per output element.
    pub(crate) const fn step(self) -> Option<i64> {
        match self {
            Self::Along { step, .. } => Some(step),
            Self::Fixed { .. } => None,
        }
    }

    /// Position below of output position `i` (of its axis).
    pub(crate) fn position(self, i: u64) -> u64 {
        match self {
            // In bounds by the view's invariant, so the sum neither overflows nor goes below 0.
            Self::Along { start, step, .. } => start.wrapping_add_signed((i as i64).wrapping_mul(step)),
            Self::Fixed { at } => at,
        }
    }
}

/// An affine map from the positions of an output to those of the array below.
///
/// ```
/// use blockwise_core::view::{AxisView, View};
/// // x[:, ::-2].T of an array of shape (3, 9)
/// let step = View::new(vec![
///     AxisView::Along { axis: 0, start: 0, step: 1 },
///     AxisView::Along { axis: 1, start: 8, step: -2 },
/// ]);
/// let transpose = View::new(vec![
///     AxisView::Along { axis: 1, start: 0, step: 1 },
///     AxisView::Along { axis: 0, start: 0, step: 1 },
/// ]);
/// let both = step.below(&transpose);
/// assert_eq!(both.source_ranges(&[0..2, 1..3]), [1..3, 6..9]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    axes: Vec<AxisView>,
}

impl View {
    /// The view with the given axes, one for each axis of the array below.
    #[must_use]
    pub fn new(axes: Vec<AxisView>) -> Self {
        Self { axes }
    }

    /// The view that shows an array as it is.
    #[must_use]
    pub fn identity(rank: usize) -> Self {
        Self::new((0..rank).map(|axis| AxisView::Along { axis, start: 0, step: 1 }).collect())
    }

    /// The axes of the array below.
    #[must_use]
    pub fn axes(&self) -> &[AxisView] {
        &self.axes
    }

    /// Whether axis `n` below is output axis `n`, whole and in order, for every axis.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        *self == Self::identity(self.axes.len())
    }

    /// Whether every element of a box below that is between two shown ones is shown too: no step is beyond 1.
    pub(crate) fn is_dense(&self) -> bool {
        self.axes.iter().all(|axis| axis.step().is_none_or(|step| step.abs() == 1))
    }

    /// Where the cuts of an axis fall when it is seen from `start` on, `step` apart, `extent` times.
    pub(crate) fn seen_cuts(cuts: &AxisGrid, start: u64, step: i64, extent: u64) -> AxisGrid {
        let mut lengths = Vec::new();
        let mut done = 0;
        let axis = AxisView::Along { axis: 0, start, step };
        while done < extent {
            let at = axis.position(done);
            let Some(chunk) = cuts.chunk_of(at) else { break };
            // How many shown elements are in the chunk of `at`, in the direction of the step.
            let room = if step > 0 { cuts.start(chunk + 1) - at } else { at - cuts.start(chunk) + 1 };
            let here = room.div_ceil(step.unsigned_abs().max(1)).min(extent - done);
            lengths.push(here);
            done += here;
        }
        AxisGrid::rectilinear(&lengths).unwrap_or_else(|_| AxisGrid::empty())
    }

    /// This view of an array, seen through `outer`: `outer` maps the final output to what this view shows.
    #[must_use]
    pub fn below(&self, outer: &Self) -> Self {
        let through = |axis: &AxisView| match *axis {
            AxisView::Fixed { at } => AxisView::Fixed { at },
            AxisView::Along { axis: middle, step, .. } => match outer.axes.get(middle) {
                Some(&AxisView::Along { axis: out, start, step: outer_step }) => {
                    AxisView::Along { axis: out, start: axis.position(start), step: step * outer_step }
                }
                Some(&AxisView::Fixed { at }) => AxisView::Fixed { at: axis.position(at) },
                None => *axis,
            },
        };
        Self::new(self.axes.iter().map(through).collect())
    }

    /// The smallest box below that holds what the output box `ranges` shows. No range may be empty.
    #[must_use]
    pub fn source_ranges(&self, ranges: &[Range<u64>]) -> Vec<Range<u64>> {
        let below = |axis: &AxisView| match *axis {
            AxisView::Fixed { at } => at..at + 1,
            AxisView::Along { axis: out, .. } => {
                let range = ranges.get(out).cloned().unwrap_or(0..1);
                let (first, last) = (axis.position(range.start), axis.position(range.end - 1));
                first.min(last)..first.max(last) + 1
            }
        };
        self.axes.iter().map(below).collect()
    }

    /// The output box (within `shape`) that shows something of the box `ranges` below; `None` if nothing of it is
    /// shown. The box of an output without axes is empty of ranges, not of elements.
    #[must_use]
    pub fn output_ranges(&self, ranges: &[Range<u64>], shape: &[u64]) -> Option<Vec<Range<u64>>> {
        let mut output: Vec<Range<u64>> = shape.iter().map(|extent| 0..*extent).collect();
        for (axis, range) in self.axes.iter().zip(ranges) {
            match *axis {
                AxisView::Fixed { at } if !range.contains(&at) => return None,
                AxisView::Fixed { .. } => {}
                AxisView::Along { axis: out, start, step } => {
                    if let Some(all) = output.get_mut(out) {
                        *all = showing(range, start, step, all.end);
                    }
                }
            }
        }
        (!output.iter().any(Range::is_empty)).then_some(output)
    }
}

/// The `i` in `0..extent` with `start + i * step` in `range`.
fn showing(range: &Range<u64>, start: u64, step: i64, extent: u64) -> Range<u64> {
    let stride = step.unsigned_abs();
    // Distance from the start to the nearer and the farther end of the range, in the direction of the step.
    let (near, far) = if step > 0 {
        (range.start.saturating_sub(start), range.end.saturating_sub(start))
    } else {
        let after_start = start + 1;
        (after_start.saturating_sub(range.end), after_start.saturating_sub(range.start))
    };
    let (first, end) = (near.div_ceil(stride).min(extent), far.div_ceil(stride).min(extent));
    first..end.max(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_agree_with_positions(
            start in 0_u64..40, stride in 1_i64..5, flip in any::<bool>(), extent in 1_u64..8,
            low in 0_u64..60, len in 1_u64..20,
        ) {
            let step = if flip { -stride } else { stride };
            let start = if flip { start + 40 } else { start };
            let axis = AxisView::Along { axis: 0, start, step };
            let view = View::new(vec![axis]);
            let range = low..low + len;
            let shown = view.output_ranges(std::slice::from_ref(&range), &[extent]);
            for i in 0..extent {
                let is_shown = shown.as_ref().is_some_and(|shown| shown[0].contains(&i));
                prop_assert_eq!(is_shown, range.contains(&axis.position(i)), "{}", i);
            }
            let whole = 0..extent;
            let span = &view.source_ranges(std::slice::from_ref(&whole))[0];
            let positions: Vec<u64> = (0..extent).map(|i| axis.position(i)).collect();
            prop_assert_eq!(span.start, *positions.iter().min().unwrap());
            prop_assert_eq!(span.end, positions.iter().max().unwrap() + 1);
        }
    }

    #[test]
    fn one_element_shows_nothing_of_the_boxes_it_is_not_in() {
        let view = View::new(vec![AxisView::Fixed { at: 3 }]);
        let shown =
            |range: Range<u64>, shape: &[u64]| view.output_ranges(std::slice::from_ref(&range), shape);
        assert_eq!(shown(2..4, &[]), Some(Vec::new()));
        assert_eq!(shown(4..9, &[]), None);
        assert_eq!(shown(4..9, &[5]), None);
    }

    #[test]
    fn composition_maps_through_both() {
        let inner = View::new(vec![
            AxisView::Along { axis: 1, start: 3, step: 2 },
            AxisView::Fixed { at: 5 },
            AxisView::Along { axis: 0, start: 9, step: -1 },
        ]);
        let outer =
            View::new(vec![AxisView::Along { axis: 0, start: 1, step: 3 }, AxisView::Fixed { at: 2 }]);
        assert_eq!(
            inner.below(&outer).axes(),
            [
                AxisView::Fixed { at: 7 },
                AxisView::Fixed { at: 5 },
                AxisView::Along { axis: 0, start: 8, step: -3 },
            ]
        );
    }
}
