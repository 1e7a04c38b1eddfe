//! `zarr.json`.
//!
//! Called by the hierarchy.

use super::{ArrayMeta, check_chunks, deferred, dimension_names};
use crate::container::Format;
use crate::error::Result;
use crate::zarr::attributes;
use crate::zarr::element::StoredType;
use crate::zarr::fill;
use crate::zarr::json::{Named, corrupt, excerpt, field, lengths, unsupported};
use crate::zarr::keys::KeyEncoding;
use crate::zarr::pipeline::parse_v3;
use serde_json::{Map, Value};

const ARRAY_FIELDS: [&str; 11] = [
    "zarr_format",
    "node_type",
    "shape",
    "data_type",
    "chunk_grid",
    "chunk_key_encoding",
    "fill_value",
    "codecs",
    "attributes",
    "dimension_names",
    "storage_transformers",
];
const GROUP_FIELDS: [&str; 4] = ["zarr_format", "node_type", "attributes", "consolidated_metadata"];

/// What kind of node a document describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeType {
    /// A group.
    Group,
    /// An array.
    Array,
}

/// The kind of node that `document` describes; checks version and extensions.
///
/// # Errors
/// If it is no node of version 3, or must be understood and is not.
pub(crate) fn node_type(path: &str, document: &Map<String, Value>) -> Result<NodeType> {
    let version = field(path, document, "zarr_format")?;
    if version.as_u64() != Some(3) {
        return Err(corrupt(path, format!("'zarr_format' is {}, not 3", excerpt(version))));
    }
    let (node, known) = match field(path, document, "node_type")?.as_str() {
        Some("group") => (NodeType::Group, &GROUP_FIELDS[..]),
        Some("array") => (NodeType::Array, &ARRAY_FIELDS[..]),
        _ => return Err(corrupt(path, "'node_type' is neither \"array\" nor \"group\"")),
    };
    for (name, value) in document {
        let optional = value.get("must_understand") == Some(&Value::Bool(false));
        if !known.contains(&name.as_str()) && !optional {
            return Err(unsupported(path, format!("the field '{name}', which must be understood,")));
        }
    }
    Ok(node)
}

/// The attributes of a node.
///
/// # Errors
/// If they are no object.
pub(crate) fn attributes_of(path: &str, document: &Map<String, Value>) -> Result<Map<String, Value>> {
    match document.get("attributes") {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(attributes)) => Ok(attributes.clone()),
        Some(other) => Err(corrupt(path, format!("'attributes' holds {}, no object", excerpt(other)))),
    }
}

/// What the document of an array says.
///
/// # Errors
/// If it is corrupt or of a kind that cannot be described.
pub(crate) fn parse(path: &str, document: &Map<String, Value>) -> Result<ArrayMeta> {
    let shape = lengths(path, "shape", field(path, document, "shape")?)?;
    let grid = Named::parse(path, "chunk_grid", field(path, document, "chunk_grid")?)?;
    if grid.name != "regular" {
        return Err(unsupported(path, format!("the chunk grid '{}'", grid.name)));
    }
    let chunks =
        grid.get("chunk_shape").ok_or_else(|| corrupt(path, "the chunk grid has no 'chunk_shape'"))?;
    let chunk_shape = lengths(path, "chunk_shape", chunks)?;
    check_chunks(path, &shape, &chunk_shape)?;
    match document.get("storage_transformers") {
        None | Some(Value::Null) => {}
        Some(Value::Array(list)) => {
            if let Some(first) = list.first() {
                let name = Named::parse(path, "storage_transformers", first)?.name;
                return Err(unsupported(path, format!("the storage transformer '{name}'")));
            }
        }
        Some(other) => {
            return Err(corrupt(path, format!("'storage_transformers' holds {}, no list", excerpt(other))));
        }
    }
    let stored = StoredType::parse_v3(path, field(path, document, "data_type")?)?;
    let fill_value = field(path, document, "fill_value")?;
    let fill = fill::parse(path, &stored, fill_value)?;
    let keys = KeyEncoding::parse_v3(path, field(path, document, "chunk_key_encoding")?)?;
    let pipeline = deferred(parse_v3(path, field(path, document, "codecs")?, &stored, &chunk_shape))?;
    let names = dimension_names(path, document.get("dimension_names"), shape.len())?;
    let attributes = attributes::parse(&attributes_of(path, document)?, Some(&stored), false);
    Ok(ArrayMeta {
        format: Format::Zarr3,
        path: path.to_owned(),
        stored,
        shape,
        chunk_shape,
        fill,
        fill_text: fill_value.as_str().unwrap_or_default().to_owned(),
        keys,
        pipeline,
        dimension_names: names,
        attributes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn storage_transformers_are_refused() {
        let parsed = |transformers: Value| {
            let document = json!({
                "zarr_format": 3, "node_type": "array", "shape": [4], "data_type": "uint8", "fill_value": 0,
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2]}},
                "chunk_key_encoding": {"name": "default"}, "codecs": [{"name": "bytes"}],
                "storage_transformers": transformers,
            });
            parse("x/zarr.json", document.as_object().unwrap()).map(|meta| meta.shape)
        };
        assert_eq!(parsed(json!([])).unwrap(), [4]);
        assert_eq!(parsed(Value::Null).unwrap(), [4]);
        for bad in [json!(1), json!({}), json!([{"name": "x"}])] {
            let error = parsed(bad).unwrap_err().to_string();
            assert!(error.contains("storage"), "{error}");
        }
    }
}
