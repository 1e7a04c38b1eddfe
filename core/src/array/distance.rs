//! Distances to the nearest zero: SciPy's exact Euclidean distance transform.
//!
//! Squares go along one axis after another, each line whole in a task; where memory does not hold what that takes, the planner
//! cuts the array anew through the disk. Invariant: squares of whole numbers are exact, so with a sampling of 1 results do not depend
//! on how the array is cut to the last bit. Called by programs and `eval`.

use super::Array;
use super::order::one;
use super::tasks::whole_along_sized;
use crate::block::{Block, BlockFunction, BlockInfo, blocks, chunks};
use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::{Error, Result};
use crate::region::small;
use blockwise_kernels::{DType, distance};
use std::sync::Arc;

impl Array {
    /// The distance of each element to the nearest one that is zero, as `float64`: SciPy's `distance_transform_edt`. `sampling` is the
    /// distance of neighbours along each axis, or one for all. Where there is no zero at all, distances are infinite. Lines are
    /// whole in a task: one along each axis must fit the budget, which takes about 50 bytes for each of its elements.
    ///
    /// # Errors
    /// If a sampling is not finite and positive, or they are not as many as axes.
    ///
    /// ```
    /// use blockwise_core::Array;
    /// let x = Array::from_fn(&[20, 30], |at| at[0] != 4 || at[1] != 7)?.rechunk([8, 8])?;
    /// let far = x.distance_transform_edt(&[1.0])?.compute::<f64>()?;
    /// assert_eq!((far[[4, 7]], far[[7, 11]], far[[1, 3]]), (0.0, 5.0, 5.0));
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn distance_transform_edt(&self, sampling: &[f64]) -> Result<Self> {
        let rank = self.rank();
        let sampling = match sampling {
            [all] => vec![*all; rank],
            _ => sampling.to_vec(),
        };
        if sampling.len() != rank || sampling.iter().any(|spacing| !(spacing.is_finite() && *spacing > 0.0)) {
            let message = format!(
                "a sampling of {sampling:?} of {rank} axes; give a positive number for all, or one for each"
            );
            return Err(Error::Usage { message });
        }
        let is_there = self.astype(DType::Bool);
        let mut squares = Self::call("where", [is_there.into(), f64::INFINITY.into(), 0.0.into()])?;
        if !self.is_empty() {
            for (axis, spacing) in sampling.into_iter().enumerate() {
                squares = squares.nearest_along(axis, spacing)?;
            }
        }
        Ok(squares.sqrt()?.renamed(self.names().to_vec()))
    }

    fn nearest_along(&self, axis: usize, spacing: f64) -> Result<Self> {
        let tasks = whole_along_sized(self, &[axis], size_of::<f64>() as u64)?;
        let scratch_bytes = distance::scratch_bytes(&small(&tasks.largest_chunk())?, axis)? as u64;
        let function = Arc::new(Nearest { axis, spacing, scratch_bytes });
        let outputs = vec![(DType::F64, tasks.clone())];
        let index_axes = (0..self.rank()).map(Some).collect();
        let [result] = one(Self::from_blocks(function, vec![self.into()], tasks, index_axes, outputs)?)?;
        Ok(result)
    }
}

/// Squared distances along one axis.
struct Nearest {
    axis: usize,
    spacing: f64,
    scratch_bytes: u64,
}

impl BlockFunction for Nearest {
    fn name(&self) -> &str {
        "distance transform"
    }

    fn scratch_bytes(&self, _: u64) -> u64 {
        self.scratch_bytes
    }

    fn run(
        &self,
        _: &BlockInfo<'_>,
        inputs: &[Block<'_>],
        outputs: &mut [Chunk],
        cx: &TaskContext<'_>,
    ) -> Result<()> {
        let ([block], [out]) = (blocks(inputs)?, chunks(outputs)?);
        let shape = block.shape()?;
        Ok(distance::nearest(block.bytes, &shape, self.axis, self.spacing, out.bytes_mut(), cx.pool())?)
    }
}
