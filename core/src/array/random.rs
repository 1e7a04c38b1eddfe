//! Arrays of random numbers that depend on their seed, their stream and the element's index, and on nothing else.
//!
//! Invariant: the same numbers whatever the chunks, threads, budget and machine. Called by programs and `eval`.

use super::{Array, Chunks};
use crate::error::Result;
use crate::generate::Generated;
use crate::grid::ChunkGrid;
use crate::region::small;
use blockwise_kernels::DType;
use blockwise_kernels::random::{Distribution, Random};
use std::sync::Arc;

impl Array {
    /// Random numbers of `distribution`, cut automatically, in the dtype that is the distribution's own.
    ///
    /// # Errors
    /// If a parameter of the distribution makes no sense, or the shape has too many axes or elements.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// use blockwise_kernels::random::Distribution;
    /// let dice = Distribution::Integers { low: 1, count: 6 };
    /// let rolls = Array::random(&[1000, 1000], dice, 42)?;
    /// let same = rolls.rechunk([10, 999])?;
    /// assert_eq!(rolls.sum(..)?.compute::<i64>()?, same.sum(..)?.compute::<i64>()?);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn random(shape: &[u64], distribution: Distribution, seed: u64) -> Result<Self> {
        Self::random_stream(shape, distribution, distribution.dtype(), seed, 0)
    }

    /// As [`Array::random`], converted to `dtype`. Arrays of one seed and different streams are independent.
    ///
    /// # Errors
    /// As [`Array::random`].
    pub fn random_stream(
        shape: &[u64],
        distribution: Distribution,
        dtype: DType,
        seed: u64,
        stream: u32,
    ) -> Result<Self> {
        let random = Random::new(distribution, dtype, seed, stream)?;
        let grid = Chunks::Auto.normalize(&ChunkGrid::single(shape)?, &[], dtype.size(), false)?;
        let full = small(shape)?;
        let source = Generated::filling("random numbers", dtype, grid, move |region, chunk| {
            let (origin, shape) = (small(region.origin())?, small(region.shape())?);
            Ok(random.fill(&full, &origin, &shape, chunk.bytes_mut())?)
        });
        Ok(Self::from_source(Arc::new(source)))
    }
}
