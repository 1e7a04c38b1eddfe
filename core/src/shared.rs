//! [`SharedArray`]: a temporary array in a folder that several processes see, one file a chunk.
//!
//! Files have the form of spilled pieces (length, CRC-32C, shuffled and compressed by LZ4 where that helps) and names that
//! follow from the grid: 4096 to a folder. Invariants: a file appears whole, by rename from a name that no other process
//! uses, and writing it twice, even at once, is harmless; the array's own folder is only made by [`SharedArray::create`], so
//! that whoever writes after it was removed fails instead of bringing it back. Called by [`crate::temporary`].

use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::Result;
use crate::grid::ChunkGrid;
use crate::spill::{decode_at, encode, fault};
use blockwise_kernels::DType;
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Chunks in a folder.
const FOLDER_CHUNKS: u64 = 4096;

/// A temporary array that several processes write and read.
#[derive(Debug)]
pub(crate) struct SharedArray {
    folder: PathBuf,
    dtype: DType,
    grid: ChunkGrid,
}

/// A name that no other process and no other call has.
pub(crate) fn unique_name() -> String {
    static PROCESS: OnceLock<u64> = OnceLock::new();
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    // Process numbers are not unique across machines; the system's random keys are.
    let process = PROCESS.get_or_init(|| {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u32(std::process::id());
        hasher.finish()
    });
    format!("{process:016x}-{}", SERIAL.fetch_add(1, Ordering::Relaxed))
}

/// Writes a file that appears under its name whole, in a folder that must be there.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_file_name(format!(".{}.tmp", unique_name()));
    let written = (|| {
        File::options().write(true).create_new(true).open(&temporary)?.write_all(bytes)?;
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary); // it may never have been there
    }
    written
}

impl SharedArray {
    /// The array in `folder`, where nothing is touched yet.
    pub(crate) fn new(folder: PathBuf, dtype: DType, grid: ChunkGrid) -> Self {
        Self { folder, dtype, grid }
    }

    /// Makes its folder, if it is not there.
    pub(crate) fn create(&self) -> Result<()> {
        fs::create_dir_all(&self.folder).map_err(|source| fault(&self.folder, "creation", 0, 0, source))
    }

    /// Removes all of it.
    pub(crate) fn remove(&self) {
        if let Err(error) = fs::remove_dir_all(&self.folder)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("{} cannot be removed: {error}; delete that folder", self.folder.display());
        }
    }

    fn path(&self, index: &[u64]) -> PathBuf {
        let linear = self.grid.linear(index);
        let folder = self.folder.join((linear / FOLDER_CHUNKS).to_string());
        folder.join((linear % FOLDER_CHUNKS).to_string())
    }

    /// Stores chunk `index`; the bytes that took.
    pub(crate) fn write(&self, index: &[u64], chunk: &Chunk, cx: &TaskContext<'_>) -> Result<u64> {
        let path = self.path(index);
        let (stored, stored_bytes) = encode(chunk.bytes(), self.dtype.size(), cx)?;
        let stored = stored.get(..stored_bytes).unwrap_or_default();
        let mut written = write_whole(&path, stored);
        if let (Err(error), Some(folder)) = (&written, path.parent())
            && error.kind() == io::ErrorKind::NotFound
        {
            written = match fs::create_dir(folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => write_whole(&path, stored),
            };
        }
        written.map_err(|source| fault(&path, "writing", 0, stored_bytes as u64, source))?;
        Ok(stored_bytes as u64)
    }

    /// Reads chunk `index`.
    pub(crate) fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> Result<Chunk> {
        let path = self.path(index);
        let mut chunk = Chunk::uninit(self.dtype, self.grid.region(index)?.shape(), cx.pool())?;
        let len_bytes = chunk.bytes().len() as u64;
        let file = File::open(&path).map_err(|source| fault(&path, "opening", 0, len_bytes, source))?;
        decode_at(&file, &path, 0, &mut chunk, cx)?;
        Ok(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Cancellation;
    use crate::error::Error;
    use blockwise_kernels::BufferPool;

    #[test]
    fn chunks_are_whole_or_not_there_and_a_removed_array_stays_away() {
        let folder = tempfile::tempdir().unwrap();
        let (pool, cancellation) = (BufferPool::new(1 << 20), Cancellation::new());
        let cx = TaskContext::new(&pool, &cancellation);
        let grid = ChunkGrid::regular(&[10_000], &[2]).unwrap();
        let array = SharedArray::new(folder.path().join("a"), DType::U8, grid);
        let chunk = Chunk::new(DType::U8, vec![2], blockwise_kernels::Buffer::zeroed(2)).unwrap();
        assert!(array.write(&[4097], &chunk, &cx).is_err(), "not created");
        array.create().unwrap();
        for _ in 0..2 {
            array.write(&[4097], &chunk, &cx).unwrap();
        }
        assert_eq!(array.read(&[4097], &cx).unwrap().bytes(), [0, 0]);
        assert!(matches!(array.read(&[1], &cx), Err(Error::Spill { action: "opening", .. })));
        fs::write(array.path(&[4097]), [9; 14]).unwrap();
        assert!(matches!(array.read(&[4097], &cx), Err(Error::SpillDamaged { .. })));
        let names = fs::read_dir(folder.path().join("a/1")).unwrap().count();
        assert_eq!(names, 1, "no temporaries");
        array.remove();
        assert!(array.write(&[4097], &chunk, &cx).is_err());
        assert!(!folder.path().join("a").exists());
    }
}
