//! Counts, means and central moments in one pass: sums of powers of the distances from one of the elements.
//!
//! Every cell has a centre, its first finite element, and sums of the first powers of the distances from it as
//! [`Number`]s: for float64 in twice the digits, so that what cancels when moments are made of them is not missed. The
//! centre is one of the elements, so what cancels is at most the count times what remains. States with other centres are
//! moved by the binomial formulas. Columns: centres, sums, what rounding left of them, and counts where NaN is left out.
//!
//! Called by [`super::Reduction`].

use super::Statistic;
use super::carried::{Number, Summand};
use super::fold::{Fold, fold_lanes, tile};
use super::geometry::Geometry;
use crate::DType;
use crate::simd::InstructionSet;
use std::marker::PhantomData;

/// Most powers that are summed.
const POWERS: usize = 4;

/// Columns of a state besides counts, with sums of `order` powers.
pub(super) const fn columns(order: usize, narrow: bool) -> usize {
    1 + order * if narrow { 1 } else { 2 }
}

/// Sums of the first `ORDER` (2 or 4) powers; with `SKIP`, of what is not NaN.
pub(super) struct Moments<'a, T, const ORDER: usize, const SKIP: bool> {
    centres: &'a mut [f64],
    highs: [&'a mut [f64]; ORDER],
    /// Empty where sums are doubles.
    lows: [&'a mut [f64]; ORDER],
    /// Empty unless NaN is left out.
    counts: &'a mut [f64],
    item: PhantomData<T>,
}

/// The first powers of a distance.
#[inline(always)]
fn powers<N: Number, const ORDER: usize>(distance: N) -> [N; ORDER] {
    let square = distance * distance;
    std::array::from_fn(|power| match power {
        0 => distance,
        1 => square,
        2 => square * distance,
        _ => square * square,
    })
}

#[inline(always)]
fn centre_of(x: f64) -> f64 {
    if x.is_finite() { x } else { 0.0 }
}

impl<'a, T: Summand, const ORDER: usize, const SKIP: bool> Moments<'a, T, ORDER, SKIP> {
    pub(super) fn new(state: &'a mut [u8], cells: usize) -> Self {
        let mut rest: &mut [f64] = bytemuck::cast_slice_mut(state);
        let mut column = |wanted: bool| {
            let (column, after) = std::mem::take(&mut rest).split_at_mut(if wanted { cells } else { 0 });
            rest = after;
            column
        };
        let centres = column(true);
        let highs = std::array::from_fn(|_| column(true));
        let lows = std::array::from_fn(|_| column(T::Sum::COLUMNS > 1));
        Self {
            centres,
            highs,
            lows,
            counts: if SKIP { column(true) } else { column(false) },
            item: PhantomData,
        }
    }
}

impl<T: Summand, const ORDER: usize, const SKIP: bool> Fold for Moments<'_, T, ORDER, SKIP> {
    type Item = T;

    #[inline(always)]
    fn stretch<const LANES: usize>(&mut self, cell: usize, items: &[T], element: usize, _: &Geometry) {
        let present = |x: f64| !(SKIP && x.is_nan());
        let empty = element == 0 || (SKIP && self.counts[cell] == 0.0);
        if SKIP && element == 0 {
            self.counts[cell] = 0.0;
        }
        if empty {
            let first = items.iter().map(|item| item.wide()).find(|x| present(*x));
            self.centres[cell] = first.map_or(0.0, centre_of);
        }
        let centre = self.centres[cell];
        let (mut highs, mut lows) = ([[0.0; LANES]; ORDER], [[0.0; LANES]; ORDER]);
        let mut take = |lane: usize, item: T| {
            let x = item.wide();
            let distance = if present(x) { T::Sum::distance(x, centre) } else { T::Sum::ZERO };
            for (power, term) in powers::<T::Sum, ORDER>(distance).into_iter().enumerate() {
                let sum = T::Sum::new(highs[power][lane], lows[power][lane]) + term;
                (highs[power][lane], lows[power][lane]) = sum.parts();
            }
        };
        let (blocks, tail) = items.as_chunks::<LANES>();
        for block in blocks {
            for (lane, item) in block.iter().enumerate() {
                take(lane, *item);
            }
        }
        for (lane, item) in tail.iter().enumerate() {
            take(lane, *item);
        }
        for power in 0..ORDER {
            let lanes: [T::Sum; LANES] =
                std::array::from_fn(|lane| T::Sum::new(highs[power][lane], lows[power][lane]));
            let mut sum = fold_lanes(lanes, |a, b| a + b);
            if !empty {
                let low = if T::Sum::COLUMNS > 1 { self.lows[power][cell] } else { 0.0 };
                sum = T::Sum::new(self.highs[power][cell], low) + sum;
            }
            let (high, low) = sum.parts();
            self.highs[power][cell] = high;
            if T::Sum::COLUMNS > 1 {
                self.lows[power][cell] = low;
            }
        }
        if SKIP {
            self.counts[cell] += f64::from(items.iter().map(|x| u32::from(!x.wide().is_nan())).sum::<u32>());
        }
    }

    #[inline(always)]
    fn row(&mut self, cell: usize, items: &[T], element: usize, _: &Geometry) {
        let cells = cell..cell + items.len();
        let wide = T::Sum::COLUMNS > 1;
        let centres = &mut self.centres[cells.clone()];
        let counts = &mut self.counts[if SKIP { cells.clone() } else { 0..0 }];
        let mut highs = self.highs.each_mut().map(|column| &mut column[cells.clone()]);
        let mut lows =
            self.lows.each_mut().map(|column| &mut column[if wide { cells.clone() } else { 0..0 }]);
        if element == 0 {
            // The first elements are the centres.
            highs.iter_mut().chain(&mut lows).for_each(|column| column.fill(0.0));
            if SKIP {
                counts.fill(0.0);
            } else {
                for (centre, item) in centres.iter_mut().zip(items) {
                    *centre = centre_of(item.wide());
                }
            }
        }
        for (at, item) in items.iter().enumerate() {
            let x = item.wide();
            let present = !(SKIP && x.is_nan());
            if SKIP {
                centres[at] = if present && counts[at] == 0.0 { centre_of(x) } else { centres[at] };
                counts[at] += if present { 1.0 } else { 0.0 };
            }
            let distance = if present { T::Sum::distance(x, centres[at]) } else { T::Sum::ZERO };
            for (power, term) in powers::<T::Sum, ORDER>(distance).into_iter().enumerate() {
                let low = if wide { lows[power][at] } else { 0.0 };
                let (high, low) = (T::Sum::new(highs[power][at], low) + term).parts();
                highs[power][at] = high;
                if wide {
                    lows[power][at] = low;
                }
            }
        }
    }
}

/// Folds one tile of a chunk, whose first element has the flat index `first`.
pub(super) fn take<const ORDER: usize>(
    set: InstructionSet,
    state: &mut [u8],
    geometry: &Geometry,
    first: usize,
    items: &[u8],
    dtype: DType,
    skip_nan: bool,
) {
    fn one<T: Summand, const ORDER: usize, const SKIP: bool>(
        set: InstructionSet,
        state: &mut [u8],
        geometry: &Geometry,
        first: usize,
        items: &[u8],
    ) {
        tile(set, Moments::<T, ORDER, SKIP>::new(state, geometry.cells()), geometry, first, items);
    }
    let run = match (dtype, skip_nan) {
        (DType::F32, false) => one::<f32, ORDER, false>,
        (DType::F32, true) => one::<f32, ORDER, true>,
        (_, false) => one::<f64, ORDER, false>,
        (_, true) => one::<f64, ORDER, true>,
    };
    run(set, state, geometry, first, items);
}

/// A cell of a state.
struct Cell<N, const ORDER: usize> {
    count: f64,
    centre: f64,
    sums: [N; ORDER],
}

/// A state to read, with its `counts` words of counts at the end: one for all cells, or one for each.
struct View<'a> {
    words: &'a [f64],
    counts: &'a [f64],
    cells: usize,
}

impl<'a> View<'a> {
    fn new(state: &'a [u8], counts: usize, cells: usize) -> Self {
        let words: &[f64] = bytemuck::cast_slice(state);
        let (words, counts) = words.split_at(words.len() - counts);
        Self { words, counts, cells }
    }

    #[inline(always)]
    fn cell<N: Number, const ORDER: usize>(&self, cell: usize) -> Cell<N, ORDER> {
        let word = |column: usize| self.words.get(column * self.cells + cell).copied().unwrap_or(0.0);
        let low = |power: usize| if N::COLUMNS > 1 { word(1 + ORDER + power) } else { 0.0 };
        let sums = std::array::from_fn(|power| N::new(word(1 + power), low(power)));
        let count = self.counts.get(if self.counts.len() > 1 { cell } else { 0 });
        Cell { count: count.copied().unwrap_or(0.0), centre: word(0), sums }
    }
}

impl<N: Number, const ORDER: usize> Cell<N, ORDER> {
    /// The sums about another centre.
    #[inline(always)]
    fn about(&self, centre: f64) -> [N; ORDER] {
        let distance = N::distance(self.centre, centre);
        let steps = powers::<N, ORDER>(distance);
        // Sums of the powers of each element's distance and the centres' together: binomials.
        std::array::from_fn(|power| {
            let mut sum = self.sums[power] + steps[power].times(self.count);
            for lower in 0..power {
                let ways = [[0.0; 3], [2.0, 0.0, 0.0], [3.0, 3.0, 0.0], [4.0, 6.0, 4.0]][power][lower];
                sum = sum + (self.sums[lower] * steps[power - 1 - lower]).times(ways);
            }
            sum
        })
    }
}

/// Adds the elements behind `from`, of cells with `counts` words of counts.
pub(super) fn combine<N: Number, const ORDER: usize>(
    into: &mut [u8],
    from: &[u8],
    counts: usize,
    cells: usize,
) {
    let more = View::new(from, counts, cells);
    for cell in 0..cells {
        let (own, other) =
            (View::new(into, counts, cells).cell::<N, ORDER>(cell), more.cell::<N, ORDER>(cell));
        let words: &mut [f64] = bytemuck::cast_slice_mut(into);
        let (centre, sums) = if own.count == 0.0 {
            (other.centre, other.sums)
        } else if other.count == 0.0 {
            continue;
        } else {
            let moved = other.about(own.centre);
            (own.centre, std::array::from_fn(|power| own.sums[power] + moved[power]))
        };
        let mut set = |column: usize, value: f64| {
            if let Some(word) = words.get_mut(column * cells + cell) {
                *word = value;
            }
        };
        set(0, centre);
        for (power, sum) in sums.into_iter().enumerate() {
            let (high, low) = sum.parts();
            set(1 + power, high);
            if N::COLUMNS > 1 {
                set(1 + ORDER + power, low);
            }
        }
    }
    let words: &mut [f64] = bytemuck::cast_slice_mut(into);
    let first = words.len() - counts;
    for (count, more) in words.iter_mut().skip(first).zip(more.counts) {
        *count += more;
    }
}

/// A statistic of every cell, as bytes of doubles; `skip_nan` if NaN was left out.
pub(super) fn finish<N: Number, const ORDER: usize>(
    state: &[u8],
    counts: usize,
    cells: usize,
    statistic: Statistic,
    skip_nan: bool,
) -> Vec<u8> {
    let view = View::new(state, counts, cells);
    let values: Vec<f64> =
        (0..cells).map(|cell| one(&view.cell::<N, ORDER>(cell), statistic, skip_nan)).collect();
    bytemuck::cast_slice(&values).to_vec()
}

fn one<N: Number, const ORDER: usize>(cell: &Cell<N, ORDER>, statistic: Statistic, skip_nan: bool) -> f64 {
    let n = cell.count;
    let mut sums = [N::ZERO; POWERS];
    for (sum, own) in sums.iter_mut().zip(&cell.sums) {
        *sum = *own;
    }
    let [s1, s2, s3, s4] = sums;
    let mean = s1.over(n);
    let (minus, square) = (mean.times(-1.0), mean * mean);
    // Not below zero by rounding; NaN stays.
    let positive = |x: f64| if x < 0.0 { 0.0 } else { x };
    let m2 = || match s2.double() {
        // Squares may overflow where the mean does not.
        f64::INFINITY if s1.double().is_finite() => f64::INFINITY,
        _ => positive((s2 + s1 * minus).double()),
    };
    // With no degree of freedom left, NumPy's `var` divides by nothing, and its `nanvar` says NaN.
    let variance = |ddof: f64| if skip_nan && n <= ddof { f64::NAN } else { m2() / (n - ddof).max(0.0) };
    match statistic {
        Statistic::Count => n,
        Statistic::Value if n > 0.0 => (N::of(cell.centre) + mean).double(),
        Statistic::Value => f64::NAN,
        Statistic::Variance { ddof } => variance(ddof),
        Statistic::StandardDeviation { ddof } => variance(ddof).sqrt(),
        Statistic::Skewness => {
            let m3 = s3 + (s2 * minus).times(3.0) + (s1 * square).times(2.0);
            n.sqrt() * m3.double() / m2().powf(1.5)
        }
        Statistic::Kurtosis => {
            let m4 =
                s4 + (s3 * minus).times(4.0) + (s2 * square).times(6.0) + (s1 * square * minus).times(3.0);
            let m2 = m2();
            n * m4.double() / (m2 * m2) - 3.0
        }
    }
}
