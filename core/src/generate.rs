//! [`Generated`]: a source whose elements follow from their positions.
//!
//! Invariant: an element depends on its position alone, so any box can be made, whatever the cuts. Called by the
//! methods of [`Array`](crate::Array) that create.

use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::Result;
use crate::grid::ChunkGrid;
use crate::region::Region;
use crate::source::Source;
use blockwise_kernels::{DType, Element};
use std::ops::Range;
use std::sync::Arc;

/// Fills the chunk of a box.
type Fill = dyn Fn(&Region, &mut Chunk) -> Result<()> + Send + Sync;

/// A source whose elements follow from their positions.
#[derive(Clone)]
pub(crate) struct Generated {
    label: &'static str,
    dtype: DType,
    grid: ChunkGrid,
    fill: Arc<Fill>,
}

impl Generated {
    /// A source of the elements that `element` gives for positions.
    pub(crate) fn new<T: Element>(
        label: &'static str,
        grid: ChunkGrid,
        element: impl Fn(&[u64]) -> T + Send + Sync + 'static,
    ) -> Self {
        let fill = move |region: &Region, chunk: &mut Chunk| {
            let ranges: Vec<Range<u64>> = region.ranges().collect();
            let mut position = region.origin().to_vec();
            for item in chunk.bytes_mut().chunks_exact_mut(size_of::<T>()) {
                item.copy_from_slice(T::as_bytes(&[element(&position)]));
                // The next position in C order.
                for (at, range) in position.iter_mut().zip(&ranges).rev() {
                    *at += 1;
                    if *at < range.end {
                        break;
                    }
                    *at = range.start;
                }
            }
            Ok(())
        };
        Self::filling(label, T::DTYPE, grid, fill)
    }

    /// A source whose boxes `fill` fills.
    pub(crate) fn filling(
        label: &'static str,
        dtype: DType,
        grid: ChunkGrid,
        fill: impl Fn(&Region, &mut Chunk) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { label, dtype, grid, fill: Arc::new(fill) }
    }
}

impl Source for Generated {
    fn is_in_memory(&self) -> bool {
        true
    }

    fn label(&self) -> &str {
        self.label
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
        (self.fill)(&region, &mut chunk)?;
        Ok(chunk)
    }

    fn recut(&self, grid: &ChunkGrid) -> Option<Arc<dyn Source>> {
        (grid.shape() == self.grid.shape())
            .then(|| Arc::new(Self { grid: grid.clone(), ..self.clone() }) as Arc<dyn Source>)
    }
}
