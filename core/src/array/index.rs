//! Basic indexing with NumPy's meaning: integers, slices with any step, new axes, the ellipsis.
//!
//! Invariant: every position that a resolved index names lies inside the array, so that the views made of it do.
//! Called by the indexing methods of [`Array`](super::Array) and by `eval`.

use super::{Array, Axis};
use crate::error::{Error, Result};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::view::{AxisView, View};
use std::ops::{Range, RangeFrom, RangeFull, RangeTo};

/// One item of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index {
    /// One position; the axis is dropped. Negative from the end.
    At(i64),
    /// Python's `start:stop:step`; negative from the end, clipped to the axis.
    Slice {
        /// First position; `None`: the near end in the direction of the step.
        start: Option<i64>,
        /// Position to stop before; `None`: the far end.
        stop: Option<i64>,
        /// Elements to go; not 0.
        step: i64,
    },
    /// A new axis of length 1.
    NewAxis,
    /// As many whole axes as are left over.
    Ellipsis,
}

impl From<RangeFull> for Index {
    fn from(_: RangeFull) -> Self {
        Self::Slice { start: None, stop: None, step: 1 }
    }
}

impl From<Range<i64>> for Index {
    fn from(range: Range<i64>) -> Self {
        Self::Slice { start: Some(range.start), stop: Some(range.end), step: 1 }
    }
}

impl From<RangeTo<i64>> for Index {
    fn from(range: RangeTo<i64>) -> Self {
        Self::Slice { start: None, stop: Some(range.end), step: 1 }
    }
}

impl From<RangeFrom<i64>> for Index {
    fn from(range: RangeFrom<i64>) -> Self {
        Self::Slice { start: Some(range.start), stop: None, step: 1 }
    }
}

impl From<i64> for Index {
    fn from(at: i64) -> Self {
        Self::At(at)
    }
}

/// What a slice selects of an axis: `count` elements from `start`, `step` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Selection {
    start: u64,
    step: i64,
    count: u64,
}

/// Resolves a slice as Python's `slice.indices` does.
fn select(start: Option<i64>, stop: Option<i64>, step: i64, extent: u64) -> Result<Selection> {
    let length = i64::try_from(extent).map_err(|_| Error::TooLarge { what: "axis", shape: vec![extent] })?;
    if step == 0 {
        return Err(Error::Usage { message: "a slice step of 0 goes nowhere; give another".to_owned() });
    }
    let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let clip = |at: i64| if at < 0 { at.saturating_add(length).max(low) } else { at.min(high) };
    let (near, far) = if step > 0 { (low, high) } else { (high, low) };
    let (start, stop) = (start.map_or(near, clip), stop.map_or(far, clip));
    let distance = if step > 0 { stop - start } else { start - stop };
    let count = if distance <= 0 { 0 } else { (distance as u64).div_ceil(step.unsigned_abs()) };
    // An empty selection starts anywhere; 0 is always a position that may be named. Where no step is taken, one is taken
    // for the shortest: then a step is never longer than the axis, and views compose without overflow.
    let step = if count <= 1 { step.signum() } else { step };
    Ok(Selection { start: if count == 0 { 0 } else { start as u64 }, step, count })
}

/// What an index selects along one axis of an array.
#[derive(Clone, Copy, Debug)]
pub(super) struct AxisSelection {
    pub(super) start: u64,
    pub(super) step: i64,
    pub(super) count: u64,
    /// Whether an integer selects one position, so that the axis is dropped.
    pub(super) is_dropped: bool,
}

impl AxisSelection {
    /// Whether position `at` is selected.
    pub(super) fn contains(self, at: u64) -> bool {
        let distance = if self.step > 0 { at.checked_sub(self.start) } else { self.start.checked_sub(at) };
        distance.is_some_and(|distance| {
            let stride = self.step.unsigned_abs().max(1);
            distance.is_multiple_of(stride) && distance / stride < self.count
        })
    }
}

impl Array {
    /// What `items` select along every axis; new axes are refused.
    pub(super) fn selections(&self, items: &[Index]) -> Result<Vec<AxisSelection>> {
        if items.contains(&Index::NewAxis) {
            let message = "a new axis has nothing to assign to; leave it out".to_owned();
            return Err(Error::Usage { message });
        }
        let expanded = self.expanded(items)?;
        let along = |(axis, item): (usize, Index)| match item {
            Index::Slice { start, stop, step } => {
                let s = select(start, stop, step, self.grid().axes()[axis].extent())?;
                Ok(AxisSelection { start: s.start, step: s.step, count: s.count, is_dropped: false })
            }
            Index::At(at) => {
                let start = self.position(axis, at)?;
                Ok(AxisSelection { start, step: 1, count: 1, is_dropped: true })
            }
            Index::NewAxis | Index::Ellipsis => {
                Err(Error::Internal { message: "an index was not expanded".to_owned() })
            }
        };
        expanded.into_iter().enumerate().map(along).collect()
    }

    /// The items with ellipses and missing axes written out.
    fn expanded(&self, items: &[Index]) -> Result<Vec<Index>> {
        let used = items.iter().filter(|item| matches!(item, Index::At(_) | Index::Slice { .. })).count();
        let ellipses = items.iter().filter(|item| **item == Index::Ellipsis).count();
        if used > self.rank() || ellipses > 1 {
            let message = format!(
                "an index of {used} items and {ellipses} ellipses for an array of {} axes; at most one item an axis and one ellipsis",
                self.rank()
            );
            return Err(Error::Usage { message });
        }
        let mut full = items.to_vec();
        if ellipses == 0 {
            full.push(Index::Ellipsis);
        }
        let whole = Index::Slice { start: None, stop: None, step: 1 };
        let expanded = full.iter().flat_map(|item| match item {
            Index::Ellipsis => vec![whole; self.rank() - used],
            other => vec![*other],
        });
        Ok(expanded.collect())
    }

    /// NumPy's `x[items]` for integers, slices, new axes and one ellipsis; missing items are whole axes.
    ///
    /// # Errors
    /// If there are more items than axes, a position is outside its axis, or a step is 0.
    ///
    /// ```
    /// use blockwise_core::{Array, DType, array::Index};
    /// let x = Array::zeros(&[10, 20, 30], DType::U8)?;
    /// let reversed = Index::Slice { start: None, stop: None, step: -3 };
    /// assert_eq!(x.index(&[Index::At(-1), Index::Ellipsis, reversed])?.shape(), [20, 10]);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn index(&self, items: &[Index]) -> Result<Self> {
        let expanded = self.expanded(items)?;
        let (mut below, mut grid, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for item in expanded {
            let from = below.len();
            match item {
                Index::NewAxis => {
                    grid.push(AxisGrid::regular(1, 1)?);
                    names.push(None);
                }
                Index::At(at) => below.push(AxisView::Fixed { at: self.position(from, at)? }),
                Index::Slice { start, stop, step } => {
                    let axis = &self.grid().axes()[from];
                    let selection = select(start, stop, step, axis.extent())?;
                    below.push(AxisView::Along {
                        axis: grid.len(),
                        start: selection.start,
                        step: selection.step,
                    });
                    grid.push(selected_grid(axis, selection)?);
                    names.push(self.names()[from].clone());
                }
                Index::Ellipsis => {}
            }
        }
        Ok(self.view(View::new(below), ChunkGrid::from_axes(grid)?, names))
    }

    /// A slice along one axis, by position or dimension name.
    ///
    /// # Errors
    /// If there is no such axis or the item does not fit it.
    pub fn slice(&self, axis: impl Into<Axis>, item: impl Into<Index>) -> Result<Self> {
        let axis = axis.into().resolve(self.names())?;
        let mut items = vec![Index::from(..); axis];
        items.push(item.into());
        self.index(&items)
    }

    pub(super) fn position(&self, axis: usize, at: i64) -> Result<u64> {
        let extent = self.grid().axes()[axis].extent();
        let found = if at < 0 {
            extent.checked_sub(at.unsigned_abs())
        } else {
            Some(at as u64).filter(|at| *at < extent)
        };
        found.ok_or_else(|| Error::Usage {
            message: format!("position {at} is outside axis {axis}, which has {extent} elements"),
        })
    }
}

/// The cuts of an axis as they fall on a selection of it.
fn selected_grid(axis: &AxisGrid, selection: Selection) -> Result<AxisGrid> {
    let Selection { start, step, count } = selection;
    if count == 0 {
        return AxisGrid::regular(0, 1);
    }
    if let (Some(chunk), 0, 1) = (axis.regular_chunk(), start, step) {
        return AxisGrid::regular(count, chunk);
    }
    let seen = View::seen_cuts(axis, start, step, count);
    let lengths = (0..seen.count()).map(|n| seen.length(n)).collect();
    AxisGrid::rectilinear(&merged(lengths))
}

/// Joins slivers that large steps leave, so that no chunk is much smaller than the largest.
pub(super) fn merged(lengths: Vec<u64>) -> Vec<u64> {
    let most = lengths.iter().copied().max().unwrap_or(1);
    let mut joined: Vec<u64> = Vec::with_capacity(lengths.len());
    for length in lengths {
        match joined.last_mut() {
            Some(last) if *last + length <= most => *last += length,
            _ => joined.push(length),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn slices_are_pythons() {
        // What `list(range(10))[s]` gives.
        type Case = (Option<i64>, Option<i64>, i64, &'static [u64]);
        let cases: [Case; 8] = [
            (None, None, -3, &[9, 6, 3, 0]),
            (Some(-3), None, 1, &[7, 8, 9]),
            (Some(8), Some(-20), -4, &[8, 4, 0]),
            (Some(5), Some(5), 1, &[]),
            (Some(20), None, -1, &[9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
            (Some(2), Some(100), 7, &[2, 9]),
            (None, None, i64::MIN, &[9]),
            (None, None, i64::MAX, &[0]),
        ];
        for (start, stop, step, expected) in cases {
            let s = select(start, stop, step, 10).unwrap();
            let found: Vec<u64> =
                (0..s.count).map(|i| s.start.wrapping_add_signed(i as i64 * s.step)).collect();
            assert_eq!(found, expected);
        }
    }

    proptest! {
        #[test]
        fn selected_cuts_cover_the_selection(
            extent in 1_u64..50, chunk in 1_u64..20, start in -60_i64..60, stop in -60_i64..60,
            step in prop_oneof![-9_i64..0, 1_i64..9],
        ) {
            let axis = AxisGrid::regular(extent, chunk).unwrap();
            let selection = select(Some(start), Some(stop), step, extent).unwrap();
            prop_assert_eq!(selected_grid(&axis, selection).unwrap().extent(), selection.count);
        }
    }
}
