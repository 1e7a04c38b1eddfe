//! NumPy 2's type promotion: which dtype holds the values of several, with weak Python scalars (NEP 50).
//!
//! Invariant: the result does not depend on the order of the operands. `bfloat16`, which NumPy lacks, behaves as
//! `float16` does (with 8-bit integers it stays, 16-bit ones give float32, wider ones float64; a plain number leaves
//! it as it is) and gives float32 with `float16`. Between arrays this is what ml_dtypes' ufuncs give; with plain floats
//! ml_dtypes gives float32, against NEP 50. Called by the dtype rules of [`crate::function`] and by core wherever arrays meet.

use crate::DType;

/// What takes part in a promotion: an array or typed scalar, or a plain number without a type of its own.
///
/// A plain `bool` is no weak scalar in NumPy: it is `Typed(DType::Bool)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// An array or a scalar of a dtype.
    Typed(DType),
    /// A plain integer: takes the type of the others; `int64` among bools or alone.
    WeakInt,
    /// A plain float: takes the type of the others; `float64` among bools and integers or alone.
    WeakFloat,
    /// A plain complex number: makes floats complex; `complex128` among bools and integers or alone.
    WeakComplex,
}

impl From<DType> for Operand {
    fn from(dtype: DType) -> Self {
        Self::Typed(dtype)
    }
}

/// The dtype that NumPy's `result_type` gives; `None` if there are no operands.
///
/// ```
/// use blockwise_kernels::DType;
/// use blockwise_kernels::promote::{Operand, result_type};
/// assert_eq!(result_type(&[DType::I8.into(), DType::U8.into()]), Some(DType::I16));
/// assert_eq!(result_type(&[DType::U64.into(), DType::I64.into()]), Some(DType::F64));
/// assert_eq!(result_type(&[DType::F32.into(), Operand::WeakFloat]), Some(DType::F32));
/// assert_eq!(result_type(&[DType::U8.into(), Operand::WeakFloat]), Some(DType::F64));
/// ```
#[must_use]
pub fn result_type(operands: &[Operand]) -> Option<DType> {
    if operands.is_empty() {
        return None;
    }
    let typed = operands.iter().filter_map(|operand| match operand {
        Operand::Typed(dtype) => Some(*dtype),
        _ => None,
    });
    let strong = typed.fold(Common::default(), Common::with).dtype();
    let dtype = if operands.contains(&Operand::WeakComplex) {
        complex_of(float_or_double(strong))
    } else if operands.contains(&Operand::WeakFloat) {
        float_or_double(strong)
    } else if operands.contains(&Operand::WeakInt) {
        strong.filter(|&dtype| dtype != DType::Bool).unwrap_or(DType::I64)
    } else {
        strong?
    };
    Some(dtype)
}

/// The dtype that holds the values of both.
#[must_use]
pub fn promote(a: DType, b: DType) -> DType {
    Common::default().with(a).with(b).dtype().unwrap_or(a)
}

/// The smallest float that NumPy's float functions take for `dtype`: float16 for bools and 8-bit integers, float32 for
/// 16-bit ones, float64 for wider ones; floats and complex types are their own.
#[must_use]
pub const fn float_for(dtype: DType) -> DType {
    match dtype {
        DType::Bool | DType::I8 | DType::U8 => DType::F16,
        DType::I16 | DType::U16 => DType::F32,
        DType::I32 | DType::U32 | DType::I64 | DType::U64 => DType::F64,
        other => other,
    }
}

/// The complex type whose parts hold `dtype`: complex64 up to float32, else complex128.
#[must_use]
pub const fn complex_of(dtype: DType) -> DType {
    match dtype {
        DType::F16 | DType::BF16 | DType::F32 | DType::C64 => DType::C64,
        _ => DType::C128,
    }
}

/// The type of the real part: of a complex type its part, else the type itself.
#[must_use]
pub const fn part_of(dtype: DType) -> DType {
    match dtype {
        DType::C64 => DType::F32,
        DType::C128 => DType::F64,
        other => other,
    }
}

/// Whether values of `dtype` are floats or made of floats.
#[must_use]
pub const fn is_inexact(dtype: DType) -> bool {
    matches!(dtype.kind(), 'f' | 'c')
}

fn float_or_double(strong: Option<DType>) -> DType {
    strong.filter(|&dtype| is_inexact(dtype)).unwrap_or(DType::F64)
}

/// What is known of a set of dtypes: enough to name their common type whatever the order they came in.
#[derive(Clone, Copy, Default)]
struct Common {
    any: bool,
    signed_bits: usize,
    unsigned_bits: usize,
    /// The float that the integers ask for, were there a float among them.
    float_for_integers: Option<DType>,
    float: Option<DType>,
    complex: bool,
}

impl Common {
    fn with(mut self, dtype: DType) -> Self {
        self.any = true;
        let bits = 8 * dtype.size();
        match dtype.kind() {
            'i' => self.signed_bits = self.signed_bits.max(bits),
            'u' => self.unsigned_bits = self.unsigned_bits.max(bits),
            'f' => self.float = Some(join_floats(self.float, dtype)),
            'c' => {
                self.complex = true;
                self.float = Some(join_floats(self.float, part_of(dtype)));
            }
            _ => {}
        }
        if matches!(dtype.kind(), 'i' | 'u') {
            self.float_for_integers = Some(join_floats(self.float_for_integers, float_for(dtype)));
        }
        self
    }

    fn dtype(self) -> Option<DType> {
        if !self.any {
            return None;
        }
        if let Some(float) = self.float {
            // 8-bit integers fit both half-width floats: they ask for nothing.
            let wide = self.float_for_integers.filter(|&float| float != DType::F16);
            let float = wide.map_or(float, |wide| join_floats(Some(float), wide));
            return Some(if self.complex { complex_of(float) } else { float });
        }
        Some(match (self.signed_bits, self.unsigned_bits) {
            (0, 0) => DType::Bool,
            (0, 8) => DType::U8,
            (0, 16) => DType::U16,
            (0, 32) => DType::U32,
            (0, _) => DType::U64,
            (signed, unsigned) => match signed.max(2 * unsigned) {
                8 => DType::I8,
                16 => DType::I16,
                32 => DType::I32,
                64 => DType::I64,
                _ => DType::F64,
            },
        })
    }
}

fn join_floats(a: Option<DType>, b: DType) -> DType {
    match a {
        Some(a) if a.size() == 2 && b.size() == 2 && a != b => DType::F32,
        Some(a) if a.size() >= b.size() => a,
        _ => b,
    }
}
