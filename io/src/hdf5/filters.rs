//! The filter pipeline of a dataset, run backwards to decode a chunk.
//!
//! Invariants: every filter is known before the first chunk is read; a stage's output is bounded by what the chunk's
//! size allows, so a bomb is refused in the stage where it goes off; the last stage must give exactly the chunk.
//! The common filters are [`Codec`]s over pooled buffers; szip, nbit and scale-offset are `hdf5-reader`'s. Called by
//! the chunk reader.

use crate::codec::bitshuffle::{Bitshuffle, BlockCompressor};
use crate::codec::{Blosc, BloscCompressor, Checksum, ChecksumKind, Codec, CodecError, DecodedLen};
use crate::container::BloscShuffle;
use crate::error::{Error, Result};
use crate::fence::fenced_decoder;
use blockwise_kernels::buffer::size_class_bytes;
use blockwise_kernels::{Buffer, BufferPool};
use hdf5_reader::filters::{nbit, scaleoffset, szip};
use hdf5_reader::messages::filter_pipeline::FilterDescription;

/// Filters that a pipeline may have: as many as the filter mask has bits.
const MAX_FILTERS: usize = 32;

/// The filters of a dataset in the order in which they were applied when writing.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    filters: Vec<Filter>,
}

#[derive(Clone, Debug)]
enum Filter {
    Codec(Codec),
    Szip(Vec<u32>),
    Nbit(Vec<u32>),
    ScaleOffset(Vec<u32>),
}

impl Pipeline {
    /// The pipeline of the dataset that people call `path`, with elements of `item_bytes`.
    pub(super) fn new(stored: &[FilterDescription], item_bytes: usize, path: &str) -> Result<Self> {
        if stored.len() > MAX_FILTERS {
            return Err(Error::Corrupt {
                path: path.to_owned(),
                what: format!("{} filters, at most {MAX_FILTERS} are possible", stored.len()),
                remedy: "",
            });
        }
        let known = |stored: &FilterDescription| {
            Filter::new(stored, item_bytes).ok_or_else(|| Error::Unsupported {
                path: path.to_owned(),
                what: match &stored.name {
                    Some(name) if !name.is_empty() => format!("HDF5 filter {} ({name})", stored.id),
                    _ => format!("HDF5 filter {}", stored.id),
                },
                remedy: "; rewrite the dataset with another filter, for example by h5repack",
            })
        };
        Ok(Self { filters: stored.iter().map(known).collect::<Result<_>>()? })
    }

    /// Bytes held at most while a chunk of `chunk_bytes` is decoded, beyond its stored bytes and the result.
    pub(super) fn scratch_bytes(&self, chunk_bytes: usize) -> usize {
        let mut decoded = DecodedLen::Exact(chunk_bytes);
        let (mut between, mut inside) = (0, 0);
        for (at, filter) in self.filters.iter().enumerate() {
            if at > 0 {
                between = between.max(size_class_bytes(decoded.most()));
            }
            inside = inside.max(filter.scratch_bytes(decoded.most()));
            decoded = filter.longest_encoded(decoded);
        }
        // Two intermediate buffers live while a stage runs between two others.
        let buffers = if self.filters.len() > 2 { 2 } else { 1 };
        between.saturating_mul(buffers).saturating_add(inside)
    }

    /// Whether stored bytes are a chunk's own.
    pub(super) const fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// Decodes the stored bytes of a chunk of `chunk_bytes`; a set bit `i` of `mask` means that filter `i` was not
    /// applied.
    pub(super) fn decode(
        &self,
        stored: Buffer,
        mask: u32,
        chunk_bytes: usize,
        pool: &BufferPool,
    ) -> Result<Buffer, CodecError> {
        let mut decoded = DecodedLen::Exact(chunk_bytes);
        let mut stages = Vec::with_capacity(self.filters.len());
        for (at, filter) in self.filters.iter().enumerate() {
            if mask >> at & 1 == 0 {
                stages.push((filter, decoded));
                decoded = filter.longest_encoded(decoded);
            }
        }
        let mut bytes = stored;
        for (filter, len) in stages.into_iter().rev() {
            bytes = filter.decode(bytes, len, pool)?;
        }
        if bytes.len() != chunk_bytes {
            let found = format!("{} bytes", bytes.len());
            return Err(CodecError::Length { codec: "chunk", found, expected: chunk_bytes });
        }
        Ok(bytes)
    }
}

impl Filter {
    /// The filter that `stored` describes, if it is known.
    fn new(stored: &FilterDescription, item_bytes: usize) -> Option<Self> {
        let data = |at: usize| stored.client_data.get(at).copied();
        let all = || stored.client_data.clone();
        Some(Self::Codec(match stored.id {
            1 => Codec::Zlib { level: data(0).unwrap_or(0) },
            2 => Codec::Shuffle { item_bytes: data(0).map_or(item_bytes, |bytes| bytes as usize) },
            3 => Codec::Checksum(Checksum { kind: ChecksumKind::Fletcher32, at_start: false }),
            4 => return Some(Self::Szip(all())),
            5 => return Some(Self::Nbit(all())),
            6 => return Some(Self::ScaleOffset(all())),
            307 => Codec::Bzip2 { level: data(0).unwrap_or(9) },
            32_000 => Codec::Lzf,
            // Frames say all that decoding needs.
            32_001 => Codec::Blosc(Blosc {
                compressor: BloscCompressor::Lz4,
                level: 5,
                shuffle: BloscShuffle::None,
                item_bytes: 1,
                block_bytes: 0,
            }),
            32_004 => Codec::Lz4Hdf5,
            32_008 => Codec::Bitshuffle(Bitshuffle {
                item_bytes: data(2).map_or(item_bytes, |bytes| bytes as usize),
                block_items: data(3).unwrap_or(0) as usize,
                compressor: match data(4).unwrap_or(0) {
                    0 => BlockCompressor::None,
                    2 => BlockCompressor::Lz4,
                    3 => BlockCompressor::Zstd,
                    _ => return None,
                },
            }),
            32_015 => Codec::Zstd { level: data(0).map_or(3, u32::cast_signed), checksum: false },
            _ => return None,
        }))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Codec(codec) => codec.name(),
            Self::Szip(_) => "szip",
            Self::Nbit(_) => "nbit",
            Self::ScaleOffset(_) => "scale-offset",
        }
    }

    /// The length that `len` bytes have at most after this filter was applied.
    fn longest_encoded(&self, len: DecodedLen) -> DecodedLen {
        match self {
            Self::Codec(codec) => codec.longest_encoded(len),
            _ => DecodedLen::AtMost(len.most().saturating_add(len.most() / 2).saturating_add(4096)),
        }
    }

    fn scratch_bytes(&self, len: usize) -> usize {
        match self {
            Self::Codec(codec) => {
                usize::try_from(codec.decode_scratch_bytes(len as u64)).unwrap_or(usize::MAX)
            }
            // These give their output in memory of their own, szip through one more buffer.
            _ => len.saturating_mul(2),
        }
    }

    fn decode(&self, input: Buffer, len: DecodedLen, pool: &BufferPool) -> Result<Buffer, CodecError> {
        let limit = len.most();
        let bytes = match self {
            Self::Codec(codec) => return codec.decode(input, len, pool),
            Self::Szip(data) => self.fenced(|| szip::decompress_with_limit(&input, data, limit)),
            Self::Nbit(data) => self.fenced(|| nbit::decompress_with_limit(&input, data, limit)),
            Self::ScaleOffset(data) => {
                self.fenced(|| scaleoffset::decompress_with_limit(&input, data, limit))
            }
        }?;
        match len {
            DecodedLen::Exact(expected) if bytes.len() != expected => {
                let found = format!("{} bytes", bytes.len());
                Err(CodecError::Length { codec: self.name(), found, expected })
            }
            _ => {
                let mut output = pool.take(bytes.len());
                output.copy_from_slice(&bytes);
                Ok(output)
            }
        }
    }

    /// Runs a decoder of the parsing crate; a panic of it is corrupt input.
    fn fenced(
        &self,
        decode: impl FnOnce() -> hdf5_reader::error::Result<Vec<u8>>,
    ) -> Result<Vec<u8>, CodecError> {
        let corrupt = |error: hdf5_reader::error::Error| CodecError::corrupt(self.name(), error.to_string());
        fenced_decoder(self.name(), || decode().map_err(corrupt))
    }
}
