//! JPEG in strips and tiles, as TIFF's second technical note has it: tables of a page once, in a stream of their own, and pieces without.
//!
//! Invariants: a piece has the width it should and ends with its end marker, so that one which was cut short is an error; a panic of
//! the decoder (`zune-jpeg`) is one, too. What JPEG loses is lost: decoders differ by a level or a few. Called by [`super::unpack`].

use super::page::{Colours, Geometry};
use crate::codec::CodecError;
use crate::fence::fenced_decoder;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

const NAME: &str = "TIFF jpeg";
const START: [u8; 2] = [0xff, 0xd8];
const END: [u8; 2] = [0xff, 0xd9];

/// Decodes the piece `input` to the start of `output`, with the tables of its page; the bytes that it has.
///
/// # Errors
/// If it is damaged, has other samples or another width than pieces of `geometry`, or more bytes than `output`.
pub(super) fn decode(
    geometry: &Geometry,
    colours: Colours,
    tables: &[u8],
    input: &[u8],
    output: &mut [u8],
) -> Result<usize, CodecError> {
    let corrupt = |what: String| CodecError::corrupt(NAME, what);
    // Some writers fill up pieces.
    let padding = input.iter().rev().take_while(|byte| **byte == 0).count();
    if !input.get(..input.len() - padding).is_some_and(|input| input.ends_with(&END)) {
        return Err(corrupt("the bytes end before the end of the image".to_owned()));
    }
    let joined;
    let stream = match (tables.strip_suffix(&END), input.strip_prefix(&START)) {
        _ if tables.is_empty() => input,
        (Some(tables), Some(rest)) => {
            joined = [tables, rest].concat();
            &joined
        }
        _ => return Err(corrupt("tables or image do not begin or end as JPEG does".to_owned())),
    };
    fenced_decoder(NAME, || decode_stream(geometry, colours, stream, output))
}

fn decode_stream(
    geometry: &Geometry,
    colours: Colours,
    stream: &[u8],
    output: &mut [u8],
) -> Result<usize, CodecError> {
    let corrupt = |error: DecodeErrors| CodecError::corrupt(NAME, format!("{error:?}"));
    let [width, rows, samples] = [geometry.piece.0, geometry.piece.1, geometry.samples_of_piece()]
        .map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    // RGB, the default, has the decoder choose how to convert when it reads headers; what is asked for later needs no conversion.
    let options = DecoderOptions::default().set_strict_mode(true).set_max_width(width).set_max_height(rows);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(stream), options);
    decoder.decode_headers().map_err(corrupt)?;
    let (Some(info), Some(stored)) = (decoder.info(), decoder.input_colorspace()) else {
        return Err(CodecError::corrupt(NAME, "there is no image"));
    };
    if usize::from(info.width) != width || usize::from(info.components) != samples {
        let (found_width, found) = (info.width, info.components);
        let what =
            format!("an image {found_width} wide of {found} samples, {width} of {samples} were expected");
        return Err(CodecError::corrupt(NAME, what));
    }
    let wanted = match (samples, colours) {
        (1, _) => ColorSpace::Luma,
        (_, Colours::AsStored) => stored,
        (_, Colours::FromYCbCr) if stored == ColorSpace::YCbCr => ColorSpace::RGB,
        (_, Colours::FromYCbCr) => {
            let what = format!("an image that says it is {stored:?} where TIFF says YCbCr");
            return Err(CodecError::Unsupported { codec: NAME, what });
        }
    };
    decoder.set_options(options.jpeg_set_out_colorspace(wanted));
    let bytes = width * samples * usize::from(info.height);
    let room = output.len();
    let place = output.get_mut(..bytes).ok_or_else(|| CodecError::too_long(NAME, room))?;
    place.fill(0);
    decoder.decode_into(place).map_err(corrupt)?;
    Ok(bytes)
}

/// Bytes that decoding a piece holds besides its input, that with tables before it, and its output: coefficients, which are of two
/// bytes, of a progressive image with blocks that reach past its edges, a row of blocks on its way to pixels, the decoder's own tables.
pub(super) fn scratch_bytes(geometry: &Geometry) -> u64 {
    let whole_blocks = |n: u64| n.next_multiple_of(32);
    let elements = [whole_blocks(geometry.piece.1), geometry.samples_of_piece()]
        .into_iter()
        .fold(whole_blocks(geometry.piece.0), u64::saturating_mul);
    let row =
        whole_blocks(geometry.piece.0).saturating_mul(32 * 8).saturating_mul(geometry.samples_of_piece());
    elements.saturating_mul(2).saturating_add(row).saturating_add(128 << 10)
}
