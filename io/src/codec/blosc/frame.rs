//! Decoding a frame.
//!
//! Invariants: as in [`super`]; scratch is one block, kept with the thread up to 4 MiB. Blocks larger than that (only
//! an explicit block size makes them; Blosc's own choice ends at 1 MiB) are decoded one at a time in the process, so
//! that the scratch that tasks declare stays small. Called by [`Codec`](crate::codec::Codec).

use super::{NAME, blosclz};
use crate::codec::{CodecError, bitshuffle, deflate, lz4, unshuffle, zstandard};
use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

const HEADER_BYTES: usize = 16;
/// Largest block whose scratch stays with the thread.
const KEPT_SCRATCH_BYTES: usize = 4 << 20;
/// Most streams in a block, and fewest items that are split: `MAX_SPLITS` and `MIN_BUFFERSIZE` of C-Blosc.
const MOST_SPLITS: usize = 16;
const FEWEST_SPLIT_ITEMS: usize = 128;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}
static LARGE_SCRATCH: Mutex<()> = Mutex::new(());

/// Bytes that decoding to `len` bytes holds beyond input and output.
pub(in crate::codec) fn decode_scratch_bytes(len: u64) -> u64 {
    len.min(KEPT_SCRATCH_BYTES as u64) + (256 << 10)
}

#[derive(Clone, Copy)]
enum Stream {
    BloscLz,
    Lz4,
    Zlib,
    Zstd,
}

#[derive(Clone, Copy)]
enum Order {
    AsIs,
    Bytes,
    Bits,
}

struct Header {
    stream: Stream,
    order: Order,
    is_stored: bool,
    may_split: bool,
    item_bytes: usize,
    decoded_bytes: usize,
    block_bytes: usize,
}

impl Header {
    fn parse(input: &[u8]) -> Result<Self, CodecError> {
        let bad = |what: String| CodecError::corrupt(NAME, what);
        let Some(header) = input.first_chunk::<HEADER_BYTES>() else {
            return Err(bad(format!("{} bytes are too few for the header", input.len())));
        };
        let [version, _inner, flags, item_bytes, n0, n1, n2, n3, b0, b1, b2, b3, c0, c1, c2, c3] = *header;
        let decoded_bytes = u32::from_le_bytes([n0, n1, n2, n3]) as usize;
        let block_bytes = u32::from_le_bytes([b0, b1, b2, b3]) as usize;
        let encoded_bytes = u32::from_le_bytes([c0, c1, c2, c3]) as usize;
        if version != 2 {
            return Err(CodecError::Unsupported { codec: NAME, what: format!("frame version {version}") });
        }
        if encoded_bytes != input.len() {
            return Err(bad(format!(
                "the header states {encoded_bytes} encoded bytes, there are {}",
                input.len()
            )));
        }
        if item_bytes == 0 || (block_bytes == 0 && decoded_bytes > 0) {
            return Err(bad(format!(
                "the header states items of {item_bytes} and blocks of {block_bytes} bytes"
            )));
        }
        let is_stored = flags & 2 != 0;
        let stream = match flags >> 5 {
            0 => Stream::BloscLz,
            1 => Stream::Lz4,
            3 => Stream::Zlib,
            4 => Stream::Zstd,
            _ if is_stored => Stream::BloscLz, // unused
            2 => return Err(CodecError::Unsupported { codec: NAME, what: "snappy inside".to_owned() }),
            other => return Err(bad(format!("the header states compressor {other}, there is none"))),
        };
        if flags & 8 != 0 {
            return Err(bad("the header has a reserved flag set".to_owned()));
        }
        let item_bytes = usize::from(item_bytes);
        let order = match (flags & 1 != 0, flags & 4 != 0) {
            (true, _) if item_bytes > 1 => Order::Bytes,
            (_, true) if block_bytes >= item_bytes => Order::Bits,
            _ => Order::AsIs,
        };
        let may_split = flags & 0x10 == 0;
        Ok(Self { stream, order, is_stored, may_split, item_bytes, decoded_bytes, block_bytes })
    }

    /// Streams of a block of `len` bytes.
    fn splits(&self, len: usize) -> usize {
        let splits = self.may_split
            && len == self.block_bytes
            && self.item_bytes <= MOST_SPLITS
            && self.block_bytes / self.item_bytes >= FEWEST_SPLIT_ITEMS;
        if splits { self.item_bytes } else { 1 }
    }
}

/// Decodes the frame `input` to the start of `output`.
pub(in crate::codec) fn decode_into(input: &[u8], output: &mut [u8]) -> Result<usize, CodecError> {
    let header = Header::parse(input)?;
    let most = output.len();
    let Some(place) = output.get_mut(..header.decoded_bytes) else {
        let found = format!("{} bytes", header.decoded_bytes);
        return Err(CodecError::Length { codec: NAME, found, expected: most });
    };
    if header.is_stored {
        let content = input.get(HEADER_BYTES..).unwrap_or_default();
        if content.len() != place.len() {
            let what = format!("{} bytes are stored, the header states {}", content.len(), place.len());
            return Err(CodecError::corrupt(NAME, what));
        }
        place.copy_from_slice(content);
        return Ok(place.len());
    }
    let scratch_bytes = match header.order {
        Order::AsIs => 0,
        Order::Bytes | Order::Bits => header.block_bytes.min(header.decoded_bytes),
    };
    with_scratch(scratch_bytes, |scratch| decode_blocks(&header, input, place, scratch))?;
    Ok(header.decoded_bytes)
}

/// Calls `run` with `len` bytes of scratch.
pub(super) fn with_scratch<T>(len: usize, run: impl FnOnce(&mut [u8]) -> T) -> T {
    if len > KEPT_SCRATCH_BYTES {
        let _one_at_a_time = LARGE_SCRATCH.lock().unwrap_or_else(PoisonError::into_inner);
        return run(&mut vec![0; len]);
    }
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < len {
            scratch.resize(len, 0);
        }
        run(scratch.get_mut(..len).unwrap_or_default())
    })
}

fn decode_blocks(
    header: &Header,
    input: &[u8],
    output: &mut [u8],
    scratch: &mut [u8],
) -> Result<(), CodecError> {
    let starts = input.get(HEADER_BYTES..).unwrap_or_default().as_chunks::<4>().0;
    let block_count = header.decoded_bytes.div_ceil(header.block_bytes.max(1));
    if starts.len() < block_count {
        let what = format!("{} bytes cannot hold {block_count} blocks", input.len());
        return Err(CodecError::corrupt(NAME, what));
    }
    for (place, start) in output.chunks_mut(header.block_bytes.max(1)).zip(starts) {
        let start = u32::from_le_bytes(*start) as usize;
        let block = input.get(start..).unwrap_or_default();
        let Some(bytes) = scratch.get_mut(..place.len()).filter(|_| !matches!(header.order, Order::AsIs))
        else {
            decode_streams(header, block, place)?;
            continue;
        };
        decode_streams(header, block, bytes)?;
        if matches!(header.order, Order::Bytes) {
            unshuffle(bytes, place, header.item_bytes)?;
            continue;
        }
        // C-Blosc transposes bits only in blocks of a multiple of eight items; bytes beyond whole items stay.
        let items = place.len() / header.item_bytes;
        let whole = if items.is_multiple_of(8) { items * header.item_bytes } else { 0 };
        bitshuffle::transpose_bits_back(&mut place[..whole], &bytes[..whole], header.item_bytes)?;
        place[whole..].copy_from_slice(&bytes[whole..]);
    }
    Ok(())
}

/// Decodes the streams of one block to exactly fill `output`.
fn decode_streams(header: &Header, block: &[u8], output: &mut [u8]) -> Result<(), CodecError> {
    let short = || CodecError::corrupt(NAME, "a block ends after the frame");
    let splits = header.splits(output.len());
    if !output.len().is_multiple_of(splits) {
        let what = format!("blocks of {} bytes cannot be split in {splits}", output.len());
        return Err(CodecError::corrupt(NAME, what));
    }
    let mut rest = block;
    for place in output.chunks_exact_mut(output.len() / splits) {
        let (len, after) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let (stream, after) = after.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or_else(short)?;
        rest = after;
        if stream.len() == place.len() {
            place.copy_from_slice(stream);
            continue;
        }
        let found = match header.stream {
            Stream::BloscLz => blosclz::decode_into(stream, place)?,
            Stream::Lz4 => lz4::decode_block(NAME, stream, place)?,
            Stream::Zlib => deflate::decode_zlib_into(stream, place)?,
            Stream::Zstd => zstandard::decode_into(stream, place)?,
        };
        if found != place.len() {
            let found = format!("{found} bytes in a block");
            return Err(CodecError::Length { codec: NAME, found, expected: place.len() });
        }
    }
    Ok(())
}
