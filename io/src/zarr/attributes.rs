//! Attributes to and from JSON, with the conventions that xarray has for them.
//!
//! JSON has one kind of number, so the dtype of an attribute is lost in Zarr; that of `_FillValue`, `missing_value`,
//! `valid_range` and their like follows from the array. Version 2 keeps `_FillValue` as the array's fill value, version
//! 3 as an attribute, floats in base64 (see xarray's `FillValueCoder`). Invariant: what xarray reads from a store that
//! it wrote is what we read. Called by the metadata parsers and the writer.

use super::element::StoredType;
use super::fill::{self, decode_base64, encode_base64};
use super::json::bare_token;
use crate::attribute::{AttributeValue, Attributes};
use crate::container::ElementType;
use blockwise_kernels::{DType, Scalar};
use serde_json::{Map, Value, json};

/// The attribute in which version 2 keeps names of axes.
pub(crate) const DIMENSIONS: &str = "_ARRAY_DIMENSIONS";
/// The attribute that marks missing elements.
pub(crate) const FILL_VALUE: &str = "_FillValue";

/// Attributes whose numbers have the array's own dtype.
const TYPED_AS_ARRAY: [&str; 7] =
    ["missing_value", "valid_min", "valid_max", "valid_range", "actual_range", "flag_values", "flag_masks"];

/// The attributes in `map`, of an array of type `stored` or a group. `named` tells whether [`DIMENSIONS`] was used
/// for the names of axes, and is left out.
pub(crate) fn parse(map: &Map<String, Value>, stored: Option<&StoredType>, named: bool) -> Attributes {
    let mut attributes = Attributes::new();
    let dtype = stored.and_then(|stored| stored.element.stream_dtype());
    for (name, value) in map {
        if named && name == DIMENSIONS {
            continue;
        }
        let is_string = stored.is_some_and(|stored| matches!(stored.element, ElementType::FixedBytes { .. }));
        let value = match dtype {
            Some(_) if is_string => {
                match value.as_str().filter(|_| name == FILL_VALUE).and_then(decode_base64) {
                    Some(bytes) => AttributeValue::Text(String::from_utf8_lossy(&bytes).into_owned()),
                    None => generic(value),
                }
            }
            Some(dtype) if name == FILL_VALUE => fill_attribute(dtype, value),
            Some(dtype) if TYPED_AS_ARRAY.contains(&name.as_str()) => typed(dtype, generic(value)),
            _ => generic(value),
        };
        attributes.set(name, value);
    }
    attributes
}

/// Gives `_FillValue` to the attributes of a version 2 array that has named axes, as xarray does.
pub(crate) fn adopt_fill(attributes: &mut Attributes, stored: &StoredType, fill: Option<&[u8]>) {
    // Times have a missing value of their own (NaT), and xarray knows no `_FillValue` for them.
    let is_number = matches!(stored.element, ElementType::Number(_));
    let Some(items) = stored.items.filter(|_| is_number) else { return };
    let scalar = fill.and_then(|bytes| Scalar::from_bytes(items.dtype, bytes));
    if let Some(scalar) = scalar.filter(|_| attributes.get(FILL_VALUE).is_none()) {
        attributes.set(FILL_VALUE, AttributeValue::Number(scalar));
    }
}

/// `_FillValue` as version 3 has it: floats in base64 of a double; or as anybody may have written it.
fn fill_attribute(dtype: DType, value: &Value) -> AttributeValue {
    let decoded = |value: &Value| {
        let text = value.as_str()?;
        let bytes = decode_base64(text)?;
        Some(f64::from_le_bytes(*bytes.first_chunk::<8>().filter(|_| bytes.len() == 8)?))
    };
    let scalar = match (dtype.kind(), value) {
        ('f', value) => decoded(value).and_then(|double| fill::from_double(dtype, double)),
        ('c', Value::Array(parts)) => match parts.as_slice() {
            [re, im] => decoded(re).zip(decoded(im)).and_then(|(re, im)| {
                let part = if dtype == DType::C64 { DType::F32 } else { DType::F64 };
                let (re, im) = (fill::from_double(part, re)?, fill::from_double(part, im)?);
                Scalar::from_bytes(dtype, &[re.bytes(), im.bytes()].concat())
            }),
            _ => None,
        },
        _ => None,
    };
    let scalar = scalar.or_else(|| fill::number(dtype, value));
    scalar.map_or_else(|| generic(value), AttributeValue::Number)
}

/// `value` with its numbers in `dtype`, if that loses nothing.
fn typed(dtype: DType, value: AttributeValue) -> AttributeValue {
    let converted = |scalar: &Scalar| {
        let json = fill::to_json(*scalar);
        let result = fill::number(dtype, &json)?;
        let same = result.to_f64().zip(scalar.to_f64());
        let lossless = same.is_some_and(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()));
        // A float attribute that its array's precision cannot say exactly was meant in that precision.
        (lossless || dtype.kind() == 'f').then_some(result)
    };
    match &value {
        AttributeValue::Number(scalar) => converted(scalar).map_or(value, AttributeValue::Number),
        // How version 3 says what JSON cannot.
        AttributeValue::Text(text) if dtype.kind() == 'f' => {
            let named =
                super::json::NOT_A_NUMBER.iter().find(|(token, _)| token.trim_start_matches('\u{1}') == text);
            let scalar = named.and_then(|(_, double)| fill::from_double(dtype, *double));
            scalar.map_or(value, AttributeValue::Number)
        }
        AttributeValue::Numbers(_, scalars) => {
            let all: Option<Vec<Scalar>> = scalars.iter().map(converted).collect();
            all.map_or(value, |scalars| AttributeValue::Numbers(dtype, scalars))
        }
        _ => value,
    }
}

/// A JSON number or bare token.
fn scalar(value: &Value) -> Option<Scalar> {
    match value {
        Value::Bool(flag) => Some(Scalar::from(*flag)),
        Value::String(text) => bare_token(text).map(Scalar::from),
        Value::Number(number) => number
            .as_i64()
            .map(Scalar::from)
            .or_else(|| number.as_u64().map(Scalar::from))
            .or_else(|| number.as_f64().map(Scalar::from)),
        _ => None,
    }
}

/// What JSON says, without knowing better.
fn generic(value: &Value) -> AttributeValue {
    if let Some(scalar) = scalar(value) {
        return AttributeValue::Number(scalar);
    }
    match value {
        Value::String(text) => AttributeValue::Text(text.clone()),
        Value::Array(list) => {
            let texts: Option<Vec<String>> =
                list.iter().map(|entry| entry.as_str().map(str::to_owned)).collect();
            let bare = list.iter().any(|entry| entry.as_str().is_some_and(|text| bare_token(text).is_some()));
            if let Some(texts) = texts.filter(|texts| !texts.is_empty() && !bare) {
                return AttributeValue::Texts(texts);
            }
            numbers(list).unwrap_or_else(|| AttributeValue::Json(plain(value)))
        }
        _ => AttributeValue::Json(plain(value)),
    }
}

/// A list of numbers in the narrowest of int64, uint64, float64 and bool that holds all.
fn numbers(list: &[Value]) -> Option<AttributeValue> {
    let scalars: Vec<Scalar> = list.iter().map(scalar).collect::<Option<_>>()?;
    let all = |dtype: DType| scalars.iter().all(|scalar| scalar.dtype() == dtype);
    let any = |dtype: DType| scalars.iter().any(|scalar| scalar.dtype() == dtype);
    let dtype = match () {
        () if scalars.is_empty() || any(DType::F64) => DType::F64,
        () if all(DType::Bool) || all(DType::I64) || all(DType::U64) => {
            return Some(AttributeValue::Numbers(scalars.first().map_or(DType::F64, Scalar::dtype), scalars));
        }
        () => DType::F64,
    };
    if any(DType::Bool) {
        return None;
    }
    let doubles = scalars.iter().map(|scalar| scalar.to_f64().map(Scalar::from)).collect::<Option<_>>()?;
    Some(AttributeValue::Numbers(dtype, doubles))
}

/// `value` with bare tokens as plain texts.
fn plain(value: &Value) -> Value {
    match value {
        Value::String(text) if bare_token(text).is_some() => {
            Value::String(text.trim_start_matches('\u{1}').to_owned())
        }
        Value::Array(list) => list.iter().map(plain).collect(),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, entry)| (key.clone(), plain(entry))).collect())
        }
        other => other.clone(),
    }
}

/// The JSON of one number; NaN and infinities as the texts that stand for bare tokens.
fn number_to_json(scalar: Scalar) -> Value {
    if let ('f', Some(double)) = (scalar.dtype().kind(), scalar.to_f64()) {
        let token = super::json::NOT_A_NUMBER
            .iter()
            .find(|(_, value)| *value == double || (value.is_nan() && double.is_nan()));
        return token.map_or_else(|| json!(double), |(text, _)| json!(text));
    }
    fill::to_json(scalar)
}

/// The JSON of an attribute.
pub(crate) fn to_json(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::Text(text) => json!(text),
        AttributeValue::Texts(texts) => json!(texts),
        AttributeValue::Number(scalar) => number_to_json(*scalar),
        AttributeValue::Numbers(_, scalars) => scalars.iter().map(|scalar| number_to_json(*scalar)).collect(),
        AttributeValue::Json(value) => value.clone(),
    }
}

/// `_FillValue` as version 3 has it.
pub(crate) fn fill_to_json_v3(value: &AttributeValue) -> Value {
    let base64 = |double: f64| json!(encode_base64(&double.to_le_bytes()));
    match value {
        AttributeValue::Number(scalar) => match scalar.dtype().kind() {
            'f' => base64(scalar.to_f64().unwrap_or(f64::NAN)),
            'c' => {
                let part = if scalar.dtype() == DType::C64 { DType::F32 } else { DType::F64 };
                let parts =
                    scalar.bytes().chunks(part.size()).filter_map(|bytes| Scalar::from_bytes(part, bytes));
                parts.map(|part| base64(part.to_f64().unwrap_or(f64::NAN))).collect()
            }
            _ => fill::to_json(*scalar),
        },
        other => to_json(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(dtype: DType, text: &str) -> Attributes {
        let map = crate::zarr::json::parse_object("p", text.as_bytes()).unwrap();
        parse(&map, Some(&StoredType::number(dtype)), true)
    }

    #[test]
    fn xarray_fill_values_decode() {
        let found = read(DType::F32, r#"{"_FillValue": "AAAAAAA4j8A=", "_ARRAY_DIMENSIONS": ["x"], "n": 4}"#);
        assert_eq!(found.get(FILL_VALUE), Some(&AttributeValue::Number(Scalar::from(-999.0_f32))));
        assert_eq!(found.get("n"), Some(&AttributeValue::Number(Scalar::from(4_i64))));
        assert_eq!(found.len(), 2);
        assert_eq!(fill_to_json_v3(found.get(FILL_VALUE).unwrap()), json!("AAAAAAA4j8A="));
        let found =
            read(DType::I16, r#"{"_FillValue": -1, "valid_range": [0, 7], "flag_values": [0, 99999]}"#);
        assert_eq!(found.get(FILL_VALUE), Some(&AttributeValue::Number(Scalar::from(-1_i16))));
        let range = vec![Scalar::from(0_i16), Scalar::from(7_i16)];
        assert_eq!(found.get("valid_range"), Some(&AttributeValue::Numbers(DType::I16, range)));
        assert!(matches!(found.get("flag_values"), Some(AttributeValue::Numbers(DType::I64, _))));
        let found = read(DType::F64, r#"{"_FillValue": NaN, "missing_value": "NaN"}"#);
        assert!(
            matches!(found.get(FILL_VALUE), Some(AttributeValue::Number(nan)) if nan.get::<f64>().unwrap().is_nan())
        );
        assert!(matches!(found.get("missing_value"), Some(AttributeValue::Number(_))));
    }

    #[test]
    fn lists_and_objects() {
        let found = read(
            DType::F64,
            r#"{"a": ["x"], "b": [1, 2.5], "c": {"d": null}, "e": [], "f": [1, "x"], "g": [NaN, 1]}"#,
        );
        assert_eq!(found.get("a"), Some(&AttributeValue::Texts(vec!["x".to_owned()])));
        let b = vec![Scalar::from(1.0), Scalar::from(2.5)];
        assert_eq!(found.get("b"), Some(&AttributeValue::Numbers(DType::F64, b)));
        assert!(matches!(found.get("c"), Some(AttributeValue::Json(_))));
        assert_eq!(found.get("e"), Some(&AttributeValue::Numbers(DType::F64, vec![])));
        assert!(matches!(found.get("f"), Some(AttributeValue::Json(_))));
        assert!(matches!(found.get("g"), Some(AttributeValue::Numbers(DType::F64, _))));
    }
}
