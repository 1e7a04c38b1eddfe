//! [`Temporary`]: an array between two stages of a plan, in memory, on local disk or on storage that several processes share.
//!
//! A plan names its temporary arrays before any of them takes a byte: storage is made when the stage that writes it
//! starts, and let go after the last stage that reads it. Invariants: what is read is what was written; one in memory
//! holds at most [`Temporary::held_bytes`], which the plan has counted. Called by the planner (who makes them) and the
//! executor (who opens and discards them).

use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
use crate::region::byte_count;
use crate::shared::SharedArray;
use crate::sink::Sink;
use crate::source::Source;
use crate::spill::{self, SpillArray};
use crate::sync::RwLock;
use blockwise_kernels::DType;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

/// Where a temporary array lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In memory, counted in the budget.
    Memory,
    /// In a file of this folder.
    Disk(PathBuf),
}

enum Storage {
    Closed,
    /// Chunks by their position in C order.
    Memory(HashMap<u64, Arc<Chunk>>),
    Disk(Arc<SpillArray>),
    Shared(Arc<SharedArray>),
}

/// An array between two stages: first a sink, then a source.
pub(crate) struct Temporary {
    label: String,
    dtype: DType,
    grid: ChunkGrid,
    place: Place,
    storage: RwLock<Storage>,
}

impl Temporary {
    /// A temporary array that takes nothing yet.
    pub(crate) fn new(label: impl Into<String>, dtype: DType, grid: ChunkGrid, place: Place) -> Self {
        Self { label: label.into(), dtype, grid, place, storage: RwLock::new(Storage::Closed) }
    }

    /// Makes its storage, empty.
    pub(crate) fn open(&self) -> Result<()> {
        let storage = match &self.place {
            Place::Memory => Storage::Memory(HashMap::new()),
            Place::Disk(folder) => {
                Storage::Disk(Arc::new(SpillArray::create(folder, self.dtype, self.grid.clone())?))
            }
        };
        *self.storage.write().unwrap_or_else(PoisonError::into_inner) = storage;
        Ok(())
    }

    /// Has its chunks in `folder`, which other processes see too, until it is opened otherwise. Only one that was planned on disk: its
    /// tasks have the memory that this takes.
    pub(crate) fn open_shared(&self, folder: PathBuf) -> Arc<SharedArray> {
        let array = Arc::new(SharedArray::new(folder, self.dtype, self.grid.clone()));
        *self.storage.write().unwrap_or_else(PoisonError::into_inner) = Storage::Shared(Arc::clone(&array));
        array
    }

    /// Lets go of its storage; what is shared stays, since others may need it.
    pub(crate) fn discard(&self) {
        *self.storage.write().unwrap_or_else(PoisonError::into_inner) = Storage::Closed;
    }

    /// Bytes of memory that it holds between its stages.
    pub(crate) fn held_bytes(&self) -> u64 {
        match self.place {
            Place::Memory => byte_count(&self.grid.shape(), self.dtype.size()).unwrap_or(u64::MAX),
            Place::Disk(_) => 0,
        }
    }

    /// Bytes of disk that it takes between its stages.
    pub(crate) fn disk_bytes(&self) -> u64 {
        match self.place {
            Place::Memory => 0,
            Place::Disk(_) => spill::file_bytes(&self.grid, self.dtype),
        }
    }

    /// Bytes that reading or writing a chunk holds beyond the chunk.
    fn scratch_bytes(&self) -> u64 {
        let chunk_bytes = byte_count(&self.grid.largest_chunk(), self.dtype.size()).unwrap_or(u64::MAX);
        match self.place {
            Place::Memory => 0,
            Place::Disk(_) => spill::scratch_bytes(chunk_bytes),
        }
    }

    fn closed(&self) -> Error {
        Error::Internal { message: format!("{} is used outside its stages", self.label) }
    }
}

impl Source for Temporary {
    fn is_in_memory(&self) -> bool {
        self.place == Place::Memory
    }

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
        self.scratch_bytes()
    }

    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> Result<Chunk> {
        let storage = self.storage.read().unwrap_or_else(PoisonError::into_inner);
        match &*storage {
            Storage::Closed => Err(self.closed()),
            Storage::Disk(array) => {
                let array = Arc::clone(array);
                drop(storage);
                array.read(index, cx)
            }
            Storage::Shared(array) => {
                let array = Arc::clone(array);
                drop(storage);
                array.read(index, cx)
            }
            Storage::Memory(chunks) => {
                let held = chunks.get(&self.grid.linear(index)).map(Arc::clone);
                drop(storage);
                let held = held.ok_or_else(|| Error::Internal {
                    message: format!("chunk {index:?} of {} was never written", self.label),
                })?;
                let mut chunk = Chunk::uninit(self.dtype, held.shape(), cx.pool())?;
                chunk.bytes_mut().copy_from_slice(held.bytes());
                Ok(chunk)
            }
        }
    }
}

impl Sink for Temporary {
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
        self.scratch_bytes()
    }

    fn write(&self, index: &[u64], chunk: &Chunk, cx: &TaskContext<'_>) -> Result<u64> {
        let storage = self.storage.read().unwrap_or_else(PoisonError::into_inner);
        match &*storage {
            Storage::Closed => Err(self.closed()),
            Storage::Disk(array) => {
                let array = Arc::clone(array);
                drop(storage);
                array.write(index, chunk, cx)
            }
            Storage::Shared(array) => {
                let array = Arc::clone(array);
                drop(storage);
                array.write(index, chunk, cx)
            }
            Storage::Memory(_) => {
                drop(storage);
                let mut copy = Chunk::uninit(self.dtype, chunk.shape(), cx.pool())?;
                copy.bytes_mut().copy_from_slice(chunk.bytes());
                let mut storage = self.storage.write().unwrap_or_else(PoisonError::into_inner);
                let Storage::Memory(chunks) = &mut *storage else { return Err(self.closed()) };
                chunks.insert(self.grid.linear(index), Arc::new(copy));
                Ok(chunk.bytes().len() as u64)
            }
        }
    }

    fn finish(&self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Cancellation;
    use blockwise_kernels::BufferPool;

    #[test]
    fn both_places_give_back_what_they_took() {
        let (pool, cancellation) = (BufferPool::new(1 << 20), Cancellation::new());
        let cx = TaskContext::new(&pool, &cancellation);
        let grid = ChunkGrid::regular(&[5], &[2]).unwrap();
        for place in [Place::Memory, Place::Disk(std::env::temp_dir())] {
            let array = Temporary::new("t", DType::U8, grid.clone(), place);
            assert!(array.read(&[0], &cx).is_err(), "closed");
            array.open().unwrap();
            let mut chunk = Chunk::uninit(DType::U8, &[1], &pool).unwrap();
            chunk.bytes_mut().fill(7);
            array.write(&[2], &chunk, &cx).unwrap();
            assert_eq!(array.read(&[2], &cx).unwrap().bytes(), [7]);
            array.discard();
            assert!(array.write(&[2], &chunk, &cx).is_err(), "closed again");
        }
    }
}
