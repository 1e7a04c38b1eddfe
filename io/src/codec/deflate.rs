//! gzip members and zlib streams, by libdeflate.
//!
//! Invariants: the checksum in the trailer is verified; bytes after the last member or the stream are an error; the
//! output is never longer than the place it is given. libdeflate decodes one member and does not say where it ended,
//! so the trailer is looked for at the end of the input; only where it is not there (several members, or garbage) does
//! a slower decoder find out. Contexts are kept per thread. Called through [`Codec`](super::Codec) and by blosc.

use super::CodecError;
use flate2::bufread::MultiGzDecoder;
use libdeflater::{CompressionLvl, Compressor, DecompressionError, Decompressor, adler32, crc32};
use std::cell::RefCell;
use std::io::Read;

const GZIP: &str = "gzip";
const ZLIB: &str = "zlib";

thread_local! {
    static DECODER: RefCell<Decompressor> = RefCell::new(Decompressor::new());
    static ENCODER: RefCell<Option<(u32, Compressor)>> = const { RefCell::new(None) };
}

pub(super) fn decode_gzip_into(input: &[u8], output: &mut [u8]) -> Result<usize, CodecError> {
    let len = DECODER
        .with_borrow_mut(|decoder| decoder.gzip_decompress(input, output))
        .map_err(|error| decode_error(GZIP, &error, output.len()))?;
    let decoded = &output[..len];
    let ends_here = input.split_last_chunk::<8>().is_some_and(|(_, trailer)| {
        let [c0, c1, c2, c3, l0, l1, l2, l3] = *trailer;
        #[expect(clippy::cast_possible_truncation, reason = "the trailer holds the length modulo 2^32")]
        let same_len = u32::from_le_bytes([l0, l1, l2, l3]) == len as u32;
        same_len && u32::from_le_bytes([c0, c1, c2, c3]) == crc32(decoded)
    });
    if ends_here { Ok(len) } else { decode_members_into(input, output) }
}

/// Decodes several members.
fn decode_members_into(input: &[u8], output: &mut [u8]) -> Result<usize, CodecError> {
    let mut members = MultiGzDecoder::new(input);
    let mut filled = 0;
    loop {
        let mut beyond = [0];
        let full = filled == output.len();
        let place = if full { &mut beyond[..] } else { &mut output[filled..] };
        match members.read(place) {
            Ok(0) => return Ok(filled),
            Ok(_) if full => return Err(CodecError::too_long(GZIP, output.len())),
            Ok(count) => filled += count,
            Err(error) => {
                let what =
                    format!("after {filled} bytes: {error}; the bytes are damaged, or others follow them");
                return Err(CodecError::corrupt(GZIP, what));
            }
        }
    }
}

pub(super) fn decode_zlib_into(input: &[u8], output: &mut [u8]) -> Result<usize, CodecError> {
    let len = DECODER
        .with_borrow_mut(|decoder| decoder.zlib_decompress(input, output))
        .map_err(|error| decode_error(ZLIB, &error, output.len()))?;
    let trailer = input.last_chunk().map(|trailer| u32::from_be_bytes(*trailer));
    if trailer != Some(adler32(&output[..len])) {
        return Err(CodecError::corrupt(ZLIB, "other bytes follow the compressed stream"));
    }
    Ok(len)
}

fn decode_error(codec: &'static str, error: &DecompressionError, most: usize) -> CodecError {
    match error {
        DecompressionError::InsufficientSpace => CodecError::too_long(codec, most),
        DecompressionError::BadData => {
            CodecError::corrupt(codec, "the compressed bytes are damaged or cut short (or their checksum is)")
        }
    }
}

pub(super) fn encode_gzip_into(level: u32, input: &[u8], output: &mut [u8]) -> Result<usize, CodecError> {
    encode(GZIP, level, |compressor| compressor.gzip_compress(input, output))
}

pub(super) fn encode_zlib_into(level: u32, input: &[u8], output: &mut [u8]) -> Result<usize, CodecError> {
    encode(ZLIB, level, |compressor| compressor.zlib_compress(input, output))
}

fn encode(
    codec: &'static str,
    level: u32,
    run: impl FnOnce(&mut Compressor) -> Result<usize, libdeflater::CompressionError>,
) -> Result<usize, CodecError> {
    let unsupported = |what| CodecError::Unsupported { codec, what };
    ENCODER.with_borrow_mut(|slot| {
        let mut encoder = match slot.take() {
            Some((kept, encoder)) if kept == level => encoder,
            _ => {
                let bad_level = |_| unsupported(format!("level {level} (levels are 0 to 9)"));
                let checked = i32::try_from(level).map_err(|_| unsupported(format!("level {level}")))?;
                Compressor::new(CompressionLvl::new(checked).map_err(bad_level)?)
            }
        };
        let len = run(&mut encoder).map_err(|error| unsupported(format!("this input ({error})")));
        *slot = Some((level, encoder));
        len
    })
}

/// What libdeflate's compressor takes: hash chains up to level 9, graphs of the near-optimal parser above.
pub(super) const fn encode_scratch_bytes(level: u32) -> u64 {
    if level <= 9 { 2 << 20 } else { 10 << 20 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut output = vec![0; content.len() + 100];
        let len = encode_gzip_into(6, content, &mut output).unwrap();
        output.truncate(len);
        output
    }

    #[test]
    fn several_members_decode_and_garbage_does_not() {
        let mut members = gzip(b"hello ");
        members.extend(gzip(b""));
        members.extend(gzip(b"world"));
        let mut output = [0; 11];
        assert_eq!(decode_gzip_into(&members, &mut output).unwrap(), 11);
        assert_eq!(&output, b"hello world");
        assert!(matches!(decode_gzip_into(&members, &mut output[..10]), Err(CodecError::Length { .. })));
        let mut garbage = gzip(b"hello");
        garbage.extend(b"garbage!");
        assert!(decode_gzip_into(&garbage, &mut output).is_err());
        let mut flipped = gzip(b"hello");
        let end = flipped.len() - 6;
        flipped[end] ^= 1;
        assert!(decode_gzip_into(&flipped, &mut output).is_err());
    }

    #[test]
    fn bytes_after_a_zlib_stream_are_an_error() {
        let mut encoded = vec![0; 100];
        let len = encode_zlib_into(1, b"hello", &mut encoded).unwrap();
        encoded.truncate(len);
        let mut output = [0; 5];
        assert_eq!(decode_zlib_into(&encoded, &mut output).unwrap(), 5);
        encoded.push(0);
        assert!(decode_zlib_into(&encoded, &mut output).is_err());
        assert!(encode_zlib_into(13, b"x", &mut encoded).is_err());
    }
}
