//! Elementary functions of complex numbers in double precision, accurate near their branch points.
//!
//! Invariant: branch cuts and signs of zero are C99's. complex64 is computed here too and rounded. Source: W. Kahan,
//! "Branch cuts for complex elementary functions, or much ado about nothing's sign bit" (1987). Called by
//! [`super::elementary`].

use super::arithmetic::divide_complex;
use num_complex::Complex;
use std::f64::consts::{FRAC_PI_2, LN_2, LOG2_E, LOG10_E};

type C = Complex<f64>;

/// `i a`.
fn turned(a: C) -> C {
    C::new(-a.im, a.re)
}

/// `-i a`.
fn turned_back(a: C) -> C {
    C::new(a.im, -a.re)
}

pub(super) fn sqrt(a: C) -> C {
    if a.re == 0.0 && a.im == 0.0 {
        return C::new(0.0, a.im);
    }
    if a.im.is_infinite() {
        return C::new(f64::INFINITY, a.im);
    }
    if a.re.is_infinite() && !a.im.is_nan() {
        let zero = 0.0_f64.copysign(a.im);
        return if a.re > 0.0 { C::new(a.re, zero) } else { C::new(0.0, a.re.copysign(a.im)) };
    }
    // A quarter of a huge number has a modulus that does not overflow.
    let huge = a.re.abs().max(a.im.abs()) > f64::MAX / 4.0;
    let (re, im) = if huge { (a.re / 4.0, a.im / 4.0) } else { (a.re, a.im) };
    let root = f64::midpoint(re.abs(), re.hypot(im)).sqrt();
    let (re, im) =
        if re >= 0.0 { (root, im / (2.0 * root)) } else { (im.abs() / (2.0 * root), root.copysign(im)) };
    if huge { C::new(2.0 * re, 2.0 * im) } else { C::new(re, im) }
}

/// A real argument gives a real result, whatever it overflows to.
pub(super) fn exp(a: C) -> C {
    if a.im == 0.0 { C::new(a.re.exp(), a.im) } else { a.exp() }
}

pub(super) fn exp2(a: C) -> C {
    exp(a * LN_2)
}

pub(super) fn expm1(a: C) -> C {
    let half = (a.im / 2.0).sin();
    C::new(a.re.exp_m1() * a.im.cos() - 2.0 * half * half, a.re.exp() * a.im.sin())
}

pub(super) fn log(a: C) -> C {
    let (large, small) = (a.re.abs().max(a.im.abs()), a.re.abs().min(a.im.abs()));
    // The larger and the smaller of two pass over a NaN.
    let near_one = (0.5..=2.0).contains(&large) && small <= 2.0 && !a.is_nan();
    let real = if near_one {
        ((large - 1.0) * (large + 1.0) + small * small).ln_1p() / 2.0
    } else {
        a.re.hypot(a.im).ln()
    };
    C::new(real, a.im.atan2(a.re))
}

pub(super) fn log2(a: C) -> C {
    log(a) * LOG2_E
}

pub(super) fn log10(a: C) -> C {
    log(a) * LOG10_E
}

pub(super) fn log1p(a: C) -> C {
    let small = a.re.abs() < 0.5 && a.im.abs() < 0.5;
    if !small {
        return log(C::new(a.re + 1.0, a.im));
    }
    C::new(((a.re + 2.0) * a.re + a.im * a.im).ln_1p() / 2.0, a.im.atan2(a.re + 1.0))
}

/// A product in which zero stays zero, whatever the other factor overflows to; of NaN no sign is taken.
fn product(a: f64, b: f64) -> f64 {
    let sign = |x: f64| if x.is_nan() { 1.0 } else { x.signum() };
    if a == 0.0 || b == 0.0 { 0.0_f64.copysign(sign(a) * sign(b)) } else { a * b }
}

/// The products of `cosh(x)` and `sinh(x)` with one factor each, none of which is beyond 1: they overflow where the products do,
/// not where `cosh` does.
fn grown(x: f64, of_cosh: f64, of_sinh: f64) -> (f64, f64) {
    // Beyond it both are half of `exp`, but for the sign.
    const LARGE: f64 = 709.0;
    if x.abs() <= LARGE || x.is_nan() {
        return (product(x.cosh(), of_cosh), product(x.sinh(), of_sinh));
    }
    let half = (x.abs() / 2.0).exp();
    let scaled = |factor: f64| product(product(half / 2.0, factor), half);
    (scaled(of_cosh), scaled(if x < 0.0 { -of_sinh } else { of_sinh }))
}

/// Sines and cosines of what is infinite are NaN, but for infinite real parts the result is infinite all the same.
pub(super) fn sinh(a: C) -> C {
    if a.re.is_infinite() && !a.im.is_finite() {
        return C::new(a.re, f64::NAN);
    }
    let (sin, cos) = a.im.sin_cos();
    let (im, re) = grown(a.re, sin, cos);
    C::new(re, im)
}

/// As [`sinh`].
pub(super) fn cosh(a: C) -> C {
    if a.re.is_infinite() && !a.im.is_finite() {
        return C::new(f64::INFINITY, f64::NAN);
    }
    let (sin, cos) = a.im.sin_cos();
    let (re, im) = grown(a.re, cos, sin);
    C::new(re, im)
}

pub(super) fn sin(a: C) -> C {
    turned_back(sinh(turned(a)))
}

pub(super) fn cos(a: C) -> C {
    cosh(turned(a))
}

/// `tanh`, which for large real parts is 1 and not the quotient of two infinities.
pub(super) fn tanh(a: C) -> C {
    const LARGE: f64 = 350.0;
    if a.re == 0.0 {
        return C::new(a.re, a.im.tan());
    }
    if a.im == 0.0 {
        return C::new(a.re.tanh(), a.im);
    }
    if a.re.abs() > LARGE {
        if a.re.is_finite() && !a.im.is_finite() {
            return C::new(f64::NAN, f64::NAN);
        }
        return C::new(1.0_f64.copysign(a.re), 0.0_f64.copysign(a.im.sin() * a.im.cos()));
    }
    let (sin, cos) = a.im.sin_cos();
    let (sinh, cosh) = (a.re.sinh(), a.re.cosh());
    divide_complex(C::new(sinh * cos, cosh * sin), C::new(cosh * cos, sinh * sin))
}

pub(super) fn tan(a: C) -> C {
    turned_back(tanh(turned(a)))
}

pub(super) fn arcsin(a: C) -> C {
    if a.re.is_infinite() || a.im.is_infinite() {
        let angle = a.re.abs().atan2(a.im.abs()).copysign(a.re);
        return C::new(angle, f64::INFINITY.copysign(a.im));
    }
    let (below, above) = (sqrt(C::new(1.0 - a.re, -a.im)), sqrt(C::new(1.0 + a.re, a.im)));
    C::new(a.re.atan2((below * above).re), libm::asinh((below.conj() * above).im))
}

pub(super) fn arccos(a: C) -> C {
    if a.re.is_infinite() || a.im.is_infinite() {
        return C::new(a.im.abs().atan2(a.re), -f64::INFINITY.copysign(a.im));
    }
    let (below, above) = (sqrt(C::new(1.0 - a.re, -a.im)), sqrt(C::new(1.0 + a.re, a.im)));
    C::new(2.0 * below.re.atan2(above.re), libm::asinh((above.conj() * below).im))
}

pub(super) fn arccosh(a: C) -> C {
    if a.re.is_infinite() || a.im.is_infinite() {
        return C::new(f64::INFINITY, a.im.atan2(a.re));
    }
    let (below, above) = (sqrt(C::new(a.re - 1.0, a.im)), sqrt(C::new(a.re + 1.0, a.im)));
    C::new(libm::asinh((below.conj() * above).re), 2.0 * below.im.atan2(above.re))
}

pub(super) fn arcsinh(a: C) -> C {
    turned_back(arcsin(turned(a)))
}

pub(super) fn arctanh(a: C) -> C {
    // Beyond this the real part is below the smallest double's precision and squares may overflow.
    const LARGE: f64 = 1e150;
    if a.re.is_nan() || a.im.is_nan() {
        let zero = 0.0_f64.copysign(a.re);
        let quarter = FRAC_PI_2.copysign(a.im);
        return match (a.re.is_infinite(), a.im.is_infinite()) {
            (true, _) => C::new(zero, f64::NAN),
            (_, true) => C::new(zero, quarter),
            _ => C::new(f64::NAN, f64::NAN),
        };
    }
    if a.re.abs() > LARGE || a.im.abs() > LARGE {
        return C::new(0.0_f64.copysign(a.re), FRAC_PI_2.copysign(a.im));
    }
    let x = a.re.abs();
    let real = (4.0 * x / ((1.0 - x) * (1.0 - x) + a.im * a.im)).ln_1p() / 4.0;
    let imaginary = (2.0 * a.im).atan2((1.0 - x) * (1.0 + x) - a.im * a.im) / 2.0;
    C::new(real.copysign(a.re), imaginary)
}

pub(super) fn arctan(a: C) -> C {
    turned_back(arctanh(turned(a)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFINITY: f64 = f64::INFINITY;
    const NAN: f64 = f64::NAN;

    fn alike(found: C, re: f64, im: f64) {
        let same = |a: f64, b: f64| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        assert!(same(found.re, re) && same(found.im, im), "{found} is not {}", C::new(re, im));
    }

    #[test]
    fn logarithms_of_nan_are_nan() {
        for function in [log, log2, log10, log1p] {
            for a in [C::new(1.0, NAN), C::new(NAN, 1.0), C::new(NAN, NAN), C::new(0.1, NAN)] {
                alike(function(a), NAN, NAN);
            }
            alike(function(C::new(-INFINITY, NAN)), INFINITY, NAN);
        }
    }

    // What C99 says.
    #[test]
    fn zero_stays_zero_where_the_other_factor_overflows() {
        alike(cosh(C::new(800.0, 0.0)), INFINITY, 0.0);
        alike(cosh(C::new(-800.0, 0.0)), INFINITY, -0.0);
        alike(cosh(C::new(INFINITY, -0.0)), INFINITY, -0.0);
        alike(cosh(C::new(0.0, INFINITY)), NAN, 0.0);
        alike(cosh(C::new(-INFINITY, INFINITY)), INFINITY, NAN);
        alike(sinh(C::new(800.0, 0.0)), INFINITY, 0.0);
        alike(sinh(C::new(-2000.0, -0.0)), -INFINITY, -0.0);
        alike(sinh(C::new(0.0, INFINITY)), 0.0, NAN);
        alike(sinh(C::new(NAN, 0.0)), NAN, 0.0);
        alike(sinh(C::new(INFINITY, NAN)), INFINITY, NAN);
        alike(sin(C::new(0.0, 800.0)), 0.0, INFINITY);
        alike(sin(C::new(-0.0, 800.0)), -0.0, INFINITY);
        alike(cos(C::new(0.0, 800.0)), INFINITY, -0.0);
        alike(tan(C::new(INFINITY, 0.0)), NAN, 0.0);
        alike(tanh(C::new(0.0, INFINITY)), 0.0, NAN);
        alike(tanh(C::new(NAN, 0.0)), NAN, 0.0);
        alike(tanh(C::new(400.0, 1e308)), 1.0, -0.0);
    }

    #[test]
    fn products_overflow_where_their_value_does() {
        let found = sinh(C::new(-710.2, 1.5));
        assert!((found.re / -9.650_702_487_019_523e306 - 1.0).abs() < 1e-12, "{found}");
        assert!((found.im / 1.360_886_085_546_768_5e308 - 1.0).abs() < 1e-12, "{found}");
        let found = cosh(C::new(-710.2, 1.5));
        assert!(found.re > 0.0 && found.im < 0.0 && found.re.is_finite() && found.im.is_finite(), "{found}");
    }
}
