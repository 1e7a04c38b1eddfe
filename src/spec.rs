//! From what an array is to what its copy shall be: chunks, shards, codec, dtype, fill value, attributes.
//!
//! Invariants: what is not asked for stays as the source has it, as far as the target's format can say it; the
//! result is complete, so that a format's writer has nothing left to choose. Called by [`crate::convert`].

use crate::cf;
use crate::chunks::{ChunkContext, ChunkRequest, contiguous_chunks};
use crate::error::{Error, Result};
use crate::target::default_codec;
use blockwise_core::Source;
use blockwise_core::adapt::{Cast, Unpack, Unpacking};
use blockwise_io::container::Compressor;
use blockwise_io::{ArrayInfo, ArraySpec, CodecSpec, ElementType, Format};
use blockwise_kernels::DType;
use std::sync::Arc;

/// What may be asked of the arrays of a conversion.
#[derive(Clone, Debug, Default)]
pub struct ArrayOptions {
    /// Chunk shapes of arrays that hold no coordinates; by default they keep theirs.
    pub chunks: Option<ChunkRequest>,
    /// Shard shapes (Zarr v3): whole multiples of the chunks.
    pub shards: Option<ChunkRequest>,
    /// The codec of every array.
    pub codec: Option<CodecSpec>,
    /// dtype of numeric arrays that hold no coordinates.
    pub dtype: Option<DType>,
    /// Whether CF packing is undone.
    pub unpack: bool,
}

/// What happens to the elements on their way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Adaptation {
    unpacking: Option<Unpacking>,
    dtype: Option<DType>,
}

impl Adaptation {
    /// `source` behind the adaptors that this takes.
    pub(crate) fn of(&self, source: Arc<dyn Source>) -> Result<Arc<dyn Source>> {
        let source = match &self.unpacking {
            Some(rule) => Unpack::over(source, rule.clone())?,
            None => source,
        };
        Ok(match self.dtype {
            Some(dtype) => Cast::over(source, dtype),
            None => source,
        })
    }
}

/// What the copy of `info` in `format` shall be, at the same path, and what happens to its elements.
///
/// # Errors
/// If a request does not fit the array.
pub(crate) fn spec_of(
    info: &ArrayInfo,
    format: Format,
    options: &ArrayOptions,
    budget_bytes: u64,
) -> Result<(ArraySpec, Adaptation)> {
    let mut spec = ArraySpec {
        path: info.path.clone(),
        element_type: info.element_type.clone(),
        shape: info.shape.clone(),
        dimension_names: info.dimension_names.clone(),
        unlimited: info.unlimited.clone(),
        chunk_shape: None,
        shard_shape: None,
        codec: options.codec.clone().unwrap_or_else(|| default_codec(format, info)),
        fill_value: info.fill_value,
        attributes: info.attributes.clone(),
        is_coordinate: info.is_coordinate,
    };
    let adaptation = adapt_elements(info, options, &mut spec)?;
    lay_out(info, format, options, budget_bytes, &mut spec)?;
    Ok((spec, adaptation))
}

/// Settles element type, fill value and attributes.
fn adapt_elements(info: &ArrayInfo, options: &ArrayOptions, spec: &mut ArraySpec) -> Result<Adaptation> {
    let mut adaptation = Adaptation::default();
    if options.unpack
        && let Some(rule) = cf::unpacking_of(info)?
    {
        spec.attributes = cf::unpacked_attributes(info, &rule)?;
        spec.fill_value = spec.fill_value.map(|fill| rule.value_of(&fill)).transpose()?;
        spec.element_type = ElementType::Number(rule.result);
        adaptation.unpacking = Some(rule);
    }
    if let (Some(dtype), ElementType::Number(from), false) =
        (options.dtype, &spec.element_type, info.is_coordinate)
        && *from != dtype
    {
        spec.attributes = cf::cast_attributes(info, &spec.attributes, *from, dtype)?;
        spec.fill_value = spec.fill_value.map(|fill| cf::cast_fill_value(info, &fill, dtype)).transpose()?;
        spec.element_type = ElementType::Number(dtype);
        adaptation.dtype = Some(dtype);
    }
    Ok(adaptation)
}

/// Settles chunks, shards and what they mean for the codec.
fn lay_out(
    info: &ArrayInfo,
    format: Format,
    options: &ArrayOptions,
    budget_bytes: u64,
    spec: &mut ArraySpec,
) -> Result<()> {
    if matches!(format, Format::Npy | Format::Raw) {
        spec.codec = CodecSpec { compressor: Compressor::None, shuffle: false, checksum: false };
        if options.chunks.is_some() || options.codec.is_some() {
            return Err(refused(
                info,
                format!("{format} stores elements without chunks or codec; write .zarr or .nc"),
            ));
        }
        return Ok(());
    }
    if format == Format::Tiff && options.chunks.is_none() {
        return Ok(()); // strips: chunks of volumes make no good tiles
    }
    let item_bytes = item_bytes(&spec.element_type);
    let context = ChunkContext::of(info, item_bytes, budget_bytes);
    // Coordinates stay as they are: their readers want them whole, and a chunk each would be tiny.
    let request = options.chunks.as_ref().filter(|_| !info.is_coordinate && !info.shape.is_empty());
    let restricted =
        request.and_then(|request| request.restricted_to(info.shape.len(), &info.dimension_names));
    let contiguous = contiguous_chunks(&info.shape, item_bytes);
    spec.chunk_shape = match (restricted, &info.chunk_shape) {
        (Some(request), Some(_)) => Some(request.resolve(&context)?),
        (Some(request), None) if request.names().next().is_some() => {
            // Axes that are not named keep the chunks that a copy without --chunks would have.
            Some(request.resolve(&ChunkContext { previous: Some(&contiguous), ..context })?)
        }
        (Some(request), None) => Some(request.resolve(&context)?),
        (None, Some(kept)) => Some(kept_chunks(kept, info, format)),
        (None, None) if may_be_contiguous(format, spec) => None,
        (None, None) => Some(contiguous),
    };
    if let Some(shards) = &options.shards
        && !info.is_coordinate
        && !info.shape.is_empty()
    {
        spec.shard_shape = shard_shape(shards, info, spec, item_bytes, budget_bytes)?;
    } else if format == Format::Zarr3
        && let (Some(kept), Some(chunk)) = (&info.shard_shape, &spec.chunk_shape)
        && kept.iter().zip(chunk).all(|(shard, chunk)| shard.is_multiple_of(*chunk))
    {
        spec.shard_shape = Some(kept.clone());
    }
    Ok(())
}

/// Chunks that the source has, as the target can say them.
fn kept_chunks(kept: &[u64], info: &ArrayInfo, format: Format) -> Vec<u64> {
    let same_family =
        matches!((info.format, format), (Format::Zarr2 | Format::Zarr3, Format::Zarr2 | Format::Zarr3));
    if same_family {
        return kept.to_vec(); // chunks that reach past the array pass undecoded
    }
    kept.iter().zip(&info.shape).map(|(chunk, extent)| (*chunk).clamp(1, (*extent).max(1))).collect()
}

fn may_be_contiguous(format: Format, spec: &ArraySpec) -> bool {
    let plain = spec.codec.compressor == Compressor::None && !spec.codec.shuffle && !spec.codec.checksum;
    matches!(format, Format::Hdf5 | Format::NetCdf4)
        && !spec.unlimited.contains(&true)
        && (plain || spec.shape.is_empty() || spec.shape.contains(&0))
}

/// The shard shape that `request` means: its lengths must be multiples of the chunks; what it leaves to us is.
fn shard_shape(
    request: &ChunkRequest,
    info: &ArrayInfo,
    spec: &ArraySpec,
    item_bytes: u64,
    budget_bytes: u64,
) -> Result<Option<Vec<u64>>> {
    let Some(request) = request.restricted_to(info.shape.len(), &info.dimension_names) else {
        return Ok(None);
    };
    let chunk = spec.chunk_shape.as_deref().unwrap_or(&[]);
    // Shards may reach past the array, so axes are rounded up to whole chunks before lengths are clipped to them.
    let rounded = |(extent, chunk): (&u64, &u64)| extent.div_ceil(*chunk).max(1).checked_mul(*chunk);
    let reach: Option<Vec<u64>> = info.shape.iter().zip(chunk).map(rounded).collect();
    let reach = reach.ok_or_else(|| refused(info, format!("chunks of {chunk:?} reach beyond 64 bits")))?;
    let context = ChunkContext {
        shape: &reach,
        dimension_names: &info.dimension_names,
        previous: Some(chunk),
        item_bytes,
        budget_bytes,
    };
    let shard = request.resolve(&context)?;
    if let Some((length, chunk)) =
        shard.iter().zip(chunk).find(|(shard, chunk)| !shard.is_multiple_of(**chunk))
    {
        let nearest = length.div_ceil(*chunk).saturating_mul(*chunk);
        let what = format!(
            "a shard of {shard:?} is not made of whole chunks of {:?}: {length} is no multiple of {chunk}; use {nearest}",
            spec.chunk_shape.as_deref().unwrap_or(&[])
        );
        return Err(Error::Usage { path: info.path.to_string(), what });
    }
    Ok(Some(shard))
}

fn item_bytes(element_type: &ElementType) -> u64 {
    match element_type {
        ElementType::FixedBytes { len_bytes } => (*len_bytes).max(1),
        other => other.stream_dtype().map_or(16, |dtype| dtype.size() as u64),
    }
}

fn refused(info: &ArrayInfo, what: String) -> Error {
    let path = if info.path.is_root() { "the array".to_owned() } else { info.path.to_string() };
    Error::Refused { path, what }
}
