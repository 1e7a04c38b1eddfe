//! bzip2 streams, in pure Rust.
//!
//! Invariant: the output is never longer than the place it is given; several streams in a row are fine, other bytes
//! after them are an error. Called through [`Codec`](super::Codec).

use super::CodecError;
use bzip2::Compression;
use bzip2::bufread::MultiBzDecoder;
use bzip2::read::BzEncoder;
use std::io::Read;

const NAME: &str = "bz2";

pub(super) fn decode_into(input: &[u8], output: &mut [u8]) -> Result<usize, CodecError> {
    if input.is_empty() {
        return Err(CodecError::corrupt(NAME, "there are no bytes to decode"));
    }
    let mut streams = MultiBzDecoder::new(input);
    let filled = fill(&mut streams, output)?;
    if filled == output.len() && fill(&mut streams, &mut [0])? != 0 {
        return Err(CodecError::too_long(NAME, output.len()));
    }
    Ok(filled)
}

fn fill(reader: &mut impl Read, output: &mut [u8]) -> Result<usize, CodecError> {
    let mut filled = 0;
    while let Some(rest) = output.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) => return Err(CodecError::corrupt(NAME, format!("after {filled} bytes: {error}"))),
        }
    }
    Ok(filled)
}

pub(super) fn encode_into(level: u32, input: &[u8], output: &mut [u8]) -> Result<usize, CodecError> {
    if !(1..=9).contains(&level) {
        return Err(CodecError::Unsupported {
            codec: NAME,
            what: format!("level {level} (levels are 1 to 9)"),
        });
    }
    fill(&mut BzEncoder::new(input, Compression::new(level)), output)
}
