//! Elements as text and JSON: what `eval` prints.
//!
//! The text is NumPy's `print`: eight decimals at most, scientific where numbers differ much in size, columns aligned.
//! Invariant: JSON holds every number exactly; NaN, infinities and complex numbers are texts that Python reads back.
//! Called by `eval` and `stats`.

use crate::json::scalar;
use blockwise::evaluate::ComputedResult;
use blockwise::kernels::{DType, DTypeVisitor, Element, Scalar};
use serde_json::{Value, json};

/// Characters of a line.
const LINE: usize = 75;

/// Decimals of floats in arrays.
const DECIMALS: usize = 8;

/// A result as an object: name, dtype, shape, dimension names, elements as nested lists.
pub(crate) fn json(result: &ComputedResult) -> Value {
    let mut values = scalars(result).into_iter().map(|value| element_json(&value)).collect::<Vec<_>>();
    let shape = result.array.shape();
    for length in shape.iter().skip(1).rev() {
        let length = (*length).max(1) as usize;
        values = values.chunks(length).map(|row| Value::from(row.to_vec())).collect();
    }
    let values = if shape.is_empty() { values.pop().unwrap_or(Value::Null) } else { Value::from(values) };
    json!({
        "name": result.name,
        "dtype": result.dtype().name(),
        "shape": shape,
        "dimensions": result.array.names(),
        "values": values,
    })
}

fn element_json(value: &Scalar) -> Value {
    if value.dtype().kind() == 'c' { Value::from(complex(value)) } else { scalar(value) }
}

/// A result as NumPy prints it, with its name.
pub(crate) fn text(result: &ComputedResult) -> String {
    let shape: Vec<usize> = result.array.shape().iter().map(|length| *length as usize).collect();
    let values = scalars(result);
    let text = match (shape.as_slice(), values.as_slice()) {
        ([], [one]) => alone(one),
        ([], _) => String::new(),
        (_, []) => "[]".to_owned(),
        _ => {
            let words = words(&values);
            let mut out = String::new();
            nested(&words, &shape, 0, &mut out);
            out
        }
    };
    match &result.name {
        Some(name) if text.contains('\n') => format!("{name} =\n{text}"),
        Some(name) => format!("{name} = {text}"),
        None => text,
    }
}

/// The elements, each with its type.
fn scalars(result: &ComputedResult) -> Vec<Scalar> {
    struct Read<'a>(&'a ComputedResult);
    impl DTypeVisitor for Read<'_> {
        type Output = Vec<Scalar>;
        fn visit<T: Element>(self) -> Vec<Scalar> {
            self.0.elements::<T>().unwrap_or_default().into_iter().map(Scalar::from).collect()
        }
    }
    result.dtype().dispatch(Read(result))
}

/// One element that is no array: as Python prints it.
fn alone(value: &Scalar) -> String {
    match value.dtype().kind() {
        'b' => truth(value),
        'f' => shortest(value),
        'c' => complex(value),
        _ => value.to_string(),
    }
}

fn truth(value: &Scalar) -> String {
    (if value.get::<bool>() == Some(true) { "True" } else { "False" }).to_owned()
}

/// `(re+imj)`, which Python's `complex` reads.
fn complex(value: &Scalar) -> String {
    let (re, im) = parts(value);
    let (re, im) = (shortest(&re), shortest(&im));
    let sign = if im.starts_with('-') { "" } else { "+" };
    format!("({re}{sign}{im}j)")
}

fn parts(value: &Scalar) -> (Scalar, Scalar) {
    let half = value.bytes().len() / 2;
    let part = if value.dtype() == DType::C64 { DType::F32 } else { DType::F64 };
    let (re, im) = value.bytes().split_at(half);
    let of = |bytes: &[u8]| Scalar::from_bytes(part, bytes).unwrap_or(Scalar::zero(part));
    (of(re), of(im))
}

/// The shortest text that reads back as the same float: digits and a power of ten.
fn scientific(value: &Scalar) -> String {
    match (value.get::<f32>(), value.to_f64()) {
        (Some(narrow), _) => format!("{narrow:e}"),
        // Half-width floats: the fewest digits that no neighbour shares, as of a float32 with their precision.
        (None, Some(wide)) if matches!(value.dtype(), DType::F16 | DType::BF16) => half(value, wide),
        (None, wide) => format!("{:e}", wide.unwrap_or(f64::NAN)),
    }
}

fn half(value: &Scalar, wide: f64) -> String {
    let back = |text: &str| {
        let read: f64 = text.parse().unwrap_or(f64::NAN);
        blockwise::core::adapt::cast_scalar(&Scalar::from(read), value.dtype())
            .is_ok_and(|same| same == *value)
    };
    (0..6)
        .map(|digits| format!("{wide:.digits$e}"))
        .find(|text| back(text))
        .unwrap_or_else(|| format!("{wide:e}"))
}

/// The shortest text that reads back, as Python writes floats.
fn shortest(value: &Scalar) -> String {
    let wide = value.to_f64().unwrap_or(f64::NAN);
    if !wide.is_finite() {
        return odd(wide);
    }
    let text = scientific(value);
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if wide != 0.0 && !(-4..16).contains(&exponent) {
        return format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
    }
    let text = positional(digits, exponent);
    if text.contains('.') { text } else { format!("{text}.0") }
}

/// A number up to a count of digits, for people.
pub(crate) fn number(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return odd(value);
    }
    let rounded = format!("{value:.*e}", digits.saturating_sub(1)).parse().unwrap_or(value);
    let text = shortest(&Scalar::from(rounded));
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

fn odd(value: f64) -> String {
    let text = if value.is_nan() {
        "nan"
    } else if value > 0.0 {
        "inf"
    } else {
        "-inf"
    };
    text.to_owned()
}

/// Digits `d.ddd` moved by a power of ten.
fn positional(digits: &str, exponent: i32) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    let point = exponent + 1;
    let text = match usize::try_from(point) {
        Ok(point) if point >= all.len() => format!("{all}{}", "0".repeat(point - all.len())),
        Ok(point) if point > 0 => {
            let (whole, fraction) = all.split_at(point);
            format!("{whole}.{fraction}")
        }
        _ => format!("0.{}{all}", "0".repeat(point.unsigned_abs() as usize)),
    };
    format!("{sign}{text}")
}

/// Every element in the width of the widest.
fn words(values: &[Scalar]) -> Vec<String> {
    match values.first().map(|value| value.dtype().kind()) {
        Some('f') => floats(values),
        Some('c') => {
            let (re, im): (Vec<Scalar>, Vec<Scalar>) = values.iter().map(parts).unzip();
            let joined = |(re, im): (String, String)| {
                let im = im.trim_start();
                let digits = im.trim_end();
                let pad = " ".repeat(im.len() - digits.len());
                let sign = if im.starts_with('-') { "" } else { "+" };
                format!("{re}{sign}{digits}j{pad}")
            };
            padded(floats(&re).into_iter().zip(floats(&im)).map(joined).collect())
        }
        Some('b') => padded(values.iter().map(truth).collect()),
        _ => padded(values.iter().map(Scalar::to_string).collect()),
    }
}

fn padded(words: Vec<String>) -> Vec<String> {
    let width = words.iter().map(String::len).max().unwrap_or(0);
    words.into_iter().map(|word| format!("{word:>width$}")).collect()
}

/// Floats of an array, as NumPy aligns them.
fn floats(values: &[Scalar]) -> Vec<String> {
    let wide = |value: &Scalar| value.to_f64().unwrap_or(f64::NAN);
    let sizes = || values.iter().map(wide).filter(|value| value.is_finite() && *value != 0.0).map(f64::abs);
    let (least, most) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(0.0, f64::max));
    let is_scientific = most > 0.0 && (most >= 1e8 || least < 1e-4 || most / least > 1000.0);
    // Mantissa with its point, and exponent.
    let split = |value: &Scalar| -> (String, String) {
        let text = scientific(value);
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        if is_scientific {
            let rounded = if fraction(digits).len() > DECIMALS {
                format!("{:.DECIMALS$e}", wide(value))
            } else {
                text.clone()
            };
            let (digits, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
            let exponent: i32 = exponent.parse().unwrap_or(0);
            let sign = if exponent < 0 { '-' } else { '+' };
            return (trimmed(digits), format!("e{sign}{:02}", exponent.abs()));
        }
        let text = positional(digits, exponent);
        let text =
            if fraction(&text).len() > DECIMALS { format!("{:.DECIMALS$}", wide(value)) } else { text };
        (trimmed(&text), String::new())
    };
    let finite: Vec<Option<(String, String)>> =
        values.iter().map(|value| wide(value).is_finite().then(|| split(value))).collect();
    let most_digits = finite.iter().flatten().map(|(digits, _)| fraction(digits).len()).max().unwrap_or(0);
    let fill = if is_scientific { "0" } else { " " };
    let word = |(value, split): (&Scalar, Option<(String, String)>)| match split {
        Some((digits, exponent)) => {
            let pad = fill.repeat(most_digits - fraction(&digits).len());
            format!("{digits}{pad}{exponent}")
        }
        None => odd(wide(value)),
    };
    padded(values.iter().zip(finite).map(word).collect())
}

fn fraction(digits: &str) -> &str {
    digits.split_once('.').map_or("", |(_, fraction)| fraction)
}

/// Without zeros at the end of the fraction, with a point.
fn trimmed(digits: &str) -> String {
    if digits.contains('.') { digits.trim_end_matches('0').to_owned() } else { format!("{digits}.") }
}

/// Rows in brackets, wrapped.
fn nested(words: &[String], shape: &[usize], depth: usize, out: &mut String) {
    let Some((length, inner)) = shape.split_first() else { return };
    out.push('[');
    if inner.is_empty() {
        let indent = " ".repeat(depth + 1);
        let mut line = depth + 1;
        for (n, word) in words.iter().enumerate() {
            if n > 0 && line + 1 + word.len() > LINE {
                out.push('\n');
                out.push_str(&indent);
                line = depth + 1;
            } else if n > 0 {
                out.push(' ');
                line += 1;
            }
            out.push_str(word);
            line += word.len();
        }
    } else {
        let rows = words.len() / (*length).max(1);
        for (n, row) in words.chunks(rows.max(1)).enumerate() {
            if n > 0 {
                out.push_str(&"\n".repeat(inner.len()));
                out.push_str(&" ".repeat(depth + 1));
            }
            nested(row, inner, depth + 1, out);
        }
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(values: &[f64]) -> String {
        let scalars: Vec<Scalar> = values.iter().copied().map(Scalar::from).collect();
        let mut out = String::new();
        nested(&words(&scalars), &[values.len()], 0, &mut out);
        out
    }

    #[test]
    fn arrays_look_as_numpy_prints_them() {
        // What NumPy 2.3 prints.
        assert_eq!(printed(&[1.0, 2.5]), "[1.  2.5]");
        assert_eq!(printed(&[1.0, -200.0]), "[   1. -200.]");
        assert_eq!(printed(&[1e-5, 1.0]), "[1.e-05 1.e+00]");
        assert_eq!(printed(&[1.5e-5, 1.0]), "[1.5e-05 1.0e+00]");
        assert_eq!(printed(&[0.1 + 0.2, 1.0 / 3.0]), "[0.3        0.33333333]");
        assert_eq!(printed(&[f64::NAN, 1.0, f64::INFINITY]), "[nan  1. inf]");
        assert_eq!(printed(&[1e10]), "[1.e+10]");
    }

    #[test]
    fn single_numbers_are_pythons() {
        assert_eq!(alone(&Scalar::from(0.1_f32)), "0.1");
        assert_eq!(alone(&Scalar::from(1e16)), "1e+16");
        assert_eq!(alone(&Scalar::from(123456.0)), "123456.0");
        assert_eq!(alone(&Scalar::from(-1.5e-5)), "-1.5e-05");
        assert_eq!(alone(&Scalar::from(0.0001)), "0.0001");
        assert_eq!(alone(&Scalar::from(f64::NEG_INFINITY)), "-inf");
        assert_eq!(number(1.0 / 3.0, 3), "0.333");
        assert_eq!(number(20.0, 9), "20");
    }
}
