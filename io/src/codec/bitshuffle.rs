//! Bit transposition, in blosc's frames and in HDF5's registered filter 32008 (bitshuffle); decoding only.
//!
//! `n` items of `b` bytes are stored as `8 b` rows of `n / 8` bytes: row `8 k + j` holds bit `j` of byte `k` of every
//! item. The filter cuts the chunk into blocks of a multiple of eight items, transposes (and compresses) each, and
//! leaves the last `n % 8` items as they are. Invariant: stated lengths are held against the output before use.
//! Called through [`Codec`](super::Codec) and by blosc.

use super::{CodecError, lz4, unshuffle, zstandard};
use std::fmt;

const NAME: &str = "bitshuffle";

/// What compresses the blocks of the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockCompressor {
    /// Nothing.
    None,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// Parameters of the filter, from its client data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bitshuffle {
    /// Bytes of an item.
    pub item_bytes: usize,
    /// Items of a block, a multiple of 8; 0 stands for the filter's choice. With a compressor the chunk says.
    pub block_items: usize,
    /// What compresses the blocks.
    pub compressor: BlockCompressor,
}

/// Larger blocks than this are refused: the filter chooses 8 KiB.
const LONGEST_BLOCK_BYTES: usize = 4 << 20;

impl Bitshuffle {
    /// Bytes that decoding holds beyond input and output.
    pub(super) const fn decode_scratch_bytes(&self) -> u64 {
        LONGEST_BLOCK_BYTES as u64
    }

    pub(super) fn decode_into(&self, input: &[u8], output: &mut [u8]) -> Result<usize, CodecError> {
        let bad = |what: String| CodecError::corrupt(NAME, what);
        if self.item_bytes == 0 {
            return Err(bad("the filter states items of 0 bytes".to_owned()));
        }
        if self.compressor == BlockCompressor::None {
            let most = output.len();
            let place = output.get_mut(..input.len()).ok_or(CodecError::too_long(NAME, most))?;
            let block_bytes = self.block_bytes(self.block_items)?;
            return self.decode_blocks(block_bytes, input, place).map(|()| input.len());
        }
        let Some((header, rest)) = input.split_first_chunk::<12>() else {
            return Err(bad(format!("{} bytes are too few for the header", input.len())));
        };
        let [t0, t1, t2, t3, t4, t5, t6, t7, b0, b1, b2, b3] = *header;
        let total = u64::from_be_bytes([t0, t1, t2, t3, t4, t5, t6, t7]);
        let block_bytes = u32::from_be_bytes([b0, b1, b2, b3]) as usize;
        let most = output.len();
        let place = usize::try_from(total).ok().and_then(|total| output.get_mut(..total));
        let Some(place) = place else {
            return Err(CodecError::Length { codec: NAME, found: format!("{total} bytes"), expected: most });
        };
        self.decode_blocks(self.block_bytes(block_bytes / self.item_bytes)?, rest, place)?;
        Ok(place.len())
    }

    /// Bytes of a block of `items`, or of the filter's choice.
    fn block_bytes(&self, items: usize) -> Result<usize, CodecError> {
        // bitshuffle's own default: 8 KiB in whole groups of eight items, at least 128 items.
        let items = if items == 0 { (8192 / self.item_bytes / 8 * 8).max(128) } else { items };
        let bytes = items.checked_mul(self.item_bytes).filter(|bytes| *bytes <= LONGEST_BLOCK_BYTES);
        match bytes {
            Some(bytes) if items.is_multiple_of(8) => Ok(bytes),
            _ => {
                let what = format!(
                    "blocks of {items} items of {} bytes are no multiple of 8 items or too long",
                    self.item_bytes
                );
                Err(CodecError::corrupt(NAME, what))
            }
        }
    }

    fn decode_blocks(&self, block_bytes: usize, input: &[u8], output: &mut [u8]) -> Result<(), CodecError> {
        let short = || CodecError::corrupt(NAME, "the blocks end early");
        let group_bytes = 8 * self.item_bytes;
        let whole_bytes = output.len() / group_bytes * group_bytes;
        let (blocks, tail) = output.split_at_mut(whole_bytes);
        let mut rest = input;
        let mut scratch = vec![0; block_bytes.min(whole_bytes)];
        for place in blocks.chunks_mut(block_bytes) {
            let bits = &mut scratch[..place.len()];
            if self.compressor == BlockCompressor::None {
                let (block, after) = rest.split_at_checked(place.len()).ok_or_else(short)?;
                transpose_bits_back(place, block, self.item_bytes)?;
                rest = after;
                continue;
            }
            let (len, after) = rest.split_first_chunk::<4>().ok_or_else(short)?;
            let (block, after) =
                after.split_at_checked(u32::from_be_bytes(*len) as usize).ok_or_else(short)?;
            let found = match self.compressor {
                BlockCompressor::Zstd => zstandard::decode_into(block, bits)?,
                _ => lz4::decode_block(NAME, block, bits)?,
            };
            if found != place.len() {
                let found = format!("{found} bytes in a block");
                return Err(CodecError::Length { codec: NAME, found, expected: place.len() });
            }
            transpose_bits_back(place, bits, self.item_bytes)?;
            rest = after;
        }
        if rest.len() != tail.len() {
            let what = format!("{} bytes follow the last block, {} were expected", rest.len(), tail.len());
            return Err(CodecError::corrupt(NAME, what));
        }
        tail.copy_from_slice(rest);
        Ok(())
    }
}

impl fmt::Display for Bitshuffle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let compressor = match self.compressor {
            BlockCompressor::None => "",
            BlockCompressor::Lz4 => ", lz4",
            BlockCompressor::Zstd => ", zstd",
        };
        write!(f, "bitshuffle({}{compressor})", self.item_bytes)
    }
}

/// Bytes of planes that are worked on at a time, so that they stay in the first-level cache.
const TILE_BYTES: usize = 16 << 10;

/// Gathers the items of `output` from their bit rows in `input`. Both have the same length, a whole number of groups of
/// eight items; what exceeds that is left alone.
///
/// Eight rows make one plane (one byte of every item): in words of eight groups the bits are swapped across the rows,
/// which leaves row `i` with byte `g` being that of item `8 g + i`; two byte unshuffles then put the plane and the items
/// together.
pub(super) fn transpose_bits_back(
    output: &mut [u8],
    input: &[u8],
    item_bytes: usize,
) -> Result<(), CodecError> {
    let row_bytes = input.len() / item_bytes.max(1) / 8;
    let tile_groups = (TILE_BYTES / item_bytes.max(1) / 64 * 8).max(8);
    let mut rows = vec![0; 8 * tile_groups];
    let mut planes = vec![0; 8 * tile_groups * item_bytes];
    for first in (0..row_bytes).step_by(tile_groups.max(1)) {
        let groups = tile_groups.min(row_bytes - first);
        let planes = planes.get_mut(..8 * groups * item_bytes).unwrap_or_default();
        let rows = rows.get_mut(..8 * groups).unwrap_or_default();
        for (byte, plane) in planes.chunks_exact_mut(8 * groups).enumerate() {
            for (bit, row) in rows.chunks_exact_mut(groups).enumerate() {
                let start = (8 * byte + bit) * row_bytes + first;
                row.copy_from_slice(input.get(start..start + groups).unwrap_or_default());
            }
            swap_bits_across_rows(rows, groups);
            unshuffle(rows, plane, 8)?;
        }
        let items = output.get_mut(8 * first * item_bytes..8 * (first + groups) * item_bytes);
        unshuffle(planes, items.unwrap_or_default(), item_bytes)?;
    }
    Ok(())
}

/// Transposes the 8 x 8 bits that the bytes at one place of eight rows of `row_bytes` bytes are, for every place: swaps
/// ever smaller off-diagonal squares (Warren, Hacker's Delight, 7-3).
fn swap_bits_across_rows(rows: &mut [u8], row_bytes: usize) {
    for (distance, mask) in [(4, 0x0f_u8), (2, 0x33), (1, 0x55)] {
        for pair in rows.chunks_exact_mut(2 * distance * row_bytes) {
            let (upper, lower) = pair.split_at_mut(distance * row_bytes);
            for (a, b) in upper.iter_mut().zip(lower) {
                let difference = ((*a >> distance) ^ *b) & mask;
                *b ^= difference;
                *a ^= difference << distance;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, bit by bit.
    fn transpose_bits(input: &[u8], item_bytes: usize) -> Vec<u8> {
        let items = input.len() / item_bytes;
        let mut output = vec![0; input.len()];
        for item in 0..items {
            for bit in 0..8 * item_bytes {
                let value = input[item * item_bytes + bit / 8] >> (bit % 8) & 1;
                output[bit * (items / 8) + item / 8] |= value << (item % 8);
            }
        }
        output
    }

    proptest! {
        #[test]
        fn bit_rows_come_back(item_bytes in 1_usize..20, groups in 1_usize..600, seed in any::<[u8; 16]>()) {
            let content: Vec<u8> =
                (0..8 * groups * item_bytes).map(|i| seed[i % 16].wrapping_mul((i as u8) | 1)).collect();
            let mut back = vec![0; content.len()];
            transpose_bits_back(&mut back, &transpose_bits(&content, item_bytes), item_bytes).unwrap();
            prop_assert_eq!(back, content);
        }

        #[test]
        fn filter_blocks_decode(items in 0_usize..700, compressor in 0..3_usize) {
            let compressor = [BlockCompressor::None, BlockCompressor::Lz4, BlockCompressor::Zstd][compressor];
            let filter = Bitshuffle { item_bytes: 4, block_items: 128, compressor };
            let content: Vec<u8> = (0..items * 4).map(|i| (i / 7) as u8).collect();
            let mut encoded = Vec::new();
            if compressor != BlockCompressor::None {
                encoded.extend((content.len() as u64).to_be_bytes());
                encoded.extend(512_u32.to_be_bytes());
            }
            let (whole, tail) = content.split_at(items / 8 * 32);
            for block in whole.chunks(512) {
                let bits = transpose_bits(block, 4);
                let block = match compressor {
                    BlockCompressor::None => bits,
                    BlockCompressor::Lz4 => lz4_flex::block::compress(&bits),
                    BlockCompressor::Zstd => zstd::bulk::compress(&bits, 1).unwrap(),
                };
                if compressor != BlockCompressor::None {
                    encoded.extend(u32::try_from(block.len()).unwrap().to_be_bytes());
                }
                encoded.extend(block);
            }
            encoded.extend(tail);
            let mut output = vec![0; content.len()];
            prop_assert_eq!(filter.decode_into(&encoded, &mut output).unwrap(), content.len());
            prop_assert_eq!(&output, &content);
            if !encoded.is_empty() && compressor != BlockCompressor::None {
                prop_assert!(filter.decode_into(&encoded[..encoded.len() - 1], &mut output).is_err());
            }
        }
    }
}
