//! An array in memory that is both a source and a sink.
//!
//! Invariant: the bytes are C order and machine byte order, exactly as many as shape and dtype need. Called by
//! programs that hold their data already, and by tests.

use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
use crate::region::{Region, byte_count};
use crate::sink::{Sharing, Sink};
use crate::source::Source;
use crate::sync::RwLock;
use blockwise_kernels::strided::copy_region;
use blockwise_kernels::{DType, Element, Scalar};
use std::sync::{Arc, PoisonError};

/// An array in memory. Reading and writing any box costs a copy of it.
///
/// ```
/// use blockwise_core::{ChunkGrid, Source, memory::MemoryArray};
/// let grid = ChunkGrid::regular(&[2, 3], &[1, 3])?;
/// let array = MemoryArray::from_elements("numbers", grid, &[1_i32, 2, 3, 4, 5, 6])?;
/// assert_eq!(array.grid().chunk_count(), 2);
/// # Ok::<(), blockwise_core::Error>(())
/// ```
#[derive(Debug)]
pub struct MemoryArray {
    label: String,
    dtype: DType,
    grid: ChunkGrid,
    commit_grid: ChunkGrid,
    bytes: Arc<RwLock<Vec<u8>>>,
}

impl MemoryArray {
    /// An array of zeros, cut along `grid`.
    ///
    /// # Errors
    /// If it has more bytes than memory can address.
    pub fn zeros(label: impl Into<String>, dtype: DType, grid: ChunkGrid) -> Result<Self> {
        let shape = grid.shape();
        let len_bytes = byte_count(&shape, dtype.size())
            .and_then(|n| usize::try_from(n).ok())
            .ok_or(Error::TooLarge { what: "array", shape })?;
        Ok(Self {
            label: label.into(),
            dtype,
            commit_grid: grid.clone(),
            grid,
            bytes: Arc::new(RwLock::new(vec![0; len_bytes])),
        })
    }

    /// An array with the given elements in C order.
    ///
    /// # Errors
    /// If their number is not the grid's.
    pub fn from_elements<T: Element>(
        label: impl Into<String>,
        grid: ChunkGrid,
        elements: &[T],
    ) -> Result<Self> {
        let array = Self::zeros(label, T::DTYPE, grid)?;
        let source = T::as_bytes(elements);
        {
            let mut bytes = array.bytes.write().unwrap_or_else(PoisonError::into_inner);
            if bytes.len() != source.len() {
                let found = vec![elements.len() as u64];
                return Err(Error::Shape { expected: array.grid.shape(), found });
            }
            bytes.copy_from_slice(source);
        }
        Ok(array)
    }

    /// The same array with boxes of `commit_grid` committed as one, as a sharded format would.
    #[must_use]
    pub fn with_commit_grid(self, commit_grid: ChunkGrid) -> Self {
        Self { commit_grid, ..self }
    }

    /// The elements in C order; `None` if `T` is not their type.
    #[must_use]
    pub fn to_elements<T: Element>(&self) -> Option<Vec<T>> {
        let bytes = self.bytes.read().unwrap_or_else(PoisonError::into_inner);
        if T::DTYPE != self.dtype {
            return None;
        }
        // The bytes of a Vec<u8> need not be aligned for T.
        bytes
            .chunks_exact(size_of::<T>())
            .map(|one| bytemuck::checked::try_pod_read_unaligned(one).ok())
            .collect()
    }

    fn copy(&self, region: &Region, chunk: Direction<'_>) -> Result<()> {
        let to_usize = |extents: &[u64]| -> Vec<usize> { extents.iter().map(|&n| n as usize).collect() };
        let (whole, origin, shape) =
            (to_usize(&self.grid.shape()), to_usize(region.origin()), to_usize(region.shape()));
        let zero = vec![0; shape.len()];
        let item_bytes = self.dtype.size();
        let outcome = match chunk {
            Direction::Out(out) => {
                let bytes = self.bytes.read().unwrap_or_else(PoisonError::into_inner);
                copy_region(out, &shape, &zero, &bytes, &whole, &origin, &shape, item_bytes)
            }
            Direction::In(chunk) => {
                let mut bytes = self.bytes.write().unwrap_or_else(PoisonError::into_inner);
                copy_region(&mut bytes, &whole, &origin, chunk, &shape, &zero, &shape, item_bytes)
            }
        };
        outcome.map_err(|fault| Error::Internal { message: format!("{}: {fault}", self.label) })
    }
}

enum Direction<'a> {
    Out(&'a mut [u8]),
    In(&'a [u8]),
}

/// The same value everywhere, as a source.
#[derive(Debug)]
pub(crate) struct Filled {
    value: Scalar,
    grid: ChunkGrid,
}

impl Filled {
    pub(crate) const fn new(value: Scalar, grid: ChunkGrid) -> Self {
        Self { value, grid }
    }
}

impl Source for Filled {
    fn is_in_memory(&self) -> bool {
        true
    }

    fn label(&self) -> &str {
        "a constant"
    }

    fn dtype(&self) -> DType {
        self.value.dtype()
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn read_scratch_bytes(&self) -> u64 {
        0
    }

    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> Result<Chunk> {
        let mut chunk = Chunk::uninit(self.dtype(), self.grid.region(index)?.shape(), cx.pool())?;
        let value = self.value.bytes();
        chunk.bytes_mut().chunks_exact_mut(value.len().max(1)).for_each(|item| item.copy_from_slice(value));
        Ok(chunk)
    }
}

impl Source for MemoryArray {
    fn is_in_memory(&self) -> bool {
        true
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
        0
    }

    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> Result<Chunk> {
        let region = self.grid.region(index)?;
        let mut chunk = Chunk::uninit(self.dtype, region.shape(), cx.pool())?;
        self.copy(&region, Direction::Out(chunk.bytes_mut()))?;
        Ok(chunk)
    }

    fn recut(&self, grid: &ChunkGrid) -> Option<Arc<dyn Source>> {
        (grid.shape() == self.grid.shape()).then(|| {
            Arc::new(Self {
                label: self.label.clone(),
                dtype: self.dtype,
                grid: grid.clone(),
                commit_grid: grid.clone(),
                bytes: Arc::clone(&self.bytes),
            }) as Arc<dyn Source>
        })
    }
}

impl Sink for MemoryArray {
    fn label(&self) -> &str {
        &self.label
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn commit_grid(&self) -> &ChunkGrid {
        &self.commit_grid
    }

    fn write_scratch_bytes(&self) -> u64 {
        0
    }

    fn write(&self, index: &[u64], chunk: &Chunk, _cx: &TaskContext<'_>) -> Result<u64> {
        self.copy(&self.grid.region(index)?, Direction::In(chunk.bytes()))?;
        Ok(chunk.bytes().len() as u64)
    }

    fn sharing(&self) -> Sharing {
        Sharing::Held
    }

    fn finish(&self) -> Result<()> {
        Ok(())
    }
}
