//! What fuzz targets share: bytes in, a file or store opened as a user's, everything in it read within a small budget.
//!
//! Invariants: what is read ends in values or in an error; a panic that is not caught where readers of others are fenced in
//! ends the target. Called by the targets in `targets/`, which `make fuzz` runs with the seeds that `seeds.py` makes.

use blockwise_core::{Cancellation, TaskContext};
use blockwise_io::{OpenOptions, Result, StoredArray, open};
use blockwise_kernels::BufferPool;
use std::path::Path;

/// Chunks read of each array.
const CHUNKS_READ: usize = 16;
/// Arrays whose chunks need more are only described, as a planner would refuse them.
const BUDGET_BYTES: u64 = 32 << 20;
/// Arrays read of each container.
const ARRAYS_READ: usize = 16;

/// Panics unwind as they do in the program, where those of HDF5's and NetCDF's readers are caught and become errors;
/// the harness aborts on those that reach it.
pub fn unwind_as_usual() {
    std::panic::set_hook(Box::new(|_| {}));
}

/// A folder in memory, so that no disk is worn out.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary folder")
}

/// Opens the file or store at `path` and reads what is in it. Errors are what it may well have.
pub fn read_everything(path: &Path) {
    let Ok(container) = open::open(path, &OpenOptions::default()) else { return };
    let Ok((_, arrays)) = container.nodes() else { return };
    for info in arrays.iter().take(ARRAYS_READ) {
        let _ = container.array(&info.path).and_then(|array| read_array(&*array));
    }
}

fn read_array(array: &dyn StoredArray) -> Result<()> {
    array.stored_chunks()?;
    array.stored_bytes()?;
    if array.info().element_type.stream_dtype().is_none() {
        return array.read_texts(1 << 20).map(|_| ());
    }
    let source = array.source()?;
    let chunk_bytes =
        source.grid().largest_chunk().iter().fold(16_u64, |bytes, len| bytes.saturating_mul(*len));
    if chunk_bytes.saturating_add(source.read_scratch_bytes()) > BUDGET_BYTES {
        return Ok(());
    }
    let (pool, cancellation) = (BufferPool::new(0), Cancellation::new());
    let cx = TaskContext::new(&pool, &cancellation);
    for index in source.grid().indices().take(CHUNKS_READ) {
        source.read(&index, &cx)?;
    }
    Ok(())
}

/// `data` as a file of its own, opened and read.
pub fn read_as_file(data: &[u8]) {
    let folder = scratch();
    let path = folder.path().join("file");
    if std::fs::write(&path, data).is_ok() {
        read_everything(&path);
    }
}

/// What a store of one array is made of: the length of its metadata in the low 14 of 16 little-endian bits, one less than its
/// rank in the high two; the metadata; a chunk.
pub fn store_parts(data: &[u8]) -> Option<(usize, &[u8], &[u8])> {
    let (head, rest) = data.split_first_chunk()?;
    let head = u16::from_le_bytes(*head);
    let (metadata, chunk) = rest.split_at_checked(usize::from(head & 0x3fff))?;
    Some((usize::from(head >> 14) + 1, metadata, chunk))
}

/// A store of one array: its metadata and its chunks by name, all alike.
pub fn read_as_store(metadata: (&str, &[u8]), chunk: &[u8], chunk_names: &[String]) {
    let folder = scratch();
    if std::fs::write(folder.path().join(metadata.0), metadata.1).is_err() {
        return;
    }
    for name in chunk_names {
        let path = folder.path().join(name);
        let parent = path.parent().unwrap_or(folder.path());
        if std::fs::create_dir_all(parent).is_ok() {
            let _ = std::fs::write(&path, chunk);
        }
    }
    read_everything(folder.path());
}
