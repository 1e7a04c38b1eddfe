//! Cumulative functions along an axis, differences and gradients, with NumPy's meaning and dtypes.
//!
//! A cumulative function of an array cut along its axis takes two passes, both parallel: the totals of every block, then
//! every block again, carried on from the totals of all before it. Where blocks would be too short for that to pay,
//! the array is cut anew so that lines are whole. Invariant: results depend on the array's own cuts alone, and on these by
//! rounding only. Called by programs and `eval`.

use super::order::{one, with_axis};
use super::tasks::{long_along, pieces_along, whole_along};
use super::{Array, Axis, BlockInput};
use crate::block::{Block, BlockClosure, BlockInfo, blocks, chunks};
use crate::chunk::Chunk;
use crate::error::{Error, Result};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::region::byte_count;
use blockwise_kernels::scan::{Scan, ScanOp};
use blockwise_kernels::{Buffer, DType};
use std::sync::Arc;

/// Lines up to this size are scanned whole.
const LINE_BYTES: u64 = 16 << 20;

impl Array {
    /// The cumulative function `op` along `axis`; with `skip_nan`, NaN counts as nothing.
    ///
    /// # Errors
    /// If there is no such axis.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// use blockwise_kernels::scan::ScanOp;
    /// let x = Array::arange_i64(1, 6, 1)?.rechunk([2])?;
    /// assert_eq!(x.scan(ScanOp::Product, 0, false)?.compute::<i64>()?.as_slice(), Some(&[1, 2, 6, 24, 120][..]));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn scan(&self, op: ScanOp, axis: impl Into<Axis>, skip_nan: bool) -> Result<Self> {
        let axis = axis.into().resolve(self.names())?;
        let scan = Scan::new(op, self.dtype(), skip_nan);
        let cell_bytes = scan.carry_bytes(1)? as u64;
        if self.is_empty() {
            return Ok(self.astype(scan.output_dtype()));
        }
        let item_bytes = self.dtype().size() as u64;
        // Totals pay if a task reads few of them beside its own block.
        let pays = |tasks: &ChunkGrid| {
            let cuts = &tasks.axes()[axis];
            cuts.count().saturating_mul(4 * cell_bytes) <= cuts.longest().saturating_mul(item_bytes)
        };
        let long = long_along(self, axis)?;
        let extent = self.grid().axes()[axis].extent();
        let result = if long.axes()[axis].count() == 1 {
            self.scanned_whole(scan, axis, long)
        } else if pays(&long) {
            self.scanned_in_two(scan, axis, &long, cell_bytes)
        } else if extent.saturating_mul(item_bytes) <= LINE_BYTES {
            self.scanned_whole(scan, axis, whole_along(self, &[axis])?)
        } else {
            // Few lines to a block, and those long.
            let tasks = pieces_along(self, axis, LINE_BYTES / item_bytes)?;
            self.scanned_in_two(scan, axis, &tasks, cell_bytes)
        };
        Ok(result?.renamed(self.names().to_vec()))
    }

    /// The results of blocks that are whole along `axis`.
    fn scanned_whole(&self, scan: Scan, axis: usize, tasks: ChunkGrid) -> Result<Self> {
        let run = move |_: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block], [out]) = (blocks(inputs)?, chunks(outputs)?);
            let shape = block.shape()?;
            let mut carry = fresh_carry(scan, &shape, axis)?;
            Ok(scan.run(block.bytes, &shape, axis, &mut carry, out.bytes_mut())?)
        };
        let scratch = carry_bytes(scan, &tasks, axis)?;
        let outputs = vec![(scan.output_dtype(), tasks.clone())];
        let index_axes = (0..self.rank()).map(Some).collect();
        let function = Arc::new(BlockClosure::new("cumulative function", scratch, run));
        let [result] = one(Self::from_blocks(function, vec![self.into()], tasks, index_axes, outputs)?)?;
        Ok(result)
    }

    /// The results of blocks that follow one another along `axis`.
    fn scanned_in_two(&self, scan: Scan, axis: usize, tasks: &ChunkGrid, cell_bytes: u64) -> Result<Self> {
        let totals = self.totals(scan, axis, tasks, cell_bytes)?;
        // The tasks see the totals of all blocks along an axis of their own, in front; bytes of a total come last.
        let parts = tasks.axes()[axis].count();
        let (front, back) = (AxisGrid::regular(parts, parts)?, AxisGrid::regular(cell_bytes, cell_bytes)?);
        let own = tasks.axes().iter().cloned();
        let all = std::iter::once(front).chain(own).chain(std::iter::once(back)).collect();
        let all = ChunkGrid::from_axes(all)?;
        let lines: BlockInput = (&self.expand_dims(0)?.expand_dims(-1)?).into();
        let before: BlockInput = (&totals.move_axis(axis, 0)?.expand_dims(axis as i64 + 1)?).into();
        let run = move |info: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block, totals], [out]) = (blocks(inputs)?, chunks(outputs)?);
            let shape = block.shape()?;
            let shape = shape.get(1..shape.len() - 1).unwrap_or_default();
            let mut carry = fresh_carry(scan, shape, axis)?;
            // Carries are aligned; one block's totals within those of all need not be.
            let mut next = Buffer::zeroed(carry.len());
            let part = info.index.get(axis + 1).map_or(0, |part| *part as usize);
            for earlier in totals.bytes.chunks_exact(carry.len().max(1)).take(part) {
                next.copy_from_slice(earlier);
                scan.combine(&mut carry, &next)?;
            }
            Ok(scan.run(block.bytes, shape, axis, &mut carry, out.bytes_mut())?)
        };
        let scratch = carry_bytes(scan, tasks, axis)?.saturating_mul(2);
        let outputs = vec![(scan.output_dtype(), tasks.clone())];
        let index_axes = (1..=self.rank()).map(Some).collect();
        let function = Arc::new(BlockClosure::new("cumulative function", scratch, run));
        let [result] = one(Self::from_blocks(function, vec![lines, before], all, index_axes, outputs)?)?;
        Ok(result)
    }

    /// The totals of every block: one element along `axis` for each, and their bytes along an axis at the end.
    fn totals(&self, scan: Scan, axis: usize, tasks: &ChunkGrid, cell_bytes: u64) -> Result<Self> {
        let parts = tasks.axes()[axis].count();
        let mut grid = with_axis(tasks, axis, AxisGrid::regular(parts, 1)?)?.axes().to_vec();
        grid.push(AxisGrid::regular(cell_bytes, cell_bytes)?);
        let run = move |_: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block], [out]) = (blocks(inputs)?, chunks(outputs)?);
            scan.start(out.bytes_mut())?;
            Ok(scan.totals(block.bytes, &block.shape()?, axis, out.bytes_mut())?)
        };
        let index_axes = (0..self.rank()).map(Some).chain(std::iter::once(None)).collect();
        let function = Arc::new(BlockClosure::new("totals of blocks", 0, run));
        let outputs = vec![(DType::U8, ChunkGrid::from_axes(grid)?)];
        let [totals] =
            one(Self::from_blocks(function, vec![self.into()], tasks.clone(), index_axes, outputs)?)?;
        Ok(totals)
    }

    /// NumPy's `diff`: the differences of neighbours along `axis`, `n` times over.
    ///
    /// # Errors
    /// If there is no such axis.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let squares = Array::from_fn(&[5], |at| (at[0] * at[0]) as i64)?;
    /// assert_eq!(squares.diff(1, 0)?.compute::<i64>()?.as_slice(), Some(&[1, 3, 5, 7][..]));
    /// assert_eq!(squares.diff(2, 0)?.compute::<i64>()?.as_slice(), Some(&[2, 2, 2][..]));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn diff(&self, n: u64, axis: impl Into<Axis>) -> Result<Self> {
        let axis = axis.into().resolve(self.names())?;
        let function = if self.dtype() == DType::Bool { "not_equal" } else { "subtract" };
        let mut result = self.clone();
        for _ in 0..n.min(self.grid().axes()[axis].extent()) {
            let (next, last) = (result.slice(axis, 1..)?, result.slice(axis, ..-1)?);
            result = Self::call(function, [next.into(), last.into()])?;
        }
        Ok(result)
    }

    /// NumPy's `gradient` along `axis`: central differences inside, one-sided ones at both ends, over points `spacing`
    /// apart.
    ///
    /// # Errors
    /// If there is no such axis, it has fewer than 2 elements, or the dtype is bool.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let squares = Array::from_fn(&[4], |at| (at[0] * at[0]) as f64)?;
    /// assert_eq!(squares.gradient(1.0, 0)?.compute::<f64>()?.as_slice(), Some(&[1.0, 2.0, 4.0, 5.0][..]));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn gradient(&self, spacing: f64, axis: impl Into<Axis>) -> Result<Self> {
        let axis = axis.into().resolve(self.names())?;
        let extent = self.grid().axes()[axis].extent();
        if extent < 2 {
            let message = format!("a gradient needs at least 2 elements; axis {axis} has {extent}");
            return Err(Error::Usage { message });
        }
        let x = if matches!(self.dtype().kind(), 'f' | 'c') { self.clone() } else { self.astype(DType::F64) };
        let after = Self::concatenate(&[x.slice(axis, 1..)?, x.slice(axis, -1..)?], axis)?;
        let before = Self::concatenate(&[x.slice(axis, ..1)?, x.slice(axis, ..-1)?], axis)?;
        let distance = Self::from_fn(&[extent], move |at| {
            let is_end = at.first().is_some_and(|at| *at == 0 || *at == extent - 1);
            if is_end { spacing } else { 2.0 * spacing }
        })?;
        let distance = x.along(axis, &distance.astype(x.dtype()))?;
        after.try_sub(before)?.try_div(distance)?.rechunk(x.grid())
    }
}

macro_rules! cumulative {
    ($($method:ident: $op:ident, $skip_nan:literal, $doc:literal;)*) => {
        impl Array {$(
            #[doc = $doc]
            ///
            /// # Errors
            /// If there is no such axis.
            pub fn $method(&self, axis: impl Into<Axis>) -> Result<Self> {
                self.scan(ScanOp::$op, axis, $skip_nan)
            }
        )*}
    };
}
cumulative! {
    cumsum: Sum, false, "Cumulative sums along an axis; of integers as 64-bit ones, wrapping.";
    cumprod: Product, false, "Cumulative products along an axis; of integers as 64-bit ones, wrapping.";
    cummin: Min, false, "The smallest elements so far along an axis; NaN from the first NaN on.";
    cummax: Max, false, "The largest elements so far along an axis; NaN from the first NaN on.";
    nancumsum: Sum, true, "Cumulative sums along an axis, of NaN as 0.";
    nancumprod: Product, true, "Cumulative products along an axis, of NaN as 1.";
}

/// A carry that has seen nothing of the lines of a block.
fn fresh_carry(scan: Scan, shape: &[usize], axis: usize) -> Result<Buffer> {
    let lines = shape.iter().enumerate().filter(|(n, _)| *n != axis).map(|(_, len)| len).product();
    let mut carry = Buffer::zeroed(scan.carry_bytes(lines)?);
    scan.start(&mut carry)?;
    Ok(carry)
}

/// Bytes of the carry of the largest block.
fn carry_bytes(scan: Scan, tasks: &ChunkGrid, axis: usize) -> Result<u64> {
    let chunk = tasks.largest_chunk();
    let lines: Vec<u64> = chunk.iter().enumerate().filter(|(n, _)| *n != axis).map(|(_, len)| *len).collect();
    Ok(byte_count(&lines, scan.carry_bytes(1)?).unwrap_or(u64::MAX))
}
