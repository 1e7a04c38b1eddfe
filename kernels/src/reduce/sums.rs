//! Sums, means, products and counts.
//!
//! Float sums keep, beside the sum, the errors of its additions (Knuth's two-sum); both are columns of the state, with
//! the counts of means as a third. An infinite sum drops its errors, which are NaN. Integers wrap in 64-bit words.
//! Called by [`super::Reduction`].

use super::LANES;
use super::fold::{Fold, fold_lanes, tile};
use super::geometry::Geometry;
use crate::DType;
use crate::simd::InstructionSet;
use num_complex::Complex;

/// A sum and the errors of its additions.
#[inline(always)]
pub(crate) fn add((sum, error): (f64, f64), item: f64) -> (f64, f64) {
    let total = sum + item;
    let part = total - sum;
    (total, error + ((sum - (total - part)) + (item - part)))
}

/// Both sums together.
#[inline(always)]
pub(crate) fn merge(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    let (sum, error) = add(a, b.0);
    (sum, error + b.1)
}

/// Sums of doubles; with `SKIP`, of those that are numbers, and their counts where the state has a column for them.
pub(super) struct Floats<'a, const SKIP: bool> {
    sums: &'a mut [f64],
    errors: &'a mut [f64],
    counts: &'a mut [f64],
}

impl<'a, const SKIP: bool> Floats<'a, SKIP> {
    pub(super) fn new(state: &'a mut [u8], cells: usize) -> Self {
        let (sums, rest) = words(state).split_at_mut(cells);
        let (errors, counts) = rest.split_at_mut(cells);
        Self { sums, errors, counts }
    }
}

impl<const SKIP: bool> Fold for Floats<'_, SKIP> {
    type Item = f64;

    #[inline(always)]
    fn stretch(&mut self, cell: usize, items: &[f64], _: usize, _: &Geometry) {
        let (mut sums, mut errors) = ([0.0; LANES], [0.0; LANES]);
        let valid = |x: f64| if SKIP && x.is_nan() { 0.0 } else { x };
        let (blocks, tail) = items.as_chunks::<LANES>();
        for block in blocks {
            for lane in 0..LANES {
                (sums[lane], errors[lane]) = add((sums[lane], errors[lane]), valid(block[lane]));
            }
        }
        for (lane, item) in tail.iter().enumerate() {
            (sums[lane], errors[lane]) = add((sums[lane], errors[lane]), valid(*item));
        }
        let lanes: [(f64, f64); LANES] = std::array::from_fn(|lane| (sums[lane], errors[lane]));
        let sum = fold_lanes(lanes, merge);
        (self.sums[cell], self.errors[cell]) = merge((self.sums[cell], self.errors[cell]), sum);
        if SKIP && let Some(total) = self.counts.get_mut(cell) {
            *total += f64::from(items.iter().map(|x| u32::from(!x.is_nan())).sum::<u32>());
        }
    }

    #[inline(always)]
    fn row(&mut self, cell: usize, items: &[f64], _: usize, _: &Geometry) {
        let count = items.len();
        let (sums, errors) = (&mut self.sums[cell..cell + count], &mut self.errors[cell..cell + count]);
        for (item, (sum, error)) in items.iter().zip(sums.iter_mut().zip(errors)) {
            let item = if SKIP && item.is_nan() { 0.0 } else { *item };
            (*sum, *error) = add((*sum, *error), item);
        }
        if SKIP && let Some(counts) = self.counts.get_mut(cell..cell + count) {
            for (item, total) in items.iter().zip(counts) {
                *total += if item.is_nan() { 0.0 } else { 1.0 };
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
    fn stretch(&mut self, cell: usize, items: &[Complex<f64>], element: usize, geometry: &Geometry) {
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
    fn stretch(&mut self, cell: usize, items: &[u64], _: usize, _: &Geometry) {
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
    fn stretch(&mut self, cell: usize, items: &[u8], _: usize, _: &Geometry) {
        self.0[cell] += items.iter().map(|item| u64::from(*item != 0)).sum::<u64>();
    }

    #[inline(always)]
    fn row(&mut self, cell: usize, items: &[u8], _: usize, _: &Geometry) {
        for (count, item) in self.0[cell..cell + items.len()].iter_mut().zip(items) {
            *count += u64::from(*item != 0);
        }
    }
}

/// Products of numbers of one type.
struct Products<'a, T, const SKIP: bool>(&'a mut [T]);

/// A type of product tiles.
trait Factor: bytemuck::Pod {
    const ONE: Self;
    fn times(self, other: Self) -> Self;
    fn is_missing(self) -> bool;
}

impl Factor for u64 {
    const ONE: Self = 1;
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self.wrapping_mul(other)
    }
    #[inline(always)]
    fn is_missing(self) -> bool {
        false
    }
}

impl Factor for f64 {
    const ONE: Self = 1.0;
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self * other
    }
    #[inline(always)]
    fn is_missing(self) -> bool {
        self.is_nan()
    }
}

impl Factor for Complex<f64> {
    const ONE: Self = Self::new(1.0, 0.0);
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self * other
    }
    #[inline(always)]
    fn is_missing(self) -> bool {
        self.is_nan()
    }
}

impl<T: Factor, const SKIP: bool> Fold for Products<'_, T, SKIP> {
    type Item = T;

    #[inline(always)]
    fn stretch(&mut self, cell: usize, items: &[T], _: usize, _: &Geometry) {
        let valid = |x: T| if SKIP && x.is_missing() { T::ONE } else { x };
        let mut lanes = [T::ONE; LANES];
        let (blocks, tail) = items.as_chunks::<LANES>();
        for block in blocks {
            for (lane, item) in lanes.iter_mut().zip(block) {
                *lane = lane.times(valid(*item));
            }
        }
        for (lane, item) in lanes.iter_mut().zip(tail) {
            *lane = lane.times(valid(*item));
        }
        self.0[cell] = self.0[cell].times(fold_lanes(lanes, T::times));
    }

    #[inline(always)]
    fn row(&mut self, cell: usize, items: &[T], _: usize, _: &Geometry) {
        for (product, item) in self.0[cell..cell + items.len()].iter_mut().zip(items) {
            *product = product.times(if SKIP && item.is_missing() { T::ONE } else { *item });
        }
    }
}

/// The state of no factors.
pub(super) fn start_products(state: &mut [u8], dtype: DType) {
    match dtype {
        DType::F64 => words(state).fill(1.0),
        DType::C128 => bytemuck::cast_slice_mut(state).fill(<Complex<f64> as Factor>::ONE),
        _ => bytemuck::cast_slice_mut(state).fill(1_u64),
    }
}

pub(super) fn tile_products(
    set: InstructionSet,
    state: &mut [u8],
    geometry: &Geometry,
    first: usize,
    items: &[u8],
    dtype: DType,
    skip_nan: bool,
) {
    fn one<T: Factor, const SKIP: bool>(
        set: InstructionSet,
        state: &mut [u8],
        geometry: &Geometry,
        first: usize,
        items: &[u8],
    ) {
        tile(set, Products::<T, SKIP>(bytemuck::cast_slice_mut(state)), geometry, first, items);
    }
    match (dtype, skip_nan) {
        (DType::F64, false) => one::<f64, false>(set, state, geometry, first, items),
        (DType::F64, true) => one::<f64, true>(set, state, geometry, first, items),
        (DType::C128, false) => one::<Complex<f64>, false>(set, state, geometry, first, items),
        (DType::C128, true) => one::<Complex<f64>, true>(set, state, geometry, first, items),
        _ => one::<u64, false>(set, state, geometry, first, items),
    }
}

/// Adds states of sums and errors, with `counts` columns of counts (as many words as there are cells) at the end.
pub(super) fn combine(into: &mut [u8], from: &[u8], counts: usize) {
    let (into, from) = (words(into), bytemuck::cast_slice::<_, f64>(from));
    let column = (into.len() - counts) / 2;
    let (sums, rest) = into.split_at_mut(column);
    let (errors, totals) = rest.split_at_mut(column);
    let (more_sums, rest) = from.split_at(column);
    let (more_errors, more_totals) = rest.split_at(column);
    let more = more_sums.iter().zip(more_errors);
    for ((sum, error), (more_sum, more_error)) in sums.iter_mut().zip(errors).zip(more) {
        (*sum, *error) = merge((*sum, *error), (*more_sum, *more_error));
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

pub(super) fn combine_products(into: &mut [u8], from: &[u8], dtype: DType) {
    fn one<T: Factor>(into: &mut [u8], from: &[u8]) {
        let (into, from) = (bytemuck::cast_slice_mut::<_, T>(into), bytemuck::cast_slice::<_, T>(from));
        for (product, more) in into.iter_mut().zip(from) {
            *product = product.times(*more);
        }
    }
    match dtype {
        DType::F64 => one::<f64>(into, from),
        DType::C128 => one::<Complex<f64>>(into, from),
        _ => one::<u64>(into, from),
    }
}

/// Sums or means as bytes of doubles (pairs of them if `complex`).
pub(super) fn finish(state: &[u8], cells: usize, complex: bool, mean: bool) -> Vec<u8> {
    let state: &[f64] = bytemuck::cast_slice(state);
    let parts = if complex { 2 } else { 1 };
    let column = parts * cells;
    let (sums, rest) = state.split_at(column);
    let (errors, counts) = rest.split_at(column);
    let values = sums.iter().zip(errors).enumerate().map(|(at, (sum, error))| {
        let total = if sum.is_finite() { sum + error } else { *sum };
        if mean { total / counts.get(at / parts).copied().unwrap_or(0.0) } else { total }
    });
    bytemuck::cast_slice(&values.collect::<Vec<f64>>()).to_vec()
}

/// The counts of means as bytes of doubles.
pub(super) fn counts(state: &[u8], cells: usize) -> Vec<u8> {
    state.get(state.len() - 8 * cells..).unwrap_or_default().to_vec()
}

fn words(state: &mut [u8]) -> &mut [f64] {
    bytemuck::cast_slice_mut(state)
}
