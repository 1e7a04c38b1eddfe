//! Exact medians, quantiles and percentiles over any axes: NumPy's, its methods and nan-variants.
//!
//! Tasks work on lines that are whole in a block; where memory does not hold what that takes, the planner cuts the array anew
//! through the disk. Quantiles of all elements of a long array take passes over it ([`super::narrow`]). Invariant: a line with NaN has NaN unless NaN is left out. Called by programs and `eval`.

use super::order::one;
use super::tasks::whole_along;
use super::{Array, Axes, scalar_as};
use crate::block::{Block, BlockClosure, BlockInfo, blocks, chunks};
use crate::chunk::Chunk;
use crate::error::{Error, Result};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::region::small;
use blockwise_kernels::order::{Quantile, QuantileMethod};
use blockwise_kernels::{DType, Scalar};
use std::sync::Arc;

/// Elements of all axes up to this size are ranked in one task; more in passes.
const SELECTED_BYTES: u64 = 64 << 20;

/// Which quantiles: one, which adds no axis to the result, or a list, which adds one in front.
#[derive(Clone, Debug, PartialEq)]
pub enum Levels {
    /// One.
    One(f64),
    /// Some.
    Many(Vec<f64>),
}

impl Levels {
    pub(super) fn list(&self) -> &[f64] {
        match self {
            Self::One(level) => std::slice::from_ref(level),
            Self::Many(levels) => levels,
        }
    }

    /// The quantiles of these levels. As NumPy's: a list of levels holds doubles, and so does its result; one level has no dtype.
    pub(super) fn quantile(&self, dtype: DType, method: QuantileMethod, skip_nan: bool) -> Result<Quantile> {
        let quantile = Quantile::new(dtype, self.list(), method, skip_nan)?;
        Ok(if matches!(self, Self::Many(_)) { quantile.in_double() } else { quantile })
    }

    fn percent(self) -> Self {
        match self {
            Self::One(level) => Self::One(level / 100.0),
            Self::Many(levels) => Self::Many(levels.into_iter().map(|level| level / 100.0).collect()),
        }
    }
}

impl From<f64> for Levels {
    fn from(level: f64) -> Self {
        Self::One(level)
    }
}

impl From<&[f64]> for Levels {
    fn from(levels: &[f64]) -> Self {
        Self::Many(levels.to_vec())
    }
}

impl<const N: usize> From<[f64; N]> for Levels {
    fn from(levels: [f64; N]) -> Self {
        Self::Many(levels.to_vec())
    }
}

impl Array {
    /// The quantiles `levels`, each from 0 to 1, over `axes`. Mixtures of two elements have the dtype of floats for one level, and
    /// are `float64` for a list of levels, as NumPy's.
    ///
    /// # Errors
    /// If there is no such axis, a level is outside of 0 to 1, the dtype is complex, or there are no elements.
    ///
    /// ```
    /// use blockwise_core::{Array, DType};
    /// use blockwise_kernels::order::QuantileMethod;
    /// let x = Array::zeros(&[365, 20], DType::F32)?.with_names(&["time", "x"])?;
    /// let quartiles = x.quantile([0.25, 0.75], "time", QuantileMethod::Linear)?;
    /// assert_eq!((quartiles.shape(), quartiles.dtype()), (vec![2, 20], DType::F64));
    /// assert_eq!(x.quantile(0.9, .., QuantileMethod::Nearest)?.shape(), []);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn quantile(
        &self,
        levels: impl Into<Levels>,
        axes: impl Into<Axes>,
        method: QuantileMethod,
    ) -> Result<Self> {
        let levels = levels.into();
        self.quantiles(&levels.quantile(self.dtype(), method, false)?, &levels, &axes.into())
    }

    /// As [`Array::quantile`], of what is not NaN.
    ///
    /// # Errors
    /// As [`Array::quantile`].
    pub fn nanquantile(
        &self,
        levels: impl Into<Levels>,
        axes: impl Into<Axes>,
        method: QuantileMethod,
    ) -> Result<Self> {
        let levels = levels.into();
        self.quantiles(&levels.quantile(self.dtype(), method, true)?, &levels, &axes.into())
    }

    /// As [`Array::quantile`], with levels from 0 to 100.
    ///
    /// # Errors
    /// As [`Array::quantile`].
    pub fn percentile(
        &self,
        levels: impl Into<Levels>,
        axes: impl Into<Axes>,
        method: QuantileMethod,
    ) -> Result<Self> {
        self.quantile(levels.into().percent(), axes, method)
    }

    /// As [`Array::percentile`], of what is not NaN.
    ///
    /// # Errors
    /// As [`Array::quantile`].
    pub fn nanpercentile(
        &self,
        levels: impl Into<Levels>,
        axes: impl Into<Axes>,
        method: QuantileMethod,
    ) -> Result<Self> {
        self.nanquantile(levels.into().percent(), axes, method)
    }

    /// The medians over `axes`: of an even number of elements the mean of the two in the middle.
    ///
    /// # Errors
    /// As [`Array::quantile`].
    pub fn median(&self, axes: impl Into<Axes>) -> Result<Self> {
        self.quantiles(&Quantile::median(self.dtype(), false)?, &Levels::One(0.5), &axes.into())
    }

    /// As [`Array::median`], of what is not NaN.
    ///
    /// # Errors
    /// As [`Array::quantile`].
    pub fn nanmedian(&self, axes: impl Into<Axes>) -> Result<Self> {
        self.quantiles(&Quantile::median(self.dtype(), true)?, &Levels::One(0.5), &axes.into())
    }

    fn quantiles(&self, quantile: &Quantile, levels: &Levels, axes: &Axes) -> Result<Self> {
        let mut axes = axes.resolve(self.names())?;
        axes.sort_unstable();
        let shape = self.shape();
        let lines = axes.iter().fold(1_u64, |product, axis| product.saturating_mul(shape[*axis]));
        let is_long = lines.saturating_mul(self.dtype().size() as u64) > SELECTED_BYTES;
        if is_long && axes.len() == self.rank() {
            let count: Vec<u64> = match levels {
                Levels::One(_) => Vec::new(),
                Levels::Many(list) => vec![list.len() as u64],
            };
            if !levels.list().is_empty() {
                return self.narrowed(quantile, &count);
            }
        }
        let kept: Vec<usize> = (0..self.rank()).filter(|axis| !axes.contains(axis)).collect();
        if u32::try_from(lines).is_err() || lines == 0 && !quantile.is_nan_of_nothing() {
            let message = format!(
                "quantiles over axes {axes:?} rank {lines} elements at a time; it must be from 1 to 2^32 - 1"
            );
            return Err(Error::Usage { message });
        }
        let names = kept.iter().map(|axis| self.names()[*axis].clone());
        let names: Vec<Option<String>> = match levels {
            Levels::One(_) => names.collect(),
            Levels::Many(_) => std::iter::once(None).chain(names).collect(),
        };
        if lines == 0 {
            let count = match levels {
                Levels::One(_) => None,
                Levels::Many(list) => Some(list.len() as u64),
            };
            let shape: Vec<u64> = count.into_iter().chain(kept.iter().map(|axis| shape[*axis])).collect();
            let nan = scalar_as(f64::NAN.into(), quantile.output_dtype());
            let nan = nan.ok_or_else(|| Error::Internal { message: "no NaN".to_owned() })?;
            return Ok(Self::full(&shape, nan)?.renamed(names));
        }
        // One axis is ranked where it is; several are brought to the end, where they are one line.
        let (input, ranked) = match axes.as_slice() {
            [axis] => (self.clone(), vec![*axis]),
            _ => (self.transpose([kept.as_slice(), &axes].concat())?, (kept.len()..self.rank()).collect()),
        };
        let tasks = whole_along(&input, &ranked)?;
        let in_block = move |shape: &[usize]| -> (Vec<usize>, usize) {
            match ranked.as_slice() {
                [axis] => (shape.to_vec(), *axis),
                _ => {
                    let (lines, line) = shape.split_at(kept.len().min(shape.len()));
                    (vec![lines.iter().product(), line.iter().product()], 1)
                }
            }
        };
        let (largest, axis) = in_block(&small(&tasks.largest_chunk())?);
        let scratch = quantile.scratch_bytes(&largest, axis)? as u64;
        let left: Vec<usize> = match axes.as_slice() {
            [axis] => (0..self.rank()).filter(|own| own != axis).collect(),
            _ => (0..self.rank() - axes.len()).collect(),
        };
        let mut grid: Vec<AxisGrid> = left.iter().map(|axis| tasks.axes()[*axis].clone()).collect();
        let mut index_axes: Vec<Option<usize>> = left.into_iter().map(Some).collect();
        if let Levels::Many(list) = levels {
            let count = list.len() as u64;
            if count == 0 {
                return Err(Error::Usage {
                    message: "no quantile was asked for; give at least one".to_owned(),
                });
            }
            grid.insert(0, AxisGrid::regular(count, count)?);
            index_axes.insert(0, None);
        }
        let grid = ChunkGrid::from_axes(grid)?;
        if self.is_empty() {
            return Ok(Self::full(&grid.shape(), Scalar::zero(quantile.output_dtype()))?.renamed(names));
        }
        let outputs = vec![(quantile.output_dtype(), grid)];
        let quantile = quantile.clone();
        let run = move |_: &BlockInfo<'_>, inputs: &[Block<'_>], outputs: &mut [Chunk]| {
            let ([block], [out]) = (blocks(inputs)?, chunks(outputs)?);
            let (shape, axis) = in_block(&block.shape()?);
            Ok(quantile.run(block.bytes, &shape, axis, out.bytes_mut())?)
        };
        let function = Arc::new(BlockClosure::new("quantile", scratch, run));
        let [result] = one(Self::from_blocks(function, vec![(&input).into()], tasks, index_axes, outputs)?)?;
        Ok(result.renamed(names))
    }
}
