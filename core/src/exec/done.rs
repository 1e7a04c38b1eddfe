//! [`Done`]: what an earlier run of the same plan has stored, asked once. A task whose boxes are all done is skipped by the
//! queue of [`super::queue`]; the count is that of the report. Invariant: no memory is held when nothing is done.

use crate::grid::ChunkGrid;
use crate::plan::leaf::c_order;
use crate::region::Region;
use crate::sink::Sink;

/// Which commit boxes of the final sink an earlier run has stored.
pub(super) struct Done {
    grid: ChunkGrid,
    /// A bit per commit box in C order; empty if none is done.
    bits: Vec<u64>,
    chunks: u64,
}

impl Done {
    /// Nothing is done.
    pub(super) fn nothing(grid: &ChunkGrid) -> Self {
        Self { grid: grid.clone(), bits: Vec::new(), chunks: 0 }
    }

    /// Asks `sink` about each of its commit boxes, once.
    pub(super) fn of(sink: &dyn Sink) -> Self {
        let grid = sink.commit_grid().clone();
        let (mut bits, mut chunks) = (Vec::new(), 0);
        for (linear, index) in grid.indices().enumerate() {
            if sink.is_committed(&index) {
                if bits.is_empty() {
                    bits = vec![0_u64; usize::try_from(grid.chunk_count().div_ceil(64)).unwrap_or(0)];
                }
                if let Some(word) = bits.get_mut(linear / 64) {
                    *word |= 1 << (linear % 64);
                    chunks += 1;
                }
            }
        }
        Self { grid, bits, chunks }
    }

    /// Commit boxes that are done.
    pub(super) fn chunks(&self) -> u64 {
        self.chunks
    }

    /// Whether nothing is done.
    pub(super) fn is_none(&self) -> bool {
        self.bits.is_empty()
    }

    /// Whether all commit boxes that `region` touches are done.
    pub(super) fn covers(&self, region: &Region) -> bool {
        !self.is_none()
            && c_order(self.grid.chunks_in(region)).all(|index| {
                let linear = self.grid.linear(&index) as usize;
                self.bits.get(linear / 64).is_some_and(|word| word >> (linear % 64) & 1 == 1)
            })
    }
}
