//! Group-by: positions of an axis that share a label reduced to one, climatologies, and what is left when each
//! position's own is taken away.
//!
//! A grouped reduction is one pass: every chunk adds its rows to the states of the groups that it holds, and those of a group
//! combine in the order of chunks, so that results do not depend on threads or budget. Values of groups go back to their
//! positions chunk by chunk as they are read ([`GroupBy::spread`]); nothing of the array's size is stored. Invariant:
//! results have the groups, by ascending label, in the place of the axis. Called by programs and `eval`.

mod labels;
mod rank;
mod spread;

use super::order::with_axis;
use super::tasks::long_along;
use super::{Array, Axis, Kind, Node, Reduce, Reduced};
use crate::error::{Error, Result};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::region::element_count;
use blockwise_kernels::Scalar;
use blockwise_kernels::reduce::{Reducer, Reduction, Statistic};
pub(crate) use labels::{Groups, LEFT_OUT};
use std::sync::Arc;

/// Rows of fewer elements are gathered into longer ones before they are reduced.
const SHORT_ROW: u64 = 64;
/// Bytes of states of one cell that boxes of tasks are cut for.
const CELL_BYTES: u64 = 32;
/// Bytes that the states of a task aim at, at most.
const TASK_BYTES: u64 = 32 << 20;
/// Bytes that the states of all open groups of one box aim at, at most.
const OPEN_BYTES: u64 = 128 << 20;
/// Cells that a box has at least.
const LEAST_CELLS: u64 = 4096;
/// Bytes that a chunk of a result aims at.
const RESULT_BYTES: u64 = 4 << 20;

/// An array whose positions along one axis are grouped by label.
///
/// ```
/// use blockwise_core::Array;
/// let x = Array::arange(0.0, 6.0, 1.0)?;
/// let groups = x.group_by(&[3, 1, 3, 1, -1, 1], 0)?;
/// assert_eq!(groups.labels(), [1, 3]);
/// assert_eq!(groups.mean()?.compute::<f64>()?.as_slice(), Some(&[3.0, 1.0][..]));
/// let left = groups.anomaly()?.compute::<f64>()?;
/// assert_eq!(left.as_slice().map(|left| &left[..4]), Some(&[-1.0, -2.0, 1.0, 0.0][..]));
/// assert!(left[[4]].is_nan(), "in no group");
/// # Ok::<(), blockwise_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct GroupBy {
    array: Array,
    axis: usize,
    groups: Arc<Groups>,
}

impl Array {
    /// The array with its positions along `axis` grouped by `labels`, one for each position; a negative label leaves a
    /// position out.
    ///
    /// # Errors
    /// If there is no such axis, or there are not as many labels as positions.
    pub fn group_by(&self, labels: &[i64], axis: impl Into<Axis>) -> Result<GroupBy> {
        let axis = axis.into().resolve(self.names())?;
        let cuts = &self.grid().axes()[axis];
        if labels.len() as u64 != cuts.extent() {
            let (given, extent) = (labels.len(), cuts.extent());
            let message = format!("{given} labels for {extent} positions of axis {axis}; give one for each");
            return Err(Error::Usage { message });
        }
        Ok(GroupBy { array: self.clone(), axis, groups: Arc::new(Groups::new(labels, cuts)?) })
    }
}

impl GroupBy {
    /// The labels of the groups, ascending: results have them in this order.
    #[must_use]
    pub fn labels(&self) -> &[i64] {
        &self.groups.labels
    }

    /// The axis whose positions are grouped.
    #[must_use]
    pub const fn axis(&self) -> usize {
        self.axis
    }

    /// The reduction `what` of every group, with the groups in the place of the axis.
    ///
    /// # Errors
    /// If the dtype has no such reduction, or `what` is a position: those are of an axis, not of a group.
    pub fn reduce(&self, what: Reduce) -> Result<Array> {
        if matches!(what.reducer, Reducer::ArgMin | Reducer::ArgMax) {
            let message = "positions of extremes are not kept of groups; reduce a slice for each".to_owned();
            return Err(Error::Usage { message });
        }
        let reduction = Reduction::new(what.reducer, self.array.dtype(), what.skip_nan)?;
        let dtype = reduction.output_dtype(what.statistic);
        let mut shape = self.array.shape();
        shape[self.axis] = self.groups.count();
        if shape.contains(&0) {
            return Ok(Array::full(&shape, Scalar::zero(dtype))?.renamed(self.array.names().to_vec()));
        }
        // Rows of neighbouring cells are reduced at once; where they would be short, the axis comes first.
        let chunk = self.array.grid().largest_chunk();
        let (before, after) = chunk.split_at(self.axis.min(chunk.len()));
        let row = element_count(after.get(1..).unwrap_or_default()).unwrap_or(u64::MAX);
        if row < SHORT_ROW && element_count(before).is_some_and(|before| before > row) {
            let moved = Self { array: self.array.move_axis(self.axis, 0)?, axis: 0, ..self.clone() };
            let reduced = moved.reduce(what)?;
            return reduced.move_axis(0, self.axis as i64);
        }
        let tasks = self.boxes()?;
        let cuts = &tasks.axes()[self.axis];
        let groups = Arc::new(self.groups.for_tasks(cuts));
        let cells: u64 = tasks
            .axes()
            .iter()
            .enumerate()
            .filter(|(n, _)| *n != self.axis)
            .map(|(_, cut)| cut.longest())
            .product();
        let together = (RESULT_BYTES / cells.saturating_mul(dtype.size() as u64).max(1)).max(1);
        let grid =
            with_axis(&tasks, self.axis, AxisGrid::regular(groups.count(), together.min(groups.count()))?)?;
        let input = self.array.rechunk(&tasks)?;
        let kind =
            Kind::Reduce(Reduced { input, axes: vec![self.axis], reduction, what, groups: Some(groups) });
        let names = self.array.names().to_vec();
        Ok(Array { node: Arc::new(Node { dtype, grid, names, kind }) })
    }

    /// The boxes of tasks: chunks, longer along the axis where they are small, and cut across it where the states of many
    /// groups would take too much.
    fn boxes(&self) -> Result<ChunkGrid> {
        let tasks = long_along(&self.array, self.axis)?;
        let groups = self.groups.for_tasks(&tasks.axes()[self.axis]);
        let in_task = TASK_BYTES / (groups.most_in_task() * CELL_BYTES).max(1);
        let open = OPEN_BYTES / (groups.most_open() * CELL_BYTES).max(1);
        let mut room = in_task.min(open).max(LEAST_CELLS);
        let mut cuts = tasks.axes().to_vec();
        for (axis, cut) in cuts.iter_mut().enumerate().rev() {
            if axis == self.axis {
                continue;
            }
            if room < cut.longest() {
                *cut = cut.resized(room)?;
            }
            room = (room / cut.longest().max(1)).max(1);
        }
        ChunkGrid::from_axes(cuts)
    }

    /// The first of every group; with `skip_nan` the first that is not NaN, or NaN if there is none.
    ///
    /// # Errors
    /// As [`GroupBy::reduce`].
    pub fn first(&self, skip_nan: bool) -> Result<Array> {
        self.end(Reducer::First, skip_nan)
    }

    /// The last of every group; with `skip_nan` the last that is not NaN, or NaN if there is none.
    ///
    /// # Errors
    /// As [`GroupBy::reduce`].
    pub fn last(&self, skip_nan: bool) -> Result<Array> {
        self.end(Reducer::Last, skip_nan)
    }

    fn end(&self, reducer: Reducer, skip_nan: bool) -> Result<Array> {
        if skip_nan && matches!(self.array.dtype().kind(), 'f' | 'c') {
            return self.reduce(Reduce { reducer, statistic: Statistic::Value, skip_nan });
        }
        let positions = self.groups.positions();
        let end = |own: &Vec<i64>| if reducer == Reducer::First { own.first() } else { own.last() }.copied();
        let ends: Vec<i64> = positions.iter().filter_map(end).collect();
        self.array.take(&ends, self.axis)
    }

    /// What is left of the array when from each position the mean of its group is taken, NaN left out of means: with
    /// the array's chunks. A position in no group has NaN.
    ///
    /// # Errors
    /// As [`GroupBy::reduce`].
    pub fn anomaly(&self) -> Result<Array> {
        let left = self.array.try_sub(self.spread(&self.nanmean()?)?)?;
        left.rechunk(self.array.grid())
    }
}

macro_rules! reductions_of_groups {
    ($($method:ident: $name:literal, $doc:literal;)*) => {
        impl GroupBy {$(
            #[doc = $doc]
            ///
            /// # Errors
            /// As [`GroupBy::reduce`].
            pub fn $method(&self) -> Result<Array> {
                let what = Reduce::named($name, 0.0);
                self.reduce(what.ok_or_else(|| Error::Internal { message: format!("no {}", $name) })?)
            }
        )*}
    };
}
reductions_of_groups! {
    sum: "sum", "Sums of groups; of integers as 64-bit ones, wrapping.";
    prod: "prod", "Products of groups; of integers as 64-bit ones, wrapping.";
    min: "min", "The smallest of each group; NaN if any is.";
    max: "max", "The largest of each group; NaN if any is.";
    any: "any", "Whether any of a group is not zero.";
    all: "all", "Whether none of a group is zero.";
    mean: "mean", "Means of groups.";
    var: "var", "Variances of groups, of the population.";
    std: "std", "Standard deviations of groups, of the population.";
    count: "count", "How many of each group are not NaN, as `int64`.";
    nansum: "nansum", "Sums of what is not NaN of each group.";
    nanprod: "nanprod", "Products of what is not NaN of each group.";
    nanmin: "nanmin", "The smallest of what is not NaN of each group.";
    nanmax: "nanmax", "The largest of what is not NaN of each group.";
    nanmean: "nanmean", "Means of what is not NaN of each group.";
    nanvar: "nanvar", "Variances of what is not NaN of each group.";
    nanstd: "nanstd", "Standard deviations of what is not NaN of each group.";
}
