//! Pipelines from metadata: v2's `order`, `filters` and `compressor`; v3's `codecs`.
//!
//! Invariants: a chain has its parts in the order that the format asks for (items, then exactly one step to bytes, then
//! bytes); shards nest at most 8 deep and are cut evenly. Called by the metadata parsers.

use super::configuration::{ItemStep, Settings, byte_codec, item_filter};
use super::shard::Shard;
use super::{Body, Pipeline, checked_shape, permuted};
use crate::codec::{Chain, ChecksumKind, Codec};
use crate::error::{Error, Result};
use crate::zarr::element::{Items, StoredType};
use crate::zarr::json::{Named, corrupt, excerpt, field, lengths, unsupported};
use blockwise_kernels::DType;
use serde_json::{Map, Value};

/// Shards within shards.
const NESTING_LIMIT: usize = 8;

/// Whether items stored in the named order must be swapped on this machine.
const fn is_swapped(big: bool) -> bool {
    big == cfg!(target_endian = "little")
}

/// The items of a type, or why there is no pipeline for it.
fn items_of(path: &str, stored: &StoredType) -> Result<Items> {
    stored.items.ok_or_else(|| unsupported(path, format!("data type {}", stored.element)))
}

/// The pipeline of a Zarr v2 array's chunks of shape `chunks`.
///
/// # Errors
/// If a codec is unknown or its parameters are wrong.
pub(crate) fn parse_v2(
    path: &str,
    metadata: &Map<String, Value>,
    stored: &StoredType,
    big: bool,
    chunks: &[u64],
) -> Result<Pipeline> {
    let filters = match metadata.get("filters") {
        None | Some(Value::Null) => &[][..],
        Some(Value::Array(filters)) => filters,
        Some(other) => return Err(corrupt(path, format!("'filters' holds {}, no list", excerpt(other)))),
    };
    let compressor = metadata.get("compressor").filter(|value| !value.is_null());
    let is_f_order = match field(path, metadata, "order")?.as_str() {
        Some("C") => false,
        Some("F") => true,
        _ => return Err(corrupt(path, "'order' is neither \"C\" nor \"F\"")),
    };
    let is_text = is_text_v2(metadata);
    let items = if is_text { Items { dtype: DType::U8, run: None } } else { items_of(path, stored)? };
    let mut pipeline = Pipeline {
        items,
        shape: checked_shape(path, items, chunks)?,
        order: None,
        filters: Vec::new(),
        body: if is_text {
            Body::Texts
        } else {
            Body::Items { swapped: is_swapped(big) && stored.has_byte_order() }
        },
        chain: Chain::default(),
    };
    if is_f_order && chunks.len() > 1 {
        // The run of an element stays together, so its axis stays last.
        let order = (0..chunks.len()).rev().chain(chunks.len()..pipeline.shape.len());
        pipeline.order = Some(order.collect());
    }
    let mut codecs = Vec::new();
    for codec in filters.iter().skip(usize::from(is_text)).chain(compressor) {
        let map = codec.as_object();
        let id = map.and_then(|map| map.get("id")).and_then(Value::as_str);
        let name = id.ok_or_else(|| corrupt(path, format!("the codec {} has no 'id'", excerpt(codec))))?;
        let settings = Settings { path, name, map };
        let dtype = pipeline.stored_dtype();
        let item_bytes = if pipeline.filters.is_empty() { items.element_bytes() } else { dtype.size() };
        if let Some(codec) = byte_codec(&settings, item_bytes, false)? {
            codecs.push(codec);
        } else if let Some(step) = item_filter(&settings, dtype)? {
            if !codecs.is_empty() || items.run.is_some() || is_text {
                return Err(unsupported(path, format!("the filter '{name}' in this place")));
            }
            if let ItemStep::Filter(filter) = step {
                pipeline.filters.push(filter);
            }
        } else {
            return Err(unsupported(path, format!("the codec '{name}'")));
        }
    }
    if !pipeline.filters.is_empty() && big {
        return Err(unsupported(path, "filters on big-endian items"));
    }
    pipeline.chain = Chain::new(codecs);
    Ok(pipeline)
}

/// Whether the first filter of a v2 array is `vlen-utf8`.
pub(crate) fn is_text_v2(metadata: &Map<String, Value>) -> bool {
    let first = metadata.get("filters").and_then(Value::as_array).and_then(|filters| filters.first());
    first.and_then(|filter| filter.get("id")).and_then(Value::as_str) == Some("vlen-utf8")
}

/// The pipeline of a Zarr v3 array's chunks of shape `chunks`.
///
/// # Errors
/// If the chain is malformed, or a codec is unknown or its parameters are wrong.
pub(crate) fn parse_v3(path: &str, codecs: &Value, stored: &StoredType, chunks: &[u64]) -> Result<Pipeline> {
    parse_chain(path, "codecs", codecs, stored, chunks, 0)
}

fn parse_chain(
    path: &str,
    field: &str,
    codecs: &Value,
    stored: &StoredType,
    chunks: &[u64],
    depth: usize,
) -> Result<Pipeline> {
    if depth > NESTING_LIMIT {
        let size = format!("more than {NESTING_LIMIT} levels");
        return Err(Error::Limit {
            path: path.into(),
            what: "nesting of shards",
            size,
            limit: NESTING_LIMIT as u64,
        });
    }
    let list = codecs.as_array().ok_or_else(|| corrupt(path, format!("'{field}' is no list")))?;
    let is_text = stored.items.is_none() && *stored == StoredType::text();
    let items = if is_text { Items { dtype: DType::U8, run: None } } else { items_of(path, stored)? };
    let mut pipeline = Pipeline {
        items,
        shape: checked_shape(path, items, chunks)?,
        order: None,
        filters: Vec::new(),
        body: Body::Items { swapped: false },
        chain: Chain::default(),
    };
    let mut to_bytes: Option<&str> = None;
    let mut byte_codecs = Vec::new();
    for codec in list {
        let named = Named::parse(path, field, codec)?;
        let name = named.name;
        let settings = Settings { path, name, map: named.configuration };
        let misplaced = |why: &str| corrupt(path, format!("codec '{name}' {why}"));
        if let Some(codec) = byte_codec(&settings, items.element_bytes(), true)? {
            if to_bytes.is_none() {
                return Err(misplaced("takes bytes but stands before the codec that makes them"));
            }
            byte_codecs.push(codec);
            continue;
        }
        if let Some(step) = item_filter(&settings, pipeline.stored_dtype())? {
            if to_bytes.is_some() || items.run.is_some() || is_text {
                return Err(misplaced("takes an array but stands after the codec that makes bytes"));
            }
            if let ItemStep::Filter(filter) = step {
                pipeline.filters.push(filter);
            }
            continue;
        }
        match name {
            "transpose" => {
                if to_bytes.is_some() {
                    return Err(misplaced("takes an array but stands after the codec that makes bytes"));
                }
                let order = transpose_order(path, &named, chunks.len())?;
                let order: Vec<usize> = order.into_iter().chain(chunks.len()..pipeline.shape.len()).collect();
                pipeline.order = Some(match &pipeline.order {
                    Some(before) => permuted(before, &order),
                    None => order,
                });
            }
            "bytes" | "endian" | "sharding_indexed" | "vlen-utf8" => {
                if let Some(before) = to_bytes {
                    return Err(misplaced(&format!("makes bytes, and so does '{before}' before it")));
                }
                to_bytes = Some(name);
                pipeline.body = match name {
                    "sharding_indexed" => shard_body(path, &named, stored, &pipeline, chunks.len(), depth)?,
                    "vlen-utf8" if is_text => Body::Texts,
                    _ if is_text || name == "vlen-utf8" => {
                        return Err(misplaced(&format!("does not encode {}", stored.element)));
                    }
                    _ => Body::Items { swapped: swapped_bytes(path, &named, pipeline.stored_dtype())? },
                };
            }
            _ => return Err(unsupported(path, format!("the codec '{name}'"))),
        }
    }
    if to_bytes.is_none() {
        return Err(corrupt(path, format!("'{field}' has no codec that makes bytes of an array")));
    }
    if pipeline.order.as_ref().is_some_and(|order| order.iter().enumerate().all(|(k, axis)| k == *axis)) {
        pipeline.order = None;
    }
    pipeline.chain = Chain::new(byte_codecs);
    Ok(pipeline)
}

/// The permutation of a `transpose`.
fn transpose_order(path: &str, named: &Named<'_>, rank: usize) -> Result<Vec<usize>> {
    let order = named.get("order").ok_or_else(|| corrupt(path, "codec 'transpose' has no 'order'"))?;
    let axes: Option<Vec<usize>> = match order {
        Value::String(text) if text == "C" => Some((0..rank).collect()),
        Value::String(text) if text == "F" => Some((0..rank).rev().collect()),
        Value::Array(list) if list.len() == rank => {
            list.iter().map(|axis| axis.as_u64().and_then(|axis| usize::try_from(axis).ok())).collect()
        }
        _ => None,
    };
    axes.filter(|axes| (0..rank).all(|axis| axes.contains(&axis))).ok_or_else(|| {
        corrupt(
            path,
            format!("codec 'transpose': 'order' {} is no permutation of {rank} axes", excerpt(order)),
        )
    })
}

/// Whether the `bytes` codec stores items in the other byte order.
fn swapped_bytes(path: &str, named: &Named<'_>, dtype: DType) -> Result<bool> {
    match named.get("endian").map(Value::as_str) {
        None if dtype.swap_unit() == 1 => Ok(false),
        None => Err(corrupt(path, format!("codec 'bytes' has no 'endian', which {dtype} needs"))),
        Some(Some("little")) => Ok(is_swapped(false) && dtype.swap_unit() > 1),
        Some(Some("big")) => Ok(is_swapped(true) && dtype.swap_unit() > 1),
        Some(_) => Err(corrupt(path, "codec 'bytes': 'endian' is neither \"little\" nor \"big\"")),
    }
}

fn shard_body(
    path: &str,
    named: &Named<'_>,
    stored: &StoredType,
    outer: &Pipeline,
    rank: usize,
    depth: usize,
) -> Result<Body> {
    if !outer.filters.is_empty() {
        return Err(unsupported(path, "an item filter before 'sharding_indexed'"));
    }
    let part = |key: &str| {
        named.get(key).ok_or_else(|| corrupt(path, format!("codec 'sharding_indexed' has no '{key}'")))
    };
    let inner_chunks = lengths(path, "chunk_shape", part("chunk_shape")?)?;
    let encoded_shape = match &outer.order {
        Some(order) => permuted(&outer.shape, order),
        None => outer.shape.clone(),
    };
    let divides = |(inner, outer): (&u64, &usize)| *inner > 0 && (*outer as u64).is_multiple_of(*inner);
    if inner_chunks.len() != rank || !inner_chunks.iter().zip(&encoded_shape).all(divides) {
        let outer = encoded_shape.get(..rank).unwrap_or_default();
        let what = format!(
            "codec 'sharding_indexed': inner chunks {inner_chunks:?} do not divide the shard {outer:?}"
        );
        return Err(corrupt(path, what));
    }
    let inner = parse_chain(path, "codecs", part("codecs")?, stored, &inner_chunks, depth + 1)?;
    if matches!(inner.body, Body::Texts) {
        return Err(unsupported(path, "texts in shards"));
    }
    let at_start = match named.get("index_location").map(Value::as_str) {
        None | Some(Some("end")) => false,
        Some(Some("start")) => true,
        Some(_) => return Err(corrupt(path, "'index_location' is neither \"start\" nor \"end\"")),
    };
    let index = StoredType::number(DType::U64);
    let counts: Vec<u64> =
        encoded_shape.iter().zip(&inner_chunks).map(|(outer, inner)| *outer as u64 / inner).collect();
    let index_shape: Vec<u64> = counts.iter().copied().chain([2]).collect();
    // An index of 2^60 entries is refused here, by the same check as any chunk; smaller ones when they are read.
    let index_chain =
        parse_chain(path, "index_codecs", part("index_codecs")?, &index, &index_shape, depth + 1)?;
    let Body::Items { swapped } = index_chain.body else {
        return Err(unsupported(path, "a shard index that is sharded itself"));
    };
    let is_checksum =
        |codec: &Codec| matches!(codec, Codec::Checksum(sum) if sum.kind == ChecksumKind::Crc32c);
    let checksum = match index_chain.chain.codecs() {
        [] => false,
        [codec] if is_checksum(codec) => true,
        _ => return Err(unsupported(path, format!("a shard index encoded as {}", index_chain.chain))),
    };
    if index_chain.order.is_some() || !index_chain.filters.is_empty() {
        return Err(unsupported(path, "a shard index whose axes or items are transformed"));
    }
    Ok(Body::Shard(Box::new(Shard::new(path, inner, &encoded_shape, swapped, checksum, at_start)?)))
}
