//! Functions of [`super::TABLE`] that look at, or build, the parts of a number: float class, neighbours, scaling,
//! rounding to whole numbers, real and imaginary parts.

use super::arithmetic::Parted;
use super::loops::{Kernel, kernels};
use crate::DType;

pub(super) fn isnan(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        floats => (wide (a: T) -> u8 { u8::from(a.is_nan()) });
        complexes => (plain (a: T) -> u8 { u8::from(a.is_nan()) });
    )
}

pub(super) fn isinf(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        floats => (wide (a: T) -> u8 { u8::from(a.is_infinite()) });
        // Infinite by one part, whatever the other is: `num_complex` says no beside a NaN.
        complexes => (plain (a: T) -> u8 { u8::from(a.re.is_infinite() || a.im.is_infinite()) });
    )
}

pub(super) fn isfinite(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        floats => (wide (a: T) -> u8 { u8::from(a.is_finite()) });
        complexes => (plain (a: T) -> u8 { u8::from(a.is_finite()) });
    )
}

pub(super) fn signbit(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?; floats => (wide (a: T) -> u8 { u8::from(a.is_sign_negative()) });)
}

pub(super) fn copysign(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?; floats => (wide (a: T, b: T) -> T { a.copysign(b) });)
}

pub(super) fn floor(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?; floats => (wide (a: T) -> T { a.floor() });)
}

pub(super) fn ceil(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?; floats => (wide (a: T) -> T { a.ceil() });)
}

pub(super) fn trunc(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?; floats => (wide (a: T) -> T { a.trunc() });)
}

pub(super) fn rint(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        floats => (wide (a: T) -> T { a.round_ties_even() });
        complexes => (wide (a: T) -> T { T::new(a.re.round_ties_even(), a.im.round_ties_even()) });
    )
}

pub(super) fn real(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?; complexes => (wide (a: T) -> <T as Parted>::Part { a.re });)
}

pub(super) fn imag(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?; complexes => (wide (a: T) -> <T as Parted>::Part { a.im });)
}

pub(super) fn conjugate(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?; complexes => (wide (a: T) -> T { a.conj() });)
}

/// Each part of a complex number; real numbers are composed of other functions.
pub(super) fn nan_to_num(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        complexes => (plain (a: T) -> T {
            type Part = <T as Parted>::Part;
            let part = |x: Part| if x.is_nan() { 0.0 } else { x.clamp(Part::MIN, Part::MAX) };
            T::new(part(a.re), part(a.im))
        });
    )
}

/// Complex numbers part by part; real numbers are composed of other functions.
pub(super) fn round(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        complexes => (plain (a: T, b: i64) -> T {
            type Part = <T as Parted>::Part;
            let decimals = b.clamp(-400, 400) as i32;
            let factor = 10.0_f64.powi(decimals.abs()) as Part;
            let part = |x: Part| {
                if decimals < 0 {
                    (x / factor).round_ties_even() * factor
                } else {
                    (x * factor).round_ties_even() / factor
                }
            };
            T::new(part(a.re), part(a.im))
        });
    )
}

/// `a` times two to the power `b`, rounded once.
pub(super) fn ldexp(types: &[DType]) -> Option<Kernel> {
    use super::loops::one;
    // Beyond this, every float has overflowed or vanished.
    const ENOUGH: i64 = 1 << 20;
    Some(match types {
        [DType::F32, DType::I32] => one!((plain (a: f32, b: i32) -> f32 { libm::ldexpf(a, b) })),
        [DType::F64, DType::I32] => one!((plain (a: f64, b: i32) -> f64 { libm::ldexp(a, b) })),
        [DType::F32, DType::I64] => one!((plain (a: f32, b: i64) -> f32 {
            libm::ldexpf(a, b.clamp(-ENOUGH, ENOUGH) as i32)
        })),
        [DType::F64, DType::I64] => one!((plain (a: f64, b: i64) -> f64 {
            libm::ldexp(a, b.clamp(-ENOUGH, ENOUGH) as i32)
        })),
        _ => return None,
    })
}

pub(super) fn nextafter(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        floats => (plain (a: T, b: T) -> T {
            if a.is_nan() || b.is_nan() {
                a + b
            } else if a == b {
                b
            } else if a < b {
                a.next_up()
            } else {
                a.next_down()
            }
        });
        f16 => (plain (a: T, b: T) -> T { half_towards(a, b, 0x7c00) });
        bf16 => (plain (a: T, b: T) -> T { half_towards(a, b, 0x7f80) });
    )
}

pub(super) fn spacing(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        floats => (plain (a: T) -> T {
            let away = if a < 0.0 { a.next_down() } else { a.next_up() };
            if a.is_infinite() { T::NAN } else { away - a }
        });
        // NumPy's float16 looks upwards, whatever the sign.
        f16 => (plain (a: T) -> T {
            let up = half::f16::from_bits(half_towards(a, 0x7c00, 0x7c00));
            let gap = up.to_f32() - half::f16::from_bits(a).to_f32();
            let infinite = a & 0x7fff == 0x7c00;
            half::f16::from_f32(if infinite { f32::NAN } else { gap }).to_bits()
        });
        bf16 => (plain (a: T) -> T {
            let away = half::bf16::from_bits(half_towards(a, 0x7f80 | (a & 0x8000), 0x7f80));
            let gap = away.to_f32() - half::bf16::from_bits(a).to_f32();
            let infinite = a & 0x7fff == 0x7f80;
            half::bf16::from_f32(if infinite { f32::NAN } else { gap }).to_bits()
        });
    )
}

/// The bits next to `a` on the way to `b`, in a 16-bit float format whose infinity is `infinity`.
fn half_towards(a: u16, b: u16, infinity: u16) -> u16 {
    const SIGN: u16 = 0x8000;
    let size = |bits: u16| bits & !SIGN;
    // Ordered as the numbers are: bits of negative numbers run backwards.
    let order = |bits: u16| if bits & SIGN == 0 { i32::from(bits) } else { -i32::from(size(bits)) };
    if size(a) > infinity || size(b) > infinity {
        return if size(a) > infinity { a } else { b };
    }
    match order(a).cmp(&order(b)) {
        std::cmp::Ordering::Equal => b,
        towards if size(a) == 0 => {
            if towards.is_lt() {
                1
            } else {
                SIGN | 1
            }
        }
        towards => {
            if towards.is_lt() == (a & SIGN == 0) {
                a + 1
            } else {
                a - 1
            }
        }
    }
}
