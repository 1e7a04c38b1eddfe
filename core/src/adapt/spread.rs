//! [`SpreadRows`]: a source whose rows are those of another, each wherever it is named.
//!
//! Invariant: a chunk reads what it names of the source below chunk by chunk, holding one at a time. Made by the planner
//! for [`GroupBy::spread`](crate::array::GroupBy::spread).

use crate::array::LEFT_OUT;
use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
use crate::plan::c_order;
use crate::region::{Region, byte_count, small};
use crate::source::Source;
use blockwise_kernels::strided::copy_region;
use blockwise_kernels::{DType, Scalar};
use std::ops::Range;
use std::sync::Arc;

/// A source whose rows are those of another.
pub(crate) struct SpreadRows {
    inner: Arc<dyn Source>,
    grid: ChunkGrid,
    axis: usize,
    /// Of every position along the axis the row below, or [`LEFT_OUT`].
    rows: Arc<[u32]>,
    fill: Scalar,
}

impl SpreadRows {
    /// The rows of `inner` along `axis` that `rows` names, cut as `grid`.
    pub(crate) fn new(
        inner: Arc<dyn Source>,
        grid: ChunkGrid,
        axis: usize,
        rows: Arc<[u32]>,
        fill: Scalar,
    ) -> Self {
        Self { inner, grid, axis, rows, fill }
    }

    /// The chunks along the axis below that hold rows of `range`, ascending.
    fn chunks_below(&self, range: &Range<u64>) -> Vec<u64> {
        let cuts = &self.inner.grid().axes()[self.axis];
        let rows = self.rows_of(range);
        let mut found: Vec<u64> = rows.iter().filter_map(|row| cuts.chunk_of(u64::from(*row))).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    fn rows_of(&self, range: &Range<u64>) -> &[u32] {
        self.rows.get(range.start as usize..range.end as usize).unwrap_or_default()
    }

    /// Fills the rows of a chunk of `region` that have none below.
    fn fill_left_out(&self, region: &Region, range: &Range<u64>, out: &mut Chunk) -> Result<()> {
        let shape = small(region.shape())?;
        let inner: usize = shape.iter().skip(self.axis + 1).product::<usize>() * self.fill.dtype().size();
        let rows = self.rows_of(range);
        if !rows.contains(&LEFT_OUT) || inner == 0 {
            return Ok(());
        }
        for (row, code) in out.bytes_mut().chunks_exact_mut(inner).zip(rows.iter().cycle()) {
            if *code == LEFT_OUT {
                for item in row.chunks_exact_mut(self.fill.dtype().size()) {
                    item.copy_from_slice(self.fill.bytes());
                }
            }
        }
        Ok(())
    }
}

impl Source for SpreadRows {
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
        let below = byte_count(&self.inner.grid().largest_chunk(), self.dtype().size()).unwrap_or(u64::MAX);
        self.inner.read_scratch_bytes().saturating_add(below)
    }

    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> Result<Chunk> {
        let region = self.grid.region(index)?;
        let ranges: Vec<Range<u64>> = region.ranges().collect();
        let internal = |message: String| Error::Internal { message };
        let range = ranges.get(self.axis).ok_or_else(|| internal("no axis to spread along".to_owned()))?;
        let (below, item_bytes) = (self.inner.grid(), self.dtype().size());
        let mut out = Chunk::uninit(self.dtype(), region.shape(), cx.pool())?;
        self.fill_left_out(&region, range, &mut out)?;
        let out_shape = small(region.shape())?;
        for along in self.chunks_below(range) {
            let touched = ranges.iter().zip(below.axes()).enumerate().map(|(axis, (range, cuts))| {
                if axis == self.axis { along..along + 1 } else { cuts.chunks_in(range.clone()) }
            });
            for index in c_order(touched.collect()) {
                cx.check_cancelled()?;
                let chunk = self.inner.read(&index, cx)?;
                let held = below.region(&index)?;
                let own: Vec<Range<u64>> = held.ranges().collect();
                let Some(held_rows) = own.get(self.axis) else { continue };
                // What is copied of every row: the same box across the axis.
                let (mut to, mut from, mut shape) = (Vec::new(), Vec::new(), Vec::new());
                for (axis, (range, own)) in ranges.iter().zip(&own).enumerate() {
                    let (start, end) = (range.start.max(own.start), range.end.min(own.end));
                    let whole = axis == self.axis;
                    to.push(if whole { 0 } else { start - range.start });
                    from.push(if whole { 0 } else { start - own.start });
                    shape.push(if whole { 1 } else { end.saturating_sub(start) });
                }
                let (mut to, mut from, shape) = (small(&to)?, small(&from)?, small(&shape)?);
                let held_shape = small(held.shape())?;
                for (at, row) in self.rows_of(range).iter().enumerate() {
                    if !held_rows.contains(&u64::from(*row)) {
                        continue;
                    }
                    to[self.axis] = at;
                    from[self.axis] = (u64::from(*row) - held_rows.start) as usize;
                    let bytes = out.bytes_mut();
                    copy_region(
                        bytes,
                        &out_shape,
                        &to,
                        chunk.bytes(),
                        &held_shape,
                        &from,
                        &shape,
                        item_bytes,
                    )
                    .map_err(|fault| internal(format!("rows of {region}: {fault}")))?;
                }
            }
        }
        Ok(out)
    }

    fn is_in_memory(&self) -> bool {
        self.inner.is_in_memory()
    }

    fn recut(&self, grid: &ChunkGrid) -> Option<Arc<dyn Source>> {
        let Self { inner, axis, rows, fill, .. } = self;
        let cut = Self::new(Arc::clone(inner), grid.clone(), *axis, Arc::clone(rows), *fill);
        inner.is_in_memory().then(|| Arc::new(cut) as Arc<dyn Source>)
    }
}
