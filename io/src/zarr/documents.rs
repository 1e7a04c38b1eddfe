//! Metadata documents of new arrays and groups.
//!
//! Follows what xarray writes, so that it sees in our stores what was there: names of axes, `_FillValue` (see
//! [`super::attributes`]). Called by the writer.

use super::attributes::{self, DIMENSIONS, FILL_VALUE};
use super::element::{v2_name, v3_name};
use super::encoding::{v2_codecs, v3_codecs};
use super::fill::{self, encode_base64};
use super::json::NOT_A_NUMBER;
use super::keys::KeyEncoding;
use crate::attribute::{AttributeValue, Attributes};
use crate::codec::Chain;
use crate::container::{ArraySpec, ElementType, Format};
use blockwise_kernels::{DType, Scalar};
use serde_json::{Map, Value, json};

/// The bytes of a document. NaN and infinities among the attributes become bare tokens in version 2, as Python's
/// writers have it; in version 3 texts: there an attribute that is no valid JSON would keep others from reading the
/// array at all.
pub(crate) fn to_bytes(format: Format, document: &Value) -> Vec<u8> {
    let mut text = format!("{document:#}");
    for (token, _) in NOT_A_NUMBER {
        let plain = token.trim_start_matches('\u{1}');
        let written = if format == Format::Zarr2 { plain.to_owned() } else { json!(plain).to_string() };
        text = text.replace(&json!(token).to_string(), &written);
    }
    text.into_bytes()
}

/// Attributes as JSON, but for `_FillValue`.
fn plain_attributes(attributes: &Attributes) -> Map<String, Value> {
    let others = attributes.iter().filter(|(name, _)| *name != FILL_VALUE);
    others.map(|(name, value)| (name.to_owned(), attributes::to_json(value))).collect()
}

/// `_FillValue` as one element of the array.
fn own_fill(spec: &ArraySpec) -> Option<Scalar> {
    let dtype = spec.element_type.stream_dtype()?;
    match (&spec.element_type, spec.attributes.get(FILL_VALUE)?) {
        (ElementType::FixedBytes { .. }, _) => None,
        (_, AttributeValue::Number(scalar)) => fill::number(dtype, &fill::to_json(*scalar)),
        (_, AttributeValue::Numbers(_, scalars)) => match scalars.as_slice() {
            [scalar] => fill::number(dtype, &fill::to_json(*scalar)),
            _ => None,
        },
        _ => None,
    }
}

/// A fill value as the format says it.
pub(crate) struct Fill {
    /// The element, in the machine's byte order; zeros if undefined.
    pub(crate) element: Vec<u8>,
    /// Whether readers know it.
    pub(crate) is_known: bool,
    json: Value,
}

/// Settles the fill value of a new array. `element_bytes` is the length of an element, 0 for texts.
///
/// Version 2 has one place for it, which xarray takes for `_FillValue`: an array with named axes and no such
/// attribute gets none, or its zeros would read as missing.
pub(crate) fn fill(format: Format, spec: &ArraySpec, element_bytes: usize) -> Fill {
    let scalar = match format {
        Format::Zarr2 => own_fill(spec).or(if is_named(spec) { None } else { spec.fill_value }),
        _ => spec.fill_value.or_else(|| spec.element_type.stream_dtype().map(Scalar::zero)),
    };
    let element: Vec<u8> = match scalar {
        Some(scalar) => scalar.bytes().iter().copied().cycle().take(element_bytes).collect(),
        None => vec![0; element_bytes],
    };
    let json = match (&spec.element_type, scalar) {
        (_, None) if format == Format::Zarr2 => Value::Null,
        (ElementType::Text, _) => json!(""),
        // Fixed strings end at the first NUL.
        (ElementType::FixedBytes { .. }, _) if element.iter().all(|byte| *byte == 0) => json!(""),
        (ElementType::FixedBytes { .. }, _) => json!(encode_base64(&element)),
        (_, Some(scalar)) => fill::to_json(scalar),
        (_, None) => Value::Null,
    };
    // Version 2 has one NaN only: that is the fill value then, and chunks of another are stored.
    let is_float = scalar.is_some_and(|scalar| matches!(scalar.dtype().kind(), 'f' | 'c'));
    let has_bits = |value: &Value| is_float && value.as_str().is_some_and(|text| text.starts_with("0x"));
    let usual = match &json {
        Value::String(_) if format == Format::Zarr2 && has_bits(&json) => Some(json!("NaN")),
        Value::Array(parts) if format == Format::Zarr2 && parts.iter().any(has_bits) => {
            Some(parts.iter().map(|part| if has_bits(part) { json!("NaN") } else { part.clone() }).collect())
        }
        _ => None,
    };
    let known = usual.and_then(|json| Some((fill::number(scalar?.dtype(), &json)?.bytes().to_vec(), json)));
    match known {
        Some((element, json)) => Fill { element, is_known: true, json },
        None => Fill { element, is_known: scalar.is_some(), json },
    }
}

/// Whether the array will have names of axes, so that xarray can open it.
fn is_named(spec: &ArraySpec) -> bool {
    spec.shape.is_empty() || spec.dimension_names.iter().any(Option::is_some)
}

/// `.zarray` and `.zattrs` of a new array.
pub(crate) fn v2_array(
    spec: &ArraySpec,
    chunks: &[u64],
    chain: &Chain,
    fill: &Fill,
) -> Option<(Value, Value)> {
    let (mut filters, compressor) = v2_codecs(chain);
    if spec.element_type == ElementType::Text {
        filters.insert(0, json!({"id": "vlen-utf8"}));
    }
    let document = json!({
        "zarr_format": 2,
        "shape": spec.shape,
        "chunks": chunks,
        "dtype": v2_name(&spec.element_type)?,
        "compressor": compressor,
        "fill_value": fill.json,
        "order": "C",
        "filters": if filters.is_empty() { Value::Null } else { Value::Array(filters) },
        "dimension_separator": ".",
    });
    let mut attributes = plain_attributes(&spec.attributes);
    if own_fill(spec).is_none()
        && let Some(value) = spec.attributes.get(FILL_VALUE)
    {
        attributes.insert(FILL_VALUE.to_owned(), attributes::to_json(value));
    }
    if is_named(spec) {
        attributes.insert(DIMENSIONS.to_owned(), json!(spec.dimension_names));
    }
    Some((document, Value::Object(attributes)))
}

/// `zarr.json` of a new array; `shard` is the shape of shards, if there are any.
pub(crate) fn v3_array(
    spec: &ArraySpec,
    chunks: &[u64],
    shard: Option<&[u64]>,
    chain: &Chain,
    fill: &Fill,
) -> Option<Value> {
    let little = json!({"name": "bytes", "configuration": {"endian": "little"}});
    let has_order = spec.element_type.stream_dtype().is_some_and(|dtype| dtype.swap_unit() > 1);
    let to_bytes = match spec.element_type {
        ElementType::Text => json!({"name": "vlen-utf8", "configuration": {}}),
        _ if has_order => little.clone(),
        _ => json!({"name": "bytes"}),
    };
    let mut codecs = vec![to_bytes];
    codecs.extend(v3_codecs(chain));
    if shard.is_some() {
        codecs = vec![json!({
            "name": "sharding_indexed",
            "configuration": {
                "chunk_shape": chunks,
                "codecs": codecs,
                "index_codecs": [little, {"name": "crc32c"}],
                "index_location": "end",
            },
        })];
    }
    let mut attributes = plain_attributes(&spec.attributes);
    // xarray knows no `_FillValue` for times and would refuse the whole store.
    let is_time = matches!(spec.element_type, ElementType::DateTime { .. });
    if let Some(value) = spec.attributes.get(FILL_VALUE).filter(|_| !is_time) {
        attributes.insert(FILL_VALUE.to_owned(), v3_fill_attribute(spec, value));
    }
    let mut document = json!({
        "zarr_format": 3,
        "node_type": "array",
        "shape": spec.shape,
        "data_type": v3_name(&spec.element_type)?,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shard.unwrap_or(chunks)}},
        "chunk_key_encoding": KeyEncoding::V3.to_v3(),
        "fill_value": fill.json,
        "codecs": codecs,
        "attributes": attributes,
        "storage_transformers": [],
    });
    if spec.dimension_names.iter().any(Option::is_some) {
        document["dimension_names"] = json!(spec.dimension_names);
    }
    Some(document)
}

/// `_FillValue` as xarray's `FillValueCoder` has it.
fn v3_fill_attribute(spec: &ArraySpec, value: &AttributeValue) -> Value {
    if let Some(scalar) = own_fill(spec) {
        return attributes::fill_to_json_v3(&AttributeValue::Number(scalar));
    }
    match (&spec.element_type, value) {
        (ElementType::FixedBytes { .. }, AttributeValue::Text(text)) => json!(encode_base64(text.as_bytes())),
        (ElementType::FixedBytes { .. }, AttributeValue::Number(scalar)) if scalar.dtype() == DType::U8 => {
            json!(encode_base64(scalar.bytes()))
        }
        _ => attributes::to_json(value),
    }
}

/// `zarr.json` of a group.
pub(crate) fn v3_group(attributes: &Attributes) -> Value {
    json!({"zarr_format": 3, "node_type": "group", "attributes": all_attributes(attributes)})
}

/// Every attribute as JSON.
pub(crate) fn all_attributes(attributes: &Attributes) -> Map<String, Value> {
    attributes.iter().map(|(name, value)| (name.to_owned(), attributes::to_json(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_tokens_are_written_and_read() {
        let mut attributes = Attributes::new();
        attributes.set("a", AttributeValue::Number(Scalar::from(f32::NAN)));
        let list = vec![Scalar::from(f64::NEG_INFINITY), Scalar::from(0.1)];
        attributes.set("b", AttributeValue::Numbers(DType::F64, list));
        let bytes = to_bytes(Format::Zarr2, &v3_group(&attributes));
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.contains("\"a\": NaN") && text.contains("-Infinity,"), "{text}");
        let read = crate::zarr::json::parse_object("p", &bytes).unwrap();
        let read = attributes::parse(read["attributes"].as_object().unwrap(), None, false);
        assert_eq!(read.get("b"), attributes.get("b"));
        assert!(matches!(read.get("a"), Some(AttributeValue::Number(nan)) if nan.to_f64().unwrap().is_nan()));
        let bytes = to_bytes(Format::Zarr3, &v3_group(&attributes));
        let strict: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(strict["attributes"]["a"], "NaN");
    }
}
