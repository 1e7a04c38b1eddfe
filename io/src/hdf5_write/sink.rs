//! One array of a file that is being written, as a [`Sink`].
//!
//! Chunks are padded and encoded on the caller's thread and stored by libhdf5's direct chunk write, which takes the
//! lock for the copy into the file alone. Invariants: a chunk at the edge is padded with the fill value to full size,
//! as HDF5 stores it; a chunk of nothing but fill values is not stored and reads as such; contiguous arrays are
//! written whole. A file that was interrupted cannot be resumed, so no chunk ever counts as committed. Made by the
//! writer; called by the executor.

use super::elements::Stored;
use super::file::{DatasetId, SharedFile};
use super::layout::Pipeline;
use crate::error::Error;
use blockwise_core::region::byte_count;
use blockwise_core::{Chunk, ChunkGrid, Result, Sink, TaskContext};
use blockwise_kernels::strided::{Layout, copy_region, fill};
use blockwise_kernels::{Buffer, BufferPool, DType};
use std::sync::Arc;

/// The sink of one dataset.
#[derive(Debug)]
pub(super) struct Hdf5Sink {
    /// The file.
    pub(super) file: Arc<SharedFile>,
    /// The dataset in it.
    pub(super) dataset: DatasetId,
    /// File and node, for people.
    pub(super) label: String,
    /// Type of streamed elements.
    pub(super) dtype: DType,
    /// Of streamed elements: with the axis of bytes where strings have one.
    pub(super) grid: ChunkGrid,
    /// Axes of the dataset: the grid's, or one less where strings are its elements.
    pub(super) dataset_rank: usize,
    /// The stored type.
    pub(super) stored: Stored,
    /// Shape of a full box, in streamed elements.
    pub(super) full_box: Vec<u64>,
    /// Filters if chunked.
    pub(super) pipeline: Option<Pipeline>,
    /// One streamed element of absent chunks.
    pub(super) fill: Vec<u8>,
    /// What [`Sink::encoding`] says.
    pub(super) encoding: Option<String>,
}

impl Hdf5Sink {
    fn full_bytes(&self) -> u64 {
        byte_count(&self.full_box, self.dtype.size()).unwrap_or(u64::MAX)
    }

    /// A full chunk with the elements of `chunk` at its start and fill values behind them.
    fn padded(&self, chunk: &Chunk, pool: &BufferPool) -> Result<Buffer> {
        let (full, shape) = (machine_shape(&self.full_box)?, machine_shape(chunk.shape())?);
        let mut padded = Chunk::uninit(self.dtype, &self.full_box, pool)?.into_buffer();
        let origin = vec![0; full.len()];
        Layout::c_order(&full)
            .and_then(|layout| fill(&mut padded, &layout, &full, &self.fill))
            .and_then(|()| {
                let item_bytes = self.dtype.size();
                copy_region(&mut padded, &full, &origin, chunk.bytes(), &shape, &origin, &shape, item_bytes)
            })
            .map_err(|error| blockwise_core::Error::Internal { message: error.to_string() })?;
        Ok(padded)
    }

    /// Encodes and stores a full chunk.
    fn write_chunk(
        &self,
        pipeline: &Pipeline,
        origin: &[u64],
        full: &[u8],
        pool: &BufferPool,
    ) -> Result<u64> {
        if pipeline.chain.is_empty() {
            return self.store(origin, full);
        }
        let encoded = pipeline.chain.encode(full, pool).map_err(|error| error.at(&self.label))?;
        self.store(origin, &encoded)
    }

    /// Stores encoded bytes as the chunk at `origin`.
    fn store(&self, origin: &[u64], encoded: &[u8]) -> Result<u64> {
        let origin = origin.get(..self.dataset_rank).unwrap_or(origin);
        let len_bytes = encoded.len() as u64;
        if u32::try_from(len_bytes).is_err() {
            let what =
                format!("a chunk takes {len_bytes} bytes encoded, HDF5 allows 4 GiB; give smaller --chunks");
            return Err(Error::Refused { path: self.label.clone(), what }.into());
        }
        self.file.call(len_bytes, |library, open| {
            library.write_chunk(open.dataset(self.dataset)?, origin, encoded)
        })?;
        Ok(len_bytes)
    }
}

impl Sink for Hdf5Sink {
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
        let Some(pipeline) = &self.pipeline else { return 0 };
        let full_bytes = self.full_bytes();
        let edges = self.grid.shape().iter().zip(&self.full_box).any(|(extent, len)| extent % len != 0);
        let padding = if edges { full_bytes } else { 0 };
        let encoding = match usize::try_from(full_bytes) {
            Ok(_) if pipeline.chain.is_empty() => 0,
            Ok(len) => pipeline.chain.encode_scratch_bytes(len),
            Err(_) => u64::MAX,
        };
        padding.saturating_add(encoding)
    }

    fn write(&self, index: &[u64], chunk: &Chunk, cx: &TaskContext<'_>) -> Result<u64> {
        cx.check_cancelled()?;
        let region = self.grid.region(index)?;
        if chunk.shape() != region.shape() || chunk.dtype() != self.dtype {
            let (shape, dtype) = (region.shape().to_vec(), self.dtype);
            let expected_bytes = byte_count(&shape, dtype.size()).unwrap_or(u64::MAX);
            let found_bytes = chunk.bytes().len() as u64;
            return Err(blockwise_core::Error::ChunkBytes { shape, dtype, expected_bytes, found_bytes });
        }
        let Some(pipeline) = &self.pipeline else {
            let rank = self.dataset_rank;
            let (origin, shape) = (region.origin(), region.shape());
            let (origin, shape) = (origin.get(..rank).unwrap_or(origin), shape.get(..rank).unwrap_or(shape));
            // The space of a contiguous dataset was allocated when it was created.
            self.file.call(0, |library, open| {
                let element = self.stored.create(library)?;
                library.write_box(open.dataset(self.dataset)?, &element, origin, shape, chunk.bytes())
            })?;
            return Ok(chunk.bytes().len() as u64);
        };
        if is_all(chunk.bytes(), &self.fill) {
            return Ok(0);
        }
        if chunk.shape() == self.full_box {
            self.write_chunk(pipeline, region.origin(), chunk.bytes(), cx.pool())
        } else {
            let padded = self.padded(chunk, cx.pool())?;
            self.write_chunk(pipeline, region.origin(), &padded, cx.pool())
        }
    }

    fn encoding(&self) -> Option<&str> {
        self.encoding.as_deref()
    }

    fn write_encoded(&self, index: &[u64], encoded: Option<&[u8]>, cx: &TaskContext<'_>) -> Result<u64> {
        cx.check_cancelled()?;
        let region = self.grid.region(index)?;
        encoded.map_or(Ok(0), |encoded| self.store(region.origin(), encoded))
    }

    /// The file is made durable by the writer, once for all arrays.
    fn finish(&self) -> Result<()> {
        Ok(())
    }
}

/// Whether `bytes` is nothing but repetitions of `item`.
fn is_all(bytes: &[u8], item: &[u8]) -> bool {
    match (bytes.get(..item.len()), bytes.get(item.len()..), bytes.len().checked_sub(item.len())) {
        (Some(first), Some(rest), Some(len)) => first == item && bytes.get(..len) == Some(rest),
        _ => false,
    }
}

fn machine_shape(shape: &[u64]) -> Result<Vec<usize>> {
    let axes = shape.iter().map(|&len| usize::try_from(len).ok());
    axes.collect::<Option<_>>()
        .ok_or_else(|| blockwise_core::Error::TooLarge { what: "chunk", shape: shape.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_told_from_all_else() {
        assert!(is_all(&[1, 2, 1, 2, 1, 2], &[1, 2]));
        assert!(!is_all(&[1, 2, 1, 2, 1, 3], &[1, 2]));
        assert!(!is_all(&[2, 1, 2, 1], &[1, 2]));
        assert!(!is_all(&[1], &[1, 2]));
        assert!(is_all(&[7], &[7]));
    }
}
