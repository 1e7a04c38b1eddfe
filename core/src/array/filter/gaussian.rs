//! Gaussian filters, their derivatives, and what is made of those.
//!
//! Called by programs and `eval`.

use super::{Filter, each};
use crate::array::Array;
use crate::error::{Error, Result};
use blockwise_kernels::filter::{Edge, Step, Terms, gaussian_weights};

/// Deviations up to which an axis is not filtered.
const NO_DEVIATION: f64 = 1e-15;

impl Filter {
    /// Means with the weights of a Gaussian of standard deviations `sigmas`, in elements: SciPy's `gaussian_filter`.
    ///
    /// # Errors
    /// If a deviation is negative or infinite, options do not fit the axes, or the array is complex.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::full(&[50, 50], 3.0_f64.into())?.rechunk([20, 20])?;
    /// let smooth = x.filter().gaussian(&[2.0])?.compute::<f64>()?;
    /// assert!(smooth.iter().all(|value| (value - 3.0).abs() < 1e-14));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn gaussian(&self, sigmas: &[f64]) -> Result<Array> {
        self.gaussian_derivative(sigmas, &[0])
    }

    /// As [`Filter::gaussian`], with the derivative of an order along each axis.
    ///
    /// # Errors
    /// As [`Filter::gaussian`].
    pub fn gaussian_derivative(&self, sigmas: &[f64], orders: &[usize]) -> Result<Array> {
        let count = self.own_axes()?.len();
        self.chained("gaussian_filter", self.gaussians(sigmas, &each("order", orders, count)?)?)
    }

    /// The sum of the second derivatives of a Gaussian along all axes: SciPy's `gaussian_laplace`.
    ///
    /// # Errors
    /// As [`Filter::gaussian`].
    pub fn gaussian_laplace(&self, sigmas: &[f64]) -> Result<Array> {
        self.combined("gaussian_laplace", self.of_each_axis(sigmas, 2)?, Terms::Sum)
    }

    /// The length of the gradient, by derivatives of a Gaussian: SciPy's `gaussian_gradient_magnitude`.
    ///
    /// # Errors
    /// As [`Filter::gaussian`].
    pub fn gaussian_gradient_magnitude(&self, sigmas: &[f64]) -> Result<Array> {
        self.combined("gaussian_gradient_magnitude", self.of_each_axis(sigmas, 1)?, Terms::Norm)
    }

    /// For every axis a chain with the derivative of `order` along it. As in SciPy, the mode of that axis is the mode of its
    /// whole chain.
    fn of_each_axis(&self, sigmas: &[f64], order: usize) -> Result<Vec<Vec<Step>>> {
        let axes = self.own_axes()?;
        let wrapped = axes.iter().filter(|(_, edge)| *edge == Edge::Wrap).count();
        if wrapped > 0 && wrapped < axes.len() {
            let message = "modes that wrap along some axes only; give 'wrap' for all of them, or for none";
            return Err(Error::Usage { message: message.to_owned() });
        }
        let chain = |(own, (_, edge)): (usize, &(usize, Edge))| {
            let orders: Vec<usize> = (0..axes.len()).map(|n| if n == own { order } else { 0 }).collect();
            self.clone().modes(&[*edge]).gaussians(sigmas, &orders)
        };
        axes.iter().enumerate().map(chain).collect()
    }

    fn gaussians(&self, sigmas: &[f64], orders: &[usize]) -> Result<Vec<Step>> {
        let axes = self.own_axes()?;
        let sigmas = each("sigma", sigmas, axes.len())?;
        let radii = self.radii.as_ref().map(|radii| each("radius", radii, axes.len())).transpose()?;
        let mut steps = Vec::with_capacity(axes.len());
        for (n, (((axis, edge), sigma), order)) in axes.into_iter().zip(sigmas).zip(orders).enumerate() {
            if !(sigma >= 0.0 && sigma.is_finite() && self.truncate >= 0.0) {
                let message = format!(
                    "a Gaussian of deviation {sigma}, truncated at {} of them; give finite numbers from 0 up",
                    self.truncate
                );
                return Err(Error::Usage { message });
            }
            if sigma <= NO_DEVIATION {
                continue;
            }
            let own = radii.as_ref().and_then(|radii| radii.get(n)).copied();
            let radius = own.unwrap_or((self.truncate * sigma + 0.5) as usize);
            steps.push(Step::correlate1d(axis, &gaussian_weights(sigma, *order, radius)?, 0, edge)?);
        }
        Ok(steps)
    }
}
