//! Boxes of neighbours that become one element each: xarray's `coarsen`, and the levels of image pyramids.
//!
//! Tasks are cut where boxes end, next to the array's own cuts, so every chunk is read once and no box lies in two tasks.
//! Invariant: a box is the same whatever the cuts. Called by programs, `eval` and pyramids.

use super::order::one;
use super::{Array, Axis, PadMode};
use crate::block::{Block, BlockClosure, BlockInfo, blocks, chunks};
use crate::chunk::Chunk;
use crate::error::{Error, Result};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::region::element_count;
use blockwise_kernels::downsample::{Downsampling, downsample, downsample_scratch_bytes};
use blockwise_kernels::filter::{Coarsening, coarsen, coarsen_scratch_bytes};
use blockwise_kernels::{DType, KernelError, Scalar};
use std::sync::Arc;

/// What becomes of elements at the end of an axis that fill no box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remainder {
    /// There must be none.
    Exact,
    /// They are left out.
    Trim,
    /// They make a box by themselves.
    Pad,
}

/// How boxes of an array become elements.
#[derive(Clone, Debug)]
pub struct Coarse {
    array: Array,
    factors: Vec<u64>,
    remainder: Remainder,
    output: Option<DType>,
}

impl Array {
    /// Boxes of so many elements along these axes.
    ///
    /// # Errors
    /// If there is no such axis, or a factor is 0 or more than 2^24.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// use blockwise_core::array::Remainder;
    /// use blockwise_core::kernels::filter::Coarsening;
    /// let x = Array::from_fn(&[7, 4], |at| (at[0] * 4 + at[1]) as f64)?.rechunk([3, 4])?;
    /// let boxes = x.coarse(&[(0.into(), 2), (1.into(), 2)])?.remainder(Remainder::Trim);
    /// let means = boxes.reduce(Coarsening::Mean)?;
    /// assert_eq!((means.shape(), means.compute::<f64>()?[[1, 0]]), (vec![3, 2], 10.5));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn coarse(&self, factors: &[(Axis, u64)]) -> Result<Coarse> {
        let factors = self.factors(factors)?;
        Ok(Coarse { array: self.clone(), factors, remainder: Remainder::Exact, output: None })
    }

    /// The next level of an image pyramid: one element of the array's own dtype for every box of so many elements along these
    /// axes. Boxes at the ends of axes are of what is there, so the result has the extents divided by the factors, rounded up.
    /// Means of integers are exact and rounded to the nearest, halves to even; NaN counts as missing.
    ///
    /// # Errors
    /// If there is no such axis, a factor is 0 or more than 2^24, or the array is complex (but for [`Downsampling::Nearest`]).
    ///
    /// ```
    /// use blockwise_core::Array;
    /// use blockwise_core::kernels::downsample::Downsampling;
    /// let x = Array::from_fn(&[5, 4], |at| (at[0] * 4 + at[1]) as u16)?.rechunk([2, 4])?;
    /// let half = x.downsample(&[(0.into(), 2), (1.into(), 2)], Downsampling::Mean)?;
    /// assert_eq!(half.shape(), [3, 2]);
    /// assert_eq!(half.compute::<u16>()?, ndarray::array![[2, 4], [10, 12], [16, 18]].into_dyn());
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn downsample(&self, factors: &[(Axis, u64)], method: Downsampling) -> Result<Self> {
        let factors = self.factors(factors)?;
        let dtype = self.dtype();
        if dtype.kind() == 'c' && method != Downsampling::Nearest {
            return Err(KernelError::Refused { operation: method.name(), dtype }.into());
        }
        let (mut cuts, mut made) = (Vec::new(), Vec::new());
        for (cut, factor) in self.grid().axes().iter().zip(&factors) {
            let (extent, longest) = (cut.extent(), cut.longest());
            // What is one chunk stays one task, though its last box be smaller.
            let boxes = if longest == extent { extent.div_ceil(*factor) } else { longest / factor }.max(1);
            let length = boxes.saturating_mul(*factor).min(extent.max(1));
            cuts.push(AxisGrid::regular(extent, length)?);
            made.push(AxisGrid::regular(extent.div_ceil(*factor), boxes)?);
        }
        let (tasks, made) = (ChunkGrid::from_axes(cuts)?, ChunkGrid::from_axes(made)?);
        let names = self.names().to_vec();
        if made.chunk_count() == 0 {
            return Ok(Self::full(&made.shape(), Scalar::zero(dtype))?.renamed(names));
        }
        let points =
            element_count(&factors).unwrap_or(u64::MAX).min(element_count(&self.shape()).unwrap_or(u64::MAX));
        let length = tasks.largest_chunk().last().copied().unwrap_or(1);
        let factors = crate::region::small(&factors)?;
        let run = move |_: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block], [out]) = (blocks(inputs)?, chunks(outputs)?);
            Ok(downsample(method, dtype, block.bytes, &block.shape()?, &factors, out.bytes_mut())?)
        };
        let function = BlockClosure::new("downsample", downsample_scratch_bytes(length, points), run);
        let axes = (0..self.rank()).map(Some).collect();
        let outputs = vec![(dtype, made)];
        let [result] = one(Self::from_blocks(Arc::new(function), vec![self.into()], tasks, axes, outputs)?)?;
        Ok(result.renamed(names))
    }

    /// One factor an axis.
    fn factors(&self, factors: &[(Axis, u64)]) -> Result<Vec<u64>> {
        let mut all = vec![1; self.rank()];
        for (axis, factor) in factors {
            let axis = axis.resolve(self.names())?;
            if !(1..=1 << 24).contains(factor) {
                let message = format!("boxes of {factor} elements along axis {axis}; give 1 to 2^24");
                return Err(Error::Usage { message });
            }
            all[axis] = *factor;
        }
        Ok(all)
    }
}

impl Coarse {
    /// What becomes of elements that fill no box; [`Remainder::Exact`] if nothing is said.
    #[must_use]
    pub fn remainder(self, remainder: Remainder) -> Self {
        Self { remainder, ..self }
    }

    /// The dtype of the results. If nothing is said: the array's for extremes and for sums of floats, 64-bit integers for
    /// sums of integers, and for means and medians the array's if it is of floats, else float64.
    #[must_use]
    pub fn output(self, dtype: DType) -> Self {
        Self { output: Some(dtype), ..self }
    }

    /// What every box becomes, of those of its elements that are not NaN; sums are made in float64.
    ///
    /// # Errors
    /// If elements are left over and must not be, or the array is complex.
    pub fn reduce(&self, op: Coarsening) -> Result<Array> {
        let array = self.fitted()?;
        let wide = match (op, array.dtype().kind()) {
            (_, 'f') | (Coarsening::Min | Coarsening::Max, _) => array.dtype(),
            (Coarsening::Sum, 'u') => DType::U64,
            (Coarsening::Sum, _) => DType::I64,
            _ => DType::F64,
        };
        let dtype = self.output.unwrap_or(wide);
        let (mut cuts, mut made) = (Vec::new(), Vec::new());
        for (cut, factor) in array.grid().axes().iter().zip(&self.factors) {
            let (extent, boxes) = (cut.extent(), (cut.longest() / factor).max(1));
            cuts.push(AxisGrid::regular(extent, boxes.saturating_mul(*factor))?);
            made.push(AxisGrid::regular(extent / factor, boxes)?);
        }
        let (tasks, made) = (ChunkGrid::from_axes(cuts)?, ChunkGrid::from_axes(made)?);
        let names = self.array.names().to_vec();
        if made.chunk_count() == 0 {
            return Ok(Array::full(&made.shape(), Scalar::zero(dtype))?.renamed(names));
        }
        let factors = crate::region::small(&self.factors)?;
        let points = element_count(&self.factors).unwrap_or(u64::MAX);
        let length = tasks.largest_chunk().last().copied().unwrap_or(1);
        let scratch = coarsen_scratch_bytes(length, points);
        let run = move |_: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block], [out]) = (blocks(inputs)?, chunks(outputs)?);
            let shape = block.shape()?;
            Ok(coarsen(op, block.bytes, block.dtype, &shape, &factors, dtype, out.bytes_mut())?)
        };
        let function = BlockClosure::new("coarsen", scratch, run);
        let index_axes = (0..array.rank()).map(Some).collect();
        let outputs = vec![(dtype, made)];
        let [result] =
            one(Array::from_blocks(Arc::new(function), vec![(&array).into()], tasks, index_axes, outputs)?)?;
        Ok(result.renamed(names))
    }

    /// The array with nothing left over.
    fn fitted(&self) -> Result<Array> {
        let mut array = self.array.clone();
        for (axis, (extent, factor)) in self.array.shape().into_iter().zip(&self.factors).enumerate() {
            let left = extent % factor;
            if left == 0 {
                continue;
            }
            array = match self.remainder {
                Remainder::Exact => {
                    let message = format!(
                        "axis {axis} has {extent} elements, no multiple of {factor}; trim them or pad"
                    );
                    return Err(Error::Usage { message });
                }
                Remainder::Trim => array.slice(axis, ..(extent - left) as i64)?,
                Remainder::Pad => {
                    let dtype = if array.dtype().kind() == 'f' { array.dtype() } else { DType::F64 };
                    let missing = super::scalar_as(Scalar::from(f64::NAN), dtype);
                    let missing = missing.unwrap_or_else(|| Scalar::zero(dtype));
                    array.astype(dtype).pad(axis, 0, factor - left, PadMode::Constant(missing))?
                }
            };
        }
        Ok(array)
    }
}
