//! The closures over blocks that are asked for most, in one call: dask's `map_blocks` and `map_overlap`.
//!
//! Invariant: all are [`MapBlocks`]. Called by programs.

use super::{Array, Axis, MapBlocks, PadMode};
use crate::block::BlockInfo;
use crate::error::Result;
use blockwise_kernels::Element;
use ndarray::{ArrayD, ArrayViewD, ArrayViewMutD};

impl Array {
    /// The array of what `closure` makes of each block, which keeps its shape. See [`MapBlocks`] for all else.
    ///
    /// # Errors
    /// If the array is not of the closure's type.
    ///
    /// ```
    /// use blockwise_core::{Array, DType};
    /// use ndarray::ArrayViewD;
    /// let x = Array::full(&[20, 30], 2.5_f32.into())?.rechunk([7, 30])?;
    /// let y = x.map_blocks(|block: ArrayViewD<'_, f32>| block.mapv(f64::from))?;
    /// assert_eq!((y.dtype(), y.compute::<f64>()?[[3, 3]]), (DType::F64, 2.5));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn map_blocks<T: Element, U: Element>(
        &self,
        closure: impl Fn(ArrayViewD<'_, T>) -> ArrayD<U> + Send + Sync + 'static,
    ) -> Result<Self> {
        MapBlocks::new([self])?.map(move |_, block| closure(block))
    }

    /// As [`Array::map_blocks`], with a closure that writes into the block of the result: no memory is taken for it.
    /// What that holds before is not told; every element must be written.
    ///
    /// # Errors
    /// As [`Array::map_blocks`].
    ///
    /// ```
    /// use blockwise_core::Array;
    /// use ndarray::{ArrayViewD, ArrayViewMutD, Zip};
    /// let x = Array::arange(0.0, 10.0, 1.0)?.rechunk([4])?;
    /// let y = x.map_blocks_into(|block: ArrayViewD<'_, f64>, mut out: ArrayViewMutD<'_, i32>| {
    ///     Zip::from(&mut out).and(&block).for_each(|out, x| *out = *x as i32 / 2);
    /// })?;
    /// assert_eq!(y.compute::<i32>()?.as_slice(), Some(&[0, 0, 1, 1, 2, 2, 3, 3, 4, 4][..]));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn map_blocks_into<T: Element, U: Element>(
        &self,
        closure: impl Fn(ArrayViewD<'_, T>, ArrayViewMutD<'_, U>) + Send + Sync + 'static,
    ) -> Result<Self> {
        MapBlocks::new([self])?.map_into(move |_, block, out| closure(block, out))
    }

    /// As [`Array::map_blocks`], of blocks that hold more elements along the axes of `halos`: for each the axis, how many
    /// before and how many after. At the array's ends `boundary` says what they are ([`PadMode::Symmetric`] is dask's
    /// `reflect`), or there are none. What the closure gives back of the halo is cut off.
    ///
    /// # Errors
    /// As [`Array::map_blocks`] and [`MapBlocks::overlap`].
    ///
    /// ```
    /// use blockwise_core::Array;
    /// use blockwise_core::array::PadMode;
    /// use ndarray::{ArrayViewD, Axis};
    /// let x = Array::arange(0.0, 10.0, 1.0)?.rechunk([4])?;
    /// // The sum of each element and both of its neighbours.
    /// let sums = x.map_overlap(&[(0.into(), 1, 1)], Some(PadMode::Wrap), |block: ArrayViewD<'_, f64>| {
    ///     let windows: Vec<f64> = block.as_slice().unwrap_or_default().windows(3).map(|w| w.iter().sum()).collect();
    ///     ndarray::Array1::from_vec(windows).into_dyn()
    /// })?;
    /// assert_eq!(sums.compute::<f64>()?.as_slice(), Some(&[10.0, 3.0, 6.0, 9.0, 12.0, 15.0, 18.0, 21.0, 24.0, 17.0][..]));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn map_overlap<T: Element, U: Element>(
        &self,
        halos: &[(Axis, u64, u64)],
        boundary: Option<PadMode>,
        closure: impl Fn(ArrayViewD<'_, T>) -> ArrayD<U> + Send + Sync + 'static,
    ) -> Result<Self> {
        let map = MapBlocks::new([self])?.named("map_overlap");
        let map = halos.iter().try_fold(map, |map, (axis, before, after)| {
            map.overlap(axis.clone(), *before, *after, boundary)
        })?;
        map.map(move |_, block| closure(block))
    }

    /// As [`Array::map_blocks`], with the place of the block in the array.
    ///
    /// # Errors
    /// As [`Array::map_blocks`].
    pub fn map_blocks_with_info<T: Element, U: Element>(
        &self,
        closure: impl Fn(&BlockInfo<'_>, ArrayViewD<'_, T>) -> ArrayD<U> + Send + Sync + 'static,
    ) -> Result<Self> {
        MapBlocks::new([self])?.map(closure)
    }
}
