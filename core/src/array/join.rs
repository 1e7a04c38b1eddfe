//! Arrays put together: side by side, stacked, rolled, tiled, padded, with elements inserted.
//!
//! All are one node, a list of parts that tile the result; nothing is copied but by the task that needs it. A part that
//! is computed is stored first. Invariant: the parts cover every position of the result exactly once. Called by
//! programs and `eval`.

use super::{Array, Axis, Index, Kind, Node};
use crate::error::{Error, Result};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::view::{AxisView, View};
use blockwise_kernels::{DType, Scalar};
use std::ops::Range;
use std::sync::Arc;

/// Parts that an array may have; more would make every task slow.
const MAX_PARTS: usize = 1 << 16;

/// Elements that an axis may have when it is padded: far from where positions with a sign would overflow.
const MAX_PADDED: u64 = 1 << 53;

/// A part of a joined array, and where it starts.
pub(crate) struct Part {
    pub(crate) array: Array,
    pub(crate) origin: Vec<u64>,
}

impl Part {
    /// What `window` of the task array, seen through `view` of the joined array, shows of this part: from positions of
    /// the smaller window to those of the part. `None`: nothing.
    pub(crate) fn within(&self, view: &View, window: &[Range<u64>]) -> Option<(View, Vec<Range<u64>>)> {
        let shape = self.array.shape();
        let own: Vec<Range<u64>> =
            self.origin.iter().zip(&shape).map(|(origin, extent)| *origin..origin + extent).collect();
        if own.iter().any(Range::is_empty) {
            return None;
        }
        let lengths: Vec<u64> = window.iter().map(|range| range.end - range.start).collect();
        let local = view.output_ranges(&own, &lengths)?;
        let axes = view.axes().iter().zip(&self.origin).map(|(axis, origin)| match *axis {
            AxisView::Fixed { at } => Some(AxisView::Fixed { at: at.checked_sub(*origin)? }),
            AxisView::Along { axis: out, step, .. } => {
                let first = axis.position(local.get(out).map_or(0, |range| range.start));
                Some(AxisView::Along { axis: out, start: first.checked_sub(*origin)?, step })
            }
        });
        let axes = axes.collect::<Option<Vec<_>>>()?;
        let smaller = local
            .iter()
            .zip(window)
            .map(|(local, window)| window.start + local.start..window.start + local.end)
            .collect();
        Some((View::new(axes), smaller))
    }
}

/// What stands around a padded array; NumPy's `mode`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PadMode {
    /// This value.
    Constant(Scalar),
    /// The element at the edge.
    Edge,
    /// The array mirrored at its edge elements, which are not repeated.
    Reflect,
    /// The array mirrored at its edges, edge elements repeated.
    Symmetric,
    /// The other end of the array.
    Wrap,
}

impl Array {
    /// Arrays one after another along an axis they have. Dtypes are promoted as NumPy does.
    ///
    /// # Errors
    /// If there are none, or they differ in another axis.
    ///
    /// ```
    /// use blockwise_core::{Array, DType};
    /// let (a, b) = (Array::zeros(&[2, 5], DType::F32)?, Array::zeros(&[3, 5], DType::F64)?);
    /// let both = Array::concatenate(&[a, b], 0)?;
    /// assert_eq!((both.shape(), both.dtype()), (vec![5, 5], DType::F64));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn concatenate(arrays: &[Self], axis: impl Into<Axis>) -> Result<Self> {
        let first = arrays.first().ok_or_else(|| Error::Usage {
            message: "there is nothing to put together; give at least one array".to_owned(),
        })?;
        let axis = axis.into().resolve(first.names())?;
        let dtype = arrays
            .iter()
            .skip(1)
            .fold(first.dtype(), |dtype, array| blockwise_kernels::promote::promote(dtype, array.dtype()));
        let (mut parts, mut lengths, mut at) = (Vec::with_capacity(arrays.len()), Vec::new(), 0_u64);
        for array in arrays {
            let fits = array.rank() == first.rank()
                && array
                    .shape()
                    .iter()
                    .zip(first.shape())
                    .enumerate()
                    .all(|(n, (a, b))| n == axis || *a == b);
            if !fits {
                let mut expected = first.shape();
                expected[axis] = array.shape().get(axis).copied().unwrap_or(0);
                return Err(Error::Shape { expected, found: array.shape() });
            }
            let mut origin = vec![0; first.rank()];
            origin[axis] = at;
            let cuts = &array.grid().axes()[axis];
            lengths.extend((0..cuts.count()).map(|n| cuts.length(n)).filter(|length| *length > 0));
            at = at
                .checked_add(cuts.extent())
                .ok_or(Error::TooLarge { what: "axis", shape: array.shape() })?;
            parts.push(Part { array: array.astype(dtype), origin });
        }
        let mut axes = first.grid().axes().to_vec();
        axes[axis] = AxisGrid::rectilinear(&super::index::merged(lengths))?;
        Ok(Self::joined(parts, dtype, ChunkGrid::from_axes(axes)?, first.names().to_vec()))
    }

    fn joined(mut parts: Vec<Part>, dtype: DType, grid: ChunkGrid, names: Vec<Option<String>>) -> Self {
        parts.retain(|part| !part.array.shape().contains(&0));
        let kind = match parts.as_slice() {
            [only] if only.array.shape() == grid.shape() => return only.array.renamed(names),
            // Nothing at all: any value will do.
            [] => Kind::Constant(Scalar::zero(dtype)),
            _ => Kind::Join(parts),
        };
        Self { node: Arc::new(Node { dtype, grid, names, kind }) }
    }

    /// Arrays of one shape along a new axis at position `axis`.
    ///
    /// # Errors
    /// If there are none, or shapes differ.
    pub fn stack(arrays: &[Self], axis: i64) -> Result<Self> {
        let expanded = arrays.iter().map(|array| array.expand_dims(axis)).collect::<Result<Vec<_>>>()?;
        let rank = expanded.first().map_or(0, Self::rank);
        let at = Axis::Index(axis).resolve(&vec![None; rank])?;
        Self::concatenate(&expanded, at)
    }

    /// The array shifted by `shift` elements along an axis; what falls off comes back at the other end.
    ///
    /// # Errors
    /// If there is no such axis.
    pub fn roll(&self, shift: i64, axis: impl Into<Axis>) -> Result<Self> {
        let axis = axis.into().resolve(self.names())?;
        let extent = self.shape()[axis] as i64;
        if extent == 0 {
            return Ok(self.clone());
        }
        let cut = extent - shift.rem_euclid(extent);
        let rolled = Self::concatenate(&[self.slice(axis, cut..)?, self.slice(axis, ..cut)?], axis)?;
        rolled.rechunk(self.grid())
    }

    /// The array repeated `repetitions` times along an axis, whole after whole.
    ///
    /// # Errors
    /// If there is no such axis, or there are too many repetitions.
    pub fn tile(&self, repetitions: usize, axis: impl Into<Axis>) -> Result<Self> {
        let axis = axis.into().resolve(self.names())?;
        if repetitions == 0 {
            return self.slice(axis, ..0);
        }
        check_parts(repetitions)?;
        Self::concatenate(&vec![self.clone(); repetitions], axis)
    }

    /// The array with `before` and `after` elements around it along one axis.
    ///
    /// # Errors
    /// If there is no such axis, or nothing to repeat along it.
    pub fn pad(&self, axis: impl Into<Axis>, before: u64, after: u64, mode: PadMode) -> Result<Self> {
        let axis = axis.into().resolve(self.names())?;
        let extent = self.shape()[axis];
        if before == 0 && after == 0 {
            return Ok(self.clone());
        }
        if extent == 0 && !matches!(mode, PadMode::Constant(_)) {
            let message = format!("axis {axis} has no elements to repeat; pad it with a constant");
            return Err(Error::Usage { message });
        }
        // Runs of positions, from -before to extent + after, of which each is one view of the array.
        let total = before.checked_add(extent).and_then(|n| n.checked_add(after));
        if total.is_none_or(|total| total > MAX_PADDED) {
            let message = format!(
                "{before} and {after} elements of padding along axis {axis}; give fewer, at most 2^53"
            );
            return Err(Error::Usage { message });
        }
        let mut parts = Vec::new();
        let (mut at, end) = (-(before as i64), (extent + after) as i64);
        while at < end {
            let (part, count) = self.padding(axis, at, end - at, mode)?;
            parts.push(part);
            check_parts(parts.len())?;
            at += count;
        }
        let padded = Self::concatenate(&parts, axis)?;
        Ok(padded.renamed(self.names().to_vec()))
    }

    /// The part of a padded array from position `at` on, at most `most` long, and its length.
    fn padding(&self, axis: usize, at: i64, most: i64, mode: PadMode) -> Result<(Self, i64)> {
        let extent = self.shape()[axis] as i64;
        if (0..extent).contains(&at) {
            return Ok((self.clone(), extent));
        }
        let to_edge = if at < 0 { (-at).min(most) } else { most };
        let constant = |count: i64| -> Result<Self> {
            let mut shape = self.shape();
            shape[axis] = count as u64;
            let PadMode::Constant(value) = mode else { return self.slice(axis, ..0) };
            let value = super::scalar_as(value, self.dtype()).ok_or_else(|| Error::Usage {
                message: format!("the padding value cannot be converted to {}", self.dtype()),
            })?;
            let mut axes = self.grid().axes().to_vec();
            axes[axis] = AxisGrid::regular(count as u64, count as u64)?;
            Ok(Self::of(self.dtype(), ChunkGrid::from_axes(axes)?, Kind::Constant(value)))
        };
        let run = |from: i64, step: i64, count: i64| -> Result<Self> {
            let stop = from + step * count;
            let item = Index::Slice { start: Some(from), stop: (stop >= 0).then_some(stop), step };
            self.slice(axis, item)
        };
        match mode {
            PadMode::Constant(_) => Ok((constant(to_edge)?, to_edge)),
            PadMode::Edge => {
                let edge = self.slice(axis, if at < 0 { 0..1 } else { extent - 1..extent })?;
                let mut shape = self.shape();
                shape[axis] = to_edge as u64;
                Ok((edge.broadcast_to(&shape)?, to_edge))
            }
            PadMode::Wrap => {
                let from = at.rem_euclid(extent);
                let count = (extent - from).min(to_edge);
                Ok((run(from, 1, count)?, count))
            }
            PadMode::Symmetric => {
                let from = at.rem_euclid(2 * extent);
                let (from, step, room) = if from < extent {
                    (from, 1, extent - from)
                } else {
                    (2 * extent - 1 - from, -1, 2 * extent - from)
                };
                let count = room.min(to_edge);
                Ok((run(from, step, count)?, count))
            }
            PadMode::Reflect if extent == 1 => {
                let mut shape = self.shape();
                shape[axis] = to_edge as u64;
                Ok((self.broadcast_to(&shape)?, to_edge))
            }
            PadMode::Reflect => {
                let period = 2 * (extent - 1);
                let from = at.rem_euclid(period);
                let (from, step, room) = if from < extent - 1 {
                    (from, 1, extent - 1 - from)
                } else {
                    (period - from, -1, period - from)
                };
                let count = room.min(to_edge);
                Ok((run(from, step, count)?, count))
            }
        }
    }

    /// The array with `values` before position `at` along an axis.
    ///
    /// # Errors
    /// If the position is outside the axis or the shapes differ in another one.
    pub fn insert(&self, at: i64, values: &Self, axis: impl Into<Axis>) -> Result<Self> {
        let axis = axis.into().resolve(self.names())?;
        let extent = self.shape()[axis] as i64;
        let place = if at < 0 { at + extent } else { at };
        if !(0..=extent).contains(&place) {
            let message = format!("position {at} is outside axis {axis}, which has {extent} elements");
            return Err(Error::Usage { message });
        }
        let values = values.astype(self.dtype());
        Self::concatenate(&[self.slice(axis, ..place)?, values, self.slice(axis, place..)?], axis)
    }
}

fn check_parts(count: usize) -> Result<()> {
    if count > MAX_PARTS {
        let message = format!("an array of more than {MAX_PARTS} parts; put it together in larger pieces");
        return Err(Error::Usage { message });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paddings_that_positions_cannot_count_are_refused() {
        let x = Array::zeros(&[12], DType::F64).unwrap();
        for (before, after) in
            [(1 << 62, 1 << 62), (i64::MAX as u64, 0), (0, i64::MAX as u64), (u64::MAX, u64::MAX)]
        {
            assert!(x.pad(0, before, after, PadMode::Edge).is_err(), "{before} {after}");
        }
        assert_eq!(x.pad(0, 1 << 40, 0, PadMode::Edge).unwrap().shape(), [(1 << 40) + 12]);
    }
}
