//! Encoding frames with zstd or zlib inside, with contexts that are kept per thread.
//!
//! C-Blosc makes a context for each block, and its small blocks (32 KiB at level 1, 128 KiB at 3) cost ratio and speed;
//! here blocks are 1 MiB, Blosc's own largest, whatever the level: for items of eight bytes, a plane is then as long as
//! what Zstandard codes at once. Invariants: a frame is never longer than its content and the header; what does not
//! shrink is stored. Called by [`Blosc`](super::Blosc).

use super::frame::with_scratch;
use super::{Blosc, BloscCompressor, NAME, effort};
use crate::codec::{CodecError, deflate, zstandard};
use crate::container::BloscShuffle;

const HEADER_BYTES: usize = 16;
/// Bytes of a block where the parameters leave it open.
const BLOCK_BYTES: usize = 1 << 20;
const STORED: u8 = 2;
/// One stream a block, as C-Blosc has it for these compressors.
const UNSPLIT: u8 = 0x10;

/// What compresses the blocks.
#[derive(Clone, Copy)]
enum Stream {
    Zlib(u32),
    Zstd(i32),
}

impl Stream {
    /// The stream for the parameters and a frame of `input`; `None` if C-Blosc is to do it.
    fn of(blosc: &Blosc, input: &[u8]) -> Option<Self> {
        if blosc.shuffle == BloscShuffle::Bit || blosc.level == 0 {
            return None;
        }
        match blosc.compressor {
            BloscCompressor::Zstd => {
                let shuffled_bytes =
                    if blosc.shuffle == BloscShuffle::Byte { blosc.item_bytes.into() } else { 1 };
                Some(Self::Zstd(effort::zstd_level(blosc.level, shuffled_bytes, input)))
            }
            BloscCompressor::Zlib => Some(Self::Zlib(blosc.level.into())),
            BloscCompressor::BloscLz | BloscCompressor::Lz4 | BloscCompressor::Lz4Hc => None,
        }
    }

    const fn flags(self) -> u8 {
        match self {
            Self::Zlib(_) => 3 << 5,
            Self::Zstd(_) => 4 << 5,
        }
    }

    /// Compresses `block` to the start of `output`; `None` if that does not shrink it.
    fn encode_into(self, block: &[u8], output: &mut [u8]) -> Option<usize> {
        // A place that is too short fails, which is how a block that does not shrink is noticed.
        let room = block.len().checked_sub(1)?.min(output.len());
        let output = output.get_mut(..room)?;
        match self {
            Self::Zlib(level) => deflate::encode_zlib_into(level, block, output).ok(),
            Self::Zstd(level) => zstandard::encode_into(level, false, block, output).ok(),
        }
    }
}

/// Encodes `input` to the start of `output`, which holds at least 16 bytes more; `None` if C-Blosc is to do it.
pub(super) fn encode_into(
    blosc: &Blosc,
    input: &[u8],
    output: &mut [u8],
) -> Option<Result<usize, CodecError>> {
    let stream = Stream::of(blosc, input)?;
    let len = u32::try_from(input.len()).ok()?;
    let item_bytes = usize::from(blosc.item_bytes);
    let wanted = if blosc.block_bytes == 0 { BLOCK_BYTES } else { (blosc.block_bytes as usize).max(128) };
    let block_bytes = (wanted / item_bytes * item_bytes).max(item_bytes).min(input.len());
    let is_shuffled = blosc.shuffle == BloscShuffle::Byte && item_bytes > 1;
    let flags = stream.flags() | UNSPLIT | u8::from(is_shuffled);
    let scratch_bytes = if is_shuffled { block_bytes } else { 0 };
    let encoded = with_scratch(scratch_bytes, |scratch| {
        encode_blocks(stream, item_bytes, block_bytes, input, output, scratch)
    });
    let (flags, encoded_len) = match encoded {
        Some(encoded_len) => (flags, encoded_len),
        None => {
            output.get_mut(HEADER_BYTES..HEADER_BYTES + input.len())?.copy_from_slice(input);
            (flags | STORED, HEADER_BYTES + input.len())
        }
    };
    let header = [
        [2, 1, flags, blosc.item_bytes],
        len.to_le_bytes(),
        u32::try_from(block_bytes).ok()?.to_le_bytes(),
        match u32::try_from(encoded_len) {
            Ok(encoded_len) => encoded_len.to_le_bytes(),
            Err(_) => {
                return Some(Err(CodecError::Unsupported {
                    codec: NAME,
                    what: format!("a frame of {encoded_len} bytes"),
                }));
            }
        },
    ];
    output.get_mut(..HEADER_BYTES)?.copy_from_slice(header.as_flattened());
    Some(Ok(encoded_len))
}

/// Writes block starts and blocks behind the header; `None` if that is no shorter than storing the content.
fn encode_blocks(
    stream: Stream,
    item_bytes: usize,
    block_bytes: usize,
    input: &[u8],
    output: &mut [u8],
    scratch: &mut [u8],
) -> Option<usize> {
    let blocks = input.chunks(block_bytes.max(1));
    let mut at = HEADER_BYTES + 4 * blocks.len();
    let most = HEADER_BYTES + input.len();
    for (number, block) in blocks.enumerate() {
        let start = HEADER_BYTES + 4 * number;
        output.get_mut(start..start + 4)?.copy_from_slice(&u32::try_from(at).ok()?.to_le_bytes());
        let block = match scratch.get_mut(..block.len()) {
            Some(shuffled) if !block.is_empty() => {
                blockwise_kernels::shuffle::shuffle(shuffled, block, item_bytes).ok()?;
                &*shuffled
            }
            _ => block,
        };
        let place = output.get_mut(at + 4..most)?;
        let len = match stream.encode_into(block, place) {
            Some(len) => len,
            None => {
                place.get_mut(..block.len())?.copy_from_slice(block);
                block.len()
            }
        };
        output.get_mut(at..at + 4)?.copy_from_slice(&u32::try_from(len).ok()?.to_le_bytes());
        at += 4 + len;
    }
    Some(at).filter(|at| *at < most)
}
