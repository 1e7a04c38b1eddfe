//! `.zarray` and `.zattrs`.
//!
//! Called by the hierarchy.

use super::{ArrayMeta, check_chunks, deferred, dimension_names};
use crate::container::Format;
use crate::error::Result;
use crate::zarr::attributes::{self, DIMENSIONS};
use crate::zarr::element::StoredType;
use crate::zarr::fill;
use crate::zarr::json::{corrupt, excerpt, field, lengths};
use crate::zarr::keys::KeyEncoding;
use crate::zarr::pipeline::{is_text_v2, parse_v2};
use serde_json::{Map, Value};

/// What `.zarray` (named `path`) and `.zattrs` say of an array.
///
/// # Errors
/// If they are corrupt or of a kind that cannot be described.
pub(crate) fn parse(
    path: &str,
    zarray: &Map<String, Value>,
    zattrs: &Map<String, Value>,
) -> Result<ArrayMeta> {
    let version = field(path, zarray, "zarr_format")?;
    if version.as_u64() != Some(2) {
        return Err(corrupt(path, format!("'zarr_format' is {}, not 2", excerpt(version))));
    }
    let shape = lengths(path, "shape", field(path, zarray, "shape")?)?;
    let mut chunk_shape = lengths(path, "chunks", field(path, zarray, "chunks")?)?;
    for (chunk, extent) in chunk_shape.iter_mut().zip(&shape) {
        if *extent == 0 {
            *chunk = (*chunk).max(1); // old writers gave empty axes empty chunks
        }
    }
    check_chunks(path, &shape, &chunk_shape)?;
    let dtype = field(path, zarray, "dtype")?;
    let (stored, big) = StoredType::parse_v2(path, dtype, is_text_v2(zarray))?;
    let fill_value = zarray.get("fill_value").unwrap_or(&Value::Null);
    let fill = fill::parse(path, &stored, fill_value)?;
    let keys = KeyEncoding::parse_v2(path, zarray)?;
    let pipeline = deferred(parse_v2(path, zarray, &stored, big, &chunk_shape))?;
    // Names of the wrong number are some other program's attribute.
    let names = dimension_names(path, zattrs.get(DIMENSIONS), shape.len());
    let named = names.is_ok() && zattrs.contains_key(DIMENSIONS);
    let dimension_names = names.unwrap_or_else(|_| vec![None; shape.len()]);
    let mut attributes = attributes::parse(zattrs, Some(&stored), named);
    if named {
        attributes::adopt_fill(&mut attributes, &stored, fill.as_deref());
    }
    Ok(ArrayMeta {
        format: Format::Zarr2,
        path: path.to_owned(),
        stored,
        shape,
        chunk_shape,
        fill,
        fill_text: fill_value.as_str().unwrap_or_default().to_owned(),
        keys,
        pipeline,
        dimension_names,
        attributes,
    })
}
