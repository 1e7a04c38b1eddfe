//! How an array is laid out in the file: contiguous or chunked, with which filters.
//!
//! Invariants: chunk lengths obey HDF5's rules (no longer than an axis that cannot grow, at most 4 GiB); the declared
//! filters and the codecs that encode chunks are two views of one pipeline. Called by the writer.

use super::library::Filter;
use crate::codec::{Blosc, BloscCompressor, Chain, Checksum, ChecksumKind, Codec};
use crate::container::{BloscShuffle, CodecSpec, Compressor};
use blockwise_core::region::byte_count;

/// Bytes of the boxes in which contiguous arrays, and arrays whose chunks are ours to choose, are written.
const SLAB_BYTES: u64 = 4 << 20;
/// HDF5 counts the bytes of a chunk in 32 bits.
const MOST_CHUNK_BYTES: u64 = u32::MAX as u64;

/// The layout of one array; shapes are those of the dataset.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Shape of chunks, or of the boxes in which a contiguous array is written.
    pub(super) boxes: Vec<u64>,
    /// The filters and codecs if chunked.
    pub(super) pipeline: Option<Pipeline>,
}

/// Filters as declared and as codecs.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    /// As the file declares them.
    pub(super) filters: Vec<Filter>,
    /// As they encode.
    pub(super) chain: Chain,
}

impl Layout {
    /// The layout for a dataset of `shape` with elements of `item_bytes`; the refusal says what to do instead.
    pub(super) fn new(
        shape: &[u64],
        unlimited: &[bool],
        wanted_chunk: Option<&[u64]>,
        codec: &CodecSpec,
        item_bytes: usize,
    ) -> Result<Self, String> {
        let plain = codec.compressor == Compressor::None && !codec.checksum && !codec.shuffle;
        let grows = unlimited.contains(&true);
        let never_any = shape.contains(&0) && !grows;
        if shape.is_empty() || never_any || (wanted_chunk.is_none() && plain && !grows) {
            return Ok(Self { boxes: slab(shape, item_bytes), pipeline: None });
        }
        let boxes = match wanted_chunk {
            Some(chunk) if chunk.len() != shape.len() => {
                return Err(format!("chunks {chunk:?} do not fit shape {shape:?}; give one length an axis"));
            }
            Some(chunk) => clipped(chunk, shape, unlimited),
            None => slab(shape, item_bytes),
        };
        let bytes = byte_count(&boxes, item_bytes).unwrap_or(u64::MAX);
        if bytes > MOST_CHUNK_BYTES {
            return Err(format!(
                "a chunk of shape {boxes:?} takes {bytes} bytes, HDF5 allows {MOST_CHUNK_BYTES}; give smaller --chunks"
            ));
        }
        Ok(Self { pipeline: Some(Pipeline::new(codec, item_bytes, bytes)?), boxes })
    }
}

/// Chunk lengths within HDF5's rules: at least 1, and no longer than an axis that cannot grow.
fn clipped(chunk: &[u64], shape: &[u64], unlimited: &[bool]) -> Vec<u64> {
    let axes = chunk.iter().zip(shape).zip(unlimited);
    axes.map(|((&chunk, &extent), &grows)| if grows { chunk.max(1) } else { chunk.min(extent).max(1) })
        .collect()
}

/// Boxes of about [`SLAB_BYTES`] that each lie in one piece in C order.
fn slab(shape: &[u64], item_bytes: usize) -> Vec<u64> {
    let mut slab: Vec<u64> = shape.iter().map(|&extent| extent.max(1)).collect();
    for axis in 0..slab.len() {
        let inner = byte_count(slab.get(axis + 1..).unwrap_or(&[]), item_bytes).unwrap_or(u64::MAX).max(1);
        if let Some(len) = slab.get_mut(axis) {
            *len = (*len).min((SLAB_BYTES / inner).max(1));
            if *len > 1 {
                break;
            }
        }
    }
    slab
}

impl Pipeline {
    fn new(codec: &CodecSpec, item_bytes: usize, chunk_bytes: u64) -> Result<Self, String> {
        let (mut filters, mut codecs) = (Vec::new(), Vec::new());
        let mut stage = |id: i32, optional: bool, parameters: Vec<u32>, codec: Codec| {
            filters.push(Filter { id, optional, parameters });
            codecs.push(codec);
        };
        if codec.shuffle && item_bytes > 1 {
            // Its parameter, the size of an element, is filled in by the library.
            stage(SHUFFLE, true, Vec::new(), Codec::Shuffle { item_bytes });
        }
        match &codec.compressor {
            Compressor::None => {}
            Compressor::Deflate { level } => {
                stage(DEFLATE, true, vec![*level], Codec::Zlib { level: *level });
            }
            Compressor::Zstd { level } => {
                let stored = u32::from_ne_bytes(level.to_ne_bytes());
                stage(ZSTD, true, vec![stored], Codec::Zstd { level: *level, checksum: false });
            }
            Compressor::Blosc { cname, level, shuffle } => {
                let (blosc, parameters) = blosc(cname, *level, *shuffle, item_bytes, chunk_bytes)?;
                stage(BLOSC, true, parameters, Codec::Blosc(blosc));
            }
            Compressor::Gzip { level } => {
                return Err(format!(
                    "HDF5 has no gzip framing; give --codec deflate:{level}, the same compression"
                ));
            }
        }
        if codec.checksum {
            let kind = ChecksumKind::Fletcher32;
            stage(FLETCHER32, false, Vec::new(), Codec::Checksum(Checksum { kind, at_start: false }));
        }
        Ok(Self { filters, chain: Chain::new(codecs) })
    }
}

/// Numbers of HDF5's own and registered filters.
const DEFLATE: i32 = 1;
const SHUFFLE: i32 = 2;
const FLETCHER32: i32 = 3;
const BLOSC: i32 = 32001;
const ZSTD: i32 = 32015;

/// Blosc's frames and the parameters of its filter: revision, format, item and chunk bytes, level, shuffle, compressor.
fn blosc(
    cname: &str,
    level: u32,
    shuffle: BloscShuffle,
    item_bytes: usize,
    chunk_bytes: u64,
) -> Result<(Blosc, Vec<u32>), String> {
    const FILTER_REVISION: u32 = 2;
    const FORMAT_VERSION: u32 = 2;
    let compressor = BloscCompressor::from_name(cname)
        .ok_or_else(|| format!("blosc has no '{cname}' here; use blosclz, lz4, lz4hc, zlib or zstd"))?;
    let code = match compressor {
        BloscCompressor::BloscLz => 0,
        BloscCompressor::Lz4 => 1,
        BloscCompressor::Lz4Hc => 2,
        BloscCompressor::Zlib => 4,
        BloscCompressor::Zstd => 5,
    };
    let shuffle_code = match shuffle {
        BloscShuffle::None => 0,
        BloscShuffle::Byte => 1,
        BloscShuffle::Bit => 2,
    };
    // Items too long for Blosc count as bytes, as in its own filter.
    let item_bytes = u8::try_from(item_bytes).unwrap_or(1);
    let chunk_bytes =
        u32::try_from(chunk_bytes).map_err(|_| "the chunk is too large for blosc".to_owned())?;
    let small = u8::try_from(level).map_err(|_| format!("blosc has no level {level}; use 0 to 9"))?;
    let frames = Blosc { compressor, level: small, shuffle, item_bytes, block_bytes: 0 };
    let parameters =
        vec![FILTER_REVISION, FORMAT_VERSION, item_bytes.into(), chunk_bytes, level, shuffle_code, code];
    Ok((frames, parameters))
}
