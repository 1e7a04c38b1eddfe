//! What a page of a TIFF file is: its size, type and compression, and where its strips or tiles are.
//!
//! Invariants: sizes are checked to multiply within 64 bits; a page has as many pieces as its geometry calls for; every piece lies
//! in the file. Called by [`super::open_file`].

use super::directory::{Directory, Tables};
use super::sizes::Resolution;
use crate::error::Result;
use blockwise_kernels::DType;
use std::fmt;

/// How pieces are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Lzw,
    Deflate,
    PackBits,
    Zstd,
    Jpeg(Colours),
}

/// What the three components of a JPEG become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    /// Samples as they are.
    AsStored,
    /// Red, green and blue, from brightness and two differences.
    FromYCbCr,
}

/// What was done to the elements before that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Predictor {
    None,
    /// Differences of neighbours.
    Horizontal,
    /// Differences of the bytes of floats, by significance.
    Float,
}

/// What pages of one stack have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) width: u64,
    pub(super) height: u64,
    /// Elements of a pixel.
    pub(super) samples: u64,
    /// Whether each sample has pieces of its own.
    pub(super) is_planar: bool,
    pub(super) dtype: DType,
    /// Bits of an element where they are no whole bytes; rows begin at whole bytes.
    pub(super) packed_bits: Option<u8>,
    pub(super) compression: Compression,
    pub(super) predictor: Predictor,
    /// Width and height of a piece.
    pub(super) piece: (u64, u64),
    pub(super) is_tiled: bool,
}

/// A strip or tile in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) offset: u64,
    /// 0 if it is not stored.
    pub(super) len_bytes: u64,
}

/// A page.
pub(super) struct Page {
    pub(super) geometry: Geometry,
    pub(super) pieces: Vec<Piece>,
    /// What all JPEGs of the page have in common; empty where each has it of its own.
    pub(super) jpeg_tables: Vec<u8>,
    pub(super) description: Option<String>,
    pub(super) resolution: Option<Resolution>,
}

impl Geometry {
    /// Samples that stand side by side in a piece.
    pub(super) const fn samples_of_piece(&self) -> u64 {
        if self.is_planar { 1 } else { self.samples }
    }

    /// Pieces across a page, and down.
    pub(super) const fn counts(&self) -> (u64, u64) {
        (self.width.div_ceil(self.piece.0), self.height.div_ceil(self.piece.1))
    }

    /// Bytes of a row of a piece; was checked to fit.
    pub(super) const fn row_bytes(&self) -> u64 {
        self.piece.0.saturating_mul(self.samples_of_piece()).saturating_mul(self.dtype.size() as u64)
    }

    /// Bytes of a whole piece.
    pub(super) const fn piece_bytes(&self) -> u64 {
        self.row_bytes().saturating_mul(self.piece.1)
    }

    /// Bytes of a row of a piece before its bits become elements; never more than after.
    pub(super) const fn packed_row_bytes(&self) -> u64 {
        match self.packed_bits {
            None => self.row_bytes(),
            Some(bits) => {
                let elements = self.piece.0.saturating_mul(self.samples_of_piece());
                elements.saturating_mul(bits as u64).div_ceil(8)
            }
        }
    }

    /// Rows of the pieces in row number `down` of pieces: tiles are whole, the last strip is not.
    pub(super) fn stored_rows(&self, down: u64) -> u64 {
        if self.is_tiled { self.piece.1 } else { (self.height - down * self.piece.1).min(self.piece.1) }
    }
}

impl fmt::Display for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.compression {
            Compression::None => "none",
            Compression::Lzw => "lzw",
            Compression::Deflate => "deflate",
            Compression::PackBits => "packbits",
            Compression::Zstd => "zstd",
            Compression::Jpeg(_) => "jpeg",
        })?;
        if let Some(bits) = self.packed_bits {
            write!(f, " of {bits} bits")?;
        }
        f.write_str(match self.predictor {
            Predictor::None => "",
            Predictor::Horizontal => " behind differences",
            Predictor::Float => " behind differences of floats",
        })?;
        let (width, height) = self.piece;
        match self.is_tiled {
            true => write!(f, ", tiles of {height} x {width}"),
            false => write!(f, ", strips of {height} rows"),
        }
    }
}

/// What the directory says of its page; `None` for a smaller copy of another page.
///
/// # Errors
/// If it contradicts itself or the file, or is stored in a way that is not read here.
pub(super) fn page(tables: &mut Tables<'_>, of: &Directory, file_bytes: u64) -> Result<Option<Page>> {
    if tables.first(of, 254)?.unwrap_or(0) & 1 == 1 {
        return Ok(None);
    }
    let (width, height) = (tables.first(of, 256)?.unwrap_or(0), tables.first(of, 257)?.unwrap_or(0));
    let samples = tables.first(of, 277)?.unwrap_or(1);
    if width == 0 || height == 0 || samples == 0 {
        return Err(tables.corrupt(&format!("a page of {height} x {width} pixels with {samples} samples")));
    }
    if tables.first(of, 32997)?.unwrap_or(1) > 1 {
        return Err(tables.unsupported("a TIFF page of several planes (ImageDepth)".to_owned(), ""));
    }
    if tables.first(of, 266)?.unwrap_or(1) != 1 {
        return Err(tables.unsupported("the reversed order of bits (FillOrder 2)".to_owned(), ""));
    }
    let (dtype, packed_bits) = dtype(tables, of, samples)?;
    let is_planar = samples > 1 && tables.first(of, 284)?.unwrap_or(1) == 2;
    let is_ycbcr = tables.first(of, 262)?.unwrap_or(1) == 6;
    let compression = match tables.first(of, 259)?.unwrap_or(1) {
        1 => Compression::None,
        5 => Compression::Lzw,
        8 | 32946 => Compression::Deflate,
        32773 => Compression::PackBits,
        50000 | 34926 => Compression::Zstd,
        7 if dtype == DType::U8 && packed_bits.is_none() && (is_planar || matches!(samples, 1 | 3)) => {
            Compression::Jpeg(if is_ycbcr { Colours::FromYCbCr } else { Colours::AsStored })
        }
        7 => {
            let what = format!("JPEG in TIFF of {samples} samples of {dtype} a pixel");
            return Err(tables.unsupported(what, "; 1 or 3 samples of 8 bits are read"));
        }
        other => {
            let name = match other {
                2..=4 => "a fax code",
                6 => "JPEG, as it was before TIFF's second technical note",
                33003 | 33005 | 34712 => "JPEG 2000",
                34887 => "LERC",
                34925 => "LZMA",
                50001 | 34927 => "WebP",
                _ => "of unknown name",
            };
            let remedy =
                "; store it without compression, or as lzw, deflate or zstd, with the program that wrote it";
            return Err(tables.unsupported(format!("TIFF compression {other} ({name})"), remedy));
        }
    };
    if is_ycbcr && (is_planar || compression != Compression::Jpeg(Colours::FromYCbCr)) {
        let what = "TIFF pixels as YCbCr that are no JPEG, or in planes".to_owned();
        return Err(tables.unsupported(what, "; store them as RGB with the program that wrote them"));
    }
    let predictor = match (tables.first(of, 317)?.unwrap_or(1), dtype.kind()) {
        (1, _) => Predictor::None,
        _ if matches!(compression, Compression::Jpeg(_)) => Predictor::None,
        (2, 'i' | 'u') if packed_bits.is_none() => Predictor::Horizontal,
        (3, 'f') if compression != Compression::None => Predictor::Float,
        (other, _) => return Err(tables.unsupported(format!("TIFF predictor {other} of {dtype}"), "")),
    };
    // Without compression there are no differences, whatever the tag says.
    let predictor = if compression == Compression::None { Predictor::None } else { predictor };
    let tile = (tables.first(of, 322)?, tables.first(of, 323)?);
    let (piece, is_tiled) = match tile {
        (Some(width), Some(height)) => ((width, height), true),
        _ => ((width, tables.first(of, 278)?.unwrap_or(height).min(height)), false),
    };
    let geometry = Geometry {
        width,
        height,
        samples,
        is_planar,
        dtype,
        packed_bits,
        compression,
        predictor,
        piece,
        is_tiled,
    };
    let bytes = [geometry.samples_of_piece(), piece.0, piece.1]
        .into_iter()
        .try_fold(dtype.size() as u64, u64::checked_mul);
    if piece.0 == 0 || piece.1 == 0 || bytes.is_none_or(|bytes| bytes > i64::MAX.cast_unsigned()) {
        return Err(tables.corrupt(&format!("strips or tiles of {} x {} pixels", piece.1, piece.0)));
    }
    let pieces = pieces(tables, of, &geometry, file_bytes)?;
    let description = tables.text(of, 270)?;
    let jpeg_tables = match compression {
        Compression::Jpeg(_) => tables.bytes(of, 347)?,
        _ => Vec::new(),
    };
    let resolution = match (tables.ratio(of, 282)?, tables.ratio(of, 283)?) {
        (Some(x), Some(y)) => {
            Some(Resolution { x, y, is_per_centimetre: tables.first(of, 296)?.unwrap_or(2) == 3 })
        }
        _ => None,
    };
    Ok(Some(Page { geometry, pieces, jpeg_tables, description, resolution }))
}

/// The dtype of the elements, and how many bits they are stored in if that is no whole number of bytes.
fn dtype(tables: &mut Tables<'_>, of: &Directory, samples: u64) -> Result<(DType, Option<u8>)> {
    let mut bits = tables.numbers(of, 258)?;
    let mut formats = tables.numbers(of, 339)?;
    bits.dedup();
    formats.dedup();
    if bits.is_empty() {
        bits.push(1);
    }
    if let ([bits @ (1..=7 | 9..=15)], [] | [1 | 4]) = (bits.as_slice(), formats.as_slice()) {
        let dtype = match bits {
            1 => DType::Bool,
            2..=7 => DType::U8,
            _ => DType::U16,
        };
        return Ok((dtype, Some(*bits as u8)));
    }
    let found = match (bits.as_slice(), formats.as_slice()) {
        ([8], [] | [1 | 4]) => Some(DType::U8),
        ([16], [] | [1 | 4]) => Some(DType::U16),
        ([32], [] | [1 | 4]) => Some(DType::U32),
        ([64], [] | [1 | 4]) => Some(DType::U64),
        ([8], [2]) => Some(DType::I8),
        ([16], [2]) => Some(DType::I16),
        ([32], [2]) => Some(DType::I32),
        ([64], [2]) => Some(DType::I64),
        ([16], [3]) => Some(DType::F16),
        ([32], [3]) => Some(DType::F32),
        ([64], [3]) => Some(DType::F64),
        ([64], [6]) => Some(DType::C64),
        ([128], [6]) => Some(DType::C128),
        _ => None,
    };
    found.map(|dtype| (dtype, None)).ok_or_else(|| {
        let bits: Vec<String> = bits.iter().map(u64::to_string).collect();
        let what = format!("TIFF elements of {} bits, format {formats:?}, {samples} a pixel", bits.join("/"));
        tables.unsupported(what, "; store 8, 16, 32 or 64 bits with the program that wrote it")
    })
}

/// The pieces of a page, all within the file.
fn pieces(
    tables: &mut Tables<'_>,
    of: &Directory,
    geometry: &Geometry,
    file_bytes: u64,
) -> Result<Vec<Piece>> {
    let (offsets, lengths) = if geometry.is_tiled { (324, 325) } else { (273, 279) };
    let (offsets, mut lengths) = (tables.numbers(of, offsets)?, tables.numbers(of, lengths)?);
    let (across, down) = geometry.counts();
    let planes = if geometry.is_planar { geometry.samples } else { 1 };
    let wanted = across.checked_mul(down).and_then(|count| count.checked_mul(planes));
    if lengths.is_empty() && geometry.compression == Compression::None {
        // Old writers leave out what follows from the size.
        lengths = (0..offsets.len() as u64)
            .map(|n| geometry.packed_row_bytes() * geometry.stored_rows(n / across % down))
            .collect();
    }
    if Some(offsets.len() as u64) != wanted || lengths.len() != offsets.len() {
        return Err(tables.corrupt(&format!(
            "a page of {} x {} pixels has {} strips or tiles at {} addresses",
            geometry.height,
            geometry.width,
            lengths.len(),
            offsets.len()
        )));
    }
    let pieces: Vec<Piece> =
        offsets.into_iter().zip(lengths).map(|(offset, len_bytes)| Piece { offset, len_bytes }).collect();
    let outside =
        |piece: &&Piece| piece.offset.checked_add(piece.len_bytes).is_none_or(|end| end > file_bytes);
    if let Some(piece) = pieces.iter().find(outside) {
        return Err(tables.corrupt(&format!(
            "a strip or tile of {} bytes at {} lies outside of the file, which has {file_bytes}",
            piece.len_bytes, piece.offset
        )));
    }
    Ok(pieces)
}
