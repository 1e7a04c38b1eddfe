//! What reductions refuse.
//!
//! Called by [`super::Reduction`] and [`super::Geometry`].

use super::Reducer;
use crate::DType;

/// Why a reduction was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReduceError {
    /// The reducer has no meaning for the dtype.
    #[error("{reducer:?} is not defined for {dtype}; reduce the real and the imaginary part on their own")]
    Refused {
        /// The reducer.
        reducer: Reducer,
        /// The dtype.
        dtype: DType,
    },
    /// The statistic is not kept by the reducer.
    #[error("a state of {reducer:?} does not hold {statistic}; use Reducer::Variance or Reducer::Moments")]
    Statistic {
        /// The reducer.
        reducer: Reducer,
        /// The statistic, as text.
        statistic: String,
    },
    /// An axis is not one of the shape's, or stands twice.
    #[error("axis {axis} is no axis of rank {rank}, or is given twice")]
    Axis {
        /// The axis.
        axis: usize,
        /// The rank.
        rank: usize,
    },
    /// A chunk does not lie in the array.
    #[error("the chunk of {shape:?} at {origin:?} does not lie in an array of {full:?}")]
    Origin {
        /// The chunk's shape.
        shape: Vec<usize>,
        /// Its first index.
        origin: Vec<usize>,
        /// The array's shape.
        full: Vec<usize>,
    },
    /// A state or an output does not have the bytes of its cells, or is not aligned to 8 bytes.
    #[error("{what} of {given_bytes} bytes does not hold {cells} cells of {cell_bytes} bytes, aligned to 8")]
    Length {
        /// What is of the wrong length.
        what: &'static str,
        /// Bytes given.
        given_bytes: usize,
        /// Cells wanted.
        cells: usize,
        /// Bytes of one.
        cell_bytes: usize,
    },
    /// The position of an extreme among nothing but NaN.
    #[error("all elements of cell {cell} are NaN, so none is the smallest or largest; fill them first")]
    AllNan {
        /// The cell.
        cell: usize,
    },
    /// A size does not fit the machine's integers.
    #[error("the shape overflows the address space; reduce smaller chunks")]
    Overflow,
}
