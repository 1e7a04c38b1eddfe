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
    let near_one = (0.5..=2.0).contains(&large) && small <= 2.0;
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

/// `tanh`, which for large real parts is 1 and not the quotient of two infinities.
pub(super) fn tanh(a: C) -> C {
    const LARGE: f64 = 350.0;
    if a.re.abs() > LARGE {
        if a.re.is_finite() && !a.im.is_finite() {
            return C::new(f64::NAN, f64::NAN);
        }
        return C::new(1.0_f64.copysign(a.re), 0.0_f64.copysign((2.0 * a.im).sin()));
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
