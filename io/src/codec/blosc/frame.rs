//! Decoding a frame.
//!
//! Invariants: as in [`super`]; scratch is one block, kept with the thread up to 4 MiB. Blocks larger than that (only
//! an explicit block size makes them; Blosc's own choice ends at 1 MiB) are decoded one at a time in the process, so
//! that the scratch that tasks declare stays small. Called by [`Codec`](crate::codec::Codec), and block by block, through
//! [`FrameIndex`], by sources that serve parts of a chunk.

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
pub(crate) fn decode_scratch_bytes(len: u64) -> u64 {
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
    /// The header at the start of `input`, of a frame of `frame_bytes`.
    fn parse(input: &[u8], frame_bytes: usize) -> Result<Self, CodecError> {
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
        if encoded_bytes != frame_bytes {
            return Err(bad(format!(
                "the header states {encoded_bytes} encoded bytes, there are {frame_bytes}"
            )));
        }
        // C-Blosc never writes blocks longer than the content, and refuses them: the header is damaged.
        if item_bytes == 0 || (decoded_bytes > 0 && !(1..=decoded_bytes).contains(&block_bytes)) {
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

    /// Blocks of the frame.
    const fn block_count(&self) -> usize {
        if self.block_bytes == 0 { 0 } else { self.decoded_bytes.div_ceil(self.block_bytes) }
    }

    /// Bytes of scratch for decoding a block.
    fn scratch_bytes(&self) -> usize {
        match self.order {
            Order::AsIs => 0,
            Order::Bytes | Order::Bits => self.block_bytes.min(self.decoded_bytes),
        }
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

/// Where the blocks of a frame are, so that they can be read and decoded one by one.
pub(crate) struct FrameIndex {
    header: Header,
    /// Per block, where it starts in the frame and where the bytes that may be its own end.
    places: Vec<(u32, u32)>,
}

impl FrameIndex {
    /// Bytes at the start of a frame of `block_count` blocks that [`parse`](Self::parse) needs.
    pub(crate) const fn head_bytes(block_count: usize) -> usize {
        HEADER_BYTES + 4 * block_count
    }

    /// Blocks of the frame of `frame_bytes` that starts with `head`, and their length in bytes.
    ///
    /// # Errors
    /// If this is no header of such a frame.
    pub(crate) fn blocks(head: &[u8], frame_bytes: usize) -> Result<(usize, usize), CodecError> {
        let header = Header::parse(head, frame_bytes)?;
        // Stored frames have no table.
        Ok((if header.is_stored { 0 } else { header.block_count() }, header.block_bytes))
    }

    /// The index of the frame of `frame_bytes`, of `decoded_bytes` decoded, that starts with `head`.
    ///
    /// # Errors
    /// If header or table are not those of such a frame.
    pub(crate) fn parse(head: &[u8], frame_bytes: usize, decoded_bytes: usize) -> Result<Self, CodecError> {
        let header = Header::parse(head, frame_bytes)?;
        if header.decoded_bytes != decoded_bytes {
            let found = format!("{} bytes", header.decoded_bytes);
            return Err(CodecError::Length { codec: NAME, found, expected: decoded_bytes });
        }
        let bad = |what: String| CodecError::corrupt(NAME, what);
        if header.is_stored {
            return if frame_bytes == HEADER_BYTES + decoded_bytes {
                Ok(Self { header, places: Vec::new() })
            } else {
                Err(bad(format!("{frame_bytes} bytes cannot hold {decoded_bytes} stored ones")))
            };
        }
        let (table, _) = head.get(HEADER_BYTES..).unwrap_or_default().as_chunks::<4>();
        let Some(table) = table.get(..header.block_count()) else {
            return Err(bad(format!("{} bytes cannot hold {} blocks", head.len(), header.block_count())));
        };
        // Several threads may have written the blocks in any order: one ends where the next begins, wherever that is.
        let mut starts: Vec<u32> = table.iter().map(|start| u32::from_le_bytes(*start)).collect();
        let own = starts.clone();
        starts.sort_unstable();
        let end = u32::try_from(frame_bytes).map_err(|_| bad("a frame of more than 4 GiB".to_owned()))?;
        let next = |start: u32| starts.get(starts.partition_point(|other| *other <= start)).copied();
        let places: Vec<(u32, u32)> = own.iter().map(|&start| (start, next(start).unwrap_or(end))).collect();
        match places
            .iter()
            .find(|(start, after)| (*start as usize) < HEADER_BYTES || start >= after || *after > end)
        {
            Some((start, _)) => Err(bad(format!("a block starts at {start}, the frame has {end} bytes"))),
            None => Ok(Self { header, places }),
        }
    }

    /// Decoded bytes of each block but the last.
    pub(crate) const fn block_bytes(&self) -> usize {
        self.header.block_bytes
    }

    /// Where decoded bytes are as they are, if they are: frames whose content did not shrink.
    pub(crate) fn stored_at(&self) -> Option<usize> {
        self.header.is_stored.then_some(HEADER_BYTES)
    }

    /// Where block `block` lies in the frame.
    pub(crate) fn place(&self, block: usize) -> Option<std::ops::Range<usize>> {
        self.places.get(block).map(|(start, end)| *start as usize..*end as usize)
    }

    /// Decodes a block from its `bytes` to exactly fill `output`, which is as long as the block.
    ///
    /// # Errors
    /// If the bytes are corrupt.
    pub(crate) fn decode(&self, bytes: &[u8], output: &mut [u8]) -> Result<(), CodecError> {
        with_scratch(self.header.scratch_bytes(), |scratch| {
            decode_block(&self.header, bytes, output, scratch)
        })
    }
}

/// Decodes the frame `input` to the start of `output`.
pub(in crate::codec) fn decode_into(input: &[u8], output: &mut [u8]) -> Result<usize, CodecError> {
    let header = Header::parse(input, input.len())?;
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
    with_scratch(header.scratch_bytes(), |scratch| decode_blocks(&header, input, place, scratch))?;
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
    let block_count = header.block_count();
    if starts.len() < block_count {
        let what = format!("{} bytes cannot hold {block_count} blocks", input.len());
        return Err(CodecError::corrupt(NAME, what));
    }
    for (place, start) in output.chunks_mut(header.block_bytes.max(1)).zip(starts) {
        let start = u32::from_le_bytes(*start) as usize;
        decode_block(header, input.get(start..).unwrap_or_default(), place, scratch)?;
    }
    Ok(())
}

/// Decodes one block to exactly fill `place`.
fn decode_block(
    header: &Header,
    block: &[u8],
    place: &mut [u8],
    scratch: &mut [u8],
) -> Result<(), CodecError> {
    let Some(bytes) = scratch.get_mut(..place.len()).filter(|_| !matches!(header.order, Order::AsIs)) else {
        return decode_streams(header, block, place);
    };
    decode_streams(header, block, bytes)?;
    if matches!(header.order, Order::Bytes) {
        unshuffle(bytes, place, header.item_bytes)?;
        return Ok(());
    }
    // C-Blosc transposes bits only in blocks of a multiple of eight items; bytes beyond whole items stay.
    let items = place.len() / header.item_bytes;
    let whole = if items.is_multiple_of(8) { items * header.item_bytes } else { 0 };
    bitshuffle::transpose_bits_back(&mut place[..whole], &bytes[..whole], header.item_bytes)?;
    place[whole..].copy_from_slice(&bytes[whole..]);
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
