//! Correlations and convolutions, and the differences that are made of them.
//!
//! Called by programs and `eval`.

use super::Filter;
use crate::array::{Array, Axis};
use crate::error::Result;
use blockwise_kernels::filter::{Edge, Step, Terms};
use ndarray::ArrayD;

impl Filter {
    /// The sum of the elements of windows, each with its weight: SciPy's `correlate`. Weights have an axis for each of the
    /// filter's.
    ///
    /// # Errors
    /// If weights or options do not fit the axes, or the array is complex.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::from_fn(&[6, 6], |at| (at[0] * 10 + at[1]) as f64)?.rechunk([4, 3])?;
    /// let weights = ndarray::arr2(&[[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]).into_dyn();
    /// assert_eq!(x.filter().correlate(&weights)?.compute::<f64>()?[[3, 3]], 24.0);
    /// assert_eq!(x.filter().convolve(&weights)?.compute::<f64>()?[[3, 3]], 42.0);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn correlate(&self, weights: &ArrayD<f64>) -> Result<Array> {
        let ((edges, origins), window) = (self.all_axes()?, self.window(weights.shape())?);
        let weights: Vec<f64> = weights.iter().copied().collect();
        self.chained("correlate", vec![Step::correlate(&window, &weights, &origins, &edges)?])
    }

    /// As [`Filter::correlate`], with the weights from the other ends: SciPy's `convolve`.
    ///
    /// # Errors
    /// As [`Filter::correlate`].
    pub fn convolve(&self, weights: &ArrayD<f64>) -> Result<Array> {
        let ((edges, origins), window) = (self.all_axes()?, self.window(weights.shape())?);
        let weights: Vec<f64> = weights.iter().copied().collect();
        self.chained("convolve", vec![Step::convolve(&window, &weights, &origins, &edges)?])
    }

    /// The sum of elements along each of the filter's axes, with these weights: SciPy's `correlate1d`.
    ///
    /// # Errors
    /// As [`Filter::correlate`].
    pub fn correlate1d(&self, weights: &[f64]) -> Result<Array> {
        let axes =
            self.own_axes()?.into_iter().zip(super::each("origin", &self.origins, self.own_axes()?.len())?);
        let steps = axes.map(|((axis, edge), origin)| Ok(Step::correlate1d(axis, weights, origin, edge)?));
        self.chained("correlate1d", steps.collect::<Result<_>>()?)
    }

    /// As [`Filter::correlate1d`], with the weights from the other end: SciPy's `convolve1d`.
    ///
    /// # Errors
    /// As [`Filter::correlate`].
    pub fn convolve1d(&self, weights: &[f64]) -> Result<Array> {
        let axes =
            self.own_axes()?.into_iter().zip(super::each("origin", &self.origins, self.own_axes()?.len())?);
        let steps = axes.map(|((axis, edge), origin)| Ok(Step::convolve1d(axis, weights, origin, edge)?));
        self.chained("convolve1d", steps.collect::<Result<_>>()?)
    }

    /// Differences along `axis`, smoothed along the others with weights 1, 2, 1: SciPy's `sobel`.
    ///
    /// # Errors
    /// As [`Filter::correlate`]; if `axis` is none of the filter's.
    pub fn sobel(&self, axis: impl Into<Axis>) -> Result<Array> {
        self.chained("sobel", self.differences(&axis.into(), &[1.0, 2.0, 1.0])?)
    }

    /// Differences along `axis`, smoothed along the others with weights 1, 1, 1: SciPy's `prewitt`.
    ///
    /// # Errors
    /// As [`Filter::sobel`].
    pub fn prewitt(&self, axis: impl Into<Axis>) -> Result<Array> {
        self.chained("prewitt", self.differences(&axis.into(), &[1.0, 1.0, 1.0])?)
    }

    fn differences(&self, axis: &Axis, smooth: &[f64]) -> Result<Vec<Step>> {
        let axis = axis.resolve(self.array.names())?;
        let (own, others): (Vec<_>, Vec<_>) =
            self.own_axes()?.into_iter().partition(|(other, _)| *other == axis);
        let edge = own.first().map_or(Edge::Reflect, |(_, edge)| *edge);
        let mut steps = vec![Step::correlate1d(axis, &[-1.0, 0.0, 1.0], 0, edge)?];
        for (other, edge) in others {
            steps.push(Step::correlate1d(other, smooth, 0, edge)?);
        }
        Ok(steps)
    }

    /// The sum of second differences along all of the filter's axes: SciPy's `laplace`.
    ///
    /// # Errors
    /// As [`Filter::correlate`].
    pub fn laplace(&self) -> Result<Array> {
        let chain = |(axis, edge)| Ok(vec![Step::correlate1d(axis, &[1.0, -2.0, 1.0], 0, edge)?]);
        let chains = self.own_axes()?.into_iter().map(chain).collect::<Result<Vec<_>>>()?;
        let chains = if chains.is_empty() { vec![Vec::new()] } else { chains };
        self.combined("laplace", chains, Terms::Sum)
    }
}
