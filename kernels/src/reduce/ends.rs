//! The first and the last value that is not NaN, of floats and complex numbers.
//!
//! Invariant: a cell that has seen none holds NaN, which any other value replaces; so a state needs no flags. Called by
//! [`super::Reduction`].

use super::extremes::Ordered;
use super::fold::{Fold, tile};
use super::geometry::Geometry;
use crate::DType;
use crate::simd::InstructionSet;
use num_complex::Complex;

struct Ends<'a, T, const LAST: bool>(&'a mut [T]);

/// Of two values in order the wanted one that is there.
#[inline(always)]
fn pick<T: Ordered, const LAST: bool>(a: T, b: T) -> T {
    let second = if LAST { !b.is_missing() } else { a.is_missing() };
    if second { b } else { a }
}

impl<T: Ordered, const LAST: bool> Fold for Ends<'_, T, LAST> {
    type Item = T;

    #[inline(always)]
    fn stretch<const LANES: usize>(&mut self, cell: usize, items: &[T], _: usize, _: &Geometry) {
        let there = |item: &&T| !item.is_missing();
        let found = if LAST { items.iter().rev().find(there) } else { items.iter().find(there) };
        if let Some(found) = found {
            self.0[cell] = pick::<T, LAST>(self.0[cell], *found);
        }
    }

    #[inline(always)]
    fn row(&mut self, cell: usize, items: &[T], _: usize, _: &Geometry) {
        for (value, item) in self.0[cell..cell + items.len()].iter_mut().zip(items) {
            *value = pick::<T, LAST>(*value, *item);
        }
    }
}

/// Runs `$run::<T, LAST>` for the type of a dtype.
macro_rules! for_ends {
    ($dtype:expr, $last:expr, $run:ident($($argument:expr),*)) => {
        match ($dtype, $last) {
            (DType::F32, false) => $run::<f32, false>($($argument),*),
            (DType::F32, true) => $run::<f32, true>($($argument),*),
            (DType::C64, false) => $run::<Complex<f32>, false>($($argument),*),
            (DType::C64, true) => $run::<Complex<f32>, true>($($argument),*),
            (DType::C128, false) => $run::<Complex<f64>, false>($($argument),*),
            (DType::C128, true) => $run::<Complex<f64>, true>($($argument),*),
            (_, false) => $run::<f64, false>($($argument),*),
            (_, true) => $run::<f64, true>($($argument),*),
        }
    };
}

/// The state of no elements.
pub(super) fn start(state: &mut [u8], dtype: DType) {
    fn run<T: Ordered, const LAST: bool>(state: &mut [u8]) {
        if let Some(missing) = T::MISSING {
            bytemuck::cast_slice_mut(state).fill(missing);
        }
    }
    for_ends!(dtype, false, run(state));
}

pub(super) fn take(
    set: InstructionSet,
    state: &mut [u8],
    geometry: &Geometry,
    first: usize,
    items: &[u8],
    last: bool,
    dtype: DType,
) {
    fn run<T: Ordered, const LAST: bool>(
        set: InstructionSet,
        state: &mut [u8],
        geometry: &Geometry,
        first: usize,
        items: &[u8],
    ) {
        tile(set, Ends::<T, LAST>(bytemuck::cast_slice_mut(state)), geometry, first, items);
    }
    for_ends!(dtype, last, run(set, state, geometry, first, items));
}

/// Adds the elements behind `from`, which come after those behind `into`.
pub(super) fn combine(into: &mut [u8], from: &[u8], last: bool, dtype: DType) {
    fn run<T: Ordered, const LAST: bool>(into: &mut [u8], from: &[u8]) {
        let from: &[T] = bytemuck::cast_slice(from);
        for (value, more) in bytemuck::cast_slice_mut::<_, T>(into).iter_mut().zip(from) {
            *value = pick::<T, LAST>(*value, *more);
        }
    }
    for_ends!(dtype, last, run(into, from));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_leave_out_nan() {
        let n = f64::NAN;
        for (last, expected) in [(false, [1.0, 4.0]), (true, [5.0, 2.0])] {
            let geometry = Geometry::new(&[3, 2], &[0]).unwrap();
            let mut state = [0.0; 2];
            let bytes = bytemuck::cast_slice_mut(&mut state);
            start(bytes, DType::F64);
            let items = [1.0, n, 5.0, 4.0, n, 2.0];
            take(InstructionSet::best(), bytes, &geometry, 0, bytemuck::cast_slice(&items), last, DType::F64);
            assert_eq!(state, expected);
            let stretch = Geometry::new(&[3], &[0]).unwrap();
            let mut one = [0.0];
            let bytes = bytemuck::cast_slice_mut(&mut one);
            start(bytes, DType::F64);
            take(
                InstructionSet::best(),
                bytes,
                &stretch,
                0,
                bytemuck::cast_slice(&[n, 1.0, 5.0]),
                last,
                DType::F64,
            );
            assert_eq!(one, [expected[0]]);
            let mut none = [n, 7.0];
            combine(bytemuck::cast_slice_mut(&mut none), bytemuck::cast_slice(&[3.0, n]), last, DType::F64);
            assert_eq!(none, [3.0, 7.0]);
        }
    }
}
