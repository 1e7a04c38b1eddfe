//! Ranges, weighted averages, covariances and correlations, with NumPy's meaning.
//!
//! Invariant: covariances are sums of products of float64 in an order that the array's cuts alone decide. Called by
//! programs and `eval`.

use super::states::States;
use super::tasks::{block_elements, pieces_along};
use super::{Array, Axes};
use crate::block::blocks;
use crate::error::{Error, Result};
use crate::grid::{AxisGrid, ChunkGrid};
use blockwise_kernels::{DType, Element};
use ndarray::{ArrayView2, ArrayViewMut2, linalg::general_mat_mul};

impl Array {
    /// NumPy's `ptp`: the largest less the smallest elements over `axes`.
    ///
    /// # Errors
    /// As [`Array::max`].
    pub fn ptp(&self, axes: impl Into<Axes>) -> Result<Self> {
        let axes = axes.into();
        self.max(axes.clone())?.try_sub(self.min(axes)?)
    }

    /// NumPy's `average`: the mean over `axes` with weights, which broadcast to the array.
    ///
    /// # Errors
    /// If the weights do not broadcast to the array, or there is no such axis.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::arange(0.0, 4.0, 1.0)?;
    /// let weights = Array::from_ndarray(&ndarray::arr1(&[0.0, 0.0, 1.0, 3.0]).into_dyn())?;
    /// assert_eq!(x.average(0, &weights)?.compute::<f64>()?[[]], 2.75);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn average(&self, axes: impl Into<Axes>, weights: &Self) -> Result<Self> {
        let axes = axes.into();
        let weights = weights.broadcast_to(&self.shape())?;
        let inexact = |array: Self| {
            if matches!(array.dtype().kind(), 'f' | 'c') { array } else { array.astype(DType::F64) }
        };
        let (x, weights) = (inexact(self.clone()), inexact(weights));
        let weights = weights.renamed(self.names().to_vec());
        x.try_mul(&weights)?.sum(axes.clone())?.try_div(weights.sum(axes)?)
    }

    /// NumPy's `cov`: the covariances, as `float64`, of the variables along axis 0, observed along axis 1, with `ddof` delta
    /// degrees of freedom (NumPy's default: 1). There may be few variables: a block holds all of them.
    ///
    /// # Errors
    /// If the array has not two axes, is complex, or has no observations.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::from_ndarray(&ndarray::arr2(&[[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]).into_dyn())?;
    /// assert_eq!(x.cov(1.0)?.compute::<f64>()?, ndarray::arr2(&[[1.0, -1.0], [-1.0, 1.0]]).into_dyn());
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn cov(&self, ddof: f64) -> Result<Self> {
        let [variables, observations] = self.shape()[..] else {
            return Err(Error::Rank { expected: 2, found: self.rank() });
        };
        if self.dtype().kind() == 'c' || observations == 0 || variables == 0 {
            let message = format!(
                "no covariances of {variables} variables with {observations} observations of {}; give real ones, at least one",
                self.dtype()
            );
            return Err(Error::Usage { message });
        }
        let x = self.astype(DType::F64);
        let centred = x.try_sub(x.mean(1)?.expand_dims(1)?)?;
        let long = pieces_along(&centred, 1, block_elements(centred.grid(), 8) / variables)?;
        let tasks = ChunkGrid::from_axes(vec![
            AxisGrid::regular(variables, variables)?,
            long.axes().get(1).cloned().unwrap_or_else(AxisGrid::empty),
        ])?;
        let side = usize::try_from(variables)
            .map_err(|_| Error::TooLarge { what: "covariance", shape: self.shape() })?;
        let cells = side.checked_mul(side).filter(|cells| cells.checked_mul(8).is_some());
        let cells =
            cells.ok_or_else(|| Error::TooLarge { what: "covariance", shape: vec![variables, variables] })?;
        // As NumPy: no less than nothing to divide by, so that no variance is negative.
        let divisor = (observations as f64 - ddof).max(0.0);
        let internal = |fault: ndarray::ShapeError| Error::Internal { message: fault.to_string() };
        let states = States {
            name: "covariance",
            bytes: 8 * cells as u64,
            // Panels of the product: at most 256 deep, 1024 and 64 wide, rounded up.
            scratch_bytes: 8 * observations.min(256) * (variables.min(1024) + variables.min(64) + 64),
            add: Box::new(move |_, inputs, state| {
                let [block] = blocks(inputs)?;
                let values = block.elements::<f64>().unwrap_or_default();
                let rows =
                    ArrayView2::from_shape((side, values.len() / side.max(1)), values).map_err(internal)?;
                let sums: &mut [f64] = bytemuck::cast_slice_mut(state);
                let mut sums = ArrayViewMut2::from_shape((side, side), sums).map_err(internal)?;
                general_mat_mul(1.0, &rows, &rows.t(), 0.0, &mut sums);
                Ok(())
            }),
            combine: Box::new(|into, next| {
                let next = f64::cast_slice(next).unwrap_or_default();
                for (sum, more) in bytemuck::cast_slice_mut::<u8, f64>(into).iter_mut().zip(next) {
                    *sum += more;
                }
                Ok(())
            }),
            finish: Box::new(move |state, out| {
                let sums = f64::cast_slice(state).unwrap_or_default();
                for (out, sum) in out.elements_mut::<f64>().unwrap_or_default().iter_mut().zip(sums) {
                    *out = sum / divisor;
                }
                Ok(())
            }),
        };
        states.reduce_blocks(vec![(&centred).into()], tasks, DType::F64, &[variables, variables])
    }

    /// NumPy's `corrcoef`: the correlations, as `float64`, of the variables along axis 0, observed along axis 1.
    ///
    /// # Errors
    /// As [`Array::cov`].
    pub fn corrcoef(&self) -> Result<Self> {
        let cov = self.cov(0.0)?;
        let x = self.astype(DType::F64);
        let deviation = x.std(1)?;
        let ratio = cov.try_div(deviation.expand_dims(1)?)?.try_div(deviation.expand_dims(0)?)?;
        Self::call("clip", [ratio.into(), (-1.0).into(), 1.0.into()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_variance_is_negative() {
        let x = Array::from_ndarray(&ndarray::arr2(&[[1.0, 2.0, 4.0], [1.0, 3.0, 0.0]]).into_dyn()).unwrap();
        let found = x.cov(5.0).unwrap().compute::<f64>().unwrap().into_raw_vec_and_offset().0;
        assert_eq!(found, [f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY, f64::INFINITY]);
    }
}
