//! Windows that slide along axes: seen as an axis of their own, or made one element each, as xarray's `rolling`.
//!
//! Windows are never put in memory one beside the other: those that are seen are views of the same elements, those that
//! become one element are so in the task that holds them and a halo. Called by programs and `eval`.

use super::filter::Filter;
use super::{Array, Axis};
use crate::error::{Error, Result};
use blockwise_kernels::DType;
use blockwise_kernels::filter::{Rolling, Step};

/// Windows along some axes of an array.
///
/// ```
/// use blockwise_core::Array;
/// use blockwise_core::kernels::filter::Rolling;
/// let x = Array::arange(0.0, 6.0, 1.0)?.rechunk([4])?;
/// let means = x.rolling(&[(0.into(), 3)])?.least(2).reduce(Rolling::Mean)?.compute::<f64>()?;
/// assert!(means[0].is_nan());
/// assert_eq!(means.as_slice().map(|means| means[1..].to_vec()), Some(vec![0.5, 1.0, 2.0, 3.0, 4.0]));
/// # Ok::<(), blockwise_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Windows {
    filter: Filter,
    array: Array,
    sizes: Vec<usize>,
    is_centred: bool,
    least: usize,
}

impl Array {
    /// Every window of these lengths along these axes, along new last axes: NumPy's `sliding_window_view`. An axis is shorter
    /// by one less than its window.
    ///
    /// # Errors
    /// If there is no such axis, a window is empty or longer than its axis, or there are more than 65 536 places in one.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::arange_i64(0, 5, 1)?.rechunk([2])?;
    /// let windows = x.sliding_window_view(&[(0.into(), 3)])?;
    /// assert_eq!(windows.shape(), [3, 3]);
    /// assert_eq!(windows.compute::<i64>()?.as_slice(), Some(&[0, 1, 2, 1, 2, 3, 2, 3, 4][..]));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn sliding_window_view(&self, windows: &[(Axis, u64)]) -> Result<Self> {
        let mut seen = self.clone();
        for (axis, length) in windows {
            let axis = axis.resolve(self.names())?;
            let extent = seen.grid().axes().get(axis).map_or(0, crate::grid::AxisGrid::extent);
            if *length == 0 || *length > extent {
                let message =
                    format!("windows of {length} along axis {axis}, which has {extent}; give 1 to {extent}");
                return Err(Error::Usage { message });
            }
            let places = (0..*length).map(|first| {
                let last = extent - length + first + 1;
                seen.slice(axis, first as i64..last as i64)
            });
            let places = places.collect::<Result<Vec<_>>>()?;
            seen = Self::stack(&places, -1)?;
        }
        Ok(seen)
    }

    /// Windows of these lengths along these axes, that end at each element, or are centred on it.
    ///
    /// # Errors
    /// If there is no such axis, or a window is empty or longer than 2^24.
    pub fn rolling(&self, windows: &[(Axis, u64)]) -> Result<Windows> {
        let mut sizes = vec![1_usize; self.rank()];
        for (axis, length) in windows {
            let axis = axis.resolve(self.names())?;
            let length = usize::try_from(*length).ok().filter(|length| (1..=1 << 24).contains(length));
            sizes[axis] = length.ok_or_else(|| Error::Usage {
                message: format!("a window along axis {axis} has 1 to 2^24 elements"),
            })?;
        }
        let least = sizes.iter().product();
        Ok(Windows { filter: self.filter(), array: self.clone(), sizes, is_centred: false, least })
    }
}

impl Windows {
    /// Windows are centred on their results, one element more before than after where they are even.
    #[must_use]
    pub fn centred(self, is_centred: bool) -> Self {
        Self { is_centred, ..self }
    }

    /// Elements that are not NaN that a window must show, else its result is NaN; all of them if nothing is said.
    #[must_use]
    pub fn least(self, elements: usize) -> Self {
        Self { least: elements, ..self }
    }

    /// What each window becomes, of those of its elements that are not NaN. Floats keep their dtype, all else becomes
    /// float64.
    ///
    /// # Errors
    /// If windows have too many elements, or the array is complex.
    pub fn reduce(&self, of: Rolling) -> Result<Array> {
        let before: Vec<usize> =
            self.sizes.iter().map(|size| if self.is_centred { size / 2 } else { size - 1 }).collect();
        let dtype = if self.array.dtype().kind() == 'f' { self.array.dtype() } else { DType::F64 };
        let least = if of == Rolling::Count { 0 } else { self.least.max(1) };
        let step = Step::rolling(&self.sizes, &before, of, least)?;
        self.filter.clone().output(dtype).chained("rolling", vec![step])
    }
}
