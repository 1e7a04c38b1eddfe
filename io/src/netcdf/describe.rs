//! Variables and attributes of NetCDF classic in the model's words.
//!
//! Invariant: numbers keep their dtype, a list of one is one number, as NetCDF's users see it. Called when a file is
//! opened.

use crate::attribute::{AttributeValue, Attributes};
use crate::container::{ArrayInfo, CodecSpec, Compressor, ElementType, Format, NodePath};
use crate::error::{Error, Result};
use blockwise_kernels::{DType, Element, Scalar};
use netcdf_reader::types::{NcAttrValue, NcAttribute, NcType, NcVariable};

/// Describes `variable` of the file that people call `file`.
pub(super) fn array_info(variable: &NcVariable, file: &str) -> Result<ArrayInfo> {
    let path = NodePath::root().child(&variable.name)?;
    let element_type = element_type(&variable.dtype).ok_or_else(|| Error::Corrupt {
        path: format!("{file}::{path}"),
        what: format!("the type {:?} does not exist in this format", variable.dtype),
        remedy: "",
    })?;
    let attributes = attributes(&variable.attributes);
    let fill_value = match attributes.get("_FillValue") {
        Some(AttributeValue::Number(value)) if Some(value.dtype()) == element_type.stream_dtype() => {
            Some(*value)
        }
        Some(AttributeValue::Text(text)) if element_type == (ElementType::FixedBytes { len_bytes: 1 }) => {
            Some(Scalar::from(text.bytes().next().unwrap_or(0)))
        }
        _ => None,
    };
    let dimension_names: Vec<_> = variable.dimensions.iter().map(|dim| Some(dim.name.clone())).collect();
    Ok(ArrayInfo {
        is_coordinate: matches!(dimension_names.as_slice(), [Some(name)] if *name == variable.name),
        path,
        format: Format::NetCdfClassic,
        element_type,
        shape: variable.dimensions.iter().map(|dim| dim.size).collect(),
        dimension_names,
        unlimited: variable.dimensions.iter().map(|dim| dim.is_unlimited).collect(),
        chunk_shape: None,
        shard_shape: None,
        codec: Some(CodecSpec { compressor: Compressor::None, shuffle: false, checksum: false }),
        codec_text: "none".to_owned(),
        fill_value,
        attributes,
    })
}

fn element_type(stored: &NcType) -> Option<ElementType> {
    Some(ElementType::Number(match stored {
        NcType::Char => return Some(ElementType::FixedBytes { len_bytes: 1 }),
        NcType::Byte => DType::I8,
        NcType::UByte => DType::U8,
        NcType::Short => DType::I16,
        NcType::UShort => DType::U16,
        NcType::Int => DType::I32,
        NcType::UInt => DType::U32,
        NcType::Int64 => DType::I64,
        NcType::UInt64 => DType::U64,
        NcType::Float => DType::F32,
        NcType::Double => DType::F64,
        _ => return None,
    }))
}

/// The attributes in the model's words.
pub(super) fn attributes(stored: &[NcAttribute]) -> Attributes {
    let mut attributes = Attributes::new();
    for attribute in stored {
        let value = match &attribute.value {
            NcAttrValue::Chars(text) => AttributeValue::Text(text.clone()),
            NcAttrValue::Bytes(values) => numbers(values),
            NcAttrValue::UBytes(values) => numbers(values),
            NcAttrValue::Shorts(values) => numbers(values),
            NcAttrValue::UShorts(values) => numbers(values),
            NcAttrValue::Ints(values) => numbers(values),
            NcAttrValue::UInts(values) => numbers(values),
            NcAttrValue::Int64s(values) => numbers(values),
            NcAttrValue::UInt64s(values) => numbers(values),
            NcAttrValue::Floats(values) => numbers(values),
            NcAttrValue::Doubles(values) => numbers(values),
            NcAttrValue::Strings(_) | NcAttrValue::UserDefined { .. } => continue, // no such in this format
        };
        attributes.set(attribute.name.clone(), value);
    }
    attributes
}

fn numbers<T: Element>(values: &[T]) -> AttributeValue {
    match values {
        [one] => AttributeValue::Number(Scalar::from(*one)),
        many => AttributeValue::Numbers(T::DTYPE, many.iter().map(|value| Scalar::from(*value)).collect()),
    }
}
