//! LZF as h5py's filter 32000 writes it; decoding only.
//!
//! The format, from Marc Lehmann's description of LibLZF: a control byte below 32 is followed by that many bytes and
//! one more, copied as they are; else its upper three bits (7: a byte with more follows) plus 2 say how many bytes to
//! repeat, its lower five bits and the next byte how far back they start, less one. Invariant: no reference leaves the
//! decoded bytes. Called through [`Codec`](super::Codec).

use super::CodecError;

const NAME: &str = "lzf";

pub(super) fn decode_into(input: &[u8], output: &mut [u8]) -> Result<usize, CodecError> {
    let short = || CodecError::corrupt(NAME, "the bytes end early");
    let most = output.len();
    let (mut rest, mut at) = (input, 0_usize);
    while let Some((&control, after)) = rest.split_first() {
        rest = after;
        if control < 32 {
            let (literal, after) = rest.split_at_checked(usize::from(control) + 1).ok_or_else(short)?;
            let place = output.get_mut(at..at + literal.len()).ok_or(CodecError::too_long(NAME, most))?;
            place.copy_from_slice(literal);
            at += literal.len();
            rest = after;
            continue;
        }
        let mut len = usize::from(control >> 5) + 2;
        if len == 9 {
            let (&more, after) = rest.split_first().ok_or_else(short)?;
            len += usize::from(more);
            rest = after;
        }
        let (&low, after) = rest.split_first().ok_or_else(short)?;
        rest = after;
        let back = (usize::from(control & 31) << 8 | usize::from(low)) + 1;
        repeat(output, at, back, len).ok_or_else(|| match at.checked_sub(back) {
            None => CodecError::corrupt(NAME, format!("a reference {back} bytes back after only {at} bytes")),
            Some(_) => CodecError::too_long(NAME, most),
        })?;
        at += len;
    }
    Ok(at)
}

/// Copies `len` bytes from `back` bytes before `at` to `at`, where the two may overlap; `None` if they leave `output`.
pub(super) fn repeat(output: &mut [u8], at: usize, back: usize, len: usize) -> Option<()> {
    let start = at.checked_sub(back)?;
    let window = output.get_mut(start..at.checked_add(len)?)?;
    if back >= len {
        window.copy_within(..len, back);
    } else if back == 1 {
        let (&mut first, run) = window.split_first_mut()?;
        run.fill(first);
    } else if back == 0 {
        return None;
    } else {
        // Each round doubles the stretch that is known to repeat.
        let mut known = back;
        while known < window.len() {
            let count = known.min(window.len() - known);
            window.copy_within(..count, known);
            known += count;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_runs_and_overlaps() {
        // "abc", then 9 bytes from 3 back, then 12 from 1 back.
        let encoded = [2, b'a', b'b', b'c', 7 << 5, 0, 2, 7 << 5, 3, 0];
        let mut output = [0; 24];
        assert_eq!(decode_into(&encoded, &mut output).unwrap(), 24);
        assert_eq!(&output, b"abcabcabcabccccccccccccc");
        for cut in 1..encoded.len() {
            if cut != 4 && cut != 7 {
                assert!(decode_into(&encoded[..cut], &mut output).is_err(), "{cut}");
            }
        }
        assert!(matches!(decode_into(&encoded, &mut output[..23]), Err(CodecError::Length { .. })));
        assert!(decode_into(&[0, b'a', 1 << 5, 1], &mut output).is_err(), "before the start");
    }
}
