//! Fill values in JSON: numbers, `"NaN"`, hexadecimal bits, pairs for complex, base64 for bytes.
//!
//! Invariant: a fill value is the bytes of one element in the machine's order, and a number out of the type's range
//! is an error, never clamped. Called by the metadata parsers and the writer.

use super::element::StoredType;
use super::json::{bare_token, corrupt, excerpt};
use crate::error::Result;
use blockwise_kernels::{DType, DTypeVisitor, Element, Scalar};
use serde_json::{Value, json};

/// The element that `value` says; `None` for `null` (and for texts, which have no chunks that stream).
///
/// # Errors
/// If it is no value of the type.
pub(crate) fn parse(path: &str, stored: &StoredType, value: &Value) -> Result<Option<Vec<u8>>> {
    let Some(items) = stored.items else { return Ok(None) };
    if value.is_null() {
        return Ok(None);
    }
    let wrong = || corrupt(path, format!("fill_value {} is no {}", excerpt(value), stored.element));
    let Some(run) = items.run else {
        let scalar = number(items.dtype, value).ok_or_else(wrong)?;
        return Ok(Some(scalar.bytes().to_vec()));
    };
    let run = usize::try_from(run).map_err(|_| wrong())?;
    let zeros = value.as_u64() == Some(0); // how some writers say "empty"
    let text = if zeros { "" } else { value.as_str().ok_or_else(wrong)? };
    let mut bytes: Vec<u8> = if items.dtype == DType::U32 {
        text.chars().flat_map(|letter| u32::from(letter).to_ne_bytes()).collect()
    } else {
        decode_base64(text).ok_or_else(wrong)?
    };
    if bytes.len() > run * items.dtype.size() {
        return Err(wrong());
    }
    bytes.resize(run * items.dtype.size(), 0);
    Ok(Some(bytes))
}

/// The number of type `dtype` that `value` says.
pub(crate) fn number(dtype: DType, value: &Value) -> Option<Scalar> {
    match dtype.kind() {
        'c' => {
            let part = if dtype == DType::C64 { DType::F32 } else { DType::F64 };
            let (re, im) = match value {
                Value::Array(parts) => match parts.as_slice() {
                    [re, im] => (float(part, re)?, float(part, im)?),
                    _ => return None,
                },
                one => (float(part, one)?, Scalar::zero(part)),
            };
            Scalar::from_bytes(dtype, &[re.bytes(), im.bytes()].concat())
        }
        'f' => float(dtype, value),
        'b' => match value {
            Value::Bool(flag) => Some(Scalar::from(*flag)),
            other => match other.as_u64()? {
                0 => Some(Scalar::from(false)),
                1 => Some(Scalar::from(true)),
                _ => None,
            },
        },
        _ if value.as_str() == Some("NaT") && dtype == DType::I64 => Some(Scalar::from(i64::MIN)),
        _ => from_integer(dtype, integer(value)?),
    }
}

/// `value` as a whole number; doubles that are whole count.
fn integer(value: &Value) -> Option<i128> {
    let whole = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^64")]
    let from_double =
        |double: f64| (double.fract() == 0.0 && double.abs() < 1.8e19).then_some(double as i128);
    whole.or_else(|| value.as_f64().and_then(from_double))
}

/// `value` in an integer type; `None` if it is out of range.
fn from_integer(dtype: DType, value: i128) -> Option<Scalar> {
    Some(match dtype {
        DType::I8 => Scalar::from(i8::try_from(value).ok()?),
        DType::I16 => Scalar::from(i16::try_from(value).ok()?),
        DType::I32 => Scalar::from(i32::try_from(value).ok()?),
        DType::I64 => Scalar::from(i64::try_from(value).ok()?),
        DType::U8 => Scalar::from(u8::try_from(value).ok()?),
        DType::U16 => Scalar::from(u16::try_from(value).ok()?),
        DType::U32 => Scalar::from(u32::try_from(value).ok()?),
        DType::U64 => Scalar::from(u64::try_from(value).ok()?),
        _ => return None,
    })
}

fn float(dtype: DType, value: &Value) -> Option<Scalar> {
    let double = match value {
        Value::String(text) => match text.as_str() {
            "NaN" => f64::NAN,
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            other => match other.strip_prefix("0x") {
                Some(digits) => return from_bits(dtype, digits),
                None => bare_token(other)?,
            },
        },
        other => other.as_f64()?,
    };
    from_double(dtype, double)
}

/// `double` rounded to a float type.
#[expect(clippy::cast_possible_truncation, reason = "rounding to the array's own precision")]
pub(crate) fn from_double(dtype: DType, double: f64) -> Option<Scalar> {
    Some(match dtype {
        DType::F16 => Scalar::from(half::f16::from_f64(double)),
        DType::BF16 => Scalar::from(half::bf16::from_f64(double)),
        DType::F32 => Scalar::from(double as f32),
        DType::F64 => Scalar::from(double),
        _ => return None,
    })
}

/// The float whose bits are `digits`, most significant first.
fn from_bits(dtype: DType, digits: &str) -> Option<Scalar> {
    if digits.len() != 2 * dtype.size() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let bits = u64::from_str_radix(digits, 16).ok()?;
    let little = bits.to_le_bytes();
    let mut bytes = little.get(..dtype.size())?.to_vec();
    if cfg!(target_endian = "big") {
        bytes.reverse();
    }
    Scalar::from_bytes(dtype, &bytes)
}

/// How `scalar` is written as a fill value.
pub(crate) fn to_json(scalar: Scalar) -> Value {
    struct ToJson(Scalar);
    impl DTypeVisitor for ToJson {
        type Output = Value;
        fn visit<T: Element>(self) -> Value {
            let scalar = self.0;
            match scalar.dtype().kind() {
                'b' => json!(scalar.get::<bool>()),
                'i' => json!(integer_of(scalar).and_then(|whole| i64::try_from(whole).ok())),
                'u' => json!(integer_of(scalar).and_then(|whole| u64::try_from(whole).ok())),
                'f' => float_to_json(scalar),
                _ => {
                    let part = if scalar.dtype() == DType::C64 { DType::F32 } else { DType::F64 };
                    let parts = scalar.bytes().chunks(part.size());
                    parts
                        .filter_map(|part_bytes| Scalar::from_bytes(part, part_bytes))
                        .map(float_to_json)
                        .collect()
                }
            }
        }
    }
    scalar.dtype().dispatch(ToJson(scalar))
}

/// The value of an integer scalar.
pub(crate) fn integer_of(scalar: Scalar) -> Option<i128> {
    Some(match scalar.dtype() {
        DType::I8 => scalar.get::<i8>()?.into(),
        DType::I16 => scalar.get::<i16>()?.into(),
        DType::I32 => scalar.get::<i32>()?.into(),
        DType::I64 => scalar.get::<i64>()?.into(),
        DType::U8 => scalar.get::<u8>()?.into(),
        DType::U16 => scalar.get::<u16>()?.into(),
        DType::U32 => scalar.get::<u32>()?.into(),
        DType::U64 => scalar.get::<u64>()?.into(),
        _ => return None,
    })
}

fn float_to_json(scalar: Scalar) -> Value {
    let double = scalar.to_f64().unwrap_or(f64::NAN);
    if double.is_nan() {
        // The usual NaN by its name, any other by its bits.
        let usual = from_double(scalar.dtype(), f64::NAN) == Some(scalar);
        return if usual { json!("NaN") } else { json!(bits_text(scalar)) };
    }
    match double {
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        finite => json!(finite),
    }
}

fn bits_text(scalar: Scalar) -> String {
    let mut bytes = scalar.bytes().to_vec();
    if cfg!(target_endian = "little") {
        bytes.reverse();
    }
    bytes.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `bytes` in base64 (RFC 4648, padded).
pub(crate) fn encode_base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits =
            group.iter().enumerate().fold(0_u32, |bits, (k, byte)| bits | u32::from(*byte) << (16 - 8 * k));
        for k in 0..4 {
            let digit = BASE64.get((bits >> (18 - 6 * k) & 63) as usize);
            text.push(if k > group.len() { '=' } else { digit.map_or('=', |digit| char::from(*digit)) });
        }
    }
    text
}

/// The bytes that base64 `text` says; `None` if it is none.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in digits.chunks(4) {
        let mut bits = 0_u32;
        for (k, digit) in group.iter().enumerate() {
            let value = BASE64.iter().position(|known| known == digit)?;
            bits |= u32::try_from(value).ok()? << (18 - 6 * k);
        }
        let [_, first, second, third] = bits.to_be_bytes();
        bytes.extend([first, second, third].iter().take(group.len() - 1));
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_json_can_say() {
        let parse = |dtype, text: &str| number(dtype, &serde_json::from_str(text).unwrap());
        assert_eq!(parse(DType::I8, "-7"), Some(Scalar::from(-7_i8)));
        assert_eq!(parse(DType::I8, "-7.0"), Some(Scalar::from(-7_i8)));
        assert_eq!(parse(DType::U64, "18446744073709551615"), Some(Scalar::from(u64::MAX)));
        assert_eq!(parse(DType::I64, "-9223372036854775808"), Some(Scalar::from(i64::MIN)));
        assert_eq!(parse(DType::I64, "\"NaT\""), Some(Scalar::from(i64::MIN)));
        assert_eq!(parse(DType::F32, "\"0x7fc00001\""), Some(Scalar::from(f32::from_bits(0x7fc0_0001))));
        assert_eq!(parse(DType::F16, "\"-Infinity\""), Some(Scalar::from(half::f16::NEG_INFINITY)));
        assert_eq!(parse(DType::Bool, "1"), Some(Scalar::from(true)));
        for (dtype, bad) in [
            (DType::I8, "128"),
            (DType::U8, "-1"),
            (DType::I32, "1.5"),
            (DType::I32, "1e30"),
            (DType::I32, "\"1\""),
            (DType::F32, "\"abc\""),
            (DType::F32, "\"0x7fc0\""),
            (DType::F32, "true"),
            (DType::Bool, "2"),
            (DType::C64, "[1]"),
            (DType::U64, "18446744073709551616"),
        ] {
            assert_eq!(parse(dtype, bad), None, "{dtype} {bad}");
        }
    }

    proptest! {
        #[test]
        fn every_value_round_trips(index in 0..DType::ALL.len(), bytes in any::<[u8; 16]>()) {
            let dtype = DType::ALL[index];
            let Some(scalar) = Scalar::from_bytes(dtype, &bytes[..dtype.size()]) else { return Ok(()) };
            let text = to_json(scalar).to_string();
            prop_assert_eq!(number(dtype, &serde_json::from_str(&text).unwrap()), Some(scalar), "{}", text);
        }

        #[test]
        fn base64_round_trips(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            prop_assert_eq!(decode_base64(&encode_base64(&bytes)), Some(bytes));
        }

        #[test]
        fn any_text_is_base64_or_not(text in ".{0,12}") {
            let _ = decode_base64(&text);
        }
    }
}
