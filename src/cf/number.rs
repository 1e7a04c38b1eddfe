//! Numbers of attributes in the type of the elements that they speak of.
//!
//! Invariant: no number becomes another one: where a type cannot hold it, there is no result. Called by [`super`].

use crate::error::Result;
use blockwise_core::adapt::cast_scalar;
use blockwise_kernels::{DType, Scalar};

/// `value` in `dtype`, as elements with that value are converted; `None` if `dtype` cannot hold it.
///
/// From float to float it is the nearest number, so that a marker still equals the elements that it marks (`1e20` of
/// doubles beside elements in single precision); everything else is exact.
pub(super) fn held_by(value: &Scalar, dtype: DType) -> Result<Option<Scalar>> {
    let cast = cast_scalar(value, dtype)?;
    let held = match (value.to_f64(), cast.to_f64()) {
        (Some(from), Some(to)) if is_float(value) && is_float(&cast) => from.is_finite() == to.is_finite(),
        // A float that is no whole number is none of the integers.
        (Some(_), Some(_)) => integer_of(value).is_some_and(|whole| integer_of(&cast) == Some(whole)),
        _ => cast_scalar(&cast, value.dtype())? == *value,
    };
    Ok(held.then_some(cast))
}

fn is_float(value: &Scalar) -> bool {
    value.dtype().kind() == 'f'
}

/// The value if it is a whole number of less than about 100 bits.
#[expect(clippy::cast_possible_truncation, reason = "whole numbers below 2^100 are exact in 128 bits")]
fn integer_of(value: &Scalar) -> Option<i128> {
    const LIMIT: f64 = 1.2e30; // about 2^100
    match value.dtype() {
        DType::I64 => value.get::<i64>().map(i128::from),
        DType::U64 => value.get::<u64>().map(i128::from),
        _ => value.to_f64().filter(|real| real.fract() == 0.0 && real.abs() < LIMIT).map(|real| real as i128),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_becomes_another() {
        for (value, dtype, wanted) in [
            (Scalar::from(1e20_f64), DType::I16, None),
            (Scalar::from(f64::NAN), DType::I16, None),
            (Scalar::from(f64::INFINITY), DType::I64, None),
            (Scalar::from(0.5_f32), DType::U8, None),
            (Scalar::from(300_i16), DType::U8, None),
            (Scalar::from(-1_i8), DType::U8, None),
            (Scalar::from(255_u8), DType::I8, None),
            (Scalar::from(9_223_372_036_854_775_808_f64), DType::I64, None),
            (Scalar::from(i64::MAX), DType::F64, None),
            (Scalar::from(-2_147_483_647_i32), DType::F32, None),
            (Scalar::from(2_i16), DType::Bool, None),
            (Scalar::from(1e300_f64), DType::F32, None),
            (Scalar::from(-999.0_f64), DType::I16, Some(Scalar::from(-999_i16))),
            (Scalar::from(u64::MAX), DType::U64, Some(Scalar::from(u64::MAX))),
            (Scalar::from(-32_767_i16), DType::F32, Some(Scalar::from(-32_767.0_f32))),
            (Scalar::from(1e20_f64), DType::F32, Some(Scalar::from(1e20_f32))),
            (Scalar::from(f64::INFINITY), DType::F32, Some(Scalar::from(f32::INFINITY))),
            (Scalar::from(3_i16), DType::C64, Some(Scalar::from(num_complex::Complex::new(3.0_f32, 0.0)))),
        ] {
            assert_eq!(held_by(&value, dtype).unwrap(), wanted, "{value:?} as {dtype}");
        }
        let nan = held_by(&Scalar::from(f64::NAN), DType::F32).unwrap().unwrap();
        assert!(nan.get::<f32>().unwrap().is_nan());
    }
}
