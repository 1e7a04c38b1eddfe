//! Elements as windows see them: doubles, or, for ranks, what they are where that is narrower, and keys in their order of 64-bit
//! integers, which doubles round.
//!
//! Invariant: a key is smaller where its element is, and gives that element back. Called by windows of any shape.

use super::super::space;
use crate::{DType, cast};
use std::cmp::Ordering;

/// What stands for an element.
pub(super) trait Seen: Copy + Default + PartialOrd {
    /// The elements from number `start` on.
    fn load(bytes: &[u8], dtype: DType, start: usize, to: &mut [Self]);
    /// A number as an element of `dtype`.
    fn of(value: f64, dtype: DType) -> Self;
    /// The first of all in order and how many binary digits tell all apart, where ranks are found digit by digit.
    const DIGITS: Option<(Self, u32)> = None;
    /// What comes `2^digit` behind it in order, if that is among [`Seen::DIGITS`].
    fn behind(self, digit: u32) -> Self {
        let _ = digit;
        self
    }
    /// The smaller of two; this one, if neither is.
    fn smaller(self, other: Self) -> Self;
    /// The other of the two.
    fn larger(self, other: Self) -> Self;
    /// The order of all, also of what is not a number.
    fn order(&self, other: &Self) -> Ordering;
}

/// Of floats: whatever is not a number stays where it is.
macro_rules! float_order {
    () => {
        #[inline(always)]
        fn smaller(self, other: Self) -> Self {
            if other < self { other } else { self }
        }

        #[inline(always)]
        fn larger(self, other: Self) -> Self {
            if other < self { self } else { other }
        }

        fn order(&self, other: &Self) -> Ordering {
            self.total_cmp(other)
        }
    };
}

macro_rules! whole_order {
    () => {
        #[inline(always)]
        fn smaller(self, other: Self) -> Self {
            self.min(other)
        }

        #[inline(always)]
        fn larger(self, other: Self) -> Self {
            self.max(other)
        }

        fn order(&self, other: &Self) -> Ordering {
            self.cmp(other)
        }
    };
}

impl Seen for f64 {
    fn load(bytes: &[u8], dtype: DType, start: usize, to: &mut [Self]) {
        space::load(bytes, dtype, start, to);
    }

    fn of(value: f64, _: DType) -> Self {
        value
    }

    float_order!();
}

/// Numbers that are found digit by digit.
macro_rules! digits {
    ($t:ty) => {
        const DIGITS: Option<(Self, u32)> = Some((<$t>::MIN, <$t>::BITS));

        #[inline(always)]
        fn behind(self, digit: u32) -> Self {
            // Of a signed type the digit of the sign is the smallest number.
            self.wrapping_add((1 as Self) << digit)
        }
    };
}

macro_rules! narrow {
    ($($t:ty, $order:ident $(, $digits:ident)?;)*) => {$(
        impl Seen for $t {
            $($digits!($t);)?

            fn load(bytes: &[u8], dtype: DType, start: usize, to: &mut [Self]) {
                let size = dtype.size();
                let Some(bytes) = bytes.get(start * size..(start + to.len()) * size) else { return };
                // Lengths agree.
                let _ = cast(bytemuck::cast_slice_mut(to), <$t as crate::Element>::DTYPE, bytes, dtype);
            }

            fn of(value: f64, _: DType) -> Self {
                let mut own = [Self::default()];
                Self::load(&value.to_ne_bytes(), DType::F64, 0, &mut own);
                own[0]
            }

            $order!();
        }
    )*};
}
narrow! {
    u8, whole_order, digits;
    i8, whole_order, digits;
    u16, whole_order, digits;
    i16, whole_order, digits;
    f32, float_order;
}

/// The key of a float, smaller where that is.
const fn key_of(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

/// The float of a key.
pub(super) const fn float_of(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 0 { !key } else { key & !(1 << 31) })
}

/// Keys of floats of at most 32 bits.
impl Seen for u32 {
    digits!(Self);

    fn load(bytes: &[u8], dtype: DType, start: usize, to: &mut [Self]) {
        f32::load(bytes, dtype, start, bytemuck::cast_slice_mut(to));
        to.iter_mut().for_each(|key| *key = key_of(f32::from_bits(*key)));
    }

    fn of(value: f64, dtype: DType) -> Self {
        key_of(f32::of(value, dtype))
    }

    whole_order!();
}

/// The key of a word of an element, and the word of a key: negative numbers come before the others.
const fn turned(word: u64, dtype: DType) -> u64 {
    if matches!(dtype, DType::I64) { word ^ (1 << 63) } else { word }
}

/// Keys of `int64` and `uint64`.
impl Seen for u64 {
    fn load(bytes: &[u8], dtype: DType, start: usize, to: &mut [Self]) {
        let words = bytes.as_chunks::<8>().0.get(start..).unwrap_or_default();
        for (to, word) in to.iter_mut().zip(words) {
            *to = turned(Self::from_ne_bytes(*word), dtype);
        }
    }

    fn of(value: f64, dtype: DType) -> Self {
        let (mut word, mut key) = ([0; 8], [0]);
        space::store(&mut word, dtype, 0, &[value]);
        Self::load(&word, dtype, 0, &mut key);
        key[0]
    }

    whole_order!();
}

/// Stores the elements of `from`, keys of elements of `source`, as those of `dtype` from number `start` on.
pub(super) fn store_keys(out: &mut [u8], dtype: DType, start: usize, from: &[u64], source: DType) {
    let size = dtype.size();
    let Some(out) = out.get_mut(start * size..(start + from.len()) * size) else { return };
    let mut words = [0_u64; 64];
    for (out, from) in out.chunks_mut(64 * size).zip(from.chunks(64)) {
        words.iter_mut().zip(from).for_each(|(word, key)| *word = turned(*key, source));
        let words = words.get(..from.len()).unwrap_or_default();
        // Lengths agree.
        let _ = cast(out, dtype, bytemuck::cast_slice(words), source);
    }
}
