//! LZ4 blocks: numcodecs' form (one block behind its decoded length, little-endian) and HDF5's filter 32004 (blocks of
//! a stated size, big-endian lengths).
//!
//! Invariants: stated lengths are held against the output before they are used. Called through
//! [`Codec`](super::Codec) and by blosc and bitshuffle.

use super::CodecError;
use lz4_flex::block::{compress_into, decompress_into};

const NAME: &str = "lz4";
const HDF5: &str = "HDF5 lz4";

/// Decodes one bare block.
pub(super) fn decode_block(
    codec: &'static str,
    input: &[u8],
    output: &mut [u8],
) -> Result<usize, CodecError> {
    decompress_into(input, output).map_err(|error| CodecError::corrupt(codec, error.to_string()))
}

pub(super) fn decode_into(input: &[u8], output: &mut [u8]) -> Result<usize, CodecError> {
    let Some((header, block)) = input.split_first_chunk::<4>() else {
        return Err(CodecError::corrupt(NAME, format!("{} bytes are too few for the header", input.len())));
    };
    let stated = u32::from_le_bytes(*header) as usize;
    let most = output.len();
    let Some(place) = output.get_mut(..stated) else {
        return Err(CodecError::Length { codec: NAME, found: format!("{stated} bytes"), expected: most });
    };
    let found = if stated == 0 && block.is_empty() { 0 } else { decode_block(NAME, block, place)? };
    if found == stated {
        return Ok(found);
    }
    Err(CodecError::corrupt(NAME, format!("the header states {stated} bytes, the block has {found}")))
}

pub(super) fn encode_into(input: &[u8], output: &mut [u8]) -> Result<usize, CodecError> {
    let unsupported = |what: String| CodecError::Unsupported { codec: NAME, what };
    let stated = i32::try_from(input.len()).map_err(|_| unsupported(format!("{} bytes", input.len())))?;
    let Some((header, block)) = output.split_first_chunk_mut::<4>() else {
        return Err(unsupported("an output without room".to_owned()));
    };
    *header = stated.to_le_bytes();
    Ok(4 + compress_into(input, block).map_err(|error| unsupported(error.to_string()))?)
}

pub(super) fn decode_hdf5_into(input: &[u8], output: &mut [u8]) -> Result<usize, CodecError> {
    let Some((total, rest)) = input.split_first_chunk::<8>() else {
        return Err(CodecError::corrupt(HDF5, format!("{} bytes are too few for the header", input.len())));
    };
    let most = output.len();
    let total = u64::from_be_bytes(*total);
    let place = usize::try_from(total).ok().and_then(|total| output.get_mut(..total));
    let Some(place) = place else {
        return Err(CodecError::Length { codec: HDF5, found: format!("{total} bytes"), expected: most });
    };
    decode_blocks(rest, place)?;
    Ok(place.len())
}

/// Decodes a block size and then blocks with their lengths, all big-endian 32-bit, to exactly fill `output`. A block
/// as long as its content is stored as is.
fn decode_blocks(input: &[u8], output: &mut [u8]) -> Result<(), CodecError> {
    let short = || CodecError::corrupt(HDF5, "the blocks end early");
    let (block_bytes, mut rest) = input.split_first_chunk::<4>().ok_or_else(short)?;
    let block_bytes = u32::from_be_bytes(*block_bytes) as usize;
    if block_bytes == 0 {
        return Err(CodecError::corrupt(HDF5, "the header states blocks of 0 bytes"));
    }
    for place in output.chunks_mut(block_bytes) {
        let (len, after) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let (block, after) = after.split_at_checked(u32::from_be_bytes(*len) as usize).ok_or_else(short)?;
        if block.len() == place.len() {
            place.copy_from_slice(block);
        } else {
            let found = decode_block(HDF5, block, place)?;
            if found != place.len() {
                let expected = place.len();
                return Err(CodecError::Length {
                    codec: HDF5,
                    found: format!("{found} bytes in a block"),
                    expected,
                });
            }
        }
        rest = after;
    }
    if rest.is_empty() { Ok(()) } else { Err(CodecError::corrupt(HDF5, "other bytes follow the last block")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hdf5_blocks_decode_as_stored_or_compressed() {
        let content: Vec<u8> = [[7_u8; 100], std::array::from_fn(|i| i as u8)].concat();
        let mut encoded = 200_u64.to_be_bytes().to_vec();
        encoded.extend(100_u32.to_be_bytes());
        let first = lz4_flex::block::compress(&content[..100]);
        encoded.extend(u32::try_from(first.len()).unwrap().to_be_bytes());
        encoded.extend(&first);
        encoded.extend(100_u32.to_be_bytes());
        encoded.extend(&content[100..]);
        let mut output = [0; 200];
        assert_eq!(decode_hdf5_into(&encoded, &mut output).unwrap(), 200);
        assert_eq!(output[..], content);
        assert!(decode_hdf5_into(&encoded, &mut output[..199]).is_err());
        assert!(decode_hdf5_into(&encoded[..encoded.len() - 1], &mut output).is_err());
        encoded[8..12].fill(0);
        assert!(decode_hdf5_into(&encoded, &mut output).is_err());
    }

    #[test]
    fn a_lying_header_takes_no_memory() {
        let mut output = [0; 10];
        assert!(matches!(decode_into(&[255, 255, 255, 255, 0], &mut output), Err(CodecError::Length { .. })));
    }
}
