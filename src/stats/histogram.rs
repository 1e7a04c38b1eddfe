//! A histogram made in one pass, without knowing the range beforehand.
//!
//! Bins are as wide as a power of two and start at multiples of their width, so the bins of a wider range are unions of
//! those of a narrower one: what was counted is never counted again, and counts are exact. Invariant: the bins that
//! come out depend on the elements alone, not on the order in which chunks arrive. Called by [`super::stats`].

use blockwise_core::{Array, Chunk, ChunkGrid, DType, Result, Sharing, Sink, TaskContext};
use blockwise_kernels::cast;
use std::sync::{Mutex, PoisonError};

/// Bins at most.
const MAX_BINS: i64 = 64;

/// Bins are never finer than the largest number by this power of two, so that their numbers fit.
const FINEST: i32 = 40;

/// The width of what holds zeros alone, which lie in bin 0 of every width.
const ZEROS: i32 = -1000;

/// Elements that are converted at once.
const BATCH: usize = 1024;

/// How many elements lie where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Bins are 2 to this power wide.
    exponent: i32,
    /// The first bin starts at this many widths.
    first: i64,
    counts: Vec<u64>,
    /// Elements that are negative or positive infinity.
    infinite: [u64; 2],
}

impl Histogram {
    /// The histogram of numbers; NaN is left out. Of whole numbers no bin is narrower than 1.
    #[must_use]
    pub fn of(numbers: &[f64], is_whole: bool) -> Self {
        let mut histogram = Self::default();
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for number in numbers {
            if number.is_finite() {
                least = least.min(*number);
                most = most.max(*number);
            } else if !number.is_nan() {
                histogram.infinite[usize::from(*number > 0.0)] += 1;
            }
        }
        if least > most {
            return histogram;
        }
        let exponent = exponent_for(least, most, is_whole);
        let scale = power_of_two(-exponent);
        let first = bin(least, scale);
        histogram.exponent = exponent;
        histogram.first = first;
        histogram.counts = vec![0; (bin(most, scale) - first + 1).unsigned_abs() as usize];
        for number in numbers.iter().filter(|number| number.is_finite()) {
            if let Some(count) =
                histogram.counts.get_mut((bin(*number, scale) - first).unsigned_abs() as usize)
            {
                *count += 1;
            }
        }
        histogram
    }

    /// Adds what another one counted.
    pub fn add(&mut self, other: &Self) {
        for (own, more) in self.infinite.iter_mut().zip(other.infinite) {
            *own += more;
        }
        if other.counts.is_empty() {
            return;
        }
        if self.counts.is_empty() {
            (self.exponent, self.first, self.counts) = (other.exponent, other.first, other.counts.clone());
            return;
        }
        let mut exponent = self.exponent.max(other.exponent);
        let ends = |exponent: i32| {
            let (a, b) = (self.ends(exponent), other.ends(exponent));
            (a.0.min(b.0), a.1.max(b.1))
        };
        while ends(exponent).1 - ends(exponent).0 >= MAX_BINS {
            exponent += 1;
        }
        let (first, last) = ends(exponent);
        let mut counts = vec![0; (last - first + 1).unsigned_abs() as usize];
        for part in [&*self, other] {
            for (n, count) in (0_i64..).zip(&part.counts) {
                let at = wider(part.first + n, exponent - part.exponent) - first;
                if let Some(sum) = counts.get_mut(at.unsigned_abs() as usize) {
                    *sum += count;
                }
            }
        }
        (self.exponent, self.first, self.counts) = (exponent, first, counts);
    }

    /// The first and last bin, were bins 2 to the power `exponent` wide.
    fn ends(&self, exponent: i32) -> (i64, i64) {
        let by = exponent - self.exponent;
        (wider(self.first, by), wider(self.first + self.counts.len() as i64 - 1, by))
    }

    /// Where bins start, and where the last one ends: one more than there are counts.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "bin numbers are below 2^53")]
    pub fn edges(&self) -> Vec<f64> {
        let width = power_of_two(self.exponent);
        (0..=self.counts.len() as i64).map(|n| (self.first + n) as f64 * width).collect()
    }

    /// Elements in each bin, its lower edge included.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Elements that are negative infinity, and those that are positive infinity.
    #[must_use]
    pub const fn infinite(&self) -> [u64; 2] {
        self.infinite
    }

    /// Elements that were counted: all but NaN.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().chain(&self.infinite).sum()
    }
}

/// The narrowest bins that hold a range in at most [`MAX_BINS`]. Of a wider range it is the same or larger.
fn exponent_for(least: f64, most: f64, is_whole: bool) -> i32 {
    let largest = least.abs().max(most.abs());
    if largest == 0.0 {
        return ZEROS;
    }
    #[expect(clippy::cast_possible_truncation, reason = "exponents of doubles are small")]
    let magnitude = largest.log2().floor() as i32;
    let mut exponent = (magnitude - FINEST).max(ZEROS);
    if is_whole {
        exponent = exponent.max(0);
    }
    loop {
        let scale = power_of_two(-exponent);
        if bin(most, scale) - bin(least, scale) < MAX_BINS {
            return exponent;
        }
        exponent += 1;
    }
}

/// The bin in which a number lies.
#[expect(clippy::cast_possible_truncation, reason = "bins are chosen so that their numbers fit")]
fn bin(number: f64, scale: f64) -> i64 {
    let scaled = number * scale;
    // A tiny negative number may vanish when it is scaled; it lies below 0 all the same.
    if number < 0.0 && scaled == 0.0 { -1 } else { scaled.floor() as i64 }
}

/// The bin that holds a bin, were bins wider by a power of two.
fn wider(bin: i64, by: i32) -> i64 {
    bin >> by.clamp(0, 63)
}

fn power_of_two(exponent: i32) -> f64 {
    2.0_f64.powi(exponent)
}

/// Counts the chunks that it is given, and forgets them.
pub(super) struct HistogramSink {
    label: String,
    dtype: DType,
    grid: ChunkGrid,
    state: Mutex<Histogram>,
}

impl HistogramSink {
    /// A sink for the elements of `array`.
    pub(super) fn new(label: &str, array: &Array) -> Self {
        let (dtype, grid) = (array.dtype(), array.grid().clone());
        Self { label: label.to_owned(), dtype, grid, state: Mutex::default() }
    }

    /// What was counted.
    pub(super) fn result(&self) -> Histogram {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Sink for HistogramSink {
    fn label(&self) -> &str {
        &self.label
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn write_scratch_bytes(&self) -> u64 {
        // A batch of doubles, and three histograms.
        (BATCH as u64 + 3 * MAX_BINS.unsigned_abs()) * 8
    }

    fn write(&self, _index: &[u64], chunk: &Chunk, _cx: &TaskContext<'_>) -> Result<u64> {
        let is_whole = !matches!(self.dtype.kind(), 'f');
        let mut counted = Histogram::default();
        let mut wide = [0.0_f64; BATCH];
        let mut bytes = vec![0; BATCH * size_of::<f64>()];
        for batch in chunk.bytes().chunks(BATCH * self.dtype.size()) {
            let count = batch.len() / self.dtype.size();
            let to = bytes.get_mut(..count * size_of::<f64>()).unwrap_or_default();
            cast(to, DType::F64, batch, self.dtype)
                .map_err(|fault| blockwise_core::Error::Internal { message: fault.to_string() })?;
            let numbers = wide.get_mut(..count).unwrap_or_default();
            for (number, bytes) in numbers.iter_mut().zip(to.chunks_exact(size_of::<f64>())) {
                *number = bytes.try_into().map_or(f64::NAN, f64::from_ne_bytes);
            }
            counted.add(&Histogram::of(numbers, is_whole));
        }
        self.state.lock().unwrap_or_else(PoisonError::into_inner).add(&counted);
        Ok(0)
    }

    fn sharing(&self) -> Sharing {
        Sharing::Held
    }

    fn finish(&self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bins_are_round_and_hold_all() {
        let numbers: Vec<f64> = (0..1000).map(|n| f64::from(n) * 0.1 - 20.0).collect();
        let histogram = Histogram::of(&numbers, false);
        let (edges, counts) = (histogram.edges(), histogram.counts());
        assert_eq!((edges.len(), edges[0], edges[1] - edges[0]), (counts.len() + 1, -20.0, 2.0));
        for (n, count) in counts.iter().enumerate() {
            let inside = numbers.iter().filter(|x| (edges[n]..edges[n + 1]).contains(*x)).count();
            assert_eq!(*count, inside as u64);
        }
    }

    #[test]
    fn odd_numbers_are_counted() {
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 5e-324, f64::MAX, f64::MIN];
        let histogram = Histogram::of(&odd, false);
        assert_eq!((histogram.count(), histogram.infinite()), (7, [1, 1]));
        assert_eq!(Histogram::of(&[0.0; 9], false).counts(), [9]);
        assert_eq!(Histogram::of(&[3.0, 3.0, 4.0], true).counts(), [2, 1]);
        assert_eq!(Histogram::of(&[f64::NAN], false).edges().len(), 1);
    }

    proptest! {
        #[test]
        fn order_and_cuts_do_not_matter(
            numbers in proptest::collection::vec(
                prop_oneof![-1e3..1e3_f64, -1e-3..1e-3_f64, Just(0.0), any::<f64>()], 1..60),
            cut in 1_usize..20,
        ) {
            let whole = Histogram::of(&numbers, false);
            let mut forward = Histogram::default();
            numbers.chunks(cut).for_each(|part| forward.add(&Histogram::of(part, false)));
            let mut backward = Histogram::default();
            numbers.rchunks(cut).for_each(|part| backward.add(&Histogram::of(part, false)));
            prop_assert_eq!(&forward, &backward);
            prop_assert_eq!(&forward, &whole);
            prop_assert!(whole.counts().len() <= 64);
        }
    }
}
