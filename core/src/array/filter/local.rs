//! Local thresholds: for each element what its neighbourhood comes to, as scikit-image's `threshold_local`.
//!
//! Called by programs and `eval`.

use super::{Filter, each};
use crate::array::Array;
use crate::error::{Error, Result};
use blockwise_kernels::DType;

/// What of a neighbourhood is a local threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LocalThreshold {
    /// The mean, weighted by a Gaussian that has almost all of its weight in the block: a standard deviation of a sixth of it.
    #[default]
    Gaussian,
    /// The mean.
    Mean,
    /// The median.
    Median,
}

impl Filter {
    /// For each element what `method` makes of the block of `sizes` elements around it, less `offset`: scikit-image's
    /// `threshold_local`. `float32` stays, and of 16-bit floats it is made; all else becomes `float64`.
    ///
    /// # Errors
    /// If a size is even, or as [`Filter::uniform`].
    ///
    /// ```
    /// use blockwise_core::Array;
    /// use blockwise_core::array::LocalThreshold;
    /// let x = Array::arange(0.0, 9.0, 1.0)?.rechunk([4])?;
    /// let means = x.filter().threshold_local(&[3], LocalThreshold::Mean, 0.5)?;
    /// assert_eq!(means.compute::<f64>()?[[4]], 3.5);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn threshold_local(&self, sizes: &[usize], method: LocalThreshold, offset: f64) -> Result<Array> {
        let sizes = each("block size", sizes, self.rank()?)?;
        if let Some(even) = sizes.iter().find(|size| size.is_multiple_of(2)) {
            let message = format!("a block of {even} elements has no middle; give odd block sizes");
            return Err(Error::Usage { message });
        }
        let dtype = match self.array.dtype() {
            DType::F16 | DType::BF16 | DType::F32 => DType::F32,
            complex if complex.kind() == 'c' => complex,
            _ => DType::F64,
        };
        let own = Self { array: self.array.astype(dtype), output: Some(dtype), ..self.clone() };
        let made = match method {
            LocalThreshold::Gaussian => {
                own.gaussian(&sizes.iter().map(|size| (size - 1) as f64 / 6.0).collect::<Vec<_>>())
            }
            LocalThreshold::Mean => own.uniform(&sizes),
            LocalThreshold::Median => own.median(&sizes),
        }?;
        if offset == 0.0 { Ok(made) } else { made.try_sub(offset) }
    }
}
