//! [`InBoxes`]: a sink that takes boxes of several chunks, so that tasks larger than a chunk write where others read.
//!
//! Invariants: every chunk of the sink behind it is written once, from one box; a chunk that an earlier run had committed is
//! not encoded again, though its box was computed for something else; nor is one that the array's source has encoded alike, which
//! passes as it is, after the task has decoded it. Called by the facade, for the levels of pyramids.

use crate::array::{Array, Kind};
use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
use crate::plan::c_order;
use crate::region::{Region, byte_count, small};
use crate::sink::Sink;
use crate::source::Source;
use blockwise_kernels::DType;
use blockwise_kernels::strided::copy_region;
use std::ops::Range;
use std::sync::Arc;

/// A sink that takes boxes of whole chunks of another one.
pub struct InBoxes {
    inner: Arc<dyn Sink>,
    boxes: ChunkGrid,
    commit: ChunkGrid,
    /// What has the same chunks, encoded alike.
    origin: Option<Arc<dyn Source>>,
}

impl InBoxes {
    /// `inner`, written in the chunks of `array`, whose elements it is to hold.
    ///
    /// # Errors
    /// [`Error::Usage`] if those are not of whole chunks, or neither of whole shards nor parts of such.
    pub fn over(inner: Arc<dyn Sink>, array: &Array) -> Result<Arc<dyn Sink>> {
        let boxes = array.grid().clone();
        let origin = source_of(array).filter(|source| {
            source.encoding().is_some()
                && source.encoding() == inner.encoding()
                && source.grid() == inner.grid()
        });
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
        Ok(Arc::new(Self { inner, boxes, commit, origin }))
    }

    /// Whether the chunk on `region` was stored by an earlier run.
    fn is_stored(&self, region: &Region) -> bool {
        let commit = self.inner.commit_grid();
        let index = commit.axes().iter().zip(region.origin()).map(|(axis, at)| axis.chunk_of(*at));
        index.collect::<Option<Vec<u64>>>().is_some_and(|index| self.inner.is_committed(&index))
    }
}

/// What an array shows as it is, cut in whatever way.
fn source_of(array: &Array) -> Option<Arc<dyn Source>> {
    match &array.node().kind {
        Kind::Source(source) => Some(Arc::clone(source)),
        Kind::Rechunk { input } => source_of(input),
        Kind::View { input, view } if view.is_identity() && input.rank() == array.rank() => source_of(input),
        _ => None,
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
        let passing = self.origin.as_ref().map_or(0, |source| source.read_scratch_bytes().saturating_mul(2));
        self.inner.write_scratch_bytes().saturating_add(chunk.max(passing))
    }

    fn waits(&self) -> bool {
        self.inner.waits()
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
            if let Some(origin) = &self.origin {
                let encoded = origin.read_encoded(&index, cx)?;
                stored_bytes += self.inner.write_encoded(&index, encoded.as_deref(), cx)?;
                continue;
            }
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
        let x = x.rechunk([4, 6]).unwrap();
        let sink = InBoxes::over(Arc::clone(&stored) as Arc<dyn Sink>, &x).unwrap();
        assert_eq!((sink.grid(), sink.commit_grid()), (&grid(&[4, 6]), &grid(&[4, 6])));
        Session::default().store(&[(x, sink)]).unwrap();
        assert_eq!(stored.to_elements::<i32>().unwrap(), (0..70).collect::<Vec<_>>());
    }

    #[test]
    fn boxes_that_cut_chunks_are_refused() {
        let grid = |chunk: &[u64]| ChunkGrid::regular(&[7, 10], chunk).unwrap();
        let stored = Arc::new(MemoryArray::zeros("stored", DType::I32, grid(&[2, 3])).unwrap());
        for (shape, chunk) in [([7, 10], [3, 6]), ([8, 10], [2, 3])] {
            let x = Array::zeros(&shape, DType::I32).unwrap().rechunk(chunk).unwrap();
            assert!(InBoxes::over(Arc::clone(&stored) as Arc<dyn Sink>, &x).is_err());
        }
    }
}
