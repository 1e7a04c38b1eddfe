//! [`Nowhere`]: a sink that keeps nothing, for plans that are only looked at and runs that are only measured.
//!
//! Called by [`Session::explain`](crate::Session::explain) and by benches.

use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::Result;
use crate::grid::ChunkGrid;
use crate::sink::Sink;
use blockwise_kernels::DType;

/// A sink that keeps nothing.
#[derive(Clone, Debug)]
pub struct Nowhere {
    label: String,
    dtype: DType,
    grid: ChunkGrid,
}

impl Nowhere {
    /// A sink for an array of `dtype`, cut along `grid`.
    #[must_use]
    pub fn new(label: impl Into<String>, dtype: DType, grid: ChunkGrid) -> Self {
        Self { label: label.into(), dtype, grid }
    }
}

impl Sink for Nowhere {
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

    fn write(&self, _index: &[u64], chunk: &Chunk, _cx: &TaskContext<'_>) -> Result<u64> {
        Ok(chunk.bytes().len() as u64)
    }

    fn finish(&self) -> Result<()> {
        Ok(())
    }
}
