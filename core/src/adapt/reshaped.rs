//! [`Reshaped`]: a source in another shape, whose chunks are those of another source in their order.
//!
//! Invariant: within a group of axes, chunk `n` in C order of either grid holds the same elements in the same order.
//! Made by the planner for [`Array::reshape`](crate::Array::reshape).

use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
use crate::source::Source;
use blockwise_kernels::DType;
use std::ops::Range;
use std::sync::Arc;

/// Neighbouring axes of either shape that hold as many elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AxisGroup {
    pub(crate) inner: Range<usize>,
    pub(crate) outer: Range<usize>,
}

/// A source in another shape.
pub(crate) struct Reshaped {
    inner: Arc<dyn Source>,
    grid: ChunkGrid,
    groups: Vec<AxisGroup>,
}

impl Reshaped {
    /// `inner` in the shape of `grid`.
    pub(crate) fn new(inner: Arc<dyn Source>, grid: ChunkGrid, groups: Vec<AxisGroup>) -> Self {
        Self { inner, grid, groups }
    }

    fn inner_index(&self, index: &[u64]) -> Vec<u64> {
        let (outer_counts, inner_counts) = (self.grid.counts(), self.inner.grid().counts());
        let mut found = Vec::with_capacity(inner_counts.len());
        for group in &self.groups {
            let own = index.get(group.outer.clone()).unwrap_or_default();
            let counts = outer_counts.get(group.outer.clone()).unwrap_or_default();
            let mut linear = own.iter().zip(counts).fold(0, |linear, (at, count)| linear * count + at);
            let counts = inner_counts.get(group.inner.clone()).unwrap_or_default();
            let mut reversed = Vec::with_capacity(counts.len());
            for count in counts.iter().rev() {
                reversed.push(linear % (*count).max(1));
                linear /= (*count).max(1);
            }
            found.extend(reversed.into_iter().rev());
        }
        found
    }
}

impl Source for Reshaped {
    fn label(&self) -> &str {
        self.inner.label()
    }

    fn dtype(&self) -> DType {
        self.inner.dtype()
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn read_scratch_bytes(&self) -> u64 {
        self.inner.read_scratch_bytes()
    }

    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> Result<Chunk> {
        let chunk = self.inner.read(&self.inner_index(index), cx)?;
        let region = self.grid.region(index)?;
        let (dtype, found) = (chunk.dtype(), chunk.shape().to_vec());
        Chunk::new(dtype, region.shape().to_vec(), chunk.into_buffer())
            .map_err(|_| Error::Shape { expected: region.shape().to_vec(), found })
    }

    fn is_in_memory(&self) -> bool {
        self.inner.is_in_memory()
    }
}
