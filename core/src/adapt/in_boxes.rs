//! [`InBoxes`]: a sink that takes boxes of several chunks, so that tasks larger than a chunk write where others read.
//!
//! Invariants: every chunk of the sink behind it is written once, from one box; a chunk that an earlier run had committed is
//! not encoded again, though its box was computed for something else. Called by the facade, for the levels of pyramids.

use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
use crate::plan::c_order;
use crate::region::{Region, byte_count, small};
use crate::sink::Sink;
use blockwise_kernels::DType;
use blockwise_kernels::strided::copy_region;
use std::ops::Range;
use std::sync::Arc;

/// A sink that takes boxes of whole chunks of another one.
pub struct InBoxes {
    inner: Arc<dyn Sink>,
    boxes: ChunkGrid,
    commit: ChunkGrid,
}

impl InBoxes {
    /// `inner`, written in `boxes`.
    ///
    /// # Errors
    /// [`Error::Usage`] if boxes are not of whole chunks, or neither of whole shards nor parts of such.
    pub fn over(inner: Arc<dyn Sink>, boxes: ChunkGrid) -> Result<Arc<dyn Sink>> {
        let commit = inner.commit_grid();
        let commit = if commit.is_coarser_or_equal(&boxes) { commit } else { &boxes };
        let fits = boxes.shape() == inner.grid().shape()
            && boxes.is_coarser_or_equal(inner.grid())
            && commit.is_coarser_or_equal(inner.commit_grid());
        if !fits {
            let message = format!(
                "{} is not written in boxes of {:?}: they cut its chunks of {:?} or what it commits as one",
                inner.label(),
                boxes.largest_chunk(),
                inner.grid().largest_chunk()
            );
            return Err(Error::Usage { message });
        }
        let commit = commit.clone();
        Ok(Arc::new(Self { inner, boxes, commit }))
    }

    /// Whether the chunk on `region` was stored by an earlier run.
    fn is_stored(&self, region: &Region) -> bool {
        let commit = self.inner.commit_grid();
        let index = commit.axes().iter().zip(region.origin()).map(|(axis, at)| axis.chunk_of(*at));
        index.collect::<Option<Vec<u64>>>().is_some_and(|index| self.inner.is_committed(&index))
    }
}

impl Sink for InBoxes {
    fn label(&self) -> &str {
        self.inner.label()
    }

    fn dtype(&self) -> DType {
        self.inner.dtype()
    }

    fn grid(&self) -> &ChunkGrid {
        &self.boxes
    }

    fn commit_grid(&self) -> &ChunkGrid {
        &self.commit
    }

    fn write_scratch_bytes(&self) -> u64 {
        let chunk = byte_count(&self.inner.grid().largest_chunk(), self.dtype().size()).unwrap_or(u64::MAX);
        self.inner.write_scratch_bytes().saturating_add(chunk)
    }

    fn write(&self, index: &[u64], chunk: &Chunk, cx: &TaskContext<'_>) -> Result<u64> {
        let whole = self.boxes.region(index)?;
        let from = small(whole.shape())?;
        let mut stored_bytes = 0;
        for index in c_order(self.inner.grid().chunks_in(&whole)) {
            let region = self.inner.grid().region(&index)?;
            if self.is_stored(&region) {
                continue;
            }
            cx.check_cancelled()?;
            if region == whole {
                stored_bytes += self.inner.write(&index, chunk, cx)?;
                continue;
            }
            let mut part = Chunk::uninit(chunk.dtype(), region.shape(), cx.pool())?;
            let shape = small(region.shape())?;
            let within: Vec<u64> =
                region.origin().iter().zip(whole.origin()).map(|(at, start)| at - start).collect();
            let (origin, zeros) = (small(&within)?, vec![0; shape.len()]);
            let item_bytes = chunk.dtype().size();
            copy_region(part.bytes_mut(), &shape, &zeros, chunk.bytes(), &from, &origin, &shape, item_bytes)
                .map_err(|fault| Error::Internal { message: fault.to_string() })?;
            stored_bytes += self.inner.write(&index, &part, cx)?;
        }
        Ok(stored_bytes)
    }

    fn is_committed(&self, index: &[u64]) -> bool {
        let Ok(region) = self.commit.region(index) else { return false };
        let touched: Vec<Range<u64>> = self.inner.commit_grid().chunks_in(&region);
        c_order(touched).all(|index| self.inner.is_committed(&index))
    }

    fn finish(&self) -> Result<()> {
        self.inner.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryArray;
    use crate::{Array, Session};

    #[test]
    fn boxes_are_stored_chunk_by_chunk() {
        let grid = |chunk: &[u64]| ChunkGrid::regular(&[7, 10], chunk).unwrap();
        let x = Array::from_fn(&[7, 10], |at| (at[0] * 10 + at[1]) as i32).unwrap();
        let stored = Arc::new(MemoryArray::zeros("stored", DType::I32, grid(&[2, 3])).unwrap());
        let sink = InBoxes::over(Arc::clone(&stored) as Arc<dyn Sink>, grid(&[4, 6])).unwrap();
        assert_eq!((sink.grid(), sink.commit_grid()), (&grid(&[4, 6]), &grid(&[4, 6])));
        Session::default().store(&[(x, sink)]).unwrap();
        assert_eq!(stored.to_elements::<i32>().unwrap(), (0..70).collect::<Vec<_>>());
    }

    #[test]
    fn boxes_that_cut_chunks_are_refused() {
        let grid = |chunk: &[u64]| ChunkGrid::regular(&[7, 10], chunk).unwrap();
        let stored = Arc::new(MemoryArray::zeros("stored", DType::I32, grid(&[2, 3])).unwrap());
        for boxes in [grid(&[3, 6]), ChunkGrid::regular(&[8, 10], &[2, 3]).unwrap()] {
            assert!(InBoxes::over(Arc::clone(&stored) as Arc<dyn Sink>, boxes).is_err());
        }
    }
}
