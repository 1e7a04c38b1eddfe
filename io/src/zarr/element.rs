//! Data types of Zarr v2 and v3, by their names in metadata.
//!
//! Invariant: a [`StoredType`] that has [`Items`] says exactly how an element lies in a decoded chunk; one without
//! them (strings of any length, types that are not computed with) has chunks that do not stream. Called by the
//! metadata parsers and the writer.

use super::json::{Named, corrupt, excerpt, unsupported};
use crate::container::ElementType;
use crate::error::Result;
use blockwise_kernels::DType;
use serde_json::{Value, json};

/// The largest fixed-length element, in bytes: more is no string but an attack.
const ELEMENT_LIMIT_BYTES: u64 = 1 << 20;

/// The type of a stored array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredType {
    /// What people see.
    pub(crate) element: ElementType,
    /// How an element lies in a chunk; `None` if its length varies or is not known.
    pub(crate) items: Option<Items>,
}

/// An element of fixed length: one or more numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Items {
    /// What the numbers are.
    pub(crate) dtype: DType,
    /// How many an element has, if they make an axis of their own.
    pub(crate) run: Option<u64>,
}

impl Items {
    /// Bytes of one element. Fits: a run has at most 2^20 bytes.
    pub(crate) fn element_bytes(self) -> usize {
        self.dtype.size() * self.run.and_then(|run| usize::try_from(run).ok()).unwrap_or(1)
    }

    /// `lengths` of the array with the axis that the run adds.
    pub(crate) fn with_run(self, lengths: &[u64]) -> Vec<u64> {
        lengths.iter().copied().chain(self.run).collect()
    }
}

impl StoredType {
    pub(crate) fn number(dtype: DType) -> Self {
        Self { element: ElementType::Number(dtype), items: Some(Items { dtype, run: None }) }
    }

    fn other(name: impl Into<String>) -> Self {
        Self { element: ElementType::Other(name.into()), items: None }
    }

    pub(crate) fn text() -> Self {
        Self { element: ElementType::Text, items: None }
    }

    fn bytes(len_bytes: u64) -> Self {
        let items = Items { dtype: DType::U8, run: Some(len_bytes) };
        Self { element: ElementType::FixedBytes { len_bytes }, items: Some(items) }
    }

    fn characters(count: u64) -> Self {
        Self { element: ElementType::Text, items: Some(Items { dtype: DType::U32, run: Some(count) }) }
    }

    fn time(unit: String, difference: bool) -> Self {
        let items = Some(Items { dtype: DType::I64, run: None });
        Self { element: ElementType::DateTime { unit, difference }, items }
    }

    /// Whether items have a byte order.
    pub(crate) fn has_byte_order(&self) -> bool {
        self.items.is_some_and(|items| items.dtype.swap_unit() > 1)
    }

    /// The type that Zarr v2's `dtype` names, and whether it is big-endian. `is_text` tells whether the first
    /// filter is `vlen-utf8`.
    ///
    /// # Errors
    /// If NumPy has no such type.
    pub(crate) fn parse_v2(path: &str, value: &Value, is_text: bool) -> Result<(Self, bool)> {
        let Some(text) = value.as_str() else {
            if value.as_array().is_some_and(|fields| !fields.is_empty()) {
                return Ok((Self::other(format!("structure {}", excerpt(value))), false));
            }
            return Err(corrupt(path, format!("'dtype' holds {}, which is no type", excerpt(value))));
        };
        if text == "bfloat16" {
            return Ok((Self::number(DType::BF16), false));
        }
        let bad = || unsupported(path, format!("data type {}", excerpt(value)));
        let mut letters = text.chars();
        let order = letters.next().filter(|order| "<>|=".contains(*order)).ok_or_else(bad)?;
        let kind = letters.next().ok_or_else(bad)?;
        let size = letters.as_str();
        let big = order == '>';
        if kind == 'O' && size.is_empty() {
            return Ok((if is_text { Self::text() } else { Self::other(text) }, false));
        }
        if kind == 'M' || kind == 'm' {
            let unit = size.strip_prefix("8[").and_then(|rest| rest.strip_suffix(']')).ok_or_else(bad)?;
            let stored =
                if is_unit(unit) { Self::time(unit.to_owned(), kind == 'm') } else { Self::other(text) };
            return Ok((stored, big));
        }
        let count: u64 = size.parse().map_err(|_| bad())?;
        if count == 0 {
            return Err(bad());
        }
        let stored = match kind {
            'S' if count <= ELEMENT_LIMIT_BYTES => Self::bytes(count),
            'U' if count <= ELEMENT_LIMIT_BYTES / 4 => Self::characters(count),
            'V' | 'S' | 'U' => Self::other(text),
            'f' if count == 16 || count == 12 => Self::other(text),
            'c' if count == 32 || count == 24 => Self::other(text),
            'b' | 'i' | 'u' | 'f' | 'c' => Self::number(numpy_dtype(kind, count).ok_or_else(bad)?),
            _ => return Err(bad()),
        };
        let big = big && stored.has_byte_order();
        Ok((stored, big))
    }

    /// The type that Zarr v3's `data_type` names.
    ///
    /// # Errors
    /// If the field is malformed.
    pub(crate) fn parse_v3(path: &str, value: &Value) -> Result<Self> {
        let named = Named::parse(path, "data_type", value)?;
        let length = || {
            named.get("length_bytes").and_then(Value::as_u64).filter(|len| *len > 0).ok_or_else(|| {
                corrupt(path, format!("data type '{}' has no positive 'length_bytes'", named.name))
            })
        };
        Ok(match named.name {
            "string" => Self::text(),
            "complex_float32" => Self::number(DType::C64),
            "complex_float64" => Self::number(DType::C128),
            "numpy.datetime64" | "numpy.timedelta64" => {
                let unit = named.get("unit").and_then(Value::as_str).unwrap_or("generic");
                let scale = named.get("scale_factor").and_then(Value::as_u64).unwrap_or(1);
                let text = if scale == 1 { unit.to_owned() } else { format!("{scale}{unit}") };
                if is_unit(&text) {
                    Self::time(text, named.name == "numpy.timedelta64")
                } else {
                    Self::other(format!("{} {}", named.name, excerpt(value)))
                }
            }
            "null_terminated_bytes" => match length()? {
                len @ ..=ELEMENT_LIMIT_BYTES => Self::bytes(len),
                len => Self::other(format!("null_terminated_bytes of {len}")),
            },
            "fixed_length_utf32" => match length()? {
                len if len.is_multiple_of(4) && len <= ELEMENT_LIMIT_BYTES => Self::characters(len / 4),
                len => Self::other(format!("fixed_length_utf32 of {len} bytes")),
            },
            name => match DType::ALL.iter().find(|dtype| dtype.name() == name) {
                Some(dtype) => Self::number(*dtype),
                None => Self::other(name),
            },
        })
    }
}

/// Whether `unit` is a time unit of NumPy with an optional multiplier.
fn is_unit(unit: &str) -> bool {
    const UNITS: [&str; 14] =
        ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "\u{3bc}s", "ns", "ps", "fs", "as"];
    UNITS.contains(&unit.trim_start_matches(|digit: char| digit.is_ascii_digit()))
}

fn numpy_dtype(kind: char, size: u64) -> Option<DType> {
    let fits = |dtype: &&DType| **dtype != DType::BF16 && dtype.kind() == kind && dtype.size() as u64 == size;
    DType::ALL.iter().find(fits).copied()
}

/// Zarr v2's `dtype` for little-endian elements; `None` if it cannot say them.
pub(crate) fn v2_name(element: &ElementType) -> Option<String> {
    Some(match element {
        ElementType::Number(DType::BF16) | ElementType::Other(_) => return None,
        ElementType::Number(dtype) => {
            let order = if dtype.size() == 1 { '|' } else { '<' };
            format!("{order}{}{}", dtype.kind(), dtype.size())
        }
        ElementType::DateTime { unit, difference } => {
            format!("<{}8[{unit}]", if *difference { 'm' } else { 'M' })
        }
        ElementType::FixedBytes { len_bytes } => format!("|S{len_bytes}"),
        ElementType::Text => "|O".to_owned(),
    })
}

/// Zarr v3's `data_type`; `None` if it cannot say the elements.
pub(crate) fn v3_name(element: &ElementType) -> Option<Value> {
    Some(match element {
        ElementType::Other(_) => return None,
        ElementType::Number(dtype) => json!(dtype.name()),
        ElementType::DateTime { unit, difference } => {
            let name = if *difference { "numpy.timedelta64" } else { "numpy.datetime64" };
            let letters = unit.trim_start_matches(|digit: char| digit.is_ascii_digit());
            let scale = unit.strip_suffix(letters).and_then(|digits| digits.parse::<u32>().ok()).unwrap_or(1);
            json!({"name": name, "configuration": {"unit": letters, "scale_factor": scale}})
        }
        ElementType::FixedBytes { len_bytes } => {
            json!({"name": "null_terminated_bytes", "configuration": {"length_bytes": len_bytes}})
        }
        ElementType::Text => json!("string"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        let mut elements: Vec<ElementType> =
            DType::ALL.iter().map(|dtype| ElementType::Number(*dtype)).collect();
        elements.push(ElementType::DateTime { unit: "10s".to_owned(), difference: false });
        elements.push(ElementType::DateTime { unit: "ns".to_owned(), difference: true });
        elements.push(ElementType::FixedBytes { len_bytes: 7 });
        elements.push(ElementType::Text);
        for element in elements {
            let v3 = v3_name(&element).unwrap();
            assert_eq!(StoredType::parse_v3("p", &v3).unwrap().element, element);
            if let Some(v2) = v2_name(&element) {
                let (stored, big) = StoredType::parse_v2("p", &json!(v2), true).unwrap();
                assert_eq!((stored.element, big), (element, false));
            }
        }
    }

    #[test]
    fn odd_types() {
        let v2 = |text: &str| StoredType::parse_v2("p", &json!(text), false);
        assert_eq!(v2(">f8").unwrap(), (StoredType::number(DType::F64), true));
        assert!(!v2(">i1").unwrap().1);
        for other in ["<f16", "|O", "|V8", "<M8[generic]"] {
            assert!(matches!(v2(other).unwrap().0.element, ElementType::Other(_)), "{other}");
        }
        for bad in ["<i3", "<f1", "|S0", "i4", "", "<", "<i", "<é4", "<i-4", "<M8", "|S99999999999999999999"]
        {
            assert!(v2(bad).is_err(), "{bad}");
        }
        assert_eq!(v2("<U4").unwrap().0.items, Some(Items { dtype: DType::U32, run: Some(4) }));
        assert!(StoredType::parse_v2("p", &json!([["a", "<i4"]]), false).unwrap().0.items.is_none());
        assert!(StoredType::parse_v2("p", &json!(4), false).is_err());
    }
}
