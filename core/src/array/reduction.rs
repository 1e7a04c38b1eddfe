//! Reductions by closures of the user: of every block, of what that gives, and of the whole: dask's `reduction`.
//!
//! Invariant: partial results combine in groups of [`SPLIT`] along each axis, in the order of blocks, so that results do not
//! depend on threads or budget. Called by programs.

use super::map_blocks::MapBlocks;
use super::{Array, Axes, AxisChunks, Chunks};
use crate::error::Result;
use blockwise_kernels::Element;
use ndarray::{ArrayD, ArrayViewD};
use std::sync::Arc;

/// Partial results that are combined at a time, along each axis.
const SPLIT: u64 = 16;

impl Array {
    /// A reduction over `axes` in steps: `chunk` makes a partial result of each block, in which the reduced axes have length
    /// 1; `combine` makes one partial result of several that lie side by side along those axes; `aggregate` makes the result,
    /// without those axes, of all that are left.
    ///
    /// # Errors
    /// If there is no such axis, or the array is not of the type that `chunk` takes. A closure that gives another shape is an
    /// error when the array is computed.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// use ndarray::{ArrayViewD, Axis};
    /// // The largest distance from 50, as dask would write it.
    /// let x = Array::arange(0.0, 90.0, 1.0)?.rechunk([4])?;
    /// let largest = |x: ArrayViewD<'_, f64>| x.fold_axis(Axis(0), 0.0_f64, |most, x| most.max(*x));
    /// let far = x.reduction(
    ///     0,
    ///     move |x: ArrayViewD<'_, f64>| largest(x.mapv(|x| (x - 50.0).abs()).view()).insert_axis(Axis(0)),
    ///     move |partial: ArrayViewD<'_, f64>| largest(partial).insert_axis(Axis(0)),
    ///     largest,
    /// )?;
    /// assert_eq!(far.compute::<f64>()?[[]], 50.0);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn reduction<T: Element, S: Element, U: Element>(
        &self,
        axes: impl Into<Axes>,
        chunk: impl Fn(ArrayViewD<'_, T>) -> ArrayD<S> + Send + Sync + 'static,
        combine: impl Fn(ArrayViewD<'_, S>) -> ArrayD<S> + Send + Sync + 'static,
        aggregate: impl Fn(ArrayViewD<'_, S>) -> ArrayD<U> + Send + Sync + 'static,
    ) -> Result<Self> {
        let axes = axes.into().resolve(self.names())?;
        let reduced = |array: &Self| {
            axes.iter().try_fold(MapBlocks::new([array])?.named("reduction"), |map, axis| {
                let count = usize::try_from(array.grid().axes()[*axis].count()).unwrap_or(usize::MAX);
                map.with_lengths(*axis, &vec![1; count])
            })
        };
        let mut partial = reduced(self)?.map(move |_, block| chunk(block))?;
        let combine = Arc::new(combine);
        while axes.iter().any(|axis| partial.shape()[*axis] > SPLIT) {
            let groups = Chunks::by_axis(axes.iter().map(|axis| (*axis, AxisChunks::Length(SPLIT))));
            partial = partial.rechunk(groups)?;
            let combine = Arc::clone(&combine);
            partial = reduced(&partial)?.map(move |_, block| combine(block))?;
        }
        let last = MapBlocks::new([&partial])?.named("reduction").drop_axes(axes.as_slice())?;
        last.map(move |_, block| aggregate(block))
    }
}
