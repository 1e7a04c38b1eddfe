//! Decoding blosclz, Blosc's own compressor, in safe Rust.
//!
//! The format (FastLZ's level 2, but for the last case): a control byte below 32 is followed by that many bytes and
//! one more, copied as they are. Else its upper three bits plus 2 are a length (7: bytes are added to it up to and
//! with the first below 255), its lower five bits and the byte that follows the length, less one, a distance. Where
//! those thirteen bits are all ones, two bytes follow that hold a distance beyond. In the first control byte the upper
//! three bits mean nothing. Invariant: no reference leaves the decoded bytes. Called by the frame decoder.

use crate::codec::{CodecError, lzf};

const NAME: &str = "blosclz";
/// The distance of thirteen ones: longer ones are stored in two more bytes, less this.
const NEAR: usize = 8191;

pub(super) fn decode_into(input: &[u8], output: &mut [u8]) -> Result<usize, CodecError> {
    let most = output.len();
    let short = || CodecError::corrupt(NAME, "the bytes end early");
    let mut cursor = Cursor { rest: input };
    let mut at = 0_usize;
    let Some(first) = cursor.byte() else { return Ok(0) };
    let mut control = first & 31;
    loop {
        if control < 32 {
            let literal = cursor.take(usize::from(control) + 1).ok_or_else(short)?;
            let place = output.get_mut(at..at + literal.len()).ok_or(CodecError::too_long(NAME, most))?;
            place.copy_from_slice(literal);
            at += literal.len();
        } else {
            let mut len = usize::from(control >> 5) + 2;
            if len == 9 {
                loop {
                    let more = cursor.byte().ok_or_else(short)?;
                    len += usize::from(more); // at most 255 times the input's length
                    if more < 255 {
                        break;
                    }
                }
            }
            let low = cursor.byte().ok_or_else(short)?;
            let mut back = (usize::from(control & 31) << 8 | usize::from(low)) + 1;
            if back == NEAR + 1 {
                let far = cursor.take(2).ok_or_else(short)?;
                back += far.iter().fold(0, |far, byte| far << 8 | usize::from(*byte));
            }
            lzf::repeat(output, at, back, len)
                .ok_or_else(|| CodecError::corrupt(NAME, "a reference leaves the decoded bytes"))?;
            at += len;
        }
        match cursor.byte() {
            Some(byte) => control = byte,
            None => return Ok(at),
        }
    }
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }
}
