//! The arithmetic of [`super::TABLE`]: sums, products, quotients, remainders, powers, signs.
//!
//! Integers wrap. Division by zero gives 0 for integers and infinity or NaN for floats; the most negative integer
//! divided by -1 is itself. Complex quotients follow Smith's algorithm, as NumPy's do. Sources: NumPy's documented
//! behaviour, and R. L. Smith, "Algorithm 116: Complex division", CACM 5 (1962).

#![expect(clippy::cast_lossless, reason = "one text for every width of a family")]

use super::loops::{Kernel, kernels};
use crate::DType;
use crate::cast::Convert;
use num_complex::Complex;
use num_traits::Float;

pub(super) fn add(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        words => (wide (a: T, b: T) -> T { a.wrapping_add(b) });
        floats => (wide (a: T, b: T) -> T { a + b });
        complexes => (wide (a: T, b: T) -> T { a + b });
        bools => (wide (a: T, b: T) -> T { a | b });
    )
}

pub(super) fn subtract(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        words => (wide (a: T, b: T) -> T { a.wrapping_sub(b) });
        floats => (wide (a: T, b: T) -> T { a - b });
        complexes => (wide (a: T, b: T) -> T { a - b });
    )
}

pub(super) fn multiply(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        words => (wide (a: T, b: T) -> T { a.wrapping_mul(b) });
        floats => (wide (a: T, b: T) -> T { a * b });
        complexes => (wide (a: T, b: T) -> T { a * b });
        bools => (wide (a: T, b: T) -> T { a & b });
    )
}

pub(super) fn true_divide(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        floats => (wide (a: T, b: T) -> T { a / b });
        complexes => (plain (a: T, b: T) -> T { divide_complex(a, b) });
    )
}

pub(super) fn floor_divide(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        signed => (plain (a: T, b: T) -> T {
            if b == 0 {
                return 0;
            }
            let quotient = a.wrapping_div(b);
            let inexact = a.wrapping_rem(b) != 0;
            quotient - T::from(inexact && (a < 0) != (b < 0))
        });
        unsigned => (plain (a: T, b: T) -> T { a.checked_div(b).unwrap_or(0) });
        floats => (plain (a: T, b: T) -> T { floored(a, b).0 });
    )
}

pub(super) fn remainder(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        signed => (plain (a: T, b: T) -> T {
            if b == 0 {
                return 0;
            }
            let rest = a.wrapping_rem(b);
            if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }
        });
        unsigned => (plain (a: T, b: T) -> T { a.checked_rem(b).unwrap_or(0) });
        floats => (plain (a: T, b: T) -> T { floored(a, b).1 });
    )
}

pub(super) fn fmod(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        signed => (plain (a: T, b: T) -> T { if b == 0 { 0 } else { a.wrapping_rem(b) } });
        unsigned => (plain (a: T, b: T) -> T { a.checked_rem(b).unwrap_or(0) });
        floats => (plain (a: T, b: T) -> T { a % b });
    )
}

pub(super) fn power(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        signed => (plain (a: T, b: T) -> T {
            match (a, u64::try_from(b)) {
                (_, Ok(exponent)) => power_wrapping!(a, exponent),
                (1, _) => 1,
                (-1, _) => if b % 2 == 0 { 1 } else { -1 },
                _ => 0,
            }
        });
        unsigned => (plain (a: T, b: T) -> T { power_wrapping!(a, b) });
        floats => (plain (a: T, b: T) -> T { a.powf(b) });
        complexes => (plain (a: T, b: T) -> T { power_complex(a, b) });
    )
}

pub(super) fn negative(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        words => (wide (a: T) -> T { a.wrapping_neg() });
        floats => (wide (a: T) -> T { -a });
        complexes => (wide (a: T) -> T { -a });
    )
}

pub(super) fn absolute(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        signed => (wide (a: T) -> T { a.wrapping_abs() });
        floats => (wide (a: T) -> T { a.abs() });
        complexes => (plain (a: T) -> <T as Parted>::Part { a.re.hypot(a.im) });
    )
}

pub(super) fn sign(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        signed => (wide (a: T) -> T { T::from(a > 0) - T::from(a < 0) });
        unsigned => (wide (a: T) -> T { T::from(a != 0) });
        floats => (wide (a: T) -> T {
            if a > 0.0 { 1.0 } else if a < 0.0 { -1.0 } else if a == 0.0 { 0.0 } else { a }
        });
        complexes => (plain (a: T) -> T { direction(a) });
    )
}

pub(super) fn reciprocal(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        integers => (plain (a: T) -> T { T::from_f64(1.0 / a as f64) });
        floats => (wide (a: T) -> T { 1.0 / a });
        complexes => (plain (a: T) -> T {
            if a.im.abs() <= a.re.abs() {
                let ratio = a.im / a.re;
                let scale = a.re + a.im * ratio;
                T::new(1.0 / scale, -ratio / scale)
            } else {
                let ratio = a.re / a.im;
                let scale = a.re * ratio + a.im;
                T::new(ratio / scale, -1.0 / scale)
            }
        });
    )
}

pub(super) fn square(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        words => (wide (a: T) -> T { a.wrapping_mul(a) });
        floats => (wide (a: T) -> T { a * a });
        complexes => (wide (a: T) -> T { a * a });
    )
}

/// The type of a complex number's parts.
pub(super) trait Parted {
    type Part;
}
impl<F> Parted for Complex<F> {
    type Part = F;
}

/// Exponentiation by squaring, wrapping.
macro_rules! power_wrapping {
    ($base:expr, $exponent:expr) => {{
        let (mut base, mut exponent, mut result) = ($base, $exponent, 1);
        while exponent != 0 {
            if exponent & 1 == 1 {
                result = base.wrapping_mul(result);
            }
            base = base.wrapping_mul(base);
            exponent >>= 1;
        }
        result
    }};
}
use power_wrapping;

/// Floored quotient and the remainder with the divisor's sign, exact as Python's `divmod` of floats.
#[inline(always)]
fn floored<F: Float>(a: F, b: F) -> (F, F) {
    let zero = F::zero();
    let mut rest = a % b;
    if b == zero {
        return (a / b, rest);
    }
    let mut quotient = (a - rest) / b;
    if rest == zero {
        rest = zero.copysign(b);
    } else if (b < zero) != (rest < zero) {
        rest = rest + b;
        quotient = quotient - F::one();
    }
    if quotient == zero {
        return (zero.copysign(a / b), rest);
    }
    let floor = quotient.floor();
    // The quotient is within rounding of an integer, which may lie above it.
    let half = F::one() / (F::one() + F::one());
    (if quotient - floor > half { floor + F::one() } else { floor }, rest)
}

pub(super) fn divide_complex<F: Float>(a: Complex<F>, b: Complex<F>) -> Complex<F> {
    let (re, im) = (b.re.abs(), b.im.abs());
    if re >= im {
        if re == F::zero() && im == F::zero() {
            return Complex::new(a.re / re, a.im / re);
        }
        let ratio = b.im / b.re;
        let scale = F::one() / (b.re + b.im * ratio);
        Complex::new((a.re + a.im * ratio) * scale, (a.im - a.re * ratio) * scale)
    } else {
        let ratio = b.re / b.im;
        let scale = F::one() / (b.im + b.re * ratio);
        Complex::new((a.re * ratio + a.im) * scale, (a.im * ratio - a.re) * scale)
    }
}

/// `a` divided by its size; infinite parts count as directions.
fn direction<F: Float>(a: Complex<F>) -> Complex<F> {
    let (zero, size) = (F::zero(), a.re.hypot(a.im));
    if size.is_nan() || (a.re.is_infinite() && a.im.is_infinite()) {
        Complex::new(F::nan(), F::nan())
    } else if a.re.is_infinite() {
        Complex::new(F::one().copysign(a.re), zero)
    } else if a.im.is_infinite() {
        Complex::new(zero, F::one().copysign(a.im))
    } else if size == zero {
        Complex::new(zero, zero)
    } else {
        Complex::new(a.re / size, a.im / size)
    }
}

/// `a` to the power `b`: by products for small whole exponents, else through the logarithm. Infinite numbers give NaN.
fn power_complex<F: Float>(a: Complex<F>, b: Complex<F>) -> Complex<F> {
    const LARGEST_BY_PRODUCTS: i32 = 100;
    let (zero, one) = (F::zero(), F::one());
    if b.re == zero && b.im == zero {
        return Complex::new(one, zero);
    }
    if a.re == zero && a.im == zero {
        return if b.re > zero { Complex::new(zero, zero) } else { Complex::new(F::nan(), F::nan()) };
    }
    let whole = if b.im == zero && b.re.fract() == zero { b.re.to_i32() } else { None };
    let Some(exponent) = whole.filter(|n| n.abs() < LARGEST_BY_PRODUCTS) else { return a.powc(b) };
    let (mut base, mut left, mut result) = (a, exponent.unsigned_abs(), Complex::new(one, zero));
    while left != 0 {
        if left & 1 == 1 {
            result = result * base;
        }
        base = base * base;
        left >>= 1;
    }
    if exponent < 0 { divide_complex(Complex::new(one, zero), result) } else { result }
}
