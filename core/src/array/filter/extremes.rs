//! Means, extremes and ranks of windows.
//!
//! Called by programs and `eval`.

use super::{Filter, each};
use crate::array::Array;
use crate::error::{Error, Result};
use blockwise_kernels::DType;
use blockwise_kernels::filter::{Edge, Step};
use ndarray::{ArrayD, IxDyn};

/// A step of a filter along one axis: axis, size, origin, edge.
type Along = fn(usize, usize, i64, Edge) -> std::result::Result<Step, blockwise_kernels::KernelError>;

impl Filter {
    /// Means of windows of `sizes`: SciPy's `uniform_filter`. What is not finite makes only those results not finite whose
    /// windows hold it; SciPy's running sums carry it on.
    ///
    /// # Errors
    /// If a window is empty, options do not fit the axes, or the array is complex.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::arange(0.0, 6.0, 1.0)?.rechunk([4])?;
    /// assert_eq!(x.filter().uniform(&[3])?.compute::<f64>()?[[3]], 3.0);
    /// assert_eq!(x.filter().maximum(&[3])?.compute::<f64>()?[[3]], 4.0);
    /// assert_eq!(x.filter().origins(&[1]).minimum(&[3])?.compute::<f64>()?[[3]], 1.0);
    /// assert_eq!(x.filter().median(&[3])?.compute::<f64>()?[[3]], 3.0);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn uniform(&self, sizes: &[usize]) -> Result<Array> {
        self.chained("uniform_filter", self.along(sizes, Step::uniform)?)
    }

    /// Smallest elements of windows of `sizes`: SciPy's `minimum_filter`.
    ///
    /// # Errors
    /// As [`Filter::uniform`].
    pub fn minimum(&self, sizes: &[usize]) -> Result<Array> {
        self.chained("minimum_filter", self.along(sizes, Step::minimum)?)
    }

    /// Largest elements of windows of `sizes`: SciPy's `maximum_filter`.
    ///
    /// # Errors
    /// As [`Filter::uniform`].
    pub fn maximum(&self, sizes: &[usize]) -> Result<Array> {
        self.chained("maximum_filter", self.along(sizes, Step::maximum)?)
    }

    /// Smallest elements where `footprint` says so, which has an axis for each of the filter's.
    ///
    /// # Errors
    /// As [`Filter::uniform`]; if the footprint is empty or has other axes.
    pub fn minimum_of(&self, footprint: &ArrayD<bool>) -> Result<Array> {
        if footprint.iter().all(|inside| *inside) {
            return self.minimum(footprint.shape());
        }
        let ((edges, origins), window) = (self.all_axes()?, self.window(footprint.shape())?);
        let footprint: Vec<bool> = footprint.iter().copied().collect();
        let step = Step::erosion(&window, &footprint, None, &origins, &edges)?;
        self.chained("minimum_filter", vec![step])
    }

    /// Largest elements where `footprint` says so.
    ///
    /// # Errors
    /// As [`Filter::minimum_of`].
    pub fn maximum_of(&self, footprint: &ArrayD<bool>) -> Result<Array> {
        if footprint.iter().all(|inside| *inside) {
            return self.maximum(footprint.shape());
        }
        let ((edges, origins), window) = (self.all_axes()?, self.window(footprint.shape())?);
        let footprint: Vec<bool> = footprint.iter().copied().collect();
        self.chained("maximum_filter", vec![Step::largest(&window, &footprint, &origins, &edges)?])
    }

    /// Medians of windows of `sizes`, of an even number of elements the larger of the two: SciPy's `median_filter`.
    ///
    /// # Errors
    /// As [`Filter::uniform`].
    pub fn median(&self, sizes: &[usize]) -> Result<Array> {
        self.median_of(&self.full(sizes)?)
    }

    /// Medians where `footprint` says so.
    ///
    /// # Errors
    /// As [`Filter::minimum_of`].
    pub fn median_of(&self, footprint: &ArrayD<bool>) -> Result<Array> {
        self.ranked("median_filter", (points(footprint) / 2) as i64, footprint)
    }

    /// The elements at `percentile` of windows, from 0 to 100, negative ones from the top: SciPy's `percentile_filter`.
    ///
    /// # Errors
    /// As [`Filter::minimum_of`]; if there is no such percentile.
    pub fn percentile_of(&self, percentile: f64, footprint: &ArrayD<bool>) -> Result<Array> {
        let level = if percentile < 0.0 { percentile + 100.0 } else { percentile };
        if !(0.0..=100.0).contains(&level) {
            let message = format!("a percentile of {percentile}; give one from -100 to 100");
            return Err(Error::Usage { message });
        }
        let count = points(footprint);
        let rank = if level == 100.0 { count as i64 - 1 } else { (count as f64 * level / 100.0) as i64 };
        self.ranked("percentile_filter", rank, footprint)
    }

    /// The elements of `rank` in windows, 0 the smallest and -1 the largest: SciPy's `rank_filter`.
    ///
    /// # Errors
    /// As [`Filter::minimum_of`]; if there are not as many elements.
    pub fn rank_of(&self, rank: i64, footprint: &ArrayD<bool>) -> Result<Array> {
        self.ranked("rank_filter", rank, footprint)
    }

    fn ranked(&self, name: &str, rank: i64, footprint: &ArrayD<bool>) -> Result<Array> {
        let count = points(footprint) as i64;
        let place = if rank < 0 { rank + count } else { rank };
        if place < 0 || place >= count {
            let message = format!("rank {rank} in a window of {count} elements; give one that it has");
            return Err(Error::Usage { message });
        }
        // Smallest and largest elements are doubles on their way; those of a rank are the array's own.
        let is_rounded = matches!(self.array.dtype(), DType::I64 | DType::U64) && footprint.len() > 1;
        if place == 0 && !is_rounded {
            return self.minimum_of(footprint);
        }
        if place + 1 == count && !is_rounded {
            return self.maximum_of(footprint);
        }
        let ((edges, origins), window) = (self.all_axes()?, self.window(footprint.shape())?);
        let footprint: Vec<bool> = footprint.iter().copied().collect();
        self.chained(name, vec![Step::rank(&window, &footprint, place as usize, &origins, &edges)?])
    }

    /// A footprint of windows of `sizes`, with an axis for each of the filter's.
    ///
    /// # Errors
    /// If there are not as many sizes as axes, or too many elements.
    pub fn full(&self, sizes: &[usize]) -> Result<ArrayD<bool>> {
        let sizes = each("size", sizes, self.own_axes()?.len())?;
        let total = sizes.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
        if total.is_none_or(|total| total > 1 << 24) {
            let message = format!("a window of {sizes:?} elements; at most 2^24 can be ranked");
            return Err(Error::Usage { message });
        }
        Ok(ArrayD::from_elem(IxDyn(&sizes), true))
    }

    pub(super) fn along(&self, sizes: &[usize], step: Along) -> Result<Vec<Step>> {
        let axes = self.own_axes()?;
        let sizes = each("size", sizes, axes.len())?;
        let origins = each("origin", &self.origins, axes.len())?;
        let mut steps = Vec::with_capacity(axes.len());
        for (((axis, edge), size), origin) in axes.into_iter().zip(sizes).zip(origins) {
            // As SciPy: a window of one element leaves everything as it is, whatever its origin.
            if size != 1 {
                steps.push(step(axis, size, origin, edge)?);
            }
        }
        Ok(steps)
    }
}

fn points(footprint: &ArrayD<bool>) -> usize {
    footprint.iter().filter(|inside| **inside).count()
}
