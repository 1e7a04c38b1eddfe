//! Codecs from bytes to bytes, shared by Zarr's chains, HDF5's filter pipelines and everything else that is encoded.
//!
//! Invariants: encoded bytes are hostile until decoded: memory is taken by the length that the array's description
//! calls for, never by one that encoded bytes name; what decodes to another length is an error; nothing panics on any
//! input. Codecs run on the calling thread alone and keep their contexts per thread. Called by Zarr and HDF5, inside
//! of tasks.

pub mod bitshuffle;
pub mod blosc;
mod bzip2;
pub mod chain;
pub mod checksum;
mod deflate;
pub(crate) mod frame;
mod lz4;
mod lzf;
mod zstandard;

pub use blosc::{Blosc, BloscCompressor};
pub use chain::Chain;
pub use checksum::{Checksum, ChecksumKind};

use crate::error::Error;
use blockwise_core::coding;
use blockwise_kernels::{self as kernels, Buffer, BufferPool};
use std::fmt;

/// One step of encoding. The text that [`Display`](fmt::Display) gives is canonical: equal texts encode equally.
///
/// ```
/// use blockwise_io::codec::{Codec, DecodedLen};
/// use blockwise_kernels::BufferPool;
/// let (pool, zstd) = (BufferPool::new(1 << 20), Codec::Zstd { level: 1, checksum: false });
/// let encoded = zstd.encode(&[7; 1000], &pool)?;
/// assert!(encoded.len() < 100);
/// assert_eq!(&*zstd.decode(encoded, DecodedLen::Exact(1000), &pool)?, &[7; 1000]);
/// # Ok::<(), blockwise_io::codec::CodecError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// C-Blosc, version 1 frames.
    Blosc(Blosc),
    /// Zstandard frames.
    Zstd {
        /// 1 (fast) to 22 (small); 0 and negative ones as the library has them.
        level: i32,
        /// Whether frames carry a checksum of their content.
        checksum: bool,
    },
    /// gzip members (RFC 1952).
    Gzip {
        /// 0 to 9.
        level: u32,
    },
    /// A zlib stream (RFC 1950): `zlib` in Zarr v2, `deflate` in HDF5.
    Zlib {
        /// 0 to 9.
        level: u32,
    },
    /// An LZ4 block behind its decoded length in four little-endian bytes, as numcodecs has it.
    Lz4,
    /// HDF5's registered filter 32004: LZ4 blocks. Decodes only.
    Lz4Hdf5,
    /// HDF5's registered filter 32000: LZF. Decodes only.
    Lzf,
    /// bzip2 streams.
    Bzip2 {
        /// 1 to 9.
        level: u32,
    },
    /// Four bytes of checksum before or after the content.
    Checksum(Checksum),
    /// Bytes of items gathered by significance.
    Shuffle {
        /// Bytes of an item.
        item_bytes: usize,
    },
    /// HDF5's registered filter 32008: bits of items gathered by significance, with LZ4 or Zstandard or without.
    /// Decodes only.
    Bitshuffle(bitshuffle::Bitshuffle),
}

/// What is known of the length that bytes decode to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodedLen {
    /// Exactly so many bytes.
    Exact(usize),
    /// At most so many bytes.
    AtMost(usize),
}

impl DecodedLen {
    /// The most bytes there can be.
    #[must_use]
    pub const fn most(self) -> usize {
        match self {
            Self::Exact(len) | Self::AtMost(len) => len,
        }
    }

    /// This length through `change`.
    pub(crate) fn map(self, change: impl FnOnce(usize) -> usize) -> Self {
        match self {
            Self::Exact(len) => Self::Exact(change(len)),
            Self::AtMost(len) => Self::AtMost(change(len)),
        }
    }
}

/// Why bytes could not be decoded or encoded. Knows no path: see [`CodecError::at`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The bytes are not what the codec's format says.
    #[error("{codec}: {what}")]
    Corrupt {
        /// The codec.
        codec: &'static str,
        /// What is wrong, with the values found.
        what: String,
    },
    /// The bytes decode to another length than the array's description calls for.
    #[error("{codec}: the bytes decode to {found}, {expected} bytes were expected")]
    Length {
        /// The codec.
        codec: &'static str,
        /// How many bytes they decode to, as far as that was found out.
        found: String,
        /// How many were expected.
        expected: usize,
    },
    /// The bytes may be fine but are not decoded or encoded here.
    #[error("{codec}: {what} is not supported")]
    Unsupported {
        /// The codec.
        codec: &'static str,
        /// What is not supported.
        what: String,
    },
}

impl CodecError {
    /// This error as one of io, with the file (and key) at fault.
    #[must_use]
    pub fn at(self, path: impl Into<String>) -> Error {
        let path = path.into();
        match self {
            Self::Unsupported { codec, what } => {
                Error::Unsupported { path, what: format!("{codec}: {what}"), remedy: "" }
            }
            other => Error::Corrupt { path, what: other.to_string(), remedy: "" },
        }
    }

    pub(crate) fn corrupt(codec: &'static str, what: impl Into<String>) -> Self {
        Self::Corrupt { codec, what: what.into() }
    }

    pub(crate) fn too_long(codec: &'static str, expected: usize) -> Self {
        Self::Length { codec, found: format!("more than {expected} bytes"), expected }
    }
}

impl Codec {
    /// The codec's name in errors.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Blosc(_) => "blosc",
            Self::Zstd { .. } => "zstd",
            Self::Gzip { .. } => "gzip",
            Self::Zlib { .. } => "zlib",
            Self::Lz4 => "lz4",
            Self::Lz4Hdf5 => "HDF5 lz4",
            Self::Lzf => "lzf",
            Self::Bzip2 { .. } => "bz2",
            Self::Checksum(checksum) => checksum.kind.name(),
            Self::Shuffle { .. } => SHUFFLE,
            Self::Bitshuffle(_) => "bitshuffle",
        }
    }

    /// Decodes `input` to the start of `output` and says how many bytes that gave.
    ///
    /// # Errors
    /// [`CodecError`] if `input` is corrupt or decodes to more than `output` holds; `output` is then unspecified.
    pub fn decode_into(&self, input: &[u8], output: &mut [u8]) -> Result<usize, CodecError> {
        coding::decoding(|| match self {
            Self::Blosc(_) => blosc::decode_into(input, output),
            Self::Zstd { .. } => zstandard::decode_into(input, output),
            Self::Gzip { .. } => deflate::decode_gzip_into(input, output),
            Self::Zlib { .. } => deflate::decode_zlib_into(input, output),
            Self::Lz4 => lz4::decode_into(input, output),
            Self::Lz4Hdf5 => lz4::decode_hdf5_into(input, output),
            Self::Lzf => lzf::decode_into(input, output),
            Self::Bzip2 { .. } => bzip2::decode_into(input, output),
            Self::Checksum(checksum) => copy_into(self.name(), checksum.verified(input)?, output),
            Self::Shuffle { item_bytes } => unshuffle(input, output, *item_bytes),
            Self::Bitshuffle(bitshuffle) => bitshuffle.decode_into(input, output),
        })
    }

    /// Decodes `input` into a buffer of `pool`, or in place where the codec leaves the bytes as they are.
    ///
    /// # Errors
    /// [`CodecError`] if `input` is corrupt or decodes to another length than `len` allows.
    pub fn decode(
        &self,
        mut input: Buffer,
        len: DecodedLen,
        pool: &BufferPool,
    ) -> Result<Buffer, CodecError> {
        if let Self::Checksum(checksum) = self {
            coding::decoding(|| checksum.strip(&mut input))?;
            check_len(self.name(), input.len(), len)?;
            return Ok(input);
        }
        let mut output = pool.take(len.most());
        let found = self.decode_into(&input, &mut output)?;
        check_len(self.name(), found, len)?;
        output.truncate(found);
        Ok(output)
    }

    /// Encodes `input` into a buffer of `pool`.
    ///
    /// # Errors
    /// [`CodecError::Unsupported`] for codecs that only decode, parameters out of range, and inputs too long for
    /// the format.
    pub fn encode(&self, input: &[u8], pool: &BufferPool) -> Result<Buffer, CodecError> {
        let most = usize::try_from(self.encoded_bound(input.len() as u64)).map_err(|_| {
            CodecError::Unsupported { codec: self.name(), what: format!("an input of {} bytes", input.len()) }
        })?;
        let mut output = pool.plain().take(most);
        let len = coding::encoding(|| self.encode_into(input, &mut output))?;
        output.truncate(len);
        Ok(output)
    }

    /// Encodes into `output`, which is large enough; the length.
    fn encode_into(&self, input: &[u8], output: &mut Buffer) -> Result<usize, CodecError> {
        Ok(match self {
            Self::Blosc(blosc) => blosc.encode_into(input, output)?,
            Self::Zstd { level, checksum } => zstandard::encode_into(*level, *checksum, input, output)?,
            Self::Gzip { level } => deflate::encode_gzip_into(*level, input, output)?,
            Self::Zlib { level } => deflate::encode_zlib_into(*level, input, output)?,
            Self::Lz4 => lz4::encode_into(input, output)?,
            Self::Bzip2 { level } => bzip2::encode_into(*level, input, output)?,
            Self::Checksum(checksum) => checksum.encode_into(input, output),
            Self::Shuffle { item_bytes } => {
                let place = output.get_mut(..input.len()).unwrap_or_default();
                kernels::shuffle::shuffle(place, input, *item_bytes)
                    .map_err(|error| CodecError::Unsupported { codec: SHUFFLE, what: error.to_string() })?;
                input.len()
            }
            Self::Lz4Hdf5 | Self::Lzf | Self::Bitshuffle(_) => {
                return Err(CodecError::Unsupported { codec: self.name(), what: "writing".to_owned() });
            }
        })
    }

    /// The most bytes that `len` bytes encode to here; other encoders may need a little more (see
    /// [`longest_encoded`](Self::longest_encoded)).
    #[must_use]
    pub fn encoded_bound(&self, len: u64) -> u64 {
        match self {
            Self::Blosc(_) => len.saturating_add(16),
            Self::Zstd { .. } => zstandard::encoded_bound(len),
            // libdeflate: stored blocks of at least 5000 bytes need 5 bytes each; headers and trailers at most 18.
            Self::Gzip { .. } | Self::Zlib { .. } => len.saturating_add(len / 1000 + 64),
            Self::Lz4 | Self::Lz4Hdf5 => len.saturating_add(len / 8 + 64), // what lz4_flex asks for
            Self::Lzf => len.saturating_add(len / 32 + 64),
            Self::Bzip2 { .. } => len.saturating_add(len / 100 + 608),
            Self::Checksum(_) => len.saturating_add(4),
            Self::Shuffle { .. } => len,
            Self::Bitshuffle(_) => len.saturating_add(len / 100 + 64),
        }
    }

    /// The length that `len` decoded bytes have when encoded by anybody: exact where the format fixes it, else more
    /// than any sensible encoder needs. What is longer may be refused unread.
    #[must_use]
    pub fn longest_encoded(&self, len: DecodedLen) -> DecodedLen {
        match self {
            Self::Shuffle { .. } => len,
            Self::Checksum(_) => len.map(|len| len.saturating_add(4)),
            _ => {
                let most =
                    self.encoded_bound(len.most() as u64 + len.most() as u64 / 16).saturating_add(4096);
                DecodedLen::AtMost(usize::try_from(most).unwrap_or(usize::MAX))
            }
        }
    }

    /// Bytes that decoding to `len` bytes holds beyond its input and output, on top of what stays with the thread.
    #[must_use]
    pub fn decode_scratch_bytes(&self, len: u64) -> u64 {
        match self {
            Self::Blosc(_) => blosc::decode_scratch_bytes(len),
            Self::Zstd { .. } => 256 << 10,
            Self::Gzip { .. } | Self::Zlib { .. } => 64 << 10,
            Self::Bzip2 { .. } => 4 << 20,
            Self::Bitshuffle(bitshuffle) => bitshuffle.decode_scratch_bytes(),
            Self::Lz4 | Self::Lz4Hdf5 | Self::Lzf | Self::Checksum(_) | Self::Shuffle { .. } => 0,
        }
    }

    /// Bytes that encoding `len` bytes holds beyond its input and output, on top of what stays with the thread.
    #[must_use]
    pub fn encode_scratch_bytes(&self, len: u64) -> u64 {
        match self {
            Self::Blosc(blosc) => blosc.encode_scratch_bytes(len),
            Self::Zstd { level, .. } => zstandard::encode_scratch_bytes(*level, len),
            Self::Gzip { level } | Self::Zlib { level } => deflate::encode_scratch_bytes(*level),
            Self::Lz4 => 64 << 10,
            Self::Bzip2 { .. } => 8 << 20,
            Self::Checksum(_) | Self::Shuffle { .. } | Self::Lz4Hdf5 | Self::Lzf | Self::Bitshuffle(_) => 0,
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blosc(blosc) => blosc.fmt(f),
            Self::Zstd { level, checksum } => {
                write!(f, "zstd(level={level}{})", if *checksum { ", checksum" } else { "" })
            }
            Self::Gzip { level } => write!(f, "gzip(level={level})"),
            Self::Zlib { level } => write!(f, "zlib(level={level})"),
            Self::Lz4 => f.write_str("lz4"),
            Self::Lz4Hdf5 => f.write_str("lz4(hdf5)"),
            Self::Lzf => f.write_str("lzf"),
            Self::Bzip2 { level } => write!(f, "bz2(level={level})"),
            Self::Checksum(checksum) => checksum.fmt(f),
            Self::Shuffle { item_bytes } => write!(f, "shuffle({item_bytes})"),
            Self::Bitshuffle(bitshuffle) => bitshuffle.fmt(f),
        }
    }
}

/// An error unless `found` decoded bytes are what `len` allows.
fn check_len(codec: &'static str, found: usize, len: DecodedLen) -> Result<(), CodecError> {
    match len {
        DecodedLen::Exact(expected) if found != expected => {
            Err(CodecError::Length { codec, found: format!("{found} bytes"), expected })
        }
        DecodedLen::AtMost(most) if found > most => {
            Err(CodecError::Length { codec, found: format!("{found} bytes"), expected: most })
        }
        _ => Ok(()),
    }
}

const SHUFFLE: &str = "shuffle";

/// Undoes a byte shuffle at the start of `output`.
fn unshuffle(input: &[u8], output: &mut [u8], item_bytes: usize) -> Result<usize, CodecError> {
    let most = output.len();
    let place = output.get_mut(..input.len()).ok_or(CodecError::too_long(SHUFFLE, most))?;
    kernels::shuffle::unshuffle(place, input, item_bytes)
        .map_err(|error| CodecError::corrupt(SHUFFLE, error.to_string()))?;
    Ok(input.len())
}

/// Copies decoded bytes to the start of `output`.
fn copy_into(codec: &'static str, decoded: &[u8], output: &mut [u8]) -> Result<usize, CodecError> {
    match output.get_mut(..decoded.len()) {
        Some(place) => place.copy_from_slice(decoded),
        None => return Err(CodecError::too_long(codec, output.len())),
    }
    Ok(decoded.len())
}
