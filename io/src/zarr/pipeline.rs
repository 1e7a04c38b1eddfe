//! From the bytes of a stored chunk to its elements and back: Zarr's codec chain, both versions.
//!
//! A chunk goes through axes order, item filters, bytes (with a byte order) or inner chunks (a shard), and codecs from
//! bytes to bytes. Invariants: a pipeline's sizes are checked when it is made; what decodes to another length than the
//! chunk's is an error; no memory is taken by lengths that encoded bytes name. The chain is our own, not a library's,
//! because chunks decode into pooled buffers, under the limits of [`crate::codec`]. Called by sources, sinks and text
//! reading.

pub(crate) mod configuration;
mod filters;
mod parse;
mod shard;

pub(crate) use filters::ItemFilter;
pub(crate) use parse::{is_text_v2, parse_v2, parse_v3};
pub(crate) use shard::{Place, Shard, ShardIndex};

use super::element::Items;
use super::json::corrupt;
use crate::codec::{Chain, Codec, DecodedLen, frame};
use crate::container::{CodecSpec, Compressor};
use crate::error::{Error, Result};
use blockwise_core::region::{MAX_RANK, element_count};
use blockwise_kernels::strided::{self, Layout};
use blockwise_kernels::{Buffer, BufferPool, DType, byteswap};
use std::fmt::Write as _;

/// How a chunk (or inner chunk) of one shape is encoded.
#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    /// What an element is.
    pub(crate) items: Items,
    /// Shape of the chunk in items, the axis of a run included.
    pub(crate) shape: Vec<usize>,
    /// Encoded axis `k` is the chunk's axis `order[k]`; `None` if they are the same.
    pub(crate) order: Option<Vec<usize>>,
    /// Filters on items, in encoding order; with any, nothing can be written.
    pub(crate) filters: Vec<ItemFilter>,
    /// What the items become.
    pub(crate) body: Body,
    /// Codecs from bytes to bytes, in encoding order.
    pub(crate) chain: Chain,
}

/// The step from items to bytes.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// Items one after the other.
    Items {
        /// Whether their bytes are in the order that is not the machine's.
        swapped: bool,
    },
    /// Inner chunks and their index.
    Shard(Box<Shard>),
    /// Texts behind their lengths; they do not stream.
    Texts,
}

/// The number of items and bytes of `shape`, checked.
pub(crate) fn checked_shape(path: &str, items: Items, lengths: &[u64]) -> Result<Vec<usize>> {
    let shape = items.with_run(lengths);
    let bytes = element_count(&shape).and_then(|count| count.checked_mul(items.dtype.size() as u64));
    if bytes.is_none_or(|bytes| isize::try_from(bytes).is_err()) || shape.len() > MAX_RANK {
        let size = format!("{shape:?} of {}", items.dtype);
        return Err(Error::Limit { path: path.to_owned(), what: "chunk", size, limit: isize::MAX as u64 });
    }
    shape
        .iter()
        .map(|&len| usize::try_from(len).map_err(|_| corrupt(path, "a chunk exceeds memory")))
        .collect()
}

impl Pipeline {
    /// Bytes of a decoded chunk.
    pub(crate) fn decoded_bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.items.dtype.size()
    }

    /// Items of a chunk.
    fn item_count(&self) -> usize {
        self.shape.iter().product()
    }

    /// The dtype that items have in encoded bytes, after the filters.
    fn stored_dtype(&self) -> DType {
        self.filters.last().map_or(self.items.dtype, ItemFilter::stored_dtype)
    }

    /// Bytes before the codecs from bytes to bytes.
    fn body_len(&self) -> DecodedLen {
        match &self.body {
            Body::Items { .. } => DecodedLen::Exact(self.item_count() * self.stored_dtype().size()),
            Body::Shard(shard) => {
                let most = shard.longest_bytes();
                DecodedLen::AtMost(usize::try_from(most).unwrap_or(usize::MAX))
            }
            Body::Texts => DecodedLen::AtMost(usize::MAX),
        }
    }

    /// The most bytes that an encoded chunk may have; longer ones are refused unread.
    pub(crate) fn longest_encoded(&self) -> u64 {
        let lengths = self.chain.codecs().iter();
        lengths.fold(self.body_len(), |len, codec| codec.longest_encoded(len)).most() as u64
    }

    /// Bytes that decoding a chunk holds beyond the result, the encoded bytes included.
    pub(crate) fn decode_scratch_bytes(&self, clipped: bool) -> u64 {
        let full = self.decoded_bytes() as u64;
        match &self.body {
            Body::Items { .. } | Body::Texts => {
                let body = self.body_len().most();
                let chain = self.chain.decode_scratch_bytes(body);
                // A filter makes a second copy, and so does cropping or reordering.
                let filters = if self.filters.is_empty() {
                    0
                } else {
                    full.saturating_mul(2).saturating_add(body as u64)
                };
                let copy = if clipped || self.order.is_some() { full } else { 0 };
                chain.max(filters).saturating_add(copy)
            }
            Body::Shard(shard) => {
                let whole = self.longest_encoded().saturating_add(self.body_len().most() as u64);
                whole.saturating_add(full).saturating_add(shard.inner.decode_scratch_bytes(false))
            }
        }
    }

    /// Decodes a chunk and gives its first `crop` items on each axis in C order. `fill` is the element of absent
    /// inner chunks.
    ///
    /// # Errors
    /// If the bytes are corrupt; `path` is named.
    pub(crate) fn decode(
        &self,
        path: &str,
        encoded: Buffer,
        crop: &[usize],
        fill: &[u8],
        pool: &BufferPool,
    ) -> Result<Buffer> {
        let bytes = self.decode_chain(path, encoded, self.body_len(), pool)?;
        let decoded = match &self.body {
            Body::Shard(shard) => shard.decode_whole(path, &bytes, self, fill, pool)?,
            Body::Items { swapped } => self.decode_items(path, bytes, *swapped, pool)?,
            Body::Texts => return Err(corrupt(path, "texts do not stream")),
        };
        let decoded = self.arranged(decoded, crop, pool)?;
        if self.items.dtype == DType::Bool {
            check_bools(path, &decoded)?;
        }
        Ok(decoded)
    }

    /// Undoes the codecs from bytes to bytes.
    pub(crate) fn decode_chain(
        &self,
        path: &str,
        encoded: Buffer,
        len: DecodedLen,
        pool: &BufferPool,
    ) -> Result<Buffer> {
        if let DecodedLen::Exact(len) = len {
            return self.chain.decode(encoded, len, pool).map_err(|error| error.at(path));
        }
        let mut stages = Vec::with_capacity(self.chain.codecs().len());
        let mut decoded = len;
        for codec in self.chain.codecs() {
            stages.push((codec, decoded));
            decoded = codec.longest_encoded(decoded);
        }
        stages.into_iter().rev().try_fold(encoded, |bytes, (codec, len): (&Codec, DecodedLen)| {
            codec.decode(bytes, len, pool).map_err(|error| error.at(path))
        })
    }

    /// Items in the machine's byte order, filters undone.
    fn decode_items(
        &self,
        path: &str,
        mut bytes: Buffer,
        swapped: bool,
        pool: &BufferPool,
    ) -> Result<Buffer> {
        if swapped {
            byteswap::swap(&mut bytes, self.stored_dtype().swap_unit())
                .map_err(|error| corrupt(path, error.to_string()))?;
        }
        self.filters.iter().rev().try_fold(bytes, |bytes, filter| filter.decode(path, bytes, pool))
    }

    /// The chunk's own axes from encoded ones, cropped.
    fn arranged(&self, decoded: Buffer, crop: &[usize], pool: &BufferPool) -> Result<Buffer> {
        if self.order.is_none() && crop == self.shape {
            return Ok(decoded);
        }
        let item_bytes = self.items.dtype.size();
        let mut out = pool.take(crop.iter().product::<usize>() * item_bytes);
        let from = Layout { offset: 0, strides: self.encoded_strides()? };
        let to = Layout::c_order(crop).map_err(|error| internal(&error))?;
        strided::copy(&mut out, &to, &decoded, &from, crop, item_bytes).map_err(|error| internal(&error))?;
        Ok(out)
    }

    /// Steps, in items, along the chunk's own axes in the encoded arrangement.
    fn encoded_strides(&self) -> Result<Vec<isize>> {
        let Some(order) = &self.order else {
            return Ok(Layout::c_order(&self.shape).map_err(|error| internal(&error))?.strides);
        };
        let encoded_shape = permuted(&self.shape, order);
        let encoded = Layout::c_order(&encoded_shape).map_err(|error| internal(&error))?;
        let mut strides = vec![0; order.len()];
        for (&axis, stride) in order.iter().zip(encoded.strides) {
            if let Some(slot) = strides.get_mut(axis) {
                *slot = stride;
            }
        }
        Ok(strides)
    }

    /// Whether stored bytes become a chunk's own without being decoded into other memory.
    pub(super) fn stores_chunks_plainly(&self) -> bool {
        self.chain.is_empty() && matches!(self.body, Body::Items { .. })
    }

    /// Whether encoding a chunk of `crop` items leaves its bytes as they are.
    pub(crate) fn leaves_as_is(&self, crop: &[usize]) -> bool {
        let swapped = matches!(self.body, Body::Items { swapped: true });
        self.chain.is_empty() && self.order.is_none() && !swapped && crop == self.shape
    }

    /// Encodes `chunk`, of `crop` items on each axis; the rest of the full chunk is `fill`.
    ///
    /// # Errors
    /// If a codec refuses. Called for chunks of items only, never for shards.
    pub(crate) fn encode(
        &self,
        path: &str,
        chunk: &[u8],
        crop: &[usize],
        fill: &[u8],
        pool: &BufferPool,
    ) -> Result<Buffer> {
        let swapped = matches!(self.body, Body::Items { swapped: true });
        let as_it_is = self.order.is_none() && crop == self.shape && !swapped;
        let encoded = |bytes: &[u8]| self.chain.encode(bytes, pool).map_err(|error| error.at(path));
        if as_it_is {
            return encoded(chunk);
        }
        let item_bytes = self.items.dtype.size();
        let mut full = pool.take(self.decoded_bytes());
        if crop != self.shape {
            fill_with(&mut full, fill);
        }
        let from = Layout::c_order(crop).map_err(|error| internal(&error))?;
        let to = Layout { offset: 0, strides: self.encoded_strides()? };
        strided::copy(&mut full, &to, chunk, &from, crop, item_bytes).map_err(|error| internal(&error))?;
        if swapped {
            byteswap::swap(&mut full, self.items.dtype.swap_unit())
                .map_err(|error| corrupt(path, error.to_string()))?;
        }
        if self.chain.is_empty() { Ok(full) } else { encoded(&full) }
    }

    /// Bytes that encoding a chunk holds beyond it, the encoded bytes included.
    pub(crate) fn encode_scratch_bytes(&self) -> u64 {
        let full = self.decoded_bytes();
        self.chain.encode_scratch_bytes(full).saturating_add(full as u64)
    }

    /// The codec in the words of `--codec`; `None` if they cannot say it.
    pub(crate) fn codec_spec(&self) -> Option<CodecSpec> {
        let (mut compressor, mut shuffle, mut checksum) = (Compressor::None, false, false);
        if !self.filters.is_empty() || !matches!(self.body, Body::Items { .. }) {
            return None;
        }
        for codec in self.chain.codecs() {
            let plain = compressor == Compressor::None && !checksum;
            match codec {
                Codec::Shuffle { .. } if plain && !shuffle => shuffle = true,
                Codec::Checksum(kind) if !kind.at_start && !checksum => checksum = true,
                Codec::Zstd { level, checksum: own } if plain => {
                    compressor = Compressor::Zstd { level: *level };
                    checksum |= *own;
                }
                Codec::Gzip { level } if plain => compressor = Compressor::Gzip { level: *level },
                Codec::Zlib { level } if plain => compressor = Compressor::Deflate { level: *level },
                Codec::Blosc(blosc) if plain => {
                    compressor = Compressor::Blosc {
                        cname: blosc.compressor.name().to_owned(),
                        level: u32::from(blosc.level),
                        shuffle: blosc.shuffle,
                    };
                }
                _ => return None,
            }
        }
        Some(CodecSpec { compressor, shuffle, checksum })
    }

    /// A text that two pipelines share exactly if the encoded bytes of one may stand for the other's; `None` also if
    /// it cannot be seen whether those bytes are in a form that every reader takes.
    pub(crate) fn encoding(&self, fill: &[u8]) -> Option<String> {
        let Body::Items { swapped } = self.body else { return None };
        if !self.filters.is_empty() || !frame::is_visible(&self.chain) {
            return None;
        }
        let order = if swapped == cfg!(target_endian = "little") { "big" } else { "little" };
        let order = if self.items.dtype.swap_unit() == 1 { "any" } else { order };
        let mut text = format!("{} {order} chunk {:?} padded", self.items.dtype, self.shape);
        if let Some(axes) = &self.order {
            let _ = write!(text, " axes {axes:?}"); // writing to a String does not fail
        }
        let _ = write!(text, " codecs {} fill ", self.chain);
        for byte in fill {
            let _ = write!(text, "{byte:02x}");
        }
        Some(text)
    }

    /// The chain for people.
    pub(crate) fn describe(&self) -> String {
        let mut parts = Vec::new();
        if let Some(order) = &self.order {
            parts.push(format!("axes {order:?}"));
        }
        parts.extend(self.filters.iter().map(ToString::to_string));
        match &self.body {
            Body::Items { swapped: true } => parts.push("byte-swapped".to_owned()),
            Body::Items { swapped: false } => {}
            Body::Shard(shard) => parts.push(format!("sharded: {}", shard.inner.describe())),
            Body::Texts => parts.push("vlen-utf8".to_owned()),
        }
        if !self.chain.is_empty() {
            parts.push(self.chain.to_string());
        }
        if parts.is_empty() { "none".to_owned() } else { parts.join(" ") }
    }
}

/// `values` in the order that `order` gives.
pub(crate) fn permuted<T: Copy>(values: &[T], order: &[usize]) -> Vec<T> {
    order.iter().filter_map(|&axis| values.get(axis).copied()).collect()
}

/// Repeats `element` over `bytes`, whose length is a multiple of its.
pub(crate) fn fill_with(bytes: &mut [u8], element: &[u8]) {
    match element {
        [] => {}
        [first, rest @ ..] if rest.iter().all(|byte| byte == first) => bytes.fill(*first),
        element => {
            for place in bytes.chunks_exact_mut(element.len()) {
                place.copy_from_slice(element);
            }
        }
    }
}

/// Whether `bytes` are nothing but `element`, over and over.
pub(crate) fn is_filled_with(bytes: &[u8], element: &[u8]) -> bool {
    !element.is_empty()
        && bytes.len().is_multiple_of(element.len())
        && bytes.starts_with(element)
        && bytes.get(element.len()..).is_some_and(|rest| bytes.starts_with(rest)) // each equals the one before
}

/// That every byte is 0 or 1.
pub(super) fn check_bools(path: &str, bytes: &[u8]) -> Result<()> {
    match bytes.iter().position(|byte| *byte > 1) {
        None => Ok(()),
        Some(at) => {
            let byte = bytes.get(at).copied().unwrap_or_default();
            Err(corrupt(
                path,
                format!("element {at} of a bool chunk is the byte {byte}, which is neither 0 nor 1"),
            ))
        }
    }
}

/// A layout that the checks above should have ruled out.
pub(crate) fn internal(error: &strided::LayoutError) -> Error {
    Error::from(blockwise_core::Error::Internal { message: error.to_string() })
}
