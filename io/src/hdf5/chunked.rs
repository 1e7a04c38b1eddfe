//! A chunked HDF5 dataset as a [`Source`]: positional reads of stored chunks, decoded in the calling thread.
//!
//! Invariants: the index was listed and checked when the source was made, so a read touches no shared state but the
//! file descriptor; a chunk decodes to exactly its bytes or is an error; only chunks that the index does not name, and
//! elements beyond the stored extent (NetCDF's shorter records), read as fill values. Called by the executor.

use super::file::H5File;
use super::filters::Pipeline;
use super::index::{ChunkIndex, StoredChunk};
use super::layout::{ChunkedPlace, DatasetLayout};
use super::types::ItemType;
use crate::container::MissingChunks;
use crate::error::{Error, Result};
use blockwise_core::{Chunk, ChunkGrid, Region, Source, TaskContext};
use blockwise_kernels::buffer::size_class_bytes;
use blockwise_kernels::strided::{self, Layout};
use blockwise_kernels::{Buffer, DType};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The chunks of one dataset as bytes: what sources and text reads share.
pub(super) struct ChunkReader {
    file: Arc<H5File>,
    label: String,
    item_bytes: usize,
    /// The stored extent.
    stored: ChunkGrid,
    /// Chunk lengths, in elements.
    chunk: Vec<usize>,
    chunk_bytes: usize,
    index: ChunkIndex,
    pipeline: Pipeline,
}

impl ChunkReader {
    /// Lists the chunks of the dataset that people call `label`.
    pub(super) fn new(
        file: Arc<H5File>,
        label: &str,
        layout: &DatasetLayout,
        place: &ChunkedPlace,
    ) -> Result<Self> {
        let stored = ChunkGrid::regular(&layout.shape, &place.chunk)?;
        let pipeline = Pipeline::new(&place.filters, layout.item_bytes as usize, label)?;
        let index = ChunkIndex::read(&file, layout, place, &stored, label)?;
        let narrow = |len: u64| usize::try_from(len).unwrap_or(usize::MAX); // below 2^32: checked when parsed
        Ok(Self {
            file,
            label: label.to_owned(),
            item_bytes: layout.item_bytes as usize,
            stored,
            chunk: place.chunk.iter().map(|len| narrow(*len)).collect(),
            chunk_bytes: narrow(place.chunk_bytes),
            index,
            pipeline,
        })
    }

    /// The grid over the stored extent.
    pub(super) const fn grid(&self) -> &ChunkGrid {
        &self.stored
    }

    /// The chunk index.
    pub(super) const fn index(&self) -> &ChunkIndex {
        &self.index
    }

    /// Chunk `index` as stored, if it is; the index may lie outside of the stored extent.
    pub(super) fn find(&self, index: &[u64]) -> Option<StoredChunk> {
        let is_stored = index.iter().zip(self.stored.axes()).all(|(i, axis)| *i < axis.count());
        is_stored.then(|| self.index.get(self.stored.linear(index)))?
    }

    /// Bytes held at most while [`decode`](Self::decode) runs, beyond its result.
    fn decode_scratch_bytes(&self) -> u64 {
        let longest = usize::try_from(self.index.longest_bytes()).unwrap_or(usize::MAX);
        (size_class_bytes(longest) as u64)
            .saturating_add(self.pipeline.scratch_bytes(self.chunk_bytes) as u64)
    }

    /// The whole chunk, decoded, in the file's byte order.
    pub(super) fn decode(&self, index: &[u64], stored: StoredChunk, cx: &TaskContext<'_>) -> Result<Buffer> {
        let len = usize::try_from(stored.len_bytes).unwrap_or(usize::MAX);
        let position = self.file.position(stored.address);
        let plain = cx.pool().plain();
        let pool = if self.pipeline.is_empty() { cx.pool() } else { &plain };
        let encoded = self.file.bytes().read_range(position, len, pool)?;
        self.pipeline.decode(encoded, stored.filter_mask, self.chunk_bytes, cx.pool()).map_err(|what| Error::Corrupt {
            path: self.label.clone(),
            what: format!("chunk {index:?} ({len} bytes at address {}): {what}", stored.address),
            remedy: "; the file is damaged there: take it from a backup, or leave the array out with --exclude",
        })
    }
}

/// A chunked dataset as a source.
pub(super) struct ChunkedSource {
    reader: Arc<ChunkReader>,
    dtype: DType,
    item: ItemType,
    /// The extent that readers see, with the axis of the bytes of fixed strings.
    grid: ChunkGrid,
    /// One never-written element, in machine order.
    fill_item: Vec<u8>,
    missing_chunks: MissingChunks,
    missing_count: AtomicU64,
}

impl ChunkedSource {
    /// The source of `reader`'s dataset, seen as `grid` of elements of `item`.
    pub(super) fn new(
        reader: Arc<ChunkReader>,
        item: ItemType,
        grid: ChunkGrid,
        layout: &DatasetLayout,
        missing_chunks: MissingChunks,
    ) -> Result<Self> {
        let dtype = item.stream_dtype().ok_or_else(|| super::not_streaming(&reader.label, &item.element))?;
        let mut fill_item = layout.fill_item();
        item.to_native(&mut fill_item, &reader.label)?;
        Ok(Self { reader, dtype, item, grid, fill_item, missing_chunks, missing_count: AtomicU64::new(0) })
    }

    /// The index without the axis of the bytes of fixed strings.
    fn element_index<'a>(&self, index: &'a [u64]) -> &'a [u64] {
        index.get(..self.reader.stored.rank()).unwrap_or(index)
    }

    /// The part of `region` (of elements) that was ever stored; `None` if nothing of it was.
    fn stored_part(&self, region: &Region) -> Option<Vec<usize>> {
        let ends = self.reader.stored.axes().iter().map(blockwise_core::AxisGrid::extent);
        let lens = region.ranges().zip(ends).map(|(range, end)| end.min(range.end).checked_sub(range.start));
        let lens: Option<Vec<u64>> = lens.map(|len| len.filter(|len| *len > 0)).collect();
        lens?.into_iter().map(|len| usize::try_from(len).ok()).collect()
    }

    fn fill(&self, bytes: &mut [u8]) {
        match self.fill_item.as_slice() {
            [first, rest @ ..] if rest.iter().all(|byte| byte == first) => bytes.fill(*first),
            item => bytes.chunks_exact_mut(item.len().max(1)).for_each(|target| target.copy_from_slice(item)),
        }
    }

    /// What the policy says of a chunk that is not stored.
    fn note_missing(&self, index: &[u64]) -> Result<()> {
        let label = &self.reader.label;
        match self.missing_chunks {
            MissingChunks::Fill => Ok(()),
            MissingChunks::Warn => {
                if self.missing_count.fetch_add(1, Ordering::Relaxed) == 0 {
                    tracing::warn!("{label}: chunk {index:?} is missing and reads as its fill value");
                }
                Ok(())
            }
            MissingChunks::Error => Err(Error::MissingChunk { path: format!("{label}, chunk {index:?}") }),
        }
    }

    /// Copies what `full`, a whole chunk, holds of the clipped `region` into `chunk`, and fills the rest.
    fn clip(
        &self,
        full: &[u8],
        region: &Region,
        part: &[usize],
        chunk: &mut Chunk,
    ) -> Result<(), strided::LayoutError> {
        let narrow = |len: &u64| usize::try_from(*len).map_err(|_| strided::LayoutError::Overflow);
        let shape = region.shape().iter().map(narrow).collect::<Result<Vec<_>, _>>()?;
        if part != shape {
            self.fill(chunk.bytes_mut());
        }
        let origin = vec![0; shape.len()];
        let item_bytes = self.reader.item_bytes;
        strided::copy_region(
            chunk.bytes_mut(),
            &shape,
            &origin,
            full,
            &self.reader.chunk,
            &origin,
            part,
            item_bytes,
        )
    }
}

impl Drop for ChunkedSource {
    fn drop(&mut self) {
        let count = *self.missing_count.get_mut();
        if count > 1 {
            tracing::warn!("{}: {count} chunks were missing and read as fill values", self.reader.label);
        }
    }
}

impl Source for ChunkedSource {
    fn label(&self) -> &str {
        &self.reader.label
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn read_scratch_bytes(&self) -> u64 {
        let is_ever_clipped = self
            .grid
            .axes()
            .iter()
            .chain(self.reader.stored.axes())
            .any(|axis| axis.regular_chunk().is_some_and(|chunk| !axis.extent().is_multiple_of(chunk)));
        let whole = if is_ever_clipped { size_class_bytes(self.reader.chunk_bytes) as u64 } else { 0 };
        self.reader.decode_scratch_bytes().saturating_add(whole)
    }

    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> blockwise_core::Result<Chunk> {
        let region = self.grid.region(index)?;
        let index = self.element_index(index);
        let rank = index.len();
        let lead = |list: &[u64]| list.get(..rank).unwrap_or_default().to_vec();
        let elements = Region::new(lead(region.origin()), lead(region.shape()))?;
        let part = self.stored_part(&elements);
        let (Some(part), Some(stored)) = (&part, self.reader.find(index)) else {
            if part.is_some() {
                self.note_missing(index)?;
            }
            let mut chunk = Chunk::uninit(self.dtype, region.shape(), cx.pool())?;
            self.fill(chunk.bytes_mut());
            return Ok(chunk);
        };
        let mut full = self.reader.decode(index, stored, cx)?;
        if *part == self.reader.chunk {
            self.item.to_native(&mut full, &self.reader.label)?;
            return Chunk::new(self.dtype, region.shape().to_vec(), full);
        }
        self.item.to_native(&mut full, &self.reader.label)?;
        let mut chunk = Chunk::uninit(self.dtype, region.shape(), cx.pool())?;
        self.clip(&full, &elements, part, &mut chunk)
            .map_err(|error| blockwise_core::Error::Internal { message: error.to_string() })?;
        Ok(chunk)
    }

    fn stored_bytes(&self) -> Option<u64> {
        Some(self.reader.index.stored_bytes())
    }
}

/// A dataset that was never written: every element is the fill value.
pub(super) struct FillSource {
    label: String,
    dtype: DType,
    grid: ChunkGrid,
    item: Vec<u8>,
    missing_chunks: MissingChunks,
}

impl FillSource {
    /// The source of a dataset called `label` without storage.
    pub(super) fn new(
        label: &str,
        item: &ItemType,
        grid: ChunkGrid,
        layout: &DatasetLayout,
        missing_chunks: MissingChunks,
    ) -> Result<Self> {
        let dtype = item.stream_dtype().ok_or_else(|| super::not_streaming(label, &item.element))?;
        let mut fill = layout.fill_item();
        item.to_native(&mut fill, label)?;
        Ok(Self { label: label.to_owned(), dtype, grid, item: fill, missing_chunks })
    }
}

impl Source for FillSource {
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

    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> blockwise_core::Result<Chunk> {
        if self.missing_chunks == MissingChunks::Error {
            return Err(Error::MissingChunk { path: self.label.clone() }.into());
        }
        let region = self.grid.region(index)?;
        let mut chunk = Chunk::uninit(self.dtype, region.shape(), cx.pool())?;
        let layout = Layout { offset: 0, strides: vec![1] };
        let count = chunk.bytes().len() / self.item.len().max(1);
        strided::fill(chunk.bytes_mut(), &layout, &[count], &self.item)
            .map_err(|error| blockwise_core::Error::Internal { message: error.to_string() })?;
        Ok(chunk)
    }

    fn stored_bytes(&self) -> Option<u64> {
        Some(0)
    }

    fn recut(&self, grid: &ChunkGrid) -> Option<Arc<dyn Source>> {
        // Fixed strings must not be cut between their bytes.
        let is_cut = self
            .grid
            .axes()
            .last()
            .zip(grid.axes().last())
            .is_some_and(|(own, new)| own.count() != new.count());
        if grid.shape() != self.grid.shape() || (self.item.len() != self.dtype.size() && is_cut) {
            return None;
        }
        let Self { label, dtype, item, missing_chunks, .. } = self;
        let (label, item) = (label.clone(), item.clone());
        Some(Arc::new(Self {
            label,
            dtype: *dtype,
            grid: grid.clone(),
            item,
            missing_chunks: *missing_chunks,
        }))
    }
}
