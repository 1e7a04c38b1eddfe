//! Writing TIFF: pages of strips or tiles at their places, and the directories behind them.
//!
//! Without compression pages lie one after the other, so that others can map the file; compressed pieces are appended as they come.
//! BigTIFF where classic TIFF's 4 GiB might not do. Invariants: a piece is written once; the header, which makes the file one,
//! comes last. Called by [`crate::open`].

mod tags;

use super::page::{Compression, Geometry, Piece, Predictor};
use super::sizes;
use crate::attribute::{AttributeValue, Attributes};
use crate::codec::Codec;
use crate::container::{ArraySpec, Compressor, ContainerWriter, ElementType, Format, GroupInfo, TextArray};
use crate::error::{Error, Result};
use crate::publish::disk::io_error;
use blockwise_core::region::byte_count;
use blockwise_core::{Chunk, ChunkGrid, Sink, TaskContext};
use blockwise_kernels::DType;
use blockwise_kernels::strided::copy_region;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tags::Directory;

/// Bytes of a strip, unless a row has more.
const STRIP_BYTES: u64 = 1 << 20;

/// Where pieces begin: behind the header and, in classic TIFF, the resolution of 1 that readers want to see.
const FIRST_PIECE: u64 = 24;

/// Files that may grow beyond are BigTIFF: directories take their part too.
const CLASSIC_BYTES: u64 = (u32::MAX as u64) - (64 << 20);

/// Strips or tiles that a file may have.
const MOST_PIECES: u64 = 1 << 28;

/// Directories are written in blocks of so many bytes.
const BLOCK_BYTES: usize = 1 << 20;

/// Writes one TIFF file.
#[derive(Debug)]
pub struct TiffWriter {
    path: PathBuf,
    label: String,
    sink: Option<Arc<TiffSink>>,
}

/// What the file is to be.
#[derive(Debug)]
struct Plan {
    geometry: Geometry,
    codec: Option<Codec>,
    pages: u64,
    /// Whether the last axis is that of samples.
    has_samples: bool,
    is_big: bool,
    description: String,
    /// Pixels to a centimetre, as quotients, along x and y.
    resolution: Option<[(u32, u32); 2]>,
}

/// The pages of the file.
#[derive(Debug)]
struct TiffSink {
    path: PathBuf,
    label: String,
    file: File,
    plan: Plan,
    grid: ChunkGrid,
    /// Where each piece is, by page, in rows of pieces.
    places: Mutex<Vec<Piece>>,
    end: AtomicU64,
}

impl TiffWriter {
    /// Will write `path`, replacing what is there; refusals call it `label`.
    #[must_use]
    pub fn new(path: &Path, label: &str) -> Self {
        Self { path: path.to_owned(), label: label.to_owned(), sink: None }
    }

    fn refused(&self, what: impl Into<String>) -> Error {
        Error::Refused { path: self.label.clone(), what: what.into() }
    }

    fn plan(&self, spec: &ArraySpec) -> Result<Plan> {
        let ElementType::Number(dtype) = spec.element_type else {
            let what = format!(
                "TIFF cannot hold elements of type {}; leave it out with --exclude",
                spec.element_type
            );
            return Err(self.refused(what));
        };
        if matches!(dtype, DType::Bool | DType::BF16) {
            return Err(self.refused(format!("TIFF has no {dtype}; give --dtype uint8 or float32")));
        }
        let rank = spec.shape.len();
        let last = |back: usize| rank.checked_sub(back).and_then(|axis| spec.shape.get(axis)).copied();
        let is_sample = |name: &str| matches!(name, "sample" | "s" | "rgb" | "rgba");
        let named = spec.dimension_names.last().and_then(Option::as_deref).is_some_and(is_sample);
        let has_samples = rank > 2 && named && last(1).is_some_and(|samples| (1..=16).contains(&samples));
        let back = usize::from(has_samples);
        let (Some(height), Some(width)) = (last(2 + back), last(1 + back)) else {
            return Err(self.refused("a page has two dimensions at least; reshape the array, or write .npy"));
        };
        if spec.shape.contains(&0) || height.max(width) > u64::from(u32::MAX) {
            return Err(self.refused(format!("TIFF has no pages of shape {:?}", spec.shape)));
        }
        let samples = if has_samples { last(1).unwrap_or(1) } else { 1 };
        let pages =
            spec.shape.iter().rev().skip(2 + back).try_fold(1_u64, |product, n| product.checked_mul(*n));
        let bytes =
            byte_count(&spec.shape, dtype.size()).filter(|bytes| *bytes <= i64::MAX.cast_unsigned() / 4);
        let (Some(pages), Some(bytes)) = (pages, bytes) else {
            return Err(self.refused(format!("an array of shape {:?} is too large for TIFF", spec.shape)));
        };
        let (compression, codec) = match &spec.codec.compressor {
            _ if spec.codec.shuffle || spec.codec.checksum => {
                return Err(
                    self.refused("TIFF has neither shuffle nor checksum; give --codec none, deflate or zstd")
                );
            }
            Compressor::None => (Compression::None, None),
            Compressor::Deflate { level } => (Compression::Deflate, Some(Codec::Zlib { level: *level })),
            Compressor::Zstd { level } => {
                (Compression::Zstd, Some(Codec::Zstd { level: *level, checksum: false }))
            }
            _ => {
                return Err(
                    self.refused("TIFF is compressed with deflate or zstd, or not; give --codec deflate")
                );
            }
        };
        if spec.shard_shape.is_some() {
            return Err(self.refused("TIFF has no shards; leave out --shards"));
        }
        let asked = |back: usize| {
            let chunk = spec.chunk_shape.as_ref()?;
            chunk.len().checked_sub(back).and_then(|axis| chunk.get(axis)).copied()
        };
        let row_bytes = width * samples * dtype.size() as u64;
        let (piece, is_tiled) = match (asked(2 + back), asked(1 + back)) {
            // The sides of tiles are multiples of 16.
            (Some(y), Some(x)) if x < width => {
                ((x.max(1).next_multiple_of(16), y.max(1).next_multiple_of(16)), true)
            }
            (Some(y), _) => ((width, y.clamp(1, height)), false),
            _ => ((width, (STRIP_BYTES / row_bytes.max(1)).clamp(1, height)), false),
        };
        let predictor = Predictor::None;
        let geometry = Geometry {
            width,
            height,
            samples,
            is_planar: false,
            dtype,
            packed_bits: None,
            compression,
            predictor,
            piece,
            is_tiled,
        };
        let (across, down) = geometry.counts();
        let stored = [pages, across, down].into_iter().try_fold(geometry.piece_bytes(), u64::checked_mul);
        let count = pages.checked_mul(across).and_then(|count| count.checked_mul(down));
        let Some(count) = count.filter(|count| *count <= MOST_PIECES) else {
            let what = "it would have more than 2^28 strips or tiles; give larger --chunks, or write .zarr";
            return Err(self.refused(what));
        };
        // 16 bytes of addresses for each piece, and tags for each page.
        let tables = count.saturating_mul(16).saturating_add(pages.saturating_mul(512));
        let is_big = stored.unwrap_or(u64::MAX).max(bytes).saturating_add(tables) > CLASSIC_BYTES;
        let (description, resolution) = (description(spec), resolution(&spec.attributes));
        Ok(Plan { geometry, codec, pages, has_samples, is_big, description, resolution })
    }
}

/// Pixels to a centimetre, where attributes tell their sizes.
fn resolution(attributes: &Attributes) -> Option<[(u32, u32); 2]> {
    let quotient = |name: &str| {
        let (size, unit) = sizes::get(attributes, name)?;
        let in_a_centimetre = match unit {
            "m" => 1e-2,
            "cm" => 1.0,
            "mm" => 1e1,
            "µm" => 1e4,
            "nm" => 1e7,
            _ => return None,
        };
        let pixels = in_a_centimetre / size;
        let fits = |parts: &u32| (1.0..f64::from(u32::MAX)).contains(&(pixels * f64::from(*parts)));
        let parts = [1_000_000, 1_000, 1].into_iter().find(fits)?;
        Some(((pixels * f64::from(parts)).round() as u32, parts))
    };
    Some([quotient("PhysicalSizeX")?, quotient("PhysicalSizeY")?])
}

/// The shape of the whole array, as tifffile writes it, and what is known of its pixels.
fn description(spec: &ArraySpec) -> String {
    let shape: Vec<String> = spec.shape.iter().map(u64::to_string).collect();
    let letter = |name: &Option<String>| match name.as_deref() {
        Some("sample") => Some("S".to_owned()),
        Some(name) if name.len() == 1 && name.is_ascii() => Some(name.to_uppercase()),
        _ => None,
    };
    let letters: Option<String> = spec.dimension_names.iter().map(letter).collect();
    let axes = letters.map_or_else(String::new, |letters| format!(", \"axes\": \"{letters}\""));
    let mut text = format!("{{\"shape\": [{}]{axes}", shape.join(", "));
    for (_, name) in sizes::NAMES {
        if let Some((size, unit)) = sizes::get(&spec.attributes, name) {
            let (size, unit) = (serde_json::json!(size), serde_json::json!(unit));
            text += &format!(", \"{name}\": {size}, \"{name}Unit\": {unit}");
        }
    }
    if let Some(AttributeValue::Texts(names)) = spec.attributes.get(sizes::CHANNEL_NAMES) {
        text += &format!(", \"{}\": {}", sizes::CHANNEL_NAMES, serde_json::json!(names));
    }
    text.push('}');
    text
}

impl ContainerWriter for TiffWriter {
    fn format(&self) -> Format {
        Format::Tiff
    }

    fn create_group(&mut self, group: &GroupInfo) -> Result<()> {
        if group.path.is_root() {
            return Ok(());
        }
        let what =
            format!("TIFF has no groups, so no place for {}; name one array as PATH::NODE", group.path);
        Err(self.refused(what))
    }

    fn create_array(&mut self, spec: &ArraySpec) -> Result<Arc<dyn Sink>> {
        if self.sink.is_some() {
            return Err(self.refused("a TIFF file is written of one array; name it as PATH::NODE"));
        }
        let plan = self.plan(spec)?;
        let sink = Arc::new(TiffSink::create(&self.path, spec, plan)?);
        self.sink = Some(Arc::clone(&sink));
        Ok(sink)
    }

    fn create_texts(&mut self, spec: &ArraySpec, _texts: &TextArray) -> Result<()> {
        Err(self
            .refused(format!("TIFF cannot hold the texts of {}; leave them out with --exclude", spec.path)))
    }

    fn finish(&mut self) -> Result<()> {
        let Some(sink) = &self.sink else {
            return Err(self.refused("there is no array to write"));
        };
        sink.write_directories()?;
        sink.file.sync_all().map_err(|error| io_error(&self.path, "sync", error, 0))
    }
}

impl TiffSink {
    fn create(path: &Path, spec: &ArraySpec, plan: Plan) -> Result<Self> {
        let geometry = &plan.geometry;
        let back = if plan.has_samples { 3 } else { 2 };
        let mut chunk = vec![1; spec.shape.len().saturating_sub(back)];
        chunk.extend([geometry.piece.1.min(geometry.height), geometry.piece.0.min(geometry.width)]);
        chunk.extend((back == 3).then_some(geometry.samples));
        let grid = ChunkGrid::regular(&spec.shape, &chunk)?;
        let (across, down) = geometry.counts();
        let count =
            usize::try_from(plan.pages.saturating_mul(across).saturating_mul(down)).unwrap_or(usize::MAX);
        let file = File::create(path).map_err(|error| io_error(path, "create", error, 0))?;
        let mut end = FIRST_PIECE;
        let mut places = vec![Piece { offset: 0, len_bytes: 0 }; count];
        if plan.codec.is_none() {
            for (number, place) in places.iter_mut().enumerate() {
                let row = number as u64 / across % down;
                *place = Piece { offset: end, len_bytes: geometry.row_bytes() * geometry.stored_rows(row) };
                end += place.len_bytes;
            }
            file.set_len(end).map_err(|error| io_error(path, "reserve", error, end))?;
        }
        Ok(Self {
            path: path.to_owned(),
            label: path.display().to_string(),
            file,
            plan,
            grid,
            places: Mutex::new(places),
            end: AtomicU64::new(end),
        })
    }

    fn put(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(|error| io_error(&self.path, "write", error, bytes.len() as u64))
    }

    /// Stores piece `number`.
    fn store(&self, number: usize, bytes: &[u8]) -> Result<()> {
        let len_bytes = bytes.len() as u64;
        let lock = || self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = if self.plan.codec.is_none() {
            lock().get(number).map_or(0, |place| place.offset)
        } else {
            // Addresses are even.
            self.end.fetch_add(len_bytes.next_multiple_of(2), Ordering::Relaxed)
        };
        self.put(bytes, offset)?;
        if let Some(place) = lock().get_mut(number) {
            *place = Piece { offset, len_bytes };
        }
        Ok(())
    }

    /// Writes the directories of all pages behind the pieces, then the header.
    fn write_directories(&self) -> Result<()> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let first = self.end.load(Ordering::Relaxed).next_multiple_of(8);
        let (mut block, mut start) = (Vec::new(), first);
        let (across, down) = self.plan.geometry.counts();
        let of_page = usize::try_from(across * down).unwrap_or(usize::MAX).max(1);
        let count = places.len() / of_page;
        for (number, pieces) in places.chunks(of_page).enumerate() {
            let at = start + block.len() as u64;
            let page = Directory { plan: &self.plan, is_first: number == 0, pieces };
            block.extend(page.bytes(at, number + 1 == count));
            if block.len() >= BLOCK_BYTES {
                self.put(&block, start)?;
                start += block.len() as u64;
                block.clear();
            }
        }
        self.put(&block, start)?;
        let end = start + block.len() as u64;
        if !self.plan.is_big && end > u64::from(u32::MAX) {
            let message = format!("{}: a classic TIFF of {end} bytes", self.label);
            return Err(blockwise_core::Error::Internal { message }.into());
        }
        let mark = if cfg!(target_endian = "big") { b"MM" } else { b"II" };
        let mut header = mark.to_vec();
        if self.plan.is_big {
            header.extend([43_u16.to_ne_bytes(), 8_u16.to_ne_bytes(), [0, 0]].concat());
            header.extend(first.to_ne_bytes());
        } else {
            header.extend(42_u16.to_ne_bytes());
            header.extend((first as u32).to_ne_bytes());
            header.extend([1_u32.to_ne_bytes(), 1_u32.to_ne_bytes()].concat());
        }
        self.put(&header, 0)
    }
}

impl Sink for TiffSink {
    fn label(&self) -> &str {
        &self.label
    }

    fn dtype(&self) -> DType {
        self.plan.geometry.dtype
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn write_scratch_bytes(&self) -> u64 {
        let piece = self.plan.geometry.piece_bytes();
        let own = if self.plan.geometry.is_tiled { piece } else { 0 };
        let coded =
            self.plan.codec.as_ref().map_or(0, |codec| {
                codec.encoded_bound(piece).saturating_add(codec.encode_scratch_bytes(piece))
            });
        // The addresses of all pieces are held besides, once: counted with every write, for want of a place of their own.
        let addresses = self.grid.chunk_count().saturating_mul(size_of::<Piece>() as u64);
        own.saturating_add(coded).saturating_add(addresses)
    }

    fn write(&self, index: &[u64], chunk: &Chunk, cx: &TaskContext<'_>) -> blockwise_core::Result<u64> {
        let region = self.grid.region(index)?;
        if chunk.dtype() != self.dtype() || chunk.shape() != region.shape() {
            let message =
                format!("{} of {:?} for chunk {index:?} of {}", chunk.dtype(), chunk.shape(), self.label);
            return Err(blockwise_core::Error::Internal { message });
        }
        let geometry = &self.plan.geometry;
        let number = usize::try_from(self.grid.linear(index)).unwrap_or(usize::MAX);
        let mut bytes = chunk.bytes();
        let mut tile;
        if geometry.is_tiled && bytes.len() as u64 != geometry.piece_bytes() {
            let small = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
            let columns = region.shape().iter().rev().nth(usize::from(self.plan.has_samples)).copied();
            let row = small(columns.unwrap_or(1).saturating_mul(geometry.samples)) * geometry.dtype.size();
            let (from, to) =
                ([bytes.len() / row.max(1), row], [small(geometry.piece.1), small(geometry.row_bytes())]);
            tile = cx.pool().take(small(geometry.piece_bytes()));
            tile.fill(0);
            copy_region(&mut tile, &to, &[0, 0], bytes, &from, &[0, 0], &from, 1)
                .map_err(|fault| blockwise_core::Error::Internal { message: fault.to_string() })?;
            bytes = &tile;
        }
        let Some(codec) = &self.plan.codec else {
            self.store(number, bytes)?;
            return Ok(bytes.len() as u64);
        };
        let encoded = codec.encode(bytes, cx.pool()).map_err(|error| error.at(self.label.clone()))?;
        self.store(number, &encoded)?;
        Ok(encoded.len() as u64)
    }

    fn finish(&self) -> blockwise_core::Result<()> {
        Ok(())
    }
}
