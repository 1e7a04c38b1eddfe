//! Zstandard frames.
//!
//! Invariants: frames are decoded straight to where their content belongs, so no length or window that a header names
//! takes memory; several frames in a row and frames without a content size are fine. Contexts are kept per thread.
//! Called through [`Codec`](super::Codec) and by blosc and bitshuffle.

use super::CodecError;
use std::cell::RefCell;
use std::io;
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

const NAME: &str = "zstd";

struct Encoder {
    level: i32,
    checksum: bool,
    /// The highest level the context was used with: it holds the memory of that.
    highest: i32,
    compressor: Compressor<'static>,
}

thread_local! {
    static DECODER: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    static ENCODER: RefCell<Option<Encoder>> = const { RefCell::new(None) };
}

/// Levels above this keep no context with the thread: it would be of tens to hundreds of megabytes.
const KEPT_LEVEL: i32 = 9;
/// A context is used for lower levels down to this distance, which blosc's trials stay within; for lower ones it holds
/// more than they say they need, and a fresh one is made.
const MOST_LEVELS_DOWN: i32 = 4;

pub(super) fn decode_into(input: &[u8], output: &mut [u8]) -> Result<usize, CodecError> {
    if input.is_empty() {
        return Err(CodecError::corrupt(NAME, "there are no bytes to decode"));
    }
    let most = output.len();
    DECODER.with_borrow_mut(|slot| {
        let decoder = match slot {
            Some(decoder) => decoder,
            None => slot.insert(Decompressor::new().map_err(failed)?),
        };
        decoder.decompress_to_buffer(input, output).map_err(|error| {
            let text = error.to_string();
            if text.contains("too small") {
                CodecError::too_long(NAME, most)
            } else {
                CodecError::corrupt(NAME, text)
            }
        })
    })
}

pub(super) fn encode_into(
    level: i32,
    checksum: bool,
    input: &[u8],
    output: &mut [u8],
) -> Result<usize, CodecError> {
    ENCODER.with_borrow_mut(|slot| {
        let encoder = match slot.take() {
            Some(encoder) if level >= encoder.highest - MOST_LEVELS_DOWN => encoder,
            _ => {
                let compressor = Compressor::new(level).map_err(failed)?;
                Encoder { level, checksum: false, highest: level, compressor }
            }
        };
        let encoder = slot.insert(encoder);
        if encoder.level != level || encoder.checksum != checksum {
            encoder.compressor.set_parameter(CParameter::CompressionLevel(level)).map_err(failed)?;
            encoder.compressor.set_parameter(CParameter::ChecksumFlag(checksum)).map_err(failed)?;
            (encoder.level, encoder.checksum, encoder.highest) =
                (level, checksum, encoder.highest.max(level));
        }
        let len = encoder.compressor.compress_to_buffer(input, output).map_err(failed);
        if level > KEPT_LEVEL {
            *slot = None;
        }
        len
    })
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn failed(error: io::Error) -> CodecError {
    CodecError::Unsupported { codec: NAME, what: format!("this input ({error})") }
}

/// Zstandard's own bound: a 256th more, and a little for short inputs.
pub(super) const fn encoded_bound(len: u64) -> u64 {
    len.saturating_add(len / 256 + 512)
}

/// What a context holds while it compresses `len` bytes in one go: rounded up from `ZSTD_sizeof_CCtx` of 1.5.7.
pub(super) fn encode_scratch_bytes(level: i32, len: u64) -> u64 {
    const MIB: u64 = 1 << 20;
    let tables = match level {
        // Of 1 MiB or 2 at levels 1 and 2; but blosc's trials may have left the tables of higher ones.
        ..=4 => 4 * MIB,
        5..=9 => 20 * MIB,
        10..=12 => 64 * MIB,
        13..=18 => 128 * MIB,
        19..=20 => 400 * MIB,
        _ => 1100 * MIB,
    };
    // Tables shrink with short inputs: at most 16 bytes an input byte, above what the entropy stage needs.
    tables.min(len.saturating_mul(16).saturating_add(2 * MIB))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_in_a_row_and_without_size_decode() {
        let mut two = zstd::bulk::compress(b"hello ", 1).unwrap();
        let mut stream = zstd::stream::Encoder::new(Vec::new(), 1).unwrap(); // writes no content size
        io::Write::write_all(&mut stream, b"world").unwrap();
        two.extend(stream.finish().unwrap());
        let mut output = [0; 11];
        assert_eq!(decode_into(&two, &mut output).unwrap(), 11);
        assert_eq!(&output, b"hello world");
        assert!(matches!(decode_into(&two, &mut output[..10]), Err(CodecError::Length { expected: 10, .. })));
        assert!(decode_into(&two[..two.len() - 1], &mut output).is_err());
        two.push(0);
        assert!(decode_into(&two, &mut output).is_err());
        assert!(decode_into(&[], &mut output).is_err());
    }

    #[test]
    fn contexts_stay_within_what_is_said() {
        let input: Vec<u8> = (0..24_u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 27) as u8).collect();
        let mut output = vec![0; usize::try_from(encoded_bound(input.len() as u64)).unwrap()];
        for level in [-3, 1, 2, 3, 4, 5, 6, 9] {
            encode_into(level, false, &input, &mut output).unwrap();
            let held =
                ENCODER.with_borrow_mut(|slot| slot.as_mut().unwrap().compressor.context_mut().sizeof());
            let said = encode_scratch_bytes(level, input.len() as u64);
            assert!((held as u64) <= said, "level {level}: {held} > {said}");
        }
    }
}
