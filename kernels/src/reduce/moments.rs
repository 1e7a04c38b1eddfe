//! Means and central moments of one pass: count, mean, and sums of powers of the distances from it.
//!
//! A stretch is in cache, so its mean is taken first and its powers after; rows are added one by one by Welford's and
//! Pébay's updates. States merge by Chan's and Pébay's formulas. Columns: count, mean, M2, and M3, M4 for order 4. Called
//! by [`super::Reduction`].

use super::fold::{Fold, fold_lanes};
use super::geometry::Geometry;
use super::{LANES, Statistic};

/// One cell: count, mean, M2, M3, M4.
type Cell = [f64; 5];

/// Moments up to `ORDER` (2 or 4); with `SKIP`, of what is not NaN.
pub(super) struct Moments<'a, const ORDER: usize, const SKIP: bool> {
    counts: &'a mut [f64],
    /// Mean, M2, then M3 and M4 or nothing.
    columns: [&'a mut [f64]; 4],
}

impl<'a, const ORDER: usize, const SKIP: bool> Moments<'a, ORDER, SKIP> {
    pub(super) fn new(state: &'a mut [u8], cells: usize) -> Self {
        let (counts, rest) = bytemuck::cast_slice_mut(state).split_at_mut(cells);
        let mut columns = rest.chunks_exact_mut(cells.max(1));
        let columns = std::array::from_fn(|_| columns.next().unwrap_or_default());
        Self { counts, columns }
    }

    fn cell(&self, cell: usize) -> Cell {
        let [mean, m2, m3, m4] = &self.columns;
        let at = |column: &[f64]| column.get(cell).copied().unwrap_or(0.0);
        [at(self.counts), at(mean), at(m2), at(m3), at(m4)]
    }

    fn set(&mut self, cell: usize, value: Cell) {
        let [count, moments @ ..] = value;
        self.counts[cell] = count;
        for (column, moment) in self.columns.iter_mut().zip(moments) {
            if let Some(place) = column.get_mut(cell) {
                *place = moment;
            }
        }
    }
}

/// The sum of `f` of the items, in lanes.
#[inline(always)]
fn sum_of(items: &[f64], f: impl Fn(f64) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let (blocks, tail) = items.as_chunks::<LANES>();
    for block in blocks {
        for (lane, item) in lanes.iter_mut().zip(block) {
            *lane += f(*item);
        }
    }
    for (lane, item) in lanes.iter_mut().zip(tail) {
        *lane += f(*item);
    }
    fold_lanes(lanes, |a, b| a + b)
}

impl<const ORDER: usize, const SKIP: bool> Fold for Moments<'_, ORDER, SKIP> {
    type Item = f64;

    #[inline(always)]
    fn stretch(&mut self, cell: usize, items: &[f64], _: usize, _: &Geometry) {
        let missing = |x: f64| SKIP && x.is_nan();
        let count =
            if SKIP { sum_of(items, |x| f64::from(u8::from(!x.is_nan()))) } else { items.len() as f64 };
        if count == 0.0 {
            return;
        }
        let mean = sum_of(items, |x| if missing(x) { 0.0 } else { x }) / count;
        let distance = |x: f64| if missing(x) { 0.0 } else { x - mean };
        // What rounding left of the mean: exact distances sum to zero.
        let left = sum_of(items, distance);
        let square = |x: f64| distance(x) * distance(x);
        let m2 = sum_of(items, square) - left * left / count;
        let (m3, m4) = if ORDER > 2 {
            (sum_of(items, |x| square(x) * distance(x)), sum_of(items, |x| square(x) * square(x)))
        } else {
            (0.0, 0.0)
        };
        let merged = merge(self.cell(cell), [count, mean, m2, m3, m4]);
        self.set(cell, merged);
    }

    #[inline(always)]
    fn row(&mut self, cell: usize, items: &[f64], element: usize, _: &Geometry) {
        let cells = cell..cell + items.len();
        if ORDER > 2 {
            for (cell, item) in cells.zip(items) {
                if !(SKIP && item.is_nan()) {
                    let merged = merge(self.cell(cell), [1.0, *item, 0.0, 0.0, 0.0]);
                    self.set(cell, merged);
                }
            }
            return;
        }
        let [means, m2s, ..] = &mut self.columns;
        let (means, m2s) = (&mut means[cells.clone()], &mut m2s[cells.clone()]);
        let counts = &mut self.counts[cells];
        if SKIP {
            for (item, (count, (mean, m2))) in
                items.iter().zip(counts.iter_mut().zip(means.iter_mut().zip(m2s)))
            {
                let present = !item.is_nan();
                *count += if present { 1.0 } else { 0.0 };
                let distance = if present { item - *mean } else { 0.0 };
                *mean = if present { moved(*mean, *item, distance, 1.0 / *count) } else { *mean };
                *m2 += if present { distance * (item - *mean) } else { 0.0 };
            }
        } else {
            // Rows of a cell come in order: this is the element of that number. Counts are set at the end.
            let share = 1.0 / (element + 1) as f64;
            for (item, (mean, m2)) in items.iter().zip(means.iter_mut().zip(m2s)) {
                let distance = item - *mean;
                *mean = moved(*mean, *item, distance, share);
                *m2 += distance * (item - *mean);
            }
            counts.fill((element + 1) as f64);
        }
    }
}

/// The mean with one more item, whose share it is; of infinite numbers it is infinite or NaN, as a sum would be.
#[inline(always)]
fn moved(mean: f64, item: f64, distance: f64, share: f64) -> f64 {
    if distance.is_finite() { mean + distance * share } else { mean + item }
}

/// Both sets of elements together.
fn merge(a: Cell, b: Cell) -> Cell {
    let ([na, mean_a, a2, a3, a4], [nb, mean_b, b2, b3, b4]) = (a, b);
    if na == 0.0 {
        return b;
    }
    if nb == 0.0 {
        return a;
    }
    let n = na + nb;
    let d = mean_b - mean_a;
    if !d.is_finite() {
        return [n, mean_a + mean_b, f64::NAN, f64::NAN, f64::NAN];
    }
    let (d2, ab) = (d * d, na * nb);
    let m2 = a2 + b2 + d2 * ab / n;
    let m3 = a3 + b3 + d * d2 * ab * (na - nb) / (n * n) + 3.0 * d * (na * b2 - nb * a2) / n;
    let m4 = a4
        + b4
        + d2 * d2 * ab * (na * na - ab + nb * nb) / (n * n * n)
        + 6.0 * d2 * (na * na * b2 + nb * nb * a2) / (n * n)
        + 4.0 * d * (na * b3 - nb * a3) / n;
    [n, mean_a + d * nb / n, m2, m3, m4]
}

/// A cell of a state of any order.
fn read(state: &[f64], cells: usize, cell: usize) -> Cell {
    std::array::from_fn(|column| state.get(column * cells + cell).copied().unwrap_or(0.0))
}

pub(super) fn combine<const ORDER: usize>(into: &mut [u8], from: &[u8], cells: usize) {
    let from: &[f64] = bytemuck::cast_slice(from);
    let mut into = Moments::<ORDER, false>::new(into, cells);
    for cell in 0..cells {
        let merged = merge(into.cell(cell), read(from, cells, cell));
        into.set(cell, merged);
    }
}

/// A statistic of every cell, as bytes of doubles.
pub(super) fn finish(state: &[u8], cells: usize, statistic: Statistic) -> Vec<u8> {
    let state: &[f64] = bytemuck::cast_slice(state);
    let values: Vec<f64> = (0..cells)
        .map(|cell| {
            let [n, mean, m2, m3, m4] = read(state, cells, cell);
            let variance = |ddof: f64| m2 / (n - ddof).max(0.0);
            match statistic {
                Statistic::Count => n,
                Statistic::Value => {
                    if n > 0.0 {
                        mean
                    } else {
                        f64::NAN
                    }
                }
                Statistic::Variance { ddof } => variance(ddof),
                Statistic::StandardDeviation { ddof } => variance(ddof).sqrt(),
                Statistic::Skewness => n.sqrt() * m3 / m2.powf(1.5),
                Statistic::Kurtosis => n * m4 / (m2 * m2) - 3.0,
            }
        })
        .collect();
    bytemuck::cast_slice(&values).to_vec()
}
