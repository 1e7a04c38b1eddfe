//! Statistics of what windows show and is not missing, as xarray's and pandas' `rolling`.
//!
//! NaN is missing, and so is what lies beyond the array. Deviations are taken from each window's own mean, so nothing is
//! lost where running sums of squares would cancel. Invariant: a result with fewer elements than asked for is NaN. Called
//! by windows of any shape.

use super::tile::{TILE, at};
use pulp::NullaryFnOnce;

/// What the elements of a window become.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rolling {
    /// How many there are.
    Count,
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// Their standard deviation; the divisor is their number less this.
    Std(f64),
    /// Their median: the mean of the middle two of an even number.
    Median,
}

/// Statistics of windows.
pub(super) struct Statistics<'a> {
    pub(super) from: &'a [f64],
    pub(super) offsets: &'a [usize],
    pub(super) of: Rolling,
    /// Elements that there must be.
    pub(super) least: f64,
    pub(super) out: &'a mut [f64],
}

impl NullaryFnOnce for Statistics<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { from, offsets, of, least, out } = self;
        let mut line = Vec::new();
        for (n, out) in out.chunks_exact_mut(TILE).enumerate() {
            let start = n * TILE;
            let counts =
                folded(from, offsets, start, 0.0, |count, x| if x.is_nan() { count } else { count + 1.0 });
            let mut found = match of {
                Rolling::Count => counts,
                Rolling::Sum | Rolling::Mean | Rolling::Std(_) => {
                    folded(from, offsets, start, 0.0, |sum, x| if x.is_nan() { sum } else { sum + x })
                }
                Rolling::Min => {
                    folded(from, offsets, start, f64::INFINITY, |least, x| if x < least { x } else { least })
                }
                Rolling::Max => {
                    folded(from, offsets, start, f64::NEG_INFINITY, |most, x| if x > most { x } else { most })
                }
                Rolling::Median => medians(from, offsets, start, &mut line),
            };
            if matches!(of, Rolling::Mean | Rolling::Std(_)) {
                found.iter_mut().zip(counts).for_each(|(sum, count)| *sum /= count);
            }
            if let Rolling::Std(less) = of {
                found = deviations(from, offsets, start, &found, &counts, less);
            }
            for ((out, found), count) in out.iter_mut().zip(found).zip(counts) {
                *out = if count < least { f64::NAN } else { found };
            }
        }
    }
}

#[inline(always)]
fn folded(
    from: &[f64],
    offsets: &[usize],
    start: usize,
    first: f64,
    fold: impl Fn(f64, f64) -> f64,
) -> [f64; TILE] {
    let mut found = [first; TILE];
    for offset in offsets {
        if let Some(seen) = at(from, offset + start) {
            for (found, x) in found.iter_mut().zip(seen) {
                *found = fold(*found, *x);
            }
        }
    }
    found
}

#[inline(always)]
fn deviations(
    from: &[f64],
    offsets: &[usize],
    start: usize,
    means: &[f64; TILE],
    counts: &[f64; TILE],
    less: f64,
) -> [f64; TILE] {
    let mut squares = [0.0; TILE];
    for offset in offsets {
        if let Some(seen) = at(from, offset + start) {
            for ((square, x), mean) in squares.iter_mut().zip(seen).zip(means) {
                let away = x - mean;
                *square += if x.is_nan() { 0.0 } else { away * away };
            }
        }
    }
    for (square, count) in squares.iter_mut().zip(counts) {
        let divisor = count - less;
        *square = if divisor > 0.0 { (*square / divisor).sqrt() } else { f64::NAN };
    }
    squares
}

#[inline(always)]
fn medians(from: &[f64], offsets: &[usize], start: usize, line: &mut Vec<f64>) -> [f64; TILE] {
    let mut found = [f64::NAN; TILE];
    for (lane, found) in found.iter_mut().enumerate() {
        line.clear();
        let seen = offsets.iter().filter_map(|offset| from.get(offset + start + lane));
        line.extend(seen.filter(|x| !x.is_nan()));
        if line.is_empty() {
            continue;
        }
        let (count, half) = (line.len(), line.len() / 2);
        let (below, middle, _) = line.select_nth_unstable_by(half, f64::total_cmp);
        let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        *found = if count % 2 == 1 { *middle } else { (lower + *middle) / 2.0 };
    }
    found
}
