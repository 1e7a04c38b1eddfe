//! [`Resampled`]: a source as an affine map shows it.
//!
//! Invariants: of the source below a chunk takes the box that the map says it needs, chunk by chunk, holding that box and one chunk; no
//! element depends on how the result is cut. Made by the planner for [`Array::geometry`](crate::Array::geometry).

use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
use crate::plan::c_order;
use crate::region::{Region, byte_count, small};
use crate::source::Source;
use blockwise_kernels::DType;
use blockwise_kernels::affine::{AffineMap, Beyond, Held, Resampling, resample};
use blockwise_kernels::strided::copy_region;
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

    /// A box of the source below, in C order.
    fn held(&self, ranges: &[Range<u64>], cx: &TaskContext<'_>) -> Result<Chunk> {
        let (origin, shape): (Vec<u64>, Vec<u64>) =
            ranges.iter().map(|range| (range.start, range.end - range.start)).unzip();
        let wanted = Region::new(origin, shape)?;
        let below = self.inner.grid();
        let mut held = Chunk::uninit(self.dtype(), wanted.shape(), cx.pool())?;
        let held_shape = small(wanted.shape())?;
        for index in c_order(below.chunks_in(&wanted)) {
            cx.check_cancelled()?;
            let own = below.region(&index)?;
            let chunk = self.inner.read(&index, cx)?;
            let (mut to, mut from, mut shape) = (Vec::new(), Vec::new(), Vec::new());
            for (wanted, own) in wanted.ranges().zip(own.ranges()) {
                let (start, end) = (wanted.start.max(own.start), wanted.end.min(own.end));
                to.push(start - wanted.start);
                from.push(start - own.start);
                shape.push(end.saturating_sub(start));
            }
            let (to, from, shape) = (small(&to)?, small(&from)?, small(&shape)?);
            let (own_shape, item_bytes) = (small(own.shape())?, self.dtype().size());
            copy_region(
                held.bytes_mut(),
                &held_shape,
                &to,
                chunk.bytes(),
                &own_shape,
                &from,
                &shape,
                item_bytes,
            )
            .map_err(|fault| Error::Internal { message: format!("a box of {own}: {fault}") })?;
        }
        Ok(held)
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
                let held = self.held(&needed, cx)?;
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
