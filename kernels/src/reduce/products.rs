//! Products: of integers wrapping, of floats as [`Number`]s, of complex numbers as pairs of doubles.
//!
//! Called by [`super::Reduction`].

use super::carried::{Number, Summand};
use super::fold::{Fold, fold_lanes, tile};
use super::geometry::Geometry;
use crate::DType;
use crate::simd::InstructionSet;
use num_complex::Complex;

/// Products of integers or complex numbers.
struct Products<'a, T, const SKIP: bool>(&'a mut [T]);

/// A type whose products are of the same type.
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
    fn stretch<const LANES: usize>(&mut self, cell: usize, items: &[T], _: usize, _: &Geometry) {
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

/// Products of floats.
struct Floats<'a, T, const SKIP: bool> {
    products: &'a mut [f64],
    /// Empty where products are doubles.
    errors: &'a mut [f64],
    item: std::marker::PhantomData<T>,
}

impl<'a, T: Summand, const SKIP: bool> Floats<'a, T, SKIP> {
    fn new(state: &'a mut [u8], cells: usize) -> Self {
        let (products, errors) = bytemuck::cast_slice_mut(state).split_at_mut(cells);
        Self { products, errors, item: std::marker::PhantomData }
    }

    #[inline(always)]
    fn valid(x: f64) -> T::Sum {
        T::Sum::of(if SKIP && x.is_nan() { 1.0 } else { x })
    }
}

impl<T: Summand, const SKIP: bool> Fold for Floats<'_, T, SKIP> {
    type Item = T;

    #[inline(always)]
    fn stretch<const LANES: usize>(&mut self, cell: usize, items: &[T], _: usize, _: &Geometry) {
        let (mut highs, mut lows) = ([1.0; LANES], [0.0; LANES]);
        for block in items.chunks(LANES) {
            for (lane, item) in block.iter().enumerate() {
                let product = T::Sum::new(highs[lane], lows[lane]) * Self::valid(item.wide());
                (highs[lane], lows[lane]) = product.parts();
            }
        }
        let lanes: [T::Sum; LANES] = std::array::from_fn(|lane| T::Sum::new(highs[lane], lows[lane]));
        self.times(cell, fold_lanes(lanes, |a, b| a * b));
    }

    #[inline(always)]
    fn row(&mut self, cell: usize, items: &[T], _: usize, _: &Geometry) {
        for (cell, item) in (cell..).zip(items) {
            self.times(cell, Self::valid(item.wide()));
        }
    }
}

impl<T: Summand, const SKIP: bool> Floats<'_, T, SKIP> {
    #[inline(always)]
    fn times(&mut self, cell: usize, factor: T::Sum) {
        let low = if T::Sum::COLUMNS > 1 { self.errors[cell] } else { 0.0 };
        let (high, low) = (T::Sum::new(self.products[cell], low) * factor).parts();
        self.products[cell] = high;
        if T::Sum::COLUMNS > 1 {
            self.errors[cell] = low;
        }
    }
}

/// The state of no factors, of `cells`.
pub(super) fn start(state: &mut [u8], cells: usize, dtype: DType) {
    match dtype {
        DType::F32 | DType::F64 => {
            let words: &mut [f64] = bytemuck::cast_slice_mut(state);
            let (products, errors) = words.split_at_mut(cells);
            products.fill(1.0);
            errors.fill(0.0);
        }
        DType::C128 => bytemuck::cast_slice_mut(state).fill(<Complex<f64> as Factor>::ONE),
        _ => bytemuck::cast_slice_mut(state).fill(1_u64),
    }
}

pub(super) fn take(
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
    let cells = geometry.cells();
    match (dtype, skip_nan) {
        (DType::F32, false) => tile(set, Floats::<f32, false>::new(state, cells), geometry, first, items),
        (DType::F32, true) => tile(set, Floats::<f32, true>::new(state, cells), geometry, first, items),
        (DType::F64, false) => tile(set, Floats::<f64, false>::new(state, cells), geometry, first, items),
        (DType::F64, true) => tile(set, Floats::<f64, true>::new(state, cells), geometry, first, items),
        (DType::C128, false) => one::<Complex<f64>, false>(set, state, geometry, first, items),
        (DType::C128, true) => one::<Complex<f64>, true>(set, state, geometry, first, items),
        _ => one::<u64, false>(set, state, geometry, first, items),
    }
}

pub(super) fn combine(into: &mut [u8], from: &[u8], dtype: DType) {
    fn one<T: Factor>(into: &mut [u8], from: &[u8]) {
        let (into, from) = (bytemuck::cast_slice_mut::<_, T>(into), bytemuck::cast_slice::<_, T>(from));
        for (product, more) in into.iter_mut().zip(from) {
            *product = product.times(*more);
        }
    }
    fn floats<N: Number>(into: &mut [u8], from: &[u8]) {
        let (into, from) = (bytemuck::cast_slice_mut::<_, f64>(into), bytemuck::cast_slice::<_, f64>(from));
        let cells = into.len() / N::COLUMNS;
        let (products, errors) = into.split_at_mut(cells);
        let (more_products, more_errors) = from.split_at(cells);
        for (cell, (product, more)) in products.iter_mut().zip(more_products).enumerate() {
            let low = |errors: &[f64]| errors.get(cell).copied().unwrap_or(0.0);
            let (high, left) = (N::new(*product, low(errors)) * N::new(*more, low(more_errors))).parts();
            *product = high;
            if let Some(error) = errors.get_mut(cell) {
                *error = left;
            }
        }
    }
    match dtype {
        DType::F32 => floats::<f64>(into, from),
        DType::F64 => floats::<super::carried::Carried>(into, from),
        DType::C128 => one::<Complex<f64>>(into, from),
        _ => one::<u64>(into, from),
    }
}

/// Products of floats as bytes of doubles.
pub(super) fn finish(state: &[u8], dtype: DType) -> Vec<u8> {
    let words: &[f64] = bytemuck::cast_slice(state);
    if dtype == DType::F32 {
        return state.to_vec();
    }
    let (products, errors) = words.split_at(words.len() / 2);
    let values =
        products.iter().zip(errors).map(|(high, low)| super::carried::Carried::new(*high, *low).double());
    bytemuck::cast_slice(&values.collect::<Vec<f64>>()).to_vec()
}
