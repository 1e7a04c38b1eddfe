//! The elements of a region as they come, put into the objects of the array.
//!
//! Invariant: every box lies in one object, and an object that the region covers in part is one box: so it is read and
//! written by one task. Called by the executor.

use crate::zarr::pipeline::fill_with;
use crate::zarr::sink::{SinkParts, ZarrSink};
use blockwise_core::{AxisGrid, Chunk, ChunkGrid, Error, Region, Result, Sink, Source, TaskContext};
use blockwise_kernels::DType;
use std::ops::Range;
use std::sync::Arc;

/// A region of an array being written.
pub(super) struct RegionSink {
    inner: ZarrSink,
    /// The array as it was.
    source: Arc<dyn Source>,
    fill: Vec<u8>,
    region: Region,
    /// The region's boxes, from its origin on.
    grid: ChunkGrid,
    commit_grid: ChunkGrid,
    /// The array's boxes of which those are parts: its chunks, or shards where the region cuts them.
    boxes: ChunkGrid,
    scratch_bytes: u64,
}

impl RegionSink {
    pub(super) fn new(parts: SinkParts, source: Arc<dyn Source>, region: &Region) -> Result<Self> {
        let (chunks, objects) = (parts.grid.clone(), parts.commit_grid.clone());
        let is_whole = |(range, axis): (Range<u64>, &AxisGrid)| {
            axis.chunk_of(range.start).is_some_and(|n| axis.start(n) == range.start)
                && (range.end == axis.extent()
                    || axis.chunk_of(range.end).is_some_and(|n| axis.start(n) == range.end))
        };
        let covers_objects = region.ranges().zip(objects.axes()).all(is_whole);
        let boxes = if covers_objects { chunks } else { objects.clone() };
        let (grid, commit_grid) = (within(&boxes, region)?, within(&objects, region)?);
        let fill = parts.fill.clone();
        let inner = ZarrSink::new(parts);
        let item_bytes = inner.dtype().size() as u64;
        let bytes_of =
            |grid: &ChunkGrid| grid.largest_chunk().iter().product::<u64>().saturating_mul(item_bytes);
        let mut scratch_bytes = inner.write_scratch_bytes();
        if !covers_objects {
            // The merged object, and a chunk of it that is read or written.
            let reading = bytes_of(source.grid()).saturating_add(source.read_scratch_bytes());
            let writing = bytes_of(inner.grid()).saturating_add(scratch_bytes);
            scratch_bytes = bytes_of(&boxes).saturating_add(reading.max(writing));
        }
        Ok(Self { inner, source, fill, region: region.clone(), grid, commit_grid, boxes, scratch_bytes })
    }

    /// The array's box that box `index` of the region is of, and the box itself in the array.
    fn placed(&self, index: &[u64]) -> Result<(Region, Region)> {
        let local = self.grid.region(index)?;
        let origin: Vec<u64> =
            local.origin().iter().zip(self.region.origin()).map(|(at, from)| at + from).collect();
        let whole = origin.iter().zip(self.boxes.axes()).map(|(at, axis)| axis.chunk_of(*at));
        let whole: Vec<u64> = whole.map(Option::unwrap_or_default).collect(); // within the array, as the region is
        Ok((self.boxes.region(&whole)?, Region::new(origin, local.shape().to_vec())?))
    }

    /// The elements of `whole` as they were, with those of `own` replaced by `chunk`.
    fn merged(&self, whole: &Region, own: &Region, chunk: &Chunk, cx: &TaskContext<'_>) -> Result<Chunk> {
        let mut merged = Chunk::uninit(self.inner.dtype(), whole.shape(), cx.pool())?;
        fill_with(merged.bytes_mut(), &self.fill);
        let stored = self.source.grid();
        if let Some(known) = Region::whole(&stored.shape())?.intersection(whole) {
            for index in indices(&stored.chunks_in(&known)) {
                merged.copy_common(whole, &self.source.read(&index, cx)?, &stored.region(&index)?)?;
            }
        }
        merged.copy_common(whole, chunk, own)?;
        Ok(merged)
    }
}

impl Sink for RegionSink {
    fn label(&self) -> &str {
        self.inner.label()
    }

    fn dtype(&self) -> DType {
        self.inner.dtype()
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn commit_grid(&self) -> &ChunkGrid {
        &self.commit_grid
    }

    fn write_scratch_bytes(&self) -> u64 {
        self.scratch_bytes
    }

    fn write(&self, index: &[u64], chunk: &Chunk, cx: &TaskContext<'_>) -> Result<u64> {
        let (whole, own) = self.placed(index)?;
        if chunk.shape() != own.shape() {
            return Err(Error::Shape { expected: own.shape().to_vec(), found: chunk.shape().to_vec() });
        }
        let chunks = self.inner.grid();
        let first: Vec<Range<u64>> = chunks.chunks_in(&whole);
        if whole == own && first.iter().all(|range| range.end - range.start == 1) {
            let at: Vec<u64> = first.iter().map(|range| range.start).collect();
            return self.inner.write(&at, chunk, cx);
        }
        let merged = self.merged(&whole, &own, chunk, cx)?;
        let mut stored_bytes = 0;
        for at in indices(&first) {
            let place = chunks.region(&at)?;
            if place == whole {
                stored_bytes += self.inner.write(&at, &merged, cx)?;
                continue;
            }
            let mut part = Chunk::uninit(self.inner.dtype(), place.shape(), cx.pool())?;
            part.copy_common(&place, &merged, &whole)?;
            stored_bytes += self.inner.write(&at, &part, cx)?;
        }
        Ok(stored_bytes)
    }

    fn finish(&self) -> Result<()> {
        self.inner.finish()
    }
}

/// The cuts of `grid` within `region`, from its origin on.
fn within(grid: &ChunkGrid, region: &Region) -> Result<ChunkGrid> {
    let cut = |(axis, range): (&AxisGrid, Range<u64>)| {
        let chunks = axis.chunks_in(range.clone());
        match axis.regular_chunk() {
            Some(chunk) if axis.start(chunks.start) == range.start => {
                AxisGrid::regular(range.end - range.start, chunk)
            }
            _ => {
                let part = |n| axis.start(n + 1).min(range.end) - axis.start(n).max(range.start);
                AxisGrid::rectilinear(&chunks.map(part).collect::<Vec<_>>())
            }
        }
    };
    ChunkGrid::from_axes(grid.axes().iter().zip(region.ranges()).map(cut).collect::<Result<_>>()?)
}

/// Every index of a box of chunks.
fn indices(ranges: &[Range<u64>]) -> impl Iterator<Item = Vec<u64>> {
    let mut all = vec![Vec::with_capacity(ranges.len())];
    for range in ranges {
        let longer = |index: Vec<u64>| {
            range.clone().map(move |at| {
                let mut index = index.clone();
                index.push(at);
                index
            })
        };
        all = all.into_iter().flat_map(longer).collect();
    }
    all.into_iter()
}
