//! How each element type takes part in a conversion: every type widens without loss to one of six, and is made from
//! those six; fifteen types need no table of pairs.
//!
//! Invariant: `widen` is exact. Called by [`super::cast`] alone; a supertrait of `Element` so that a visitor can use it.

use bytemuck::Pod;
use half::{bf16, f16};
use num_complex::Complex;

/// An element type as source and target of conversions.
pub trait Convert {
    /// What lies in memory: the type itself, but a byte for bool.
    type Raw: Pod;
    /// The type that holds every value of this one.
    type Wide: Wide;
    /// The value, exactly.
    fn widen(raw: Self::Raw) -> Self::Wide;
    /// The value converted from an integer.
    fn from_i64(value: i64) -> Self::Raw;
    /// The value converted from an unsigned integer.
    fn from_u64(value: u64) -> Self::Raw;
    /// The value converted from a float.
    fn from_f32(value: f32) -> Self::Raw;
    /// The value converted from a double.
    fn from_f64(value: f64) -> Self::Raw;
    /// The value converted from a complex number: of its real part, unless the type says otherwise.
    fn from_c64(value: Complex<f32>) -> Self::Raw {
        Self::from_f32(value.re)
    }
    /// As [`Convert::from_c64`], in double precision.
    fn from_c128(value: Complex<f64>) -> Self::Raw {
        Self::from_f64(value.re)
    }
}

/// One of the types that others widen to.
pub trait Wide {
    /// The value as a `D`.
    fn narrow<D: Convert>(self) -> D::Raw;
}

macro_rules! wide {
    ($($t:ty: $from:ident),*) => {$(
        impl Wide for $t {
            #[inline(always)]
            fn narrow<D: Convert>(self) -> D::Raw {
                D::$from(self)
            }
        }
    )*};
}
wide!(i64: from_i64, u64: from_u64, f32: from_f32, f64: from_f64, Complex<f32>: from_c64, Complex<f64>: from_c128);

impl Convert for bool {
    type Raw = u8;
    type Wide = u64;
    #[inline(always)]
    fn widen(raw: u8) -> u64 {
        u64::from(raw != 0)
    }
    #[inline(always)]
    fn from_i64(value: i64) -> u8 {
        u8::from(value != 0)
    }
    #[inline(always)]
    fn from_u64(value: u64) -> u8 {
        u8::from(value != 0)
    }
    #[inline(always)]
    fn from_f32(value: f32) -> u8 {
        u8::from(value != 0.0)
    }
    #[inline(always)]
    fn from_f64(value: f64) -> u8 {
        u8::from(value != 0.0)
    }
    #[inline(always)]
    fn from_c64(value: Complex<f32>) -> u8 {
        u8::from(value.re != 0.0 || value.im != 0.0)
    }
    #[inline(always)]
    fn from_c128(value: Complex<f64>) -> u8 {
        u8::from(value.re != 0.0 || value.im != 0.0)
    }
}

/// `$through` is the integer by way of which floats arrive.
macro_rules! integers {
    ($($t:ty, $wide:ty, $through:ident);*) => {$(
        impl Convert for $t {
            type Raw = Self;
            type Wide = $wide;
            #[inline(always)]
            fn widen(raw: Self) -> $wide {
                <$wide>::from(raw)
            }
            #[inline(always)]
            fn from_i64(value: i64) -> Self {
                value as Self
            }
            #[inline(always)]
            fn from_u64(value: u64) -> Self {
                value as Self
            }
            #[inline(always)]
            fn from_f32(value: f32) -> Self {
                <f32 as Truncate>::$through(value) as Self
            }
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                <f64 as Truncate>::$through(value) as Self
            }
        }
    )*};
}
integers!(
    i8, i64, to_i32; i16, i64, to_i32; i32, i64, to_i32; i64, i64, to_i64;
    u8, u64, to_i32; u16, u64, to_i32; u32, u64, to_i64; u64, u64, to_u64
);

/// Truncation as x86-64 does it, spelled so that it means the same everywhere.
trait Truncate {
    fn to_i32(self) -> i32;
    fn to_i64(self) -> i64;
    fn to_u64(self) -> u64;
}

macro_rules! truncate {
    ($($t:ty),*) => {$(
        impl Truncate for $t {
            #[inline(always)]
            fn to_i32(self) -> i32 {
                // `as` saturates, which is already right below; NaN fails the comparison.
                if self < 2_147_483_648.0 { self as i32 } else { i32::MIN }
            }
            #[inline(always)]
            fn to_i64(self) -> i64 {
                if self < 9_223_372_036_854_775_808.0 { self as i64 } else { i64::MIN }
            }
            #[inline(always)]
            fn to_u64(self) -> u64 {
                const HALF: $t = 9_223_372_036_854_775_808.0;
                // The compilers' own sequence: the upper half is moved down, converted, and moved back.
                if self >= HALF { ((self - HALF).to_i64() as u64) ^ (1 << 63) } else { self.to_i64() as u64 }
            }
        }
    )*};
}
truncate!(f32, f64);

impl Convert for f32 {
    type Raw = Self;
    type Wide = Self;
    #[inline(always)]
    fn widen(raw: Self) -> Self {
        raw
    }
    #[inline(always)]
    fn from_i64(value: i64) -> Self {
        value as Self
    }
    #[inline(always)]
    fn from_u64(value: u64) -> Self {
        value as Self
    }
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        value
    }
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as Self
    }
}

impl Convert for f64 {
    type Raw = Self;
    type Wide = Self;
    #[inline(always)]
    fn widen(raw: Self) -> Self {
        raw
    }
    #[inline(always)]
    fn from_i64(value: i64) -> Self {
        value as Self
    }
    #[inline(always)]
    fn from_u64(value: u64) -> Self {
        value as Self
    }
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        Self::from(value)
    }
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }
}

/// `$from_f64` rounds a double to the float that the half-width type is then made from.
macro_rules! halves {
    ($($t:ty, $from_f64:expr);*) => {$(
        impl Convert for $t {
            type Raw = Self;
            type Wide = f32;
            #[inline(always)]
            fn widen(raw: Self) -> f32 {
                raw.to_f32()
            }
            #[inline(always)]
            fn from_i64(value: i64) -> Self {
                Self::from_f32(value as f32)
            }
            #[inline(always)]
            fn from_u64(value: u64) -> Self {
                Self::from_f32(value as f32)
            }
            #[inline(always)]
            fn from_f32(value: f32) -> Self {
                Self::from_f32(value)
            }
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                Self::from_f32($from_f64(value))
            }
        }
    )*};
}
halves!(f16, round_to_odd; bf16, |value| value as f32);

/// A float from which rounding to float16 gives what rounding the double itself would: the bits that float32 cannot
/// hold are folded into its last one, so that no tie appears that was none (Boldo and Melquiond's rounding to odd).
/// (`f16::from_f64` of the crate `half` drops those bits and can take the wrong side of a tie.)
#[inline(always)]
fn round_to_odd(value: f64) -> f32 {
    const DROPPED: u64 = (1 << 29) - 1;
    let bits = value.to_bits();
    let sticky = u64::from(bits & DROPPED != 0) << 29;
    f64::from_bits((bits & !DROPPED) | sticky) as f32
}

macro_rules! complexes {
    ($($part:ty),*) => {$(
        impl Convert for Complex<$part> {
            type Raw = Self;
            type Wide = Self;
            #[inline(always)]
            fn widen(raw: Self) -> Self {
                raw
            }
            #[inline(always)]
            fn from_i64(value: i64) -> Self {
                Self::new(value as $part, 0.0)
            }
            #[inline(always)]
            fn from_u64(value: u64) -> Self {
                Self::new(value as $part, 0.0)
            }
            #[inline(always)]
            fn from_f32(value: f32) -> Self {
                Self::new(value as $part, 0.0)
            }
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                Self::new(value as $part, 0.0)
            }
            #[inline(always)]
            fn from_c64(value: Complex<f32>) -> Self {
                Self::new(value.re as $part, value.im as $part)
            }
            #[inline(always)]
            fn from_c128(value: Complex<f64>) -> Self {
                Self::new(value.re as $part, value.im as $part)
            }
        }
    )*};
}
complexes!(f32, f64);
