//! The table of element types: [`DType`] at run time, [`Element`] at compile time, and the one visitor between them.
//!
//! Invariant: [`for_each_dtype!`](crate::for_each_dtype!) is the only list of element types in the workspace; all else is derived from it.
//! Called by everything that must know how wide an element is or which typed loop to run.

use crate::cast::Convert;
use std::fmt;
use std::str::FromStr;

/// Calls `$then!` once with a row `(Variant, type, "name", kind)` for every element type, in promotion order.
///
/// The name is NumPy's; `kind` is NumPy's `dtype.kind` (`b` bool, `i` signed, `u` unsigned, `f` float, `c` complex).
#[macro_export]
macro_rules! for_each_dtype {
    ($then:ident) => {
        $then! {
            (Bool, bool, "bool", 'b')
            (I8, i8, "int8", 'i')
            (I16, i16, "int16", 'i')
            (I32, i32, "int32", 'i')
            (I64, i64, "int64", 'i')
            (U8, u8, "uint8", 'u')
            (U16, u16, "uint16", 'u')
            (U32, u32, "uint32", 'u')
            (U64, u64, "uint64", 'u')
            (F16, half::f16, "float16", 'f')
            (BF16, half::bf16, "bfloat16", 'f')
            (F32, f32, "float32", 'f')
            (F64, f64, "float64", 'f')
            (C64, num_complex::Complex<f32>, "complex64", 'c')
            (C128, num_complex::Complex<f64>, "complex128", 'c')
        }
    };
}

mod sealed {
    /// Keeps [`super::Element`] to the types of the table.
    pub trait Sealed {}
}

/// A type whose values arrays hold. Sealed: exactly the types of [`for_each_dtype!`](crate::for_each_dtype!).
///
/// ```
/// use blockwise_kernels::{DType, Element};
/// assert_eq!(f32::DTYPE, DType::F32);
/// assert_eq!(i16::cast_slice(&[1, 0, 2, 0]), Some(&[1_i16, 2][..]));
/// ```
pub trait Element:
    sealed::Sealed
    + Convert
    + bytemuck::CheckedBitPattern
    + bytemuck::NoUninit
    + PartialEq
    + Default
    + fmt::Debug
    + Send
    + Sync
{
    /// The run-time name of this type.
    const DTYPE: DType;

    /// `bytes` seen as elements; `None` if they are misaligned, no whole number of elements, or (for `bool`) hold
    /// a byte other than 0 and 1.
    fn cast_slice(bytes: &[u8]) -> Option<&[Self]> {
        bytemuck::checked::try_cast_slice(bytes).ok()
    }

    /// `elements` seen as bytes in the machine's order.
    fn as_bytes(elements: &[Self]) -> &[u8] {
        bytemuck::cast_slice(elements)
    }
}

/// What [`DType::dispatch`] calls with the compile-time type.
pub trait DTypeVisitor {
    /// What the visit gives back.
    type Output;
    /// Runs with `T` the type that the dtype names.
    fn visit<T: Element>(self) -> Self::Output;
}

macro_rules! define_dtype {
    ($(($variant:ident, $t:ty, $name:literal, $kind:literal))*) => {
        /// The type of an array's elements, known at run time.
        ///
        /// ```
        /// use blockwise_kernels::DType;
        /// assert_eq!(DType::F32.size(), 4);
        /// assert_eq!("float32".parse::<DType>().unwrap(), DType::F32);
        /// assert_eq!("f4".parse::<DType>().unwrap(), DType::F32);
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum DType { $(#[doc = concat!("NumPy's `", $name, "`.")] $variant),* }

        impl DType {
            /// Every dtype, in promotion order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Bytes of one element.
            #[must_use]
            pub const fn size(self) -> usize {
                match self { $(Self::$variant => size_of::<$t>()),* }
            }

            /// NumPy's name, such as `float32`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// NumPy's kind letter: `b`, `i`, `u`, `f` or `c`.
            #[must_use]
            pub const fn kind(self) -> char {
                match self { $(Self::$variant => $kind),* }
            }

            /// Calls `visitor` with the type that `self` names.
            pub fn dispatch<V: DTypeVisitor>(self, visitor: V) -> V::Output {
                match self { $(Self::$variant => visitor.visit::<$t>()),* }
            }
        }

        $(
            impl sealed::Sealed for $t {}
            impl Element for $t { const DTYPE: DType = DType::$variant; }
        )*
    };
}
for_each_dtype!(define_dtype);

impl DType {
    /// Bytes of the unit that byte-swapping reverses: half an element for complex types, else an element.
    #[must_use]
    pub const fn swap_unit(self) -> usize {
        match self {
            Self::C64 | Self::C128 => self.size() / 2,
            _ => self.size(),
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no element type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{name}' is not an element type; use one of bool, int8 to int64, uint8 to uint64, float16, bfloat16, float32, float64, complex64, complex128"
)]
pub struct UnknownDType {
    /// The name as it was given.
    pub name: String,
}

impl FromStr for DType {
    type Err = UnknownDType;

    /// Reads NumPy's names (`float32`), its short codes without byte order (`f4`) and Rust's names (`f32`).
    fn from_str(name: &str) -> Result<Self, UnknownDType> {
        let by_name = Self::ALL.iter().find(|d| d.name() == name);
        let by_code = || {
            let (kind, size) = (name.chars().next()?, name.get(1..)?.parse::<usize>().ok()?);
            let numpy = |d: &&Self| d.kind() == kind && d.size() == size && **d != Self::BF16;
            let rust = |d: &&Self| d.kind() == kind && d.size() * 8 == size && **d != Self::BF16;
            // `i8` is int8 to Rust and int64 to NumPy: the command line and NumPy agree on NumPy's reading.
            Self::ALL.iter().find(numpy).or_else(|| Self::ALL.iter().find(rust))
        };
        by_name.or_else(by_code).copied().ok_or_else(|| UnknownDType { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::{bf16, f16};
    use num_complex::Complex;

    #[test]
    fn names_and_codes_round_trip() {
        for &dtype in DType::ALL {
            assert_eq!(dtype.name().parse::<DType>().unwrap(), dtype);
            if dtype != DType::BF16 {
                let code = format!("{}{}", dtype.kind(), dtype.size());
                assert_eq!(code.parse::<DType>().unwrap(), dtype, "{code}");
            }
        }
        assert_eq!("f32".parse::<DType>().unwrap(), DType::F32);
        assert!("M8".parse::<DType>().is_err());
        assert!("é".parse::<DType>().is_err());
    }

    #[test]
    fn bool_bytes_are_checked() {
        assert_eq!(bool::cast_slice(&[0, 1]), Some(&[false, true][..]));
        assert_eq!(bool::cast_slice(&[0, 2]), None);
    }

    #[test]
    fn sizes_are_what_numpy_says() {
        assert_eq!(DType::C128.size(), 16);
        assert_eq!(DType::C128.swap_unit(), 8);
        assert_eq!(size_of::<Complex<f32>>(), 8);
        assert_eq!((size_of::<f16>(), size_of::<bf16>()), (2, 2));
    }
}
