//! [`Wide`]: the numbers that orthogonal factors are computed in, and the narrower ones that they take in and give out.
//!
//! Invariant: whatever the elements of an array, sums, factors and small decompositions of it are in 64 bits a real part.
//! Called by the modules of [`super`] and by what is built on them.

use crate::contract::Summed;
use crate::dense::Field;
use blockwise_core::DType;
use blockwise_core::dense::Inexact;
use num_complex::{Complex32, Complex64};

/// `f64` or `Complex64`, the numbers that orthogonal factors are computed in.
pub(crate) trait Wide: Field + Inexact<Real = f64> + Summed + bytemuck::Pod + Strip<Self> {
    /// The same number in half the bytes.
    type Narrow: Field + Strip<Self>;

    /// The number, exactly.
    fn of_narrow(narrow: Self::Narrow) -> Self;

    /// The nearest narrow number.
    fn narrow(self) -> Self::Narrow;

    /// Real and imaginary part.
    fn parts(self) -> [f64; 2];
}

impl Wide for f64 {
    type Narrow = f32;

    fn of_narrow(narrow: f32) -> Self {
        Self::from(narrow)
    }

    #[expect(clippy::cast_possible_truncation, reason = "rounding is what is wanted")]
    fn narrow(self) -> f32 {
        self as f32
    }

    fn parts(self) -> [f64; 2] {
        [self, 0.0]
    }
}

impl Wide for Complex64 {
    type Narrow = Complex32;

    fn of_narrow(narrow: Complex32) -> Self {
        Self::new(narrow.re.into(), narrow.im.into())
    }

    fn narrow(self) -> Complex32 {
        Complex32::new(self.re.narrow(), self.im.narrow())
    }

    fn parts(self) -> [f64; 2] {
        [self.re, self.im]
    }
}

/// The dtype of the factors of an array of `dtype`: its own if it is one of 32-bit or 64-bit floats or complex numbers.
pub(crate) fn factor_dtype(dtype: DType) -> DType {
    match dtype {
        DType::F32 | DType::F64 | DType::C64 | DType::C128 => dtype,
        DType::F16 | DType::BF16 => DType::F32,
        _ => DType::F64,
    }
}

/// The dtype of singular values of factors of `dtype`.
pub(crate) fn real_dtype(dtype: DType) -> DType {
    match dtype {
        DType::F32 | DType::C64 => DType::F32,
        _ => DType::F64,
    }
}

/// What a matrix holds whose products are taken in its own numbers and added up in wide ones.
pub(crate) trait Strip<T>: Field {
    /// The number, exactly.
    fn wide(self) -> T;

    /// The number nearest to `wide`.
    fn of_wide(wide: T) -> Self;
}

macro_rules! strips {
    ($($wide:ty, $narrow:ty;)*) => {$(
        impl Strip<$wide> for $wide {
            fn wide(self) -> $wide { self }
            fn of_wide(wide: $wide) -> Self { wide }
        }
        impl Strip<$wide> for $narrow {
            fn wide(self) -> $wide { <$wide>::of_narrow(self) }
            fn of_wide(wide: $wide) -> Self { wide.narrow() }
        }
    )*};
}
strips! { f64, f32; Complex64, Complex32; }
