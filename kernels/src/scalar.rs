//! One element with its type: fill values, attribute numbers, bounds.
//!
//! Invariant: equality is bitwise on the bytes, so NaN equals the same NaN and -0.0 differs from 0.0; that is what
//! fill values need. Called by io (fill values, attributes) and core (constants).

use crate::dtype::{DType, DTypeVisitor, Element};
use crate::for_each_dtype;
use std::fmt;

/// A value of one of the element types, as up to 16 bytes in the machine's order.
///
/// ```
/// use blockwise_kernels::{DType, Scalar};
/// let fill = Scalar::from(-999.0_f32);
/// assert_eq!(fill.dtype(), DType::F32);
/// assert_eq!(fill.get::<f32>(), Some(-999.0));
/// assert_eq!(fill.to_f64(), Some(-999.0));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scalar {
    dtype: DType,
    bytes: [u8; 16],
}

impl Scalar {
    /// The zero (or `false`) of a dtype.
    #[must_use]
    pub const fn zero(dtype: DType) -> Self {
        Self { dtype, bytes: [0; 16] }
    }

    /// The value whose bytes, in the machine's order, are `bytes`; `None` if the length is not the dtype's or a
    /// bool is neither 0 nor 1.
    #[must_use]
    pub fn from_bytes(dtype: DType, bytes: &[u8]) -> Option<Self> {
        let bad_bool = dtype == DType::Bool && bytes.iter().any(|&b| b > 1);
        if bytes.len() != dtype.size() || bad_bool {
            return None;
        }
        let mut own = [0; 16];
        own.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { dtype, bytes: own })
    }

    /// The type of the value.
    #[must_use]
    pub const fn dtype(&self) -> DType {
        self.dtype
    }

    /// The value's bytes in the machine's order.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.dtype.size()).unwrap_or(&[])
    }

    /// The value as `T`, if that is its type.
    #[must_use]
    pub fn get<T: Element>(&self) -> Option<T> {
        if T::DTYPE != self.dtype {
            return None;
        }
        bytemuck::checked::try_pod_read_unaligned(self.bytes()).ok()
    }

    /// The value as a double, rounded where it must be; `None` for complex types.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "documented rounding")]
    pub fn to_f64(&self) -> Option<f64> {
        Some(match self.dtype {
            DType::Bool => f64::from(u8::from(self.get::<bool>()?)),
            DType::I64 => self.get::<i64>()? as f64,
            DType::U64 => self.get::<u64>()? as f64,
            DType::I8 => f64::from(self.get::<i8>()?),
            DType::I16 => f64::from(self.get::<i16>()?),
            DType::I32 => f64::from(self.get::<i32>()?),
            DType::U8 => f64::from(self.get::<u8>()?),
            DType::U16 => f64::from(self.get::<u16>()?),
            DType::U32 => f64::from(self.get::<u32>()?),
            DType::F16 => self.get::<half::f16>()?.to_f64(),
            DType::BF16 => self.get::<half::bf16>()?.to_f64(),
            DType::F32 => f64::from(self.get::<f32>()?),
            DType::F64 => self.get::<f64>()?,
            DType::C64 | DType::C128 => return None,
        })
    }
}

impl<T: Element> From<T> for Scalar {
    fn from(value: T) -> Self {
        let mut bytes = [0; 16];
        let own = bytemuck::bytes_of(&value);
        bytes[..own.len()].copy_from_slice(own);
        Self { dtype: T::DTYPE, bytes }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Show<'a, 'b>(&'a Scalar, &'a mut fmt::Formatter<'b>);
        impl DTypeVisitor for Show<'_, '_> {
            type Output = fmt::Result;
            fn visit<T: Element>(self) -> fmt::Result {
                match self.0.get::<T>() {
                    Some(value) => write!(self.1, "{value:?}"),
                    None => Err(fmt::Error),
                }
            }
        }
        self.dtype.dispatch(Show(self, f))
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}{}", self.dtype)
    }
}

macro_rules! round_trip_test {
    ($(($variant:ident, $t:ty, $name:literal, $kind:literal))*) => {
        #[cfg(test)]
        mod tests {
            use super::*;
            #[test]
            fn every_type_round_trips() {
                $(
                    let scalar = Scalar::from(<$t>::default());
                    assert_eq!(scalar, Scalar::zero(DType::$variant));
                    assert_eq!(Scalar::from_bytes(DType::$variant, scalar.bytes()), Some(scalar));
                    assert_eq!(scalar.get::<$t>(), Some(<$t>::default()));
                )*
                assert_eq!(Scalar::from_bytes(DType::Bool, &[2]), None);
                assert_eq!(Scalar::from_bytes(DType::F32, &[0; 3]), None);
                assert_eq!(Scalar::from(f64::NAN), Scalar::from(f64::NAN));
            }
        }
    };
}
for_each_dtype!(round_trip_test);
