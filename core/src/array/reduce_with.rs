//! Reductions of a program's own: what is kept of a block, how that combines, what it ends as; dask's `reduction`.
//!
//! Partial results are arrays with one element along each reduced axis for every block; they combine as neighbours, in a
//! tree that depends on the blocks alone. Invariant: closures see the partial results of neighbours in C order, so they
//! need not commute. Called by programs.

use super::{Array, Axes, MapBlocks};
use crate::error::Result;
use blockwise_kernels::Element;
use ndarray::{ArrayD, ArrayViewD, Axis, Slice};
use std::sync::Arc;

impl Array {
    /// The reduction over `axes` by closures: `chunk` reduces a block over the axes it is told, which stay with length 1;
    /// `combine` joins two such results; `aggregate` makes of the last what is wanted, and the axes are dropped.
    ///
    /// The partial results of all blocks along `axes` are held by one task when they combine.
    ///
    /// # Errors
    /// If there is no such axis or the array is not of the closure's type.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// use ndarray::{ArrayD, ArrayViewD, Axis};
    /// let x = Array::from_fn(&[90], |at| (at[0] * 37 % 91) as f64)?.rechunk([8])?;
    /// let largest = x.reduce_with(
    ///     0,
    ///     |block: ArrayViewD<'_, f64>, _axes: &[usize]| {
    ///         block.fold_axis(Axis(0), f64::MIN, |a, b| a.max(*b)).insert_axis(Axis(0))
    ///     },
    ///     |a: ArrayD<f64>, b: ArrayD<f64>| ndarray::Zip::from(&a).and(&b).map_collect(|a, b| a.max(*b)),
    ///     |last: ArrayD<f64>| last,
    /// )?;
    /// assert_eq!(largest.compute::<f64>()?[[]], 90.0);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn reduce_with<T: Element, U: Element, V: Element>(
        &self,
        axes: impl Into<Axes>,
        chunk: impl Fn(ArrayViewD<'_, T>, &[usize]) -> ArrayD<U> + Send + Sync + 'static,
        combine: impl Fn(ArrayD<U>, ArrayD<U>) -> ArrayD<U> + Send + Sync + 'static,
        aggregate: impl Fn(ArrayD<U>) -> ArrayD<V> + Send + Sync + 'static,
    ) -> Result<Self> {
        let mut axes = axes.into().resolve(self.names())?;
        axes.sort_unstable();
        let axes: Arc<[usize]> = axes.into();
        let mut partial = MapBlocks::new([self])?.named("partial results");
        for &axis in &*axes {
            let blocks = self.grid().counts().get(axis).copied().unwrap_or(1);
            partial = partial.with_lengths(axis, &vec![1; usize::try_from(blocks).unwrap_or(usize::MAX)])?;
        }
        let own = Arc::clone(&axes);
        let partial = partial.map(move |_, block: ArrayViewD<'_, T>| chunk(block, &own))?;
        let last = MapBlocks::new([&partial])?.named("combination of partial results");
        last.drop_axes(axes.to_vec())?.map(move |_, block: ArrayViewD<'_, U>| {
            let parts = single_parts(&block, &axes);
            let mut made = aggregate(tree(parts, &combine));
            for &axis in axes.iter().rev() {
                made = made.remove_axis(Axis(axis));
            }
            made
        })
    }
}

/// The parts of a block that have one element along `axes`, in C order.
fn single_parts<U: Element>(block: &ArrayViewD<'_, U>, axes: &[usize]) -> Vec<ArrayD<U>> {
    let Some((&axis, later)) = axes.split_first() else { return vec![block.to_owned()] };
    let slice = |n: usize| block.slice_axis(Axis(axis), Slice::from(n..n + 1));
    (0..block.len_of(Axis(axis))).flat_map(|n| single_parts(&slice(n), later)).collect()
}

/// Neighbours with neighbours, until one is left; there is at least one.
fn tree<U>(mut parts: Vec<ArrayD<U>>, combine: &impl Fn(ArrayD<U>, ArrayD<U>) -> ArrayD<U>) -> ArrayD<U>
where
    U: Element,
{
    while parts.len() > 1 {
        let mut next = Vec::with_capacity(parts.len().div_ceil(2));
        let mut rest = parts.into_iter();
        while let Some(first) = rest.next() {
            next.push(match rest.next() {
                Some(second) => combine(first, second),
                None => first,
            });
        }
        parts = next;
    }
    parts.pop().unwrap_or_else(|| ArrayD::default(ndarray::IxDyn(&[0])))
}
