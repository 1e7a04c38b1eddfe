//! What each cumulative function does with one element, and the loops over tiles.
//!
//! Invariant: a line's elements are taken one by one, in order. Called by [`super::Scan`].

use crate::reduce::{Ordered, add, choose, merge};
use crate::simd::InstructionSet;
use bytemuck::{Pod, Zeroable};
use num_complex::Complex;
use pulp::NullaryFnOnce;
use std::marker::PhantomData;

/// A cumulative function of elements of one type.
pub(super) trait Step {
    /// What tiles hold.
    type Item: Pod;
    /// What is carried of a line.
    type State: Pod;
    /// The state of nothing.
    const START: Self::State;
    /// The state behind one more element, and the result there.
    fn next(state: Self::State, item: Self::Item) -> (Self::State, Self::Item);
    /// The state of two stretches, one after another.
    fn merge(a: Self::State, b: Self::State) -> Self::State;
}

/// A sum and the errors of its additions.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Pair {
    sum: f64,
    error: f64,
}

/// Sums of doubles.
pub(super) struct Sums;

impl Step for Sums {
    type Item = f64;
    type State = Pair;
    const START: Pair = Pair { sum: 0.0, error: 0.0 };
    #[inline(always)]
    fn next(state: Pair, item: f64) -> (Pair, f64) {
        let (sum, error) = add((state.sum, state.error), item);
        // The errors of an infinite sum are NaN.
        (Pair { sum, error }, if sum.is_finite() { sum + error } else { sum })
    }
    #[inline(always)]
    fn merge(a: Pair, b: Pair) -> Pair {
        let (sum, error) = merge((a.sum, a.error), (b.sum, b.error));
        Pair { sum, error }
    }
}

/// Products of doubles or complex numbers.
pub(super) struct Products<T>(PhantomData<T>);

macro_rules! products {
    ($($t:ty: $one:expr;)+) => {$(
        impl Step for Products<$t> {
            type Item = $t;
            type State = $t;
            const START: $t = $one;
            #[inline(always)]
            fn next(state: $t, item: $t) -> ($t, $t) {
                let product = state * item;
                (product, product)
            }
            #[inline(always)]
            fn merge(a: $t, b: $t) -> $t {
                a * b
            }
        }
    )+};
}
products!(f64: 1.0; Complex<f64>: Complex::new(1.0, 0.0););

/// Wrapping sums, or products, of integers.
pub(super) struct Whole<const PRODUCT: bool>;

impl<const PRODUCT: bool> Step for Whole<PRODUCT> {
    type Item = u64;
    type State = u64;
    const START: u64 = if PRODUCT { 1 } else { 0 };
    #[inline(always)]
    fn next(state: u64, item: u64) -> (u64, u64) {
        let value = Self::merge(state, item);
        (value, value)
    }
    #[inline(always)]
    fn merge(a: u64, b: u64) -> u64 {
        if PRODUCT { a.wrapping_mul(b) } else { a.wrapping_add(b) }
    }
}

/// Smallest or largest values.
pub(super) struct Extremes<T, const SMALLEST: bool, const SKIP: bool>(PhantomData<T>);

impl<T: Ordered, const SMALLEST: bool, const SKIP: bool> Step for Extremes<T, SMALLEST, SKIP> {
    type Item = T;
    type State = T;
    const START: T = match T::MISSING {
        Some(missing) if SKIP => missing,
        _ if SMALLEST => T::BOUNDS.0,
        _ => T::BOUNDS.1,
    };
    #[inline(always)]
    fn next(state: T, item: T) -> (T, T) {
        let value = choose::<T, SMALLEST, SKIP>(state, item);
        (value, value)
    }
    #[inline(always)]
    fn merge(a: T, b: T) -> T {
        choose::<T, SMALLEST, SKIP>(a, b)
    }
}

/// The last element so far that is not missing.
pub(super) struct Latest<T>(PhantomData<T>);

impl<T: Ordered> Step for Latest<T> {
    type Item = T;
    type State = T;
    // Elements of types without NaN are never missing, and each is its own.
    const START: T = match T::MISSING {
        Some(missing) => missing,
        None => T::BOUNDS.0,
    };
    #[inline(always)]
    fn next(state: T, item: T) -> (T, T) {
        let value = Self::merge(state, item);
        (value, value)
    }
    #[inline(always)]
    fn merge(a: T, b: T) -> T {
        if b.is_missing() { a } else { b }
    }
}

struct Rows<'a, S: Step> {
    states: &'a mut [S::State],
    items: &'a mut [S::Item],
}

impl<S: Step> NullaryFnOnce for Rows<'_, S> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        let Self { states, items } = self;
        if let [state] = states {
            let mut carried = *state;
            for item in items {
                (carried, *item) = S::next(carried, *item);
            }
            *state = carried;
            return;
        }
        for row in items.chunks_exact_mut(states.len()) {
            row_step::<S>(states, row);
        }
    }
}

// A function of its own so that the compiler knows the slices to be apart.
#[inline(always)]
fn row_step<S: Step>(states: &mut [S::State], row: &mut [S::Item]) {
    for (state, item) in states.iter_mut().zip(row) {
        (*state, *item) = S::next(*state, *item);
    }
}

/// Scans a tile of rows of `width` lines from `line` on, in place.
pub(super) fn step<S: Step>(
    set: InstructionSet,
    carry: &mut [u8],
    items: &mut [u8],
    line: usize,
    width: usize,
) {
    let states = bytemuck::cast_slice_mut(carry).get_mut(line..line + width).unwrap_or_default();
    let items = bytemuck::cast_slice_mut(items);
    if !items.is_empty() && !states.is_empty() {
        set.run(Rows::<S> { states, items });
    }
}

/// The carry of lines of which nothing was seen.
pub(super) fn start<S: Step>(carry: &mut [u8]) {
    bytemuck::cast_slice_mut(carry).fill(S::START);
}

/// Adds totals of the next chunk.
pub(super) fn combine<S: Step>(into: &mut [u8], next: &[u8]) {
    let next = bytemuck::cast_slice::<_, S::State>(next);
    for (state, more) in bytemuck::cast_slice_mut::<_, S::State>(into).iter_mut().zip(next) {
        *state = S::merge(*state, *more);
    }
}
