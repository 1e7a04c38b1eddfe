//! Temporary arrays on local disk, between the stages of a plan.
//!
//! One file holds all pieces of an array, each at a place that follows from the grid by arithmetic, each followed by
//! its CRC-32C. The file is unlinked as soon as it is open, so that nothing is left behind, whatever ends the run.
//! Invariants: a piece reads back exactly as it was written, or is an error ([`Error::SpillDamaged`]); no memory is
//! held per piece. Called by the executor, which makes the arrays, and the planner, which asks for their size.

use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
use crate::region::byte_count;
use crate::sink::Sink;
use crate::source::Source;
use blockwise_kernels::DType;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of the checksum that follows each piece.
const TRAILER_BYTES: u64 = 4;

/// Bytes of the temporary file of an array.
pub(crate) fn file_bytes(grid: &ChunkGrid, dtype: DType) -> u64 {
    let data_bytes = byte_count(&grid.shape(), dtype.size()).unwrap_or(u64::MAX);
    data_bytes.saturating_add(grid.chunk_count().saturating_mul(TRAILER_BYTES))
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
        let offset = before * item_bytes + self.grid.linear(index) * TRAILER_BYTES;
        Ok((offset, region.len() * item_bytes))
    }

    fn fault(&self, action: &'static str, offset: u64, len_bytes: u64, source: io::Error) -> Error {
        if source.kind() == io::ErrorKind::StorageFull {
            let folder = self.path.parent().unwrap_or(Path::new("."));
            return Error::NoSpace {
                what: "a temporary file",
                folder: folder.display().to_string(),
                needed_bytes: len_bytes,
                free_bytes: free_bytes(folder).unwrap_or(0),
                remedy: ", for example with --spill-dir",
            };
        }
        Error::Spill { path: self.path.display().to_string(), action, offset, len_bytes, source }
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
        0
    }

    fn write(&self, index: &[u64], chunk: &Chunk, _cx: &TaskContext<'_>) -> Result<u64> {
        let (offset, len_bytes) = self.place(index)?;
        let checksum = crc32c::crc32c(chunk.bytes());
        self.file
            .write_all_at(chunk.bytes(), offset)
            .and_then(|()| self.file.write_all_at(&checksum.to_le_bytes(), offset + len_bytes))
            .map_err(|source| self.fault("writing", offset, len_bytes, source))?;
        Ok(len_bytes)
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
        0
    }

    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> Result<Chunk> {
        let (offset, len_bytes) = self.place(index)?;
        let mut chunk = Chunk::uninit(self.dtype, self.grid.region(index)?.shape(), cx.pool())?;
        let mut trailer = [0; TRAILER_BYTES as usize];
        self.file
            .read_exact_at(chunk.bytes_mut(), offset)
            .and_then(|()| self.file.read_exact_at(&mut trailer, offset + len_bytes))
            .map_err(|source| self.fault("reading", offset, len_bytes, source))?;
        let (expected, found) = (u32::from_le_bytes(trailer), crc32c::crc32c(chunk.bytes()));
        if expected != found {
            return Err(Error::SpillDamaged {
                path: self.path.display().to_string(),
                offset,
                expected,
                found,
            });
        }
        Ok(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Cancellation;
    use crate::grid::AxisGrid;
    use blockwise_kernels::BufferPool;

    fn array() -> (tempfile::TempDir, SpillArray) {
        let folder = tempfile::tempdir().unwrap();
        let axes = [AxisGrid::rectilinear(&[2, 3, 1]).unwrap(), AxisGrid::regular(7, 3).unwrap()];
        let grid = ChunkGrid::from_axes(axes.to_vec()).unwrap();
        let array = SpillArray::create(folder.path(), DType::U16, grid).unwrap();
        (folder, array)
    }

    fn chunk(grid: &ChunkGrid, index: &[u64], pool: &BufferPool) -> Chunk {
        let mut chunk = Chunk::uninit(DType::U16, grid.region(index).unwrap().shape(), pool).unwrap();
        let tag = grid.linear(index) as u8 + 1;
        chunk.bytes_mut().fill(tag);
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
            at += len + TRAILER_BYTES;
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
        array.file.write_all_at(&[0xff], offset + 1).unwrap();
        assert!(matches!(array.read(&[1, 1], &cx), Err(Error::SpillDamaged { .. })));
        assert!(
            matches!(array.read(&[2, 2], &cx), Err(Error::Spill { .. })),
            "a piece that was never written"
        );
    }
}
