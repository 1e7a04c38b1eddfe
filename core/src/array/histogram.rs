//! Histograms of one or more dimensions, and `bincount`, with NumPy's rules.
//!
//! Counts are exact; sums of weights carry their errors along. Invariant: bins are given, since what lies in an array is not
//! known before it is read. Called by programs and `eval`.

use super::Array;
use super::states::States;
use crate::error::{Error, Result};
use blockwise_kernels::DType;
use blockwise_kernels::histogram::{Bins, Histogram};

impl Array {
    /// How many elements lie in each bin, as `int64`; with `weights`, of the same shape, the sums of theirs, as `float64`.
    ///
    /// # Errors
    /// If the shapes differ, the dtype is complex, or there are too many bins.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// use blockwise_kernels::histogram::Bins;
    /// let x = Array::arange(0.0, 10.0, 0.5)?;
    /// let bins = Bins::uniform(4, 0.0, 8.0, x.dtype())?;
    /// assert_eq!(bins.edge_values(), [0.0, 2.0, 4.0, 6.0, 8.0]);
    /// assert_eq!(x.histogram(bins, None)?.compute::<i64>()?.as_slice(), Some(&[4, 4, 4, 5][..]));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn histogram(&self, bins: Bins, weights: Option<&Self>) -> Result<Self> {
        Self::histogramdd(std::slice::from_ref(self), vec![bins], weights, false)
    }

    /// The probability density in each bin, so that the integral over all bins is 1, as `float64`.
    ///
    /// # Errors
    /// As [`Array::histogram`].
    pub fn histogram_density(&self, bins: Bins, weights: Option<&Self>) -> Result<Self> {
        Self::histogramdd(std::slice::from_ref(self), vec![bins], weights, true)
    }

    /// A histogram of several dimensions: `samples` holds an array of coordinates for each, all of one shape, and `bins`
    /// the bins along it.
    ///
    /// # Errors
    /// If there are not as many bins as samples, shapes differ, a dtype is complex, or there are too many bins.
    pub fn histogramdd(
        samples: &[Self],
        bins: Vec<Bins>,
        weights: Option<&Self>,
        density: bool,
    ) -> Result<Self> {
        let Some(first) = samples.first().filter(|_| samples.len() == bins.len()) else {
            let message = format!(
                "{} arrays of coordinates for {} lists of bins; give one array for each",
                samples.len(),
                bins.len()
            );
            return Err(Error::Usage { message });
        };
        let shape = first.shape();
        for array in samples.iter().chain(weights) {
            if array.shape() != shape {
                return Err(Error::Shape { expected: shape, found: array.shape() });
            }
            if array.dtype().kind() == 'c' {
                let message = format!("no histogram of {}; take the real or imaginary part", array.dtype());
                return Err(Error::Usage { message });
            }
        }
        if density && bins.iter().any(|bins| bins.edge_values().is_empty()) {
            let message = "a density needs bins with edges; count whole numbers without".to_owned();
            return Err(Error::Usage { message });
        }
        let counts: Vec<u64> = bins.iter().map(|bins| bins.count() as u64).collect();
        let histogram = Histogram::new(bins.clone(), weights.is_some())?;
        let dtype = if density { DType::F64 } else { histogram.output_dtype() };
        let weights = weights.map(|weights| weights.astype(DType::F64));
        let inputs = samples.iter().chain(weights.as_ref()).map(Into::into).collect();
        let dimensions = samples.len();
        let (adding, finishing) = (histogram.clone(), histogram.clone());
        let cells = histogram.cells() as u64;
        let states = States {
            name: "histogram",
            bytes: histogram.state_bytes() as u64,
            // The list of coordinates; and of a density, its sums.
            scratch_bytes: 64 * dimensions as u64 + if density { cells.saturating_mul(8) } else { 0 },
            add: Box::new(move |_, blocks, state| {
                let (coordinates, weights) = blocks.split_at(dimensions.min(blocks.len()));
                let coordinates: Vec<(&[u8], DType)> =
                    coordinates.iter().map(|block| (block.bytes, block.dtype)).collect();
                let weights = weights.first().and_then(|weights| weights.elements::<f64>());
                Ok(adding.add(&coordinates, weights, state)?)
            }),
            combine: Box::new(move |into, from| Ok(histogram.combine(into, from)?)),
            finish: Box::new(move |state, out| {
                finishing.finish(state, out.bytes_mut())?;
                if density {
                    to_density(&bins, finishing.output_dtype(), out.bytes_mut());
                }
                Ok(())
            }),
        };
        states.reduce(inputs, first.grid(), dtype, &counts)
    }

    /// NumPy's `bincount`: how often each of the whole numbers below `count` occurs, as `int64`; with `weights`, of the same
    /// shape, the sums of theirs, as `float64`.
    ///
    /// # Errors
    /// If the array does not hold whole numbers, or `count` is 0. A number that is negative or not below `count` is an error
    /// when the array is computed.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::from_fn(&[10], |at| at[0] * at[0] % 5)?;
    /// assert_eq!(x.bincount(5, None)?.compute::<i64>()?.as_slice(), Some(&[2, 4, 0, 0, 4][..]));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn bincount(&self, count: usize, weights: Option<&Self>) -> Result<Self> {
        if !matches!(self.dtype().kind(), 'b' | 'i' | 'u') || count == 0 {
            let message =
                format!("bincount counts whole numbers below 1 or more, not {count} of {}", self.dtype());
            return Err(Error::Usage { message });
        }
        self.histogram(Bins::whole(count), weights)
    }
}

/// Makes counts, or sums, of `dtype` densities: shares of all, by the width of their bins.
fn to_density(bins: &[Bins], dtype: DType, cells: &mut [u8]) {
    let (items, _) = cells.as_chunks_mut::<8>();
    let value = |item: &[u8; 8]| match dtype {
        DType::I64 => i64::from_ne_bytes(*item) as f64,
        _ => f64::from_ne_bytes(*item),
    };
    let total: f64 = items.iter().map(value).sum();
    for (number, item) in items.iter_mut().enumerate() {
        let mut rest = number;
        let mut volume = 1.0;
        for bins in bins.iter().rev() {
            let at = rest % bins.count().max(1);
            rest /= bins.count().max(1);
            if let Some([low, high]) = bins.edge_values().get(at..at + 2) {
                volume *= high - low;
            }
        }
        *item = (value(item) / volume / total).to_ne_bytes();
    }
}
