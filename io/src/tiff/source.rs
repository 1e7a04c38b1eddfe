//! A stack of pages as a source: each strip or tile is read and decoded by itself, from any thread.
//!
//! Short strips are read several to a chunk. Invariants: what lies in a page only as padding is left out; a piece that is not stored
//! is zeros, subject to the policy of missing chunks. Called by the executor.

use super::axes::PageAxis;
use super::page::{Compression, Geometry, Piece};
use super::unpack;
use crate::codec::CodecError;
use crate::container::MissingChunks;
use crate::error::{Error, Result};
use crate::store::RegularFile;
use blockwise_core::{Chunk, ChunkGrid, Source, TaskContext};
use blockwise_kernels::strided::copy_region;
use blockwise_kernels::{Buffer, DType};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Strips are read together up to so many bytes.
const CHUNK_BYTES: u64 = 4 << 20;

/// Pages of one geometry.
pub(super) struct Stack {
    pub(super) file: Arc<RegularFile>,
    pub(super) label: String,
    pub(super) is_swapped: bool,
    pub(super) geometry: Geometry,
    pub(super) axes: Vec<PageAxis>,
    /// Of all pages, one after the other.
    pub(super) pieces: Vec<Piece>,
    /// What the JPEGs of each page have in common; empty for other compressions.
    pub(super) jpeg_tables: Vec<Arc<[u8]>>,
    pub(super) missing_chunks: MissingChunks,
}

impl Stack {
    /// Elements per axis: pages, rows, columns, and samples if a pixel has several.
    pub(super) fn shape(&self) -> Vec<u64> {
        let mut shape: Vec<u64> = self.axes.iter().map(|axis| axis.length).collect();
        shape.extend([self.geometry.height, self.geometry.width]);
        shape.extend((self.geometry.samples > 1).then_some(self.geometry.samples));
        shape
    }

    /// Strips or tiles of a page.
    pub(super) const fn pieces_of_page(&self) -> u64 {
        let (across, down) = self.geometry.counts();
        let planes = if self.geometry.is_planar { self.geometry.samples } else { 1 };
        across.saturating_mul(down).saturating_mul(planes)
    }

    /// What the JPEG `number` has in common with others of its page.
    fn tables_of(&self, number: usize) -> &[u8] {
        let page = number as u64 / self.pieces_of_page().max(1);
        usize::try_from(page).ok().and_then(|page| self.jpeg_tables.get(page)).map_or(&[], |tables| &**tables)
    }

    /// Shape of what is read as one, strips one by one if not `together`.
    pub(super) fn chunk(&self, together: bool) -> Vec<u64> {
        let geometry = &self.geometry;
        let (width, height) = geometry.piece;
        let strips = if geometry.is_tiled || !together {
            1
        } else {
            (CHUNK_BYTES / geometry.piece_bytes().max(1)).max(1)
        };
        let mut chunk = vec![1; self.axes.len()];
        chunk.extend([height.saturating_mul(strips).min(geometry.height), width.min(geometry.width)]);
        chunk.extend((geometry.samples > 1).then_some(geometry.samples_of_piece()));
        chunk
    }
}

/// The source of a stack.
pub(super) struct TiffSource {
    stack: Arc<Stack>,
    grid: ChunkGrid,
    longest_piece: u64,
    missing_count: AtomicU64,
}

impl TiffSource {
    /// The stack, cut as it is read.
    ///
    /// # Errors
    /// If the shape has too many elements.
    pub(super) fn new(stack: Arc<Stack>) -> Result<Self> {
        let grid = ChunkGrid::regular(&stack.shape(), &stack.chunk(true))?;
        let longest_piece = stack.pieces.iter().map(|piece| piece.len_bytes).max().unwrap_or(0);
        Ok(Self { stack, grid, longest_piece, missing_count: AtomicU64::new(0) })
    }

    fn corrupt(&self, what: String) -> Error {
        Error::Corrupt { path: self.stack.label.clone(), what, remedy: "" }
    }

    /// Notes that a piece is not stored.
    fn note_missing(&self, number: usize) -> Result<()> {
        let label = &self.stack.label;
        match self.stack.missing_chunks {
            MissingChunks::Fill => Ok(()),
            MissingChunks::Warn => {
                if self.missing_count.fetch_add(1, Ordering::Relaxed) == 0 {
                    tracing::warn!("{label}: strip or tile {number} is missing and reads as zeros");
                }
                Ok(())
            }
            MissingChunks::Error => {
                Err(Error::MissingChunk { path: format!("{label}, strip or tile {number}") })
            }
        }
    }

    /// The first rows of a piece as elements, as many as `output` has room for.
    fn read_piece(&self, number: usize, output: &mut [u8], cx: &TaskContext<'_>) -> Result<()> {
        let geometry = &self.stack.geometry;
        let Some(bits) = geometry.packed_bits else {
            return self.decode_piece(number, geometry.row_bytes(), output, cx);
        };
        let row_bytes = usize::try_from(geometry.row_bytes()).unwrap_or(usize::MAX).max(1);
        let packed_row_bytes = geometry.packed_row_bytes();
        let packed_bytes = usize::try_from(packed_row_bytes).unwrap_or(usize::MAX);
        let mut packed = cx.pool().take((output.len() / row_bytes).saturating_mul(packed_bytes));
        self.decode_piece(number, packed_row_bytes, &mut packed, cx)?;
        unpack::unpack_bits(geometry, bits, &packed, output);
        Ok(())
    }

    /// The first rows of a piece, of `row_bytes` each, as they were before they were compressed.
    fn decode_piece(
        &self,
        number: usize,
        row_bytes: u64,
        output: &mut [u8],
        cx: &TaskContext<'_>,
    ) -> Result<()> {
        let stack = &self.stack;
        let piece = stack
            .pieces
            .get(number)
            .ok_or_else(|| self.corrupt(format!("there is no strip or tile {number}")))?;
        if piece.len_bytes == 0 {
            output.fill(0);
            return self.note_missing(number);
        }
        let geometry = &stack.geometry;
        let decoded = if geometry.compression == Compression::None && piece.len_bytes >= output.len() as u64 {
            stack.file.read_exact_at(piece.offset, output)?;
            Ok(())
        } else {
            let len = usize::try_from(piece.len_bytes).unwrap_or(usize::MAX);
            let stored: Buffer = stack.file.read_range(piece.offset, len, &cx.pool().plain())?;
            let wanted = output.len();
            let whole = usize::try_from(row_bytes.saturating_mul(geometry.piece.1)).unwrap_or(usize::MAX);
            let tables = stack.tables_of(number);
            let is_part = wanted < whole;
            let direct = match is_part && geometry.is_tiled {
                true => Err(CodecError::too_long(unpack::name(geometry.compression), wanted)),
                false => unpack::decompress(geometry, tables, &stored, output, wanted),
            };
            match direct {
                // Tiles are stored whole, and some writers fill up the last strip too.
                Err(CodecError::Length { .. }) if is_part => {
                    let mut piece = cx.pool().take(whole);
                    let decoded = unpack::decompress(geometry, tables, &stored, &mut piece, wanted);
                    output.copy_from_slice(piece.get(..wanted).unwrap_or_default());
                    decoded
                }
                other => other,
            }
        };
        let restored = decoded.and_then(|()| unpack::restore(geometry, stack.is_swapped, output));
        restored.map_err(|error| error.at(format!("{}, strip or tile {number}", stack.label)))
    }
}

impl Drop for TiffSource {
    fn drop(&mut self) {
        let count = *self.missing_count.get_mut();
        if count > 0 {
            tracing::warn!("{}: {count} strips or tiles were missing and read as zeros", self.stack.label);
        }
    }
}

impl Source for TiffSource {
    fn label(&self) -> &str {
        &self.stack.label
    }

    fn dtype(&self) -> DType {
        self.stack.geometry.dtype
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn read_scratch_bytes(&self) -> u64 {
        let geometry = &self.stack.geometry;
        // A JPEG is decoded from a copy behind the tables of its page.
        let tables = self.stack.jpeg_tables.iter().map(|tables| tables.len() as u64).max();
        let joined = tables.map_or(0, |tables| tables.saturating_add(self.longest_piece));
        self.longest_piece
            .saturating_add(joined)
            .saturating_add(geometry.piece_bytes().saturating_mul(2))
            .saturating_add(unpack::scratch_bytes(geometry))
    }

    /// The addresses of all pieces, and tables.
    fn held_bytes(&self) -> u64 {
        let tables: u64 = self.stack.jpeg_tables.iter().map(|tables| tables.len() as u64 + 32).sum();
        (self.stack.pieces.len() as u64).saturating_mul(size_of::<Piece>() as u64).saturating_add(tables)
    }

    fn stored_bytes(&self) -> Option<u64> {
        Some(self.stack.pieces.iter().map(|piece| piece.len_bytes).sum())
    }

    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> blockwise_core::Result<Chunk> {
        let stack = &self.stack;
        let geometry = &stack.geometry;
        let region = self.grid.region(index)?;
        let leading = stack.axes.len();
        let page: u64 = index.iter().zip(&stack.axes).map(|(at, axis)| at * axis.stride).sum();
        let at = |axis: usize| region.origin().get(leading + axis).copied().unwrap_or(0);
        let length = |axis: usize| region.shape().get(leading + axis).copied().unwrap_or(1);
        let (across, down) = geometry.counts();
        let plane = if geometry.is_planar { at(2) } else { 0 };
        let first = page * stack.pieces_of_page() + plane * across * down + at(1) / geometry.piece.0;
        let mut chunk = Chunk::uninit(geometry.dtype, region.shape(), cx.pool())?;
        let row_bytes =
            usize::try_from(length(1) * geometry.samples_of_piece()).unwrap_or(0) * geometry.dtype.size();
        let rows_of = |rows: u64| usize::try_from(rows).unwrap_or(0);
        let mut rest = chunk.bytes_mut();
        let mut row = at(0);
        while row < at(0) + length(0) {
            cx.check_cancelled()?;
            let number = row / geometry.piece.1;
            let rows = (at(0) + length(0) - row).min(geometry.piece.1);
            let piece = usize::try_from(first + number * across).unwrap_or(usize::MAX);
            let (own, after) = rest.split_at_mut((rows_of(rows) * row_bytes).min(rest.len()));
            rest = after;
            if geometry.row_bytes() == row_bytes as u64 {
                self.read_piece(piece, own, cx)?;
            } else {
                // A tile that reaches past the page.
                let stored = rows_of(rows) * usize::try_from(geometry.row_bytes()).unwrap_or(usize::MAX);
                let mut whole = cx.pool().take(stored);
                self.read_piece(piece, &mut whole, cx)?;
                let from = [rows_of(rows), stored / rows_of(rows).max(1)];
                let to = [rows_of(rows), row_bytes];
                copy_region(own, &to, &[0, 0], &whole, &from, &[0, 0], &to, 1)
                    .map_err(|fault| blockwise_core::Error::Internal { message: fault.to_string() })?;
            }
            row += rows;
        }
        Ok(chunk)
    }
}
