//! Medians and quantiles of groups: lines whole along the axis, ranked group by group.
//!
//! Where memory does not hold lines that are whole, the planner cuts the array anew through the disk, as for other quantiles.
//! Invariant: a group with NaN has NaN unless NaN is left out. Called by programs and `eval`.

use super::GroupBy;
use crate::array::order::{one, with_axis};
use crate::array::tasks::whole_along;
use crate::array::{Array, Levels};
use crate::block::{Block, BlockClosure, BlockInfo, blocks, chunks};
use crate::chunk::Chunk;
use crate::error::{Error, Result};
use crate::grid::AxisGrid;
use crate::region::{byte_count, small};
use blockwise_kernels::order::{Quantile, QuantileMethod};
use blockwise_kernels::{Buffer, Scalar, gather};
use std::sync::Arc;

impl GroupBy {
    /// The medians of groups: of an even number of elements the mean of the two in the middle. With `skip_nan`, of what is
    /// not NaN.
    ///
    /// # Errors
    /// If the dtype is complex.
    pub fn median(&self, skip_nan: bool) -> Result<Array> {
        self.ranked(Quantile::median(self.array.dtype(), skip_nan)?, None)
    }

    /// The quantiles `levels` of groups, each from 0 to 1: a list adds an axis in front. With `skip_nan`, of what is not NaN.
    ///
    /// # Errors
    /// If a level is outside of 0 to 1, none is given, or the dtype is complex.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// use blockwise_kernels::order::QuantileMethod;
    /// let groups = Array::arange(0.0, 6.0, 1.0)?.group_by(&[0, 1, 0, 1, 0, 1], 0)?;
    /// let quartiles = groups.quantile([0.25, 0.5], QuantileMethod::Linear, false)?;
    /// assert_eq!(quartiles.compute::<f64>()?, ndarray::arr2(&[[1.0, 2.0], [2.0, 3.0]]).into_dyn());
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn quantile(
        &self,
        levels: impl Into<Levels>,
        method: QuantileMethod,
        skip_nan: bool,
    ) -> Result<Array> {
        let levels = levels.into();
        let count = match &levels {
            Levels::One(_) => None,
            Levels::Many(list) if list.is_empty() => {
                return Err(Error::Usage {
                    message: "no quantile was asked for; give at least one".to_owned(),
                });
            }
            Levels::Many(list) => Some(list.len() as u64),
        };
        self.ranked(levels.quantile(self.array.dtype(), method, skip_nan)?, count)
    }

    fn ranked(&self, quantile: Quantile, levels: Option<u64>) -> Result<Array> {
        let (array, axis) = (&self.array, self.axis);
        let dtype = quantile.output_dtype();
        let names = levels.map(|_| None).into_iter().chain(array.names().iter().cloned()).collect();
        let mut shape: Vec<u64> = array.shape();
        shape[axis] = self.groups.count();
        if shape.contains(&0) {
            let shape: Vec<u64> = levels.into_iter().chain(shape).collect();
            return Ok(Array::full(&shape, Scalar::zero(dtype))?.renamed(names));
        }
        let tasks = whole_along(array, &[axis])?;
        let count = self.groups.count();
        let mut grid = with_axis(&tasks, axis, AxisGrid::regular(count, count)?)?.axes().to_vec();
        let mut index_axes: Vec<Option<usize>> =
            (0..array.rank()).map(|own| (own != axis).then_some(own)).collect();
        if let Some(levels) = levels {
            grid.insert(0, AxisGrid::regular(levels, levels)?);
            index_axes.insert(0, None);
        }
        let levels = levels.unwrap_or(1) as usize;
        let (item_bytes, out_bytes) = (array.dtype().size(), dtype.size());
        let positions = self.groups.positions();
        let longest = positions.iter().map(Vec::len).max().unwrap_or(0);
        // A group's rows, their quantiles, and what finding these takes.
        let mut largest = small(&tasks.largest_chunk())?;
        let lines: u64 =
            largest.iter().enumerate().filter(|(n, _)| *n != axis).map(|(_, len)| *len as u64).product();
        largest[axis] = longest;
        let scratch = byte_count(&[lines, longest as u64], item_bytes)
            .unwrap_or(u64::MAX)
            .saturating_add(byte_count(&[lines, levels as u64], out_bytes).unwrap_or(u64::MAX))
            .saturating_add(quantile.scratch_bytes(&largest, axis)? as u64)
            .saturating_add(gather::scratch_bytes(longest) as u64);
        let run = move |_: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block], [out]) = (blocks(inputs)?, chunks(outputs)?);
            let shape = block.shape()?;
            let outer: usize = shape.iter().take(axis).product();
            let inner: usize = shape.iter().skip(axis + 1).product();
            let out = out.bytes_mut();
            for (group, own) in positions.iter().enumerate() {
                let mut rows = Buffer::zeroed(outer * own.len() * inner * item_bytes);
                gather::take(block.bytes, &shape, axis, own, item_bytes, &mut rows)?;
                let mut found = Buffer::zeroed(levels * outer * inner * out_bytes);
                quantile.run(&rows, &[outer, own.len(), inner], 1, &mut found)?;
                let row_bytes = inner * out_bytes;
                for (line, row) in found.chunks_exact(row_bytes.max(1)).enumerate() {
                    let start = (line * positions.len() + group) * row_bytes;
                    if let Some(place) = out.get_mut(start..start + row_bytes) {
                        place.copy_from_slice(row);
                    }
                }
            }
            Ok(())
        };
        let function = Arc::new(BlockClosure::new("quantile of groups", scratch, run));
        let outputs = vec![(dtype, crate::grid::ChunkGrid::from_axes(grid)?)];
        let [result] = one(Array::from_blocks(function, vec![array.into()], tasks, index_axes, outputs)?)?;
        Ok(result.renamed(names))
    }
}
