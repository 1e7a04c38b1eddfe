//! Comparison, logic, bits, extremes and choice of [`super::TABLE`].
//!
//! Comparisons of `int64` with `uint64` are exact. Complex numbers are ordered by real part, then imaginary part, and
//! any NaN makes an order false, as in NumPy. Shifts by the width of the type or more, or by a negative count, give 0
//! (right shifts of negative numbers: -1).

#![expect(clippy::cast_lossless, reason = "one text for every width of a family")]

use super::loops::{Kernel, kernels, select};
use crate::DType;
use num_complex::Complex;

/// The six comparisons differ in one operator.
macro_rules! comparison {
    ($name:ident, $operator:tt, |$a:ident, $b:ident| $complex:expr) => {
        pub(super) fn $name(types: &[DType]) -> Option<Kernel> {
            use super::loops::one;
            match types {
                [DType::I64, DType::U64] => {
                    return Some(one!((plain (a: i64, b: u64) -> u8 { u8::from(i128::from(a) $operator i128::from(b)) })));
                }
                [DType::U64, DType::I64] => {
                    return Some(one!((plain (a: u64, b: i64) -> u8 { u8::from(i128::from(a) $operator i128::from(b)) })));
                }
                _ => {}
            }
            kernels!(*types.first()?;
                integers => (wide (a: T, b: T) -> u8 { u8::from(a $operator b) });
                floats => (wide (a: T, b: T) -> u8 { u8::from(a $operator b) });
                bools => (wide (a: T, b: T) -> u8 { u8::from(a $operator b) });
                complexes => (plain ($a: T, $b: T) -> u8 { u8::from($complex) });
            )
        }
    };
}

comparison!(equal, ==, |a, b| a == b);
comparison!(not_equal, !=, |a, b| a != b);
comparison!(less, <, |a, b| complex_less(a, b, a.im < b.im));
comparison!(less_equal, <=, |a, b| complex_less(a, b, a.im <= b.im));
comparison!(greater, >, |a, b| complex_less(b, a, b.im < a.im));
comparison!(greater_equal, >=, |a, b| complex_less(b, a, b.im <= a.im));

/// Whether `a` comes before `b`; `tie` decides where the real parts are equal.
#[inline(always)]
pub(super) fn complex_less<F: num_traits::Float>(a: Complex<F>, b: Complex<F>, tie: bool) -> bool {
    (a.re < b.re && !a.im.is_nan() && !b.im.is_nan()) || (a.re == b.re && tie)
}

pub(super) fn logical_and(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?; bools => (wide (a: T, b: T) -> T { a & b });)
}

pub(super) fn logical_or(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?; bools => (wide (a: T, b: T) -> T { a | b });)
}

pub(super) fn logical_xor(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?; bools => (wide (a: T, b: T) -> T { a ^ b });)
}

pub(super) fn logical_not(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?; bools => (wide (a: T) -> T { a ^ 1 });)
}

pub(super) fn bitwise_and(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        words => (wide (a: T, b: T) -> T { a & b });
        bools => (wide (a: T, b: T) -> T { a & b });
    )
}

pub(super) fn bitwise_or(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        words => (wide (a: T, b: T) -> T { a | b });
        bools => (wide (a: T, b: T) -> T { a | b });
    )
}

pub(super) fn bitwise_xor(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        words => (wide (a: T, b: T) -> T { a ^ b });
        bools => (wide (a: T, b: T) -> T { a ^ b });
    )
}

pub(super) fn invert(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        words => (wide (a: T) -> T { !a });
        bools => (wide (a: T) -> T { a ^ 1 });
    )
}

pub(super) fn left_shift(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        // A negative count is a huge one when seen without its sign.
        words => (wide (a: T, b: T) -> T {
            if b < T::BITS as T { a.wrapping_shl(b as u32) } else { 0 }
        });
    )
}

pub(super) fn right_shift(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        signed => (wide (a: T, b: T) -> T {
            let inside = b >= 0 && b < T::BITS as T;
            a.wrapping_shr(if inside { b as u32 } else { T::BITS - 1 })
        });
        unsigned => (wide (a: T, b: T) -> T {
            if b < T::BITS as T { a.wrapping_shr(b as u32) } else { 0 }
        });
    )
}

pub(super) fn minimum(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        integers => (wide (a: T, b: T) -> T { a.min(b) });
        bools => (wide (a: T, b: T) -> T { a & b });
        floats => (wide (a: T, b: T) -> T { if a < b || a.is_nan() { a } else { b } });
        complexes => (plain (a: T, b: T) -> T {
            if complex_less(a, b, a.im <= b.im) || a.is_nan() { a } else { b }
        });
    )
}

pub(super) fn maximum(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        integers => (wide (a: T, b: T) -> T { a.max(b) });
        bools => (wide (a: T, b: T) -> T { a | b });
        floats => (wide (a: T, b: T) -> T { if a > b || a.is_nan() { a } else { b } });
        complexes => (plain (a: T, b: T) -> T {
            if complex_less(b, a, b.im <= a.im) || a.is_nan() { a } else { b }
        });
    )
}

pub(super) fn fmin(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        floats => (wide (a: T, b: T) -> T { if a <= b || b.is_nan() { a } else { b } });
        complexes => (plain (a: T, b: T) -> T {
            if complex_less(a, b, a.im <= b.im) || b.is_nan() { a } else { b }
        });
    )
    .or_else(|| minimum(types))
}

pub(super) fn fmax(types: &[DType]) -> Option<Kernel> {
    kernels!(*types.first()?;
        floats => (wide (a: T, b: T) -> T { if a >= b || b.is_nan() { a } else { b } });
        complexes => (plain (a: T, b: T) -> T {
            if complex_less(b, a, b.im <= a.im) || b.is_nan() { a } else { b }
        });
    )
    .or_else(|| maximum(types))
}

/// `where`: elements are moved as they are, so only their width matters.
pub(super) fn choose(types: &[DType]) -> Option<Kernel> {
    Some(match types.get(1)?.size() {
        1 => select::<u8>,
        2 => select::<u16>,
        4 => select::<u32>,
        8 if types.get(1) != Some(&DType::C64) => select::<u64>,
        8 => select::<[u32; 2]>,
        _ => select::<[u64; 2]>,
    })
}
