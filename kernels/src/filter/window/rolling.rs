//! Statistics of what windows show and is not missing, as xarray's and pandas' `rolling`.
//!
//! NaN is missing, and so is what lies beyond the array. Deviations are taken from each window's own mean, so nothing is
//! lost where running sums of squares would cancel. Invariant: a result with fewer elements than asked for is NaN. Called
//! by windows of any shape.

use super::select::{MOST, Selection};
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
                // [`Medians`] are not made here.
                Rolling::Median => [f64::NAN; TILE],
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

/// Results of medians that are made at a time.
pub(super) const LANES: usize = 32;

/// Elements of all points for that many results.
pub(super) type Staged = [[f64; LANES]; MOST];

/// Medians of windows.
pub(super) struct Medians<'a> {
    pub(super) from: &'a [f64],
    pub(super) offsets: &'a [usize],
    /// What brings the elements of a window in order.
    pub(super) selection: &'a Selection,
    pub(super) staged: &'a mut Staged,
    /// Elements that there must be.
    pub(super) least: usize,
    pub(super) out: &'a mut [f64],
}

impl NullaryFnOnce for Medians<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { from, offsets, selection, staged, least, out } = self;
        let mut line = Vec::new();
        for (n, out) in out.chunks_exact_mut(LANES).enumerate() {
            let mut counts = [0_u32; LANES];
            let seen = offsets.iter().filter_map(|offset| from.get(offset + n * LANES..)?.first_chunk());
            for (to, seen) in staged.iter_mut().zip(seen) {
                let seen: &[f64; LANES] = seen;
                // What is missing comes last, behind all that count.
                for ((to, x), count) in to.iter_mut().zip(seen).zip(&mut counts) {
                    *to = if x.is_nan() { f64::INFINITY } else { *x };
                    *count += u32::from(!x.is_nan());
                }
            }
            let is_ordered = selection.order(staged);
            for (lane, (out, count)) in out.iter_mut().zip(counts).enumerate() {
                let at = |rank: usize| staged.get(rank).and_then(|row| row.get(lane)).copied();
                let (count, half) = (count as usize, count as usize / 2);
                *out = match at(half) {
                    Some(middle) if is_ordered && count % 2 == 1 => middle,
                    Some(middle) if is_ordered => {
                        at(half.wrapping_sub(1)).map_or(f64::NAN, |lower| (lower + middle) / 2.0)
                    }
                    _ => selected(from, offsets, n * LANES + lane, least, &mut line),
                };
                if is_ordered && count < least {
                    *out = f64::NAN;
                }
            }
        }
    }
}

/// The median of one window of more points than networks order.
fn selected(from: &[f64], offsets: &[usize], place: usize, least: usize, line: &mut Vec<f64>) -> f64 {
    line.clear();
    let seen = offsets.iter().filter_map(|offset| from.get(offset + place));
    line.extend(seen.filter(|x| !x.is_nan()));
    if line.is_empty() || line.len() < least {
        return f64::NAN;
    }
    let (count, half) = (line.len(), line.len() / 2);
    let (below, middle, _) = line.select_nth_unstable_by(half, f64::total_cmp);
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if count % 2 == 1 { *middle } else { (lower + *middle) / 2.0 }
}
