//! Unsigned keys in whose order elements sort.
//!
//! Invariants: `a.key() < b.key()` if `a` sorts before `b`; `value` is the inverse of `key`, but for the bits of NaN;
//! `tied` keys are alike for equal values. Called by everything in [`super`].

#![expect(clippy::cast_lossless, reason = "one text for every width")]

use super::radix;
use bytemuck::Pod;
use half::{bf16, f16};
use num_complex::Complex;

/// A key: a word, or for complex numbers a class (which parts are NaN), two words, and which zeros are not negative.
pub(super) trait Key: Copy + Ord + Default {
    /// The key of NaN.
    const LAST: Self;
    /// The key at the same place of the opposite order.
    fn flip(self) -> Self;
    /// Sorts keys; `spare` is grown to their number.
    fn sort(keys: &mut [Self], spare: &mut Vec<Self>);
    /// Sorts keys with their places, those of equal keys as they come.
    fn sort_entries(entries: &mut [(Self, u32)], spare: &mut Vec<(Self, u32)>);
}

/// A key of one machine word.
pub(super) trait Word: Key {
    fn wide(self) -> u64;
    /// The lower bits of a word.
    fn narrow(wide: u64) -> Self;
}

/// An element type with its keys.
pub(super) trait Ranked: Pod {
    type Key: Key;
    fn key(self) -> Self::Key;
    /// The key that equal values share.
    fn tied(self) -> Self::Key;
    fn value(key: Self::Key) -> Self;
}

/// A real element type.
pub(super) trait RankedReal: Ranked<Key: Word> {
    /// Whether there is NaN, whose key is then the last.
    const HAS_MISSING: bool;
    fn double(self) -> f64;
}

macro_rules! words {
    ($($t:ty)*) => {$(
        impl Key for $t {
            const LAST: Self = Self::MAX;
            #[inline(always)]
            fn flip(self) -> Self {
                !self
            }
            fn sort(keys: &mut [Self], spare: &mut Vec<Self>) {
                radix::sort(keys, spare, |key| *key);
            }
            fn sort_entries(entries: &mut [(Self, u32)], spare: &mut Vec<(Self, u32)>) {
                radix::sort(entries, spare, |entry| entry.0);
            }
        }
        impl Word for $t {
            #[inline(always)]
            fn wide(self) -> u64 {
                self as u64
            }
            #[inline(always)]
            fn narrow(wide: u64) -> Self {
                wide as Self
            }
        }
    )*};
}
words!(u8 u16 u32 u64);

impl<K: Word> Key for (u8, K, K, u8) {
    const LAST: Self = (3, K::LAST, K::LAST, 3);
    fn flip(self) -> Self {
        (!self.0, self.1.flip(), self.2.flip(), !self.3)
    }
    fn sort(keys: &mut [Self], _: &mut Vec<Self>) {
        keys.sort_unstable();
    }
    fn sort_entries(entries: &mut [(Self, u32)], _: &mut Vec<(Self, u32)>) {
        // Places tell equal keys apart.
        entries.sort_unstable();
    }
}

macro_rules! ranked_integers {
    ($($t:ty, $key:ty, $flip:expr;)*) => {$(
        impl Ranked for $t {
            type Key = $key;
            #[inline(always)]
            fn key(self) -> $key {
                self as $key ^ $flip
            }
            #[inline(always)]
            fn tied(self) -> $key {
                self.key()
            }
            #[inline(always)]
            fn value(key: $key) -> Self {
                (key ^ $flip) as Self
            }
        }
        impl RankedReal for $t {
            const HAS_MISSING: bool = false;
            #[inline(always)]
            fn double(self) -> f64 {
                self as f64
            }
        }
    )*};
}
ranked_integers!(
    u8, u8, 0; u16, u16, 0; u32, u32, 0; u64, u64, 0;
    i8, u8, 1 << 7; i16, u16, 1 << 15; i32, u32, 1 << 31; i64, u64, 1 << 63;
);

macro_rules! ranked_floats {
    ($($t:ty, $key:ty, $infinity:expr;)*) => {$(
        impl Ranked for $t {
            type Key = $key;
            #[inline(always)]
            fn key(self) -> $key {
                const SIGN: $key = 1 << (<$key>::BITS - 1);
                let bits = self.to_bits();
                let ordered = bits ^ ((bits.cast_signed() >> (<$key>::BITS - 1)).cast_unsigned() | SIGN);
                if bits & !SIGN > $infinity.to_bits() { <$key>::LAST } else { ordered }
            }
            #[inline(always)]
            fn tied(self) -> $key {
                const SIGN: $key = 1 << (<$key>::BITS - 1);
                if self.to_bits() == SIGN { SIGN } else { self.key() }
            }
            #[inline(always)]
            fn value(key: $key) -> Self {
                const SIGN: $key = 1 << (<$key>::BITS - 1);
                let bits = if key & SIGN == 0 { !key } else { key ^ SIGN };
                if key == <$key>::LAST { Self::NAN } else { Self::from_bits(bits) }
            }
        }
        impl RankedReal for $t {
            const HAS_MISSING: bool = true;
            #[inline(always)]
            fn double(self) -> f64 {
                self.into()
            }
        }
    )*};
}
ranked_floats!(
    f16, u16, f16::INFINITY;
    bf16, u16, bf16::INFINITY;
    f32, u32, f32::INFINITY;
    f64, u64, f64::INFINITY;
);

macro_rules! ranked_complex {
    ($($t:ty, $key:ty;)*) => {$(
        impl Ranked for Complex<$t> {
            type Key = (u8, $key, $key, u8);
            fn key(self) -> Self::Key {
                let (class, re, im, _) = self.tied();
                let negative = |part: $t| u8::from(part == 0.0 && part.is_sign_negative());
                (class, re, im, 3 - 2 * negative(self.re) - negative(self.im))
            }
            fn tied(self) -> Self::Key {
                let class = 2 * u8::from(self.re.is_nan()) + u8::from(self.im.is_nan());
                (class, self.re.tied(), self.im.tied(), 3)
            }
            fn value((_, re, im, signs): Self::Key) -> Self {
                let part = |key, sign| {
                    let part = <$t>::value(key);
                    if signs & sign == 0 { -part } else { part }
                };
                Self::new(part(re, 2), part(im, 1))
            }
        }
    )*};
}
ranked_complex!(f32, u32; f64, u64;);

/// Runs `$run::<T>` for the type of a dtype; bools are bytes.
macro_rules! for_ranked {
    ($dtype:expr, $run:ident($($argument:expr),*)) => {
        match $dtype {
            DType::C64 => $run::<num_complex::Complex<f32>>($($argument),*),
            real => $crate::order::key::for_ranked_real!(
                real,
                $run($($argument),*),
                $run::<num_complex::Complex<f64>>($($argument),*)
            ),
        }
    };
}

/// As `for_ranked`, for real types; `$complex` answers for the others.
macro_rules! for_ranked_real {
    ($dtype:expr, $run:ident($($argument:expr),*), $complex:expr) => {
        match $dtype {
            DType::Bool | DType::U8 => $run::<u8>($($argument),*),
            DType::I8 => $run::<i8>($($argument),*),
            DType::I16 => $run::<i16>($($argument),*),
            DType::I32 => $run::<i32>($($argument),*),
            DType::I64 => $run::<i64>($($argument),*),
            DType::U16 => $run::<u16>($($argument),*),
            DType::U32 => $run::<u32>($($argument),*),
            DType::U64 => $run::<u64>($($argument),*),
            DType::F16 => $run::<half::f16>($($argument),*),
            DType::BF16 => $run::<half::bf16>($($argument),*),
            DType::F32 => $run::<f32>($($argument),*),
            DType::F64 => $run::<f64>($($argument),*),
            DType::C64 | DType::C128 => $complex,
        }
    };
}

pub(super) use {for_ranked, for_ranked_real};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_order_floats(a in any::<f64>(), b in any::<f64>()) {
            prop_assert_eq!(a.key() < b.key(), a.total_cmp(&b).is_lt());
            prop_assert_eq!(f64::value(a.key()).to_bits(), a.to_bits());
            let (a, b) = (a as f32, b as f32);
            prop_assert_eq!(a.key() < b.key(), a.total_cmp(&b).is_lt());
            prop_assert_eq!(f32::value(a.key()).to_bits(), a.to_bits());
        }

        #[test]
        fn keys_order_integers(a in any::<i64>(), b in any::<i64>()) {
            prop_assert_eq!(a.key() < b.key(), a < b);
            prop_assert_eq!(i64::value(a.key()), a);
            prop_assert_eq!((a as i8).key() < (b as i8).key(), (a as i8) < (b as i8));
        }
    }

    #[test]
    fn missing_values_are_last_and_zeros_tie() {
        for nan in [f32::NAN, -f32::NAN] {
            assert!(nan.key() > f32::INFINITY.key());
            assert!(f32::value(nan.key()).is_nan());
        }
        assert_eq!((-0.0_f64).tied(), 0.0_f64.tied());
        assert!((-0.0_f64).key() < 0.0_f64.key());
        assert!(f16::from_f32(-1.0).key() < f16::from_f32(0.5).key());
        let nan = Complex::new(f64::NAN, 1.0);
        assert!(Complex::new(1.0, f64::NAN).key() < nan.key());
        assert!(Complex::new(f64::INFINITY, 0.0).key() < Complex::new(1.0, f64::NAN).key());
    }
}
