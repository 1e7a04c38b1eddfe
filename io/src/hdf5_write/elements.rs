//! How element types are stored in HDF5 and NetCDF-4.
//!
//! Invariants: stored bytes are the streamed bytes, so chunks need no conversion; what a format cannot say is refused
//! by name with the way out. HDF5 gets h5py's conventions (bool as an enumeration, complex as a record `r`, `i`),
//! NetCDF-4 those of netCDF4-python and xarray. Called by the writer and its attributes.

use super::library::{Failure, Library, Native, PlainType};
use crate::container::{ElementType, Format};
use blockwise_kernels::{DType, Scalar};

/// A stored element type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// An integer or float that every reader knows.
    Number(DType),
    /// IEEE half precision.
    Half,
    /// h5py's bool.
    Boolean,
    /// h5py's complex numbers, of `f32` or `f64` parts.
    Complex(DType),
    /// Strings of so many bytes, NUL-padded.
    FixedText(usize),
    /// NetCDF's `char`.
    Char,
}

impl Stored {
    /// How elements of `dtype` are stored in `format`; the refusal says what to do instead.
    pub(super) fn number(dtype: DType, format: Format) -> Result<Self, &'static str> {
        let netcdf = format == Format::NetCdf4;
        match dtype {
            DType::Bool if netcdf => Ok(Self::Number(DType::I8)),
            DType::Bool => Ok(Self::Boolean),
            DType::F16 if netcdf => Err("NetCDF has no float16; give --dtype float32, or write .h5 or .zarr"),
            DType::F16 => Ok(Self::Half),
            DType::C64 | DType::C128 if netcdf => {
                Err("NetCDF has no complex numbers; write .h5 or .zarr, or real and imaginary parts")
            }
            DType::C64 => Ok(Self::Complex(DType::F32)),
            DType::C128 => Ok(Self::Complex(DType::F64)),
            DType::BF16 => Err("HDF5 and NetCDF have no bfloat16; give --dtype float32, or write .zarr"),
            _ => Ok(Self::Number(dtype)),
        }
    }

    /// How elements of `element_type` are stored in `format`; the refusal says what to do instead.
    pub(super) fn of(element_type: &ElementType, format: Format) -> Result<Self, String> {
        match element_type {
            ElementType::Number(dtype) => Self::number(*dtype, format).map_err(str::to_owned),
            ElementType::DateTime { .. } => Ok(Self::Number(DType::I64)),
            ElementType::FixedBytes { len_bytes: 0 } => {
                Err(format!("{format} has no strings of length 0; leave the array out with --exclude"))
            }
            ElementType::FixedBytes { .. } if format == Format::NetCdf4 => Ok(Self::Char),
            ElementType::FixedBytes { len_bytes } => usize::try_from(*len_bytes)
                .map(Self::FixedText)
                .map_err(|_| format!("strings of {len_bytes} bytes are too long")),
            ElementType::Text => Err("texts of any length do not stream".to_owned()),
            ElementType::Other(name) => Err(format!(
                "elements of type {name} cannot be written as {format}; leave the array out with --exclude"
            )),
        }
    }

    /// Bytes of one stored element.
    pub(super) const fn item_bytes(self) -> usize {
        match self {
            Self::Number(dtype) => dtype.size(),
            Self::Half => 2,
            Self::Complex(part) => part.size() * 2,
            Self::FixedText(len) => len,
            Self::Boolean | Self::Char => 1,
        }
    }

    /// The type as libhdf5 knows it.
    pub(super) fn create(self, library: &Library) -> Result<PlainType, Failure> {
        match self {
            Self::Number(dtype) => match native(dtype) {
                Some(native) => library.native(native),
                None => Err(Failure { call: "H5Tcopy", message: format!("{dtype} has no HDF5 type") }),
            },
            Self::Half => library.half(),
            Self::Boolean => library.boolean(),
            Self::Complex(part) => {
                let part = Self::Number(part).create(library)?;
                let size = part.size_bytes();
                library.record(size * 2, &[(c"r", 0, &part), (c"i", size, &part)])
            }
            Self::FixedText(len) => library.fixed_text(len, true, false),
            Self::Char => library.fixed_text(1, false, false),
        }
    }
}

fn native(dtype: DType) -> Option<Native> {
    Some(match dtype {
        DType::I8 => Native::I8,
        DType::I16 => Native::I16,
        DType::I32 => Native::I32,
        DType::I64 => Native::I64,
        DType::U8 => Native::U8,
        DType::U16 => Native::U16,
        DType::U32 => Native::U32,
        DType::U64 => Native::U64,
        DType::F32 => Native::F32,
        DType::F64 => Native::F64,
        _ => return None,
    })
}

/// CF's name of NumPy's time unit; `None` if it has none of constant length.
pub(super) fn cf_time_unit(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "ns" => "nanoseconds",
        "us" => "microseconds",
        "ms" => "milliseconds",
        "s" => "seconds",
        "m" => "minutes",
        "h" => "hours",
        "D" => "days",
        _ => return None,
    })
}

/// `value` as a number of `dtype`; `None` if that type cannot hold it (rounding to a float is fine).
pub(super) fn converted(value: &Scalar, dtype: DType) -> Option<Scalar> {
    if value.dtype() == dtype {
        return Some(*value);
    }
    let exact: Option<i128> = match value.dtype() {
        DType::I64 => value.get::<i64>().map(i128::from),
        DType::U64 => value.get::<u64>().map(i128::from),
        _ => value.to_f64().filter(|v| v.fract() == 0.0 && v.abs() < 1e30).map(|v| v as i128),
    };
    let integer = |least: i128, most: i128| exact.filter(|v| (least..=most).contains(v));
    let float = value.to_f64();
    Some(match dtype {
        DType::Bool => Scalar::from(integer(0, 1)? == 1),
        DType::I8 => Scalar::from(i8::try_from(exact?).ok()?),
        DType::I16 => Scalar::from(i16::try_from(exact?).ok()?),
        DType::I32 => Scalar::from(i32::try_from(exact?).ok()?),
        DType::I64 => Scalar::from(i64::try_from(exact?).ok()?),
        DType::U8 => Scalar::from(u8::try_from(exact?).ok()?),
        DType::U16 => Scalar::from(u16::try_from(exact?).ok()?),
        DType::U32 => Scalar::from(u32::try_from(exact?).ok()?),
        DType::U64 => Scalar::from(u64::try_from(exact?).ok()?),
        DType::F16 => Scalar::from(half::f16::from_f64(float?)),
        DType::F32 => Scalar::from(float? as f32),
        DType::F64 => Scalar::from(float?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversion_keeps_the_value_or_refuses() {
        let to = |value: Scalar, dtype| converted(&value, dtype);
        assert_eq!(to(Scalar::from(-999_i64), DType::F32), Some(Scalar::from(-999.0_f32)));
        assert_eq!(to(Scalar::from(-1_i64), DType::U8), None);
        assert_eq!(to(Scalar::from(1.5_f64), DType::I16), None);
        assert_eq!(to(Scalar::from(u64::MAX), DType::U64), Some(Scalar::from(u64::MAX)));
        assert_eq!(to(Scalar::from(255_i64), DType::U8), Some(Scalar::from(255_u8)));
        assert!(to(Scalar::from(f64::NAN), DType::F32).unwrap().get::<f32>().unwrap().is_nan());
        assert_eq!(to(Scalar::from(f64::NAN), DType::I32), None);
        assert_eq!(to(Scalar::from(i64::MIN), DType::I64), Some(Scalar::from(i64::MIN)));
    }

    #[test]
    fn what_netcdf_lacks_is_refused_by_name() {
        for (dtype, word) in [(DType::F16, "float16"), (DType::C64, "complex"), (DType::BF16, "bfloat16")] {
            let refusal = Stored::number(dtype, Format::NetCdf4).unwrap_err();
            assert!(refusal.contains(word), "{refusal}");
        }
        assert!(Stored::number(DType::C128, Format::Hdf5).is_ok());
    }
}
