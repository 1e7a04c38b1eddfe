//! A threshold between two classes of elements: Otsu's, with scikit-image's bins.
//!
//! The bins lie between the smallest and the largest element, so that the array is read twice, within one plan. Invariant: counts
//! are exact, so the threshold does not depend on how the array is cut. Called by programs and `eval`.

use super::states::States;
use super::{Array, BlockInput, Reduce};
use crate::error::{Error, Result};
use blockwise_kernels::DType;
use blockwise_kernels::histogram::{Bins, Histogram};

/// Words of a state before the counts: the smallest and the largest element.
const BOUNDS: usize = 2;
const WORD_BYTES: usize = size_of::<u64>();

/// Values that whole numbers may span: each is a bin.
const MOST_VALUES: usize = 1 << 16;

/// Between which bounds elements are counted, and in which bins.
#[derive(Clone, Copy, Debug)]
enum Scale {
    /// Floats of a dtype, in so many even bins.
    Even(DType, usize),
    /// Whole numbers, in a bin each.
    Whole(usize),
}

impl Array {
    /// Otsu's threshold: the value that parts the elements into two classes whose means are farthest apart, weighted by how many
    /// they are; scikit-image's `threshold_otsu`. Floats are counted in `bins` even bins from the smallest to the largest, the
    /// threshold is the middle of one; whole numbers are bins themselves. One element, of an integer's threshold as `int64`, else of
    /// the array's dtype, at least `float32`. Reads the array twice.
    ///
    /// Source: N. Otsu, "A threshold selection method from gray-level histograms", IEEE Trans. Syst. Man Cybern. 9 (1979) 62–66.
    ///
    /// # Errors
    /// If the array is empty, complex or `uint64`, or there are no bins. When it is computed: if an element is NaN or infinite, or
    /// whole numbers span more than 65,536 values.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::from_fn(&[1000], |at| if at[0] % 4 == 0 { 200 + at[0] % 7 } else { at[0] % 10 })?.rechunk([64])?;
    /// let threshold = x.astype(blockwise_core::DType::U8).threshold_otsu(256)?;
    /// assert_eq!(threshold.compute::<i64>()?[[]], 9);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn threshold_otsu(&self, bins: usize) -> Result<Self> {
        let fault = |message: String| Err(Error::Usage { message });
        if self.is_empty() {
            return fault("a threshold of no elements; give some".to_owned());
        }
        if !(1..=1 << 20).contains(&bins) {
            return fault(format!("a threshold by {bins} bins; give 1 to 2^20"));
        }
        let (scale, counted, dtype) = match self.dtype() {
            DType::Bool => (Scale::Whole(2), DType::I64, DType::I64),
            DType::I8 | DType::U8 => (Scale::Whole(1 << 8), DType::I64, DType::I64),
            DType::I16 | DType::U16 | DType::I32 | DType::U32 | DType::I64 => {
                (Scale::Whole(MOST_VALUES), DType::I64, DType::I64)
            }
            DType::F16 | DType::BF16 => (Scale::Even(DType::F32, bins), DType::F32, DType::F32),
            own @ (DType::F32 | DType::F64) => (Scale::Even(own, bins), own, own),
            other => {
                return fault(format!("a threshold of {other}; convert it with astype(\"float64\") first"));
            }
        };
        let bounds = if let Scale::Whole(_) = scale { DType::I64 } else { DType::F64 };
        let extreme = |name: &str| -> Result<BlockInput> {
            let what = Reduce::named(name, 0.0)
                .ok_or_else(|| Error::Internal { message: format!("there is no {name}") })?;
            Ok((&self.reduce(what, .., true)?.astype(bounds)).into())
        };
        let inputs = vec![(&self.astype(counted)).into(), extreme("min")?, extreme("max")?];
        let states = States {
            name: "Otsu's threshold",
            bytes: ((BOUNDS + scale.cells()) * WORD_BYTES) as u64,
            // Bins as a task makes them, and what the last one adds up.
            scratch_bytes: (7 * (scale.cells() + 1) * WORD_BYTES) as u64,
            add: Box::new(move |_, inputs, state| {
                let [elements, low, high] = crate::block::blocks(inputs)?;
                let bounds = [low.bytes, high.bytes].concat();
                scale.check(&bounds)?;
                let (own, counts) = state.split_at_mut(BOUNDS * WORD_BYTES);
                own.copy_from_slice(&bounds);
                scale.count((elements.bytes, elements.dtype), &bounds, counts)
            }),
            combine: Box::new(|into, from| {
                let (words, more) = (into.chunks_exact_mut(WORD_BYTES), from.chunks_exact(WORD_BYTES));
                for (word, more) in words.zip(more).skip(BOUNDS) {
                    let sum = number(word) + number(more);
                    word.copy_from_slice(&sum.to_ne_bytes());
                }
                Ok(())
            }),
            finish: Box::new(move |state, out| {
                let threshold = scale.threshold(state)?;
                if let Some([out]) = out.elements_mut::<f32>() {
                    *out = threshold as f32;
                } else if let Some([out]) = out.elements_mut::<f64>() {
                    *out = threshold;
                } else if let Some([out]) = out.elements_mut::<i64>() {
                    *out = threshold as i64;
                }
                Ok(())
            }),
        };
        states.reduce(inputs, self.grid(), dtype, &[])
    }
}

fn number(word: &[u8]) -> u64 {
    word.try_into().map_or(0, u64::from_ne_bytes)
}

impl Scale {
    const fn cells(self) -> usize {
        match self {
            Self::Even(_, cells) | Self::Whole(cells) => cells,
        }
    }

    /// The bounds that a state starts with, as they are in it.
    fn bounds(self, state: &[u8]) -> (f64, f64) {
        let mut words = state.chunks_exact(WORD_BYTES).map(number);
        let mut next = || words.next().unwrap_or(0);
        let value = |word: u64| match self {
            Self::Even(..) => f64::from_bits(word),
            Self::Whole(_) => word.cast_signed() as f64,
        };
        (value(next()), value(next()))
    }

    fn check(self, state: &[u8]) -> Result<()> {
        let (low, high) = self.bounds(state);
        let message = match self {
            Self::Even(..) if !(low.is_finite() && high.is_finite()) => {
                "a threshold of elements of which some are NaN or infinite; replace these first, as with nan_to_num"
                    .to_owned()
            }
            Self::Whole(cells) if high - low >= cells as f64 => format!(
                "a threshold of whole numbers from {low} to {high}, more than {MOST_VALUES} values; convert them with astype(\"float64\"), to count them in bins"
            ),
            _ => return Ok(()),
        };
        Err(Error::Usage { message })
    }

    fn bins(self, low: f64, high: f64) -> Result<Bins> {
        let (count, dtype) = match self {
            Self::Even(dtype, count) => (count, dtype),
            Self::Whole(count) => (count, DType::F64),
        };
        Ok(Bins::uniform(count, low, high, dtype)?)
    }

    /// Counts elements between the bounds that a state starts with.
    fn count(self, (bytes, dtype): (&[u8], DType), bounds: &[u8], counts: &mut [u8]) -> Result<()> {
        let (low, high) = self.bounds(bounds);
        if let Self::Even(..) = self {
            let histogram = Histogram::new(vec![self.bins(low, high)?], false)?;
            return Ok(histogram.add(&[(bytes, dtype)], None, counts)?);
        }
        let low = number(bounds.get(..WORD_BYTES).unwrap_or_default());
        let (words, _) = counts.as_chunks_mut::<WORD_BYTES>();
        for element in bytes.chunks_exact(WORD_BYTES) {
            let place = number(element).wrapping_sub(low);
            if let Some(word) = usize::try_from(place).ok().and_then(|place| words.get_mut(place)) {
                *word = (u64::from_ne_bytes(*word) + 1).to_ne_bytes();
            }
        }
        Ok(())
    }

    /// The threshold of all counts.
    fn threshold(self, state: &[u8]) -> Result<f64> {
        let (low, high) = self.bounds(state);
        if low >= high {
            return Ok(low);
        }
        let middles: Vec<f64> = match self {
            Self::Even(..) => self
                .bins(low, high)?
                .edge_values()
                .windows(2)
                .map(|edges| (edges[0] + edges[1]) / 2.0)
                .collect(),
            Self::Whole(_) => (0..=(high - low) as u32).map(|n| low + f64::from(n)).collect(),
        };
        let counts = state.chunks_exact(WORD_BYTES).skip(BOUNDS).map(|word| number(word) as f64);
        Ok(best(&counts.take(middles.len()).collect::<Vec<_>>(), &middles))
    }
}

/// Of the `middles` of bins the one behind which the two classes part best: the variance between them is largest, and of equals it
/// is the first.
fn best(counts: &[f64], middles: &[f64]) -> f64 {
    // How many there are from each bin on to the end, and the sum of their values.
    let mut above = vec![(0.0, 0.0); counts.len() + 1];
    for (n, (count, middle)) in counts.iter().zip(middles).enumerate().rev() {
        let (weight, sum) = above[n + 1];
        above[n] = (weight + count, sum + count * middle);
    }
    let (mut weight, mut sum) = (0.0, 0.0);
    let (mut most, mut found) = (f64::NEG_INFINITY, middles.first().copied().unwrap_or(0.0));
    for ((count, middle), (weight_above, sum_above)) in counts.iter().zip(middles).zip(above.iter().skip(1)) {
        weight += count;
        sum += count * middle;
        let apart = sum / weight - sum_above / weight_above;
        let variance = weight * weight_above * (apart * apart);
        if variance > most {
            (most, found) = (variance, *middle);
        }
    }
    found
}
