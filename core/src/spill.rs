//! Temporary arrays on local disk, between the stages of a plan.
//!
//! One file holds all pieces of an array, each in a slot whose place follows from the grid by arithmetic: a header
//! (stored length, CRC-32C of the stored bytes), then the piece, byte-shuffled and compressed with LZ4 where that
//! makes it smaller. What a piece does not fill of its slot stays a hole of the file: no index is needed, and fewer
//! pages wait to be written back, which on a fast machine is what slows writers down. The file is unlinked as soon as it is open, so that nothing is left behind, whatever ends the run.
//! Invariants: a piece reads back exactly as it was written, or is an error ([`Error::SpillDamaged`]); no memory is
//! held per piece. Called by the executor, which makes the arrays, and the planner, which asks for their size; pieces on shared
//! storage (`shared.rs`) are of the same form.

use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
use crate::region::byte_count;
use crate::sink::Sink;
use crate::source::Source;
use blockwise_kernels::shuffle::{shuffle, unshuffle};
use blockwise_kernels::{Buffer, DType};
use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes before each piece: its stored length (8), the CRC-32C of the stored bytes (4).
pub(crate) const HEADER_BYTES: usize = 12;

/// Bytes of the temporary file of an array.
pub(crate) fn file_bytes(grid: &ChunkGrid, dtype: DType) -> u64 {
    let data_bytes = byte_count(&grid.shape(), dtype.size()).unwrap_or(u64::MAX);
    data_bytes.saturating_add(grid.chunk_count().saturating_mul(HEADER_BYTES as u64))
}

/// Bytes that writing or reading a piece of `piece_bytes` holds beyond the piece: it shuffled, and it stored.
pub(crate) fn scratch_bytes(piece_bytes: u64) -> u64 {
    // LZ4 grows what it cannot compress by a 255th and a little.
    let stored_bytes = piece_bytes.saturating_add(piece_bytes / 128).saturating_add(64);
    stored_bytes.saturating_add(piece_bytes)
}

/// Bytes free for temporary files in `folder`, for this user.
///
/// # Errors
/// If the folder cannot be asked.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// A temporary array: first a sink, then a source.
pub(crate) struct SpillArray {
    label: String,
    path: PathBuf,
    file: File,
    dtype: DType,
    grid: ChunkGrid,
}

impl SpillArray {
    /// An empty temporary array in `folder`, which must exist.
    pub(crate) fn create(folder: &Path, dtype: DType, grid: ChunkGrid) -> Result<Self> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let fault = |path: &Path, action, source| Error::Spill {
            path: path.display().to_string(),
            action,
            offset: 0,
            len_bytes: 0,
            source,
        };
        // The name is unique by process and serial; a stranger's file of that name is an error, not a target.
        let path = folder.join(format!(".blockwise-spill-{}-{serial}", std::process::id()));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|source| fault(&path, "creation", source))?;
        std::fs::remove_file(&path).map_err(|source| fault(&path, "unlinking", source))?;
        Ok(Self { label: format!("temporary array {serial}"), path, file, dtype, grid })
    }

    /// Where piece `index` starts in the file, and its bytes: pieces follow each other in C order of the grid, so
    /// the elements before one are whole slabs, whole rows of the slab it is in, and so on.
    fn place(&self, index: &[u64]) -> Result<(u64, u64)> {
        let region = self.grid.region(index)?;
        let shape = self.grid.shape();
        let mut before = 0_u64;
        let mut slab_of_own = 1_u64;
        for (axis, start) in region.origin().iter().enumerate() {
            let below: u64 = shape[axis + 1..].iter().product();
            before += slab_of_own * start * below;
            slab_of_own *= region.shape()[axis];
        }
        let item_bytes = self.dtype.size() as u64;
        let offset = before * item_bytes + self.grid.linear(index) * HEADER_BYTES as u64;
        Ok((offset, region.len() * item_bytes))
    }

    fn largest_scratch(&self) -> u64 {
        scratch_bytes(byte_count(&self.grid.largest_chunk(), self.dtype.size()).unwrap_or(u64::MAX))
    }
}

impl Sink for SpillArray {
    fn label(&self) -> &str {
        &self.label
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn write_scratch_bytes(&self) -> u64 {
        self.largest_scratch()
    }

    fn write(&self, index: &[u64], chunk: &Chunk, cx: &TaskContext<'_>) -> Result<u64> {
        let (offset, len_bytes) = self.place(index)?;
        let (stored, stored_bytes) = encode(chunk.bytes(), self.dtype.size(), cx)?;
        self.file
            .write_all_at(stored.get(..stored_bytes).unwrap_or_default(), offset)
            .map_err(|source| fault(&self.path, "writing", offset, len_bytes, source))?;
        Ok((stored_bytes - HEADER_BYTES) as u64)
    }

    fn finish(&self) -> Result<()> {
        Ok(()) // read back by this process only: nothing to make durable
    }
}

impl Source for SpillArray {
    fn label(&self) -> &str {
        &self.label
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn read_scratch_bytes(&self) -> u64 {
        self.largest_scratch()
    }

    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> Result<Chunk> {
        let (offset, _) = self.place(index)?;
        let mut chunk = Chunk::uninit(self.dtype, self.grid.region(index)?.shape(), cx.pool())?;
        decode_at(&self.file, &self.path, offset, &mut chunk, cx)?;
        Ok(chunk)
    }
}

/// A piece as it is stored, header first, in a buffer that may be longer; and how many bytes of it that are.
pub(crate) fn encode(piece: &[u8], item_bytes: usize, cx: &TaskContext<'_>) -> Result<(Buffer, usize)> {
    let mut shuffled = cx.pool().take(piece.len());
    shuffle(&mut shuffled, piece, item_bytes).map_err(internal)?;
    let mut stored = cx.pool().take(HEADER_BYTES + get_maximum_output_size(piece.len()));
    let (header, body) = stored.split_at_mut(HEADER_BYTES);
    let mut stored_bytes = compress_into(&shuffled, body).map_err(internal)?;
    drop(shuffled);
    if stored_bytes >= piece.len() {
        stored_bytes = piece.len();
        body[..stored_bytes].copy_from_slice(piece); // a body has room for the piece and more
    }
    let checksum = crc32c::crc32c(&body[..stored_bytes]);
    header[..8].copy_from_slice(&(stored_bytes as u64).to_le_bytes());
    header[8..].copy_from_slice(&checksum.to_le_bytes());
    Ok((stored, HEADER_BYTES + stored_bytes))
}

/// Fills `chunk` with the piece that stands at `offset` of `file`.
///
/// # Errors
/// [`Error::SpillDamaged`] if it is not what was written, [`Error::Spill`] if it cannot be read.
pub(crate) fn decode_at(
    file: &File,
    path: &Path,
    offset: u64,
    chunk: &mut Chunk,
    cx: &TaskContext<'_>,
) -> Result<()> {
    let len_bytes = chunk.bytes().len() as u64;
    let item_bytes = chunk.dtype().size();
    let mut header = [0; HEADER_BYTES];
    let io_fault = |source| fault(path, "reading", offset, len_bytes, source);
    file.read_exact_at(&mut header, offset).map_err(io_fault)?;
    let [l0, l1, l2, l3, l4, l5, l6, l7, c0, c1, c2, c3] = header;
    let (stored_bytes, expected) =
        (u64::from_le_bytes([l0, l1, l2, l3, l4, l5, l6, l7]), u32::from_le_bytes([c0, c1, c2, c3]));
    let damaged = |found| Error::SpillDamaged { path: path.display().to_string(), offset, expected, found };
    if stored_bytes == 0 && len_bytes > 0 || stored_bytes > len_bytes {
        return Err(damaged(0)); // a slot that was never written, or a damaged header
    }
    let from = offset + HEADER_BYTES as u64;
    if stored_bytes == len_bytes {
        file.read_exact_at(chunk.bytes_mut(), from).map_err(io_fault)?;
        let found = crc32c::crc32c(chunk.bytes());
        return if found == expected { Ok(()) } else { Err(damaged(found)) };
    }
    let mut stored = cx.pool().take(usize::try_from(stored_bytes).map_err(internal)?);
    file.read_exact_at(&mut stored, from).map_err(io_fault)?;
    let found = crc32c::crc32c(&stored);
    if found != expected {
        return Err(damaged(found));
    }
    let mut shuffled = cx.pool().take(chunk.bytes().len());
    let decoded = decompress_into(&stored, &mut shuffled).map_err(internal)?;
    if decoded != chunk.bytes().len() {
        return Err(damaged(found));
    }
    unshuffle(chunk.bytes_mut(), &shuffled, item_bytes).map_err(internal)
}

/// A failure of the system with a file that holds pieces.
pub(crate) fn fault(
    path: &Path,
    action: &'static str,
    offset: u64,
    len_bytes: u64,
    source: io::Error,
) -> Error {
    if source.kind() == io::ErrorKind::StorageFull {
        let folder = path.parent().unwrap_or(Path::new("."));
        return Error::NoSpace {
            what: "a temporary file",
            folder: folder.display().to_string(),
            needed_bytes: len_bytes,
            free_bytes: free_bytes(folder).unwrap_or(0),
            remedy: ", for example with --spill-dir",
        };
    }
    Error::Spill { path: path.display().to_string(), action, offset, len_bytes, source }
}

fn internal(fault: impl std::fmt::Display) -> Error {
    Error::Internal { message: format!("temporary array: {fault}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Cancellation;
    use crate::grid::AxisGrid;
    use blockwise_kernels::BufferPool;

    fn array() -> (tempfile::TempDir, SpillArray) {
        let folder = tempfile::tempdir().unwrap();
        let axes = [AxisGrid::rectilinear(&[2, 30, 1]).unwrap(), AxisGrid::regular(7, 3).unwrap()];
        let grid = ChunkGrid::from_axes(axes.to_vec()).unwrap();
        let array = SpillArray::create(folder.path(), DType::U16, grid).unwrap();
        (folder, array)
    }

    /// Even pieces compress, odd ones do not.
    fn chunk(grid: &ChunkGrid, index: &[u64], pool: &BufferPool) -> Chunk {
        let mut chunk = Chunk::uninit(DType::U16, grid.region(index).unwrap().shape(), pool).unwrap();
        let tag = grid.linear(index) as u8 + 1;
        let noise = if tag.is_multiple_of(2) { 0 } else { 151 };
        for (n, byte) in chunk.bytes_mut().iter_mut().enumerate() {
            *byte = tag.wrapping_add((n as u8).wrapping_mul(noise));
        }
        chunk
    }

    #[test]
    fn pieces_fill_the_file_without_gaps_and_read_back() {
        let (_folder, array) = array();
        let (pool, cancellation) = (BufferPool::new(1 << 20), Cancellation::new());
        let cx = TaskContext::new(&pool, &cancellation);
        let grid = array.grid.clone();
        let mut places: Vec<(u64, u64)> = grid.indices().map(|i| array.place(&i).unwrap()).collect();
        places.sort_unstable();
        let mut at = 0;
        for (offset, len) in places {
            assert_eq!(offset, at);
            at += len + HEADER_BYTES as u64;
        }
        assert_eq!(at, file_bytes(&grid, DType::U16));
        for index in grid.indices() {
            array.write(&index, &chunk(&grid, &index, &pool), &cx).unwrap();
        }
        for index in grid.indices() {
            assert_eq!(array.read(&index, &cx).unwrap().bytes(), chunk(&grid, &index, &pool).bytes());
        }
    }

    #[test]
    fn damage_is_noticed() {
        let (_folder, array) = array();
        let (pool, cancellation) = (BufferPool::new(1 << 20), Cancellation::new());
        let cx = TaskContext::new(&pool, &cancellation);
        array.write(&[1, 1], &chunk(&array.grid, &[1, 1], &pool), &cx).unwrap();
        let (offset, _) = array.place(&[1, 1]).unwrap();
        array.file.write_all_at(&[0xff], offset + HEADER_BYTES as u64 + 1).unwrap();
        assert!(matches!(array.read(&[1, 1], &cx), Err(Error::SpillDamaged { .. })));
        assert!(
            matches!(array.read(&[2, 2], &cx), Err(Error::Spill { .. })),
            "a piece that was never written"
        );
    }
}
