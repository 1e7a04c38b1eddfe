//! The bytes of a strip or tile as elements: decompressed, in the machine's order, differences undone.
//!
//! Invariant: no more bytes are written than were asked for, whatever the input. LZW is `weezl`'s, PackBits ours, JPEG in
//! [`super::jpeg`], the others those of [`crate::codec`]. Called by [`super::source`].

use super::jpeg;
use super::page::{Compression, Geometry, Predictor};
use crate::codec::{Codec, CodecError};
use blockwise_kernels::byteswap;
use weezl::decode::Decoder;
use weezl::{BitOrder, LzwStatus};

/// Decodes `input`, a strip or tile of `geometry`, to the start of `output`, at least `wanted` bytes of it; `tables` are those of the
/// page's JPEGs.
///
/// # Errors
/// If the input is damaged, or decodes to less, or to more than `output` holds and the code does not end by itself.
pub(super) fn decompress(
    geometry: &Geometry,
    tables: &[u8],
    input: &[u8],
    output: &mut [u8],
    wanted: usize,
) -> Result<(), CodecError> {
    let found = match geometry.compression {
        Compression::None => {
            let len = input.len().min(output.len());
            let (to, from) =
                (output.get_mut(..len).unwrap_or_default(), input.get(..len).unwrap_or_default());
            to.copy_from_slice(from);
            len
        }
        Compression::Lzw => lzw(input, output)?,
        Compression::PackBits => pack_bits(input, output)?,
        Compression::Deflate => Codec::Zlib { level: 1 }.decode_into(input, output)?,
        Compression::Zstd => Codec::Zstd { level: 1, checksum: false }.decode_into(input, output)?,
        Compression::Jpeg(colours) => jpeg::decode(geometry, colours, tables, input, output)?,
    };
    if found < wanted {
        let codec = name(geometry.compression);
        return Err(CodecError::Length { codec, found: format!("{found} bytes"), expected: wanted });
    }
    Ok(())
}

pub(super) const fn name(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "TIFF without compression",
        Compression::Lzw => "TIFF lzw",
        Compression::Deflate => "TIFF deflate",
        Compression::PackBits => "TIFF packbits",
        Compression::Zstd => "TIFF zstd",
        Compression::Jpeg(_) => "TIFF jpeg",
    }
}

fn lzw(input: &[u8], output: &mut [u8]) -> Result<usize, CodecError> {
    let mut decoder = Decoder::with_tiff_size_switch(BitOrder::Msb, 8);
    let (mut read, mut filled) = (0, 0);
    while filled < output.len() {
        let step = decoder.decode_bytes(
            input.get(read..).unwrap_or_default(),
            output.get_mut(filled..).unwrap_or_default(),
        );
        read += step.consumed_in;
        filled += step.consumed_out;
        match step.status {
            Ok(LzwStatus::Ok) if step.consumed_in + step.consumed_out > 0 => {}
            Ok(_) => break,
            Err(error) => return Err(CodecError::corrupt("TIFF lzw", error.to_string())),
        }
    }
    Ok(filled)
}

/// Runs: a count below 128 and as many bytes and one; above, one byte that is repeated 257 less the count.
fn pack_bits(mut input: &[u8], output: &mut [u8]) -> Result<usize, CodecError> {
    let mut filled = 0;
    let cut_short = || CodecError::corrupt("TIFF packbits", "the bytes end within a run");
    while filled < output.len() {
        let Some((count, rest)) = input.split_first() else { break };
        let room = output.get_mut(filled..).unwrap_or_default();
        input = rest;
        match usize::from(*count) {
            count @ 0..128 => {
                let run = rest.get(..=count).ok_or_else(cut_short)?;
                let len = run.len().min(room.len());
                room.iter_mut().zip(run).for_each(|(to, from)| *to = *from);
                input = rest.get(count + 1..).unwrap_or_default();
                filled += len;
            }
            128 => {}
            count => {
                let (byte, after) = rest.split_first().ok_or_else(cut_short)?;
                let len = (257 - count).min(room.len());
                room.iter_mut().take(len).for_each(|to| *to = *byte);
                input = after;
                filled += len;
            }
        }
    }
    Ok(filled)
}

/// Makes rows of packed bits, most significant first, elements of their own: bool, bytes or 16-bit integers.
pub(super) fn unpack_bits(geometry: &Geometry, bits: u8, packed: &[u8], output: &mut [u8]) {
    let [from_bytes, to_bytes] = [geometry.packed_row_bytes(), geometry.row_bytes()]
        .map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX).max(1));
    let size = geometry.dtype.size();
    for (from, to) in packed.chunks_exact(from_bytes).zip(output.chunks_exact_mut(to_bytes)) {
        // Bits that were read and not yet given out, at the low end.
        let (mut held, mut count) = (0_u32, 0_u8);
        let mut from = from.iter();
        for element in to.chunks_exact_mut(size) {
            while count < bits {
                held = held << 8 | u32::from(from.next().copied().unwrap_or(0));
                count += 8;
            }
            count -= bits;
            let value = (held >> count) & ((1 << bits) - 1);
            match element {
                [byte] => *byte = value as u8,
                wide => wide.copy_from_slice(&(value as u16).to_ne_bytes()),
            }
        }
    }
}

/// Makes decompressed rows of a piece elements in the machine's order.
///
/// # Errors
/// Never in practice: lengths agree.
pub(super) fn restore(geometry: &Geometry, is_swapped: bool, bytes: &mut [u8]) -> Result<(), CodecError> {
    let dtype = geometry.dtype;
    let row = usize::try_from(geometry.row_bytes()).unwrap_or(usize::MAX).max(1);
    let samples = usize::try_from(geometry.samples_of_piece()).unwrap_or(1).max(1);
    if geometry.packed_bits.is_some() {
        return Ok(()); // bits have one order only
    }
    if geometry.predictor == Predictor::Float {
        let mut planes = vec![0; row];
        for row in bytes.chunks_exact_mut(row) {
            for at in samples..row.len() {
                row[at] = row[at].wrapping_add(row[at - samples]);
            }
            planes.copy_from_slice(row);
            let count = row.len() / dtype.size();
            for (at, element) in row.chunks_exact_mut(dtype.size()).enumerate() {
                // The most significant bytes of all elements come first, whatever the file's order.
                for (n, byte) in element.iter_mut().enumerate() {
                    let place = if cfg!(target_endian = "big") { n } else { dtype.size() - 1 - n };
                    *byte = planes[place * count + at];
                }
            }
        }
        return Ok(());
    }
    if is_swapped {
        byteswap::swap(bytes, dtype.swap_unit())
            .map_err(|error| CodecError::corrupt(name(geometry.compression), error.to_string()))?;
    }
    if geometry.predictor == Predictor::Horizontal {
        for row in bytes.chunks_exact_mut(row) {
            match dtype.size() {
                1 => add_up::<1>(row, samples, |a, b| [a[0].wrapping_add(b[0])]),
                2 => add_up::<2>(row, samples, |a, b| {
                    u16::from_ne_bytes(a).wrapping_add(u16::from_ne_bytes(b)).to_ne_bytes()
                }),
                4 => add_up::<4>(row, samples, |a, b| {
                    u32::from_ne_bytes(a).wrapping_add(u32::from_ne_bytes(b)).to_ne_bytes()
                }),
                _ => add_up::<8>(row, samples, |a, b| {
                    u64::from_ne_bytes(a).wrapping_add(u64::from_ne_bytes(b)).to_ne_bytes()
                }),
            }
        }
    }
    Ok(())
}

/// Adds to each element the one `samples` before.
fn add_up<const N: usize>(row: &mut [u8], samples: usize, add: impl Fn([u8; N], [u8; N]) -> [u8; N]) {
    let (elements, _) = row.as_chunks_mut::<N>();
    for at in samples..elements.len() {
        elements[at] = add(elements[at], elements[at - samples]);
    }
}

/// Bytes that decoding a piece holds besides its input and its output.
pub(super) fn scratch_bytes(geometry: &Geometry) -> u64 {
    let packed =
        geometry.packed_bits.map_or(0, |_| geometry.packed_row_bytes().saturating_mul(geometry.piece.1));
    let own = match geometry.compression {
        Compression::Jpeg(_) => jpeg::scratch_bytes(geometry),
        Compression::Deflate | Compression::Zstd => 256 << 10,
        Compression::Lzw => 64 << 10,
        Compression::None | Compression::PackBits => 0,
    };
    let row = if geometry.predictor == Predictor::Float { geometry.row_bytes() } else { 0 };
    row.saturating_add(packed).saturating_add(own)
}

#[cfg(test)]
mod tests {
    use super::super::page::Colours;
    use super::*;
    use blockwise_kernels::DType;
    use proptest::prelude::*;

    fn geometry(dtype: DType, predictor: Predictor, width: u64, samples: u64) -> Geometry {
        Geometry {
            width,
            height: 1,
            samples,
            is_planar: false,
            dtype,
            packed_bits: None,
            compression: Compression::Lzw,
            predictor,
            piece: (width, 1),
            is_tiled: false,
        }
    }

    fn stored(compression: Compression, width: u64) -> Geometry {
        Geometry { compression, ..geometry(DType::U8, Predictor::None, width, 1) }
    }

    #[test]
    fn bits_become_elements() {
        let mut out = [9; 10];
        let mut rows = Geometry { packed_bits: Some(1), ..geometry(DType::Bool, Predictor::None, 5, 1) };
        assert_eq!(rows.packed_row_bytes(), 1);
        unpack_bits(&rows, 1, &[0b1010_1111, 0b0101_1000], &mut out);
        assert_eq!(out, [1, 0, 1, 0, 1, 0, 1, 0, 1, 1]);
        rows = Geometry { packed_bits: Some(12), ..geometry(DType::U16, Predictor::None, 3, 1) };
        assert_eq!(rows.packed_row_bytes(), 5);
        let mut wide = [0; 6];
        unpack_bits(&rows, 12, &[0xab, 0xcd, 0xef, 0x12, 0x3f], &mut wide);
        assert_eq!(wide, [0xabc_u16, 0xdef, 0x123].map(u16::to_ne_bytes).as_flattened());
        rows = Geometry { packed_bits: Some(15), ..geometry(DType::U16, Predictor::None, 2, 1) };
        let mut wide = [0; 4];
        unpack_bits(&rows, 15, &[0xff, 0xff, 0x00, 0x04], &mut wide);
        assert_eq!(wide, [0x7fff_u16, 0x4001].map(u16::to_ne_bytes).as_flattened());
    }

    #[test]
    fn runs_of_bytes() {
        // The example of Apple's Technical Note TN1023.
        let packed = [0xfe, 0xaa, 2, 0x80, 0, 0x2a, 0xfd, 0xaa, 3, 0x80, 0, 0x2a, 0x22, 0xf7, 0xaa];
        let mut out = [0; 24];
        let runs = stored(Compression::PackBits, 24);
        decompress(&runs, &[], &packed, &mut out, 24).unwrap();
        assert_eq!(out[..7], [0xaa, 0xaa, 0xaa, 0x80, 0, 0x2a, 0xaa]);
        assert_eq!(out[14..], [0xaa; 10]);
        assert!(decompress(&runs, &[], &packed[..7], &mut out, 24).is_err());
        assert!(decompress(&runs, &[], &[], &mut out, 24).is_err());
        let mut less = [0; 5];
        decompress(&runs, &[], &packed, &mut less, 5).unwrap();
    }

    #[test]
    fn differences_are_undone() {
        let mut bytes: Vec<u8> = [1_u16, 10, 1, 1, 65535, 2].iter().flat_map(|n| n.to_ne_bytes()).collect();
        restore(&geometry(DType::U16, Predictor::Horizontal, 3, 2), false, &mut bytes).unwrap();
        let found: Vec<u16> = bytes.chunks_exact(2).map(|b| u16::from_ne_bytes([b[0], b[1]])).collect();
        assert_eq!(found, [1, 10, 2, 11, 1, 13]);
        let values = [1.5_f32, -2.25];
        let planes: Vec<u8> = (0..4).flat_map(|n| values.map(|x| x.to_be_bytes()[n])).collect();
        let mut bytes: Vec<u8> =
            (0..8).map(|n| if n == 0 { planes[0] } else { planes[n].wrapping_sub(planes[n - 1]) }).collect();
        restore(&geometry(DType::F32, Predictor::Float, 2, 1), true, &mut bytes).unwrap();
        assert_eq!(bytes, values.map(f32::to_ne_bytes).concat());
    }

    proptest! {
        #[test]
        fn hostile_bytes_end_in_an_error_or_in_bytes(input: Vec<u8>, len in 0_usize..300) {
            for compression in [
                Compression::None,
                Compression::Lzw,
                Compression::Deflate,
                Compression::PackBits,
                Compression::Zstd,
                Compression::Jpeg(Colours::AsStored),
            ] {
                let _ = decompress(&stored(compression, 8), &[], &input, &mut vec![0; len], len);
            }
        }

        #[test]
        fn lzw_comes_back(input: Vec<u8>) {
            let packed = weezl::encode::Encoder::with_tiff_size_switch(BitOrder::Msb, 8).encode(&input).unwrap();
            let mut out = vec![0; input.len()];
            decompress(&stored(Compression::Lzw, 8), &[], &packed, &mut out, input.len()).unwrap();
            prop_assert_eq!(out, input);
        }
    }
}
