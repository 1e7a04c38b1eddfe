//! [`Resampled`]: a source as an affine map shows it.
//!
//! Invariants: of the source below a chunk takes the box that the map says it needs, chunk by chunk, holding that box and one chunk; no
//! element depends on how the result is cut. Made by the planner for [`Array::geometry`](crate::Array::geometry).

use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::Result;
use crate::grid::ChunkGrid;
use crate::region::{Region, byte_count};
use crate::source::{Source, read_region};
use blockwise_kernels::DType;
use blockwise_kernels::affine::{AffineMap, Beyond, Held, Resampling, resample};
use std::ops::Range;
use std::sync::Arc;

/// A source seen through a map.
pub(crate) struct Resampled {
    inner: Arc<dyn Source>,
    grid: ChunkGrid,
    map: Arc<AffineMap>,
    resampling: Resampling,
}

impl Resampled {
    /// What `map` shows of `inner`, cut as `grid`.
    pub(crate) fn new(
        inner: Arc<dyn Source>,
        grid: ChunkGrid,
        map: Arc<AffineMap>,
        resampling: Resampling,
    ) -> Self {
        Self { inner, grid, map, resampling }
    }
}

impl Source for Resampled {
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
        let (below, item_bytes) = (self.inner.grid(), self.dtype().size());
        let chunk_bytes = byte_count(&below.largest_chunk(), item_bytes).unwrap_or(u64::MAX);
        let needed = self.map.most_needed(&self.grid.largest_chunk(), &below.shape());
        let needed_bytes = byte_count(&needed, item_bytes).unwrap_or(u64::MAX);
        self.inner.read_scratch_bytes().saturating_add(chunk_bytes).saturating_add(needed_bytes)
    }

    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> Result<Chunk> {
        let region = self.grid.region(index)?;
        let ranges: Vec<Range<u64>> = region.ranges().collect();
        let extents = self.inner.grid().shape();
        let mut out = Chunk::uninit(self.dtype(), region.shape(), cx.pool())?;
        match (self.map.needed(&ranges, &extents, self.resampling), self.resampling.beyond) {
            (None, Beyond::Fill(fill)) => {
                out.bytes_mut()
                    .chunks_exact_mut(self.dtype().size())
                    .for_each(|item| item.copy_from_slice(fill.bytes()));
            }
            (needed, _) => {
                let needed = needed.unwrap_or_default();
                let (origin, shape) =
                    needed.iter().map(|range| (range.start, range.end - range.start)).unzip();
                let held = read_region(&*self.inner, &Region::new(origin, shape)?, cx)?;
                let held = Held { bytes: held.bytes(), ranges: &needed, extents: &extents };
                resample(&self.map, self.resampling, self.dtype(), held, &ranges, out.bytes_mut())?;
            }
        }
        Ok(out)
    }

    fn held_bytes(&self) -> u64 {
        self.inner.held_bytes()
    }
}
