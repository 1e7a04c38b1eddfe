//! The description of a dataset in the model's words: element type, chunks, codec, fill value, attributes.
//!
//! Invariant: what is said here is what [`ChunkedSource`](super::chunked::ChunkedSource) reads. Called by the tree
//! walk.

use super::layout::{DatasetLayout, Place};
use super::types::ItemType;
use crate::attribute::Attributes;
use crate::container::{ArrayInfo, BloscShuffle, CodecSpec, Compressor, ElementType, Format, NodePath};
use hdf5_reader::messages::filter_pipeline::FilterDescription;

/// Attributes with which HDF5 and NetCDF-4 encode dimensions and versions.
const HIDDEN: [&str; 7] = [
    "DIMENSION_LIST",
    "REFERENCE_LIST",
    "DIMENSION_LABELS",
    "_Netcdf4Dimid",
    "_Netcdf4Coordinates",
    "_NCProperties",
    "_nc3_strict",
];

/// Whether attribute `name` encodes something that the description says otherwise.
pub(super) fn is_hidden(name: &str, is_scale: bool) -> bool {
    HIDDEN.contains(&name) || (is_scale && (name == "CLASS" || name == "NAME"))
}

/// Describes a dataset; dimension names are worked out later.
pub(super) fn array_info(
    path: NodePath,
    item: &ItemType,
    layout: &DatasetLayout,
    attributes: Attributes,
) -> ArrayInfo {
    let (chunk_shape, filters) = match &layout.place {
        Place::Chunked(place) => (Some(place.chunk.clone()), place.filters.as_slice()),
        Place::Compact(_) | Place::Contiguous(_) => (None, [].as_slice()),
    };
    let fill_value = match &item.element {
        ElementType::FixedBytes { .. } => {
            let fill = layout.fill_item();
            let first = fill.first().copied().unwrap_or(0);
            fill.iter().all(|byte| *byte == first).then(|| first.into())
        }
        _ => item.scalar(&layout.fill_item()),
    };
    ArrayInfo {
        path,
        format: Format::Hdf5,
        element_type: item.element.clone(),
        shape: layout.shape.clone(),
        dimension_names: vec![None; layout.shape.len()],
        unlimited: layout.unlimited.clone(),
        chunk_shape,
        shard_shape: None,
        codec: codec_spec(filters),
        codec_text: codec_text(filters),
        fill_value,
        attributes,
        is_coordinate: false,
    }
}

/// The pipeline in the words of `--codec`: shuffle, compressor, checksum, each at most once and in this order.
fn codec_spec(filters: &[FilterDescription]) -> Option<CodecSpec> {
    let mut spec = CodecSpec { compressor: Compressor::None, shuffle: false, checksum: false };
    for filter in filters {
        let data = |at: usize| filter.client_data.get(at).copied();
        let is_first = spec.compressor == Compressor::None && !spec.checksum;
        match filter.id {
            2 if is_first && !spec.shuffle => spec.shuffle = true,
            1 if is_first => spec.compressor = Compressor::Deflate { level: data(0)? },
            32_015 if is_first => {
                spec.compressor = Compressor::Zstd { level: data(0).map_or(3, u32::cast_signed) };
            }
            32_001 if is_first => {
                let cname = match data(6)? {
                    0 => "blosclz",
                    1 => "lz4",
                    2 => "lz4hc",
                    4 => "zlib",
                    5 => "zstd",
                    _ => return None,
                };
                let shuffle = match data(5)? {
                    0 => BloscShuffle::None,
                    1 => BloscShuffle::Byte,
                    2 => BloscShuffle::Bit,
                    _ => return None,
                };
                spec.compressor = Compressor::Blosc { cname: cname.to_owned(), level: data(4)?, shuffle };
            }
            3 if !spec.checksum => spec.checksum = true,
            _ => return None,
        }
    }
    Some(spec)
}

/// The pipeline for people: `shuffle, deflate level 4, fletcher32`.
pub(super) fn codec_text(filters: &[FilterDescription]) -> String {
    let texts: Vec<String> = filters.iter().map(filter_text).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}

fn filter_text(filter: &FilterDescription) -> String {
    let level =
        |at: usize| filter.client_data.get(at).map_or_else(String::new, |level| format!(" level {level}"));
    match filter.id {
        1 => format!("deflate{}", level(0)),
        2 => "shuffle".to_owned(),
        3 => "fletcher32".to_owned(),
        4 => "szip".to_owned(),
        5 => "nbit".to_owned(),
        6 => "scale-offset".to_owned(),
        307 => format!("bzip2{}", level(0)),
        32_000 => "lzf".to_owned(),
        32_001 => format!("blosc{}", level(4)),
        32_004 => "lz4".to_owned(),
        32_008 => "bitshuffle".to_owned(),
        32_015 => format!("zstd{}", level(0)),
        id => match &filter.name {
            Some(name) if !name.is_empty() => format!("filter {id} ({})", name.trim_end_matches('\0')),
            _ => format!("filter {id}"),
        },
    }
}
