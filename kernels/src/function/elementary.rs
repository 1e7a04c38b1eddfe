//! Roots, exponentials, logarithms, circular and hyperbolic functions of [`super::TABLE`].
//!
//! Real functions are the standard library's, that is the platform's C library, and `libm`'s where the standard
//! library has its own formula: within 1 ulp of the true value (2 for the inverse hyperbolic ones, `logaddexp` and
//! `sinc`). NumPy's own vector loops are within 4, so results may differ from NumPy's by that much. Complex functions
//! are computed in double precision, within some ulp of the modulus, not of each part. Results are the same for every instruction
//! set; between platforms they differ as their C libraries do.

use super::complex;
use super::loops::{Kernel, kernels};
use crate::DType;
use num_complex::Complex;
use num_traits::{Float, FloatConst};

/// Functions of real numbers, and of complex ones in double precision.
macro_rules! elementary {
    ($($name:ident: |$a:ident| $real:expr $(, $complex:expr)?;)+) => {$(
        pub(super) fn $name(types: &[DType]) -> Option<Kernel> {
            kernels!(*types.first()?;
                floats => (plain ($a: T) -> T { $real });
                $(complexes => (plain (a: T) -> T { through_double(a, $complex) });)?
            )
        }
    )+};
}

elementary! {
    cbrt: |a| a.cbrt();
    exp: |a| a.exp(), complex::exp;
    exp2: |a| a.exp2(), complex::exp2;
    expm1: |a| a.exp_m1(), complex::expm1;
    log: |a| a.ln(), complex::log;
    log2: |a| a.log2(), complex::log2;
    log10: |a| a.log10(), complex::log10;
    log1p: |a| a.ln_1p(), complex::log1p;
    sin: |a| a.sin(), complex::sin;
    cos: |a| a.cos(), complex::cos;
    tan: |a| a.tan(), complex::tan;
    arcsin: |a| a.asin(), complex::arcsin;
    arccos: |a| a.acos(), complex::arccos;
    arctan: |a| a.atan(), complex::arctan;
    sinh: |a| a.sinh(), complex::sinh;
    cosh: |a| a.cosh(), complex::cosh;
    tanh: |a| a.tanh(), complex::tanh;
    arcsinh: |a| a.arcsinh(), complex::arcsinh;
    arccosh: |a| a.arccosh(), complex::arccosh;
    arctanh: |a| a.arctanh(), complex::arctanh;
}

pub(super) fn sqrt(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        floats => (wide (a: T) -> T { a.sqrt() });
        complexes => (plain (a: T) -> T { through_double(a, complex::sqrt) });
    )
}

/// A complex function, computed in double precision.
#[inline(always)]
fn through_double<F: Float + Into<f64>>(
    a: Complex<F>,
    function: impl Fn(Complex<f64>) -> Complex<f64>,
) -> Complex<F> {
    let exact = function(Complex::new(a.re.into(), a.im.into()));
    let rounded = |part: f64| F::from(part).unwrap_or_else(F::nan);
    Complex::new(rounded(exact.re), rounded(exact.im))
}

pub(super) fn deg2rad(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?; floats => (wide (a: T) -> T { a * (T::PI() / 180.0) });)
}

pub(super) fn rad2deg(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?; floats => (wide (a: T) -> T { a * (180.0 / T::PI()) });)
}

pub(super) fn hypot(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?; floats => (plain (a: T, b: T) -> T { a.hypot(b) });)
}

pub(super) fn arctan2(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?; floats => (plain (a: T, b: T) -> T { a.atan2(b) });)
}

pub(super) fn logaddexp(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        floats => (plain (a: T, b: T) -> T {
            if a == b {
                return a + T::LN_2(); // also infinities of one sign, whose difference is NaN
            }
            let apart = a - b;
            if apart > 0.0 {
                a + (-apart).exp().ln_1p()
            } else if apart <= 0.0 {
                b + apart.exp().ln_1p()
            } else {
                apart
            }
        });
    )
}

pub(super) fn logaddexp2(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        floats => (plain (a: T, b: T) -> T {
            if a == b {
                return a + 1.0;
            }
            let apart = a - b;
            if apart > 0.0 {
                a + T::LOG2_E() * (-apart).exp2().ln_1p()
            } else if apart <= 0.0 {
                b + T::LOG2_E() * apart.exp2().ln_1p()
            } else {
                apart
            }
        });
    )
}

/// The inverse hyperbolic functions, which the standard library computes by formulas that lose digits.
trait InverseHyperbolic {
    fn arcsinh(self) -> Self;
    fn arccosh(self) -> Self;
    fn arctanh(self) -> Self;
}

impl InverseHyperbolic for f32 {
    fn arcsinh(self) -> Self {
        libm::asinhf(self)
    }
    fn arccosh(self) -> Self {
        // `libm` has no check of the domain.
        if self < 1.0 { Self::NAN } else { libm::acoshf(self) }
    }
    fn arctanh(self) -> Self {
        libm::atanhf(self)
    }
}

impl InverseHyperbolic for f64 {
    fn arcsinh(self) -> Self {
        libm::asinh(self)
    }
    fn arccosh(self) -> Self {
        if self < 1.0 { Self::NAN } else { libm::acosh(self) }
    }
    fn arctanh(self) -> Self {
        libm::atanh(self)
    }
}
