//! Smallest and largest values, where they are, and whether any or all are true.
//!
//! NaN is the extreme unless it is skipped; a skipped one never is, and a cell of nothing but NaN has NaN as its value
//! and no position. Complex numbers are ordered by real part, then imaginary part. Called by [`super::Reduction`] and [`crate::scan`].

use super::ReduceError;
use super::fold::{Fold, fold_lanes, tile};
use super::geometry::Geometry;
use crate::DType;
use crate::simd::InstructionSet;
use bytemuck::Pod;
use num_complex::Complex;

/// Which of two values is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) smallest: bool,
    pub(super) skip_nan: bool,
}

/// A type whose values are ordered.
pub(crate) trait Ordered: Pod {
    /// The values that any other is smaller, and larger, than.
    const BOUNDS: (Self, Self);
    /// NaN, where there is one.
    const MISSING: Option<Self>;
    fn before(self, other: Self) -> bool;
    fn is_missing(self) -> bool;
}

macro_rules! ordered_integers {
    ($($t:ty)*) => {$(
        impl Ordered for $t {
            const BOUNDS: (Self, Self) = (Self::MAX, Self::MIN);
            const MISSING: Option<Self> = None;
            #[inline(always)]
            fn before(self, other: Self) -> bool {
                self < other
            }
            #[inline(always)]
            fn is_missing(self) -> bool {
                false
            }
        }
    )*};
}
ordered_integers!(i8 i16 i32 i64 u8 u16 u32 u64);

macro_rules! ordered_floats {
    ($($t:ty)*) => {$(
        impl Ordered for $t {
            const BOUNDS: (Self, Self) = (Self::INFINITY, Self::NEG_INFINITY);
            const MISSING: Option<Self> = Some(Self::NAN);
            #[inline(always)]
            fn before(self, other: Self) -> bool {
                self < other
            }
            #[inline(always)]
            fn is_missing(self) -> bool {
                self.is_nan()
            }
        }
        impl Ordered for Complex<$t> {
            const BOUNDS: (Self, Self) =
                (Self::new(<$t>::INFINITY, <$t>::INFINITY), Self::new(<$t>::NEG_INFINITY, <$t>::NEG_INFINITY));
            const MISSING: Option<Self> = Some(Self::new(<$t>::NAN, <$t>::NAN));
            #[inline(always)]
            fn before(self, other: Self) -> bool {
                self.re < other.re || (self.re == other.re && self.im < other.im)
            }
            #[inline(always)]
            fn is_missing(self) -> bool {
                self.re.is_nan() || self.im.is_nan()
            }
        }
    )*};
}
ordered_floats!(f32 f64);

/// The wanted one of two values; the first if they are alike.
#[inline(always)]
pub(crate) fn choose<T: Ordered, const SMALLEST: bool, const SKIP: bool>(a: T, b: T) -> T {
    let better = if SMALLEST { b.before(a) } else { a.before(b) };
    let take = if SKIP { better || a.is_missing() } else { (better || b.is_missing()) && !a.is_missing() };
    if take { b } else { a }
}

struct Extremes<'a, T, const SMALLEST: bool, const SKIP: bool>(&'a mut [T]);

impl<T: Ordered, const SMALLEST: bool, const SKIP: bool> Extremes<'_, T, SMALLEST, SKIP> {
    /// The value of no elements.
    const NONE: T = match T::MISSING {
        Some(missing) if SKIP => missing,
        _ => {
            if SMALLEST {
                T::BOUNDS.0
            } else {
                T::BOUNDS.1
            }
        }
    };
}

/// The wanted value of a stretch.
#[inline(always)]
fn best<T: Ordered, const LANES: usize, const SMALLEST: bool, const SKIP: bool>(items: &[T]) -> T {
    let bound = if SMALLEST { T::BOUNDS.0 } else { T::BOUNDS.1 };
    let mut lanes = [bound; LANES];
    let mut take = |lane: usize, item: T| {
        let better = if SMALLEST { item.before(lanes[lane]) } else { lanes[lane].before(item) };
        lanes[lane] = if better && !item.is_missing() { item } else { lanes[lane] };
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
    let found = fold_lanes(lanes, choose::<T, SMALLEST, false>);
    // Whether NaN was met, or where it is skipped anything else. A loop of its own, over what is in cache.
    let met = items.iter().fold(0_u32, |met, item| met | u32::from(item.is_missing() != SKIP));
    let is_missing = (met > 0) != SKIP;
    T::MISSING.filter(|_| is_missing).unwrap_or(found)
}

impl<T: Ordered, const SMALLEST: bool, const SKIP: bool> Fold for Extremes<'_, T, SMALLEST, SKIP> {
    type Item = T;

    #[inline(always)]
    fn stretch<const LANES: usize>(&mut self, cell: usize, items: &[T], _: usize, _: &Geometry) {
        let found = best::<T, LANES, SMALLEST, SKIP>(items);
        self.0[cell] = choose::<T, SMALLEST, SKIP>(self.0[cell], found);
    }

    #[inline(always)]
    fn row(&mut self, cell: usize, items: &[T], _: usize, _: &Geometry) {
        for (value, item) in self.0[cell..cell + items.len()].iter_mut().zip(items) {
            *value = choose::<T, SMALLEST, SKIP>(*value, *item);
        }
    }
}

/// Positions (-1: none yet) and values.
struct Places<'a, T, const SMALLEST: bool, const SKIP: bool> {
    places: &'a mut [i64],
    values: &'a mut [T],
}

/// Whether `b` replaces `a`, which came first.
#[inline(always)]
fn improves<T: Ordered, const SMALLEST: bool, const SKIP: bool>(place: i64, a: T, b: T) -> bool {
    if SKIP && b.is_missing() {
        return false;
    }
    let better = if SMALLEST { b.before(a) } else { a.before(b) };
    place < 0 || ((better || b.is_missing()) && !a.is_missing())
}

impl<T: Ordered, const SMALLEST: bool, const SKIP: bool> Fold for Places<'_, T, SMALLEST, SKIP> {
    type Item = T;

    #[inline(always)]
    fn stretch<const LANES: usize>(&mut self, cell: usize, items: &[T], element: usize, geometry: &Geometry) {
        let found = best::<T, LANES, SMALLEST, SKIP>(items);
        if improves::<T, SMALLEST, SKIP>(self.places[cell], self.values[cell], found) {
            let same = |item: &T| !found.before(*item) && !item.before(found) && !item.is_missing();
            let wanted = |item: &T| if found.is_missing() { item.is_missing() } else { same(item) };
            if let Some(at) = items.iter().position(wanted) {
                self.places[cell] = geometry.global(element + at);
                self.values[cell] = found;
            }
        }
    }

    #[inline(always)]
    fn row(&mut self, cell: usize, items: &[T], element: usize, geometry: &Geometry) {
        let at = geometry.global(element);
        let cells = cell..cell + items.len();
        let state = self.places[cells.clone()].iter_mut().zip(&mut self.values[cells]);
        for (item, (place, value)) in items.iter().zip(state) {
            let better = improves::<T, SMALLEST, SKIP>(*place, *value, *item);
            *place = if better { at } else { *place };
            *value = if better { *item } else { *value };
        }
    }
}

/// Whether all (or any) are true.
pub(super) struct Truth<'a, const ALL: bool>(pub(super) &'a mut [u8]);

impl<const ALL: bool> Fold for Truth<'_, ALL> {
    type Item = u8;

    #[inline(always)]
    fn stretch<const LANES: usize>(&mut self, cell: usize, items: &[u8], _: usize, _: &Geometry) {
        let found = items.iter().fold(u8::from(ALL), |a, b| if ALL { a & b } else { a | b });
        self.0[cell] = if ALL { self.0[cell] & found } else { self.0[cell] | found };
    }

    #[inline(always)]
    fn row(&mut self, cell: usize, items: &[u8], _: usize, _: &Geometry) {
        for (value, item) in self.0[cell..cell + items.len()].iter_mut().zip(items) {
            *value = if ALL { *value & item } else { *value | item };
        }
    }
}

/// Runs `$run::<T, SMALLEST, SKIP>` for a choice.
macro_rules! for_choice {
    ($choice:expr, $run:ident::<$t:ty>($($argument:expr),*)) => {
        match $choice {
            Choice { smallest: true, skip_nan: false } => $run::<$t, true, false>($($argument),*),
            Choice { smallest: true, skip_nan: true } => $run::<$t, true, true>($($argument),*),
            Choice { smallest: false, skip_nan: false } => $run::<$t, false, false>($($argument),*),
            Choice { smallest: false, skip_nan: true } => $run::<$t, false, true>($($argument),*),
        }
    };
}

/// Runs `$run` for the type of a dtype; integers have no NaN to skip.
macro_rules! for_type {
    ($dtype:expr, $choice:expr, $run:ident($($argument:expr),*)) => {{
        let whole = Choice { skip_nan: false, ..$choice };
        match $dtype {
            DType::I8 => for_choice!(whole, $run::<i8>($($argument),*)),
            DType::I16 => for_choice!(whole, $run::<i16>($($argument),*)),
            DType::I32 => for_choice!(whole, $run::<i32>($($argument),*)),
            DType::I64 => for_choice!(whole, $run::<i64>($($argument),*)),
            DType::Bool | DType::U8 => for_choice!(whole, $run::<u8>($($argument),*)),
            DType::U16 | DType::F16 | DType::BF16 => for_choice!(whole, $run::<u16>($($argument),*)),
            DType::U32 => for_choice!(whole, $run::<u32>($($argument),*)),
            DType::U64 => for_choice!(whole, $run::<u64>($($argument),*)),
            DType::F32 => for_choice!($choice, $run::<f32>($($argument),*)),
            DType::F64 => for_choice!($choice, $run::<f64>($($argument),*)),
            DType::C64 => for_choice!($choice, $run::<Complex<f32>>($($argument),*)),
            DType::C128 => for_choice!($choice, $run::<Complex<f64>>($($argument),*)),
        }
    }};
}

/// The state of no elements.
pub(super) fn start(state: &mut [u8], choice: Choice, dtype: DType) {
    fn run<T: Ordered, const SMALLEST: bool, const SKIP: bool>(state: &mut [u8]) {
        bytemuck::cast_slice_mut(state).fill(Extremes::<T, SMALLEST, SKIP>::NONE);
    }
    if dtype == DType::Bool {
        return state.fill(u8::from(choice.smallest));
    }
    for_type!(dtype, choice, run(state));
}

pub(super) fn tile_extremes(
    set: InstructionSet,
    state: &mut [u8],
    geometry: &Geometry,
    first: usize,
    items: &[u8],
    choice: Choice,
    dtype: DType,
) {
    fn run<T: Ordered, const SMALLEST: bool, const SKIP: bool>(
        set: InstructionSet,
        state: &mut [u8],
        geometry: &Geometry,
        first: usize,
        items: &[u8],
    ) {
        let fold = Extremes::<T, SMALLEST, SKIP>(bytemuck::cast_slice_mut(state));
        tile(set, fold, geometry, first, items);
    }
    for_type!(dtype, choice, run(set, state, geometry, first, items));
}

pub(super) fn tile_places(
    set: InstructionSet,
    state: &mut [u8],
    geometry: &Geometry,
    first: usize,
    items: &[u8],
    choice: Choice,
    dtype: DType,
) {
    fn run<T: Ordered, const SMALLEST: bool, const SKIP: bool>(
        set: InstructionSet,
        state: &mut [u8],
        geometry: &Geometry,
        first: usize,
        items: &[u8],
    ) {
        let (places, values) = state.split_at_mut(state.len() / 2);
        let (places, values) = (bytemuck::cast_slice_mut(places), bytemuck::cast_slice_mut(values));
        tile(set, Places::<T, SMALLEST, SKIP> { places, values }, geometry, first, items);
    }
    match dtype {
        DType::I64 => for_choice!(choice, run::<i64>(set, state, geometry, first, items)),
        DType::U64 => for_choice!(choice, run::<u64>(set, state, geometry, first, items)),
        _ => for_choice!(choice, run::<f64>(set, state, geometry, first, items)),
    }
}

pub(super) fn combine(into: &mut [u8], from: &[u8], choice: Choice, dtype: DType) {
    fn run<T: Ordered, const SMALLEST: bool, const SKIP: bool>(into: &mut [u8], from: &[u8]) {
        let from: &[T] = bytemuck::cast_slice(from);
        for (value, more) in bytemuck::cast_slice_mut::<_, T>(into).iter_mut().zip(from) {
            *value = choose::<T, SMALLEST, SKIP>(*value, *more);
        }
    }
    for_type!(dtype, choice, run(into, from));
}

/// Of equal values the one of the lower position stays, so that the order of chunks does not matter.
pub(super) fn combine_places(into: &mut [u8], from: &[u8], cells: usize, choice: Choice, dtype: DType) {
    fn run<T: Ordered, const SMALLEST: bool, const SKIP: bool>(into: &mut [u8], from: &[u8], cells: usize) {
        let (places, values) = into.split_at_mut(8 * cells);
        let (more_places, more_values) = from.split_at(8 * cells);
        let state = bytemuck::cast_slice_mut::<_, i64>(places)
            .iter_mut()
            .zip(bytemuck::cast_slice_mut::<_, T>(values));
        let more = bytemuck::cast_slice::<_, i64>(more_places).iter().zip(bytemuck::cast_slice(more_values));
        for ((place, value), (&more_place, &more_value)) in state.zip(more) {
            let later = more_place >= 0
                && (*place < 0 || *place > more_place)
                && !improves::<T, SMALLEST, SKIP>(more_place, more_value, *value);
            if later || (more_place >= 0 && improves::<T, SMALLEST, SKIP>(*place, *value, more_value)) {
                (*place, *value) = (more_place, more_value);
            }
        }
    }
    match dtype {
        DType::I64 => for_choice!(choice, run::<i64>(into, from, cells)),
        DType::U64 => for_choice!(choice, run::<u64>(into, from, cells)),
        _ => for_choice!(choice, run::<f64>(into, from, cells)),
    }
}

pub(super) fn combine_truth(into: &mut [u8], from: &[u8], all: bool) {
    for (value, more) in into.iter_mut().zip(from) {
        *value = if all { *value & more } else { *value | more };
    }
}

/// The positions, as bytes of `int64`.
pub(super) fn places(state: &[u8], cells: usize) -> Result<Vec<u8>, ReduceError> {
    let places = state.get(..8 * cells).unwrap_or_default();
    match bytemuck::cast_slice::<_, i64>(places).iter().position(|place| *place < 0) {
        Some(cell) => Err(ReduceError::AllNan { cell }),
        None => Ok(places.to_vec()),
    }
}
