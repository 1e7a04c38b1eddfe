//! Sums, means and counts.
//!
//! Float sums are kept as [`Number`]s: those of float64 with what rounding left of them, narrower ones as doubles. Means
//! have counts besides: a column where NaN is left out, else one word. Integers wrap in 64-bit words. Called by
//! [`super::Reduction`].

use super::carried::{Number, Summand, add};
use super::fold::{Fold, fold_lanes};
use super::geometry::Geometry;
use num_complex::Complex;

/// Sums of floats; with `SKIP`, of those that are numbers, and their counts where the state has a column for them.
pub(super) struct Floats<'a, T, const SKIP: bool> {
    sums: &'a mut [f64],
    /// Empty where sums are doubles.
    errors: &'a mut [f64],
    counts: &'a mut [f64],
    item: std::marker::PhantomData<T>,
}

impl<'a, T: Summand, const SKIP: bool> Floats<'a, T, SKIP> {
    pub(super) fn new(state: &'a mut [u8], cells: usize) -> Self {
        let (sums, rest) = words(state).split_at_mut(cells);
        let (errors, counts) = rest.split_at_mut((T::Sum::COLUMNS - 1) * cells);
        Self { sums, errors, counts, item: std::marker::PhantomData }
    }

    #[inline(always)]
    fn valid(x: f64) -> f64 {
        if SKIP && x.is_nan() { 0.0 } else { x }
    }
}

impl<T: Summand, const SKIP: bool> Fold for Floats<'_, T, SKIP> {
    type Item = T;

    #[inline(always)]
    fn stretch<const LANES: usize>(&mut self, cell: usize, items: &[T], element: usize, _: &Geometry) {
        let (mut highs, mut lows) = ([0.0; LANES], [0.0; LANES]);
        let mut take = |lane: usize, item: T| {
            let sum = T::Sum::new(highs[lane], lows[lane]) + T::Sum::of(Self::valid(item.wide()));
            (highs[lane], lows[lane]) = sum.parts();
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
        let lanes: [T::Sum; LANES] = std::array::from_fn(|lane| T::Sum::new(highs[lane], lows[lane]));
        let mut sum = fold_lanes(lanes, |a, b| a + b);
        if element > 0 {
            sum = T::Sum::new(self.sums[cell], self.errors.get(cell).copied().unwrap_or(0.0)) + sum;
        }
        let (high, low) = sum.parts();
        self.sums[cell] = high;
        if T::Sum::COLUMNS > 1 {
            self.errors[cell] = low;
        }
        if SKIP && let Some(total) = self.counts.get_mut(cell) {
            let count = items.iter().map(|x| u32::from(!x.wide().is_nan())).sum::<u32>();
            *total = f64::from(count) + if element > 0 { *total } else { 0.0 };
        }
    }

    #[inline(always)]
    fn row(&mut self, cell: usize, items: &[T], element: usize, _: &Geometry) {
        let cells = cell..cell + items.len();
        let sums = &mut self.sums[cells.clone()];
        if T::Sum::COLUMNS > 1 {
            let errors = &mut self.errors[cells.clone()];
            if element == 0 {
                errors.fill(0.0);
                for (item, sum) in items.iter().zip(sums) {
                    *sum = Self::valid(item.wide());
                }
            } else {
                for (item, (sum, error)) in items.iter().zip(sums.iter_mut().zip(errors)) {
                    (*sum, *error) = add((*sum, *error), Self::valid(item.wide()));
                }
            }
        } else if element == 0 {
            for (item, sum) in items.iter().zip(sums) {
                *sum = Self::valid(item.wide());
            }
        } else {
            for (item, sum) in items.iter().zip(sums) {
                *sum += Self::valid(item.wide());
            }
        }
        if SKIP && let Some(counts) = self.counts.get_mut(cells) {
            let one = |item: &T| if item.wide().is_nan() { 0.0 } else { 1.0 };
            if element == 0 {
                items.iter().zip(counts).for_each(|(item, total)| *total = one(item));
            } else {
                items.iter().zip(counts).for_each(|(item, total)| *total += one(item));
            }
        }
    }
}

/// Sums of those complex numbers of which no part is NaN.
pub(super) struct ComplexSkipping<'a> {
    sums: &'a mut [f64],
    errors: &'a mut [f64],
    counts: &'a mut [f64],
}

impl<'a> ComplexSkipping<'a> {
    pub(super) fn new(state: &'a mut [u8], cells: usize) -> Self {
        let (sums, rest) = words(state).split_at_mut(2 * cells);
        let (errors, counts) = rest.split_at_mut(2 * cells);
        Self { sums, errors, counts }
    }
}

impl Fold for ComplexSkipping<'_> {
    type Item = Complex<f64>;

    #[inline(always)]
    fn stretch<const LANES: usize>(
        &mut self,
        cell: usize,
        items: &[Complex<f64>],
        element: usize,
        geometry: &Geometry,
    ) {
        for item in items {
            self.row(cell, std::slice::from_ref(item), element, geometry);
        }
    }

    #[inline(always)]
    fn row(&mut self, cell: usize, items: &[Complex<f64>], _: usize, _: &Geometry) {
        for (cell, item) in (cell..).zip(items).filter(|(_, item)| !item.is_nan()) {
            for (at, part) in [(2 * cell, item.re), (2 * cell + 1, item.im)] {
                (self.sums[at], self.errors[at]) = add((self.sums[at], self.errors[at]), part);
            }
            if let Some(count) = self.counts.get_mut(cell) {
                *count += 1.0;
            }
        }
    }
}

/// Wrapping sums of integers.
pub(super) struct Whole<'a>(&'a mut [u64]);

impl<'a> Whole<'a> {
    pub(super) fn new(state: &'a mut [u8]) -> Self {
        Self(bytemuck::cast_slice_mut(state))
    }
}

impl Fold for Whole<'_> {
    type Item = u64;

    #[inline(always)]
    fn stretch<const LANES: usize>(&mut self, cell: usize, items: &[u64], _: usize, _: &Geometry) {
        self.0[cell] = items.iter().fold(self.0[cell], |sum, item| sum.wrapping_add(*item));
    }

    #[inline(always)]
    fn row(&mut self, cell: usize, items: &[u64], _: usize, _: &Geometry) {
        for (sum, item) in self.0[cell..cell + items.len()].iter_mut().zip(items) {
            *sum = sum.wrapping_add(*item);
        }
    }
}

/// Counts of true bools.
pub(super) struct Nonzero<'a>(&'a mut [u64]);

impl<'a> Nonzero<'a> {
    pub(super) fn new(state: &'a mut [u8]) -> Self {
        Self(bytemuck::cast_slice_mut(state))
    }
}

impl Fold for Nonzero<'_> {
    type Item = u8;

    #[inline(always)]
    fn stretch<const LANES: usize>(&mut self, cell: usize, items: &[u8], _: usize, _: &Geometry) {
        self.0[cell] += items.iter().map(|item| u64::from(*item != 0)).sum::<u64>();
    }

    #[inline(always)]
    fn row(&mut self, cell: usize, items: &[u8], _: usize, _: &Geometry) {
        for (count, item) in self.0[cell..cell + items.len()].iter_mut().zip(items) {
            *count += u64::from(*item != 0);
        }
    }
}

/// Adds states of sums kept as `N`, with the columns (or the word) of counts at the end, `counts` of them.
pub(super) fn combine<N: Number>(into: &mut [u8], from: &[u8], counts: usize) {
    let (into, from) = (words(into), bytemuck::cast_slice::<_, f64>(from));
    let column = (into.len() - counts) / N::COLUMNS;
    let (sums, totals) = into.split_at_mut(N::COLUMNS * column);
    let (more_sums, more_totals) = from.split_at(N::COLUMNS * column);
    if N::COLUMNS > 1 {
        let (sums, errors) = sums.split_at_mut(column);
        let (more_sums, more_errors) = more_sums.split_at(column);
        let more = more_sums.iter().zip(more_errors);
        for ((sum, error), (more_sum, more_error)) in sums.iter_mut().zip(errors).zip(more) {
            (*sum, *error) = (N::new(*sum, *error) + N::new(*more_sum, *more_error)).parts();
        }
    } else {
        for (sum, more) in sums.iter_mut().zip(more_sums) {
            *sum += more;
        }
    }
    for (total, more) in totals.iter_mut().zip(more_totals) {
        *total += more;
    }
}

pub(super) fn combine_whole(into: &mut [u8], from: &[u8]) {
    let (into, from) = (bytemuck::cast_slice_mut::<_, u64>(into), bytemuck::cast_slice::<_, u64>(from));
    for (sum, more) in into.iter_mut().zip(from) {
        *sum = sum.wrapping_add(*more);
    }
}

/// Sums or means as bytes of doubles (pairs of them if `complex`). Means have `counts` words of counts at the end: one
/// for all cells, or one for each.
pub(super) fn finish<N: Number>(state: &[u8], counts: usize, complex: bool, mean: bool) -> Vec<u8> {
    let state: &[f64] = bytemuck::cast_slice(state);
    let parts = if complex { 2 } else { 1 };
    let (sums, counts) = state.split_at(state.len() - counts);
    let (sums, errors) = sums.split_at(sums.len() / N::COLUMNS);
    let low = |at: usize| errors.get(at).copied().unwrap_or(0.0);
    let count = |at: usize| counts.get(if counts.len() > 1 { at / parts } else { 0 });
    let values = sums.iter().enumerate().map(|(at, sum)| {
        let total = N::new(*sum, low(at)).double();
        if mean { total / count(at).copied().unwrap_or(0.0) } else { total }
    });
    bytemuck::cast_slice(&values.collect::<Vec<f64>>()).to_vec()
}

/// The counts of means of `cells`, `counts` words at the end, as bytes of doubles.
pub(super) fn counts(state: &[u8], counts: usize, cells: usize) -> Vec<u8> {
    state.get(state.len() - 8 * counts..).unwrap_or_default().repeat(if counts == cells { 1 } else { cells })
}

fn words(state: &mut [u8]) -> &mut [f64] {
    bytemuck::cast_slice_mut(state)
}
