//! The CF conventions: packing (which attributes mean it, what unpacking makes of elements and attributes), and in the modules
//! below calendars, time and resampling.
//!
//! Invariants: the result's dtype follows xarray's rule, so `--unpack` and `xarray.open_dataset` give the same
//! elements; a marker of missing values that no stored element can equal marks nothing; attributes that speak of stored
//! values are removed, unpacked or converted without changing a number. Called by [`crate::convert`],
//! [`crate::evaluate`] and [`crate::store`].

pub mod calendar;
mod number;
pub(crate) mod partial;
pub mod resample;
pub mod time;

use crate::error::{Error, Result};
use blockwise_core::adapt::{Unpacking, cast_scalar};
use blockwise_io::{ArrayInfo, AttributeValue, Attributes, ElementType};
use blockwise_kernels::{DType, Scalar};

/// Attributes with numbers in the stored dtype.
const STORED_VALUES: [&str; 5] = ["_FillValue", "missing_value", "valid_min", "valid_max", "valid_range"];

/// How `array` is to be unpacked; `None` if nothing says that it is packed.
///
/// # Errors
/// If an attribute that says so is no number.
pub fn unpacking_of(array: &ArrayInfo) -> Result<Option<Unpacking>> {
    let ElementType::Number(dtype) = array.element_type else { return Ok(None) };
    if !matches!(dtype.kind(), 'i' | 'u' | 'f') {
        return Ok(None);
    }
    let scale = number(array, "scale_factor")?;
    let offset = number(array, "add_offset")?;
    let stored = match array.attributes.get("_Unsigned") {
        Some(AttributeValue::Text(text)) => with_sign(dtype, !text.eq_ignore_ascii_case("true")),
        _ => dtype,
    };
    let mut missing = Vec::new();
    for name in ["_FillValue", "missing_value"] {
        for value in numbers(array, name)? {
            let marker = marker_of(&value, dtype, stored)?;
            missing.extend(marker.filter(|value| !missing.contains(value)));
        }
    }
    if scale.is_none() && offset.is_none() && missing.is_empty() && stored == dtype {
        return Ok(None);
    }
    let result = result_dtype(stored, scale.as_ref(), offset.as_ref());
    let as_f64 = |value: Option<Scalar>| value.and_then(|value| value.to_f64());
    Ok(Some(Unpacking { stored, result, scale: as_f64(scale), offset: as_f64(offset), missing }))
}

/// The element of type `stored` that `value` marks as missing, in an array whose file says `dtype`; `None` if no element
/// equals it.
fn marker_of(value: &Scalar, dtype: DType, stored: DType) -> Result<Option<Scalar>> {
    if let Some(marker) = number::held_by(value, stored)? {
        return Ok(Some(marker));
    }
    // Under `_Unsigned` the attribute may have the other sign than the elements are taken for: the bits count.
    let as_in_file = if stored == dtype { None } else { number::held_by(value, dtype)? };
    Ok(as_in_file.and_then(|marker| Scalar::from_bytes(stored, marker.bytes())))
}

/// The attributes of an array after unpacking: packing is gone, bounds are unpacked, missing values are NaN.
///
/// # Errors
/// If a bound cannot be converted.
pub fn unpacked_attributes(array: &ArrayInfo, rule: &Unpacking) -> Result<Attributes> {
    let mut attributes = array.attributes.clone();
    for name in ["scale_factor", "add_offset", "_Unsigned", "missing_value"] {
        attributes.remove(name);
    }
    let ElementType::Number(dtype) = array.element_type else { return Ok(attributes) };
    for name in ["valid_min", "valid_max", "valid_range"] {
        if let Some(value) = attributes.get(name) {
            // CF: a bound of another type than the stored one is in unpacked units already.
            let unpacked = map_numbers(value, &|number| {
                if number.dtype() == dtype {
                    Ok(rule.value_of(number)?)
                } else {
                    Ok(cast_scalar(number, rule.result)?)
                }
            })?;
            attributes.set(name, unpacked);
        }
    }
    if !rule.missing.is_empty() {
        attributes
            .set("_FillValue", AttributeValue::Number(cast_scalar(&Scalar::from(f64::NAN), rule.result)?));
    }
    Ok(attributes)
}

/// The attributes of an array whose elements are converted from `from` to `to`: those that must have the elements' dtype
/// get it.
///
/// # Errors
/// [`Error::Refused`] if `to` cannot hold one of them: cast as elements are, it would name another value, such as 0 where
/// NaN was missing.
pub fn cast_attributes(
    array: &ArrayInfo,
    attributes: &Attributes,
    from: DType,
    to: DType,
) -> Result<Attributes> {
    let mut converted = attributes.clone();
    for name in STORED_VALUES {
        let Some(value) = attributes.get(name) else { continue };
        let is_bound = name.starts_with("valid");
        let map = |number: &Scalar| {
            // CF: a bound of another type than the stored one is in unpacked units.
            if is_bound && number.dtype() != from {
                return Ok(*number);
            }
            number::held_by(number, to)?.ok_or_else(|| cannot_hold(array, name, number, to))
        };
        converted.set(name, map_numbers(value, &map)?);
    }
    Ok(converted)
}

/// The fill value of an array whose elements are converted to `dtype`.
///
/// # Errors
/// As [`cast_attributes`].
pub fn cast_fill_value(array: &ArrayInfo, fill: &Scalar, dtype: DType) -> Result<Scalar> {
    number::held_by(fill, dtype)?.ok_or_else(|| cannot_hold(array, "fill value", fill, dtype))
}

fn cannot_hold(array: &ArrayInfo, name: &str, number: &Scalar, dtype: DType) -> Error {
    let what = format!(
        "its {name} is {number}, which {dtype} cannot hold, so that other elements would be taken for missing or out of \
         range; convert to a type that can, such as float64, or give missing elements a number first, as in arrayctl eval \
         'where(isnan(x), -1, x).astype(\"{dtype}\")'"
    );
    Error::Refused { path: array.path.to_string(), what }
}

fn map_numbers(value: &AttributeValue, map: &dyn Fn(&Scalar) -> Result<Scalar>) -> Result<AttributeValue> {
    Ok(match value {
        AttributeValue::Number(number) => AttributeValue::Number(map(number)?),
        AttributeValue::Numbers(dtype, numbers) => {
            let numbers = numbers.iter().map(map).collect::<Result<Vec<_>>>()?;
            AttributeValue::Numbers(numbers.first().map_or(*dtype, Scalar::dtype), numbers)
        }
        other => other.clone(),
    })
}

/// xarray's choice: the factors' own float type where both agree and the integers fit its mantissa, `float64`
/// where an offset makes that unsafe; without factors, `float32` for elements of up to 16 bits and for floats of
/// up to 32.
fn result_dtype(stored: DType, scale: Option<&Scalar>, offset: Option<&Scalar>) -> DType {
    let is_float = |dtype: DType| matches!(dtype, DType::F32 | DType::F64);
    let wide_integer = stored.kind() != 'f' && stored.size() >= 4;
    match (scale.map(Scalar::dtype), offset.map(Scalar::dtype)) {
        (Some(scale), Some(offset)) if scale == offset && is_float(scale) && !wide_integer => scale,
        (_, Some(_)) => DType::F64,
        (Some(scale), None) if is_float(scale) => scale,
        (Some(_), None) => DType::F64,
        (None, None) if stored.kind() == 'f' && stored.size() <= 4 || stored.size() <= 2 => DType::F32,
        (None, None) => DType::F64,
    }
}

/// The integer dtype of the same size that is signed or not; floats stay.
fn with_sign(dtype: DType, signed: bool) -> DType {
    let kind = if signed { 'i' } else { 'u' };
    let twin = |other: &&DType| other.kind() == kind && other.size() == dtype.size();
    if matches!(dtype.kind(), 'i' | 'u') {
        DType::ALL.iter().find(twin).copied().unwrap_or(dtype)
    } else {
        dtype
    }
}

fn number(array: &ArrayInfo, name: &str) -> Result<Option<Scalar>> {
    match numbers(array, name)?.as_slice() {
        [] => Ok(None),
        [number] => Ok(Some(*number)),
        more => Err(bad_attribute(array, name, &format!("holds {} numbers, not one", more.len()))),
    }
}

fn numbers(array: &ArrayInfo, name: &str) -> Result<Vec<Scalar>> {
    let numbers = match array.attributes.get(name) {
        None => Vec::new(),
        Some(AttributeValue::Number(number)) => vec![*number],
        Some(AttributeValue::Numbers(_, numbers)) => numbers.clone(),
        Some(_) => return Err(bad_attribute(array, name, "is no number")),
    };
    if numbers.iter().any(|number| number.to_f64().is_none()) {
        return Err(bad_attribute(array, name, "is complex"));
    }
    Ok(numbers)
}

fn bad_attribute(array: &ArrayInfo, name: &str, what: &str) -> Error {
    let what = format!(
        "the attribute {name} {what}, so the array cannot be unpacked; copy it without --unpack, or --exclude it; compute with \
         its elements as they are stored by --raw"
    );
    Error::Refused { path: array.path.to_string(), what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_that_no_element_equals_mark_nothing() {
        for (value, in_file, stored, wanted) in [
            (Scalar::from(1e20_f64), DType::I16, DType::I16, None),
            (Scalar::from(f64::NAN), DType::I16, DType::I16, None),
            (Scalar::from(-1_i8), DType::U8, DType::U8, None),
            (Scalar::from(300_i16), DType::U8, DType::U8, None),
            (Scalar::from(-999.0_f64), DType::I16, DType::I16, Some(Scalar::from(-999_i16))),
            // `_Unsigned`: by value where that fits, else by bits.
            (Scalar::from(-1_i8), DType::I8, DType::U8, Some(Scalar::from(255_u8))),
            (Scalar::from(255_i16), DType::I8, DType::U8, Some(Scalar::from(255_u8))),
            (Scalar::from(255_u8), DType::U8, DType::I8, Some(Scalar::from(-1_i8))),
            (Scalar::from(-300_i16), DType::I8, DType::U8, None),
        ] {
            assert_eq!(marker_of(&value, in_file, stored).unwrap(), wanted, "{value:?} in {stored}");
        }
    }

    #[test]
    fn result_dtypes_are_xarrays() {
        let (single, double) = (Scalar::from(0.5_f32), Scalar::from(0.5_f64));
        for (stored, scale, offset, wanted) in [
            (DType::I16, Some(single), Some(single), DType::F32),
            (DType::I16, Some(double), Some(double), DType::F64),
            (DType::I32, Some(single), Some(single), DType::F64),
            (DType::I16, Some(single), None, DType::F32),
            (DType::I16, None, Some(single), DType::F64),
            (DType::I16, Some(Scalar::from(2_i16)), None, DType::F64),
            (DType::I16, None, None, DType::F32),
            (DType::I32, None, None, DType::F64),
            (DType::F16, None, None, DType::F32),
            (DType::F64, None, None, DType::F64),
        ] {
            assert_eq!(
                result_dtype(stored, scale.as_ref(), offset.as_ref()),
                wanted,
                "{stored} {scale:?} {offset:?}"
            );
        }
        assert_eq!(with_sign(DType::I8, false), DType::U8);
        assert_eq!(with_sign(DType::F32, false), DType::F32);
    }
}
