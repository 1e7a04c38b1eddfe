//! Sums without any rounding but the last: superaccumulators, for results that do not depend on chunks.
//!
//! A cell is a fixed-point number of all the bits a float can have, in limbs of 32 bits of value in 64-bit words whose
//! upper halves take carries until they are passed on; behind the limbs stand the additions since then, whether
//! infinities or NaN were met, and the count. Float32 and narrower types need 11 limbs, float64 67. Cells lie one
//! after another, each in one piece.
//!
//! Invariants: adding and combining are exact, so the value behind a state does not depend on their order; sums are
//! rounded once, to nearest even. A mean is the sum so rounded over the count.
//!
//! Source of the idea: R. Neal, "Fast exact summation using small and large superaccumulators" (2015). Called by
//! [`super::Reduction`] when it is [`super::Reduction::exact`].

use super::fold::Fold;
use super::geometry::Geometry;
use num_complex::Complex;

/// Words of a cell: 11 limbs from 2^-201 (the last digit of a double as small as float32's least) up.
pub(super) const NARROW: usize = 11 + EXTRA;
/// Words of a cell: 67 limbs from 2^-1074 up.
pub(super) const WIDE: usize = 67 + EXTRA;
const EXTRA: usize = 3;
/// Additions that limbs take between passes of carries: each adds less than 2^34.
const MOST: i64 = 1 << 28;
const LOW: i64 = u32::MAX as i64;
const NAN: i64 = 1;
const INFINITE: [i64; 2] = [2, 4];

/// The exponent field of a double whose mantissa's last digit is the first digit of the limbs.
const fn first_exponent(words: usize) -> i64 {
    if words == NARROW { 1075 - 201 } else { 1 }
}

/// Adds a double to a cell, whose additions are counted by the caller.
#[inline(always)]
fn add<const WORDS: usize>(cell: &mut [i64; WORDS], item: f64) {
    let bits = item.to_bits();
    let exponent = (bits >> 52 & 0x7ff).cast_signed();
    let fraction = bits & ((1 << 52) - 1);
    let negative = (bits >> 63).cast_signed();
    let place = exponent.max(1) - first_exponent(WORDS);
    let index = (place >> 5) as usize;
    if exponent == 0x7ff || place < 0 || index + 3 > WORDS - EXTRA {
        return odd(cell, item);
    }
    let mantissa = fraction | u64::from(exponent != 0) << 52;
    let shift = place & 31;
    // 53 bits and a shift below 32: three limbs.
    let (low, high) = ((mantissa & u64::from(u32::MAX)) << shift, (mantissa >> 32) << shift);
    let parts = [
        low.cast_signed() & LOW,
        (low >> 32).cast_signed() + (high.cast_signed() & LOW),
        (high >> 32).cast_signed(),
    ];
    for (limb, part) in cell[index..index + 3].iter_mut().zip(parts) {
        *limb += (part ^ -negative) + negative;
    }
}

/// Infinities, NaN, zeros of a narrow cell, and what no float32 is.
#[cold]
fn odd<const WORDS: usize>(cell: &mut [i64; WORDS], item: f64) {
    let flags = &mut cell[WORDS - 2];
    if item.is_nan() {
        *flags |= NAN;
    } else if item.abs() > f64::from(f32::MAX) {
        *flags |= INFINITE[usize::from(item < 0.0)];
    }
}

/// Passes carries on, so that all limbs but the last are from 0 to 2^32.
fn carry(limbs: &mut [i64]) {
    let mut carried = 0;
    let last = limbs.len().saturating_sub(1);
    for (number, limb) in limbs.iter_mut().enumerate() {
        *limb += carried;
        if number < last {
            carried = *limb >> 32;
            *limb &= LOW;
        }
    }
}

/// Counts `count` additions about to come, after passing carries on if limbs might overflow.
#[inline(always)]
fn announce<const WORDS: usize>(cell: &mut [i64; WORDS], count: usize) {
    let additions = cell[WORDS - 3] + count as i64;
    cell[WORDS - 3] = if additions < MOST {
        additions
    } else {
        carry(&mut cell[..WORDS - EXTRA]);
        count as i64 + 1
    };
}

/// Exact sums of doubles; with `SKIP`, of those that are numbers.
pub(super) struct Exact<'a, const WORDS: usize, const SKIP: bool>(&'a mut [i64]);

impl<'a, const WORDS: usize, const SKIP: bool> Exact<'a, WORDS, SKIP> {
    pub(super) fn new(state: &'a mut [u8]) -> Self {
        Self(bytemuck::cast_slice_mut(state))
    }

    #[inline(always)]
    fn add_all(cell: &mut [i64; WORDS], items: &[f64]) {
        announce(cell, items.len());
        let mut count = 0;
        for item in items {
            if !(SKIP && item.is_nan()) {
                add(cell, *item);
                count += 1;
            }
        }
        cell[WORDS - 1] += count;
    }
}

impl<const WORDS: usize, const SKIP: bool> Fold for Exact<'_, WORDS, SKIP> {
    type Item = f64;

    #[inline(always)]
    fn stretch<const LANES: usize>(&mut self, cell: usize, items: &[f64], _: usize, _: &Geometry) {
        if let Some(cell) = self.0.as_chunks_mut::<WORDS>().0.get_mut(cell) {
            Self::add_all(cell, items);
        }
    }

    #[inline(always)]
    fn row(&mut self, cell: usize, items: &[f64], _: usize, _: &Geometry) {
        let cells = &mut self.0.as_chunks_mut::<WORDS>().0[cell..cell + items.len()];
        for (cell, item) in cells.iter_mut().zip(items) {
            Self::add_all(cell, std::slice::from_ref(item));
        }
    }
}

/// Exact sums of those complex numbers of which no part is NaN.
pub(super) struct ExactComplex<'a, const WORDS: usize>(&'a mut [i64]);

impl<'a, const WORDS: usize> ExactComplex<'a, WORDS> {
    pub(super) fn new(state: &'a mut [u8]) -> Self {
        Self(bytemuck::cast_slice_mut(state))
    }
}

impl<const WORDS: usize> Fold for ExactComplex<'_, WORDS> {
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
        let parts = self.0.as_chunks_mut::<WORDS>().0;
        for (cell, item) in (cell..).zip(items).filter(|(_, item)| !item.is_nan()) {
            for (part, value) in parts[2 * cell..2 * cell + 2].iter_mut().zip([item.re, item.im]) {
                Exact::<WORDS, false>::add_all(part, &[value]);
            }
        }
    }
}

/// Adds states: limb by limb.
pub(super) fn combine<const WORDS: usize>(into: &mut [u8], from: &[u8]) {
    let (into, from): (&mut [i64], &[i64]) = (bytemuck::cast_slice_mut(into), bytemuck::cast_slice(from));
    for (cell, more) in into.as_chunks_mut::<WORDS>().0.iter_mut().zip(from.as_chunks::<WORDS>().0) {
        announce(cell, more[WORDS - 3] as usize + 1);
        let limbs = WORDS - EXTRA;
        for (limb, more) in cell[..limbs].iter_mut().zip(&more[..limbs]) {
            *limb += more;
        }
        cell[WORDS - 2] |= more[WORDS - 2];
        cell[WORDS - 1] += more[WORDS - 1];
    }
}

/// The sum of a cell, rounded to nearest even; with `odd`, to the neighbour whose last bit is 1, which a second rounding
/// to fewer digits does not spoil.
fn rounded<const WORDS: usize>(cell: &[i64; WORDS], odd: bool) -> f64 {
    let flags = cell[WORDS - 2];
    match INFINITE.map(|infinite| flags & infinite != 0) {
        _ if flags & NAN != 0 => return f64::NAN,
        [true, true] => return f64::NAN,
        [true, false] => return f64::INFINITY,
        [false, true] => return f64::NEG_INFINITY,
        [false, false] => {}
    }
    let mut limbs = *cell;
    let limbs = &mut limbs[..WORDS - EXTRA];
    carry(limbs);
    let negative = limbs.last().is_some_and(|limb| *limb < 0);
    if negative {
        limbs.iter_mut().for_each(|limb| *limb = -*limb);
        carry(limbs);
    }
    // The last limb may be longer than 32 bits.
    let digit = |number: usize| match limbs.get(number) {
        Some(limb) => (limb & LOW) as u128,
        None if number == limbs.len() => limbs.last().map_or(0, |limb| (limb >> 32) as u128),
        None => 0,
    };
    let Some(top) = (0..=limbs.len()).rev().find(|number| digit(*number) != 0) else { return 0.0 };
    let highest = 32 * top + (127 - digit(top).leading_zeros()) as usize;
    // A double's digits start 52 below its first, or at the least of all: 2^-1074, where wide limbs start.
    let lowest = highest.saturating_sub(52);
    let number = lowest / 32;
    let window = digit(number) | digit(number + 1) << 32 | digit(number + 2) << 64;
    let mut mantissa = (window >> (lowest % 32)) as u64 & ((1 << 53) - 1);
    let below = |bit: usize| {
        let inside = digit(bit / 32) & ((1 << (bit % 32)) - 1) != 0;
        inside || (0..bit / 32).any(|number| digit(number) != 0)
    };
    if odd {
        mantissa |= u64::from(below(lowest));
    } else if lowest > 0 {
        let half = digit((lowest - 1) / 32) >> ((lowest - 1) % 32) & 1 == 1;
        mantissa += u64::from(half && (mantissa & 1 == 1 || below(lowest - 1)));
    }
    // The leading digit adds one to the exponent field, and so does a carry out of the mantissa.
    let exponent = lowest as u64 + first_exponent(WORDS).cast_unsigned() - 1;
    let infinity = f64::INFINITY.to_bits();
    let bits = (exponent << 52).saturating_add(mantissa).min(infinity);
    let size = if exponent > 0x7fe { f64::INFINITY } else { f64::from_bits(bits) };
    if negative { -size } else { size }
}

/// Sums or means of all cells as bytes of doubles; of a narrow dtype sums are rounded to be rounded again.
pub(super) fn finish<const WORDS: usize>(state: &[u8], mean: bool) -> Vec<u8> {
    let state: &[i64] = bytemuck::cast_slice(state);
    let value = |cell: &[i64; WORDS]| {
        let sum = rounded(cell, WORDS == NARROW && !mean);
        if mean { sum / cell[WORDS - 1] as f64 } else { sum }
    };
    let values: Vec<f64> = state.as_chunks::<WORDS>().0.iter().map(value).collect();
    bytemuck::cast_slice(&values).to_vec()
}

/// The counts of cells of `parts` parts, as bytes of doubles.
pub(super) fn counts<const WORDS: usize>(state: &[u8], parts: usize) -> Vec<u8> {
    let state: &[i64] = bytemuck::cast_slice(state);
    let cells = state.as_chunks::<WORDS>().0.iter().step_by(parts);
    let counts: Vec<f64> = cells.map(|cell| cell[WORDS - 1] as f64).collect();
    bytemuck::cast_slice(&counts).to_vec()
}
